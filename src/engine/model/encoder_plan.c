/* SPDX-License-Identifier: Apache-2.0
 *
 * From an encoder's descriptor and weights to operations; encoder.h shows what one layer computes.
 * Every layer has the same sizes, so the slots are made once. */
#include <stdlib.h>

#include "base/alloc.h"
#include "engine/model/encoder.h"

enum slot {
    SLOT_X,     /* the residual stream */
    SLOT_Y,     /* … behind the attention, where the stream before it is still needed */
    SLOT_H,     /* inputs and outputs of the two halves of a layer */
    SLOT_X_OUT, /* the rows of X and H that make outputs */
    SLOT_H_OUT,
    SLOT_Y_OUT,
    SLOT_Q,
    SLOT_K,
    SLOT_V,
    SLOT_ATTN,
    SLOT_GATE,
    SLOT_UP,
    SLOT_COUNT,
};

struct builder {
    const struct descriptor *d;
    const struct encoder_weights *w;
    struct model_plan *out;
    size_t n_ops;
    uint16_t x, y, h; /* which slots play these parts: others behind the selection of rows */
    float mscale, local_mscale;
};

static void add(struct builder *b, struct op op)
{
    b->out->ops = xrealloc(b->out->ops, b->n_ops + 1, sizeof(op));
    b->out->ops[b->n_ops++] = op;
}

/* Nothing where the norm has no weights; `head`: of groups so wide. */
static void add_norm(struct builder *b, uint16_t dst, uint16_t a, const struct weight *w,
                     const struct weight *bias, uint32_t head)
{
    add(b, (struct op){.kind = b->d->encoder->rms ? OP_RMS_NORM : OP_LAYER_NORM,
                       .dst = dst,
                       .a = a,
                       .w = w,
                       .bias = bias,
                       .head = head,
                       .eps = b->d->norm_eps});
}

static void add_matmul(struct builder *b, uint16_t dst, uint16_t a, const struct weight *w,
                       const struct weight *bias)
{
    add(b, (struct op){.kind = OP_MATMUL, .dst = dst, .a = a, .w = w, .bias = bias});
}

static void add_rope(struct builder *b, uint16_t s, const struct layer_desc *l)
{
    const struct rope_desc *rope = &b->d->rope;
    bool local = l->window > 0;
    add(b, (struct op){.kind = OP_ROPE,
                       .dst = s,
                       .a = s,
                       .head = l->head_k,
                       .rope = {.kind = rope->kind,
                                .dims = rope->dims,
                                .inv_freq = b->out->inv_freq + (local ? rope->dims / 2 : 0),
                                .mscale = local ? b->local_mscale : b->mscale}});
}

static void build_attention(struct builder *b, uint32_t layer)
{
    const struct descriptor *d = b->d;
    const struct layer_desc *l = &d->layers[layer];
    struct weight *const *t = b->w->layers[layer].t;
    uint32_t head = d->encoder->qk_norm_by_head ? l->head_k : 0;
    uint16_t in = b->x;

    if (t[ET_ATTN_NORM])
        add_norm(b, in = b->h, b->x, t[ET_ATTN_NORM], NULL, 0);
    add_matmul(b, SLOT_Q, in, t[ET_Q], t[ET_Q_BIAS]);
    add_matmul(b, SLOT_K, in, t[ET_K], t[ET_K_BIAS]);
    add_matmul(b, SLOT_V, in, t[ET_V], t[ET_V_BIAS]);
    if (t[ET_Q_NORM])
        add_norm(b, SLOT_Q, SLOT_Q, t[ET_Q_NORM], t[ET_Q_NORM_BIAS], head);
    if (t[ET_K_NORM])
        add_norm(b, SLOT_K, SLOT_K, t[ET_K_NORM], t[ET_K_NORM_BIAS], head);
    if (d->encoder->rotates) {
        add_rope(b, SLOT_Q, l);
        add_rope(b, SLOT_K, l);
    }
    add(b, (struct op){.kind = OP_KV_STORE, .a = SLOT_K, .b = SLOT_V});
    add(b, (struct op){.kind = OP_ATTENTION,
                       .dst = SLOT_ATTN,
                       .a = SLOT_Q,
                       .attn = {.n_heads = l->n_heads,
                                .n_kv_heads = l->n_kv_heads,
                                .head_k = l->head_k,
                                .head_v = l->head_v,
                                .scale = d->attn_scale,
                                .window = l->window,
                                .slopes = b->out->slopes}});
    add_matmul(b, b->h, SLOT_ATTN, t[ET_OUT], t[ET_OUT_BIAS]);
    if (t[ET_POST_ATTN_NORM])
        add_norm(b, b->h, b->h, t[ET_POST_ATTN_NORM], NULL, 0);
}

/* From here on only the rows that make outputs. */
static void select_outputs(struct builder *b)
{
    add(b, (struct op){.kind = OP_SELECT, .dst = SLOT_X_OUT, .a = b->x});
    add(b, (struct op){.kind = OP_SELECT, .dst = SLOT_H_OUT, .a = b->h});
    b->x = SLOT_X_OUT;
    b->h = SLOT_H_OUT;
    b->y = SLOT_Y_OUT;
}

