/* SPDX-License-Identifier: Apache-2.0
 *
 * The searches of fit.h. Where levels l stand for weights x of importance w, the best scale is
 * Σwxl / Σwl², and the squared error it leaves is Σwx² - (Σwxl)²/Σwl²: to compare two sets of
 * levels, compare the second term. */
#include "engine/quantize/fit.h"

#include <math.h>
#include <string.h>

#include "base/compiler.h"
#include "engine/kernels/types.h"

/* Smaller than this in magnitude, a block is all zeros. */
#define TINY 1e-15f

/* The sums of one set of levels. */
struct moments {
    float xl, ll;
};

static bool better(struct moments a, struct moments b)
{
    return a.ll > 0 && a.xl * a.xl * b.ll > b.xl * b.xl * a.ll;
}

/* What the error falls by, against levels that are all zero. */
static float gain(struct moments m)
{
    return m.ll > 0 ? m.xl / m.ll * m.xl : 0;
}

/* The weight of the largest magnitude, with its sign. */
static float extreme(const float *x, size_t n)
{
    float max = 0;
    for (size_t i = 0; i < n; i++)
        if (fabsf(x[i]) > fabsf(max))
            max = x[i];
    return max;
}

static struct moments round_signed(const float *x, const float *w, size_t n, float inverse,
                                   int n_levels)
{
    struct moments m = {0, 0};
    for (size_t i = 0; i < n; i++) {
        float l = (float)fit_level(inverse * x[i], -n_levels, n_levels - 1);
        m.xl += w[i] * x[i] * l;
        m.ll += w[i] * l * l;
    }
    return m;
}

float fit_signed(const float *x, const float *w, size_t n, int n_levels, int8_t *levels)
{
    enum { TRIES = 9 }; /* on each side, a tenth of a level apart */
    float max = extreme(x, n);
    memset(levels, 0, n);
    if (fabsf(max) < TINY)
        return 0;
    float best_inverse = -(float)n_levels / max;
    struct moments best = round_signed(x, w, n, best_inverse, n_levels);
    float best_gain = gain(best);
    for (int i = -TRIES; i <= TRIES; i++) {
        if (i == 0)
            continue;
        float inverse = -((float)n_levels + 0.1f * (float)i) / max;
        struct moments m = round_signed(x, w, n, inverse, n_levels);
        if (m.xl * m.xl > best_gain * m.ll) {
            best = m;
            best_gain = gain(m);
            best_inverse = inverse;
        }
    }
    for (size_t i = 0; i < n; i++)
        levels[i] = (int8_t)fit_level(best_inverse * x[i], -n_levels, n_levels - 1);
    return best.ll > 0 ? best.xl / best.ll : 0;
}

/* Moves one level after another to where it suits the scale of all the others, until nothing gets
 * better; `sum` is of the levels. */
static struct moments improve(const float *x, const float *w, size_t n, int min, int max,
                              float *levels, struct moments sum)
{
    enum { ROUNDS = 5 };
    bool changed = true;
    for (int round = 0; changed && round < ROUNDS; round++) {
        changed = false;
        for (size_t i = 0; i < n; i++) {
            float old = levels[i];
            struct moments rest = {sum.xl - w[i] * x[i] * old, sum.ll - w[i] * old * old};
            if (!(rest.xl > 0 && rest.ll > 0))
                continue;
            float l = (float)fit_level(x[i] * rest.ll / rest.xl, min, max);
            struct moments with = {rest.xl + w[i] * x[i] * l, rest.ll + w[i] * l * l};
            if (l != old && better(with, sum)) {
                levels[i] = l;
                sum = with;
                changed = true;
            }
        }
    }
    return sum;
}

float fit_signed_stepwise(const float *x, const float *w, size_t n, int n_levels, int8_t *levels)
{
    float max = extreme(x, n), l[QK_K];
    memset(levels, 0, n);
    if (fabsf(max) < TINY)
        return 0;
    float inverse = -(float)n_levels / max;
    struct moments sum = round_signed(x, w, n, inverse, n_levels);
    for (size_t i = 0; i < n; i++)
        l[i] = (float)fit_level(inverse * x[i], -n_levels, n_levels - 1);
    sum = improve(x, w, n, -n_levels, n_levels - 1, l, sum);
    for (size_t i = 0; i < n; i++)
        levels[i] = (int8_t)l[i];
    return sum.ll > 0 ? sum.xl / sum.ll : 0;
}

/* ---- with a minimum ---- */

struct line {
    float scale, min; /* x ≈ scale * level + min here: min <= 0 */
};

static float line_error(const struct fit_offset *how, struct line line, const uint8_t *levels,
                        const float *x, const float *w, size_t n)
{
    float sum = 0;
    for (size_t i = 0; i < n; i++) {
        float diff = line.scale * (float)levels[i] + line.min - x[i];
        sum += w[i] * (how->error == FIT_ABS ? fabsf(diff) : diff * diff);
    }
    return sum;
}

/* The line through the levels with the least squared error and no minimum above 0; false if the
 * levels are all alike. sum_w = Σw, sum_x = Σwx. */
