/* SPDX-License-Identifier: Apache-2.0
 *
 * Unpacking blocks with x86 byte operations: 16 items at a time as signed bytes, and the scales as
 * floats. Used by the AVX2 level and, where it has nothing better, by AVX-512. The layouts are in
 * types.h. Blocks of 256 items are walked in four steps of 64; g counts groups of 16 items in a step
 * (or in a block of 32 items). */
#ifndef ENGINE_KERNELS_X86_UNPACK_H
#define ENGINE_KERNELS_X86_UNPACK_H

#include <immintrin.h>
#include <string.h>

#include "base/compiler.h"
#include "engine/kernels/f16.h"
#include "engine/kernels/kernels_internal.h"

static ATTR_INLINE float half_to_float(uint16_t h)
{
    return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(h)));
}

static ATTR_INLINE __m128i load16(const void *p)
{
    return _mm_loadu_si128((const __m128i *)p);
}

/* The low or high nibbles of 16 bytes. */
static ATTR_INLINE __m128i nibbles(__m128i bytes, size_t high)
{
    if (high)
        bytes = _mm_srli_epi16(bytes, 4);
    return _mm_and_si128(bytes, _mm_set1_epi8(15));
}

/* 16 where bit i of `bits` is set, for bytes i. */
static ATTR_INLINE __m128i fifth_bits(unsigned bits)
{
    const __m128i of_byte = _mm_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
    const __m128i bit = _mm_set1_epi64x((long long)0x8040201008040201u);
    __m128i b = _mm_shuffle_epi8(_mm_cvtsi32_si128((int)bits), of_byte);
    __m128i set = _mm_cmpeq_epi8(_mm_and_si128(b, bit), bit);
    return _mm_and_si128(set, _mm_set1_epi8(16));
}

/* The 16 bits of qh for group g of a 32-item block. */
static ATTR_INLINE unsigned fifth_of_group(const uint8_t qh[4], size_t g)
{
    return (unsigned)qh[2 * g] | ((unsigned)qh[2 * g + 1] << 8);
}

static ATTR_INLINE __m128i items_q4_0(const struct block_q4_0 *b, size_t s, size_t g)
{
    (void)s;
    return _mm_sub_epi8(nibbles(load16(b->qs), g), _mm_set1_epi8(8));
}

static ATTR_INLINE __m128i items_q4_1(const struct block_q4_1 *b, size_t s, size_t g)
{
    (void)s;
    return nibbles(load16(b->qs), g);
}

static ATTR_INLINE __m128i items_q5_0(const struct block_q5_0 *b, size_t s, size_t g)
{
    (void)s;
    __m128i q = _mm_or_si128(nibbles(load16(b->qs), g), fifth_bits(fifth_of_group(b->qh, g)));
    return _mm_sub_epi8(q, _mm_set1_epi8(16));
}

static ATTR_INLINE __m128i items_q5_1(const struct block_q5_1 *b, size_t s, size_t g)
{
    (void)s;
    return _mm_or_si128(nibbles(load16(b->qs), g), fifth_bits(fifth_of_group(b->qh, g)));
}

static ATTR_INLINE __m128i items_q8_0(const struct block_q8_0 *b, size_t s, size_t g)
{
    (void)s;
    return load16(b->qs + 16 * g);
}

/* Bits [shift, shift + bits) of each of 16 bytes; shift + bits <= 8. */
static ATTR_INLINE __m128i bit_field(__m128i bytes, size_t shift, int bits)
{
    bytes = _mm_srl_epi16(bytes, _mm_cvtsi32_si128((int)shift));
    return _mm_and_si128(bytes, _mm_set1_epi8((char)((1 << bits) - 1)));
}

/* 255 where bit `bit` of a byte is set. */
static ATTR_INLINE __m128i bit_set(__m128i bytes, size_t bit)
{
    __m128i mask = _mm_set1_epi8((char)(1u << bit));
    return _mm_cmpeq_epi8(_mm_and_si128(bytes, mask), mask);
}

/* A step is two sub-blocks, which share 32 bytes. */
static ATTR_INLINE __m128i items_q4_k(const struct block_q4_k *b, size_t s, size_t g)
{
    return nibbles(load16(b->qs + 32 * s + 16 * (g % 2)), g / 2);
}

