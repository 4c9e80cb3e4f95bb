/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading the directory of safetensors files. */
#include "gguf/safetensors.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/file.h"

struct safetensors {
    struct file_map file;
    struct json *header;
    struct safetensors_tensor *tensors; /* [n] by place */
    size_t n;
};

static const struct {
    const char *name;
    uint32_t bytes;
} dtypes[] = {
    {"F64", 8},     {"F32", 4}, {"F16", 2}, {"BF16", 2}, {"F8_E5M2", 1},
    {"F8_E4M3", 1}, {"I64", 8}, {"I32", 4}, {"I16", 2},  {"I8", 1},
    {"U64", 8},     {"U32", 4}, {"U16", 2}, {"U8", 1},   {"BOOL", 1},
};

/* 0 for a type whose items are not whole bytes, or that is not known. */
static uint32_t dtype_bytes(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(dtypes); i++)
        if (str_eq_c(name, dtypes[i].name))
            return dtypes[i].bytes;
    return 0;
}

static int bad(const struct safetensors_tensor *t, struct error *err, const char *what)
{
    return error_set(err, ERR_CORRUPT, "tensor '%.*s' %s", STR_ARG(t->name), what);
}

static int read_shape(const struct json *shape, struct safetensors_tensor *t, struct error *err)
{
    if (!js_is(shape, JS_ARRAY))
        return bad(t, err, "has no shape");
    if (js_len(shape) > SAFETENSORS_MAX_DIMS)
        return bad(t, err, "has too many dimensions");
    t->n_dims = (uint32_t)js_len(shape);
    t->n_items = 1;
    for (uint32_t i = 0; i < t->n_dims; i++) {
        int64_t dim = js_to_int(js_at(shape, i), -1);
        if (dim < 0)
            return bad(t, err, "has a dimension that is no whole number");
        t->dims[i] = (uint64_t)dim;
        if (mul_overflows(t->n_items, t->dims[i], &t->n_items))
            return bad(t, err, "is larger than anything can be");
    }
    return 0;
}

static int read_tensor(const struct json *v, const unsigned char *data, uint64_t n_data,
                       struct safetensors_tensor *t, struct error *err)
{
    const struct json *offsets = js_get(v, "data_offsets");
    t->dtype = js_get_str(v, "dtype");
    if (!t->dtype.ptr)
        return bad(t, err, "has no dtype");
    int r = read_shape(js_get(v, "shape"), t, err);
    if (r < 0)
        return r;
    int64_t begin = js_to_int(js_at(offsets, 0), -1), end = js_to_int(js_at(offsets, 1), -1);
    if (!js_is(offsets, JS_ARRAY) || js_len(offsets) != 2 || begin < 0 || end < begin)
        return bad(t, err, "has no valid data_offsets");
    if ((uint64_t)end > n_data)
        return bad(t, err, "lies beyond the end of the file");
    t->bytes = (uint64_t)(end - begin);
    t->data = data + begin;
    uint64_t want;
    uint32_t item = dtype_bytes(t->dtype);
    if (item > 0 && (mul_overflows(t->n_items, item, &want) || want != t->bytes))
        return bad(t, err, "has another number of bytes than its shape and type need");
    return 0;
}

static int by_place(const void *a, const void *b)
{
    const struct safetensors_tensor *x = a, *y = b;
    if (x->data != y->data)
        return (const char *)x->data < (const char *)y->data ? -1 : 1;
    return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

static int check_overlaps(const struct safetensors *s, struct error *err)
{
    for (size_t i = 1; i < s->n; i++) {
        const struct safetensors_tensor *before = &s->tensors[i - 1];
        if ((const char *)before->data + before->bytes > (const char *)s->tensors[i].data)
            return bad(&s->tensors[i], err, "shares bytes with another one");
    }
    return 0;
}

static int read_header(struct safetensors *s, struct error *err)
{
    uint64_t n_header = 0, size = s->file.size;
    for (size_t i = 0; i < 8 && i < size; i++)
        n_header |= (uint64_t)s->file.data[i] << 8 * i;
    if (size < 10 || n_header > size - 8)
        return error_set(err, ERR_CORRUPT,
                         "no safetensors file, or cut short: a header of %" PRIu64
                         " bytes does not fit in %" PRIu64 " bytes",
                         n_header, size);
    if (n_header > SAFETENSORS_MAX_HEADER)
        return error_set(err, ERR_TOO_LARGE, "a header of %" PRIu64 " bytes; at most %d are read",
                         n_header, SAFETENSORS_MAX_HEADER);
    struct error why = ERROR_INIT;
    if (js_parse(str_make((const char *)s->file.data + 8, (size_t)n_header), "the header",
                 &s->header, &why) < 0 ||
        !js_is(s->header, JS_OBJECT))
        return error_set(err, ERR_CORRUPT, "no safetensors file: %s",
                         why.code ? why.msg : "the header is no JSON object");
    s->tensors = alloc_array_zero(js_len(s->header) + 1, sizeof(*s->tensors));
    if (!s->tensors)
        return error_set(err, ERR_NOMEM, "out of memory for %zu tensors", js_len(s->header));
    const unsigned char *data = s->file.data + 8 + n_header;
    struct json_iter it = {0};
    while (js_next(s->header, &it)) {
        if (str_eq_c(it.key, "__metadata__"))
            continue;
        s->tensors[s->n].name = it.key;
        int r = read_tensor(it.value, data, size - 8 - n_header, &s->tensors[s->n++], err);
        if (r < 0)
            return r;
    }
    qsort(s->tensors, s->n, sizeof(*s->tensors), by_place);
    return check_overlaps(s, err);
}

int safetensors_open(const char *path, struct safetensors **ret, struct error *err)
{
    struct safetensors *s = xcalloc(1, sizeof(*s));
    int r = file_map_open(path, &s->file, err);
    if (r == 0) {
        r = read_header(s, err);
        if (r < 0)
            error_wrap(err, "'%s'", path);
    }
    if (r < 0) {
        safetensors_free(s);
        return r;
    }
    *ret = s;
    return 0;
}

void safetensors_free(struct safetensors *s)
{
    if (!s)
        return;
    js_free(s->header);
    free(s->tensors);
    file_map_close(&s->file);
    free(s);
}

size_t safetensors_n(const struct safetensors *s)
{
    return s->n;
}

const struct safetensors_tensor *safetensors_at(const struct safetensors *s, size_t i)
{
    return &s->tensors[i];
}

const struct safetensors_tensor *safetensors_find(const struct safetensors *s, struct str name)
{
    for (size_t i = 0; i < s->n; i++)
        if (str_eq(s->tensors[i].name, name))
            return &s->tensors[i];
    return NULL;
}

const struct json *safetensors_metadata(const struct safetensors *s)
{
    return js_get(s->header, "__metadata__");
}
