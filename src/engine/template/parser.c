/* SPDX-License-Identifier: Apache-2.0
 *
 * Statements: text, {{ output }} and the tags. */
#include "engine/template/parser.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- helpers for both halves ---- */

struct node *parse_fail(struct parser *p, uint32_t line, const char *fmt, ...)
{
    if (p->failed)
        return NULL;
    p->failed = true;
    char msg[ERROR_MSG_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(msg, sizeof(msg), fmt, args);
    va_end(args);
    template__syntax_error(p->err, line, "%s", msg);
    return NULL;
}

void *parse_nomem(struct parser *p)
{
    if (!p->failed)
        error_set(p->err, ERR_NOMEM, "out of memory for the chat template");
    p->failed = true;
    return NULL;
}

bool parse_enter(struct parser *p)
{
    if (++p->depth > TEMPLATE_MAX_HEIGHT)
        parse_fail(p, p->tok->line, "nested deeper than %d levels", TEMPLATE_MAX_HEIGHT);
    return !p->failed;
}

void parse_leave(struct parser *p)
{
    p->depth--;
}

struct node *node_new(struct parser *p, enum node_kind kind, uint32_t line)
{
    struct node *n = pool_alloc(p->pool, 1, sizeof(*n));
    if (!n)
        return parse_nomem(p);
    n->kind = kind;
    n->line = line;
    n->height = 1;
    return n;
}

struct node *node_above(struct parser *p, struct node *parent, const struct node *child)
{
    if (child && parent->height <= child->height)
        parent->height = (uint16_t)(child->height + 1);
    if (parent->height > TEMPLATE_MAX_HEIGHT)
        return parse_fail(p, parent->line, "nested deeper than %d levels", TEMPLATE_MAX_HEIGHT);
    return parent;
}

bool node_list_push(struct pool *p, struct node_list *l, struct node *n)
{
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 4;
        struct node **items = pool_alloc(p, cap, sizeof(struct node *));
        if (!items)
            return false;
        if (l->n)
            memcpy(items, l->items, l->n * sizeof(struct node *));
        l->items = items;
        l->cap = cap;
    }
    l->items[l->n++] = n;
    return true;
}

bool node_add(struct parser *p, struct node *parent, struct node_list *l, struct node *child)
{
    if (!node_list_push(p->pool, l, child))
        return parse_nomem(p) != NULL;
    return node_above(p, parent, child) != NULL;
}

bool is_name(const struct parser *p, const char *name)
{
    return p->tok->kind == T_NAME && str_eq_c(p->tok->text, name);
}

bool skip_name(struct parser *p, const char *name)
{
    if (!is_name(p, name))
        return false;
    p->tok++;
    return true;
}

bool skip_token(struct parser *p, enum token_kind kind)
{
    if (p->tok->kind != kind)
        return false;
    p->tok++;
    return true;
}

bool expect(struct parser *p, enum token_kind kind, const char *what)
{
    if (p->tok->kind == kind) {
        if (kind != T_EOF)
            p->tok++;
        return true;
    }
    char got[80];
    token_describe(p->tok, got, sizeof(got));
    parse_fail(p, p->tok->line, "expected %s, got %s", what, got);
    return false;
}

bool expect_name(struct parser *p, struct str *ret)
{
    if (p->tok->kind == T_NAME)
        *ret = p->tok->text;
    return expect(p, T_NAME, "a name");
}

/* ---- bodies ---- */

static struct node *parse_statement(struct parser *p);

/* Does the block tag here end the body? `ends` is a list of names ended by NULL. */
static bool at_end_tag(const struct parser *p, const char *const *ends)
{
    for (; ends && *ends; ends++)
        if (is_name(p, *ends))
            return true;
    return false;
}

static bool add_output(struct parser *p, struct node *parent, struct node_list *body,
                       struct node **output, struct node *item)
{
    if (!item)
        return false;
    if (!*output) {
        *output = node_new(p, N_OUTPUT, item->line);
        if (!*output || !node_list_push(p->pool, body, *output))
            return parse_nomem(p) != NULL;
    }
    if (!node_add(p, *output, &(*output)->list, item))
        return false;
    return !parent || node_above(p, parent, *output);
}

/* Everything up to a block tag whose name is in `ends` (which is then the current token), or to the
 * end of the template when `ends` is NULL. `parent` may be NULL. */
