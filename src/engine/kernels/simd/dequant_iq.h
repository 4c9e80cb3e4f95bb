/* SPDX-License-Identifier: Apache-2.0
 *
 * The blocks of IQ weights of one to three bits: four or eight neighbours are one entry of a grid,
 * with a sign for each of them. The layouts are in types.h, the grids in scalar/iq_grids.c.
 *
 * Before this is included the level says how functions are called, IQ_FUNCTION(iq2_xs), and what
 * puts eight items: put_iq2, put_iq3, put_iq1. Every product and sum there is one rounding, so all
 * levels give the same bits. */
#ifndef ENGINE_KERNELS_SIMD_DEQUANT_IQ_H
#define ENGINE_KERNELS_SIMD_DEQUANT_IQ_H

#include "engine/kernels/f16.h"
#include "engine/kernels/kernels_internal.h"

/* Eight signs in seven bits: the number of negative ones is even. */
static uint8_t signs_of(uint32_t seven)
{
    seven &= 127;
    return (uint8_t)(seven | (uint32_t)__builtin_parity(seven) << 7);
}

static float half_scale(float d, uint32_t scale, float factor)
{
    return d * (0.5f + (float)scale) * factor;
}

IQ_FUNCTION(iq2_xxs)(const void *row, float *dst, size_t n)
{
    const struct block_iq2_xxs *b = row;
    for (; n >= QK_K; n -= QK_K, b++) {
        float d = f16_to_f32(b->d);
        for (size_t s = 0; s < QK_K / 32; s++) {
            uint32_t bits = b->sub[s].scale_signs;
            float ds = half_scale(d, bits >> 28, 0.25f);
            for (size_t g = 0; g < 4; g++, dst += 8)
                put_iq2(ds, kernels__iq2_xxs_grid[b->sub[s].qs[g]], signs_of(bits >> 7 * g), dst);
        }
    }
}

IQ_FUNCTION(iq2_xs)(const void *row, float *dst, size_t n)
{
    const struct block_iq2_xs *b = row;
    for (; n >= QK_K; n -= QK_K, b++) {
        float d = f16_to_f32(b->d);
        for (size_t g = 0; g < QK_K / 8; g++, dst += 8) {
            uint32_t q = b->qs[g];
            float ds = half_scale(d, b->scales[g / 4] >> (g & 2 ? 4 : 0) & 15, 0.25f);
            put_iq2(ds, kernels__iq2_xs_grid[q & 511], signs_of(q >> 9), dst);
        }
    }
}

IQ_FUNCTION(iq2_s)(const void *row, float *dst, size_t n)
{
    const struct block_iq2_s *b = row;
    for (; n >= QK_K; n -= QK_K, b++) {
        float d = f16_to_f32(b->d);
        for (size_t g = 0; g < QK_K / 8; g++, dst += 8) {
            uint32_t q = b->qs[g] | ((uint32_t)b->qh[g / 4] >> 2 * (g % 4) & 3) << 8;
            float ds = half_scale(d, b->scales[g / 4] >> (g & 2 ? 4 : 0) & 15, 0.25f);
            put_iq2(ds, kernels__iq2_s_grid[q], b->signs[g], dst);
        }
    }
}

IQ_FUNCTION(iq3_xxs)(const void *row, float *dst, size_t n)
{
    const struct block_iq3_xxs *b = row;
    for (; n >= QK_K; n -= QK_K, b++) {
        float d = f16_to_f32(b->d);
        for (size_t g = 0; g < QK_K / 8; g++, dst += 8) {
            uint32_t bits = b->scale_signs[g / 4];
            put_iq3(half_scale(d, bits >> 28, 0.5f), iq3_xxs_levels,
                    kernels__iq3_xxs_grid[b->qs[2 * g]], kernels__iq3_xxs_grid[b->qs[2 * g + 1]],
                    signs_of(bits >> 7 * (g % 4)), dst);
        }
    }
}

IQ_FUNCTION(iq3_s)(const void *row, float *dst, size_t n)
{
    const struct block_iq3_s *b = row;
    for (; n >= QK_K; n -= QK_K, b++) {
        float d = f16_to_f32(b->d);
        for (size_t g = 0; g < QK_K / 8; g++, dst += 8) {
            uint32_t high = (uint32_t)b->qh[g / 4] >> 2 * (g % 4);
            uint32_t first = b->qs[2 * g] | (high & 1) << 8;
            uint32_t second = b->qs[2 * g + 1] | (high >> 1 & 1) << 8;
            int scale = b->scales[g / 8] >> (g & 4 ? 4 : 0) & 15;
            put_iq3(d * (float)(1 + 2 * scale), iq3_s_levels, kernels__iq3_s_grid[first],
                    kernels__iq3_s_grid[second], b->signs[g], dst);
        }
    }
}

IQ_FUNCTION(iq1_s)(const void *row, float *dst, size_t n)
{
    const struct block_iq1_s *b = row;
    for (; n >= QK_K; n -= QK_K, b++) {
        float d = f16_to_f32(b->d);
        for (size_t g = 0; g < QK_K / 8; g++, dst += 8) {
            uint32_t high = b->qh[g / 4];
            uint32_t q = b->qs[g] | (high >> 3 * (g % 4) & 7) << 8;
            put_iq1(d * (float)(2 * (high >> 12 & 7) + 1), kernels__iq1_grid[q],
                    high >> 15 ? -IQ1_DELTA : IQ1_DELTA, dst);
        }
    }
}

IQ_FUNCTION(iq1_m)(const void *row, float *dst, size_t n)
{
    const struct block_iq1_m *b = row;
    for (; n >= QK_K; n -= QK_K, b++) {
        uint32_t d_bits = 0;
        for (size_t i = 0; i < 4; i++)
            d_bits |= (uint32_t)(b->scales[i] >> 12) << 4 * i;
        float d = f16_to_f32((uint16_t)d_bits);
        for (size_t g = 0; g < QK_K / 8; g++, dst += 8) {
            uint32_t high = (uint32_t)b->qh[g / 2] >> (g & 1 ? 4 : 0) & 15;
            uint32_t q = b->qs[g] | (high & 7) << 8;
            uint32_t scale = (uint32_t)b->scales[g / 8] >> 3 * (g / 2 % 4) & 7;
            put_iq1(d * (float)(2 * scale + 1), kernels__iq1_grid[q],
                    high & 8 ? -IQ1_DELTA : IQ1_DELTA, dst);
        }
    }
}

#endif
