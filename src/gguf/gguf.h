/* SPDX-License-Identifier: Apache-2.0
 *
 * GGUF reader: the metadata and the tensor directory of a model file.
 *
 *     struct gguf *g;
 *     int r = gguf_open("m.gguf", 0, &g, err);
 *     uint32_t n_layers;
 *     r = gguf_get_u32(g, "llama.block_count", &n_layers, err);
 *     const struct gguf_tensor *t = gguf_tensor_find(g, STR("output_norm.weight"));
 *     gguf_free(g);
 *
 * Format: little-endian GGUF versions 2 and 3 (the format description is docs/gguf.md of the ggml
 * project). A file is
 *
 *     "GGUF" u32 version  u64 n_tensors  u64 n_kv
 *     n_kv      x { string key, u32 type, value }
 *     n_tensors x { string name, u32 n_dims, u64 dims[n_dims], u32 type, u64 offset }
 *     padding to `general.alignment`
 *     tensor data; offsets count from here and are aligned
 *
 * with string = u64 length + bytes, array = u32 type + u64 count + items.
 *
 * The file is mapped and walked once; whatever is returned points into the mapping and lives until
 * gguf_free(). Nothing in the file is believed: counts, lengths, products and offsets are checked
 * before use, and a bad one is ERR_CORRUPT with a sentence that names the key or the tensor.
 * Strings may hold any bytes. Memory used besides the mapping is bounded by the bytes of the
 * header.
 *
 * A model may be split over files NAME-00001-of-0000N.gguf. Opened by the first, all parts are
 * mapped and their tensors listed together; metadata is that of the first part.
 *
 * Threads: an open file is never changed, so any number of threads may read it.
 */
#ifndef GGUF_GGUF_H
#define GGUF_GGUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/error.h"
#include "base/str.h"

struct gguf;

enum {
    GGUF_MAX_DIMS = 4,
    GGUF_MAX_NAME = 64,   /* bytes of a tensor name */
    GGUF_MAX_KEY = 65535, /* bytes of a key */
    GGUF_MAX_KVS = 1 << 16,
    GGUF_MAX_TENSORS = 1 << 17, /* all parts together */
    GGUF_MAX_DEPTH = 4,         /* arrays in arrays */
    GGUF_MAX_PARTS = 1024,
    GGUF_DEFAULT_ALIGNMENT = 32,
};

enum gguf_flags {
    /* Only the header of this one file: tensor data is not looked at and may be absent (the
     * beginning of a file is enough), gguf_tensor.data is NULL, and other parts are not opened. */
    GGUF_HEADER_ONLY = 1,
};

int gguf_open(const char *path, unsigned flags, struct gguf **ret, struct error *err);

/* The same for bytes in memory, borrowed until gguf_free(). A file that is one of several parts is
 * refused unless GGUF_HEADER_ONLY is given. */
int gguf_open_bytes(const void *data, size_t size, unsigned flags, struct gguf **ret,
                    struct error *err);
void gguf_free(struct gguf *g); /* NULL is fine */
DEFINE_CLEANUP(gguf, struct gguf, gguf_free);

uint32_t gguf_version(const struct gguf *g);
uint32_t gguf_alignment(const struct gguf *g);
uint32_t gguf_n_parts(const struct gguf *g); /* files opened */
/* split.count of the file, 1 if it is whole; differs from gguf_n_parts() with GGUF_HEADER_ONLY. */
uint32_t gguf_split_count(const struct gguf *g);
uint64_t gguf_file_bytes(const struct gguf *g); /* all parts opened */

/* ---- metadata ----
 * gguf_get_*: the key must be there; ERR_NOT_FOUND otherwise.
 * gguf_want_*: an absent key leaves *ret alone and returns 0 (set the default before the call).
 * Both: a value of the wrong type or out of the asked type's range is ERR_CORRUPT. Integers of any
 * width convert when the value fits; a float is never an integer; f64 takes floats and integers. */

enum gguf_type {
    GGUF_U8 = 0,
    GGUF_I8 = 1,
    GGUF_U16 = 2,
    GGUF_I16 = 3,
    GGUF_U32 = 4,
    GGUF_I32 = 5,
    GGUF_F32 = 6,
    GGUF_BOOL = 7,
    GGUF_STRING = 8,
    GGUF_ARRAY = 9,
    GGUF_U64 = 10,
    GGUF_I64 = 11,
    GGUF_F64 = 12,
};

