/* SPDX-License-Identifier: Apache-2.0
 *
 * The plan builder. descriptor.h shows what one layer computes; here it becomes operations over
 * slots. A step whose tensor is absent is left out.
 *
 * Rows that nobody asked for are dropped (OP_SELECT) as soon as nothing more is read from them: in
 * the last layer, behind its attention. */
#include "engine/model/plan_builder.h"

#include <stdlib.h>

#include "base/alloc.h"

uint16_t plan_slot(struct builder *b, enum slot_use use, uint32_t width)
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

void plan_add(struct builder *b, struct op op)
{
    b->out->ops = xrealloc(b->out->ops, b->n_ops + 1, sizeof(op));
    b->out->ops[b->n_ops++] = op;
}

void plan_norm(struct builder *b, uint16_t dst, uint16_t a, const struct weight *w, uint32_t head)
{
    plan_add(
        b,
        (struct op){
            .kind = OP_RMS_NORM, .dst = dst, .a = a, .w = w, .head = head, .eps = b->d->norm_eps});
}

void plan_matmul(struct builder *b, uint16_t dst, uint16_t a, const struct weight *w,
                 const struct weight *bias)
{
    plan_add(b, (struct op){.kind = OP_MATMUL, .dst = dst, .a = a, .w = w, .bias = bias});
}

void plan_slice(struct builder *b, uint16_t dst, uint32_t dst_at, uint16_t a, uint32_t group,
                uint32_t at, uint32_t n)
{
    plan_add(b, (struct op){.kind = OP_SLICE,
                            .dst = dst,
                            .a = a,
                            .slice = {.group = group, .at = at, .n = n, .dst_at = dst_at}});
}

static void add_rope(struct builder *b, uint16_t s, uint32_t head)
{
    if (b->d->rope.dims == 0)
        return;
    plan_add(b, (struct op){.kind = OP_ROPE,
                            .dst = s,
                            .a = s,
                            .head = head,
                            .rope = {.kind = b->d->rope.kind,
                                     .dims = b->d->rope.dims,
                                     .inv_freq = b->out->inv_freq,
                                     .mscale = b->mscale}});
}

/* Queries to slot q; their gates, where the model has some, to the slot that is returned. */
static uint16_t build_queries(struct builder *b, const struct layer_desc *l,
                              struct weight *const *t, uint16_t h, uint16_t q)
{
    uint32_t width = l->n_heads * l->head_k;
    if (!t[LT_ATTN_Q_GATE]) {
        plan_matmul(b, q, h, t[LT_ATTN_Q], t[LT_ATTN_Q_BIAS]);
        return q;
    }
    uint16_t both = plan_slot(b, SLOT_Q_GATE, 2 * width), gate = plan_slot(b, SLOT_GATE, width);
    plan_matmul(b, both, h, t[LT_ATTN_Q_GATE], NULL);
    plan_slice(b, q, 0, both, 2 * l->head_k, 0, l->head_k);
    plan_slice(b, gate, 0, both, 2 * l->head_k, l->head_k, l->head_k);
    return gate;
}

