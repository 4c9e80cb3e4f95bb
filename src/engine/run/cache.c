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

/* A template may write the last tokens of a prompt differently when the turn is history. */
enum { PROMPT_END_TOKENS = 8 };

/* Snapshots in a long text are at least so many pages apart. */
enum { STATE_INTERVAL_PAGES_MIN = 4 };

static uint32_t n_snapshots(uint64_t state_bytes, uint32_t n_seqs, uint64_t n_pages)
{
    uint64_t n = MIN(STATE_SNAPSHOT_BYTES / state_bytes, n_pages);
    return (uint32_t)MIN(MAX(n, 2 * (uint64_t)n_seqs), (uint64_t)INT32_MAX / 2);
}

uint32_t cache_n_states(uint64_t state_bytes, uint32_t n_seqs, uint64_t ctx_size)
{
    uint64_t n_pages = n_seqs * ((ctx_size + KV_PAGE_TOKENS - 1) / KV_PAGE_TOKENS);
    /* A sequence has a state and writes the next one. */
    return state_bytes > 0 ? n_snapshots(state_bytes, n_seqs, n_pages) + 2 * n_seqs : 0;
}

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
    uint32_t n_states = cache_n_states(model_state_bytes(m), n_seqs, ctx_size);
    if (n_states > 0) { /* the snapshots of a full cache take half of the slots */
        uint64_t apart = 2 * n_pages / (n_states - 2 * n_seqs) + 1;
        apart = MAX(apart, (uint64_t)STATE_INTERVAL_PAGES_MIN);
        c->state_interval = (uint32_t)(apart * KV_PAGE_TOKENS);
    }
    int r = kv_pages_init(&c->pages, (uint32_t)n_pages, err);
    if (r == 0)
        r = kv_pages_init(&c->states, n_states, err);
    if (r == 0)
        r = prefix_tree_create(&c->pages, n_states > 0 ? &c->states : NULL, &c->tree, err);
    if (r == 0)
        r = model_kv_create(m, (uint32_t)n_pages, n_states, type, &c->kv, err);
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
    kv_pages_release(&c->states);
    *c = (struct cache){0};
}

int cache_seq_init(struct cache *c, struct cache_seq *s, struct error *err)
{
    *s = (struct cache_seq){.state = -1};
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

static int32_t take_state(struct cache *c)
{
    int32_t state = kv_pages_take(&c->states);
    if (state < 0 && prefix_tree_evict_state(c->tree))
        state = kv_pages_take(&c->states);
    return state;
}

static void drop_state(struct cache *c, int32_t state)
{
    if (state >= 0)
        kv_pages_unref(&c->states, state);
}

/* A copy of the found page's beginning, in which the sequence goes on; false if there is no room or
 * it is not worth it. */
static bool copy_part(struct cache *c, struct cache_seq *s, const struct prefix_match *m)
{
    bool wanted = m->state >= 0 || m->part_tokens >= COPY_TOKENS_MIN;
    int32_t copy = wanted ? take_page(c) : -1;
    if (copy >= 0) {
        struct backend *b = model_backend(c->model);
        b->ops->kv_copy_page(b, c->kv, m->part_page, copy);
        s->pages[s->n_pages++] = copy;
    }
    kv_pages_unref(&c->pages, m->part_page);
    return copy >= 0;
}

/* Takes up what the tree knows of ids[0..n). Returns how many tokens that is. */
static uint32_t take_up(struct cache *c, struct cache_seq *s, const int32_t *ids, uint32_t n)
{
    struct prefix_match m;
    prefix_tree_find(c->tree, s->root, ids, n, s->pages, &m);
    s->n_pages = s->n_entered = m.n_pages;
    s->node = m.node;
    s->state = m.state;
    s->state_kept = true;
    uint32_t n_past = m.n_pages * KV_PAGE_TOKENS;
    if (m.part_page < 0)
        return n_past;
    if (copy_part(c, s, &m))
        return n_past + m.part_tokens;
    if (m.state < 0)
        return n_past;
    /* Without the page its state is of no use: back to one that stands at the end of a page. */
    for (uint32_t i = 0; i < s->n_pages; i++)
        kv_pages_unref(&c->pages, s->pages[i]);
    drop_state(c, m.state);
    prefix_tree_find(c->tree, s->root, ids, n_past, s->pages, &m);
    if (m.part_page >= 0) { /* the page's state went in between: begin at the beginning */
        kv_pages_unref(&c->pages, m.part_page);
        for (uint32_t i = 0; i < m.n_pages; i++)
            kv_pages_unref(&c->pages, s->pages[i]);
        drop_state(c, m.state);
        m = (struct prefix_match){.node = s->root, .state = -1};
    }
    s->n_pages = s->n_entered = m.n_pages;
    s->node = m.node;
    s->state = m.state;
    return m.n_pages * KV_PAGE_TOKENS;
}

uint32_t cache_seq_begin(struct cache *c, struct cache_seq *s, const int32_t *ids, uint32_t n,
                         const struct prefix_key *key, bool share)
{
    assert(n > 0 && s->n_pages == 0 && s->state < 0 && s->n_parts == 0 && s->n_kept == 0);
    s->root = share ? prefix_tree_root(c->tree, key) : NULL;
    s->share = s->root != NULL;
    s->n_entered = 0;
    s->node = s->root;
    return s->share ? take_up(c, s, ids, n - 1) : 0;
}

/* ---- a step ---- */

static void drop_parts(struct cache *c, struct cache_seq *s)
{
    for (uint32_t i = 0; i < s->n_parts; i++)
        drop_state(c, s->parts[i].state);
    s->n_parts = 0;
}

int cache_seq_reserve(struct cache *c, struct cache_seq *s, uint32_t n_past, uint32_t n,
                      struct error *err)
{
    uint32_t want = (uint32_t)(((uint64_t)n_past + n + KV_PAGE_TOKENS - 1) / KV_PAGE_TOKENS);
    assert(want <= c->seq_pages);
    drop_parts(c, s);
    while (s->n_pages < want) {
        int32_t page = take_page(c);
        if (page < 0)
            return error_set(err, ERR_INTERNAL, "the KV cache has no free page left");
        s->pages[s->n_pages++] = page;
    }
    if (n == 0)
        return 0;
    int32_t state = -1;
    if (c->states.n > 0 && (state = take_state(c)) < 0)
        return error_set(err, ERR_INTERNAL, "the KV cache has no free state left");
    bool keep = state >= 0 && s->share && (n_past + n) % c->state_interval == 0;
    s->parts[s->n_parts++] = (struct cache_part){.n = n, .state = state, .keep = keep};
    return 0;
}

/* The first position behind `at` where a state should be kept; UINT32_MAX = none. */
static uint32_t next_point(const struct cache *c, uint32_t at, uint32_t n_prompt)
{
    uint32_t last = n_prompt - 1; /* its logits are wanted in any case */
    uint32_t back = last > PROMPT_END_TOKENS ? last - PROMPT_END_TOKENS : 0;
    const uint32_t points[] = {
        at - at % c->state_interval + c->state_interval,
        back - back % KV_PAGE_TOKENS,
        last - last % KV_PAGE_TOKENS,
        last,
    };
    uint32_t next = UINT32_MAX;
    for (size_t i = 0; i < ARRAY_LEN(points); i++)
        if (points[i] > at)
            next = MIN(next, points[i]);
    return next;
}

void cache_seq_cut(struct cache *c, struct cache_seq *s, uint32_t n_past, uint32_t n_prompt)
{
    if (c->states.n == 0 || !s->share || s->n_parts != 1)
        return;
    struct cache_part rest = s->parts[0];
    uint32_t end = n_past + rest.n, n_parts = 0;
    for (uint32_t at = n_past, next; n_parts + 1 < CACHE_PARTS_MAX; at = next) {
        next = next_point(c, at, n_prompt);
        int32_t state = next < end ? take_state(c) : -1;
        if (state < 0)
            break;
        s->parts[n_parts++] = (struct cache_part){.n = next - at, .state = state, .keep = true};
        rest.n -= next - at;
    }
    rest.keep = next_point(c, end - 1, n_prompt) == end;
    s->parts[n_parts++] = rest;
    s->n_parts = n_parts;
}

/* Enters the states that were kept in the page of `node`, tokens [first, first + node's). */
static void enter_states(struct cache *c, struct cache_seq *s, struct prefix_node *node,
                         uint32_t first)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->n_kept; i++) {
        struct cache_kept k = s->kept[i];
        if (k.position > first && k.position <= first + KV_PAGE_TOKENS) {
            prefix_tree_keep_state(c->tree, node, k.position - first, k.state);
            drop_state(c, k.state);
        } else {
            s->kept[n++] = k;
        }
    }
    s->n_kept = n;
}

