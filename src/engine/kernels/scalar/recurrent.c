/* SPDX-License-Identifier: Apache-2.0
 *
 * One token's step of the layers that carry a state. */
#include "engine/kernels/scalar/scalar.h"

#include <math.h>

void relu_sqr_scalar(const float *a, const float *b, size_t n, float *dst)
{
    for (size_t i = 0; i < n; i++) {
        float v = a[i] < 0.0f ? 0.0f : a[i] * a[i]; /* a NaN stays one */
        dst[i] = b ? v * b[i] : v;
    }
}

void sigmoid_scalar(const float *a, const float *b, size_t n, float *dst)
{
    for (size_t i = 0; i < n; i++) {
        float v = 1.0f / (1.0f + expf(-a[i]));
        dst[i] = b ? v * b[i] : v;
    }
}

void softplus_scalar(const float *a, const float *b, size_t n, float *dst)
{
    for (size_t i = 0; i < n; i++) {
        float v = log1pf(expf(-fabsf(a[i]))) + (a[i] > 0.0f ? a[i] : 0.0f);
        v = isnan(a[i]) ? a[i] : v;
        dst[i] = b ? v * b[i] : v;
    }
}

void conv1d_scalar(const float *const *x, size_t width, const float *w, size_t w_stride,
                   const float *bias, size_t n, float *dst)
{
    for (size_t c = 0; c < n; c++) {
        float sum = 0;
        for (size_t j = 0; j < width; j++)
            sum += w[j * w_stride + c] * x[j][c];
        dst[c] = bias ? sum + bias[c] : sum;
    }
}

void ssm_head_scalar(const float *s_in, float *s_out, size_t n_state, size_t n, float decay,
                     float dt, const float *x, const float *b, const float *c, float *y)
{
    for (size_t p = 0; p < n; p++) {
        float x_dt = x[p] * dt, sum = 0;
        for (size_t i = 0; i < n_state; i++) {
            float s = s_in[i * n + p] * decay + b[i] * x_dt;
            s_out[i * n + p] = s;
            sum += s * c[i];
        }
        y[p] = sum;
    }
}

void ssm_channels_scalar(const float *s_in, float *s_out, size_t n_state, size_t n, const float *a,
                         const float *dt, const float *x, const float *b, const float *c, float *y)
{
    for (size_t p = 0; p < n; p++) {
        float x_dt = x[p] * dt[p], sum = 0;
        for (size_t i = 0; i < n_state; i++) {
            size_t at = p * n_state + i;
            float s = s_in[at] * expf(dt[p] * a[at]) + b[i] * x_dt;
            s_out[at] = s;
            sum += s * c[i];
        }
        y[p] = sum;
    }
}

void delta_step_scalar(const float *s_in, float *s_out, size_t stride, size_t head_k, size_t n,
                       const float *q, const float *k, const float *v, float decay, float beta,
                       float *dst)
{
    for (size_t j = 0; j < n; j++) {
        float kept = 0, sum = 0;
        for (size_t i = 0; i < head_k; i++)
            kept += s_in[i * stride + j] * decay * k[i];
        float d = (v[j] - kept) * beta;
        for (size_t i = 0; i < head_k; i++) {
            float s = s_in[i * stride + j] * decay + k[i] * d;
            s_out[i * stride + j] = s;
            sum += s * q[i];
        }
        dst[j] = sum;
    }
}
