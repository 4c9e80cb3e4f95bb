/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests to the runner: the address, the headers every request carries, and the two failures
 * that every command treats alike (nobody there, and 503).
 *
 *     struct http_result res = {0};
 *     struct api_call call = {.path = "/models"};
 *     int r = api_perform(&call, &res, &err);   // 0 also for 404: look at res.status
 *     ...
 *     http_result_release(&res);
 */
#ifndef CLI_API_H
#define CLI_API_H

#include "base/json.h"
#include "cli/daemon.h"
#include "http/client.h"

/* The message of the error for a 503. */
#define API_NOT_RUNNING "Docker Model Runner is not running. Please start it and try again."

struct api_call {
    const char *method;           /* NULL = GET, or POST when there is a body */
    const char *path;             /* "/models", with query; already percent-encoded */
    const struct daemon *daemon;  /* another server; NULL = the runner, daemon_find() */
    struct str body;              /* ptr NULL = none */
    const char *content_type;     /* NULL = application/json, when there is a body */
    const char *accept;           /* NULL = none */
    const char *const *headers;   /* further ones, at most API_MAX_HEADERS; NULL = none */
    const struct http_call *http; /* callbacks, limits and times; NULL = collect the answer */
};
enum { API_MAX_HEADERS = 4 };

/* Transport failures and, from the runner, 503 are errors ("error querying /models: …"); every
 * other status is for the caller. */
int api_perform(const struct api_call *call, struct http_result *res, struct error *err);

/* GET and parse; a status other than 200 gives "WHAT: 500 Internal Server Error", with the body's
 * text when it has one. */
int api_get_json(const char *path, const char *what, struct json **ret, struct error *err);
int api_get_json_from(const struct daemon *d, const char *path, const char *what, struct json **ret,
                      struct error *err);

/* Performs the call and parses the answer (*ret is NULL for an empty one); a status other than 200
 * is an error: "WHAT failed with status 500 Internal Server Error: the text". */
int api_call_json(const struct api_call *call, const char *what, struct json **ret,
                  struct error *err);

/* Body of an error answer as one trimmed line's worth of text, borrowed from res; the message of a
 * JSON error object when it is one. *hold keeps what it is borrowed from; free it with js_free. */
struct str api_error_text(const struct http_result *res, struct json **hold);

/* The kind of error for a status. Never ERR_UNAVAILABLE, nor ERR_NONE: who answers is there. */
enum errc api_status_code(int status);

/* "404 Not Found" */
const char *api_status_text(int status, char out[64]);

/* "/models/NAME" + suffix with NAME percent-encoded but for "/:@". Allocated. */
char *api_model_path(const char *model, const char *suffix) ATTR_CHECK;

#endif
