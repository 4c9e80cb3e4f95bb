/* SPDX-License-Identifier: Apache-2.0
 *
 * One turn of a chat, see chat.h. */
#include "cli/chat.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "cli/api.h"

enum {
    NOTICE_MAX_BYTES = 64 * 1024,
    EVENT_MAX_BYTES = 16 << 20,
    BODY_MAX_BYTES = 64 << 20,
    ERROR_BODY_MAX = 64 * 1024,
};

const struct chat_endpoint chat_runner = {.prefix = "/engines/v1"};

void chat_reader_init(struct chat_reader *r, const struct chat_sink *sink)
{
    *r = (struct chat_reader){
        .sink = sink,
        .head = BUF_INIT(BODY_MAX_BYTES),
        .sse = SSE_PARSER_INIT(EVENT_MAX_BYTES),
        .content = BUF_INIT(BODY_MAX_BYTES),
        .stats = {.prompt_tokens = -1,
                  .completion_tokens = -1,
                  .total_tokens = -1,
                  .prompt_per_second = -1,
                  .predicted_per_second = -1,
                  .first_token_ns = -1,
                  .total_ns = -1},
        .error = ERROR_INIT,
    };
}

void chat_reader_release(struct chat_reader *r)
{
    buf_release(&r->head);
    sse_parser_release(&r->sse);
    buf_release(&r->content);
}

void chat_reader_content_type(struct chat_reader *r, struct str value)
{
    if (str_starts_with(value, STR("text/event-stream")))
        r->form = CHAT_EVENTS;
}

/* Token counts and speeds, wherever they stand in the answer. */
static void take_stats(struct chat_reader *r, const struct json *v)
{
    const struct json *usage = js_get(v, "usage"), *timings = js_get(v, "timings");
    if (js_is(usage, JS_OBJECT)) {
        r->stats.has_usage = true;
        r->stats.prompt_tokens = js_get_int(usage, "prompt_tokens", 0);
        r->stats.completion_tokens = js_get_int(usage, "completion_tokens", 0);
        r->stats.total_tokens = js_get_int(usage, "total_tokens", 0);
    }
    if (js_is(timings, JS_OBJECT)) {
        r->stats.prompt_per_second = js_get_real(timings, "prompt_per_second", -1);
        r->stats.predicted_per_second = js_get_real(timings, "predicted_per_second", -1);
        if (r->stats.prompt_tokens < 0)
            r->stats.prompt_tokens = js_get_int(timings, "prompt_n", -1);
        if (r->stats.completion_tokens < 0)
            r->stats.completion_tokens = js_get_int(timings, "predicted_n", -1);
    }
}

/* {"error":{"message":"…"}}, {"error":"…"}, or {"type":"error","message":"…"}. */
static bool take_error(struct chat_reader *r, const struct json *v)
{
    const struct json *error = js_get(v, "error");
    struct str message = js_to_str(error);
    if (!message.ptr)
        message = js_get_str(error, "message");
    if (!message.ptr && str_eq_c(js_get_str(v, "type"), "error"))
        message = js_get_str(v, "message");
    bool is_error = message.ptr || js_is(error, JS_OBJECT);
    if (is_error && r->error.code == ERR_NONE) {
        if (!message.ptr)
            message = STR("the server reported an error without saying which");
        error_set(&r->error, ERR_IO, "%.*s", STR_ARG(message));
    }
    return is_error;
}

/* The texts of a `delta` or a `message`. */
static void take_texts(struct chat_reader *r, const struct json *part)
{
    struct str reasoning = js_get_str(part, "reasoning_content");
    if (!reasoning.ptr)
        reasoning = js_get_str(part, "reasoning");
    struct str content = js_get_str(part, "content");
    if (reasoning.len > 0 && r->sink->reasoning)
        r->sink->reasoning(r->sink->ctx, reasoning);
    if (content.len > 0) {
        buf_append(&r->content, content);
        if (r->sink->content)
            r->sink->content(r->sink->ctx, content);
    }
}

static void take_choice(struct chat_reader *r, const struct json *v, const char *part)
{
    const struct json *choice = js_at(js_get(v, "choices"), 0);
    take_texts(r, js_get(choice, part));
    if (js_is(js_get(choice, "finish_reason"), JS_STRING))
        r->finished = true;
    take_stats(r, v);
}

