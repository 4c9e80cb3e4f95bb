/* SPDX-License-Identifier: Apache-2.0
 *
 * The plan builder. descriptor.h shows what one layer computes; here it becomes operations over
 * slots. A step whose tensor is absent is left out.
 *
 * Rows that nobody asked for are dropped (OP_SELECT) as soon as nothing more is read from them: in
 * the last layer, behind its attention. */
#include "engine/model/plan.h"

#include <stdlib.h>

#include "base/alloc.h"

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
};

struct builder {
    const struct descriptor *d;
    const struct weights *w;
    struct model_plan *out;
    float mscale;
    size_t n_ops;
    enum slot_use *uses; /* [n_slots] */
    uint16_t n_slots;
};

static uint16_t slot(struct builder *b, enum slot_use use, uint32_t width)
{
    for (uint16_t i = 0; i < b->n_slots; i++)
        if (b->uses[i] == use && b->out->slot_width[i] == width)
            return i;
    b->uses = xrealloc(b->uses, b->n_slots + 1u, sizeof(*b->uses));
    b->out->slot_width = xrealloc(b->out->slot_width, b->n_slots + 1u, sizeof(uint32_t));
    b->uses[b->n_slots] = use;
    b->out->slot_width[b->n_slots] = width;
    return b->n_slots++;
}

static void add(struct builder *b, struct op op)
{
    b->out->ops = xrealloc(b->out->ops, b->n_ops + 1, sizeof(op));
    b->out->ops[b->n_ops++] = op;
}

static void add_norm(struct builder *b, uint16_t dst, uint16_t a, const struct weight *w,
                     uint32_t head)
{
    add(b,
        (struct op){
            .kind = OP_RMS_NORM, .dst = dst, .a = a, .w = w, .head = head, .eps = b->d->norm_eps});
}

static void add_matmul(struct builder *b, uint16_t dst, uint16_t a, const struct weight *w,
                       const struct weight *bias)
{
    add(b, (struct op){.kind = OP_MATMUL, .dst = dst, .a = a, .w = w, .bias = bias});
}

static void add_rope(struct builder *b, uint16_t s, uint32_t head)
{
    add(b, (struct op){.kind = OP_ROPE,
                       .dst = s,
                       .a = s,
                       .head = head,
                       .rope = {.kind = b->d->rope.kind,
                                .dims = b->d->rope.dims,
                                .inv_freq = b->out->inv_freq,
                                .mscale = b->mscale}});
}

/* x = x + Wo attention(norm(x)) */
static void build_attention(struct builder *b, uint16_t layer, uint16_t x)
{
    const struct descriptor *d = b->d;
    const struct layer_desc *l = &d->layers[layer];
    struct weight *const *t = b->w->layers[layer].t;
    uint16_t h = slot(b, SLOT_H, d->n_embd);
    uint16_t q = slot(b, SLOT_Q, l->n_heads * l->head_k);
    uint16_t k = slot(b, SLOT_K, l->n_kv_heads * l->head_k);
    uint16_t v = slot(b, SLOT_V, l->n_kv_heads * l->head_v);
    uint16_t attn = slot(b, SLOT_ATTN, l->n_heads * l->head_v);

    add_norm(b, h, x, t[LT_ATTN_NORM], 0);
    add_matmul(b, q, h, t[LT_ATTN_Q], t[LT_ATTN_Q_BIAS]);
    add_matmul(b, k, h, t[LT_ATTN_K], t[LT_ATTN_K_BIAS]);
    add_matmul(b, v, h, t[LT_ATTN_V], t[LT_ATTN_V_BIAS]);
    if (t[LT_ATTN_Q_NORM])
        add_norm(b, q, q, t[LT_ATTN_Q_NORM], l->head_k);
    if (t[LT_ATTN_K_NORM])
        add_norm(b, k, k, t[LT_ATTN_K_NORM], l->head_k);
    add_rope(b, q, l->head_k);
    add_rope(b, k, l->head_k);
    add(b, (struct op){.kind = OP_KV_STORE, .a = k, .b = v, .layer = layer});
    add(b, (struct op){.kind = OP_ATTENTION,
                       .dst = attn,
                       .a = q,
                       .layer = layer,
                       .attn = {.n_heads = l->n_heads,
                                .n_kv_heads = l->n_kv_heads,
                                .head_k = l->head_k,
                                .head_v = l->head_v,
                                .scale = d->attn_scale,
                                .softcap = d->attn_softcap,
                                .window = l->window,
                                .causal = d->causal}});
    add_matmul(b, h, attn, t[LT_ATTN_OUT], t[LT_ATTN_OUT_BIAS]);
    if (t[LT_POST_ATTN_NORM])
        add_norm(b, h, h, t[LT_POST_ATTN_NORM], 0);
    add(b, (struct op){.kind = OP_ADD, .dst = x, .a = x, .b = h});
}

