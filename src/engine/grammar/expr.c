/* SPDX-License-Identifier: Apache-2.0
 *
 * Expressions and their automata. */
#include "engine/grammar/expr.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

void exprs_init(struct exprs *x)
{
    *x = (struct exprs){0};
    expr_new(x, EXPR_NONE);
}

void exprs_release(struct exprs *x)
{
    for (uint32_t i = 0; i < x->n; i++) {
        free(x->list[i].bytes);
        free(x->list[i].items);
        charset_release(&x->list[i].set);
    }
    free(x->list);
    *x = (struct exprs){0};
}

uint32_t expr_new(struct exprs *x, enum expr_kind kind)
{
    if (x->n == x->cap) {
        x->cap = x->cap ? x->cap * 2 : 32;
        x->list = xrealloc(x->list, x->cap, sizeof(*x->list));
    }
    x->list[x->n] = (struct expr){.kind = kind};
    return x->n++;
}

uint32_t expr_bytes(struct exprs *x, struct str bytes)
{
    uint32_t e = expr_new(x, EXPR_BYTES);
    x->list[e].bytes = xmalloc(bytes.len + 1);
    if (bytes.len > 0)
        memcpy(x->list[e].bytes, bytes.ptr, bytes.len);
    x->list[e].n_bytes = bytes.len;
    return e;
}

void expr_push(struct exprs *x, uint32_t list, uint32_t item)
{
    struct expr *l = &x->list[list];
    if ((l->n_items & (l->n_items - 1)) == 0) /* full at each power of two */
        l->items = xrealloc(l->items, l->n_items ? (size_t)l->n_items * 2 : 1, sizeof(*l->items));
    l->items[l->n_items++] = item;
    l->depth = MAX(l->depth, x->list[item].depth + 1);
}

uint32_t expr_list(struct exprs *x, enum expr_kind kind, const uint32_t *items, size_t n)
{
    uint32_t e = expr_new(x, kind);
    for (size_t i = 0; i < n; i++)
        expr_push(x, e, items[i]);
    return e;
}

uint32_t expr_repeat(struct exprs *x, uint32_t item, uint32_t min, uint32_t max)
{
    uint32_t e = expr_list(x, EXPR_REPEAT, &item, 1);
    x->list[e].min = min;
    x->list[e].max = max;
    return e;
}

static void add_repeat(const struct exprs *x, const struct expr *e, struct nfa *a, uint32_t from,
                       uint32_t to, bool json)
{
    for (uint32_t i = 0; i < e->min && !a->full; i++) {
        uint32_t next = nfa_node(a);
        expr_add_to(x, e->items[0], a, from, next, json);
        from = next;
    }
    if (e->max == NFA_NO_LIMIT) {
        uint32_t loop = nfa_node(a);
        nfa_empty(a, from, loop);
        expr_add_to(x, e->items[0], a, loop, loop, json);
        nfa_empty(a, loop, to);
        return;
    }
    for (uint32_t i = e->min; i < e->max && !a->full; i++) {
        uint32_t next = nfa_node(a);
        nfa_empty(a, from, to);
        expr_add_to(x, e->items[0], a, from, next, json);
        from = next;
    }
    nfa_empty(a, from, to);
}

/* ---- triggers: the automaton of Aho and Corasick ---- */

struct trie_node {
    uint32_t child[256]; /* 0 = none, then where the byte leads */
    uint32_t fail;
    bool hit;
    bool ends;   /* hit by a trigger that ends the text */
    bool marked; /* inside of a control token: nothing but its name can follow */
};

