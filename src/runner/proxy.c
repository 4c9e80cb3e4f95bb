/* SPDX-License-Identifier: Apache-2.0
 *
 * The proxy, see proxy.h. */
#include "runner/proxy.h"

#include <string.h>

#include "base/alloc.h"
#include "http/client.h"
#include "http/sse.h"
#include "runner/respond.h"
#include "runner/watch.h"

/* The client as the one who takes the answer. */
struct through {
    struct http_request *client;
    bool begun;
    bool is_sse;
    bool event_open; /* the last bytes sent are inside an event */
    char last;
};

struct exchange {
    struct http_request *client;
    const struct proxy_sink *sink;
    char content_type[128];
    bool plain; /* the answer goes to the client as it is, with the engine's headers */
    bool begun; /* the answer's head was given on */
    struct watch *watch;
};

/* Headers that belong to one connection, that we set ourselves, or that say who may read the
 * answer in a browser, which is not the engine's decision. */
static bool is_ours(struct str name)
{
    static const char *const names[] = {
        "Connection",
        "Keep-Alive",
        "Proxy-Authenticate",
        "Proxy-Connection",
        "TE",
        "Trailer",
        "Transfer-Encoding",
        "Upgrade",
        "Content-Length",
        "Content-Type",
        "Date",
        "Access-Control-Allow-Origin",
        "Access-Control-Allow-Credentials",
        "Vary",
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (str_eq_nocase(name, str_from(names[i])))
            return true;
    return false;
}

static void on_header(void *ctx, struct str name, struct str value)
{
    struct exchange *x = ctx;
    if (str_eq_nocase(name, STR("Content-Type"))) {
        size_t n = MIN(value.len, sizeof(x->content_type) - 1);
        memcpy(x->content_type, value.ptr, n);
        x->content_type[n] = '\0';
    } else if (x->plain && !is_ours(name)) {
        CLEANUP_FREE char *n = str_dup(name);
        CLEANUP_FREE char *v = str_dup(value);
        if (!n || !v)
            alloc_failed();
        http_respond_header(x->client, n, v);
    }
}

static int on_headers(void *ctx, int status)
{
    struct exchange *x = ctx;
    x->begun = true;
    watch_status(x->watch, status, x->content_type);
    return x->sink->begin(x->sink->ctx, status, x->content_type);
}

static int on_data(void *ctx, struct str piece)
{
    struct exchange *x = ctx;
    watch_piece(x->watch, piece);
    return x->sink->piece(x->sink->ctx, piece);
}

/* ---- to the client, as it is ---- */

static int through_begin(void *ctx, int status, const char *content_type)
{
    struct through *x = ctx;
    x->is_sse = strncmp(content_type, "text/event-stream", 17) == 0;
    x->begun = true;
    http_stream_begin(x->client, status, content_type);
    return 0;
}

static int through_piece(void *ctx, struct str piece)
{
    struct through *x = ctx;
    if (piece.len > 0) {
        char before = piece.len > 1 ? piece.ptr[piece.len - 2] : x->last;
        x->last = piece.ptr[piece.len - 1];
        x->event_open = !(x->last == '\n' && before == '\n');
    }
    return http_stream_write(x->client, piece);
}

/* In the middle of an answer only an event stream has a place for saying so. */
static void through_fail(void *ctx, int status, const struct error *err)
{
    struct through *x = ctx;
    if (!x->begun) {
        respond_openai_error(x->client, status, err);
        return;
    }
    if (!x->is_sse) {
        http_stream_abort(x->client);
        return;
    }
    CLEANUP_JSON struct json *v = openai_error(err);
    CLEANUP_FREE char *text = js_text(v, JS_COMPACT);
    CLEANUP_BUF struct buf event = BUF_INIT(64 * 1024);
    if (x->event_open)
        buf_append(&event, STR("\n\n"));
    sse_write(&event, NULL, str_from(text));
    http_stream_write(x->client, buf_str(&event));
}

/* ---- the exchange ---- */

static void fire(void *cancel)
{
    http_cancel_fire(cancel);
}

/* The transport failed: why, for whom it concerns.
 *
 * The request may go to another engine while the client has nothing of an answer and the request is
 * not what ended this one: it was not read (the kernel takes connections for a process that is
 * being taken apart, and resets them when it is done), or somebody killed the process. An engine
 * that had read it and fell over is not given a second one to fell. */
static bool explain(struct exchange *x, struct lease *lease, enum http_fault fault, bool last,
                    struct error *err)
{
    if (http_request_canceled(x->client))
        return true;
    struct error reason = ERROR_INIT;
    bool killed = false;
    bool died = lease_died(lease, &killed, &reason);
    bool unread = fault == HTTP_FAULT_CONNECT || fault == HTTP_FAULT_RESET;
    if (died && (unread || killed) && !x->begun && !last)
        return false;
    if (died)
        *err = reason;
    watch_failed(x->watch, died ? 500 : 502, err);
    x->sink->fail(x->sink->ctx, died ? 500 : 502, err);
    return true;
}

static const char *header_line(const struct http_request *r, const char *name, char **ret)
{
    const char *value = http_request_header(r, name);
    *ret = value ? xasprintf("%s: %s", name, value) : NULL;
    return *ret;
}

bool proxy_request(struct http_request *r, struct lease *lease, const char *path, struct str body,
                   const struct proxy_sink *sink, struct watch *w, bool last)
{
    struct error err = ERROR_INIT;
    struct through through = {.client = r};
    const struct proxy_sink plain = {through_begin, through_piece, through_fail, &through};
    struct exchange x = {.client = r, .sink = sink ? sink : &plain, .plain = !sink, .watch = w};
    const char *query = sink ? "" : http_request_query_string(r);
    CLEANUP_FREE char *url = xasprintf("http://localhost%s%s%s", path, *query ? "?" : "", query);
    CLEANUP_FREE char *accept = NULL;
    const char *headers[] = {"Content-Type: application/json", header_line(r, "Accept", &accept),
                             NULL};
    struct http_cancel *cancel = http_cancel_new();
    http_request_on_cancel(r, fire, cancel);

    struct http_call call = HTTP_CALL_INIT;
    call.url = url;
    call.unix_path = lease_socket(lease);
    call.method = sink ? "POST" : http_request_method(r);
    call.headers = headers;
    call.body = body;
    call.on_header = on_header;
    call.on_headers = on_headers;
    call.on_data = on_data;
    call.ctx = &x;
    call.cancel = cancel;
    call.user_agent = http_request_header(r, "User-Agent");
    struct http_result res = {0};
    int result = http_perform(&call, &res, &err);
    enum http_fault fault = res.fault;
    http_result_release(&res);
    http_request_on_cancel(r, NULL, NULL);
    http_cancel_free(cancel);
    return result == 0 || explain(&x, lease, fault, last, &err);
}
