/* SPDX-License-Identifier: Apache-2.0
 *
 * Gemma 3n: several residual streams of which a layer computes one and corrects the others (AltUp:
 * Baykal et al., 2023), a path of low rank beside attention (LAuReL: Menghani et al., 2024), and an
 * input of each layer's own that depends on the token. With streams x[0 .. n), e the embedding
 * length, gelu by tanh, and m(v) = tanh(Wrouter (rms(v) * router_norm) / e), n numbers:
 *
 *     p[r] = x[r] + Σ_k (Wpredict m(x[0]))[r][k] x[k]
 *     h = rms(p[0]) * attn_norm
 *     l = h + rms(Wr Wl h) * laurel_norm
 *     a = (p[0] + rms(attention(h)) * post_attn_norm + l) / √2
 *     y = a + rms(ffn(rms(a) * ffn_norm)) * post_ffn_norm
 *     x[r] = p[r] + (1 + (Wcorrect m(y))[r]) (y - p[0])
 *     x[r > 0] += rms(Wproj (gelu(Wgate (scale * x[0])) * input[layer])) * post_norm
 *
 * before the layers, with the scaled embedding x[0] and |.| the length of a vector:
 *
 *     input = (rms(Wmodel x[0] / √e) * proj_norm + √n_input * own embedding(id)) / √2
 *     x[r > 0] = Wsplit[r] x[0], scaled to |x[0]|
 *
 * and behind them x = mean(x[0], Wmerge[r] x[r] scaled to |x[0]|). Layers behind the first 20, or
 * as many as the file says, read the keys and values of the last of those with the same window. */
#ifndef ENGINE_MODEL_ALTUP_H
#define ENGINE_MODEL_ALTUP_H

#include "engine/model/descriptor.h"
#include "engine/model/tensor_set.h"

enum altup_tensor {
    AT_PREDICT,
    AT_CORRECT,
    AT_CORRECT_SCALE,
    AT_ROUTER,
    AT_ROUTER_NORM,
    AT_LAUREL_LEFT,
    AT_LAUREL_RIGHT,
    AT_LAUREL_NORM,
    AT_INPUT_GATE,
    AT_INPUT_PROJ,
    AT_INPUT_NORM,
    AT_COUNT,
};

struct altup_layer {
    struct weight *t[AT_COUNT];
};

enum { ALTUP_MAX_STREAMS = 8 };

struct altup_weights {
    struct weight *own_embd; /* [n_vocab][n_layers * n_input] */
    struct weight *model_proj, *proj_norm;
    struct weight *split;                        /* those of all streams but the first */
    struct weight *merge[ALTUP_MAX_STREAMS - 1]; /* of each of them */
    struct altup_layer *layers;                  /* [n_layers] */
};

/* Reads the facts; layers and windows must be known. */
int altup_read(const struct gguf *g, struct descriptor *d, struct error *err);

/* Allocates *ret, and wants its tensors; altup_weights_free() also after an error. */
int altup_want(struct altup_weights **ret, struct tensor_set *s, const struct descriptor *d,
               struct error *err);
void altup_weights_free(struct altup_weights *w); /* NULL is fine */

#endif
