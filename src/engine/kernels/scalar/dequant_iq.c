/* SPDX-License-Identifier: Apache-2.0
 *
 * What the IQ weights of one to three bits mean, item by item. */
#include "engine/kernels/scalar/scalar.h"

#include "engine/kernels/f16.h"
#include "engine/kernels/simd/iq_levels.h"

/* Without a branch, because signs are random. */
static float with_sign(float value, uint32_t signs, int i)
{
    return f32_from_bits(f32_bits(value) ^ (signs >> i & 1) << 31);
}

static void put_iq2(float d, uint16_t entry, uint8_t signs, float *dst)
{
    for (int i = 0; i < 8; i++)
        dst[i] = with_sign(d * iq2_levels[entry >> 2 * i & 3], signs, i);
}

/* `first` and `second` are the entries of four items each. */
static void put_iq3(float d, const float *levels, uint16_t first, uint16_t second, uint8_t signs,
                    float *dst)
{
    for (int i = 0; i < 4; i++) {
        dst[i] = with_sign(d * levels[first >> 3 * i & 7], signs, i);
        dst[i + 4] = with_sign(d * levels[second >> 3 * i & 7], signs, i + 4);
    }
}

static void put_iq1(float d, uint16_t entry, float delta, float *dst)
{
    for (int i = 0; i < 8; i++)
        dst[i] = d * (iq1_levels[entry >> 2 * i & 3] + delta);
}

#define IQ_FUNCTION(type) void dequant_##type##_scalar
#include "engine/kernels/simd/dequant_iq.h"
