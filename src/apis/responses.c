/* SPDX-License-Identifier: Apache-2.0
 *
 * OpenAI's Responses API (POST /v1/responses): what a request means, and the response object. Its
 * streams are in responses_stream.c.
 * Source: https://platform.openai.com/docs/api-reference/responses. */
#include "apis/responses.h"

#include <stdio.h>
#include <string.h>

#include "apis/request.h"
#include "base/alloc.h"
#include "base/clock.h"

/* ---- input ---- */

static int add_part(const struct json *part, struct json *parts, const char *where,
                    struct error *err)
{
    struct str type = js_get_str(part, "type"), text = js_get_str(part, "text");
    bool is_text = str_eq_c(type, "input_text") || str_eq_c(type, "output_text") ||
                   str_eq_c(type, "text") || str_eq_c(type, "reasoning_text") ||
                   str_eq_c(type, "summary_text");
    if (str_eq_c(type, "refusal"))
        text = js_get_str(part, "refusal");
    else if (str_eq_c(type, "input_image") || str_eq_c(type, "image_url")) {
        const struct json *image = js_get(part, "image_url");
        struct str url = js_is(image, JS_OBJECT) ? js_get_str(image, "url") : js_to_str(image);
        if (!url.ptr)
            return error_set(err, ERR_INVALID, "%s: an image needs an 'image_url'", where);
        js_push(parts, image_part(url));
        return 0;
    } else if (!is_text) {
        return error_set(err, ERR_INVALID, "%s: content of type '%.*s' is not supported", where,
                         STR_ARG(type.ptr ? type : STR("(none)")));
    }
    if (!text.ptr)
        return error_set(err, ERR_INVALID, "%s: a text must be a string", where);
    js_push(parts, text_part(text));
    return 0;
}

/* A string or an array of parts; the parts are appended to an array. */
static int add_content(const struct json *content, struct json *parts, const char *where,
                       struct error *err)
{
    if (js_is(content, JS_STRING))
        js_push(parts, text_part(js_to_str(content)));
    else if (!js_is(content, JS_ARRAY))
        return error_set(err, ERR_INVALID, "%s: the content must be a string or an array", where);
    int r = 0;
    for (size_t i = 0; js_is(content, JS_ARRAY) && i < js_len(content) && r == 0; i++)
        r = add_part(js_at(content, i), parts, where, err);
    return r;
}

static struct json *texts_of(const struct json *parts)
{
    CLEANUP_BUF struct buf text = BUF_INIT(TURN_TEXT_MAX);
    for (size_t i = 0; i < js_len(parts); i++)
        buf_append(&text, js_get_str(js_at(parts, i), "text"));
    return js_str(buf_str(&text));
}

/* What one answer consists of comes as several items: reasoning, a message, calls. They become one
 * message of the assistant, this one if it is the last and may still get more. */
static struct json *assistant(struct json *messages, bool for_text)
{
    size_t n = js_len(messages);
    struct json *last = n > 0 ? js_at(messages, n - 1) : NULL;
    bool taken = js_get(last, "tool_calls") || js_is(js_get(last, "content"), JS_STRING);
    if (!last || !str_eq_c(js_get_str(last, "role"), "assistant") || (for_text && taken)) {
        last = chat_message("assistant", NULL);
        js_push(messages, last);
    }
    return last;
}

static int add_message(const struct json *item, struct json *messages, const char *where,
                       struct error *err)
{
    struct str role = js_get_str(item, "role");
    struct json *parts = js_array();
    int r = add_content(js_get(item, "content"), parts, where, err);
    if (r == 0 && str_eq_c(role, "assistant"))
        js_set(assistant(messages, true), "content", texts_of(parts));
    else if (r == 0 && str_eq_c(role, "user"))
        js_push(messages, chat_message("user", content_of_parts(js_ref(parts))));
    else if (r == 0 && (str_eq_c(role, "system") || str_eq_c(role, "developer")))
        js_push(messages, chat_message("system", texts_of(parts)));
    else if (r == 0)
        r = error_set(err, ERR_INVALID,
                      "%s.role must be 'user', 'assistant', 'system' or 'developer'", where);
    js_free(parts);
    return r;
}

