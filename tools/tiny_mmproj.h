/* SPDX-License-Identifier: Apache-2.0
 *
 * Makes multimodal projectors (mmproj files) with random weights, for tests. */
#ifndef TOOLS_TINY_MMPROJ_H
#define TOOLS_TINY_MMPROJ_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct tiny_mmproj {
    const char *projector; /* "idefics3", "gemma3", or another name for a file to be refused */
    uint32_t side, patch, merge, longest_edge; /* longest_edge 0 = not written */
    uint32_t n_layers, n_embd, n_heads, n_ff, n_text;
    uint32_t type;      /* of the matrices, WT_F32 or WT_F16 */
    bool swapped_names; /* ffn_up and ffn_down as old converters named them */
    uint64_t seed;
};

/* A square of 4 x 4 patches, two of them a token's side, two layers, 32 wide; n_text = 64. */
extern const struct tiny_mmproj tiny_mmproj_default;

int tiny_mmproj_write(const struct tiny_mmproj *m, const char *path, struct error *err);

#endif
