/* SPDX-License-Identifier: Apache-2.0
 *
 * A model in place of engine/model whose answers are easy to predict and that looks closely at its
 * cache: the "KV cache" holds the token ids themselves, and the next token is a hash of all the ids
 * that the sequence's page table leads to. One wrong page, one row not computed, and the text
 * changes. A row of media counts as the token of its one number, and must come with all the rows
 * that it sees.
 *
 * With state_bytes set before the batcher is made, it is a model with states: a state slot holds a
 * hash of all ids before it, and the next token comes from there alone. A canceled step leaves
 * rubbish in the slots that it was to write.
 *
 * Its vocabulary: <unk>, <s>, </s>, then the 256 bytes. */
#ifndef TESTS_FAKE_MODEL_H
#define TESTS_FAKE_MODEL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/run/lm.h"

enum { FAKE_BYTE = 3, FAKE_EOS = 2, FAKE_VOCAB = 3 + 256 };

/* This is `struct model` for the test program. */
struct model {
    struct backend backend;
    int32_t *rows; /* [n_pages][KV_PAGE_TOKENS] */
    uint32_t n_pages;
    struct fake_state *states; /* [n_states] */
    uint32_t n_states;

    /* What the test sets. */
    uint64_t state_bytes;
    const char
        *script; /* if not NULL, the answer is these bytes over and over; \x01 stands for </s> */
    uint32_t script_at;  /* length of the prompt: where the script begins */
    atomic_uint step_us; /* how long a step takes, looking at the cancel flag all the while */
    uint32_t nan_from;   /* from this position on the logits are no numbers; 0 = never */
    atomic_bool fail;    /* steps end with an error */

    /* What it saw. */
    atomic_uint n_steps, n_tokens, n_canceled, max_seqs, max_tokens;
    atomic_uint now_us; /* step_us of the step under way, or of the last one */
};

/* Fills a language model around a fake; release with fake_close(). */
void fake_open(struct model *m, struct lm *lm);
void fake_close(struct lm *lm);

/* The token that follows ids[0..n). */
int32_t fake_next(const int32_t *ids, uint32_t n);

#endif
