/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside the HTTP server: one request and its answer, shared by two threads.
 *
 *     I/O thread (libmicrohttpd, for all)            handler thread (ours)
 *     -----------------------------------            ---------------------
 *     exchange_new()            ── starts ──▶        http_handler_fn
 *     exchange_feed(piece)      ── body ────▶        http_request_read()
 *     exchange_await_answer()   ◀── status ──        http_respond() / http_stream_begin()
 *     exchange_pull()           ◀── bytes ───        http_stream_write()
 *     exchange_cancel()         ── gone ────▶        on_cancel, -ERR_CANCELED
 *     exchange_detach()                              exchange_handler_done()
 *
 * Each side holds a reference. The I/O thread never waits: where it has to, the connection is
 * suspended, and the handler's next step (or exchange_cancel(), from any thread) resumes it; then
 * libmicrohttpd asks again.
 *
 * A stream's later pieces take a shorter way: while the connection is suspended because all before
 * is sent, libmicrohttpd does not touch it, and the handler's thread sends the next chunk itself.
 * That saves a token the way over another thread. */
#ifndef HTTP_EXCHANGE_H
#define HTTP_EXCHANGE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <microhttpd.h>

#include "http/server.h"

/* How long a client may take nothing of an answer that waits for it. */
enum { SEND_TIMEOUT_MS = 300 * 1000 };

struct connection; /* server.c */

/* The client must do something within so long, or is cut off. NO_TIMEOUT = it is not its turn. */
enum { NO_TIMEOUT = -1 };
void connection_set_timeout(struct connection *c, int64_t timeout_ms);
int connection_fd(const struct connection *c);

struct pair {
    char *name;
    char *value;
};

struct pair_list {
    struct pair *items;
    size_t n;
    size_t cap;
};

void pair_list_add(struct pair_list *l, char *name, char *value); /* steals both */
void pair_list_release(struct pair_list *l);

struct http_request {
    /* Fixed before the handler starts. */
    struct http_server *server;
    char *method;
    char *path;
    char *raw_path;
    char *query_string;
    struct pair_list query;
    struct pair_list headers;
    uint64_t content_length; /* UINT64_MAX = not told */
    bool is_local;
    bool is_head;
    const char *bad; /* why the request cannot be handled; static text, NULL = fine */

    const void *attached; /* handler's thread */

    /* Of the I/O thread alone. */
    struct connection *connection;
    struct MHD_Connection *mhd;
    bool expects_continue;
    bool takes_body; /* what an answer could still refuse is behind us */
    bool dropping;   /* the body is read for nothing */

    pthread_mutex_t lock;
    pthread_cond_t changed; /* the handler's side waits here */

    /* guarded by: lock */
    unsigned refs;
    bool suspended;    /* the connection waits for its resumption */
    bool sends_chunks; /* plain HTTP/1.1: a stream is chunks on the socket; fixed at the start */
    bool pulled;       /* libmicrohttpd has sent the head and a piece of the stream */
    bool direct;       /* a thread of the handler is sending a chunk by itself */

    char *in; /* IN_CAP bytes of the body not yet read by the handler */
    size_t in_at;
    size_t in_len;
    bool body_wanted;
    bool body_done;

    bool answered;
    int status;
    struct MHD_Response *response; /* until the connection takes it */
    struct pair_list answer_headers;
    bool streaming;
    char *out; /* OUT_CAP bytes of a stream's answer not yet sent */
    size_t out_at;
    size_t out_len;
    bool out_end;
    bool out_abort;

    bool canceled;
    bool detached;
    void (*cancel_fn)(void *ctx);
    void *cancel_ctx;
    bool cancel_runs;
    pthread_t cancel_thread;
};

/* ---- the connection's side: the I/O thread, except exchange_cancel() ---- */

enum exchange_state {
    EXCHANGE_READY,
    EXCHANGE_WAITS,    /* the connection was suspended: ask again when it runs */
    EXCHANGE_CANCELED, /* nothing more is to be done for this request */
};

/* One reference for the connection. Never NULL; `bad` says whether it may be handled. */
struct http_request *exchange_new(struct MHD_Connection *c, const char *method, const char *target,
                                  struct connection *connection, bool is_local);
struct http_request *exchange_ref(struct http_request *r);
void exchange_unref(struct http_request *r);

/* Ready when the handler wants the body or has answered. */
enum exchange_state exchange_await_interest(struct http_request *r);
/* Takes as much of the n bytes of the body as there is room for, after an answer all of them; *n is
 * what is left. */
enum exchange_state exchange_feed(struct http_request *r, const char *p, size_t *n);
bool exchange_answered(struct http_request *r);
/* The body is complete. Ready when there is an answer. */
enum exchange_state exchange_await_answer(struct http_request *r);
/* The answer to send, once. */
struct MHD_Response *exchange_take_answer(struct http_request *r, int *ret_status);
/* Bytes of a streamed answer: their number, 0 when there are none yet and the connection was
 * suspended, or one of MHD's two end marks. */
ssize_t exchange_pull(struct http_request *r, char *p, size_t max);

void exchange_cancel(struct http_request *r); /* any thread */
/* The connection is done with it; `well` = the answer went out whole. */
void exchange_detach(struct http_request *r, bool well);

/* ---- the handler's side ---- */

/* The handler returned: ends its stream, answers 500 if it did not, forgets on_cancel. */
void exchange_handler_done(struct http_request *r);

#endif
