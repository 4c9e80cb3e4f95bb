/* SPDX-License-Identifier: Apache-2.0
 *
 * IQ weights with AVX2: eight items at a time, their levels looked up within a register. */
#include <immintrin.h>

#include "engine/kernels/kernels_internal.h"
#include "engine/kernels/simd/iq_levels.h"

/* Bit i of signs in the place of the sign of item i. */
static inline __m256i sign_bits(uint32_t signs)
{
    const __m256i to_top = _mm256_setr_epi32(31, 30, 29, 28, 27, 26, 25, 24);
    return _mm256_slli_epi32(
        _mm256_srli_epi32(_mm256_sllv_epi32(_mm256_set1_epi32((int)signs), to_top), 31), 31);
}

static inline void put_signed(__m256 value, uint32_t signs, float *dst)
{
    _mm256_storeu_ps(dst, _mm256_xor_ps(value, _mm256_castsi256_ps(sign_bits(signs))));
}

/* The levels of eight numbers of two bits each; a look-up takes three bits of an index. */
static inline __m256 levels_of_two_bits(const float *levels, uint32_t entry)
{
    const __m256i shifts = _mm256_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14);
    __m256i index = _mm256_and_si256(_mm256_srlv_epi32(_mm256_set1_epi32((int)entry), shifts),
                                     _mm256_set1_epi32(3));
    return _mm256_permutevar8x32_ps(_mm256_loadu_ps(levels), index);
}

static inline void put_iq2(float d, uint16_t entry, uint8_t signs, float *dst)
{
    put_signed(_mm256_mul_ps(_mm256_set1_ps(d), levels_of_two_bits(iq2_levels, entry)), signs, dst);
}

static inline void put_iq3(float d, const float *levels, uint16_t first, uint16_t second,
                           uint8_t signs, float *dst)
{
    const __m256i shifts = _mm256_setr_epi32(0, 3, 6, 9, 0, 3, 6, 9);
    __m256i both = _mm256_setr_epi32(first, first, first, first, second, second, second, second);
    __m256 value =
        _mm256_permutevar8x32_ps(_mm256_loadu_ps(levels), _mm256_srlv_epi32(both, shifts));
    put_signed(_mm256_mul_ps(_mm256_set1_ps(d), value), signs, dst);
}

static inline void put_iq1(float d, uint16_t entry, float delta, float *dst)
{
    __m256 value = _mm256_add_ps(levels_of_two_bits(iq1_levels, entry), _mm256_set1_ps(delta));
    _mm256_storeu_ps(dst, _mm256_mul_ps(_mm256_set1_ps(d), value));
}

#define IQ_FUNCTION(type) static void dequant_##type##_avx2
#include "engine/kernels/simd/dequant_iq.h"

void kernels__fill_dequant_iq_avx2(struct kernels *k)
{
    k->weight[WT_IQ2_XXS].dequant = dequant_iq2_xxs_avx2;
    k->weight[WT_IQ2_XS].dequant = dequant_iq2_xs_avx2;
    k->weight[WT_IQ2_S].dequant = dequant_iq2_s_avx2;
    k->weight[WT_IQ3_XXS].dequant = dequant_iq3_xxs_avx2;
    k->weight[WT_IQ3_S].dequant = dequant_iq3_s_avx2;
    k->weight[WT_IQ1_S].dequant = dequant_iq1_s_avx2;
    k->weight[WT_IQ1_M].dequant = dequant_iq1_m_avx2;
}
