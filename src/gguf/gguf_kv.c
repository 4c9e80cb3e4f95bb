/* SPDX-License-Identifier: Apache-2.0
 *
 * Typed access to the metadata. The walk in gguf_part.c has checked that every value lies inside
 * the file; here its type and range meet what the caller wants. Values are not aligned. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/compiler.h"
#include "gguf/gguf_internal.h"

static const struct {
    const char *name;
    uint8_t bytes;
} value_types[] = {
    [GGUF_U8] = {"u8", 1},       [GGUF_I8] = {"i8", 1},     [GGUF_U16] = {"u16", 2},
    [GGUF_I16] = {"i16", 2},     [GGUF_U32] = {"u32", 4},   [GGUF_I32] = {"i32", 4},
    [GGUF_F32] = {"f32", 4},     [GGUF_BOOL] = {"bool", 1}, [GGUF_STRING] = {"string", 0},
    [GGUF_ARRAY] = {"array", 0}, [GGUF_U64] = {"u64", 8},   [GGUF_I64] = {"i64", 8},
    [GGUF_F64] = {"f64", 8},
};

size_t gguf__scalar_bytes(enum gguf_type type)
{
    return (size_t)type < ARRAY_LEN(value_types) ? value_types[type].bytes : 0;
}

const char *gguf__type_name(enum gguf_type type)
{
    return (size_t)type < ARRAY_LEN(value_types) ? value_types[type].name : "unknown";
}

const struct gguf_kv *gguf__kv_find(const struct gguf_part *p, struct str key)
{
    size_t i = gguf__names_find(p->kv_names, p->n_kvs, key);
    return i == SIZE_MAX ? NULL : &p->kvs[i];
}

static const struct gguf_kv *find(const struct gguf *g, const char *key)
{
    return gguf__kv_find(&g->parts[0], str_from(key));
}

static int absent(const char *key, struct error *err)
{
    return error_set(err, ERR_NOT_FOUND, "the file has no key '%s'", key);
}

static int wrong_type(const struct gguf_kv *kv, const char *wanted, struct error *err)
{
    if (kv->type == GGUF_ARRAY)
        return error_set(err, ERR_CORRUPT, "key '%.*s' is an array of %s, but %s is needed",
                         GGUF_NAME_ARG(kv->key), gguf__type_name(kv->item_type), wanted);
    return error_set(err, ERR_CORRUPT, "key '%.*s' is of type %s, but %s is needed",
                     GGUF_NAME_ARG(kv->key), gguf__type_name(kv->type), wanted);
}

/* ---- single values ---- */

/* A whole number as sign and magnitude, so that u64 and i64 both fit. */
struct whole {
    bool negative;
    uint64_t magnitude;
};

static struct whole whole_of(int64_t v)
{
    return (struct whole){v < 0, v < 0 ? 0 - (uint64_t)v : (uint64_t)v};
}

static bool load_whole(enum gguf_type type, const unsigned char *p, struct whole *ret)
{
    union {
        uint8_t u8;
        int8_t i8;
        uint16_t u16;
        int16_t i16;
        uint32_t u32;
        int32_t i32;
        uint64_t u64;
        int64_t i64;
    } v;
    size_t n = gguf__scalar_bytes(type);
    if (n == 0)
        return false;
    memcpy(&v, p, n);
    switch (type) {
    case GGUF_U8:
        *ret = (struct whole){false, v.u8};
        return true;
    case GGUF_I8:
        *ret = whole_of(v.i8);
        return true;
    case GGUF_U16:
        *ret = (struct whole){false, v.u16};
        return true;
    case GGUF_I16:
        *ret = whole_of(v.i16);
        return true;
    case GGUF_U32:
        *ret = (struct whole){false, v.u32};
        return true;
    case GGUF_I32:
        *ret = whole_of(v.i32);
        return true;
    case GGUF_U64:
        *ret = (struct whole){false, v.u64};
        return true;
    case GGUF_I64:
        *ret = whole_of(v.i64);
        return true;
    default:
        return false;
    }
}

static bool load_real(enum gguf_type type, const unsigned char *p, double *ret)
{
    struct whole w = {0};
    if (type == GGUF_F32) {
        float f;
        memcpy(&f, p, sizeof(f));
        *ret = (double)f;
    } else if (type == GGUF_F64) {
        memcpy(ret, p, sizeof(*ret));
    } else if (load_whole(type, p, &w)) {
        *ret = w.negative ? -(double)w.magnitude : (double)w.magnitude;
    } else {
        return false;
    }
    return true;
}

