/* SPDX-License-Identifier: Apache-2.0
 *
 * Steps of the layers that carry a state, on vf. Formulas: scalar/recurrent.c. A lane is a channel
 * (in the scan of Mamba 1: an item of a channel's state), so the order of a sum is that of the
 * definition, but fused; there the lanes are added at the end. */
#ifndef ENGINE_KERNELS_SIMD_RECURRENT_H
#define ENGINE_KERNELS_SIMD_RECURRENT_H

#include "engine/kernels/kernels.h"
#include "engine/kernels/simd/vector.h"
#include "engine/kernels/simd/vf.h"

/* Vectors of channels whose sums are in registers together. */
enum { STATE_VECTORS = 4 };

static ATTR_INLINE vf sigmoid_step(vf a)
{
    vf one = vf_set1(1.0f);
    return vf_div(one, vf_add(one, vf_exp(vf_sub(vf_zero(), a))));
}

/* max(a, 0) + log(1 + e), e = exp(-|a|): log(1 + e) = 2 artanh(e / (2 + e)), whose series in z <=
 * 1/3 is cut behind z^15. */
static ATTR_INLINE vf softplus_step(vf a)
{
    vf e = vf_exp(vf_sub(vf_zero(), vf_abs(a)));
    vf z = vf_div(e, vf_add(vf_set1(2.0f), e));
    vf s = vf_mul(z, z);
    vf p = vf_set1(2.0f / 15);
    p = vf_fma(p, s, vf_set1(2.0f / 13));
    p = vf_fma(p, s, vf_set1(2.0f / 11));
    p = vf_fma(p, s, vf_set1(2.0f / 9));
    p = vf_fma(p, s, vf_set1(2.0f / 7));
    p = vf_fma(p, s, vf_set1(2.0f / 5));
    p = vf_fma(p, s, vf_set1(2.0f / 3));
    p = vf_fma(p, s, vf_set1(2.0f));
    return vf_fma(p, z, vf_if_less(a, vf_zero(), vf_zero(), a));
}

static void VF_NAME(sigmoid)(const float *a, const float *b, size_t n, float *dst)
{
    act_loop(sigmoid_step, a, b, n, dst);
}

static void VF_NAME(softplus)(const float *a, const float *b, size_t n, float *dst)
{
    act_loop(softplus_step, a, b, n, dst);
}

/* With n == VF_LANES known to the compiler these are plain loads and stores. */
static ATTR_INLINE vf load_n(const float *p, size_t n)
{
    return n == VF_LANES ? vf_load(p) : vf_load_part(p, n);
}

static ATTR_INLINE void store_n(float *p, size_t n, vf v)
{
    if (n == VF_LANES)
        vf_store(p, v);
    else
        vf_store_part(p, n, v);
}

static ATTR_INLINE void conv1d_block(const float *const *x, size_t width, const float *w,
                                     size_t w_stride, const float *bias, size_t at, size_t n,
                                     float *dst)
{
    vf sum = vf_zero();
    for (size_t j = 0; j < width; j++)
        sum = vf_fma(load_n(w + j * w_stride + at, n), load_n(x[j] + at, n), sum);
    store_n(dst + at, n, bias ? vf_add(sum, load_n(bias + at, n)) : sum);
}

static void VF_NAME(conv1d)(const float *const *x, size_t width, const float *w, size_t w_stride,
                            const float *bias, size_t n, float *dst)
{
    size_t at = 0;
    for (; at + VF_LANES <= n; at += VF_LANES)
        conv1d_block(x, width, w, w_stride, bias, at, VF_LANES, dst);
    if (at < n)
        conv1d_block(x, width, w, w_stride, bias, at, n - at, dst);
}

/* `vectors` of channels from `p` on, each of `lanes`. */
static ATTR_INLINE void ssm_head_block(const float *s_in, float *s_out, size_t n_state, size_t n,
                                       float decay, float dt, const float *x, const float *b,
                                       const float *c, float *y, size_t p, const size_t vectors,
                                       size_t lanes)
{
    vf x_dt[STATE_VECTORS], sum[STATE_VECTORS], keep = vf_set1(decay);
    VF_UNROLL for (size_t v = 0; v < vectors; v++)
    {
        x_dt[v] = vf_mul(load_n(x + p + v * VF_LANES, lanes), vf_set1(dt));
        sum[v] = vf_zero();
    }
    for (size_t i = 0; i < n_state; i++) {
        vf bi = vf_set1(b[i]), ci = vf_set1(c[i]);
        const float *from = s_in + i * n + p;
        float *to = s_out + i * n + p;
        VF_UNROLL for (size_t v = 0; v < vectors; v++)
        {
            vf s = vf_fma(load_n(from + v * VF_LANES, lanes), keep, vf_mul(bi, x_dt[v]));
            store_n(to + v * VF_LANES, lanes, s);
            sum[v] = vf_fma(s, ci, sum[v]);
        }
    }
    VF_UNROLL for (size_t v = 0; v < vectors; v++) store_n(y + p + v * VF_LANES, lanes, sum[v]);
}

