/* SPDX-License-Identifier: Apache-2.0
 *
 * The kernel table: the inner loops of the CPU backend, one function pointer per family.
 *
 * kernels_init() fills it once: the scalar functions, then those of each instruction set level up to
 * the wanted one, in ascending order. The scalar functions are the definition; tests/kernels holds
 * every other one against them. Kernels work on what they are given and never start threads.
 *
 * Rules that all levels keep, because the backend's promise rests on them (backend.h, "Numerics"):
 *
 * - A dequantised weight is one f32 value, the same bits at every level and in every kernel:
 *   products and sums are rounded one by one, in the order types.h writes them.
 * - A dot product adds up in an order that depends on its length alone. At a level with L lanes, lane
 *   l sums the items l, l+L, l+2L, … with fused multiply-adds (scalar: L = 1, and not fused), a
 *   short last step is padded with zeros, and then the lanes are added: halves onto each other until
 *   one is left. Neither the number of rows nor that of vectors handled together changes a bit.
 * - Element-wise functions give each element the same value wherever in the vector it stands.
 *
 * No pointer needs alignment unless it is said. dst may equal an input of the same shape in the
 * element-wise functions and norms; otherwise outputs do not overlap inputs.
 */
#ifndef ENGINE_KERNELS_KERNELS_H
#define ENGINE_KERNELS_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "engine/kernels/types.h"

/* dst[i] = the value of weight i of the row; n is a whole number of blocks. */
typedef void (*dequant_fn)(const void *row, float *dst, size_t n);

/* y[t * y_stride + r] = Σ_i w[r][i] * x[t * x_stride + i] for r < n_rows, t < n_x; row r starts
 * row_bytes * r behind w. Error of one result: at most (n + 8) * 2^-24 * Σ|w*x|. */
typedef void (*dot_fn)(const void *w, size_t row_bytes, size_t n_rows, const float *x,
                       size_t x_stride, size_t n_x, size_t n, float *y, size_t y_stride);

/* dst = f(a), or f(a) * b where b is not NULL. */
typedef void (*act_fn)(const float *a, const float *b, size_t n, float *dst);

/* Tokens in a tile of keys and values. Keys lie transposed, [width][ATTN_TILE], so that a vector
 * holds the same element of many keys; values lie [ATTN_TILE][width]. */
enum { ATTN_TILE = 32 };

/* scores[i][t] = scale * Σ_d q[i * q_stride + d] * k[d][t], for i < n_q, all tokens of the tile;
 * d ascending. `keys` f32 or f16 by the table's index. */
typedef void (*attn_scores_fn)(const float *q, size_t q_stride, size_t n_q, const void *keys,
                               size_t width, float scale, float (*scores)[ATTN_TILE]);

/* The state of one query's online softmax: maximum so far and the sum of exp(score - max). */
struct attn_state {
    float max, sum;
};

/* Takes scores[begin..end) (begin < end) into the state: turns them into weights exp(score - max)
 * in place and returns the factor for what was accumulated before. */
typedef float (*attn_softmax_fn)(float *scores, size_t begin, size_t end, struct attn_state *state);

/* acc[i][d] = acc[i][d] * factor[i] + Σ_t p[i][t] * v[t][d] for i < n_q, t in [begin, end),
 * ascending, d < width; acc is [n_q] rows acc_stride apart. */
typedef void (*attn_values_fn)(const float (*p)[ATTN_TILE], const float *factor, size_t n_q,
                               size_t begin, size_t end, const void *values, size_t width,
                               float *acc, size_t acc_stride);

struct kernels {
    const char *level; /* "scalar", "avx2", "avx512", "neon" */

    struct {
        dequant_fn dequant; /* every type that can compute */
        dot_fn dot;         /* NULL: dequantise rows, then the f32 one */
    } weight[WT_COUNT];

    /* Up to this many vectors, weight[].dot on the packed rows beats dequantising them first. */
    size_t dot_max_x;

    /* dst = a * w / sqrt(mean(a²) + eps); w NULL = ones. Sums in f64. */
    void (*rms_norm)(const float *a, const float *w, size_t n, float eps, float *dst);
    /* dst = (a - mean) / sqrt(var + eps) * w + bias; w, bias NULL = ones, zeros. Sums in f64. */
    void (*layer_norm)(const float *a, const float *w, const float *bias, size_t n, float eps,
                       float *dst);

    act_fn silu;      /* a / (1 + exp(-a)) */
    act_fn gelu_tanh; /* a/2 * (1 + tanh(√(2/π) (a + 0.044715 a³))) */
    act_fn gelu_erf;  /* a/2 * (1 + erf(a/√2)) */
    act_fn relu;
    act_fn relu_sqr; /* relu(a)² */
    act_fn sigmoid;  /* 1 / (1 + exp(-a)) */
    act_fn softplus; /* log(1 + exp(a)) */

    void (*softcap)(const float *a, size_t n, float cap, float *dst); /* cap * tanh(a / cap) */

    void (*f32_to_f16)(const float *a, size_t n, uint16_t *dst);

    attn_scores_fn attn_scores_f32, attn_scores_f16;
    attn_softmax_fn attn_softmax;
    attn_values_fn attn_values_f32, attn_values_f16;

    /* Layers with a state: one token's step. s_out may be s_in. Each channel's result depends on
     * the channel's own numbers alone: any cut of the channels gives the same bits. */

    /* dst[c] = Σ_j w[j * w_stride + c] * x[j][c] + bias[c], j < width ascending; bias NULL = 0. */
    void (*conv1d)(const float *const *x, size_t width, const float *w, size_t w_stride,
                   const float *bias, size_t n, float *dst);
    /* Mamba 2, one head of n channels: s[i][p] = decay * s[i][p] + dt * x[p] * b[i];
     * y[p] = Σ_i s[i][p] * c[i], i < n_state ascending. s: [n_state][n]. */
    void (*ssm_head)(const float *s_in, float *s_out, size_t n_state, size_t n, float decay,
                     float dt, const float *x, const float *b, const float *c, float *y);
    /* Mamba 1, n channels: s[p][i] = exp(dt[p] * a[p][i]) * s[p][i] + dt[p] * x[p] * b[i];
     * y[p] = Σ_i s[p][i] * c[i], in the order of a dot product. s, a: [n][n_state]. */
    void (*ssm_channels)(const float *s_in, float *s_out, size_t n_state, size_t n, const float *a,
                         const float *dt, const float *x, const float *b, const float *c, float *y);
    /* The gated delta rule, n columns of one head: s = decay * s; d[j] = beta * (v[j] - Σ_i k[i]
     * s[i][j]); s[i][j] += k[i] * d[j]; dst[j] = Σ_i q[i] * s[i][j], i < head_k ascending.
     * s: [head_k] rows `stride` apart. */
    void (*delta_step)(const float *s_in, float *s_out, size_t stride, size_t head_k, size_t n,
                       const float *q, const float *k, const float *v, float decay, float beta,
                       float *dst);
};

/* Fills *ret for this CPU. `max_level` lowers the level ("scalar", …); NULL or "" = the best. A
 * name that is no level of this build is ERR_INVALID; one this CPU lacks is ERR_UNSUPPORTED. */
int kernels_init(const char *max_level, struct kernels *ret, struct error *err);

/* The levels of this build that this CPU has, ascending; NULL behind the last. For tests. */
const char *kernels_level_at(size_t i);

#endif
