/* SPDX-License-Identifier: Apache-2.0
 *
 * Shapes of completion answers. */
#include "engine/api/answer.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/random.h"
#include "engine/api/legacy_functions.h"

enum { TEXT_MAX = 256 << 20 };

static const char *const reason_names[] = {[FINISH_STOP] = "stop", [FINISH_LENGTH] = "length"};

void answer_init(struct answer *a, bool chat, uint32_t n_prompts, uint32_t n,
                 const struct dialect *d, const struct dialect_options *o)
{
    *a = (struct answer){.chat = chat, .n_prompts = n_prompts, .n = n};
    a->created = clock_wall_s();
    char tail[32 + 1];
    random_name(RANDOM_HEX, sizeof(tail) - 1, tail);
    snprintf(a->id, sizeof(a->id), "%s%s", chat ? "chatcmpl-" : "cmpl-", tail);
    a->choices = xcalloc((size_t)n_prompts * n, sizeof(*a->choices));
    for (uint32_t i = 0; i < n_prompts * n; i++)
        reading_init(&a->choices[i].reading, d, o);
}

void answer_release(struct answer *a)
{
    for (uint32_t i = 0; a->choices && i < a->n_prompts * a->n; i++) {
        reading_release(&a->choices[i].reading);
        free(a->choices[i].stop);
        js_free(a->choices[i].logprobs);
    }
    free(a->choices);
    *a = (struct answer){0};
}

/* ---- log-probabilities ---- */

/* OpenAI's stand-in for minus infinity, which JSON has no number for. */
static double finite_logprob(float p)
{
    return p > -9999.0F ? (double)p : -9999.0;
}

static void token_bytes(const struct answer *a, int32_t id, struct buf *out)
{
    buf_clear(out);
    tokenizer_piece(a->tokenizer, id, true, out, NULL);
}

/* {"id", "token", "bytes", "logprob"} */
static struct json *chat_token(const struct answer *a, int32_t id, float logprob)
{
    CLEANUP_BUF struct buf text = BUF_INIT(TEXT_MAX);
    token_bytes(a, id, &text);
    struct json *t = js_object(), *bytes = js_array();
    for (size_t i = 0; i < text.len; i++)
        js_push(bytes, js_int((unsigned char)text.data[i]));
    js_set_int(t, "id", id);
    js_set_str(t, "token", buf_str(&text));
    js_set(t, "bytes", bytes);
    js_set_real(t, "logprob", finite_logprob(logprob));
    return t;
}

static struct json *chat_logprobs(const struct answer *a, const struct generation_event *e)
{
    struct json *content = js_array();
    for (size_t i = 0; i < e->n_tokens; i++) {
        const struct token_info *info = &e->tokens[i];
        struct json *t = chat_token(a, info->id, info->logprob), *top = js_array();
        for (uint32_t k = 0; k < info->n_top; k++)
            js_push(top, chat_token(a, info->top[k].id, info->top[k].logprob));
        js_set(t, "top_logprobs", top);
        js_push(content, t);
    }
    struct json *o = js_object();
    js_set(o, "content", content);
    return o;
}

/* The older form: parallel arrays. */
static struct json *text_logprobs(struct answer *a, const struct generation_event *e)
{
    CLEANUP_BUF struct buf text = BUF_INIT(TEXT_MAX);
    struct json *tokens = js_array(), *logprobs = js_array(), *tops = js_array(),
                *offsets = js_array();
    for (size_t i = 0; i < e->n_tokens; i++) {
        const struct token_info *info = &e->tokens[i];
        struct json *top = js_object();
        for (uint32_t k = 0; k < info->n_top; k++) {
            token_bytes(a, info->top[k].id, &text);
            CLEANUP_JSON struct json *key = js_str(buf_str(&text)); /* valid UTF-8 in any case */
            js_set_n(top, js_to_str(key), js_real(finite_logprob(info->top[k].logprob)));
        }
        token_bytes(a, info->id, &text);
        js_push(tokens, js_str(buf_str(&text)));
        js_push(logprobs, js_real(finite_logprob(info->logprob)));
        js_push(tops, top);
        js_push(offsets, js_int((int64_t)a->choices[e->choice].text_offset));
        a->choices[e->choice].text_offset += text.len;
    }
    struct json *o = js_object();
    js_set(o, "tokens", tokens);
    js_set(o, "token_logprobs", logprobs);
    js_set(o, "top_logprobs", tops);
    js_set(o, "text_offset", offsets);
    return o;
}

struct json *answer_logprobs(struct answer *a, const struct generation_event *e)
{
    if (!a->logprobs || e->n_tokens == 0)
        return NULL;
    return a->chat ? chat_logprobs(a, e) : text_logprobs(a, e);
}

