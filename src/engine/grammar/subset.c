/* SPDX-License-Identifier: Apache-2.0
 *
 * The subset construction. */
#include "engine/grammar/subset.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

static void find_classes(struct subset *s)
{
    bool begins[257] = {true};
    for (uint32_t i = 0; i < s->nfa->n_edges; i++) {
        const struct nfa_edge *e = &s->nfa->edges[i];
        if (e->kind == EDGE_BYTE)
            begins[e->lo] = begins[e->hi + 1] = true;
    }
    uint32_t n = 0;
    for (uint32_t b = 0; b < 256; b++) {
        n += begins[b];
        s->cls[b] = (uint8_t)(n - 1);
    }
    s->n_cls = n;
}

void subset_init(struct subset *s, const struct nfa *nfa)
{
    *s = (struct subset){.nfa = nfa, .n_states = 1, .cap_states = 64, .n_hash = 256};
    s->first = xcalloc(s->cap_states + 1, sizeof(*s->first));
    s->hash = xcalloc(s->n_hash, sizeof(*s->hash));
    s->seen = xcalloc((size_t)nfa->n_nodes * 2 + 2, sizeof(*s->seen));
    s->work = xcalloc((size_t)nfa->n_nodes * 2 + 2, sizeof(*s->work));
    find_classes(s);
}

void subset_release(struct subset *s)
{
    free(s->items);
    free(s->first);
    free(s->hash);
    free(s->seen);
    free(s->work);
    *s = (struct subset){0};
}

