/* SPDX-License-Identifier: Apache-2.0
 *
 * model-engine info: what a model file holds and what it needs, as one JSON object. The file is
 * checked as for loading, but no weight is read. */
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/compiler.h"
#include "base/json.h"
#include "engine/model/descriptor.h"
#include "engine/model/weights.h"
#include "engine/run/cache.h"
#include "engine/run/lm.h"
#include "engine/run/vocab_load.h"
#include "engine/verbs/verbs.h"
#include "gguf/gguf_types.h"

struct info_options {
    const char *model;
    int64_t ctx_size;
};

const struct opt verb_info_opts[] = {
    {"model", 'm', OPT_STRING, offsetof(struct info_options, model), "FILE",
     "the model, a .gguf file or the first of its parts"},
    {"ctx-size", 'c', OPT_INT, offsetof(struct info_options, ctx_size), "N",
     "tokens of context for the memory estimate; 0, the default, takes what serve would", .min = 0,
     .max = 1 << 24},
    OPT_END,
};

static void add_text(struct json *out, const char *name, const struct gguf *g, const char *key)
{
    struct str s = {NULL, 0};
    if (gguf_want_str(g, key, &s, NULL) == 0 && s.ptr)
        js_set_str(out, name, s);
}

/* Tensors and bytes of each element type. */
static void add_tensor_types(struct json *out, const struct gguf *g)
{
    enum { N_TYPES = 64 };
    uint64_t count[N_TYPES] = {0}, bytes[N_TYPES] = {0};
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        count[t->type % N_TYPES]++;
        bytes[t->type % N_TYPES] += t->bytes;
    }
    struct json *types = js_object();
    for (uint32_t i = 0; i < N_TYPES; i++) {
        if (count[i] == 0)
            continue;
        struct json *row = js_object();
        js_set_int(row, "tensors", (int64_t)count[i]);
        js_set_int(row, "bytes", (int64_t)bytes[i]);
        js_set(types, gguf_type_info(i)->name, row);
    }
    js_set(out, "tensor_types", types);
}

/* The name of general.file_type, or of the type that most bytes have. */
static const char *quantization(const struct gguf *g)
{
    uint32_t file_type = UINT32_MAX;
    gguf_want_u32(g, "general.file_type", &file_type, NULL);
    const char *name = gguf_file_type_name(file_type);
    uint64_t most = 0;
    for (size_t i = 0; !name && i < gguf_n_tensors(g); i++)
        most = MAX(most, gguf_tensor_at(g, i)->bytes);
    for (size_t i = 0; !name && i < gguf_n_tensors(g); i++)
        if (gguf_tensor_at(g, i)->bytes == most)
            name = gguf_type_info(gguf_tensor_at(g, i)->type)->name;
    return name;
}

static void add_shape(struct json *out, const struct descriptor *d)
{
    struct layer_desc most = {0}; /* where layers differ */
    uint32_t n_recurrent = 0;
    for (uint32_t i = 0; i < d->n_layers; i++) {
        const struct layer_desc *l = &d->layers[i];
        most.n_heads = MAX(most.n_heads, l->n_heads);
        most.n_kv_heads = MAX(most.n_kv_heads, l->n_kv_heads);
        most.head_k = MAX(most.head_k, l->head_k);
        most.head_v = MAX(most.head_v, l->head_v);
        most.n_ff = MAX(most.n_ff, l->n_ff);
        most.window = MAX(most.window, l->window);
        n_recurrent += l->recurrent != RECURRENT_NONE;
    }
    js_set_int(out, "context_length", d->n_ctx_train);
    js_set_int(out, "embedding_length", d->n_embd);
    js_set_int(out, "layers", d->n_layers);
    if (n_recurrent > 0)
        js_set_int(out, "recurrent_layers", n_recurrent);
    js_set_int(out, "heads", most.n_heads);
    js_set_int(out, "kv_heads", most.n_kv_heads);
    js_set_int(out, "key_length", most.head_k);
    js_set_int(out, "value_length", most.head_v);
    js_set_int(out, "feed_forward_length", most.n_ff);
    if (most.window > 0)
        js_set_int(out, "sliding_window", most.window);
    js_set_int(out, "vocab_size", d->n_vocab);
}

