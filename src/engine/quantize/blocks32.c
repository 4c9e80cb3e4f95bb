/* SPDX-License-Identifier: Apache-2.0
 *
 * Quantisers of the types with blocks of 32 and one scale: Q4_0 to Q8_0, IQ4_NL, MXFP4. Without
 * importance the first ones take the scale that the extremes of the block give, as these types
 * always have. */
#include "engine/quantize/quantize_internal.h"

#include <string.h>

#include "base/compiler.h"
#include "engine/kernels/f16.h"
#include "engine/kernels/kernels_internal.h"
#include "engine/kernels/types.h"
#include "engine/quantize/fit.h"

/* Items 0..15 in the low nibbles, 16..31 in the high ones; levels of four bits. */
static void pack_nibbles(const uint8_t q[QK], uint8_t out[QK / 2])
{
    for (int i = 0; i < QK / 2; i++)
        out[i] = (uint8_t)((q[i] & 15) | (q[i + QK / 2] & 15) << 4);
}

static void pack_fifth_bits(const uint8_t q[QK], uint8_t out[QK / 8])
{
    memset(out, 0, QK / 8);
    for (int i = 0; i < QK; i++)
        out[i / 8] |= (uint8_t)((q[i] >> 4) << (i % 8));
}

/* floor(v + 1/2), at most max: how ties have always gone in these types. */
static uint8_t round_up(float v, int max)
{
    int l = (int)(v + 0.5f);
    return (uint8_t)(l > max ? max : l);
}

/* ---- symmetric: w = d * (q - n_levels); returns d ---- */

static float symmetric(const float *x, const float *importance, float energy, int n_levels,
                       uint8_t q[QK])
{
    if (importance) {
        float w[QK];
        int8_t levels[QK];
        weigh(x, importance, QK, energy, w);
        float d = fit_signed(x, w, QK, n_levels, levels);
        for (int i = 0; i < QK; i++)
            q[i] = (uint8_t)(levels[i] + n_levels);
        return d;
    }
    float extreme = 0; /* becomes level -n_levels, so d has the opposite sign */
    for (int i = 0; i < QK; i++)
        if (fabsf(x[i]) > fabsf(extreme))
            extreme = x[i];
    float d = extreme / (float)-n_levels, inverse = d != 0 ? 1 / d : 0;
    for (int i = 0; i < QK; i++)
        q[i] = round_up(x[i] * inverse + (float)n_levels, 2 * n_levels - 1);
    return d;
}

void quantize__q4_0(const float *x, const float *importance, size_t n, void *out)
{
    float energy = importance ? mean_square(x, n) : 0;
    struct block_q4_0 *b = out;
    for (size_t at = 0; at < n; at += QK, b++) {
        uint8_t q[QK];
        float d = symmetric(x + at, importance ? importance + at : NULL, energy, 8, q);
        b->d = f32_to_f16(d);
        pack_nibbles(q, b->qs);
    }
}

void quantize__q5_0(const float *x, const float *importance, size_t n, void *out)
{
    float energy = importance ? mean_square(x, n) : 0;
    struct block_q5_0 *b = out;
    for (size_t at = 0; at < n; at += QK, b++) {
        uint8_t q[QK];
        float d = symmetric(x + at, importance ? importance + at : NULL, energy, 16, q);
        b->d = f32_to_f16(d);
        pack_nibbles(q, b->qs);
        pack_fifth_bits(q, b->qh);
    }
}

void quantize__q8_0(const float *x, const float *importance, size_t n, void *out)
{
    (void)importance; /* steps this fine leave nothing to weigh */
    struct block_q8_0 *b = out;
    for (; n > 0; n -= QK, x += QK, b++) {
        float d = max_abs(x, QK) / 127, inverse = d != 0 ? 1 / d : 0;
        b->d = f32_to_f16(d);
        for (int i = 0; i < QK; i++)
            b->qs[i] = (int8_t)roundf(x[i] * inverse);
    }
}

/* ---- with a minimum: w = d * q + m ---- */

