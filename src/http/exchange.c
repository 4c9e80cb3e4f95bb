/* SPDX-License-Identifier: Apache-2.0
 *
 * One request and its answer between two threads; exchange.h draws the picture. */
#include "http/exchange.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/alloc.h"
#include "base/log.h"

/* A body that the handler has not read yet, a stream's answer that the client has not taken yet:
 * whoever fills them waits when they are full. */
enum { IN_CAP = 64 * 1024, OUT_CAP = 64 * 1024, BLOCK_SIZE = 32 * 1024 };

struct http_request *exchange_ref(struct http_request *r)
{
    pthread_mutex_lock(&r->lock);
    r->refs++;
    pthread_mutex_unlock(&r->lock);
    return r;
}

void exchange_unref(struct http_request *r)
{
    pthread_mutex_lock(&r->lock);
    bool last = --r->refs == 0;
    pthread_mutex_unlock(&r->lock);
    if (!last)
        return;
    if (r->response)
        MHD_destroy_response(r->response);
    pair_list_release(&r->query);
    pair_list_release(&r->headers);
    pair_list_release(&r->answer_headers);
    free(r->method);
    free(r->path);
    free(r->raw_path);
    free(r->query_string);
    free(r->in);
    free(r->out);
    pthread_cond_destroy(&r->changed);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

/* ---- waiting and waking; both with the lock held ---- */

static void wake_connection(struct http_request *r)
{
    if (!r->suspended || r->direct)
        return;
    r->suspended = false;
    MHD_resume_connection(r->mhd);
}

static enum exchange_state suspend(struct http_request *r)
{
    connection_set_timeout(r->connection, NO_TIMEOUT);
    r->suspended = true;
    MHD_suspend_connection(r->mhd);
    return EXCHANGE_WAITS;
}

/* ---- the connection's side ---- */

enum exchange_state exchange_await_interest(struct http_request *r)
{
    pthread_mutex_lock(&r->lock);
    enum exchange_state state = r->canceled                     ? EXCHANGE_CANCELED
                                : r->body_wanted || r->answered ? EXCHANGE_READY
                                                                : suspend(r);
    pthread_mutex_unlock(&r->lock);
    return state;
}

enum exchange_state exchange_feed(struct http_request *r, const char *p, size_t *n)
{
    enum exchange_state state = EXCHANGE_READY;
    pthread_mutex_lock(&r->lock);
    if (r->canceled) {
        state = EXCHANGE_CANCELED;
    } else if (r->answered) {
        *n = 0;
    } else {
        if (!r->in)
            r->in = xmalloc(IN_CAP);
        if (r->in_len == 0)
            r->in_at = 0;
        size_t end = r->in_at + r->in_len, take = MIN(*n, IN_CAP - end);
        memcpy(r->in + end, p, take);
        r->in_len += take;
        *n -= take;
        pthread_cond_broadcast(&r->changed);
        if (*n > 0)
            state = suspend(r);
    }
    pthread_mutex_unlock(&r->lock);
    return state;
}

bool exchange_answered(struct http_request *r)
{
    pthread_mutex_lock(&r->lock);
    bool answered = r->answered;
    pthread_mutex_unlock(&r->lock);
    return answered;
}

enum exchange_state exchange_await_answer(struct http_request *r)
{
    pthread_mutex_lock(&r->lock);
    if (!r->body_done) {
        r->body_done = true;
        pthread_cond_broadcast(&r->changed);
    }
    enum exchange_state state = r->canceled   ? EXCHANGE_CANCELED
                                : r->answered ? EXCHANGE_READY
                                              : suspend(r);
    pthread_mutex_unlock(&r->lock);
    return state;
}

struct MHD_Response *exchange_take_answer(struct http_request *r, int *ret_status)
{
    pthread_mutex_lock(&r->lock);
    struct MHD_Response *response = TAKE(r->response);
    *ret_status = r->status;
    pthread_mutex_unlock(&r->lock);
    return response;
}

ssize_t exchange_pull(struct http_request *r, char *p, size_t max)
{
    ssize_t result = 0;
    pthread_mutex_lock(&r->lock);
    if (r->canceled) {
        result = MHD_CONTENT_READER_END_WITH_ERROR;
    } else if (r->out_len > 0) {
        size_t n = MIN(r->out_len, max);
        memcpy(p, r->out + r->out_at, n);
        r->out_at += n;
        r->out_len -= n;
        r->pulled = true;
        pthread_cond_broadcast(&r->changed);
        result = (ssize_t)n;
    } else if (r->out_end) {
        result =
            r->out_abort ? MHD_CONTENT_READER_END_WITH_ERROR : MHD_CONTENT_READER_END_OF_STREAM;
    } else {
        suspend(r);
    }
    pthread_mutex_unlock(&r->lock);
    if (result != 0)
        connection_set_timeout(r->connection, SEND_TIMEOUT_MS);
    return result;
}

/* Runs the cancel callback once, outside the lock; set_callback() waits for it. */
static void run_cancel_callback(struct http_request *r)
{
    void (*fn)(void *) = TAKE(r->cancel_fn);
    if (!fn)
        return;
    void *ctx = r->cancel_ctx;
    r->cancel_runs = true;
    r->cancel_thread = pthread_self();
    pthread_mutex_unlock(&r->lock);
    fn(ctx);
    pthread_mutex_lock(&r->lock);
    r->cancel_runs = false;
    pthread_cond_broadcast(&r->changed);
}

void exchange_cancel(struct http_request *r)
{
    pthread_mutex_lock(&r->lock);
    if (!r->canceled && !r->detached) {
        r->canceled = true;
        pthread_cond_broadcast(&r->changed);
        if (r->direct) /* who is sending there wakes the connection afterwards */
            shutdown(connection_fd(r->connection), SHUT_RDWR);
        wake_connection(r);
        run_cancel_callback(r);
    }
    pthread_mutex_unlock(&r->lock);
}

void exchange_detach(struct http_request *r, bool well)
{
    if (!well)
        exchange_cancel(r);
    pthread_mutex_lock(&r->lock);
    r->detached = true;
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
    exchange_unref(r);
}

/* ---- the handler's side: the body ---- */

static int canceled_error(struct error *err)
{
    return error_set(err, ERR_CANCELED, "the client closed the connection");
}

ssize_t http_request_read(struct http_request *r, void *p, size_t n, struct error *err)
{
    ssize_t result;
    pthread_mutex_lock(&r->lock);
    if (!r->body_wanted) {
        r->body_wanted = true;
        wake_connection(r);
    }
    while (r->in_len == 0 && !r->body_done && !r->answered && !r->canceled)
        pthread_cond_wait(&r->changed, &r->lock);
    if (r->canceled) {
        result = canceled_error(err);
    } else if (r->answered) {
        result = error_set(err, ERR_INTERNAL, "the body was read after the answer had begun");
    } else {
        size_t take = MIN(n, r->in_len);
        if (take > 0) {
            memcpy(p, r->in + r->in_at, take);
            r->in_at += take;
            r->in_len -= take;
        }
        if (r->in_len == 0 && !r->body_done)
            wake_connection(r);
        result = (ssize_t)take;
    }
    pthread_mutex_unlock(&r->lock);
    return result;
}

int http_request_read_all(struct http_request *r, struct buf *out, struct error *err)
{
    enum { STEP = 32 * 1024 };
    /* A body that says it is too large is refused before it is sent. */
    if (r->content_length != UINT64_MAX && r->content_length > out->max - out->len)
        return error_set(err, ERR_TOO_LARGE, "the request body is larger than %zu bytes", out->max);
    for (;;) {
        char piece[STEP];
        ssize_t n = http_request_read(r, piece, sizeof(piece), err);
        if (n < 0)
            return (int)n;
        if (n == 0)
            return 0;
        if (buf_append_bytes(out, piece, (size_t)n) < 0)
            return buf_check(out, "the request body", err);
    }
}

bool http_request_canceled(const struct http_request *r)
{
    struct http_request *m = (struct http_request *)(uintptr_t)r;
    pthread_mutex_lock(&m->lock);
    bool canceled = m->canceled;
    pthread_mutex_unlock(&m->lock);
    return canceled;
}

static void set_callback(struct http_request *r, void (*fn)(void *ctx), void *ctx)
{
    while (r->cancel_runs && !pthread_equal(r->cancel_thread, pthread_self()))
        pthread_cond_wait(&r->changed, &r->lock);
    r->cancel_fn = fn;
    r->cancel_ctx = ctx;
}

void http_request_on_cancel(struct http_request *r, void (*fn)(void *ctx), void *ctx)
{
    pthread_mutex_lock(&r->lock);
    set_callback(r, fn, ctx);
    if (r->canceled)
        run_cancel_callback(r);
    pthread_mutex_unlock(&r->lock);
}

/* ---- the handler's side: the answer ---- */

void http_respond_header(struct http_request *r, const char *name, const char *value)
{
    pair_list_add(&r->answer_headers, xstrdup(name), xstrdup(value));
}

/* Publishes the answer; the first one counts. */
static void answer(struct http_request *r, int status, const char *content_type,
                   struct MHD_Response *response)
{
    if (!response)
        alloc_failed();
    if (content_type && *content_type)
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
    for (size_t i = 0; i < r->answer_headers.n; i++) {
        const struct pair *h = &r->answer_headers.items[i];
        if (MHD_add_response_header(response, h->name, h->value) != MHD_YES)
            log_debug("http: the header %s cannot be sent", h->name);
    }
    pthread_mutex_lock(&r->lock);
    if (r->answered) {
        pthread_mutex_unlock(&r->lock);
        MHD_destroy_response(response);
        return;
    }
    r->response = response;
    r->status = status;
    r->answered = true;
    wake_connection(r);
    pthread_mutex_unlock(&r->lock);
}

void http_respond(struct http_request *r, int status, const char *content_type, struct str body)
{
    /* libmicrohttpd only reads the bytes that it copies. */
    void *bytes = (void *)(uintptr_t)(body.len ? body.ptr : "");
    answer(r, status, content_type,
           MHD_create_response_from_buffer(body.len, bytes, MHD_RESPMEM_MUST_COPY));
}

void http_respond_text(struct http_request *r, int status, const char *text)
{
    CLEANUP_FREE char *line = xasprintf("%s\n", text);
    http_respond_header(r, "X-Content-Type-Options", "nosniff");
    http_respond(r, status, "text/plain; charset=utf-8", str_from(line));
}

void http_respond_json(struct http_request *r, int status, const struct json *v)
{
    CLEANUP_BUF struct buf text = BUF_INIT(JSON_MAX_BYTES);
    js_write(v, JS_COMPACT, &text);
    buf_push(&text, '\n');
    if (buf_check(&text, "the answer", NULL) < 0)
        http_respond_text(r, 500, "the answer is too large");
    else
        http_respond(r, status, "application/json", buf_str(&text));
}

void http_respond_empty(struct http_request *r, int status)
{
    http_respond(r, status, NULL, STR(""));
}

static ssize_t pull_stream(void *ctx, uint64_t at, char *p, size_t max)
{
    (void)at;
    return exchange_pull(ctx, p, max);
}

void http_stream_begin(struct http_request *r, int status, const char *content_type)
{
    if (http_responded(r))
        return;
    r->out = xmalloc(OUT_CAP);
    r->streaming = true;
    answer(r, status, content_type,
           MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_SIZE, pull_stream, r, NULL));
}

