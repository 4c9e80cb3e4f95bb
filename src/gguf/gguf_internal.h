/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the GGUF reader share: the parsed header of one file. */
#ifndef GGUF_GGUF_INTERNAL_H
#define GGUF_GGUF_INTERNAL_H

#include "base/file.h"
#include "gguf/gguf.h"

/* One key and where its value stands. */
struct gguf_kv {
    struct str key;
    enum gguf_type type;
    enum gguf_type item_type;   /* GGUF_ARRAY: of the items */
    uint64_t n;                 /* GGUF_ARRAY: items; GGUF_STRING: bytes */
    const unsigned char *value; /* first byte of the value, of a string's text, of the first item */
    const unsigned char *end;   /* behind the value; its type and it begin behind the key */
};

/* Names in byte order, for looking them up: no input can make that slow. */
struct gguf_name {
    struct str name;
    uint32_t at;
};

/* The header of one file. */
struct gguf_part {
    struct file_map map;       /* zeroed when the bytes are borrowed */
    const unsigned char *data; /* the whole file */
    uint64_t size;
    uint32_t version;
    uint32_t alignment;
    uint64_t data_start; /* of the tensor data; may lie behind `size` with GGUF_HEADER_ONLY */
    struct gguf_kv *kvs;
    struct gguf_name *kv_names;
    size_t n_kvs;
    struct gguf_tensor *tensors;
    size_t n_tensors;
};

struct gguf {
    struct gguf_part *parts;
    uint32_t n_parts;
    uint32_t split_count;
    struct gguf_tensor *tensors; /* of all parts */
    struct gguf_name *tensor_names;
    size_t n_tensors;
};

/* For messages: names can be long, and 80 bytes tell enough. */
#define GGUF_NAME_ARG(s) (int)((s).len > 80 ? 80 : (s).len), (s).ptr

/* Reads p->data[0..size): header, keys, tensor directory. */
int gguf__part_parse(struct gguf_part *p, unsigned flags, struct error *err);
void gguf__part_release(struct gguf_part *p);

/* Bytes of a scalar; 0 for strings, arrays and numbers that are no type. */
size_t gguf__scalar_bytes(enum gguf_type type);
const char *gguf__type_name(enum gguf_type type);

const struct gguf_kv *gguf__kv_find(const struct gguf_part *p, struct str key);
int gguf__kv_i64(const struct gguf_kv *kv, int64_t min, int64_t max, int64_t *ret,
                 struct error *err);

/* Sorts and returns the first name that is there twice, or NULL. */
const struct gguf_name *gguf__names_sort(struct gguf_name *names, size_t n);
/* Index, or SIZE_MAX. */
size_t gguf__names_find(const struct gguf_name *names, size_t n, struct str name);

#endif
