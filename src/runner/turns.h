/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests of other APIs (apis/turn.h), from an HTTP request to its answer. */
#ifndef RUNNER_TURNS_H
#define RUNNER_TURNS_H

#include "apis/turn.h"
#include "runner/daemon.h"

/* Reads the request's body as JSON; answers an error itself and returns NULL then. */
struct json *turn_read(struct daemon *d, struct http_request *r, const struct api *api);

/* An error in the API's own form; status 0 = that of the error's kind. */
void turn_respond_error(struct http_request *r, const struct api *api, int status,
                        const struct error *err);

/* Asks the model for a chat completion and answers in the API's form. True when the answer is
 * complete; what it was is in *t then. */
bool turn_run(struct daemon *d, struct http_request *r, struct turn *t);

#endif
