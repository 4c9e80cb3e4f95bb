/* SPDX-License-Identifier: Apache-2.0
 *
 * Attention of some queries over one tile of keys and values, with an online softmax:
 *
 *     for each tile:  s = scale * q·K;  m' = max(m, max s);  p = exp(s - m');
 *                     f = exp(m - m');  sum = sum * f + Σ p;  acc = acc * f + p V;  m = m'
 *     result = acc / sum
 *
 * A query's result depends on its own tiles in their order, and on nothing else that is computed. */
#include "engine/kernels/scalar/scalar.h"

#include <math.h>

#include "engine/kernels/f16.h"

void attn_scores_f32_scalar(const float *q, size_t q_stride, size_t n_q, const void *keys,
                            size_t width, float scale, float (*scores)[ATTN_TILE])
{
    const float *k = keys;
    for (size_t i = 0; i < n_q; i++) {
        for (size_t t = 0; t < ATTN_TILE; t++) {
            float sum = 0;
            for (size_t d = 0; d < width; d++)
                sum += q[i * q_stride + d] * k[d * ATTN_TILE + t];
            scores[i][t] = sum * scale;
        }
    }
}

void attn_scores_f16_scalar(const float *q, size_t q_stride, size_t n_q, const void *keys,
                            size_t width, float scale, float (*scores)[ATTN_TILE])
{
    const uint16_t *k = keys;
    for (size_t i = 0; i < n_q; i++) {
        for (size_t t = 0; t < ATTN_TILE; t++) {
            float sum = 0;
            for (size_t d = 0; d < width; d++)
                sum += q[i * q_stride + d] * f16_to_f32(k[d * ATTN_TILE + t]);
            scores[i][t] = sum * scale;
        }
    }
}

float attn_softmax_scalar(float *scores, size_t begin, size_t end, struct attn_state *state)
{
    float max = state->max;
    for (size_t t = begin; t < end; t++)
        max = scores[t] > max ? scores[t] : max;
    float factor = expf(state->max - max); /* 0 for the first tile, whose state->max is -inf */
    float sum = 0;
    for (size_t t = begin; t < end; t++) {
        scores[t] = expf(scores[t] - max);
        sum += scores[t];
    }
    state->max = max;
    state->sum = state->sum * factor + sum;
    return factor;
}

void attn_values_f32_scalar(const float (*p)[ATTN_TILE], const float *factor, size_t n_q,
                            size_t begin, size_t end, const void *values, size_t width, float *acc,
                            size_t acc_stride)
{
    const float *v = values;
    for (size_t i = 0; i < n_q; i++) {
        for (size_t d = 0; d < width; d++) {
            float sum = acc[i * acc_stride + d] * factor[i];
            for (size_t t = begin; t < end; t++)
                sum += p[i][t] * v[t * width + d];
            acc[i * acc_stride + d] = sum;
        }
    }
}

void attn_values_f16_scalar(const float (*p)[ATTN_TILE], const float *factor, size_t n_q,
                            size_t begin, size_t end, const void *values, size_t width, float *acc,
                            size_t acc_stride)
{
    const uint16_t *v = values;
    for (size_t i = 0; i < n_q; i++) {
        for (size_t d = 0; d < width; d++) {
            float sum = acc[i * acc_stride + d] * factor[i];
            for (size_t t = begin; t < end; t++)
                sum += p[i][t] * f16_to_f32(v[t * width + d]);
            acc[i * acc_stride + d] = sum;
        }
    }
}
