/* SPDX-License-Identifier: Apache-2.0
 *
 * Deterministic automata over bytes, for sets of texts that are intersected, negated and compared:
 * what may stand between the quotes of a string, and numbers. */
#ifndef ENGINE_GRAMMAR_DFA_H
#define ENGINE_GRAMMAR_DFA_H

#include "engine/grammar/nfa.h"

enum { DFA_STATES_MAX = 1 << 14 };

struct dfa {
    uint32_t n, start; /* state 0 is dead: every byte leads from it to it */
    uint32_t *to;      /* [n][256] */
    uint8_t *accepts;  /* [n] */
};

void dfa_free(struct dfa *d); /* NULL is fine */
DEFINE_CLEANUP(dfa, struct dfa, dfa_free);

/* No rules may be called. All: ERR_TOO_LARGE where there would be too many states. */
int dfa_from_nfa(const struct nfa *a, uint32_t start, uint32_t end, struct dfa **ret,
                 struct error *err);
/* Texts of both; with `minus`, of a but not of b. */
int dfa_product(const struct dfa *a, const struct dfa *b, bool minus, struct dfa **ret,
                struct error *err);
bool dfa_is_empty(const struct dfa *d);
bool dfa_matches(const struct dfa *d, struct str text);
/* Adds its texts as paths between two nodes; states that lead nowhere are left out. */
void dfa_add_to(const struct dfa *d, struct nfa *a, uint32_t from, uint32_t to);

#endif
