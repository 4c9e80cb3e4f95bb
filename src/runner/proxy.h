/* SPDX-License-Identifier: Apache-2.0
 *
 * One request handed to an engine, and the engine's answer handed back as it comes. */
#ifndef RUNNER_PROXY_H
#define RUNNER_PROXY_H

#include "base/str.h"
#include "http/server.h"
#include "runner/scheduler.h"

/* Sends method, query and `body` to `path` of the leased engine and answers the request. The
 * client's leaving cancels the engine's work. An engine that dies gives 500 with the reason in
 * OpenAI's form, or the same as an event inside a stream that has begun.
 *
 * False: the engine is gone, not through this request; nothing was answered, and another one may be
 * tried. With `last` that is an error too. */
bool proxy_request(struct http_request *r, struct lease *lease, const char *path, struct str body,
                   bool last);

#endif
