/* SPDX-License-Identifier: Apache-2.0
 *
 * Model configs. Reading is lenient: members of unknown names or of wrong types count as absent,
 * because a model should not become unusable over a detail of its description. */
#include "oci/model_config.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/json.h"

void oci_model_config_release(struct oci_model_config *c)
{
    free(c->format);
    free(c->quantization);
    free(c->parameters);
    free(c->architecture);
    free(c->size);
    oci_map_release(&c->gguf);
    oci_map_release(&c->safetensors);
    oci_map_release(&c->diffusers);
    free(c->created);
    free(c->diff_ids);
    *c = (struct oci_model_config){0};
}

/* A string member up to its first NUL; "" if absent or no string. */
static char *text_of(const struct json *object, const char *key)
{
    const char *s = js_to_cstr(js_get(object, key));
    return xstrdup(s ? s : "");
}

static void parse_created(const char *text, struct oci_model_config *c)
{
    struct timespec t;
    if (*text && clock_parse_rfc3339(str_from(text), &t, NULL) == 0)
        c->created_s = (int64_t)t.tv_sec;
}

/* Digests that are not digests are left out. */
static void parse_diff_ids(const struct json *array, struct oci_model_config *c)
{
    size_t n = js_len(array);
    if (n == 0 || !js_is(array, JS_ARRAY))
        return;
    c->diff_ids = xcalloc(n, sizeof(*c->diff_ids));
    for (size_t i = 0; i < n; i++)
        if (oci_digest_parse(js_to_str(js_at(array, i)), &c->diff_ids[c->n_diff_ids], NULL) == 0)
            c->n_diff_ids++;
}

static void parse_docker(const struct json *root, struct oci_model_config *c)
{
    const struct json *config = js_get(root, "config");
    c->format = text_of(config, "format");
    c->quantization = text_of(config, "quantization");
    c->parameters = text_of(config, "parameters");
    c->architecture = text_of(config, "architecture");
    c->size = text_of(config, "size");
    oci_map_from_json(js_get(config, "gguf"), &c->gguf);
    oci_map_from_json(js_get(config, "safetensors"), &c->safetensors);
    oci_map_from_json(js_get(config, "diffusers"), &c->diffusers);
    int64_t context = js_get_int(config, "context_size", 0);
    c->context_size = context > 0 && context <= INT32_MAX ? (int32_t)context : 0;
    c->created = text_of(js_get(root, "descriptor"), "created");
    parse_diff_ids(js_get(js_get(root, "rootfs"), "diff_ids"), c);
}

static void parse_cncf(const struct json *root, struct oci_model_config *c)
{
    const struct json *config = js_get(root, "config"), *descriptor = js_get(root, "descriptor");
    c->format = text_of(config, "format");
    c->quantization = text_of(config, "quantization");
    c->parameters = text_of(config, "paramSize");
    c->size = text_of(config, "paramSize");
    c->architecture = text_of(config, "architecture");
    if (!*c->architecture) {
        free(c->architecture);
        c->architecture = text_of(descriptor, "family");
    }
    c->created = text_of(descriptor, "createdAt");
    parse_diff_ids(js_get(js_get(root, "modelfs"), "diffIds"), c);
}

static bool looks_like_cncf(const struct json *root)
{
    return js_get(js_get(root, "config"), "paramSize") ||
           js_get(js_get(root, "descriptor"), "createdAt") || js_get(root, "modelfs");
}

int oci_model_config_parse(struct str text, enum oci_config_kind kind, struct oci_model_config *ret,
                           struct error *err)
{
    if (text.len > OCI_CONFIG_MAX_BYTES)
        return error_set(err, ERR_TOO_LARGE,
                         "the model config has %zu bytes; at most %d are allowed", text.len,
                         OCI_CONFIG_MAX_BYTES);
    CLEANUP_JSON struct json *root = NULL;
    struct error why;
    if (js_parse(text, "the model config", &root, &why) < 0)
        return error_set(err, ERR_CORRUPT, "%s", why.msg);
    if (!js_is(root, JS_OBJECT))
        return error_set(err, ERR_CORRUPT, "the model config is not a JSON object");
    struct oci_model_config c = {0};
    if (kind == OCI_CONFIG_CNCF || looks_like_cncf(root))
        parse_cncf(root, &c);
    else
        parse_docker(root, &c);
    parse_created(c.created, &c);
    *ret = c;
    return 0;
}

/* ---- write ---- */

static void member(struct buf *out, bool *first, const char *key)
{
    if (!*first)
        buf_push(out, ',');
    *first = false;
    oci_write_string(str_from(key), out);
    buf_push(out, ':');
}

static void text_member(struct buf *out, bool *first, const char *key, const char *value)
{
    if (!value || !*value)
        return;
    member(out, first, key);
    oci_write_string(str_from(value), out);
}

static void map_member(struct buf *out, bool *first, const char *key, const struct oci_map *m)
{
    if (m->n == 0)
        return;
    member(out, first, key);
    oci_map_write(m, out);
}

void oci_model_config_write_inner(const struct oci_model_config *c, struct buf *out)
{
    bool first = true;
    buf_push(out, '{');
    text_member(out, &first, "format", c->format);
    text_member(out, &first, "quantization", c->quantization);
    text_member(out, &first, "parameters", c->parameters);
    text_member(out, &first, "architecture", c->architecture);
    text_member(out, &first, "size", c->size);
    map_member(out, &first, "gguf", &c->gguf);
    map_member(out, &first, "safetensors", &c->safetensors);
    map_member(out, &first, "diffusers", &c->diffusers);
    if (c->context_size > 0) {
        member(out, &first, "context_size");
        buf_printf(out, "%d", c->context_size);
    }
    buf_push(out, '}');
}

void oci_model_config_write(const struct oci_model_config *c, struct buf *out)
{
    buf_append(out, STR("{\"config\":"));
    oci_model_config_write_inner(c, out);
    buf_append(out, STR(",\"descriptor\":{"));
    bool first = true;
    text_member(out, &first, "created", c->created);
    buf_append(out, STR("},\"rootfs\":{\"type\":\"rootfs\",\"diff_ids\":["));
    for (size_t i = 0; i < c->n_diff_ids; i++)
        buf_printf(out, "%s\"%s\"", i ? "," : "", c->diff_ids[i].text);
    buf_append(out, STR("]}}"));
}

void oci_model_config_write_cncf(const struct oci_model_config *c, struct buf *out)
{
    bool first = true;
    buf_append(out, STR("{\"descriptor\":{"));
    text_member(out, &first, "createdAt", c->created);
    text_member(out, &first, "family", c->architecture);
    buf_append(out, STR("},\"modelfs\":{\"type\":\"layers\",\"diffIds\":["));
    for (size_t i = 0; i < c->n_diff_ids; i++)
        buf_printf(out, "%s\"%s\"", i ? "," : "", c->diff_ids[i].text);
    buf_append(out, STR("]},\"config\":{"));
    first = true;
    text_member(out, &first, "architecture", c->architecture);
    text_member(out, &first, "format", c->format);
    text_member(out, &first, "paramSize", c->parameters);
    text_member(out, &first, "quantization", c->quantization);
    buf_append(out, STR("}}"));
}
