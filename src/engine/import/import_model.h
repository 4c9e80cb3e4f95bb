/* SPDX-License-Identifier: Apache-2.0
 *
 * From a directory in Hugging Face's form to one GGUF file: names, keys, vocabulary and weights of
 * the families of family.h, so that the file computes what the directory's model does. A tensor
 * that has no place in the file is an error: nothing is left out silently.
 *
 * Weights are streamed; the file appears under its name when it is whole. */
#ifndef ENGINE_IMPORT_IMPORT_MODEL_H
#define ENGINE_IMPORT_IMPORT_MODEL_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

struct import_options {
    const char *type;   /* a mixture's name; NULL = each matrix as it is stored */
    uint32_t n_threads; /* 0 = the physical cores */
    /* What the user should know, a sentence each; and how far it is. May be NULL. */
    void (*note)(void *ctx, const char *text);
    void (*progress)(void *ctx, size_t n_done, size_t n_all, struct str tensor);
    void *ctx;
};

struct import_result {
    size_t n_tensors;
    uint64_t bytes; /* of all tensors in the file */
};

int import_model(const char *dir, const char *out, const struct import_options *o,
                 struct import_result *ret, struct error *err);

#endif
