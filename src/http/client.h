/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP client: the project's one adapter over libcurl. It knows no model.
 *
 * One call is one request and its answer, performed on the caller's thread:
 *
 *     struct http_call call = HTTP_CALL_INIT;
 *     call.url = "http://localhost/health";
 *     call.unix_path = "/run/…/engine.sock";
 *     struct http_result res = {0};
 *     int r = http_perform(&call, &res, err);      // transport errors only: 404 is success
 *     ... res.status, res.body ...
 *     http_result_release(&res);
 *
 * Redirects are not followed unless asked for; environment proxies are honoured for TCP hosts (see
 * http/proxy.h) and never for Unix sockets; answers are bounded by max_body when they are collected.
 * Several calls at a time on one thread: http/multi.h.
 *
 * Threads: calls on different threads are independent; http_cancel_* may be used from any thread.
 */
#ifndef HTTP_CLIENT_H
#define HTTP_CLIENT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"

/* Stops a call from another thread. http_cancel_fire() makes a call that holds it end with
 * ERR_CANCELED, also one that starts later. */
struct http_cancel;
struct http_cancel *http_cancel_new(void);
void http_cancel_fire(struct http_cancel *c);
bool http_cancel_fired(const struct http_cancel *c); /* NULL: never */
int http_cancel_fd(const struct http_cancel *c); /* readable once fired; -1 for NULL */
void http_cancel_free(struct http_cancel *c); /* NULL is fine; no call may hold it any more */

struct http_call {
    const char *method;          /* NULL = GET, or POST with a body */
    const char *url;
    const char *unix_path;       /* connect to this socket instead of the URL's host */
    const char *const *headers;  /* "Name: value", NULL-terminated; NULL = none */
    struct str body;             /* sent when body.ptr is not NULL */

    /* Streamed request body instead of `body`: returns bytes given, 0 at the end, negative to
     * stop the call. body_size < 0 = chunked. */
    ssize_t (*read_body)(void *ctx, char *p, size_t n);
    int64_t body_size;

    /* Called once when the final status line and headers are in, before any body. */
    int (*on_headers)(void *ctx, int status);
    /* Called for each header line of the final answer, name and value split. */
    void (*on_header)(void *ctx, struct str name, struct str value);
    /* Takes pieces of the body as they come instead of collecting them. Negative stops the call. */
    int (*on_data)(void *ctx, struct str piece);
    void *ctx;

    size_t max_body;             /* of a collected body; 0 = 16 MiB */
    int64_t connect_timeout_ms;  /* 0 = 10 s */
    int64_t timeout_ms;          /* whole call; 0 = none */
    int64_t stall_timeout_ms;    /* no byte in either direction for so long; 0 = none */
    struct http_cancel *cancel;  /* may be NULL */
    bool follow_redirects;       /* at most 10; credentials stay with the host */
    const char *ca_file;         /* NULL = system store */
    struct str ca_pem;           /* certificates trusted beside the system store; ptr NULL = none */
    const char *client_cert;     /* PEM files shown to a server that asks; NULL = none */
    const char *client_key;
    bool insecure;               /* no certificate check */
    const char *user_agent;
    bool http1_only;             /* a connection of its own instead of a stream in a shared one */
    size_t receive_bytes;        /* read from the socket at a time; 0 = libcurl's default */
    /* Asked before each connection that is not made through a proxy. A negative result keeps it
     * from being made; the call fails with it (and *err untouched) when no other address is
     * allowed either. */
    int (*on_connect)(void *ctx, const struct sockaddr *address);
};
#define HTTP_CALL_INIT ((struct http_call){.body_size = -1})

/* Why there is no answer, where a caller can do something about it. */
enum http_fault {
    HTTP_FAULT_NONE,
    HTTP_FAULT_OTHER,
    HTTP_FAULT_CONNECT,     /* nobody listens, no such name */
    HTTP_FAULT_RESET,       /* the connection was torn down instead of ended in order. A Unix socket
                               does that exactly when bytes sent to it were never read. */
    HTTP_FAULT_TLS,         /* the other end speaks no TLS, or none we share */
    HTTP_FAULT_CERTIFICATE, /* its certificate is not trusted */
};

struct http_result {
    int status;
    char content_type[128]; /* "" if none */
    struct buf body;        /* empty when on_data took it */
    bool sent;              /* the request went out; told also when the call fails */
    bool proxied;           /* the connection goes through a proxy */
    char peer[64];          /* numeric address of the other end, a proxy's if there is one; "" */
    enum http_fault fault;  /* told also when the call fails */
};

/* 0 when an answer came, whatever its status. ERR_UNAVAILABLE: nobody listens there, or the
 * connection broke before an answer; ERR_TIMEOUT; ERR_CANCELED; ERR_TOO_LARGE; ERR_IO when the
 * answer broke off in the middle. A negative value from a callback is returned as it is (with
 * *err untouched by this function). */
int http_perform(const struct http_call *call, struct http_result *res, struct error *err);
void http_result_release(struct http_result *res);

/* Percent-encodes everything but unreserved characters and those in `keep`; the caller frees. */
char *url_encode(struct str s, const char *keep) ATTR_CHECK;

#endif
