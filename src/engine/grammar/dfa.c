/* SPDX-License-Identifier: Apache-2.0
 *
 * Deterministic automata over bytes. */
#include "engine/grammar/dfa.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "engine/grammar/subset.h"

void dfa_free(struct dfa *d)
{
    if (!d)
        return;
    free(d->to);
    free(d->accepts);
    free(d);
}

static int too_large(struct error *err)
{
    return error_set(err, ERR_TOO_LARGE, "the set of texts is too complex: more than %d states",
                     DFA_STATES_MAX);
}

/* Room for one more state, all its bytes dead. */
static void dfa_grow(struct dfa *d, uint32_t *cap)
{
    if (d->n == *cap) {
        *cap = *cap ? *cap * 2 : 16;
        d->to = xrealloc(d->to, (size_t)*cap * 256, sizeof(*d->to));
        d->accepts = xrealloc(d->accepts, *cap, 1);
    }
    memset(d->to + (size_t)d->n * 256, 0, 256 * sizeof(*d->to));
    d->accepts[d->n++] = 0;
}

int dfa_from_nfa(const struct nfa *a, uint32_t start, uint32_t end, struct dfa **ret,
                 struct error *err)
{
    int r = nfa_check(a, err);
    if (r < 0)
        return r;
    struct subset s;
    subset_init(&s, a);
    struct dfa *d = xcalloc(1, sizeof(*d));
    uint32_t cap = 0, seed = start * 2;
    dfa_grow(d, &cap);
    d->start = subset_state(&s, &seed, 1, true);
    for (uint32_t i = 1; i < s.n_states && s.n_states < DFA_STATES_MAX && !s.full; i++) {
        uint32_t targets[256];
        uint8_t flags[256];
        dfa_grow(d, &cap);
        d->accepts[i] = subset_contains(&s, i, end);
        subset_row(&s, i, targets, flags);
        for (unsigned b = 0; b < 256; b++)
            d->to[(size_t)i * 256 + b] = targets[s.cls[b]];
    }
    bool full = s.full || s.n_states >= DFA_STATES_MAX;
    subset_release(&s);
    if (full) {
        dfa_free(d);
        return too_large(err);
    }
    *ret = d;
    return 0;
}

/* ---- products: pairs of states, numbered as they are found ---- */

struct pairs {
    uint64_t *list; /* [n] */
    uint32_t *hash; /* [n_hash] 1 + index */
    uint32_t n, n_hash;
};

static uint32_t pair_number(struct pairs *p, uint32_t a, uint32_t b)
{
    uint64_t key = (uint64_t)a << 32 | b;
    uint32_t at = (uint32_t)((key * 0x9e3779b97f4a7c15u) >> 32);
    for (;; at++) {
        uint32_t *slot = &p->hash[at & (p->n_hash - 1)];
        if (*slot && p->list[*slot - 1] == key)
            return *slot - 1;
        if (*slot)
            continue;
        if (p->n >= DFA_STATES_MAX)
            return 0;
        p->list[p->n++] = key;
        *slot = p->n;
        return p->n - 1;
    }
}

int dfa_product(const struct dfa *a, const struct dfa *b, bool minus, struct dfa **ret,
                struct error *err)
{
    struct pairs p = {.n_hash = DFA_STATES_MAX * 2};
    p.list = xcalloc(DFA_STATES_MAX, sizeof(*p.list));
    p.hash = xcalloc(p.n_hash, sizeof(*p.hash));
    struct dfa *d = xcalloc(1, sizeof(*d));
    uint32_t cap = 0;
    pair_number(&p, 0, 0);
    d->start = a->start == 0 ? 0 : pair_number(&p, a->start, b->start);
    for (uint32_t i = 0; i < p.n && p.n < DFA_STATES_MAX; i++) {
        uint32_t x = (uint32_t)(p.list[i] >> 32), y = (uint32_t)p.list[i];
        dfa_grow(d, &cap);
        d->accepts[i] = a->accepts[x] && b->accepts[y] != minus;
        for (unsigned c = 0; c < 256; c++) {
            uint32_t tx = a->to[(size_t)x * 256 + c], ty = b->to[(size_t)y * 256 + c];
            bool dead = tx == 0 || (ty == 0 && !minus);
            d->to[(size_t)i * 256 + c] = dead ? 0 : pair_number(&p, tx, ty);
        }
    }
    bool full = p.n >= DFA_STATES_MAX;
    free(p.list);
    free(p.hash);
    if (full) {
        dfa_free(d);
        return too_large(err);
    }
    *ret = d;
    return 0;
}

/* Which states lead to acceptance: backwards until nothing changes. The states were found from the
 * start on, so going down through them takes few rounds. */
static bool *live_states(const struct dfa *d)
{
    bool *live = xcalloc(d->n, sizeof(*live));
    for (bool changed = true; changed;) {
        changed = false;
        for (uint32_t i = d->n; i-- > 1;) {
            bool was = live[i];
            for (unsigned b = 0; b < 256 && !live[i]; b++)
                live[i] = d->accepts[i] || live[d->to[(size_t)i * 256 + b]];
            changed = changed || live[i] != was;
        }
    }
    return live;
}

bool dfa_is_empty(const struct dfa *d)
{
    for (uint32_t i = 1; i < d->n; i++) /* every state is reached from the start */
        if (d->accepts[i])
            return false;
    return true;
}

bool dfa_matches(const struct dfa *d, struct str text)
{
    uint32_t s = d->start;
    for (size_t i = 0; i < text.len; i++)
        s = d->to[(size_t)s * 256 + (uint8_t)text.ptr[i]];
    return d->accepts[s];
}

void dfa_add_to(const struct dfa *d, struct nfa *a, uint32_t from, uint32_t to)
{
    bool *live = live_states(d);
    uint32_t *nodes = xcalloc(d->n, sizeof(*nodes));
    for (uint32_t i = 1; i < d->n; i++)
        nodes[i] = live[i] ? nfa_node(a) : 0;
    if (live[d->start])
        nfa_empty(a, from, nodes[d->start]);
    for (uint32_t i = 1; i < d->n && !a->full; i++) {
        const uint32_t *row = d->to + (size_t)i * 256;
        if (!live[i])
            continue;
        if (d->accepts[i])
            nfa_empty(a, nodes[i], to);
        for (unsigned b = 0, next; b < 256; b = next) {
            for (next = b + 1; next < 256 && row[next] == row[b];)
                next++;
            if (live[row[b]])
                nfa_bytes(a, nodes[i], nodes[row[b]], b, next - 1, 0);
        }
    }
    free(nodes);
    free(live);
}
