/* SPDX-License-Identifier: Apache-2.0
 *
 * safetensors reader: the tensor directory of a model file in Hugging Face's format.
 *
 * Format (https://huggingface.co/docs/safetensors): u64 length of the header, little-endian; the
 * header, a JSON object; the data. A member of the header is a tensor
 *
 *     "model.norm.weight": {"dtype": "BF16", "shape": [576], "data_offsets": [0, 1152]}
 *
 * or "__metadata__", an object of strings. Offsets count from the end of the header.
 *
 * The file is mapped. Nothing in it is believed: the header's length, every shape and every pair of
 * offsets is checked against the file's size; two tensors may not share bytes. What is returned
 * points into the object and lives until safetensors_free().
 *
 * Threads: an open file is never changed. */
#ifndef GGUF_SAFETENSORS_H
#define GGUF_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/error.h"
#include "base/json.h"
#include "base/str.h"

struct safetensors;

enum {
    SAFETENSORS_MAX_HEADER = 100 << 20,
    SAFETENSORS_MAX_DIMS = 8,
};

struct safetensors_tensor {
    struct str name;
    struct str dtype;                    /* "F32", "BF16", … */
    uint32_t n_dims;                     /* 0 = a single number */
    uint64_t dims[SAFETENSORS_MAX_DIMS]; /* slowest first */
    uint64_t n_items;
    uint64_t bytes;
    const void *data;
};

/* ERR_CORRUPT names the file and the tensor. */
int safetensors_open(const char *path, struct safetensors **ret, struct error *err);
void safetensors_free(struct safetensors *s); /* NULL is fine */
DEFINE_CLEANUP(safetensors, struct safetensors, safetensors_free);

size_t safetensors_n(const struct safetensors *s); /* in the order of the data */
const struct safetensors_tensor *safetensors_at(const struct safetensors *s, size_t i);
const struct safetensors_tensor *safetensors_find(const struct safetensors *s, struct str name);

/* The object __metadata__, or NULL. */
const struct json *safetensors_metadata(const struct safetensors *s);

#endif
