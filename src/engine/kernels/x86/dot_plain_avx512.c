/* SPDX-License-Identifier: Apache-2.0
 *
 * Dot products of plain rows with AVX-512. */
#include "engine/kernels/simd/vf_avx512.h"

#include "engine/kernels/kernels_internal.h"
#include "engine/kernels/simd/dot_plain.h"

void kernels__fill_dot_plain_avx512(struct kernels *k)
{
    dot_plain_fill(k);
}
