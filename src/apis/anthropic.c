/* SPDX-License-Identifier: Apache-2.0
 *
 * Anthropic's Messages API (POST /v1/messages).
 * Source: https://docs.anthropic.com/en/api/messages and …/messages-streaming. */
#include <stdio.h>
#include <string.h>

#include "apis/request.h"
#include "apis/turn.h"
#include "base/alloc.h"
#include "http/sse.h"

/* ---- requests ---- */

static int refuse_block(const struct json *block, const char *where, struct error *err)
{
    struct str type = js_get_str(block, "type");
    if (!type.ptr)
        return error_set(err, ERR_INVALID, "%s: every block needs a 'type'", where);
    return error_set(err, ERR_INVALID, "%s: blocks of type '%.*s' are not supported here", where,
                     STR_ARG(type));
}

/* {"type": "base64", "media_type", "data"} or {"type": "url", "url"} */
static int image_of(const struct json *block, struct json *parts, const char *where,
                    struct error *err)
{
    const struct json *source = js_get(block, "source");
    struct str type = js_get_str(source, "type"), url = js_get_str(source, "url"),
               data = js_get_str(source, "data");
    if (str_eq_c(type, "url") && url.ptr)
        js_push(parts, image_part(url));
    else if (str_eq_c(type, "base64") && data.ptr)
        js_push(parts, image_part_base64(js_get_str(source, "media_type"), data));
    else
        return error_set(err, ERR_INVALID,
                         "%s: an image's source must be {\"type\": \"base64\", \"media_type\", "
                         "\"data\"} or {\"type\": \"url\", \"url\"}",
                         where);
    return 0;
}

