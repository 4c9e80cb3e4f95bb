/* SPDX-License-Identifier: Apache-2.0
 *
 * Grammars of answers, see answer_grammar.h. */
#include "engine/api/answer_grammar.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "engine/api/call_grammar.h"

/* White space that models put between the parts of an answer. */
static gexpr space(struct grammar_builder *b)
{
    return gexpr_gbnf(b, STR("root ::= [ \\t\\n]{0,4}"));
}

static gexpr pair(struct grammar_builder *b, gexpr first, gexpr second)
{
    const gexpr items[] = {first, second};
    return gexpr_seq(b, items, 2);
}

static gexpr either(struct grammar_builder *b, gexpr one, gexpr other)
{
    const gexpr items[] = {one, other};
    return gexpr_alt(b, items, 2);
}

/* ---- content ---- */

static bool is_free(const struct answer_rules *r)
{
    return !r->schema && !r->gbnf.ptr;
}

static gexpr content(const struct answer_rules *r, struct grammar_builder *b)
{
    gexpr c = r->schema     ? gexpr_schema(b, r->schema, "")
              : r->gbnf.ptr ? gexpr_gbnf(b, r->gbnf)
                            : gexpr_free(b, NULL, 0);
    return r->dialect->calls->style == CALLS_HARMONY ? pair(b, call_mark(b, HARMONY_FINAL), c) : c;
}

/* Free text, and where it calls, calls: *ret_sure says whether the parser may rely on it. */
static gexpr free_or_calls(const struct answer_rules *r, struct grammar_builder *b, bool *ret_sure)
{
    const struct call_format *f = r->dialect->calls;
    struct str trigger = call_trigger(f);
    gexpr tail = call_sections(b, f, r->tools, true);
    /* The other forms of a beginning stay possible, and only the first one is held to its rules. */
    *ret_sure = !f->begin[1];
    return either(b, gexpr_free(b, &trigger, 1), pair(b, gexpr_until(b, &trigger, 1), tail));
}

static gexpr body(const struct answer_rules *r, struct grammar_builder *b, bool *ret_sure)
{
    const struct call_format *f = r->dialect->calls;
    *ret_sure = r->tools->choice != TOOLS_NONE;
    if (r->tools->choice == TOOLS_NONE)
        return content(r, b);
    if (r->tools->choice == TOOLS_REQUIRED)
        return call_sections(b, f, r->tools, false);
    if (is_free(r) && f->style != CALLS_HARMONY)
        return free_or_calls(r, b, ret_sure);
    return either(b, content(r, b), call_sections(b, f, r->tools, false));
}

/* ---- reasoning in front of it ---- */

static gexpr with_reasoning(const struct answer_rules *r, struct grammar_builder *b, gexpr rest)
{
    const struct reasoning_format *f = r->dialect->reasoning;
    bool harmony = r->dialect->calls->style == CALLS_HARMONY;
    if (!f || (r->reasoning_is_off && !r->reasoning_is_open && f->open))
        return rest;
    const struct str close = str_from(f->close);
    gexpr behind = harmony ? pair(b, call_mark(b, HARMONY_START), rest) : pair(b, space(b), rest);
    gexpr inside = pair(b, gexpr_until(b, &close, 1), behind);
    if (r->reasoning_is_open || !f->open)
        return inside;
    gexpr opened = pair(b, call_mark(b, f->open), inside);
    return either(b, rest, harmony ? opened : pair(b, space(b), opened));
}

/* Can calls not be told from text until they are over? */
static bool has_no_mark(const struct call_format *f)
{
    return f->flags & (CALLS_BARE | CALLS_OPEN | CALLS_KNOWN_NAMES);
}

int answer_grammar(const struct answer_rules *rules, struct grammar **ret, bool *ret_calls,
                   struct error *err)
{
    const struct call_format *f = rules->dialect->calls;
    bool may = rules->tools->choice == TOOLS_AUTO && is_free(rules);
    *ret_calls = false;
    if (rules->tools->choice == TOOLS_NONE && is_free(rules))
        return 0;
    if (may && has_no_mark(f))
        return 0;
    struct grammar_builder *b = grammar_builder_new();
    gexpr root = with_reasoning(rules, b, body(rules, b, ret_calls));
    int r = grammar_build(b, root, ret, err);
    grammar_builder_free(b);
    if (r < 0 && may && r != -ERR_NOMEM && !rules->tools->strict) {
        /* Nobody asked for it: calls are read as they come, and checked then. */
        *ret_calls = false;
        return 0;
    }
    if (r == -ERR_UNSUPPORTED || r == -ERR_TOO_LARGE)
        r = error_recode(err, ERR_INVALID); /* it is the request that should change */
    return r;
}