static void affine(const float *x, const float *importance, float energy, int max_level,
                   uint8_t q[QK], uint16_t *ret_d, uint16_t *ret_m)
{
    float d, m;
    if (importance) {
        const struct fit_offset how = {max_level, -0.9f, 0.05f, 36, FIT_SQUARE};
        float w[QK];
        weigh(x, importance, QK, energy, w);
        d = fit_with_min(&how, x, w, QK, q, &m);
        m = -m;
    } else {
        float low = x[0], high = x[0];
        for (int i = 1; i < QK; i++) {
            low = MIN(low, x[i]);
            high = MAX(high, x[i]);
        }
        d = (high - low) / (float)max_level;
        m = low;
        float inverse = d != 0 ? 1 / d : 0;
        for (int i = 0; i < QK; i++)
            q[i] = round_up((x[i] - low) * inverse, max_level);
    }
    *ret_d = f32_to_f16(d);
    *ret_m = f32_to_f16(m);
}

void quantize__q4_1(const float *x, const float *importance, size_t n, void *out)
{
    float energy = importance ? mean_square(x, n) : 0;
    struct block_q4_1 *b = out;
    for (size_t at = 0; at < n; at += QK, b++) {
        uint8_t q[QK];
        uint16_t d, m;
        affine(x + at, importance ? importance + at : NULL, energy, 15, q, &d, &m);
        b->d = d;
        b->m = m;
        pack_nibbles(q, b->qs);
    }
}

void quantize__q5_1(const float *x, const float *importance, size_t n, void *out)
{
    float energy = importance ? mean_square(x, n) : 0;
    struct block_q5_1 *b = out;
    for (size_t at = 0; at < n; at += QK, b++) {
        uint8_t q[QK];
        uint16_t d, m;
        affine(x + at, importance ? importance + at : NULL, energy, 31, q, &d, &m);
        b->d = d;
        b->m = m;
        pack_nibbles(q, b->qs);
        pack_fifth_bits(q, b->qh);
    }
}

/* ---- tables of values ---- */

void quantize__iq4_nl(const float *x, const float *importance, size_t n, void *out)
{
    struct block_iq4_nl *b = out;
    for (size_t at = 0; at < n; at += QK, b++) {
        const float *part = x + at;
        float w[QK];
        uint8_t q[QK];
        if (importance)
            weigh(part, importance + at, QK, 2 * mean_square(part, QK), w);
        else
            weigh_by_square(part, QK, w);
        float d = fit_table(part, w, QK, kernels__iq4_values), inverse = d != 0 ? 1 / d : 0;
        for (int i = 0; i < QK; i++)
            q[i] = fit_nearest(kernels__iq4_values, inverse * part[i]);
        b->d = f32_to_f16(d);
        pack_nibbles(q, b->qs);
    }
}

/* The code of the 4-bit float nearest to v; the smaller magnitude of two equally near. The values
 * of codes 0..7 ascend, 8..15 are their negatives. */
static uint8_t mxfp4_code(float v)
{
    uint8_t at = 0;
    for (int i = 0; i < 7; i++)
        at = (uint8_t)(at + (2 * fabsf(v) >
                             (float)(kernels__mxfp4_values[i] + kernels__mxfp4_values[i + 1])));
    return v < 0 && at > 0 ? at | 8 : at;
}

void quantize__mxfp4(const float *x, const float *importance, size_t n, void *out)
{
    (void)importance; /* the only scales are powers of two */
    struct block_mxfp4 *b = out;
    for (; n > 0; n -= QK, x += QK, b++) {
        /* The largest number gets the exponent of the largest code, 6 = 1.5 * 2^2. */
        float max = max_abs(x, QK);
        int e = 0;
        if (max > 0) {
            e = ilogbf(max) - 2 + 127;
            e = e < 0 ? 0 : e > 254 ? 254 : e;
        }
        b->e = (uint8_t)e;
        double inverse = ldexp(1, 128 - e); /* may be beyond f32 */
        uint8_t q[QK];
        for (int i = 0; i < QK; i++)
            q[i] = mxfp4_code((float)(inverse * (double)x[i]));
        pack_nibbles(q, b->qs);
    }
}
