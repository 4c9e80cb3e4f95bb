/* SPDX-License-Identifier: Apache-2.0
 *
 * POST /v1/embeddings, as OpenAI has it: `input` is a text, token ids, or an array of these;
 * `encoding_format` "float" or "base64" (little-endian f32); `dimensions` cuts the vectors, which
 * models trained for it (Matryoshka) allow. Vectors have length 1. */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/base64.h"
#include "engine/api/embed.h"

struct embeddings_params {
    bool base64;
    int64_t dimensions; /* 0 = all */
};

static int check_model(const struct service *s, struct error *err)
{
    if (s->pooling == POOLING_RANK)
        return error_set(err, ERR_INVALID,
                         "this model ranks documents and makes no embeddings; use /v1/rerank");
    if (s->pooling == POOLING_NONE)
        return error_set(err, ERR_INVALID,
                         "with pooling 'none' a text has no one vector; load the model with "
                         "--pooling mean, cls or last");
    return 0;
}

static int parse_params(const struct json *body, const struct service *s,
                        struct embeddings_params *p, struct error *err)
{
    struct str format = STR("float");
    int r = js_want_str(body, "encoding_format", &format, err);
    if (r == 0 && !str_eq_c(format, "float") && !str_eq_c(format, "base64"))
        r = error_set(err, ERR_INVALID,
                      "'encoding_format' must be \"float\" or \"base64\", not '%.*s'",
                      STR_ARG(format));
    p->base64 = str_eq_c(format, "base64");
    if (r == 0)
        r = js_want_int(body, "dimensions", 1, s->lm->n_embd, &p->dimensions, err);
    return r;
}

static int add_ids(const struct json *ids, size_t i, struct token_list *out, struct error *err)
{
    for (size_t k = 0; k < js_len(ids); k++) {
        int64_t id = js_to_int(js_at(ids, k), -1);
        if (id < 0 || id > INT32_MAX)
            return error_set(err, ERR_INVALID, "'input[%zu]' must consist of token ids", i);
        if (token_list_push(out, (int32_t)id) < 0)
            return error_set(err, ERR_NOMEM, "no memory for %zu tokens", js_len(ids));
    }
    return 0;
}

static int add_input(const struct json *v, size_t i, const struct service *s,
                     struct token_list *out, struct error *err)
{
    int r;
    if (js_is(v, JS_STRING))
        r = tokenizer_encode(s->lm->tokenizer, js_to_str(v),
                             TOKENIZE_ADD_SPECIAL | TOKENIZE_PARSE_SPECIAL, out, err);
    else if (js_is(v, JS_ARRAY))
        r = add_ids(v, i, out, err);
    else
        r = error_set(err, ERR_INVALID,
                      "'input[%zu]' must be a text or an array of token ids, "
                      "not %s",
                      i, js_type_name(v));
    if (r == 0 && out->n == 0)
        r = error_set(err, ERR_INVALID, "'input[%zu]' is empty", i);
    return r;
}

static int parse_input(const struct json *body, const struct service *s, struct embed_texts *ret,
                       struct error *err)
{
    const struct json *v = js_get(body, "input");
    bool one = js_is(v, JS_STRING) || js_is_number(js_at(v, 0));
    if (js_is(v, JS_NULL))
        return error_set(err, ERR_INVALID, "'input' is missing");
    if (!one && !js_is(v, JS_ARRAY))
        return error_set(err, ERR_INVALID, "'input' must be a text or an array, not %s",
                         js_type_name(v));
    size_t n = one ? 1 : js_len(v);
    if (n == 0)
        return error_set(err, ERR_INVALID, "'input' is empty");
    if (n > EMBED_TEXTS_MAX)
        return error_set(err, ERR_INVALID, "'input' has %zu texts, at most %d are possible", n,
                         EMBED_TEXTS_MAX);
    embed_texts_init(ret, n);
    int r = 0;
    for (size_t i = 0; i < n && r == 0; i++)
        r = add_input(one ? v : js_at(v, i), i, s, &ret->lists[i], err);
    return r;
}

static struct json *vector_json(const float *v, size_t n)
{
    struct json *array = js_array();
    for (size_t i = 0; i < n; i++)
        js_push(array, js_real((double)v[i]));
    return array;
}

static struct json *vector_base64(const float *v, size_t n)
{
    CLEANUP_BUF struct buf bytes = BUF_INIT(SIZE_MAX / 4);
    CLEANUP_BUF struct buf text = BUF_INIT(SIZE_MAX / 4);
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &v[i], sizeof(bits));
        for (int k = 0; k < 4; k++)
            buf_push(&bytes, (char)(bits >> 8 * k));
    }
    base64_encode(buf_str(&bytes), &text);
    return js_str(buf_str(&text));
}

static struct json *item_json(const struct embedding *e, size_t i,
                              const struct embeddings_params *p)
{
    uint32_t n_rows, width;
    const float *rows = embedding_rows(e, i, &n_rows, &width);
    size_t n = p->dimensions > 0 ? MIN((size_t)p->dimensions, width) : width;
    CLEANUP_FREE float *v = xcalloc(n, sizeof(*v));
    memcpy(v, rows, n * sizeof(*v));
    embedding_normalise(v, n);
    struct json *item = js_object();
    js_set_cstr(item, "object", "embedding");
    js_set_int(item, "index", (int64_t)i);
    js_set(item, "embedding", p->base64 ? vector_base64(v, n) : vector_json(v, n));
    if (p->base64)
        js_set_cstr(item, "encoding_format", "base64");
    return item;
}

void route_embeddings(struct http_request *req, const struct service *s)
{
    CLEANUP_JSON struct json *body = NULL;
    CLEANUP_EMBED_TEXTS struct embed_texts texts = {0};
    struct embeddings_params p = {0};
    struct error err = ERROR_INIT;
    if (api_read_body(req, &body) < 0)
        return;
    int r = check_model(s, &err);
    if (r == 0)
        r = parse_params(body, s, &p, &err);
    if (r == 0)
        r = parse_input(body, s, &texts, &err);
    if (r < 0) {
        api_respond_error(req, &err);
        return;
    }
    struct embedding *e;
    if (embed_run(req, s, &texts, s->pooling, &e) < 0)
        return;
    CLEANUP_JSON struct json *answer = js_object();
    struct json *data = js_array();
    for (size_t i = 0; i < texts.n; i++)
        js_push(data, item_json(e, i, &p));
    js_set_cstr(answer, "object", "list");
    js_set(answer, "data", data);
    embed_set_model(body, s, answer);
    js_set(answer, "usage", embed_usage(&texts));
    embed_free(s, e);
    http_respond_json(req, 200, answer);
}