static bool whole_fits(struct whole w, int64_t min, uint64_t max)
{
    if (w.negative)
        return min < 0 && w.magnitude <= 0 - (uint64_t)min;
    return w.magnitude <= max;
}

static int out_of_range(const struct gguf_kv *kv, struct whole w, int64_t min, uint64_t max,
                        struct error *err)
{
    return error_set(err, ERR_CORRUPT,
                     "key '%.*s' is %s%" PRIu64 ", but a number from %" PRId64 " to %" PRIu64
                     " is needed",
                     GGUF_NAME_ARG(kv->key), w.negative ? "-" : "", w.magnitude, min, max);
}

static int kv_whole(const struct gguf_kv *kv, int64_t min, uint64_t max, struct whole *ret,
                    struct error *err)
{
    struct whole w = {0};
    if (!load_whole(kv->type, kv->value, &w))
        return wrong_type(kv, "a whole number", err);
    if (!whole_fits(w, min, max))
        return out_of_range(kv, w, min, max, err);
    *ret = w;
    return 0;
}

static int64_t whole_to_i64(struct whole w)
{
    return (int64_t)(w.negative ? 0 - w.magnitude : w.magnitude);
}

int gguf__kv_i64(const struct gguf_kv *kv, int64_t min, int64_t max, int64_t *ret,
                 struct error *err)
{
    struct whole w = {0};
    int r = kv_whole(kv, min, (uint64_t)max, &w, err);
    if (r == 0)
        *ret = whole_to_i64(w);
    return r;
}

bool gguf_has(const struct gguf *g, const char *key)
{
    return find(g, key) != NULL;
}

int gguf_want_u32(const struct gguf *g, const char *key, uint32_t *ret, struct error *err)
{
    const struct gguf_kv *kv = find(g, key);
    struct whole w = {0};
    if (!kv)
        return 0;
    int r = kv_whole(kv, 0, UINT32_MAX, &w, err);
    if (r == 0)
        *ret = (uint32_t)w.magnitude;
    return r;
}

int gguf_want_u64(const struct gguf *g, const char *key, uint64_t *ret, struct error *err)
{
    const struct gguf_kv *kv = find(g, key);
    struct whole w = {0};
    if (!kv)
        return 0;
    int r = kv_whole(kv, 0, UINT64_MAX, &w, err);
    if (r == 0)
        *ret = w.magnitude;
    return r;
}

int gguf_want_i64(const struct gguf *g, const char *key, int64_t *ret, struct error *err)
{
    const struct gguf_kv *kv = find(g, key);
    return kv ? gguf__kv_i64(kv, INT64_MIN, INT64_MAX, ret, err) : 0;
}

int gguf_want_f64(const struct gguf *g, const char *key, double *ret, struct error *err)
{
    const struct gguf_kv *kv = find(g, key);
    if (kv && !load_real(kv->type, kv->value, ret))
        return wrong_type(kv, "a number", err);
    return 0;
}

int gguf_want_bool(const struct gguf *g, const char *key, bool *ret, struct error *err)
{
    const struct gguf_kv *kv = find(g, key);
    if (!kv)
        return 0;
    if (kv->type != GGUF_BOOL)
        return wrong_type(kv, "a bool", err);
    *ret = *kv->value != 0;
    return 0;
}

int gguf_want_str(const struct gguf *g, const char *key, struct str *ret, struct error *err)
{
    const struct gguf_kv *kv = find(g, key);
    if (!kv)
        return 0;
    if (kv->type != GGUF_STRING)
        return wrong_type(kv, "a string", err);
    *ret = str_make((const char *)kv->value, (size_t)kv->n);
    return 0;
}

int gguf_get_u32(const struct gguf *g, const char *key, uint32_t *ret, struct error *err)
{
    return gguf_has(g, key) ? gguf_want_u32(g, key, ret, err) : absent(key, err);
}

int gguf_get_u64(const struct gguf *g, const char *key, uint64_t *ret, struct error *err)
{
    return gguf_has(g, key) ? gguf_want_u64(g, key, ret, err) : absent(key, err);
}

int gguf_get_i64(const struct gguf *g, const char *key, int64_t *ret, struct error *err)
{
    return gguf_has(g, key) ? gguf_want_i64(g, key, ret, err) : absent(key, err);
}

int gguf_get_f64(const struct gguf *g, const char *key, double *ret, struct error *err)
{
    return gguf_has(g, key) ? gguf_want_f64(g, key, ret, err) : absent(key, err);
}

