/* SPDX-License-Identifier: Apache-2.0
 *
 * Expressions, by recursive descent. From loose to tight, as in jinja2:
 *
 *     a if b else c
 *     or   and   not
 *     == != < <= > >= in `not in`      (chains, as in Python)
 *     + -   ~   * / // %   **          (each from left to right, ** too)
 *     unary + -
 *     a.b  a[b]  a(b)
 *     |filter  is test
 */
#include <string.h>

#include "engine/template/builtins.h"
#include "engine/template/parser.h"
#include "engine/template/unicode.h"

static struct node *parse_unary(struct parser *p, bool with_filter);
static struct node *parse_primary(struct parser *p);

static struct node *unexpected(struct parser *p)
{
    char what[80];
    token_describe(p->tok, what, sizeof(what));
    return parse_fail(p, p->tok->line, "unexpected %s", what);
}

static struct node *node_one(struct parser *p, enum node_kind kind, uint32_t line, struct node *a)
{
    struct node *n = a ? node_new(p, kind, line) : NULL;
    if (!n)
        return NULL;
    n->binary.a = a;
    return node_above(p, n, a);
}

static struct node *node_two(struct parser *p, enum node_kind kind, uint32_t line, struct node *a,
                             struct node *b)
{
    struct node *n = b ? node_one(p, kind, line, a) : NULL;
    if (!n)
        return NULL;
    n->binary.b = b;
    return node_above(p, n, b);
}

/* A string constant. The characters are counted now: constants are shared between threads. */
static bool const_str(struct parser *p, struct str s, struct value *ret)
{
    struct vstr *v = pool_alloc(p->pool, 1, sizeof(*v));
    if (!v) {
        parse_nomem(p);
        return false;
    }
    *v = (struct vstr){.s = s, .n_chars = cp_count(s)};
    *ret = (struct value){.type = V_STR, .s = v};
    return true;
}

static struct node *node_const(struct parser *p, uint32_t line, struct value v)
{
    struct node *n = node_new(p, N_CONST, line);
    if (n)
        n->constant = v;
    return n;
}

/* ---- names ---- */

static bool remember_name(struct parser *p, struct str name)
{
    struct template *t = p->t;
    for (size_t i = 0; i < t->n_names; i++)
        if (str_eq(t->names[i], name))
            return true;
    if (t->n_names == TEMPLATE_MAX_NAMES)
        return parse_fail(p, p->tok->line, "more than %d variables", TEMPLATE_MAX_NAMES);
    if (t->n_names == t->cap_names) {
        size_t cap = t->cap_names ? t->cap_names * 2 : 32;
        struct str *names = pool_alloc(p->pool, cap, sizeof(*names));
        if (!names)
            return parse_nomem(p) != NULL;
        if (t->n_names)
            memcpy(names, t->names, t->n_names * sizeof(*names));
        t->names = names;
        t->cap_names = cap;
    }
    t->names[t->n_names++] = name;
    return true;
}

static struct node *node_name(struct parser *p, uint32_t line, struct str name)
{
    struct node *n = node_new(p, N_NAME, line);
    if (!n || !remember_name(p, name))
        return NULL;
    n->name.name = name;
    for (struct macro_frame *f = p->macros; f; f = f->outer) {
        f->macro->uses_caller |= str_eq_c(name, "caller");
        f->macro->uses_kwargs |= str_eq_c(name, "kwargs");
        f->macro->uses_varargs |= str_eq_c(name, "varargs");
    }
    return n;
}

struct node *parse_name_target(struct parser *p)
{
    uint32_t line = p->tok->line;
    struct str name;
    if (!expect_name(p, &name))
        return NULL;
    struct node *n = node_new(p, N_NAME, line);
    if (!n)
        return NULL;
    n->name.name = name;
    n->name.store = true;
    return n;
}

static struct node *parse_target_part(struct parser *p, bool with_namespace)
{
    static const char *const constants[] = {"true", "false", "none", "True", "False", "None"};
    if (p->tok->kind == T_LPAREN) {
        p->tok++;
        struct node *n = parse_assign_target(p, NULL, with_namespace);
        return n && expect(p, T_RPAREN, "')'") ? n : NULL;
    }
    if (p->tok->kind == T_NAME)
        for (size_t i = 0; i < ARRAY_LEN(constants); i++)
            if (is_name(p, constants[i]))
                return parse_fail(p, p->tok->line, "can't assign to '%s'", constants[i]);
    struct node *n = parse_name_target(p);
    if (!n || !with_namespace || !skip_token(p, T_DOT))
        return n;
    n->kind = N_NSREF;
    return expect_name(p, &n->name.attr) ? n : NULL;
}

