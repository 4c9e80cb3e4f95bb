/* SPDX-License-Identifier: Apache-2.0
 *
 * The plan builder. descriptor.h shows what one layer computes; here it becomes operations over
 * slots. A step whose tensor is absent is left out.
 *
 * Rows that nobody asked for are dropped (OP_SELECT) as soon as nothing more is read from them: in
 * the last layer, behind its attention. */
#include "engine/model/plan_builder.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

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

void plan_attend(struct builder *b, uint16_t layer, uint16_t q, uint16_t dst)
{
    const struct descriptor *d = b->d;
    const struct layer_desc *l = &d->layers[layer];
    plan_add(b, (struct op){.kind = OP_ATTENTION,
                            .dst = dst,
                            .a = q,
                            .bias = b->w->layers[layer].t[LT_ATTN_SINKS],
                            .layer = (uint16_t)l->kv_layer,
                            .attn = {.n_heads = l->n_heads,
                                     .n_kv_heads = l->n_kv_heads,
                                     .head_k = l->head_k,
                                     .head_v = l->head_v,
                                     .scale = d->attn_scale,
                                     .softcap = d->attn_softcap,
                                     .window = l->window,
                                     .causal = d->causal,
                                     .slopes = b->out->slopes}});
}

void plan_slice(struct builder *b, uint16_t dst, uint32_t dst_at, uint16_t a, uint32_t group,
                uint32_t at, uint32_t n)
{
    plan_add(b, (struct op){.kind = OP_SLICE,
                            .dst = dst,
                            .a = a,
                            .slice = {.group = group, .at = at, .n = n, .dst_at = dst_at}});
}

/* The architecture's norm, RMS or not. */
static void add_norm(struct builder *b, uint16_t dst, uint16_t a, const struct weight *w,
                     const struct weight *bias, uint32_t head)
{
    if (!b->d->layer_norm) {
        plan_norm(b, dst, a, w, head);
        return;
    }
    plan_add(b, (struct op){.kind = OP_LAYER_NORM,
                            .dst = dst,
                            .a = a,
                            .w = w,
                            .bias = bias,
                            .head = head,
                            .eps = b->d->norm_eps});
}

