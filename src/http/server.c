/* SPDX-License-Identifier: Apache-2.0
 *
 * The server: connections, their deadlines, and the callbacks of libmicrohttpd.
 *
 * libmicrohttpd parses, frames and sends for all connections on one thread, which never waits: a
 * connection that has to wait for its handler is suspended (exchange.c). A connection without a
 * request costs a descriptor and a few kilobytes. Each request gets a thread for its handler.
 *
 * libmicrohttpd 0.9 can answer a request that has a body only before the body's first byte or after
 * its last one. So an answer that comes early is sent at once where the client waits for "100
 * Continue", and otherwise after the rest of the body was read and dropped, for a limited time.
 *
 * One more thread, the watchdog, does what libmicrohttpd cannot:
 *
 * - It notices clients that leave while their connection is suspended. Every socket is in its epoll
 *   set for the end of the stream, edge-triggered. Bytes that a client sends ahead (pipelining) are
 *   no such sign.
 * - It cuts off clients that are late. libmicrohttpd's own timeout counts from the last byte moved,
 *   which a client can stretch at will, and would also cut an answer that the handler takes long to
 *   make; it is off. Each connection has a deadline instead, set when it begins to wait for the
 *   client:
 *
 *     headers    header_timeout_s from accept, or from the request line of a later request
 *     idle       idle_timeout_s from the end of the last answer
 *     body       idle_timeout_s from the last piece
 *     dropping   DROP_TIMEOUT_MS from the first dropped piece of a body nobody wants
 *     sending    SEND_TIMEOUT_MS from the last piece that the client took
 *     handler    none
 *
 *   It sleeps until the earliest deadline it knew of when it last looked; who sets an earlier one
 *   wakes it. A server without connections wakes up for nobody. */
#include "http/server.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "http/exchange.h"
#include "http/listen.h"

enum {
    DEFAULT_CONNECTIONS = 4096,
    DEFAULT_REQUESTS = 512,
    DEFAULT_HEADER_TIMEOUT_S = 10,
    DEFAULT_IDLE_TIMEOUT_S = 120,
    DROP_TIMEOUT_MS = 30 * 1000,
    /* Deadlines that lie closer together than this are looked at together. */
    WATCH_GRAIN_MS = 200,
    /* Per connection: the request line and headers must fit, and a piece of the answer. An idle
     * connection holds it, too. */
    CONNECTION_MEMORY = 32 * 1024,
    HANDLER_STACK = 4 * 1024 * 1024,
};

static const int64_t NO_DEADLINE = INT64_MAX;
static const char TLS_PRIORITIES[] = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2";

struct connection {
    struct http_server *server;
    struct connection *prev, *next; /* guarded by: server->lock */
    struct http_request *request;   /* guarded by: server->lock; under way, NULL = none */
    bool gone;                      /* guarded by: server->lock; the client left */
    uint64_t id;
    atomic_llong deadline_ms;
    char *target; /* of the request whose headers are being read; I/O thread only */
    int fd;
};

struct http_server {
    http_handler_fn handler;
    void *ctx;
    int64_t header_timeout_ms;
    int64_t idle_timeout_ms;
    unsigned max_requests;
    bool is_local;
    bool has_tls;
    struct MHD_Daemon *daemon;
    struct listener listener;

    pthread_t watchdog;
    bool watchdog_runs;
    int watch_fd;               /* its epoll set; key = id of a connection, 0 = wake_fd */
    int wake_fd;                /* eventfd */
    atomic_llong next_watch_ms; /* when it looks at the deadlines again */

    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct connection *connections; /* guarded by: lock */
    uint64_t last_id;               /* guarded by: lock */
    unsigned n_accepted;            /* guarded by: lock; on their way into the list */
    unsigned n_handlers;            /* guarded by: lock */
    bool stopping;                  /* guarded by: lock */
};

/* ---- the watchdog ---- */

static void wake_watchdog(struct http_server *s)
{
    eventfd_write(s->wake_fd, 1);
}

void connection_set_timeout(struct connection *c, int64_t timeout_ms)
{
    struct http_server *s = c->server;
    if (timeout_ms == NO_TIMEOUT) {
        atomic_store(&c->deadline_ms, NO_DEADLINE);
        return;
    }
    int64_t deadline = clock_mono_ms() + timeout_ms;
    atomic_store(&c->deadline_ms, deadline);
    if (deadline + WATCH_GRAIN_MS < atomic_load(&s->next_watch_ms))
        wake_watchdog(s);
}

int connection_fd(const struct connection *c)
{
    return c->fd;
}

