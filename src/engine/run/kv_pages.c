/* SPDX-License-Identifier: Apache-2.0
 *
 * The free list of KV cache pages. */
#include "engine/run/kv_pages.h"

#include <assert.h>
#include <stdlib.h>

#include "base/alloc.h"

int kv_pages_init(struct kv_pages *p, uint32_t n, struct error *err)
{
    *p = (struct kv_pages){.n = n};
    if (n > INT32_MAX)
        return error_set(err, ERR_TOO_LARGE, "a KV cache of %u pages is too large", n);
    p->refs = alloc_array_zero(n, sizeof(*p->refs));
    p->free = alloc_array(n, sizeof(*p->free));
    if (!p->refs || !p->free) {
        kv_pages_release(p);
        return error_set(err, ERR_NOMEM, "out of memory for the table of %u KV cache pages", n);
    }
    /* Filled backwards, so that the first pages taken are 0, 1, 2, … */
    for (uint32_t i = 0; i < n; i++)
        p->free[i] = (int32_t)(n - 1 - i);
    p->n_free = n;
    return 0;
}

void kv_pages_release(struct kv_pages *p)
{
    free(p->refs);
    free(p->free);
    *p = (struct kv_pages){0};
}

int32_t kv_pages_take(struct kv_pages *p)
{
    if (p->n_free == 0)
        return -1;
    int32_t page = p->free[--p->n_free];
    assert(p->refs[page] == 0);
    p->refs[page] = 1;
    return page;
}

void kv_pages_ref(struct kv_pages *p, int32_t page)
{
    assert(page >= 0 && (uint32_t)page < p->n && p->refs[page] > 0);
    p->refs[page]++;
}

void kv_pages_unref(struct kv_pages *p, int32_t page)
{
    assert(page >= 0 && (uint32_t)page < p->n && p->refs[page] > 0);
    if (--p->refs[page] == 0)
        p->free[p->n_free++] = page;
}

uint32_t kv_pages_refs(const struct kv_pages *p, int32_t page)
{
    assert(page >= 0 && (uint32_t)page < p->n);
    return p->refs[page];
}
