/* SPDX-License-Identifier: Apache-2.0
 *
 * What a model computes, as data: read from the metadata of a GGUF file, checked, and complete. The
 * plan builder (plan.h) and the weight loader (weights.h) know no architecture by name; they follow
 * the facts here. A new architecture is a new row in arch.c, and a new fact only when its
 * mathematics is new.
 *
 * One layer, with everything that may be there (x is the residual stream):
 *
 *     h = norm(x) * attn_norm + bias
 *     q, k, v = Wq h + bq, Wk h + bk, Wv h + bv        (heads: n_heads, n_kv_heads, n_kv_heads)
 *     q, k = norm(q) * q_norm, norm(k) * k_norm        per head, or over all of them
 *     q, k = rope(q), rope(k)
 *     h = Wo attention(q, k, v) + bo
 *     h = norm(h) * post_attn_norm
 *     x = x + h
 *     h = norm(x) * ffn_norm + bias
 *     h = Wdown (act(Wgate h) * (Wup h))               or Wdown act(Wup h), not gated
 *                                                      or Σ_e p[e] of them, a mixture of experts,
 *                                                      plus one that every token takes
 *     h = norm(h) * post_ffn_norm
 *     x = x + h
 *
 * before it x = embd_scale * embedding(id) + position, behind all layers
 * logits = softcap(logit_scale * (W norm(x) + b)).
 *
 * Where `parallel`, both halves read the x before the layer, x = x + attention + ffn: the second
 * half has a norm of its own, or reads what attn_norm gave; attention then reads that too, or
 * norm(x) * attn_norm_2.
 */
#ifndef ENGINE_MODEL_DESCRIPTOR_H
#define ENGINE_MODEL_DESCRIPTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/error.h"
#include "engine/backend/backend.h"
#include "gguf/gguf.h"

/* The tensors of a layer. Those that a file may lack are optional in its architecture's row; one
 * that is absent is a step that is left out. */
enum layer_tensor {
    LT_ATTN_NORM,
    LT_ATTN_Q,
    LT_ATTN_Q_BIAS,
    LT_ATTN_K,
    LT_ATTN_K_BIAS,
    LT_ATTN_V,
    LT_ATTN_V_BIAS,
    LT_ATTN_Q_NORM,
    LT_ATTN_K_NORM,
    LT_ATTN_OUT,
    LT_ATTN_OUT_BIAS,
    LT_POST_ATTN_NORM,
    LT_FFN_NORM,
    LT_FFN_GATE,
    LT_FFN_GATE_BIAS,
    LT_FFN_UP,
    LT_FFN_UP_BIAS,
    LT_FFN_DOWN,
    LT_FFN_DOWN_BIAS,
    LT_POST_FFN_NORM,
    /* where layers are not only attention (recurrent.h) */
    LT_ATTN_Q_GATE,   /* of each head the query, then its gate; in place of LT_ATTN_Q */
    LT_FFN_NORM_POST, /* LT_FFN_NORM under another name */
    LT_FFN_NORM_BARE, /* and another */
    LT_ATTN_QKV,
    LT_ATTN_GATE,
    LT_SHORTCONV_IN,
    LT_SHORTCONV_CONV,
    LT_SHORTCONV_OUT,
    LT_SSM_IN,
    LT_SSM_CONV,
    LT_SSM_CONV_BIAS,
    LT_SSM_X,
    LT_SSM_DT,
    LT_SSM_DT_BIAS,
    LT_SSM_DT_NORM,
    LT_SSM_B_NORM,
    LT_SSM_C_NORM,
    LT_SSM_A,        /* Mamba 1: of each channel and item of state */
    LT_SSM_A_HEADS,  /* Mamba 2: of each head */
    LT_SSM_A_VECTOR, /* delta net */
    LT_SSM_D,
    LT_SSM_D_HEADS,
    LT_SSM_NORM_GROUPS, /* [groups][inner / groups] */
    LT_SSM_NORM_HEAD,
    LT_SSM_ALPHA,
    LT_SSM_BETA,
    LT_SSM_BETA_ALPHA, /* for each key head the betas, then the alphas of its value heads */
    LT_SSM_OUT,
    /* a mixture of experts in place of one feed-forward part */
    LT_FFN_ROUTER,
    LT_FFN_GATE_EXPERTS,
    LT_FFN_UP_EXPERTS,
    LT_FFN_DOWN_EXPERTS,
    /* beside, or in place of, those above */
    LT_ATTN_NORM_BIAS,
    LT_ATTN_NORM_2, /* before attention; then LT_ATTN_NORM is the feed-forward part's */
    LT_ATTN_NORM_2_BIAS,
    LT_ATTN_Q_NORM_ALL, /* of all heads, in place of LT_ATTN_Q_NORM */
    LT_ATTN_K_NORM_ALL,
    LT_FFN_NORM_BIAS,
    LT_ATTN_SINKS,
    LT_FFN_ROUTER_BIAS,
    LT_FFN_ROUTER_FAVOR, /* added to the shares where experts are chosen */
    LT_FFN_GATE_EXPERTS_BIAS,
    LT_FFN_UP_EXPERTS_BIAS,
    LT_FFN_DOWN_EXPERTS_BIAS,
    /* a part beside the experts that every token takes, with a gate of one number */
    LT_FFN_GATE_SHARED,
    LT_FFN_UP_SHARED,
    LT_FFN_DOWN_SHARED,
    LT_FFN_SHARED_ROUTER,
    /* latent attention, see mla.h */
    LT_MLA_Q,
    LT_MLA_Q_A,
    LT_MLA_Q_A_NORM,
    LT_MLA_Q_B,
    LT_MLA_KV_A,
    LT_MLA_KV_A_NORM,
    LT_MLA_KV_B,
    LT_MLA_K_B,
    LT_MLA_V_B,
    LT_MLA_OUT,
    LT_COUNT, /* at most 128 */
};

