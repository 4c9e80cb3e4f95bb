/* SPDX-License-Identifier: Apache-2.0
 *
 * What the daemon counts, in the text format of Prometheus (version 0.0.4). Series are bounded:
 * labels come from fixed lists, and of models the first METRICS_MODELS names count for themselves,
 * the rest as "other"; only names of models that were found are given here.
 *
 * Threads: everything may be called from any thread. */
#ifndef RUNNER_METRICS_H
#define RUNNER_METRICS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "engines/engine.h"

enum { METRICS_MODELS = 64 };

enum metrics_api { API_OPENAI, API_ANTHROPIC, API_RESPONSES, API_OLLAMA, API_COUNT };
const char *metrics_api_name(enum metrics_api api);

struct metrics;
struct metrics *metrics_new(void);
void metrics_free(struct metrics *m); /* NULL is fine */

/* One request to an engine that is over. */
struct metrics_request {
    enum metrics_api api;
    enum engine_mode mode;
    int status;        /* of the answer; 0 = the client left before it */
    const char *model; /* in full; NULL = not found */
    double seconds;
    double first_token_s, token_s; /* negative = not known */
    uint64_t prompt_tokens, completion_tokens;
};
void metrics_request(struct metrics *m, const struct metrics_request *r);

/* Requests at work, and those of them that wait for an engine: +1 and -1. */
void metrics_at_work(struct metrics *m, int change);
void metrics_waiting(struct metrics *m, int change);

void metrics_load(struct metrics *m, bool ok, double seconds);
void metrics_unload(struct metrics *m, bool to_make_room); /* else idle for too long */
void metrics_transfer(struct metrics *m, bool push, bool ok);

/* What stands at the moment, for whoever asks. */
struct metrics_now {
    unsigned loaded;       /* models */
    uint64_t engine_bytes; /* memory of the engines */
    uint64_t models, store_bytes, pulled_bytes;
};
void metrics_write(struct metrics *m, const struct metrics_now *now, struct buf *out);

#endif
