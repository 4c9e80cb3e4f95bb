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

/* What begins calls, the usual form first. */
static size_t all_triggers(const struct call_format *f, struct str *ret)
{
    ret[0] = call_trigger(f);
    return 1 + call_other_triggers(f, ret + 1);
}

/* Free text, and where it calls, calls: *ret_sure says whether the parser may rely on it. Unless
 * it must, the other forms of a beginning stay possible, and are not held to any rules. */
static gexpr free_or_calls(const struct answer_rules *r, struct grammar_builder *b, bool *ret_sure)
{
    const struct call_format *f = r->dialect->calls;
    struct str triggers[1 + CALL_FORMS];
    size_t n = all_triggers(f, triggers);
    if (!r->tools->strict) {
        *ret_sure = !f->begin[1];
        n = 1;
    }
    gexpr tail = call_sections(b, f, r->tools, true);
    return either(b, gexpr_free(b, triggers, n), pair(b, gexpr_until_first(b, triggers, n), tail));
}

/* Can calls not be told from text until they are over? */
static bool has_no_mark(const struct call_format *f)
{
    return f->flags & (CALLS_BARE | CALLS_OPEN | CALLS_KNOWN_NAMES);
}

/* The same for families without marks: what begins like a call is one. */
static gexpr unmarked_or_calls(const struct answer_rules *r, struct grammar_builder *b)
{
    const struct call_format *f = r->dialect->calls;
    gexpr calls = call_sections(b, f, r->tools, false);
    struct str triggers[1 + CALL_FORMS];
    size_t n = all_triggers(f, triggers);
    if (f->flags & CALLS_OPEN) {
        gexpr name =
            pair(b, gexpr_literal(b, str_from(f->content_name)), gexpr_literal(b, STR("\n")));
        gexpr text = pair(b, name, gexpr_free(b, triggers, n));
        gexpr text_first = pair(b, name, gexpr_until_first(b, triggers, n));
        return either(b, text, either(b, pair(b, text_first, calls), calls));
    }
    gexpr first = gexpr_gbnf(b, STR("root ::= [^ \\t\\r\\n{\\[<] | \"<\" [^|]"));
    gexpr text = gexpr_repeat(b, pair(b, first, gexpr_free(b, triggers, n)), 0, 1);
    return pair(b, space(b), either(b, text, calls));
}

static gexpr body(const struct answer_rules *r, struct grammar_builder *b, bool *ret_sure)
{
    const struct call_format *f = r->dialect->calls;
    *ret_sure = r->tools->choice != TOOLS_NONE;
    if (r->tools->choice == TOOLS_NONE)
        return content(r, b);
    if (r->tools->choice == TOOLS_REQUIRED)
        return call_sections(b, f, r->tools, false);
    if (is_free(r) && has_no_mark(f))
        return unmarked_or_calls(r, b);
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
    struct str ends[2 + CALL_FORMS] = {str_from(f->close)};
    size_t n = 1; /* a call would end it, too, wherever it must not */
    if (r->tools->strict && r->tools->choice != TOOLS_NONE && !harmony)
        n += all_triggers(r->dialect->calls, ends + 1);
    gexpr behind = harmony ? pair(b, call_mark(b, HARMONY_START), rest) : pair(b, space(b), rest);
    gexpr inside = pair(b, gexpr_until_first(b, ends, n), behind);
    if (r->reasoning_is_open || !f->open)
        return inside;
    gexpr opened = pair(b, call_mark(b, f->open), inside);
    return either(b, rest, harmony ? opened : pair(b, space(b), opened));
}

int answer_grammar(const struct answer_rules *rules, struct grammar **ret, bool *ret_calls,
                   struct error *err)
{
    const struct call_format *f = rules->dialect->calls;
    bool may = rules->tools->choice == TOOLS_AUTO && is_free(rules);
    *ret_calls = false;
    if (rules->tools->choice == TOOLS_NONE && is_free(rules))
        return 0;
    if (may && has_no_mark(f) && !rules->tools->strict)
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
