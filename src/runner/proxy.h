/* SPDX-License-Identifier: Apache-2.0
 *
 * One request handed to an engine, and the engine's answer handed back as it comes. */
#ifndef RUNNER_PROXY_H
#define RUNNER_PROXY_H

#include "base/str.h"
#include "http/server.h"
#include "runner/scheduler.h"

/* Who takes the engine's answer. */
struct proxy_sink {
    /* The head of the answer, then its body. Negative ends the exchange. */
    int (*begin)(void *ctx, int status, const char *content_type);
    int (*piece)(void *ctx, struct str piece);
    /* It did not come, or broke off behind its head; status: of the whole answer, if there is none
     * yet. Not called when the client has left. */
    void (*fail)(void *ctx, int status, const struct error *err);
    void *ctx;
};

struct watch;

/* Sends the request's method and query with `body` to `path` of the leased engine, and the answer
 * to the client as it is; with a sink, a POST without a query, and the answer to the sink. The
 * client's leaving cancels the engine's work. An engine that dies gives 500 with the reason in
 * OpenAI's form, or the same as an event inside a stream that has begun.
 *
 * False: the engine is gone, not through this request; nothing was answered, and another one may be
 * tried. With `last` that is an error too. `w` is told of the answer. */
bool proxy_request(struct http_request *r, struct lease *lease, const char *path, struct str body,
                   const struct proxy_sink *sink, struct watch *w, bool last);

#endif