struct node *parse_assign_target(struct parser *p, const char *end, bool with_namespace)
{
    if (!parse_enter(p))
        return NULL;
    uint32_t line = p->tok->line;
    struct node *first = parse_target_part(p, with_namespace), *tuple = first;
    if (first && p->tok->kind == T_COMMA) {
        tuple = node_new(p, N_TUPLE, line);
        if (!tuple || !node_add(p, tuple, &tuple->list, first))
            return NULL;
        while (!p->failed && skip_token(p, T_COMMA)) {
            if (p->tok->kind != T_NAME && p->tok->kind != T_LPAREN)
                break;
            if (end && is_name(p, end))
                break;
            struct node *part = parse_target_part(p, with_namespace);
            if (!part || !node_add(p, tuple, &tuple->list, part))
                return NULL;
        }
    }
    parse_leave(p);
    return p->failed ? NULL : tuple;
}

/* ---- literals ---- */

static bool tuple_ends(const struct parser *p, const char *end)
{
    return p->tok->kind == T_VARIABLE_END || p->tok->kind == T_BLOCK_END ||
           p->tok->kind == T_RPAREN || (end && is_name(p, end));
}

struct node *parse_tuple(struct parser *p, bool with_cond, const char *end, bool parenthesised)
{
    uint32_t line = p->tok->line;
    struct node *first = NULL, *tuple = NULL;
    while (!tuple_ends(p, end)) {
        struct node *item = parse_expression(p, with_cond);
        if (!item)
            return NULL;
        bool more = p->tok->kind == T_COMMA;
        if (!first)
            first = item;
        if (more && !tuple) {
            tuple = node_new(p, N_TUPLE, line);
            if (!tuple || !node_add(p, tuple, &tuple->list, first))
                return NULL;
        } else if (tuple && !node_add(p, tuple, &tuple->list, item)) {
            return NULL;
        }
        if (!more)
            break;
        p->tok++;
    }
    if (tuple)
        return tuple;
    if (first)
        return first;
    if (parenthesised)
        return node_new(p, N_TUPLE, line);
    char what[80];
    token_describe(p->tok, what, sizeof(what));
    return parse_fail(p, p->tok->line, "expected an expression, got %s", what);
}

static struct node *parse_list(struct parser *p)
{
    struct node *n = node_new(p, N_LIST, p->tok->line);
    p->tok++;
    while (n && p->tok->kind != T_RBRACKET) {
        if (n->list.n > 0 && !expect(p, T_COMMA, "','"))
            return NULL;
        if (p->tok->kind == T_RBRACKET)
            break;
        struct node *item = parse_expression(p, true);
        if (!item || !node_add(p, n, &n->list, item))
            return NULL;
    }
    return n && expect(p, T_RBRACKET, "']'") ? n : NULL;
}

static struct node *parse_dict(struct parser *p)
{
    struct node *n = node_new(p, N_DICT, p->tok->line);
    p->tok++;
    while (n && p->tok->kind != T_RBRACE) {
        if (n->dict.keys.n > 0 && !expect(p, T_COMMA, "','"))
            return NULL;
        if (p->tok->kind == T_RBRACE)
            break;
        struct node *key = parse_expression(p, true);
        if (!key || !expect(p, T_COLON, "':'"))
            return NULL;
        struct node *value = parse_expression(p, true);
        if (!value || !node_add(p, n, &n->dict.keys, key) ||
            !node_add(p, n, &n->dict.values, value))
            return NULL;
    }
    return n && expect(p, T_RBRACE, "'}'") ? n : NULL;
}

/* Strings that stand side by side are one. */
static struct node *parse_string(struct parser *p)
{
    const struct token *first = p->tok;
    size_t len = 0;
    for (; p->tok->kind == T_STRING; p->tok++)
        len += p->tok->text.len;
    struct str s = first->text;
    if (p->tok - first > 1) {
        char *joined = pool_bytes(p->pool, len);
        if (!joined)
            return parse_nomem(p);
        s = str_make(joined, len);
        for (const struct token *t = first; t < p->tok; t++) {
            if (t->text.len)
                memcpy(joined, t->text.ptr, t->text.len);
            joined += t->text.len;
        }
    }
    struct value v;
    return const_str(p, s, &v) ? node_const(p, first->line, v) : NULL;
}

