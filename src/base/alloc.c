/* SPDX-License-Identifier: Apache-2.0
 *
 * Allocation helpers. */
#include "base/alloc.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void alloc_failed(void)
{
    static const char text[] = "out of memory\n";
    ssize_t ignored = write(STDERR_FILENO, text, sizeof(text) - 1);
    (void)ignored;
    abort();
}

void *xmalloc(size_t size)
{
    void *p = malloc(size ? size : 1);
    if (!p)
        alloc_failed();
    return p;
}

void *xcalloc(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size ? size : 1);
    if (!p)
        alloc_failed();
    return p;
}

void *xrealloc(void *p, size_t n, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes))
        alloc_failed();
    void *q = realloc(p, bytes ? bytes : 1);
    if (!q)
        alloc_failed();
    return q;
}

char *xstrdup(const char *s)
{
    char *p = strdup(s);
    if (!p)
        alloc_failed();
    return p;
}

char *xasprintf(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    char *p = NULL;
    int n = vasprintf(&p, fmt, args);
    va_end(args);
    if (n < 0)
        alloc_failed();
    return p;
}

void *alloc_array(size_t n, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes))
        return NULL;
    return malloc(bytes ? bytes : 1);
}

void *alloc_array_zero(size_t n, size_t size)
{
    return calloc(n ? n : 1, size ? size : 1);
}

void *alloc_aligned(size_t n, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes) || bytes > SIZE_MAX - 64)
        return NULL;
    bytes = (bytes + 63) & ~(size_t)63;
    return aligned_alloc(64, bytes ? bytes : 64);
}
