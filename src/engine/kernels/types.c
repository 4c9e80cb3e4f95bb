/* SPDX-License-Identifier: Apache-2.0
 *
 * The facts about weight types: names, block sizes, and which of them this engine computes with. */
#include "engine/kernels/types.h"

#include <assert.h>

static_assert(sizeof(struct block_q4_0) == 18, "q4_0");
static_assert(sizeof(struct block_q4_1) == 20, "q4_1");
static_assert(sizeof(struct block_q5_0) == 22, "q5_0");
static_assert(sizeof(struct block_q5_1) == 24, "q5_1");
static_assert(sizeof(struct block_q8_0) == 34, "q8_0");
static_assert(sizeof(struct block_q2_k) == 84, "q2_k");
static_assert(sizeof(struct block_q3_k) == 110, "q3_k");
static_assert(sizeof(struct block_q4_k) == 144, "q4_k");
static_assert(sizeof(struct block_q5_k) == 176, "q5_k");
static_assert(sizeof(struct block_q6_k) == 210, "q6_k");
static_assert(sizeof(struct block_iq4_nl) == 18, "iq4_nl");
static_assert(sizeof(struct block_iq4_xs) == 136, "iq4_xs");
static_assert(sizeof(struct block_tq1_0) == 54, "tq1_0");
static_assert(sizeof(struct block_tq2_0) == 66, "tq2_0");
static_assert(sizeof(struct block_mxfp4) == 17, "mxfp4");
static_assert(sizeof(struct block_nvfp4) == 36, "nvfp4");
static_assert(sizeof(struct block_q8_1) == 36, "q8_1");
static_assert(sizeof(struct block_q8_k) == 292, "q8_k");
static_assert(sizeof(struct block_iq1_s) == 50, "iq1_s");
static_assert(sizeof(struct block_iq1_m) == 56, "iq1_m");
static_assert(sizeof(struct block_iq2_xxs) == 66, "iq2_xxs");
static_assert(sizeof(struct block_iq2_xs) == 74, "iq2_xs");
static_assert(sizeof(struct block_iq2_s) == 82, "iq2_s");
static_assert(sizeof(struct block_iq3_xxs) == 98, "iq3_xxs");
static_assert(sizeof(struct block_iq3_s) == 110, "iq3_s");

static const struct weight_type_info infos[WT_COUNT] = {
    [WT_F32] = {"F32", 1, 4, true},
    [WT_F16] = {"F16", 1, 2, true},
    [WT_BF16] = {"BF16", 1, 2, true},
    [WT_Q4_0] = {"Q4_0", 32, 18, true},
    [WT_Q4_1] = {"Q4_1", 32, 20, true},
    [WT_Q5_0] = {"Q5_0", 32, 22, true},
    [WT_Q5_1] = {"Q5_1", 32, 24, true},
    [WT_Q8_0] = {"Q8_0", 32, 34, true},
    [WT_Q2_K] = {"Q2_K", 256, 84, true},
    [WT_Q3_K] = {"Q3_K", 256, 110, true},
    [WT_Q4_K] = {"Q4_K", 256, 144, true},
    [WT_Q5_K] = {"Q5_K", 256, 176, true},
    [WT_Q6_K] = {"Q6_K", 256, 210, true},
    [WT_IQ4_NL] = {"IQ4_NL", 32, 18, true},
    [WT_IQ4_XS] = {"IQ4_XS", 256, 136, true},
    [WT_TQ1_0] = {"TQ1_0", 256, 54, true},
    [WT_TQ2_0] = {"TQ2_0", 256, 66, true},
    [WT_MXFP4] = {"MXFP4", 32, 17, true},
    [WT_IQ1_S] = {"IQ1_S", 256, 50, true},
    [WT_IQ1_M] = {"IQ1_M", 256, 56, true},
    [WT_IQ2_XXS] = {"IQ2_XXS", 256, 66, true},
    [WT_IQ2_XS] = {"IQ2_XS", 256, 74, true},
    [WT_IQ2_S] = {"IQ2_S", 256, 82, true},
    [WT_IQ3_XXS] = {"IQ3_XXS", 256, 98, true},
    [WT_IQ3_S] = {"IQ3_S", 256, 110, true},
    [WT_Q8_1] = {"Q8_1", 32, 36, true},
    [WT_Q8_K] = {"Q8_K", 256, 292, true},
    [WT_NVFP4] = {"NVFP4", 64, 36, true},
    /* known by size only */
    [WT_I8] = {"I8", 1, 1, false},
    [WT_I16] = {"I16", 1, 2, false},
    [WT_I32] = {"I32", 1, 4, false},
    [WT_I64] = {"I64", 1, 8, false},
    [WT_F64] = {"F64", 1, 8, false},
};

const struct weight_type_info *weight_type_info(uint32_t type)
{
    return type < WT_COUNT && infos[type].name ? &infos[type] : NULL;
}

bool weight_row_bytes(uint32_t type, uint32_t cols, uint64_t *ret)
{
    const struct weight_type_info *info = weight_type_info(type);
    if (!info || cols % info->block_items != 0)
        return false;
    *ret = (uint64_t)(cols / info->block_items) * info->block_bytes;
    return true;
}
