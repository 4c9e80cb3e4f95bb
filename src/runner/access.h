/* SPDX-License-Identifier: Apache-2.0
 *
 * What a request may do, by the entrance it came through and the token it shows. */
#ifndef RUNNER_ACCESS_H
#define RUNNER_ACCESS_H

#include "http/server.h"
#include "runner/tokens.h"

struct daemon;

/* One of the daemon's listeners, as its requests see it. */
struct entrance {
    struct daemon *daemon;
    struct tokens *tokens;       /* NULL: whoever gets here may do everything */
    bool needs_token;            /* else a request without a known one has `without` */
    bool without_inference_only; /* what a request without a token may do where none is needed */
};

/* Answers with 401 or 429 and returns false, or fills *ret, which the caller releases after the
 * request. "Authorization: Bearer …" and "X-Api-Key: …" count. */
bool access_check(const struct entrance *e, struct http_request *r, struct grant *ret);

#endif
