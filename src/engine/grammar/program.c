/* SPDX-License-Identifier: Apache-2.0
 *
 * From an automaton with calls to a program. */
#include "engine/grammar/program.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "engine/grammar/subset.h"

/* ---- which nodes lead to the end of their rule ---- */

struct reverse {
    uint32_t *by_to, *to_first;       /* edge numbers, grouped by target */
    uint32_t *by_start, *start_first; /* calls, grouped by the start node of the rule */
};

static void group(const struct nfa *a, bool calls_by_start, uint32_t **ret, uint32_t **ret_first)
{
    uint32_t *first = xcalloc((size_t)a->n_nodes + 2, sizeof(*first));
    uint32_t *list = xcalloc((size_t)a->n_edges + 1, sizeof(*list));
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; i < a->n_edges; i++) {
            const struct nfa_edge *e = &a->edges[i];
            if (calls_by_start && e->kind != EDGE_CALL)
                continue;
            uint32_t key = calls_by_start ? a->rules[e->rule].start : e->to;
            if (pass == 0)
                first[key + 2]++;
            else
                list[first[key + 1]++] = i;
        }
        for (uint32_t n = 2; pass == 0 && n <= a->n_nodes + 1; n++)
            first[n] += first[n - 1];
    }
    *ret = list;
    *ret_first = first;
}

/* The nodes from which the end of their rule is reached, without bytes if `silent`. */
static bool *good_nodes(const struct nfa *a, bool silent)
{
    uint32_t *from = xcalloc((size_t)a->n_edges + 1, sizeof(*from));
    for (uint32_t n = 0; n < a->n_nodes; n++)
        for (uint32_t e = a->nodes[n]; e; e = a->edges[e - 1].next)
            from[e - 1] = n;
    struct reverse v;
    group(a, false, &v.by_to, &v.to_first);
    group(a, true, &v.by_start, &v.start_first);
    bool *good = xcalloc((size_t)a->n_nodes + 1, sizeof(*good));
    uint32_t *work = xcalloc((size_t)a->n_nodes + 1, sizeof(*work)), n = 0;
    for (uint32_t r = 0; r < a->n_rules; r++)
        if (!good[a->rules[r].end]) {
            good[a->rules[r].end] = true;
            work[n++] = a->rules[r].end;
        }
    while (n > 0) {
        uint32_t node = work[--n];
        for (int by_start = 0; by_start < 2; by_start++) {
            const uint32_t *first = by_start ? v.start_first : v.to_first;
            const uint32_t *list = by_start ? v.by_start : v.by_to;
            for (uint32_t i = first[node]; i < first[node + 1]; i++) {
                const struct nfa_edge *e = &a->edges[list[i]];
                bool ok = e->kind == EDGE_CALL ? good[e->to] && good[a->rules[e->rule].start]
                                               : !(silent && e->kind == EDGE_BYTE);
                if (ok && !good[from[list[i]]]) {
                    good[from[list[i]]] = true;
                    work[n++] = from[list[i]];
                }
            }
        }
    }
    free(from);
    free(work);
    free(v.by_to);
    free(v.to_first);
    free(v.by_start);
    free(v.start_first);
    return good;
}

bool *nfa_productive_rules(const struct nfa *a)
{
    bool *good = good_nodes(a, false), *ret = xcalloc((size_t)a->n_rules + 1, sizeof(*ret));
    for (uint32_t r = 0; r < a->n_rules; r++)
        ret[r] = good[a->rules[r].start];
    free(good);
    return ret;
}

/* Takes out the edges that lead nowhere. */
static void trim(struct nfa *a, const bool *good)
{
    for (uint32_t n = 0; n < a->n_nodes; n++)
        for (uint32_t *link = &a->nodes[n]; *link;) {
            struct nfa_edge *e = &a->edges[*link - 1];
            if (!good[e->to] || (e->kind == EDGE_CALL && !good[a->rules[e->rule].start]))
                *link = e->next;
            else
                link = &e->next;
        }
}

/* ---- rules that begin with themselves ---- */

/* Appends the rules that a sentence of `rule` may begin with to list; returns how many. */
static uint32_t left_calls(const struct nfa *a, uint32_t rule, const bool *silent, uint32_t *seen,
                           uint32_t *work, uint32_t *list)
{
    uint32_t n = 0, n_list = 0;
    seen[a->rules[rule].start] = rule + 1;
    work[n++] = a->rules[rule].start;
    while (n > 0) {
        uint32_t node = work[--n];
        for (uint32_t i = a->nodes[node]; i; i = a->edges[i - 1].next) {
            const struct nfa_edge *e = &a->edges[i - 1];
            if (e->kind == EDGE_CALL)
                list[n_list++] = e->rule;
            bool through =
                e->kind == EDGE_CALL ? silent[a->rules[e->rule].start] : e->kind != EDGE_BYTE;
            if (through && seen[e->to] != rule + 1) {
                seen[e->to] = rule + 1;
                work[n++] = e->to;
            }
        }
    }
    return n_list;
}

