/* SPDX-License-Identifier: Apache-2.0
 *
 * Norms and element-wise functions of one row. */
#include "engine/kernels/scalar/scalar.h"

#include <math.h>

#include "engine/kernels/f16.h"

void rms_norm_scalar(const float *a, const float *w, size_t n, float eps, float *dst)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)a[i] * (double)a[i];
    float scale = (float)(1.0 / sqrt(sum / (double)n + (double)eps));
    for (size_t i = 0; i < n; i++) {
        float v = a[i] * scale;
        dst[i] = w ? v * w[i] : v;
    }
}

void layer_norm_scalar(const float *a, const float *w, const float *bias, size_t n, float eps,
                       float *dst)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)a[i];
    double mean = sum / (double)n;
    double squares = 0;
    for (size_t i = 0; i < n; i++)
        squares += ((double)a[i] - mean) * ((double)a[i] - mean);
    float center = (float)mean;
    float scale = (float)(1.0 / sqrt(squares / (double)n + (double)eps));
    for (size_t i = 0; i < n; i++) {
        float v = (a[i] - center) * scale;
        v = w ? v * w[i] : v;
        dst[i] = bias ? v + bias[i] : v;
    }
}

void silu_scalar(const float *a, const float *b, size_t n, float *dst)
{
    for (size_t i = 0; i < n; i++) {
        float v = a[i] / (1.0f + expf(-a[i]));
        dst[i] = b ? v * b[i] : v;
    }
}

void gelu_tanh_scalar(const float *a, const float *b, size_t n, float *dst)
{
    const float root_2_over_pi = 0.797884560802865f;
    for (size_t i = 0; i < n; i++) {
        float u = root_2_over_pi * (a[i] + 0.044715f * a[i] * a[i] * a[i]);
        float v = 0.5f * a[i] * (1.0f + tanhf(u));
        dst[i] = b ? v * b[i] : v;
    }
}

void gelu_erf_scalar(const float *a, const float *b, size_t n, float *dst)
{
    const float root_half = 0.707106781186548f;
    for (size_t i = 0; i < n; i++) {
        float v = 0.5f * a[i] * (1.0f + erff(a[i] * root_half));
        dst[i] = b ? v * b[i] : v;
    }
}

void relu_scalar(const float *a, const float *b, size_t n, float *dst)
{
    for (size_t i = 0; i < n; i++) {
        float v = a[i] < 0.0f ? 0.0f : a[i]; /* a NaN stays one */
        dst[i] = b ? v * b[i] : v;
    }
}

void softcap_scalar(const float *a, size_t n, float cap, float *dst)
{
    for (size_t i = 0; i < n; i++)
        dst[i] = cap * tanhf(a[i] / cap);
}

void f32_to_f16_scalar(const float *a, size_t n, uint16_t *dst)
{
    for (size_t i = 0; i < n; i++)
        dst[i] = f32_to_f16(a[i]);
}
