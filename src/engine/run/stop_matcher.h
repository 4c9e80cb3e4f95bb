/* SPDX-License-Identifier: Apache-2.0
 *
 * Stop strings: ends a text in front of the first stop string in it, wherever the pieces it comes
 * in are cut.
 *
 *     stop_matcher_init(&m, stops, n, err);
 *     while (more text)
 *         if (stop_matcher_feed(&m, piece, out))   // out gets what can no longer be part of a stop
 *             break;                               // found: out ends in front of the stop string
 *     stop_matcher_flush(&m, out);                 // the text ended otherwise: gives the rest
 *
 * Each stop string is matched by its own Knuth-Morris-Pratt automaton. Its state is the length of
 * the longest end of the text that begins the stop string, so the largest state is just what must
 * be held back, and the cost is one step per byte and stop string whatever the strings are.
 */
#ifndef ENGINE_RUN_STOP_MATCHER_H
#define ENGINE_RUN_STOP_MATCHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"

enum { STOP_STRINGS_MAX = 64, STOP_STRING_BYTES_MAX = 4096 };

struct stop_string;

struct stop_matcher {
    struct stop_string *strings; /* [n] */
    size_t n;
    struct buf held;
    bool found;
    size_t which; /* of those that are not empty; once one was found */
};

/* The strings are copied; empty ones are ignored. More or longer ones than the limits are
 * ERR_INVALID. */
int stop_matcher_init(struct stop_matcher *m, const struct str *stops, size_t n, struct error *err);
void stop_matcher_release(struct stop_matcher *m); /* a zeroed one is fine */

/* Takes the next piece; appends to out. True once a stop string has been found; nothing is taken or
 * given any more then. When one ends where another does, the longer one counts. */
bool stop_matcher_feed(struct stop_matcher *m, struct str piece, struct buf *out);

/* The stop string that was found; borrowed. */
struct str stop_matcher_found(const struct stop_matcher *m);

/* Bytes held back now. */
size_t stop_matcher_held(const struct stop_matcher *m);

/* Gives what is held back; what follows is the beginning of another text. Nothing after a stop
 * string was found. */
void stop_matcher_flush(struct stop_matcher *m, struct buf *out);

#endif