bool gguf_has(const struct gguf *g, const char *key);

int gguf_get_u32(const struct gguf *g, const char *key, uint32_t *ret, struct error *err);
int gguf_get_u64(const struct gguf *g, const char *key, uint64_t *ret, struct error *err);
int gguf_get_i64(const struct gguf *g, const char *key, int64_t *ret, struct error *err);
int gguf_get_f64(const struct gguf *g, const char *key, double *ret, struct error *err);
int gguf_get_bool(const struct gguf *g, const char *key, bool *ret, struct error *err);
int gguf_get_str(const struct gguf *g, const char *key, struct str *ret, struct error *err);

int gguf_want_u32(const struct gguf *g, const char *key, uint32_t *ret, struct error *err);
int gguf_want_u64(const struct gguf *g, const char *key, uint64_t *ret, struct error *err);
int gguf_want_i64(const struct gguf *g, const char *key, int64_t *ret, struct error *err);
int gguf_want_f64(const struct gguf *g, const char *key, double *ret, struct error *err);
int gguf_want_bool(const struct gguf *g, const char *key, bool *ret, struct error *err);
int gguf_want_str(const struct gguf *g, const char *key, struct str *ret, struct error *err);

/* Arrays come as a new array that the caller frees with free(); for an empty one *ret is NULL. The
 * strings of a string array are borrowed from the file. An absent key is ERR_NOT_FOUND. */
int gguf_get_str_array(const struct gguf *g, const char *key, struct str **ret, size_t *ret_n,
                       struct error *err);
int gguf_get_i32_array(const struct gguf *g, const char *key, int32_t **ret, size_t *ret_n,
                       struct error *err);
int gguf_get_u32_array(const struct gguf *g, const char *key, uint32_t **ret, size_t *ret_n,
                       struct error *err);
int gguf_get_f32_array(const struct gguf *g, const char *key, float **ret, size_t *ret_n,
                       struct error *err);
int gguf_get_bool_array(const struct gguf *g, const char *key, bool **ret, size_t *ret_n,
                        struct error *err);

/* Type and number of items of an array without reading it; false if there is no such array. */
bool gguf_array_info(const struct gguf *g, const char *key, enum gguf_type *ret_type,
                     uint64_t *ret_n);

/* One value per layer: a scalar stands for all n, an array must have exactly n items. Absent is
 * ERR_NOT_FOUND. */
int gguf_get_u32_per_layer(const struct gguf *g, const char *key, uint32_t n, uint32_t *out,
                           struct error *err);

/* All keys in file order. */
size_t gguf_n_kv(const struct gguf *g);
struct str gguf_kv_key(const struct gguf *g, size_t i);
enum gguf_type gguf_kv_type(const struct gguf *g, size_t i);

/* Appends the value as text: integers in decimal, floats with six decimals, "true" or "false",
 * strings as they are, arrays of at most GGUF_TEXT_ARRAY_MAX scalars or strings joined by ", ".
 * Returns false and appends nothing for a longer or nested array. */
enum { GGUF_TEXT_ARRAY_MAX = 50 };
bool gguf_kv_text(const struct gguf *g, size_t i, struct buf *out);

/* ---- tensors ---- */

struct gguf_tensor {
    struct str name;
    uint32_t type;                /* gguf_types.h; a number with a known block size */
    uint32_t n_dims;              /* 1..GGUF_MAX_DIMS */
    uint64_t dims[GGUF_MAX_DIMS]; /* fastest first: [cols, rows, ...]; 1 beyond n_dims */
    uint64_t n_items;             /* product of dims, > 0 */
    uint64_t offset;              /* in the data section of its part */
    uint64_t bytes;
    const void *data; /* aligned as the file says; NULL with GGUF_HEADER_ONLY */
    uint32_t part;    /* 0-based */
};

/* In file order; names are unique. */
size_t gguf_n_tensors(const struct gguf *g);
const struct gguf_tensor *gguf_tensor_at(const struct gguf *g, size_t i);
const struct gguf_tensor *gguf_tensor_find(const struct gguf *g, struct str name); /* or NULL */

/* The data of this tensor is not needed soon: its pages leave this process's memory and are read
 * from the file again when touched. Does nothing for bytes in memory. */
void gguf_tensor_unneeded(const struct gguf *g, const struct gguf_tensor *t);

#endif
