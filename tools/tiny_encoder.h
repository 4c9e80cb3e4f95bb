/* SPDX-License-Identifier: Apache-2.0
 *
 * Makes files of embedding and ranking models with random weights, for tests. The same
 * specification always gives the same file. */
#ifndef TOOLS_TINY_ENCODER_H
#define TOOLS_TINY_ENCODER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct tiny_encoder {
    const char *arch; /* a name of arch_encoder.c, or "qwen3": a decoder that ranks */
    uint32_t type;    /* of the matrices; whole rows must fit its blocks */
    uint32_t n_layers, n_embd, n_heads, n_kv_heads, n_ff, n_ctx;
    uint32_t pooling; /* pooling_type */
    uint32_t window;  /* where the architecture has windows; 0 = the key is left out */
    uint32_t n_labels; /* of a head for ranking; 0 = no head */
    uint32_t dense;    /* width between dense_2 and dense_3; 0 = none */
    bool fused;        /* queries, keys and values in one tensor */
    bool fused_up;     /* jina-bert-v2: gate and up in one */
    bool no_biases;    /* the optional ones */
    bool qk_norm, norm_2; /* jina-bert-v2 */
    bool swiglu;       /* modern-bert: SiLU in place of GELU */
    uint64_t seed;
};

int tiny_encoder_write(const struct tiny_encoder *m, const char *path, struct error *err);

#endif
