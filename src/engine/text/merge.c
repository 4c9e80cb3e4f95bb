/* SPDX-License-Identifier: Apache-2.0
 *
 * The heap keeps pairs that may be out of date. A pair is named by its left symbol and the bytes of
 * both: symbols only grow, so the pair is current exactly when the lengths still add up. */
#include "engine/text/merge.h"

#include <stdlib.h>

#include "base/error.h"

struct pair {
    uint32_t rank;
    int32_t left;
    uint32_t len; /* of both together */
    int32_t id;   /* of the result */
};

void merger_release(struct merger *m)
{
    free(m->symbols);
    free(m->heap);
    *m = (struct merger){0};
}

void merger_clear(struct merger *m)
{
    m->n = 0;
    m->n_heap = 0;
}

void merger_push(struct merger *m, int32_t id, uint32_t pos, uint32_t len)
{
    if (m->n == m->cap) {
        size_t cap = m->cap > 0 ? m->cap * 2 : 64;
        struct symbol *symbols = reallocarray(m->symbols, cap, sizeof(*symbols));
        if (!symbols) {
            m->failed = true;
            return;
        }
        m->symbols = symbols;
        m->cap = cap;
    }
    int32_t i = (int32_t)m->n++;
    m->symbols[i] = (struct symbol){.id = id, .pos = pos, .len = len, .prev = i - 1, .next = -1};
    if (i > 0)
        m->symbols[i - 1].next = i;
}

static bool before(struct pair a, struct pair b)
{
    return a.rank != b.rank ? a.rank < b.rank : a.left < b.left;
}

static void heap_push(struct merger *m, struct pair p)
{
    if (m->n_heap == m->cap_heap) {
        size_t cap = m->cap_heap > 0 ? m->cap_heap * 2 : 64;
        struct pair *heap = reallocarray(m->heap, cap, sizeof(*heap));
        if (!heap) {
            m->failed = true;
            return;
        }
        m->heap = heap;
        m->cap_heap = cap;
    }
    size_t i = m->n_heap++;
    for (; i > 0 && before(p, m->heap[(i - 1) / 2]); i = (i - 1) / 2)
        m->heap[i] = m->heap[(i - 1) / 2];
    m->heap[i] = p;
}

static struct pair heap_pop(struct merger *m)
{
    struct pair top = m->heap[0], item = m->heap[--m->n_heap];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= m->n_heap)
            break;
        if (child + 1 < m->n_heap && before(m->heap[child + 1], m->heap[child]))
            child++;
        if (!before(m->heap[child], item))
            break;
        m->heap[i] = m->heap[child];
        i = child;
    }
    m->heap[i] = item;
    return top;
}

static void pair_add(struct merger *m, merge_rank_fn rank, const void *ctx, int32_t left)
{
    if (left < 0 || m->symbols[left].next < 0)
        return;
    const struct symbol *l = &m->symbols[left], *r = &m->symbols[l->next];
    struct pair p = {.left = left, .len = l->len + r->len};
    if (rank(ctx, l, r, &p.rank, &p.id))
        heap_push(m, p);
}

int merger_run(struct merger *m, merge_rank_fn rank, const void *ctx)
{
    for (size_t i = 0; i + 1 < m->n; i++)
        pair_add(m, rank, ctx, (int32_t)i);
    while (m->n_heap > 0 && !m->failed) {
        struct pair p = heap_pop(m);
        struct symbol *l = &m->symbols[p.left];
        if (l->len == 0 || l->next < 0)
            continue;
        struct symbol *r = &m->symbols[l->next];
        if (l->len + r->len != p.len)
            continue;
        l->id = p.id;
        l->len += r->len;
        r->len = 0;
        l->next = r->next;
        if (l->next >= 0)
            m->symbols[l->next].prev = p.left;
        pair_add(m, rank, ctx, l->prev);
        pair_add(m, rank, ctx, p.left);
    }
    return m->failed ? -ERR_NOMEM : 0;
}
