/* SPDX-License-Identifier: Apache-2.0
 *
 * The KV cache of all sequences: one pool of pages on the backend, a table of pages per sequence,
 * and the prefix tree that lets sequences share what they have in common.
 *
 *     n_past = cache_seq_begin(c, &s, ids, n, NULL, true); // pages found in the tree
 *     cache_seq_reserve(c, &s, n_past, 20)                 // pages for the next 20 tokens
 *     ... the backend writes rows n_past .. n_past+19 ...
 *     cache_seq_commit(c, &s, ids, n_past + 20);           // full pages enter the tree
 *     cache_seq_end(c, &s, ids, n_past + 20);              // so does the last one; references go
 *
 * Where layers carry a state, a sequence also has a state slot, and each step writes another one
 * (backend.h): after a canceled step the sequence stands where it stood. A slot that is not let go
 * is a snapshot from which the tree lets others start. Snapshots are kept
 *
 *     - before the last token of a prompt, for the same prompt again,
 *     - at the page before it, for the other choices of the request, and at one some tokens further
 *       back, for a template that writes the end of the prompt differently in the next turn,
 *     - every so many tokens of a long text,
 *     - at the end of a sequence, for the next turn.
 *
 * cache_seq_cut() splits a step in parts that end there. They live in a fixed number of slots,
 * STATE_SNAPSHOT_BYTES of them, and the least recently used one goes first.
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

enum {
    STATE_SNAPSHOT_BYTES = 256 << 20,
    CACHE_PARTS_MAX = 8, /* of a sequence in one step */
};

struct cache {
    struct model *model;
    struct kv *kv;
    struct kv_pages pages;
    struct kv_pages states; /* n = 0: no layer has a state */
    struct prefix_tree *tree;
    uint32_t seq_pages;      /* longest table of a sequence */
    uint32_t state_interval; /* tokens between snapshots in a long text */
};

/* State slots for n_seqs sequences of ctx_size tokens, snapshots included; 0 for state_bytes 0. */
uint32_t cache_n_states(uint64_t state_bytes, uint32_t n_seqs, uint64_t ctx_size);

/* Room for n_seqs sequences of ctx_size tokens. The model is borrowed. */
int cache_init(struct cache *c, struct model *m, uint32_t n_seqs, uint32_t ctx_size,
               enum kv_type type, struct error *err);
void cache_release(struct cache *c); /* a zeroed one is fine */

/* Some tokens of a step, and the slot of the state behind them. */
struct cache_part {
    uint32_t n;
    int32_t state; /* -1: no layer has one */
    bool keep;     /* as a snapshot */
};

/* A state to enter into the tree once its page is there. */
struct cache_kept {
    uint32_t position; /* tokens before it */
    int32_t state;
};

/* A sequence's part. `pages` is allocated once and reused by later sequences. */
struct cache_seq {
    int32_t *pages; /* [n_pages], capacity cache.seq_pages */
    uint32_t n_pages;
    bool share;               /* look into the tree, enter pages into it */
    uint32_t n_entered;       /* pages that stand in the tree */
    struct prefix_node *node; /* of the last one of these */
    struct prefix_node *root; /* of the sequence's key; NULL if it shares nothing */

    int32_t state;    /* behind what is computed; -1 = nothing is, or no layer has one */
    bool state_kept;  /* the tree has it, or it is among `kept` */
    uint32_t n_parts; /* of the step under way: what cache_seq_reserve() and _cut() planned */
    struct cache_part parts[CACHE_PARTS_MAX];
    uint32_t n_kept;
    struct cache_kept kept[CACHE_PARTS_MAX + 1];
};

int cache_seq_init(struct cache *c, struct cache_seq *s, struct error *err);
void cache_seq_release(struct cache_seq *s);

/* Starts a sequence with the prompt ids[0..n); key: NULL, or the adapters it is computed with.
 * Returns how many tokens the cache holds already;
 * less than n, as the last one must be computed for its logits. */
uint32_t cache_seq_begin(struct cache *c, struct cache_seq *s, const int32_t *ids, uint32_t n,
                         const struct prefix_key *key, bool share);

/* Plans a step: pages, and a state slot, for n more tokens behind n_past, together within the
 * context size, in one part. What a step before planned and did not commit is given back. Fails
 * only if more sequences are under way than cache_init() was told. */
int cache_seq_reserve(struct cache *c, struct cache_seq *s, uint32_t n_past, uint32_t n,
                      struct error *err);

/* Splits the planned step where states should be kept. For steps within a prompt of n_prompt
 * tokens; after all sequences have reserved, since the slots it takes are those left over. */
void cache_seq_cut(struct cache *c, struct cache_seq *s, uint32_t n_past, uint32_t n_prompt);

/* The planned step is computed: the first n rows, of tokens ids[0..n), are written. */
void cache_seq_commit(struct cache *c, struct cache_seq *s, const int32_t *ids, uint32_t n);

/* Ends the sequence, of which the first n rows are good. */
void cache_seq_end(struct cache *c, struct cache_seq *s, const int32_t *ids, uint32_t n);

#endif
