/* SPDX-License-Identifier: Apache-2.0
 *
 * UTF-8: decode, encode, validate, and make foreign bytes safe to print.
 * Only the encoding lives here; properties of characters are in engine/text. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { UTF8_MAX = 4 }; /* bytes of the longest character */

/* Decodes the character at p[0..len). Returns its length in bytes (1..4) and stores the code point;
 * returns 0 when the bytes are not valid UTF-8 (overlong, surrogate, > U+10FFFF, cut off) or len is 0. */
size_t utf8_decode(const char *p, size_t len, uint32_t *ret_cp);

/* Encodes a code point into out; returns the number of bytes, 0 if cp is not a Unicode scalar value. */
size_t utf8_encode(uint32_t cp, char out[UTF8_MAX]);

bool utf8_valid(const char *p, size_t len);

/* Number of leading bytes of p[0..len) that form whole characters, counting invalid bytes as
 * characters of their own: the rest (0..3 bytes) is a character whose end has not arrived yet. */
size_t utf8_complete_prefix(const char *p, size_t len);

/* Writes p[0..len) into out (size bytes, always terminated) with control characters and invalid
 * bytes as \xNN; cuts at a character border when out is too small. '\n' and '\t' are escaped too. */
void utf8_printable(char *out, size_t size, const char *p, size_t len);

/* Columns a terminal uses for the text (wcwidth rules: wide = 2, combining = 0). */
size_t utf8_width(const char *p, size_t len);

#endif
