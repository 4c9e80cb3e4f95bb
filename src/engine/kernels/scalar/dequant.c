/* SPDX-License-Identifier: Apache-2.0
 *
 * What packed weights mean: the definition of every type, block by block. The formulas are in
 * types.h; each product and sum here is one rounding, which the SIMD versions repeat. */
#include "engine/kernels/scalar/scalar.h"

#include <string.h>

#include "engine/kernels/f16.h"
#include "engine/kernels/kernels_internal.h"

const int8_t kernels__iq4_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                        1,    13,   25,  38,  53,  69,  89,  113};

/* Twice the values of a 4-bit float (e2m1); the scale is halved for it. */
const int8_t kernels__mxfp4_values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

void dequant_f32_scalar(const void *row, float *dst, size_t n)
{
    memcpy(dst, row, n * sizeof(float));
}

void dequant_f16_scalar(const void *row, float *dst, size_t n)
{
    const unsigned char *p = row;
    for (size_t i = 0; i < n; i++) {
        uint16_t h;
        memcpy(&h, p + 2 * i, sizeof(h));
        dst[i] = f16_to_f32(h);
    }
}

void dequant_bf16_scalar(const void *row, float *dst, size_t n)
{
    const unsigned char *p = row;
    for (size_t i = 0; i < n; i++) {
        uint16_t h;
        memcpy(&h, p + 2 * i, sizeof(h));
        dst[i] = bf16_to_f32(h);
    }
}

void dequant_q4_0_scalar(const void *row, float *dst, size_t n)
{
    const struct block_q4_0 *b = row;
    for (; n >= QK; n -= QK, b++, dst += QK) {
        float d = f16_to_f32(b->d);
        for (int i = 0; i < QK / 2; i++) {
            dst[i] = d * (float)((b->qs[i] & 15) - 8);
            dst[i + QK / 2] = d * (float)((b->qs[i] >> 4) - 8);
        }
    }
}

void dequant_q4_1_scalar(const void *row, float *dst, size_t n)
{
    const struct block_q4_1 *b = row;
    for (; n >= QK; n -= QK, b++, dst += QK) {
        float d = f16_to_f32(b->d), m = f16_to_f32(b->m);
        for (int i = 0; i < QK / 2; i++) {
            dst[i] = d * (float)(b->qs[i] & 15) + m;
            dst[i + QK / 2] = d * (float)(b->qs[i] >> 4) + m;
        }
    }
}

/* Item i of a block with a fifth bit: 0..31. */
static int q5_item(const uint8_t *qs, const uint8_t *qh, int i)
{
    int low = i < QK / 2 ? qs[i] & 15 : qs[i - QK / 2] >> 4;
    int high = (qh[i / 8] >> (i % 8)) & 1;
    return low | (high << 4);
}

void dequant_q5_0_scalar(const void *row, float *dst, size_t n)
{
    const struct block_q5_0 *b = row;
    for (; n >= QK; n -= QK, b++, dst += QK) {
        float d = f16_to_f32(b->d);
        for (int i = 0; i < QK; i++)
            dst[i] = d * (float)(q5_item(b->qs, b->qh, i) - 16);
    }
}

void dequant_q5_1_scalar(const void *row, float *dst, size_t n)
{
    const struct block_q5_1 *b = row;
    for (; n >= QK; n -= QK, b++, dst += QK) {
        float d = f16_to_f32(b->d), m = f16_to_f32(b->m);
        for (int i = 0; i < QK; i++)
            dst[i] = d * (float)q5_item(b->qs, b->qh, i) + m;
    }
}

void dequant_q8_0_scalar(const void *row, float *dst, size_t n)
{
    const struct block_q8_0 *b = row;
    for (; n >= QK; n -= QK, b++, dst += QK) {
        float d = f16_to_f32(b->d);
        for (int i = 0; i < QK; i++)
            dst[i] = d * (float)b->qs[i];
    }
}

/* Item i of 256 two-bit items: in halves of 128, four items a byte, 32 apart. */
static int q2_item(const uint8_t *qs, int i)
{
    int byte = (i / 128) * 32 + i % 32;
    int shift = 2 * ((i % 128) / 32);
    return (qs[byte] >> shift) & 3;
}

void dequant_q2_k_scalar(const void *row, float *dst, size_t n)
{
    const struct block_q2_k *b = row;
    for (; n >= QK_K; n -= QK_K, b++, dst += QK_K) {
        float d = f16_to_f32(b->d), dmin = f16_to_f32(b->dmin);
        for (int i = 0; i < QK_K; i++) {
            float dl = d * (float)(b->scales[i / 16] & 15);
            float ml = dmin * (float)(b->scales[i / 16] >> 4);
            dst[i] = dl * (float)q2_item(b->qs, i) - ml;
        }
    }
}

