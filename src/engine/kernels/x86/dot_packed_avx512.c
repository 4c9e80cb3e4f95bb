/* SPDX-License-Identifier: Apache-2.0
 *
 * Dot products of packed rows with AVX-512. */
#include "engine/kernels/simd/vf_avx512.h"

#include "engine/kernels/kernels_internal.h"
#include "engine/kernels/simd/vf.h"

static ATTR_INLINE vf items_to_vf(__m128i items, size_t j)
{
    (void)j;
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(items));
}

#include "engine/kernels/x86/dot_packed.h"

void kernels__fill_dot_packed_avx512(struct kernels *k)
{
    dot_packed_fill(k);
}
