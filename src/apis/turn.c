/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads what engines answer to a chat completion, see turn.h. */
#include "apis/turn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/random.h"

void turn_new_id(const char *prefix, char out[TURN_ID_MAX])
{
    char tail[24 + 1];
    random_name(RANDOM_LOWER, sizeof(tail) - 1, tail);
    snprintf(out, TURN_ID_MAX, "%s%s", prefix, tail);
}

int turn_begin(struct turn *t, const struct api *api, struct json *request,
               const struct json *before, struct error *err)
{
    *t = (struct turn){.api = api,
                       .request = js_ref(request),
                       .body = js_object(),
                       .created = clock_wall_s(),
                       .began_ns = clock_mono_ns(),
                       .reasoning = BUF_INIT(TURN_TEXT_MAX),
                       .text = BUF_INIT(TURN_TEXT_MAX),
                       .stream = api->streams,
                       .output = js_array()};
    turn_new_id(api->id_prefix, t->id);
    struct str model = {0};
    int r = js_want_str(request, "model", &model, err);
    if (r == 0 && model.len == 0)
        r = js_want_str(request, "name", &model, err); /* Ollama's other word for it */
    if (r == 0 && model.len == 0)
        return error_set(err, ERR_INVALID, "model is required");
    if (r == 0)
        r = js_want_bool(request, "stream", &t->stream, err);
    if (r < 0)
        return r;
    t->model = str_dup(model);
    if (!t->model)
        alloc_failed();
    r = api->translate(t, request, before, err);
    if (r < 0)
        return r;
    js_set_cstr(t->body, "model", t->model);
    js_set_bool(t->body, "stream", t->stream);
    if (t->stream) {
        struct json *options = js_object();
        js_set_bool(options, "include_usage", true);
        js_set(t->body, "stream_options", options);
    }
    return 0;
}

void turn_release(struct turn *t)
{
    js_free(t->request);
    js_free(t->body);
    js_free(t->output);
    free(t->model);
    free(t->stop);
    buf_release(&t->reasoning);
    buf_release(&t->text);
    for (size_t i = 0; i < t->n_calls; i++) {
        free(t->calls[i].id);
        free(t->calls[i].name);
        buf_release(&t->calls[i].arguments);
    }
    free(t->calls);
    *t = (struct turn){0};
}

/* ---- what is common to whole answers and chunks ---- */

static void take_usage(struct turn *t, const struct json *from)
{
    const struct json *usage = js_get(from, "usage"), *timings = js_get(from, "timings");
    if (js_is(usage, JS_OBJECT)) {
        t->usage.prompt = js_get_int(usage, "prompt_tokens", 0);
        t->usage.completion = js_get_int(usage, "completion_tokens", 0);
        t->usage.cached = js_get_int(js_get(usage, "prompt_tokens_details"), "cached_tokens", 0);
        t->usage.reasoning =
            js_get_int(js_get(usage, "completion_tokens_details"), "reasoning_tokens", 0);
    }
    if (js_is(timings, JS_OBJECT)) {
        t->usage.prompt_ns = (int64_t)(js_get_real(timings, "prompt_ms", 0) * 1e6);
        t->usage.completion_ns = (int64_t)(js_get_real(timings, "predicted_ms", 0) * 1e6);
    }
}

static void take_finish(struct turn *t, const struct json *choice)
{
    struct str reason = js_get_str(choice, "finish_reason");
    struct str stop = js_get_str(choice, "stop_reason"); /* vLLM's word, ours too */
    if (str_eq_c(reason, "length"))
        t->finish = TURN_LENGTH;
    else if (str_eq_c(reason, "tool_calls") || str_eq_c(reason, "function_call"))
        t->finish = TURN_CALLS;
    if (stop.ptr && !t->stop)
        t->stop = str_dup(stop);
}

static void begin_part(struct turn *t, enum turn_part part, size_t call, struct str piece,
                       struct buf *out)
{
    struct buf *to = part == PART_REASONING ? &t->reasoning
                     : part == PART_TEXT    ? &t->text
                                            : &t->calls[call].arguments;
    if (out)
        t->api->piece(t, part, call, piece, out);
    buf_append(to, piece);
    t->part = part;
    t->call = call;
}

