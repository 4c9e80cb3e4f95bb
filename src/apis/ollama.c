/* SPDX-License-Identifier: Apache-2.0
 *
 * Ollama's chat and generate (POST /api/chat, /api/generate): one JSON object a line.
 * Source: https://github.com/ollama/ollama/blob/main/docs/api.md. */
#include <string.h>
#include <time.h>

#include "apis/request.h"
#include "apis/turn.h"
#include "base/alloc.h"
#include "base/clock.h"

/* ---- requests ---- */

/* num_predict below 0 is "until it ends", which is what leaving it out means. What only concerns
 * how Ollama's engine runs (num_gpu, use_mmap, …) is not for us; num_ctx is the daemon's business.
 */
static int translate_options(const struct json *request, struct json *body, struct error *err)
{
    static const char *const same[] = {"temperature",
                                       "top_p",
                                       "top_k",
                                       "min_p",
                                       "typical_p",
                                       "seed",
                                       "stop",
                                       "repeat_penalty",
                                       "repeat_last_n",
                                       "presence_penalty",
                                       "frequency_penalty"};
    const struct json *options = js_get(request, "options");
    if (options && !js_is(options, JS_OBJECT) && !js_is(options, JS_NULL))
        return error_set(err, ERR_INVALID, "'options' must be an object");
    for (size_t i = 0; i < ARRAY_LEN(same); i++)
        pass_on(options, same[i], body, same[i]);
    int64_t n = -1;
    int r = js_want_int(options, "num_predict", INT32_MIN, INT32_MAX, &n, err);
    if (r == 0 && n >= 0)
        js_set_int(body, "max_tokens", n);
    return r;
}

/* "json", or a schema. */
static int translate_format(const struct json *request, struct json *body, struct error *err)
{
    struct json *format = js_get(request, "format");
    struct str word = js_to_str(format);
    if (!format || js_is(format, JS_NULL) || (word.ptr && word.len == 0))
        return 0;
    if (js_is(format, JS_OBJECT)) {
        js_set(body, "response_format", schema_format(STR("answer"), js_ref(format)));
        return 0;
    }
    if (!str_eq_c(word, "json"))
        return error_set(err, ERR_INVALID, "'format' must be \"json\" or a JSON schema");
    struct json *any = js_object();
    js_set_cstr(any, "type", "json_object");
    js_set(body, "response_format", any);
    return 0;
}

/* true, false, or how much: "low", "medium", "high". */
static int translate_think(const struct json *request, struct json *body, struct error *err)
{
    const struct json *think = js_get(request, "think");
    struct str effort = js_to_str(think);
    if (!think || js_is(think, JS_NULL))
        return 0;
    if (!js_is(think, JS_BOOL) && !str_eq_c(effort, "low") && !str_eq_c(effort, "medium") &&
        !str_eq_c(effort, "high"))
        return error_set(err, ERR_INVALID,
                         "'think' must be true, false, \"low\", \"medium\" or \"high\"");
    struct json *kwargs = js_object();
    js_set_bool(kwargs, "enable_thinking", js_to_bool(think, true));
    js_set(body, "chat_template_kwargs", kwargs);
    if (effort.ptr)
        js_set_str(body, "reasoning_effort", effort);
    return 0;
}

static int add_images(const struct json *list, struct json *parts, struct error *err)
{
    for (size_t i = 0; i < js_len(list); i++) {
        struct str image = js_to_str(js_at(list, i));
        if (!image.ptr)
            return error_set(err, ERR_INVALID, "'images' must be an array of base64 texts");
        bool url = str_starts_with(image, STR("data:")) || str_starts_with(image, STR("http://")) ||
                   str_starts_with(image, STR("https://"));
        js_push(parts, url ? image_part(image) : image_part_base64(STR(""), image));
    }
    return 0;
}

static struct json *user_content(struct str text, const struct json *images, struct error *err,
                                 int *ret)
{
    struct json *parts = js_array();
    if (text.len > 0 || js_len(images) == 0)
        js_push(parts, text_part(text.ptr ? text : STR("")));
    *ret = add_images(images, parts, err);
    return content_of_parts(parts);
}