static void add_rope(struct builder *b, const struct layer_desc *l, uint16_t s)
{
    const struct rope_desc *rope = &b->d->rope;
    if (rope->dims == 0 || l->rope == LAYER_ROPE_NONE)
        return;
    bool local = l->rope == LAYER_ROPE_LOCAL;
    plan_add(b, (struct op){.kind = OP_ROPE,
                            .dst = s,
                            .a = s,
                            .head = l->head_k,
                            .rope = {.kind = rope->kind,
                                     .dims = rope->dims,
                                     .inv_freq = b->out->inv_freq + (local ? b->local_at : 0),
                                     .mscale = local ? b->local_mscale : b->mscale}});
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

/* Queries or keys are normed, by weights of one head or of all, and rotated. */
static void add_norm_and_rope(struct builder *b, const struct layer_desc *l, uint16_t s,
                              const struct weight *one, const struct weight *all)
{
    if (b->d->qk_norm_rotated)
        add_rope(b, l, s);
    if (one || all)
        add_norm(b, s, s, one ? one : all, NULL, b->d->qk_norm_whole ? 0 : l->head_k);
    if (!b->d->qk_norm_rotated)
        add_rope(b, l, s);
}

static void build_keys_values(struct builder *b, uint16_t layer, uint16_t h)
{
    const struct layer_desc *l = &b->d->layers[layer];
    struct weight *const *t = b->w->layers[layer].t;
    uint16_t k = plan_slot(b, SLOT_K, l->n_kv_heads * l->head_k);
    uint16_t v = plan_slot(b, SLOT_V, l->n_kv_heads * l->head_v);

    plan_matmul(b, k, h, t[LT_ATTN_K], t[LT_ATTN_K_BIAS]);
    plan_matmul(b, v, h, t[LT_ATTN_V], t[LT_ATTN_V_BIAS]);
    add_norm_and_rope(b, l, k, t[LT_ATTN_K_NORM], t[LT_ATTN_K_NORM_ALL]);
    if (b->d->v_norm)
        plan_norm(b, v, v, NULL, l->head_v);
    plan_add(b, (struct op){.kind = OP_KV_STORE, .a = k, .b = v, .layer = layer});
}

void plan_attention(struct builder *b, uint16_t layer, uint16_t h, uint16_t dst)
{
    const struct descriptor *d = b->d;
    const struct layer_desc *l = &d->layers[layer];
    struct weight *const *t = b->w->layers[layer].t;
    uint16_t q = plan_slot(b, SLOT_Q, l->n_heads * l->head_k);
    uint16_t attn = plan_slot(b, SLOT_ATTN, l->n_heads * l->head_v);

    uint16_t gate = build_queries(b, l, t, h, q);
    if (l->kv_layer == layer)
        build_keys_values(b, layer, h);
    add_norm_and_rope(b, l, q, t[LT_ATTN_Q_NORM], t[LT_ATTN_Q_NORM_ALL]);
    if (d->temp_scale > 0)
        plan_add(b, (struct op){.kind = OP_SCALE_POSITION,
                                .dst = q,
                                .a = q,
                                .scale = d->temp_scale,
                                .length = d->temp_length});
    plan_attend(b, layer, q, attn);
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
    uint16_t in = t[LT_ATTN_NORM] ? h : x;

    if (t[LT_ATTN_NORM])
        add_norm(b, h, x, t[LT_ATTN_NORM], t[LT_ATTN_NORM_BIAS], 0);
    if (attention && b->d->mla.rank > 0)
        plan_mla(b, layer, in, attn);
    else if (attention)
        plan_attention(b, layer, in, attn);
    if (l->recurrent)
        plan_recurrent(b, layer, h);
    if (both)
        plan_add(b, (struct op){.kind = OP_ADD, .dst = h, .a = attn, .b = h});
    if (t[LT_POST_ATTN_NORM])
        add_norm(b, h, h, t[LT_POST_ATTN_NORM], NULL, 0);
    add_residual(b, x, h);
}

void plan_dense(struct builder *b, uint16_t layer, uint16_t h, uint16_t dst)
{
    const struct descriptor *d = b->d;
    struct weight *const *t = b->w->layers[layer].t;
    uint16_t up = plan_slot(b, SLOT_UP, d->layers[layer].n_ff);

    if (d->gated) {
        uint16_t gate = plan_slot(b, SLOT_GATE, d->layers[layer].n_ff);
        plan_matmul(b, gate, h, t[LT_FFN_GATE], t[LT_FFN_GATE_BIAS]);
        if (d->layers[layer].sparsity > 0)
            plan_add(b, (struct op){.kind = OP_SPARSE,
                                    .dst = gate,
                                    .a = gate,
                                    .scale = d->layers[layer].sparsity});
        plan_matmul(b, up, h, t[LT_FFN_UP], t[LT_FFN_UP_BIAS]);
        plan_add(b, (struct op){.kind = OP_GLU, .dst = up, .a = gate, .b = up, .act = d->act});
    } else {
        plan_matmul(b, up, h, t[LT_FFN_UP], t[LT_FFN_UP_BIAS]);
        plan_add(
            b,
            d->xielu
                ? (struct op){.kind = OP_XIELU, .dst = up, .a = up, .xielu = d->layers[layer].xielu}
                : (struct op){.kind = OP_ACT, .dst = up, .a = up, .act = d->act});
    }
    plan_matmul(b, dst, up, t[LT_FFN_DOWN], t[LT_FFN_DOWN_BIAS]);
}

/* dst = sigmoid(w h) * Wdown (act(Wgate h) * (Wup h)), or without the first factor */
static void build_shared(struct builder *b, uint16_t layer, uint16_t h, uint16_t dst)
{
    const struct descriptor *d = b->d;
    struct weight *const *t = b->w->layers[layer].t;
    uint16_t gate = plan_slot(b, SLOT_GATE, d->n_ff_shared);
    uint16_t up = plan_slot(b, SLOT_UP, d->n_ff_shared);

    plan_matmul(b, gate, h, t[LT_FFN_GATE_SHARED], NULL);
    plan_matmul(b, up, h, t[LT_FFN_UP_SHARED], NULL);
    plan_add(b, (struct op){.kind = OP_GLU, .dst = up, .a = gate, .b = up, .act = d->act});
    plan_matmul(b, dst, up, t[LT_FFN_DOWN_SHARED], NULL);
    if (!t[LT_FFN_SHARED_ROUTER])
        return;
    uint16_t part = plan_slot(b, SLOT_SHARED_GATE, 1);
    plan_matmul(b, part, h, t[LT_FFN_SHARED_ROUTER], NULL);
    plan_add(b, (struct op){.kind = OP_ACT, .dst = part, .a = part, .act = ACT_SIGMOID});
    plan_add(b, (struct op){.kind = OP_MUL_NUMBER, .dst = dst, .a = dst, .b = part});
}

/* h = what the experts that a router chooses for each row, and the one beside them, make of h. */
static void build_experts(struct builder *b, uint16_t layer, uint16_t h)
{
    const struct descriptor *d = b->d;
    struct weight *const *t = b->w->layers[layer].t;
    uint16_t scores = plan_slot(b, SLOT_ROUTER, d->n_experts);
    bool beside = d->n_ff_shared > 0;
    uint16_t shared = beside ? plan_slot(b, SLOT_SHARED, d->n_embd) : h;

    if (beside)
        build_shared(b, layer, h, shared);
    plan_matmul(b, scores, h, t[LT_FFN_ROUTER], t[LT_FFN_ROUTER_BIAS]);
    plan_add(b, (struct op){.kind = OP_EXPERTS,
                            .dst = h,
                            .a = h,
                            .b = scores,
                            .act = d->act,
                            .scale = d->expert_scale,
                            .experts = {.n_experts = d->n_experts,
                                        .n_used = d->n_experts_used,
                                        .n_ff = d->layers[layer].n_ff,
                                        .router = d->router,
                                        .norm = d->expert_norm,
                                        .clamped = d->expert_clamped,
                                        .n_groups = d->n_expert_groups,
                                        .n_groups_used = d->n_expert_groups_used,
                                        .favor = t[LT_FFN_ROUTER_FAVOR],
                                        .gate = t[LT_FFN_GATE_EXPERTS],
                                        .up = t[LT_FFN_UP_EXPERTS],
                                        .down = t[LT_FFN_DOWN_EXPERTS],
                                        .gate_bias = t[LT_FFN_GATE_EXPERTS_BIAS],
                                        .up_bias = t[LT_FFN_UP_EXPERTS_BIAS],
                                        .down_bias = t[LT_FFN_DOWN_EXPERTS_BIAS]}});
    if (beside)
        plan_add(b, (struct op){.kind = OP_ADD, .dst = h, .a = h, .b = shared});
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
    uint16_t h = plan_slot(b, SLOT_H, d->n_embd), in = norm ? h : x;

    if (norm)
        add_norm(b, h, x, norm, t[LT_FFN_NORM_BIAS], 0);
    if (d->layers[layer].experts)
        build_experts(b, layer, h);
    else
        plan_dense(b, layer, in, h);
    if (t[LT_POST_FFN_NORM])
        add_norm(b, h, h, t[LT_POST_FFN_NORM], NULL, 0);
    add_residual(b, x, h);
}

uint16_t plan_select(struct builder *b, uint16_t a, enum slot_use use)
{
    uint16_t dst = plan_slot(b, use, b->out->slot_width[a]);
    plan_add(b, (struct op){.kind = OP_SELECT, .dst = dst, .a = a});
    return dst;
}

/* x = x + attention + ffn, both of the x before. Returns the slot of x. */
static uint16_t build_parallel(struct builder *b, uint16_t layer, uint16_t x)
{
    const struct descriptor *d = b->d;
    struct weight *const *t = b->w->layers[layer].t;
    uint16_t h = plan_slot(b, SLOT_H, d->n_embd), attn = plan_slot(b, SLOT_BESIDE, d->n_embd);
    uint16_t in = t[LT_ATTN_NORM_2] ? plan_slot(b, SLOT_NORM_2, d->n_embd) : h;

    add_norm(b, h, x, t[LT_ATTN_NORM], t[LT_ATTN_NORM_BIAS], 0);
    if (in != h)
        add_norm(b, in, x, t[LT_ATTN_NORM_2], t[LT_ATTN_NORM_2_BIAS], 0);
    plan_attention(b, layer, in, attn);
    if (layer + 1u == d->n_layers) {
        x = plan_select(b, x, SLOT_X_OUT);
        attn = plan_select(b, attn, SLOT_BESIDE_OUT);
        h = t[LT_FFN_NORM] ? plan_slot(b, SLOT_H_OUT, d->n_embd) : plan_select(b, h, SLOT_H_OUT);
    }
    if (t[LT_FFN_NORM])
        add_norm(b, h, x, t[LT_FFN_NORM], t[LT_FFN_NORM_BIAS], 0);
    plan_dense(b, layer, h, h);
    add_residual(b, x, attn);
    add_residual(b, x, h);
    return x;
}

/* "Train Short, Test Long": the slopes are a geometric sequence for a power of two, and the odd
 * members of the next finer one for the heads beyond. */
float *plan_alibi_slopes(uint32_t n_heads)
{
    const double max_bias = 8;
    float *slopes = xcalloc(n_heads, sizeof(*slopes));
    uint32_t power = 1;
    while (power <= n_heads / 2)
        power *= 2;
    for (uint32_t h = 0; h < n_heads; h++) {
        double exponent = h < power ? h + 1.0 : (h - power) + 0.5;
        slopes[h] = (float)exp2(-max_bias / power * exponent);
    }
    return slopes;
}

/* How positions are told apart: what attention needs for it. */
static void prepare_positions(struct builder *b, uint32_t n_ctx)
{
    const struct descriptor *d = b->d;
    uint32_t half = d->rope.dims / 2;
    bool is_long = b->w->rope_factors_long && n_ctx > d->long_ctx;
    const float *factors = is_long ? b->w->rope_factors_long : b->w->rope_factors;
    b->out->inv_freq = xcalloc(2 * (size_t)half + 1, sizeof(float));
    rope_frequencies(&d->rope, factors, b->out->inv_freq, &b->mscale);
    rope_frequencies(&d->rope_local, factors, b->out->inv_freq + half, &b->local_mscale);
    bool differs = memcmp(b->out->inv_freq, b->out->inv_freq + half, half * sizeof(float)) != 0;
    b->local_at = differs ? half : 0; /* one table of sines does for both */
    if (d->alibi)
        b->out->slopes = plan_alibi_slopes(d->layers[0].n_heads);
}

static uint16_t build_logits(struct builder *b, uint16_t h)
{
    const struct descriptor *d = b->d;
    const struct weights *w = b->w;
    uint16_t out = plan_slot(b, SLOT_LOGITS, d->n_vocab);
    plan_matmul(b, out, h, w->output ? w->output : w->token_embd, w->output_bias);
    if (d->logit_scale != 1.0f)
        plan_add(b, (struct op){.kind = OP_SCALE, .dst = out, .a = out, .scale = d->logit_scale});
    if (d->final_softcap > 0)
        plan_add(b,
                 (struct op){.kind = OP_SOFTCAP, .dst = out, .a = out, .scale = d->final_softcap});
    return out;
}

void model_plan_build(struct model_plan *ret, const struct descriptor *d, const struct weights *w,
                      uint32_t n_ctx, enum plan_output output)
{
    *ret = (struct model_plan){0};
    struct builder b = {.d = d, .w = w, .out = ret};
    prepare_positions(&b, n_ctx);

    uint16_t x = plan_slot(&b, SLOT_X, d->n_embd);
    plan_add(&b,
             (struct op){.kind = OP_EMBED, .dst = x, .w = w->token_embd, .scale = d->embd_scale});
    plan_add(&b, (struct op){.kind = OP_INPUT, .dst = x});
    if (w->positions)
        plan_add(&b, (struct op){.kind = OP_ADD_POSITION, .dst = x, .a = x, .w = w->positions});
    bool altup = d->altup.n_streams > 0;
    if (altup)
        x = plan_altup_begin(&b, x);
    for (uint16_t i = 0; i < d->n_layers; i++) {
        if (altup) {
            plan_altup_layer(&b, i, x);
            continue;
        }
        if (d->parallel) {
            x = build_parallel(&b, i, x);
            continue;
        }
        build_mixer(&b, i, x);
        if (i + 1u == d->n_layers)
            x = plan_select(&b, x, SLOT_X_OUT);
        build_ffn(&b, i, x);
    }
    if (altup)
        x = plan_altup_end(&b, x);
    uint16_t h = plan_slot(&b, SLOT_H, d->n_embd);
    add_norm(&b, h, x, w->output_norm, w->output_norm_bias, 0);
    uint16_t out = output == PLAN_LOGITS ? build_logits(&b, h) : h;
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