static int add_call(const struct json *item, struct json *messages, const char *where,
                    struct error *err)
{
    struct str id = js_get_str(item, "call_id"), name = js_get_str(item, "name"),
               arguments = js_get_str(item, "arguments");
    if (!id.ptr || !name.ptr || !arguments.ptr)
        return error_set(err, ERR_INVALID,
                         "%s: a function_call needs 'call_id', 'name' and 'arguments'", where);
    struct json *m = assistant(messages, false);
    if (!js_get(m, "tool_calls"))
        js_set(m, "tool_calls", js_array());
    js_push(js_get(m, "tool_calls"), chat_call(id, name, arguments));
    return 0;
}

static int add_call_output(const struct json *item, struct json *messages, const char *where,
                           struct error *err)
{
    struct str id = js_get_str(item, "call_id");
    if (!id.ptr)
        return error_set(err, ERR_INVALID, "%s: a function_call_output needs a 'call_id'", where);
    CLEANUP_JSON struct json *parts = js_array();
    int r = add_content(js_get(item, "output"), parts, where, err);
    if (r < 0)
        return r;
    struct json *m = chat_message("tool", texts_of(parts));
    js_set_str(m, "tool_call_id", id);
    js_push(messages, m);
    return 0;
}

static int add_reasoning(const struct json *item, struct json *messages, const char *where,
                         struct error *err)
{
    const struct json *content = js_get(item, "content");
    CLEANUP_JSON struct json *parts = js_array();
    if (js_len(content) == 0)
        content = js_get(item, "summary");
    int r = js_len(content) > 0 ? add_content(content, parts, where, err) : 0;
    if (r == 0 && js_len(parts) > 0)
        js_set(assistant(messages, true), "reasoning_content", texts_of(parts));
    return r;
}

static int add_item(const struct json *item, struct json *messages, const char *where,
                    struct error *err)
{
    struct str type = js_get_str(item, "type");
    if ((!type.ptr && js_get(item, "role")) || str_eq_c(type, "message"))
        return add_message(item, messages, where, err);
    if (str_eq_c(type, "function_call"))
        return add_call(item, messages, where, err);
    if (str_eq_c(type, "function_call_output"))
        return add_call_output(item, messages, where, err);
    if (str_eq_c(type, "reasoning"))
        return add_reasoning(item, messages, where, err);
    return error_set(err, ERR_INVALID, "%s: items of type '%.*s' are not supported", where,
                     STR_ARG(type.ptr ? type : STR("(none)")));
}

int responses_messages(const struct json *items, struct json *messages, struct error *err)
{
    int r = 0;
    for (size_t i = 0; i < js_len(items) && r == 0; i++) {
        char where[32];
        snprintf(where, sizeof(where), "input[%zu]", i);
        r = add_item(js_at(items, i), messages, where, err);
    }
    return r;
}

struct json *responses_items(const struct json *request)
{
    struct json *input = js_get(request, "input");
    if (js_is(input, JS_ARRAY))
        return js_ref(input);
    struct json *items = js_array();
    if (js_is(input, JS_STRING)) {
        struct json *m = chat_message("user", js_ref(input));
        js_set_cstr(m, "type", "message");
        js_push(items, m);
    }
    return items;
}

/* ---- the other fields ---- */

