/* SPDX-License-Identifier: Apache-2.0
 *
 * The KV cache of all sequences: one pool of pages on the backend, a table of pages per sequence,
 * and the prefix tree that lets sequences share what they have in common.
 *
 *     n_past = cache_seq_begin(c, &s, ids, n, true);       // pages found in the tree
 *     cache_seq_reserve(c, &s, n_past + 20)                // pages for the next 20 tokens
 *     ... the backend writes rows n_past .. n_past+19 ...
 *     cache_seq_commit(c, &s, ids, n_past + 20);           // full pages enter the tree
 *     cache_seq_end(c, &s, ids, n_past + 20);              // so does the last one; references go
 *
 * With pages for n sequences of full length, n sequences at a time never run out: whatever no
 * sequence references can be evicted.
 *
 * One thread, the batcher's. */
#ifndef ENGINE_RUN_CACHE_H
#define ENGINE_RUN_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "engine/model/model.h"
#include "engine/run/kv_pages.h"
#include "engine/run/prefix_tree.h"

struct cache {
    struct model *model;
    struct kv *kv;
    struct kv_pages pages;
    struct prefix_tree *tree;
    uint32_t seq_pages; /* longest table of a sequence */
};

/* Room for n_seqs sequences of ctx_size tokens. The model is borrowed. */
int cache_init(struct cache *c, struct model *m, uint32_t n_seqs, uint32_t ctx_size,
               enum kv_type type, struct error *err);
void cache_release(struct cache *c); /* a zeroed one is fine */

/* A sequence's part. `pages` is allocated once and reused by later sequences. */
struct cache_seq {
    int32_t *pages; /* [n_pages], capacity cache.seq_pages */
    uint32_t n_pages;
    bool share;               /* look into the tree, enter pages into it */
    uint32_t n_entered;       /* pages that stand in the tree */
    struct prefix_node *node; /* of the last one of these */
};

int cache_seq_init(struct cache *c, struct cache_seq *s, struct error *err);
void cache_seq_release(struct cache_seq *s);

/* Starts a sequence with the prompt ids[0..n). Returns how many tokens the cache holds already;
 * less than n, as the last one must be computed for its logits. */
uint32_t cache_seq_begin(struct cache *c, struct cache_seq *s, const int32_t *ids, uint32_t n,
                         bool share);

/* Pages for n tokens in all, n within the context size. Fails only if more sequences are under way
 * than cache_init() was told. */
int cache_seq_reserve(struct cache *c, struct cache_seq *s, uint32_t n, struct error *err);

/* The first n rows, of tokens ids[0..n), are written. */
void cache_seq_commit(struct cache *c, struct cache_seq *s, const int32_t *ids, uint32_t n);

/* Ends the sequence, of which the first n rows are good. */
void cache_seq_end(struct cache *c, struct cache_seq *s, const int32_t *ids, uint32_t n);

#endif
