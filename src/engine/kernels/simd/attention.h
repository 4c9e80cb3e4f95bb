/* SPDX-License-Identifier: Apache-2.0
 *
 * Attention tiles on vf. Formulas: scalar/attention.c. Each query and each element of a value has
 * lanes of its own, so the order of a sum is that of the definition (but fused). */
#ifndef ENGINE_KERNELS_SIMD_ATTENTION_H
#define ENGINE_KERNELS_SIMD_ATTENTION_H

#include <math.h>

#include "engine/kernels/kernels.h"
#include "engine/kernels/simd/vf.h"

enum { ATTN_VECTORS = ATTN_TILE / VF_LANES, ATTN_QUERIES = 4, ATTN_WIDE = 4 };

typedef vf (*vf_load_fn)(const void *p);

static ATTR_INLINE vf load_f32(const void *p)
{
    return vf_load(p);
}

/* Scores of n_q <= ATTN_QUERIES queries with half a tile's keys (2 vectors) at a time on narrow
 * machines, so that the sums stay in registers. */
enum { SCORE_VECTORS = ATTN_VECTORS < 2 ? ATTN_VECTORS : 2 };

static ATTR_INLINE void score_step(const float *q, size_t q_stride, const size_t n_q,
                                   const unsigned char *keys, size_t item, vf_load_fn load,
                                   size_t width, float scale, size_t at,
                                   float (*scores)[ATTN_TILE])
{
    vf sum[ATTN_QUERIES][SCORE_VECTORS];
    VF_UNROLL for (size_t i = 0; i < n_q; i++)
        VF_UNROLL for (size_t v = 0; v < SCORE_VECTORS; v++)
            sum[i][v] = vf_zero();
    for (size_t d = 0; d < width; d++) {
        const unsigned char *row = keys + (d * ATTN_TILE + at) * item;
        VF_UNROLL for (size_t v = 0; v < SCORE_VECTORS; v++) {
            vf k = load(row + v * VF_LANES * item);
            VF_UNROLL for (size_t i = 0; i < n_q; i++)
                sum[i][v] = vf_fma(vf_set1(q[i * q_stride + d]), k, sum[i][v]);
        }
    }
    VF_UNROLL for (size_t i = 0; i < n_q; i++)
        VF_UNROLL for (size_t v = 0; v < SCORE_VECTORS; v++)
            vf_store(scores[i] + at + v * VF_LANES, vf_mul(sum[i][v], vf_set1(scale)));
}

static ATTR_INLINE void scores(const float *q, size_t q_stride, size_t n_q, const void *keys,
                               size_t item, vf_load_fn load, size_t width, float scale,
                               float (*out)[ATTN_TILE])
{
    for (size_t at = 0; at < ATTN_TILE; at += SCORE_VECTORS * VF_LANES) {
        size_t i = 0;
        for (; i + ATTN_QUERIES <= n_q; i += ATTN_QUERIES)
            score_step(q + i * q_stride, q_stride, ATTN_QUERIES, keys, item, load, width, scale,
                       at, out + i);
        for (; i < n_q; i++)
            score_step(q + i * q_stride, q_stride, 1, keys, item, load, width, scale, at, out + i);
    }
}

static void VF_NAME(attn_scores_f32)(const float *q, size_t q_stride, size_t n_q, const void *keys,
                                     size_t width, float scale, float (*out)[ATTN_TILE])
{
    scores(q, q_stride, n_q, keys, sizeof(float), load_f32, width, scale, out);
}

static void VF_NAME(attn_scores_f16)(const float *q, size_t q_stride, size_t n_q, const void *keys,
                                     size_t width, float scale, float (*out)[ATTN_TILE])
{
    scores(q, q_stride, n_q, keys, sizeof(uint16_t), vf_load_f16, width, scale, out);
}

/* The lanes are those of the whole tile, whatever part of it is seen: the scores outside are set to
 * -infinity, whose weight is 0. */
static float VF_NAME(attn_softmax)(float *scores, size_t begin, size_t end,
                                   struct attn_state *state)
{
    for (size_t t = 0; t < begin; t++)
        scores[t] = -INFINITY;
    for (size_t t = end; t < ATTN_TILE; t++)
        scores[t] = -INFINITY;
    vf largest = vf_set1(state->max);
    for (size_t t = 0; t < ATTN_TILE; t += VF_LANES)
        largest = vf_max(vf_load(scores + t), largest);
    float max = vf_hmax(largest);
    vf sum = vf_zero();
    for (size_t t = 0; t < ATTN_TILE; t += VF_LANES) {
        vf p = vf_exp(vf_sub(vf_load(scores + t), vf_set1(max)));
        vf_store(scores + t, p);
        sum = vf_add(sum, p);
    }
    float factor = vf_sum(vf_exp(vf_set1(state->max - max))) / VF_LANES;
    state->max = max;
    state->sum = state->sum * factor + vf_sum(sum);
    return factor;
}

