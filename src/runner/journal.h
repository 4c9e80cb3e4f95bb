/* SPDX-License-Identifier: Apache-2.0
 *
 * The last requests to each model with their answers, for `docker model requests` and
 * GET /engines/requests. Bounded: ten of each model, and all together in bytes, the oldest first to
 * go; of one request and of one answer at most WATCH_TEXT_MAX bytes are kept. What was kept is put
 * into the form that is shown (a stream folded into one answer, media cut) only when it is read.
 *
 * Threads: everything may be called from any thread. */
#ifndef RUNNER_JOURNAL_H
#define RUNNER_JOURNAL_H

#include "http/server.h"
#include "models/models.h"

enum journal_mode {
    JOURNAL_ON,
    JOURNAL_REDACTED, /* who asked what model when, and the status; no text */
    JOURNAL_OFF,
};
int journal_mode_parse(struct str name, enum journal_mode *ret, struct error *err);

struct journal;
struct watch;
struct scheduler;

struct journal *journal_new(enum journal_mode mode, uint64_t max_bytes);
void journal_free(struct journal *j); /* NULL is fine */

bool journal_keeps_text(const struct journal *j);

/* A request that is over. */
void journal_add(struct journal *j, struct models *m, const struct watch *w,
                 const struct http_request *r, const char *model, struct str body);

/* Answers GET /engines/requests: the records as an array, of one model only where `model` is not
 * "". */
struct json *journal_list(struct journal *j, struct models *m, struct scheduler *s,
                          const char *model);

/* Streams the records that come from now on, as events, until the client leaves; those that are
 * there first, if asked for. */
void journal_follow(struct journal *j, struct scheduler *s, struct http_request *r,
                    const char *model, bool existing);

#endif
