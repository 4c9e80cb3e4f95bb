/* SPDX-License-Identifier: Apache-2.0
 *
 * model-engine embed --model F: vectors of texts, JSON lines.
 *
 *     {"text":"Hello"}      →  {"embedding":[0.0123,-0.4567,…]}
 *     {"ids":[2,128,3]}     →  the same of these tokens, to which nothing is added
 *
 * The vector is pooled as the model wants it (or --pooling says) and of length 1, unless --raw;
 * with
 * --pooling none there is a vector for each token, and with rank there are scores, both never
 * normalised. The cache is f32: the verb exists to measure numerics. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "engine/run/embedding.h"
#include "engine/verbs/jsonl.h"
#include "engine/verbs/verbs.h"

struct embed_options {
    const char *model, *pooling;
    int64_t ctx_size, threads;
    bool raw;
};

const struct opt verb_embed_opts[] = {
    {"model", 'm', OPT_STRING, offsetof(struct embed_options, model), "FILE",
     "the model, a .gguf file or the first of its parts"},
    {"raw", 0, OPT_FLAG, offsetof(struct embed_options, raw),
     .help = "do not bring vectors to length 1"},
    {"pooling", 0, OPT_STRING, offsetof(struct embed_options, pooling), "KIND",
     "none, mean, cls, last or rank; the default is the model's"},
    {"ctx-size", 'c', OPT_INT, offsetof(struct embed_options, ctx_size), "N",
     "tokens a text may have; 0, the default, takes what the model was trained for", .min = 0,
     .max = CTX_SIZE_MAX},
    {"threads", 't', OPT_INT, offsetof(struct embed_options, threads), "N",
     "threads; 0, the default, takes the physical cores", .min = 0, .max = 1024},
    OPT_END,
};

struct embed {
    struct lm *lm;
    enum pooling pooling;
    uint32_t ctx_size;
    bool raw;
};

static int read_tokens(const struct embed *e, const struct json *in, struct token_list *out,
                       struct error *err)
{
    bool has_text = js_get(in, "text"), has_ids = js_get(in, "ids");
    if (has_text == has_ids)
        return error_set(err, ERR_INVALID, "a line needs either 'text' or 'ids'");
    if (has_text) {
        struct str text = {0};
        int r = js_want_str(in, "text", &text, err);
        return r < 0 ? r
                     : tokenizer_encode(e->lm->tokenizer, text,
                                        TOKENIZE_ADD_SPECIAL | TOKENIZE_PARSE_SPECIAL, out, err);
    }
    return jsonl_ids(in, "ids", e->lm->n_vocab, &out->ids, &out->n, err);
}

static struct json *vector_json(const float *v, size_t n)
{
    struct json *array = js_array();
    for (size_t i = 0; i < n; i++)
        js_push(array, js_real((double)v[i]));
    return array;
}

static struct json *result_json(const struct embed *e, const struct embedding *result)
{
    uint32_t n_rows, width;
    const float *rows = embedding_rows(result, 0, &n_rows, &width);
    if (e->pooling == POOLING_NONE) {
        struct json *all = js_array();
        for (size_t i = 0; i < n_rows; i++)
            js_push(all, vector_json(rows + i * width, width));
        return all;
    }
    CLEANUP_FREE float *v = xcalloc(width, sizeof(*v));
    memcpy(v, rows, width * sizeof(*v));
    if (!e->raw && e->pooling != POOLING_RANK)
        embedding_normalise(v, width);
    return vector_json(v, width);
}

static int answer(void *ctx, const struct json *in, struct json *out, struct error *err)
{
    const struct embed *e = ctx;
    CLEANUP_TOKEN_LIST struct token_list ids = TOKEN_LIST_INIT;
    int r = read_tokens(e, in, &ids, err);
    if (r < 0)
        return r;
    const struct prompt text = {.ids = ids.ids, .n = ids.n};
    const struct embedding_request req = {.texts = &text,
                                          .n_texts = 1,
                                          .pooling = e->pooling,
                                          .ctx_size = e->ctx_size,
                                          .kv_type = KV_F32};
    struct embedding *result = NULL;
    r = embedding_begin(e->lm, &req, &result, err);
    if (r < 0)
        return r;
    while ((r = embedding_step(result, NULL, err)) > 0)
        ;
    if (r == 0)
        js_set(out, "embedding", result_json(e, result));
    embedding_free(result);
    return r;
}

static int open_model(struct embed *e, const struct embed_options *o, struct error *err)
{
    if (!o->model)
        return error_set(err, ERR_INVALID, "--model is missing");
    const struct lm_options lo = {.n_threads = (uint32_t)o->threads};
    int r = lm_open(o->model, &lo, &e->lm, err);
    if (r == 0 && o->ctx_size > 0)
        r = model_set_context(e->lm->model, (uint32_t)o->ctx_size, err);
    if (r < 0)
        return r;
    e->ctx_size = (uint32_t)o->ctx_size;
    e->raw = o->raw;
    e->pooling = lm_default_pooling(e->lm);
    return o->pooling ? pooling_parse(str_from(o->pooling), &e->pooling, err) : 0;
}

int verb_embed(int argc, char **argv)
{
    struct embed_options o = {0};
    struct error err = ERROR_INIT;
    int exit_code;
    if (verb_parse(argc, argv, &o, &exit_code) < 0)
        return exit_code;
    struct embed e = {0};
    int r = open_model(&e, &o, &err);
    if (r == 0)
        r = jsonl_run(answer, &e, &err);
    lm_close(e.lm);
    return r < 0 ? verb_fail(&err) : 0;
}
