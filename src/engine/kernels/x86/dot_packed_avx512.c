/* SPDX-License-Identifier: Apache-2.0
 *
 * Dot products of packed rows with AVX-512.
 *
 * A block of four-bit items has 16 possible values, which fit one vector: the values are computed
 * once a block, and each item is then one lane of a permutation, whose index is the low four bits of
 * its lane. A fifth bit chooses between two such vectors. The values are those of the formulas, so
 * the bits are the same as item by item. */
#include "engine/kernels/simd/vf_avx512.h"

#include "engine/kernels/kernels_internal.h"
#include "engine/kernels/simd/vf.h"
#include "engine/kernels/x86/unpack.h"

#define HAS_TABLES

struct table_one { /* values of the items 0..15 */
    vf t;
};

struct table_two { /* of 0..15 and 16..31 */
    vf low, high;
};

static ATTR_INLINE vf items_to_vf(__m128i items, size_t j)
{
    (void)j;
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(items));
}

/* first, first + 1, … first + 15 */
static ATTR_INLINE vf count_from(float first)
{
    const __m512 count = _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    return _mm512_add_ps(count, _mm512_set1_ps(first));
}

/* Lanes whose low four bits are the low or high nibbles of 16 bytes. */
static ATTR_INLINE __m512i indices(const uint8_t *bytes, size_t high)
{
    __m512i lanes = _mm512_cvtepu8_epi32(load16(bytes));
    return high ? _mm512_srli_epi32(lanes, 4) : lanes;
}

static ATTR_INLINE vf look_up(vf table, __m512i index)
{
    return _mm512_permutexvar_ps(index, table);
}

static ATTR_INLINE vf look_up_two(const struct table_two *two, __m512i index, unsigned fifth)
{
    return _mm512_mask_permutexvar_ps(look_up(two->low, index), (__mmask16)fifth, index, two->high);
}

static ATTR_INLINE struct table_one table_of_q4_0(const void *p)
{
    return (struct table_one){vf_mul(vf_set1(head_of_q4_0(p).d), count_from(-8))};
}

static ATTR_INLINE vf unpack_q4_0(const void *p, const struct table_one *one, size_t s,
                                    size_t j)
{
    (void)s;
    return look_up(one->t, indices(((const struct block_q4_0 *)p)->qs, j));
}

static ATTR_INLINE struct table_one table_of_q4_1(const void *p)
{
    struct head_dm h = head_of_q4_1(p);
    return (struct table_one){vf_add(vf_mul(vf_set1(h.d), count_from(0)), vf_set1(h.m))};
}

static ATTR_INLINE vf unpack_q4_1(const void *p, const struct table_one *one, size_t s,
                                    size_t j)
{
    (void)s;
    return look_up(one->t, indices(((const struct block_q4_1 *)p)->qs, j));
}

static ATTR_INLINE struct table_two table_of_q5_0(const void *p)
{
    vf d = vf_set1(head_of_q5_0(p).d);
    return (struct table_two){vf_mul(d, count_from(-16)), vf_mul(d, count_from(0))};
}

static ATTR_INLINE vf unpack_q5_0(const void *p, const struct table_two *two, size_t s,
                                    size_t j)
{
    (void)s;
    const struct block_q5_0 *b = p;
    return look_up_two(two, indices(b->qs, j), fifth_of_group(b->qh, j));
}

static ATTR_INLINE struct table_two table_of_q5_1(const void *p)
{
    struct head_dm h = head_of_q5_1(p);
    vf d = vf_set1(h.d), m = vf_set1(h.m);
    return (struct table_two){vf_add(vf_mul(d, count_from(0)), m),
                              vf_add(vf_mul(d, count_from(16)), m)};
}

static ATTR_INLINE vf unpack_q5_1(const void *p, const struct table_two *two, size_t s,
                                    size_t j)
{
    (void)s;
    const struct block_q5_1 *b = p;
    return look_up_two(two, indices(b->qs, j), fifth_of_group(b->qh, j));
}

/* A table for each sub-block of 32: made for its first vector, the compiler keeps it for the second. */
static ATTR_INLINE vf unpack_q4_k(const void *p, const struct head_k4 *head, size_t s, size_t j)
{
    const struct block_q4_k *b = p;
    size_t sub = 2 * s + j / 2;
    vf table = vf_sub(vf_mul(vf_set1(head->scale[sub]), count_from(0)), vf_set1(head->min[sub]));
    return look_up(table, indices(b->qs + 32 * s + 16 * (j % 2), j / 2));
}

static ATTR_INLINE vf iq4_values(void)
{
    return items_to_vf(load16(kernels__iq4_values), 0);
}

static ATTR_INLINE struct table_one table_of_iq4_nl(const void *p)
{
    return (struct table_one){vf_mul(vf_set1(head_of_iq4_nl(p).d), iq4_values())};
}

static ATTR_INLINE vf unpack_iq4_nl(const void *p, const struct table_one *one, size_t s,
                                    size_t j)
{
    (void)s;
    return look_up(one->t, indices(((const struct block_iq4_nl *)p)->qs, j));
}

static ATTR_INLINE vf unpack_iq4_xs(const void *p, const struct head_x4 *head, size_t s, size_t j)
{
    const struct block_iq4_xs *b = p;
    size_t sub = 2 * s + j / 2;
    vf table = vf_mul(vf_set1(head->scale[sub]), iq4_values());
    return look_up(table, indices(b->qs + 16 * sub, j % 2));
}

static ATTR_INLINE struct table_one table_of_mxfp4(const void *p)
{
    vf values = items_to_vf(load16(kernels__mxfp4_values), 0);
    return (struct table_one){vf_mul(vf_set1(head_of_mxfp4(p).d), values)};
}

static ATTR_INLINE vf unpack_mxfp4(const void *p, const struct table_one *one, size_t s,
                                    size_t j)
{
    (void)s;
    return look_up(one->t, indices(((const struct block_mxfp4 *)p)->qs, j));
}

#include "engine/kernels/x86/dot_packed.h"

void kernels__fill_dot_packed_avx512(struct kernels *k)
{
    dot_packed_fill(k);
}
