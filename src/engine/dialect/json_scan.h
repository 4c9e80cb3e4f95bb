/* SPDX-License-Identifier: Apache-2.0
 *
 * Follows one JSON value byte by byte and says where it ends, without keeping any of it.
 *
 * Raw control characters inside strings, which JSON forbids but models write, are let through:
 * whoever passes the text on writes them with json_scan_put(). Everything else is RFC 8259. */
#ifndef ENGINE_DIALECT_JSON_SCAN_H
#define ENGINE_DIALECT_JSON_SCAN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

enum { JSON_SCAN_DEPTH_MAX = 64 };

enum json_phase { /* what comes next in the innermost container, or at the top */
                  JSON_WANT_VALUE,
                  JSON_WANT_VALUE_OR_END, /* behind '[' */
                  JSON_WANT_KEY_OR_END,   /* behind '{' */
                  JSON_WANT_KEY,          /* behind ',' in an object */
                  JSON_WANT_COLON,
                  JSON_AFTER_VALUE,
                  JSON_IN_STRING,
                  JSON_IN_ESCAPE,
                  JSON_IN_HEX,
                  JSON_IN_NUMBER,
                  JSON_IN_WORD,
};

struct json_scan {
    enum json_phase phase;
    uint32_t depth;     /* containers that are open */
    uint64_t is_object; /* one bit each, the outermost the lowest */
    bool string_is_key; /* of JSON_IN_STRING and its escapes */
    uint32_t hex_left;
    uint8_t number;   /* state of a number */
    const char *word; /* what is left of true, false, null */
};

enum json_step {
    JSON_MORE,        /* the byte belongs to the value, which goes on */
    JSON_DONE,        /* the byte is the value's last */
    JSON_DONE_BEFORE, /* a number ended in front of this byte */
    JSON_BAD,
};

#define JSON_SCAN_INIT ((struct json_scan){.phase = JSON_WANT_VALUE})

/* White space in front of the value counts as JSON_MORE. */
enum json_step json_scan_byte(struct json_scan *s, unsigned char c);

/* Would the value be whole if the text ended here? True for numbers at the top only. */
bool json_scan_may_end(const struct json_scan *s);

/* Is the scanner within a string (of any kind), so that any byte is text? */
static inline bool json_scan_in_string(const struct json_scan *s)
{
    return s->phase == JSON_IN_STRING || s->phase == JSON_IN_ESCAPE || s->phase == JSON_IN_HEX;
}

/* Appends a byte that was scanned, a raw control character in a string as an escape. `in_string`:
 * as json_scan_in_string() said before the byte. */
void json_scan_put(bool in_string, unsigned char c, struct buf *out);

#endif
