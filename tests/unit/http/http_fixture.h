/* SPDX-License-Identifier: Apache-2.0
 *
 * A server in the test's own process and a raw client that sends exactly the bytes it is given. */
#ifndef TESTS_HTTP_FIXTURE_H
#define TESTS_HTTP_FIXTURE_H

#include "http/server.h"

struct fixture {
    struct http_server *server;
    char dir[64];
    char sock[128];
    uint16_t port;
};

/* Serves on a fresh Unix socket, or on 127.0.0.1 with a free port. */
void fixture_start(struct fixture *f, bool tcp, http_handler_fn handler, void *ctx,
                   unsigned header_timeout_s);
void fixture_stop(struct fixture *f);

/* A connected socket with a receive timeout of 10 s. */
int raw_connect(const struct fixture *f);
void raw_send(int fd, const char *text);
/* Reads to the end of the stream; the caller frees. */
char *raw_read_all(int fd);
/* Sends `text` on a new connection and reads to the end; the caller frees. */
char *raw_exchange(const struct fixture *f, const char *text);
/* Reads one answer with a Content-Length; returns its status and copies its body. */
int raw_read_answer(int fd, char *body, size_t size);

#endif