/* Sets of them are bits of a UINT128. */
#define LAYER_TENSOR(t) ((UINT128)1 << (t))

/* What a layer does besides, or in place of, attention; see recurrent.h. */
enum recurrent_kind {
    RECURRENT_NONE,
    RECURRENT_SHORTCONV,
    RECURRENT_MAMBA,
    RECURRENT_MAMBA2,
    RECURRENT_DELTA_NET,
};

struct recurrent_desc {
    uint32_t conv_width;
    uint32_t inner;    /* channels: n_heads heads; for Mamba 1 dt_rank is the rank of dt */
    uint32_t n_state;  /* of a channel; for the delta net the width of a head */
    uint32_t n_heads;  /* Mamba 2, delta net: heads, value heads */
    uint32_t n_groups; /* Mamba 2: of B and C; delta net: key heads. Divides n_heads */
    uint32_t dt_rank;  /* Mamba 1 */
    bool norms_dt_b_c; /* Mamba 1, also without tensors for that */
    bool tiled;
    const char *output_norm; /* the tensor's name; NULL = output_norm.weight */
};

/* How the vectors of a text's tokens become one. The numbers are those of X.pooling_type. */
enum pooling {
    POOLING_NONE,
    POOLING_MEAN,
    POOLING_CLS,  /* the first token's */
    POOLING_LAST, /* the last token's */
    POOLING_RANK, /* scores, not a vector */
};

/* Heads behind the pooled vector (head.h): which tensors a model may have, and how they are used.
 */
enum head_flags {
    HEAD_CLS = 1,
    HEAD_CLS_ONE = 2, /* the same, to one value */
    HEAD_CLS_NORM = 4,
    HEAD_OUT = 8,
    HEAD_OUT_BIAS = 16,
    HEAD_DENSE = 32,
    HEAD_FROM_LAST = 64, /* ranking: from the last token, or from the mean; else from the first */
    HEAD_FROM_MEAN = 128,
    HEAD_GELU = 256,    /* behind HEAD_CLS, in place of tanh */
    HEAD_SOFTMAX = 512, /* the scores become probabilities */
};

enum rope_scaling {
    ROPE_SCALING_NONE,
    ROPE_SCALING_LINEAR,
    ROPE_SCALING_YARN,
    ROPE_SCALING_LONG, /* LongRoPE: by factors that are tensors */
};

struct rope_desc {
    enum rope_kind kind;
    uint32_t dims; /* even, at most the head width; 0 = nothing is rotated */
    double freq_base;
    enum rope_scaling scaling;
    double factor;      /* linear, YaRN: the context is this many times the trained one; >= 1 */
    double attn_factor; /* multiplies sin and cos, beside what YaRN does; 1 = nothing */
    /* YaRN only */
    uint32_t orig_ctx; /* the context before stretching */
    double beta_fast, beta_slow, ext_factor;
};

/* Gemma 3n: see altup.h. */
struct altup_desc {
    uint32_t n_streams; /* 0 = it is another model */
    uint32_t n_input;   /* width of a layer's own input */
    uint32_t rank;      /* of the path beside attention */
};

/* Latent attention: see mla.h. */
struct mla_desc {
    uint32_t rank;   /* of keys and values; 0 = it is another model */
    uint32_t q_rank; /* of queries; 0 = they are one product */
    uint32_t head_k, head_v;
    bool latent; /* the cache holds the latent, and the layers' heads are as wide as it is */
};

/* How a layer rotates queries and keys. */
enum layer_rope { LAYER_ROPE, LAYER_ROPE_LOCAL, LAYER_ROPE_NONE };

struct layer_desc {
    enum recurrent_kind recurrent;
    enum layer_rope rope;
    uint32_t n_heads;
    uint32_t n_kv_heads; /* divides n_heads; 0 = the layer has no attention */
    uint32_t head_k;     /* width of a query and of a key head */
    uint32_t head_v;
    uint32_t n_ff;             /* 0 = no feed-forward part */
    bool experts;              /* that part is a mixture, and n_ff is the width of each expert */
    uint32_t window;           /* 0 = the whole context is seen */
    struct xielu_params xielu; /* where the descriptor says so */
    float sparsity;    /* gates below so many deviations over their mean are 0; 0 = all are used */
    uint32_t kv_layer; /* whose keys and values are read: its own number, or that of one before */
    UINT128 tensors_required; /* beside those of all layers; LAYER_TENSOR() bits */
    UINT128 tensors_optional;
};

