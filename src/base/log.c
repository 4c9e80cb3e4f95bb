/* SPDX-License-Identifier: Apache-2.0
 *
 * Log lines. */
#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/utf8.h"

static const char *const level_names[] = {"debug", "info", "warn", "error"};
static atomic_int min_level = LOG_INFO;
static atomic_int log_fd = -1;

int log_level_parse(const char *name, enum log_level *ret, struct error *err)
{
    if (!name || !*name) {
        *ret = LOG_INFO;
        return 0;
    }
    if (strcasecmp(name, "warning") == 0)
        name = "warn";
    for (size_t i = 0; i < ARRAY_LEN(level_names); i++)
        if (strcasecmp(name, level_names[i]) == 0) {
            *ret = (enum log_level)i;
            return 0;
        }
    return error_set(err, ERR_INVALID,
                     "unknown log level '%s': use debug, info, warn or error", name);
}

void log_set_level(enum log_level level)
{
    atomic_store(&min_level, (int)level);
}

void log_set_fd(int fd)
{
    atomic_store(&log_fd, fd);
}

void log_write(enum log_level level, const char *fmt, ...)
{
    if ((int)level < atomic_load(&min_level))
        return;
    char raw[2048];
    va_list args;
    va_start(args, fmt);
    vsnprintf(raw, sizeof(raw), fmt, args);
    va_end(args);
    char text[2048];
    utf8_printable(text, sizeof(text), raw, strlen(raw));

    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct tm tm;
    gmtime_r(&now.tv_sec, &tm);
    char stamp[32];
    strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
    char line[2200];
    int n = snprintf(line, sizeof(line), "[%s.%09ldZ] level=%s %s\n", stamp, now.tv_nsec,
                     level_names[level], text);
    int fd = atomic_load(&log_fd);
    /* One write per line: lines of several threads and processes do not mix. */
    ssize_t ignored = write(fd >= 0 ? fd : STDERR_FILENO, line, (size_t)n);
    (void)ignored;
}
