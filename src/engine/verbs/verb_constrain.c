/* SPDX-License-Identifier: Apache-2.0
 *
 * model-engine constrain: what a schema or a grammar allows, JSON lines.
 *
 *     {"schema":{"type":"integer"},"text":"12"}  →  {"accept":true,"possible":true}
 *     {"gbnf":"root ::= \"ab\"","text":"a"}      →  {"accept":false,"possible":true}
 *     {"schema":{"contains":{}},"text":""}       →  {"error":"schema #: 'contains' is not
 * supported"}
 *
 * accept: the whole text is a finished answer; possible: it is the beginning of one. */
#include <stddef.h>

#include "engine/grammar/grammar.h"
#include "engine/verbs/jsonl.h"
#include "engine/verbs/verbs.h"

const struct opt verb_constrain_opts[] = {OPT_END};

static int answer(void *ctx, const struct json *in, struct json *out, struct error *err)
{
    (void)ctx;
    const struct json *schema = js_get(in, "schema"), *gbnf = js_get(in, "gbnf");
    const struct json *text = js_get(in, "text");
    if (!schema == !gbnf || (gbnf && !js_is(gbnf, JS_STRING)))
        return error_set(err, ERR_INVALID, "a line needs either 'schema' or 'gbnf', a string");
    if (!js_is(text, JS_STRING))
        return error_set(err, ERR_INVALID, "a line needs 'text', a string");
    CLEANUP(cleanup_grammar) struct grammar *g = NULL;
    CLEANUP(cleanup_matcher) struct matcher *m = NULL;
    int r =
        schema ? grammar_from_schema(schema, &g, err) : grammar_from_gbnf(js_to_str(gbnf), &g, err);
    if (r == 0)
        r = matcher_create(g, NULL, &m, err);
    if (r < 0)
        return r;
    bool possible = matcher_accept(m, js_to_str(text));
    if (matcher_gave_up(m))
        return error_set(err, ERR_TOO_LARGE, "the text is too ambiguous in this grammar");
    js_set_bool(out, "accept", possible && matcher_may_end(m));
    js_set_bool(out, "possible", possible);
    return 0;
}

int verb_constrain(int argc, char **argv)
{
    struct error err = ERROR_INIT;
    char unused;
    int exit_code;
    if (verb_parse(argc, argv, &unused, &exit_code) < 0)
        return exit_code;
    return jsonl_run(answer, NULL, &err) < 0 ? verb_fail(&err) : 0;
}
