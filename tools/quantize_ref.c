/* SPDX-License-Identifier: Apache-2.0
 *
 * Reference quantisers. The layouts are those of engine/kernels/types.h. */
#include "quantize_ref.h"

#include <math.h>
#include <string.h>

#include "base/compiler.h"
#include "engine/kernels/f16.h"
#include "engine/kernels/types.h"

static float max_abs(const float *x, size_t n)
{
    float max = 0;
    for (size_t i = 0; i < n; i++)
        max = fmaxf(max, fabsf(x[i]));
    return max;
}

/* round(x / d) kept inside [min, max]; 0 when d is 0. */
static int level(float x, float d, int min, int max)
{
    if (d == 0)
        return MAX(min, MIN(0, max));
    float q = roundf(x / d);
    return q < (float)min ? min : q > (float)max ? max : (int)q;
}

static void quantize_f16(const float *x, size_t n, void *out)
{
    for (size_t i = 0; i < n; i++) {
        uint16_t h = f32_to_f16(x[i]);
        memcpy((char *)out + i * 2, &h, 2);
    }
}

static void quantize_bf16(const float *x, size_t n, void *out)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = f32_bits(x[i]);
        bits += 0x7fff + ((bits >> 16) & 1); /* to nearest, ties to even */
        uint16_t h = (uint16_t)(bits >> 16);
        memcpy((char *)out + i * 2, &h, 2);
    }
}

static void quantize_q8_0(const float *x, size_t n, void *out)
{
    struct block_q8_0 *b = out;
    for (; n > 0; n -= QK, x += QK, b++) {
        b->d = f32_to_f16(max_abs(x, QK) / 127);
        for (int i = 0; i < QK; i++)
            b->qs[i] = (int8_t)level(x[i], f16_to_f32(b->d), -127, 127);
    }
}

static void quantize_q4_0(const float *x, size_t n, void *out)
{
    struct block_q4_0 *b = out;
    for (; n > 0; n -= QK, x += QK, b++) {
        /* Levels are -8..7: the value of the largest magnitude becomes -8, so d has its sign. */
        float extreme = 0;
        for (int i = 0; i < QK; i++)
            if (fabsf(x[i]) > fabsf(extreme))
                extreme = x[i];
        b->d = f32_to_f16(extreme / -8);
        float d = f16_to_f32(b->d);
        for (int i = 0; i < QK / 2; i++) {
            int lo = level(x[i], d, -8, 7) + 8, hi = level(x[i + QK / 2], d, -8, 7) + 8;
            b->qs[i] = (uint8_t)(lo | hi << 4);
        }
    }
}

/* ---- Q4_K and Q5_K: eight sub-blocks of 32, x = d*sc*q - dmin*m with 6-bit sc and m ---- */

struct k_scales {
    uint16_t d, dmin; /* f16 */
    uint8_t sc[8], m[8];
};

static void k_scales_fit(const float *x, int max_level, struct k_scales *k)
{
    float scale[8], min[8];
    for (int j = 0; j < 8; j++) {
        float lo = 0, hi = 0; /* the offset is subtracted: it cannot be negative */
        for (int i = 0; i < 32; i++) {
            lo = fminf(lo, x[32 * j + i]);
            hi = fmaxf(hi, x[32 * j + i]);
        }
        scale[j] = (hi - lo) / (float)max_level;
        min[j] = -lo;
    }
    k->d = f32_to_f16(max_abs(scale, 8) / 63);
    k->dmin = f32_to_f16(max_abs(min, 8) / 63);
    for (int j = 0; j < 8; j++) {
        k->sc[j] = (uint8_t)level(scale[j], f16_to_f32(k->d), 0, 63);
        k->m[j] = (uint8_t)level(min[j], f16_to_f32(k->dmin), 0, 63);
    }
}

/* Sixteen 6-bit numbers in twelve bytes: the first four pairs whole, the others split. */
static void k_scales_pack(const struct k_scales *k, uint8_t out[12])
{
    for (int j = 0; j < 4; j++) {
        out[j] = (uint8_t)(k->sc[j] | (k->sc[j + 4] >> 4) << 6);
        out[j + 4] = (uint8_t)(k->m[j] | (k->m[j + 4] >> 4) << 6);
        out[j + 8] = (uint8_t)((k->sc[j + 4] & 15) | (k->m[j + 4] & 15) << 4);
    }
}