struct descriptor {
    const char *arch; /* "llama": the name in the file and the prefix of its keys */
    uint32_t n_layers;
    uint32_t n_embd;
    uint32_t n_vocab; /* rows of token_embd.weight */
    uint32_t n_ctx_train;
    struct layer_desc *layers; /* [n_layers] */
    uint32_t n_draft_layers;   /* behind the others, for guessing tokens ahead: not used */
    UINT128 tensors_required;  /* LAYER_TENSOR() bits */
    UINT128 tensors_optional;
    struct recurrent_desc recurrent;
    struct altup_desc altup;
    struct mla_desc mla;
    uint32_t n_experts;      /* of layers with a mixture of them; 0 = no layer has one */
    uint32_t n_experts_used; /* by a token; 1 .. n_experts */
    enum router_kind router;
    uint32_t n_expert_groups, n_expert_groups_used; /* 0 = there are none */
    bool expert_norm;     /* the shares of the chosen are made to add up to one */
    bool expert_clamped;  /* see expert_params */
    float expert_scale;   /* multiplies what they add up to */
    uint32_t n_ff_shared; /* width of the part beside the experts; 0 = there is none */
    bool layer_norm;      /* norms subtract the mean; else RMS norms */
    float norm_eps;
    bool qk_norm_whole;   /* over all heads together; else each by itself */
    bool qk_norm_rotated; /* behind the rotation */
    bool v_norm;          /* of value heads, without weights */
    bool parallel;
    bool fused_gate; /* the rows of ffn_gate may stand before those of ffn_up, in one tensor */
    bool learned_positions;
    float embd_scale; /* 1 = none */
    struct rope_desc rope;
    struct rope_desc rope_local; /* of LAYER_ROPE_LOCAL; the same kind and dims */
    uint32_t long_ctx;           /* a longer context takes the long factors of LongRoPE */
    double yarn_log_multiplier;  /* as in the file */
    bool alibi;                  /* ALiBi in all layers */
    float temp_scale; /* queries times 1 + temp_scale ln(1 + floor(position / temp_length)) */
    uint32_t temp_length;
    float attn_scale;   /* of q·k */
    float attn_softcap; /* 0 = none */
    float final_softcap;
    float residual_scale; /* of what a layer's parts add to the residual stream; 1 = none */
    float logit_scale;    /* 1 = none */
    enum act_kind act;
    bool xielu; /* in place of act */
    bool gated;
    bool causal;
    const struct encoder_arch *encoder; /* encoder.h; NULL = a decoder */
    uint32_t n_token_types;             /* encoders; 0 = the file does not say */
    enum pooling pooling;               /* POOLING_NONE where the file does not say */
    unsigned head;                      /* enum head_flags */
    uint32_t n_cls_out;                 /* scores a head gives */
    uint32_t dense_width;               /* between dense_2 and dense_3; 0 = there are none */
};

enum {
    MODEL_MAX_LAYERS = 1024,
    MODEL_MAX_WIDTH = 1 << 20, /* of embeddings, of all heads together */
    MODEL_MAX_FF = 1 << 22,
    MODEL_MAX_EXPERTS = 512,
    MODEL_MAX_STATE = 1 << 28, /* numbers in a layer's state */
    MODEL_MAX_VOCAB = 1 << 24,
};

/* Reads and checks the facts; no weight is touched. ERR_UNSUPPORTED for an unknown architecture or
 * a variant of a known one that this engine does not compute, with what it is; ERR_CORRUPT for
 * facts that contradict each other. descriptor_release() on a failed or zeroed one is fine. */
int descriptor_read(const struct gguf *g, struct descriptor *ret, struct error *err);
void descriptor_release(struct descriptor *d);
#define CLEANUP_DESCRIPTOR CLEANUP(descriptor_release)

/* Floats of the state that a layer carries from token to token; 0 = none. Below 2^32. */
uint64_t descriptor_layer_state(const struct descriptor *d, uint32_t layer);
/* Bytes of all layers' states of one sequence. */
uint64_t descriptor_state_bytes(const struct descriptor *d);

/* Key heads that a layer keeps in the cache. */
uint32_t descriptor_kept_heads(const struct descriptor *d, uint32_t layer);
/* Bytes that one token takes in a KV cache. */
uint64_t descriptor_kv_token_bytes(const struct descriptor *d, enum kv_type type);

/* The supported architectures, for help and tests: NULL past the last. */
const char *descriptor_arch_name(size_t i);

/* The inverse frequencies of rotation, [dims/2] f32: freq_base^(-2i/dims), divided by factors[i]
 * (NULL = 1), scaled as `rope` says. *ret_mscale: what multiplies sin and cos. */
void rope_frequencies(const struct rope_desc *rope, const float *factors, float *out,
                      float *ret_mscale);

#endif
