/* SPDX-License-Identifier: Apache-2.0
 *
 * What the quantisers share. */
#ifndef ENGINE_QUANTIZE_QUANTIZE_INTERNAL_H
#define ENGINE_QUANTIZE_QUANTIZE_INTERNAL_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

/* x: n numbers of one row, importance: of their columns or NULL. */
typedef void (*quantize_fn)(const float *x, const float *importance, size_t n, void *out);

void quantize__q4_0(const float *x, const float *importance, size_t n, void *out);
void quantize__q4_1(const float *x, const float *importance, size_t n, void *out);
void quantize__q5_0(const float *x, const float *importance, size_t n, void *out);
void quantize__q5_1(const float *x, const float *importance, size_t n, void *out);
void quantize__q8_0(const float *x, const float *importance, size_t n, void *out);
void quantize__q2_k(const float *x, const float *importance, size_t n, void *out);
void quantize__q3_k(const float *x, const float *importance, size_t n, void *out);
void quantize__q4_k(const float *x, const float *importance, size_t n, void *out);
void quantize__q5_k(const float *x, const float *importance, size_t n, void *out);
void quantize__q6_k(const float *x, const float *importance, size_t n, void *out);
void quantize__iq4_nl(const float *x, const float *importance, size_t n, void *out);
void quantize__iq4_xs(const float *x, const float *importance, size_t n, void *out);
void quantize__tq1_0(const float *x, const float *importance, size_t n, void *out);
void quantize__tq2_0(const float *x, const float *importance, size_t n, void *out);
void quantize__mxfp4(const float *x, const float *importance, size_t n, void *out);

static inline float mean_square(const float *x, size_t n)
{
    float sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i] * x[i];
    return sum / (float)n;
}

/* The importance of a column, times a bonus for numbers that are large among their neighbours,
 * whose mean square is `energy`. */
static inline void weigh(const float *x, const float *importance, size_t n, float energy, float *w)
{
    for (size_t i = 0; i < n; i++)
        w[i] = importance[i] * sqrtf(energy + x[i] * x[i]);
}

static inline void weigh_by_square(const float *x, size_t n, float *w)
{
    for (size_t i = 0; i < n; i++)
        w[i] = x[i] * x[i];
}

static inline float max_abs(const float *x, size_t n)
{
    float max = 0;
    for (size_t i = 0; i < n; i++)
        max = MAX(max, fabsf(x[i]));
    return max;
}

#endif