/* Cuts off who is late; the result is when to look again. */
static int64_t cut_late_connections(struct http_server *s)
{
    /* Deadlines set from here on may be missed below, so those who set them must wake us. */
    atomic_store(&s->next_watch_ms, NO_DEADLINE);
    int64_t now = clock_mono_ms(), next = NO_DEADLINE;
    pthread_mutex_lock(&s->lock);
    for (struct connection *c = s->connections; c; c = c->next) {
        int64_t deadline = atomic_load(&c->deadline_ms);
        if (deadline > now) {
            next = MIN(next, deadline);
            continue;
        }
        log_debug("http: a connection was cut off, its client was too slow");
        shutdown(c->fd, SHUT_RDWR);
        atomic_store(&c->deadline_ms, NO_DEADLINE);
    }
    pthread_mutex_unlock(&s->lock);
    if (next != NO_DEADLINE)
        next = MAX(next, now + WATCH_GRAIN_MS);
    atomic_store(&s->next_watch_ms, next);
    return next;
}

/* The client of this connection left: what is done for it is done for nobody. */
static void client_left(struct http_server *s, uint64_t id)
{
    struct http_request *r = NULL;
    pthread_mutex_lock(&s->lock);
    struct connection *c = s->connections;
    while (c && c->id != id)
        c = c->next;
    if (c) {
        c->gone = true;
        r = c->request ? exchange_ref(c->request) : NULL;
    }
    pthread_mutex_unlock(&s->lock);
    if (r) {
        exchange_cancel(r);
        exchange_unref(r);
    }
}

static bool watch_is_over(struct http_server *s)
{
    pthread_mutex_lock(&s->lock);
    bool over = s->stopping && !s->connections;
    pthread_mutex_unlock(&s->lock);
    return over;
}

static void *watchdog_main(void *arg)
{
    struct http_server *s = arg;
    struct epoll_event events[64];
    int64_t next = NO_DEADLINE;
    while (!watch_is_over(s)) {
        int timeout = -1;
        if (next != NO_DEADLINE)
            timeout = (int)MAX(next - clock_mono_ms(), 0);
        int n = epoll_wait(s->watch_fd, events, ARRAY_LEN(events), timeout);
        bool woken = n == 0;
        for (int i = 0; i < n; i++) {
            if (events[i].data.u64 != 0) {
                client_left(s, events[i].data.u64);
                continue;
            }
            eventfd_t count;
            eventfd_read(s->wake_fd, &count);
            woken = true;
        }
        if (woken)
            next = cut_late_connections(s);
    }
    return NULL;
}

static bool start_watchdog(struct http_server *s)
{
    s->watch_fd = epoll_create1(EPOLL_CLOEXEC);
    s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN};
    if (s->watch_fd < 0 || s->wake_fd < 0 ||
        epoll_ctl(s->watch_fd, EPOLL_CTL_ADD, s->wake_fd, &event) != 0)
        return false;
    s->watchdog_runs = pthread_create(&s->watchdog, NULL, watchdog_main, s) == 0;
    return s->watchdog_runs;
}

/* ---- connections ---- */

/* A client whose machine or network vanished sends no end of file; probes find out, also while the
 * handler has nothing to send. */
static void enable_probes(int fd)
{
    enum { IDLE_S = 30, INTERVAL_S = 10, PROBES = 4 };
    static const int on = 1, idle = IDLE_S, interval = INTERVAL_S, probes = PROBES;
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
}

static struct connection *connection_open(struct http_server *s, int fd)
{
    if (!s->listener.is_unix)
        enable_probes(fd);
    struct connection *c = xcalloc(1, sizeof(*c));
    c->server = s;
    c->fd = fd;
    atomic_init(&c->deadline_ms, NO_DEADLINE);
    pthread_mutex_lock(&s->lock);
    c->id = ++s->last_id;
    s->n_accepted -= s->n_accepted > 0;
    c->next = s->connections;
    if (c->next)
        c->next->prev = c;
    s->connections = c;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    struct epoll_event event = {.events = EPOLLRDHUP | EPOLLET, .data.u64 = c->id};
    if (epoll_ctl(s->watch_fd, EPOLL_CTL_ADD, fd, &event) != 0)
        shutdown(fd, SHUT_RDWR); /* the system refuses more: it cannot be served */
    connection_set_timeout(c, s->header_timeout_ms);
    return c;
}

static void connection_close(struct connection *c)
{
    struct http_server *s = c->server;
    epoll_ctl(s->watch_fd, EPOLL_CTL_DEL, c->fd, NULL);
    pthread_mutex_lock(&s->lock);
    if (c->prev)
        c->prev->next = c->next;
    else
        s->connections = c->next;
    if (c->next)
        c->next->prev = c->prev;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    free(c->target);
    free(c);
}