static uint32_t build_trie(const struct exprs *x, const struct expr *e, struct trie_node *t)
{
    uint32_t n = 1;
    for (uint32_t i = 0; i < e->n_items; i++) {
        const struct expr *trigger = &x->list[e->items[i]];
        uint32_t at = 0;
        for (size_t k = 0; k < trigger->n_bytes; k++) {
            uint32_t *child = &t[at].child[(uint8_t)trigger->bytes[k]];
            if (!*child) {
                t[n].marked = t[at].marked || (at == 0 && trigger->bytes[k] == '\xff');
                *child = n++;
            }
            at = *child;
        }
        t[at].hit = true;
        t[at].ends = t[at].ends || i < e->n_ends;
    }
    uint32_t *queue = xcalloc(n, sizeof(*queue)), head = 0, tail = 0;
    queue[tail++] = 0;
    while (head < tail) {
        uint32_t s = queue[head++];
        if (!t[s].hit && !t[s].marked) {
            t[s].hit = t[t[s].fail].hit;
            t[s].ends = t[t[s].fail].ends;
        }
        for (unsigned b = 0; b < 256; b++) {
            uint32_t c = t[s].child[b], other = s ? t[t[s].fail].child[b] : 0;
            if (c) {
                t[c].fail = other;
                queue[tail++] = c;
            } else if (!t[s].marked) {
                t[s].child[b] = other;
            }
        }
    }
    free(queue);
    return n;
}

static void add_triggers(const struct exprs *x, const struct expr *e, struct nfa *a, uint32_t from,
                         uint32_t to)
{
    size_t total = 1;
    for (uint32_t i = 0; i < e->n_items; i++)
        total += x->list[e->items[i]].n_bytes;
    struct trie_node *t = xcalloc(total, sizeof(*t));
    uint32_t n = build_trie(x, e, t);
    uint32_t *nodes = xcalloc(n, sizeof(*nodes));
    for (uint32_t s = 0; s < n; s++)
        nodes[s] = nfa_node(a);
    nfa_empty(a, from, nodes[0]);
    for (uint32_t s = 0; s < n && !a->full; s++) {
        if (t[s].hit)
            continue;
        if (e->kind == EXPR_FREE && !t[s].marked)
            nfa_empty(a, nodes[s], to);
        for (unsigned b = 0, next; b < 256; b = next) {
            uint32_t c = t[s].child[b];
            for (next = b + 1; next < 256 && t[s].child[next] == c;)
                next++;
            if (c == 0 && t[s].marked)
                continue;
            if (c == 0 && b == 0xff)
                continue; /* the mark of control tokens is no text, unless a trigger names it */
            unsigned last = c == 0 && next == 256 ? 0xfe : next - 1;
            if (t[c].hit) {
                if (t[c].ends)
                    nfa_bytes(a, nodes[s], to, b, last, 0);
            } else {
                nfa_bytes(a, nodes[s], nodes[c], b, last, 0);
            }
        }
    }
    free(nodes);
    free(t);
}

void expr_add_to(const struct exprs *x, uint32_t id, struct nfa *a, uint32_t from, uint32_t to,
                 bool json)
{
    const struct expr *e = &x->list[id];
    if (a->full)
        return;
    switch (e->kind) {
    case EXPR_NONE:
        break;
    case EXPR_BYTES:
        nfa_empty(a, nfa_literal(a, from, str_make(e->bytes, e->n_bytes)), to);
        break;
    case EXPR_SET: {
        struct charset set = {0};
        for (size_t i = 0; i < e->set.n; i++)
            charset_add(&set, e->set.ranges[i].lo, e->set.ranges[i].hi);
        (json ? nfa_json_charset : nfa_charset)(a, from, to, &set, 0);
        charset_release(&set);
        break;
    }
    case EXPR_SEQ:
        for (uint32_t i = 0; i < e->n_items; i++) {
            uint32_t next = nfa_node(a);
            expr_add_to(x, e->items[i], a, from, next, json);
            from = next;
        }
        nfa_empty(a, from, to);
        break;
    case EXPR_ALT:
        for (uint32_t i = 0; i < e->n_items; i++)
            expr_add_to(x, e->items[i], a, from, to, json);
        break;
    case EXPR_REPEAT:
        add_repeat(x, e, a, from, to, json);
        break;
    case EXPR_RULE:
        nfa_call(a, from, to, e->rule);
        break;
    case EXPR_BEGIN:
        nfa_mark(a, from, to, EDGE_BEGIN);
        break;
    case EXPR_END:
        nfa_mark(a, from, to, EDGE_END);
        break;
    case EXPR_UNTIL:
    case EXPR_FREE:
        add_triggers(x, e, a, from, to);
        break;
    }
}