static int refuse(const struct json *request, struct error *err)
{
    static const char *const fields[] = {"prompt", "conversation", "top_logprobs"};
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        const struct json *v = js_get(request, fields[i]);
        if (v && !js_is(v, JS_NULL) && js_to_int(v, 1) != 0)
            return error_set(err, ERR_INVALID, "'%s' is not supported%s", fields[i],
                             i == 1 ? "; use 'previous_response_id'" : "");
    }
    if (js_get_bool(request, "background", false))
        return error_set(err, ERR_INVALID, "'background' is not supported");
    struct str truncation = js_get_str(request, "truncation");
    if (truncation.len > 0 && !str_eq_c(truncation, "disabled"))
        return error_set(err, ERR_INVALID,
                         "'truncation' other than 'disabled' is not supported: nothing is cut from "
                         "a conversation unsaid");
    const struct json *include = js_get(request, "include");
    for (size_t i = 0; i < js_len(include); i++) {
        struct str what = js_to_str(js_at(include, i));
        if (!str_eq_c(what, "reasoning.encrypted_content")) /* there is none to include */
            return error_set(err, ERR_INVALID, "'include' of '%.*s' is not supported",
                             STR_ARG(what));
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
        if (!str_eq_c(type, "function"))
            return error_set(err, ERR_INVALID,
                             "tools[%zu]: type '%.*s' is not supported, only 'function' is", i,
                             STR_ARG(type.ptr ? type : STR("(none)")));
        if (!name.ptr)
            return error_set(err, ERR_INVALID, "tools[%zu] needs a 'name'", i);
        struct json *parameters = js_get(tool, "parameters");
        struct json *made = chat_tool(name, js_get_str(tool, "description"),
                                      js_is(parameters, JS_OBJECT) ? js_ref(parameters) : NULL);
        pass_on(tool, "strict", js_get(made, "function"), "strict");
        js_push(tools, made);
    }
    if (js_len(tools) > 0)
        js_set(body, "tools", TAKE(tools));
    return 0;
}

/* {"type": "function", "name"} → {"type": "function", "function": {"name"}} */
static struct json *named_tool(const struct json *from)
{
    struct json *v = js_object(), *function = js_object();
    pass_on(from, "name", function, "name");
    js_set_cstr(v, "type", "function");
    js_set(v, "function", function);
    return v;
}

static int translate_tool_choice(const struct json *request, struct json *body, struct error *err)
{
    struct json *choice = js_get(request, "tool_choice");
    struct str type = js_get_str(choice, "type");
    if (!choice || js_is(choice, JS_NULL))
        return 0;
    if (js_is(choice, JS_STRING)) {
        js_set(body, "tool_choice", js_ref(choice));
    } else if (str_eq_c(type, "function")) {
        js_set(body, "tool_choice", named_tool(choice));
    } else if (str_eq_c(type, "allowed_tools")) {
        struct json *v = js_object(), *inner = js_object(), *tools = js_array();
        for (size_t i = 0; i < js_len(js_get(choice, "tools")); i++)
            js_push(tools, named_tool(js_at(js_get(choice, "tools"), i)));
        pass_on(choice, "mode", inner, "mode");
        js_set(inner, "tools", tools);
        js_set_cstr(v, "type", "allowed_tools");
        js_set(v, "allowed_tools", inner);
        js_set(body, "tool_choice", v);
    } else {
        return error_set(err, ERR_INVALID, "'tool_choice' of type '%.*s' is not supported",
                         STR_ARG(type.ptr ? type : STR("(none)")));
    }
    return 0;
}

static bool is_format_name(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '_' || c == '-'))
            return false;
    }
    return s.len >= 1 && s.len <= 64;
}

static int translate_format(const struct json *request, struct json *body, struct error *err)
{
    const struct json *format = js_get(js_get(request, "text"), "format");
    struct str type = js_get_str(format, "type");
    if (!format || js_is(format, JS_NULL) || str_eq_c(type, "text"))
        return 0;
    if (str_eq_c(type, "json_object")) {
        js_set(body, "response_format", js_copy(format));
        return 0;
    }
    struct json *schema = js_get(format, "schema");
    if (!str_eq_c(type, "json_schema"))
        return error_set(err, ERR_INVALID, "unsupported text.format.type \"%.*s\"", STR_ARG(type));
    if (!is_format_name(js_get_str(format, "name")))
        return error_set(err, ERR_INVALID,
                         "text.format.name must be 1 to 64 letters, digits, '_' or '-'");
    if (!js_is(schema, JS_OBJECT))
        return error_set(err, ERR_INVALID, "text.format.schema must be an object");
    js_set(body, "response_format", schema_format(js_get_str(format, "name"), js_ref(schema)));
    return 0;
}

