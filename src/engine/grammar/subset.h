/* SPDX-License-Identifier: Apache-2.0
 *
 * The subset construction: deterministic states as sets of NFA nodes. Calls stay calls. */
#ifndef ENGINE_GRAMMAR_SUBSET_H
#define ENGINE_GRAMMAR_SUBSET_H

#include "engine/grammar/nfa.h"

/* Together the limits bound the work: a fraction of a second for the worst of grammars. */
enum { SUBSET_STATES_MAX = 1 << 17, SUBSET_ITEMS_MAX = 1 << 22, SUBSET_NONE = 0 };

struct subset {
    const struct nfa *nfa;
    uint8_t cls[256]; /* byte → class; classes ascend with the bytes */
    uint32_t n_cls;
    uint32_t *items; /* of all states; node * 2, + 1 behind an EDGE_END */
    uint32_t *first; /* [n_states + 1] */
    uint32_t *hash;  /* [n_hash] state, 0 = free */
    uint32_t n_states, cap_states, n_hash;
    size_t n_items, cap_items;
    uint32_t *seen; /* [2 * n_nodes] stamp of the closure that last saw an item */
    uint32_t stamp;
    uint32_t *work; /* [2 * n_nodes] */
    bool full;
};

/* State 0 is the empty set. */
void subset_init(struct subset *s, const struct nfa *nfa);
void subset_release(struct subset *s);
/* The state of everything that is reached from the seeds without a byte; they are changed. */
uint32_t subset_state(struct subset *s, const uint32_t *seeds, size_t n, bool at_begin);
bool subset_contains(const struct subset *s, uint32_t state, uint32_t node); /* in either form */
/* For each class its target and the flags of its edges; false if edges of different flags meet. */
bool subset_row(struct subset *s, uint32_t state, uint32_t *targets, uint8_t *flags);

#endif
