/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside the plan builder: slots and operations under construction. */
#ifndef ENGINE_MODEL_PLAN_BUILDER_H
#define ENGINE_MODEL_PLAN_BUILDER_H

#include "engine/model/plan.h"

/* What a slot holds; layers share slots of the same purpose and width. */
enum slot_use {
    SLOT_X,     /* the residual stream */
    SLOT_X_OUT, /* its rows that make outputs */
    SLOT_H,     /* inputs and outputs of the two halves of a layer */
    SLOT_Q,
    SLOT_K,
    SLOT_V,
    SLOT_ATTN, /* the heads' outputs */
    SLOT_GATE,
    SLOT_UP,
    SLOT_LOGITS,
    SLOT_ROUTER, /* scores of the experts */
    /* of recurrent layers */
    SLOT_Q_GATE, /* queries and gates as they are projected */
    SLOT_IN,     /* the input projection */
    SLOT_CONV,
    SLOT_DT_IN,
    SLOT_DT,
    SLOT_B,
    SLOT_C,
    SLOT_BC,
    SLOT_BETA,
    SLOT_Y,
    SLOT_Z,
    SLOT_BESIDE, /* what attention gave, while the recurrent part beside it is computed */
    /* of layers whose halves are computed side by side; _OUT: the rows that make outputs */
    SLOT_NORM_2,
    SLOT_H_OUT,
    SLOT_BESIDE_OUT,
};

struct builder {
    const struct descriptor *d;
    const struct weights *w;
    struct model_plan *out;
    float mscale, local_mscale;
    size_t n_ops;
    enum slot_use *uses; /* [n_slots] */
    uint16_t n_slots;
};

uint16_t plan_slot(struct builder *b, enum slot_use use, uint32_t width);
void plan_add(struct builder *b, struct op op);
/* An RMS norm; `head`: of groups so wide, 0 = of rows. */
void plan_norm(struct builder *b, uint16_t dst, uint16_t a, const struct weight *w, uint32_t head);
void plan_matmul(struct builder *b, uint16_t dst, uint16_t a, const struct weight *w,
                 const struct weight *bias);
/* Columns [at, at + n) of each group of `group` columns of a, to dst from dst_at on. */
void plan_slice(struct builder *b, uint16_t dst, uint32_t dst_at, uint16_t a, uint32_t group,
                uint32_t at, uint32_t n);

/* plan_recurrent.c: h = what the layer's recurrent part makes of h. */
void plan_recurrent(struct builder *b, uint16_t layer, uint16_t h);

#endif
