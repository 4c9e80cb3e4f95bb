/* SPDX-License-Identifier: Apache-2.0
 *
 * Tool calls as a family of models writes them (dialect.h), as expressions of a grammar. */
#ifndef ENGINE_API_CALL_GRAMMAR_H
#define ENGINE_API_CALL_GRAMMAR_H

#include "engine/api/tools.h"
#include "engine/dialect/dialect.h"
#include "engine/grammar/grammar.h"

/* Heads of messages in gpt-oss's form. */
#define HARMONY_FINAL "<|channel|>final<|message|>"
#define HARMONY_START "<|start|>assistant"

/* A mark, which may consist of several tokens: those written <|…|> and <｜…｜> in it may be control
 * tokens, the rest is text. */
gexpr call_mark(struct grammar_builder *b, const char *mark);

/* The first token of what begins a section: where it comes up, a call has begun. */
struct str call_trigger(const struct call_format *f);

/* Where it can begin in other forms as well, what tells of these; at most CALL_FORMS. */
size_t call_other_triggers(const struct call_format *f, struct str *ret);

/* One section, or several where the wish allows it and the family can. `begun`: call_trigger() has
 * been read. */
gexpr call_sections(struct grammar_builder *b, const struct call_format *f,
                    const struct tool_wish *w, bool begun);

#endif
