/* SPDX-License-Identifier: Apache-2.0
 *
 * Checking chat messages. */
#include "engine/api/messages.h"

#include "base/buf.h"
#include "base/str.h"

static int join_parts(const struct json *parts, size_t at, struct buf *out, struct error *err)
{
    for (size_t i = 0; i < js_len(parts); i++) {
        const struct json *part = js_at(parts, i);
        struct str type = js_get_str(part, "type");
        if (!type.ptr)
            return error_set(err, ERR_INVALID,
                             "messages[%zu].content[%zu] must be an object with a 'type'", at, i);
        if (str_eq_c(type, "input_audio"))
            return error_set(err, ERR_INVALID,
                             "messages[%zu].content[%zu] is audio, but this model has no hearing",
                             at, i);
        if (!str_eq_c(type, "text"))
            return error_set(err, ERR_INVALID,
                             "messages[%zu].content[%zu].type is '%.*s', only 'text' is supported",
                             at, i, STR_ARG(type));
        struct str text = js_get_str(part, "text");
        if (!text.ptr)
            return error_set(err, ERR_INVALID, "messages[%zu].content[%zu].text must be a string",
                             at, i);
        if (i > 0)
            buf_push(out, '\n');
        buf_append(out, text);
    }
    return buf_check(out, "the content of a message", err);
}

static int normalise_content(const struct json *from, size_t at, unsigned flags, struct json *to,
                             struct error *err)
{
    const struct json *content = js_get(from, "content");
    switch (js_type(content)) {
    case JS_STRING:
        return 0; /* as it is */
    case JS_NULL:
        /* An assistant that called a tool said nothing; templates test for none. */
        if (!str_eq_c(js_get_str(from, "role"), "assistant"))
            return error_set(err, ERR_INVALID, "messages[%zu].content must be a string or an array",
                             at);
        js_set(to, "content", flags & MESSAGES_EMPTY_CONTENT ? js_cstr("") : js_null());
        return 0;
    case JS_ARRAY: {
        CLEANUP_BUF struct buf text = BUF_INIT(JSON_MAX_BYTES);
        int r = join_parts(content, at, &text, err);
        if (r == 0)
            js_set_str(to, "content", buf_str(&text));
        return r;
    }
    default:
        return error_set(err, ERR_INVALID,
                         "messages[%zu].content must be a string or an array of parts, not %s", at,
                         js_type_name(content));
    }
}

static int normalise_tool_calls(struct json *message, size_t at, unsigned flags, struct error *err)
{
    const struct json *calls = js_get(message, "tool_calls");
    if (js_is(calls, JS_NULL))
        return 0;
    if (!js_is(calls, JS_ARRAY))
        return error_set(err, ERR_INVALID, "messages[%zu].tool_calls must be an array, not %s", at,
                         js_type_name(calls));
    for (size_t i = 0; i < js_len(calls); i++) {
        struct json *function = js_get(js_at(calls, i), "function");
        if (!js_get_str(function, "name").ptr)
            return error_set(err, ERR_INVALID,
                             "messages[%zu].tool_calls[%zu].function.name must be a string", at, i);
        struct json *value;
        struct str arguments = js_get_str(function, "arguments");
        if (flags & MESSAGES_PARSE_ARGUMENTS && arguments.ptr &&
            js_parse(arguments, "arguments", &value, NULL) == 0) {
            if (js_is(value, JS_OBJECT))
                js_set(function, "arguments", TAKE(value));
            js_free(value);
        }
    }
    return 0;
}

static int normalise_message(const struct json *from, size_t at, unsigned flags, struct json *to,
                             struct error *err)
{
    if (!js_is(from, JS_OBJECT))
        return error_set(err, ERR_INVALID, "messages[%zu] must be an object, not %s", at,
                         js_type_name(from));
    if (js_get_str(from, "role").len == 0)
        return error_set(err, ERR_INVALID, "messages[%zu].role must be a string such as 'user'",
                         at);
    int r = normalise_content(from, at, flags, to, err);
    if (r == 0)
        r = normalise_tool_calls(to, at, flags, err);
    return r;
}

int messages_normalise(const struct json *messages, unsigned flags, struct json **ret,
                       struct error *err)
{
    if (!js_is(messages, JS_ARRAY))
        return error_set(err, ERR_INVALID, "'messages' must be an array of messages, not %s",
                         js_type_name(messages));
    if (js_len(messages) == 0)
        return error_set(err, ERR_INVALID, "'messages' is empty");
    if (js_len(messages) > MESSAGES_MAX)
        return error_set(err, ERR_INVALID, "'messages' has %zu messages, at most %d are possible",
                         js_len(messages), MESSAGES_MAX);
    CLEANUP_JSON struct json *out = js_array();
    for (size_t i = 0; i < js_len(messages); i++) {
        const struct json *from = js_at(messages, i);
        struct json *to = js_copy(from);
        js_push(out, to);
        int r = normalise_message(from, i, flags, to, err);
        if (r < 0)
            return r;
    }
    *ret = TAKE(out);
    return 0;
}
