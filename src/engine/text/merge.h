/* SPDX-License-Identifier: Apache-2.0
 *
 * Greedy pair merging, the common core of byte-pair encoding and SentencePiece: as long as two
 * neighbours may merge, the pair with the best rank does (the leftmost of equals). A heap and a
 * linked list make it n log n. */
#ifndef ENGINE_TEXT_MERGE_H
#define ENGINE_TEXT_MERGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct symbol {
    int32_t id;       /* what the caller makes of it; -1 = text that has no id */
    uint32_t pos;     /* of its first byte in the text */
    uint32_t len;     /* in bytes, 0 once it has been merged into its left neighbour */
    int32_t prev, next; /* -1 = none */
};

struct pair;

struct merger {
    struct symbol *symbols;
    size_t n, cap;
    struct pair *heap;
    size_t n_heap, cap_heap;
    bool failed; /* out of memory */
};
void merger_release(struct merger *m);

/* Starts a new text. */
void merger_clear(struct merger *m);

/* Adds a symbol behind the others. */
void merger_push(struct merger *m, int32_t id, uint32_t pos, uint32_t len);

/* May these neighbours merge? Stores the rank, smaller is better, and the id of the result. */
typedef bool (*merge_rank_fn)(const void *ctx, const struct symbol *left,
                              const struct symbol *right, uint32_t *ret_rank, int32_t *ret_id);

/* Merges; then the symbols from 0 along `next` are the result. 0 or -ERR_NOMEM. */
int merger_run(struct merger *m, merge_rank_fn rank, const void *ctx);

#endif
