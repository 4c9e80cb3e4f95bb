/* SPDX-License-Identifier: Apache-2.0
 *
 * The demo model's vocabulary: a byte-level BPE made from the words that occur.
 *
 * Every word becomes one token by a chain of merges from its left end: "d"+"o", "do"+"c", …, so
 * each prefix of a word is a token too. Words with a leading space come first in rank, so that a
 * chain without a space cannot break into one that has it. Bytes stand for everything else. */
#ifndef TOOLS_DEMO_VOCAB_H
#define TOOLS_DEMO_VOCAB_H

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

enum demo_special { DEMO_BEGIN, DEMO_END, DEMO_USER, DEMO_ASSISTANT, DEMO_SYSTEM, DEMO_N_SPECIAL };

struct demo_vocab {
    struct str *tokens; /* in byte-level BPE spelling */
    int32_t *types;
    size_t n;
    struct str *merges;
    size_t n_merges;
    void *index;
};

void demo_vocab_init(struct demo_vocab *v);
void demo_vocab_release(struct demo_vocab *v);

/* Adds words (raw text): call once for all words with a leading space, then for the others. */
void demo_vocab_add_word(struct demo_vocab *v, struct str word);

/* The token of a whole word that was added, or of a single byte. */
int32_t demo_vocab_find(const struct demo_vocab *v, struct str word);

/* The next word of *text as the "gpt-2" pre-tokenizer cuts ASCII: an optional space with letters,
 * with digits or with other signs; or white space. Moves *text behind it; false at the end. */
bool demo_next_word(struct str *text, struct str *ret_word);

#endif
