/* SPDX-License-Identifier: Apache-2.0
 *
 * Grammars: building them. */
#include "engine/grammar/grammar.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "engine/grammar/expr.h"
#include "engine/grammar/gbnf.h"
#include "engine/grammar/grammar_internal.h"
#include "engine/grammar/schema.h"

struct grammar_builder {
    struct nfa nfa;
    struct exprs x;
    struct error err; /* the first one */
};

struct grammar_builder *grammar_builder_new(void)
{
    struct grammar_builder *b = xcalloc(1, sizeof(*b));
    exprs_init(&b->x);
    return b;
}

void grammar_builder_free(struct grammar_builder *b)
{
    if (!b)
        return;
    nfa_release(&b->nfa);
    exprs_release(&b->x);
    free(b);
}

gexpr gexpr_literal(struct grammar_builder *b, struct str text)
{
    return expr_bytes(&b->x, text);
}

static gexpr marked(struct grammar_builder *b, struct str text)
{
    char *bytes = xmalloc(text.len + 2);
    bytes[0] = bytes[text.len + 1] = '\xff';
    memcpy(bytes + 1, text.ptr, text.len);
    gexpr e = expr_bytes(&b->x, str_make(bytes, text.len + 2));
    free(bytes);
    return e;
}

gexpr gexpr_special(struct grammar_builder *b, struct str text)
{
    gexpr both[2] = {gexpr_literal(b, text), marked(b, text)};
    return expr_list(&b->x, EXPR_ALT, both, 2);
}

/* A rule as an expression; after an error one that no text fits. */
static gexpr rule_expr(struct grammar_builder *b, int r, uint32_t rule, const struct error *err)
{
    if (r < 0 && b->err.code == ERR_NONE)
        b->err = *err;
    gexpr e = expr_new(&b->x, r < 0 ? EXPR_NONE : EXPR_RULE);
    b->x.list[e].rule = rule;
    return e;
}

gexpr gexpr_schema(struct grammar_builder *b, const struct json *schema, const char *what)
{
    struct error err = ERROR_INIT;
    uint32_t rule = 0;
    int r = schema_compile(schema, what, &b->nfa, &rule, &err);
    return rule_expr(b, r, rule, &err);
}

gexpr gexpr_gbnf(struct grammar_builder *b, struct str text)
{
    struct error err = ERROR_INIT;
    uint32_t rule = 0;
    int r = gbnf_compile(text, &b->nfa, &rule, &err);
    return rule_expr(b, r, rule, &err);
}

gexpr gexpr_seq(struct grammar_builder *b, const gexpr *items, size_t n)
{
    return expr_list(&b->x, EXPR_SEQ, items, n);
}

gexpr gexpr_alt(struct grammar_builder *b, const gexpr *items, size_t n)
{
    return expr_list(&b->x, EXPR_ALT, items, n);
}

gexpr gexpr_repeat(struct grammar_builder *b, gexpr item, uint32_t min, uint32_t max)
{
    if (b->err.code == ERR_NONE &&
        (min > EXPR_REPEAT_MAX || (max != NFA_NO_LIMIT && (max > EXPR_REPEAT_MAX || max < min))))
        error_set(&b->err, ERR_INVALID, "a repetition of %u to %u is not possible", min, max);
    return expr_repeat(&b->x, item, MIN(min, (uint32_t)EXPR_REPEAT_MAX), max);
}

static gexpr triggered(struct grammar_builder *b, enum expr_kind kind, const struct str *triggers,
                       size_t n, size_t n_ends)
{
    gexpr e = expr_new(&b->x, kind);
    b->x.list[e].n_ends = 2 * (uint32_t)n_ends; /* each in two forms */
    for (size_t i = 0; i < n; i++) {
        if (triggers[i].len == 0) {
            if (b->err.code == ERR_NONE)
                error_set(&b->err, ERR_INVALID, "an empty trigger");
            continue;
        }
        expr_push(&b->x, e, gexpr_literal(b, triggers[i]));
        expr_push(&b->x, e, marked(b, triggers[i]));
    }
    return e;
}

gexpr gexpr_until(struct grammar_builder *b, const struct str *triggers, size_t n)
{
    return triggered(b, EXPR_UNTIL, triggers, n, n);
}

gexpr gexpr_until_first(struct grammar_builder *b, const struct str *triggers, size_t n)
{
    return triggered(b, EXPR_UNTIL, triggers, n, 1);
}

gexpr gexpr_free(struct grammar_builder *b, const struct str *triggers, size_t n)
{
    return triggered(b, EXPR_FREE, triggers, n, 0);
}

int grammar_build(struct grammar_builder *b, gexpr root, struct grammar **ret, struct error *err)
{
    if (b->err.code != ERR_NONE)
        return error_copy(err, &b->err);
    if (b->x.list[root].depth > EXPR_DEPTH_MAX)
        return error_set(err, ERR_TOO_LARGE, "expressions are nested too deeply");
    uint32_t rule = nfa_rule(&b->nfa);
    int r = nfa_check(&b->nfa, err);
    if (r < 0)
        return r;
    struct nfa_rule whole = b->nfa.rules[rule];
    expr_add_to(&b->x, root, &b->nfa, whole.start, whole.end, false);
    struct program program;
    r = program_build(&b->nfa, rule, &program, err);
    if (r < 0)
        return r;
    struct grammar *g = xcalloc(1, sizeof(*g));
    atomic_init(&g->refs, 1);
    g->program = program;
    pthread_mutex_init(&g->lock, NULL);
    *ret = g;
    return 0;
}

int grammar_from_schema(const struct json *schema, struct grammar **ret, struct error *err)
{
    struct grammar_builder *b = grammar_builder_new();
    int r = grammar_build(b, gexpr_schema(b, schema, ""), ret, err);
    grammar_builder_free(b);
    return r;
}

int grammar_from_gbnf(struct str text, struct grammar **ret, struct error *err)
{
    struct grammar_builder *b = grammar_builder_new();
    int r = grammar_build(b, gexpr_gbnf(b, text), ret, err);
    grammar_builder_free(b);
    return r;
}

struct grammar *grammar_ref(struct grammar *g)
{
    atomic_fetch_add(&g->refs, 1);
    return g;
}

void grammar_unref(struct grammar *g)
{
    if (!g || atomic_fetch_sub_explicit(&g->refs, 1, memory_order_acq_rel) != 1)
        return;
    grammar_masks_release(g);
    pthread_mutex_destroy(&g->lock);
    program_release(&g->program);
    free(g);
}

uint32_t grammar_n_states(const struct grammar *g)
{
    return g->program.n_states;
}
