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
    float *inv_freq; /* [rope.dims / 2]; encoders: twice, for layers without and with windows */
    float *slopes;   /* ALiBi, [n_heads], or NULL */
};

enum plan_output {
    PLAN_LOGITS,
    PLAN_HIDDEN, /* what the output matrix is given: [n_out][n_embd] */
};

void model_plan_build(struct model_plan *ret, const struct descriptor *d, const struct weights *w,
                      enum plan_output output);
void model_plan_release(struct model_plan *p); /* a zeroed one is fine */

#endif
