/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening a directory: the index says which files there are; without one it is the single file of
 * the usual name. */
#include "engine/import/hf_dir.h"

#include <stdlib.h>

#include "base/alloc.h"

void hf_dir_release(struct hf_dir *d)
{
    for (size_t i = 0; i < d->n_files; i++)
        safetensors_free(d->files[i]);
    free(d->files);
    free(d->tensors);
    free(d->taken);
    free(d->path);
    *d = (struct hf_dir){0};
}

int hf_dir_text(const struct hf_dir *d, const char *name, struct buf *out, bool *ret_there,
                struct error *err)
{
    CLEANUP_FREE char *path = path_join(d->path, name);
    *ret_there = file_exists(path);
    return *ret_there ? file_read(path, out, err) : 0;
}

int hf_dir_json(const struct hf_dir *d, const char *name, struct json **ret, struct error *err)
{
    CLEANUP_BUF struct buf text = BUF_INIT(HF_MAX_JSON);
    bool there = false;
    *ret = NULL;
    int r = hf_dir_text(d, name, &text, &there, err);
    if (r < 0 || !there)
        return r;
    r = js_parse(buf_str(&text), name, ret, err);
    if (r == 0 && !js_is(*ret, JS_OBJECT)) {
        js_free(TAKE(*ret));
        r = error_set(err, ERR_CORRUPT, "%s is no JSON object", name);
    }
    return r < 0 ? error_wrap(err, "'%s'", d->path) : 0;
}

/* ---- the files ---- */

static int add_file(struct hf_dir *d, const char *name, struct error *err)
{
    CLEANUP_FREE char *path = path_join(d->path, name);
    if (d->n_files == HF_MAX_FILES)
        return error_set(err, ERR_TOO_LARGE, "'%s' has more than %d weight files", d->path,
                         HF_MAX_FILES);
    d->files = xrealloc(d->files, d->n_files + 1, sizeof(struct safetensors *));
    int r = safetensors_open(path, &d->files[d->n_files], err);
    if (r == 0)
        d->n_files++;
    return r;
}

/* A name that can be nothing but a file in the directory. */
static bool is_plain(struct str name)
{
    return name.len > 0 && name.len < 256 && name.ptr[0] != '.' &&
           !memchr(name.ptr, '/', name.len) && !memchr(name.ptr, 0, name.len) &&
           str_ends_with(name, STR(".safetensors"));
}

static int cmp_str(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static int open_indexed(struct hf_dir *d, const struct json *index, struct error *err)
{
    const struct json *map = js_get(index, "weight_map");
    size_t n = 0;
    CLEANUP_FREE struct str *names = alloc_array(js_len(map) + 1, sizeof(*names));
    if (!names)
        return error_set(err, ERR_NOMEM, "out of memory for the index of '%s'", d->path);
    struct json_iter it = {0};
    while (js_next(map, &it)) {
        struct str name = js_to_str(it.value);
        if (!is_plain(name))
            return error_set(
                err, ERR_CORRUPT,
                "the index of '%s' says that tensor '%.*s' lies in '%.*s', which is no "
                "name of a safetensors file there",
                d->path, STR_ARG(it.key), STR_ARG(name));
        names[n++] = name;
    }
    qsort(names, n, sizeof(*names), cmp_str);
    int r = 0;
    for (size_t i = 0; r == 0 && i < n; i++) {
        if (i > 0 && str_eq(names[i], names[i - 1]))
            continue;
        CLEANUP_FREE char *name = str_dup(names[i]);
        r = name ? add_file(d, name, err) : error_set(err, ERR_NOMEM, "out of memory");
    }
    return r;
}

/* ---- the tensors ---- */

static int cmp_tensor(const void *a, const void *b)
{
    const struct safetensors_tensor *const *x = a, *const *y = b;
    return str_cmp((*x)->name, (*y)->name);
}

static const struct safetensors_tensor **find(const struct hf_dir *d, struct str name)
{
    const struct safetensors_tensor key = {.name = name}, *p = &key;
    return bsearch(&p, d->tensors, d->n_tensors, sizeof(*d->tensors), cmp_tensor);
}

static int list_tensors(struct hf_dir *d, struct error *err)
{
    size_t n = 0;
    for (size_t i = 0; i < d->n_files; i++)
        n += safetensors_n(d->files[i]);
    d->tensors = alloc_array(n + 1, sizeof(*d->tensors));
    d->taken = alloc_array_zero(n + 1, sizeof(*d->taken));
    if (!d->tensors || !d->taken)
        return error_set(err, ERR_NOMEM, "out of memory for %zu tensors", n);
    for (size_t i = 0; i < d->n_files; i++)
        for (size_t k = 0; k < safetensors_n(d->files[i]); k++)
            d->tensors[d->n_tensors++] = safetensors_at(d->files[i], k);
    qsort(d->tensors, n, sizeof(*d->tensors), cmp_tensor);
    for (size_t i = 1; i < n; i++)
        if (cmp_tensor(&d->tensors[i - 1], &d->tensors[i]) == 0)
            return error_set(err, ERR_CORRUPT, "'%s': tensor '%.*s' is there twice", d->path,
                             STR_ARG(d->tensors[i]->name));
    return 0;
}

static int check_index(const struct hf_dir *d, const struct json *index, struct error *err)
{
    struct json_iter it = {0};
    while (js_next(js_get(index, "weight_map"), &it))
        if (!find(d, it.key))
            return error_set(err, ERR_CORRUPT,
                             "'%s': tensor '%.*s' is in the index, but in no file", d->path,
                             STR_ARG(it.key));
    return 0;
}

int hf_dir_open(const char *path, struct hf_dir *d, struct error *err)
{
    CLEANUP_JSON struct json *index = NULL;
    d->path = xstrdup(path);
    int r = hf_dir_json(d, "model.safetensors.index.json", &index, err);
    if (r == 0)
        r = index ? open_indexed(d, index, err) : add_file(d, "model.safetensors", err);
    if (r == 0)
        r = list_tensors(d, err);
    if (r == 0 && index)
        r = check_index(d, index, err);
    return r;
}

const struct safetensors_tensor *hf_dir_take(struct hf_dir *d, const char *name)
{
    const struct safetensors_tensor **at = find(d, str_from(name));
    if (!at)
        return NULL;
    d->taken[at - d->tensors] = true;
    return *at;
}
