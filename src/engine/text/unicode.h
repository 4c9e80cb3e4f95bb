/* SPDX-License-Identifier: Apache-2.0
 *
 * Properties of characters that tokenizers ask for: Unicode 15.1, fixed, so that the same text
 * gives the same ids on every machine. UTF-8 itself is base/utf8.h. */
#ifndef ENGINE_TEXT_UNICODE_H
#define ENGINE_TEXT_UNICODE_H

#include <stdbool.h>
#include <stdint.h>

/* The first letter of the general category. */
enum unicode_class {
    UC_NONE, /* unassigned */
    UC_LETTER,
    UC_NUMBER,
    UC_PUNCT,
    UC_SYMBOL,
    UC_MARK,
    UC_SEPARATOR,
    UC_CONTROL, /* Cc, Cf, Cs, Co */
};

enum unicode_class unicode_class(uint32_t cp);

/* The White_Space property. */
bool unicode_is_space(uint32_t cp);

/* Simple lower case; cp itself if it has none. */
uint32_t unicode_to_lower(uint32_t cp);

/* The first character of the canonical decomposition: 'é' → 'e'. */
uint32_t unicode_base_char(uint32_t cp);

#endif
