/* SPDX-License-Identifier: Apache-2.0
 *
 * Layers that are not, or not only, attention: what a row of the table of architectures says of
 * them, and the facts that the file adds.
 *
 * With h = norm(x) * attn_norm, and conv a causal convolution of each channel over time:
 *
 *   short convolution (LFM2)   b, c, u = Win h;  h = Wout (c * conv(b * u))
 *
 *   Mamba 1    u, z = Win h;  u = silu(conv(u) + bias);  dt, B, C = Wx u, each perhaps normed;
 *              y = scan(u, Wdt dt, B, C);  h = Wout (silu(z) * y)
 *
 *   Mamba 2    z, u, B, C, dt = Win h;  u, B, C = silu(conv(u, B, C) + bias);
 *              y = scan(u, dt, B, C);  h = Wout (rms(silu(z) * y) * ssm_norm)     groups
 *
 *   gated delta net (Qwen3-Next, Qwen3.5)
 *              q, k, v = silu(conv(Wqkv h));  o = delta(q, k, v, Walpha h, Wbeta h);
 *              h = Wout (silu(Wgate h) * rms(o) * ssm_norm)                       heads
 *
 * The scans and the delta rule are those of backend.h. */
#ifndef ENGINE_MODEL_RECURRENT_H
#define ENGINE_MODEL_RECURRENT_H

#include "engine/model/descriptor.h"

/* Which layers of an architecture are recurrent. */
enum recurrent_where {
    WHERE_ALL,
    WHERE_NO_KV_HEADS, /* those whose attention.head_count_kv is 0 */
    WHERE_INTERVAL,    /* those of attention.recurrent_layers, or all but each
                          full_attention_interval-th */
    WHERE_OR_FFN,      /* a layer is one of three: feed-forward where it has a width of that,
                          attention where it has key heads, else recurrent */
    WHERE_BESIDE,      /* all, and all have attention as well: both outputs are added */
};

/* Tensors beside those that all layers of the architecture have. */
struct recurrent_arch {
    enum recurrent_kind kind;
    enum recurrent_where where;
    bool rotates; /* attention rotates queries and keys */
    bool has_ffn;
    bool tiled;              /* delta net: value head h has the key head h % key heads */
    const char *output_norm; /* NULL = output_norm.weight */
    UINT128 attention, attention_optional; /* LAYER_TENSOR() bits */
    UINT128 recurrent, recurrent_optional;
    UINT128 ffn, ffn_optional; /* where not all layers have such a part */
};

const struct arch *recurrent_arch_at(size_t i); /* NULL past the last */

/* Which layers are recurrent, and their sizes. Layers must have their heads. */
int recurrent_read(const struct gguf *g, const struct recurrent_arch *a, struct descriptor *d,
                   struct error *err);

/* Channels of the convolution; rows of the input projection. */
uint32_t recurrent_conv_channels(const struct descriptor *d);
uint32_t recurrent_in_rows(const struct descriptor *d);

#endif