/* dst = Wo attention(h) */
static void build_attention(struct builder *b, uint16_t layer, uint16_t h, uint16_t dst)
{
    const struct descriptor *d = b->d;
    const struct layer_desc *l = &d->layers[layer];
    struct weight *const *t = b->w->layers[layer].t;
    uint16_t q = plan_slot(b, SLOT_Q, l->n_heads * l->head_k);
    uint16_t k = plan_slot(b, SLOT_K, l->n_kv_heads * l->head_k);
    uint16_t v = plan_slot(b, SLOT_V, l->n_kv_heads * l->head_v);
    uint16_t attn = plan_slot(b, SLOT_ATTN, l->n_heads * l->head_v);

    uint16_t gate = build_queries(b, l, t, h, q);
    plan_matmul(b, k, h, t[LT_ATTN_K], t[LT_ATTN_K_BIAS]);
    plan_matmul(b, v, h, t[LT_ATTN_V], t[LT_ATTN_V_BIAS]);
    if (t[LT_ATTN_Q_NORM])
        plan_norm(b, q, q, t[LT_ATTN_Q_NORM], l->head_k);
    if (t[LT_ATTN_K_NORM])
        plan_norm(b, k, k, t[LT_ATTN_K_NORM], l->head_k);
    add_rope(b, q, l->head_k);
    add_rope(b, k, l->head_k);
    plan_add(b, (struct op){.kind = OP_KV_STORE, .a = k, .b = v, .layer = layer});
    plan_add(b, (struct op){.kind = OP_ATTENTION,
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
    if (gate != q)
        plan_add(
            b, (struct op){.kind = OP_GLU, .dst = attn, .a = gate, .b = attn, .act = ACT_SIGMOID});
    plan_matmul(b, dst, attn, t[LT_ATTN_OUT], t[LT_ATTN_OUT_BIAS]);
}

/* x = x + residual_scale * h */
static void add_residual(struct builder *b, uint16_t x, uint16_t h)
{
    if (b->d->residual_scale != 1.0f)
        plan_add(b, (struct op){.kind = OP_SCALE, .dst = h, .a = h, .scale = b->d->residual_scale});
    plan_add(b, (struct op){.kind = OP_ADD, .dst = x, .a = x, .b = h});
}

/* x = x + mix(norm(x)): attention, the recurrent part, or the sum of both. */
static void build_mixer(struct builder *b, uint16_t layer, uint16_t x)
{
    const struct layer_desc *l = &b->d->layers[layer];
    struct weight *const *t = b->w->layers[layer].t;
    bool attention = l->n_kv_heads > 0, both = attention && l->recurrent;
    if (!attention && !l->recurrent)
        return;
    uint16_t h = plan_slot(b, SLOT_H, b->d->n_embd);
    uint16_t attn = both ? plan_slot(b, SLOT_BESIDE, b->d->n_embd) : h;

    plan_norm(b, h, x, t[LT_ATTN_NORM], 0);
    if (attention)
        build_attention(b, layer, h, attn);
    if (l->recurrent)
        plan_recurrent(b, layer, h);
    if (both)
        plan_add(b, (struct op){.kind = OP_ADD, .dst = h, .a = attn, .b = h});
    if (t[LT_POST_ATTN_NORM])
        plan_norm(b, h, h, t[LT_POST_ATTN_NORM], 0);
    add_residual(b, x, h);
}

/* h = Wdown (act(Wgate h) * (Wup h)) */
static void build_dense(struct builder *b, uint16_t layer, uint16_t h)
{
    const struct descriptor *d = b->d;
    struct weight *const *t = b->w->layers[layer].t;
    uint16_t up = plan_slot(b, SLOT_UP, d->layers[layer].n_ff);

    if (d->gated) {
        uint16_t gate = plan_slot(b, SLOT_GATE, d->layers[layer].n_ff);
        plan_matmul(b, gate, h, t[LT_FFN_GATE], t[LT_FFN_GATE_BIAS]);
        plan_matmul(b, up, h, t[LT_FFN_UP], t[LT_FFN_UP_BIAS]);
        plan_add(b, (struct op){.kind = OP_GLU, .dst = up, .a = gate, .b = up, .act = d->act});
    } else {
        plan_matmul(b, up, h, t[LT_FFN_UP], t[LT_FFN_UP_BIAS]);
        plan_add(b, (struct op){.kind = OP_ACT, .dst = up, .a = up, .act = d->act});
    }
    plan_matmul(b, h, up, t[LT_FFN_DOWN], t[LT_FFN_DOWN_BIAS]);
}

/* The same, of the experts that a router chooses for each row. */
static void build_experts(struct builder *b, uint16_t layer, uint16_t h)
{
    const struct descriptor *d = b->d;
    struct weight *const *t = b->w->layers[layer].t;
    uint16_t scores = plan_slot(b, SLOT_ROUTER, d->n_experts);

    plan_matmul(b, scores, h, t[LT_FFN_ROUTER], NULL);
    plan_add(b, (struct op){.kind = OP_EXPERTS,
                            .dst = h,
                            .a = h,
                            .b = scores,
                            .act = d->act,
                            .scale = d->expert_scale,
                            .experts = {.n_experts = d->n_experts,
                                        .n_used = d->n_experts_used,
                                        .n_ff = d->layers[layer].n_ff,
                                        .gate = t[LT_FFN_GATE_EXPERTS],
                                        .up = t[LT_FFN_UP_EXPERTS],
                                        .down = t[LT_FFN_DOWN_EXPERTS]}});
}

/* x = x + ffn(norm(x)) */
static void build_ffn(struct builder *b, uint16_t layer, uint16_t x)
{
    const struct descriptor *d = b->d;
    struct weight *const *t = b->w->layers[layer].t;
    if (d->layers[layer].n_ff == 0)
        return;
    const struct weight *norm = t[LT_FFN_NORM]        ? t[LT_FFN_NORM]
                                : t[LT_FFN_NORM_POST] ? t[LT_FFN_NORM_POST]
                                : t[LT_FFN_NORM_BARE] ? t[LT_FFN_NORM_BARE]
                                                      : t[LT_ATTN_NORM]; /* a part by itself */
    uint16_t h = plan_slot(b, SLOT_H, d->n_embd);

    plan_norm(b, h, x, norm, 0);
    if (d->n_experts > 0)
        build_experts(b, layer, h);
    else
        build_dense(b, layer, h);
    if (t[LT_POST_FFN_NORM])
        plan_norm(b, h, h, t[LT_POST_FFN_NORM], 0);
    add_residual(b, x, h);
}

void model_plan_build(struct model_plan *ret, const struct descriptor *d, const struct weights *w,
                      enum plan_output output)
{
    *ret = (struct model_plan){0};
    struct builder b = {.d = d, .w = w, .out = ret};
    ret->inv_freq = xcalloc(d->rope.dims / 2 + 1, sizeof(float));
    rope_frequencies(&d->rope, w->rope_factors, ret->inv_freq, &b.mscale);

    uint16_t x = plan_slot(&b, SLOT_X, d->n_embd);
    plan_add(&b,
             (struct op){.kind = OP_EMBED, .dst = x, .w = w->token_embd, .scale = d->embd_scale});
    plan_add(&b, (struct op){.kind = OP_INPUT, .dst = x});
    for (uint16_t i = 0; i < d->n_layers; i++) {
        build_mixer(&b, i, x);
        if (i + 1u == d->n_layers) {
            uint16_t out = plan_slot(&b, SLOT_X_OUT, d->n_embd);
            plan_add(&b, (struct op){.kind = OP_SELECT, .dst = out, .a = x});
            x = out;
        }
        build_ffn(&b, i, x);
    }
    uint16_t h = plan_slot(&b, SLOT_H, d->n_embd);
    uint16_t out = h;
    plan_norm(&b, h, x, w->output_norm, 0);
    if (output == PLAN_LOGITS) {
        out = plan_slot(&b, SLOT_LOGITS, d->n_vocab);
        plan_matmul(&b, out, h, w->output ? w->output : w->token_embd, NULL);
    }
    if (output == PLAN_LOGITS && d->logit_scale != 1.0f)
        plan_add(&b, (struct op){.kind = OP_SCALE, .dst = out, .a = out, .scale = d->logit_scale});
    if (output == PLAN_LOGITS && d->final_softcap > 0)
        plan_add(&b,
                 (struct op){.kind = OP_SOFTCAP, .dst = out, .a = out, .scale = d->final_softcap});
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
