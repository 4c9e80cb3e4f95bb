/* SPDX-License-Identifier: Apache-2.0
 *
 * The tensors of a model on a backend. The file must hold exactly the tensors that its descriptor
 * asks for, each with the shape that follows from the facts: a missing one, one too many or one of
 * another shape means that the file computes something that the descriptor does not say. */
#ifndef ENGINE_MODEL_WEIGHTS_H
#define ENGINE_MODEL_WEIGHTS_H

#include "engine/backend/backend.h"
#include "engine/model/descriptor.h"
#include "engine/model/head.h"
#include "engine/model/tensor_set.h"
#include "gguf/gguf.h"

struct altup_weights;

struct layer_weights {
    struct weight *t[LT_COUNT]; /* NULL = not in the file */
};

struct weights {
    struct weight *token_embd;
    struct weight *positions; /* NULL = none are added */
    struct weight *output_norm, *output_norm_bias;
    struct weight *output; /* NULL = tied to token_embd */
    struct weight *output_bias;
    struct layer_weights *layers; /* [n_layers] */
    struct altup_weights *altup;  /* altup.h; NULL = it is another model */
    uint32_t n_layers;
    struct head_weights head;
    float *rope_factors;      /* [rope.dims / 2], or NULL */
    float *rope_factors_long; /* the same for long contexts */
    struct tensor_set tensors;
};

/* Checks that the file holds exactly the tensors of its descriptor, without loading any. */
int weights_check(const struct gguf *g, const struct descriptor *d, struct error *err);

/* Checks all tensors first and then loads them; *w is zeroed before. */
int weights_load(struct weights *w, const struct gguf *g, const struct descriptor *d,
                 struct backend *b, struct error *err);
void weights_release(struct weights *w); /* a zeroed one is fine */

/* The weight `tensor` of a layer, for messages and tools: "blk.3.attn_q.weight". */
enum { WEIGHT_NAME_MAX = 64 };
void weight_name(uint32_t layer, enum layer_tensor tensor, char out[WEIGHT_NAME_MAX]);

#endif