static ATTR_INLINE __m128i items_q5_k(const struct block_q5_k *b, size_t s, size_t g)
{
    __m128i low = nibbles(load16(b->qs + 32 * s + 16 * (g % 2)), g / 2);
    __m128i fifth = bit_set(load16(b->qh + 16 * (g % 2)), 2 * s + g / 2);
    return _mm_or_si128(low, _mm_and_si128(fifth, _mm_set1_epi8(16)));
}

/* Two steps are a half of 128 items in four runs of 32: the first two in the low nibbles of 64 bytes,
 * the others in the high ones. */
static ATTR_INLINE __m128i items_q6_k(const struct block_q6_k *b, size_t s, size_t g)
{
    size_t half = s / 2, upper = s % 2;
    __m128i low = bit_field(load16(b->ql + 64 * half + 16 * g), 4 * upper, 4);
    __m128i high = load16(b->qh + 32 * half + 16 * (g % 2));
    high = bit_field(high, 4 * upper + 2 * (g / 2), 2);
    return _mm_sub_epi8(_mm_or_si128(low, _mm_slli_epi16(high, 4)), _mm_set1_epi8(32));
}

static ATTR_INLINE __m128i items_q2_k(const struct block_q2_k *b, size_t s, size_t g)
{
    __m128i bytes = load16(b->qs + 32 * (s / 2) + 16 * (g % 2));
    return bit_field(bytes, 4 * (s % 2) + 2 * (g / 2), 2);
}

static ATTR_INLINE __m128i items_q3_k(const struct block_q3_k *b, size_t s, size_t g)
{
    __m128i bytes = load16(b->qs + 32 * (s / 2) + 16 * (g % 2));
    __m128i low = bit_field(bytes, 4 * (s % 2) + 2 * (g / 2), 2);
    __m128i third = bit_set(load16(b->hmask + 16 * (g % 2)), 2 * s + g / 2);
    return _mm_sub_epi8(low, _mm_andnot_si128(third, _mm_set1_epi8(4)));
}

static ATTR_INLINE __m128i items_iq4_nl(const struct block_iq4_nl *b, size_t s, size_t g)
{
    (void)s;
    return _mm_shuffle_epi8(load16(kernels__iq4_values), nibbles(load16(b->qs), g));
}

static ATTR_INLINE __m128i items_iq4_xs(const struct block_iq4_xs *b, size_t s, size_t g)
{
    __m128i q = nibbles(load16(b->qs + 32 * s + 16 * (g / 2)), g % 2);
    return _mm_shuffle_epi8(load16(kernels__iq4_values), q);
}

static ATTR_INLINE __m128i items_mxfp4(const struct block_mxfp4 *b, size_t s, size_t g)
{
    (void)s;
    return _mm_shuffle_epi8(load16(kernels__mxfp4_values), nibbles(load16(b->qs), g));
}

/* ---- heads ---- */

struct head_d { /* w = d * q */
    float d;
};

struct head_dm { /* w = d * q + m */
    float d, m;
};

struct head_k4 { /* w = scale[j] * q - min[j], j the sub-block of 32 */
    float scale[8], min[8];
};

struct head_k6 { /* w = scale[j] * q, j the sub-block of 16 */
    float scale[16];
};

struct head_k2 { /* w = scale[j] * q - min[j], j the sub-block of 16 */
    float scale[16], min[16];
};

struct head_x4 { /* w = scale[j] * q, j the sub-block of 32 */
    float scale[8];
};

static ATTR_INLINE struct head_d head_of_q4_0(const void *p)
{
    return (struct head_d){half_to_float(((const struct block_q4_0 *)p)->d)};
}

static ATTR_INLINE struct head_d head_of_q5_0(const void *p)
{
    return (struct head_d){half_to_float(((const struct block_q5_0 *)p)->d)};
}

static ATTR_INLINE struct head_d head_of_q8_0(const void *p)
{
    return (struct head_d){half_to_float(((const struct block_q8_0 *)p)->d)};
}

static ATTR_INLINE struct head_dm head_of_q4_1(const void *p)
{
    const struct block_q4_1 *b = p;
    return (struct head_dm){half_to_float(b->d), half_to_float(b->m)};
}

static ATTR_INLINE struct head_dm head_of_q5_1(const void *p)
{
    const struct block_q5_1 *b = p;
    return (struct head_dm){half_to_float(b->d), half_to_float(b->m)};
}