static int translate(struct turn *t, const struct json *request, const struct json *before,
                     struct error *err)
{
    CLEANUP_JSON struct json *items = responses_items(request);
    struct json *messages = js_array();
    js_set(t->body, "messages", messages);
    struct str instructions = {0};
    int64_t max_tokens = -1;
    int r = refuse(request, err);
    if (r == 0)
        r = js_want_str(request, "instructions", &instructions, err);
    if (r == 0)
        r = js_want_int(request, "max_output_tokens", 1, INT32_MAX, &max_tokens, err);
    if (r == 0 && instructions.len > 0)
        js_push(messages, chat_message("system", js_str(instructions)));
    if (r == 0 && before)
        r = responses_messages(before, messages, err);
    if (r == 0)
        r = responses_messages(items, messages, err);
    if (r == 0 && js_len(messages) == (size_t)(instructions.len > 0))
        return error_set(err, ERR_INVALID, "'input' must be a text or a list of items");
    if (r == 0)
        r = translate_tools(request, t->body, err);
    if (r == 0)
        r = translate_tool_choice(request, t->body, err);
    if (r == 0)
        r = translate_format(request, t->body, err);
    if (max_tokens > 0)
        js_set_int(t->body, "max_tokens", max_tokens);
    static const char *const same[] = {"temperature", "top_p", "parallel_tool_calls", "user",
                                       "seed"};
    for (size_t i = 0; i < ARRAY_LEN(same); i++)
        pass_on(request, same[i], t->body, same[i]);
    pass_on(request, "reasoning_effort", t->body, "reasoning_effort");
    pass_on(js_get(request, "reasoning"), "effort", t->body, "reasoning_effort");
    return r;
}

/* ---- the response object ---- */

static struct json *usage(const struct turn *t)
{
    struct json *u = js_object(), *in = js_object(), *out = js_object();
    js_set_int(u, "input_tokens", t->usage.prompt);
    js_set_int(in, "cached_tokens", t->usage.cached);
    js_set(u, "input_tokens_details", in);
    js_set_int(u, "output_tokens", t->usage.completion);
    js_set_int(out, "reasoning_tokens", t->usage.reasoning);
    js_set(u, "output_tokens_details", out);
    js_set_int(u, "total_tokens", t->usage.prompt + t->usage.completion);
    return u;
}

static void echo(const struct json *request, const char *key, struct json *to,
                 struct json *otherwise)
{
    js_set(to, key, otherwise);
    pass_on(request, key, to, key);
}

struct json *responses_object(const struct turn *t, const char *status, const char *failure)
{
    bool done = strcmp(status, "in_progress") != 0, cut = strcmp(status, "incomplete") == 0;
    struct json *o = js_object(), *why = js_null();
    js_set_cstr(o, "id", t->id);
    js_set_cstr(o, "object", "response");
    js_set_int(o, "created_at", t->created);
    js_set_cstr(o, "status", status);
    if (failure) {
        struct json *e = js_object();
        js_set_cstr(e, "code", "server_error");
        js_set_cstr(e, "message", failure);
        js_set(o, "error", e);
    } else {
        js_set(o, "error", js_null());
    }
    if (cut) {
        js_free(why);
        why = js_object();
        js_set_cstr(why, "reason", "max_output_tokens");
    }
    js_set(o, "incomplete_details", why);
    js_set_cstr(o, "model", t->model);
    js_set(o, "output", js_copy(t->output));
    if (done)
        js_set_str(o, "output_text", buf_str(&t->text));
    struct json *text = js_object(), *format = js_object();
    js_set_cstr(format, "type", "text");
    js_set(text, "format", format);
    echo(t->request, "instructions", o, js_null());
    echo(t->request, "max_output_tokens", o, js_null());
    echo(t->request, "metadata", o, js_object());
    echo(t->request, "parallel_tool_calls", o, js_bool(true));
    echo(t->request, "previous_response_id", o, js_null());
    echo(t->request, "reasoning", o, js_null());
    echo(t->request, "reasoning_effort", o, js_null());
    echo(t->request, "store", o, js_bool(true));
    echo(t->request, "temperature", o, js_null());
    echo(t->request, "text", o, text);
    echo(t->request, "tool_choice", o, js_cstr("auto"));
    echo(t->request, "tools", o, js_array());
    echo(t->request, "top_p", o, js_null());
    js_set_cstr(o, "truncation", "disabled");
    echo(t->request, "user", o, js_null());
    js_set(o, "usage", done && !failure ? usage(t) : js_null());
    return o;
}

