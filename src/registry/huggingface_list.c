/* SPDX-License-Identifier: Apache-2.0
 *
 * Listings as Hugging Face's API gives them, one answer after the other:
 *
 *     [{"type": "file", "path": "a/m.gguf", "size": 7, "oid": "<sha1>",
 *       "lfs": {"oid": "<sha256>", "size": 7, …}}, {"type": "directory", "path": "a"}, …]
 *
 * Every path is checked here; an entry with one that could lead out of a folder ends the listing.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/json.h"
#include "base/utf8.h"
#include "registry/huggingface_internal.h"

void hf_listing_release(struct hf_listing *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->entries[i].path);
    free(l->entries);
    *l = (struct hf_listing){0};
}

/* Relative, of parts that are neither empty nor dots, and fit to be shown. */
static bool is_clean_path(struct str path)
{
    if (path.len == 0 || path.len > HF_MAX_PATH || !utf8_valid(path.ptr, path.len))
        return false;
    for (size_t i = 0; i < path.len; i++) {
        unsigned char c = (unsigned char)path.ptr[i];
        if (c < ' ' || c == 0x7f || c == '\\')
            return false;
    }
    struct str part;
    while (str_split_next(&path, '/', &part)) {
        if (part.len == 0 || str_eq_c(part, ".") || str_eq_c(part, ".."))
            return false;
    }
    return true;
}

static bool is_hex(struct str s, size_t n)
{
    if (s.len != n)
        return false;
    for (size_t i = 0; i < n; i++) {
        char c = s.ptr[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
    }
    return true;
}

static int add_file(struct hf_listing *l, struct str path, const struct json *v, struct error *err)
{
    const struct json *lfs = js_get(v, "lfs");
    struct hf_entry e = {0};
    int64_t size = js_get_int(js_is(lfs, JS_OBJECT) ? lfs : v, "size", -1);
    if (size < 0)
        return error_set(err, ERR_CORRUPT, "the listing gives no size for '%.*s'", STR_ARG(path));
    e.size = (uint64_t)size;
    if (js_is(lfs, JS_OBJECT)) {
        struct str oid = js_get_str(lfs, "oid");
        if (str_starts_with(oid, STR("sha256:")))
            oid = str_sub(oid, strlen("sha256:"), SIZE_MAX);
        if (!is_hex(oid, SHA256_HEX))
            return error_set(err, ERR_CORRUPT, "the listing gives no SHA-256 for '%.*s'",
                             STR_ARG(path));
        char hex[SHA256_HEX + 1] = "";
        memcpy(hex, oid.ptr, SHA256_HEX);
        e.sha256 = oci_digest_from_sha256_hex(hex);
        e.has_sha256 = true;
    } else if (is_hex(js_get_str(v, "oid"), GIT_OID_HEX)) {
        memcpy(e.git_oid, js_get_str(v, "oid").ptr, GIT_OID_HEX);
    }
    if (l->n == HF_MAX_FILES)
        return error_set(err, ERR_TOO_LARGE, "more than %d files", HF_MAX_FILES);
    if (l->n == l->cap) {
        l->cap = MAX(l->cap * 2, (size_t)64);
        l->entries = xrealloc(l->entries, l->cap, sizeof(*l->entries));
    }
    e.path = xasprintf("%.*s", STR_ARG(path));
    l->entries[l->n++] = e;
    return 0;
}

int hf_listing_add(struct hf_listing *l, struct str json, struct buf *dirs, struct error *err)
{
    CLEANUP_JSON struct json *v = NULL;
    if (js_parse(json, "the listing", &v, err) < 0 || !js_is(v, JS_ARRAY))
        return error_set(err, ERR_UNAVAILABLE, "the listing is not the JSON that was expected");
    for (size_t i = 0; i < js_len(v); i++) {
        const struct json *entry = js_at(v, i);
        struct str type = js_get_str(entry, "type"), path = js_get_str(entry, "path");
        bool file = str_eq_c(type, "file"), dir = str_eq_c(type, "directory");
        if (!file && !dir)
            continue; /* a submodule */
        if (!is_clean_path(path))
            return error_set(err, ERR_CORRUPT, "the listing has a bad path '%.*s'",
                             STR_ARG(str_sub(path, 0, 200)));
        int r = 0;
        if (file) {
            r = add_file(l, path, entry, err);
        } else {
            buf_append(dirs, path);
            buf_push(dirs, '\0');
            r = buf_check(dirs, "the list of folders", err);
        }
        if (r < 0)
            return r;
    }
    return 0;
}

static int by_path(const void *pa, const void *pb)
{
    const struct hf_entry *a = pa, *b = pb;
    return strcmp(a->path, b->path);
}

int hf_listing_sort(struct hf_listing *l, struct error *err)
{
    if (l->n > 1)
        qsort(l->entries, l->n, sizeof(*l->entries), by_path);
    for (size_t i = 1; i < l->n; i++) {
        if (strcmp(l->entries[i].path, l->entries[i - 1].path) == 0)
            return error_set(err, ERR_CORRUPT, "the listing has '%s' twice", l->entries[i].path);
    }
    return 0;
}

bool hf_listing_has_under(const struct hf_listing *l, const char *dir)
{
    CLEANUP_FREE char *prefix = xasprintf("%s/", dir);
    size_t from = 0, to = l->n; /* the first entry that is not before the prefix */
    while (from < to) {
        size_t mid = from + (to - from) / 2;
        if (strcmp(l->entries[mid].path, prefix) < 0)
            from = mid + 1;
        else
            to = mid;
    }
    return from < l->n && strncmp(l->entries[from].path, prefix, strlen(prefix)) == 0;
}
