/* SPDX-License-Identifier: Apache-2.0
 *
 * Converter: writes tensors to a GGUF file in another type, some rows at a time and with threads.
 *
 *     struct converter *c;
 *     r = converter_create(n_threads, &c, err);
 *     r = converter_write(c, &rows, WT_Q4_K, NULL, writer, err);     // the next declared tensor
 *     converter_free(c);
 *
 * Memory: one row of f32 for each thread and CONVERTER_CHUNK of results, or a row if that is more.
 * A number that the type cannot hold ends the work with an error that names the tensor. */
#ifndef ENGINE_QUANTIZE_CONVERTER_H
#define ENGINE_QUANTIZE_CONVERTER_H

#include <stdint.h>

#include "base/compiler.h"
#include "base/error.h"
#include "base/str.h"
#include "gguf/gguf_writer.h"

struct converter;

enum { CONVERTER_CHUNK = 16 << 20 };

/* A tensor as a list of rows. */
struct rows {
    struct str name; /* for errors */
    uint64_t n_rows; /* of all matrices together */
    uint32_t n_cols;
    uint64_t rows_per_matrix; /* importance has n_cols numbers for each matrix */
    /* Fills dst[n_cols]; called by several threads. */
    void (*read)(const struct rows *rows, uint64_t row, float *dst);
    const void *data; /* what `read` needs */
};

/* n_threads 0 = the physical cores. */
int converter_create(uint32_t n_threads, struct converter **ret, struct error *err);
void converter_free(struct converter *c); /* NULL is fine */
DEFINE_CLEANUP(converter, struct converter, converter_free);

int converter_write(struct converter *c, const struct rows *rows, uint32_t type,
                    const float *importance, struct gguf_writer *w, struct error *err);

#endif
