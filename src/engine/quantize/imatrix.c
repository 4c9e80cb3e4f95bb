/* SPDX-License-Identifier: Apache-2.0
 *
 * Readers of the two formats. Every count is checked against the bytes that are there before
 * memory is taken for it, so the whole takes no more than the file. */
#include "engine/quantize/imatrix.h"

#include <inttypes.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "engine/kernels/types.h"
#include "gguf/gguf.h"

struct entry {
    char *name;
    float *values;
    size_t n;
};

struct imatrix {
    struct entry *entries; /* by name */
    size_t n;
};

void imatrix_free(struct imatrix *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->n; i++) {
        free(m->entries[i].name);
        free(m->entries[i].values);
    }
    free(m->entries);
    free(m);
}

/* Appends an entry with room for n values, which the caller fills. */
static int add_entry(struct imatrix *m, struct str name, size_t n, float **ret, struct error *err)
{
    if (m->n == IMATRIX_MAX_ENTRIES)
        return error_set(err, ERR_TOO_LARGE, "more than %d matrices", IMATRIX_MAX_ENTRIES);
    if (name.len == 0 || name.len > IMATRIX_MAX_NAME || memchr(name.ptr, 0, name.len))
        return error_set(err, ERR_CORRUPT, "matrix %zu has no usable name", m->n + 1);
    float *values = alloc_array(n, sizeof(*values));
    if (!values)
        return error_set(err, ERR_NOMEM, "out of memory for %zu numbers", n);
    m->entries = xrealloc(m->entries, m->n + 1, sizeof(*m->entries));
    m->entries[m->n++] = (struct entry){xasprintf("%.*s", (int)name.len, name.ptr), values, n};
    *ret = values;
    return 0;
}

static int check_values(const struct entry *e, struct error *err)
{
    for (size_t i = 0; i < e->n; i++)
        if (!(e->values[i] >= 0) || !isfinite(e->values[i]))
            return error_set(err, ERR_CORRUPT, "the importance of column %zu of '%s' is %g", i,
                             e->name, (double)e->values[i]);
    return 0;
}

/* ---- .dat ---- */

struct cursor {
    const unsigned char *p;
    size_t left;
};

static int take(struct cursor *c, void *out, size_t n, struct error *err)
{
    if (n > c->left)
        return error_set(err, ERR_CORRUPT, "it ends in the middle; was it copied whole?");
    memcpy(out, c->p, n);
    c->p += n;
    c->left -= n;
    return 0;
}

/* A count that at least `item` bytes each must follow for. */
static int take_count(struct cursor *c, size_t item, const char *what, size_t *ret,
                      struct error *err)
{
    int32_t v = 0;
    int r = take(c, &v, sizeof(v), err);
    if (r < 0)
        return r;
    if (v < 1 || (size_t)v > c->left / item)
        return error_set(err, ERR_CORRUPT, "%s is %" PRId32 ", which the file cannot hold", what,
                         v);
    *ret = (size_t)v;
    return 0;
}

static int parse_dat_entry(struct cursor *c, struct imatrix *m, struct error *err)
{
    char name[IMATRIX_MAX_NAME];
    size_t name_len = 0, n = 0;
    int32_t calls = 0;
    float *values = NULL;
    int r = take_count(c, 1, "the length of a name", &name_len, err);
    if (r == 0 && name_len > sizeof(name))
        r = error_set(err, ERR_CORRUPT, "a name has %zu bytes; at most %zu are allowed", name_len,
                      sizeof(name));
    if (r == 0)
        r = take(c, name, name_len, err);
    if (r == 0)
        r = take(c, &calls, sizeof(calls), err);
    if (r == 0)
        r = take_count(c, sizeof(*values), "the number of columns", &n, err);
    if (r == 0)
        r = add_entry(m, str_make(name, name_len), n, &values, err);
    if (r == 0)
        r = take(c, values, n * sizeof(*values), err);
    for (size_t i = 0; r == 0 && calls > 0 && i < n; i++)
        values[i] /= (float)calls;
    return r;
}

static int parse_dat(const void *data, size_t size, struct imatrix *m, struct error *err)
{
    enum { MIN_ENTRY = 4 + 1 + 4 + 4 + 4 };
    struct cursor c = {data, size};
    size_t n = 0;
    int r = take_count(&c, MIN_ENTRY, "the number of matrices", &n, err);
    for (size_t i = 0; r == 0 && i < n; i++)
        r = parse_dat_entry(&c, m, err);
    return r;
}

