/* SPDX-License-Identifier: Apache-2.0
 *
 * Quantisers of the types with blocks of 256: Q2_K to Q6_K, IQ4_XS, TQ1_0, TQ2_0. First every
 * sub-block gets its own best scale (and minimum); then these are rounded to multiples of the
 * block's f16 scale; at last the levels are rounded again, with the scales as they are stored. */
#include "engine/quantize/quantize_internal.h"

#include <string.h>

#include "base/compiler.h"
#include "engine/kernels/f16.h"
#include "engine/kernels/kernels_internal.h"
#include "engine/kernels/types.h"
#include "engine/quantize/fit.h"

enum { MAX_SUBS = 16 };

/* Four two-bit items a byte, 32 apart, in halves of 128. */
static void pack_pairs(const uint8_t q[QK_K], uint8_t out[QK_K / 4])
{
    for (int half = 0; half < 2; half++)
        for (int i = 0; i < 32; i++) {
            const uint8_t *p = q + 128 * half + i;
            out[32 * half + i] =
                (uint8_t)((p[0] & 3) | (p[32] & 3) << 2 | (p[64] & 3) << 4 | (p[96] & 3) << 6);
        }
}

static float sum_of(const float *v, size_t n)
{
    float sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += v[i];
    return sum;
}

/* ---- w = d*sc*q - dmin*m: Q2_K, Q4_K, Q5_K ---- */

struct minimum_type {
    int n_sub;                        /* sub-blocks */
    int max_level;                    /* of the items */
    int max_scale;                    /* of sc and m */
    struct fit_offset alone, weighed; /* the searches without and with importance */
};

struct minimum_block {
    uint16_t d, dmin; /* f16 */
    uint8_t sc[MAX_SUBS], m[MAX_SUBS];
    uint8_t q[QK_K];
};

/* Rounds n scales to multiples of one f16 number, in the plain way: the largest becomes `max`. */
static uint16_t scales_by_max(const float *scales, int n, int max, uint8_t *out)
{
    float top = 0;
    for (int i = 0; i < n; i++)
        top = MAX(top, scales[i]);
    for (int i = 0; i < n; i++)
        out[i] = top > 0 ? (uint8_t)fit_level((float)max / top * scales[i], 0, max) : 0;
    return f32_to_f16(top / (float)max);
}

/* Without importance the numbers weigh as their magnitudes; Q2_K, whose levels are few, takes the
 * magnitudes alone. */
static void weigh_by_magnitude(const struct minimum_type *t, const float *x, size_t n, float *w)
{
    float base = t->max_level > 3 ? sqrtf(mean_square(x, n)) : 0;
    for (size_t i = 0; i < n; i++)
        w[i] = base + fabsf(x[i]);
}

static void minimum_fit(const struct minimum_type *t, const float *x, const float *importance,
                        struct minimum_block *b)
{
    size_t len = (size_t)(QK_K / t->n_sub);
    float scale[MAX_SUBS], min[MAX_SUBS], weight[MAX_SUBS];
    float energy = mean_square(x, QK_K) * (t->max_level > 3 ? 2 : 1);
    for (int j = 0; j < t->n_sub; j++) {
        size_t at = (size_t)j * len;
        float w[QK_K];
        if (importance)
            weigh(x + at, importance + at, len, energy, w);
        else
            weigh_by_magnitude(t, x + at, len, w);
        weight[j] = sum_of(w, len);
        scale[j] =
            fit_with_min(importance ? &t->weighed : &t->alone, x + at, w, len, b->q + at, &min[j]);
    }
    if (importance) {
        b->d = f32_to_f16(fit_positive(scale, weight, (size_t)t->n_sub, t->max_scale, b->sc));
        b->dmin = f32_to_f16(fit_positive(min, weight, (size_t)t->n_sub, t->max_scale, b->m));
    } else {
        b->d = scales_by_max(scale, t->n_sub, t->max_scale, b->sc);
        b->dmin = scales_by_max(min, t->n_sub, t->max_scale, b->m);
    }
    for (int j = 0; j < t->n_sub; j++) {
        float d = f16_to_f32(b->d) * (float)b->sc[j], m = f16_to_f32(b->dmin) * (float)b->m[j];
        if (d == 0)
            continue; /* all items mean -m, whatever their levels */
        for (size_t i = (size_t)j * len; i < (size_t)(j + 1) * len; i++)
            b->q[i] = (uint8_t)fit_level((x[i] + m) / d, 0, t->max_level);
    }
}

