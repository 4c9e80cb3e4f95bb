/* SPDX-License-Identifier: Apache-2.0
 *
 * Listening sockets of the HTTP server: safe Unix sockets and TCP. Used by http/server.c only. */
#ifndef HTTP_LISTEN_H
#define HTTP_LISTEN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "http/server.h"

struct listener {
    int fd;        /* listening, or -1 */
    uint16_t port; /* of a TCP socket */
    bool is_unix;
    char *path;  /* of a Unix socket made here; NULL = none to remove */
    int lock_fd; /* held while the socket lives, so that two servers cannot replace each other */
    dev_t dev;   /* the socket file, to remove only what is ours */
    ino_t ino;
};

#define LISTENER_INIT ((struct listener){.fd = -1, .lock_fd = -1})

int listener_open(const struct http_listen *what, struct listener *ret, struct error *err);

/* Closes the socket if it is still ours to close and removes the socket file. */
void listener_close(struct listener *l);

#endif
