/* SPDX-License-Identifier: Apache-2.0
 *
 * A vocabulary as a trie in preorder: tokens that begin alike are looked at together. */
#ifndef ENGINE_GRAMMAR_VOCAB_H
#define ENGINE_GRAMMAR_VOCAB_H

#include "engine/grammar/grammar.h"

enum { TOKEN_BYTES_MAX = 1000 };

struct trie_node {
    uint32_t skip;  /* the first node behind this one's subtree */
    uint32_t up;    /* parent */
    uint32_t token; /* in `tokens`: this node's, up to the next node's */
    uint16_t depth;
    uint8_t byte;
};

struct grammar_vocab {
    uint32_t n_tokens, n_words; /* n_words: of a mask */
    struct trie_node *nodes;    /* [n_nodes + 1] [0] is the root */
    uint32_t n_nodes;
    int32_t *tokens;   /* ids in the order of the nodes */
    struct str *bytes; /* [n_tokens] */
    char *text;        /* what bytes points to */
    uint64_t *eog;     /* a mask */
    uint32_t max_depth;
};

static inline void mask_set(uint64_t *mask, int32_t id)
{
    mask[(uint32_t)id / 64] |= (uint64_t)1 << ((uint32_t)id % 64);
}

static inline bool mask_has(const uint64_t *mask, int32_t id)
{
    return mask[(uint32_t)id / 64] >> ((uint32_t)id % 64) & 1;
}

#endif
