/* SPDX-License-Identifier: Apache-2.0
 *
 * Pages for sequences. */
#include "engine/run/cache.h"

#include <assert.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "engine/backend/backend.h"

/* Copying a page costs the memory traffic of all its rows; computing fewer tokens than this, which
 * ride along with the rest of the prompt, is as cheap. */
enum { COPY_TOKENS_MIN = 8 };

int cache_init(struct cache *c, struct model *m, uint32_t n_seqs, uint32_t ctx_size,
               enum kv_type type, struct error *err)
{
    *c = (struct cache){.model = m};
    c->seq_pages = (uint32_t)(((uint64_t)ctx_size + KV_PAGE_TOKENS - 1) / KV_PAGE_TOKENS);
    /* One more than the sequences can fill, so that a page can be pinned while it is copied. */
    uint64_t n_pages = (uint64_t)n_seqs * c->seq_pages + 1;
    if (n_pages > INT32_MAX)
        return error_set(err, ERR_TOO_LARGE,
                         "a context of %u tokens for each of %u sequences is too large", ctx_size,
                         n_seqs);
    int r = kv_pages_init(&c->pages, (uint32_t)n_pages, err);
    if (r == 0)
        r = prefix_tree_create(&c->pages, &c->tree, err);
    if (r == 0)
        r = model_kv_create(m, (uint32_t)n_pages, type, &c->kv, err);
    if (r < 0)
        cache_release(c);
    return r;
}

void cache_release(struct cache *c)
{
    if (c->kv)
        model_kv_free(c->model, c->kv);
    prefix_tree_free(c->tree);
    kv_pages_release(&c->pages);
    *c = (struct cache){0};
}

int cache_seq_init(struct cache *c, struct cache_seq *s, struct error *err)
{
    *s = (struct cache_seq){0};
    s->pages = alloc_array(c->seq_pages, sizeof(*s->pages));
    if (!s->pages)
        return error_set(err, ERR_NOMEM, "out of memory for a table of %u pages", c->seq_pages);
    return 0;
}

void cache_seq_release(struct cache_seq *s)
{
    free(s->pages);
    *s = (struct cache_seq){0};
}

static int32_t take_page(struct cache *c)
{
    int32_t page = kv_pages_take(&c->pages);
    if (page < 0 && prefix_tree_evict(c->tree))
        page = kv_pages_take(&c->pages);
    return page;
}

uint32_t cache_seq_begin(struct cache *c, struct cache_seq *s, const int32_t *ids, uint32_t n,
                         bool share)
{
    assert(n > 0 && s->n_pages == 0);
    s->share = share;
    s->n_entered = 0;
    s->node = prefix_tree_root(c->tree);
    if (!share)
        return 0;

    struct prefix_match m;
    prefix_tree_find(c->tree, ids, n - 1, s->pages, &m);
    s->n_pages = s->n_entered = m.n_pages;
    s->node = m.node;
    uint32_t n_past = m.n_pages * KV_PAGE_TOKENS;
    if (m.part_page >= 0) {
        int32_t copy = m.part_tokens >= COPY_TOKENS_MIN ? take_page(c) : -1;
        if (copy >= 0) {
            struct backend *b = model_backend(c->model);
            b->ops->kv_copy_page(b, c->kv, m.part_page, copy);
            s->pages[s->n_pages++] = copy;
            n_past += m.part_tokens;
        }
        kv_pages_unref(&c->pages, m.part_page);
    }
    return n_past;
}

int cache_seq_reserve(struct cache *c, struct cache_seq *s, uint32_t n, struct error *err)
{
    uint32_t want = (n + KV_PAGE_TOKENS - 1) / KV_PAGE_TOKENS;
    assert(want <= c->seq_pages);
    while (s->n_pages < want) {
        int32_t page = take_page(c);
        if (page < 0)
            return error_set(err, ERR_INTERNAL, "the KV cache has no free page left");
        s->pages[s->n_pages++] = page;
    }
    return 0;
}

void cache_seq_commit(struct cache *c, struct cache_seq *s, const int32_t *ids, uint32_t n)
{
    if (!s->share)
        return;
    while ((s->n_entered + 1) * KV_PAGE_TOKENS <= n) {
        uint32_t i = s->n_entered++;
        s->node = prefix_tree_put(c->tree, s->node, ids + (size_t)i * KV_PAGE_TOKENS,
                                  KV_PAGE_TOKENS, &s->pages[i]);
    }
}

void cache_seq_end(struct cache *c, struct cache_seq *s, const int32_t *ids, uint32_t n)
{
    cache_seq_commit(c, s, ids, n);
    uint32_t tail = s->n_entered * KV_PAGE_TOKENS;
    if (s->share && n > tail)
        prefix_tree_put(c->tree, s->node, ids + tail, n - tail, &s->pages[s->n_entered]);
    for (uint32_t i = 0; i < s->n_pages; i++)
        kv_pages_unref(&c->pages, s->pages[i]);
    s->n_pages = 0;
    s->node = NULL;
}