static int k_level(const struct k_scales *k, int j, float x, int max_level)
{
    return level(x + f16_to_f32(k->dmin) * k->m[j], f16_to_f32(k->d) * k->sc[j], 0, max_level);
}

static void quantize_q4_k(const float *x, size_t n, void *out)
{
    struct block_q4_k *b = out;
    for (; n > 0; n -= QK_K, x += QK_K, b++) {
        struct k_scales k;
        k_scales_fit(x, 15, &k);
        b->d = k.d;
        b->dmin = k.dmin;
        k_scales_pack(&k, b->scales);
        for (int i = 0; i < QK_K / 2; i++) {
            int j = i / 32 * 2; /* 32 bytes hold sub-blocks j and j + 1 */
            int lo = k_level(&k, j, x[j * 32 + i % 32], 15);
            int hi = k_level(&k, j + 1, x[(j + 1) * 32 + i % 32], 15);
            b->qs[i] = (uint8_t)(lo | hi << 4);
        }
    }
}

static void quantize_q5_k(const float *x, size_t n, void *out)
{
    struct block_q5_k *b = out;
    for (; n > 0; n -= QK_K, x += QK_K, b++) {
        struct k_scales k;
        k_scales_fit(x, 31, &k);
        b->d = k.d;
        b->dmin = k.dmin;
        k_scales_pack(&k, b->scales);
        memset(b->qh, 0, sizeof(b->qh));
        for (int i = 0; i < QK_K / 2; i++) {
            int j = i / 32 * 2;
            int lo = k_level(&k, j, x[j * 32 + i % 32], 31);
            int hi = k_level(&k, j + 1, x[(j + 1) * 32 + i % 32], 31);
            b->qs[i] = (uint8_t)((lo & 15) | (hi & 15) << 4);
            b->qh[i % 32] |= (uint8_t)((lo >> 4) << j | (hi >> 4) << (j + 1));
        }
    }
}

/* Sixteen sub-blocks of 16, x = d * sc * (q - 32). */
static void quantize_q6_k(const float *x, size_t n, void *out)
{
    struct block_q6_k *b = out;
    for (; n > 0; n -= QK_K, x += QK_K, b++) {
        float scale[16];
        for (int j = 0; j < 16; j++)
            scale[j] = max_abs(x + 16 * j, 16) / 31;
        b->d = f32_to_f16(max_abs(scale, 16) / 127);
        uint8_t q[QK_K];
        for (int j = 0; j < 16; j++)
            b->scales[j] = (int8_t)level(scale[j], f16_to_f32(b->d), 0, 127);
        for (int i = 0; i < QK_K; i++)
            q[i] = (uint8_t)(level(x[i], f16_to_f32(b->d) * b->scales[i / 16], -32, 31) + 32);
        for (int half = 0; half < 2; half++) {
            for (int l = 0; l < 32; l++) {
                const uint8_t *p = q + 128 * half + l; /* items l, l+32, l+64, l+96 of this half */
                b->ql[64 * half + l] = (uint8_t)((p[0] & 15) | (p[64] & 15) << 4);
                b->ql[64 * half + l + 32] = (uint8_t)((p[32] & 15) | (p[96] & 15) << 4);
                b->qh[32 * half + l] = (uint8_t)(p[0] >> 4 | (p[32] >> 4) << 2 | (p[64] >> 4) << 4 |
                                                 (p[96] >> 4) << 6);
            }
        }
    }
}

/* ---- the table ---- */

static void copy_f32(const float *x, size_t n, void *out)
{
    memcpy(out, x, n * sizeof(*x));
}

static void (*const quantisers[WT_COUNT])(const float *x, size_t n, void *out) = {
    [WT_F32] = copy_f32,       [WT_F16] = quantize_f16,   [WT_BF16] = quantize_bf16,
    [WT_Q4_0] = quantize_q4_0, [WT_Q8_0] = quantize_q8_0, [WT_Q4_K] = quantize_q4_k,
    [WT_Q5_K] = quantize_q5_k, [WT_Q6_K] = quantize_q6_k,
};

bool quantize_ref_supports(uint32_t type)
{
    return type < WT_COUNT && quantisers[type];
}

bool quantize_ref(uint32_t type, const float *x, size_t n, void *out)
{
    if (!quantize_ref_supports(type) || n % weight_type_info(type)->block_items != 0)
        return false;
    quantisers[type](x, n, out);
    return true;
}
