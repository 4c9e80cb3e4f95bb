/* SPDX-License-Identifier: Apache-2.0
 *
 * Character properties and case mapping as Python's str methods have them. */
#ifndef ENGINE_TEMPLATE_UNICODE_H
#define ENGINE_TEMPLATE_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

bool cp_is_upper(uint32_t cp);
bool cp_is_lower(uint32_t cp);
bool cp_is_title(uint32_t cp); /* U+01C5 and its kind: neither upper nor lower */
bool cp_is_alpha(uint32_t cp);
bool cp_is_decimal(uint32_t cp);
bool cp_is_digit(uint32_t cp);
bool cp_is_numeric(uint32_t cp);
bool cp_is_space(uint32_t cp);
bool cp_is_printable(uint32_t cp);
bool cp_is_line_break(uint32_t cp); /* where str.splitlines() cuts */

/* Append the mapped text of one character, which may be up to three characters. */
void cp_append(uint32_t cp, struct buf *out);
void cp_append_upper(uint32_t cp, struct buf *out);
void cp_append_title(uint32_t cp, struct buf *out);

/* Lower case needs the text around the character: a sigma at the end of a word has its own form.
 * `at` is the byte offset of the character cp in s. */
void cp_append_lower(struct str s, size_t at, uint32_t cp, struct buf *out);

/* The character at s.ptr[*at]; moves *at behind it. A byte that is no UTF-8 counts as U+FFFD. */
uint32_t cp_next(struct str s, size_t *at);

/* The character that ends before s.ptr[*at]; moves *at to its start. *at must be > 0. */
uint32_t cp_prev(struct str s, size_t *at);

size_t cp_count(struct str s);

#endif