static void VF_NAME(ssm_head)(const float *s_in, float *s_out, size_t n_state, size_t n,
                              float decay, float dt, const float *x, const float *b, const float *c,
                              float *y)
{
    size_t p = 0;
    for (; p + STATE_VECTORS * VF_LANES <= n; p += STATE_VECTORS * VF_LANES)
        ssm_head_block(s_in, s_out, n_state, n, decay, dt, x, b, c, y, p, STATE_VECTORS, VF_LANES);
    for (; p + VF_LANES <= n; p += VF_LANES)
        ssm_head_block(s_in, s_out, n_state, n, decay, dt, x, b, c, y, p, 1, VF_LANES);
    if (p < n)
        ssm_head_block(s_in, s_out, n_state, n, decay, dt, x, b, c, y, p, 1, n - p);
}

static ATTR_INLINE vf ssm_channel_step(const float *s_in, float *s_out, const float *a, vf dt,
                                       vf x_dt, const float *b, const float *c, size_t lanes,
                                       vf sum)
{
    vf s = vf_fma(load_n(s_in, lanes), vf_exp(vf_mul(dt, load_n(a, lanes))),
                  vf_mul(load_n(b, lanes), x_dt));
    store_n(s_out, lanes, s);
    return vf_fma(s, load_n(c, lanes), sum);
}

static void VF_NAME(ssm_channels)(const float *s_in, float *s_out, size_t n_state, size_t n,
                                  const float *a, const float *dt, const float *x, const float *b,
                                  const float *c, float *y)
{
    for (size_t p = 0; p < n; p++) {
        vf sum = vf_zero(), step = vf_set1(dt[p]), x_dt = vf_set1(x[p] * dt[p]);
        size_t at = p * n_state, i = 0;
        for (; i + VF_LANES <= n_state; i += VF_LANES)
            sum = ssm_channel_step(s_in + at + i, s_out + at + i, a + at + i, step, x_dt, b + i,
                                   c + i, VF_LANES, sum);
        if (i < n_state)
            sum = ssm_channel_step(s_in + at + i, s_out + at + i, a + at + i, step, x_dt, b + i,
                                   c + i, n_state - i, sum);
        y[p] = vf_sum(sum);
    }
}

static ATTR_INLINE void delta_block(const float *s_in, float *s_out, size_t stride, size_t head_k,
                                    const float *q, const float *k, const float *v, float decay,
                                    float beta, float *dst, size_t at, const size_t vectors,
                                    size_t lanes)
{
    vf sum[STATE_VECTORS], d[STATE_VECTORS], keep = vf_set1(decay);
    VF_UNROLL for (size_t m = 0; m < vectors; m++) d[m] = sum[m] = vf_zero();
    for (size_t i = 0; i < head_k; i++) {
        vf ki = vf_set1(k[i]);
        VF_UNROLL for (size_t m = 0; m < vectors; m++) d[m] =
            vf_fma(vf_mul(load_n(s_in + i * stride + at + m * VF_LANES, lanes), keep), ki, d[m]);
    }
    VF_UNROLL for (size_t m = 0; m < vectors; m++) d[m] =
        vf_mul(vf_sub(load_n(v + at + m * VF_LANES, lanes), d[m]), vf_set1(beta));
    for (size_t i = 0; i < head_k; i++) {
        vf ki = vf_set1(k[i]), qi = vf_set1(q[i]);
        VF_UNROLL for (size_t m = 0; m < vectors; m++)
        {
            size_t p = i * stride + at + m * VF_LANES;
            vf s = vf_fma(ki, d[m], vf_mul(load_n(s_in + p, lanes), keep));
            store_n(s_out + p, lanes, s);
            sum[m] = vf_fma(s, qi, sum[m]);
        }
    }
    VF_UNROLL for (size_t m = 0; m < vectors; m++) store_n(dst + at + m * VF_LANES, lanes, sum[m]);
}

static void VF_NAME(delta_step)(const float *s_in, float *s_out, size_t stride, size_t head_k,
                                size_t n, const float *q, const float *k, const float *v,
                                float decay, float beta, float *dst)
{
    size_t at = 0;
    for (; at + STATE_VECTORS * VF_LANES <= n; at += STATE_VECTORS * VF_LANES)
        delta_block(s_in, s_out, stride, head_k, q, k, v, decay, beta, dst, at, STATE_VECTORS,
                    VF_LANES);
    for (; at + VF_LANES <= n; at += VF_LANES)
        delta_block(s_in, s_out, stride, head_k, q, k, v, decay, beta, dst, at, 1, VF_LANES);
    if (at < n)
        delta_block(s_in, s_out, stride, head_k, q, k, v, decay, beta, dst, at, 1, n - at);
}

static void recurrent_fill(struct kernels *k)
{
    k->sigmoid = VF_NAME(sigmoid);
    k->softplus = VF_NAME(softplus);
    k->conv1d = VF_NAME(conv1d);
    k->ssm_head = VF_NAME(ssm_head);
    k->ssm_channels = VF_NAME(ssm_channels);
    k->delta_step = VF_NAME(delta_step);
}

#endif
