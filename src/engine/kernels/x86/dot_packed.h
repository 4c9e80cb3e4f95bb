/* SPDX-License-Identifier: Apache-2.0
 *
 * The block types' dot products for both x86 levels. The level's file defines items_to_vf(items, j)
 * (vector j of VF_LANES items, out of its group of 16 signed bytes) and includes this. A level
 * with permutations of whole vectors defines HAS_TABLES and brings its own unpack_TYPE() for the
 * types of four and five bits, with struct table_one and table_two as their heads. */
#ifndef ENGINE_KERNELS_X86_DOT_PACKED_H
#define ENGINE_KERNELS_X86_DOT_PACKED_H

#include "engine/kernels/x86/unpack.h"

enum { GROUP_VECTORS = 16 / VF_LANES };

/* Vector j of step s as floats. */
#define ITEMS(type) \
    items_to_vf(items_##type((const struct block_##type *)p, s, j / GROUP_VECTORS), j)

#define UNPACK(type, head_type)                                                            \
    static ATTR_INLINE vf unpack_##type(const void *p, const struct head_type *head, size_t s, \
                                        size_t j)

#define UNPACK_D(type)                                \
    UNPACK(type, head_d)                              \
    {                                                 \
        return vf_mul(ITEMS(type), vf_set1(head->d)); \
    }

#define UNPACK_DM(type)                                                         \
    UNPACK(type, head_dm)                                                       \
    {                                                                           \
        return vf_add(vf_mul(ITEMS(type), vf_set1(head->d)), vf_set1(head->m)); \
    }

/* One scale for `groups` groups of 16, of which a step has four. */
#define UNPACK_SCALE(type, head_type, groups)                        \
    UNPACK(type, head_type)                                          \
    {                                                                \
        size_t sub = (4 * s + j / GROUP_VECTORS) / (groups);         \
        return vf_mul(ITEMS(type), vf_set1(head->scale[sub]));       \
    }

#define UNPACK_SCALE_MIN(type, head_type, groups)                                               \
    UNPACK(type, head_type)                                                                     \
    {                                                                                           \
        size_t sub = (4 * s + j / GROUP_VECTORS) / (groups);                                    \
        return vf_sub(vf_mul(ITEMS(type), vf_set1(head->scale[sub])), vf_set1(head->min[sub])); \
    }

#ifndef HAS_TABLES
UNPACK_D(q4_0)
UNPACK_DM(q4_1)
UNPACK_D(q5_0)
UNPACK_DM(q5_1)
UNPACK_SCALE_MIN(q4_k, head_k4, 2)
UNPACK_D(iq4_nl)
UNPACK_SCALE(iq4_xs, head_x4, 2)
UNPACK_D(mxfp4)
#endif
UNPACK_D(q8_0)
UNPACK_SCALE_MIN(q2_k, head_k2, 1)
UNPACK_SCALE(q3_k, head_k6, 1)
UNPACK_SCALE_MIN(q5_k, head_k4, 2)
UNPACK_SCALE(q6_k, head_k6, 1)

#define DOT_TYPE q4_0
#define DOT_BLOCK_BYTES sizeof(struct block_q4_0)
#define DOT_STEPS 1
#define DOT_STEP_VECTORS (QK / VF_LANES)
#ifdef HAS_TABLES
#define DOT_HEAD table_one
#define DOT_HEAD_OF table_of_q4_0
#else
#define DOT_HEAD head_d
#define DOT_HEAD_OF head_of_q4_0
#endif
#define DOT_UNPACK unpack_q4_0
#include "engine/kernels/simd/dot.h"

#define DOT_TYPE q4_1
#define DOT_BLOCK_BYTES sizeof(struct block_q4_1)
#define DOT_STEPS 1
#define DOT_STEP_VECTORS (QK / VF_LANES)
#ifdef HAS_TABLES
#define DOT_HEAD table_one
#define DOT_HEAD_OF table_of_q4_1
#else
#define DOT_HEAD head_dm
#define DOT_HEAD_OF head_of_q4_1
#endif
#define DOT_UNPACK unpack_q4_1
#include "engine/kernels/simd/dot.h"

#define DOT_TYPE q5_0
#define DOT_BLOCK_BYTES sizeof(struct block_q5_0)
#define DOT_STEPS 1
#define DOT_STEP_VECTORS (QK / VF_LANES)
#ifdef HAS_TABLES
#define DOT_HEAD table_two
#define DOT_HEAD_OF table_of_q5_0
#else
#define DOT_HEAD head_d
#define DOT_HEAD_OF head_of_q5_0
#endif
#define DOT_UNPACK unpack_q5_0
#include "engine/kernels/simd/dot.h"

