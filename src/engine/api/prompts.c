/* SPDX-License-Identifier: Apache-2.0
 *
 * From bodies to token ids. */
#include "engine/api/prompts.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "engine/api/fim.h"

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
    media_release(&p->media);
    free(p->squares);
    free(p->square_at);
    free(p->rows);
    *p = (struct prompts){0};
}

/* Points items and echo to what was collected. */
static int prompts_finish(struct prompts *p, bool echo, struct error *err)
{
    if (echo)
        p->echo = xcalloc(p->n, sizeof(*p->echo));
    for (uint32_t i = 0; i < p->n; i++) {
        p->items[i] = (struct prompt){.ids = p->lists[i].ids, .n = p->lists[i].n};
        if (echo)
            p->echo[i] = buf_str(&p->texts[i]);
        if (p->items[i].n == 0)
            return error_set(err, ERR_INVALID, "the prompt is empty");
    }
    return 0;
}

/* ---- chats ---- */

/* Text behind a picture or inside one: no token is put in front of it. */
static int add_text(const struct lm *lm, struct str text, struct token_list *list,
                    struct error *err)
{
    return tokenizer_encode(lm->tokenizer, text, TOKENIZE_PARSE_SPECIAL, list, err);
}

static int add_square(struct prompts *p, const struct vision *v, const struct picture *picture,
                      uint32_t square, struct error *err)
{
    uint32_t n = vision_square_tokens(v);
    CLEANUP_FREE int32_t *ids = xcalloc(n, sizeof(*ids));
    struct token_list *list = &p->lists[0];
    p->squares = xrealloc(p->squares, p->n_squares + 1, sizeof(*p->squares));
    p->square_at = xrealloc(p->square_at, p->n_squares + 1, sizeof(*p->square_at));
    p->squares[p->n_squares] = (struct prompt_media){
        .first = (uint32_t)list->n, .n = n, .whole = vision_squares_are_whole(v)};
    p->square_at[p->n_squares++] = (struct square_at){picture, square};
    vision_ids(v, picture, square, ids);
    for (uint32_t i = 0; i < n; i++)
        if (token_list_push(list, ids[i]) < 0)
            return error_set(err, ERR_NOMEM, "out of memory for the tokens of an image");
    return 0;
}

static int add_picture(struct prompts *p, const struct lm *lm, const struct vision *v,
                       const struct picture *picture, struct error *err)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < picture->n_pieces; i++) {
        const struct piece *piece = &picture->pieces[i];
        r = piece->text.ptr ? add_text(lm, piece->text, &p->lists[0], err)
                            : add_square(p, v, picture, piece->square, err);
    }
    return r;
}

/* The rendered text, cut at the markers. */
static int add_text_and_pictures(struct prompts *p, const struct lm *lm, const struct vision *v,
                                 struct error *err)
{
    struct str rest = buf_str(&p->texts[0]), marker = str_from(p->media.marker);
    for (size_t i = 0;; i++) {
        ptrdiff_t at = marker.len > 0 ? str_find(rest, marker) : -1;
        struct str text = at < 0 ? rest : str_sub(rest, 0, (size_t)at);
        if (at < 0 ? i < p->media.n_pictures : i == p->media.n_pictures)
            return error_set(err, ERR_INVALID,
                             "the chat template did not keep all images, each once and in order");
        int r = i == 0 ? lm_tokenize_prompt(lm, text, &p->lists[0], err)
                       : add_text(lm, text, &p->lists[0], err);
        if (r < 0 || at < 0)
            return r;
        r = add_picture(p, lm, v, p->media.pictures[i], err);
        if (r < 0)
            return r;
        rest = str_sub(rest, (size_t)at + marker.len, SIZE_MAX);
    }
}

int prompts_from_chat(const struct chat_prompt *chat, const struct lm *lm,
                      const struct chat_template *t, const struct vision *v, const char *why_blind,
                      struct prompts *ret, struct error *err)
{
    prompts_init(ret, 1);
    struct chat_prompt seen = *chat; /* its messages without the pictures */
    CLEANUP_JSON struct json *messages = NULL;
    int r = media_extract(chat->messages, v, why_blind, &ret->media, &messages, err);
    if (r < 0)
        return r;
    if (messages)
        seen.messages = messages;
    r = chat_template_render(t, &seen, &ret->texts[0], err);
    if (r == 0)
        r = add_text_and_pictures(ret, lm, v, err);
    if (r == 0)
        r = prompts_finish(ret, false, err);
    if (r == 0) {
        ret->items[0].media = ret->squares;
        ret->items[0].n_media = ret->n_squares;
    }
    return r;
}

int prompts_encode(struct prompts *p, struct vision *v, const volatile bool *cancel,
                   struct error *err)
{
    if (p->n_squares == 0)
        return 0;
    size_t floats = (size_t)vision_square_tokens(v) * vision_n_embd(v);
    p->rows = alloc_array(p->n_squares, floats * sizeof(float));
    if (!p->rows)
        return error_set(err, ERR_NOMEM, "out of memory for %zu images", p->media.n_pictures);
    for (size_t i = 0; i < p->n_squares; i++) {
        float *rows = p->rows + i * floats;
        int r =
            vision_encode(v, p->square_at[i].picture, p->square_at[i].square, rows, cancel, err);
        if (r < 0)
            return r;
        p->squares[i].rows = rows;
    }
    return 0;
}

/* ---- texts ---- */

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

/* A prompt with a suffix: what belongs between them is wanted. */
static int add_gap(const struct json *v, struct str suffix, const struct lm *lm, uint32_t at,
                   bool echo, struct prompts *p, struct error *err)
{
    if (!js_is(v, JS_STRING))
        return error_set(err, ERR_INVALID, "with 'suffix' a prompt must be a text, not %s",
                         js_type_name(v));
    if (echo)
        buf_append(&p->texts[at], js_to_str(v));
    const struct fim gap = {.prefix = js_to_str(v), .suffix = suffix};
    return fim_tokens(lm, &gap, &p->lists[at], err);
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
    struct str suffix = {0};
    r = js_want_str(body, "suffix", &suffix, err);
    if (r < 0)
        return r;
    const struct json *v = js_get(body, "prompt");
    if (js_is(v, JS_NULL))
        return error_set(err, ERR_INVALID, "'prompt' is missing");
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
        r = suffix.len > 0
                ? add_gap(many ? js_at(v, i) : v, suffix, lm, (uint32_t)i, echo, ret, err)
                : add_prompt(many ? js_at(v, i) : v, lm, (uint32_t)i, echo, ret, err);
    if (r == 0)
        r = prompts_finish(ret, echo, err);
    return r;
}
