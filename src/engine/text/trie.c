/* SPDX-License-Identifier: Apache-2.0
 *
 * Nodes are numbered in the order they appear; edges live in one hash table, because vocabularies
 * have many nodes with one child and a few with hundreds. */
#include "engine/text/trie.h"

#include <stdlib.h>

#include "base/alloc.h"

enum { TRIE_MAX_NODES = 1 << 29 };

static int edges_grow(struct trie *t)
{
    struct trie old = *t;
    uint32_t n_slots = t->n_slots > 0 ? t->n_slots * 2 : 64;
    struct trie_edge *edges = alloc_array_zero(n_slots, sizeof(*edges));
    if (!edges)
        return -ERR_NOMEM;
    t->edges = edges;
    t->n_slots = n_slots;
    for (uint32_t i = 0; i < old.n_slots; i++) {
        if (old.edges[i].child != 0)
            *trie_edge_at(t, old.edges[i].node, old.edges[i].byte) = old.edges[i];
    }
    free(old.edges);
    return 0;
}

static int nodes_grow(struct trie *t)
{
    if (t->cap >= TRIE_MAX_NODES)
        return -ERR_NOMEM;
    uint32_t cap = t->cap > 0 ? t->cap * 2 : 64;
    int32_t *values = reallocarray(t->values, cap, sizeof(*values));
    if (!values)
        return -ERR_NOMEM;
    t->values = values;
    uint32_t *parents = reallocarray(t->parents, cap, sizeof(*parents));
    if (!parents)
        return -ERR_NOMEM;
    t->parents = parents;
    unsigned char *bytes = realloc(t->bytes, cap);
    if (!bytes)
        return -ERR_NOMEM;
    t->bytes = bytes;
    t->cap = cap;
    return 0;
}

int trie_init(struct trie *t)
{
    *t = (struct trie){0};
    if (nodes_grow(t) < 0 || edges_grow(t) < 0) {
        trie_release(t);
        return -ERR_NOMEM;
    }
    t->values[0] = -1;
    t->parents[0] = 0;
    t->bytes[0] = 0;
    t->n = 1;
    return 0;
}

void trie_release(struct trie *t)
{
    free(t->values);
    free(t->parents);
    free(t->bytes);
    free(t->edges);
    *t = (struct trie){0};
}

static int child_add(struct trie *t, uint32_t node, unsigned char byte)
{
    if (t->n == t->cap && nodes_grow(t) < 0)
        return -ERR_NOMEM;
    if (2 * (t->n_edges + 1) > t->n_slots && edges_grow(t) < 0)
        return -ERR_NOMEM;
    uint32_t child = t->n++;
    t->values[child] = -1;
    t->parents[child] = node;
    t->bytes[child] = byte;
    if (node == 0) {
        t->root_child[byte] = child;
    } else {
        *trie_edge_at(t, node, byte) = (struct trie_edge){node, child, byte};
        t->n_edges++;
    }
    return 0;
}

int trie_add(struct trie *t, struct str s, int32_t value)
{
    uint32_t node = 0;
    for (size_t i = 0; i < s.len; i++) {
        unsigned char byte = (unsigned char)s.ptr[i];
        if (trie_step(t, node, byte) == 0 && child_add(t, node, byte) < 0)
            return -ERR_NOMEM;
        node = trie_step(t, node, byte);
    }
    if (node != 0 && t->values[node] < 0)
        t->values[node] = value;
    return 0;
}

int32_t trie_longest(const struct trie *t, struct str s, size_t *ret_len)
{
    int32_t best = -1;
    uint32_t node = 0;
    for (size_t i = 0; i < s.len; i++) {
        node = trie_step(t, node, (unsigned char)s.ptr[i]);
        if (node == 0)
            break;
        if (t->values[node] >= 0) {
            best = t->values[node];
            *ret_len = i + 1;
        }
    }
    return best;
}