int gguf_get_bool(const struct gguf *g, const char *key, bool *ret, struct error *err)
{
    return gguf_has(g, key) ? gguf_want_bool(g, key, ret, err) : absent(key, err);
}

int gguf_get_str(const struct gguf *g, const char *key, struct str *ret, struct error *err)
{
    return gguf_has(g, key) ? gguf_want_str(g, key, ret, err) : absent(key, err);
}

/* ---- arrays ---- */

/* Finds the array `key` and makes room for its items. */
static int array_begin(const struct gguf *g, const char *key, const char *wanted, size_t item_size,
                       struct gguf_kv *ret_kv, void **ret_items, struct error *err)
{
    const struct gguf_kv *kv = find(g, key);
    if (!kv)
        return absent(key, err);
    if (kv->type != GGUF_ARRAY)
        return wrong_type(kv, wanted, err);
    void *items = NULL;
    if (kv->n > 0) {
        items = alloc_array((size_t)kv->n, item_size);
        if (!items)
            return error_set(err, ERR_NOMEM, "out of memory for the %" PRIu64 " items of '%s'",
                             kv->n, key);
    }
    *ret_kv = *kv;
    *ret_items = items;
    return 0;
}

/* The next string at *p, inside an array that was walked before. */
static struct str next_string(const unsigned char **p)
{
    uint64_t len;
    memcpy(&len, *p, sizeof(len));
    struct str s = str_make((const char *)*p + sizeof(len), (size_t)len);
    *p += sizeof(len) + len;
    return s;
}

int gguf_get_str_array(const struct gguf *g, const char *key, struct str **ret, size_t *ret_n,
                       struct error *err)
{
    static const char wanted[] = "an array of strings";
    struct gguf_kv kv = {0};
    void *mem = NULL;
    int r = array_begin(g, key, wanted, sizeof(struct str), &kv, &mem, err);
    if (r < 0)
        return r;
    CLEANUP_FREE struct str *items = mem;
    if (kv.item_type != GGUF_STRING)
        return wrong_type(&kv, wanted, err);
    const unsigned char *p = kv.value;
    for (uint64_t i = 0; i < kv.n; i++)
        items[i] = next_string(&p);
    *ret = TAKE(items);
    *ret_n = (size_t)kv.n;
    return 0;
}

/* Item i of an array of whole numbers. */
static int item_whole(const struct gguf_kv *kv, uint64_t i, int64_t min, uint64_t max,
                      const char *wanted, struct whole *ret, struct error *err)
{
    struct whole w = {0};
    if (!load_whole(kv->item_type, kv->value + i * gguf__scalar_bytes(kv->item_type), &w))
        return wrong_type(kv, wanted, err);
    if (!whole_fits(w, min, max))
        return out_of_range(kv, w, min, max, err);
    *ret = w;
    return 0;
}

int gguf_get_i32_array(const struct gguf *g, const char *key, int32_t **ret, size_t *ret_n,
                       struct error *err)
{
    static const char wanted[] = "an array of whole numbers";
    struct gguf_kv kv = {0};
    void *mem = NULL;
    int r = array_begin(g, key, wanted, sizeof(int32_t), &kv, &mem, err);
    if (r < 0)
        return r;
    CLEANUP_FREE int32_t *items = mem;
    for (uint64_t i = 0; i < kv.n; i++) {
        struct whole w = {0};
        r = item_whole(&kv, i, INT32_MIN, INT32_MAX, wanted, &w, err);
        if (r < 0)
            return r;
        items[i] = (int32_t)whole_to_i64(w);
    }
    *ret = TAKE(items);
    *ret_n = (size_t)kv.n;
    return 0;
}

int gguf_get_u32_array(const struct gguf *g, const char *key, uint32_t **ret, size_t *ret_n,
                       struct error *err)
{
    static const char wanted[] = "an array of whole numbers";
    struct gguf_kv kv = {0};
    void *mem = NULL;
    int r = array_begin(g, key, wanted, sizeof(uint32_t), &kv, &mem, err);
    if (r < 0)
        return r;
    CLEANUP_FREE uint32_t *items = mem;
    for (uint64_t i = 0; i < kv.n; i++) {
        struct whole w = {0};
        r = item_whole(&kv, i, 0, UINT32_MAX, wanted, &w, err);
        if (r < 0)
            return r;
        items[i] = (uint32_t)w.magnitude;
    }
    *ret = TAKE(items);
    *ret_n = (size_t)kv.n;
    return 0;
}

