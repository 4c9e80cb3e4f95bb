/* SPDX-License-Identifier: Apache-2.0
 *
 * Tools in words, see tool_prompt.h. */
#include "engine/api/tool_prompt.h"

#include "base/buf.h"
#include "engine/dialect/call_writer.h"

enum { TEXT_MAX = 64 << 20 };

/* A call of nothing, in the family's form. */
static void write_example(const struct call_format *f, struct buf *out)
{
    struct json *calls = js_array(), *call = js_object(), *function = js_object();
    struct json *arguments = js_object();
    js_set_cstr(arguments, "KEY", "VALUE");
    js_set_cstr(function, "name", "NAME");
    js_set(function, "arguments", f->style == CALLS_PYTHON ? js_ref(arguments) : js_cstr("{…}"));
    js_set_cstr(call, "id", "000000001");
    js_set(call, "function", function);
    js_push(calls, call);
    calls_write(f, calls, out);
    js_free(arguments);
    js_free(calls);
}

static void describe(const struct json *tools, const struct call_format *f, struct buf *out)
{
    buf_append(out,
               STR("You may call functions to help with the user's request. These are there, as "
                   "JSON schemas:\n<tools>\n"));
    for (size_t i = 0; i < js_len(tools); i++) {
        js_write(js_get(js_at(tools, i), "function"), JS_COMPACT, out);
        buf_push(out, '\n');
    }
    buf_append(out,
               STR("</tools>\nTo call one, answer with its name and arguments in this form; to "
                   "call several, with one behind the other:\n"));
    write_example(f, out);
}

void tool_prompt_instruct(struct json *messages, const struct json *tools,
                          const struct call_format *f, bool by_user)
{
    CLEANUP_BUF struct buf text = BUF_INIT(TEXT_MAX);
    const char *role = by_user ? "user" : "system";
    struct json *first = js_at(messages, 0);
    bool there = str_eq_c(js_get_str(first, "role"), role);
    if (there && !by_user) {
        buf_append(&text, js_get_str(first, "content"));
        buf_append(&text, STR("\n\n"));
    }
    describe(tools, f, &text);
    if (there && by_user) {
        buf_append(&text, STR("\n\n"));
        buf_append(&text, js_get_str(first, "content"));
    }
    if (there) {
        js_set_str(first, "content", buf_str(&text));
        return;
    }
    struct json *m = js_object();
    js_set_cstr(m, "role", role);
    js_set_str(m, "content", buf_str(&text));
    js_insert(messages, 0, m);
}

void tool_prompt_write_calls(struct json *message, const struct call_format *f)
{
    CLEANUP_BUF struct buf text = BUF_INIT(TEXT_MAX);
    buf_append(&text, js_get_str(message, "content"));
    if (text.len > 0 && f->style == CALLS_JSON && !(f->flags & CALLS_LIST))
        buf_push(&text, '\n');
    calls_write(f, js_get(message, "tool_calls"), &text);
    js_set_str(message, "content", buf_str(&text));
    js_del(message, "tool_calls");
}

static void show_result(struct json *message)
{
    CLEANUP_BUF struct buf text = BUF_INIT(TEXT_MAX);
    buf_append(&text, STR("<tool_response>\n"));
    buf_append(&text, js_get_str(message, "content"));
    buf_append(&text, STR("\n</tool_response>"));
    js_set_cstr(message, "role", "user");
    js_set_str(message, "content", buf_str(&text));
}

/* Many templates want user and assistant to take turns. */
static void join_users(struct json *messages)
{
    for (size_t i = 1; i < js_len(messages);) {
        struct json *before = js_at(messages, i - 1), *m = js_at(messages, i);
        if (!str_eq_c(js_get_str(before, "role"), "user") ||
            !str_eq_c(js_get_str(m, "role"), "user") || !js_get_str(before, "content").ptr ||
            !js_get_str(m, "content").ptr) {
            i++;
            continue;
        }
        CLEANUP_BUF struct buf text = BUF_INIT(TEXT_MAX);
        buf_append(&text, js_get_str(before, "content"));
        buf_push(&text, '\n');
        buf_append(&text, js_get_str(m, "content"));
        js_set_str(before, "content", buf_str(&text));
        js_remove(messages, i);
    }
}

void tool_prompt_write_results(struct json *messages)
{
    bool results = false;
    for (size_t i = 0; i < js_len(messages); i++) {
        if (!str_eq_c(js_get_str(js_at(messages, i), "role"), "tool"))
            continue;
        show_result(js_at(messages, i));
        results = true;
    }
    if (results)
        join_users(messages);
}

/* ---- one call a message ---- */

/* Where the result of a call is, among those from `at` on; else the first of them. */
static size_t find_result(const struct json *messages, size_t at, struct str id)
{
    for (size_t i = at; str_eq_c(js_get_str(js_at(messages, i), "role"), "tool"); i++)
        if (id.ptr && str_eq(js_get_str(js_at(messages, i), "tool_call_id"), id))
            return i;
    return at;
}

void tool_prompt_split_calls(struct json *messages, size_t at)
{
    struct json *message = js_at(messages, at);
    const struct json *calls = js_get(message, "tool_calls");
    struct json *first = js_array(), *rest = js_copy(calls), *next = js_object();
    size_t result = find_result(messages, at + 1, js_get_str(js_at(calls, 0), "id"));
    js_push(first, js_copy(js_at(calls, 0)));
    js_remove(rest, 0);
    js_set_cstr(next, "role", "assistant");
    js_set(next, "content", js_is(js_get(message, "content"), JS_STRING) ? js_cstr("") : js_null());
    js_set(next, "tool_calls", rest);
    js_set(message, "tool_calls", first);
    size_t to = at + 1;
    if (str_eq_c(js_get_str(js_at(messages, result), "role"), "tool")) {
        struct json *moved = js_ref(js_at(messages, result));
        js_remove(messages, result);
        js_insert(messages, to++, moved);
    }
    js_insert(messages, to, next);
}
