/* SPDX-License-Identifier: Apache-2.0
 *
 * The tensors that a model wants from a file: found by name, checked for shape and type, and then
 * loaded on a backend all together, so that a file that lacks one is refused before any is read.
 *
 *     CLEANUP(tensor_set_release) struct tensor_set s = {0};
 *     tensor_set_init(&s, g);
 *     tensor_set_want(&s, &(struct tensor_want){"output_norm.weight", &w->norm, .cols = n,
 *                                               .vector = true, .required = true}, err);
 *     ...
 *     tensor_set_complete(&s, "a llama model", err);
 *     tensor_set_load(&s, backend, err);
 *
 * A matrix X.weight may have X.scale, one number or one for each matrix of a stack: products are
 * multiplied by it. X.input_scale is for engines that quantize activations.
 *
 * The set owns the weights that it loaded, and the copies of vectors that were not F32 in the file:
 * both end when it is released. */
#ifndef ENGINE_MODEL_TENSOR_SET_H
#define ENGINE_MODEL_TENSOR_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "engine/backend/backend.h"
#include "gguf/gguf.h"

struct tensor_want {
    const char *name;
    struct weight *
        *slot; /* where the weight goes, borrowed; NULL there when the tensor is absent */
    uint32_t rows, cols;
    bool vector;     /* one row, of type F32, F16 or BF16, kept as F32 */
    bool required;   /* absent is an error */
    bool flat;       /* more than two dimensions: the last is `rows`, the others together `cols`;
                        a vector: two dimensions, together `cols` */
    bool transposed; /* [rows] is the fast dimension in the file; kept as F32 */
    uint32_t first_row, of_rows; /* the tensor has of_rows rows, and only first_row .. first_row +
                                    rows of them are this weight; of_rows 0 = it has no others */
    uint32_t first_col, of_cols; /* the same of the values of a vector */
    uint32_t stacked; /* not 0: three dimensions, so many matrices of rows / stacked rows */
    bool plain;       /* a matrix of numbers that are not multiplied as one; kept as F32 */
};

struct tensor_entry {
    struct tensor_want want;
    const struct gguf_tensor *tensor;
    const struct gguf_tensor *scales; /* NULL = none */
    struct weight *weight; /* NULL until it is loaded */
};

struct tensor_set {
    const struct gguf *g;
    struct backend *backend;      /* borrowed; NULL until something is loaded */
    struct tensor_entry *entries; /* [n_entries] */
    size_t n_entries, cap_entries;
    bool *used; /* [tensors of the file] */
    float **copies;
    size_t n_copies;
    uint64_t bytes; /* of the loaded tensors, as in the file */
};

int tensor_set_init(struct tensor_set *s, const struct gguf *g, struct error *err);
void tensor_set_release(struct tensor_set *s); /* a zeroed one is fine */

/* `want` is copied, its name only used during the call. */
int tensor_set_want(struct tensor_set *s, const struct tensor_want *want, struct error *err);

/* Marks a tensor as known, but not wanted on the backend; NULL if there is none. */
const struct gguf_tensor *tensor_set_know(struct tensor_set *s, const char *name);

/* The same for all tensors whose names begin so. */
void tensor_set_know_prefix(struct tensor_set *s, const char *prefix);

/* Every tensor of the file must be wanted or known: "tensor 'x' is not part of WHAT". */
int tensor_set_complete(const struct tensor_set *s, const char *what, struct error *err);

int tensor_set_load(struct tensor_set *s, struct backend *b, struct error *err);

#endif
