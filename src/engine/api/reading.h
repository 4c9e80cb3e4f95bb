/* SPDX-License-Identifier: Apache-2.0
 *
 * One choice of a chat as its model's dialect is read: content, reasoning, tool calls; collected
 * for a whole answer and, for a stream, as OpenAI's deltas. */
#ifndef ENGINE_API_READING_H
#define ENGINE_API_READING_H

#include "base/buf.h"
#include "base/json.h"
#include "engine/dialect/parser.h"

struct reading_call {
    char *id, *name;
    struct buf arguments;
};

struct reading {
    struct dialect_parser *parser; /* NULL = all text is content */
    bool short_ids;                /* Mistral's templates want ids of nine letters and digits */
    struct buf content, reasoning;
    struct reading_call *calls;
    size_t n_calls;
    uint32_t n_reasoning; /* tokens */
};

/* Takes the delta over. */
typedef void (*reading_fn)(void *ctx, struct json *delta);

/* No dialect: no parser. */
void reading_init(struct reading *r, const struct dialect *d, const struct dialect_options *o);
void reading_release(struct reading *r);

/* The next text, with which the choice has n_predicted tokens; fn may be NULL. */
void reading_feed(struct reading *r, struct str text, uint32_t n_predicted, reading_fn fn,
                  void *ctx);
void reading_finish(struct reading *r, reading_fn fn, void *ctx);

/* The message of a whole answer. */
struct json *reading_message(const struct reading *r);

#endif