static bool parse_body(struct parser *p, struct node *parent, struct node_list *body,
                       const char *const *ends)
{
    struct node *output = NULL; /* collects neighbouring text and {{ }} */
    while (!p->failed) {
        const struct token *t = p->tok;
        if (t->kind == T_EOF) {
            if (ends)
                parse_fail(p, t->line, "the template ends where '%s' is expected", ends[0]);
            return !p->failed;
        }
        p->tok++;
        struct node *n;
        switch (t->kind) {
        case T_DATA:
            n = node_new(p, N_DATA, t->line);
            if (n)
                n->text = t->text;
            if (!add_output(p, parent, body, &output, n))
                return false;
            break;
        case T_VARIABLE_BEGIN:
            n = parse_tuple(p, true, NULL, false);
            if (!n || !expect(p, T_VARIABLE_END, "'}}'") ||
                !add_output(p, parent, body, &output, n))
                return false;
            break;
        default: /* T_BLOCK_BEGIN: the lexer gives nothing else here */
            output = NULL;
            if (at_end_tag(p, ends))
                return true;
            n = parse_statement(p);
            if (!n || !expect(p, T_BLOCK_END, "'%}'") || !node_list_push(p->pool, body, n))
                return false;
            if (parent && !node_above(p, parent, n))
                return false;
            break;
        }
    }
    return false;
}

/* The rest of the opening tag, the body, and the closing tag's name. */
static bool parse_block_body(struct parser *p, struct node *parent, struct node_list *body,
                             const char *end)
{
    const char *const ends[] = {end, NULL};
    skip_token(p, T_COLON);
    if (!expect(p, T_BLOCK_END, "'%}'") || !parse_enter(p))
        return false;
    bool ok = parse_body(p, parent, body, ends);
    parse_leave(p);
    p->tok += ok;
    return ok;
}

/* ---- tags; the current token is behind the tag's name ---- */

static bool names_loop(const struct node *target)
{
    if (target->kind == N_NAME)
        return str_eq_c(target->name.name, "loop");
    for (size_t i = 0; target->kind == N_TUPLE && i < target->list.n; i++)
        if (names_loop(target->list.items[i]))
            return true;
    return false;
}

static struct node *parse_for(struct parser *p, uint32_t line)
{
    static const char *const ends[] = {"endfor", "else", NULL};
    struct node *n = node_new(p, N_FOR, line);
    struct node *target = n ? parse_assign_target(p, "in", false) : NULL;
    if (!target)
        return NULL;
    if (names_loop(target))
        return parse_fail(p, line, "can't assign to the special variable 'loop'");
    if (!is_name(p, "in"))
        return expect(p, T_EOF, "'in'") ? n : NULL;
    p->tok++;
    n->loop.target = target;
    n->loop.iter = parse_tuple(p, false, "recursive", false);
    if (!n->loop.iter)
        return NULL;
    if (skip_name(p, "if") && !(n->loop.test = parse_expression(p, true)))
        return NULL;
    n->loop.recursive = skip_name(p, "recursive");
    if (!node_above(p, n, n->loop.iter) || !node_above(p, n, n->loop.test))
        return NULL;
    skip_token(p, T_COLON);
    if (!expect(p, T_BLOCK_END, "'%}'") || !parse_enter(p))
        return NULL;
    p->loops++;
    bool ok = parse_body(p, n, &n->loop.body, ends);
    p->loops--;
    parse_leave(p);
    if (!ok)
        return NULL;
    bool has_else = is_name(p, "else");
    p->tok++;
    return !has_else || parse_block_body(p, n, &n->loop.otherwise, "endfor") ? n : NULL;
}

static struct node *parse_if(struct parser *p, uint32_t line)
{
    static const char *const ends[] = {"endif", "elif", "else", NULL};
    struct node *n = node_new(p, N_IF, line);
    while (n) {
        struct node *test = parse_tuple(p, false, NULL, false);
        size_t old_cap = n->cases.tests.cap;
        if (!test || !node_add(p, n, &n->cases.tests, test))
            return NULL;
        if (n->cases.tests.cap != old_cap) {
            struct node_list *bodies = pool_alloc(p->pool, n->cases.tests.cap, sizeof(*bodies));
            if (!bodies)
                return parse_nomem(p);
            if (n->cases.tests.n > 1)
                memcpy(bodies, n->cases.bodies, (n->cases.tests.n - 1) * sizeof(*bodies));
            n->cases.bodies = bodies;
        }
        skip_token(p, T_COLON);
        if (!expect(p, T_BLOCK_END, "'%}'") || !parse_enter(p))
            return NULL;
        bool ok = parse_body(p, n, &n->cases.bodies[n->cases.tests.n - 1], ends);
        parse_leave(p);
        if (!ok)
            return NULL;
        if (skip_name(p, "elif"))
            continue;
        bool has_else = is_name(p, "else");
        p->tok++;
        return !has_else || parse_block_body(p, n, &n->cases.otherwise, "endif") ? n : NULL;
    }
    return NULL;
}

