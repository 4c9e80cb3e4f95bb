/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers that are told line by line, one JSON object each: what takes long says how far it is, and
 * the last line is of the type "result" or "error". */
#ifndef RUNNER_NEWS_H
#define RUNNER_NEWS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/json.h"
#include "http/server.h"

struct news {
    struct http_request *r;
    int64_t last_ms; /* of the last progress line */
    bool begun;
};

/* {"type": TYPE, "message": MESSAGE}; no message for NULL. */
struct json *news_line(const char *type, const char *message);

/* Sends the line and frees it; the first one begins the answer. */
void news_send(struct news *n, struct json *v);

/* True often enough for a line of progress, and at the end of it. */
bool news_is_time(struct news *n, uint64_t done, uint64_t total);

/* Ends the answer: an error before the first line has its own status. */
void news_fail(struct news *n, const struct error *err);

#endif
