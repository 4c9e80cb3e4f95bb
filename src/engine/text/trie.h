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

struct trie_edge {
    uint32_t node;
    uint32_t child; /* 0 = free */
    unsigned char byte;
};

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

/* The place of an edge, or where it would be. */
static inline struct trie_edge *trie_edge_at(const struct trie *t, uint32_t node,
                                             unsigned char byte)
{
    uint32_t mask = t->n_slots - 1;
    uint64_t hash = (((uint64_t)node << 8) | byte) * 0x9e3779b97f4a7c15u;
    for (uint32_t i = (uint32_t)(hash >> 32) & mask;; i = (i + 1) & mask) {
        struct trie_edge *e = &t->edges[i];
        if (e->child == 0 || (e->node == node && e->byte == byte))
            return e;
    }
}

static inline uint32_t trie_step(const struct trie *t, uint32_t node, unsigned char byte)
{
    if (node == 0)
        return t->root_child[byte];
    uint32_t next = node + 1; /* most often; what the processor guesses it need not wait for */
    if (next < t->n && t->parents[next] == node && t->bytes[next] == byte)
        return next;
    return trie_edge_at(t, node, byte)->child;
}

/* The longest string of the trie that s begins with: its value and length, or -1. */
int32_t trie_longest(const struct trie *t, struct str s, size_t *ret_len);

#endif
