/* SPDX-License-Identifier: Apache-2.0
 *
 * Makes model files with random weights: small ones for tests, and ones with the shape of real
 * models for measuring speed. The same specification always gives the same file, and the values of
 * a tensor depend only on the seed and the tensor's name, so that variants can be compared. */
#ifndef TOOLS_TINY_MODEL_H
#define TOOLS_TINY_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct tiny_model {
    const char *arch; /* "llama", "qwen2", "qwen3", "qwen3moe", "gemma2"; those of tiny_dense.c and
                         tiny_recurrent.c */
    uint32_t type;    /* of the matrices; where rows do not fit its blocks, Q8_0 or F16 */
    uint32_t n_layers, n_embd, n_heads, n_kv_heads, n_ff, n_vocab, n_ctx;
    uint32_t head;            /* width; 0 = n_embd / n_heads */
    uint32_t rope_dims;       /* 0 = the head */
    double freq_base;         /* 0 = 10000 */
    double eps;               /* 0 = 1e-5 */
    const char *rope_scaling; /* "linear", "yarn"; NULL = none */
    double rope_factor;
    bool rope_freqs; /* a tensor with the factors of Llama 3 for rope_factor (0 = 8) */
    bool untied;     /* an output matrix of its own */
    bool biases;     /* the optional biases; qwen2 and others always have their own */
    bool no_vocab;   /* no tokenizer: then n_vocab may be any number */
    uint32_t window; /* gemma2: 0 = 4096; others: 0 = none */
    uint32_t n_experts, n_experts_used; /* llama, qwen3moe, tiny_experts.c; 0 = none, 2. n_ff is
                                           each expert's */
    uint32_t n_ff_shared;               /* beside the experts; 0 = none. glm4moe: times n_ff */
    uint32_t n_dense;                   /* layers at the beginning without experts */
    bool expert_norm;                   /* glm4moe */
    uint32_t n_expert_groups, n_expert_groups_used; /* deepseek2; 0 = none, 1 */
    bool expert_sigmoid;                            /* deepseek2: with a bias for choosing */
    uint32_t kv_rank, q_rank, value_head; /* deepseek2; 0 = some number, no such part, the head */
    bool latent;                          /* deepseek2: the newer form of its matrices */
    double expert_scale;                /* 0 = the file does not say */
    /* Recurrent layers; 0 = some small number. What they mean for each kind: recurrent.h in
     * src/engine/model. */
    uint32_t conv_width, inner, n_state, ssm_heads, ssm_groups, dt_rank;
    uint32_t attention_period; /* each so many-th layer has attention; 0 = 2 */
    bool norms_dt_b_c;         /* mamba: FalconMamba's norms without weights */
    bool no_rope;              /* granitehybrid, granite */
    bool no_conv_bias;         /* granitehybrid, falcon-h1 */
    uint32_t n_draft_layers;   /* qwen35, glm4moe */
    /* What only some models of an architecture have. */
    bool fused_qkv;
    bool qk_norms;         /* command-r, stablelm */
    bool parallel;         /* gptneox, stablelm, falcon */
    uint32_t longrope_ctx; /* two sets of factors: the long one for contexts longer than this */
    double temp_scale;     /* mistral3 */
    uint32_t n_input, rank, n_shared_kv; /* gemma3n; 0 = 256, 64, those behind the first 20 */
    double yarn_log_multiplier;
    double local_base; /* frequency base of layers with windows; 0 = the file does not say */
    uint64_t seed;
    uint32_t n_parts;  /* files; 0 and 1 = one; else `path` must be the name of the first part */
    uint32_t row_pool; /* different rows in a tensor, repeated to fill it; 0 = all different */
};

/* A smaller vocabulary is refused unless no_vocab. */
enum { TINY_MODEL_MIN_VOCAB = 384 };

/* Fills `m` with the shape of a real model: "smollm2-135m", "qwen3-0.6b", "llama-3.2-1b". */
int tiny_model_shape(const char *name, struct tiny_model *m, struct error *err);

int tiny_model_write(const struct tiny_model *m, const char *path, struct error *err);

#endif
