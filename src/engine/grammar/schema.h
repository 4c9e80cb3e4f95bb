/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON Schema into an automaton. */
#ifndef ENGINE_GRAMMAR_SCHEMA_H
#define ENGINE_GRAMMAR_SCHEMA_H

#include "base/json.h"
#include "engine/grammar/nfa.h"

/* Adds a rule whose sentences are valid. `what` begins the paths in errors, "" for "$". */
int schema_compile(const struct json *schema, const char *what, struct nfa *a, uint32_t *ret_rule,
                   struct error *err);

#endif