/* Arguments are an object here and a text there; an id is made up where there is none. */
static int add_calls(const struct json *from, struct json *m, size_t at, struct error *err)
{
    const struct json *list = js_get(from, "tool_calls");
    struct json *calls = js_array();
    for (size_t i = 0; i < js_len(list); i++) {
        const struct json *call = js_at(list, i), *function = js_get(call, "function"),
                          *arguments = js_get(function, "arguments");
        struct str name = js_get_str(function, "name"), id = js_get_str(call, "id");
        if (!name.ptr) {
            js_free(calls);
            return error_set(err, ERR_INVALID, "messages[%zu].tool_calls[%zu] has no name", at, i);
        }
        CLEANUP_FREE char *text = arguments ? js_text(arguments, JS_COMPACT) : xstrdup("{}");
        CLEANUP_FREE char *made = xasprintf("call_%zu_%zu", at, i);
        struct str given = js_to_str(arguments);
        js_push(calls, chat_call(id.len > 0 ? id : str_from(made), name,
                                 given.ptr ? given : str_from(text)));
    }
    if (js_len(calls) > 0)
        js_set(m, "tool_calls", calls);
    else
        js_free(calls);
    return 0;
}

/* The id of a result: its own, else that of the next call which has no result yet. */
static void set_call_id(const struct json *from, const struct json *messages, struct json *m)
{
    pass_on(from, "tool_call_id", m, "tool_call_id");
    size_t n_results = 0;
    for (size_t i = js_len(messages); i > 0 && !js_get(m, "tool_call_id"); i--) {
        const struct json *before = js_at(messages, i - 1), *calls = js_get(before, "tool_calls");
        if (str_eq_c(js_get_str(before, "role"), "tool"))
            n_results++;
        else if (calls)
            pass_on(js_at(calls, MIN(n_results, js_len(calls) - 1)), "id", m, "tool_call_id");
        else
            break;
    }
}

static int translate_messages(const struct json *request, struct json *messages, struct error *err)
{
    const struct json *list = js_get(request, "messages");
    if (list && !js_is(list, JS_ARRAY))
        return error_set(err, ERR_INVALID, "'messages' must be an array");
    for (size_t i = 0; i < js_len(list); i++) {
        const struct json *from = js_at(list, i);
        const char *role = js_get_cstr(from, "role", "");
        struct str text = js_get_str(from, "content");
        if (!*role)
            return error_set(err, ERR_INVALID, "messages[%zu] has no role", i);
        int r = 0;
        struct json *content = user_content(text, js_get(from, "images"), err, &r);
        struct json *m = chat_message(role, content);
        if (r == 0)
            r = add_calls(from, m, i, err);
        pass_on(from, "thinking", m, "reasoning_content");
        pass_on(from, "tool_name", m, "name");
        if (strcmp(role, "tool") == 0)
            set_call_id(from, messages, m);
        js_push(messages, m);
        if (r < 0)
            return r;
    }
    return 0;
}

static int translate_common(struct turn *t, const struct json *request, struct error *err)
{
    int r = translate_options(request, t->body, err);
    if (r == 0)
        r = translate_format(request, t->body, err);
    return r == 0 ? translate_think(request, t->body, err) : r;
}

static int translate_chat(struct turn *t, const struct json *request, const struct json *before,
                          struct error *err)
{
    (void)before;
    struct json *messages = js_array();
    js_set(t->body, "messages", messages);
    pass_on(request, "tools", t->body, "tools");
    int r = translate_messages(request, messages, err);
    return r == 0 ? translate_common(t, request, err) : r;
}

/* A prompt as the only message of a chat. What would make it something else is refused rather than
 * left out unsaid. */
static int translate_generate(struct turn *t, const struct json *request, const struct json *before,
                              struct error *err)
{
    (void)before;
    static const char *const refused[] = {"template", "context", "suffix"};
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        const struct json *v = js_get(request, refused[i]);
        if (js_len(v) > 0 || js_to_str(v).len > 0)
            return error_set(err, ERR_INVALID, "'%s' is not supported%s", refused[i],
                             i == 1   ? "; keep the conversation in the messages of /api/chat"
                             : i == 2 ? "; use /v1/completions or /infill"
                                      : "; package the model with --chat-template");
    }
    if (js_get_bool(request, "raw", false))
        return error_set(err, ERR_INVALID, "'raw' is not supported; use /v1/completions");
    struct str prompt = {0}, system = {0};
    struct json *messages = js_array();
    js_set(t->body, "messages", messages);
    int r = js_want_str(request, "prompt", &prompt, err);
    if (r == 0)
        r = js_want_str(request, "system", &system, err);
    if (r == 0 && system.len > 0)
        js_push(messages, chat_message("system", js_str(system)));
    if (r == 0)
        js_push(messages,
                chat_message("user", user_content(prompt, js_get(request, "images"), err, &r)));
    return r == 0 ? translate_common(t, request, err) : r;
}

/* ---- answers ---- */