static bool left_recursive(const struct nfa *a)
{
    bool *silent = good_nodes(a, true);
    uint32_t *seen = xcalloc((size_t)a->n_nodes + 1, sizeof(*seen));
    uint32_t *work = xcalloc((size_t)a->n_nodes + 1, sizeof(*work));
    uint32_t *list = xcalloc((size_t)a->n_edges + 1, sizeof(*list));
    uint32_t *n_in = xcalloc((size_t)a->n_rules + 1, sizeof(*n_in));
    uint32_t *queue = xcalloc((size_t)a->n_rules + 1, sizeof(*queue)), head = 0, tail = 0;
    for (uint32_t r = 0; r < a->n_rules; r++)
        for (uint32_t n = left_calls(a, r, silent, seen, work, list); n > 0; n--)
            n_in[list[n - 1]]++;
    for (uint32_t r = 0; r < a->n_rules; r++)
        if (n_in[r] == 0)
            queue[tail++] = r;
    memset(seen, 0, ((size_t)a->n_nodes + 1) * sizeof(*seen));
    while (head < tail)
        for (uint32_t n = left_calls(a, queue[head++], silent, seen, work, list); n > 0; n--)
            if (--n_in[list[n - 1]] == 0)
                queue[tail++] = list[n - 1];
    free(silent);
    free(seen);
    free(work);
    free(list);
    free(n_in);
    free(queue);
    return tail < a->n_rules;
}

/* ---- deterministic ---- */

struct build {
    struct nfa *a;
    struct subset s;
    struct program *p;
    uint32_t *owner;  /* [n_nodes] 1 + the rule a node belongs to */
    uint32_t *starts; /* [n_rules] its first state, 0 = none yet */
    uint32_t cap_states, cap_calls;
    bool mixed;
};

static void find_owners(struct build *b)
{
    const struct nfa *a = b->a;
    uint32_t *work = xcalloc((size_t)a->n_nodes + 1, sizeof(*work));
    for (uint32_t r = 0; r < a->n_rules; r++) {
        uint32_t n = 0;
        b->owner[a->rules[r].start] = r + 1;
        work[n++] = a->rules[r].start;
        while (n > 0) {
            uint32_t node = work[--n];
            for (uint32_t e = a->nodes[node]; e; e = a->edges[e - 1].next)
                if (!b->owner[a->edges[e - 1].to]) {
                    b->owner[a->edges[e - 1].to] = r + 1;
                    work[n++] = a->edges[e - 1].to;
                }
        }
    }
    free(work);
}

static uint32_t rule_start(struct build *b, uint32_t rule)
{
    if (!b->starts[rule]) {
        uint32_t seed = b->a->rules[rule].start * 2;
        b->starts[rule] = subset_state(&b->s, &seed, 1, false);
    }
    return b->starts[rule];
}

static int compare_u64(const void *x, const void *y)
{
    uint64_t a = *(const uint64_t *)x, b = *(const uint64_t *)y;
    return a < b ? -1 : a > b;
}

static void build_calls(struct build *b, uint32_t state)
{
    uint64_t *found = NULL; /* rule << 32 | target */
    size_t n = 0, cap = 0;
    for (uint32_t i = b->s.first[state]; i < b->s.first[state + 1]; i++)
        for (uint32_t e = b->a->nodes[b->s.items[i] >> 1]; e; e = b->a->edges[e - 1].next) {
            const struct nfa_edge *edge = &b->a->edges[e - 1];
            if (edge->kind != EDGE_CALL)
                continue;
            if (n == cap) {
                cap = cap ? cap * 2 : 16;
                found = xrealloc(found, cap, sizeof(*found));
            }
            found[n++] = (uint64_t)edge->rule << 32 | edge->to;
        }
    b->p->states[state].first_call = b->p->n_calls;
    if (n > 0)
        qsort(found, n, sizeof(*found), compare_u64);
    uint32_t *seeds = xcalloc(n + 1, sizeof(*seeds));
    for (size_t i = 0, next; i < n; i = next) {
        size_t k = 0;
        for (next = i; next < n && found[next] >> 32 == found[i] >> 32; next++)
            seeds[k++] = (uint32_t)found[next] * 2;
        if (b->p->n_calls == b->cap_calls) {
            b->cap_calls = b->cap_calls ? b->cap_calls * 2 : 64;
            b->p->calls = xrealloc(b->p->calls, b->cap_calls, sizeof(*b->p->calls));
        }
        b->p->calls[b->p->n_calls++] =
            (struct program_call){.start = rule_start(b, (uint32_t)(found[i] >> 32)),
                                  .back = subset_state(&b->s, seeds, k, false)};
        b->p->states[state].n_calls++;
    }
    free(seeds);
    free(found);
}

