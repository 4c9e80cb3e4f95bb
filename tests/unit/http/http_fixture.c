/* SPDX-License-Identifier: Apache-2.0
 *
 * See http_fixture.h. */
#include "test.h"

#include "http_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"

void fixture_start(struct fixture *f, bool tcp, http_handler_fn handler, void *ctx,
                   unsigned header_timeout_s)
{
    struct error err = ERROR_INIT;
    *f = (struct fixture){0};
    snprintf(f->dir, sizeof(f->dir), "/tmp/mr-http-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->sock, sizeof(f->sock), "%s/s.sock", f->dir);
    struct http_server_options o = {
        .handler = handler, .ctx = ctx, .header_timeout_s = header_timeout_s};
    if (tcp)
        o.listen.host = "127.0.0.1";
    else
        o.listen.unix_path = f->sock;
    assert_ok(http_server_start(&o, &f->server, &err));
    f->port = http_server_port(f->server);
    assert_true(tcp ? f->port > 0 : f->port == 0);
}

void fixture_stop(struct fixture *f)
{
    http_server_stop(f->server);
    assert_int_equal(rmdir(f->dir), 0); /* so the socket and its lock are gone */
}

int raw_connect(const struct fixture *f)
{
    int fd;
    int r;
    if (f->port) {
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(f->port)};
        in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        r = connect(fd, (struct sockaddr *)&in, sizeof(in));
    } else {
        struct sockaddr_un un = {.sun_family = AF_UNIX};
        snprintf(un.sun_path, sizeof(un.sun_path), "%.100s", f->sock);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        r = connect(fd, (struct sockaddr *)&un, sizeof(un));
    }
    assert_int_equal(r, 0);
    struct timeval limit = {.tv_sec = 60};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    return fd;
}

void raw_send(int fd, const char *text)
{
    size_t len = strlen(text);
    while (len > 0) {
        ssize_t n = send(fd, text, len, MSG_NOSIGNAL);
        if (n <= 0)
            return; /* the server may have cut us off; the answer tells */
        text += n;
        len -= (size_t)n;
    }
}

char *raw_read_all(int fd)
{
    struct buf b = BUF_INIT(64 << 20);
    for (;;) {
        char piece[65536];
        ssize_t n = recv(fd, piece, sizeof(piece), 0);
        if (n < 0 && errno != ECONNRESET)
            fail_msg("the server went silent: %s", strerror(errno));
        if (n <= 0)
            break;
        buf_append_bytes(&b, piece, (size_t)n);
    }
    buf_push(&b, '\0');
    return buf_take(&b);
}

char *raw_exchange(const struct fixture *f, const char *text)
{
    int fd = raw_connect(f);
    raw_send(fd, text);
    char *answer = raw_read_all(fd);
    close(fd);
    return answer;
}

int raw_read_answer(int fd, char *body, size_t size)
{
    char head[8192];
    size_t n = 0;
    while (n + 1 < sizeof(head) && recv(fd, head + n, 1, 0) == 1) {
        head[++n] = '\0';
        if (n >= 4 && strcmp(head + n - 4, "\r\n\r\n") == 0)
            break;
    }
    head[n] = '\0';
    int status = 0;
    if (sscanf(head, "HTTP/1.1 %d", &status) != 1)
        return -1;
    const char *at = strstr(head, "Content-Length: ");
    size_t len = at ? strtoul(at + 16, NULL, 10) : 0;
    assert_true(len < size);
    size_t got = 0;
    while (got < len) {
        ssize_t r = recv(fd, body + got, len - got, 0);
        if (r <= 0)
            return -1;
        got += (size_t)r;
    }
    body[len] = '\0';
    return status;
}