static bool is_chat(const struct turn *t)
{
    return t->api == &api_ollama_chat;
}

static struct json *calls_of(const struct turn *t)
{
    struct json *list = js_array();
    for (size_t i = 0; i < t->n_calls; i++) {
        const struct turn_call *c = &t->calls[i];
        struct json *call = js_object(), *function = js_object(), *arguments = NULL;
        js_parse(buf_str(&c->arguments), "the arguments", &arguments, NULL);
        js_set_cstr(call, "id", c->id);
        js_set_int(function, "index", (int64_t)i);
        js_set_cstr(function, "name", c->name);
        js_set(function, "arguments", arguments ? arguments : js_object());
        js_set(call, "function", function);
        js_push(list, call);
    }
    return list;
}

/* One object: what is said in a chat's "message" is said beside "model" for generate. */
static struct json *line(const struct turn *t, struct str thinking, struct str text,
                         struct json *calls, bool done)
{
    struct json *o = js_object(), *m = is_chat(t) ? js_object() : o;
    struct timespec now;
    char created[CLOCK_TEXT_MAX];
    clock_gettime(CLOCK_REALTIME, &now);
    clock_rfc3339_utc(now, created);
    js_set_cstr(o, "model", t->model);
    js_set_cstr(o, "created_at", created);
    if (is_chat(t)) {
        js_set(o, "message", m);
        js_set_cstr(m, "role", "assistant");
    }
    js_set_str(m, is_chat(t) ? "content" : "response", text);
    if (thinking.len > 0)
        js_set_str(m, "thinking", thinking);
    if (js_len(calls) > 0)
        js_set(m, "tool_calls", js_ref(calls));
    js_free(calls);
    js_set_bool(o, "done", done);
    return o;
}

/* Nanoseconds; what the engine did not need its time for was spent on loading and waiting. */
static void set_statistics(const struct turn *t, struct json *o)
{
    const struct turn_usage *u = &t->usage;
    int64_t total = clock_mono_ns() - t->began_ns;
    js_set_cstr(o, "done_reason", t->finish == TURN_LENGTH ? "length" : "stop");
    js_set_int(o, "total_duration", total);
    js_set_int(o, "load_duration", MAX(total - u->prompt_ns - u->completion_ns, (int64_t)0));
    js_set_int(o, "prompt_eval_count", u->prompt);
    js_set_int(o, "prompt_eval_duration", u->prompt_ns);
    js_set_int(o, "eval_count", u->completion);
    js_set_int(o, "eval_duration", u->completion_ns);
}

static struct json *whole(struct turn *t)
{
    struct json *o = line(t, buf_str(&t->reasoning), buf_str(&t->text), calls_of(t), true);
    set_statistics(t, o);
    return o;
}

static void put(struct json *o, struct buf *out)
{
    js_write(o, JS_COMPACT, out);
    buf_push(out, '\n');
    js_free(o);
}

static void open_stream(struct turn *t, struct buf *out)
{
    (void)t;
    (void)out;
}

/* Calls are told when they are whole: their arguments are an object. */
static void piece(struct turn *t, enum turn_part part, size_t call, struct str text,
                  struct buf *out)
{
    (void)call;
    if (part == PART_REASONING)
        put(line(t, text, STR(""), NULL, false), out);
    else if (part == PART_TEXT)
        put(line(t, STR(""), text, NULL, false), out);
}

static void end(struct turn *t, struct buf *out)
{
    if (t->n_calls > 0)
        put(line(t, STR(""), STR(""), calls_of(t), false), out);
    struct json *last = line(t, STR(""), STR(""), NULL, true);
    set_statistics(t, last);
    put(last, out);
}

static struct json *error_body(int status, const char *message)
{
    (void)status;
    struct json *v = js_object();
    js_set_cstr(v, "error", message);
    return v;
}

static void broken(struct turn *t, int status, const char *message, struct buf *out)
{
    (void)t;
    put(error_body(status, message), out);
}

const struct api api_ollama_chat = {
    .stream_type = "application/x-ndjson",
    .id_prefix = "",
    .streams = true,
    .translate = translate_chat,
    .open = open_stream,
    .piece = piece,
    .end = end,
    .whole = whole,
    .error = error_body,
    .broken = broken,
};

const struct api api_ollama_generate = {
    .stream_type = "application/x-ndjson",
    .id_prefix = "",
    .streams = true,
    .translate = translate_generate,
    .open = open_stream,
    .piece = piece,
    .end = end,
    .whole = whole,
    .error = error_body,
    .broken = broken,
};