static struct node *parse_name(struct parser *p)
{
    const struct token *t = p->tok++;
    if (str_eq_c(t->text, "true") || str_eq_c(t->text, "True"))
        return node_const(p, t->line, value_bool(true));
    if (str_eq_c(t->text, "false") || str_eq_c(t->text, "False"))
        return node_const(p, t->line, value_bool(false));
    if (str_eq_c(t->text, "none") || str_eq_c(t->text, "None"))
        return node_const(p, t->line, value_none());
    return node_name(p, t->line, t->text);
}

static struct node *parse_primary(struct parser *p)
{
    const struct token *t = p->tok;
    struct node *n;
    switch (t->kind) {
    case T_NAME:
        return parse_name(p);
    case T_STRING:
        return parse_string(p);
    case T_INT:
        p->tok++;
        return node_const(p, t->line, value_int(t->i));
    case T_FLOAT:
        p->tok++;
        return node_const(p, t->line, value_float(t->f));
    case T_LPAREN:
        p->tok++;
        n = parse_tuple(p, true, NULL, true);
        return n && expect(p, T_RPAREN, "')'") ? n : NULL;
    case T_LBRACKET:
        return parse_list(p);
    case T_LBRACE:
        return parse_dict(p);
    default:
        return unexpected(p);
    }
}

/* ---- calls, subscripts, filters, tests ---- */

static struct node *call_error(struct parser *p)
{
    return parse_fail(p, p->tok->line, "invalid syntax for the arguments of a call");
}

static bool parse_argument(struct parser *p, struct node *parent, struct call_args *a)
{
    if (skip_token(p, T_MUL)) {
        if (a->dyn_pos || a->dyn_kw)
            return call_error(p);
        a->dyn_pos = parse_expression(p, true);
        return node_above(p, parent, a->dyn_pos) && a->dyn_pos;
    }
    if (skip_token(p, T_POW)) {
        if (a->dyn_kw)
            return call_error(p);
        a->dyn_kw = parse_expression(p, true);
        return node_above(p, parent, a->dyn_kw) && a->dyn_kw;
    }
    if (p->tok->kind != T_NAME || p->tok[1].kind != T_ASSIGN) {
        if (a->dyn_pos || a->dyn_kw || a->kw.n > 0)
            return call_error(p);
        struct node *v = parse_expression(p, true);
        return v && node_add(p, parent, &a->pos, v);
    }
    if (a->dyn_kw)
        return call_error(p);
    struct str name = p->tok->text;
    for (size_t i = 0; i < a->kw.n; i++)
        if (str_eq(a->kw_names[i], name))
            return parse_fail(p, p->tok->line, "the keyword argument '%.*s' is repeated",
                              STR_ARG(name));
    p->tok += 2;
    struct node *v = parse_expression(p, true);
    size_t old_cap = a->kw.cap;
    if (!v || !node_add(p, parent, &a->kw, v))
        return false;
    if (a->kw.cap != old_cap) { /* the names grow with the values */
        struct str *names = pool_alloc(p->pool, a->kw.cap, sizeof(*names));
        if (!names)
            return parse_nomem(p) != NULL;
        if (a->kw.n > 1)
            memcpy(names, a->kw_names, (a->kw.n - 1) * sizeof(*names));
        a->kw_names = names;
    }
    a->kw_names[a->kw.n - 1] = name;
    return true;
}

static struct call_args *new_args(struct parser *p)
{
    struct call_args *a = pool_alloc(p->pool, 1, sizeof(*a));
    return a ? a : parse_nomem(p);
}

/* "(a, b=c, *d, **e)" */
static struct call_args *parse_call_args(struct parser *p, struct node *parent)
{
    struct call_args *a = new_args(p);
    if (!a || !expect(p, T_LPAREN, "'('"))
        return NULL;
    for (bool first = true; p->tok->kind != T_RPAREN; first = false) {
        if (!first && !expect(p, T_COMMA, "','"))
            return NULL;
        if (p->tok->kind == T_RPAREN)
            break;
        if (!parse_argument(p, parent, a))
            return NULL;
    }
    return expect(p, T_RPAREN, "')'") ? a : NULL;
}

