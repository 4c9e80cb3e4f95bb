/* SPDX-License-Identifier: Apache-2.0
 *
 * The way out of one sequence: tokens → bytes → whole characters → text in front of a stop string,
 * with the log-probabilities of the tokens travelling along.
 *
 * With `marks` a control token comes out as 0xFF NAME 0xFF, for those who read calls and reasoning
 * (dialect/parser.h); a stop string does not go across one. Without, it says nothing.
 *
 * Text may be held back because a character is not complete or because it may begin a stop string.
 * A token goes out with the first text that contains its beginning; tokens that begin behind the
 * cut of a stop string never go out. */
#ifndef ENGINE_RUN_OUTPUT_H
#define ENGINE_RUN_OUTPUT_H

#include "engine/run/batcher.h"
#include "engine/run/stop_matcher.h"
#include "engine/text/tokenizer.h"

struct held_token {
    struct token_info info;
    size_t at; /* offset of its first byte in the whole text */
};

struct output {
    struct detokenizer detok;
    struct stop_matcher stops;
    struct buf piece; /* text of the newest token */
    struct buf text;  /* what can go out now */
    size_t n_fed;     /* bytes that went into the stop matcher */
    size_t n_given;   /* bytes that went out */
    bool marks;
    bool ended;              /* nothing is held back any more */
    struct held_token *held; /* [n_held] oldest first */
    size_t n_held, cap_held;
};

int output_init(struct output *o, const struct tokenizer *t, const struct str *stops,
                size_t n_stops, bool marks, struct error *err);
void output_release(struct output *o);

/* Feeds a token; `info` (NULL without log-probabilities) is taken over. 1 once a stop string was
 * found, 0 otherwise. */
int output_feed(struct output *o, int32_t id, struct token_info *info, struct error *err);

/* The text ends without a stop string: releases what was held back. */
void output_end(struct output *o);

/* What can go out now as an event (without its choice), or NULL if there is nothing. */
struct generation_event *output_take(struct output *o);

#endif
