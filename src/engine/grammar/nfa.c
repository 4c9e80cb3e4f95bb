/* SPDX-License-Identifier: Apache-2.0
 *
 * Building nondeterministic automata. */
#include "engine/grammar/nfa.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/utf8.h"

enum { EDGES_MAX = NFA_NODES_MAX * 4, CODE_POINT_MAX = 0x10ffff };

void nfa_release(struct nfa *a)
{
    free(a->nodes);
    free(a->edges);
    free(a->rules);
    *a = (struct nfa){0};
}

int nfa_check(const struct nfa *a, struct error *err)
{
    return a->full ? error_set(err, ERR_TOO_LARGE, "the grammar is too large") : 0;
}

static bool grow(struct nfa *a, void **p, uint32_t n, uint32_t *cap, uint32_t max, size_t size)
{
    if (n < *cap)
        return true;
    if (n >= max) {
        a->full = true;
        return false;
    }
    *cap = *cap ? *cap * 2 : 64;
    *p = xrealloc(*p, *cap, size);
    return true;
}

/* When the automaton is full, node 0 stands for every new one; nfa_check() tells in the end. */
uint32_t nfa_node(struct nfa *a)
{
    if (!grow(a, (void **)&a->nodes, a->n_nodes, &a->cap_nodes, NFA_NODES_MAX, sizeof(*a->nodes)))
        return 0;
    a->nodes[a->n_nodes] = 0;
    return a->n_nodes++;
}

uint32_t nfa_rule(struct nfa *a)
{
    if (!grow(a, (void **)&a->rules, a->n_rules, &a->cap_rules, NFA_RULES_MAX, sizeof(*a->rules)))
        return 0;
    uint32_t start = nfa_node(a), end = nfa_node(a);
    a->rules[a->n_rules] = (struct nfa_rule){.start = start, .end = end, .max = NFA_NO_LIMIT};
    return a->n_rules++;
}

static void add_edge(struct nfa *a, uint32_t from, struct nfa_edge e)
{
    if (a->full ||
        !grow(a, (void **)&a->edges, a->n_edges, &a->cap_edges, EDGES_MAX, sizeof(*a->edges)))
        return;
    e.next = a->nodes[from];
    a->edges[a->n_edges++] = e;
    a->nodes[from] = a->n_edges;
}

void nfa_empty(struct nfa *a, uint32_t from, uint32_t to)
{
    nfa_mark(a, from, to, EDGE_EMPTY);
}

void nfa_mark(struct nfa *a, uint32_t from, uint32_t to, enum nfa_edge_kind kind)
{
    add_edge(a, from, (struct nfa_edge){.to = to, .kind = (uint8_t)kind});
}

void nfa_bytes(struct nfa *a, uint32_t from, uint32_t to, unsigned lo, unsigned hi, unsigned flags)
{
    add_edge(a, from,
             (struct nfa_edge){.to = to,
                               .kind = EDGE_BYTE,
                               .lo = (uint8_t)lo,
                               .hi = (uint8_t)hi,
                               .flags = (uint8_t)flags});
}

void nfa_call(struct nfa *a, uint32_t from, uint32_t to, uint32_t rule)
{
    add_edge(a, from, (struct nfa_edge){.to = to, .kind = EDGE_CALL, .rule = rule});
}

uint32_t nfa_literal(struct nfa *a, uint32_t from, struct str bytes)
{
    for (size_t i = 0; i < bytes.len && !a->full; i++) {
        uint32_t to = nfa_node(a);
        nfa_bytes(a, from, to, (uint8_t)bytes.ptr[i], (uint8_t)bytes.ptr[i], 0);
        from = to;
    }
    return from;
}

/* ---- sets of characters ---- */

void charset_release(struct charset *c)
{
    free(c->ranges);
    *c = (struct charset){0};
}

void charset_add(struct charset *c, uint32_t lo, uint32_t hi)
{
    if (c->n == c->cap) {
        c->cap = c->cap ? c->cap * 2 : 8;
        c->ranges = xrealloc(c->ranges, c->cap, sizeof(*c->ranges));
    }
    c->ranges[c->n].lo = lo;
    c->ranges[c->n++].hi = hi;
}