static struct node *parse_call(struct parser *p, struct node *fn)
{
    struct node *n = node_new(p, N_CALL, p->tok->line);
    if (!n || !node_above(p, n, fn))
        return NULL;
    n->call.fn = fn;
    n->call.args = parse_call_args(p, n);
    return n->call.args ? n : NULL;
}

/* One part of what stands in [...]: an expression or a slice. */
static struct node *parse_index(struct parser *p)
{
    uint32_t line = p->tok->line;
    struct node *part[3] = {NULL, NULL, NULL};
    if (p->tok->kind != T_COLON) {
        part[0] = parse_expression(p, true);
        if (!part[0] || p->tok->kind != T_COLON)
            return part[0];
    }
    struct node *n = node_new(p, N_SLICE, line);
    for (size_t i = 1; n && i < 3 && skip_token(p, T_COLON); i++) {
        if (p->tok->kind == T_COLON || p->tok->kind == T_RBRACKET || p->tok->kind == T_COMMA)
            continue;
        part[i] = parse_expression(p, true);
        if (!part[i])
            return NULL;
    }
    if (!n)
        return NULL;
    n->slice.start = part[0];
    n->slice.stop = part[1];
    n->slice.step = part[2];
    for (size_t i = 0; i < 3; i++)
        if (!node_above(p, n, part[i]))
            return NULL;
    return n;
}

static struct node *node_getitem(struct parser *p, uint32_t line, struct node *of,
                                 struct node *index)
{
    struct node *n = index ? node_new(p, N_GETITEM, line) : NULL;
    if (!n)
        return NULL;
    n->getitem.of = of;
    n->getitem.index = index;
    return node_above(p, n, of) ? node_above(p, n, index) : NULL;
}

static struct node *parse_subscript(struct parser *p, struct node *of)
{
    const struct token *t = p->tok++;
    if (t->kind == T_DOT && p->tok->kind == T_NAME) {
        struct node *n = node_new(p, N_GETATTR, t->line);
        if (!n || !const_str(p, p->tok->text, &n->getattr.name))
            return NULL;
        p->tok++;
        n->getattr.of = of;
        return node_above(p, n, of);
    }
    if (t->kind == T_DOT) {
        if (p->tok->kind != T_INT)
            return parse_fail(p, p->tok->line, "expected a name or a number after '.'");
        int64_t i = p->tok->i;
        p->tok++;
        return node_getitem(p, t->line, of, node_const(p, t->line, value_int(i)));
    }
    struct node *index = NULL, *tuple = NULL;
    while (p->tok->kind != T_RBRACKET) {
        if (index && !expect(p, T_COMMA, "','"))
            return NULL;
        struct node *part = parse_index(p);
        if (!part)
            return NULL;
        if (index && !tuple) {
            tuple = node_new(p, N_TUPLE, t->line);
            if (!tuple || !node_add(p, tuple, &tuple->list, index))
                return NULL;
        }
        if (tuple && !node_add(p, tuple, &tuple->list, part))
            return NULL;
        index = part;
    }
    if (!index)
        return parse_fail(p, t->line, "expected an expression in '[]'");
    p->tok++;
    return node_getitem(p, t->line, of, tuple ? tuple : index);
}

static struct node *parse_postfix(struct parser *p, struct node *n)
{
    while (n) {
        if (p->tok->kind == T_DOT || p->tok->kind == T_LBRACKET)
            n = parse_subscript(p, n);
        else if (p->tok->kind == T_LPAREN)
            n = parse_call(p, n);
        else
            break;
    }
    return n;
}

/* The name of a filter or test, with its entry in the table. An unknown one is an error only when
 * it runs: templates ask `is defined` and the like before they use one. */
static bool parse_builtin_name(struct parser *p, struct node *n,
                               const struct builtin *(*find)(struct str))
{
    if (!expect_name(p, &n->apply.name))
        return false;
    while (skip_token(p, T_DOT)) { /* "a.b" is one name in jinja; none of ours has a dot */
        struct str rest;
        if (!expect_name(p, &rest))
            return false;
        n->apply.name.len = (size_t)(rest.ptr + rest.len - n->apply.name.ptr);
    }
    n->apply.builtin = find(n->apply.name);
    return true;
}

