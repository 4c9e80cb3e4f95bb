/* SPDX-License-Identifier: Apache-2.0
 *
 * Which pages of the KV cache are in use: a free list and a reference count a page.
 *
 * A page is referenced by each sequence that has it in its table and by the prefix tree. It is free
 * again when the last reference goes. State slots are counted the same way. One thread, the
 * batcher's, calls in here; all memory is taken at the start. */
#ifndef ENGINE_RUN_KV_PAGES_H
#define ENGINE_RUN_KV_PAGES_H

#include <stdint.h>

#include "base/error.h"

struct kv_pages {
    uint32_t n;
    uint32_t n_free;
    uint32_t *refs; /* [n] */
    int32_t *free;  /* [n_free] used as a stack: the page freed last is taken first */
};

int kv_pages_init(struct kv_pages *p, uint32_t n, struct error *err);
void kv_pages_release(struct kv_pages *p);

int32_t kv_pages_take(struct kv_pages *p); /* a free page, now with one reference; -1 = none left */
void kv_pages_ref(struct kv_pages *p, int32_t page);
void kv_pages_unref(struct kv_pages *p, int32_t page);
uint32_t kv_pages_refs(const struct kv_pages *p, int32_t page);

#endif
