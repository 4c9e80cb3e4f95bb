/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON Schema: any JSON as a schema, and its own text as a value for it. */
#include <stddef.h>
#include <stdint.h>

#include "engine/grammar/grammar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err = ERROR_INIT;
    CLEANUP_JSON struct json *schema = NULL;
    CLEANUP(cleanup_grammar) struct grammar *g = NULL;
    CLEANUP(cleanup_matcher) struct matcher *m = NULL;
    struct str text = str_make((const char *)data, size);
    if (size > 2048 || js_parse(text, "the schema", &schema, &err) < 0 ||
        grammar_from_schema(schema, &g, &err) < 0 || matcher_create(g, NULL, &m, &err) < 0)
        return 0;
    matcher_accept(m, text);
    return 0;
}