static void build_state(struct build *b, uint32_t i)
{
    struct program *p = b->p;
    if (i >= b->cap_states) {
        b->cap_states = MAX(b->cap_states * 2, 64u);
        p->states = xrealloc(p->states, b->cap_states, sizeof(*p->states));
        p->to = xrealloc(p->to, (size_t)b->cap_states * p->n_cls, sizeof(*p->to));
    }
    const struct nfa_rule *rule = &b->a->rules[b->owner[b->s.items[b->s.first[i]] >> 1] - 1];
    p->states[i] = (struct program_state){.min = rule->counts ? rule->min : 0,
                                          .max = rule->counts ? rule->max : NFA_NO_LIMIT,
                                          .final = subset_contains(&b->s, i, rule->end)};
    uint32_t targets[256];
    uint8_t flags[256];
    b->mixed = !subset_row(&b->s, i, targets, flags) || b->mixed;
    for (uint32_t c = 0; c < p->n_cls; c++) {
        p->to[(size_t)i * p->n_cls + c] = targets[c] | (flags[c] & EDGE_COUNTS ? TO_COUNTS : 0) |
                                          (flags[c] & EDGE_GUARDED ? TO_GUARDED : 0);
        p->states[i].has_bytes = p->states[i].has_bytes || targets[c] != 0;
    }
    build_calls(b, i);
}

/* Tail calls, and which states belong to plain rules. */
static void finish_states(struct build *b)
{
    struct program *p = b->p;
    bool *plain = xcalloc((size_t)b->a->n_rules + 1, sizeof(*plain));
    memset(plain, 1, b->a->n_rules);
    for (int pass = 0; pass < 2; pass++)
        for (uint32_t i = 1; i < p->n_states; i++) {
            struct program_state *s = &p->states[i];
            uint32_t rule = b->owner[b->s.items[b->s.first[i]] >> 1] - 1;
            if (pass == 1)
                s->plain = plain[rule];
            else if (s->n_calls > 0 || (s->final && s->has_bytes))
                plain[rule] = false;
        }
    free(plain);
    for (uint32_t i = 0; i < p->n_calls; i++) {
        const struct program_state *back = &p->states[p->calls[i].back];
        if (back->final && !back->has_bytes && back->n_calls == 0)
            p->calls[i].back = 0;
    }
}

int program_build(struct nfa *a, uint32_t root, struct program *ret, struct error *err)
{
    int r = nfa_check(a, err);
    if (r < 0)
        return r;
    bool *good = good_nodes(a, false);
    bool possible = good[a->rules[root].start];
    trim(a, good);
    free(good);
    if (!possible)
        return error_set(err, ERR_INVALID, "no text can satisfy this");
    if (left_recursive(a))
        return error_set(err, ERR_INVALID,
                         "a rule or reference begins with itself (left recursion), which has no "
                         "end: write it so that something comes first");
    *ret = (struct program){0};
    struct build b = {.a = a, .p = ret};
    subset_init(&b.s, a);
    memcpy(ret->cls, b.s.cls, sizeof(ret->cls));
    ret->n_cls = b.s.n_cls;
    b.owner = xcalloc((size_t)a->n_nodes + 1, sizeof(*b.owner));
    b.starts = xcalloc((size_t)a->n_rules + 1, sizeof(*b.starts));
    find_owners(&b);
    ret->start = rule_start(&b, root);
    for (uint32_t i = 1; i < b.s.n_states && !b.s.full; i++) {
        build_state(&b, i);
        ret->n_states = i + 1;
    }
    if (b.s.full)
        r = error_set(err, ERR_TOO_LARGE,
                      "the grammar is too large: more than %d states, or states that are in too many "
                      "places of it at once: use smaller counts and less ambiguous rules",
                      SUBSET_STATES_MAX);
    else if (b.mixed)
        r = error_set(err, ERR_INTERNAL, "the grammar counts in two ways at once");
    else
        finish_states(&b);
    subset_release(&b.s);
    free(b.owner);
    free(b.starts);
    if (r < 0)
        program_release(ret);
    return r;
}

void program_release(struct program *p)
{
    free(p->to);
    free(p->states);
    free(p->calls);
    *p = (struct program){0};
}