/* Copies what fits behind the unsent bytes; with the lock held. */
static size_t store(struct http_request *r, struct str piece)
{
    if (r->out_len == 0)
        r->out_at = 0;
    size_t n = MIN(piece.len, OUT_CAP - r->out_len);
    if (n > OUT_CAP - r->out_at - r->out_len) {
        memmove(r->out, r->out + r->out_at, r->out_len);
        r->out_at = 0;
    }
    memcpy(r->out + r->out_at + r->out_len, piece.ptr, n);
    r->out_len += n;
    return n;
}

/* Sends all of it, waiting for a slow client; false when it is gone. */
static bool send_all(struct http_request *r, struct iovec *v, size_t n)
{
    int fd = connection_fd(r->connection);
    struct msghdr message = {.msg_iov = v, .msg_iovlen = n};
    bool waited = false, ok = true;
    while (ok && message.msg_iovlen > 0) {
        ssize_t sent = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) {
            struct pollfd p = {.fd = fd, .events = POLLOUT};
            if (!waited)
                connection_set_timeout(r->connection, SEND_TIMEOUT_MS);
            waited = true;
            poll(&p, 1, -1);
            continue;
        }
        ok = sent >= 0 || errno == EINTR;
        for (size_t left = sent > 0 ? (size_t)sent : 0; left > 0;) {
            struct iovec *first = message.msg_iov;
            size_t take = MIN(left, first->iov_len);
            first->iov_base = (char *)first->iov_base + take;
            first->iov_len -= take;
            left -= take;
            if (first->iov_len > 0)
                break;
            message.msg_iov++;
            message.msg_iovlen--;
        }
    }
    if (waited)
        connection_set_timeout(r->connection, NO_TIMEOUT);
    return ok;
}