static int compare_ranges(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

void charset_normalize(struct charset *c)
{
    if (c->n == 0)
        return;
    qsort(c->ranges, c->n, sizeof(*c->ranges), compare_ranges);
    size_t n = 1;
    for (size_t i = 1; i < c->n; i++) {
        if (c->ranges[i].lo <= c->ranges[n - 1].hi + 1)
            c->ranges[n - 1].hi = MAX(c->ranges[n - 1].hi, c->ranges[i].hi);
        else
            c->ranges[n++] = c->ranges[i];
    }
    c->n = n;
}

void charset_negate(struct charset *c)
{
    charset_normalize(c);
    struct charset out = {0};
    uint32_t at = 0;
    for (size_t i = 0; i < c->n; i++) {
        if (c->ranges[i].lo > at)
            charset_add(&out, at, c->ranges[i].lo - 1);
        at = c->ranges[i].hi + 1;
    }
    if (at <= CODE_POINT_MAX)
        charset_add(&out, at, CODE_POINT_MAX);
    charset_release(c);
    *c = out;
}

/* Paths for all sequences between two of the same length, the last `left` bytes of which are free
 * to vary as continuation bytes. */
static void utf8_paths(struct nfa *a, uint32_t from, uint32_t to, const uint8_t *lo,
                       const uint8_t *hi, size_t n, unsigned flags)
{
    if (n == 1) {
        nfa_bytes(a, from, to, lo[0], hi[0], flags);
        return;
    }
    if (lo[0] == hi[0]) {
        uint32_t mid = nfa_node(a);
        nfa_bytes(a, from, mid, lo[0], hi[0], flags);
        utf8_paths(a, mid, to, lo + 1, hi + 1, n - 1, 0);
        return;
    }
    static const uint8_t least[3] = {0x80, 0x80, 0x80}, most[3] = {0xbf, 0xbf, 0xbf};
    unsigned first = lo[0], last = hi[0];
    if (memcmp(lo + 1, least, n - 1) != 0) {
        uint32_t mid = nfa_node(a);
        nfa_bytes(a, from, mid, first, first, flags);
        utf8_paths(a, mid, to, lo + 1, most, n - 1, 0);
        first++;
    }
    if (memcmp(hi + 1, most, n - 1) != 0) {
        uint32_t mid = nfa_node(a);
        nfa_bytes(a, from, mid, last, last, flags);
        utf8_paths(a, mid, to, least, hi + 1, n - 1, 0);
        last--;
    }
    if (first <= last) {
        uint32_t mid = nfa_node(a);
        nfa_bytes(a, from, mid, first, last, flags);
        utf8_paths(a, mid, to, least, most, n - 1, 0);
    }
}

static void utf8_range(struct nfa *a, uint32_t from, uint32_t to, uint32_t lo, uint32_t hi,
                       unsigned flags)
{
    static const struct {
        uint32_t lo, hi;
    } same_length[] = {
        {0, 0x7f}, {0x80, 0x7ff}, {0x800, 0xd7ff}, {0xe000, 0xffff}, {0x10000, CODE_POINT_MAX}};
    for (size_t i = 0; i < ARRAY_LEN(same_length); i++) {
        uint32_t l = MAX(lo, same_length[i].lo), h = MIN(hi, same_length[i].hi);
        char first[UTF8_MAX], last[UTF8_MAX];
        if (l > h)
            continue;
        size_t n = utf8_encode(l, first);
        utf8_encode(h, last);
        utf8_paths(a, from, to, (const uint8_t *)first, (const uint8_t *)last, n, flags);
    }
}

void nfa_charset(struct nfa *a, uint32_t from, uint32_t to, struct charset *c, unsigned flags)
{
    charset_normalize(c);
    for (size_t i = 0; i < c->n; i++)
        utf8_range(a, from, to, c->ranges[i].lo, c->ranges[i].hi, flags);
}

/* \n and \u000a; the letters of the number in both cases. */
static void json_escape(struct nfa *a, uint32_t from, uint32_t to, uint32_t cp, unsigned flags)
{
    static const char letters[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    uint32_t mid = nfa_node(a);
    nfa_bytes(a, from, mid, '\\', '\\', flags);
    for (const char *p = letters; *p; p += 2)
        if ((uint32_t)p[0] == cp)
            nfa_bytes(a, mid, to, (uint8_t)p[1], (uint8_t)p[1], 0);
    if (cp >= 0x20)
        return;
    mid = nfa_literal(a, mid, cp < 0x10 ? STR("u000") : STR("u001"));
    unsigned low = cp & 15;
    if (low < 10) {
        nfa_bytes(a, mid, to, '0' + low, '0' + low, 0);
    } else {
        nfa_bytes(a, mid, to, 'a' + low - 10, 'a' + low - 10, 0);
        nfa_bytes(a, mid, to, 'A' + low - 10, 'A' + low - 10, 0);
    }
}

void nfa_json_charset(struct nfa *a, uint32_t from, uint32_t to, struct charset *c, unsigned flags)
{
    charset_normalize(c);
    for (size_t i = 0; i < c->n; i++) {
        uint32_t lo = c->ranges[i].lo, hi = c->ranges[i].hi;
        for (uint32_t cp = lo; cp <= hi && cp <= '\\'; cp++)
            if (cp < 0x20 || cp == '"' || cp == '\\')
                json_escape(a, from, to, cp, flags);
        static const struct {
            uint32_t lo, hi;
        } plain[] = {{0x20, '"' - 1}, {'"' + 1, '\\' - 1}, {'\\' + 1, CODE_POINT_MAX}};
        for (size_t k = 0; k < ARRAY_LEN(plain); k++)
            if (MAX(lo, plain[k].lo) <= MIN(hi, plain[k].hi))
                utf8_range(a, from, to, MAX(lo, plain[k].lo), MIN(hi, plain[k].hi), flags);
    }
}