void quantize__q2_k(const float *x, const float *importance, size_t n, void *out)
{
    static const struct minimum_type type = {
        16, 3, 15, {3, -0.5f, 0.1f, 15, FIT_ABS}, {3, -0.9f, 0.05f, 36, FIT_SQUARE}};
    struct block_q2_k *b = out;
    for (size_t at = 0; at < n; at += QK_K, b++) {
        struct minimum_block k;
        minimum_fit(&type, x + at, importance ? importance + at : NULL, &k);
        b->d = k.d;
        b->dmin = k.dmin;
        for (int j = 0; j < type.n_sub; j++)
            b->scales[j] = (uint8_t)(k.sc[j] | k.m[j] << 4);
        pack_pairs(k.q, b->qs);
    }
}

/* Sixteen 6-bit numbers in twelve bytes: the first four pairs whole, the others split. */
static void pack_six_bits(const struct minimum_block *k, uint8_t out[12])
{
    for (int j = 0; j < 4; j++) {
        out[j] = (uint8_t)(k->sc[j] | (k->sc[j + 4] >> 4) << 6);
        out[j + 4] = (uint8_t)(k->m[j] | (k->m[j + 4] >> 4) << 6);
        out[j + 8] = (uint8_t)((k->sc[j + 4] & 15) | (k->m[j + 4] & 15) << 4);
    }
}

/* The low four bits of two sub-blocks of 32 in 32 bytes. */
static void pack_sub_pairs(const uint8_t q[QK_K], uint8_t out[QK_K / 2])
{
    for (int i = 0; i < QK_K / 2; i++) {
        const uint8_t *p = q + i / 32 * 64 + i % 32;
        out[i] = (uint8_t)((p[0] & 15) | (p[32] & 15) << 4);
    }
}

void quantize__q4_k(const float *x, const float *importance, size_t n, void *out)
{
    static const struct minimum_type type = {
        8, 15, 63, {15, -1.0f, 0.1f, 20, FIT_SQUARE}, {15, -0.9f, 0.05f, 36, FIT_SQUARE}};
    struct block_q4_k *b = out;
    for (size_t at = 0; at < n; at += QK_K, b++) {
        struct minimum_block k;
        minimum_fit(&type, x + at, importance ? importance + at : NULL, &k);
        b->d = k.d;
        b->dmin = k.dmin;
        pack_six_bits(&k, b->scales);
        pack_sub_pairs(k.q, b->qs);
    }
}

void quantize__q5_k(const float *x, const float *importance, size_t n, void *out)
{
    static const struct minimum_type type = {
        8, 31, 63, {31, -0.5f, 0.1f, 15, FIT_SQUARE}, {31, -0.9f, 0.05f, 36, FIT_SQUARE}};
    struct block_q5_k *b = out;
    for (size_t at = 0; at < n; at += QK_K, b++) {
        struct minimum_block k;
        minimum_fit(&type, x + at, importance ? importance + at : NULL, &k);
        b->d = k.d;
        b->dmin = k.dmin;
        pack_six_bits(&k, b->scales);
        pack_sub_pairs(k.q, b->qs);
        memset(b->qh, 0, sizeof(b->qh));
        for (int i = 0; i < QK_K; i++)
            b->qh[i % 32] |= (uint8_t)((k.q[i] >> 4) << (i / 32));
    }
}

/* ---- w = d*sc*(q - n_levels), 16 sub-blocks: Q3_K, Q6_K ---- */

enum { SUB = 16, N_SUB = QK_K / SUB };

/* Levels of all items for scales sc[] of the f16 scale d, as they are stored: from 0. */
static void signed_levels(const float *x, uint16_t d, const int8_t sc[N_SUB], int n_levels,
                          uint8_t q[QK_K])
{
    for (int i = 0; i < QK_K; i++) {
        float scale = f16_to_f32(d) * (float)sc[i / SUB];
        int l = scale != 0 ? fit_level(x[i] / scale, -n_levels, n_levels - 1) : 0;
        q[i] = (uint8_t)(l + n_levels);
    }
}

