/* SPDX-License-Identifier: Apache-2.0
 *
 * GBNF: any text as a grammar, and its own bytes as a text for it. */
#include <stddef.h>
#include <stdint.h>

#include "engine/grammar/grammar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err = ERROR_INIT;
    CLEANUP(cleanup_grammar) struct grammar *g = NULL;
    CLEANUP(cleanup_matcher) struct matcher *m = NULL;
    struct str text = str_make((const char *)data, size);
    if (size > 2048 || grammar_from_gbnf(text, &g, &err) < 0 ||
        matcher_create(g, NULL, &m, &err) < 0)
        return 0;
    matcher_accept(m, text);
    return 0;
}
