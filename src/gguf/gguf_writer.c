/* SPDX-License-Identifier: Apache-2.0
 *
 * GGUF writer. The metadata is kept as the bytes that go to the file; tensors are kept as a list,
 * for their offsets. The data goes straight to a file beside the wanted one. */
#include "gguf/gguf_writer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/compiler.h"
#include "base/file.h"
#include "gguf/gguf_internal.h"
#include "gguf/gguf_types.h"

struct writer_tensor {
    char *name;
    uint32_t type, n_dims;
    uint64_t dims[GGUF_MAX_DIMS];
    uint64_t offset, bytes;
};

struct gguf_writer {
    struct buf kvs;
    char **keys;
    size_t n_keys;
    struct writer_tensor *tensors;
    size_t n_tensors;
    uint32_t alignment;
    struct error failed; /* the first bad declaration */

    char *path, *tmp_path;
    FILE *file;       /* open between begin and end */
    size_t at;        /* the tensor whose data comes next */
    uint64_t written; /* bytes of it */
};

static const char zeros[4096];

struct gguf_writer *gguf_writer_new(void)
{
    struct gguf_writer *w = xcalloc(1, sizeof(*w));
    w->kvs = BUF_INIT((size_t)1 << 30);
    w->alignment = GGUF_DEFAULT_ALIGNMENT;
    return w;
}

void gguf_writer_free(struct gguf_writer *w)
{
    if (!w)
        return;
    if (w->file) {
        fclose(w->file);
        unlink(w->tmp_path);
    }
    for (size_t i = 0; i < w->n_keys; i++)
        free(w->keys[i]);
    for (size_t i = 0; i < w->n_tensors; i++)
        free(w->tensors[i].name);
    free(w->keys);
    free(w->tensors);
    free(w->path);
    free(w->tmp_path);
    buf_release(&w->kvs);
    free(w);
}

static void fail(struct gguf_writer *w, const struct error *e)
{
    if (w->failed.code == ERR_NONE)
        w->failed = *e;
}

/* ---- metadata ---- */

static void put_u32(struct buf *b, uint32_t v)
{
    buf_append_bytes(b, &v, sizeof(v));
}

static void put_u64(struct buf *b, uint64_t v)
{
    buf_append_bytes(b, &v, sizeof(v));
}

static void put_str(struct buf *b, struct str s)
{
    put_u64(b, s.len);
    buf_append(b, s);
}

static void remember_key(struct gguf_writer *w, char *key)
{
    w->keys = xrealloc(w->keys, w->n_keys + 1, sizeof(*w->keys));
    w->keys[w->n_keys++] = key;
}

static void put_key(struct gguf_writer *w, const char *key, enum gguf_type type)
{
    remember_key(w, xstrdup(key));
    put_str(&w->kvs, str_from(key));
    put_u32(&w->kvs, type);
}

static void put_scalar(struct gguf_writer *w, const char *key, enum gguf_type type, const void *v)
{
    put_key(w, key, type);
    buf_append_bytes(&w->kvs, v, gguf__scalar_bytes(type));
}

void gguf_writer_u16(struct gguf_writer *w, const char *key, uint16_t v)
{
    put_scalar(w, key, GGUF_U16, &v);
}

void gguf_writer_u32(struct gguf_writer *w, const char *key, uint32_t v)
{
    put_scalar(w, key, GGUF_U32, &v);
}

void gguf_writer_i32(struct gguf_writer *w, const char *key, int32_t v)
{
    put_scalar(w, key, GGUF_I32, &v);
}

void gguf_writer_u64(struct gguf_writer *w, const char *key, uint64_t v)
{
    put_scalar(w, key, GGUF_U64, &v);
}

void gguf_writer_f32(struct gguf_writer *w, const char *key, float v)
{
    put_scalar(w, key, GGUF_F32, &v);
}

void gguf_writer_bool(struct gguf_writer *w, const char *key, bool v)
{
    uint8_t byte = v;
    put_scalar(w, key, GGUF_BOOL, &byte);
}

void gguf_writer_str(struct gguf_writer *w, const char *key, struct str v)
{
    put_key(w, key, GGUF_STRING);
    put_str(&w->kvs, v);
}

static void put_array(struct gguf_writer *w, const char *key, enum gguf_type type, size_t n)
{
    put_key(w, key, GGUF_ARRAY);
    put_u32(&w->kvs, type);
    put_u64(&w->kvs, n);
}