static int on_event(const char *event, struct str data, void *ctx)
{
    struct chat_reader *r = ctx;
    (void)event; /* errors come with and without a name: their content tells */
    if (str_eq_c(str_trim(data), "[DONE]")) {
        r->finished = true;
        return 0;
    }
    CLEANUP_JSON struct json *v = NULL;
    int e = js_parse(data, "a part of the answer", &v, &r->error);
    if (e < 0)
        return e;
    if (take_error(r, v))
        return -(int)r->error.code;
    take_choice(r, v, "delta");
    return 0;
}

static int feed_events(struct chat_reader *r, struct str piece, struct error *err)
{
    struct error why = ERROR_INIT;
    int e = sse_feed(&r->sse, piece, on_event, r, &why);
    if (e < 0)
        return error_copy(err, r->error.code != ERR_NONE ? &r->error : &why);
    return 0;
}

static bool begins_events(struct str line)
{
    return str_starts_with(line, STR("data:")) || str_starts_with(line, STR("event:")) ||
           str_starts_with(line, STR("id:")) || str_starts_with(line, STR("retry:")) ||
           (line.len > 0 && line.ptr[0] == ':');
}

/* Tells by the first lines what the body is; passes on what is neither. */
static int feed_undecided(struct chat_reader *r, struct error *err)
{
    for (;;) {
        struct str head = buf_str(&r->head);
        size_t blank = 0;
        while (blank < head.len &&
               (head.ptr[blank] == '\n' || head.ptr[blank] == '\r' || head.ptr[blank] == ' '))
            blank++;
        buf_consume(&r->head, blank);
        head = buf_str(&r->head);
        if (head.len == 0)
            return 0;
        if (head.ptr[0] == '{') {
            r->form = CHAT_JSON;
            return 0;
        }
        ptrdiff_t end = str_find_char(head, '\n');
        if (begins_events(head)) {
            r->form = CHAT_EVENTS;
            int e = feed_events(r, head, err);
            buf_clear(&r->head);
            return e;
        }
        if (end < 0 && head.len < NOTICE_MAX_BYTES)
            return 0;
        struct str line = end < 0 ? head : str_sub(head, 0, (size_t)end);
        if (r->sink->notice)
            r->sink->notice(r->sink->ctx, str_trim(line));
        buf_consume(&r->head, line.len);
    }
}

int chat_reader_feed(struct chat_reader *r, struct str piece, struct error *err)
{
    if (r->form == CHAT_EVENTS)
        return feed_events(r, piece, err);
    buf_append(&r->head, piece);
    int e = buf_check(&r->head, "the answer", err);
    if (e == 0 && r->form == CHAT_UNDECIDED)
        e = feed_undecided(r, err);
    return e;
}

int chat_reader_end(struct chat_reader *r, struct error *err)
{
    if (r->form == CHAT_EVENTS) {
        /* A last event may lack its blank line. */
        int e = feed_events(r, STR("\n\n"), err);
        if (e < 0)
            return e;
    } else if (r->form == CHAT_JSON) {
        CLEANUP_JSON struct json *v = NULL;
        int e = js_parse(buf_str(&r->head), "the answer", &v, err);
        if (e < 0)
            return e;
        if (take_error(r, v))
            return error_copy(err, &r->error);
        take_choice(r, v, "message");
        r->finished = r->finished || js_get(v, "choices");
    } else if (r->head.len > 0) {
        struct str text = str_trim(buf_str(&r->head));
        return error_set(err, ERR_CORRUPT, "unexpected answer: %.*s", STR_ARG(text));
    }
    int e = buf_check(&r->content, "the answer", err);
    if (e == 0 && !r->finished)
        e = error_set(err, ERR_IO, "the answer broke off before its end");
    return e;
}

/* ---- a turn ---- */

struct turn {
    struct chat_reader reader;
    struct chat_sink timed; /* notes when the first text comes, then passes it on */
    const struct chat_sink *user;
    int64_t started_ns, first_ns;
    int status;
    struct buf error_body;
    struct error error;
};

static void note_first(struct turn *t)
{
    if (t->first_ns < 0)
        t->first_ns = clock_mono_ns() - t->started_ns;
}

static void on_content(void *ctx, struct str text)
{
    struct turn *t = ctx;
    note_first(t);
    t->user->content(t->user->ctx, text);
}

static void on_reasoning(void *ctx, struct str text)
{
    struct turn *t = ctx;
    note_first(t);
    t->user->reasoning(t->user->ctx, text);
}

static void on_notice(void *ctx, struct str line)
{
    struct turn *t = ctx;
    t->user->notice(t->user->ctx, line);
}

