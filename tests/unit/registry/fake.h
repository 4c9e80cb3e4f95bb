/* SPDX-License-Identifier: Apache-2.0
 *
 * An HTTP server on 127.0.0.1 that does what a test says, wrong things included: the handler writes
 * the bytes of the answer itself. A thread a connection; everything ends with fake_stop(). */
#ifndef TESTS_REGISTRY_FAKE_H
#define TESTS_REGISTRY_FAKE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

struct fake;
struct fake_conn;

struct fake_request {
    char method[16];
    char path[2048];   /* with the query */
    char head[16384];  /* all header lines */
    char body[8192];
    bool ranged;       /* Range: bytes=first-last */
    uint64_t first, last;
};

typedef void (*fake_handler)(struct fake_conn *c, const struct fake_request *r, void *ctx);

struct fake *fake_start(fake_handler handler, void *ctx);
void fake_stop(struct fake *f);
uint16_t fake_port(const struct fake *f);

/* The value of a request's header, "" if absent; valid until the next call of the same thread. */
const char *fake_header(const struct fake_request *r, const char *name);

/* Writes bytes; false when the other end is gone. */
bool fake_send(struct fake_conn *c, const void *p, size_t n);
/* A whole answer. headers: lines ending in \r\n, or "". */
bool fake_answer(struct fake_conn *c, int status, const char *headers, struct str body);
/* Only its head, with Content-Length: n. */
bool fake_head(struct fake_conn *c, int status, const char *headers, uint64_t n);
void fake_close(struct fake_conn *c); /* after the handler returns */
void fake_reset(struct fake_conn *c); /* the same with RST */
void fake_hang(struct fake_conn *c);  /* silent until the client or the server ends it */

#endif
