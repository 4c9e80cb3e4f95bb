/* SPDX-License-Identifier: Apache-2.0
 *
 * vf on AVX-512 (F, BW, VL, DQ): 16 floats. simd/vf.h says what each function does. */
#ifndef ENGINE_KERNELS_SIMD_VF_AVX512_H
#define ENGINE_KERNELS_SIMD_VF_AVX512_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

typedef __m512 vf;
typedef __m512d vd;

enum { VF_LANES = 16, VF_TILE_X = 4 };

#define VF_LEVEL avx512

static ATTR_INLINE __mmask16 vf_mask(size_t n)
{
    return (__mmask16)((1u << n) - 1);
}

static ATTR_INLINE vf vf_zero(void) { return _mm512_setzero_ps(); }
static ATTR_INLINE vf vf_set1(float f) { return _mm512_set1_ps(f); }
static ATTR_INLINE vf vf_load(const float *p) { return _mm512_loadu_ps(p); }
static ATTR_INLINE void vf_store(float *p, vf v) { _mm512_storeu_ps(p, v); }

static ATTR_INLINE vf vf_load_part(const float *p, size_t n)
{
    return _mm512_maskz_loadu_ps(vf_mask(n), p);
}

static ATTR_INLINE void vf_store_part(float *p, size_t n, vf v)
{
    _mm512_mask_storeu_ps(p, vf_mask(n), v);
}

static ATTR_INLINE vf vf_load_f16(const void *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}

static ATTR_INLINE vf vf_load_f16_part(const void *p, size_t n)
{
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(vf_mask(n), p));
}

static ATTR_INLINE void vf_store_f16(uint16_t *p, vf v)
{
    _mm256_storeu_si256((__m256i *)(void *)p, _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}

static ATTR_INLINE void vf_store_f16_part(uint16_t *p, size_t n, vf v)
{
    _mm256_mask_storeu_epi16(p, vf_mask(n), _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}

static ATTR_INLINE vf vf_from_bf16(__m256i h)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
}

static ATTR_INLINE vf vf_load_bf16(const void *p)
{
    return vf_from_bf16(_mm256_loadu_si256((const __m256i *)p));
}

static ATTR_INLINE vf vf_load_bf16_part(const void *p, size_t n)
{
    return vf_from_bf16(_mm256_maskz_loadu_epi16(vf_mask(n), p));
}

static ATTR_INLINE vf vf_add(vf a, vf b) { return _mm512_add_ps(a, b); }
static ATTR_INLINE vf vf_sub(vf a, vf b) { return _mm512_sub_ps(a, b); }
static ATTR_INLINE vf vf_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
static ATTR_INLINE vf vf_div(vf a, vf b) { return _mm512_div_ps(a, b); }
static ATTR_INLINE vf vf_min(vf a, vf b) { return _mm512_min_ps(a, b); }
static ATTR_INLINE vf vf_max(vf a, vf b) { return _mm512_max_ps(a, b); }
static ATTR_INLINE vf vf_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
static ATTR_INLINE vf vf_abs(vf a) { return _mm512_abs_ps(a); }

static ATTR_INLINE vf vf_copysign(vf a, vf sign)
{
    const __m512 bit = _mm512_set1_ps(-0.0f);
    return _mm512_or_ps(_mm512_andnot_ps(bit, a), _mm512_and_ps(bit, sign));
}

static ATTR_INLINE vf vf_if_less(vf a, vf b, vf yes, vf no)
{
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), no, yes);
}

static ATTR_INLINE vf vf_round(vf a)
{
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

static ATTR_INLINE vf vf_scale2(vf a, vf n) { return _mm512_scalef_ps(a, n); }

static ATTR_INLINE __m128 vf_fold4(vf v)
{
    __m256 h = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    return _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
}

static ATTR_INLINE float vf_hmax(vf v) { return _mm512_reduce_max_ps(v); }

static ATTR_INLINE vd vd_zero(void) { return _mm512_setzero_pd(); }
static ATTR_INLINE vd vd_set1(double d) { return _mm512_set1_pd(d); }
static ATTR_INLINE vd vd_low(vf v) { return _mm512_cvtps_pd(_mm512_castps512_ps256(v)); }
static ATTR_INLINE vd vd_high(vf v) { return _mm512_cvtps_pd(_mm512_extractf32x8_ps(v, 1)); }
static ATTR_INLINE vd vd_add(vd a, vd b) { return _mm512_add_pd(a, b); }
static ATTR_INLINE vd vd_sub(vd a, vd b) { return _mm512_sub_pd(a, b); }
static ATTR_INLINE vd vd_fma(vd a, vd b, vd c) { return _mm512_fmadd_pd(a, b, c); }
static ATTR_INLINE double vd_sum(vd v) { return _mm512_reduce_add_pd(v); }

#include "engine/kernels/simd/vf_x86.h"

#endif