/* The attention's output joins the stream. */
static void build_join(struct builder *b, struct weight *const *t)
{
    if (t[ET_ATTN_NORM_2]) {
        add(b, (struct op){.kind = OP_ADD, .dst = b->y, .a = b->x, .b = b->h});
        if (t[ET_ATTN_OUT_NORM])
            add_norm(b, b->y, b->y, t[ET_ATTN_OUT_NORM], t[ET_ATTN_OUT_NORM_BIAS], 0);
        add(b, (struct op){.kind = OP_ADD, .dst = b->x, .a = b->y, .b = b->x});
        add_norm(b, b->x, b->x, t[ET_ATTN_NORM_2], t[ET_ATTN_NORM_2_BIAS], 0);
        return;
    }
    add(b, (struct op){.kind = OP_ADD, .dst = b->x, .a = b->x, .b = b->h});
    if (t[ET_ATTN_OUT_NORM])
        add_norm(b, b->x, b->x, t[ET_ATTN_OUT_NORM], t[ET_ATTN_OUT_NORM_BIAS], 0);
}

static void build_ffn(struct builder *b, struct weight *const *t)
{
    uint16_t in = b->x;
    if (t[ET_FFN_NORM])
        add_norm(b, in = b->h, b->x, t[ET_FFN_NORM], NULL, 0);
    add_matmul(b, SLOT_UP, in, t[ET_UP], t[ET_UP_BIAS]);
    if (t[ET_GATE]) {
        add_matmul(b, SLOT_GATE, in, t[ET_GATE], NULL);
        add(b, (struct op){
                   .kind = OP_GLU, .dst = SLOT_UP, .a = SLOT_GATE, .b = SLOT_UP, .act = b->d->act});
    } else {
        add(b, (struct op){.kind = OP_ACT, .dst = SLOT_UP, .a = SLOT_UP, .act = b->d->act});
    }
    add_matmul(b, b->h, SLOT_UP, t[ET_DOWN], t[ET_DOWN_BIAS]);
    if (t[ET_POST_FFN_NORM])
        add_norm(b, b->h, b->h, t[ET_POST_FFN_NORM], NULL, 0);
    add(b, (struct op){.kind = OP_ADD, .dst = b->x, .a = b->x, .b = b->h});
    if (t[ET_LAYER_OUT_NORM])
        add_norm(b, b->x, b->x, t[ET_LAYER_OUT_NORM], t[ET_LAYER_OUT_NORM_BIAS], 0);
}

static void build_input(struct builder *b)
{
    const struct encoder_weights *w = b->w;
    add(b,
        (struct op){.kind = OP_EMBED, .dst = b->x, .w = w->token_embd, .scale = b->d->embd_scale});
    if (w->type_row)
        add(b, (struct op){.kind = OP_ADD_ROW, .dst = b->x, .a = b->x, .bias = w->type_row});
    if (w->positions)
        add(b, (struct op){.kind = OP_ADD_POSITION, .dst = b->x, .a = b->x, .w = w->positions});
    if (w->embd_norm)
        add_norm(b, b->x, b->x, w->embd_norm, w->embd_norm_bias, 0);
}

static void make_slots(struct model_plan *p, const struct descriptor *d)
{
    const struct layer_desc *l = &d->layers[0];
    const uint32_t widths[SLOT_COUNT] = {
        [SLOT_X] = d->n_embd,
        [SLOT_Y] = d->n_embd,
        [SLOT_H] = d->n_embd,
        [SLOT_X_OUT] = d->n_embd,
        [SLOT_H_OUT] = d->n_embd,
        [SLOT_Y_OUT] = d->n_embd,
        [SLOT_Q] = l->n_heads * l->head_k,
        [SLOT_K] = l->n_kv_heads * l->head_k,
        [SLOT_V] = l->n_kv_heads * l->head_v,
        [SLOT_ATTN] = l->n_heads * l->head_v,
        [SLOT_GATE] = l->n_ff,
        [SLOT_UP] = l->n_ff,
    };
    p->slot_width = xcalloc(SLOT_COUNT, sizeof(*p->slot_width));
    for (size_t i = 0; i < SLOT_COUNT; i++)
        p->slot_width[i] = widths[i];
}

void encoder_plan_build(struct model_plan *ret, const struct descriptor *d,
                        const struct encoder_weights *w)
{
    *ret = (struct model_plan){0};
    struct builder b = {.d = d, .w = w, .out = ret, .x = SLOT_X, .y = SLOT_Y, .h = SLOT_H};
    make_slots(ret, d);
    if (d->encoder->rotates) {
        ret->inv_freq = xcalloc(d->rope.dims, sizeof(float));
        rope_frequencies(&d->rope, NULL, ret->inv_freq, &b.mscale);
        rope_frequencies(&d->rope_local, NULL, ret->inv_freq + d->rope.dims / 2, &b.local_mscale);
    }
    if (d->encoder->alibi)
        ret->slopes = plan_alibi_slopes(d->layers[0].n_heads);

    build_input(&b);
    for (uint32_t i = 0; i < d->n_layers; i++) {
        build_attention(&b, i);
        if (i + 1 == d->n_layers)
            select_outputs(&b);
        build_join(&b, w->layers[i].t);
        build_ffn(&b, w->layers[i].t);
    }
    if (w->output_norm)
        add_norm(&b, b.x, b.x, w->output_norm, NULL, 0);
    ret->plan = (struct plan){
        .ops = ret->ops,
        .n_ops = b.n_ops,
        .slot_width = ret->slot_width,
        .n_slots = SLOT_COUNT,
        .out_slot = SLOT_X_OUT,
    };
}