/* Eight unsigned bytes, given as two words, times d. */
static ATTR_INLINE void scale_bytes(uint32_t low, uint32_t high, float d, float ret[8])
{
    __m128i bytes = _mm_cvtsi64_si128((long long)(low | ((uint64_t)high << 32)));
    __m256 v = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes));
    _mm256_storeu_ps(ret, _mm256_mul_ps(v, _mm256_set1_ps(d)));
}

/* k4_scale_min() for all eight sub-blocks: four a word. */
static ATTR_INLINE struct head_k4 head_of_k4(uint16_t d, uint16_t dmin, const uint8_t scales[12])
{
    struct head_k4 head;
    uint32_t s[3];
    memcpy(s, scales, sizeof(s));
    scale_bytes(s[0] & 0x3f3f3f3f, (s[2] & 0x0f0f0f0f) | ((s[0] >> 2) & 0x30303030),
                half_to_float(d), head.scale);
    scale_bytes(s[1] & 0x3f3f3f3f, ((s[2] >> 4) & 0x0f0f0f0f) | ((s[1] >> 2) & 0x30303030),
                half_to_float(dmin), head.min);
    return head;
}

static ATTR_INLINE struct head_k4 head_of_q4_k(const void *p)
{
    const struct block_q4_k *b = p;
    return head_of_k4(b->d, b->dmin, b->scales);
}

static ATTR_INLINE struct head_k4 head_of_q5_k(const void *p)
{
    const struct block_q5_k *b = p;
    return head_of_k4(b->d, b->dmin, b->scales);
}

/* Sixteen signed bytes times d. */
static ATTR_INLINE void scale_bytes16(__m128i bytes, float d, float ret[16])
{
    __m256 low = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes));
    __m256 high = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(bytes, 8)));
    _mm256_storeu_ps(ret, _mm256_mul_ps(_mm256_set1_ps(d), low));
    _mm256_storeu_ps(ret + 8, _mm256_mul_ps(_mm256_set1_ps(d), high));
}

static ATTR_INLINE struct head_k6 head_of_q6_k(const void *p)
{
    const struct block_q6_k *b = p;
    struct head_k6 head;
    scale_bytes16(load16(b->scales), half_to_float(b->d), head.scale);
    return head;
}

static ATTR_INLINE struct head_k2 head_of_q2_k(const void *p)
{
    const struct block_q2_k *b = p;
    struct head_k2 head;
    scale_bytes16(nibbles(load16(b->scales), 0), half_to_float(b->d), head.scale);
    scale_bytes16(nibbles(load16(b->scales), 1), half_to_float(b->dmin), head.min);
    return head;
}

static ATTR_INLINE struct head_k6 head_of_q3_k(const void *p)
{
    const struct block_q3_k *b = p;
    struct head_k6 head;
    uint32_t high;
    memcpy(&high, b->scales + 8, sizeof(high));
    __m128i low = _mm_loadl_epi64((const __m128i *)(const void *)b->scales);
    low = _mm_unpacklo_epi64(nibbles(low, 0), nibbles(low, 1));
    __m128i two = _mm_setr_epi32((int)(high << 4), (int)(high << 2), (int)high, (int)(high >> 2));
    __m128i q = _mm_or_si128(low, _mm_and_si128(two, _mm_set1_epi8(0x30)));
    scale_bytes16(_mm_sub_epi8(q, _mm_set1_epi8(32)), half_to_float(b->d), head.scale);
    return head;
}

static ATTR_INLINE struct head_d head_of_iq4_nl(const void *p)
{
    return (struct head_d){half_to_float(((const struct block_iq4_nl *)p)->d)};
}

static ATTR_INLINE struct head_x4 head_of_iq4_xs(const void *p)
{
    const struct block_iq4_xs *b = p;
    struct head_x4 head;
    float d = half_to_float(b->d);
    for (size_t j = 0; j < 8; j++) {
        int low = (b->scales_l[j / 2] >> (4 * (j % 2))) & 15;
        int high = (b->scales_h >> (2 * j)) & 3;
        head.scale[j] = d * (float)((low | (high << 4)) - 32);
    }
    return head;
}

static ATTR_INLINE struct head_d head_of_mxfp4(const void *p)
{
    uint32_t e = ((const struct block_mxfp4 *)p)->e;
    return (struct head_d){f32_from_bits(e < 2 ? 0x00200000u << e : (e - 1) << 23)};
}

#endif
