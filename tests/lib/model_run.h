/* SPDX-License-Identifier: Apache-2.0
 *
 * One sequence on one model, for tests: feeds tokens in pieces of any size and gives logits. */
#ifndef TESTS_LIB_MODEL_RUN_H
#define TESTS_LIB_MODEL_RUN_H

#include "engine/model/model.h"

struct model_run {
    struct model *model; /* borrowed */
    struct kv *kv;
    int32_t *pages;
    int32_t n_past, n_max;
    int32_t state; /* of two slots, the one behind the last token */
};

int model_run_open(struct model_run *r, struct model *m, int32_t n_max, enum kv_type type,
                   struct error *err);
void model_run_close(struct model_run *r);
void model_run_rewind(struct model_run *r); /* forgets all tokens */

/* Feeds n tokens; logits: [n][n_vocab] if `all`, else only the last position's; NULL for none. */
int model_run_feed(struct model_run *r, const int32_t *ids, int32_t n, bool all, float *logits,
                   struct error *err);

#endif