static bool may_send_directly(const struct http_request *r)
{
    return r->sends_chunks && r->pulled && r->suspended && r->out_len == 0 && !r->out_end;
}

/* Sends the beginning of a piece as one chunk; with the lock held, which is let go meanwhile. The
 * connection stays suspended, so that nobody closes it. */
static size_t send_directly(struct http_request *r, struct str piece)
{
    enum { MAX_CHUNK = 64 * 1024 };
    char head[16];
    size_t n = MIN(piece.len, (size_t)MAX_CHUNK);
    int head_len = snprintf(head, sizeof(head), "%zx\r\n", n);
    struct iovec v[] = {{head, (size_t)head_len},
                        {(void *)(uintptr_t)piece.ptr, n},
                        {(void *)(uintptr_t) "\r\n", 2}};
    r->direct = true;
    pthread_mutex_unlock(&r->lock);
    bool ok = send_all(r, v, ARRAY_LEN(v));
    if (!ok)
        exchange_cancel(r);
    pthread_mutex_lock(&r->lock);
    r->direct = false;
    pthread_cond_broadcast(&r->changed);
    if (r->canceled)
        wake_connection(r);
    return n;
}

int http_stream_write(struct http_request *r, struct str piece)
{
    int result = 0;
    pthread_mutex_lock(&r->lock);
    while (piece.len > 0) {
        /* An answer to HEAD, and one that the connection is done with, have nowhere to go. */
        if (!r->streaming || r->is_head || r->out_end || (r->detached && !r->canceled))
            break;
        if (r->canceled) {
            result = -(int)ERR_CANCELED;
            break;
        }
        if (r->out_len == OUT_CAP || r->direct) {
            pthread_cond_wait(&r->changed, &r->lock);
            continue;
        }
        if (may_send_directly(r)) {
            piece = str_sub(piece, send_directly(r, piece), SIZE_MAX);
            continue;
        }
        piece = str_sub(piece, store(r, piece), SIZE_MAX);
        wake_connection(r);
    }
    if (r->canceled)
        result = -(int)ERR_CANCELED;
    pthread_mutex_unlock(&r->lock);
    return result;
}

static void end_stream(struct http_request *r, bool broken)
{
    pthread_mutex_lock(&r->lock);
    if (r->streaming && !r->out_end) {
        r->out_end = true;
        r->out_abort = broken;
        wake_connection(r);
    }
    pthread_mutex_unlock(&r->lock);
}

void http_stream_abort(struct http_request *r)
{
    end_stream(r, true);
}

bool http_responded(const struct http_request *r)
{
    return exchange_answered((struct http_request *)(uintptr_t)r);
}

void exchange_handler_done(struct http_request *r)
{
    if (!http_responded(r) && !http_request_canceled(r)) {
        log_debug("http: the handler of %s %s gave no answer", r->method, r->path);
        http_respond_text(r, 500, "the server gave no answer to this request");
    }
    end_stream(r, false);
    http_request_on_cancel(r, NULL, NULL);
}
