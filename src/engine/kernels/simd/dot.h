/* SPDX-License-Identifier: Apache-2.0
 *
 * Dot products on vf. This file is a template, included once for each weight type:
 *
 *   DOT_TYPE            name of the type in the functions: q4_k
 *   DOT_BLOCK_BYTES     bytes of a block
 *   DOT_STEPS           equal steps that a block is walked in; a step's loop is unrolled
 *   DOT_STEP_VECTORS    vectors of VF_LANES items in a step
 *   struct DOT_HEAD     what is unpacked once a block (scales); DOT_HEAD_OF(block) makes it
 *   DOT_UNPACK(block, head, s, j)   vector j of step s, as f32; j is a constant after unrolling
 *   DOT_PART(p, n)      plain types only: the last n < VF_LANES items
 *
 * It defines dequant_TYPE and dot_TYPE. A tile is DOT_ROWS rows times n_x vectors; each of its
 * results has an accumulator of its own, walking the row in order, so that no result depends on the
 * tile. Rows and
 * vectors behind the last are computed again from the last one and dropped. */
#include "engine/kernels/kernels.h"
#include "engine/kernels/simd/vf.h"

#ifndef ENGINE_KERNELS_SIMD_DOT_H
#define ENGINE_KERNELS_SIMD_DOT_H

enum { DOT_ROWS = 4 };

struct dot_tile {
    const unsigned char *w[DOT_ROWS];
    const float *x[VF_TILE_X];
    vf sum[DOT_ROWS][VF_TILE_X];
};

static ATTR_INLINE void dot_rows_at(struct dot_tile *t, const void *w, size_t row_bytes,
                                    size_t row, size_t n_rows)
{
    for (size_t r = 0; r < DOT_ROWS; r++)
        t->w[r] = (const unsigned char *)w + (row + r < n_rows ? row + r : n_rows - 1) * row_bytes;
}

static ATTR_INLINE void dot_vectors_at(struct dot_tile *t, const float *x, size_t x_stride,
                                       size_t i, size_t n_x)
{
    for (size_t k = 0; k < VF_TILE_X; k++)
        t->x[k] = x + (i + k < n_x ? i + k : n_x - 1) * x_stride;
}

static ATTR_INLINE void dot_clear(struct dot_tile *t)
{
    VF_UNROLL for (size_t r = 0; r < DOT_ROWS; r++)
        VF_UNROLL for (size_t i = 0; i < VF_TILE_X; i++)
            t->sum[r][i] = vf_zero();
}

static ATTR_INLINE void dot_store(const struct dot_tile *t, const size_t n_x, size_t n_rows,
                                  float *y, size_t y_stride)
{
    for (size_t i = 0; i < n_x; i++) {
        float sums[DOT_ROWS];
        vf_sum4(t->sum[0][i], t->sum[1][i], t->sum[2][i], t->sum[3][i], sums);
        for (size_t r = 0; r < DOT_ROWS && r < n_rows; r++)
            y[i * y_stride + r] = sums[r];
    }
}

#endif

#define DOT_BLOCK_VECTORS (DOT_STEPS * DOT_STEP_VECTORS)
#define DOT_INNER(name) VF_PASTE(name, DOT_TYPE)
#define DOT_FN(name) VF_NAME(VF_PASTE(name, DOT_TYPE))

/* Adds the products of blocks [first, last) on to the sums. */
static ATTR_INLINE void DOT_INNER(tile_blocks)(struct dot_tile *t, size_t first, size_t last,
                                               const size_t n_x)
{
    vf sum[DOT_ROWS][VF_TILE_X];
    VF_UNROLL for (size_t r = 0; r < DOT_ROWS; r++)
        VF_UNROLL for (size_t i = 0; i < n_x; i++)
            sum[r][i] = t->sum[r][i];
    size_t at = first * DOT_BLOCK_VECTORS * VF_LANES;
    for (size_t b = first; b < last; b++) {
        struct DOT_HEAD head[DOT_ROWS];
        VF_UNROLL for (size_t r = 0; r < DOT_ROWS; r++)
            head[r] = DOT_HEAD_OF(t->w[r] + b * DOT_BLOCK_BYTES);
        VF_NO_UNROLL for (size_t s = 0; s < DOT_STEPS; s++, at += DOT_STEP_VECTORS * VF_LANES) {
            VF_UNROLL for (size_t j = 0; j < DOT_STEP_VECTORS; j++) {
                VF_UNROLL for (size_t r = 0; r < DOT_ROWS; r++) {
                    vf w = DOT_UNPACK(t->w[r] + b * DOT_BLOCK_BYTES, &head[r], s, j);
                    VF_UNROLL for (size_t i = 0; i < n_x; i++)
                        sum[r][i] = vf_fma(w, vf_load(t->x[i] + at + j * VF_LANES), sum[r][i]);
                }
            }
        }
    }
    VF_UNROLL for (size_t r = 0; r < DOT_ROWS; r++)
        VF_UNROLL for (size_t i = 0; i < n_x; i++)
            t->sum[r][i] = sum[r][i];
}

