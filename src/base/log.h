/* SPDX-License-Identifier: Apache-2.0
 *
 * The log of the two servers: one line an event, on standard error unless redirected.
 *
 *     [2026-07-22T10:00:00.000000000Z] level=info msg="engine ready" model=ai/smollm2 ms=412
 *
 * Library code does not log above debug: it returns errors, and the program decides. Thread-safe. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/compiler.h"
#include "base/error.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* "debug", "info", "warn"/"warning", "error"; NULL or empty is info. */
int log_level_parse(const char *name, enum log_level *ret, struct error *err);
void log_set_level(enum log_level level);
void log_set_fd(int fd); /* not closed by the log; -1 = standard error */

/* fmt makes the whole message; control characters in it are escaped. */
void log_write(enum log_level level, const char *fmt, ...) ATTR_PRINTF(2, 3);

#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_write(LOG_INFO, __VA_ARGS__)
#define log_warn(...) log_write(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)

#endif
