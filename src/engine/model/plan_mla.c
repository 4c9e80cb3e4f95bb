/* SPDX-License-Identifier: Apache-2.0
 *
 * Operations of latent attention; mla.h shows the formulas. */
#include "engine/model/mla.h"
#include "engine/model/plan_builder.h"

/* Columns [at, at + n) of each group of a, to dst_at of each group of `step` columns of dst. */
static void add_spread(struct builder *b, uint16_t dst, uint32_t dst_at, uint32_t step, uint16_t a,
                       uint32_t group, uint32_t at, uint32_t n, uint32_t copies)
{
    plan_add(b, (struct op){.kind = OP_SLICE,
                            .dst = dst,
                            .a = a,
                            .slice = {.group = group,
                                      .at = at,
                                      .n = n,
                                      .dst_at = dst_at,
                                      .step = step,
                                      .copies = copies}});
}

static void add_heads(struct builder *b, uint16_t dst, uint16_t a, const struct weight *w,
                      uint32_t n_heads)
{
    plan_add(b, (struct op){.kind = OP_MATMUL_HEADS, .dst = dst, .a = a, .w = w, .head = n_heads});
}

static void add_rope(struct builder *b, uint16_t s, uint32_t head)
{
    const struct rope_desc *rope = &b->d->rope;
    plan_add(b, (struct op){.kind = OP_ROPE,
                            .dst = s,
                            .a = s,
                            .head = head,
                            .rope = {.kind = rope->kind,
                                     .dims = rope->dims,
                                     .inv_freq = b->out->inv_freq,
                                     .mscale = b->mscale}});
}

/* The queries, as wide as the cache's keys. */
static uint16_t build_queries(struct builder *b, uint16_t layer, uint16_t h)
{
    const struct descriptor *d = b->d;
    const struct layer_desc *l = &d->layers[layer];
    const struct mla_desc *m = &d->mla;
    struct weight *const *t = b->w->layers[layer].t;
    uint32_t n = l->n_heads, still = mla_still(d), turned = d->rope.dims;
    uint16_t all = plan_slot(b, SLOT_MLA_HEADS, n * m->head_k);
    uint16_t q = plan_slot(b, SLOT_Q, n * l->head_k);

    if (m->q_rank > 0) {
        uint16_t low = plan_slot(b, SLOT_MLA_LOW, m->q_rank);
        plan_matmul(b, low, h, t[LT_MLA_Q_A], NULL);
        plan_norm(b, low, low, t[LT_MLA_Q_A_NORM], 0);
        plan_matmul(b, all, low, t[LT_MLA_Q_B], NULL);
    } else {
        plan_matmul(b, all, h, t[LT_MLA_Q], NULL);
    }
    add_spread(b, q, 0, l->head_k, all, m->head_k, still, turned, 1);
    if (m->latent) {
        uint16_t part = plan_slot(b, SLOT_MLA_STILL, n * still);
        uint16_t absorbed = plan_slot(b, SLOT_MLA_ABSORBED, n * m->rank);
        plan_slice(b, part, 0, all, m->head_k, 0, still);
        add_heads(b, absorbed, part, t[LT_MLA_K_B], n);
        add_spread(b, q, turned, l->head_k, absorbed, m->rank, 0, m->rank, 1);
    } else {
        add_spread(b, q, turned, l->head_k, all, m->head_k, 0, still, 1);
    }
    add_rope(b, q, l->head_k);
    return q;
}

static void build_keys_values(struct builder *b, uint16_t layer, uint16_t h)
{
    const struct descriptor *d = b->d;
    const struct layer_desc *l = &d->layers[layer];
    const struct mla_desc *m = &d->mla;
    struct weight *const *t = b->w->layers[layer].t;
    uint32_t still = mla_still(d), turned = d->rope.dims, low_width = m->rank + turned;
    uint16_t low = plan_slot(b, SLOT_MLA_KV, low_width);
    uint16_t latent = plan_slot(b, SLOT_MLA_LATENT, m->rank), v = latent;
    uint16_t k = plan_slot(b, SLOT_K, l->n_kv_heads * l->head_k);

    plan_matmul(b, low, h, t[LT_MLA_KV_A], NULL);
    plan_slice(b, latent, 0, low, low_width, 0, m->rank);
    plan_norm(b, latent, latent, t[LT_MLA_KV_A_NORM], 0);
    add_spread(b, k, 0, l->head_k, low, low_width, m->rank, turned, l->n_kv_heads);
    if (m->latent) {
        plan_slice(b, k, turned, latent, m->rank, 0, m->rank);
    } else {
        uint32_t both = still + m->head_v;
        uint16_t kv = plan_slot(b, SLOT_MLA_HEADS, l->n_heads * both);
        v = plan_slot(b, SLOT_V, l->n_heads * m->head_v);
        plan_matmul(b, kv, latent, t[LT_MLA_KV_B], NULL);
        add_spread(b, k, turned, l->head_k, kv, both, 0, still, 1);
        plan_slice(b, v, 0, kv, both, still, m->head_v);
    }
    add_rope(b, k, l->head_k);
    plan_add(b, (struct op){.kind = OP_KV_STORE, .a = k, .b = v, .layer = layer});
}

void plan_mla(struct builder *b, uint16_t layer, uint16_t h, uint16_t dst)
{
    const struct descriptor *d = b->d;
    const struct layer_desc *l = &d->layers[layer];
    struct weight *const *t = b->w->layers[layer].t;
    uint16_t attn = plan_slot(b, SLOT_ATTN, l->n_heads * l->head_v), values = attn;
    uint16_t q = build_queries(b, layer, h);

    build_keys_values(b, layer, h);
    plan_attend(b, layer, q, attn);
    if (d->mla.latent) {
        values = plan_slot(b, SLOT_MLA_VALUES, l->n_heads * d->mla.head_v);
        add_heads(b, values, attn, t[LT_MLA_V_B], l->n_heads);
    }
    plan_matmul(b, dst, values, t[LT_MLA_OUT], NULL);
}