/* ---- GGUF ---- */

static int parse_gguf_entry(const struct gguf *g, const struct gguf_tensor *sums, struct str name,
                            struct imatrix *m, struct error *err)
{
    CLEANUP_FREE char *counts_name = xasprintf("%.*s.counts", (int)name.len, name.ptr);
    const struct gguf_tensor *counts = gguf_tensor_find(g, str_from(counts_name));
    if (!counts)
        return error_set(err, ERR_CORRUPT, "tensor '%s' is missing", counts_name);
    size_t cols = (size_t)sums->dims[0], n = (size_t)sums->n_items / cols;
    if (sums->type != WT_F32 || counts->type != WT_F32 || counts->n_items != n)
        return error_set(err, ERR_CORRUPT, "the tensors of '%.*s' do not fit together",
                         STR_ARG(name));
    float *values;
    int r = add_entry(m, name, cols * n, &values, err);
    if (r < 0)
        return r;
    const unsigned char *sum = sums->data, *count = counts->data;
    for (size_t i = 0; i < cols * n; i++) {
        float s, c;
        memcpy(&s, sum + i * sizeof(s), sizeof(s));
        memcpy(&c, count + i / cols * sizeof(c), sizeof(c));
        values[i] = c > 0 ? s / c : 1; /* an expert that was never asked: all columns alike */
    }
    return 0;
}

static int parse_gguf(const void *data, size_t size, struct imatrix *m, struct error *err)
{
    CLEANUP(cleanup_gguf) struct gguf *g = NULL;
    struct str type = {0};
    int r = gguf_open_bytes(data, size, 0, &g, err);
    if (r == 0)
        r = gguf_want_str(g, "general.type", &type, err);
    if (r == 0 && !str_eq_c(type, "imatrix"))
        r = error_set(err, ERR_INVALID, "it is a GGUF file, but no importance matrix");
    for (size_t i = 0; r == 0 && i < gguf_n_tensors(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        struct str suffix = STR(".in_sum2");
        if (str_ends_with(t->name, suffix))
            r = parse_gguf_entry(g, t, str_sub(t->name, 0, t->name.len - suffix.len), m, err);
    }
    return r;
}

/* ---- both ---- */

static int cmp_entry(const void *a, const void *b)
{
    return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

static int finish(struct imatrix *m, struct error *err)
{
    int r = m->n > 0 ? 0 : error_set(err, ERR_CORRUPT, "it holds no matrices");
    for (size_t i = 0; r == 0 && i < m->n; i++)
        r = check_values(&m->entries[i], err);
    if (r < 0)
        return r;
    qsort(m->entries, m->n, sizeof(*m->entries), cmp_entry);
    for (size_t i = 1; i < m->n; i++)
        if (cmp_entry(&m->entries[i - 1], &m->entries[i]) == 0)
            return error_set(err, ERR_CORRUPT, "matrix '%s' is there twice", m->entries[i].name);
    return 0;
}

int imatrix_parse(const void *data, size_t size, struct imatrix **ret, struct error *err)
{
    CLEANUP(cleanup_imatrix) struct imatrix *m = xcalloc(1, sizeof(*m));
    bool is_gguf = size >= 4 && memcmp(data, "GGUF", 4) == 0;
    int r = is_gguf ? parse_gguf(data, size, m, err) : parse_dat(data, size, m, err);
    if (r == 0)
        r = finish(m, err);
    if (r == 0)
        *ret = TAKE(m);
    return r;
}

int imatrix_open(const char *path, struct imatrix **ret, struct error *err)
{
    struct file_map map = {0};
    int r = file_map_open(path, &map, err);
    if (r < 0)
        return r;
    r = imatrix_parse(map.data, map.size, ret, err);
    file_map_close(&map);
    return r < 0 ? error_wrap(err, "importance matrix '%s'", path) : 0;
}

size_t imatrix_n(const struct imatrix *m)
{
    return m->n;
}

const float *imatrix_find(const struct imatrix *m, struct str tensor, size_t *ret_n)
{
    if (tensor.len > IMATRIX_MAX_NAME)
        return NULL;
    char name[IMATRIX_MAX_NAME + 1];
    memcpy(name, tensor.ptr, tensor.len);
    name[tensor.len] = '\0';
    struct entry key = {.name = name};
    const struct entry *e = bsearch(&key, m->entries, m->n, sizeof(*m->entries), cmp_entry);
    if (!e)
        return NULL;
    *ret_n = e->n;
    return e->values;
}
