/* SPDX-License-Identifier: Apache-2.0
 *
 * GGUF writer: version 3, little-endian. Keys and tensors are declared first; then the header goes
 * out and the data of the tensors follows in the order of declaration, in pieces of any size, so
 * that a model larger than memory can be written.
 *
 *     struct gguf_writer *w = gguf_writer_new();
 *     gguf_writer_str(w, "general.architecture", STR("llama"));
 *     gguf_writer_tensor(w, STR("output_norm.weight"), 0, 1, (uint64_t[]){64});
 *     r = gguf_writer_begin(w, "m.gguf", err);
 *     r = gguf_writer_data(w, norm, 64 * sizeof(float), err);
 *     r = gguf_writer_end(w, err);
 *     gguf_writer_free(w);
 *
 * Declarations do not return errors: the first one is remembered and reported by
 * gguf_writer_begin(). The file appears under its name, whole and synced, only when
 * gguf_writer_end() succeeds.
 */
#ifndef GGUF_GGUF_WRITER_H
#define GGUF_GGUF_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/error.h"
#include "base/str.h"
#include "gguf/gguf.h"

struct gguf_writer;

struct gguf_writer *gguf_writer_new(void);
void gguf_writer_free(struct gguf_writer *w); /* removes an unfinished file; NULL is fine */
DEFINE_CLEANUP(gguf_writer, struct gguf_writer, gguf_writer_free);

/* ---- metadata: a key may be written once ---- */
void gguf_writer_u16(struct gguf_writer *w, const char *key, uint16_t v);
void gguf_writer_u32(struct gguf_writer *w, const char *key, uint32_t v);
void gguf_writer_i32(struct gguf_writer *w, const char *key, int32_t v);
void gguf_writer_u64(struct gguf_writer *w, const char *key, uint64_t v);
void gguf_writer_f32(struct gguf_writer *w, const char *key, float v);
void gguf_writer_bool(struct gguf_writer *w, const char *key, bool v);
void gguf_writer_str(struct gguf_writer *w, const char *key, struct str v);
void gguf_writer_str_array(struct gguf_writer *w, const char *key, const struct str *v, size_t n);
void gguf_writer_i32_array(struct gguf_writer *w, const char *key, const int32_t *v, size_t n);
void gguf_writer_f32_array(struct gguf_writer *w, const char *key, const float *v, size_t n);

/* Key i of an open file with its value, whatever type it has. */
void gguf_writer_copy(struct gguf_writer *w, const struct gguf *from, size_t i);

/* Power of two, at least 8; writes general.alignment. Before the first tensor. */
void gguf_writer_alignment(struct gguf_writer *w, uint32_t alignment);

/* ---- tensors: dims fastest first ---- */
void gguf_writer_tensor(struct gguf_writer *w, struct str name, uint32_t type, uint32_t n_dims,
                        const uint64_t *dims);

int gguf_writer_begin(struct gguf_writer *w, const char *path, struct error *err);

/* The next n bytes of tensor data; the padding between tensors is added by the writer. */
int gguf_writer_data(struct gguf_writer *w, const void *p, size_t n, struct error *err);

/* All data must have been given. */
int gguf_writer_end(struct gguf_writer *w, struct error *err);

#endif