/* Appends the arrays of one logprobs object to those of another of the same form. */
static struct json *merge_logprobs(struct json *to, struct json *from)
{
    if (!to)
        return from;
    struct json_iter it = {0};
    while (js_next(from, &it)) {
        struct json *array = js_get_n(to, it.key);
        for (size_t i = 0; i < js_len(it.value); i++)
            js_push(array, js_ref(js_at(it.value, i)));
    }
    js_free(from);
    return to;
}

/* ---- collecting ---- */

static struct json *chunk(const struct answer *a, struct json *choice);
static struct json *chunk_choice(uint32_t choice, const char *reason);

/* Where the deltas of an event go. */
struct deltas {
    const struct answer *a;
    uint32_t choice;
    struct json *logprobs; /* go with the first of them */
    answer_chunk_fn fn;
    void *ctx;
};

static void put_delta(void *ctx, struct json *delta)
{
    struct deltas *d = ctx;
    if (d->a->legacy_functions)
        legacy_functions_answer(delta);
    struct json *c = chunk_choice(d->choice, NULL);
    js_set(c, "delta", delta);
    if (d->a->logprobs)
        js_set(c, "logprobs", d->logprobs ? TAKE(d->logprobs) : js_null());
    d->fn(d->ctx, chunk(d->a, c));
}

static void add_chat(struct answer *a, const struct generation_event *e, struct json *logprobs,
                     answer_chunk_fn fn, void *ctx)
{
    struct reading *r = &a->choices[e->choice].reading;
    struct deltas d = {a, e->choice, logprobs, fn, ctx};
    if (e->kind == EVENT_FINISH)
        reading_finish(r, fn ? put_delta : NULL, &d);
    else
        reading_feed(r, e->text, e->n_predicted, fn ? put_delta : NULL, &d);
    if (fn && d.logprobs) { /* tokens whose text is held back, or says nothing */
        struct json *empty = js_object();
        js_set_cstr(empty, "content", "");
        put_delta(&d, empty);
    }
}

void answer_add(struct answer *a, const struct generation_event *e, answer_chunk_fn fn, void *ctx)
{
    struct answer_choice *c = &a->choices[e->choice];
    struct json *logprobs = e->kind == EVENT_TEXT ? answer_logprobs(a, e) : NULL;
    if (a->chat)
        add_chat(a, e, fn ? logprobs : NULL, fn, ctx);
    else if (e->kind == EVENT_TEXT && fn)
        fn(ctx, answer_chunk_text(a, e->choice, e->text, logprobs));
    else if (e->kind == EVENT_TEXT)
        buf_append(&c->reading.content, e->text);
    if (logprobs && !fn)
        c->logprobs = merge_logprobs(c->logprobs, logprobs);
    if (e->kind == EVENT_FINISH) {
        c->finished = true;
        c->reason = e->reason;
        c->stats = e->stats;
        c->stop = e->text.ptr ? str_dup(e->text) : NULL;
    }
}

static const char *reason_name(const struct answer *a, const struct answer_choice *c)
{
    if (c->reason == FINISH_STOP && c->reading.n_calls > 0)
        return a->legacy_functions ? "function_call" : "tool_calls";
    return reason_names[c->reason];
}

/* ---- the parts all shapes share ---- */

static void set_head(const struct answer *a, struct json *o, const char *object)
{
    js_set_int(o, "created", a->created);
    js_set_cstr(o, "id", a->id);
    js_set_str(o, "model", a->model);
    js_set_cstr(o, "system_fingerprint", "model-runner-" MR_VERSION);
    js_set_cstr(o, "object", object);
}

/* A prompt counts once, however many choices continue it. */
static struct json *usage(const struct answer *a)
{
    int64_t prompt = 0, cached = 0, completion = 0, reasoning = 0;
    bool reads = false;
    for (uint32_t i = 0; i < a->n_prompts * a->n; i++) {
        const struct generation_stats *s = &a->choices[i].stats;
        completion += s->n_predicted;
        reasoning += a->choices[i].reading.n_reasoning;
        reads = reads || a->choices[i].reading.parser;
        if (i % a->n == 0) {
            prompt += s->n_prompt;
            cached += s->n_cached;
        }
    }
    struct json *u = js_object(), *details = js_object();
    js_set_int(u, "completion_tokens", completion);
    js_set_int(u, "prompt_tokens", prompt);
    js_set_int(u, "total_tokens", prompt + completion);
    js_set_int(details, "cached_tokens", cached);
    js_set(u, "prompt_tokens_details", details);
    if (reads) {
        struct json *more = js_object();
        js_set_int(more, "reasoning_tokens", reasoning);
        js_set(u, "completion_tokens_details", more);
    }
    return u;
}

