/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads an answer in its model's dialect: content, reasoning and tool calls, as the text comes.
 *
 *     struct dialect_parser *p = dialect_parser_new(&dialect, &options);
 *     while (more text) {
 *         dialect_parser_feed(p, piece);
 *         while (dialect_parser_next(p, &delta))
 *             ...
 *     }
 *     dialect_parser_finish(p);
 *     while (dialect_parser_next(p, &delta))
 *         ...
 *     dialect_parser_free(p);
 *
 * The deltas of a text add up to the same answer however it is cut, between characters or within
 * them. A mark never appears in content, nor does a piece of one that may still become one. What
 * looked like a call and is none comes out as content, so no text is lost.
 *
 * Control tokens come as 0xFF NAME 0xFF (output.h); marks are recognised in this form and as text.
 * A control token that is no mark is dropped from content, as it would be without a parser.
 *
 * White space around reasoning, calls and the texts that frame content is not part of any of them.
 * Of an answer that has neither, every byte is content.
 *
 * Cost: linear in the text. */
#ifndef ENGINE_DIALECT_PARSER_H
#define ENGINE_DIALECT_PARSER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/json.h"
#include "base/str.h"
#include "engine/dialect/dialect.h"

struct dialect_parser;

struct dialect_options {
    const struct json *tools; /* the request's, borrowed; NULL = calls are not looked for */
    /* The text is known to be well-formed, because a grammar sees to it: the arguments of a call go
     * out as they come. Otherwise a call is given when it is whole. */
    bool eager;
    bool reasoning_is_open; /* the prompt ends within reasoning */
    bool keep_reasoning;    /* as content, with its marks */
};

struct dialect_parser *dialect_parser_new(const struct dialect *d, const struct dialect_options *o);
void dialect_parser_free(struct dialect_parser *p); /* NULL is fine */

void dialect_parser_feed(struct dialect_parser *p, struct str piece);
void dialect_parser_finish(struct dialect_parser *p);

enum delta_kind {
    DELTA_CONTENT,
    DELTA_REASONING,
    DELTA_CALL,      /* a call begins: its name and, where the model wrote one, its id */
    DELTA_ARGUMENTS, /* of the call: the next piece of their JSON */
};

struct dialect_delta {
    enum delta_kind kind;
    uint32_t call;   /* 0, 1, … */
    struct str text; /* content, reasoning, the name of a call, a piece of arguments */
    struct str id;   /* DELTA_CALL */
};

/* The texts are valid until the next feed or finish. */
bool dialect_parser_next(struct dialect_parser *p, struct dialect_delta *ret);

/* How many calls have been given. */
uint32_t dialect_parser_n_calls(const struct dialect_parser *p);

#endif
