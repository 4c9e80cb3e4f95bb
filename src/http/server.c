/* SPDX-License-Identifier: Apache-2.0
 *
 * The server: connections, their deadlines, and the callbacks of libmicrohttpd.
 *
 * libmicrohttpd runs one thread per connection, which parses, frames and sends. Each request gets a
 * second thread for its handler, so that the connection's thread is free to notice a client that
 * leaves (exchange.c). libmicrohttpd 0.9 can answer a request that has a body only before the
 * body's first byte or after its last one. So an answer that comes early is sent at once where the
 * client waits for "100 Continue", and otherwise after the rest of the body was read and dropped,
 * for a limited time.
 *
 * libmicrohttpd's own timeout counts from the last byte moved, which a client can stretch at will
 * and which would also cut an answer that the handler takes long to make. It is off. Each
 * connection has a deadline instead, set when it begins to wait for the client, and one watchdog
 * thread shuts down the sockets of those that are late:
 *
 *     headers    header_timeout_s from accept, or from the request line of a later request
 *     idle       idle_timeout_s from the end of the last answer
 *     body       idle_timeout_s from the last piece
 *     dropping   DROP_TIMEOUT_MS from the answer, for a body nobody wants
 *     sending    SEND_TIMEOUT_MS from the last piece that the client took
 *     handler    none */
#include "http/server.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "http/exchange.h"
#include "http/listen.h"

enum {
    DEFAULT_CONNECTIONS = 512,
    DEFAULT_HEADER_TIMEOUT_S = 10,
    DEFAULT_IDLE_TIMEOUT_S = 120,
    DROP_TIMEOUT_MS = 30 * 1000,
    WATCH_EVERY_MS = 500,
    /* Per connection: the request line and headers must fit, and a piece of the answer. */
    CONNECTION_MEMORY = 96 * 1024,
    CONNECTION_STACK = 512 * 1024,
    HANDLER_STACK = 4 * 1024 * 1024,
};

static const int64_t NO_DEADLINE = INT64_MAX;

struct connection {
    struct http_server *server;
    struct connection *prev, *next; /* guarded by: server->lock */
    struct http_request *request;   /* guarded by: server->lock; under way, NULL = none */
    atomic_llong deadline_ms;
    char *target; /* of the request whose headers are being read; connection thread only */
    int fd;
    int wake_fd;
};

struct http_server {
    http_handler_fn handler;
    void *ctx;
    int64_t header_timeout_ms;
    int64_t idle_timeout_ms;
    struct MHD_Daemon *daemon;
    struct listener listener;
    pthread_t watchdog;
    bool watchdog_runs;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct connection *connections; /* guarded by: lock */
    unsigned n_accepted;            /* guarded by: lock; on their way into the list */
    unsigned n_handlers;            /* guarded by: lock */
    bool stopping;                  /* guarded by: lock */
};

static void set_deadline(struct connection *c, int64_t timeout_ms)
{
    atomic_store(&c->deadline_ms,
                 timeout_ms == NO_DEADLINE ? NO_DEADLINE : clock_mono_ms() + timeout_ms);
}

/* ---- the watchdog ---- */

static void cut_late_connections(struct http_server *s)
{
    int64_t now = clock_mono_ms();
    for (struct connection *c = s->connections; c; c = c->next) {
        if (atomic_load(&c->deadline_ms) > now)
            continue;
        log_debug("http: a connection was cut off, its client was too slow");
        shutdown(c->fd, SHUT_RDWR);
        set_deadline(c, NO_DEADLINE);
    }
}

/* Waits for a change for a short time; with the lock held. */
static void wait_a_moment(struct http_server *s)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += WATCH_EVERY_MS * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_nsec -= 1000000000L;
        until.tv_sec++;
    }
    pthread_cond_timedwait(&s->changed, &s->lock, &until);
}

