/* SPDX-License-Identifier: Apache-2.0
 *
 * One request given to an engine that holds the model: loading it first if need be, and once more
 * where an engine died before it had read the request. */
#ifndef RUNNER_INFER_H
#define RUNNER_INFER_H

#include "base/json.h"
#include "runner/daemon.h"
#include "runner/proxy.h"

/* sink: who takes the answer, NULL = the client as it is. Negative with *err when there is no
 * engine to ask (and nothing was answered); else 0. "Retry-After" is set for ERR_BUSY. */
int infer(struct daemon *d, struct http_request *r, const char *model, enum engine_mode mode,
          const char *path, struct str body, const struct proxy_sink *sink, struct error *err);

/* The same for a question of our own: the answer is collected, at most max bytes; whatever is no
 * 200 is an error. */
int infer_json(struct daemon *d, struct http_request *r, const char *model, enum engine_mode mode,
               const char *path, const struct json *body, struct json **ret, struct error *err);

/* What an engine's error answer says: {"error": {"message"}}, {"error": "…"}, or its text. */
char *infer_error_text(struct str answer);

#endif