/* The 6-bit scale of sub-block j of q3_k: four low bits in bytes 0-7, two high ones in 8-11. */
static int q3_k_scale(const uint8_t *s, int j)
{
    int low = j < 8 ? s[j] & 15 : s[j - 8] >> 4;
    int high = (s[8 + j % 4] >> (2 * (j / 4))) & 3;
    return low | (high << 4);
}

void dequant_q3_k_scalar(const void *row, float *dst, size_t n)
{
    const struct block_q3_k *b = row;
    for (; n >= QK_K; n -= QK_K, b++, dst += QK_K) {
        float d = f16_to_f32(b->d);
        for (int i = 0; i < QK_K; i++) {
            float dl = d * (float)(q3_k_scale(b->scales, i / 16) - 32);
            int high = (b->hmask[i % 32] >> (i / 32)) & 1;
            dst[i] = dl * (float)(q2_item(b->qs, i) + 4 * high - 4);
        }
    }
}

void dequant_q4_k_scalar(const void *row, float *dst, size_t n)
{
    const struct block_q4_k *b = row;
    for (; n >= QK_K; n -= QK_K, b++) {
        float d = f16_to_f32(b->d), dmin = f16_to_f32(b->dmin);
        for (size_t j = 0; j < QK_K / 32; j++, dst += 32) {
            uint8_t sc, m;
            k4_scale_min(b->scales, j, &sc, &m);
            float dl = d * (float)sc, ml = dmin * (float)m;
            const uint8_t *q = b->qs + 32 * (j / 2);
            for (int i = 0; i < 32; i++)
                dst[i] = dl * (float)(j % 2 ? q[i] >> 4 : q[i] & 15) - ml;
        }
    }
}

void dequant_q5_k_scalar(const void *row, float *dst, size_t n)
{
    const struct block_q5_k *b = row;
    for (; n >= QK_K; n -= QK_K, b++) {
        float d = f16_to_f32(b->d), dmin = f16_to_f32(b->dmin);
        for (size_t j = 0; j < QK_K / 32; j++, dst += 32) {
            uint8_t sc, m;
            k4_scale_min(b->scales, j, &sc, &m);
            float dl = d * (float)sc, ml = dmin * (float)m;
            const uint8_t *q = b->qs + 32 * (j / 2);
            for (int i = 0; i < 32; i++) {
                int low = j % 2 ? q[i] >> 4 : q[i] & 15;
                int high = (b->qh[i] >> j) & 1;
                dst[i] = dl * (float)(low | (high << 4)) - ml;
            }
        }
    }
}

void dequant_q6_k_scalar(const void *row, float *dst, size_t n)
{
    const struct block_q6_k *b = row;
    for (; n >= QK_K; n -= QK_K, b++) {
        float d = f16_to_f32(b->d);
        for (int half = 0; half < 2; half++) {
            const uint8_t *ql = b->ql + 64 * half;
            const uint8_t *qh = b->qh + 32 * half;
            /* four runs of 32 items; each byte of qh has the two high bits for all of them */
            for (int run = 0; run < 4; run++, dst += 32) {
                for (int i = 0; i < 32; i++) {
                    uint8_t byte = ql[i + 32 * (run % 2)];
                    int low = run < 2 ? byte & 15 : byte >> 4;
                    int high = (qh[i] >> (2 * run)) & 3;
                    float dl = d * (float)b->scales[8 * half + 2 * run + i / 16];
                    dst[i] = dl * (float)((low | (high << 4)) - 32);
                }
            }
        }
    }
}

void dequant_iq4_nl_scalar(const void *row, float *dst, size_t n)
{
    const struct block_iq4_nl *b = row;
    for (; n >= QK; n -= QK, b++, dst += QK) {
        float d = f16_to_f32(b->d);
        for (int i = 0; i < QK / 2; i++) {
            dst[i] = d * (float)kernels__iq4_values[b->qs[i] & 15];
            dst[i + QK / 2] = d * (float)kernels__iq4_values[b->qs[i] >> 4];
        }
    }
}