static bool regress(const uint8_t *levels, const float *x, const float *w, size_t n, float sum_w,
                    float sum_x, struct line *ret)
{
    float sum_l = 0;
    struct moments m = {0, 0};
    for (size_t i = 0; i < n; i++) {
        float l = (float)levels[i];
        sum_l += w[i] * l;
        m.ll += w[i] * l * l;
        m.xl += w[i] * l * x[i];
    }
    float det = sum_w * m.ll - sum_l * sum_l;
    if (!(det > 0))
        return false;
    ret->scale = (sum_w * m.xl - sum_x * sum_l) / det;
    ret->min = (m.ll * sum_x - sum_l * m.xl) / det;
    if (ret->min > 0)
        *ret = (struct line){m.xl / m.ll, 0};
    return true;
}

static void round_from(float min, float inverse, int max_level, const float *x, size_t n,
                       uint8_t *levels)
{
    for (size_t i = 0; i < n; i++)
        levels[i] = (uint8_t)fit_level(inverse * (x[i] - min), 0, max_level);
}

float fit_with_min(const struct fit_offset *how, const float *x, const float *w, size_t n,
                   uint8_t *levels, float *ret_min)
{
    float low = 0, high = x[0], sum_w = 0, sum_x = 0;
    for (size_t i = 0; i < n; i++) {
        low = MIN(low, x[i]);
        high = MAX(high, x[i]);
        sum_w += w[i];
        sum_x += w[i] * x[i];
    }
    *ret_min = 0 - low; /* never -0, which would be written to files */
    memset(levels, 0, n);
    if (!(high - low > 0))
        return 0;
    float inverse = (float)how->max_level / (high - low);
    struct line best = {1 / inverse, low};
    round_from(low, inverse, how->max_level, x, n, levels);
    float best_error = line_error(how, best, levels, x, w, n);
    for (int i = 0; i <= how->count; i++) {
        uint8_t tried[QK_K];
        struct line line;
        /* Each try starts from the best minimum so far. */
        inverse = (how->first + how->step * (float)i + (float)how->max_level) / (high - best.min);
        round_from(best.min, inverse, how->max_level, x, n, tried);
        if (!regress(tried, x, w, n, sum_w, sum_x, &line))
            continue;
        float error = line_error(how, line, tried, x, w, n);
        if (error < best_error) {
            best_error = error;
            best = line;
            memcpy(levels, tried, n);
        }
    }
    *ret_min = 0 - best.min;
    return best.scale;
}

/* ---- scales of scales ---- */

static float positive_error(const float *x, const float *w, size_t n, float inverse, int max_level)
{
    float sum = 0;
    for (size_t i = 0; i < n; i++) {
        float diff = x[i] - (float)fit_level(inverse * x[i], 0, max_level) / inverse;
        sum += w[i] * diff * diff;
    }
    return sum;
}

float fit_positive(const float *x, const float *w, size_t n, int max_level, uint8_t *levels)
{
    enum { TRIES = 4 };
    float max = 0, l[QK_K];
    for (size_t i = 0; i < n; i++)
        max = MAX(max, x[i]);
    memset(levels, 0, n);
    if (max < TINY)
        return 0;
    float inverse = (float)max_level / max;
    float best_error = positive_error(x, w, n, inverse, max_level);
    for (int i = -TRIES; i <= TRIES; i++) {
        float tried = ((float)max_level + 0.1f * (float)i) / max;
        float error = i == 0 ? best_error : positive_error(x, w, n, tried, max_level);
        if (error < best_error) {
            best_error = error;
            inverse = tried;
        }
    }
    struct moments sum = {0, 0};
    for (size_t i = 0; i < n; i++) {
        l[i] = (float)fit_level(inverse * x[i], 0, max_level);
        sum.xl += w[i] * x[i] * l[i];
        sum.ll += w[i] * l[i] * l[i];
    }
    sum = improve(x, w, n, 0, max_level, l, sum);
    for (size_t i = 0; i < n; i++)
        levels[i] = (uint8_t)l[i];
    return sum.ll > 0 ? sum.xl / sum.ll : 0;
}

/* ---- a table of values ---- */

uint8_t fit_nearest(const int8_t values[16], float v)
{
    uint8_t at = 0; /* how many midpoints between neighbours lie below v */
    for (int i = 0; i < 15; i++)
        at = (uint8_t)(at + (v - (float)values[i] >= (float)values[i + 1] - v));
    return at;
}

static struct moments round_to_table(const float *x, const float *w, size_t n, float inverse,
                                     const int8_t values[16])
{
    struct moments m = {0, 0};
    for (size_t i = 0; i < n; i++) {
        float v = (float)values[fit_nearest(values, inverse * x[i])];
        m.xl += w[i] * x[i] * v;
        m.ll += w[i] * v * v;
    }
    return m;
}

float fit_table(const float *x, const float *w, size_t n, const int8_t values[16])
{
    enum { TRIES = 7 };
    float max = extreme(x, n);
    if (fabsf(max) < TINY)
        return 0;
    /* The extreme weight near the first value (with either sign of the scale), or some units off.
     */
    struct moments best = round_to_table(x, w, n, 1 / (-max / (float)values[0]), values);
    for (int i = -TRIES; i <= TRIES; i++) {
        struct moments m = round_to_table(x, w, n, (float)(values[0] + i) / max, values);
        if (m.xl * m.xl > gain(best) * m.ll)
            best = m;
    }
    return best.ll > 0 ? best.xl / best.ll : 0;
}
