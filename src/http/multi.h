/* SPDX-License-Identifier: Apache-2.0
 *
 * Several HTTP calls at a time on one thread, sharing their connections.
 *
 *     struct http_multi *m = http_multi_new();
 *     http_multi_start(m, &call, &flight, err);             // any number of times
 *     while (http_multi_wait(m, cancel, 1000, err) == 0) {
 *         struct http_flight *f;
 *         while ((f = http_multi_next(m))) {                // those that have ended
 *             r = http_flight_result(f, &res, err);         // what http_perform() would give
 *             http_flight_free(f);
 *         }
 *     }
 *     http_multi_free(m);
 *
 * Callbacks of the calls run inside http_multi_wait() and must not use the multi. The cancel object
 * of a call is not looked at here; the one given to http_multi_wait() is. All functions on one
 * thread at a time. */
#ifndef HTTP_MULTI_H
#define HTTP_MULTI_H

#include "http/client.h"

struct http_multi;
struct http_flight;

struct http_multi *http_multi_new(void); /* NULL when libcurl cannot start */
void http_multi_free(struct http_multi *m); /* its flights must be gone; NULL is fine */

/* The call is copied; its headers and user agent, too. Its body, certificates and ctx must live as
 * long as the flight. */
int http_multi_start(struct http_multi *m, const struct http_call *call, struct http_flight **ret,
                     struct error *err);

/* Moves bytes until a flight ends or timeout_ms are over (negative: as long as anything flies).
 * ERR_CANCELED when the cancel object, which may be NULL, is fired. */
int http_multi_wait(struct http_multi *m, struct http_cancel *cancel, int64_t timeout_ms,
                    struct error *err);

/* A flight that has ended and was not given yet, or NULL. */
struct http_flight *http_multi_next(struct http_multi *m);

void *http_flight_ctx(const struct http_flight *f); /* the call's */

/* Of a flight that has ended. *res is borrowed from the flight. */
int http_flight_result(struct http_flight *f, const struct http_result **res, struct error *err);

/* Time that passed while nobody was in http_multi_wait() is not held against the other end. */
void http_multi_forgive(struct http_multi *m);

/* Also stops one that flies, whose connection is closed then. NULL is fine. */
void http_flight_free(struct http_flight *f);

#endif
