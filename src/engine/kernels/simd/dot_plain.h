/* SPDX-License-Identifier: Apache-2.0
 *
 * The dot products of the plain types, F32, F16 and BF16, whose rows may have any length. */
#ifndef ENGINE_KERNELS_SIMD_DOT_PLAIN_H
#define ENGINE_KERNELS_SIMD_DOT_PLAIN_H

#include "engine/kernels/simd/vf.h"

/* Plain rows have no blocks; four vectors make one so that loops are unrolled. */
enum { PLAIN_VECTORS = 4 };

struct no_head {
    char none;
};

static ATTR_INLINE struct no_head no_head_of(const void *p)
{
    (void)p;
    return (struct no_head){0};
}

static ATTR_INLINE vf unpack_f32(const unsigned char *p, const struct no_head *head, size_t s,
                                 size_t j)
{
    (void)head, (void)s;
    return vf_load((const float *)(const void *)(p + j * VF_LANES * sizeof(float)));
}

static ATTR_INLINE vf unpack_f16(const unsigned char *p, const struct no_head *head, size_t s,
                                 size_t j)
{
    (void)head, (void)s;
    return vf_load_f16(p + j * VF_LANES * 2);
}

static ATTR_INLINE vf unpack_bf16(const unsigned char *p, const struct no_head *head, size_t s,
                                 size_t j)
{
    (void)head, (void)s;
    return vf_load_bf16(p + j * VF_LANES * 2);
}

#define DOT_TYPE f32
#define DOT_BLOCK_BYTES (PLAIN_VECTORS * VF_LANES * 4)
#define DOT_STEPS 1
#define DOT_STEP_VECTORS PLAIN_VECTORS
#define DOT_HEAD no_head
#define DOT_HEAD_OF no_head_of
#define DOT_UNPACK unpack_f32
#define DOT_PART vf_load_part
#include "engine/kernels/simd/dot.h"

#define DOT_TYPE f16
#define DOT_BLOCK_BYTES (PLAIN_VECTORS * VF_LANES * 2)
#define DOT_STEPS 1
#define DOT_STEP_VECTORS PLAIN_VECTORS
#define DOT_HEAD no_head
#define DOT_HEAD_OF no_head_of
#define DOT_UNPACK unpack_f16
#define DOT_PART vf_load_f16_part
#include "engine/kernels/simd/dot.h"

#define DOT_TYPE bf16
#define DOT_BLOCK_BYTES (PLAIN_VECTORS * VF_LANES * 2)
#define DOT_STEPS 1
#define DOT_STEP_VECTORS PLAIN_VECTORS
#define DOT_HEAD no_head
#define DOT_HEAD_OF no_head_of
#define DOT_UNPACK unpack_bf16
#define DOT_PART vf_load_bf16_part
#include "engine/kernels/simd/dot.h"

/* Many vectors: a matrix product. Groups of GEMM_ROWS rows and GEMM_X vectors walk along the rows
 * together, GEMM_ITEMS at a time, so that what the tiles of a group share stays in the first-level
 * cache. Between the steps a tile keeps its lanes: each result's additions are those of dot_f32. */
enum {
    GEMM_ITEMS = 512,
    GEMM_ROW_TILES = 4,
    GEMM_X_TILES = 4,
    GEMM_ROWS = GEMM_ROW_TILES * DOT_ROWS,
    GEMM_X = GEMM_X_TILES * VF_TILE_X,
};

static void VF_NAME(gemm_group)(const void *w, size_t row_bytes, size_t n_rows, const float *x,
                                size_t x_stride, size_t n_x, size_t n, float *y, size_t y_stride)
{
    enum { BLOCK = PLAIN_VECTORS * VF_LANES, STEP = GEMM_ITEMS / BLOCK };
    struct dot_tile tiles[GEMM_X_TILES][GEMM_ROW_TILES];
    for (size_t i = 0; i < n_x; i += VF_TILE_X) {
        for (size_t r = 0; r < n_rows; r += DOT_ROWS) {
            struct dot_tile *t = &tiles[i / VF_TILE_X][r / DOT_ROWS];
            dot_rows_at(t, w, row_bytes, r, n_rows);
            dot_vectors_at(t, x, x_stride, i, n_x);
            dot_clear(t);
        }
    }
    size_t n_blocks = n / BLOCK;
    for (size_t b = 0; b < n_blocks; b += STEP) {
        size_t last = n_blocks - b < STEP ? n_blocks : b + STEP;
        for (size_t i = 0; i < n_x; i += VF_TILE_X)
            for (size_t r = 0; r < n_rows; r += DOT_ROWS)
                tile_blocks_f32(&tiles[i / VF_TILE_X][r / DOT_ROWS], b, last, VF_TILE_X);
    }
    for (size_t i = 0; i < n_x; i += VF_TILE_X) {
        for (size_t r = 0; r < n_rows; r += DOT_ROWS) {
            struct dot_tile *t = &tiles[i / VF_TILE_X][r / DOT_ROWS];
            tile_tail_f32(t, n_blocks * BLOCK, n, VF_TILE_X);
            dot_store(t, n_x - i < VF_TILE_X ? n_x - i : VF_TILE_X, n_rows - r,
                      y + i * y_stride + r, y_stride);
        }
    }
}

static void VF_NAME(gemm_f32)(const void *w, size_t row_bytes, size_t n_rows, const float *x,
                              size_t x_stride, size_t n_x, size_t n, float *y, size_t y_stride)
{
    if (n_x <= VF_TILE_X) {
        VF_NAME(dot_f32)(w, row_bytes, n_rows, x, x_stride, n_x, n, y, y_stride);
        return;
    }
    for (size_t i = 0; i < n_x; i += GEMM_X) {
        for (size_t r = 0; r < n_rows; r += GEMM_ROWS)
            VF_NAME(gemm_group)((const unsigned char *)w + r * row_bytes, row_bytes,
                                n_rows - r < GEMM_ROWS ? n_rows - r : GEMM_ROWS, x + i * x_stride,
                                x_stride, n_x - i < GEMM_X ? n_x - i : GEMM_X, n,
                                y + i * y_stride + r, y_stride);
    }
}

static void dot_plain_fill(struct kernels *k)
{
    k->weight[WT_F32].dot = VF_NAME(gemm_f32);
    k->weight[WT_F32].dequant = VF_NAME(dequant_f32);
    k->weight[WT_F16].dot = VF_NAME(dot_f16);
    k->weight[WT_F16].dequant = VF_NAME(dequant_f16);
    k->weight[WT_BF16].dot = VF_NAME(dot_bf16);
    k->weight[WT_BF16].dequant = VF_NAME(dequant_bf16);
    k->dot_max_x = VF_TILE_X;
}

#endif
