/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads the header of one GGUF file.
 *
 * A cursor walks the bytes once, front to back. Every take_*() checks what is left first, and every
 * count is compared with the bytes left before anything is allocated or looped over, so that the
 * work and the memory are bounded by the file, whatever it claims. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/compiler.h"
#include "gguf/gguf_internal.h"
#include "gguf/gguf_types.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "GGUF data is used as it lies in the file: this needs a little-endian machine"
#endif

enum {
    MIN_KV_BYTES = 8 + 1 + 4 + 1,             /* key of one byte, type, smallest value */
    MIN_TENSOR_BYTES = 8 + 1 + 4 + 8 + 4 + 8, /* name of one byte, one dimension */
    MAX_ALIGNMENT = 1 << 20,
};

struct cursor {
    const unsigned char *p;
    uint64_t left;
};

static bool take(struct cursor *c, void *out, size_t n)
{
    if (c->left < n)
        return false;
    memcpy(out, c->p, n);
    c->p += n;
    c->left -= n;
    return true;
}

static bool skip(struct cursor *c, uint64_t n)
{
    if (c->left < n)
        return false;
    c->p += n;
    c->left -= n;
    return true;
}

static bool take_string(struct cursor *c, struct str *ret)
{
    uint64_t len;
    if (!take(c, &len, sizeof(len)) || len > c->left)
        return false;
    *ret = str_make((const char *)c->p, (size_t)len);
    return skip(c, len);
}

/* ---- metadata ---- */

static int bad_bool(struct str key, struct error *err)
{
    return error_set(err, ERR_CORRUPT, "key '%.*s': a bool is neither 0 nor 1", GGUF_NAME_ARG(key));
}

static int cut_off(struct str key, struct error *err)
{
    return error_set(err, ERR_CORRUPT,
                     "key '%.*s': its value reaches beyond the end of the file; "
                     "the file is damaged or was cut off",
                     GGUF_NAME_ARG(key));
}

