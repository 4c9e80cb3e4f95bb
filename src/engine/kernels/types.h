/* SPDX-License-Identifier: Apache-2.0
 *
 * Weight types: the element types of GGUF tensors and the layout of their blocks.
 *
 * Numbers are those of the GGUF format. A row of a quantised tensor is a whole number of blocks;
 * all fields little-endian. This header is pure facts: it is shared by the model loader (sizes) and
 * the kernels (layouts). */
#ifndef ENGINE_KERNELS_TYPES_H
#define ENGINE_KERNELS_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

enum weight_type {
    WT_F32 = 0,
    WT_F16 = 1,
    WT_Q4_0 = 2,
    WT_Q4_1 = 3,
    WT_Q5_0 = 6,
    WT_Q5_1 = 7,
    WT_Q8_0 = 8,
    WT_Q8_1 = 9,
    WT_Q2_K = 10,
    WT_Q3_K = 11,
    WT_Q4_K = 12,
    WT_Q5_K = 13,
    WT_Q6_K = 14,
    WT_Q8_K = 15,
    WT_IQ2_XXS = 16,
    WT_IQ2_XS = 17,
    WT_IQ3_XXS = 18,
    WT_IQ1_S = 19,
    WT_IQ4_NL = 20,
    WT_IQ3_S = 21,
    WT_IQ2_S = 22,
    WT_IQ4_XS = 23,
    WT_I8 = 24,
    WT_I16 = 25,
    WT_I32 = 26,
    WT_I64 = 27,
    WT_F64 = 28,
    WT_IQ1_M = 29,
    WT_BF16 = 30,
    WT_TQ1_0 = 34,
    WT_TQ2_0 = 35,
    WT_MXFP4 = 39,
    WT_NVFP4 = 40,
    WT_COUNT = 41,
};

struct weight_type_info {
    const char *name;     /* "Q4_K" */
    uint32_t block_items; /* elements in a block; 1 for plain types */
    uint32_t block_bytes;
    bool can_compute;     /* this engine has kernels for it */
};

/* NULL for a number that names no type (holes in the enumeration, or beyond it). */
const struct weight_type_info *weight_type_info(uint32_t type);

/* Bytes of a row of `cols` elements; false when cols is no whole number of blocks or the type is
 * unknown. Cannot overflow: cols is 32 bits. */
bool weight_row_bytes(uint32_t type, uint32_t cols, uint64_t *ret);

/* ---- block layouts of the types with kernels; sizes are pinned by static_assert in types.c ----
 *
 * Packed: a block may lie at any address of a mapped file. d, dmin, m are f16. */

enum { QK = 32, QK_K = 256 };

struct block_q4_0 { /* w = d * (q - 8); low nibbles are items 0..15, high ones 16..31 */
    uint16_t d;
    uint8_t qs[QK / 2];
} ATTR_PACKED;

struct block_q4_1 { /* w = d * q + m */
    uint16_t d, m;
    uint8_t qs[QK / 2];
} ATTR_PACKED;

struct block_q5_0 { /* w = d * (q - 16); nibbles as q4_0, bit i of qh is the fifth bit of item i */
    uint16_t d;
    uint8_t qh[4];
    uint8_t qs[QK / 2];
} ATTR_PACKED;

struct block_q5_1 { /* w = d * q + m */
    uint16_t d, m;
    uint8_t qh[4];
    uint8_t qs[QK / 2];
} ATTR_PACKED;

struct block_q8_0 { /* w = d * q */
    uint16_t d;
    int8_t qs[QK];
} ATTR_PACKED;

struct block_q2_k { /* w = d*sc*q - dmin*m, 16 sub-blocks of 16: sc low, m high nibble of scales;
                       byte l of 32 holds items l, l+32, l+64, l+96 of its half, lowest bits first */
    uint8_t scales[QK_K / 16];
    uint8_t qs[QK_K / 4];
    uint16_t d, dmin;
} ATTR_PACKED;

struct block_q3_k { /* w = d * (sc - 32) * (q - 4), 16 sub-blocks of 16 with 6-bit sc; low two bits
                       of q in qs as q2_k, bit g of hmask[l] is the third of item 32*g + l */
    uint8_t hmask[QK_K / 8];
    uint8_t qs[QK_K / 4];
    uint8_t scales[12];
    uint16_t d;
} ATTR_PACKED;

struct block_q4_k { /* w = d*sc*q - dmin*m, 8 sub-blocks of 32 with 6-bit sc, m; each 32 bytes of qs
                       are two sub-blocks, low nibbles first */
    uint16_t d, dmin;
    uint8_t scales[12];
    uint8_t qs[QK_K / 2];
} ATTR_PACKED;

struct block_q5_k { /* as q4_k; bit g of qh[l] is the fifth bit of item 32*g + l */
    uint16_t d, dmin;
    uint8_t scales[12];
    uint8_t qh[QK_K / 8];
    uint8_t qs[QK_K / 2];
} ATTR_PACKED;