/* x = x + Wdown (act(Wgate norm(x)) * (Wup norm(x))) */
static void build_ffn(struct builder *b, uint16_t layer, uint16_t x)
{
    const struct descriptor *d = b->d;
    struct weight *const *t = b->w->layers[layer].t;
    uint16_t h = slot(b, SLOT_H, d->n_embd);
    uint16_t up = slot(b, SLOT_UP, d->layers[layer].n_ff);

    add_norm(b, h, x, t[LT_FFN_NORM], 0);
    if (d->gated) {
        uint16_t gate = slot(b, SLOT_GATE, d->layers[layer].n_ff);
        add_matmul(b, gate, h, t[LT_FFN_GATE], t[LT_FFN_GATE_BIAS]);
        add_matmul(b, up, h, t[LT_FFN_UP], t[LT_FFN_UP_BIAS]);
        add(b, (struct op){.kind = OP_GLU, .dst = up, .a = gate, .b = up, .act = d->act});
    } else {
        add_matmul(b, up, h, t[LT_FFN_UP], t[LT_FFN_UP_BIAS]);
        add(b, (struct op){.kind = OP_ACT, .dst = up, .a = up, .act = d->act});
    }
    add_matmul(b, h, up, t[LT_FFN_DOWN], t[LT_FFN_DOWN_BIAS]);
    if (t[LT_POST_FFN_NORM])
        add_norm(b, h, h, t[LT_POST_FFN_NORM], 0);
    add(b, (struct op){.kind = OP_ADD, .dst = x, .a = x, .b = h});
}

void model_plan_build(struct model_plan *ret, const struct descriptor *d, const struct weights *w,
                      enum plan_output output)
{
    *ret = (struct model_plan){0};
    struct builder b = {.d = d, .w = w, .out = ret};
    ret->inv_freq = xcalloc(d->rope.dims / 2, sizeof(float));
    rope_frequencies(&d->rope, w->rope_factors, ret->inv_freq, &b.mscale);

    uint16_t x = slot(&b, SLOT_X, d->n_embd);
    add(&b, (struct op){.kind = OP_EMBED, .dst = x, .w = w->token_embd, .scale = d->embd_scale});
    add(&b, (struct op){.kind = OP_INPUT, .dst = x});
    for (uint16_t i = 0; i < d->n_layers; i++) {
        build_attention(&b, i, x);
        if (i + 1u == d->n_layers) {
            uint16_t out = slot(&b, SLOT_X_OUT, d->n_embd);
            add(&b, (struct op){.kind = OP_SELECT, .dst = out, .a = x});
            x = out;
        }
        build_ffn(&b, i, x);
    }
    uint16_t h = slot(&b, SLOT_H, d->n_embd);
    uint16_t out = h;
    add_norm(&b, h, x, w->output_norm, 0);
    if (output == PLAN_LOGITS) {
        out = slot(&b, SLOT_LOGITS, d->n_vocab);
        add_matmul(&b, out, h, w->output ? w->output : w->token_embd, NULL);
    }
    if (output == PLAN_LOGITS && d->final_softcap > 0)
        add(&b, (struct op){.kind = OP_SOFTCAP, .dst = out, .a = out, .scale = d->final_softcap});
    free(b.uses);
    ret->plan = (struct plan){
        .ops = ret->ops,
        .n_ops = b.n_ops,
        .slot_width = ret->slot_width,
        .n_slots = b.n_slots,
        .out_slot = out,
    };
}

void model_plan_release(struct model_plan *p)
{
    free(p->ops);
    free(p->slot_width);
    free(p->inv_freq);
    free(p->slopes);
    *p = (struct model_plan){0};
}
