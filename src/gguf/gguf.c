/* SPDX-License-Identifier: Apache-2.0
 *
 * Opens a GGUF file with all its parts and lists their tensors together. */
#include "gguf/gguf.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/compiler.h"
#include "gguf/gguf_internal.h"

/* ---- names ---- */

static int cmp_names(const void *a, const void *b)
{
    return str_cmp(((const struct gguf_name *)a)->name, ((const struct gguf_name *)b)->name);
}

const struct gguf_name *gguf__names_sort(struct gguf_name *names, size_t n)
{
    if (n > 0)
        qsort(names, n, sizeof(*names), cmp_names);
    for (size_t i = 1; i < n; i++)
        if (str_eq(names[i - 1].name, names[i].name))
            return &names[i];
    return NULL;
}

size_t gguf__names_find(const struct gguf_name *names, size_t n, struct str name)
{
    size_t lo = 0, hi = n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = str_cmp(names[mid].name, name);
        if (c == 0)
            return names[mid].at;
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return SIZE_MAX;
}

/* ---- parts ---- */

struct split {
    uint32_t no;       /* 0-based */
    uint32_t count;    /* 1 = a whole file */
    int64_t n_tensors; /* of all parts; -1 = not said */
};

static int split_key(const struct gguf_part *p, const char *key, int64_t *v, struct error *err)
{
    const struct gguf_kv *kv = gguf__kv_find(p, str_from(key));
    return kv ? gguf__kv_i64(kv, INT32_MIN, UINT32_MAX, v, err) : 0;
}

static int split_read(const struct gguf_part *p, struct split *ret, struct error *err)
{
    int64_t no = 0, count = 1, n_tensors = -1;
    int r = split_key(p, "split.no", &no, err);
    if (r == 0)
        r = split_key(p, "split.count", &count, err);
    if (r == 0)
        r = split_key(p, "split.tensors.count", &n_tensors, err);
    if (r < 0)
        return r;
    if (count == 0)
        count = 1;
    if (count < 0 || count > GGUF_MAX_PARTS)
        return error_set(err, ERR_CORRUPT,
                         "split.count is %" PRId64 "; at most %d parts are allowed", count,
                         GGUF_MAX_PARTS);
    if (no < 0 || no >= count)
        return error_set(err, ERR_CORRUPT, "split.no is %" PRId64 ", but split.count is %" PRId64,
                         no, count);
    *ret = (struct split){(uint32_t)no, (uint32_t)count, n_tensors};
    return 0;
}

/* The path of part k (1-based) of n, from the path of the first. */
static int part_path(const char *first, uint32_t k, uint32_t n, char **ret, struct error *err)
{
    char tail[40];
    snprintf(tail, sizeof(tail), "-00001-of-%05" PRIu32 ".gguf", n);
    struct str path = str_from(first);
    if (!str_ends_with(path, str_from(tail)))
        return error_set(err, ERR_INVALID,
                         "this is the first of %" PRIu32
                         " parts, so its name must end in '%s' for the others to be found",
                         n, tail);
    *ret = xasprintf("%.*s-%05" PRIu32 "-of-%05" PRIu32 ".gguf", (int)(path.len - strlen(tail)),
                     first, k, n);
    return 0;
}

static int part_open(struct gguf_part *p, const char *path, unsigned flags, struct error *err)
{
    int r = file_map_open(path, &p->map, err);
    if (r < 0)
        return r;
    p->data = p->map.data;
    p->size = p->map.size;
    r = gguf__part_parse(p, flags, err);
    return r < 0 ? error_wrap(err, "'%s'", path) : 0;
}

/* Opens parts 2..n beside the first. */
static int open_others(struct gguf *g, const char *path, struct error *err)
{
    for (uint32_t i = 1; i < g->split_count; i++) {
        CLEANUP_FREE char *part = NULL;
        int r = part_path(path, i + 1, g->split_count, &part, err);
        if (r < 0)
            return error_wrap(err, "'%s'", path);
        g->n_parts = i + 1; /* released with the rest when opening fails */
        r = part_open(&g->parts[i], part, 0, err);
        if (r < 0)
            return r;
        struct split s;
        r = split_read(&g->parts[i], &s, err);
        if (r < 0)
            return error_wrap(err, "'%s'", part);
        if (s.no != i || s.count != g->split_count)
            return error_set(err, ERR_CORRUPT,
                             "'%s' says it is part %" PRIu32 " of %" PRIu32 ", but part %" PRIu32
                             " of %" PRIu32 " is needed",
                             part, s.no + 1, s.count, i + 1, g->split_count);
    }
    return 0;
}

/* Puts the tensors of all parts into one list. */
static int join_tensors(struct gguf *g, struct error *err)
{
    size_t n = 0;
    for (uint32_t i = 0; i < g->n_parts; i++)
        n += g->parts[i].n_tensors;
    if (n > GGUF_MAX_TENSORS)
        return error_set(err, ERR_CORRUPT, "%zu tensors in all parts; at most %d are allowed", n,
                         GGUF_MAX_TENSORS);
    g->tensors = alloc_array(n, sizeof(*g->tensors));
    g->tensor_names = alloc_array(n, sizeof(*g->tensor_names));
    if (n > 0 && (!g->tensors || !g->tensor_names))
        return error_set(err, ERR_NOMEM, "out of memory for %zu tensors", n);
    for (uint32_t i = 0; i < g->n_parts; i++) {
        struct gguf_part *p = &g->parts[i];
        for (size_t k = 0; k < p->n_tensors; k++) {
            struct gguf_tensor *t = &g->tensors[g->n_tensors];
            *t = p->tensors[k];
            t->part = i;
            g->tensor_names[g->n_tensors] = (struct gguf_name){t->name, (uint32_t)g->n_tensors};
            g->n_tensors++;
        }
        free(TAKE(p->tensors));
    }
    const struct gguf_name *twice = gguf__names_sort(g->tensor_names, g->n_tensors);
    if (twice)
        return error_set(err, ERR_CORRUPT, "tensor '%.*s' is there twice",
                         GGUF_NAME_ARG(twice->name));
    return 0;
}

