/* SPDX-License-Identifier: Apache-2.0
 *
 * vf on arm64's Advanced SIMD: 4 floats. simd/vf.h says what each function does. */
#ifndef ENGINE_KERNELS_SIMD_VF_NEON_H
#define ENGINE_KERNELS_SIMD_VF_NEON_H

#include <arm_neon.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/compiler.h"

typedef float32x4_t vf;
typedef float64x2_t vd;

enum { VF_LANES = 4, VF_TILE_X = 4 };

#define VF_LEVEL neon

static ATTR_INLINE vf vf_zero(void) { return vdupq_n_f32(0); }
static ATTR_INLINE vf vf_set1(float f) { return vdupq_n_f32(f); }
static ATTR_INLINE void vf_store(float *p, vf v) { vst1q_f32(p, v); }

/* Through bytes: rows of a file need not be aligned to floats. */
static ATTR_INLINE vf vf_load(const float *p)
{
    return vreinterpretq_f32_u8(vld1q_u8((const uint8_t *)(const void *)p));
}

static ATTR_INLINE vf vf_load_part(const float *p, size_t n)
{
    float f[4] = {0};
    memcpy(f, (const void *)p, n * sizeof(f[0]));
    return vld1q_f32(f);
}

static ATTR_INLINE void vf_store_part(float *p, size_t n, vf v)
{
    float f[4];
    vst1q_f32(f, v);
    memcpy(p, f, n * sizeof(f[0]));
}

static ATTR_INLINE vf vf_from_f16(uint16x4_t h)
{
    return vcvt_f32_f16(vreinterpret_f16_u16(h));
}

static ATTR_INLINE uint16x4_t vf_load_half(const void *p)
{
    return vreinterpret_u16_u8(vld1_u8(p));
}

static ATTR_INLINE uint16x4_t vf_load_half_part(const void *p, size_t n)
{
    uint16_t h[4] = {0};
    memcpy(h, p, n * sizeof(h[0]));
    return vld1_u16(h);
}

static ATTR_INLINE vf vf_load_f16(const void *p) { return vf_from_f16(vf_load_half(p)); }

static ATTR_INLINE vf vf_load_f16_part(const void *p, size_t n)
{
    return vf_from_f16(vf_load_half_part(p, n));
}

static ATTR_INLINE void vf_store_f16(uint16_t *p, vf v)
{
    vst1_u16(p, vreinterpret_u16_f16(vcvt_f16_f32(v)));
}

static ATTR_INLINE void vf_store_f16_part(uint16_t *p, size_t n, vf v)
{
    uint16_t h[4];
    vf_store_f16(h, v);
    memcpy(p, h, n * sizeof(h[0]));
}

static ATTR_INLINE vf vf_from_bf16(uint16x4_t h)
{
    return vreinterpretq_f32_u32(vshll_n_u16(h, 16));
}

static ATTR_INLINE vf vf_load_bf16(const void *p) { return vf_from_bf16(vf_load_half(p)); }

static ATTR_INLINE vf vf_load_bf16_part(const void *p, size_t n)
{
    return vf_from_bf16(vf_load_half_part(p, n));
}

static ATTR_INLINE vf vf_add(vf a, vf b) { return vaddq_f32(a, b); }
static ATTR_INLINE vf vf_sub(vf a, vf b) { return vsubq_f32(a, b); }
static ATTR_INLINE vf vf_mul(vf a, vf b) { return vmulq_f32(a, b); }
static ATTR_INLINE vf vf_div(vf a, vf b) { return vdivq_f32(a, b); }
static ATTR_INLINE vf vf_min(vf a, vf b) { return vminq_f32(a, b); }
static ATTR_INLINE vf vf_max(vf a, vf b) { return vmaxq_f32(a, b); }
static ATTR_INLINE vf vf_fma(vf a, vf b, vf c) { return vfmaq_f32(c, a, b); }
static ATTR_INLINE vf vf_abs(vf a) { return vabsq_f32(a); }

static ATTR_INLINE vf vf_copysign(vf a, vf sign)
{
    return vbslq_f32(vdupq_n_u32(0x80000000), sign, a);
}

static ATTR_INLINE vf vf_if_less(vf a, vf b, vf yes, vf no)
{
    return vbslq_f32(vcltq_f32(a, b), yes, no);
}

static ATTR_INLINE vf vf_round(vf a) { return vrndnq_f32(a); }

static ATTR_INLINE vf vf_pow2(int32x4_t n)
{
    return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(n, vdupq_n_s32(127)), 23));
}

/* In two factors, since 2^n itself may lie outside the normal numbers. */
static ATTR_INLINE vf vf_scale2(vf a, vf n)
{
    int32x4_t whole = vcvtq_s32_f32(n), half = vshrq_n_s32(whole, 1);
    return vf_mul(vf_mul(a, vf_pow2(half)), vf_pow2(vsubq_s32(whole, half)));
}

static ATTR_INLINE float vf_sum(vf v)
{
    float32x2_t x = vadd_f32(vget_low_f32(v), vget_high_f32(v));
    return vget_lane_f32(x, 0) + vget_lane_f32(x, 1);
}

static ATTR_INLINE void vf_sum4(vf a, vf b, vf c, vf d, float ret[4])
{
    ret[0] = vf_sum(a);
    ret[1] = vf_sum(b);
    ret[2] = vf_sum(c);
    ret[3] = vf_sum(d);
}

static ATTR_INLINE float vf_hmax(vf v) { return vmaxvq_f32(v); }

static ATTR_INLINE vd vd_zero(void) { return vdupq_n_f64(0); }
static ATTR_INLINE vd vd_set1(double d) { return vdupq_n_f64(d); }
static ATTR_INLINE vd vd_low(vf v) { return vcvt_f64_f32(vget_low_f32(v)); }
static ATTR_INLINE vd vd_high(vf v) { return vcvt_high_f64_f32(v); }
static ATTR_INLINE vd vd_add(vd a, vd b) { return vaddq_f64(a, b); }
static ATTR_INLINE vd vd_sub(vd a, vd b) { return vsubq_f64(a, b); }
static ATTR_INLINE vd vd_fma(vd a, vd b, vd c) { return vfmaq_f64(c, a, b); }
static ATTR_INLINE double vd_sum(vd v) { return vaddvq_f64(v); }

#endif