/* Rounds the scales to multiples of one f16 number so that the extreme one becomes -n_levels. */
static uint16_t signed_scales_by_max(const float scale[N_SUB], int n_levels, int8_t sc[N_SUB])
{
    float top = 0;
    for (int j = 0; j < N_SUB; j++)
        if (fabsf(scale[j]) > fabsf(top))
            top = scale[j];
    float inverse = top != 0 ? -(float)n_levels / top : 0;
    for (int j = 0; j < N_SUB; j++)
        sc[j] = (int8_t)fit_level(inverse * scale[j], -n_levels, n_levels - 1);
    return f32_to_f16(inverse != 0 ? 1 / inverse : 0);
}

/* The 6-bit scales of q3_k: four low bits in bytes 0-7, two high ones in 8-11. */
static void pack_q3_scales(const int8_t sc[N_SUB], uint8_t out[12])
{
    memset(out, 0, 12);
    for (int j = 0; j < N_SUB; j++) {
        int v = sc[j] + 32;
        out[j % 8] |= (uint8_t)((v & 15) << (j < 8 ? 0 : 4));
        out[8 + j % 4] |= (uint8_t)((v >> 4) << (2 * (j / 4)));
    }
}

void quantize__q3_k(const float *x, const float *importance, size_t n, void *out)
{
    struct block_q3_k *b = out;
    for (size_t at = 0; at < n; at += QK_K, b++) {
        const float *part = x + at;
        float scale[N_SUB], weight[N_SUB], energy = 2 * mean_square(part, QK_K);
        int8_t sc[N_SUB], levels[SUB];
        for (int j = 0; j < N_SUB; j++) {
            const float *sub = part + SUB * j;
            float w[SUB];
            if (importance) {
                weigh(sub, importance + at + SUB * j, SUB, energy, w);
                scale[j] = fit_signed(sub, w, SUB, 4, levels);
            } else {
                weigh_by_square(sub, SUB, w);
                scale[j] = fit_signed_stepwise(sub, w, SUB, 4, levels);
            }
            weight[j] = sum_of(w, SUB);
        }
        uint8_t q[QK_K];
        b->d = importance ? f32_to_f16(fit_signed(scale, weight, N_SUB, 32, sc))
                          : signed_scales_by_max(scale, 32, sc);
        signed_levels(part, b->d, sc, 4, q);
        pack_q3_scales(sc, b->scales);
        pack_pairs(q, b->qs);
        memset(b->hmask, 0, sizeof(b->hmask));
        for (int i = 0; i < QK_K; i++)
            b->hmask[i % 32] |= (uint8_t)((q[i] >> 2) << (i / 32));
    }
}

/* Low four bits of runs r and r + 2 share bytes; the high two bits of four runs do. */
static void pack_q6(const uint8_t q[QK_K], struct block_q6_k *b)
{
    for (int half = 0; half < 2; half++)
        for (int i = 0; i < 32; i++) {
            const uint8_t *p = q + 128 * half + i;
            b->ql[64 * half + i] = (uint8_t)((p[0] & 15) | (p[64] & 15) << 4);
            b->ql[64 * half + i + 32] = (uint8_t)((p[32] & 15) | (p[96] & 15) << 4);
            b->qh[32 * half + i] =
                (uint8_t)(p[0] >> 4 | (p[32] >> 4) << 2 | (p[64] >> 4) << 4 | (p[96] >> 4) << 6);
        }
}

void quantize__q6_k(const float *x, const float *importance, size_t n, void *out)
{
    struct block_q6_k *b = out;
    for (size_t at = 0; at < n; at += QK_K, b++) {
        const float *part = x + at;
        float scale[N_SUB];
        int8_t sc[N_SUB], levels[SUB];
        for (int j = 0; j < N_SUB; j++) {
            const float *sub = part + SUB * j;
            float w[SUB];
            weigh_by_square(sub, SUB, w);
            scale[j] = fit_signed(sub, importance ? importance + at + SUB * j : w, SUB, 32, levels);
        }
        uint8_t q[QK_K];
        b->d = signed_scales_by_max(scale, 128, sc);
        memcpy(b->scales, sc, sizeof(sc));
        signed_levels(part, b->d, sc, 32, q);
        pack_q6(q, b);
    }
}