static struct node *parse_set(struct parser *p, uint32_t line)
{
    struct node *target = parse_assign_target(p, NULL, true);
    if (!target)
        return NULL;
    if (p->loops && names_loop(target))
        return parse_fail(p, line, "can't assign to the special variable 'loop' inside a loop");
    struct node *n = node_new(p, skip_token(p, T_ASSIGN) ? N_SET : N_SETBLOCK, line);
    if (!n || !node_above(p, n, target))
        return NULL;
    if (n->kind == N_SET) {
        n->set.target = target;
        n->set.value = parse_tuple(p, true, NULL, false);
        return n->set.value ? node_above(p, n, n->set.value) : NULL;
    }
    n->block.target = target;
    n->block.filter = parse_filter_chain(p, NULL, false);
    if (p->failed || !node_above(p, n, n->block.filter))
        return NULL;
    return parse_block_body(p, n, &n->block.body, "endset") ? n : NULL;
}

static struct node *parse_with(struct parser *p, uint32_t line)
{
    struct node *n = node_new(p, N_WITH, line);
    while (n && p->tok->kind != T_BLOCK_END) {
        if (n->block.targets.n > 0 && !expect(p, T_COMMA, "','"))
            return NULL;
        struct node *target = parse_assign_target(p, NULL, false);
        if (!target || !expect(p, T_ASSIGN, "'='"))
            return NULL;
        struct node *value = parse_expression(p, true);
        if (!value || !node_add(p, n, &n->block.targets, target) ||
            !node_add(p, n, &n->block.values, value))
            return NULL;
    }
    return n && parse_block_body(p, n, &n->block.body, "endwith") ? n : NULL;
}

/* "(a, b=1)": parameters of a macro or a call block */
static bool parse_signature(struct parser *p, struct node *n, struct macro_node *m)
{
    if (!expect(p, T_LPAREN, "'('"))
        return false;
    while (p->tok->kind != T_RPAREN) {
        if (m->params.n > 0 && !expect(p, T_COMMA, "','"))
            return false;
        struct node *param = parse_name_target(p);
        if (!param || !node_add(p, n, &m->params, param))
            return false;
        param->name.is_param = true;
        m->explicit_caller |= str_eq_c(param->name.name, "caller");
        if (skip_token(p, T_ASSIGN)) {
            struct node *value = parse_expression(p, true);
            if (!value || !node_add(p, n, &m->defaults, value))
                return false;
        } else if (m->defaults.n > 0) {
            return parse_fail(p, n->line, "a parameter without a default follows one with");
        }
    }
    p->tok++;
    return true;
}

static bool parse_macro_body(struct parser *p, struct node *n, struct macro_node *m,
                             const char *end)
{
    struct macro_frame frame = {.macro = m, .outer = p->macros};
    int loops = p->loops;
    p->macros = &frame;
    p->loops = 0;
    bool ok = parse_block_body(p, n, &m->body, end);
    p->macros = frame.outer;
    p->loops = loops;
    if (!ok)
        return false;
    for (size_t i = 0; i < m->params.n; i++) {
        struct str name = m->params.items[i]->name.name;
        if (str_eq_c(name, "kwargs"))
            m->uses_kwargs = false;
        if (str_eq_c(name, "varargs"))
            m->uses_varargs = false;
        if (str_eq_c(name, "caller") && m->uses_caller && i + m->defaults.n < m->params.n)
            return parse_fail(p, n->line, "the parameter 'caller' must have a default");
    }
    return true;
}

static struct node *node_macro(struct parser *p, enum node_kind kind, uint32_t line)
{
    struct node *n = node_new(p, kind, line);
    if (!n)
        return NULL;
    n->macro.macro = pool_alloc(p->pool, 1, sizeof(*n->macro.macro));
    return n->macro.macro ? n : parse_nomem(p);
}

static struct node *parse_macro(struct parser *p, uint32_t line)
{
    struct node *n = node_macro(p, N_MACRO, line);
    if (!n || !expect_name(p, &n->macro.macro->name) || !parse_signature(p, n, n->macro.macro))
        return NULL;
    return parse_macro_body(p, n, n->macro.macro, "endmacro") ? n : NULL;
}

static struct node *parse_call_block(struct parser *p, uint32_t line)
{
    struct node *n = node_macro(p, N_CALLBLOCK, line);
    if (!n || (p->tok->kind == T_LPAREN && !parse_signature(p, n, n->macro.macro)))
        return NULL;
    n->macro.call = parse_expression(p, true);
    if (!n->macro.call)
        return NULL;
    if (n->macro.call->kind != N_CALL)
        return parse_fail(p, line, "expected a call after 'call'");
    if (!node_above(p, n, n->macro.call))
        return NULL;
    return parse_macro_body(p, n, n->macro.macro, "endcall") ? n : NULL;
}

