/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside the maker of random models: the list of tensors. */
#ifndef TOOLS_TINY_MODEL_INTERNAL_H
#define TOOLS_TINY_MODEL_INTERNAL_H

#include "gguf/gguf_writer.h"
#include "tiny_model.h"

/* How the values of a tensor are drawn. */
enum fill {
    FILL_MATRIX,
    FILL_EMBEDDING,
    FILL_NORM,
    FILL_BIAS,
    FILL_ROPE,
    FILL_FACTORS, /* of rotation, 1 to 3 */
    FILL_ROUTER, /* norms as large as the embedding, which such routers divide by */
    FILL_STREAMS, /* a matrix for each stream of gemma3n but the first */
    FILL_EXPERTS, /* a matrix for each expert, one behind the other */
    FILL_HEADS, /* the same for each head */
    /* F32, of recurrent layers; _2D: not a vector, though it may have one column */
    FILL_CONV_2D,
    FILL_NORM_2D,
    FILL_BIAS_2D,
    FILL_LARGE_2D, /* biases beyond what an activation is clamped to */
    FILL_DECAY, /* negative */
    FILL_DECAY_2D,
};

enum { TINY_STREAMS = 4 }; /* of gemma3n */

struct tensor {
    char name[64];
    enum fill fill;
    uint32_t type, rows, cols; /* a vector is one row */
};

struct tensor_list {
    struct tensor *items;
    size_t n;
};

/* A row of a table of a layer's tensors. */
struct layer_row {
    const char *name;
    bool wanted;
    enum fill fill;
    uint32_t rows, cols;
};

void tiny_list_add(struct tensor_list *l, enum fill fill, uint32_t type, uint32_t rows,
                   uint32_t cols, const char *name);
void tiny_list_layer(struct tensor_list *l, const struct tiny_model *m, uint32_t layer,
                     const struct layer_row *rows, size_t n);

/* tiny_dense.c: decoders that differ from Llama's. */
bool tiny_dense(const struct tiny_model *m);
/* What files of the architecture must have for llama.cpp to take them. */
void tiny_dense_defaults(struct tiny_model *m);
void tiny_dense_layer(struct tensor_list *l, const struct tiny_model *m, uint32_t layer);
void tiny_dense_globals(struct tensor_list *l, const struct tiny_model *m);
bool tiny_dense_leaves_out(const struct tiny_model *m, const char *suffix);
void tiny_dense_keys(struct gguf_writer *w, const struct tiny_model *m);

/* tiny_experts.c: what such decoders have in place of one feed-forward part. */
bool tiny_experts(const struct tiny_model *m);
/* False: this layer has no experts. */
bool tiny_experts_layer(struct tensor_list *l, const struct tiny_model *m, uint32_t layer);
void tiny_experts_keys(struct gguf_writer *w, const struct tiny_model *m);

/* tiny_mla.c: latent attention. */
bool tiny_mla(const struct tiny_model *m);
void tiny_mla_defaults(struct tiny_model *m);
void tiny_mla_attention(struct tensor_list *l, const struct tiny_model *m, uint32_t layer);
bool tiny_mla_leaves_out(const char *suffix);
void tiny_mla_keys(struct gguf_writer *w, const struct tiny_model *m);

/* tiny_recurrent.c: architectures whose layers are not, or not only, attention. */
bool tiny_recurrent(const struct tiny_model *m);
const char *tiny_recurrent_output_norm(const struct tiny_model *m);
/* Sizes that were left open. */
void tiny_recurrent_defaults(struct tiny_model *m);
void tiny_recurrent_layer(struct tensor_list *l, const struct tiny_model *m, uint32_t layer);
/* A key that such files do not have, or that tiny_recurrent_keys() writes in another form. */
bool tiny_recurrent_leaves_out(const struct tiny_model *m, const char *suffix);
void tiny_recurrent_keys(struct gguf_writer *w, const struct tiny_model *m);
/* Whether a layer has attention. */
bool tiny_recurrent_attends(const struct tiny_model *m, uint32_t layer);

#endif