static void take_text(struct turn *t, enum turn_part part, struct str piece, struct buf *out)
{
    if (piece.len > 0)
        begin_part(t, part, 0, piece, out);
}

/* The call with this index; engines number them from 0 on. One without an index continues the last
 * one, or begins another if it has an id or a name of its own. */
static int find_call(struct turn *t, const struct json *v, size_t *ret, bool *ret_new,
                     struct error *err)
{
    struct str id = js_get_str(v, "id"), name = js_get_str(js_get(v, "function"), "name");
    int64_t index = js_get_int(v, "index", -1);
    *ret_new = false;
    if (index >= 0 && (uint64_t)index < t->n_calls) {
        *ret = (size_t)index;
        return 0;
    }
    if (index < 0 && id.len == 0 && name.len == 0 && t->n_calls > 0) {
        *ret = t->n_calls - 1;
        return 0;
    }
    if (t->n_calls == TURN_CALLS_MAX)
        return error_set(err, ERR_TOO_LARGE, "the engine made more than %d tool calls",
                         TURN_CALLS_MAX);
    t->calls = xrealloc(t->calls, t->n_calls + 1, sizeof(*t->calls));
    struct turn_call *c = &t->calls[t->n_calls];
    char made[TURN_ID_MAX];
    turn_new_id("call_", made);
    *c = (struct turn_call){.id = id.len > 0 ? str_dup(id) : xstrdup(made),
                            .name = str_dup(name.ptr ? name : STR("")),
                            .arguments = BUF_INIT(TURN_TEXT_MAX)};
    if (!c->id || !c->name)
        alloc_failed();
    *ret = t->n_calls++;
    *ret_new = true;
    return 0;
}

static int take_calls(struct turn *t, const struct json *list, struct buf *out, struct error *err)
{
    for (size_t i = 0; i < js_len(list); i++) {
        const struct json *v = js_at(list, i);
        size_t call = 0;
        bool is_new = false;
        int r = find_call(t, v, &call, &is_new, err);
        if (r < 0)
            return r;
        struct str arguments = js_get_str(js_get(v, "function"), "arguments");
        if (is_new || arguments.len > 0)
            begin_part(t, PART_CALL, call, arguments.ptr ? arguments : STR(""), out);
    }
    return 0;
}

/* A message, or what a chunk adds to it. */
static int take_message(struct turn *t, const struct json *m, struct buf *out, struct error *err)
{
    struct str reasoning = js_get_str(m, "reasoning_content");
    if (!reasoning.ptr)
        reasoning = js_get_str(m, "reasoning"); /* vLLM, OpenRouter */
    take_text(t, PART_REASONING, reasoning, out);
    take_text(t, PART_TEXT, js_get_str(m, "content"), out);
    int r = take_calls(t, js_get(m, "tool_calls"), out, err);
    if (r == 0)
        r = buf_check(&t->text, "the answer", err);
    return r == 0 ? buf_check(&t->reasoning, "the answer's reasoning", err) : r;
}

/* ---- streams ---- */

void turn_open(struct turn *t, struct buf *out)
{
    t->api->open(t, out);
}

int turn_chunk(struct turn *t, const struct json *chunk, struct buf *out, struct error *err)
{
    const struct json *failure = js_get(chunk, "error");
    if (js_is(failure, JS_OBJECT))
        return error_set(err, ERR_UNAVAILABLE, "%s",
                         js_get_cstr(failure, "message", "the engine failed"));
    const struct json *choice = js_at(js_get(chunk, "choices"), 0);
    int r = take_message(t, js_get(choice, "delta"), out, err);
    take_finish(t, choice);
    take_usage(t, chunk);
    return r;
}

void turn_end(struct turn *t, struct buf *out)
{
    t->api->end(t, out);
}

/* ---- whole answers ---- */

int turn_whole(struct turn *t, const struct json *completion, struct json **ret, struct error *err)
{
    const struct json *choice = js_at(js_get(completion, "choices"), 0);
    const struct json *message = js_get(choice, "message");
    if (!js_is(message, JS_OBJECT))
        return error_set(err, ERR_CORRUPT, "the engine's answer has no message");
    int r = take_message(t, message, NULL, err);
    if (r < 0)
        return r;
    take_finish(t, choice);
    take_usage(t, completion);
    *ret = t->api->whole(t);
    return 0;
}