/* ---- w = d*(sc - 32)*iq4_values[q], 8 sub-blocks ---- */

void quantize__iq4_xs(const float *x, const float *importance, size_t n, void *out)
{
    enum { SUBS = QK_K / QK };
    struct block_iq4_xs *b = out;
    for (size_t at = 0; at < n; at += QK_K, b++) {
        const float *part = x + at;
        float scale[SUBS], top = 0, energy = 2 * mean_square(part, QK_K);
        for (int j = 0; j < SUBS; j++) {
            const float *sub = part + QK * j;
            float w[QK];
            if (importance)
                weigh(sub, importance + at + QK * j, QK, energy, w);
            else
                weigh_by_square(sub, QK, w);
            scale[j] = fit_table(sub, w, QK, kernels__iq4_values);
            if (fabsf(scale[j]) > fabsf(top))
                top = scale[j];
        }
        float d = top / -32;
        memset(b, 0, sizeof(*b));
        b->d = f32_to_f16(d);
        for (int j = 0; j < SUBS; j++) {
            int sc = d != 0 ? fit_level(scale[j] / d, -32, 31) : 0;
            float inverse = sc != 0 ? 1 / (d * (float)sc) : 0;
            for (int i = 0; i < QK / 2; i++) {
                const float *p = part + QK * j + i;
                uint8_t low = fit_nearest(kernels__iq4_values, inverse * p[0]);
                uint8_t high = fit_nearest(kernels__iq4_values, inverse * p[QK / 2]);
                b->qs[QK / 2 * j + i] = (uint8_t)(low | high << 4);
            }
            b->scales_l[j / 2] |= (uint8_t)(((sc + 32) & 15) << (4 * (j % 2)));
            b->scales_h = (uint16_t)(b->scales_h | ((sc + 32) >> 4) << (2 * j));
        }
    }
}

/* ---- ternary: w = d * t, t in -1, 0, 1; made for weights that are so already ---- */

static uint16_t ternary_levels(const float x[QK_K], uint8_t t[QK_K])
{
    float d = max_abs(x, QK_K), inverse = d != 0 ? 1 / d : 0;
    for (int i = 0; i < QK_K; i++)
        t[i] = (uint8_t)((int)roundf(x[i] * inverse) + 1);
    return f32_to_f16(d);
}

/* Five digits, most significant first, as a fraction of 256, rounded up; the digits lie `stride`
 * apart, and those from n on are 0. */
static uint8_t ternary_byte(const uint8_t *t, int stride, int n)
{
    unsigned v = 0;
    for (int i = 0; i < 5; i++)
        v = 3 * v + (i < n ? t[i * stride] : 0u);
    return (uint8_t)((v * 256 + 242) / 243);
}

void quantize__tq1_0(const float *x, const float *importance, size_t n, void *out)
{
    (void)importance;
    struct block_tq1_0 *b = out;
    for (; n > 0; n -= QK_K, x += QK_K, b++) {
        uint8_t t[QK_K];
        b->d = ternary_levels(x, t);
        for (int i = 0; i < 32; i++)
            b->qs[i] = ternary_byte(t + i, 32, 5);
        for (int i = 0; i < 16; i++)
            b->qs[32 + i] = ternary_byte(t + 160 + i, 16, 5);
        for (int i = 0; i < 4; i++)
            b->qh[i] = ternary_byte(t + 240 + i, 4, 4);
    }
}

void quantize__tq2_0(const float *x, const float *importance, size_t n, void *out)
{
    (void)importance;
    struct block_tq2_0 *b = out;
    for (; n > 0; n -= QK_K, x += QK_K, b++) {
        uint8_t t[QK_K];
        b->d = ternary_levels(x, t);
        pack_pairs(t, b->qs);
    }
}