const char *responses_status(const struct turn *t)
{
    return t->finish == TURN_LENGTH ? "incomplete" : "completed";
}

struct json *responses_item(const struct turn *t, enum turn_part part, size_t call, const char *id,
                            const char *status, bool with_content)
{
    struct json *item = js_object(), *content = js_array();
    const struct turn_call *c = part == PART_CALL ? &t->calls[call] : NULL;
    js_set_cstr(item, "id", id);
    js_set_cstr(item, "type", c ? "function_call" : part == PART_TEXT ? "message" : "reasoning");
    js_set_cstr(item, "status", status);
    if (c) {
        js_set_cstr(item, "call_id", c->id);
        js_set_cstr(item, "name", c->name);
        js_set_str(item, "arguments", with_content ? buf_str(&c->arguments) : STR(""));
        js_free(content);
        return item;
    }
    if (with_content)
        js_push(content, responses_part(part, responses_text(t, part)));
    if (part == PART_TEXT)
        js_set_cstr(item, "role", "assistant");
    else
        js_set(item, "summary", js_array());
    js_set(item, "content", content);
    return item;
}

struct str responses_text(const struct turn *t, enum turn_part part)
{
    return str_sub(buf_str(part == PART_TEXT ? &t->text : &t->reasoning), t->item_at, SIZE_MAX);
}

struct json *responses_part(enum turn_part part, struct str text)
{
    struct json *p = js_object();
    js_set_cstr(p, "type", part == PART_TEXT ? "output_text" : "reasoning_text");
    js_set_str(p, "text", text);
    if (part == PART_TEXT) {
        js_set(p, "annotations", js_array());
        js_set(p, "logprobs", js_array());
    }
    return p;
}

void responses_item_id(enum turn_part part, char out[TURN_ID_MAX])
{
    turn_new_id(part == PART_CALL ? "fc_" : part == PART_TEXT ? "msg_" : "rs_", out);
}

struct json *responses_whole(struct turn *t)
{
    const enum turn_part parts[] = {PART_REASONING, PART_TEXT};
    const char *status = responses_status(t);
    char id[TURN_ID_MAX];
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if ((parts[i] == PART_TEXT ? t->text.len : t->reasoning.len) == 0)
            continue;
        responses_item_id(parts[i], id);
        js_push(t->output, responses_item(t, parts[i], 0, id, status, true));
    }
    for (size_t i = 0; i < t->n_calls; i++) {
        responses_item_id(PART_CALL, id);
        js_push(t->output, responses_item(t, PART_CALL, i, id, status, true));
    }
    return responses_object(t, status, NULL);
}

static struct json *error_body(int status, const char *message)
{
    struct json *v = js_object(), *e = js_object();
    js_set_cstr(e, "code",
                status == 413   ? "request_too_large"
                : status == 404 ? "not_found"
                : status < 500  ? "invalid_request"
                                : "internal_error");
    js_set_cstr(e, "message", message);
    js_set_cstr(e, "type", status < 500 ? "invalid_request_error" : "server_error");
    js_set(e, "param", js_null());
    js_set(v, "error", e);
    return v;
}

const struct api api_responses = {
    .stream_type = "text/event-stream",
    .id_prefix = "resp_",
    .translate = translate,
    .open = responses_open,
    .piece = responses_piece,
    .end = responses_end,
    .whole = responses_whole,
    .error = error_body,
    .broken = responses_broken,
};