static void set_rate(struct json *t, const char *part, int64_t n, double ms)
{
    char key[48];
    snprintf(key, sizeof(key), "%s_n", part);
    js_set_int(t, key, n);
    snprintf(key, sizeof(key), "%s_ms", part);
    js_set_real(t, key, ms);
    snprintf(key, sizeof(key), "%s_per_token_ms", part);
    js_set_real(t, key, n > 0 ? ms / (double)n : 0);
    snprintf(key, sizeof(key), "%s_per_second", part);
    js_set_real(t, key, ms > 0 ? 1000 * (double)n / ms : 0);
}

void answer_add_timings(const struct answer *a, struct json *to)
{
    int64_t cached = 0, prompt = 0, predicted = 0;
    double prompt_ms = 0, predicted_ms = 0;
    for (uint32_t i = 0; i < a->n_prompts * a->n; i++) {
        const struct generation_stats *s = &a->choices[i].stats;
        predicted += s->n_predicted;
        predicted_ms = MAX(predicted_ms, s->predicted_ms); /* they ran side by side */
        if (i % a->n == 0) {
            cached += s->n_cached;
            prompt += s->n_prompt - s->n_cached;
            prompt_ms = MAX(prompt_ms, s->prompt_ms);
        }
    }
    struct json *t = js_object();
    js_set_int(t, "cache_n", cached);
    set_rate(t, "prompt", prompt, prompt_ms);
    set_rate(t, "predicted", predicted, predicted_ms);
    js_set(to, "timings", t);
    js_set_int(to, "seed", (int64_t)a->seed);
}

/* ---- whole answers ---- */

static struct json *whole_choice(const struct answer *a, uint32_t i)
{
    const struct answer_choice *c = &a->choices[i];
    struct json *o = js_object();
    js_set_cstr(o, "finish_reason", reason_name(a, c));
    js_set_int(o, "index", i);
    if (a->chat) {
        struct json *message = reading_message(&c->reading);
        if (a->legacy_functions)
            legacy_functions_answer(message);
        js_set(o, "message", message);
    } else {
        CLEANUP_BUF struct buf text = BUF_INIT(2 * (size_t)TEXT_MAX);
        if (a->echo)
            buf_append(&text, a->echo[i / a->n]);
        buf_append(&text, buf_str(&c->reading.content));
        js_set_str(o, "text", buf_str(&text));
    }
    js_set(o, "logprobs", c->logprobs ? js_ref(c->logprobs) : js_null());
    if (c->stop)
        js_set_cstr(o, "stop_reason", c->stop); /* as vLLM says it */
    return o;
}

struct json *answer_whole(const struct answer *a)
{
    struct json *o = js_object(), *choices = js_array();
    for (uint32_t i = 0; i < a->n_prompts * a->n; i++)
        js_push(choices, whole_choice(a, i));
    js_set(o, "choices", choices);
    set_head(a, o, a->chat ? "chat.completion" : "text_completion");
    js_set(o, "usage", usage(a));
    answer_add_timings(a, o);
    return o;
}

/* ---- chunks ---- */

static struct json *chunk(const struct answer *a, struct json *choice)
{
    struct json *o = js_object(), *choices = js_array();
    if (choice)
        js_push(choices, choice);
    js_set(o, "choices", choices);
    set_head(a, o, a->chat ? "chat.completion.chunk" : "text_completion");
    return o;
}

static struct json *chunk_choice(uint32_t choice, const char *reason)
{
    struct json *c = js_object();
    js_set_cstr(c, "finish_reason", reason);
    js_set_int(c, "index", choice);
    return c;
}

struct json *answer_chunk_role(const struct answer *a, uint32_t choice)
{
    struct json *c = chunk_choice(choice, NULL), *delta = js_object();
    js_set_cstr(delta, "role", "assistant");
    js_set(delta, "content", js_null());
    js_set(c, "delta", delta);
    return chunk(a, c);
}

struct json *answer_chunk_text(const struct answer *a, uint32_t choice, struct str text,
                               struct json *logprobs)
{
    struct json *c = chunk_choice(choice, NULL);
    js_set_str(c, "text", text);
    if (a->logprobs)
        js_set(c, "logprobs", logprobs ? logprobs : js_null());
    return chunk(a, c);
}

struct json *answer_chunk_finish(const struct answer *a, uint32_t choice)
{
    struct json *c = chunk_choice(choice, reason_name(a, &a->choices[choice]));
    if (a->chat)
        js_set(c, "delta", js_object());
    else
        js_set_cstr(c, "text", "");
    if (a->choices[choice].stop)
        js_set_cstr(c, "stop_reason", a->choices[choice].stop);
    return chunk(a, c);
}

struct json *answer_chunk_usage(const struct answer *a)
{
    struct json *o = chunk(a, NULL);
    js_set(o, "usage", usage(a));
    return o;
}
