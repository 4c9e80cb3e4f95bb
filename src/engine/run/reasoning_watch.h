/* SPDX-License-Identifier: Apache-2.0
 *
 * Counts the tokens of an answer's reasoning, and says which tokens end it when it has had its
 * share: outside, inside, ending, done.
 *
 * One thread at a time. */
#ifndef ENGINE_RUN_REASONING_WATCH_H
#define ENGINE_RUN_REASONING_WATCH_H

#include "engine/run/batcher.h"
#include "engine/run/stop_matcher.h"

struct reasoning_watch {
    enum { WATCH_NOTHING, WATCH_OUTSIDE, WATCH_INSIDE, WATCH_ENDING } state;
    struct stop_matcher open, close;
    struct buf text; /* of one token */
    struct buf rest; /* what the matchers give */
    int32_t *force;  /* [n_force] */
    size_t n_force, n_forced;
    uint32_t n_left;
};

/* Everything is copied. No limit: nothing is watched. */
int reasoning_watch_init(struct reasoning_watch *w, const struct reasoning_limit *limit,
                         struct error *err);
void reasoning_watch_release(struct reasoning_watch *w); /* a zeroed one is fine */

/* The token that must come next, or -1. */
int32_t reasoning_watch_forces(const struct reasoning_watch *w);
/* Nothing will be forced any more. */
void reasoning_watch_give_up(struct reasoning_watch *w);
/* A token was taken; its text, control tokens in their marked form. */
void reasoning_watch_feed(struct reasoning_watch *w, struct str text);

#endif
