/* SPDX-License-Identifier: Apache-2.0
 *
 * Tools in words, see tool_prompt.h. */
#include "engine/api/tool_prompt.h"

#include "base/buf.h"

enum { TEXT_MAX = 64 << 20 };

static void describe(const struct json *tools, struct buf *out)
{
    buf_append(out,
               STR("You may call functions to help with the user's request. These are there, as "
                   "JSON schemas:\n<tools>\n"));
    for (size_t i = 0; i < js_len(tools); i++) {
        js_write(js_get(js_at(tools, i), "function"), JS_COMPACT, out);
        buf_push(out, '\n');
    }
    buf_append(out, STR("</tools>\nTo call one, answer with its name and arguments as JSON between "
                        "these tags; to call several, one behind the other:\n<tool_call>\n"
                        "{\"name\": \"NAME\", \"arguments\": {…}}\n</tool_call>"));
}

static void add_instruction(struct json *messages, const struct json *tools, bool by_user)
{
    CLEANUP_BUF struct buf text = BUF_INIT(TEXT_MAX);
    const char *role = by_user ? "user" : "system";
    struct json *first = js_at(messages, 0);
    bool there = str_eq_c(js_get_str(first, "role"), role);
    if (there && !by_user) {
        buf_append(&text, js_get_str(first, "content"));
        buf_append(&text, STR("\n\n"));
    }
    describe(tools, &text);
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

static void show_calls(struct json *message)
{
    CLEANUP_BUF struct buf text = BUF_INIT(TEXT_MAX);
    const struct json *calls = js_get(message, "tool_calls");
    buf_append(&text, js_get_str(message, "content"));
    for (size_t i = 0; i < js_len(calls); i++) {
        const struct json *function = js_get(js_at(calls, i), "function");
        const struct json *arguments = js_get(function, "arguments");
        buf_append_c(&text,
                     text.len > 0 ? "\n<tool_call>\n{\"name\": " : "<tool_call>\n{\"name\": ");
        js_write_string(js_get_str(function, "name"), &text);
        buf_append(&text, STR(", \"arguments\": "));
        if (js_is(arguments, JS_STRING))
            buf_append(&text, js_to_str(arguments));
        else if (arguments)
            js_write(arguments, JS_COMPACT, &text);
        else
            buf_append(&text, STR("{}"));
        buf_append(&text, STR("}\n</tool_call>"));
    }
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

void tool_prompt_apply(struct json *messages, const struct json *tools, bool by_user)
{
    bool results = false;
    for (size_t i = 0; i < js_len(messages); i++) {
        struct json *m = js_at(messages, i);
        if (js_len(js_get(m, "tool_calls")) > 0) {
            show_calls(m);
        } else if (str_eq_c(js_get_str(m, "role"), "tool")) {
            show_result(m);
            results = true;
        }
    }
    if (tools)
        add_instruction(messages, tools, by_user);
    if (results)
        join_users(messages);
}
