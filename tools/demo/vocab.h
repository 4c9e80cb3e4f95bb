/* SPDX-License-Identifier: Apache-2.0
 *
 * The demo model's vocabulary: a byte-level BPE made from the words that occur.
 *
 * A word is added by cutting it with the merges there are and joining the pieces from the left with
 * new ones. Those rank behind all others, so a word that was added stays one token, whatever is
 * added later. Bytes stand for everything else. */
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
    void *token_index; /* spelling → id */
    void *merge_index; /* "left right" → rank */
};

void demo_vocab_init(struct demo_vocab *v);
void demo_vocab_release(struct demo_vocab *v);

/* Makes a word (raw text) one token. */
void demo_vocab_add_word(struct demo_vocab *v, struct str word);

/* The token of a whole word that was added, or of a single byte. */
int32_t demo_vocab_find(const struct demo_vocab *v, struct str word);

/* The next word of *text as the "gpt-2" pre-tokenizer cuts ASCII: an optional space with letters,
 * with digits or with other signs; or white space. Moves *text behind it; false at the end. */
bool demo_next_word(struct str *text, struct str *ret_word);

#endif
