/* SPDX-License-Identifier: Apache-2.0
 *
 * The inside of a grammar: its program and the masks of its states, which all matchers share. */
#ifndef ENGINE_GRAMMAR_GRAMMAR_INTERNAL_H
#define ENGINE_GRAMMAR_GRAMMAR_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "engine/grammar/grammar.h"
#include "engine/grammar/machine.h"
#include "engine/grammar/vocab.h"

/* The tokens that fit a state whatever is below it on the stack, and those for which that
 * matters. */
struct state_mask {
    uint32_t state, count;
    uint64_t *fits;
    uint32_t *leaves;       /* [n_leaves] trie nodes whose subtrees are to be looked at */
    uint16_t *leave_counts; /* plain states: what was counted on the way to each */
    uint32_t n_leaves;
    /* Plain states of rules with a max: the tokens that fit by what they count, ascending. */
    int32_t *order;
    uint32_t *order_end; /* [max_depth + 1] how many count at most so much */
    uint32_t n_order;
};

struct grammar {
    atomic_uint refs;
    struct program program;
    pthread_mutex_t lock;
    struct state_mask **masks; /* guarded by: lock; hash of n_table */
    uint32_t n_masks, n_table;
    const struct grammar_vocab *vocab; /* guarded by: lock; that of the masks */
};

/* Borrowed from the grammar. NULL if there are too many. count: of the frame; plain states have
 * one mask for all counts. */
const struct state_mask *grammar_state_mask(struct grammar *g, const struct grammar_vocab *v,
                                            uint32_t state, uint32_t count);
void grammar_masks_release(struct grammar *g);

#endif
