/* SPDX-License-Identifier: Apache-2.0
 *
 * safetensors directories → model config. */
#include "models/safetensors_info.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "gguf/safetensors.h"
#include "models/gguf_info.h"

enum { CONFIG_JSON_MAX = 16 << 20 };

/* What all files together hold. */
struct totals {
    uint64_t n_tensors, n_items, file_bytes;
    char dtype[16]; /* "" before the first tensor, "mixed" with several */
};

static void add_tensors(struct totals *t, const struct safetensors *s)
{
    t->n_tensors += safetensors_n(s);
    for (size_t i = 0; i < safetensors_n(s); i++) {
        const struct safetensors_tensor *tensor = safetensors_at(s, i);
        if (add_overflows(t->n_items, tensor->n_items, &t->n_items))
            t->n_items = UINT64_MAX;
        char name[sizeof(t->dtype)];
        snprintf(name, sizeof(name), "%.*s", STR_ARG(tensor->dtype));
        if (!t->dtype[0])
            memcpy(t->dtype, name, sizeof(name));
        else if (strcmp(t->dtype, name) != 0)
            memcpy(t->dtype, "mixed", sizeof("mixed"));
    }
}

static void add_metadata(struct oci_model_config *c, const struct safetensors *s)
{
    struct json_iter it = {0};
    while (js_next(safetensors_metadata(s), &it))
        if (js_is(it.value, JS_STRING))
            oci_map_set(&c->safetensors, it.key, js_to_str(it.value));
}

static int read_file(const char *path, struct totals *t, struct oci_model_config *c,
                     struct error *err)
{
    CLEANUP(cleanup_safetensors) struct safetensors *s = NULL;
    uint64_t bytes = 0;
    int r = file_size(path, &bytes, err);
    if (r == 0)
        r = safetensors_open(path, &s, err);
    if (r < 0)
        return r;
    if (t->n_tensors == 0)
        add_metadata(c, s);
    t->file_bytes += bytes;
    add_tensors(t, s);
    return 0;
}

/* Of the keys that models use for it, the first that makes sense. */
static int32_t context_of(const struct json *config)
{
    static const char *const keys[] = {
        "max_position_embeddings", "n_ctx",           "n_positions", "max_length",
        "max_sequence_length",     "model_max_length"};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        int64_t n = js_get_int(config, keys[i], 0);
        if (n > 0 && n <= INT32_MAX)
            return (int32_t)n;
    }
    return 0;
}

static int read_config(const char *path, struct oci_model_config *c, struct error *err)
{
    CLEANUP_BUF struct buf text = BUF_INIT(CONFIG_JSON_MAX);
    CLEANUP_JSON struct json *config = NULL;
    int r = file_read(path, &text, err);
    if (r == 0)
        r = js_parse(buf_str(&text), path, &config, err);
    if (r < 0)
        return r;
    c->context_size = context_of(config);
    const char *type = js_get_cstr(config, "model_type", "");
    if (*type)
        c->architecture = xstrdup(type);
    return 0;
}

int safetensors_info_fill(const char *const *paths, size_t n, const char *config_json,
                          struct oci_model_config *c, struct error *err)
{
    struct totals t = {0};
    int r = config_json ? read_config(config_json, c, err) : 0;
    for (size_t i = 0; r == 0 && i < n; i++)
        r = read_file(paths[i], &t, c, err);
    if (r < 0)
        return r;
    char text[GGUF_INFO_TEXT_MAX];
    c->format = xstrdup("safetensors");
    c->quantization = xstrdup(t.dtype[0] ? t.dtype : "unknown");
    format_count(t.n_items, text);
    c->parameters = xstrdup(text);
    format_decimal_size(t.file_bytes, text);
    c->size = xstrdup(text);
    struct str named = oci_map_get(&c->safetensors, "architecture");
    if (named.len > 0) {
        free(c->architecture);
        c->architecture = str_dup(named);
    }
    snprintf(text, sizeof(text), "%llu", (unsigned long long)t.n_tensors);
    oci_map_set(&c->safetensors, STR("tensor_count"), str_from(text));
    return 0;
}
