/* SPDX-License-Identifier: Apache-2.0
 *
 * The program of a grammar: deterministic states over byte classes, with calls. Nothing in it is a
 * dead end: from every state of a rule its end can be reached. */
#ifndef ENGINE_GRAMMAR_PROGRAM_H
#define ENGINE_GRAMMAR_PROGRAM_H

#include "engine/grammar/nfa.h"

#define TO_COUNTS 0x80000000u
#define TO_GUARDED 0x40000000u
#define TO_STATE 0x3fffffffu

struct program_call {
    uint32_t start; /* the called rule's first state */
    uint32_t back;  /* where it goes on; 0: at the end of the caller, too (a tail call) */
};

struct program_state {
    uint32_t first_call, n_calls;
    uint32_t min, max; /* of its rule's counter */
    bool final, has_bytes;
    bool plain; /* of a rule without calls that ends only in states without bytes */
};

struct program {
    uint8_t cls[256];
    uint32_t n_cls, n_states, start;
    uint32_t *to; /* [n_states][n_cls] 0 = none */
    struct program_state *states;
    struct program_call *calls;
    uint32_t n_calls;
};

/* Trims the automaton. ERR_INVALID when no text fits or a rule begins with itself. */
int program_build(struct nfa *a, uint32_t root, struct program *ret, struct error *err);
void program_release(struct program *p);

/* Which rules have a text at all: [n_rules], the caller's. */
bool *nfa_productive_rules(const struct nfa *a);

#endif