/* Remembers a state until its page is in the tree; false if there are too many. */
static bool keep(struct cache *c, struct cache_seq *s, uint32_t position, int32_t state)
{
    if (s->n_kept == ARRAY_LEN(s->kept))
        return false;
    kv_pages_ref(&c->states, state);
    s->kept[s->n_kept++] = (struct cache_kept){position, state};
    return true;
}

/* The planned parts are computed: n tokens now. */
static void advance_state(struct cache *c, struct cache_seq *s, uint32_t n)
{
    if (c->states.n == 0 || s->n_parts == 0)
        return;
    for (uint32_t i = s->n_parts; i-- > 0;) {
        const struct cache_part *part = &s->parts[i];
        bool kept = part->keep && keep(c, s, n, part->state);
        if (i + 1 == s->n_parts) {
            drop_state(c, s->state);
            s->state = part->state;
            s->state_kept = kept;
        } else {
            drop_state(c, part->state);
        }
        n -= part->n;
    }
}

void cache_seq_commit(struct cache *c, struct cache_seq *s, const int32_t *ids, uint32_t n)
{
    advance_state(c, s, n);
    s->n_parts = 0;
    if (!s->share)
        return;
    while ((s->n_entered + 1) * KV_PAGE_TOKENS <= n) {
        uint32_t i = s->n_entered++, first = i * KV_PAGE_TOKENS;
        s->node = prefix_tree_put(c->tree, s->node, ids + first, KV_PAGE_TOKENS, &s->pages[i]);
        enter_states(c, s, s->node, first);
    }
}

void cache_seq_end(struct cache *c, struct cache_seq *s, const int32_t *ids, uint32_t n)
{
    drop_parts(c, s);
    cache_seq_commit(c, s, ids, n);
    uint32_t tail = s->n_entered * KV_PAGE_TOKENS;
    if (s->share && s->state >= 0 && !s->state_kept)
        keep(c, s, n, s->state);
    if (s->share && n > tail)
        enter_states(
            c, s, prefix_tree_put(c->tree, s->node, ids + tail, n - tail, &s->pages[s->n_entered]),
            tail);
    else if (s->share && n > 0)
        enter_states(c, s, s->node, tail - KV_PAGE_TOKENS);
    for (uint32_t i = 0; i < s->n_kept; i++)
        drop_state(c, s->kept[i].state);
    for (uint32_t i = 0; i < s->n_pages; i++)
        kv_pages_unref(&c->pages, s->pages[i]);
    drop_state(c, s->state);
    s->n_pages = s->n_kept = 0;
    s->state = -1;
    s->node = NULL;
    if (s->root)
        prefix_tree_root_unref(c->tree, TAKE(s->root));
}
