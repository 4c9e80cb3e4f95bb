/* SPDX-License-Identifier: Apache-2.0
 *
 * Half precision (f16, IEEE binary16) and bfloat16 to and from f32, in plain integer arithmetic.
 * The results are those of the conversion instructions of x86 (F16C) and arm64, NaNs included:
 * round to nearest even, signalling NaNs become quiet. */
#ifndef ENGINE_KERNELS_F16_H
#define ENGINE_KERNELS_F16_H

#include <stdint.h>
#include <string.h>

static inline float f32_from_bits(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof(f));
    return f;
}

static inline uint32_t f32_bits(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof(bits));
    return bits;
}

static inline float f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16;
    uint32_t exp = (h >> 10) & 31;
    uint32_t frac = h & 0x3ffu;
    if (exp == 31)
        return f32_from_bits(sign | 0x7f800000 | (frac << 13) | (frac ? 0x00400000 : 0));
    if (exp == 0) {
        float f = (float)frac * 0x1p-24f; /* zero or subnormal: exact */
        return f32_from_bits(sign | f32_bits(f));
    }
    return f32_from_bits(sign | ((exp + 112) << 23) | (frac << 13));
}

static inline uint16_t f32_to_f16(float f)
{
    uint32_t bits = f32_bits(f);
    uint32_t sign = (bits >> 16) & 0x8000;
    uint32_t mag = bits & 0x7fffffff;
    if (mag > 0x7f800000) /* NaN: keep the head of its payload */
        return (uint16_t)(sign | 0x7e00 | ((mag >> 13) & 0x3ff));
    if (mag >= 0x477ff000) /* 65520 and up round to infinity */
        return (uint16_t)(sign | 0x7c00);
    if (mag < 0x38800000) {
        /* Below 2^-14: adding 0.5 puts units of 2^-24 into the last bits of the fraction, rounded
         * by the adder. */
        float g = f32_from_bits(mag) + 0.5f;
        return (uint16_t)(sign | (f32_bits(g) - 0x3f000000));
    }
    mag += 0x0fff + ((mag >> 13) & 1); /* round half to even; a carry moves into the exponent */
    return (uint16_t)(sign | ((mag >> 13) - (112u << 10)));
}

static inline float bf16_to_f32(uint16_t h)
{
    return f32_from_bits((uint32_t)h << 16);
}

#endif
