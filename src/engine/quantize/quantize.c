/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of quantisers, and the types that need no search. */
#include "engine/quantize/quantize.h"

#include <float.h>
#include <string.h>

#include "engine/kernels/f16.h"
#include "engine/kernels/types.h"
#include "engine/quantize/quantize_internal.h"

static void to_f32(const float *x, const float *importance, size_t n, void *out)
{
    (void)importance;
    memcpy(out, x, n * sizeof(*x));
}

static void to_f16(const float *x, const float *importance, size_t n, void *out)
{
    (void)importance;
    for (size_t i = 0; i < n; i++) {
        uint16_t h = f32_to_f16(x[i]);
        memcpy((char *)out + i * sizeof(h), &h, sizeof(h));
    }
}

static void to_bf16(const float *x, const float *importance, size_t n, void *out)
{
    (void)importance;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = f32_bits(x[i]);
        bits += 0x7fff + ((bits >> 16) & 1); /* to nearest, ties to even */
        uint16_t h = (uint16_t)(bits >> 16);
        memcpy((char *)out + i * sizeof(h), &h, sizeof(h));
    }
}

/* Largest numbers: of f16; of bf16, which is what f32 can round to; of a code of mxfp4 times its
 * largest scale is beyond f32. */
#define F16_MAX 65504.0f
#define BF16_MAX 0x1.fep127f

static const struct {
    quantize_fn fn;
    float max;
} quantisers[WT_COUNT] = {
    [WT_F32] = {to_f32, FLT_MAX},
    [WT_F16] = {to_f16, F16_MAX},
    [WT_BF16] = {to_bf16, BF16_MAX},
    [WT_Q4_0] = {quantize__q4_0, F16_MAX},
    [WT_Q4_1] = {quantize__q4_1, F16_MAX},
    [WT_Q5_0] = {quantize__q5_0, F16_MAX},
    [WT_Q5_1] = {quantize__q5_1, F16_MAX},
    [WT_Q8_0] = {quantize__q8_0, F16_MAX},
    [WT_Q2_K] = {quantize__q2_k, F16_MAX},
    [WT_Q3_K] = {quantize__q3_k, F16_MAX},
    [WT_Q4_K] = {quantize__q4_k, F16_MAX},
    [WT_Q5_K] = {quantize__q5_k, F16_MAX},
    [WT_Q6_K] = {quantize__q6_k, F16_MAX},
    [WT_IQ4_NL] = {quantize__iq4_nl, F16_MAX},
    [WT_IQ4_XS] = {quantize__iq4_xs, F16_MAX},
    [WT_TQ1_0] = {quantize__tq1_0, F16_MAX},
    [WT_TQ2_0] = {quantize__tq2_0, F16_MAX},
    [WT_MXFP4] = {quantize__mxfp4, BF16_MAX},
};

bool quantize_supports(uint32_t type)
{
    return type < WT_COUNT && quantisers[type].fn;
}

bool quantize_row(uint32_t type, const float *x, const float *importance, size_t n, void *out)
{
    if (!quantize_supports(type) || n % weight_type_info(type)->block_items != 0)
        return false;
    quantisers[type].fn(x, importance, n, out);
    return true;
}

float quantize_max(uint32_t type)
{
    return quantize_supports(type) ? quantisers[type].max : 0;
}
