/* SPDX-License-Identifier: Apache-2.0
 *
 * The arm64 level: plain dot products, norms, activations and attention. Packed rows are dequantised
 * by the scalar functions. */
#include "engine/kernels/simd/vf_neon.h"

#include "engine/kernels/kernels_internal.h"
#include "engine/kernels/simd/attention.h"
#include "engine/kernels/simd/dot_plain.h"
#include "engine/kernels/simd/recurrent.h"
#include "engine/kernels/simd/vector.h"

void kernels__fill_neon(struct kernels *k)
{
    k->level = "neon";
    dot_plain_fill(k);
    vector_fill(k);
    attention_fill(k);
    recurrent_fill(k);
}
