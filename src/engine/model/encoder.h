/* SPDX-License-Identifier: Apache-2.0
 *
 * Encoders: models that read a whole text at once, every token seeing all others, and give vectors
 * instead of probabilities. They differ from decoders in where their norms stand, so they have
 * weights and a plan of their own; the descriptor is shared.
 *
 * One layer, with everything that may be there; what has no tensor is left out:
 *
 *     h = norm(x) * attn_norm
 *     q, k, v = Wq h + bq, Wk h + bk, Wv h + bv
 *     q, k = norm(q), norm(k)          over the whole width or per head, as the tensor is wide
 *     q, k = rope(q), rope(k)
 *     h = Wo attention(q, k, v) + bo   no mask; windows are symmetric; ALiBi
 *     h = norm(h) * post_attn_norm
 *     y = norm(x + h) * attn_out_norm
 *     y = norm(y + x) * attn_norm_2
 *     h = norm(y) * ffn_norm
 *     h = Wdown (act(Wgate h) * (Wup h + bup)) + bdown      or Wdown act(Wup h + bup) + bdown
 *     h = norm(h) * post_ffn_norm
 *     x = norm(y + h) * layer_out_norm
 *
 * before it x = norm(embd_scale * embedding(id) + type(0) + position) * embd_norm, behind all
 * layers x = norm(x) * output_norm. */
#ifndef ENGINE_MODEL_ENCODER_H
#define ENGINE_MODEL_ENCODER_H

#include "engine/model/arch.h"
#include "engine/model/head.h"
#include "engine/model/plan.h"
#include "engine/model/tensor_set.h"

enum encoder_tensor {
    ET_ATTN_NORM,
    ET_Q,
    ET_Q_BIAS,
    ET_K,
    ET_K_BIAS,
    ET_V,
    ET_V_BIAS,
    ET_Q_NORM,
    ET_Q_NORM_BIAS,
    ET_K_NORM,
    ET_K_NORM_BIAS,
    ET_OUT,
    ET_OUT_BIAS,
    ET_POST_ATTN_NORM,
    ET_ATTN_OUT_NORM,
    ET_ATTN_OUT_NORM_BIAS,
    ET_ATTN_NORM_2,
    ET_ATTN_NORM_2_BIAS,
    ET_FFN_NORM,
    ET_GATE,
    ET_UP,
    ET_UP_BIAS,
    ET_DOWN,
    ET_DOWN_BIAS,
    ET_POST_FFN_NORM,
    ET_LAYER_OUT_NORM,
    ET_LAYER_OUT_NORM_BIAS,
    ET_COUNT,
};

enum encoder_ffn {
    ENCODER_FFN_PLAIN,
    ENCODER_FFN_GATED,  /* two matrices */
    ENCODER_FFN_FUSED,  /* one, the gate's rows first */
    ENCODER_FFN_BY_FILE /* whichever of the three the file has */
};

/* What the row of an architecture (arch.h) does not say. */
struct encoder_arch {
    bool rms; /* the norms are RMS norms; else layer norms */
    bool rotates;
    bool learned_positions;
    bool alibi;
    bool token_types; /* the first row of the table is added to every token */
    bool qk_norm_by_head;
    bool whole_first; /* windows: the first layer of a period sees all; else the last one does */
    enum encoder_ffn ffn;
    const char *output_norm;     /* name of the tensor behind all layers; NULL = none */
    uint32_t required, optional; /* bits 1 << enum encoder_tensor; q, k, v, out, up, down and gate
                                    need none */
};

struct encoder_layer {
    struct weight *t[ET_COUNT]; /* NULL = not in the file */
};

struct encoder_weights {
    struct weight *token_embd, *type_row, *positions, *embd_norm, *embd_norm_bias, *output_norm;
    struct encoder_layer *layers; /* [n_layers] */
    uint32_t n_layers;
    struct head_weights head;
    struct tensor_set tensors;
};

/* The row of an encoder by its number; NULL past the last. */
const struct arch *encoder_arch_at(size_t i);

/* As weights_check(), weights_load() and weights_release(). */
int encoder_weights_check(const struct gguf *g, const struct descriptor *d, struct error *err);
int encoder_weights_load(struct encoder_weights *w, const struct gguf *g,
                         const struct descriptor *d, struct backend *b, struct error *err);
void encoder_weights_release(struct encoder_weights *w);

/* The output is the last hidden state, [n_out][n_embd]. All layers share layer 0 of the cache,
 * which holds nothing beyond a batch. */
void encoder_plan_build(struct model_plan *ret, const struct descriptor *d,
                        const struct encoder_weights *w);

#endif
