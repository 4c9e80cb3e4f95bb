/* SPDX-License-Identifier: Apache-2.0
 *
 * The steps before and after the model by themselves: /tokenize, /detokenize, /apply-template. */
#include "engine/api/legacy_functions.h"
#include "engine/api/media.h"
#include "engine/api/routes.h"

static int tokenize(const struct json *body, const struct service *s, struct json **ret,
                    struct error *err)
{
    struct str text = {NULL, 0};
    bool add_special = false, parse_special = true;
    int r = js_want_str(body, "content", &text, err);
    if (r == 0)
        r = js_want_bool(body, "add_special", &add_special, err);
    if (r == 0)
        r = js_want_bool(body, "parse_special", &parse_special, err);
    if (r == 0 && !text.ptr)
        r = error_set(err, ERR_INVALID, "'content' is missing");
    if (r < 0)
        return r;
    unsigned flags = (add_special ? (unsigned)TOKENIZE_ADD_SPECIAL : 0u) |
                     (parse_special ? (unsigned)TOKENIZE_PARSE_SPECIAL : 0u);
    CLEANUP_TOKEN_LIST struct token_list ids = TOKEN_LIST_INIT;
    r = tokenizer_encode(s->lm->tokenizer, text, flags, &ids, err);
    if (r < 0)
        return r;
    struct json *list = js_array();
    for (size_t i = 0; i < ids.n; i++)
        js_push(list, js_int(ids.ids[i]));
    *ret = js_object();
    js_set(*ret, "tokens", list);
    return 0;
}

static int detokenize(const struct json *body, const struct service *s, struct json **ret,
                      struct error *err)
{
    const struct json *list = js_get(body, "tokens");
    if (!js_is(list, JS_ARRAY))
        return error_set(err, ERR_INVALID, "'tokens' must be an array of token ids, not %s",
                         js_type_name(list));
    CLEANUP_TOKEN_LIST struct token_list ids = TOKEN_LIST_INIT;
    for (size_t i = 0; i < js_len(list); i++) {
        int64_t id = js_to_int(js_at(list, i), -1);
        if (id < 0 || id >= (int64_t)s->lm->n_vocab)
            return error_set(err, ERR_INVALID, "'tokens[%zu]' must be a whole number from 0 to %u",
                             i, s->lm->n_vocab - 1);
        token_list_push(&ids, (int32_t)id);
    }
    CLEANUP_BUF struct buf text = BUF_INIT(CHAT_TEXT_MAX);
    int r = tokenizer_decode(s->lm->tokenizer, ids.ids, ids.n, true, &text, err);
    if (r < 0)
        return r;
    *ret = js_object();
    js_set_str(*ret, "content", buf_str(&text));
    return 0;
}

static int apply_template(const struct json *body, const struct service *s, struct json **ret,
                          struct error *err)
{
    CLEANUP(chat_prompt_release) struct chat_prompt chat = {0};
    CLEANUP_BUF struct buf text = BUF_INIT(CHAT_TEXT_MAX);
    CLEANUP_JSON struct json *messages = NULL;
    CLEANUP(media_release) struct media media = {0};
    CLEANUP_JSON struct json *translated = js_copy(body);
    bool legacy;
    int r = legacy_functions_translate(translated, &legacy, err);
    if (r == 0)
        r = chat_prompt_parse(translated, &chat, err);
    if (r == 0) /* the markers of pictures stay in the text */
        r = media_extract(chat.messages, s->vision, s->why_blind, &media, &messages, err);
    if (messages)
        chat.messages = messages;
    if (r == 0)
        r = chat_template_render(s->chat_template, &chat, &text, err);
    if (r < 0)
        return r;
    *ret = js_object();
    js_set_str(*ret, "prompt", buf_str(&text));
    return 0;
}

/* What the routes have in common: an object in, `work` on it, an object or an error out. */
typedef int (*text_work_fn)(const struct json *body, const struct service *s, struct json **ret,
                            struct error *err);

static void answer(struct http_request *req, const struct service *s, text_work_fn work)
{
    CLEANUP_JSON struct json *body = NULL, *result = NULL;
    struct error err = ERROR_INIT;
    if (api_read_body(req, &body) < 0)
        return;
    if (work(body, s, &result, &err) < 0)
        api_respond_error(req, &err);
    else
        http_respond_json(req, 200, result);
}

void route_tokenize(struct http_request *req, const struct service *s)
{
    answer(req, s, tokenize);
}

void route_detokenize(struct http_request *req, const struct service *s)
{
    answer(req, s, detokenize);
}

void route_apply_template(struct http_request *req, const struct service *s)
{
    answer(req, s, apply_template);
}
