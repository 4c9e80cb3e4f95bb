/* SPDX-License-Identifier: Apache-2.0
 *
 * OCI image manifests (OCI image specification 1.1, "Image Manifest"). */
#include "oci/manifest.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/json.h"

static void descriptor_release(struct oci_descriptor *d)
{
    free(d->media_type);
    oci_map_release(&d->annotations);
    *d = (struct oci_descriptor){0};
}

void oci_manifest_release(struct oci_manifest *m)
{
    free(m->artifact_type);
    descriptor_release(&m->config);
    for (size_t i = 0; i < m->n_layers; i++)
        descriptor_release(&m->layers[i]);
    free(m->layers);
    *m = (struct oci_manifest){0};
}

/* A string member without NUL bytes, as a new C string; NULL if it is absent. */
static int want_text(const struct json *object, const char *key, const char *what, char **ret,
                     struct error *err)
{
    struct str s = {NULL, 0};
    int r = js_want_str(object, key, &s, err);
    if (r < 0)
        return error_set(err, ERR_CORRUPT, "%s: '%s' is not a string", what, key);
    if (!s.ptr)
        return 0;
    if (str_find_char(s, '\0') >= 0)
        return error_set(err, ERR_CORRUPT, "%s: '%s' holds a NUL character", what, key);
    *ret = str_dup(s);
    return *ret ? 0 : error_set(err, ERR_NOMEM, "out of memory");
}

static int parse_annotations(const struct json *v, const char *what, struct oci_map *to,
                             struct error *err)
{
    if (js_is(v, JS_NULL))
        return 0;
    if (!js_is(v, JS_OBJECT))
        return error_set(err, ERR_CORRUPT, "%s: 'annotations' is not an object", what);
    if (js_len(v) > OCI_MAX_ANNOTATIONS)
        return error_set(err, ERR_CORRUPT, "%s has %zu annotations; at most %d are allowed", what,
                         js_len(v), OCI_MAX_ANNOTATIONS);
    struct json_iter it = {0};
    while (js_next(v, &it))
        if (!js_is(it.value, JS_STRING))
            return error_set(err, ERR_CORRUPT, "%s: annotation '%.*s' is not a string", what,
                             STR_ARG(it.key));
    oci_map_from_json(v, to);
    return 0;
}

static int parse_descriptor(const struct json *v, const char *what, struct oci_descriptor *d,
                            struct error *err)
{
    if (!js_is(v, JS_OBJECT))
        return error_set(err, ERR_CORRUPT, "%s is missing or not an object", what);
    int r = want_text(v, "mediaType", what, &d->media_type, err);
    if (r < 0)
        return r;
    if (!d->media_type)
        d->media_type = xstrdup("");
    int64_t size = -1;
    if (js_want_int(v, "size", 0, INT64_MAX, &size, err) < 0 || size < 0)
        return error_set(err, ERR_CORRUPT, "%s: 'size' is missing or not a count of bytes", what);
    d->size = (uint64_t)size;
    struct error why;
    if (oci_digest_parse(js_get_str(v, "digest"), &d->digest, &why) < 0)
        return error_set(err, ERR_CORRUPT, "%s: %s", what, why.msg);
    return parse_annotations(js_get(v, "annotations"), what, &d->annotations, err);
}

static int check_type(const struct json *root, struct error *err)
{
    struct str type = js_get_str(root, "mediaType");
    if (str_eq_c(type, OCI_TYPE_INDEX) || str_eq_c(type, OCI_TYPE_DOCKER_LIST) ||
        (js_get(root, "manifests") && !js_get(root, "config")))
        return error_set(err, ERR_UNSUPPORTED,
                         "this is a list of manifests for several platforms, not a model");
    if (type.ptr && !str_eq_c(type, OCI_TYPE_MANIFEST) && !str_eq_c(type, OCI_TYPE_DOCKER_MANIFEST))
        return error_set(err, ERR_UNSUPPORTED, "media type '%.*s' is not a manifest",
                         STR_ARG(type));
    if (js_get_int(root, "schemaVersion", 0) != 2)
        return error_set(err, ERR_UNSUPPORTED, "'schemaVersion' is not 2");
    return 0;
}

