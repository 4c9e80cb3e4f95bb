/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests whose answer is told line by line, one JSON object each: verify. */
#ifndef CLI_NEWS_H
#define CLI_NEWS_H

#include "base/error.h"
#include "base/json.h"

/* Takes the next line. */
typedef void (*news_fn)(void *ctx, const struct json *line);

/* POSTs the request and hands over the lines. A line of type "error" and a status other than 200 are
 * errors; so is an answer that ends without a line of type "result". what: "verifying". */
int news_post(const char *path, const struct json *request, const char *what, news_fn fn, void *ctx,
              struct error *err);

#endif