static enum MHD_Result on_accept(void *ctx, const struct sockaddr *addr, socklen_t len)
{
    (void)addr;
    (void)len;
    struct http_server *s = ctx;
    pthread_mutex_lock(&s->lock);
    bool welcome = !s->stopping;
    s->n_accepted += welcome;
    pthread_mutex_unlock(&s->lock);
    return welcome ? MHD_YES : MHD_NO;
}

static void on_connection(void *ctx, struct MHD_Connection *conn, void **slot,
                          enum MHD_ConnectionNotificationCode code)
{
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(conn, MHD_CONNECTION_INFO_CONNECTION_FD);
        *slot = info ? connection_open(ctx, info->connect_fd) : NULL;
    } else if (*slot) {
        connection_close(*slot);
        *slot = NULL;
    }
}

static struct connection *connection_of(struct MHD_Connection *conn)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(conn, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

/* The request line is in: its headers are due. The result is the request's first context. */
static void *on_target(void *ctx, const char *target, struct MHD_Connection *conn)
{
    struct http_server *s = ctx;
    struct connection *c = connection_of(conn);
    if (c) {
        free(c->target);
        c->target = xstrdup(target);
        connection_set_timeout(c, s->header_timeout_ms);
    }
    return NULL;
}

/* ---- requests ---- */

static void *handler_main(void *arg)
{
    struct http_request *r = arg;
    struct http_server *s = r->server;
    s->handler(r, s->ctx);
    exchange_handler_done(r);
    exchange_unref(r);
    pthread_mutex_lock(&s->lock);
    s->n_handlers--;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

static bool spawn_handler(struct http_request *r)
{
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, HANDLER_STACK);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    exchange_ref(r);
    pthread_t thread;
    int error = pthread_create(&thread, &attr, handler_main, r);
    pthread_attr_destroy(&attr);
    if (error)
        exchange_unref(r);
    return error == 0;
}

/* Starts the handler of a new request; false when the server is stopping or the client is gone. */
static bool start_request(struct connection *c, struct http_request *r)
{
    struct http_server *s = c->server;
    pthread_mutex_lock(&s->lock);
    bool run = !s->stopping && !c->gone;
    bool busy = s->n_handlers >= s->max_requests;
    bool handle = run && !busy && !r->bad;
    if (run)
        c->request = r;
    s->n_handlers += handle;
    pthread_mutex_unlock(&s->lock);
    if (!run)
        return false;
    if (r->bad) {
        http_respond_text(r, 400, r->bad);
    } else if (busy) {
        http_respond_header(r, "Retry-After", "1");
        http_respond_text(r, 503, "too many requests are under way: try again later");
    } else if (!spawn_handler(r)) {
        http_respond_text(r, 503, "the server has no thread left for this request");
        pthread_mutex_lock(&s->lock);
        s->n_handlers--;
        pthread_mutex_unlock(&s->lock);
    }
    return true;
}

static enum MHD_Result send_answer(struct http_request *r)
{
    int status = 0;
    struct MHD_Response *response = exchange_take_answer(r, &status);
    if (!response)
        return MHD_NO;
    connection_set_timeout(r->connection, SEND_TIMEOUT_MS);
    enum MHD_Result result = MHD_queue_response(r->mhd, (unsigned)status, response);
    MHD_destroy_response(response);
    return result;
}

static bool expects_continue(const struct http_request *r)
{
    const char *expect = http_request_header(r, "Expect");
    return expect && strcasecmp(expect, "100-continue") == 0;
}

/* The headers are in, and no byte of the body was asked for yet. */
static enum MHD_Result on_head(struct http_server *s, struct http_request *r)
{
    if (r->bad) /* its body may be framed in two ways: nothing behind it can be trusted */
        return send_answer(r);
    if (r->expects_continue) {
        enum exchange_state state = exchange_await_interest(r);
        if (state != EXCHANGE_READY)
            return state == EXCHANGE_WAITS ? MHD_YES : MHD_NO;
        if (exchange_answered(r))
            return send_answer(r);
    }
    r->takes_body = true;
    connection_set_timeout(r->connection, s->idle_timeout_ms);
    return MHD_YES;
}

static enum MHD_Result on_body(struct http_server *s, struct http_request *r, const char *data,
                               size_t *data_len)
{
    enum exchange_state state = exchange_feed(r, data, data_len);
    if (state != EXCHANGE_READY)
        return state == EXCHANGE_WAITS ? MHD_YES : MHD_NO;
    if (!exchange_answered(r))
        connection_set_timeout(r->connection, s->idle_timeout_ms);
    else if (!r->dropping)
        connection_set_timeout(r->connection, DROP_TIMEOUT_MS);
    r->dropping = exchange_answered(r);
    return MHD_YES;
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *conn, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *data_len, void **slot)
{
    (void)url;
    struct http_server *s = ctx;
    struct http_request *r = *slot;
    if (!r) {
        struct connection *c = connection_of(conn);
        if (!c)
            return MHD_NO;
        r = exchange_new(conn, method, c->target ? c->target : "", c, s->is_local);
        r->server = s;
        r->expects_continue = expects_continue(r);
        r->sends_chunks = !s->has_tls && !r->is_head && strcmp(version, "HTTP/1.1") == 0;
        *slot = r;
        if (!start_request(c, r))
            return MHD_NO;
    }
    if (!r->takes_body)
        return on_head(s, r);
    if (*data_len > 0)
        return on_body(s, r, data, data_len);
    enum exchange_state state = exchange_await_answer(r);
    if (state == EXCHANGE_WAITS)
        return MHD_YES;
    return state == EXCHANGE_READY ? send_answer(r) : MHD_NO;
}

static void on_completed(void *ctx, struct MHD_Connection *conn, void **slot,
                         enum MHD_RequestTerminationCode code)
{
    struct http_server *s = ctx;
    struct http_request *r = *slot;
    struct connection *c = connection_of(conn);
    *slot = NULL;
    if (c) {
        pthread_mutex_lock(&s->lock);
        c->request = NULL;
        pthread_mutex_unlock(&s->lock);
        connection_set_timeout(c, s->idle_timeout_ms);
    }
    if (r)
        exchange_detach(r, code == MHD_REQUEST_TERMINATED_COMPLETED_OK);
}

/* ---- the life of a server ---- */

ATTR_PRINTF(2, 0) static void on_log(void *ctx, const char *fmt, va_list args)
{
    (void)ctx;
    char line[512];
    vsnprintf(line, sizeof(line), fmt, args);
    line[strcspn(line, "\n")] = '\0';
    log_debug("http: %s", line);
}

static struct MHD_Daemon *start_daemon(struct http_server *s, const struct http_server_options *o)
{
    unsigned flags = MHD_USE_EPOLL | MHD_USE_INTERNAL_POLLING_THREAD | MHD_ALLOW_SUSPEND_RESUME |
                     MHD_USE_ITC | MHD_USE_ERROR_LOG;
    if (s->listener.fd < 0)
        flags |= MHD_USE_NO_LISTEN_SOCKET;
    if (o->tls_cert)
        flags |= MHD_USE_TLS;
    unsigned max_connections = o->max_connections ? o->max_connections : DEFAULT_CONNECTIONS;
    /* The logger must come first, so that it gets the complaints about the others. */
    struct MHD_OptionItem options[16] = {
        {MHD_OPTION_EXTERNAL_LOGGER, (intptr_t)on_log, NULL},
        {MHD_OPTION_CONNECTION_LIMIT, (intptr_t)max_connections, NULL},
        {MHD_OPTION_CONNECTION_TIMEOUT, 0, NULL}, /* see above */
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY, NULL},
        {MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)on_connection, s},
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)on_completed, s},
        {MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)on_target, s},
        {MHD_OPTION_STRICT_FOR_CLIENT, 1, NULL},
    };
    size_t n = 8;
    if (s->listener.fd >= 0)
        options[n++] = (struct MHD_OptionItem){MHD_OPTION_LISTEN_SOCKET, s->listener.fd, NULL};
    if (o->tls_cert) {
        /* libmicrohttpd copies neither, but only reads them while it starts. */
        options[n++] =
            (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)o->tls_cert};
        options[n++] =
            (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)o->tls_key};
        options[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_PRIORITIES, 0,
                                               (void *)(uintptr_t)TLS_PRIORITIES};
    }
    options[n] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
    return MHD_start_daemon(flags, 0, on_accept, s, on_request, s, MHD_OPTION_ARRAY, options,
                            MHD_OPTION_END);
}

