/* SPDX-License-Identifier: Apache-2.0
 *
 * Forms of answers that several routes share. */
#ifndef RUNNER_RESPOND_H
#define RUNNER_RESPOND_H

#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "http/server.h"

/* The error's sentence as plain text with the status of its kind. */
void respond_error(struct http_request *r, const struct error *err);

/* {"error":{"message":…,"type":…,"code":…,"param":null}}: what OpenAI's clients show. */
struct json *openai_error(const struct error *err);
/* status 0 = that of the error's kind. */
void respond_openai_error(struct http_request *r, int status, const struct error *err);

/* Reads the body into `text`, at most text->max bytes, and parses it as a JSON object. An error
 * begins with "invalid request" or "request too large". */
int read_json_object(struct http_request *r, struct buf *text, struct json **ret,
                     struct error *err);
/* The same for control routes: answers an error itself and returns NULL then. */
struct json *read_control_object(struct http_request *r);

/* A query flag: absent = false, present without a value = true, else Go's booleans; what is none
 * of them is false. */
bool query_flag(const struct http_request *r, const char *key);

enum { CONTROL_BODY_MAX = 1 << 20 };

#endif