struct node *parse_filter_chain(struct parser *p, struct node *of, bool start_inline)
{
    while (start_inline || p->tok->kind == T_PIPE) {
        if (!start_inline)
            p->tok++;
        start_inline = false;
        struct node *n = node_new(p, N_FILTER, p->tok->line);
        if (!n || !node_above(p, n, of) || !parse_builtin_name(p, n, filter_find))
            return NULL;
        n->apply.of = of;
        n->apply.args = p->tok->kind == T_LPAREN ? parse_call_args(p, n) : new_args(p);
        if (!n->apply.args)
            return NULL;
        of = n;
    }
    return of;
}

static struct node *parse_test(struct parser *p, struct node *of)
{
    uint32_t line = p->tok->line;
    p->tok++;
    bool negated = skip_name(p, "not");
    struct node *n = node_new(p, N_TEST, line);
    if (!n || !node_above(p, n, of) || !parse_builtin_name(p, n, test_find))
        return NULL;
    n->apply.of = of;
    enum token_kind k = p->tok->kind;
    bool has_arg = k == T_NAME || k == T_STRING || k == T_INT || k == T_FLOAT || k == T_LBRACKET ||
                   k == T_LBRACE;
    if (k == T_LPAREN) {
        n->apply.args = parse_call_args(p, n);
    } else {
        n->apply.args = new_args(p);
        if (has_arg && !is_name(p, "else") && !is_name(p, "or") && !is_name(p, "and")) {
            if (is_name(p, "is"))
                return parse_fail(p, p->tok->line, "tests cannot be chained with 'is'");
            struct node *arg = parse_postfix(p, parse_primary(p));
            if (!arg || !n->apply.args || !node_add(p, n, &n->apply.args->pos, arg))
                return NULL;
        }
    }
    if (!n->apply.args)
        return NULL;
    return negated ? node_one(p, N_NOT, line, n) : n;
}

static struct node *parse_unary(struct parser *p, bool with_filter)
{
    if (!parse_enter(p))
        return NULL;
    struct node *n;
    uint32_t line = p->tok->line;
    if (skip_token(p, T_SUB))
        n = node_one(p, N_NEG, line, parse_unary(p, false));
    else if (skip_token(p, T_ADD))
        n = node_one(p, N_POS, line, parse_unary(p, false));
    else
        n = parse_primary(p);
    n = parse_postfix(p, n);
    while (with_filter && n) {
        if (p->tok->kind == T_PIPE)
            n = parse_filter_chain(p, n, false);
        else if (is_name(p, "is"))
            n = parse_test(p, n);
        else if (p->tok->kind == T_LPAREN)
            n = parse_call(p, n);
        else
            break;
    }
    parse_leave(p);
    return n;
}

/* ---- operators ---- */

enum { LEVEL_ADD = 1, LEVEL_CONCAT, LEVEL_MUL, LEVEL_POW };

static int operator_level(enum token_kind k)
{
    switch (k) {
    case T_ADD:
    case T_SUB:
        return LEVEL_ADD;
    case T_TILDE:
        return LEVEL_CONCAT;
    case T_MUL:
    case T_DIV:
    case T_FLOORDIV:
    case T_MOD:
        return LEVEL_MUL;
    case T_POW:
        return LEVEL_POW;
    default:
        return 0;
    }
}

static enum binary_op operator_of(enum token_kind k)
{
    switch (k) {
    case T_ADD:
        return OP_ADD;
    case T_SUB:
        return OP_SUB;
    case T_MUL:
        return OP_MUL;
    case T_DIV:
        return OP_DIV;
    case T_FLOORDIV:
        return OP_FLOORDIV;
    case T_MOD:
        return OP_MOD;
    default:
        return OP_POW;
    }
}

