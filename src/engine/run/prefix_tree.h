/* SPDX-License-Identifier: Apache-2.0
 *
 * The prefix tree: which KV cache page holds what, so that a beginning that was computed before, a
 * system prompt or the chat so far, is never computed again.
 *
 * A radix tree over token ids whose edges are pages: a node is one page with the ids of its up to
 * KV_PAGE_TOKENS tokens; its path from the root is the text before it. Only a full page has
 * children.
 *
 *     root ── [You are a helpful …] ─┬─ [… Name three rivers]      full page, ends inside a chat
 *                                    └─ [… What is a pa|          partly filled page: a leaf
 *
 * A sequence whose prompt runs along full pages references them and never writes to them. Where it
 * leaves the tree inside a page, the caller copies that page and goes on in its own copy.
 *
 * Two nodes under one parent never hold the same tokens: when two sequences computed the same page,
 * the second one's is dropped for the first one's (their contents are equal, as the backend
 * promises).
 *
 * Eviction: a leaf whose page nobody but the tree references, least recently used first. A sequence
 * references all pages on its path, so an unreferenced node has no referenced descendant, and
 * everything not in use can be evicted from the leaves up.
 *
 * Where layers carry a state, a prefix can be taken up only where a state was kept: a snapshot,
 * which hangs at the node of its last token. prefix_tree_find() then ends at the longest prefix
 * that has one. Snapshots that nobody else references go least recently used first, and with their
 * page.
 *
 * One thread, the batcher's. Nodes are allocated at the start, one a page, snapshots one a slot.
 */
#ifndef ENGINE_RUN_PREFIX_TREE_H
#define ENGINE_RUN_PREFIX_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "engine/backend/backend.h"
#include "engine/run/kv_pages.h"

struct prefix_tree;
struct prefix_node;

/* `pages` and `states` are borrowed and must outlive the tree; states: NULL where no layer has one.
 */
int prefix_tree_create(struct kv_pages *pages, struct kv_pages *states, struct prefix_tree **ret,
                       struct error *err);
void prefix_tree_free(struct prefix_tree *t); /* drops its references; NULL is fine */

/* What a token's keys and values depend on besides the tokens before it: texts of different keys
 * share nothing. */
struct prefix_key {
    float scales[ADAPTERS_MAX]; /* of the adapters */
};

enum { PREFIX_KEYS_MAX = 64 };

/* The root of all texts with a key, NULL = that of plain texts. The caller gets a reference. NULL
 * if PREFIX_KEYS_MAX keys are in use. */
struct prefix_node *prefix_tree_root(struct prefix_tree *t, const struct prefix_key *key);
void prefix_tree_root_unref(struct prefix_tree *t, struct prefix_node *root);

/* What a lookup found. */
struct prefix_match {
    struct prefix_node *node; /* of the last full page, or the root */
    uint32_t n_pages;         /* full pages */
    int32_t part_page; /* a page that goes on with `part_tokens` more of the ids; -1 = none */
    uint32_t part_tokens;
    int32_t state; /* after all these tokens; -1 = no layer has one, or none of them is known */
};

/* Follows ids[0..n) from a root. The caller gets a reference to each full page, stored in
 * pages_out[0..n_pages), one to part_page if there is one, and one to `state`. */
void prefix_tree_find(struct prefix_tree *t, struct prefix_node *root, const int32_t *ids, size_t n,
                      int32_t *pages_out, struct prefix_match *ret);

/* Enters a page with the tokens ids[0..n), 0 < n <= KV_PAGE_TOKENS, that follow `parent`. The tree
 * takes a reference of its own. If it has these tokens already, *page is exchanged for that page:
 * the caller's reference moves to it. Returns the node; that of a full page is the parent of the
 * next. */
struct prefix_node *prefix_tree_put(struct prefix_tree *t, struct prefix_node *parent,
                                    const int32_t *ids, uint32_t n, int32_t *page);

/* Keeps `state`, the one after the first n tokens of the node's page, 0 < n; the tree takes a
 * reference of its own unless it has a state there already. A slot is kept in one place only. */
void prefix_tree_keep_state(struct prefix_tree *t, struct prefix_node *node, uint32_t n,
                            int32_t state);

/* Frees the least recently used state that nobody else references; false if there is none. */
bool prefix_tree_evict_state(struct prefix_tree *t);

/* Frees the least recently used page that nobody else references; false if there is none. */
bool prefix_tree_evict(struct prefix_tree *t);

uint32_t prefix_tree_n_nodes(const struct prefix_tree *t);

#endif
