/* SPDX-License-Identifier: Apache-2.0
 *
 * What the text of a chat's answer may be: reasoning, then content or tool calls, in the words of
 * the model's family.
 *
 *     choice     content        the answer
 *     none       anything       no grammar
 *     none       schema, GBNF   [reasoning] what is wanted
 *     auto       anything       free text; where a call begins, calls
 *     auto       schema, GBNF   what is wanted, or calls
 *     required                  [reasoning] calls
 *
 * The arguments of calls fit the schemas of their tools. Where a model may call as well as not, and
 * no tool is strict, families whose calls have no mark to begin with are left alone, and so are calls
 * that begin in another form than the usual one: they are read as they are. With a strict tool other
 * forms do not come up, and what begins like a call without a mark ('{', '[') is one. Values that
 * a family writes as bare text are held to plain types; where a schema asks for more, the call is
 * written as JSON, which the parser reads in every family. */
#ifndef ENGINE_API_ANSWER_GRAMMAR_H
#define ENGINE_API_ANSWER_GRAMMAR_H

#include "engine/api/tools.h"
#include "engine/dialect/dialect.h"
#include "engine/grammar/grammar.h"

struct answer_rules {
    const struct dialect *dialect;
    const struct tool_wish *tools;
    const struct json *schema; /* of the content; NULL = none */
    struct str gbnf;           /* likewise; ptr NULL = none */
    bool reasoning_is_open;    /* the prompt ends within it */
    bool reasoning_is_off;     /* it is not to begin */
};

/* *ret stays NULL where anything goes; *ret_calls: calls are well-formed, since the grammar sees to
 * all of them. ERR_INVALID and ERR_UNSUPPORTED name the tool or the field. */
int answer_grammar(const struct answer_rules *rules, struct grammar **ret, bool *ret_calls,
                   struct error *err);

#endif
