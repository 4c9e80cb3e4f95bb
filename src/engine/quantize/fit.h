/* SPDX-License-Identifier: Apache-2.0
 *
 * Searches for the scale (and minimum) that let small whole numbers stand for n weights with the
 * least weighted squared error. For given levels the best scale is a quotient of sums; what is
 * searched for are the levels, by rounding with scales around the obvious one.
 *
 * w: importance of each weight, >= 0. n <= QK_K. No allocation; nothing here can fail: weights that
 * are all zero have scale 0 and levels 0. */
#ifndef ENGINE_QUANTIZE_FIT_H
#define ENGINE_QUANTIZE_FIT_H

#include <stddef.h>
#include <stdint.h>

/* The nearest whole number, ties to even, inside [min, max], which are small; NaN gives min. It is
 * the f32 adder that rounds, which vectorises everywhere. */
static inline int fit_level(float v, int min, int max)
{
    float low = (float)min, high = (float)max;
    v = v > low ? v : low;
    v = v < high ? v : high;
    return (int)((v + 0x1.8p23f) - 0x1.8p23f);
}

/* x ≈ scale * level, levels in [-n_levels, n_levels - 1]; the largest weight lies near -n_levels,
 * so the scale may be negative. Returns the scale. */
float fit_signed(const float *x, const float *w, size_t n, int n_levels, int8_t *levels);

/* The same as a first guess that is then improved weight by weight. */
float fit_signed_stepwise(const float *x, const float *w, size_t n, int n_levels, int8_t *levels);

/* x ≈ scale * level - min, levels in [0, max_level], scale and min >= 0. */
struct fit_offset {
    int max_level;
    /* Tried: (max_level + first + step * i) levels for the range, i = 0..count. */
    float first, step;
    int count;
    enum { FIT_SQUARE, FIT_ABS } error; /* what is summed up to judge a try */
};
float fit_with_min(const struct fit_offset *how, const float *x, const float *w, size_t n,
                   uint8_t *levels, float *ret_min);

/* x ≈ scale * level for x >= 0, levels in [0, max_level]. */
float fit_positive(const float *x, const float *w, size_t n, int max_level, uint8_t *levels);

/* x ≈ scale * values[level] for an ascending table of 16 values. */
float fit_table(const float *x, const float *w, size_t n, const int8_t values[16]);

/* The index of the value nearest to v; the lower one of two equally near. */
uint8_t fit_nearest(const int8_t values[16], float v);

#endif
