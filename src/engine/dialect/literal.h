/* SPDX-License-Identifier: Apache-2.0
 *
 * Values and calls as Python programs write them, to JSON:
 *
 *     {'a': [1, True, None], "b": """x"""}           →  {"a":[1,true,null],"b":"x"}
 *     get_weather(city="Paris", days=3)              →  get_weather, {"city":"Paris","days":3}
 *
 * Lenient where it costs nothing: true, false and null are taken as well, keys of objects need no
 * quotes, and a format may have a quote of its own (Gemma's <|"|>). A JSON value is such a value.
 */
#ifndef ENGINE_DIALECT_LITERAL_H
#define ENGINE_DIALECT_LITERAL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/str.h"

enum { LITERAL_DEPTH_MAX = 64 };

struct literal_reader {
    struct str text;
    size_t at;
    struct str quote; /* one more kind of quote, without escapes; empty = none */
    uint32_t depth;
};

void literal_skip_space(struct literal_reader *r);
bool literal_take(struct literal_reader *r, const char *text); /* if it comes next */
/* An identifier, with dots and dashes inside; empty if there is none. */
struct str literal_name(struct literal_reader *r);

/* Reads a value and appends its JSON. false: there is none; the reader may stand anywhere then. */
bool literal_value(struct literal_reader *r, struct buf *out);

/* Reads "name(key=value, …)" from the '(' on. Arguments without a key take the names of the
 * properties of `schema` (may be NULL) in order. */
bool literal_arguments(struct literal_reader *r, const struct json *schema, struct buf *out);

/* Reads "{key:value, …}". */
bool literal_object(struct literal_reader *r, struct buf *out);

#endif