static struct node *parse_filter_block(struct parser *p, uint32_t line)
{
    struct node *n = node_new(p, N_FILTERBLOCK, line);
    if (!n)
        return NULL;
    n->block.filter = parse_filter_chain(p, NULL, true);
    if (!n->block.filter || !node_above(p, n, n->block.filter))
        return NULL;
    return parse_block_body(p, n, &n->block.body, "endfilter") ? n : NULL;
}

/* {% generation %}: Hugging Face's mark around what the model wrote; its body as it is. */
static struct node *parse_generation(struct parser *p, uint32_t line)
{
    struct node *n = node_new(p, N_SCOPE, line);
    return n && parse_block_body(p, n, &n->block.body, "endgeneration") ? n : NULL;
}

static struct node *parse_autoescape(struct parser *p, uint32_t line)
{
    struct node *n = node_new(p, N_SCOPE, line);
    struct node *on = parse_expression(p, true);
    if (!n || !on)
        return NULL;
    if (on->kind != N_CONST || value_truth(on->constant))
        return parse_fail(p, line, "'autoescape' can only be turned off");
    return parse_block_body(p, n, &n->block.body, "endautoescape") ? n : NULL;
}

static struct node *parse_block(struct parser *p, uint32_t line)
{
    struct node *n = node_new(p, N_BLOCK, line);
    struct str name;
    if (!n || !expect_name(p, &name))
        return NULL;
    skip_name(p, "scoped");
    skip_name(p, "required");
    int loops = p->loops;
    p->loops = 0;
    bool ok = parse_block_body(p, n, &n->block.body, "endblock");
    p->loops = loops;
    if (!ok)
        return NULL;
    if (p->tok->kind == T_NAME && str_eq(p->tok->text, name))
        p->tok++;
    return n;
}

static struct node *parse_print(struct parser *p, uint32_t line)
{
    struct node *n = node_new(p, N_OUTPUT, line);
    while (n && p->tok->kind != T_BLOCK_END) {
        if (n->list.n > 0 && !expect(p, T_COMMA, "','"))
            return NULL;
        struct node *item = parse_expression(p, true);
        if (!item || !node_add(p, n, &n->list, item))
            return NULL;
    }
    return n;
}

static struct node *parse_loop_control(struct parser *p, uint32_t line)
{
    bool is_break = str_eq_c(p->tok[-1].text, "break");
    if (p->loops == 0)
        return parse_fail(p, line, "'%s' outside of a loop", is_break ? "break" : "continue");
    return node_new(p, is_break ? N_BREAK : N_CONTINUE, line);
}

/* {% include %} and its kind reach for other templates: an error only when it runs. */
static struct node *parse_unsupported(struct parser *p, uint32_t line)
{
    struct node *n = node_new(p, N_UNSUPPORTED, line);
    if (!n)
        return NULL;
    n->text = p->tok[-1].text;
    while (p->tok->kind != T_BLOCK_END && p->tok->kind != T_EOF)
        p->tok++;
    return n;
}

static const struct {
    const char *name;
    struct node *(*parse)(struct parser *p, uint32_t line);
} tags[] = {
    {"for", parse_for}, {"if", parse_if}, {"set", parse_set}, {"with", parse_with},
    {"macro", parse_macro}, {"call", parse_call_block}, {"filter", parse_filter_block},
    {"generation", parse_generation}, {"autoescape", parse_autoescape}, {"block", parse_block},
    {"print", parse_print}, {"break", parse_loop_control}, {"continue", parse_loop_control},
    {"include", parse_unsupported}, {"import", parse_unsupported}, {"from", parse_unsupported},
    {"extends", parse_unsupported},
};

static struct node *parse_statement(struct parser *p)
{
    uint32_t line = p->tok->line;
    struct str name;
    if (!expect_name(p, &name))
        return NULL;
    for (size_t i = 0; i < ARRAY_LEN(tags); i++)
        if (str_eq_c(name, tags[i].name))
            return tags[i].parse(p, line);
    return parse_fail(p, line, "unknown or misplaced tag '%.*s'", STR_ARG(name));
}

int template__parse_source(struct template *t, struct error *err)
{
    struct tokens tokens;
    int r = template__lex(t->source, &t->pool, &tokens, err);
    if (r < 0)
        return r;
    struct parser p = {.t = t, .pool = &t->pool, .tok = tokens.items, .err = err};
    parse_body(&p, NULL, &t->body, NULL);
    free(tokens.items);
    return p.failed ? -(int)(err ? err->code : ERR_INVALID) : 0;
}
