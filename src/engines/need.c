/* SPDX-License-Identifier: Apache-2.0
 *
 * How much memory a model will take, from the header of its file. Weights stay in their type, so
 * they need their bytes; keys and values are 16-bit numbers of every layer and token, which is more
 * than a model with windows or recurrent layers keeps: an estimate errs on the side of more. */
#include <stdio.h>

#include "engines/engine.h"
#include "gguf/gguf.h"

enum { LEAST_CONTEXT = 4096, N_SEQUENCES = 4, VALUE_BYTES = 2, MAX_LAYERS = 4096 };

static uint64_t number(const struct gguf *g, const char *arch, const char *name, uint64_t fallback)
{
    char key[128];
    snprintf(key, sizeof(key), "%s.%s", arch, name);
    uint64_t n = fallback;
    return gguf_want_u64(g, key, &n, NULL) < 0 ? fallback : n;
}

/* Key and value heads of all layers together. */
static uint64_t all_kv_heads(const struct gguf *g, const char *arch)
{
    uint32_t layers = (uint32_t)MIN(number(g, arch, "block_count", 0), (uint64_t)MAX_LAYERS);
    uint64_t heads = number(g, arch, "attention.head_count", 0);
    char key[128];
    snprintf(key, sizeof(key), "%s.attention.head_count_kv", arch);
    uint32_t per_layer[MAX_LAYERS];
    if (layers == 0 || gguf_get_u32_per_layer(g, key, layers, per_layer, NULL) < 0)
        return heads * layers;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < layers; i++)
        sum += per_layer[i];
    return sum;
}

static uint64_t token_bytes(const struct gguf *g)
{
    struct str arch = {NULL, 0};
    char name[64];
    if (gguf_get_str(g, "general.architecture", &arch, NULL) < 0 || arch.len >= sizeof(name))
        return 0;
    snprintf(name, sizeof(name), "%.*s", STR_ARG(arch));
    uint64_t heads = number(g, name, "attention.head_count", 0);
    uint64_t width = heads > 0 ? number(g, name, "embedding_length", 0) / heads : 0;
    uint64_t key = number(g, name, "attention.key_length", width);
    uint64_t value = number(g, name, "attention.value_length", width);
    uint64_t n;
    if (__builtin_mul_overflow(all_kv_heads(g, name), key + value, &n) ||
        __builtin_mul_overflow(n, (uint64_t)VALUE_BYTES, &n))
        return 0;
    return n;
}

void engine_need_of(const struct engine_launch *l, uint64_t bytes, struct engine_need *ret)
{
    *ret = (struct engine_need){.weights = bytes + bytes / 20};
    struct gguf *g = NULL;
    if (gguf_open(l->model_path, GGUF_HEADER_ONLY, &g, NULL) < 0)
        return;
    struct str arch = {NULL, 0};
    char name[64] = "";
    if (gguf_get_str(g, "general.architecture", &arch, NULL) == 0 && arch.len < sizeof(name))
        snprintf(name, sizeof(name), "%.*s", STR_ARG(arch));
    uint64_t trained = number(g, name, "context_length", LEAST_CONTEXT);
    ret->context_tokens =
        l->context_size > 0 ? (uint64_t)l->context_size : MIN(trained, (uint64_t)LEAST_CONTEXT);
    uint64_t sequences = l->mode == MODE_COMPLETION ? N_SEQUENCES : 1;
    if (__builtin_mul_overflow(token_bytes(g), ret->context_tokens * sequences, &ret->context))
        ret->context = UINT64_MAX / 4;
    gguf_free(g);
}
