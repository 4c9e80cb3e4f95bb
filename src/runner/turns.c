/* SPDX-License-Identifier: Apache-2.0
 *
 * Carries a turn out: the engine's answer is read as it comes and goes on in the words of the
 * client's API. */
#include "runner/turns.h"

#include <string.h>

#include "base/alloc.h"
#include "http/sse.h"
#include "runner/infer.h"
#include "runner/respond.h"

enum { OUT_MAX = 64 << 20, EVENT_MAX = 16 << 20 };

struct relay {
    struct http_request *r;
    struct turn *t;
    struct sse_parser events;
    struct buf whole; /* an answer that is no stream */
    struct buf out;
    int status;
    bool streaming; /* the client's stream has begun */
    bool failed;    /* an error was told */
    struct error why;
};

struct json *turn_read(struct daemon *d, struct http_request *r, const struct api *api)
{
    CLEANUP_BUF struct buf text = BUF_INIT(d->settings->max_body_bytes);
    struct error err = ERROR_INIT;
    struct json *v = NULL;
    if (read_json_object(r, &text, &v, &err) == 0)
        return v;
    turn_respond_error(r, api, 0, &err);
    return NULL;
}

static void respond_failure(struct http_request *r, const struct api *api, int status,
                            const char *message)
{
    CLEANUP_JSON struct json *v = api->error(status, message);
    http_respond_json(r, status, v);
}

void turn_respond_error(struct http_request *r, const struct api *api, int status,
                        const struct error *err)
{
    respond_failure(r, api, status ? status : errc_http_status(err->code), err->msg);
}

static int flush(struct relay *x)
{
    int r = x->out.failed ? -(int)x->out.failed
            : x->out.len  ? http_stream_write(x->r, buf_str(&x->out))
                          : 0;
    buf_clear(&x->out);
    return r;
}

static int on_begin(void *ctx, int status, const char *content_type)
{
    struct relay *x = ctx;
    x->status = status;
    if (status != 200 || strncmp(content_type, "text/event-stream", 17) != 0)
        return 0;
    x->streaming = true;
    http_respond_header(x->r, "Cache-Control", "no-cache");
    http_stream_begin(x->r, 200, x->t->api->stream_type);
    turn_open(x->t, &x->out);
    return flush(x);
}

static int on_event(const char *event, struct str data, void *ctx)
{
    struct relay *x = ctx;
    (void)event;
    if (str_eq_c(data, "[DONE]"))
        return 0;
    CLEANUP_JSON struct json *chunk = NULL;
    int r = js_parse(data, "the engine's answer", &chunk, &x->why);
    if (r == 0)
        r = turn_chunk(x->t, chunk, &x->out, &x->why);
    return r == 0 ? flush(x) : r;
}

static int on_piece(void *ctx, struct str piece)
{
    struct relay *x = ctx;
    return x->streaming ? sse_feed(&x->events, piece, on_event, x, &x->why)
                        : buf_append(&x->whole, piece);
}

static void on_fail(void *ctx, int status, const struct error *err)
{
    struct relay *x = ctx;
    const struct error *why = x->why.code != ERR_NONE ? &x->why : err;
    x->failed = true;
    if (!x->streaming) {
        turn_respond_error(x->r, x->t->api, status, why);
        return;
    }
    buf_clear(&x->out);
    x->t->api->broken(x->t, 500, why->msg, &x->out);
    flush(x);
}

/* The engine has said all that it had to say. */
static bool finish(struct relay *x)
{
    const struct api *api = x->t->api;
    if (x->streaming) {
        turn_end(x->t, &x->out);
        return flush(x) == 0;
    }
    if (x->status != 200) {
        CLEANUP_FREE char *text = infer_error_text(buf_str(&x->whole));
        respond_failure(x->r, api, x->status, text);
        return false;
    }
    CLEANUP_JSON struct json *completion = NULL, *answer = NULL;
    int r = js_parse(buf_str(&x->whole), "the engine's answer", &completion, &x->why);
    if (r == 0)
        r = turn_whole(x->t, completion, &answer, &x->why);
    if (r == 0)
        http_respond_json(x->r, 200, answer);
    else
        turn_respond_error(x->r, api, 500, &x->why);
    return r == 0;
}

bool turn_run(struct daemon *d, struct http_request *r, struct turn *t)
{
    struct relay x = {.r = r,
                      .t = t,
                      .events = SSE_PARSER_INIT(EVENT_MAX),
                      .whole = BUF_INIT(OUT_MAX),
                      .out = BUF_INIT(OUT_MAX),
                      .why = ERROR_INIT};
    const struct proxy_sink sink = {on_begin, on_piece, on_fail, &x};
    struct error err = ERROR_INIT;
    CLEANUP_FREE char *body = js_text(t->body, JS_COMPACT);
    bool well = false;
    int result =
        infer(d, r, t->model, MODE_COMPLETION, "/v1/chat/completions", str_from(body), &sink, &err);
    if (result == -ERR_NOT_FOUND)
        error_set(&err, ERR_NOT_FOUND,
                  "model '%s' not found: pull it first, with 'docker model pull %s'", t->model,
                  t->model);
    if (result < 0)
        turn_respond_error(r, t->api, 0, &err);
    else if (!x.failed && !http_request_canceled(r))
        well = finish(&x);
    sse_parser_release(&x.events);
    buf_release(&x.whole);
    buf_release(&x.out);
    return well;
}
