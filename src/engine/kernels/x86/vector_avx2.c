/* SPDX-License-Identifier: Apache-2.0
 *
 * Norms, activations and attention with AVX2. */
#include "engine/kernels/simd/vf_avx2.h"

#include "engine/kernels/kernels_internal.h"
#include "engine/kernels/simd/attention.h"
#include "engine/kernels/simd/recurrent.h"
#include "engine/kernels/simd/vector.h"

void kernels__fill_avx2(struct kernels *k)
{
    k->level = "avx2";
    kernels__fill_dot_plain_avx2(k);
    kernels__fill_dot_packed_avx2(k);
    kernels__fill_dequant_iq_avx2(k);
    vector_fill(k);
    attention_fill(k);
    recurrent_fill(k);
}