void dequant_iq4_xs_scalar(const void *row, float *dst, size_t n)
{
    const struct block_iq4_xs *b = row;
    for (; n >= QK_K; n -= QK_K, b++) {
        float d = f16_to_f32(b->d);
        for (int j = 0; j < QK_K / 32; j++, dst += 32) {
            int low = (b->scales_l[j / 2] >> (4 * (j % 2))) & 15;
            int high = (b->scales_h >> (2 * j)) & 3;
            float dl = d * (float)((low | (high << 4)) - 32);
            for (int i = 0; i < 16; i++) {
                dst[i] = dl * (float)kernels__iq4_values[b->qs[16 * j + i] & 15];
                dst[i + 16] = dl * (float)kernels__iq4_values[b->qs[16 * j + i] >> 4];
            }
        }
    }
}

/* Ternary digit `at` (most significant first) of a byte: the byte is the fraction t/3^5 of 256,
 * rounded up; times 3^at, modulo 256, leaves the digit in front. */
static int ternary_digit(uint8_t byte, int at)
{
    static const uint8_t pow3[5] = {1, 3, 9, 27, 81};
    uint8_t rest = (uint8_t)(byte * pow3[at]);
    return (rest * 3) >> 8;
}

void dequant_tq1_0_scalar(const void *row, float *dst, size_t n)
{
    const struct block_tq1_0 *b = row;
    for (; n >= QK_K; n -= QK_K, b++) {
        float d = f16_to_f32(b->d);
        for (int at = 0; at < 5; at++)
            for (int i = 0; i < 32; i++)
                *dst++ = d * (float)(ternary_digit(b->qs[i], at) - 1);
        for (int at = 0; at < 5; at++)
            for (int i = 32; i < 48; i++)
                *dst++ = d * (float)(ternary_digit(b->qs[i], at) - 1);
        for (int at = 0; at < 4; at++)
            for (int i = 0; i < 4; i++)
                *dst++ = d * (float)(ternary_digit(b->qh[i], at) - 1);
    }
}

void dequant_tq2_0_scalar(const void *row, float *dst, size_t n)
{
    const struct block_tq2_0 *b = row;
    for (; n >= QK_K; n -= QK_K, b++, dst += QK_K) {
        float d = f16_to_f32(b->d);
        for (int i = 0; i < QK_K; i++)
            dst[i] = d * (float)(q2_item(b->qs, i) - 1);
    }
}

void dequant_mxfp4_scalar(const void *row, float *dst, size_t n)
{
    const struct block_mxfp4 *b = row;
    for (; n >= QK; n -= QK, b++, dst += QK) {
        /* 2^(e - 128); the two smallest are subnormal */
        uint32_t e = b->e;
        float d = f32_from_bits(e < 2 ? 0x00200000u << e : (e - 1) << 23);
        for (int i = 0; i < QK / 2; i++) {
            dst[i] = d * (float)kernels__mxfp4_values[b->qs[i] & 15];
            dst[i + QK / 2] = d * (float)kernels__mxfp4_values[b->qs[i] >> 4];
        }
    }
}

/* Half of what the four bits of exponent and three of mantissa say; the top bit is not looked at.
 */
static float nvfp4_scale(uint8_t d)
{
    uint32_t exponent = d >> 3 & 15, mantissa = d & 7;
    if (d == 0x7f)
        return 0.0f;
    if (exponent == 0)
        return (float)mantissa * 0x1p-10f;
    return f32_from_bits((exponent + 119) << 23 | mantissa << 20); /* 2^(e - 8) */
}

void dequant_nvfp4_scalar(const void *row, float *dst, size_t n)
{
    enum { ITEMS = 64, SUB = 16 };
    const struct block_nvfp4 *b = row;
    for (; n >= ITEMS; n -= ITEMS, b++) {
        for (int s = 0; s < ITEMS / SUB; s++, dst += SUB) {
            float d = nvfp4_scale(b->d[s]);
            const uint8_t *qs = b->qs + s * SUB / 2;
            for (int i = 0; i < SUB / 2; i++) {
                dst[i] = d * (float)kernels__mxfp4_values[qs[i] & 15];
                dst[i + SUB / 2] = d * (float)kernels__mxfp4_values[qs[i] >> 4];
            }
        }
    }
}

void dequant_q8_1_scalar(const void *row, float *dst, size_t n)
{
    const struct block_q8_1 *b = row;
    for (; n >= QK; n -= QK, b++, dst += QK) {
        float d = f16_to_f32(b->d);
        for (int i = 0; i < QK; i++)
            dst[i] = d * (float)b->qs[i];
    }
}

void dequant_q8_k_scalar(const void *row, float *dst, size_t n)
{
    const struct block_q8_k *b = row;
    for (; n >= QK_K; n -= QK_K, b++, dst += QK_K) {
        float d = f32_from_bits(b->d);
        for (int i = 0; i < QK_K; i++)
            dst[i] = d * (float)b->qs[i];
    }
}