static int compare_items(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static uint32_t hash_items(const uint32_t *items, size_t n)
{
    uint64_t h = 0x9e3779b97f4a7c15u ^ n;
    for (size_t i = 0; i < n; i++) {
        h = (h ^ items[i]) * 0xff51afd7ed558ccdu;
        h ^= h >> 32;
    }
    return (uint32_t)h;
}

static void rehash(struct subset *s)
{
    free(s->hash);
    s->n_hash *= 2;
    s->hash = xcalloc(s->n_hash, sizeof(*s->hash));
    for (uint32_t i = 1; i < s->n_states; i++) {
        uint32_t at = hash_items(s->items + s->first[i], s->first[i + 1] - s->first[i]);
        while (s->hash[at & (s->n_hash - 1)])
            at++;
        s->hash[at & (s->n_hash - 1)] = i;
    }
}

/* The state with these items, sorted; a new one if there is none yet. */
static uint32_t intern(struct subset *s, const uint32_t *items, size_t n)
{
    uint32_t at = hash_items(items, n);
    for (;; at++) {
        uint32_t i = s->hash[at & (s->n_hash - 1)];
        if (i == 0)
            break;
        if (s->first[i + 1] - s->first[i] == n &&
            memcmp(s->items + s->first[i], items, n * sizeof(*items)) == 0)
            return i;
    }
    if (s->n_states >= SUBSET_STATES_MAX || s->n_items + n > SUBSET_ITEMS_MAX) {
        s->full = true;
        return SUBSET_NONE;
    }
    if (s->n_states == s->cap_states) {
        s->cap_states *= 2;
        s->first = xrealloc(s->first, s->cap_states + 1, sizeof(*s->first));
    }
    if (s->n_items + n > s->cap_items) {
        s->cap_items = (s->n_items + n) * 2;
        s->items = xrealloc(s->items, s->cap_items, sizeof(*s->items));
    }
    memcpy(s->items + s->n_items, items, n * sizeof(*items));
    s->n_items += n;
    uint32_t state = s->n_states++;
    s->first[state] = (uint32_t)(s->n_items - n);
    s->first[state + 1] = (uint32_t)s->n_items;
    s->hash[at & (s->n_hash - 1)] = state;
    if (s->n_states * 2 > s->n_hash)
        rehash(s);
    return state;
}

/* Nodes that only lead on are left out: the sets stay small and meet more often. A node without
 * edges may be the end of something. */
static bool matters(const struct subset *s, uint32_t node)
{
    uint32_t e = s->nfa->nodes[node];
    if (!e)
        return true;
    for (; e; e = s->nfa->edges[e - 1].next)
        if (s->nfa->edges[e - 1].kind == EDGE_BYTE || s->nfa->edges[e - 1].kind == EDGE_CALL)
            return true;
    return false;
}

static void visit(struct subset *s, uint32_t item, size_t *n)
{
    if (s->seen[item] != s->stamp) {
        s->seen[item] = s->stamp;
        s->work[(*n)++] = item;
    }
}

uint32_t subset_state(struct subset *s, const uint32_t *seeds, size_t n_seeds, bool at_begin)
{
    size_t n = 0;
    s->stamp++;
    for (size_t i = 0; i < n_seeds; i++)
        visit(s, seeds[i], &n);
    for (size_t i = 0; i < n; i++) {
        uint32_t item = s->work[i], ended = item & 1;
        for (uint32_t e = s->nfa->nodes[item >> 1]; e; e = s->nfa->edges[e - 1].next) {
            const struct nfa_edge *edge = &s->nfa->edges[e - 1];
            if (edge->kind == EDGE_EMPTY || (edge->kind == EDGE_BEGIN && at_begin))
                visit(s, edge->to * 2 + ended, &n);
            else if (edge->kind == EDGE_END)
                visit(s, edge->to * 2 + 1, &n);
        }
    }
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (matters(s, s->work[i] >> 1))
            s->work[kept++] = s->work[i];
    if (kept == 0)
        return SUBSET_NONE;
    qsort(s->work, kept, sizeof(*s->work), compare_items);
    return intern(s, s->work, kept);
}

bool subset_contains(const struct subset *s, uint32_t state, uint32_t node)
{
    if (state == SUBSET_NONE)
        return false;
    for (uint32_t i = s->first[state]; i < s->first[state + 1]; i++)
        if (s->items[i] >> 1 == node)
            return true;
    return false;
}

bool subset_row(struct subset *s, uint32_t state, uint32_t *targets, uint8_t *flags)
{
    /* The edges in a list per class, in the order of the items, so that equal lists are equal
     * arrays and most closures are computed once for a run of classes. */
    struct link {
        uint32_t to, next;
    } *links = NULL;
    size_t n_links = 0, cap = 0;
    uint32_t head[256] = {0}, tail[256] = {0};
    uint8_t seen_flags[256];
    bool ok = true;
    memset(seen_flags, 0xff, sizeof(seen_flags));
    memset(targets, 0, s->n_cls * sizeof(*targets));
    memset(flags, 0, s->n_cls);
    for (uint32_t i = s->first[state]; i < s->first[state + 1]; i++) {
        if (s->items[i] & 1)
            continue; /* behind the end no byte can follow */
        for (uint32_t e = s->nfa->nodes[s->items[i] >> 1]; e; e = s->nfa->edges[e - 1].next) {
            const struct nfa_edge *edge = &s->nfa->edges[e - 1];
            if (edge->kind != EDGE_BYTE)
                continue;
            for (uint32_t c = s->cls[edge->lo]; c <= s->cls[edge->hi]; c++) {
                if (n_links == cap) {
                    cap = cap ? cap * 2 : 256;
                    links = xrealloc(links, cap, sizeof(*links));
                }
                links[n_links++] = (struct link){edge->to, 0};
                if (tail[c])
                    links[tail[c] - 1].next = (uint32_t)n_links;
                else
                    head[c] = (uint32_t)n_links;
                tail[c] = (uint32_t)n_links;
                ok = ok && (seen_flags[c] == 0xff || seen_flags[c] == edge->flags);
                seen_flags[c] = edge->flags;
            }
        }
    }
    uint32_t *seeds = xcalloc(n_links + 1, sizeof(*seeds)),
             *last = xcalloc(n_links + 1, sizeof(*last));
    size_t n_last = 0;
    uint32_t last_target = SUBSET_NONE;
    for (uint32_t c = 0; c < s->n_cls; c++) {
        size_t n = 0;
        for (uint32_t l = head[c]; l; l = links[l - 1].next)
            seeds[n++] = links[l - 1].to * 2;
        if (n == 0)
            continue;
        flags[c] = seen_flags[c];
        if (n != n_last || memcmp(seeds, last, n * sizeof(*seeds)) != 0) {
            last_target = subset_state(s, seeds, n, false);
            memcpy(last, seeds, n * sizeof(*seeds));
            n_last = n;
        }
        targets[c] = last_target;
    }
    free(seeds);
    free(last);
    free(links);
    return ok;
}
