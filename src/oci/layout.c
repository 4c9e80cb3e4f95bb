/* SPDX-License-Identifier: Apache-2.0
 *
 * index.json of an OCI image layout: a list of descriptors, named by annotations. */
#include "oci/layout.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/json.h"
#include "oci/map.h"
#include "oci/media_types.h"
#include "oci/reference.h"

/* Which of the two is read depends on the tool, so both are written. */
#define ANNOTATION_REF_NAME "org.opencontainers.image.ref.name"
#define ANNOTATION_IMAGE_NAME "io.containerd.image.name"

void oci_layout_release(struct oci_layout *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->items[i].name);
    free(l->items);
    *l = (struct oci_layout){0};
}

void oci_layout_add(struct oci_layout *l, const struct oci_digest *digest, uint64_t size,
                    const char *name)
{
    l->items = xrealloc(l->items, l->n + 1, sizeof(*l->items));
    l->items[l->n++] = (struct oci_layout_entry){
        .digest = *digest, .size = size, .name = name ? xstrdup(name) : NULL};
}

/* The name, NULL if there is none. Many tools put a mere tag ("latest") where the name should be,
 * which says nothing about the repository. */
static const char *entry_name(const struct json *annotations)
{
    static const char *const keys[] = {ANNOTATION_IMAGE_NAME, ANNOTATION_REF_NAME};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        struct str name = js_get_str(annotations, keys[i]);
        bool whole = name.len && memchr(name.ptr, '\0', name.len) == NULL;
        if (whole && name.len < OCI_REFERENCE_TEXT_MAX &&
            (str_find_char(name, '/') >= 0 || str_find_char(name, ':') >= 0))
            return name.ptr;
    }
    return NULL;
}

static int parse_entry(const struct json *v, struct oci_layout *l, struct error *err)
{
    struct str type = js_get_str(v, "mediaType");
    if (str_eq_c(type, OCI_TYPE_INDEX) || str_eq_c(type, OCI_TYPE_DOCKER_LIST))
        return error_set(err, ERR_UNSUPPORTED,
                         OCI_LAYOUT_INDEX " names a list of platforms; a model has none");
    struct oci_digest digest;
    int64_t size = js_get_int(v, "size", -1);
    int r = oci_digest_parse(js_get_str(v, "digest"), &digest, err);
    if (r < 0) {
        error_wrap(err, OCI_LAYOUT_INDEX);
        return r;
    }
    if (size < 0)
        return error_set(err, ERR_CORRUPT, OCI_LAYOUT_INDEX ": %s has no valid size", digest.text);
    oci_layout_add(l, &digest, (uint64_t)size, entry_name(js_get(v, "annotations")));
    return 0;
}

int oci_layout_parse(struct str text, struct oci_layout *ret, struct error *err)
{
    CLEANUP_JSON struct json *v = NULL;
    struct error why = ERROR_INIT;
    if (js_parse(text, OCI_LAYOUT_INDEX, &v, &why) < 0)
        return error_set(err, ERR_CORRUPT, "%s", why.msg);
    const struct json *manifests = js_get(v, "manifests");
    if (!js_is(manifests, JS_ARRAY))
        return error_set(err, ERR_CORRUPT, OCI_LAYOUT_INDEX " has no list of manifests");
    if (js_len(manifests) > OCI_LAYOUT_MAX_ENTRIES)
        return error_set(err, ERR_TOO_LARGE, OCI_LAYOUT_INDEX " names more than %d manifests",
                         OCI_LAYOUT_MAX_ENTRIES);
    struct oci_layout l = {0};
    for (size_t i = 0; i < js_len(manifests); i++) {
        int r = parse_entry(js_at(manifests, i), &l, err);
        if (r < 0) {
            oci_layout_release(&l);
            return r;
        }
    }
    *ret = l;
    return 0;
}

void oci_layout_write(const struct oci_layout *l, struct buf *out)
{
    buf_append_c(out, "{\"schemaVersion\":2,\"mediaType\":\"" OCI_TYPE_INDEX "\",\"manifests\":[");
    for (size_t i = 0; i < l->n; i++) {
        const struct oci_layout_entry *e = &l->items[i];
        buf_printf(out, "%s{\"mediaType\":\"" OCI_TYPE_MANIFEST "\",\"digest\":\"%s\",\"size\":%llu",
                   i ? "," : "", e->digest.text, (unsigned long long)e->size);
        if (e->name) {
            buf_append_c(out, ",\"annotations\":{\"" ANNOTATION_IMAGE_NAME "\":");
            oci_write_string(str_from(e->name), out);
            buf_append_c(out, ",\"" ANNOTATION_REF_NAME "\":");
            oci_write_string(str_from(e->name), out);
            buf_push(out, '}');
        }
        buf_push(out, '}');
    }
    buf_append_c(out, "]}");
}
