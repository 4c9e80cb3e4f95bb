/* SPDX-License-Identifier: Apache-2.0
 *
 * vf on AVX2 with FMA and F16C: 8 floats. simd/vf.h says what each function does. */
#ifndef ENGINE_KERNELS_SIMD_VF_AVX2_H
#define ENGINE_KERNELS_SIMD_VF_AVX2_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/compiler.h"

typedef __m256 vf;
typedef __m256d vd;

enum { VF_LANES = 8, VF_TILE_X = 3 };

#define VF_LEVEL avx2

static ATTR_INLINE vf vf_zero(void) { return _mm256_setzero_ps(); }
static ATTR_INLINE vf vf_set1(float f) { return _mm256_set1_ps(f); }
static ATTR_INLINE vf vf_load(const float *p) { return _mm256_loadu_ps(p); }
static ATTR_INLINE void vf_store(float *p, vf v) { _mm256_storeu_ps(p, v); }

/* All bits set in the first n lanes. */
static ATTR_INLINE __m256i vf_mask(size_t n)
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), lane);
}

static ATTR_INLINE vf vf_load_part(const float *p, size_t n)
{
    return _mm256_maskload_ps(p, vf_mask(n));
}

static ATTR_INLINE void vf_store_part(float *p, size_t n, vf v)
{
    _mm256_maskstore_ps(p, vf_mask(n), v);
}

static ATTR_INLINE __m128i vf_load_half_part(const void *p, size_t n)
{
    uint16_t h[8] = {0};
    memcpy(h, p, n * sizeof(h[0]));
    return _mm_loadu_si128((const __m128i *)h);
}

static ATTR_INLINE vf vf_load_f16(const void *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
}

static ATTR_INLINE vf vf_load_f16_part(const void *p, size_t n)
{
    return _mm256_cvtph_ps(vf_load_half_part(p, n));
}

static ATTR_INLINE void vf_store_f16(uint16_t *p, vf v)
{
    _mm_storeu_si128((__m128i *)(void *)p, _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}

static ATTR_INLINE void vf_store_f16_part(uint16_t *p, size_t n, vf v)
{
    uint16_t h[8];
    vf_store_f16(h, v);
    memcpy(p, h, n * sizeof(h[0]));
}

static ATTR_INLINE vf vf_from_bf16(__m128i h)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16));
}

static ATTR_INLINE vf vf_load_bf16(const void *p)
{
    return vf_from_bf16(_mm_loadu_si128((const __m128i *)p));
}

static ATTR_INLINE vf vf_load_bf16_part(const void *p, size_t n)
{
    return vf_from_bf16(vf_load_half_part(p, n));
}

static ATTR_INLINE vf vf_add(vf a, vf b) { return _mm256_add_ps(a, b); }
static ATTR_INLINE vf vf_sub(vf a, vf b) { return _mm256_sub_ps(a, b); }
static ATTR_INLINE vf vf_mul(vf a, vf b) { return _mm256_mul_ps(a, b); }
static ATTR_INLINE vf vf_div(vf a, vf b) { return _mm256_div_ps(a, b); }
static ATTR_INLINE vf vf_min(vf a, vf b) { return _mm256_min_ps(a, b); }
static ATTR_INLINE vf vf_max(vf a, vf b) { return _mm256_max_ps(a, b); }
static ATTR_INLINE vf vf_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
static ATTR_INLINE vf vf_abs(vf a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }

static ATTR_INLINE vf vf_copysign(vf a, vf sign)
{
    const __m256 bit = _mm256_set1_ps(-0.0f);
    return _mm256_or_ps(_mm256_andnot_ps(bit, a), _mm256_and_ps(bit, sign));
}

static ATTR_INLINE vf vf_if_less(vf a, vf b, vf yes, vf no)
{
    return _mm256_blendv_ps(no, yes, _mm256_cmp_ps(a, b, _CMP_LT_OQ));
}

static ATTR_INLINE vf vf_round(vf a)
{
    return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

static ATTR_INLINE vf vf_pow2(__m256i n)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
}

/* In two factors, since 2^n itself may lie outside the normal numbers. */
static ATTR_INLINE vf vf_scale2(vf a, vf n)
{
    __m256i whole = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(whole, 1);
    return vf_mul(vf_mul(a, vf_pow2(half)), vf_pow2(_mm256_sub_epi32(whole, half)));
}

static ATTR_INLINE __m128 vf_fold4(vf v)
{
    return _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
}

static ATTR_INLINE float vf_hmax(vf v)
{
    __m128 x = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    x = _mm_max_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)));
}

static ATTR_INLINE vd vd_zero(void) { return _mm256_setzero_pd(); }
static ATTR_INLINE vd vd_set1(double d) { return _mm256_set1_pd(d); }
static ATTR_INLINE vd vd_low(vf v) { return _mm256_cvtps_pd(_mm256_castps256_ps128(v)); }
static ATTR_INLINE vd vd_high(vf v) { return _mm256_cvtps_pd(_mm256_extractf128_ps(v, 1)); }
static ATTR_INLINE vd vd_add(vd a, vd b) { return _mm256_add_pd(a, b); }
static ATTR_INLINE vd vd_sub(vd a, vd b) { return _mm256_sub_pd(a, b); }
static ATTR_INLINE vd vd_fma(vd a, vd b, vd c) { return _mm256_fmadd_pd(a, b, c); }

static ATTR_INLINE double vd_sum(vd v)
{
    __m128d x = _mm_add_pd(_mm256_castpd256_pd128(v), _mm256_extractf128_pd(v, 1));
    return _mm_cvtsd_f64(_mm_add_sd(x, _mm_unpackhi_pd(x, x)));
}

#include "engine/kernels/simd/vf_x86.h"

#endif
