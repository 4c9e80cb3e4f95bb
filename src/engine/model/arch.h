/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of architectures: what a name in `general.architecture` implies. */
#ifndef ENGINE_MODEL_ARCH_H
#define ENGINE_MODEL_ARCH_H

#include "engine/model/descriptor.h"

struct encoder_arch;
struct recurrent_arch;

enum arch_experts { EXPERTS_NEVER, EXPERTS_MAYBE, EXPERTS_ALWAYS };

/* Whether the shares of the experts that a token chose are made to add up to one. */
enum arch_expert_norm { EXPERT_NORM_YES, EXPERT_NORM_NO, EXPERT_NORM_KEY };

/* A part beside the experts that every token takes. */
enum arch_shared { SHARED_NEVER, SHARED_MAYBE, SHARED_ALWAYS };

/* Whether the two halves of a layer read the same x. */
enum arch_parallel {
    PARALLEL_NO,
    PARALLEL_YES,
    PARALLEL_KEY,         /* as use_parallel_residual says */
    PARALLEL_NO_FFN_NORM, /* in files without ffn_norm */
};

/* Scales of embeddings, residuals and logits that a file may name. */
enum arch_scales {
    SCALES_NONE,
    SCALES_GRANITE, /* all three; logits are divided */
    SCALES_MINICPM, /* the same, with values for what the file does not name */
    SCALES_LOGITS,  /* logits are multiplied */
};

/* Layers that rotate nothing. */
enum arch_rope_where {
    ROPE_EVERYWHERE,
    ROPE_NOWHERE,
    ROPE_WINDOWS,    /* where some layers have windows, only those rotate */
    ROPE_THREE_OF_4, /* each fourth layer does not */
    ROPE_KEY,        /* none, if rope.scaling.finetuned is false */
    ROPE_BAICHUAN,   /* its small model rotates, the large one has ALiBi */
};

/* How layers with windows rotate. */
enum arch_local {
    LOCAL_SAME,
    LOCAL_BASE,           /* by a frequency base of their own, which the file may name */
    LOCAL_BASE_UNSCALED,  /* and without scaling */
    LOCAL_MODEL_UNSCALED, /* by the model's, without scaling */
};

struct arch {
    const char *name;
    enum rope_kind rope;
    enum arch_rope_where rope_where;
    enum arch_local local;
    double local_base; /* the frequency base of layers with windows that files name none for; 0 =
                          the model's */
    bool layer_norm;   /* norms subtract the mean; else RMS norms */
    bool qk_norm_whole;
    bool qk_norm_rotated; /* queries and keys are normed behind their rotation */
    bool altup;           /* Gemma 3n, see altup.h */
    double attn_scale;    /* of q·k; 0 = by the width of a head */
    enum arch_parallel parallel;
    bool fused_gate; /* ffn_up may hold the rows of ffn_gate, before its own */
    bool learned_positions;
    bool temperature; /* queries grow with the position if the file says so */
    bool yarn_log;    /* files may take back what YaRN multiplies sin and cos by */
    enum arch_scales scales;
    enum act_kind act;
    bool xielu; /* in place of act */
    bool gated;
    bool embd_scale_sqrt;    /* embeddings are multiplied by sqrt(n_embd) */
    uint32_t window_default; /* sliding window when the file has no key; 0 = none */
    bool window_ignored;    /* windows that files name are not applied; llama.cpp does not either */
    uint32_t window_period; /* every n-th layer sees the whole context, unless the file says
                               which; 0 = no layer does */
    double attn_softcap_default; /* when the file has no key; 0 = none */
    double final_softcap_default;
    uint32_t embd_scale_layers; /* models of so many layers scale q·k by sqrt(n_embd / n_heads) */
    UINT128 required;           /* LAYER_TENSOR() bits */
    UINT128 optional;
    const struct encoder_arch *encoder;     /* encoder.h; NULL = a decoder */
    const struct recurrent_arch *recurrent; /* recurrent.h; NULL = all layers are attention */
    unsigned head;                          /* enum head_flags */
    enum arch_experts experts;
    enum arch_expert_norm expert_norm;
    bool expert_gating;  /* files say whether shares are sigmoids */
    bool expert_groups;  /* files may have groups of experts */
    bool mla;            /* mla.h */
    bool expert_sigmoid; /* shares are sigmoids of the scores; else softmax */
    bool expert_clamped; /* see expert_params in backend.h */
    bool dense_first;    /* files say how many layers at the beginning have no experts */
    enum arch_shared shared;
    bool draft_layers; /* files may have layers for guessing ahead, which are not used */
    UINT128 experts_required, experts_optional; /* of layers with experts */
};

const struct arch *arch_find(struct str name); /* or NULL */
const struct arch *arch_at(size_t i);          /* NULL past the last */
const struct arch *dense_arch_at(size_t i);    /* of arch_dense.c */
const struct arch *experts_arch_at(size_t i);  /* of arch_experts.c */

#endif
