/* SPDX-License-Identifier: Apache-2.0
 *
 * Nondeterministic automata over bytes whose edges may call other automata ("rules"): what
 * grammars, schemas and regular expressions are built from before they are made deterministic. */
#ifndef ENGINE_GRAMMAR_NFA_H
#define ENGINE_GRAMMAR_NFA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

enum { NFA_NODES_MAX = 1 << 19, NFA_RULES_MAX = 1 << 15, NO_NODE = -1 };
#define NFA_NO_LIMIT UINT32_MAX

enum nfa_edge_kind {
    EDGE_EMPTY,
    EDGE_BYTE,  /* one byte from lo to hi */
    EDGE_CALL,  /* a sentence of `rule` */
    EDGE_BEGIN, /* nothing, at the beginning of the text only (regular expressions) */
    EDGE_END,   /* nothing, at its end only */
};

/* Of byte edges in rules that count. */
enum nfa_edge_flags {
    EDGE_COUNTS = 1,  /* adds one; possible below the rule's max */
    EDGE_GUARDED = 2, /* possible from the rule's min on */
};

struct nfa_edge {
    uint32_t to, next; /* next: 1 + index of the node's next edge, 0 = none */
    uint32_t rule;
    uint8_t kind, flags, lo, hi;
};

struct nfa_rule {
    uint32_t start, end;
    uint32_t min, max; /* of what EDGE_COUNTS counts */
    bool counts;
    bool defined;
};

struct nfa {
    uint32_t *nodes; /* [n_nodes] 1 + index of the first edge */
    struct nfa_edge *edges;
    struct nfa_rule *rules;
    uint32_t n_nodes, n_edges, n_rules;
    uint32_t cap_nodes, cap_edges, cap_rules;
    bool full; /* a limit was reached: nothing more was added */
};

void nfa_release(struct nfa *a);
int nfa_check(const struct nfa *a, struct error *err); /* ERR_TOO_LARGE if it is full */

uint32_t nfa_node(struct nfa *a);
uint32_t nfa_rule(struct nfa *a); /* with a start and an end */
void nfa_empty(struct nfa *a, uint32_t from, uint32_t to);
void nfa_mark(struct nfa *a, uint32_t from, uint32_t to, enum nfa_edge_kind kind);
void nfa_bytes(struct nfa *a, uint32_t from, uint32_t to, unsigned lo, unsigned hi, unsigned flags);
void nfa_call(struct nfa *a, uint32_t from, uint32_t to, uint32_t rule);
/* From `from` along the bytes; returns the node at their end. */
uint32_t nfa_literal(struct nfa *a, uint32_t from, struct str bytes);

/* ---- sets of characters ---- */

struct charset {
    struct {
        uint32_t lo, hi;
    } * ranges;
    size_t n, cap;
};
void charset_release(struct charset *c);
void charset_add(struct charset *c, uint32_t lo, uint32_t hi);
void charset_negate(struct charset *c); /* also sorts and joins */
void charset_normalize(struct charset *c);

/* An edge path for each character: UTF-8. Surrogates are left out. */
void nfa_charset(struct nfa *a, uint32_t from, uint32_t to, struct charset *c, unsigned flags);
/* The same as inside of a JSON string: quotes, backslashes and control characters escaped. */
void nfa_json_charset(struct nfa *a, uint32_t from, uint32_t to, struct charset *c, unsigned flags);

#endif
