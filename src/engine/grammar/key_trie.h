/* SPDX-License-Identifier: Apache-2.0
 *
 * Choices among texts, as nodes of an automaton that go on together as long as the texts do: an
 * object may have thousands of properties whose names begin alike. Adding a text leaves the trie
 * that it is added to as it was, and shares all nodes but those on its way: the properties that may
 * still follow one are those that may follow the next, and the next. */
#ifndef ENGINE_GRAMMAR_KEY_TRIE_H
#define ENGINE_GRAMMAR_KEY_TRIE_H

#include "base/str.h"
#include "engine/grammar/nfa.h"

struct key_trie_node;

struct key_trie {
    struct nfa *a;
    struct key_trie_node *nodes; /* [0] stands for the empty trie */
    uint32_t n, cap;
};

void key_trie_init(struct key_trie *t, struct nfa *a);
void key_trie_release(struct key_trie *t);

/* The trie `root` (0 = empty) with one more text, not empty, that ends at the node `to`. No text
 * may be the beginning of another. */
uint32_t key_trie_add(struct key_trie *t, uint32_t root, struct str text, uint32_t to);

/* The automaton's node where the choice begins; the trie is not empty. */
uint32_t key_trie_start(const struct key_trie *t, uint32_t root);

#endif
