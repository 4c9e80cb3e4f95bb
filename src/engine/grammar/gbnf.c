/* SPDX-License-Identifier: Apache-2.0
 *
 * GBNF: name ::= sequence | sequence; "text", [a-z], [^a-z], ., ( ), * + ? {m,n}, # comments.
 * A line break ends a rule, but not inside of parentheses or behind ::= and |. */
#include "engine/grammar/gbnf.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/utf8.h"
#include "engine/grammar/expr.h"

enum {
    GBNF_DEPTH_MAX = 100,
    GBNF_REPEAT_MAX = 100000,
    INLINE_NODES = 24,
    CODE_POINT_MAX = 0x10ffff
};

struct gbnf_rule {
    struct str name;
    uint32_t expr; /* 0 = not defined */
    uint32_t rule;
    size_t used_at;
};

struct gbnf {
    struct str text;
    size_t at;
    int depth;
    struct exprs x;
    struct gbnf_rule *rules;
    uint32_t n_rules;
    struct nfa *a;
    struct error *err;
};

static int bad(struct gbnf *g, const char *what)
{
    size_t line = 1;
    for (size_t i = 0; i < g->at && i < g->text.len; i++)
        line += g->text.ptr[i] == '\n';
    return error_set(g->err, ERR_INVALID, "grammar, line %zu: %s", line, what);
}

static char peek(const struct gbnf *g)
{
    return g->at < g->text.len ? g->text.ptr[g->at] : '\0';
}

static bool eat(struct gbnf *g, const char *what)
{
    struct str w = str_from(what);
    if (!str_starts_with(str_sub(g->text, g->at, SIZE_MAX), w))
        return false;
    g->at += w.len;
    return true;
}

static void skip_space(struct gbnf *g, bool lines)
{
    while (g->at < g->text.len) {
        char c = peek(g);
        if (c == '#') {
            while (g->at < g->text.len && peek(g) != '\n' && peek(g) != '\r')
                g->at++;
        } else if (c == ' ' || c == '\t' || (lines && (c == '\n' || c == '\r'))) {
            g->at++;
        } else {
            return;
        }
    }
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
}

static struct str word(struct gbnf *g)
{
    size_t begin = g->at;
    while (is_word(peek(g)))
        g->at++;
    return str_sub(g->text, begin, g->at - begin);
}

static uint32_t find_rule(struct gbnf *g, struct str name)
{
    for (uint32_t i = 0; i < g->n_rules; i++)
        if (str_eq(g->rules[i].name, name))
            return i;
    if ((g->n_rules & (g->n_rules - 1)) == 0)
        g->rules = xrealloc(g->rules, g->n_rules ? (size_t)g->n_rules * 2 : 1, sizeof(*g->rules));
    g->rules[g->n_rules] =
        (struct gbnf_rule){.name = name, .rule = nfa_rule(g->a), .used_at = g->at};
    return g->n_rules++;
}

static int hex(struct gbnf *g, int n, uint32_t *ret)
{
    uint32_t v = 0;
    for (int i = 0; i < n; i++, g->at++) {
        char c = peek(g);
        if (c >= '0' && c <= '9')
            v = v * 16 + (uint32_t)(c - '0');
        else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
            v = v * 16 + (uint32_t)((c | 0x20) - 'a' + 10);
        else
            return bad(g, "a hexadecimal digit is missing");
    }
    if (v > CODE_POINT_MAX || (v >= 0xd800 && v <= 0xdfff))
        return bad(g, "an escape that is no character");
    *ret = v;
    return 0;
}

static int character(struct gbnf *g, uint32_t *ret)
{
    if (g->at >= g->text.len)
        return bad(g, "the text ends too early");
    if (!eat(g, "\\")) {
        size_t n = utf8_decode(g->text.ptr + g->at, g->text.len - g->at, ret);
        g->at += n;
        return n == 0 ? bad(g, "no valid UTF-8") : 0;
    }
    char c = peek(g);
    g->at++;
    switch (c) {
    case 'x':
        return hex(g, 2, ret);
    case 'u':
        return hex(g, 4, ret);
    case 'U':
        return hex(g, 8, ret);
    case 't':
        *ret = '\t';
        return 0;
    case 'r':
        *ret = '\r';
        return 0;
    case 'n':
        *ret = '\n';
        return 0;
    case '\\':
    case '"':
    case '[':
    case ']':
    case '-':
    case '^':
        *ret = (uint8_t)c;
        return 0;
    default:
        return bad(g, "an unknown escape");
    }
}