#define DOT_TYPE q5_1
#define DOT_BLOCK_BYTES sizeof(struct block_q5_1)
#define DOT_STEPS 1
#define DOT_STEP_VECTORS (QK / VF_LANES)
#ifdef HAS_TABLES
#define DOT_HEAD table_two
#define DOT_HEAD_OF table_of_q5_1
#else
#define DOT_HEAD head_dm
#define DOT_HEAD_OF head_of_q5_1
#endif
#define DOT_UNPACK unpack_q5_1
#include "engine/kernels/simd/dot.h"

#define DOT_TYPE q8_0
#define DOT_BLOCK_BYTES sizeof(struct block_q8_0)
#define DOT_STEPS 1
#define DOT_STEP_VECTORS (QK / VF_LANES)
#define DOT_HEAD head_d
#define DOT_HEAD_OF head_of_q8_0
#define DOT_UNPACK unpack_q8_0
#include "engine/kernels/simd/dot.h"

#define DOT_TYPE q2_k
#define DOT_BLOCK_BYTES sizeof(struct block_q2_k)
#define DOT_STEPS 4
#define DOT_STEP_VECTORS (64 / VF_LANES)
#define DOT_HEAD head_k2
#define DOT_HEAD_OF head_of_q2_k
#define DOT_UNPACK unpack_q2_k
#include "engine/kernels/simd/dot.h"

#define DOT_TYPE q3_k
#define DOT_BLOCK_BYTES sizeof(struct block_q3_k)
#define DOT_STEPS 4
#define DOT_STEP_VECTORS (64 / VF_LANES)
#define DOT_HEAD head_k6
#define DOT_HEAD_OF head_of_q3_k
#define DOT_UNPACK unpack_q3_k
#include "engine/kernels/simd/dot.h"

#define DOT_TYPE q4_k
#define DOT_BLOCK_BYTES sizeof(struct block_q4_k)
#define DOT_STEPS 4
#define DOT_STEP_VECTORS (64 / VF_LANES)
#define DOT_HEAD head_k4
#define DOT_HEAD_OF head_of_q4_k
#define DOT_UNPACK unpack_q4_k
#include "engine/kernels/simd/dot.h"

#define DOT_TYPE q5_k
#define DOT_BLOCK_BYTES sizeof(struct block_q5_k)
#define DOT_STEPS 4
#define DOT_STEP_VECTORS (64 / VF_LANES)
#define DOT_HEAD head_k4
#define DOT_HEAD_OF head_of_q5_k
#define DOT_UNPACK unpack_q5_k
#include "engine/kernels/simd/dot.h"

#define DOT_TYPE q6_k
#define DOT_BLOCK_BYTES sizeof(struct block_q6_k)
#define DOT_STEPS 4
#define DOT_STEP_VECTORS (64 / VF_LANES)
#define DOT_HEAD head_k6
#define DOT_HEAD_OF head_of_q6_k
#define DOT_UNPACK unpack_q6_k
#include "engine/kernels/simd/dot.h"

#define DOT_TYPE iq4_nl
#define DOT_BLOCK_BYTES sizeof(struct block_iq4_nl)
#define DOT_STEPS 1
#define DOT_STEP_VECTORS (QK / VF_LANES)
#ifdef HAS_TABLES
#define DOT_HEAD table_one
#define DOT_HEAD_OF table_of_iq4_nl
#else
#define DOT_HEAD head_d
#define DOT_HEAD_OF head_of_iq4_nl
#endif
#define DOT_UNPACK unpack_iq4_nl
#include "engine/kernels/simd/dot.h"

#define DOT_TYPE iq4_xs
#define DOT_BLOCK_BYTES sizeof(struct block_iq4_xs)
#define DOT_STEPS 4
#define DOT_STEP_VECTORS (64 / VF_LANES)
#define DOT_HEAD head_x4
#define DOT_HEAD_OF head_of_iq4_xs
#define DOT_UNPACK unpack_iq4_xs
#include "engine/kernels/simd/dot.h"

#define DOT_TYPE mxfp4
#define DOT_BLOCK_BYTES sizeof(struct block_mxfp4)
#define DOT_STEPS 1
#define DOT_STEP_VECTORS (QK / VF_LANES)
#ifdef HAS_TABLES
#define DOT_HEAD table_one
#define DOT_HEAD_OF table_of_mxfp4
#else
#define DOT_HEAD head_d
#define DOT_HEAD_OF head_of_mxfp4
#endif
#define DOT_UNPACK unpack_mxfp4
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
    FILL(Q2_K, q2_k);
    FILL(Q3_K, q3_k);
    FILL(Q4_K, q4_k);
    FILL(Q5_K, q5_k);
    FILL(Q6_K, q6_k);
    FILL(IQ4_NL, iq4_nl);
    FILL(IQ4_XS, iq4_xs);
    FILL(MXFP4, mxfp4);
#undef FILL
}

#endif
