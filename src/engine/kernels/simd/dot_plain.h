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

static ATTR_INLINE vf unpack_f32(const unsigned char *p, const struct no_head *head, size_t j)
{
    (void)head;
    return vf_load((const float *)(const void *)(p + j * VF_LANES * sizeof(float)));
}

static ATTR_INLINE vf unpack_f16(const unsigned char *p, const struct no_head *head, size_t j)
{
    (void)head;
    return vf_load_f16(p + j * VF_LANES * 2);
}

static ATTR_INLINE vf unpack_bf16(const unsigned char *p, const struct no_head *head, size_t j)
{
    (void)head;
    return vf_load_bf16(p + j * VF_LANES * 2);
}

#define DOT_TYPE f32
#define DOT_BLOCK_BYTES (PLAIN_VECTORS * VF_LANES * 4)
#define DOT_BLOCK_VECTORS PLAIN_VECTORS
#define DOT_HEAD no_head
#define DOT_HEAD_OF no_head_of
#define DOT_UNPACK unpack_f32
#define DOT_PART vf_load_part
#include "engine/kernels/simd/dot.h"

#define DOT_TYPE f16
#define DOT_BLOCK_BYTES (PLAIN_VECTORS * VF_LANES * 2)
#define DOT_BLOCK_VECTORS PLAIN_VECTORS
#define DOT_HEAD no_head
#define DOT_HEAD_OF no_head_of
#define DOT_UNPACK unpack_f16
#define DOT_PART vf_load_f16_part
#include "engine/kernels/simd/dot.h"

#define DOT_TYPE bf16
#define DOT_BLOCK_BYTES (PLAIN_VECTORS * VF_LANES * 2)
#define DOT_BLOCK_VECTORS PLAIN_VECTORS
#define DOT_HEAD no_head
#define DOT_HEAD_OF no_head_of
#define DOT_UNPACK unpack_bf16
#define DOT_PART vf_load_bf16_part
#include "engine/kernels/simd/dot.h"

static void dot_plain_fill(struct kernels *k)
{
    k->weight[WT_F32].dot = VF_NAME(dot_f32);
    k->weight[WT_F32].dequant = VF_NAME(dequant_f32);
    k->weight[WT_F16].dot = VF_NAME(dot_f16);
    k->weight[WT_F16].dequant = VF_NAME(dequant_f16);
    k->weight[WT_BF16].dot = VF_NAME(dot_bf16);
    k->weight[WT_BF16].dequant = VF_NAME(dequant_bf16);
    k->dot_max_x = VF_TILE_X;
}

#endif