/* n_v vectors of the accumulators of n_q queries, kept in registers over the tile's tokens. */
static ATTR_INLINE void value_step(const float (*p)[ATTN_TILE], const float *factor,
                                   const size_t n_q, size_t begin, size_t end,
                                   const unsigned char *values, size_t item, vf_load_fn load,
                                   size_t width, const size_t n_v, float *acc, size_t acc_stride)
{
    vf sum[ATTN_QUERIES][ATTN_WIDE];
    VF_UNROLL for (size_t i = 0; i < n_q; i++)
        VF_UNROLL for (size_t v = 0; v < n_v; v++)
            sum[i][v] = vf_mul(vf_load(acc + i * acc_stride + v * VF_LANES), vf_set1(factor[i]));
    for (size_t t = begin; t < end; t++) {
        const unsigned char *row = values + t * width * item;
        VF_UNROLL for (size_t v = 0; v < n_v; v++) {
            vf x = load(row + v * VF_LANES * item);
            VF_UNROLL for (size_t i = 0; i < n_q; i++)
                sum[i][v] = vf_fma(vf_set1(p[i][t]), x, sum[i][v]);
        }
    }
    VF_UNROLL for (size_t i = 0; i < n_q; i++)
        VF_UNROLL for (size_t v = 0; v < n_v; v++)
            vf_store(acc + i * acc_stride + v * VF_LANES, sum[i][v]);
}

/* The last width % VF_LANES elements of one query. */
static ATTR_INLINE void value_tail(const float *p, float factor, size_t begin, size_t end,
                                   const unsigned char *values, size_t item,
                                   vf (*load_part)(const void *, size_t), size_t width, size_t n,
                                   float *acc)
{
    vf sum = vf_mul(vf_load_part(acc, n), vf_set1(factor));
    for (size_t t = begin; t < end; t++)
        sum = vf_fma(vf_set1(p[t]), load_part(values + t * width * item, n), sum);
    vf_store_part(acc, n, sum);
}

static ATTR_INLINE vf load_f32_part(const void *p, size_t n)
{
    return vf_load_part(p, n);
}

static ATTR_INLINE void values(const float (*p)[ATTN_TILE], const float *factor, size_t n_q,
                               size_t begin, size_t end, const void *rows, size_t item,
                               vf_load_fn load, vf (*load_part)(const void *, size_t), size_t width,
                               float *acc, size_t acc_stride)
{
    const unsigned char *v = rows;
    for (size_t i = 0; i < n_q;) {
        const float(*pi)[ATTN_TILE] = p + i;
        float *out = acc + i * acc_stride;
        size_t n = n_q - i >= ATTN_QUERIES ? ATTN_QUERIES : 1;
        size_t d = 0;
        for (; d + ATTN_WIDE * VF_LANES <= width; d += ATTN_WIDE * VF_LANES) {
            if (n == ATTN_QUERIES)
                value_step(pi, factor + i, ATTN_QUERIES, begin, end, v + d * item, item, load,
                           width, ATTN_WIDE, out + d, acc_stride);
            else
                value_step(pi, factor + i, 1, begin, end, v + d * item, item, load, width,
                           ATTN_WIDE, out + d, acc_stride);
        }
        for (; d + VF_LANES <= width; d += VF_LANES) {
            if (n == ATTN_QUERIES)
                value_step(pi, factor + i, ATTN_QUERIES, begin, end, v + d * item, item, load,
                           width, 1, out + d, acc_stride);
            else
                value_step(pi, factor + i, 1, begin, end, v + d * item, item, load, width, 1,
                           out + d, acc_stride);
        }
        for (size_t j = 0; j < n && d < width; j++)
            value_tail(pi[j], factor[i + j], begin, end, v + d * item, item, load_part, width,
                       width - d, out + j * acc_stride + d);
        i += n;
    }
}

static void VF_NAME(attn_values_f32)(const float (*p)[ATTN_TILE], const float *factor, size_t n_q,
                                     size_t begin, size_t end, const void *rows, size_t width,
                                     float *acc, size_t acc_stride)
{
    values(p, factor, n_q, begin, end, rows, sizeof(float), load_f32, load_f32_part, width, acc,
           acc_stride);
}

static void VF_NAME(attn_values_f16)(const float (*p)[ATTN_TILE], const float *factor, size_t n_q,
                                     size_t begin, size_t end, const void *rows, size_t width,
                                     float *acc, size_t acc_stride)
{
    values(p, factor, n_q, begin, end, rows, sizeof(uint16_t), vf_load_f16, vf_load_f16_part,
           width, acc, acc_stride);
}

static void attention_fill(struct kernels *k)
{
    k->attn_scores_f32 = VF_NAME(attn_scores_f32);
    k->attn_scores_f16 = VF_NAME(attn_scores_f16);
    k->attn_softmax = VF_NAME(attn_softmax);
    k->attn_values_f32 = VF_NAME(attn_values_f32);
    k->attn_values_f16 = VF_NAME(attn_values_f16);
}

#endif