/* Operators of at least this level; all of them are left-associative. */
static struct node *parse_arith(struct parser *p, int level)
{
    struct node *left = parse_unary(p, true);
    struct node *concat = NULL; /* left, if it is a chain of `~` of this call */
    int found;
    while (left && (found = operator_level(p->tok->kind)) >= level && found > 0) {
        enum token_kind k = p->tok->kind;
        uint32_t line = p->tok->line;
        p->tok++;
        struct node *right = parse_arith(p, found + 1);
        if (!right)
            return NULL;
        if (k != T_TILDE) {
            left = node_two(p, N_BINARY, line, left, right);
            if (left)
                left->binary.op = operator_of(k);
            continue;
        }
        if (left != concat) {
            concat = node_new(p, N_CONCAT, line);
            if (!concat || !node_add(p, concat, &concat->list, left))
                return NULL;
            left = concat;
        }
        if (!node_add(p, concat, &concat->list, right))
            return NULL;
    }
    return left;
}

/* The comparison at the current token, skipped; false if there is none. */
static bool skip_compare_op(struct parser *p, enum compare_op *ret)
{
    static const struct {
        enum token_kind token;
        enum compare_op op;
    } ops[] = {{T_EQ, CMP_EQ}, {T_NE, CMP_NE}, {T_LT, CMP_LT},
               {T_LE, CMP_LE}, {T_GT, CMP_GT}, {T_GE, CMP_GE}};
    for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
        if (skip_token(p, ops[i].token)) {
            *ret = ops[i].op;
            return true;
        }
    }
    if (skip_name(p, "in")) {
        *ret = CMP_IN;
        return true;
    }
    if (is_name(p, "not") && p->tok[1].kind == T_NAME && str_eq_c(p->tok[1].text, "in")) {
        p->tok += 2;
        *ret = CMP_NOT_IN;
        return true;
    }
    return false;
}

static struct node *parse_compare(struct parser *p)
{
    uint32_t line = p->tok->line;
    struct node *first = parse_arith(p, LEVEL_ADD), *n = NULL;
    enum compare_op op;
    while (first && skip_compare_op(p, &op)) {
        struct node *right = parse_arith(p, LEVEL_ADD);
        if (!right)
            return NULL;
        if (!n) {
            n = node_new(p, N_COMPARE, line);
            if (!n || !node_above(p, n, first))
                return NULL;
            n->compare.first = first;
        }
        size_t old_cap = n->compare.rest.cap;
        if (!node_add(p, n, &n->compare.rest, right))
            return NULL;
        if (n->compare.rest.cap != old_cap) {
            enum compare_op *ops = pool_alloc(p->pool, n->compare.rest.cap, sizeof(*ops));
            if (!ops)
                return parse_nomem(p);
            if (n->compare.rest.n > 1)
                memcpy(ops, n->compare.ops, (n->compare.rest.n - 1) * sizeof(*ops));
            n->compare.ops = ops;
        }
        n->compare.ops[n->compare.rest.n - 1] = op;
    }
    return n ? n : first;
}

static struct node *parse_not(struct parser *p)
{
    uint32_t line = p->tok->line;
    if (!is_name(p, "not"))
        return parse_compare(p);
    if (!parse_enter(p))
        return NULL;
    p->tok++;
    struct node *n = node_one(p, N_NOT, line, parse_not(p));
    parse_leave(p);
    return n;
}

static struct node *parse_and(struct parser *p)
{
    uint32_t line = p->tok->line;
    struct node *left = parse_not(p);
    while (left && skip_name(p, "and"))
        left = node_two(p, N_AND, line, left, parse_not(p));
    return left;
}

static struct node *parse_or(struct parser *p)
{
    uint32_t line = p->tok->line;
    struct node *left = parse_and(p);
    while (left && skip_name(p, "or"))
        left = node_two(p, N_OR, line, left, parse_and(p));
    return left;
}

struct node *parse_expression(struct parser *p, bool with_cond)
{
    if (!parse_enter(p))
        return NULL;
    uint32_t line = p->tok->line;
    struct node *n = parse_or(p);
    while (with_cond && n && skip_name(p, "if")) {
        struct node *cond = node_new(p, N_COND, line);
        struct node *test = parse_or(p), *no = NULL;
        bool has_else = test && skip_name(p, "else");
        if (has_else)
            no = parse_expression(p, true);
        if (!cond || !test || (has_else && !no))
            return NULL;
        cond->cond.test = test;
        cond->cond.yes = n;
        cond->cond.no = no;
        if (!node_above(p, cond, test) || !node_above(p, cond, n) || !node_above(p, cond, no))
            return NULL;
        n = cond;
    }
    parse_leave(p);
    return n;
}