void gguf_writer_str_array(struct gguf_writer *w, const char *key, const struct str *v, size_t n)
{
    put_array(w, key, GGUF_STRING, n);
    for (size_t i = 0; i < n; i++)
        put_str(&w->kvs, v[i]);
}

void gguf_writer_i32_array(struct gguf_writer *w, const char *key, const int32_t *v, size_t n)
{
    put_array(w, key, GGUF_I32, n);
    buf_append_bytes(&w->kvs, v, n * sizeof(*v));
}

void gguf_writer_f32_array(struct gguf_writer *w, const char *key, const float *v, size_t n)
{
    put_array(w, key, GGUF_F32, n);
    buf_append_bytes(&w->kvs, v, n * sizeof(*v));
}

void gguf_writer_copy(struct gguf_writer *w, const struct gguf *from, size_t i)
{
    const struct gguf_kv *kv = &from->parts[0].kvs[i];
    const char *type = kv->key.ptr + kv->key.len;
    remember_key(w, xasprintf("%.*s", (int)kv->key.len, kv->key.ptr));
    put_str(&w->kvs, kv->key);
    buf_append_bytes(&w->kvs, type, (size_t)((const char *)kv->end - type));
}

void gguf_writer_alignment(struct gguf_writer *w, uint32_t alignment)
{
    struct error e = ERROR_INIT;
    if (alignment < 8 || (alignment & (alignment - 1)) != 0 || w->n_tensors > 0) {
        error_set(&e, ERR_INVALID, "the alignment cannot be set to %" PRIu32, alignment);
        fail(w, &e);
        return;
    }
    w->alignment = alignment;
    gguf_writer_u32(w, "general.alignment", alignment);
}

/* ---- tensors ---- */

/* Bytes of the tensor; 0 with `e` filled if it cannot be written. */
static uint64_t declared_bytes(struct str name, uint32_t type, uint32_t n_dims,
                               const uint64_t *dims, struct error *e)
{
    const struct gguf_type_info *info = gguf_type_info(type);
    uint64_t items = 1, bytes = 0;
    bool good = info && n_dims >= 1 && n_dims <= GGUF_MAX_DIMS && name.len >= 1 &&
                name.len <= GGUF_MAX_NAME && !memchr(name.ptr, 0, name.len) &&
                dims[0] % info->block_items == 0;
    for (uint32_t i = 0; good && i < n_dims; i++)
        good = dims[i] > 0 && !mul_overflows(items, dims[i], &items);
    if (good)
        good = !mul_overflows(items / info->block_items, info->block_bytes, &bytes);
    if (!good) {
        error_set(e, ERR_INVALID,
                  "tensor '%.*s' cannot be written: bad name, type (%" PRIu32 ") or dimensions",
                  GGUF_NAME_ARG(name), type);
        return 0;
    }
    return bytes;
}

static uint64_t align_up(uint64_t v, uint32_t alignment)
{
    return (v + alignment - 1) / alignment * alignment;
}

void gguf_writer_tensor(struct gguf_writer *w, struct str name, uint32_t type, uint32_t n_dims,
                        const uint64_t *dims)
{
    struct error e = ERROR_INIT;
    uint64_t bytes = declared_bytes(name, type, n_dims, dims, &e);
    if (bytes == 0) {
        fail(w, &e);
        return;
    }
    w->tensors = xrealloc(w->tensors, w->n_tensors + 1, sizeof(*w->tensors));
    struct writer_tensor *t = &w->tensors[w->n_tensors];
    *t = (struct writer_tensor){.type = type, .n_dims = n_dims, .bytes = bytes};
    t->name = xasprintf("%.*s", (int)name.len, name.ptr);
    memcpy(t->dims, dims, n_dims * sizeof(*dims));
    if (w->n_tensors > 0)
        t->offset = align_up(t[-1].offset + t[-1].bytes, w->alignment);
    w->n_tensors++;
}

/* ---- the file ---- */

