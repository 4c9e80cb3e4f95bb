/* SPDX-License-Identifier: Apache-2.0
 *
 * From a descriptor and its weights to the list of operations a backend executes. */
#ifndef ENGINE_MODEL_PLAN_H
#define ENGINE_MODEL_PLAN_H

#include "engine/backend/backend.h"
#include "engine/model/descriptor.h"
#include "engine/model/weights.h"

/* A plan and the memory that it points to. The weights are borrowed. */
struct model_plan {
    struct plan plan;
    struct op *ops;
    uint32_t *slot_width;
    float *inv_freq; /* [rope.dims / 2] twice: for layers of the model's rotation, and local ones */
    float *slopes;   /* ALiBi, [n_heads], or NULL */
};

enum plan_output {
    PLAN_LOGITS,
    PLAN_HIDDEN, /* what the output matrix is given: [n_out][n_embd] */
};

/* n_ctx: tokens of context that it will run with at most. */
void model_plan_build(struct model_plan *ret, const struct descriptor *d, const struct weights *w,
                      uint32_t n_ctx, enum plan_output output);
void model_plan_release(struct model_plan *p); /* a zeroed one is fine */

/* [n_heads], allocated. */
float *plan_alibi_slopes(uint32_t n_heads);

#endif
