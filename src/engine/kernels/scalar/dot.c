/* SPDX-License-Identifier: Apache-2.0
 *
 * Dot products of f32 rows: y[t][r] = Σ_i w[r][i] * x[t][i], i ascending. */
#include "engine/kernels/scalar/scalar.h"

#include <string.h>

void dot_f32_scalar(const void *w, size_t row_bytes, size_t n_rows, const float *x,
                    size_t x_stride, size_t n_x, size_t n, float *y, size_t y_stride)
{
    for (size_t r = 0; r < n_rows; r++) {
        const unsigned char *row = (const unsigned char *)w + r * row_bytes;
        for (size_t t = 0; t < n_x; t++) {
            float sum = 0;
            for (size_t i = 0; i < n; i++) {
                float v;
                memcpy(&v, row + i * sizeof(v), sizeof(v));
                sum += v * x[t * x_stride + i];
            }
            y[t * y_stride + r] = sum;
        }
    }
}
