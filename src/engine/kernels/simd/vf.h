/* SPDX-License-Identifier: Apache-2.0
 *
 * vf: a vector of VF_LANES floats, so that one text serves every instruction set. A file of a level
 * includes vf_LEVEL.h and then the kernels it wants (dot.h, vector.h, attention.h). Each vf_LEVEL.h has:
 *
 *   VF_LEVEL                  the level's name, for VF_NAME
 *   VF_LANES, VF_TILE_X       lanes; vectors x that a dot product's tile of DOT_ROWS rows takes
 *   vf_load, vf_store         at any address; _part: the first n < VF_LANES, the others read as 0
 *   vf_load_f16, _bf16        the same from halves
 *   vf_store_f16              rounded to nearest even
 *   vf_add, sub, mul, div     one rounding each
 *   vf_fma(a, b, c)           a * b + c, one rounding
 *   vf_min(a, b), vf_max      b where one is a NaN (arm: the NaN)
 *   vf_if_less(a, b, y, n)    a < b ? y : n, lane by lane; false for NaN
 *   vf_round, vf_scale2(a, n) to nearest integer; a * 2^n for whole n in [-160, 160]
 *   vf_sum                    halves onto each other until one lane is left
 *   vf_sum4                   vf_sum of four vectors: the same additions
 *   vf_hmax                   largest lane
 *   vd_…                      f64 vectors of half the lanes; vd_low, vd_high convert half a vf
 */
#ifndef ENGINE_KERNELS_SIMD_VF_H
#define ENGINE_KERNELS_SIMD_VF_H

#include "base/compiler.h"

#define VF_PASTE_(a, b) a##_##b
#define VF_PASTE(a, b) VF_PASTE_(a, b)

/* dot → dot_avx2: the level shows in profiles. */
#define VF_NAME(name) VF_PASTE(name, VF_LEVEL)

/* Unrolls the loop that follows: its body has arrays that should be registers. */
#if defined(__clang__)
#define VF_UNROLL _Pragma("unroll")
#define VF_NO_UNROLL _Pragma("nounroll")
#else
#define VF_UNROLL _Pragma("GCC unroll 16")
#define VF_NO_UNROLL _Pragma("GCC unroll 1")
#endif

/* exp(x), error at most 2 units in the last place: x = n ln 2 + r, |r| <= ln 2 / 2, and the series
 * of e^r to r^7, whose rest is below 6e-9. exp(0) is 1, NaN stays. */
static ATTR_INLINE vf vf_exp(vf x)
{
    /* Beyond these the result is 0 or infinite. The constant stands first: see vf_min. */
    x = vf_max(vf_set1(-105.0f), vf_min(vf_set1(89.0f), x));
    vf n = vf_round(vf_mul(x, vf_set1(1.44269504f)));
    vf r = vf_fma(n, vf_set1(-0.693145752f), x); /* ln 2 in two parts; n times the first is exact */
    r = vf_fma(n, vf_set1(-1.42860677e-6f), r);
    vf p = vf_set1(1.0f / 5040);
    p = vf_fma(p, r, vf_set1(1.0f / 720));
    p = vf_fma(p, r, vf_set1(1.0f / 120));
    p = vf_fma(p, r, vf_set1(1.0f / 24));
    p = vf_fma(p, r, vf_set1(1.0f / 6));
    p = vf_fma(p, r, vf_set1(0.5f));
    p = vf_fma(p, r, vf_set1(1.0f));
    p = vf_fma(p, r, vf_set1(1.0f));
    return vf_scale2(p, n);
}

/* tanh(x), relative error at most 4 * 2^-24: the series near 0, else (1 - e)/(1 + e), e = exp(-2|x|),
 * with the sign of x. */
static ATTR_INLINE vf vf_tanh(vf x)
{
    vf one = vf_set1(1.0f), abs = vf_abs(x);
    vf e = vf_exp(vf_mul(abs, vf_set1(-2.0f)));
    vf far = vf_copysign(vf_div(vf_sub(one, e), vf_add(one, e)), x);
    vf s = vf_mul(x, x);
    vf p = vf_set1(-1382.0f / 155925);
    p = vf_fma(p, s, vf_set1(62.0f / 2835));
    p = vf_fma(p, s, vf_set1(-17.0f / 315));
    p = vf_fma(p, s, vf_set1(2.0f / 15));
    p = vf_fma(p, s, vf_set1(-1.0f / 3));
    p = vf_mul(p, s);
    return vf_if_less(abs, vf_set1(0.25f), vf_fma(p, x, x), far);
}

#endif
