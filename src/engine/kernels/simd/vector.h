/* SPDX-License-Identifier: Apache-2.0
 *
 * Norms and element-wise functions on vf. Formulas: scalar/vector.c. A short last step is padded, so
 * that each element gets the same instructions wherever it stands. */
#ifndef ENGINE_KERNELS_SIMD_VECTOR_H
#define ENGINE_KERNELS_SIMD_VECTOR_H

#include <math.h>

#include "engine/kernels/kernels.h"
#include "engine/kernels/simd/vf.h"

static void VF_NAME(rms_norm)(const float *a, const float *w, size_t n, float eps, float *dst)
{
    vd low = vd_zero(), high = vd_zero();
    size_t i = 0;
    for (; i + VF_LANES <= n; i += VF_LANES) {
        vf v = vf_load(a + i);
        low = vd_fma(vd_low(v), vd_low(v), low);
        high = vd_fma(vd_high(v), vd_high(v), high);
    }
    if (i < n) {
        vf v = vf_load_part(a + i, n - i);
        low = vd_fma(vd_low(v), vd_low(v), low);
        high = vd_fma(vd_high(v), vd_high(v), high);
    }
    double squares = vd_sum(vd_add(low, high));
    vf scale = vf_set1((float)(1.0 / sqrt(squares / (double)n + (double)eps)));
    for (i = 0; i + VF_LANES <= n; i += VF_LANES) {
        vf v = vf_mul(vf_load(a + i), scale);
        vf_store(dst + i, w ? vf_mul(v, vf_load(w + i)) : v);
    }
    if (i < n) {
        vf v = vf_mul(vf_load_part(a + i, n - i), scale);
        vf_store_part(dst + i, n - i, w ? vf_mul(v, vf_load_part(w + i, n - i)) : v);
    }
}

/* Adds one vector's f64 deviations from the mean, squared, to the two sums. */
static ATTR_INLINE void add_deviations(vf v, vd mean, vd *low, vd *high)
{
    vd a = vd_sub(vd_low(v), mean), b = vd_sub(vd_high(v), mean);
    *low = vd_fma(a, a, *low);
    *high = vd_fma(b, b, *high);
}

static ATTR_INLINE vf layer_norm_step(vf a, vf center, vf scale, vf w, vf bias)
{
    return vf_add(vf_mul(vf_mul(vf_sub(a, center), scale), w), bias);
}

static void VF_NAME(layer_norm)(const float *a, const float *w, const float *bias, size_t n,
                                float eps, float *dst)
{
    size_t i, whole = n / VF_LANES * VF_LANES, rest = n - whole;
    vd low = vd_zero(), high = vd_zero();
    for (i = 0; i < whole; i += VF_LANES) {
        vf v = vf_load(a + i);
        low = vd_add(low, vd_low(v));
        high = vd_add(high, vd_high(v));
    }
    if (rest) {
        vf v = vf_load_part(a + i, rest);
        low = vd_add(low, vd_low(v));
        high = vd_add(high, vd_high(v));
    }
    double mean = vd_sum(vd_add(low, high)) / (double)n;

    low = high = vd_zero();
    for (i = 0; i < whole; i += VF_LANES)
        add_deviations(vf_load(a + i), vd_set1(mean), &low, &high);
    double squares = vd_sum(vd_add(low, high));
    for (; i < n; i++)
        squares += ((double)a[i] - mean) * ((double)a[i] - mean);

    vf one = vf_set1(1.0f), zero = vf_zero(), center = vf_set1((float)mean);
    vf scale = vf_set1((float)(1.0 / sqrt(squares / (double)n + (double)eps)));
    for (i = 0; i < whole; i += VF_LANES)
        vf_store(dst + i, layer_norm_step(vf_load(a + i), center, scale, w ? vf_load(w + i) : one,
                                          bias ? vf_load(bias + i) : zero));
    if (rest)
        vf_store_part(dst + i, rest,
                      layer_norm_step(vf_load_part(a + i, rest), center, scale,
                                      w ? vf_load_part(w + i, rest) : one,
                                      bias ? vf_load_part(bias + i, rest) : zero));
}

/* One element-wise step of the activations. */
static ATTR_INLINE vf silu_step(vf a)
{
    vf e = vf_exp(vf_sub(vf_zero(), a));
    return vf_div(a, vf_add(vf_set1(1.0f), e));
}

/* a/2 (1 + tanh u) = a / (1 + exp(-2u)) */
static ATTR_INLINE vf gelu_tanh_step(vf a)
{
    vf cube = vf_mul(vf_mul(vf_mul(vf_set1(0.044715f), a), a), a);
    vf u = vf_mul(vf_set1(-2 * 0.797884560802865f), vf_add(a, cube));
    return vf_div(a, vf_add(vf_set1(1.0f), vf_exp(u)));
}

static ATTR_INLINE void act_loop(vf (*step)(vf), const float *a, const float *b, size_t n,
                                 float *dst)
{
    size_t i = 0;
    for (; i + VF_LANES <= n; i += VF_LANES) {
        vf v = step(vf_load(a + i));
        vf_store(dst + i, b ? vf_mul(v, vf_load(b + i)) : v);
    }
    if (i < n) {
        vf v = step(vf_load_part(a + i, n - i));
        vf_store_part(dst + i, n - i, b ? vf_mul(v, vf_load_part(b + i, n - i)) : v);
    }
}

static void VF_NAME(silu)(const float *a, const float *b, size_t n, float *dst)
{
    act_loop(silu_step, a, b, n, dst);
}

static void VF_NAME(gelu_tanh)(const float *a, const float *b, size_t n, float *dst)
{
    act_loop(gelu_tanh_step, a, b, n, dst);
}

static void VF_NAME(softcap)(const float *a, size_t n, float cap, float *dst)
{
    vf c = vf_set1(cap);
    size_t i = 0;
    for (; i + VF_LANES <= n; i += VF_LANES)
        vf_store(dst + i, vf_mul(c, vf_tanh(vf_div(vf_load(a + i), c))));
    if (i < n)
        vf_store_part(dst + i, n - i, vf_mul(c, vf_tanh(vf_div(vf_load_part(a + i, n - i), c))));
}

static void VF_NAME(f32_to_f16)(const float *a, size_t n, uint16_t *dst)
{
    size_t i = 0;
    for (; i + VF_LANES <= n; i += VF_LANES)
        vf_store_f16(dst + i, vf_load(a + i));
    if (i < n)
        vf_store_f16_part(dst + i, n - i, vf_load_part(a + i, n - i));
}

static void vector_fill(struct kernels *k)
{
    k->rms_norm = VF_NAME(rms_norm);
    k->layer_norm = VF_NAME(layer_norm);
    k->silu = VF_NAME(silu);
    k->gelu_tanh = VF_NAME(gelu_tanh);
    k->softcap = VF_NAME(softcap);
    k->f32_to_f16 = VF_NAME(f32_to_f16);
}

#endif
