/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of architectures: what a name in `general.architecture` implies. */
#ifndef ENGINE_MODEL_ARCH_H
#define ENGINE_MODEL_ARCH_H

#include "engine/model/descriptor.h"

struct encoder_arch;
struct recurrent_arch;

enum arch_experts { EXPERTS_NEVER, EXPERTS_MAYBE, EXPERTS_ALWAYS };

struct arch {
    const char *name;
    enum rope_kind rope;
    enum act_kind act;
    bool gated;
    bool embd_scale_sqrt;        /* embeddings are multiplied by sqrt(n_embd) */
    uint32_t window_default;     /* sliding window when the file has no key; 0 = none */
    uint32_t window_period;      /* every n-th layer sees the whole context; 0 = no layer does */
    double attn_softcap_default; /* when the file has no key; 0 = none */
    double final_softcap_default;
    uint32_t embd_scale_layers; /* models of so many layers scale q·k by sqrt(n_embd / n_heads) */
    uint64_t required;          /* bits 1 << enum layer_tensor */
    uint64_t optional;
    const struct encoder_arch *encoder;     /* encoder.h; NULL = a decoder */
    const struct recurrent_arch *recurrent; /* recurrent.h; NULL = all layers are attention */
    unsigned head;                          /* enum head_flags */
    enum arch_experts experts;
};

const struct arch *arch_find(struct str name); /* or NULL */
const struct arch *arch_at(size_t i);          /* NULL past the last */

#endif
