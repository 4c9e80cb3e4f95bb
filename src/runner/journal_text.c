/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/journal_text.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/json.h"
#include "base/utf8.h"

enum { MEDIA_SHOWN = 100, DEPTH_MAX = 32 };

/* ---- streams ---- */

/* Adds the strings of one member to those that came before. */
static void join(struct json *to, const struct json *delta, const char *key)
{
    struct str more = js_get_str(delta, key);
    if (more.len == 0)
        return;
    struct str before = js_get_str(to, key);
    CLEANUP_BUF struct buf text = BUF_INIT(before.len + more.len + 1);
    buf_append(&text, before);
    buf_append(&text, more);
    js_set_str(to, key, buf_str(&text));
}

static void join_calls(struct json *message, const struct json *calls)
{
    for (size_t i = 0; i < js_len(calls); i++) {
        const struct json *call = js_at(calls, i);
        int64_t index = js_get_int(call, "index", 0);
        if (!js_get(message, "tool_calls"))
            js_set(message, "tool_calls", js_array());
        struct json *list = js_get(message, "tool_calls");
        if (index < 0 || index > (int64_t)js_len(list))
            continue;
        if (index == (int64_t)js_len(list)) {
            struct json *fresh = js_object();
            js_set_str(fresh, "id", js_get_str(call, "id"));
            js_set_cstr(fresh, "type", "function");
            js_set(fresh, "function", js_object());
            js_push(list, fresh);
        }
        struct json *function = js_get(js_at(list, (size_t)index), "function");
        join(function, js_get(call, "function"), "name");
        join(function, js_get(call, "function"), "arguments");
    }
}

static void fold_choice(struct json *choices, const struct json *from)
{
    int64_t index = js_get_int(from, "index", 0);
    if (index < 0 || index > (int64_t)js_len(choices))
        return;
    if (index == (int64_t)js_len(choices)) {
        struct json *fresh = js_object();
        js_set_int(fresh, "index", index);
        js_set_cstr(fresh, "finish_reason", "stop");
        js_push(choices, fresh);
    }
    struct json *choice = js_at(choices, (size_t)index);
    struct str reason = js_get_str(from, "finish_reason");
    if (reason.len > 0)
        js_set_str(choice, "finish_reason", reason);
    join(choice, from, "text");
    const struct json *delta = js_get(from, "delta");
    if (!delta)
        return;
    if (!js_get(choice, "message")) {
        struct json *message = js_object();
        js_set_cstr(message, "role", "assistant");
        js_set_cstr(message, "content", "");
        js_set(choice, "message", message);
    }
    struct json *message = js_get(choice, "message");
    join(message, delta, "content");
    join(message, delta, "reasoning_content");
    join_calls(message, js_get(delta, "tool_calls"));
}

static void fold_event(struct json *answer, const struct json *event)
{
    static const char *const keys[] = {"id",    "created", "model", "system_fingerprint",
                                       "usage", "timings", "error"};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        const struct json *v = js_get(event, keys[i]);
        if (v && !js_is(v, JS_NULL))
            js_set(answer, keys[i], js_copy(v));
    }
    const struct json *choices = js_get(event, "choices");
    for (size_t i = 0; i < js_len(choices); i++) {
        const struct json *choice = js_at(choices, i);
        js_set_cstr(answer, "object",
                    js_get(choice, "delta") ? "chat.completion" : "text_completion");
        fold_choice(js_get(answer, "choices"), choice);
    }
}

/* An answer whose end was not kept must not look like one that is whole. */
static void mark_cut(struct json *answer, uint64_t cut_bytes)
{
    CLEANUP_FREE char *note = xasprintf("...[truncated %llu bytes]", (unsigned long long)cut_bytes);
    CLEANUP_JSON struct json *more = js_object();
    js_set_cstr(more, "content", note);
    js_set_cstr(more, "text", note);
    struct json *choices = js_get(answer, "choices");
    for (size_t i = 0; i < js_len(choices); i++) {
        struct json *choice = js_at(choices, i);
        js_set(choice, "finish_reason", js_null());
        struct json *message = js_get(choice, "message");
        join(message ? message : choice, more, message ? "content" : "text");
    }
}

char *journal_fold_stream(struct str events, uint64_t cut_bytes)
{
    CLEANUP_JSON struct json *answer = js_object();
    js_set_cstr(answer, "object", "chat.completion");
    js_set(answer, "choices", js_array());
    struct str line;
    while (str_split_next(&events, '\n', &line)) {
        CLEANUP_JSON struct json *event = NULL;
        if (str_starts_with(line, STR("data: {")) &&
            js_parse(str_trim(str_sub(line, strlen("data: "), SIZE_MAX)), "an event", &event,
                     NULL) == 0)
            fold_event(answer, event);
    }
    if (cut_bytes > 0)
        mark_cut(answer, cut_bytes);
    return js_text(answer, JS_COMPACT);
}

/* ---- requests ---- */

static void cut_member(struct json *object, const char *key)
{
    struct str text = js_get_str(object, key);
    if (text.len <= MEDIA_SHOWN)
        return;
    size_t shown = utf8_complete_prefix(text.ptr, MEDIA_SHOWN);
    CLEANUP_FREE char *cut =
        xasprintf("%.*s...[truncated %zu chars]", (int)shown, text.ptr, text.len - shown);
    js_set_cstr(object, key, cut);
}

static void cut_media(struct json *v, int depth)
{
    if (depth > DEPTH_MAX)
        return;
    for (size_t i = 0; js_is(v, JS_ARRAY) && i < js_len(v); i++)
        cut_media(js_at(v, i), depth + 1);
    if (!js_is(v, JS_OBJECT))
        return;
    struct json *image = js_get(v, "image_url"), *audio = js_get(v, "input_audio");
    if (image)
        cut_member(js_is(image, JS_OBJECT) ? image : v,
                   js_is(image, JS_OBJECT) ? "url" : "image_url");
    if (audio)
        cut_member(audio, "data");
    cut_media(js_get(v, "messages"), depth + 1);
    cut_media(js_get(v, "content"), depth + 1);
}

char *journal_cut_media(struct str request)
{
    CLEANUP_JSON struct json *v = NULL;
    if (js_parse(request, "the request", &v, NULL) < 0) {
        char *copy = str_dup(request);
        return copy ? copy : xstrdup("");
    }
    cut_media(v, 0);
    return js_text(v, JS_COMPACT);
}
