/* SPDX-License-Identifier: Apache-2.0
 *
 * Measuring a model: several clients that ask it the same thing again and again. */
#ifndef CLI_BENCH_H
#define CLI_BENCH_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* One answer. */
struct bench_sample {
    int64_t tokens;   /* of the answer, not of the prompt */
    int64_t first_ns; /* until its first piece; 0 when it had none */
    int64_t total_ns;
};

struct bench_result {
    int concurrency;    /* given by the caller */
    int64_t elapsed_ns; /* from the first request to the last answer */
    int64_t total_tokens;
    struct bench_sample *samples;
    size_t n, cap;
};

/* `ret->concurrency` clients ask for `duration_ns`; an answer that was begun is waited for, up to
 * `timeout_ns`. Each client asks at least once. The first failure ends all and is the error. */
int bench_level(const char *model, const char *prompt, int64_t duration_ns, int64_t timeout_ns,
                struct bench_result *ret, struct error *err);
void bench_result_release(struct bench_result *r);

/* Medians over the answers; 0 when there is nothing to tell. */
int64_t bench_first_token_ns(const struct bench_result *r);
int64_t bench_per_token_ns(const struct bench_result *r); /* between tokens, without the first */

#endif
