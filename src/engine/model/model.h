/* SPDX-License-Identifier: Apache-2.0
 *
 * A loaded model: a GGUF file, the descriptor read from it, its weights on a backend and the plan
 * that computes it. It holds no conversation: sequences and their caches belong to engine/run.
 *
 *     struct model *m;
 *     model_load("m.gguf", &(struct model_options){...}, &m, err);
 *     struct kv *kv;
 *     model_kv_create(m, n_pages, KV_F16, &kv, err);
 *     model_eval(m, kv, &batch, logits, NULL, err);
 *
 * A file that is not exactly what its header promises is refused here, with a sentence that names
 * the key or the tensor; an unknown architecture is refused by name before a weight is read.
 *
 * Threads: one thread at a time, as the backend.
 */
#ifndef ENGINE_MODEL_MODEL_H
#define ENGINE_MODEL_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "engine/backend/backend.h"
#include "engine/model/descriptor.h"
#include "gguf/gguf.h"

struct model;

struct model_options {
    uint32_t n_threads; /* 0 = default */
};

/* `path`: a .gguf file, or the first of its parts NAME-00001-of-000NN.gguf. */
int model_load(const char *path, const struct model_options *o, struct model **ret,
               struct error *err);
void model_free(struct model *m); /* NULL is fine */

/* Puts a LoRA adapter (adapter.h) on the model, as the next number from 0. Without effect until a
 * sequence gives it a scale. A failure leaves the model unusable. */
int model_add_adapter(struct model *m, const char *path, struct error *err);
uint32_t model_n_adapters(const struct model *m);

/* The most tokens that a sequence will have, 1 or more; until this is called, n_ctx_train. What the
 * model computes may depend on it (LongRoPE). ERR_INVALID for more than it can tell apart. */
int model_set_context(struct model *m, uint32_t n_ctx, struct error *err);

const struct descriptor *model_descriptor(const struct model *m);
const struct gguf *model_gguf(const struct model *m); /* metadata stays readable */
struct backend *model_backend(const struct model *m);

/* A KV cache of n_pages pages of KV_PAGE_TOKENS tokens and n_states state slots (of which a model
 * without states needs none); freed with model_kv_free. An encoder uses it within a batch only, in
 * which each sequence must be whole. */
int model_kv_create(struct model *m, uint32_t n_pages, uint32_t n_states, enum kv_type type,
                    struct kv **ret, struct error *err);
void model_kv_free(struct model *m, struct kv *kv);
/* Bytes per token of context with this cache type. */
uint64_t model_kv_token_bytes(const struct model *m, enum kv_type type);
/* Bytes of a state slot; 0 = no layer has a state. */
uint64_t model_state_bytes(const struct model *m);
/* Bytes of weights held in memory. */
uint64_t model_weight_bytes(const struct model *m);

/* Whether it gives logits at all; encoders do not. */
bool model_generates(const struct model *m);

/* out: [batch->n_out][n_vocab] raw logits. Token ids out of range are ERR_INVALID, a model that
 * generates nothing is ERR_UNSUPPORTED. */
int model_eval(struct model *m, struct kv *kv, const struct batch *batch, float *out,
               const volatile bool *cancel, struct error *err);

/* out: [batch->n_out][n_embd], what the output matrix would be given; for encoders the result. */
int model_hidden(struct model *m, struct kv *kv, const struct batch *batch, float *out,
                 const volatile bool *cancel, struct error *err);

/* Values that the head behind a pooled vector gives, scores or a projected vector; 0 = there is no
 * such head. */
uint32_t model_head_width(const struct model *m, bool rank);

/* rows: [n][n_embd] pooled vectors; out: [n][model_head_width()]. */
int model_head(struct model *m, bool rank, const float *rows, uint32_t n, float *out,
               struct error *err);

#endif
