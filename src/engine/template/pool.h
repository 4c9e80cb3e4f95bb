/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory that is given back all at once: a template's tree, or everything one rendering makes.
 * The total is bounded. */
#ifndef ENGINE_TEMPLATE_POOL_H
#define ENGINE_TEMPLATE_POOL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"

/* Under AddressSanitizer every allocation stands alone, so that an overrun of one is seen; nothing
 * can then grow in place. */
#if defined(__SANITIZE_ADDRESS__)
#define POOL_ALLOCATES_APART 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POOL_ALLOCATES_APART 1
#endif
#endif

struct pool_chunk;

struct pool {
    struct pool_chunk *chunks; /* newest first; only the first one has room */
    size_t used;               /* bytes of all chunks */
    size_t max;                /* used never exceeds this */
};

#define POOL_INIT(max_bytes) ((struct pool){.max = (max_bytes)})

void pool_release(struct pool *p); /* frees everything; the pool can be used again */

/* Memory for n * size bytes, aligned for any type, cleared; NULL when the bound or memory is
 * reached. */
void *pool_alloc(struct pool *p, size_t n, size_t size) ATTR_CHECK;

/* n bytes for text: not aligned, not cleared. */
char *pool_bytes(struct pool *p, size_t n) ATTR_CHECK;

/* Makes the bytes that end at `end` longer by n in place. False when they are not the newest bytes
 * of this pool or there is no room behind them. */
bool pool_extend(struct pool *p, const char *end, size_t n);

#endif
