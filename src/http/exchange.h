/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside the HTTP server: one request and its answer, shared by two threads.
 *
 *     connection thread (libmicrohttpd)              handler thread (ours)
 *     ---------------------------------              ---------------------
 *     exchange_new()            ── starts ──▶        http_handler_fn
 *     exchange_feed(chunk)      ── body ────▶        http_request_read()
 *     exchange_await_answer()   ◀── status ──        http_respond() / http_stream_begin()
 *     exchange_pull()           ◀── bytes ───        http_stream_write()
 *     exchange_cancel()         ── gone ────▶        on_cancel, -ERR_CANCELED
 *     exchange_detach()                              exchange_handler_done()
 *
 * Each side holds a reference. Whenever the connection thread waits for the handler it polls the
 * client's socket too: end of file or an error there cancels the exchange at once. Bytes that the
 * client sends ahead (pipelining) are no such sign. */
#ifndef HTTP_EXCHANGE_H
#define HTTP_EXCHANGE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <microhttpd.h>

#include "http/server.h"

/* How long a client may take nothing of an answer that waits for it. */
enum { SEND_TIMEOUT_MS = 300 * 1000 };

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

    pthread_mutex_t lock;
    pthread_cond_t changed; /* the handler's side waits here */

    /* guarded by: lock */
    unsigned refs;
    int fd;      /* the client's socket; -1 once the connection let go */
    int wake_fd; /* eventfd of the connection, -1 likewise */
    bool conn_waits;
    atomic_llong *deadline_ms; /* the connection's, see server.c; connection thread only */

    const char *chunk; /* a piece of the body, lent by the connection thread */
    size_t chunk_len;
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

/* ---- the connection's side ---- */

/* One reference for the connection. Never NULL; `bad` says whether it may be handled. */
struct http_request *exchange_new(struct MHD_Connection *c, const char *method, const char *target,
                                  int fd, int wake_fd, atomic_llong *deadline_ms, bool is_local);
struct http_request *exchange_ref(struct http_request *r);
void exchange_unref(struct http_request *r);

/* Waits until the handler wants the body or has answered; false = canceled. */
bool exchange_await_interest(struct http_request *r);
/* Hands a piece of the body over and waits until it is used; after an answer it is dropped. */
bool exchange_feed(struct http_request *r, const char *p, size_t n);
bool exchange_answered(struct http_request *r);
/* Tells that the body is complete and waits for the answer; false = canceled. */
bool exchange_await_answer(struct http_request *r);
/* The answer to send, once. */
struct MHD_Response *exchange_take_answer(struct http_request *r, int *ret_status);
/* Waits for bytes of a streamed answer: their number, or one of MHD's two end marks. */
ssize_t exchange_pull(struct http_request *r, char *p, size_t max);

void exchange_cancel(struct http_request *r);
/* The connection is done with it; `well` = the answer went out whole. */
void exchange_detach(struct http_request *r, bool well);

/* ---- the handler's side ---- */

/* The handler returned: ends its stream, answers 500 if it did not, forgets on_cancel. */
void exchange_handler_done(struct http_request *r);

#endif