struct block_q6_k { /* w = d * sc * (q - 32), 16 sub-blocks of 16 with 8-bit sc */
    uint8_t ql[QK_K / 2];
    uint8_t qh[QK_K / 4];
    int8_t scales[QK_K / 16];
    uint16_t d;
} ATTR_PACKED;

struct block_iq4_nl { /* w = d * iq4_values[q]; nibbles as q4_0 */
    uint16_t d;
    uint8_t qs[QK / 2];
} ATTR_PACKED;

struct block_iq4_xs { /* w = d * (sc - 32) * iq4_values[q], 8 sub-blocks of 32, each as iq4_nl */
    uint16_t d;
    uint16_t scales_h; /* two high bits of each sc */
    uint8_t scales_l[QK_K / 64];
    uint8_t qs[QK_K / 2];
} ATTR_PACKED;

struct block_tq1_0 { /* w = d * (t - 1), t ternary digits: five in a byte of qs, four in one of qh */
    uint8_t qs[48];
    uint8_t qh[4];
    uint16_t d;
} ATTR_PACKED;

struct block_tq2_0 { /* w = d * (q - 1), two bits each, in halves of 128 as q2_k */
    uint8_t qs[QK_K / 4];
    uint16_t d;
} ATTR_PACKED;

struct block_mxfp4 { /* w = 2^(e - 128) * mxfp4_values[q]; nibbles as q4_0 */
    uint8_t e;
    uint8_t qs[QK / 2];
} ATTR_PACKED;

struct block_nvfp4 { /* w = d * mxfp4_values[q] / 2, 4 sub-blocks of 16, nibbles in the order of q4_0;
                        d: unsigned, 4 bits of exponent (bias 7), 3 of mantissa; 0x7f is 0 */
    uint8_t d[4];
    uint8_t qs[32];
} ATTR_PACKED;

/* What llama.cpp makes of activations; as weights nobody quantizes to them. */

struct block_q8_1 { /* w = d * q; s is d * the sum of q */
    uint16_t d, s;
    int8_t qs[QK];
} ATTR_PACKED;

struct block_q8_k { /* w = d * q; d is f32, bsums the sums of 16 q each */
    uint32_t d;
    int8_t qs[QK_K];
    int16_t bsums[QK_K / 16];
} ATTR_PACKED;

/* The IQ types of one to three bits: each 8 items are one entry of a grid of eight values (iq2,
 * iq1) or two of four (iq3), at the sub-block's scale. Signs: bit i is item i; seven bits of signs
 * are eight with an even number of negative ones. */

struct block_iq2_xxs { /* w = d * (sc + 0.5) / 4 * grid, 8 sub-blocks of 32; scale_signs has four
                          times seven signs, then the 4-bit sc */
    uint16_t d;
    struct {
        uint8_t qs[4];
        uint32_t scale_signs;
    } ATTR_PACKED sub[QK_K / 32];
} ATTR_PACKED;

struct block_iq2_xs { /* as iq2_xxs, 16 sub-blocks of 16; qs: 9 bits of index, 7 of signs */
    uint16_t d;
    uint16_t qs[QK_K / 8];
    uint8_t scales[QK_K / 32];
} ATTR_PACKED;

struct block_iq2_s { /* as iq2_xs with eight signs; qh has bits 8 and 9 of the grid index */
    uint16_t d;
    uint8_t qs[QK_K / 8];
    uint8_t signs[QK_K / 8];
    uint8_t qh[QK_K / 32];
    uint8_t scales[QK_K / 32];
} ATTR_PACKED;

struct block_iq3_xxs { /* w = d * (sc + 0.5) / 2 * grid; scale_signs as in iq2_xxs */
    uint16_t d;
    uint8_t qs[QK_K / 4];
    uint32_t scale_signs[QK_K / 32];
} ATTR_PACKED;

struct block_iq3_s { /* w = d * (2*sc + 1) * grid, 8 sub-blocks of 32; qh has bit 8 of the grid
                        index */
    uint16_t d;
    uint8_t qs[QK_K / 4];
    uint8_t qh[QK_K / 32];
    uint8_t signs[QK_K / 8];
    uint8_t scales[QK_K / 64];
} ATTR_PACKED;

struct block_iq1_s { /* w = d * (2*sc + 1) * (grid ± 1/8), 8 sub-blocks of 32; qh: four times bits
                        8-10 of the grid index, the 3-bit sc, whether the eighth is taken off */
    uint16_t d;
    uint8_t qs[QK_K / 8];
    uint16_t qh[QK_K / 32];
} ATTR_PACKED;

struct block_iq1_m { /* as iq1_s, 16 sub-blocks of 16; each nibble of qh: bits 8-10 of the index and
                        the sign of the eighth; each of scales: four 3-bit sc, and 4 bits of d */
    uint8_t qs[QK_K / 8];
    uint8_t qh[QK_K / 16];
    uint16_t scales[QK_K / 64];
} ATTR_PACKED;

#endif
