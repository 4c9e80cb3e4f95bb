/* SPDX-License-Identifier: Apache-2.0
 *
 * A fixed pool of threads for loops over independent items.
 *
 *     pool_run(pool, n_rows, 64, rows_fn, &job);   // calls rows_fn(&job, begin, end, thread) until
 *                                                  // [0, n_rows) is covered, then returns
 *
 * The caller works too, as thread 0. Parts are taken from a shared counter, so that a thread which
 * the system does not schedule holds nobody up: the caller waits only for parts that were taken.
 * Between loops the threads spin for some microseconds and then sleep. Which thread computes a part
 * must not matter for the result.
 *
 * One thread at a time may call pool_run(). */
#ifndef ENGINE_BACKEND_CPU_POOL_H
#define ENGINE_BACKEND_CPU_POOL_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct pool;

enum { POOL_MAX_THREADS = 512 };

typedef void (*pool_fn)(void *arg, size_t begin, size_t end, uint32_t thread);

/* n_threads counts the caller: 1 starts none. */
int pool_create(uint32_t n_threads, struct pool **ret, struct error *err);
void pool_free(struct pool *p); /* NULL is fine */

uint32_t pool_threads(const struct pool *p);

/* Runs fn over [0, n_items) in parts of `grain` items (the last may be shorter). */
void pool_run(struct pool *p, size_t n_items, size_t grain, pool_fn fn, void *arg);

#endif
