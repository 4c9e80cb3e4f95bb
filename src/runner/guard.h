/* SPDX-License-Identifier: Apache-2.0
 *
 * Who may use the API from a browser. A page of any site can make a browser send requests to this
 * machine; the Origin and Host headers tell such requests from those of local programs. */
#ifndef RUNNER_GUARD_H
#define RUNNER_GUARD_H

#include "http/server.h"
#include "runner/settings.h"

/* Both answer the request and return false when it is not to be handled (any more). */

/* Over TCP, the Host header must be a name that only this machine has: an address, a name without
 * dots, or one under .localhost, .internal, .local or .svc. A site that points its own name at
 * 127.0.0.1 (DNS rebinding) is refused with 403. */
bool guard_host(const struct settings *s, struct http_request *r);

/* An Origin must be this machine or be listed: else 403. Adds the CORS headers, and answers
 * preflight requests. */
bool guard_origin(const struct settings *s, struct http_request *r);

#endif