static int literal(struct gbnf *g, uint32_t *ret)
{
    CLEANUP_BUF struct buf text = BUF_INIT((size_t)1 << 20);
    while (!eat(g, "\"")) {
        uint32_t cp;
        char bytes[UTF8_MAX];
        if (g->at >= g->text.len || character(g, &cp) < 0)
            return bad(g, "a string that does not end or has a wrong escape");
        buf_append_bytes(&text, bytes, utf8_encode(cp, bytes));
    }
    *ret = expr_bytes(&g->x, buf_str(&text));
    return buf_check(&text, "a string", g->err);
}

static int char_class(struct gbnf *g, uint32_t *ret)
{
    struct charset set = {0};
    bool negated = eat(g, "^");
    int r = 0;
    while (r == 0 && !eat(g, "]")) {
        uint32_t lo, hi;
        r = character(g, &lo);
        hi = lo;
        if (r == 0 && peek(g) == '-' && g->at + 1 < g->text.len && g->text.ptr[g->at + 1] != ']') {
            g->at++;
            r = character(g, &hi);
            if (r == 0 && hi < lo)
                r = bad(g, "a range that is upside down");
        }
        if (r == 0)
            charset_add(&set, lo, hi);
    }
    if (negated)
        charset_negate(&set);
    *ret = expr_new(&g->x, EXPR_SET);
    g->x.list[*ret].set = set;
    return r;
}

static int alternatives(struct gbnf *g, bool nested, uint32_t *ret);

static int group(struct gbnf *g, uint32_t *ret)
{
    if (++g->depth > GBNF_DEPTH_MAX)
        return bad(g, "groups are nested too deeply");
    skip_space(g, true);
    int r = alternatives(g, true, ret);
    g->depth--;
    return r == 0 && !eat(g, ")") ? bad(g, "a ')' is missing") : r;
}

static int item(struct gbnf *g, uint32_t *ret)
{
    if (eat(g, "\""))
        return literal(g, ret);
    if (eat(g, "["))
        return char_class(g, ret);
    if (eat(g, "("))
        return group(g, ret);
    if (eat(g, ".")) {
        *ret = expr_new(&g->x, EXPR_SET);
        charset_add(&g->x.list[*ret].set, 0, CODE_POINT_MAX);
        return 0;
    }
    if (peek(g) == '<' || peek(g) == '!')
        return error_set(g->err, ERR_UNSUPPORTED,
                         "grammar: tokens (<…>, !<…>) are not supported, write their text");
    uint32_t rule = find_rule(g, word(g));
    *ret = expr_new(&g->x, EXPR_RULE);
    g->x.list[*ret].rule = rule;
    return 0;
}

static bool number(struct gbnf *g, uint32_t *ret)
{
    size_t begin = g->at;
    uint64_t v = 0;
    for (; peek(g) >= '0' && peek(g) <= '9'; g->at++)
        v = MIN(v * 10 + (uint64_t)(peek(g) - '0'), (uint64_t)UINT32_MAX - 1);
    *ret = (uint32_t)v;
    return g->at > begin;
}

static int repetition(struct gbnf *g, bool nested, uint32_t *e)
{
    uint32_t min, max;
    if (eat(g, "*")) {
        min = 0, max = NFA_NO_LIMIT;
    } else if (eat(g, "+")) {
        min = 1, max = NFA_NO_LIMIT;
    } else if (eat(g, "?")) {
        min = 0, max = 1;
    } else if (eat(g, "{")) {
        skip_space(g, nested);
        if (!number(g, &min))
            return bad(g, "a number is missing behind '{'");
        max = min;
        skip_space(g, nested);
        if (eat(g, ",")) {
            skip_space(g, nested);
            if (!number(g, &max))
                max = NFA_NO_LIMIT;
            skip_space(g, nested);
        }
        if (!eat(g, "}"))
            return bad(g, "a '}' is missing");
        if (max < min)
            return bad(g, "the numbers of a repetition are out of order");
        if (min > GBNF_REPEAT_MAX || (max != NFA_NO_LIMIT && max > GBNF_REPEAT_MAX))
            return bad(g, "a repetition of more than 100000 is too large");
    } else {
        return 0;
    }
    *e = expr_repeat(&g->x, *e, min, max);
    skip_space(g, nested);
    return 0;
}

