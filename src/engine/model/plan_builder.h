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
    SLOT_SHARED, /* what the part beside the experts gave */
    SLOT_SHARED_GATE,
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
    /* of Gemma 3n */
    SLOT_STREAMS,
    SLOT_STREAMS_OUT,
    SLOT_PREDICTED,
    SLOT_ACTIVE,
    SLOT_MODES,
    SLOT_COEFS,
    SLOT_LOW_RANK,
    SLOT_LAUREL,
    SLOT_INPUTS,
    SLOT_PROJECTED,
    SLOT_INPUT,
    SLOT_INPUT_GATE,
    SLOT_STREAM,
    SLOT_SPLIT,
    /* of latent attention */
    SLOT_MLA_LOW,
    SLOT_MLA_KV,
    SLOT_MLA_LATENT,
    SLOT_MLA_HEADS,
    SLOT_MLA_STILL,
    SLOT_MLA_ABSORBED,
    SLOT_MLA_VALUES,
};

struct builder {
    const struct descriptor *d;
    const struct weights *w;
    struct model_plan *out;
    float mscale, local_mscale;
    uint32_t local_at; /* in inv_freq; 0 = layers with windows rotate as the others */
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

/* The queries q with the keys and values of the layer. */
void plan_attend(struct builder *b, uint16_t layer, uint16_t q, uint16_t dst);

/* dst = Wo attention(h) */
void plan_attention(struct builder *b, uint16_t layer, uint16_t h, uint16_t dst);
/* dst = Wdown (act(Wgate h) * (Wup h)) */
void plan_dense(struct builder *b, uint16_t layer, uint16_t h, uint16_t dst);
uint16_t plan_select(struct builder *b, uint16_t a, enum slot_use use);

/* plan_altup.c: all streams from the embeddings in x; a layer; one stream of what was asked for. */
uint16_t plan_altup_begin(struct builder *b, uint16_t x);
void plan_altup_layer(struct builder *b, uint16_t layer, uint16_t streams);
uint16_t plan_altup_end(struct builder *b, uint16_t streams);

/* plan_mla.c: dst = Wo attention(h) */
void plan_mla(struct builder *b, uint16_t layer, uint16_t h, uint16_t dst);

/* plan_recurrent.c: h = what the layer's recurrent part makes of h. */
void plan_recurrent(struct builder *b, uint16_t layer, uint16_t h);

#endif
