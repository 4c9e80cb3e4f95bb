/* SPDX-License-Identifier: Apache-2.0
 *
 * What Python's str can do, on borrowed text: shared by the methods and the text filters. */
#ifndef ENGINE_TEMPLATE_PYSTR_H
#define ENGINE_TEMPLATE_PYSTR_H

#include "engine/template/value.h"

enum text_case { CASE_UPPER, CASE_LOWER, CASE_CAPITALIZE, CASE_TITLE, CASE_SWAP };

void append_case(struct str s, enum text_case how, struct buf *out);

enum { STRIP_LEFT = 1, STRIP_RIGHT = 2 };

/* Without the characters in `chars` (NULL: white space) at the chosen ends; shares the bytes. */
struct str strip(struct str s, const struct str *chars, int ends);

/* s with `old` replaced, at most `count` times (negative: all). */
void append_replaced(struct render *r, struct str s, struct str old, struct str with, int64_t count,
                     struct buf *out);

/* At `sep`, or at runs of white space when it is NULL; at most max cuts (negative: all). */
struct value split(struct render *r, struct str s, const struct str *sep, int64_t max,
                   bool from_right);
struct value split_lines(struct render *r, struct str s, bool keep_ends);

/* s between `left` and `right` fill characters. */
void append_padded(struct str s, uint64_t left, uint64_t right, uint32_t fill, struct buf *out);
/* str.center's split of the padding. */
void center_padding(uint64_t n_chars, uint64_t width, uint64_t *ret_left, uint64_t *ret_right);

/* The str() of each item with `sep` between them. */
struct value join(struct render *r, struct str sep, struct value items, bool strict);

#endif
