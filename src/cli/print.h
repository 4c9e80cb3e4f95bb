/* SPDX-License-Identifier: Apache-2.0
 *
 * Printing text that came from outside. Control characters in it never reach a terminal: names,
 * messages and model output are data, not commands to the user's screen. */
#ifndef CLI_PRINT_H
#define CLI_PRINT_H

#include <stdbool.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/str.h"

/* May escape sequences be written to this stream? A terminal, TERM not dumb, NO_COLOR unset. */
bool print_color(FILE *to);
bool print_is_tty(FILE *to);

/* One line of foreign text: control characters (line breaks too), bidirectional overrides and
 * bytes that are not UTF-8 are shown as \xNN. */
void print_line_text(FILE *to, struct str s);
/* Appends the same form. */
void append_line_text(struct buf *out, struct str s);

/* Many lines of foreign text for a terminal: \n and \t stay, \r goes, other control characters are
 * replaced by their picture (U+2400...) and the C1 ones and broken UTF-8 by U+FFFD. */
void append_terminal_text(struct buf *out, struct str s);

/* The same when `to` is a terminal; byte for byte otherwise. `s` should hold whole characters. */
void print_text(FILE *to, struct str s);

/* JSON with a final newline. DEL and the C1 controls, which JSON allows as they are, are escaped.
 */
void print_json(FILE *to, const struct json *v, enum js_style style);

/* Decimal sizes: "256.35MB"; up to PB. */
enum { SIZE_TEXT_MAX = 32 };
void size_text(double bytes, char out[SIZE_TEXT_MAX]);
/* docker's shorter form with four significant digits: "256.4MB". */
void size_text_short(double bytes, char out[SIZE_TEXT_MAX]);

#endif