int gguf_get_f32_array(const struct gguf *g, const char *key, float **ret, size_t *ret_n,
                       struct error *err)
{
    static const char wanted[] = "an array of numbers";
    struct gguf_kv kv = {0};
    void *mem = NULL;
    int r = array_begin(g, key, wanted, sizeof(float), &kv, &mem, err);
    if (r < 0)
        return r;
    CLEANUP_FREE float *items = mem;
    size_t size = gguf__scalar_bytes(kv.item_type);
    for (uint64_t i = 0; i < kv.n; i++) {
        double v;
        if (!load_real(kv.item_type, kv.value + i * size, &v))
            return wrong_type(&kv, wanted, err);
        items[i] = (float)v;
    }
    *ret = TAKE(items);
    *ret_n = (size_t)kv.n;
    return 0;
}

int gguf_get_bool_array(const struct gguf *g, const char *key, bool **ret, size_t *ret_n,
                        struct error *err)
{
    static const char wanted[] = "an array of bools";
    struct gguf_kv kv = {0};
    void *mem = NULL;
    int r = array_begin(g, key, wanted, sizeof(bool), &kv, &mem, err);
    if (r < 0)
        return r;
    CLEANUP_FREE bool *items = mem;
    if (kv.item_type != GGUF_BOOL)
        return wrong_type(&kv, wanted, err);
    for (uint64_t i = 0; i < kv.n; i++)
        items[i] = kv.value[i] != 0;
    *ret = TAKE(items);
    *ret_n = (size_t)kv.n;
    return 0;
}

bool gguf_array_info(const struct gguf *g, const char *key, enum gguf_type *ret_type,
                     uint64_t *ret_n)
{
    const struct gguf_kv *kv = find(g, key);
    if (!kv || kv->type != GGUF_ARRAY)
        return false;
    *ret_type = kv->item_type;
    *ret_n = kv->n;
    return true;
}

int gguf_get_u32_per_layer(const struct gguf *g, const char *key, uint32_t n, uint32_t *out,
                           struct error *err)
{
    const struct gguf_kv *kv = find(g, key);
    if (!kv)
        return absent(key, err);
    if (kv->type == GGUF_ARRAY && kv->n != n)
        return error_set(err, ERR_CORRUPT,
                         "key '%s' has %" PRIu64 " values, but the model has %" PRIu32 " layers",
                         key, kv->n, n);
    for (uint32_t i = 0; i < n; i++) {
        struct whole w = {0};
        int r = kv->type == GGUF_ARRAY
                    ? item_whole(kv, i, 0, UINT32_MAX, "a whole number per layer", &w, err)
                    : kv_whole(kv, 0, UINT32_MAX, &w, err);
        if (r < 0)
            return r;
        out[i] = (uint32_t)w.magnitude;
    }
    return 0;
}

/* ---- all keys ---- */

size_t gguf_n_kv(const struct gguf *g)
{
    return g->parts[0].n_kvs;
}

struct str gguf_kv_key(const struct gguf *g, size_t i)
{
    return g->parts[0].kvs[i].key;
}

enum gguf_type gguf_kv_type(const struct gguf *g, size_t i)
{
    return g->parts[0].kvs[i].type;
}

static void scalar_text(enum gguf_type type, const unsigned char *p, struct buf *out)
{
    struct whole w = {0};
    double v;
    if (type == GGUF_BOOL)
        buf_append_c(out, *p ? "true" : "false");
    else if (load_whole(type, p, &w))
        buf_printf(out, "%s%" PRIu64, w.negative ? "-" : "", w.magnitude);
    else if (load_real(type, p, &v))
        buf_printf(out, "%f", v);
}

bool gguf_kv_text(const struct gguf *g, size_t i, struct buf *out)
{
    const struct gguf_kv *kv = &g->parts[0].kvs[i];
    if (kv->type == GGUF_STRING) {
        buf_append(out, str_make((const char *)kv->value, (size_t)kv->n));
        return true;
    }
    if (kv->type != GGUF_ARRAY) {
        scalar_text(kv->type, kv->value, out);
        return true;
    }
    if (kv->n > GGUF_TEXT_ARRAY_MAX || kv->item_type == GGUF_ARRAY)
        return false;
    const unsigned char *p = kv->value;
    for (uint64_t k = 0; k < kv->n; k++) {
        if (k > 0)
            buf_append(out, STR(", "));
        if (kv->item_type == GGUF_STRING) {
            buf_append(out, next_string(&p));
        } else {
            scalar_text(kv->item_type, p, out);
            p += gguf__scalar_bytes(kv->item_type);
        }
    }
    return true;
}