/* Text and images, as `system`, a message or a tool's result may have them. */
static int add_blocks(const struct json *content, struct json *parts, const char *where,
                      struct error *err)
{
    if (js_is(content, JS_STRING)) {
        js_push(parts, text_part(js_to_str(content)));
        return 0;
    }
    for (size_t i = 0; i < js_len(content); i++) {
        const struct json *block = js_at(content, i);
        struct str type = js_get_str(block, "type"), text = js_get_str(block, "text");
        int r = 0;
        if (str_eq_c(type, "text") && text.ptr)
            js_push(parts, text_part(text));
        else if (str_eq_c(type, "image"))
            r = image_of(block, parts, where, err);
        else
            r = refuse_block(block, where, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* The texts of all parts, a line break between two; images go to `others`. */
static struct json *joined_texts(const struct json *parts, struct json *others)
{
    CLEANUP_BUF struct buf text = BUF_INIT(TURN_TEXT_MAX);
    bool first = true;
    for (size_t i = 0; i < js_len(parts); i++) {
        struct json *part = js_at(parts, i);
        struct str s = js_get_str(part, "text");
        if (!s.ptr) {
            js_push(others, js_ref(part));
            continue;
        }
        if (!first)
            buf_push(&text, '\n');
        first = false;
        buf_append(&text, s);
    }
    return js_str(buf_str(&text));
}

static int translate_system(const struct json *request, struct json *messages, struct error *err)
{
    const struct json *system = js_get(request, "system");
    if (!system || js_is(system, JS_NULL))
        return 0;
    CLEANUP_JSON struct json *parts = js_array(), *images = js_array();
    int r = add_blocks(system, parts, "system", err);
    if (r == 0 && js_len(parts) > 0)
        js_push(messages, chat_message("system", joined_texts(parts, images)));
    return r;
}

/* A result is a message of its own; what is no text in it follows as the user's. */
static int tool_result(const struct json *block, struct json *messages, struct json *parts,
                       const char *where, struct error *err)
{
    struct str id = js_get_str(block, "tool_use_id");
    if (!id.ptr)
        return error_set(err, ERR_INVALID, "%s: a tool_result needs a 'tool_use_id'", where);
    CLEANUP_JSON struct json *inner = js_array();
    const struct json *content = js_get(block, "content");
    int r = content ? add_blocks(content, inner, where, err) : 0;
    struct json *m = chat_message("tool", joined_texts(inner, parts));
    js_set_str(m, "tool_call_id", id);
    js_push(messages, m);
    return r;
}

static int user_message(const struct json *content, struct json *messages, const char *where,
                        struct error *err)
{
    struct json *parts = js_array();
    int r = 0;
    if (js_is(content, JS_STRING))
        r = add_blocks(content, parts, where, err);
    for (size_t i = 0; i < js_len(content) && r == 0; i++) {
        const struct json *block = js_at(content, i);
        if (str_eq_c(js_get_str(block, "type"), "tool_result")) {
            r = tool_result(block, messages, parts, where, err);
            continue;
        }
        CLEANUP_JSON struct json *one = js_array();
        js_push(one, js_ref(js_at(content, i)));
        r = add_blocks(one, parts, where, err);
    }
    if (r == 0 && js_len(parts) > 0)
        js_push(messages, chat_message("user", content_of_parts(js_ref(parts))));
    js_free(parts);
    return r;
}

static int assistant_message(const struct json *content, struct json *messages, const char *where,
                             struct error *err)
{
    CLEANUP_BUF struct buf text = BUF_INIT(TURN_TEXT_MAX), thinking = BUF_INIT(TURN_TEXT_MAX);
    CLEANUP_JSON struct json *calls = js_array();
    bool has_text = js_is(content, JS_STRING);
    if (has_text)
        buf_append(&text, js_to_str(content));
    for (size_t i = 0; js_is(content, JS_ARRAY) && i < js_len(content); i++) {
        const struct json *block = js_at(content, i);
        struct str type = js_get_str(block, "type"), name = js_get_str(block, "name"),
                   id = js_get_str(block, "id");
        if (str_eq_c(type, "text")) {
            has_text = true;
            buf_append(&text, js_get_str(block, "text"));
        } else if (str_eq_c(type, "thinking")) {
            buf_append(&thinking, js_get_str(block, "thinking"));
        } else if (str_eq_c(type, "tool_use") && name.ptr && id.ptr) {
            const struct json *given = js_get(block, "input");
            CLEANUP_FREE char *input = given ? js_text(given, JS_COMPACT) : xstrdup("{}");
            js_push(calls, chat_call(id, name, str_from(input)));
        } else if (!str_eq_c(type, "redacted_thinking")) {
            return refuse_block(block, where, err);
        }
    }
    struct json *m = chat_message("assistant", has_text ? js_str(buf_str(&text)) : NULL);
    if (thinking.len > 0)
        js_set_str(m, "reasoning_content", buf_str(&thinking));
    if (js_len(calls) > 0)
        js_set(m, "tool_calls", TAKE(calls));
    js_push(messages, m);
    return 0;
}

static int translate_messages(const struct json *request, struct json *messages, struct error *err)
{
    const struct json *list = js_get(request, "messages");
    if (!js_is(list, JS_ARRAY) || js_len(list) == 0)
        return error_set(err, ERR_INVALID, "messages: at least one message is required");
    for (size_t i = 0; i < js_len(list); i++) {
        const struct json *m = js_at(list, i), *content = js_get(m, "content");
        struct str role = js_get_str(m, "role");
        char where[48];
        snprintf(where, sizeof(where), "messages.%zu", i);
        bool user = str_eq_c(role, "user");
        if (!user && !str_eq_c(role, "assistant"))
            return error_set(err, ERR_INVALID, "%s.role must be 'user' or 'assistant'", where);
        if (!js_is(content, JS_STRING) && !js_is(content, JS_ARRAY))
            return error_set(err, ERR_INVALID, "%s.content must be a string or an array of blocks",
                             where);
        int r = user ? user_message(content, messages, where, err)
                     : assistant_message(content, messages, where, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int translate_tools(const struct json *request, struct json *body, struct error *err)
{
    const struct json *list = js_get(request, "tools");
    CLEANUP_JSON struct json *tools = js_array();
    for (size_t i = 0; i < js_len(list); i++) {
        const struct json *tool = js_at(list, i);
        struct str type = js_get_str(tool, "type"), name = js_get_str(tool, "name");
        struct json *schema = js_get(tool, "input_schema");
        if (type.ptr && !str_eq_c(type, "custom"))
            return error_set(err, ERR_INVALID,
                             "tools.%zu: '%.*s' runs on Anthropic's servers and does not exist "
                             "here; leave it out",
                             i, STR_ARG(type));
        if (!name.ptr || !js_is(schema, JS_OBJECT))
            return error_set(err, ERR_INVALID, "tools.%zu needs a 'name' and an 'input_schema'", i);
        js_push(tools, chat_tool(name, js_get_str(tool, "description"), js_ref(schema)));
    }
    if (js_len(tools) > 0)
        js_set(body, "tools", TAKE(tools));
    return 0;
}

static int translate_tool_choice(const struct json *request, struct json *body, struct error *err)
{
    const struct json *choice = js_get(request, "tool_choice");
    if (!choice || js_is(choice, JS_NULL))
        return 0;
    struct str type = js_get_str(choice, "type"), name = js_get_str(choice, "name");
    if (js_get_bool(choice, "disable_parallel_tool_use", false))
        js_set_bool(body, "parallel_tool_calls", false);
    if (str_eq_c(type, "tool") && name.ptr) {
        struct json *one = js_object(), *function = js_object();
        js_set_str(function, "name", name);
        js_set_cstr(one, "type", "function");
        js_set(one, "function", function);
        js_set(body, "tool_choice", one);
        return 0;
    }
    const char *word = str_eq_c(type, "auto")   ? "auto"
                       : str_eq_c(type, "any")  ? "required"
                       : str_eq_c(type, "none") ? "none"
                                                : NULL;
    if (!word)
        return error_set(err, ERR_INVALID,
                         "tool_choice.type must be 'auto', 'any', 'none', or 'tool' with a 'name'");
    js_set_cstr(body, "tool_choice", word);
    return 0;
}

static int translate_thinking(const struct json *request, struct json *body, struct error *err)
{
    const struct json *thinking = js_get(request, "thinking");
    struct str type = js_get_str(thinking, "type");
    int64_t budget = -1;
    if (!thinking || js_is(thinking, JS_NULL))
        return 0;
    bool enabled = str_eq_c(type, "enabled") || str_eq_c(type, "adaptive");
    if (!enabled && !str_eq_c(type, "disabled"))
        return error_set(err, ERR_INVALID,
                         "thinking.type must be 'enabled', 'adaptive' or 'disabled'");
    int r = js_want_int(thinking, "budget_tokens", 0, INT32_MAX, &budget, err);
    if (r < 0)
        return error_wrap(err, "thinking");
    struct json *kwargs = js_object();
    js_set_bool(kwargs, "enable_thinking", enabled);
    js_set(body, "chat_template_kwargs", kwargs);
    if (enabled && budget >= 0)
        js_set_int(body, "thinking_budget_tokens", budget);
    return 0;
}

/* {"type": "json_schema", "schema": …}, under either name that it has had. */
static int translate_format(const struct json *request, struct json *body, struct error *err)
{
    const struct json *format = js_get(js_get(request, "output_config"), "format");
    if (!format)
        format = js_get(request, "output_format");
    if (!format || js_is(format, JS_NULL))
        return 0;
    struct json *schema = js_get(format, "schema");
    if (!str_eq_c(js_get_str(format, "type"), "json_schema") || !schema)
        return error_set(err, ERR_INVALID,
                         "output_format must be {\"type\": \"json_schema\", \"schema\": …}");
    js_set(body, "response_format", schema_format(STR("answer"), js_ref(schema)));
    return 0;
}

static int translate(struct turn *t, const struct json *request, const struct json *before,
                     struct error *err)
{
    (void)before;
    struct json *messages = js_array();
    js_set(t->body, "messages", messages);
    int64_t max_tokens = -1;
    int r = js_want_int(request, "max_tokens", 1, INT32_MAX, &max_tokens, err);
    if (r == 0 && max_tokens < 0)
        return error_set(err, ERR_INVALID, "max_tokens: Field required");
    js_set_int(t->body, "max_tokens", max_tokens);
    if (r == 0)
        r = translate_system(request, messages, err);
    if (r == 0)
        r = translate_messages(request, messages, err);
    if (r == 0)
        r = translate_tools(request, t->body, err);
    if (r == 0)
        r = translate_tool_choice(request, t->body, err);
    if (r == 0)
        r = translate_thinking(request, t->body, err);
    if (r == 0)
        r = translate_format(request, t->body, err);
    pass_on(request, "temperature", t->body, "temperature");
    pass_on(request, "top_p", t->body, "top_p");
    pass_on(request, "top_k", t->body, "top_k");
    pass_on(request, "stop_sequences", t->body, "stop");
    return r;
}

/* ---- answers ---- */

static const char *stop_reason(const struct turn *t)
{
    return t->n_calls > 0             ? "tool_use"
           : t->finish == TURN_LENGTH ? "max_tokens"
           : t->stop                  ? "stop_sequence"
                                      : "end_turn";
}

static struct json *usage(const struct turn *t)
{
    struct json *u = js_object();
    js_set_int(u, "input_tokens", t->usage.prompt - t->usage.cached);
    js_set_int(u, "cache_creation_input_tokens", 0);
    js_set_int(u, "cache_read_input_tokens", t->usage.cached);
    js_set_int(u, "output_tokens", t->usage.completion);
    return u;
}

static struct json *message(const struct turn *t, struct json *content, const char *reason)
{
    struct json *m = js_object();
    js_set_cstr(m, "id", t->id);
    js_set_cstr(m, "type", "message");
    js_set_cstr(m, "role", "assistant");
    js_set_cstr(m, "model", t->model);
    js_set(m, "content", content);
    js_set_cstr(m, "stop_reason", reason);
    js_set_cstr(m, "stop_sequence", reason ? t->stop : NULL);
    js_set(m, "usage", usage(t));
    return m;
}

static struct json *block(const char *type, const char *key, struct str text)
{
    struct json *b = js_object();
    js_set_cstr(b, "type", type);
    js_set_str(b, key, text);
    if (strcmp(type, "thinking") == 0)
        js_set_cstr(b, "signature", ""); /* nothing is signed here */
    return b;
}

static struct json *tool_use(const struct turn_call *c, bool with_input)
{
    struct json *b = js_object(), *input = NULL;
    js_set_cstr(b, "type", "tool_use");
    js_set_cstr(b, "id", c->id);
    js_set_cstr(b, "name", c->name);
    if (with_input)
        js_parse(buf_str(&c->arguments), "the arguments", &input, NULL);
    js_set(b, "input", input ? input : js_object());
    return b;
}

static struct json *whole(struct turn *t)
{
    struct json *content = js_array();
    if (t->reasoning.len > 0)
        js_push(content, block("thinking", "thinking", buf_str(&t->reasoning)));
    if (t->text.len > 0)
        js_push(content, block("text", "text", buf_str(&t->text)));
    for (size_t i = 0; i < t->n_calls; i++)
        js_push(content, tool_use(&t->calls[i], true));
    return message(t, content, stop_reason(t));
}

/* ---- streams ---- */

/* Writes {"type": TYPE, …} as an event of that name, and frees it. */
static void event(struct buf *out, const char *type, struct json *v)
{
    CLEANUP_JSON struct json *e = js_object();
    js_set_cstr(e, "type", type);
    struct json_iter it = {0};
    while (js_next(v, &it))
        js_set_n(e, it.key, js_ref(it.value));
    js_free(v);
    CLEANUP_FREE char *text = js_text(e, JS_COMPACT);
    sse_write(out, type, str_from(text));
}

static void open_stream(struct turn *t, struct buf *out)
{
    struct json *v = js_object();
    js_set(v, "message", message(t, js_array(), NULL));
    event(out, "message_start", v);
}

static void delta(struct turn *t, const char *type, const char *key, struct str piece,
                  struct buf *out)
{
    struct json *v = js_object(), *d = js_object();
    js_set_cstr(d, "type", type);
    js_set_str(d, key, piece);
    js_set_int(v, "index", t->item - 1);
    js_set(v, "delta", d);
    event(out, "content_block_delta", v);
}

static void close_block(struct turn *t, struct buf *out)
{
    if (t->part == PART_NONE)
        return;
    if (t->part == PART_REASONING)
        delta(t, "signature_delta", "signature", STR(""), out);
    struct json *v = js_object();
    js_set_int(v, "index", t->item - 1);
    event(out, "content_block_stop", v);
}

static void begin_block(struct turn *t, struct json *content, struct buf *out)
{
    struct json *v = js_object();
    js_set_int(v, "index", t->item++);
    js_set(v, "content_block", content);
    event(out, "content_block_start", v);
}

static void piece(struct turn *t, enum turn_part part, size_t call, struct str text,
                  struct buf *out)
{
    if (part != t->part || call != t->call) {
        close_block(t, out);
        begin_block(t,
                    part == PART_REASONING ? block("thinking", "thinking", STR(""))
                    : part == PART_TEXT    ? block("text", "text", STR(""))
                                           : tool_use(&t->calls[call], false),
                    out);
    }
    if (part == PART_REASONING)
        delta(t, "thinking_delta", "thinking", text, out);
    else if (part == PART_TEXT)
        delta(t, "text_delta", "text", text, out);
    else if (text.len > 0)
        delta(t, "input_json_delta", "partial_json", text, out);
}

static void end(struct turn *t, struct buf *out)
{
    close_block(t, out);
    struct json *v = js_object(), *d = js_object();
    js_set_cstr(d, "stop_reason", stop_reason(t));
    js_set_cstr(d, "stop_sequence", t->stop);
    js_set(v, "delta", d);
    js_set(v, "usage", usage(t));
    event(out, "message_delta", v);
    event(out, "message_stop", js_object());
}

/* ---- errors ---- */

static struct json *error_body(int status, const char *text)
{
    static const struct {
        int status;
        const char *type;
    } types[] = {{401, "authentication_error"}, {403, "permission_error"},
                 {404, "not_found_error"},      {413, "request_too_large"},
                 {429, "rate_limit_error"},     {503, "overloaded_error"}};
    const char *type = status >= 400 && status < 500 ? "invalid_request_error" : "api_error";
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (types[i].status == status)
            type = types[i].type;
    struct json *v = js_object(), *inner = js_object();
    js_set_cstr(inner, "type", type);
    js_set_cstr(inner, "message", text);
    js_set_cstr(v, "type", "error");
    js_set(v, "error", inner);
    return v;
}

static void broken(struct turn *t, int status, const char *text, struct buf *out)
{
    (void)t;
    CLEANUP_JSON struct json *v = error_body(status, text);
    CLEANUP_FREE char *line = js_text(v, JS_COMPACT);
    sse_write(out, "error", str_from(line));
}

const struct api api_anthropic = {
    .stream_type = "text/event-stream",
    .id_prefix = "msg_",
    .translate = translate,
    .open = open_stream,
    .piece = piece,
    .end = end,
    .whole = whole,
    .error = error_body,
    .broken = broken,
};
