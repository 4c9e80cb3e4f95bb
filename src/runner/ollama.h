/* SPDX-License-Identifier: Apache-2.0
 *
 * Shared by the files of Ollama's routes. */
#ifndef RUNNER_OLLAMA_H
#define RUNNER_OLLAMA_H

#include "base/json.h"
#include "runner/daemon.h"

/* The model that a request names, as "model" or "name"; NULL after it has answered the error. */
const char *ollama_model(struct http_request *r, const struct json *request);
/* Reads a control request's object; NULL after it has answered the error. */
struct json *ollama_read(struct http_request *r);
/* {"error": …} */
void ollama_error(struct http_request *r, const struct error *err);

#endif
