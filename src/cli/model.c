/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading the runner's model objects, see model.h. */
#include "cli/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"

struct str model_short_id(struct str id)
{
    if (id.len < 19)
        return id;
    return str_sub(id, 7, OCI_SHORT_ID);
}

int model_filter_parse(const char *text, struct model_filter *ret, struct error *err)
{
    struct model_filter f = {0};
    int r = oci_reference_parse(str_from(text), oci_default_registry(), &f.ref, err);
    if (r < 0)
        return r;
    const char *last = strrchr(text, '/');
    const char *name = last ? last + 1 : text;
    f.any_tag = !strpbrk(name, ":@");
    *ret = f;
    return 0;
}

bool model_filter_keeps(const struct model_filter *f, struct str id, struct str tag)
{
    if (f->ref.kind == OCI_REF_ID)
        return str_eq_c(id, f->ref.digest.text);
    if (f->ref.kind == OCI_REF_SHORT_ID && id.len > 7 &&
        str_starts_with(str_sub(id, 7, id.len - 7), str_from(f->ref.short_id)))
        return true;
    /* A name that ends in @sha256:… is the model with that id, whatever it is tagged. */
    if (f->ref.digest.text[0])
        return str_eq_c(id, f->ref.digest.text);
    struct oci_reference have;
    if (oci_reference_parse(tag, oci_default_registry(), &have, NULL) < 0)
        return false;
    if (!f->any_tag)
        return oci_reference_eq(&f->ref, &have);
    return strcmp(f->ref.domain, have.domain) == 0 &&
           strcmp(f->ref.repository, have.repository) == 0;
}

/* ---- rows ---- */

/* "gemma3:1B" → "gemma3" and "1B". A ':' in front of a '/' belongs to a port. */
static void split_name(const char *name, struct str *ret_base, struct str *ret_variant)
{
    struct str s = str_from(name);
    ptrdiff_t colon = str_rfind_char(s, ':'), slash = str_rfind_char(s, '/');
    size_t end = colon > slash ? (size_t)colon : s.len;
    *ret_base = str_sub(s, 0, end);
    *ret_variant = end < s.len ? str_sub(s, end + 1, s.len) : (struct str){"", 0};
}

static int compare_nocase(struct str a, struct str b)
{
    int c = strncasecmp(a.ptr, b.ptr, MIN(a.len, b.len));
    return c != 0 ? c : (a.len > b.len) - (a.len < b.len);
}

static int compare_rows(const void *pa, const void *pb)
{
    const struct model_row *a = pa, *b = pb;
    struct str base_a, base_b, variant_a, variant_b;
    split_name(a->name, &base_a, &variant_a);
    split_name(b->name, &base_b, &variant_b);
    int c = compare_nocase(base_a, base_b);
    /* An empty variant sorts first, being shorter. */
    if (c == 0)
        c = compare_nocase(variant_a, variant_b);
    if (c == 0)
        c = strcmp(a->name, b->name);
    return c;
}

static void add_row(struct model_rows *r, size_t *cap, char *name, const struct json *model)
{
    if (r->n == *cap) {
        *cap = 2 * *cap + 16;
        r->rows = xrealloc(r->rows, *cap, sizeof(*r->rows));
    }
    r->rows[r->n++] = (struct model_row){.name = name, .model = model};
}

void model_rows_make(const struct json *models, const struct model_filter *filter,
                     struct model_rows *ret)
{
    struct model_rows r = {0};
    size_t cap = 0;
    for (size_t i = 0; i < js_len(models); i++) {
        const struct json *model = js_at(models, i);
        const struct json *tags = js_get(model, "tags");
        struct str id = js_get_str(model, "id");
        size_t n_tags = js_is(tags, JS_ARRAY) ? js_len(tags) : 0;
        if (n_tags == 0 && (!filter || model_filter_keeps(filter, id, STR(""))))
            add_row(&r, &cap, xstrdup("<none>"), model);
        for (size_t k = 0; k < n_tags; k++) {
            struct str tag = js_to_str(js_at(tags, k));
            if (!tag.ptr || (filter && !model_filter_keeps(filter, id, tag)))
                continue;
            char shown[OCI_REFERENCE_TEXT_MAX];
            oci_display_name(tag, oci_default_registry(), shown);
            add_row(&r, &cap, xstrdup(shown), model);
        }
    }
    if (r.n > 1)
        qsort(r.rows, r.n, sizeof(*r.rows), compare_rows);
    *ret = r;
}

void model_rows_release(struct model_rows *r)
{
    for (size_t i = 0; i < r->n; i++)
        free(r->rows[i].name);
    free(r->rows);
    *r = (struct model_rows){0};
}

const char *model_context(const struct json *model, char space[32])
{
    const struct json *config = js_get(model, "config");
    int64_t size = js_get_int(config, "context_size", 0);
    if (size > 0) {
        snprintf(space, 32, "%lld", (long long)size);
        return space;
    }
    const struct json *gguf = js_get(config, "gguf");
    char key[160];
    snprintf(
        key, sizeof(key), "%s.context_length",
        js_get_cstr(gguf, "general.architecture", js_get_cstr(config, "architecture", "llama")));
    return js_get_cstr(gguf, key, "");
}
