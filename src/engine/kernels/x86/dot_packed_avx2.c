/* SPDX-License-Identifier: Apache-2.0
 *
 * Dot products of packed rows with AVX2. */
#include "engine/kernels/simd/vf_avx2.h"

#include "engine/kernels/kernels_internal.h"
#include "engine/kernels/simd/vf.h"

static ATTR_INLINE vf items_to_vf(__m128i items, size_t j)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(j % 2 ? _mm_srli_si128(items, 8) : items));
}

#include "engine/kernels/x86/dot_packed.h"

void kernels__fill_dot_packed_avx2(struct kernels *k)
{
    dot_packed_fill(k);
}
