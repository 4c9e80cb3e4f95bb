/* SPDX-License-Identifier: Apache-2.0
 *
 * llama.cpp's GBNF notation into an automaton. */
#ifndef ENGINE_GRAMMAR_GBNF_H
#define ENGINE_GRAMMAR_GBNF_H

#include "engine/grammar/nfa.h"

/* Adds its rules; *ret_rule is that of `root`. Errors say the line. */
int gbnf_compile(struct str text, struct nfa *a, uint32_t *ret_rule, struct error *err);

#endif
