/* SPDX-License-Identifier: Apache-2.0
 *
 * Regular expressions as JSON Schema has them: ECMA-262 with the flag u. */
#ifndef ENGINE_GRAMMAR_REGEX_H
#define ENGINE_GRAMMAR_REGEX_H

#include "engine/grammar/dfa.h"
#include "engine/grammar/expr.h"

/* Texts in which the pattern is found, as they stand inside a JSON string. ERR_UNSUPPORTED for
 * what is not regular (back references) or not known here (look-around, \b, \p). */
int regex_to_dfa(struct str pattern, struct dfa **ret, struct error *err);

/* Is the pattern a repetition of one set of characters and nothing else, "^[a-z]{2,5}$"? Then
 * *ret_set, the caller's, and the bounds; otherwise false. */
bool regex_is_repetition(struct str pattern, struct charset *ret_set, uint32_t *ret_min,
                         uint32_t *ret_max);

#endif
