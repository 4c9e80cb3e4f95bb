/* SPDX-License-Identifier: Apache-2.0
 *
 * GGUF metadata → model config. A file that passed the reader's checks always yields a config: what
 * it does not say stays empty. */
#include "models/gguf_info.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "gguf/gguf_types.h"

/* Bounds of the map: descriptions, not data. */
enum {
    MAP_MAX_KEYS = 4096,
    MAP_MAX_VALUE = 256 << 10,
    MAP_MAX_BYTES = 2 << 20,
};

static void format_scaled(uint64_t n, double base, const char *const *units, size_t n_units,
                          char out[GGUF_INFO_TEXT_MAX])
{
    double v = (double)n;
    size_t unit = 0;
    while (v >= base && unit + 1 < n_units) {
        v /= base;
        unit++;
    }
    snprintf(out, GGUF_INFO_TEXT_MAX, unit ? "%.2f%s" : "%.0f%s", v, units[unit]);
}

void format_count(uint64_t n, char out[GGUF_INFO_TEXT_MAX])
{
    static const char *const units[] = {"", "K", "M", "B", "T", "Q"};
    format_scaled(n, 1000, units, ARRAY_LEN(units), out);
}

void format_decimal_size(uint64_t n, char out[GGUF_INFO_TEXT_MAX])
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
    format_scaled(n, 1000, units, ARRAY_LEN(units), out);
}

void format_binary_size(uint64_t n, char out[GGUF_INFO_TEXT_MAX])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    format_scaled(n, 1024, units, ARRAY_LEN(units), out);
}

/* The type of most of the weight bytes, where the file does not name its kind. */
static const char *majority_type(const struct gguf *g)
{
    struct {
        uint32_t type;
        uint64_t bytes;
    } sums[64];
    size_t n = 0, best = 0;
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        size_t at = 0;
        while (at < n && sums[at].type != t->type)
            at++;
        if (at == n) {
            if (n == ARRAY_LEN(sums))
                continue;
            sums[n].type = t->type;
            sums[n++].bytes = 0;
        }
        sums[at].bytes += t->bytes;
        if (sums[at].bytes > sums[best].bytes)
            best = at;
    }
    const struct gguf_type_info *info = n ? gguf_type_info(sums[best].type) : NULL;
    return info ? info->name : "";
}

static const char *quantization(const struct gguf *g)
{
    uint32_t type;
    if (gguf_get_u32(g, "general.file_type", &type, NULL) == 0) {
        const char *name = gguf_file_type_name(type);
        if (name)
            return name;
    }
    return majority_type(g);
}

static void fill_map(const struct gguf *g, struct oci_map *map)
{
    CLEANUP_BUF struct buf text = BUF_INIT(MAP_MAX_VALUE);
    size_t total = 0;
    for (size_t i = 0; i < gguf_n_kv(g) && map->n < MAP_MAX_KEYS; i++) {
        struct str key = gguf_kv_key(g, i);
        buf_clear(&text);
        if (!gguf_kv_text(g, i, &text) || text.failed || total + key.len + text.len > MAP_MAX_BYTES)
            continue;
        total += key.len + text.len;
        oci_map_set(map, key, buf_str(&text));
    }
}

static int32_t trained_context(const struct gguf *g, struct str architecture)
{
    CLEANUP_FREE char *key =
        xasprintf("%.*s.context_length", (int)MIN(architecture.len, (size_t)200), architecture.ptr);
    uint64_t n;
    if (gguf_get_u64(g, key, &n, NULL) < 0 || n > INT32_MAX)
        return 0;
    return (int32_t)n;
}

void gguf_info_fill(const struct gguf *g, struct oci_model_config *c)
{
    uint64_t parameters = 0, bytes = 0;
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        parameters += t->n_items;
        bytes += t->bytes;
    }
    char text[GGUF_INFO_TEXT_MAX];
    c->format = xstrdup("gguf");
    c->quantization = xstrdup(quantization(g));
    format_count(parameters, text);
    c->parameters = xstrdup(text);
    format_binary_size(bytes, text);
    c->size = xstrdup(text);
    struct str architecture = STR("");
    gguf_get_str(g, "general.architecture", &architecture, NULL);
    ptrdiff_t nul = str_find_char(architecture, '\0');
    architecture.len = nul >= 0 ? (size_t)nul : architecture.len;
    c->architecture = xasprintf("%.*s", (int)MIN(architecture.len, (size_t)200), architecture.ptr);
    c->context_size = trained_context(g, architecture);
    fill_map(g, &c->gguf);
}
