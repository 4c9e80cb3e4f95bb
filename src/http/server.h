/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP/1.1 server: the project's one adapter over libmicrohttpd. It knows no model.
 *
 * One lifetime per request. The server calls `handler` once for each request, on a thread that
 * belongs to that request alone, as soon as the headers are in; the handler may block, read the
 * body, and answer in one of two ways:
 *
 *     static void handle(struct http_request *req, void *ctx)
 *     {
 *         CLEANUP_BUF struct buf body = BUF_INIT(10 << 20);
 *         struct error err = ERROR_INIT;
 *         if (http_request_read_all(req, &body, &err) < 0) {
 *             http_respond_text(req, errc_http_status(err.code), err.msg);
 *             return;
 *         }
 *         http_respond_json(req, 200, value);                        // (1) whole
 *
 *         http_stream_begin(req, 200, "text/event-stream");          // (2) piece by piece
 *         while (more && http_stream_write(req, piece) == 0)
 *             ;
 *     }                                                              // returning ends the answer
 *
 * A handler that returns without an answer sends 500. A stream that must be seen as broken ends
 * with http_stream_abort().
 *
 * When the client goes away, http_request_canceled() turns true, writes fail with ERR_CANCELED and
 * the callback given to http_request_on_cancel() runs, at once, also while the handler is busy and
 * has not written anything yet. The request object stays valid until the handler returns.
 *
 * Bounded: connections, requests at work, header size, and the body by the handler's own buffer. A
 * client that sends its headers too slowly is cut off after `header_timeout_s`. A connection that
 * waits holds no thread.
 *
 * Threads: http_server_* from one thread, except http_server_adopt(); http_request_* and http_stream_* from the handler's
 * thread, except http_request_canceled() and http_stream_write(), which any thread may call while
 * the handler has not returned.
 */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "base/str.h"

struct http_server;
struct http_request;

typedef void (*http_handler_fn)(struct http_request *req, void *ctx);

/* What a server listens on; zero the rest. One of unix_path, host, listen_fd > 0 or nowhere. */
struct http_listen {
    const char *unix_path; /* an existing dead socket is replaced, a live one is ERR_CONFLICT */
    mode_t unix_mode;      /* of the socket, set before anybody can connect; 0 = 0600 */
    const char *unix_group; /* name or number of the group that owns it; NULL = this process's */
    const char *host;      /* numeric address or name, e.g. "127.0.0.1", "::1" */
    uint16_t port;         /* 0 = any free one, see http_server_port() */
    int listen_fd;         /* an already listening socket, closed by the server */
    bool nowhere;          /* only the connections of http_server_adopt() */
};

struct http_server_options {
    struct http_listen listen;
    http_handler_fn handler;
    void *ctx;
    const char *tls_cert;      /* PEM, the chain of the certificate; NULL = no TLS */
    const char *tls_key;       /* PEM, its private key */
    unsigned max_connections;  /* 0 = 4096; who comes later waits in the queue of the socket */
    unsigned max_requests;     /* at work at the same time, 0 = 512; further ones get a 503 */
    unsigned header_timeout_s; /* 0 = 10 */
    unsigned idle_timeout_s;   /* of a kept-alive connection; 0 = 120 */
};

/* Listens and serves on threads of its own until http_server_stop(). */
int http_server_start(const struct http_server_options *o, struct http_server **ret,
                      struct error *err);

/* Serves one more connection, a connected stream socket, as one of a local client. Any thread. The
 * socket belongs to the server then, on failure too. */
int http_server_adopt(struct http_server *s, int fd, struct error *err);

uint16_t http_server_port(const struct http_server *s); /* TCP port bound, 0 for a Unix socket */

/* Stops accepting, cancels the requests under way, waits for their handlers, removes the socket
 * file and frees the server. NULL is fine. */
void http_server_stop(struct http_server *s);

/* ---- the request; everything returned is borrowed from it ---- */

const char *http_request_method(const struct http_request *r);

/* Percent-decoded, without the query; runs of '/' are made one. */
const char *http_request_path(const struct http_request *r);

/* As sent, without the query. */
const char *http_request_raw_path(const struct http_request *r);

/* The first value of a key, decoded; NULL if the key is absent, "" if it has no value. */
const char *http_request_query(const struct http_request *r, const char *key);

/* The nth value (from 0) of a key that may be given several times; NULL behind the last. */
const char *http_request_query_nth(const struct http_request *r, const char *key, size_t n);

/* As sent, without '?'; "" if there is none. */
const char *http_request_query_string(const struct http_request *r);

/* The first header of that name in any case; NULL if there is none. */
const char *http_request_header(const struct http_request *r, const char *name);

bool http_request_is_local_socket(const struct http_request *r); /* came over a Unix socket */

/* Calls fn(name, value, ctx) for each header in the order sent. */
typedef void (*http_header_fn)(const char *name, const char *value, void *ctx);
void http_request_each_header(const struct http_request *r, http_header_fn fn, void *ctx);

/* Appends the rest of the body to out; more than out->max is ERR_TOO_LARGE (found out before the
 * body is sent, where the client tells its length), a client that leaves ERR_CANCELED. */
int http_request_read_all(struct http_request *r, struct buf *out, struct error *err);

/* Reads up to n bytes of the body; 0 at its end, negative on error. Blocks until there is some.
 * The body ends where the answer begins: what was not read by then is dropped. */
ssize_t http_request_read(struct http_request *r, void *p, size_t n, struct error *err);

bool http_request_canceled(const struct http_request *r);

/* fn(ctx) runs once, on another thread, when the client leaves or the server stops; not after the
 * handler returned. Set before the long work starts; if the client has left already, it runs at
 * once on the caller's thread. fn must not block. NULL removes it, and when that call returns fn
 * does not run any more. */
void http_request_on_cancel(struct http_request *r, void (*fn)(void *ctx), void *ctx);

/* Something of the handler's own that goes with the request; not looked at here. */
void http_request_attach(struct http_request *r, const void *what);
const void *http_request_attached(const struct http_request *r); /* NULL at first */

/* ---- the answer ---- */

/* Adds a header to the answer; before respond or stream_begin. */
void http_respond_header(struct http_request *r, const char *name, const char *value);

void http_respond(struct http_request *r, int status, const char *content_type, struct str body);
/* text/plain; charset=utf-8 with X-Content-Type-Options: nosniff and a final newline. */
void http_respond_text(struct http_request *r, int status, const char *text);
void http_respond_json(struct http_request *r, int status, const struct json *v); /* with newline */
void http_respond_empty(struct http_request *r, int status);

/* Starts a chunked answer. content_type NULL = none. Each write is sent without delay; it blocks
 * while the client does not read (back pressure). 0, or -ERR_CANCELED once the client is gone. */
void http_stream_begin(struct http_request *r, int status, const char *content_type);
int http_stream_write(struct http_request *r, struct str piece);
void http_stream_abort(struct http_request *r);    /* cuts the connection instead of ending well */
bool http_responded(const struct http_request *r); /* has an answer been started? */

#endif
