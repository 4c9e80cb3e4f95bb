/* SPDX-License-Identifier: Apache-2.0
 *
 * Frequencies of rotary position embedding.
 *
 * Plain:   f_i = base^(-2i/dims), i = 0 .. dims/2-1; the angle at position p is p * f_i.
 * Factors: f_i / factor_i, a tensor in the file (how Llama 3.1 and later are stretched), or two of
 *          them, one for long contexts (LongRoPE).
 * Linear:  f_i / s: positions are squeezed into the trained range.
 * YaRN (Peng et al., 2023, "YaRN: Efficient Context Window Extension of Large Language Models"):
 *          fast frequencies stay, slow ones are squeezed, with a ramp over i between those that
 * turn beta_fast and beta_slow times within the original context; sin and cos are multiplied by 1 +
 * 0.1 ln(s). */
#include <math.h>

#include "engine/model/descriptor.h"

/* The index i (as a real number) whose frequency turns `n_turns` times within the context. */
static double index_of_turns(const struct rope_desc *r, double n_turns)
{
    return r->dims * log(r->orig_ctx / (n_turns * 2 * M_PI)) / (2 * log(r->freq_base));
}

/* 1 for indices whose frequency stays, 0 for those that are squeezed whole. */
static double ramp(double low, double high, double i)
{
    double y = (i - low) / fmax(0.001, high - low);
    return 1 - fmin(1, fmax(0, y));
}

void rope_frequencies(const struct rope_desc *rope, const float *factors, float *out,
                      float *ret_mscale)
{
    double low = 0, high = 0, mscale = rope->attn_factor;
    bool yarn = rope->scaling == ROPE_SCALING_YARN;
    if (yarn) {
        low = fmax(0, floor(index_of_turns(rope, rope->beta_fast)));
        high = fmin(rope->dims - 1, ceil(index_of_turns(rope, rope->beta_slow)));
        mscale *= 1 + 0.1 * log(rope->factor);
    }
    for (uint32_t i = 0; i < rope->dims / 2; i++) {
        double f = pow(rope->freq_base, -2.0 * i / rope->dims);
        if (factors)
            f /= (double)factors[i];
        if (rope->scaling == ROPE_SCALING_LINEAR) {
            f /= rope->factor;
        } else if (yarn) {
            double keep = ramp(low, high, i) * rope->ext_factor;
            f = f / rope->factor * (1 - keep) + f * keep;
        }
        out[i] = (float)f;
    }
    *ret_mscale = (float)mscale;
}
