/* SPDX-License-Identifier: Apache-2.0
 *
 * From a GGUF file to a GGUF file of another type: all metadata kept, weights converted as a
 * mixture says. The input may be split over files; the output is one.
 *
 * The weights are streamed (converter.h); the output appears under its name when it is whole. */
#ifndef ENGINE_QUANTIZE_REQUANTIZE_H
#define ENGINE_QUANTIZE_REQUANTIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

struct requantize_options {
    const char *type;    /* a mixture's name */
    const char *imatrix; /* path; NULL = none */
    bool pure;           /* no mixture: the same type for all weights */
    uint32_t n_threads;  /* 0 = the physical cores */
    /* What the user should know, a sentence each; and how far it is. May be NULL. */
    void (*note)(void *ctx, const char *text);
    void (*progress)(void *ctx, size_t n_done, size_t n_all, struct str tensor);
    void *ctx;
};

struct requantize_result {
    uint64_t bytes_before, bytes_after; /* of all tensors */
    size_t n_tensors, n_converted;
    size_t
        n_fallback; /* tensors with another type than the mixture's, for the length of their rows */
};

int requantize_file(const char *in, const char *out, const struct requantize_options *o,
                    struct requantize_result *ret, struct error *err);

#endif
