/* SPDX-License-Identifier: Apache-2.0
 *
 * Facts of latent attention. */
#include "engine/model/mla.h"

#include <inttypes.h>
#include <math.h>

#include "engine/model/keys.h"

#define T(name) LAYER_TENSOR(LT_##name)

uint32_t mla_still(const struct descriptor *d)
{
    return d->mla.head_k - d->rope.dims;
}

static int check_heads(const struct descriptor *d, uint32_t i, struct error *err)
{
    const struct layer_desc *l = &d->layers[i];
    const struct mla_desc *m = &d->mla;
    uint32_t kv_heads = m->latent ? 1 : l->n_heads;
    uint32_t head_k = m->latent ? m->rank + d->rope.dims : m->head_k;
    uint32_t head_v = m->latent ? m->rank : m->head_v;
    uint64_t widest = (uint64_t)m->head_k + m->head_v + m->rank;
    if (l->n_kv_heads != kv_heads)
        return error_set(err, ERR_CORRUPT,
                         "%s.attention.head_count_kv is %" PRIu32 " in layer %" PRIu32
                         ", but %" PRIu32 " is needed",
                         d->arch, l->n_kv_heads, i, kv_heads);
    if (l->head_k != head_k || l->head_v != head_v)
        return error_set(err, ERR_CORRUPT,
                         "%s.attention.key_length and value_length are %" PRIu32 " and %" PRIu32
                         ", but %" PRIu32 " and %" PRIu32
                         " follow from kv_lora_rank and rope.dimension_count",
                         d->arch, l->head_k, l->head_v, head_k, head_v);
    if (widest * l->n_heads > 4 * (uint64_t)MODEL_MAX_WIDTH)
        return error_set(err, ERR_CORRUPT,
                         "layer %" PRIu32 ": %" PRIu32 " heads of %" PRIu32 ", %" PRIu32
                         " and %" PRIu32 " values (key, value, latent) are too many",
                         i, l->n_heads, m->head_k, m->head_v, m->rank);
    return 0;
}

static int check_rope(const struct descriptor *d, struct error *err)
{
    if (d->rope.dims >= d->mla.head_k)
        return error_set(err, ERR_CORRUPT,
                         "%s.rope.dimension_count is %" PRIu32 ", but keys are %" PRIu32
                         " values wide and only a part of them is rotated",
                         d->arch, d->rope.dims, d->mla.head_k);
    if (d->rope.scaling != ROPE_SCALING_NONE && d->rope.scaling != ROPE_SCALING_YARN)
        return error_set(err, ERR_UNSUPPORTED,
                         "%s.rope.scaling.type must be none or yarn: another is not supported for "
                         "this architecture",
                         d->arch);
    return 0;
}

/* YaRN sharpens scores here, and does not touch sin and cos; the file has a tenth of the factor. */
static double score_scale(const struct descriptor *d)
{
    const struct rope_desc *rope = &d->rope;
    bool yarn = rope->scaling == ROPE_SCALING_YARN;
    double growth = yarn ? 1 + 0.1 * log(rope->factor) : 1; /* which rope.c multiplies by */
    double sharp = yarn ? 1 + d->yarn_log_multiplier * log(rope->factor) : 1;
    double m = rope->attn_factor * growth * sharp;
    return m * m / sqrt(d->mla.head_k);
}

int mla_read(const struct gguf *g, struct descriptor *d, struct error *err)
{
    struct mla_desc *m = &d->mla;
    uint32_t layer_k = d->layers[0].head_k, layer_v = d->layers[0].head_v;
    double temperature = 0;
    int r = read_count(g, d, "attention.kv_lora_rank", true, 1, MODEL_MAX_WIDTH, &m->rank, err);
    if (r == 0)
        r = read_count(g, d, "attention.q_lora_rank", false, 0, MODEL_MAX_WIDTH, &m->q_rank, err);
    if (r == 0)
        r = read_count(g, d, "attention.key_length_mla", false, 0, MODEL_MAX_WIDTH, &m->head_k,
                       err);
    if (r == 0)
        r = read_count(g, d, "attention.value_length_mla", false, 0, MODEL_MAX_WIDTH, &m->head_v,
                       err);
    if (r == 0)
        r = read_real(g, d, "attention.temperature_scale", 0, 1e6, &temperature, err);
    if (r == 0 && temperature != 0)
        r = error_set(err, ERR_UNSUPPORTED, "%s.attention.temperature_scale is not supported",
                      d->arch);
    if (r == 0 && (m->head_k > 0) != (m->head_v > 0))
        r = error_set(err, ERR_CORRUPT,
                      "%s.attention.key_length_mla and value_length_mla must both be there, or "
                      "neither",
                      d->arch);
    if (r < 0)
        return r;
    m->latent = m->head_k > 0;
    m->head_k = m->latent ? m->head_k : layer_k;
    m->head_v = m->latent ? m->head_v : layer_v;
    r = check_rope(d, err);
    for (uint32_t i = 0; r == 0 && i < d->n_layers; i++)
        r = check_heads(d, i, err);
    d->attn_scale = (float)score_scale(d);
    d->tensors_required |= T(MLA_KV_A) | T(MLA_KV_A_NORM) | T(MLA_OUT);
    d->tensors_required |= m->latent ? T(MLA_K_B) | T(MLA_V_B) : T(MLA_KV_B);
    d->tensors_required |= m->q_rank > 0 ? T(MLA_Q_A) | T(MLA_Q_A_NORM) | T(MLA_Q_B) : T(MLA_Q);
    return r;
}