/* The first part is parsed: finds out about the others (path is NULL for bytes in memory) and makes
 * the list. */
static int finish(struct gguf *g, const char *path, unsigned flags, struct error *err)
{
    struct split s;
    int r = split_read(&g->parts[0], &s, err);
    if (r < 0)
        return path ? error_wrap(err, "'%s'", path) : r;
    g->split_count = s.count;
    if (!(flags & GGUF_HEADER_ONLY)) {
        if (s.no != 0)
            return error_set(err, ERR_INVALID,
                             "'%s' is part %" PRIu32 " of %" PRIu32
                             " of a model; open the first part",
                             path ? path : "this file", s.no + 1, s.count);
        if (s.count > 1) {
            if (!path)
                return error_set(err, ERR_INVALID, "this is one of %" PRIu32 " parts of a model",
                                 s.count);
            struct gguf_part *parts = alloc_array_zero(s.count, sizeof(*parts));
            if (!parts)
                return error_set(err, ERR_NOMEM, "out of memory for %" PRIu32 " parts", s.count);
            parts[0] = g->parts[0];
            free(g->parts);
            g->parts = parts;
            r = open_others(g, path, err);
            if (r < 0)
                return r;
        }
    }
    r = join_tensors(g, err);
    if (r == 0 && !(flags & GGUF_HEADER_ONLY) && s.n_tensors >= 0 &&
        (uint64_t)s.n_tensors != g->n_tensors)
        r = error_set(err, ERR_CORRUPT,
                      "split.tensors.count is %" PRId64 ", but there are %zu tensors", s.n_tensors,
                      g->n_tensors);
    return r < 0 && path ? error_wrap(err, "'%s'", path) : r;
}

static struct gguf *gguf_new(void)
{
    struct gguf *g = xcalloc(1, sizeof(*g));
    g->parts = xcalloc(1, sizeof(*g->parts));
    g->n_parts = 1;
    return g;
}

int gguf_open(const char *path, unsigned flags, struct gguf **ret, struct error *err)
{
    CLEANUP(cleanup_gguf) struct gguf *g = gguf_new();
    int r = part_open(&g->parts[0], path, flags, err);
    if (r == 0)
        r = finish(g, path, flags, err);
    if (r < 0)
        return r;
    *ret = TAKE(g);
    return 0;
}

int gguf_open_bytes(const void *data, size_t size, unsigned flags, struct gguf **ret,
                    struct error *err)
{
    CLEANUP(cleanup_gguf) struct gguf *g = gguf_new();
    g->parts[0].data = data;
    g->parts[0].size = size;
    int r = gguf__part_parse(&g->parts[0], flags, err);
    if (r == 0)
        r = finish(g, NULL, flags, err);
    if (r < 0)
        return r;
    *ret = TAKE(g);
    return 0;
}

void gguf_free(struct gguf *g)
{
    if (!g)
        return;
    for (uint32_t i = 0; i < g->n_parts; i++)
        gguf__part_release(&g->parts[i]);
    free(g->parts);
    free(g->tensors);
    free(g->tensor_names);
    free(g);
}

/* ---- facts ---- */

uint32_t gguf_version(const struct gguf *g)
{
    return g->parts[0].version;
}

uint32_t gguf_alignment(const struct gguf *g)
{
    return g->parts[0].alignment;
}

uint32_t gguf_n_parts(const struct gguf *g)
{
    return g->n_parts;
}

uint32_t gguf_split_count(const struct gguf *g)
{
    return g->split_count;
}

uint64_t gguf_file_bytes(const struct gguf *g)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < g->n_parts; i++)
        sum += g->parts[i].size;
    return sum;
}

size_t gguf_n_tensors(const struct gguf *g)
{
    return g->n_tensors;
}

const struct gguf_tensor *gguf_tensor_at(const struct gguf *g, size_t i)
{
    return i < g->n_tensors ? &g->tensors[i] : NULL;
}

const struct gguf_tensor *gguf_tensor_find(const struct gguf *g, struct str name)
{
    size_t i = gguf__names_find(g->tensor_names, g->n_tensors, name);
    return i == SIZE_MAX ? NULL : &g->tensors[i];
}

void gguf_tensor_unneeded(const struct gguf *g, const struct gguf_tensor *t)
{
    if (!t->data || !g->parts[t->part].map.data)
        return;
    /* Whole pages only: those at both ends may hold a neighbour's data too. */
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t from = ((uintptr_t)t->data + page - 1) / page * page;
    uintptr_t to = ((uintptr_t)t->data + t->bytes) / page * page;
    if (from < to)
        madvise((void *)from, to - from, MADV_DONTNEED);
}