static int check_names(const struct gguf_writer *w, struct error *err)
{
    size_t max = MAX(w->n_keys, w->n_tensors);
    CLEANUP_FREE struct gguf_name *names = xcalloc(max + 1, sizeof(*names));
    for (size_t i = 0; i < w->n_keys; i++)
        names[i] = (struct gguf_name){str_from(w->keys[i]), (uint32_t)i};
    const struct gguf_name *twice = gguf__names_sort(names, w->n_keys);
    if (twice)
        return error_set(err, ERR_INVALID, "key '%.*s' is written twice",
                         GGUF_NAME_ARG(twice->name));
    for (size_t i = 0; i < w->n_tensors; i++)
        names[i] = (struct gguf_name){str_from(w->tensors[i].name), (uint32_t)i};
    twice = gguf__names_sort(names, w->n_tensors);
    if (twice)
        return error_set(err, ERR_INVALID, "tensor '%.*s' is written twice",
                         GGUF_NAME_ARG(twice->name));
    return 0;
}

static int write_bytes(struct gguf_writer *w, const void *p, size_t n, struct error *err)
{
    if (n > 0 && fwrite(p, 1, n, w->file) != n)
        return error_errno(err, errno, "cannot write '%s'", w->tmp_path);
    return 0;
}

static int write_padding(struct gguf_writer *w, uint64_t n, struct error *err)
{
    int r = 0;
    while (r == 0 && n > 0) {
        size_t part = (size_t)MIN(n, sizeof(zeros));
        r = write_bytes(w, zeros, part, err);
        n -= part;
    }
    return r;
}

static int write_header(struct gguf_writer *w, struct error *err)
{
    CLEANUP_BUF struct buf b = BUF_INIT((size_t)2 << 30);
    buf_append(&b, STR("GGUF"));
    put_u32(&b, 3);
    put_u64(&b, w->n_tensors);
    put_u64(&b, w->n_keys);
    buf_append(&b, buf_str(&w->kvs));
    for (size_t i = 0; i < w->n_tensors; i++) {
        const struct writer_tensor *t = &w->tensors[i];
        put_str(&b, str_from(t->name));
        put_u32(&b, t->n_dims);
        for (uint32_t d = 0; d < t->n_dims; d++)
            put_u64(&b, t->dims[d]);
        put_u32(&b, t->type);
        put_u64(&b, t->offset);
    }
    int r = buf_check(&b, "the header", err);
    if (r == 0)
        r = write_bytes(w, b.data, b.len, err);
    if (r == 0)
        r = write_padding(w, align_up(b.len, w->alignment) - b.len, err);
    return r;
}

int gguf_writer_begin(struct gguf_writer *w, const char *path, struct error *err)
{
    if (w->failed.code != ERR_NONE)
        return error_copy(err, &w->failed);
    int r = buf_check(&w->kvs, "the metadata", err);
    if (r == 0)
        r = check_names(w, err);
    if (r < 0)
        return r;
    w->path = xstrdup(path);
    w->tmp_path = xasprintf("%s.part", path);
    w->file = fopen(w->tmp_path, "wbe");
    if (!w->file)
        return error_errno(err, errno, "cannot create '%s'", w->tmp_path);
    return write_header(w, err);
}

int gguf_writer_data(struct gguf_writer *w, const void *p, size_t n, struct error *err)
{
    const char *from = p;
    while (n > 0) {
        if (w->at == w->n_tensors)
            return error_set(err, ERR_INVALID, "more tensor data than was declared");
        const struct writer_tensor *t = &w->tensors[w->at];
        size_t part = (size_t)MIN(t->bytes - w->written, n);
        int r = write_bytes(w, from, part, err);
        if (r < 0)
            return r;
        from += part;
        n -= part;
        w->written += part;
        if (w->written == t->bytes) {
            r = write_padding(w, align_up(t->bytes, w->alignment) - t->bytes, err);
            if (r < 0)
                return r;
            w->at++;
            w->written = 0;
        }
    }
    return 0;
}

int gguf_writer_end(struct gguf_writer *w, struct error *err)
{
    if (w->at < w->n_tensors)
        return error_set(err, ERR_INVALID, "the data of tensor '%s' is missing",
                         w->tensors[w->at].name);
    FILE *f = TAKE(w->file);
    bool synced = fflush(f) == 0 && fsync(fileno(f)) == 0;
    int e = errno;
    if (fclose(f) != 0 && synced) {
        synced = false;
        e = errno;
    }
    if (synced && rename(w->tmp_path, w->path) == 0) {
        CLEANUP_FREE char *dir = path_dir(w->path);
        return dir_sync(dir, err);
    }
    if (synced)
        e = errno;
    unlink(w->tmp_path);
    return error_errno(err, e, "cannot write '%s'", w->path);
}