#ifdef DOT_PART
/* Adds the products of items [at, n), less than a block. */
static ATTR_INLINE void DOT_INNER(tile_tail)(struct dot_tile *t, size_t at, size_t n,
                                             const size_t n_x)
{
    enum { ITEM = DOT_BLOCK_BYTES / (DOT_BLOCK_VECTORS * VF_LANES) };
    for (; at < n; at += VF_LANES) {
        size_t rest = n - at < VF_LANES ? n - at : VF_LANES;
        VF_UNROLL for (size_t r = 0; r < DOT_ROWS; r++) {
            vf w = rest == VF_LANES ? DOT_UNPACK(t->w[r] + at * ITEM, NULL, 0, 0)
                                    : DOT_PART((const void *)(t->w[r] + at * ITEM), rest);
            VF_UNROLL for (size_t i = 0; i < n_x; i++) {
                vf x = rest == VF_LANES ? vf_load(t->x[i] + at) : vf_load_part(t->x[i] + at, rest);
                t->sum[r][i] = vf_fma(w, x, t->sum[r][i]);
            }
        }
    }
}
#endif

static ATTR_INLINE void DOT_INNER(tile)(struct dot_tile *t, size_t n, const size_t n_x)
{
    enum { BLOCK = DOT_BLOCK_VECTORS * VF_LANES };
    dot_clear(t);
    DOT_INNER(tile_blocks)(t, 0, n / BLOCK, n_x);
#ifdef DOT_PART
    DOT_INNER(tile_tail)(t, n / BLOCK * BLOCK, n, n_x);
#endif
}

static void DOT_FN(dot)(const void *w, size_t row_bytes, size_t n_rows, const float *x,
                        size_t x_stride, size_t n_x, size_t n, float *y, size_t y_stride)
{
    for (size_t i = 0; i < n_x; i += VF_TILE_X) {
        for (size_t row = 0; row < n_rows; row += DOT_ROWS) {
            struct dot_tile t;
            dot_rows_at(&t, w, row_bytes, row, n_rows);
            dot_vectors_at(&t, x, x_stride, i, n_x);
            float *out = y + i * y_stride + row;
            if (n_x - i == 1) {
                DOT_INNER(tile)(&t, n, 1);
                dot_store(&t, 1, n_rows - row, out, y_stride);
            } else {
                /* two of four vectors: the others are copies that are not stored */
                DOT_INNER(tile)(&t, n, VF_TILE_X);
                dot_store(&t, n_x - i < VF_TILE_X ? n_x - i : VF_TILE_X, n_rows - row, out,
                          y_stride);
            }
        }
    }
}

static void DOT_FN(dequant)(const void *row, float *dst, size_t n)
{
    enum { BLOCK = DOT_BLOCK_VECTORS * VF_LANES };
    const unsigned char *p = row;
    for (; n >= BLOCK; n -= BLOCK, p += DOT_BLOCK_BYTES, dst += BLOCK) {
        struct DOT_HEAD head = DOT_HEAD_OF(p);
        (void)head;
        VF_NO_UNROLL for (size_t s = 0; s < DOT_STEPS; s++) {
            VF_UNROLL for (size_t j = 0; j < DOT_STEP_VECTORS; j++)
                vf_store(dst + (s * DOT_STEP_VECTORS + j) * VF_LANES, DOT_UNPACK(p, &head, s, j));
        }
    }
#ifdef DOT_PART
    enum { ITEM = DOT_BLOCK_BYTES / BLOCK };
    for (; n >= VF_LANES; n -= VF_LANES, p += VF_LANES * ITEM, dst += VF_LANES)
        vf_store(dst, DOT_UNPACK(p, NULL, 0, 0));
    if (n)
        vf_store_part(dst, n, DOT_PART((const void *)p, n));
#endif
}

#undef DOT_FN
#undef DOT_INNER
#undef DOT_TYPE
#undef DOT_HEAD
#undef DOT_HEAD_OF
#undef DOT_UNPACK
#undef DOT_BLOCK_BYTES
#undef DOT_BLOCK_VECTORS
#undef DOT_STEPS
#undef DOT_STEP_VECTORS
#undef DOT_PART
