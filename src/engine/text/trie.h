/* SPDX-License-Identifier: Apache-2.0
 *
 * A byte trie that carries a value (≥ 0) at some nodes. Node 0 is the root; a step leads to the
 * child for a byte or to 0 where there is none (no edge ever leads back to the root). */
#ifndef ENGINE_TEXT_TRIE_H
#define ENGINE_TEXT_TRIE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct trie_edge;

struct trie {
    int32_t *values; /* per node; -1 = none */
    uint32_t *parents;
    unsigned char *bytes; /* of the edge from the parent */
    uint32_t n, cap;
    uint32_t root_child[256];
    struct trie_edge *edges; /* of all other nodes: (node, byte) → child, hashed */
    uint32_t n_edges, n_slots;
};

int trie_init(struct trie *t); /* 0 or -ERR_NOMEM */
void trie_release(struct trie *t);

/* The first value given to a string stays. An empty string is ignored. */
int trie_add(struct trie *t, struct str s, int32_t value); /* 0 or -ERR_NOMEM */

uint32_t trie_step(const struct trie *t, uint32_t node, unsigned char byte);

/* The longest string of the trie that s begins with: its value and length, or -1. */
int32_t trie_longest(const struct trie *t, struct str s, size_t *ret_len);

#endif