/* Walks over the items of an array whose type and count were just read. */
static int skip_items(struct cursor *c, struct str key, uint32_t type, uint64_t n, int depth,
                      struct error *err)
{
    size_t size = gguf__scalar_bytes(type);
    if (size > 0) {
        if (n > c->left / size)
            return error_set(err, ERR_CORRUPT,
                             "key '%.*s': an array of %" PRIu64
                             " items reaches beyond the end of the file",
                             GGUF_NAME_ARG(key), n);
        if (type == GGUF_BOOL)
            for (uint64_t i = 0; i < n; i++)
                if (c->p[i] > 1)
                    return bad_bool(key, err);
        skip(c, n * size);
        return 0;
    }
    if (type == GGUF_STRING) {
        if (n > c->left / 8)
            return error_set(err, ERR_CORRUPT,
                             "key '%.*s': an array of %" PRIu64
                             " strings reaches beyond the end of the file",
                             GGUF_NAME_ARG(key), n);
        for (uint64_t i = 0; i < n; i++) {
            struct str s;
            if (!take_string(c, &s))
                return error_set(err, ERR_CORRUPT,
                                 "key '%.*s': string %" PRIu64
                                 " of its array reaches beyond the end of the file",
                                 GGUF_NAME_ARG(key), i);
        }
        return 0;
    }
    if (type != GGUF_ARRAY)
        return error_set(err, ERR_CORRUPT, "key '%.*s': unknown type %" PRIu32 " of array items",
                         GGUF_NAME_ARG(key), type);
    if (depth >= GGUF_MAX_DEPTH)
        return error_set(err, ERR_CORRUPT, "key '%.*s': arrays are nested more than %d deep",
                         GGUF_NAME_ARG(key), GGUF_MAX_DEPTH);
    if (n > c->left / 12)
        return cut_off(key, err);
    for (uint64_t i = 0; i < n; i++) {
        uint32_t item_type;
        uint64_t item_n;
        if (!take(c, &item_type, 4) || !take(c, &item_n, 8))
            return cut_off(key, err);
        int r = skip_items(c, key, item_type, item_n, depth + 1, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int parse_value(struct cursor *c, struct gguf_kv *kv, struct error *err)
{
    uint32_t type;
    if (!take(c, &type, 4))
        return cut_off(kv->key, err);
    kv->type = type;
    kv->value = c->p;
    size_t size = gguf__scalar_bytes(type);
    if (size > 0) {
        if (!skip(c, size))
            return cut_off(kv->key, err);
        if (type == GGUF_BOOL && *kv->value > 1)
            return bad_bool(kv->key, err);
        return 0;
    }
    if (type == GGUF_STRING) {
        struct str s;
        if (!take_string(c, &s))
            return cut_off(kv->key, err);
        kv->value = (const unsigned char *)s.ptr;
        kv->n = s.len;
        return 0;
    }
    if (type != GGUF_ARRAY)
        return error_set(err, ERR_CORRUPT, "key '%.*s': unknown value type %" PRIu32,
                         GGUF_NAME_ARG(kv->key), type);
    uint32_t item_type;
    if (!take(c, &item_type, 4) || !take(c, &kv->n, 8))
        return cut_off(kv->key, err);
    kv->item_type = item_type;
    kv->value = c->p;
    return skip_items(c, kv->key, item_type, kv->n, 1, err);
}

static int parse_kvs(struct gguf_part *p, struct cursor *c, uint64_t n, struct error *err)
{
    if (n > GGUF_MAX_KVS || n > c->left / MIN_KV_BYTES)
        return error_set(err, ERR_CORRUPT, "the header promises %" PRIu64 " keys, more than %s", n,
                         n > GGUF_MAX_KVS ? "any model has" : "the file can hold");
    p->kvs = alloc_array_zero((size_t)n, sizeof(*p->kvs));
    p->kv_names = alloc_array((size_t)n, sizeof(*p->kv_names));
    if (n > 0 && (!p->kvs || !p->kv_names))
        return error_set(err, ERR_NOMEM, "out of memory for %" PRIu64 " keys", n);
    for (uint64_t i = 0; i < n; i++) {
        struct gguf_kv *kv = &p->kvs[i];
        if (!take_string(c, &kv->key))
            return error_set(err, ERR_CORRUPT,
                             "key %" PRIu64 " of %" PRIu64
                             ": its name reaches beyond the end of the file",
                             i + 1, n);
        if (kv->key.len == 0 || kv->key.len > GGUF_MAX_KEY)
            return error_set(err, ERR_CORRUPT,
                             "key %" PRIu64 " of %" PRIu64
                             ": its name has %zu bytes; 1 to %d are allowed",
                             i + 1, n, kv->key.len, GGUF_MAX_KEY);
        int r = parse_value(c, kv, err);
        if (r < 0)
            return r;
        kv->end = c->p;
        p->kv_names[i] = (struct gguf_name){kv->key, (uint32_t)i};
        p->n_kvs++;
    }
    const struct gguf_name *twice = gguf__names_sort(p->kv_names, p->n_kvs);
    if (twice)
        return error_set(err, ERR_CORRUPT, "key '%.*s' is there twice", GGUF_NAME_ARG(twice->name));
    return 0;
}

/* ---- tensor directory ---- */

/* Dimensions to items and bytes. */
static int tensor_size(struct gguf_tensor *t, struct error *err)
{
    const struct gguf_type_info *info = gguf_type_info(t->type);
    if (!info)
        return error_set(err, ERR_CORRUPT, "tensor '%.*s': unknown element type %" PRIu32,
                         GGUF_NAME_ARG(t->name), t->type);
    t->n_items = 1;
    for (uint32_t i = 0; i < t->n_dims; i++) {
        if (t->dims[i] == 0)
            return error_set(err, ERR_CORRUPT, "tensor '%.*s': dimension %" PRIu32 " is 0",
                             GGUF_NAME_ARG(t->name), i);
        if (mul_overflows(t->n_items, t->dims[i], &t->n_items) || t->n_items > INT64_MAX)
            return error_set(err, ERR_CORRUPT, "tensor '%.*s': its dimensions are too large",
                             GGUF_NAME_ARG(t->name));
    }
    if (t->dims[0] % info->block_items != 0)
        return error_set(err, ERR_CORRUPT,
                         "tensor '%.*s': rows of %" PRIu64
                         " items do not fit the blocks of %" PRIu32 " items of type %s",
                         GGUF_NAME_ARG(t->name), t->dims[0], info->block_items, info->name);
    if (mul_overflows(t->n_items / info->block_items, info->block_bytes, &t->bytes))
        return error_set(err, ERR_CORRUPT, "tensor '%.*s': its dimensions are too large",
                         GGUF_NAME_ARG(t->name));
    return 0;
}

static int parse_tensor(struct gguf_part *p, struct cursor *c, uint64_t i, uint64_t n,
                        struct gguf_tensor *t, struct error *err)
{
    if (!take_string(c, &t->name))
        return error_set(err, ERR_CORRUPT,
                         "tensor %" PRIu64 " of %" PRIu64
                         ": its name reaches beyond the end of the file",
                         i + 1, n);
    if (t->name.len == 0 || t->name.len > GGUF_MAX_NAME)
        return error_set(err, ERR_CORRUPT,
                         "tensor %" PRIu64 " of %" PRIu64
                         ": its name has %zu bytes; 1 to %d are allowed",
                         i + 1, n, t->name.len, GGUF_MAX_NAME);
    if (!take(c, &t->n_dims, 4))
        return error_set(err, ERR_CORRUPT, "tensor '%.*s': the file ends inside its entry",
                         GGUF_NAME_ARG(t->name));
    if (t->n_dims == 0 || t->n_dims > GGUF_MAX_DIMS)
        return error_set(err, ERR_CORRUPT,
                         "tensor '%.*s': %" PRIu32 " dimensions; 1 to %d are allowed",
                         GGUF_NAME_ARG(t->name), t->n_dims, GGUF_MAX_DIMS);
    for (uint32_t d = 0; d < GGUF_MAX_DIMS; d++)
        t->dims[d] = 1;
    if (!take(c, t->dims, t->n_dims * sizeof(t->dims[0])) || !take(c, &t->type, 4) ||
        !take(c, &t->offset, 8))
        return error_set(err, ERR_CORRUPT, "tensor '%.*s': the file ends inside its entry",
                         GGUF_NAME_ARG(t->name));
    int r = tensor_size(t, err);
    if (r < 0)
        return r;
    if (t->offset % p->alignment != 0)
        return error_set(err, ERR_CORRUPT,
                         "tensor '%.*s': its offset %" PRIu64 " is not aligned to %" PRIu32,
                         GGUF_NAME_ARG(t->name), t->offset, p->alignment);
    return 0;
}

static int parse_tensors(struct gguf_part *p, struct cursor *c, uint64_t n, struct error *err)
{
    if (n > GGUF_MAX_TENSORS || n > c->left / MIN_TENSOR_BYTES)
        return error_set(err, ERR_CORRUPT, "the header promises %" PRIu64 " tensors, more than %s",
                         n, n > GGUF_MAX_TENSORS ? "any model has" : "the file can hold");
    p->tensors = alloc_array_zero((size_t)n, sizeof(*p->tensors));
    if (n > 0 && !p->tensors)
        return error_set(err, ERR_NOMEM, "out of memory for %" PRIu64 " tensors", n);
    for (uint64_t i = 0; i < n; i++) {
        int r = parse_tensor(p, c, i, n, &p->tensors[i], err);
        if (r < 0)
            return r;
        p->n_tensors++;
    }
    return 0;
}

static int cmp_offset(const void *a, const void *b)
{
    const struct gguf_tensor *x = *(const struct gguf_tensor *const *)a;
    const struct gguf_tensor *y = *(const struct gguf_tensor *const *)b;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

/* Each tensor lies inside the file and on bytes of its own: a file whose tensors share bytes could
 * ask for far more memory than it has size. */
static int place_tensors(struct gguf_part *p, struct error *err)
{
    uint64_t have = p->data_start < p->size ? p->size - p->data_start : 0;
    for (size_t i = 0; i < p->n_tensors; i++) {
        struct gguf_tensor *t = &p->tensors[i];
        uint64_t end;
        if (add_overflows(t->offset, t->bytes, &end) || end > have)
            return error_set(err, ERR_CORRUPT,
                             "tensor '%.*s': %" PRIu64 " bytes at offset %" PRIu64
                             " reach beyond the end of the file, which has %" PRIu64
                             " bytes of tensor data; it is damaged or was cut off",
                             GGUF_NAME_ARG(t->name), t->bytes, t->offset, have);
        t->data = p->data + p->data_start + t->offset;
    }
    CLEANUP_FREE const struct gguf_tensor **order = alloc_array(p->n_tensors, sizeof(*order));
    if (p->n_tensors > 0 && !order)
        return error_set(err, ERR_NOMEM, "out of memory for %zu tensors", p->n_tensors);
    for (size_t i = 0; i < p->n_tensors; i++)
        order[i] = &p->tensors[i];
    if (p->n_tensors > 0)
        qsort(order, p->n_tensors, sizeof(*order), cmp_offset);
    for (size_t i = 1; i < p->n_tensors; i++)
        if (order[i - 1]->offset + order[i - 1]->bytes > order[i]->offset)
            return error_set(err, ERR_CORRUPT, "tensors '%.*s' and '%.*s' overlap in the file",
                             GGUF_NAME_ARG(order[i - 1]->name), GGUF_NAME_ARG(order[i]->name));
    return 0;
}

/* ---- the file ---- */

static int parse_alignment(struct gguf_part *p, struct error *err)
{
    p->alignment = GGUF_DEFAULT_ALIGNMENT;
    const struct gguf_kv *kv = gguf__kv_find(p, STR("general.alignment"));
    if (!kv)
        return 0;
    int64_t v;
    int r = gguf__kv_i64(kv, 0, UINT32_MAX, &v, err);
    if (r < 0)
        return r;
    if (v < 8 || v > MAX_ALIGNMENT || (v & (v - 1)) != 0)
        return error_set(err, ERR_CORRUPT,
                         "general.alignment is %" PRId64 "; a power of two from 8 to %d is needed",
                         v, MAX_ALIGNMENT);
    p->alignment = (uint32_t)v;
    return 0;
}

static int check_version(uint32_t version, struct error *err)
{
    if (version == 2 || version == 3)
        return 0;
    uint32_t swapped = __builtin_bswap32(version);
    if (swapped >= 1 && swapped <= 3)
        return error_set(err, ERR_UNSUPPORTED,
                         "this is a big-endian GGUF file (version %" PRIu32
                         "); convert it to little-endian",
                         swapped);
    if (version == 1)
        return error_set(err, ERR_UNSUPPORTED,
                         "GGUF version 1 is not supported; convert the model again to version 3");
    return error_set(err, ERR_UNSUPPORTED,
                     "GGUF version %" PRIu32 " is not supported; this program reads 2 and 3",
                     version);
}

/* The bytes between the directory and the data are zero in every file a tool writes; anything else
 * means that the counts in the header are wrong. */
static int check_padding(const struct gguf_part *p, uint64_t header, struct error *err)
{
    for (uint64_t i = header; i < p->data_start && i < p->size; i++)
        if (p->data[i] != 0)
            return error_set(err, ERR_CORRUPT,
                             "the padding behind the list of %zu tensors is not zero; the tensor "
                             "count is wrong or the file is damaged",
                             p->n_tensors);
    return 0;
}

int gguf__part_parse(struct gguf_part *p, unsigned flags, struct error *err)
{
    struct cursor c = {p->data, p->size};
    char magic[4];
    if (!take(&c, magic, 4))
        return error_set(err, ERR_CORRUPT, "not a GGUF file: it has only %" PRIu64 " bytes",
                         p->size);
    if (memcmp(magic, "GGUF", 4) != 0)
        return error_set(err, ERR_CORRUPT, "not a GGUF file: it does not begin with \"GGUF\"");
    uint64_t n_tensors, n_kvs;
    if (!take(&c, &p->version, 4))
        return error_set(err, ERR_CORRUPT, "the file ends inside the GGUF header");
    int r = check_version(p->version, err);
    if (r < 0)
        return r;
    if (!take(&c, &n_tensors, 8) || !take(&c, &n_kvs, 8))
        return error_set(err, ERR_CORRUPT, "the file ends inside the GGUF header");
    r = parse_kvs(p, &c, n_kvs, err);
    if (r == 0)
        r = parse_alignment(p, err);
    if (r == 0)
        r = parse_tensors(p, &c, n_tensors, err);
    if (r < 0)
        return r;
    uint64_t header = p->size - c.left;
    p->data_start = (header + p->alignment - 1) / p->alignment * p->alignment;
    if (flags & GGUF_HEADER_ONLY)
        return 0;
    r = check_padding(p, header, err);
    return r < 0 ? r : place_tensors(p, err);
}

void gguf__part_release(struct gguf_part *p)
{
    free(p->kvs);
    free(p->kv_names);
    free(p->tensors);
    file_map_close(&p->map);
    *p = (struct gguf_part){0};
}
