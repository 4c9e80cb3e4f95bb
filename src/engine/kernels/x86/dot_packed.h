/* SPDX-License-Identifier: Apache-2.0
 *
 * The block types' dot products for both x86 levels: the level's file defines items_to_vf(items, j)
 * (vector j of VF_LANES items, out of its group of 16 signed bytes) and includes this. */
#ifndef ENGINE_KERNELS_X86_DOT_PACKED_H
#define ENGINE_KERNELS_X86_DOT_PACKED_H

#include "engine/kernels/x86/unpack.h"

enum { GROUP_VECTORS = 16 / VF_LANES };

#define UNPACK_D(type)                                                                          \
    static ATTR_INLINE vf unpack_##type(const void *p, const struct head_d *head, size_t j)     \
    {                                                                                           \
        vf q = items_to_vf(items_##type((const struct block_##type *)p, j / GROUP_VECTORS), j); \
        return vf_mul(q, vf_set1(head->d));                                                     \
    }

#define UNPACK_DM(type)                                                                         \
    static ATTR_INLINE vf unpack_##type(const void *p, const struct head_dm *head, size_t j)    \
    {                                                                                           \
        vf q = items_to_vf(items_##type((const struct block_##type *)p, j / GROUP_VECTORS), j); \
        return vf_add(vf_mul(q, vf_set1(head->d)), vf_set1(head->m));                           \
    }

#define UNPACK_K4(type)                                                                         \
    static ATTR_INLINE vf unpack_##type(const void *p, const struct head_k4 *head, size_t j)    \
    {                                                                                           \
        size_t g = j / GROUP_VECTORS;                                                           \
        vf q = items_to_vf(items_##type((const struct block_##type *)p, g), j);                 \
        return vf_sub(vf_mul(q, vf_set1(head->scale[g / 2])), vf_set1(head->min[g / 2]));       \
    }

#define UNPACK_K6(type)                                                                         \
    static ATTR_INLINE vf unpack_##type(const void *p, const struct head_k6 *head, size_t j)    \
    {                                                                                           \
        size_t g = j / GROUP_VECTORS;                                                           \
        vf q = items_to_vf(items_##type((const struct block_##type *)p, g), j);                 \
        return vf_mul(q, vf_set1(head->scale[g]));                                              \
    }

UNPACK_D(q4_0)
UNPACK_DM(q4_1)
UNPACK_D(q5_0)
UNPACK_DM(q5_1)
UNPACK_D(q8_0)
UNPACK_K4(q4_k)
UNPACK_K4(q5_k)
UNPACK_K6(q6_k)

#define DOT_TYPE q4_0
#define DOT_BLOCK_BYTES sizeof(struct block_q4_0)
#define DOT_BLOCK_VECTORS (QK / VF_LANES)
#define DOT_HEAD head_d
#define DOT_HEAD_OF head_of_q4_0
#define DOT_UNPACK unpack_q4_0
#include "engine/kernels/simd/dot.h"

#define DOT_TYPE q4_1
#define DOT_BLOCK_BYTES sizeof(struct block_q4_1)
#define DOT_BLOCK_VECTORS (QK / VF_LANES)
#define DOT_HEAD head_dm
#define DOT_HEAD_OF head_of_q4_1
#define DOT_UNPACK unpack_q4_1
#include "engine/kernels/simd/dot.h"

#define DOT_TYPE q5_0
#define DOT_BLOCK_BYTES sizeof(struct block_q5_0)
#define DOT_BLOCK_VECTORS (QK / VF_LANES)
#define DOT_HEAD head_d
#define DOT_HEAD_OF head_of_q5_0
#define DOT_UNPACK unpack_q5_0
#include "engine/kernels/simd/dot.h"

#define DOT_TYPE q5_1
#define DOT_BLOCK_BYTES sizeof(struct block_q5_1)
#define DOT_BLOCK_VECTORS (QK / VF_LANES)
#define DOT_HEAD head_dm
#define DOT_HEAD_OF head_of_q5_1
#define DOT_UNPACK unpack_q5_1
#include "engine/kernels/simd/dot.h"

#define DOT_TYPE q8_0
#define DOT_BLOCK_BYTES sizeof(struct block_q8_0)
#define DOT_BLOCK_VECTORS (QK / VF_LANES)
#define DOT_HEAD head_d
#define DOT_HEAD_OF head_of_q8_0
#define DOT_UNPACK unpack_q8_0
#include "engine/kernels/simd/dot.h"

#define DOT_TYPE q4_k
#define DOT_BLOCK_BYTES sizeof(struct block_q4_k)
#define DOT_BLOCK_VECTORS (QK_K / VF_LANES)
#define DOT_HEAD head_k4
#define DOT_HEAD_OF head_of_q4_k
#define DOT_UNPACK unpack_q4_k
#include "engine/kernels/simd/dot.h"

#define DOT_TYPE q5_k
#define DOT_BLOCK_BYTES sizeof(struct block_q5_k)
#define DOT_BLOCK_VECTORS (QK_K / VF_LANES)
#define DOT_HEAD head_k4
#define DOT_HEAD_OF head_of_q5_k
#define DOT_UNPACK unpack_q5_k
#include "engine/kernels/simd/dot.h"

#define DOT_TYPE q6_k
#define DOT_BLOCK_BYTES sizeof(struct block_q6_k)
#define DOT_BLOCK_VECTORS (QK_K / VF_LANES)
#define DOT_HEAD head_k6
#define DOT_HEAD_OF head_of_q6_k
#define DOT_UNPACK unpack_q6_k
#include "engine/kernels/simd/dot.h"

static void dot_packed_fill(struct kernels *k)
{
#define FILL(TYPE, type)                               \
    k->weight[WT_##TYPE].dot = VF_NAME(dot_##type);    \
    k->weight[WT_##TYPE].dequant = VF_NAME(dequant_##type)
    FILL(Q4_0, q4_0);
    FILL(Q4_1, q4_1);
    FILL(Q5_0, q5_0);
    FILL(Q5_1, q5_1);
    FILL(Q8_0, q8_0);
    FILL(Q4_K, q4_k);
    FILL(Q5_K, q5_k);
    FILL(Q6_K, q6_k);
#undef FILL
}

#endif