static int parse_members(const struct json *root, struct oci_manifest *m, struct error *err)
{
    if (!js_is(root, JS_OBJECT))
        return error_set(err, ERR_CORRUPT, "it is not a JSON object");
    int r = check_type(root, err);
    if (r < 0)
        return r;
    r = want_text(root, "artifactType", "manifest", &m->artifact_type, err);
    if (r < 0)
        return r;
    r = parse_descriptor(js_get(root, "config"), "config", &m->config, err);
    if (r < 0)
        return r;
    const struct json *layers = js_get(root, "layers");
    if (!js_is(layers, JS_ARRAY))
        return error_set(err, ERR_CORRUPT, "'layers' is missing or not an array");
    size_t n = js_len(layers);
    if (n > OCI_MANIFEST_MAX_LAYERS)
        return error_set(err, ERR_TOO_LARGE, "%zu layers; at most %d are allowed", n,
                         OCI_MANIFEST_MAX_LAYERS);
    m->layers = xcalloc(n ? n : 1, sizeof(*m->layers));
    for (size_t i = 0; i < n; i++) {
        CLEANUP_FREE char *what = xasprintf("layer %zu", i + 1);
        m->n_layers = i + 1;
        r = parse_descriptor(js_at(layers, i), what, &m->layers[i], err);
        if (r < 0)
            return r;
    }
    return 0;
}

int oci_manifest_parse(struct str text, struct oci_manifest *ret, struct error *err)
{
    if (text.len > OCI_MANIFEST_MAX_BYTES)
        return error_set(err, ERR_TOO_LARGE, "the manifest has %zu bytes; at most %d are allowed",
                         text.len, OCI_MANIFEST_MAX_BYTES);
    CLEANUP_JSON struct json *root = NULL;
    struct error why;
    if (js_parse(text, "the manifest", &root, &why) < 0)
        return error_set(err, ERR_CORRUPT, "%s", why.msg);
    struct oci_manifest m = {0};
    int r = parse_members(root, &m, err);
    if (r < 0) {
        oci_manifest_release(&m);
        return error_wrap(err, "manifest");
    }
    *ret = m;
    return 0;
}

/* ---- make ---- */

struct oci_descriptor *oci_manifest_add_layer(struct oci_manifest *m, const char *media_type,
                                              const struct oci_digest *digest, uint64_t size)
{
    m->layers = xrealloc(m->layers, m->n_layers + 1, sizeof(*m->layers));
    struct oci_descriptor *d = &m->layers[m->n_layers++];
    *d =
        (struct oci_descriptor){.media_type = xstrdup(media_type), .size = size, .digest = *digest};
    return d;
}

void oci_manifest_set_config(struct oci_manifest *m, const char *media_type,
                             const struct oci_digest *digest, uint64_t size)
{
    descriptor_release(&m->config);
    m->config =
        (struct oci_descriptor){.media_type = xstrdup(media_type), .size = size, .digest = *digest};
}

static void write_descriptor(const struct oci_descriptor *d, struct buf *out)
{
    buf_append(out, STR("{\"mediaType\":"));
    oci_write_string(str_from(d->media_type), out);
    buf_printf(out, ",\"size\":%llu,\"digest\":\"%s\"", (unsigned long long)d->size,
               d->digest.text);
    if (d->annotations.n) {
        buf_append(out, STR(",\"annotations\":"));
        oci_map_write(&d->annotations, out);
    }
    buf_push(out, '}');
}

void oci_manifest_write(const struct oci_manifest *m, struct buf *out)
{
    buf_append(out, STR("{\"schemaVersion\":2,\"mediaType\":\"" OCI_TYPE_MANIFEST "\","));
    if (m->artifact_type) {
        buf_append(out, STR("\"artifactType\":"));
        oci_write_string(str_from(m->artifact_type), out);
        buf_push(out, ',');
    }
    buf_append(out, STR("\"config\":"));
    write_descriptor(&m->config, out);
    buf_append(out, STR(",\"layers\":["));
    for (size_t i = 0; i < m->n_layers; i++) {
        if (i)
            buf_push(out, ',');
        write_descriptor(&m->layers[i], out);
    }
    buf_append(out, STR("]}"));
}

/* ---- ask ---- */

struct str oci_layer_path(const struct oci_descriptor *layer)
{
    return oci_map_get(&layer->annotations, OCI_ANNOTATION_FILEPATH);
}

enum oci_layer_kind oci_layer_kind(const struct oci_descriptor *layer)
{
    return oci_layer_kind_of(layer->media_type, oci_layer_path(layer));
}

int oci_manifest_layer_bytes(const struct oci_manifest *m, uint64_t *ret, struct error *err)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < m->n_layers; i++)
        if (add_overflows(sum, m->layers[i].size, &sum))
            return error_set(err, ERR_CORRUPT, "manifest: the sizes of the layers do not add up");
    *ret = sum;
    return 0;
}