static struct http_server *server_new(const struct http_server_options *o)
{
    struct http_server *s = xcalloc(1, sizeof(*s));
    s->handler = o->handler;
    s->ctx = o->ctx;
    s->header_timeout_ms =
        1000 * (int64_t)(o->header_timeout_s ? o->header_timeout_s : DEFAULT_HEADER_TIMEOUT_S);
    s->idle_timeout_ms =
        1000 * (int64_t)(o->idle_timeout_s ? o->idle_timeout_s : DEFAULT_IDLE_TIMEOUT_S);
    s->max_requests = o->max_requests ? o->max_requests : DEFAULT_REQUESTS;
    s->listener = LISTENER_INIT;
    s->watch_fd = s->wake_fd = -1;
    atomic_init(&s->next_watch_ms, NO_DEADLINE);
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->changed, &attr);
    pthread_condattr_destroy(&attr);
    return s;
}

int http_server_start(const struct http_server_options *o, struct http_server **ret,
                      struct error *err)
{
    struct http_server *s = server_new(o);
    int r = 0;
    if (!o->listen.nowhere)
        r = listener_open(&o->listen, &s->listener, err);
    if (r < 0)
        goto fail;
    if (o->tls_cert && MHD_is_feature_supported(MHD_FEATURE_TLS) != MHD_YES) {
        r = error_set(err, ERR_UNSUPPORTED, "the installed libmicrohttpd has no TLS");
        goto fail;
    }
    s->has_tls = o->tls_cert != NULL;
    s->is_local = o->listen.nowhere || s->listener.is_unix;
    if (!start_watchdog(s)) {
        r = error_errno(err, errno, "cannot start the HTTP server");
        goto fail;
    }
    s->daemon = start_daemon(s, o);
    if (!s->daemon) {
        r = o->tls_cert ? error_set(err, ERR_INVALID,
                                    "cannot start the HTTP server with TLS: the "
                                    "certificate or its key is not accepted")
                        : error_set(err, ERR_IO, "cannot start the HTTP server");
        goto fail;
    }
    *ret = s;
    return 0;
fail:
    http_server_stop(s);
    return r;
}

