/* SPDX-License-Identifier: Apache-2.0
 *
 * See fake.h. */
#include "test.h"

#include "fake.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"

enum { MAX_CONNS = 512 };

struct fake {
    int fd, stop_fd;
    uint16_t port;
    fake_handler handler;
    void *ctx;
    pthread_t acceptor;
    pthread_t conns[MAX_CONNS];
    size_t n_conns;
};

struct fake_conn {
    struct fake *f;
    int fd;
    bool close, reset;
    char in[32768];
    size_t n_in;
};

/* Waits until the socket can be read; false when the server stops. */
static bool wait_readable(struct fake_conn *c)
{
    struct pollfd p[2] = {{.fd = c->fd, .events = POLLIN}, {.fd = c->f->stop_fd, .events = POLLIN}};
    while (poll(p, 2, -1) < 0 && errno == EINTR)
        ;
    return !(p[1].revents & POLLIN);
}

static bool fill(struct fake_conn *c)
{
    if (c->n_in == sizeof(c->in) - 1 || !wait_readable(c))
        return false;
    ssize_t n = recv(c->fd, c->in + c->n_in, sizeof(c->in) - 1 - c->n_in, 0);
    if (n <= 0)
        return false;
    c->n_in += (size_t)n;
    c->in[c->n_in] = '\0';
    return true;
}

const char *fake_header(const struct fake_request *r, const char *name)
{
    static _Thread_local char value[4096];
    struct str rest = str_from(r->head), line;
    *value = '\0';
    while (str_split_next(&rest, '\n', &line)) {
        ptrdiff_t colon = str_find_char(line, ':');
        if (colon < 0 || !str_eq_nocase(str_sub(line, 0, (size_t)colon), str_from(name)))
            continue;
        struct str v = str_trim(str_sub(line, (size_t)colon + 1, SIZE_MAX));
        snprintf(value, sizeof(value), "%.*s", STR_ARG(v));
        break;
    }
    return value;
}

static bool read_request(struct fake_conn *c, struct fake_request *r)
{
    char *end;
    c->in[c->n_in] = '\0';
    while (!(end = strstr(c->in, "\r\n\r\n"))) {
        if (!fill(c))
            return false;
    }
    size_t head = (size_t)(end - c->in) + 4;
    memset(r, 0, sizeof(*r));
    if (sscanf(c->in, "%15s %2047s", r->method, r->path) != 2)
        return false;
    snprintf(r->head, sizeof(r->head), "%.*s", (int)head, c->in);
    size_t length = (size_t)strtoul(fake_header(r, "Content-Length"), NULL, 10);
    while (c->n_in < head + length) {
        if (!fill(c))
            return false;
    }
    snprintf(r->body, sizeof(r->body), "%.*s", (int)length, c->in + head);
    unsigned long long first = 0, last = 0;
    r->ranged = sscanf(fake_header(r, "Range"), "bytes=%llu-%llu", &first, &last) == 2;
    r->first = first;
    r->last = last;
    c->n_in -= head + length;
    memmove(c->in, c->in + head + length, c->n_in);
    return true;
}

static void *serve(void *arg)
{
    struct fake_conn *c = arg;
    struct fake_request *r = xmalloc(sizeof(*r));
    while (!c->close && read_request(c, r))
        c->f->handler(c, r, c->f->ctx);
    if (c->reset) {
        struct linger l = {.l_onoff = 1};
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
    }
    close(c->fd);
    free(r);
    free(c);
    return NULL;
}

static void *accept_all(void *arg)
{
    struct fake *f = arg;
    for (;;) {
        struct pollfd p[2] = {{.fd = f->fd, .events = POLLIN}, {.fd = f->stop_fd, .events = POLLIN}};
        while (poll(p, 2, -1) < 0 && errno == EINTR)
            ;
        if (p[1].revents & POLLIN)
            return NULL;
        int fd = accept4(f->fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            continue;
        if (f->n_conns == MAX_CONNS) {
            close(fd);
            continue;
        }
        struct fake_conn *c = xcalloc(1, sizeof(*c));
        c->f = f;
        c->fd = fd;
        if (pthread_create(&f->conns[f->n_conns], NULL, serve, c) == 0)
            f->n_conns++;
    }
}

struct fake *fake_start(fake_handler handler, void *ctx)
{
    struct fake *f = xcalloc(1, sizeof(*f));
    f->handler = handler;
    f->ctx = ctx;
    f->stop_fd = eventfd(0, EFD_CLOEXEC);
    f->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in in = {.sin_family = AF_INET};
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t n = sizeof(in);
    assert_int_equal(bind(f->fd, (struct sockaddr *)&in, sizeof(in)), 0);
    assert_int_equal(listen(f->fd, 64), 0);
    assert_int_equal(getsockname(f->fd, (struct sockaddr *)&in, &n), 0);
    f->port = ntohs(in.sin_port);
    assert_int_equal(pthread_create(&f->acceptor, NULL, accept_all, f), 0);
    return f;
}

void fake_stop(struct fake *f)
{
    eventfd_write(f->stop_fd, 1);
    pthread_join(f->acceptor, NULL);
    for (size_t i = 0; i < f->n_conns; i++)
        pthread_join(f->conns[i], NULL);
    close(f->fd);
    close(f->stop_fd);
    free(f);
}

uint16_t fake_port(const struct fake *f)
{
    return f->port;
}

bool fake_send(struct fake_conn *c, const void *p, size_t n)
{
    const char *at = p;
    while (n > 0) {
        struct pollfd w[2] = {{.fd = c->fd, .events = POLLOUT},
                              {.fd = c->f->stop_fd, .events = POLLIN}};
        poll(w, 2, -1);
        ssize_t sent = w[1].revents & POLLIN ? -1 : send(c->fd, at, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && (errno == EAGAIN || errno == EINTR) && !(w[1].revents & POLLIN))
            continue;
        if (sent <= 0) {
            c->close = true;
            return false;
        }
        at += sent;
        n -= (size_t)sent;
    }
    return true;
}

bool fake_head(struct fake_conn *c, int status, const char *headers, uint64_t n)
{
    char head[8192];
    int len = snprintf(head, sizeof(head), "HTTP/1.1 %d X\r\n%sContent-Length: %llu\r\n\r\n", status,
                       headers, (unsigned long long)n);
    return fake_send(c, head, (size_t)len);
}

bool fake_answer(struct fake_conn *c, int status, const char *headers, struct str body)
{
    return fake_head(c, status, headers, body.len) && fake_send(c, body.ptr, body.len);
}

void fake_close(struct fake_conn *c)
{
    c->close = true;
}

void fake_reset(struct fake_conn *c)
{
    c->close = c->reset = true;
}

void fake_hang(struct fake_conn *c)
{
    c->close = true;
    while (wait_readable(c)) {
        char drop[256];
        if (recv(c->fd, drop, sizeof(drop), 0) <= 0)
            return;
    }
}