static int on_headers(void *ctx, int status)
{
    struct turn *t = ctx;
    t->status = status;
    return 0;
}

static void on_header(void *ctx, struct str name, struct str value)
{
    struct turn *t = ctx;
    if (str_eq_nocase(name, STR("content-type")))
        chat_reader_content_type(&t->reader, value);
}

static int on_data(void *ctx, struct str piece)
{
    struct turn *t = ctx;
    if (t->status != 200) {
        buf_append(&t->error_body, str_sub(piece, 0, ERROR_BODY_MAX - t->error_body.len));
        return 0;
    }
    return chat_reader_feed(&t->reader, piece, &t->error);
}

static int finish_turn(struct turn *t, int r, struct error *err)
{
    if (r < 0 && t->error.code != ERR_NONE)
        return error_copy(err, &t->error);
    if (r < 0)
        return r;
    if (t->status != 200) {
        struct str body = str_trim(buf_str(&t->error_body));
        return error_set(err, api_status_code(t->status), "error response: status=%d body=%.*s",
                         t->status, STR_ARG(body));
    }
    return chat_reader_end(&t->reader, err);
}

static char *request_body(const struct chat_request *request)
{
    CLEANUP_JSON struct json *body = js_object();
    js_set_cstr(body, "model", request->model);
    js_set(body, "messages", js_copy(request->messages));
    js_set_bool(body, "stream", true);
    struct json_iter it = {0};
    while (request->params && js_next(request->params, &it)) {
        CLEANUP_FREE char *name = str_dup(it.key);
        if (name)
            js_set(body, name, js_copy(it.value));
    }
    if (request->want_usage) {
        struct json *options = js_object();
        js_set_bool(options, "include_usage", true);
        js_set(body, "stream_options", options);
    }
    return js_text(body, JS_COMPACT);
}

int chat_send(const struct chat_request *request, const struct chat_sink *sink, char **ret_content,
              struct chat_stats *ret_stats, struct error *err)
{
    struct turn t = {
        .user = sink,
        .started_ns = clock_mono_ns(),
        .first_ns = -1,
        .error_body = BUF_INIT(ERROR_BODY_MAX),
        .error = ERROR_INIT,
    };
    t.timed = (struct chat_sink){on_content, on_reasoning, on_notice, &t};
    chat_reader_init(&t.reader, &t.timed);
    CLEANUP_FREE char *body = request_body(request);
    CLEANUP_FREE char *path = xasprintf("%s/chat/completions", request->endpoint->prefix);
    struct http_call http = HTTP_CALL_INIT;
    http.on_headers = on_headers;
    http.on_header = on_header;
    http.on_data = on_data;
    http.ctx = &t;
    http.timeout_ms = request->timeout_ms;
    struct api_call call = {
        .path = path,
        .daemon = request->endpoint->other,
        .body = str_from(body),
        .accept = "text/event-stream",
        .http = &http,
    };
    struct http_result res = {0};
    int r = api_perform(&call, &res, err);
    r = finish_turn(&t, r, err);
    http_result_release(&res);
    if (r == 0) {
        *ret_content = buf_take(&t.reader.content);
        if (!*ret_content)
            alloc_failed();
        *ret_stats = t.reader.stats;
        ret_stats->first_token_ns = t.first_ns;
        ret_stats->total_ns = clock_mono_ns() - t.started_ns;
    }
    chat_reader_release(&t.reader);
    buf_release(&t.error_body);
    return r;
}

int chat_preload(const char *model, struct http_cancel *cancel, struct error *err)
{
    CLEANUP_JSON struct json *request = js_object();
    js_set_cstr(request, "model", model);
    js_set(request, "messages", js_array());
    js_set_bool(request, "stream", false);
    CLEANUP_FREE char *body = js_text(request, JS_COMPACT);
    struct http_call http = HTTP_CALL_INIT;
    http.cancel = cancel;
    struct api_call call = {
        .path = "/engines/v1/chat/completions",
        .body = str_from(body),
        .headers = (const char *const[]){"X-Preload-Only: true", NULL},
        .http = &http,
    };
    struct http_result res = {0};
    int r = api_perform(&call, &res, err);
    if (r == 0 && res.status != 200) {
        struct str text = str_trim(buf_str(&res.body));
        r = error_set(err, api_status_code(res.status), "preload failed: status=%d body=%.*s",
                      res.status, STR_ARG(text));
    }
    http_result_release(&res);
    return r;
}
