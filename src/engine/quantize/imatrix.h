/* SPDX-License-Identifier: Apache-2.0
 *
 * Importance matrices: for each weight matrix of a model, how much each column matters, measured as
 * the mean square of what it was multiplied with over some text.
 *
 * Two formats of llama.cpp's imatrix tool, told apart by the first bytes:
 *
 *     GGUF   general.type "imatrix"; for each matrix NAME the tensors "NAME.in_sum2" [cols, n], the
 *            sums of squares, and "NAME.counts" [1, n], how many were summed up; n matrices in one
 *            tensor, as experts are
 *     .dat   i32 entries { i32 length, name, i32 calls, i32 n, f32 values[n] }; what follows is not
 *            read; little-endian
 *
 * A number that is negative or not finite is ERR_CORRUPT.
 * Threads: an open matrix is never changed. */
#ifndef ENGINE_QUANTIZE_IMATRIX_H
#define ENGINE_QUANTIZE_IMATRIX_H

#include <stddef.h>

#include "base/compiler.h"
#include "base/error.h"
#include "base/str.h"

struct imatrix;

enum {
    IMATRIX_MAX_ENTRIES = 1 << 17,
    IMATRIX_MAX_NAME = 255,
};

int imatrix_open(const char *path, struct imatrix **ret, struct error *err);

/* The same for bytes in memory, which are not needed afterwards. */
int imatrix_parse(const void *data, size_t size, struct imatrix **ret, struct error *err);
void imatrix_free(struct imatrix *m); /* NULL is fine */
DEFINE_CLEANUP(imatrix, struct imatrix, imatrix_free);

size_t imatrix_n(const struct imatrix *m);

/* The numbers for a tensor of the model, cols * n of them; NULL if there are none. */
const float *imatrix_find(const struct imatrix *m, struct str tensor, size_t *ret_n);

#endif