static void *watchdog_main(void *arg)
{
    struct http_server *s = arg;
    pthread_mutex_lock(&s->lock);
    while (!s->stopping) {
        if (!s->connections) {
            pthread_cond_wait(&s->changed, &s->lock);
            continue;
        }
        cut_late_connections(s);
        wait_a_moment(s);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
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
    c->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    set_deadline(c, s->header_timeout_ms);
    if (c->wake_fd < 0)
        shutdown(fd, SHUT_RDWR); /* no descriptor left: it cannot be served */
    pthread_mutex_lock(&s->lock);
    s->n_accepted -= s->n_accepted > 0;
    c->next = s->connections;
    if (c->next)
        c->next->prev = c;
    s->connections = c;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    return c;
}

static void connection_close(struct connection *c)
{
    struct http_server *s = c->server;
    pthread_mutex_lock(&s->lock);
    if (c->prev)
        c->prev->next = c->next;
    else
        s->connections = c->next;
    if (c->next)
        c->next->prev = c->prev;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    if (c->wake_fd >= 0)
        close(c->wake_fd);
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
        set_deadline(c, s->header_timeout_ms);
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

/* Starts the handler of a new request; false when the server is stopping. */
static bool start_request(struct connection *c, struct http_request *r)
{
    struct http_server *s = c->server;
    pthread_mutex_lock(&s->lock);
    bool run = !s->stopping;
    if (run) {
        c->request = r;
        s->n_handlers += r->bad ? 0 : 1;
    }
    pthread_mutex_unlock(&s->lock);
    if (!run)
        return false;
    if (r->bad) {
        http_respond_text(r, 400, r->bad);
    } else if (!spawn_handler(r)) {
        http_respond_text(r, 503, "the server has no thread left for this request");
        pthread_mutex_lock(&s->lock);
        s->n_handlers--;
        pthread_mutex_unlock(&s->lock);
    }
    return true;
}

static enum MHD_Result send_answer(struct connection *c, struct http_request *r,
                                   struct MHD_Connection *conn)
{
    int status = 0;
    struct MHD_Response *response = exchange_take_answer(r, &status);
    if (!response)
        return MHD_NO;
    set_deadline(c, SEND_TIMEOUT_MS);
    enum MHD_Result result = MHD_queue_response(conn, (unsigned)status, response);
    MHD_destroy_response(response);
    return result;
}

static bool expects_continue(const struct http_request *r)
{
    const char *expect = http_request_header(r, "Expect");
    return expect && strcasecmp(expect, "100-continue") == 0;
}

/* The headers of a request are in. */
static enum MHD_Result begin(struct http_server *s, struct connection *c,
                             struct MHD_Connection *conn, const char *method, void **slot)
{
    struct http_request *r = exchange_new(conn, method, c->target ? c->target : "", c->fd,
                                          c->wake_fd, &c->deadline_ms, s->listener.is_unix);
    r->server = s;
    *slot = r;
    if (!start_request(c, r))
        return MHD_NO;
    if (r->bad) /* its body may be framed in two ways: nothing behind it can be trusted */
        return send_answer(c, r, conn);
    if (expects_continue(r)) {
        if (!exchange_await_interest(r))
            return MHD_NO;
        if (exchange_answered(r))
            return send_answer(c, r, conn);
    }
    set_deadline(c, s->idle_timeout_ms);
    return MHD_YES;
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *conn, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *data_len, void **slot)
{
    (void)url;
    (void)version;
    struct http_server *s = ctx;
    struct connection *c = connection_of(conn);
    if (!c || c->wake_fd < 0)
        return MHD_NO;
    int64_t dropping_until = atomic_load(&c->deadline_ms);
    set_deadline(c, NO_DEADLINE);
    struct http_request *r = *slot;
    if (!r)
        return begin(s, c, conn, method, slot);
    if (*data_len > 0) {
        bool dropping = exchange_answered(r);
        if (!exchange_feed(r, data, *data_len))
            return MHD_NO;
        *data_len = 0;
        if (dropping)
            atomic_store(&c->deadline_ms, dropping_until);
        else
            set_deadline(c, exchange_answered(r) ? DROP_TIMEOUT_MS : s->idle_timeout_ms);
        return MHD_YES;
    }
    if (!exchange_await_answer(r))
        return MHD_NO;
    return send_answer(c, r, conn);
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
        set_deadline(c, s->idle_timeout_ms);
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

static struct MHD_Daemon *start_daemon(struct http_server *s, unsigned max_connections)
{
    unsigned flags = MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD |
                     MHD_USE_POLL | MHD_USE_ITC | MHD_USE_ERROR_LOG;
    /* The logger must come first, so that it gets the complaints about the others. */
    const struct MHD_OptionItem options[] = {
        {MHD_OPTION_EXTERNAL_LOGGER, (intptr_t)on_log, NULL},
        {MHD_OPTION_LISTEN_SOCKET, s->listener.fd, NULL},
        {MHD_OPTION_CONNECTION_LIMIT, (intptr_t)max_connections, NULL},
        {MHD_OPTION_CONNECTION_TIMEOUT, 0, NULL}, /* see above */
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY, NULL},
        {MHD_OPTION_THREAD_STACK_SIZE, CONNECTION_STACK, NULL},
        {MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)on_connection, s},
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)on_completed, s},
        {MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)on_target, s},
        {MHD_OPTION_STRICT_FOR_CLIENT, 1, NULL},
        {MHD_OPTION_END, 0, NULL},
    };
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
    s->listener = LISTENER_INIT;
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
    int r = listener_open(&o->listen, &s->listener, err);
    if (r < 0)
        goto fail;
    int error = pthread_create(&s->watchdog, NULL, watchdog_main, s);
    if (error) {
        r = error_errno(err, error, "cannot start the HTTP server");
        goto fail;
    }
    s->watchdog_runs = true;
    s->daemon = start_daemon(s, o->max_connections ? o->max_connections : DEFAULT_CONNECTIONS);
    if (!s->daemon) {
        r = error_set(err, ERR_IO, "cannot start the HTTP server");
        goto fail;
    }
    *ret = s;
    return 0;
fail:
    http_server_stop(s);
    return r;
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

/* Ends every connection and waits for that. libmicrohttpd 0.9.75 crashes when MHD_stop_daemon()
 * meets a thread that is about to refuse a malformed request, so it must find none at work. */
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
    if (s->daemon)
        s->listener.fd = MHD_quiesce_daemon(s->daemon);
    cancel_requests(s);
    close_connections(s);
    if (s->daemon)
        MHD_stop_daemon(s->daemon);
    if (s->watchdog_runs)
        pthread_join(s->watchdog, NULL);
    listener_close(&s->listener);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
