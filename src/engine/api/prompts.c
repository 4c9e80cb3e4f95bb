/* SPDX-License-Identifier: Apache-2.0
 *
 * From bodies to token ids. */
#include "engine/api/prompts.h"

#include <stdlib.h>

#include "base/alloc.h"

static void prompts_init(struct prompts *p, uint32_t n)
{
    *p = (struct prompts){.n = n};
    p->items = xcalloc(n, sizeof(*p->items));
    p->lists = xcalloc(n, sizeof(*p->lists));
    p->texts = xcalloc(n, sizeof(*p->texts));
    for (uint32_t i = 0; i < n; i++)
        p->texts[i] = BUF_INIT(CHAT_TEXT_MAX);
}

void prompts_release(struct prompts *p)
{
    for (uint32_t i = 0; i < p->n; i++) {
        token_list_release(&p->lists[i]);
        buf_release(&p->texts[i]);
    }
    free(p->items);
    free(p->lists);
    free(p->texts);
    free(p->echo);
    *p = (struct prompts){0};
}

/* Points items and echo to what was collected. */
static int prompts_finish(struct prompts *p, bool echo, struct error *err)
{
    if (echo)
        p->echo = xcalloc(p->n, sizeof(*p->echo));
    for (uint32_t i = 0; i < p->n; i++) {
        p->items[i] = (struct prompt){p->lists[i].ids, p->lists[i].n};
        if (echo)
            p->echo[i] = buf_str(&p->texts[i]);
        if (p->items[i].n == 0)
            return error_set(err, ERR_INVALID, "the prompt is empty");
    }
    return 0;
}

int prompts_from_chat(const struct json *body, const struct lm *lm, const struct chat_template *t,
                      struct prompts *ret, struct error *err)
{
    prompts_init(ret, 1);
    struct chat_prompt chat;
    int r = chat_prompt_parse(body, &chat, err);
    if (r == 0)
        r = chat_template_render(t, &chat, &ret->texts[0], err);
    if (r == 0)
        r = lm_tokenize_prompt(lm, buf_str(&ret->texts[0]), &ret->lists[0], err);
    if (r == 0)
        r = prompts_finish(ret, false, err);
    return r;
}

static int add_ids(const struct json *ids, const struct lm *lm, struct token_list *list,
                   struct error *err)
{
    for (size_t i = 0; i < js_len(ids); i++) {
        int64_t id = js_to_int(js_at(ids, i), -1);
        if (id < 0 || id >= (int64_t)lm->n_vocab)
            return error_set(err, ERR_INVALID,
                             "a token of 'prompt' must be a whole number from 0 to %u",
                             lm->n_vocab - 1);
        token_list_push(list, (int32_t)id);
    }
    return 0;
}

/* One prompt: a string or an array of ids. */
static int add_prompt(const struct json *v, const struct lm *lm, uint32_t at, bool echo,
                      struct prompts *p, struct error *err)
{
    if (js_is(v, JS_STRING)) {
        if (echo)
            buf_append(&p->texts[at], js_to_str(v));
        return lm_tokenize_prompt(lm, js_to_str(v), &p->lists[at], err);
    }
    if (!js_is(v, JS_ARRAY))
        return error_set(err, ERR_INVALID, "'prompt' must consist of strings or token ids, not %s",
                         js_type_name(v));
    int r = add_ids(v, lm, &p->lists[at], err);
    if (r == 0 && echo)
        r = tokenizer_decode(lm->tokenizer, p->lists[at].ids, p->lists[at].n, false, &p->texts[at],
                             err);
    return r;
}

int prompts_from_text(const struct json *body, const struct lm *lm, struct prompts *ret,
                      struct error *err)
{
    bool echo = false;
    int r = js_want_bool(body, "echo", &echo, err);
    if (r < 0)
        return r;
    const struct json *v = js_get(body, "prompt"), *suffix = js_get(body, "suffix");
    if (js_is(v, JS_NULL))
        return error_set(err, ERR_INVALID, "'prompt' is missing");
    if (!js_is(suffix, JS_NULL) && !(js_is(suffix, JS_STRING) && js_to_str(suffix).len == 0))
        return error_set(err, ERR_UNSUPPORTED, "'suffix' is not supported by this engine");
    if (echo && !js_is(js_get(body, "logprobs"), JS_NULL))
        return error_set(err, ERR_UNSUPPORTED,
                         "'echo' together with 'logprobs' is not supported by this engine");

    bool many = js_is(v, JS_ARRAY) && !js_is_number(js_at(v, 0));
    size_t n = many ? js_len(v) : 1;
    if (n == 0)
        return error_set(err, ERR_INVALID, "'prompt' is empty");
    if (n > PROMPTS_MAX)
        return error_set(err, ERR_INVALID, "'prompt' has %zu prompts, at most %d are possible", n,
                         PROMPTS_MAX);
    prompts_init(ret, (uint32_t)n);
    for (size_t i = 0; i < n && r == 0; i++)
        r = add_prompt(many ? js_at(v, i) : v, lm, (uint32_t)i, echo, ret, err);
    if (r == 0)
        r = prompts_finish(ret, echo, err);
    return r;
}