static void add_memory(struct json *out, const struct descriptor *d, uint64_t weight_bytes,
                       int64_t ctx_size)
{
    uint64_t per_token = descriptor_kv_token_bytes(d, KV_F16);
    uint64_t state = descriptor_state_bytes(d);
    uint64_t states = state * cache_n_states(state, 1, d->n_ctx_train);
    uint64_t n_ctx =
        ctx_size > 0 ? (uint64_t)ctx_size : lm_fitting_ctx_size(d->n_ctx_train, per_token, states);
    states = state * cache_n_states(state, 1, n_ctx);
    struct json *memory = js_object();
    js_set_int(memory, "weights", (int64_t)weight_bytes);
    js_set_int(memory, "kv_per_token", (int64_t)per_token);
    js_set_int(memory, "context", (int64_t)n_ctx);
    js_set_int(memory, "kv", (int64_t)(per_token * n_ctx));
    if (state > 0) { /* layers that are not attention: a state, those written next, snapshots */
        js_set_int(memory, "state", (int64_t)state);
        js_set_int(memory, "states", (int64_t)states);
    }
    js_set_int(memory, "total", (int64_t)(weight_bytes + per_token * n_ctx + states));
    js_set(out, "memory", memory);
}

static int check_vocab(const struct gguf *g, const struct descriptor *d, struct error *err)
{
    CLEANUP(cleanup_tokenizer) struct tokenizer *t = NULL;
    int r = vocab_load(g, &t, err);
    if (r == 0 && tokenizer_n_tokens(t) != d->n_vocab)
        r = error_set(err, ERR_CORRUPT,
                      "the vocabulary has %zu tokens, but token_embd.weight has %u rows",
                      tokenizer_n_tokens(t), d->n_vocab);
    return r;
}

static int describe(const char *path, const struct gguf *g, int64_t ctx_size, struct json *out,
                    struct error *err)
{
    CLEANUP_DESCRIPTOR struct descriptor d = {0};
    int r = descriptor_read(g, &d, err);
    if (r == 0)
        r = weights_check(g, &d, err);
    if (r == 0)
        r = check_vocab(g, &d, err);
    if (r < 0)
        return error_wrap(err, "'%s'", path);
    uint64_t n_params = 0, weight_bytes = 0;
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        n_params += gguf_tensor_at(g, i)->n_items;
        weight_bytes += gguf_tensor_at(g, i)->bytes;
    }
    js_set_cstr(out, "architecture", d.arch);
    add_text(out, "name", g, "general.name");
    add_text(out, "description", g, "general.description");
    add_text(out, "license", g, "general.license");
    js_set_cstr(out, "quantization", quantization(g));
    js_set_int(out, "parameters", (int64_t)n_params);
    js_set_int(out, "tensors", (int64_t)gguf_n_tensors(g));
    add_tensor_types(out, g);
    add_shape(out, &d);
    add_text(out, "tokenizer", g, "tokenizer.ggml.model");
    js_set_bool(out, "chat_template", gguf_has(g, "tokenizer.chat_template"));
    js_set_int(out, "gguf_version", gguf_version(g));
    js_set_int(out, "parts", gguf_n_parts(g));
    js_set_int(out, "file_bytes", (int64_t)gguf_file_bytes(g));
    js_set_int(out, "weight_bytes", (int64_t)weight_bytes);
    add_memory(out, &d, weight_bytes, ctx_size);
    return 0;
}

int verb_info(int argc, char **argv)
{
    struct info_options o = {0};
    struct error err = ERROR_INIT;
    int exit_code;
    if (verb_parse(argc, argv, &o, &exit_code) < 0)
        return exit_code;
    if (!o.model) {
        error_set(&err, ERR_INVALID, "--model is missing");
        return verb_fail(&err);
    }
    CLEANUP(cleanup_gguf) struct gguf *g = NULL;
    CLEANUP_JSON struct json *out = js_object();
    int r = gguf_open(o.model, 0, &g, &err);
    if (r == 0)
        r = describe(o.model, g, o.ctx_size, out, &err);
    if (r < 0)
        return verb_fail(&err);
    CLEANUP_FREE char *text = js_text(out, JS_COMPACT);
    printf("%s\n", text);
    return verb_flush(&err) < 0 ? verb_fail(&err) : 0;
}
