/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON numbers as sets of texts: bounds and multiples. */
#ifndef ENGINE_GRAMMAR_NUMBER_H
#define ENGINE_GRAMMAR_NUMBER_H

#include "base/json.h"
#include "engine/grammar/dfa.h"

/* Digits a number may have in front of the point, behind it, and in its exponent. */
enum { NUMBER_INT_DIGITS = 18, NUMBER_FRACTION_DIGITS = 16, NUMBER_EXPONENT_DIGITS = 2 };

struct number_range {
    const struct json *min, *max; /* NULL = none */
    bool min_open, max_open;      /* the bound itself is not in */
};

/* Numbers without exponents, in [min, max]; integers have no point. */
int number_range_dfa(const struct number_range *range, bool integer, struct dfa **ret,
                     struct error *err);
/* Multiples of a positive number with at most 9 digits. */
int number_multiple_dfa(const struct json *of, struct dfa **ret, struct error *err);
/* All of them, with exponents unless they are integers. */
int number_any_dfa(bool integer, struct dfa **ret, struct error *err);

#endif