int http_server_adopt(struct http_server *s, int fd, struct error *err)
{
    const struct sockaddr_un nobody = {.sun_family = AF_UNIX};
    if (MHD_add_connection(s->daemon, fd, (const struct sockaddr *)&nobody, sizeof(sa_family_t)) ==
        MHD_YES)
        return 0;
    return error_set(err, ERR_BUSY, "the server takes no more connections");
}

uint16_t http_server_port(const struct http_server *s)
{
    return s->listener.port;
}

/* Cancels what is under way and waits until no handler runs. */
static void cancel_requests(struct http_server *s)
{
    pthread_mutex_lock(&s->lock);
    size_t n = 0, cap = 0;
    struct http_request **list = NULL;
    for (struct connection *c = s->connections; c; c = c->next) {
        if (!c->request)
            continue;
        if (n == cap) {
            cap = cap ? cap * 2 : 16;
            list = xrealloc(list, cap, sizeof(struct http_request *));
        }
        list[n++] = exchange_ref(c->request);
    }
    pthread_mutex_unlock(&s->lock);
    for (size_t i = 0; i < n; i++) {
        exchange_cancel(list[i]);
        exchange_unref(list[i]);
    }
    free(list);
    pthread_mutex_lock(&s->lock);
    while (s->n_handlers > 0)
        pthread_cond_wait(&s->changed, &s->lock);
    pthread_mutex_unlock(&s->lock);
}

/* Waits for a change for a short time; with the lock held. */
static void wait_a_moment(struct http_server *s)
{
    enum { MOMENT_MS = 100 };
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += MOMENT_MS * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_nsec -= 1000000000L;
        until.tv_sec++;
    }
    pthread_cond_timedwait(&s->changed, &s->lock, &until);
}

/* Ends every connection in order and waits for that, so that MHD_stop_daemon() finds none. */
static void close_connections(struct http_server *s)
{
    enum { PATIENCE_MS = 3000 };
    int64_t give_up_ms = clock_mono_ms() + PATIENCE_MS;
    pthread_mutex_lock(&s->lock);
    while ((s->connections || s->n_accepted > 0) && clock_mono_ms() < give_up_ms) {
        for (struct connection *c = s->connections; c; c = c->next)
            shutdown(c->fd, SHUT_RDWR);
        wait_a_moment(s);
    }
    pthread_mutex_unlock(&s->lock);
}

void http_server_stop(struct http_server *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    /* Accepts no more, and gives the listening socket back; else it is closed with the daemon. */
    if (s->daemon && s->listener.fd >= 0)
        s->listener.fd = MHD_quiesce_daemon(s->daemon);
    cancel_requests(s);
    close_connections(s);
    if (s->daemon)
        MHD_stop_daemon(s->daemon);
    if (s->watchdog_runs) {
        wake_watchdog(s);
        pthread_join(s->watchdog, NULL);
    }
    if (s->watch_fd >= 0)
        close(s->watch_fd);
    if (s->wake_fd >= 0)
        close(s->wake_fd);
    listener_close(&s->listener);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
