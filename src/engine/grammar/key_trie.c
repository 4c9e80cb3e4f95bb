/* SPDX-License-Identifier: Apache-2.0
 *
 * Tries that share what they have in common, see key_trie.h. */
#include "engine/grammar/key_trie.h"

#include <stdlib.h>

#include "base/alloc.h"

struct key_trie_child {
    unsigned char byte;
    uint32_t node; /* of the trie; 0 = the text ends */
    uint32_t to;   /* of the automaton */
};

struct key_trie_node {
    uint32_t nfa;
    uint32_t n;
    struct key_trie_child *children;
};

void key_trie_init(struct key_trie *t, struct nfa *a)
{
    *t = (struct key_trie){.a = a, .n = 1, .cap = 64};
    t->nodes = xcalloc(t->cap, sizeof(*t->nodes));
}

void key_trie_release(struct key_trie *t)
{
    for (uint32_t i = 0; i < t->n; i++)
        free(t->nodes[i].children);
    free(t->nodes);
    *t = (struct key_trie){0};
}

/* A copy of the node `from` with room for one more child. */
static uint32_t copy_node(struct key_trie *t, uint32_t from)
{
    if (t->n == t->cap) {
        t->cap *= 2;
        t->nodes = xrealloc(t->nodes, t->cap, sizeof(*t->nodes));
    }
    const struct key_trie_node *old = &t->nodes[from];
    struct key_trie_node *node = &t->nodes[t->n];
    *node = (struct key_trie_node){.nfa = nfa_node(t->a), .n = old->n};
    node->children = xcalloc((size_t)old->n + 1, sizeof(*node->children));
    for (uint32_t i = 0; i < old->n; i++)
        node->children[i] = old->children[i];
    return t->n++;
}

static struct key_trie_child *child_for(struct key_trie_node *node, unsigned char byte)
{
    for (uint32_t i = 0; i < node->n; i++)
        if (node->children[i].byte == byte)
            return &node->children[i];
    node->children[node->n] = (struct key_trie_child){.byte = byte};
    return &node->children[node->n++];
}

uint32_t key_trie_add(struct key_trie *t, uint32_t root, struct str text, uint32_t to)
{
    uint32_t first = copy_node(t, root), at = first;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char byte = (unsigned char)text.ptr[i];
        bool last = i + 1 == text.len;
        uint32_t below = child_for(&t->nodes[at], byte)->node;
        uint32_t next = last ? 0 : copy_node(t, below);
        struct key_trie_node *node = &t->nodes[at];
        struct key_trie_child *child = child_for(node, byte);
        child->node = next;
        child->to = last ? to : t->nodes[next].nfa;
        for (uint32_t k = 0; k < node->n; k++)
            nfa_bytes(t->a, node->nfa, node->children[k].to, node->children[k].byte,
                      node->children[k].byte, 0);
        at = next;
    }
    return first;
}

uint32_t key_trie_start(const struct key_trie *t, uint32_t root)
{
    return t->nodes[root].nfa;
}
