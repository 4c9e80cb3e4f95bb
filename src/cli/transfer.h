/* SPDX-License-Identifier: Apache-2.0
 *
 * Pulls and pushes through the runner, with retries; `pull`, `push`, `run` and `compose up` use
 * them. */
#ifndef CLI_TRANSFER_H
#define CLI_TRANSFER_H

#include "cli/progress.h"

struct transfer {
    enum progress_mode mode;
    const char *model;
    const struct progress_sink *sink;
    FILE *blank_lines; /* a separating line before each retry goes here; NULL = none */
};

/* *ret_message: the runner's last word, "Model pulled successfully"; the caller frees it. */
int transfer_model(const struct transfer *t, char **ret_message, struct error *err);

/* A pull that shows its progress on `to`. */
int transfer_pull(const char *model, FILE *to, char **ret_message, struct error *err);

/* A push likewise. */
int transfer_push(const char *model, FILE *to, char **ret_message, struct error *err);

#endif
