/* SPDX-License-Identifier: Apache-2.0
 *
 * Expressions: the common tree of regular expressions, GBNF and composed grammars. */
#ifndef ENGINE_GRAMMAR_EXPR_H
#define ENGINE_GRAMMAR_EXPR_H

#include "engine/grammar/nfa.h"

enum { EXPR_DEPTH_MAX = 200, EXPR_REPEAT_MAX = 1000 };

enum expr_kind {
    EXPR_NONE,  /* no text at all */
    EXPR_BYTES, /* text */
    EXPR_SET,   /* one character of a set */
    EXPR_SEQ,
    EXPR_ALT,
    EXPR_REPEAT,
    EXPR_RULE,
    EXPR_BEGIN,
    EXPR_END,
    EXPR_UNTIL, /* any bytes up to the first trigger; the triggers are items, EXPR_BYTES, of which
                   the first n_ends end it, and the others do not occur */
    EXPR_FREE,  /* any bytes without a trigger */
};

struct expr {
    enum expr_kind kind;
    char *bytes;
    size_t n_bytes;
    struct charset set;
    uint32_t *items; /* [n_items] */
    uint32_t n_items;
    uint32_t n_ends;   /* EXPR_UNTIL */
    uint32_t min, max; /* EXPR_REPEAT */
    uint32_t rule;
    uint32_t depth;
};

struct exprs {
    struct expr *list; /* [0] is EXPR_NONE */
    uint32_t n, cap;
};

void exprs_init(struct exprs *x);
void exprs_release(struct exprs *x);
uint32_t expr_new(struct exprs *x, enum expr_kind kind);
uint32_t expr_bytes(struct exprs *x, struct str bytes);
uint32_t expr_list(struct exprs *x, enum expr_kind kind, const uint32_t *items, size_t n);
uint32_t expr_repeat(struct exprs *x, uint32_t item, uint32_t min, uint32_t max);
void expr_push(struct exprs *x, uint32_t list, uint32_t item);

/* Paths for its texts. json: characters as inside of a JSON string. */
void expr_add_to(const struct exprs *x, uint32_t e, struct nfa *a, uint32_t from, uint32_t to,
                 bool json);

#endif
