/* SPDX-License-Identifier: Apache-2.0
 *
 * Time: a monotonic clock for intervals, text forms for the wall clock and for durations. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/error.h"
#include "base/str.h"

int64_t clock_mono_ns(void); /* monotonic */
int64_t clock_mono_ms(void);
int64_t clock_wall_s(void);  /* seconds since 1970 */

enum { CLOCK_TEXT_MAX = 48 };

/* RFC 3339 with nanoseconds, trailing zeros dropped, local offset: "2026-07-22T10:00:00.5+02:00". */
void clock_rfc3339(struct timespec t, char out[CLOCK_TEXT_MAX]);
/* RFC 3339 in UTC: "2026-07-22T08:00:00Z"; fractions when t has them. */
void clock_rfc3339_utc(struct timespec t, char out[CLOCK_TEXT_MAX]);
/* Reads RFC 3339 with any offset and fraction. */
int clock_parse_rfc3339(struct str s, struct timespec *ret, struct error *err);

/* docker's "… ago" texts: "Less than a second", "About a minute", "3 weeks". */
void clock_human(int64_t seconds, char out[CLOCK_TEXT_MAX]);

/* Go durations: "5m", "1h30m", "1.5s", "-1", "0", "300ms". Bare "0" and "-1" are accepted. */
int duration_parse(struct str s, int64_t *ret_ns, struct error *err);
/* As Go prints them: "5m0s", "1h0m0s", "0s", "1.5s", "300ms". */
void duration_text(int64_t ns, char out[CLOCK_TEXT_MAX]);

#endif
