/* SPDX-License-Identifier: Apache-2.0
 *
 * A pool is a list of chunks, filled from the front. */
#include "engine/template/pool.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct pool_chunk {
    struct pool_chunk *next;
    size_t used, size;
    char data[] ATTR_ALIGNED(16);
};

#ifdef POOL_ALLOCATES_APART
#define POOL_CHUNK_MIN 0
#else
#define POOL_CHUNK_MIN ((size_t)32 << 10)
#endif
#define POOL_CHUNK_MAX ((size_t)1 << 20)

void pool_release(struct pool *p)
{
    while (p->chunks) {
        struct pool_chunk *next = p->chunks->next;
        free(p->chunks);
        p->chunks = next;
    }
    p->used = 0;
}

/* A new first chunk with room for n bytes. Chunks grow with the pool. */
static struct pool_chunk *add_chunk(struct pool *p, size_t n)
{
    size_t size = MAX(n, MIN(POOL_CHUNK_MIN + (POOL_CHUNK_MIN ? p->used / 4 : 0), POOL_CHUNK_MAX));
    size_t left = p->max - p->used;
    if (size > left)
        size = n;
    if (n > left || size > SIZE_MAX - sizeof(struct pool_chunk))
        return NULL;
    struct pool_chunk *c = malloc(sizeof(*c) + size);
    if (!c)
        return NULL;
    *c = (struct pool_chunk){.next = p->chunks, .size = size};
    p->chunks = c;
    p->used += size;
    return c;
}

static char *take(struct pool *p, size_t n, size_t align)
{
    struct pool_chunk *c = p->chunks;
    size_t at = c ? (c->used + align - 1) & ~(align - 1) : 0;
    if (!c || at > c->size || n > c->size - at) {
        c = add_chunk(p, n);
        at = 0;
    }
    if (!c)
        return NULL;
    c->used = at + n;
    return c->data + at;
}

void *pool_alloc(struct pool *p, size_t n, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes))
        return NULL;
    char *m = take(p, bytes, 16);
    if (m && bytes)
        memset(m, 0, bytes);
    return m;
}

char *pool_bytes(struct pool *p, size_t n)
{
    return take(p, n, 1);
}

bool pool_extend(struct pool *p, const char *end, size_t n)
{
    struct pool_chunk *c = p->chunks;
    if (!c || end != c->data + c->used || n > c->size - c->used)
        return false;
    c->used += n;
    return true;
}
