/* SPDX-License-Identifier: Apache-2.0
 *
 * The rules of the pre-tokenizers, shared by pretokenizer.c, which runs them, and
 * pretokenizer_rules.c, which lists them.
 *
 * A rule set is a list of steps; each cuts the pieces that the step before has left. A step is a
 * regular expression (every match and every gap between matches becomes a piece) or one of a few
 * rules about digits whose regular expressions would take quadratic time.
 *
 * The expressions do not see the text itself but one byte per character: ASCII as it is, any other
 * white space as '\v', and of the rest only its class. That keeps them small and fast, makes
 * offsets character counts, and takes the Unicode version from our tables instead of from PCRE2. A
 * step may name sets of characters of its own, which get the bytes CHAR_SET and up in place of their
 * class.
 */
#ifndef ENGINE_TEXT_PRETOKENIZER_RULES_H
#define ENGINE_TEXT_PRETOKENIZER_RULES_H

#include <stdint.h>

#include "base/str.h"

enum char_byte {
    CHAR_LETTER = 0x80,
    CHAR_NUMBER = 0x81,
    CHAR_PUNCT = 0x82,
    CHAR_SYMBOL = 0x83,
    CHAR_MARK = 0x84,
    CHAR_OTHER = 0x85,
    CHAR_SET = 0x86, /* of a step's first set; the second is 0x87, … */
};

enum split_kind {
    SPLIT_END, /* of the list */
    SPLIT_REGEX,
    SPLIT_DIGITS_BEFORE, /* before each group of three digits, counted from the end of the digits */
    SPLIT_NUMBERS_AFTER, /* after each group of three numbers, counted from their end */
};

struct char_range {
    uint32_t first, last;
    uint8_t set; /* 0 is the step's first set */
};

struct split_step {
    enum split_kind kind;
    const char *pattern;
    const struct char_range *ranges; /* sorted; ended by {0, 0}; NULL = none */
};

enum { SPLIT_STEPS_MAX = 6 };

struct pretokenizer_rule {
    const char *names; /* separated by spaces */
    const struct split_step *steps;
    unsigned flags; /* enum pretokenizer_flags */
};

/* The rule for a name, or NULL. */
const struct pretokenizer_rule *pretokenizer_rule_find(struct str name);

/* Rule i, NULL behind the last: for tests. */
const struct pretokenizer_rule *pretokenizer_rule_at(size_t i);

#endif