static int alternatives(struct gbnf *g, bool nested, uint32_t *ret)
{
    *ret = expr_new(&g->x, EXPR_ALT);
    do {
        skip_space(g, true); /* also behind a | */
        uint32_t seq = expr_new(&g->x, EXPR_SEQ);
        while ((peek(g) && strchr("\"[(.<!", peek(g))) || is_word(peek(g))) {
            uint32_t e;
            int r = item(g, &e);
            skip_space(g, nested);
            int stacked = 0; /* a** is legal, once or twice */
            while (r == 0 && peek(g) && strchr("*+?{", peek(g)))
                r = ++stacked > 8 ? bad(g, "too many repetitions of one item")
                                  : repetition(g, nested, &e);
            if (r < 0)
                return r;
            expr_push(&g->x, seq, e);
        }
        expr_push(&g->x, *ret, seq);
    } while (eat(g, "|"));
    return 0;
}

static int rule(struct gbnf *g)
{
    struct str name = word(g);
    if (name.len == 0)
        return bad(g, "the name of a rule is missing");
    uint32_t number = find_rule(g, name), e;
    skip_space(g, false);
    if (!eat(g, "::="))
        return bad(g, "a '::=' is missing");
    skip_space(g, true);
    int r = alternatives(g, false, &e);
    if (r < 0)
        return r;
    if (g->at < g->text.len && peek(g) != '\n' && peek(g) != '\r')
        return bad(g, "an unexpected character");
    r = nfa_check(g->a, g->err);
    if (r < 0)
        return r;
    g->rules[number].expr = e; /* a later definition takes the place of an earlier one */
    skip_space(g, true);
    return 0;
}

/* Rules that are short and call no other are written where they are used: then tokens do not
 * leave and enter them all the time. */
static bool *inlined_rules(const struct gbnf *g)
{
    bool *ret = xcalloc((size_t)g->n_rules + 1, sizeof(*ret));
    for (uint32_t i = 0; i < g->n_rules; i++) {
        struct nfa a = {0};
        bool calls = false;
        uint32_t from = nfa_node(&a), to = nfa_node(&a);
        expr_add_to(&g->x, g->rules[i].expr, &a, from, to, false);
        for (uint32_t e = 0; e < a.n_edges; e++)
            calls = calls || a.edges[e].kind == EDGE_CALL;
        ret[i] = !calls && !a.full && a.n_nodes <= INLINE_NODES;
        nfa_release(&a);
    }
    return ret;
}

static int compile(struct gbnf *g, uint32_t *ret)
{
    skip_space(g, true);
    int r = 0;
    while (r == 0 && g->at < g->text.len)
        r = rule(g);
    if (r < 0)
        return r;
    uint32_t n = g->n_rules, root = find_rule(g, STR("root"));
    if (root == n)
        return error_set(g->err, ERR_INVALID, "grammar: the rule 'root' is missing");
    for (uint32_t i = 0; i < n; i++)
        if (!g->rules[i].expr)
            return error_set(g->err, ERR_INVALID, "grammar: the rule '%.*s' is not defined",
                             STR_ARG(g->rules[i].name));
    bool *inlined = inlined_rules(g);
    for (uint32_t i = 0; i < g->x.n; i++) {
        struct expr *e = &g->x.list[i];
        if (e->kind != EXPR_RULE)
            continue;
        const struct gbnf_rule *called = &g->rules[e->rule];
        if (inlined[e->rule]) {
            *e = (struct expr){.kind = EXPR_SEQ};
            expr_push(&g->x, i, called->expr);
        } else {
            e->rule = called->rule;
        }
    }
    free(inlined);
    for (uint32_t i = 0; i < n; i++) {
        struct nfa_rule target = g->a->rules[g->rules[i].rule];
        expr_add_to(&g->x, g->rules[i].expr, g->a, target.start, target.end, false);
    }
    *ret = g->rules[root].rule;
    return nfa_check(g->a, g->err);
}

int gbnf_compile(struct str text, struct nfa *a, uint32_t *ret_rule, struct error *err)
{
    struct error local;
    struct gbnf g = {.text = text, .a = a, .err = err ? err : &local};
    exprs_init(&g.x);
    int r = compile(&g, ret_rule);
    exprs_release(&g.x);
    free(g.rules);
    return r;
}
