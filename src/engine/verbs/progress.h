/* SPDX-License-Identifier: Apache-2.0
 *
 * How far a verb is that works through the tensors of a file: one line on standard error, drawn
 * over and over at a terminal; notes stand on lines of their own. */
#ifndef ENGINE_VERBS_PROGRESS_H
#define ENGINE_VERBS_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

struct verb_progress {
    bool enabled; /* is there a terminal? */
    bool drawn;   /* a line stands there */
};

/* Callbacks; ctx is a struct verb_progress. */
void verb_progress_step(void *ctx, size_t n_done, size_t n_all, struct str tensor);
void verb_progress_note(void *ctx, const char *text);

/* Wipes the line. */
void verb_progress_end(struct verb_progress *p);

#endif
