/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory: checked arithmetic for sizes that come from outside, and allocation that ends the
 * program for small sizes of our own, where no caller could do anything useful about failure. */
#ifndef BASE_ALLOC_H
#define BASE_ALLOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/compiler.h"

/* Prints "out of memory" and ends the process. */
void alloc_failed(void) ATTR_NORETURN;

/* For small sizes of our own. Never NULL. */
void *xmalloc(size_t size) ATTR_CHECK;
void *xcalloc(size_t n, size_t size) ATTR_CHECK;
void *xrealloc(void *p, size_t n, size_t size) ATTR_CHECK; /* n * size, checked */
char *xstrdup(const char *s) ATTR_CHECK;
char *xasprintf(const char *fmt, ...) ATTR_PRINTF(1, 2) ATTR_CHECK;

/* For sizes from outside: n * size bytes, NULL when the product overflows or memory is out. */
void *alloc_array(size_t n, size_t size) ATTR_CHECK;      /* not cleared */
void *alloc_array_zero(size_t n, size_t size) ATTR_CHECK; /* cleared */

/* Large numeric arrays, aligned to 64 bytes; free() releases them. NULL on failure. */
void *alloc_aligned(size_t n, size_t size) ATTR_CHECK;

/* true = it does not fit; *ret is then unspecified. */
static inline bool mul_overflows(uint64_t a, uint64_t b, uint64_t *ret)
{
    return __builtin_mul_overflow(a, b, ret);
}

static inline bool add_overflows(uint64_t a, uint64_t b, uint64_t *ret)
{
    return __builtin_add_overflow(a, b, ret);
}

#endif
