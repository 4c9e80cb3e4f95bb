/* SPDX-License-Identifier: Apache-2.0
 *
 * Names to slots, by the rules of jinja2's compiler.
 *
 * Each scope is looked through as a whole before anything in it is bound (scan_*), stopping at
 * inner scopes. A name that is only read and that no outer scope has becomes a variable that starts
 * as the context's value. A name that is set becomes a variable of this scope that starts as a copy
 * of the outer variable (a `set` in a loop does not reach out of it) or as nothing. A name set only
 * inside an `if` starts as what it was outside. Then names are bound to the innermost variable of
 * that name, and the inner scopes follow (bind_*).
 *
 * That makes a difference that one can see: {% for i in a %}{{ x }}{% endfor %}{% set x = 1 %}
 * prints nothing, even where the context has an x, because x is a variable of the template.
 *
 * The rules are those of jinja2 3.1.6. In 3.1.2 a name that is set in an `if`, in its `elif` and in
 * its `else` starts as nothing, so that {% set x = x ~ 'a' %} in one of them fails. */
#include <string.h>

#include "engine/template/ast.h"

struct binder {
    struct template *t;
    int n_ifs; /* around the statement that is scanned, in its scope */
    struct error *err;
    bool failed;
};

static void fail_nomem(struct binder *b)
{
    if (!b->failed)
        error_set(b->err, ERR_NOMEM, "out of memory for the chat template");
    b->failed = true;
}

static struct scope *scope_new(struct binder *b, struct scope *parent, struct function *fn)
{
    struct scope *s = pool_alloc(&b->t->pool, 1, sizeof(*s));
    if (!s) {
        fail_nomem(b);
        return NULL;
    }
    s->parent = parent;
    s->fn = fn;
    return s;
}

static struct function *function_new(struct binder *b, struct function *parent)
{
    struct function *fn = pool_alloc(&b->t->pool, 1, sizeof(*fn));
    if (!fn)
        fail_nomem(b);
    else
        fn->parent = parent;
    return fn;
}

static struct symbol *scope_symbol(const struct scope *s, struct str name)
{
    for (size_t i = 0; i < s->n; i++)
        if (str_eq(s->symbols[i].name, name))
            return &s->symbols[i];
    return NULL;
}

/* The innermost variable of that name, as seen from s. */
static bool scope_find(const struct scope *s, struct str name, struct ref *ret)
{
    uint32_t up = 0;
    for (; s; s = s->parent) {
        const struct symbol *sym = scope_symbol(s, name);
        if (sym) {
            *ret = (struct ref){.up = up, .slot = sym->slot};
            return true;
        }
        up += s->parent && s->parent->fn != s->fn;
    }
    return false;
}

static struct symbol *scope_add(struct binder *b, struct scope *s, struct str name,
                                enum load_kind load)
{
    if (s->n == TEMPLATE_MAX_NAMES) {
        if (!b->failed)
            error_set(b->err, ERR_TOO_LARGE, "the chat template has more than %d variables",
                      TEMPLATE_MAX_NAMES);
        b->failed = true;
        return NULL;
    }
    if (s->n == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 8;
        struct symbol *symbols = pool_alloc(&b->t->pool, cap, sizeof(*symbols));
        if (!symbols) {
            fail_nomem(b);
            return NULL;
        }
        if (s->n)
            memcpy(symbols, s->symbols, s->n * sizeof(*symbols));
        s->symbols = symbols;
        s->cap = cap;
    }
    struct symbol *sym = &s->symbols[s->n++];
    *sym = (struct symbol){.name = name, .slot = s->fn->n_slots++, .load = load};
    return sym;
}

/* ---- first pass: which variables does this scope have? ---- */

static void declare_param(struct binder *b, struct scope *s, struct str name)
{
    struct symbol *sym = scope_symbol(s, name);
    if (!sym)
        sym = scope_add(b, s, name, LOAD_PARAM);
    if (sym) {
        sym->load = LOAD_PARAM;
        sym->stored = true;
    }
}

static void declare_load(struct binder *b, struct scope *s, struct str name)
{
    struct ref ignored;
    if (!scope_find(s, name, &ignored))
        scope_add(b, s, name, LOAD_CONTEXT);
}

/* Starts as the outer variable, or as `otherwise`. */
static void set_outer_load(struct scope *s, struct symbol *sym, enum load_kind otherwise)
{
    bool has_outer = s->parent && scope_find(s->parent, sym->name, &sym->outer);
    if (has_outer && s->parent->fn != s->fn)
        sym->outer.up++;
    sym->load = has_outer ? LOAD_ALIAS : otherwise;
}

static void declare_store(struct binder *b, struct scope *s, struct str name)
{
    struct symbol *sym = scope_symbol(s, name);
    bool is_new = !sym;
    if (!sym)
        sym = scope_add(b, s, name, LOAD_UNDEFINED);
    if (!sym)
        return;
    if (b->n_ifs > 0 && !sym->stored)
        set_outer_load(s, sym, LOAD_CONTEXT);
    else if (is_new)
        set_outer_load(s, sym, LOAD_UNDEFINED);
    sym->stored = true;
}

static void scan_expr(struct binder *b, struct scope *s, const struct node *n);

static void scan_list(struct binder *b, struct scope *s, const struct node_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        scan_expr(b, s, l->items[i]);
}

static void scan_args(struct binder *b, struct scope *s, const struct call_args *a)
{
    scan_list(b, s, &a->pos);
    scan_list(b, s, &a->kw);
    scan_expr(b, s, a->dyn_pos);
    scan_expr(b, s, a->dyn_kw);
}

/* n may be NULL. */
static void scan_expr(struct binder *b, struct scope *s, const struct node *n)
{
    if (!n || b->failed)
        return;
    switch (n->kind) {
    case N_NAME:
        if (!n->name.store)
            declare_load(b, s, n->name.name);
        else if (n->name.is_param)
            declare_param(b, s, n->name.name);
        else
            declare_store(b, s, n->name.name);
        break;
    case N_NSREF:
        declare_load(b, s, n->name.name);
        break;
    case N_TUPLE:
    case N_LIST:
    case N_CONCAT:
    case N_OUTPUT:
        scan_list(b, s, &n->list);
        break;
    case N_DICT:
        scan_list(b, s, &n->dict.keys);
        scan_list(b, s, &n->dict.values);
        break;
    case N_GETATTR:
        scan_expr(b, s, n->getattr.of);
        break;
    case N_GETITEM:
        scan_expr(b, s, n->getitem.of);
        scan_expr(b, s, n->getitem.index);
        break;
    case N_SLICE:
        scan_expr(b, s, n->slice.start);
        scan_expr(b, s, n->slice.stop);
        scan_expr(b, s, n->slice.step);
        break;
    case N_CALL:
        scan_expr(b, s, n->call.fn);
        scan_args(b, s, n->call.args);
        break;
    case N_FILTER:
    case N_TEST:
        scan_expr(b, s, n->apply.of);
        scan_args(b, s, n->apply.args);
        break;
    case N_NOT:
    case N_NEG:
    case N_POS:
    case N_BINARY:
    case N_AND:
    case N_OR:
        scan_expr(b, s, n->binary.a);
        scan_expr(b, s, n->binary.b);
        break;
    case N_COMPARE:
        scan_expr(b, s, n->compare.first);
        scan_list(b, s, &n->compare.rest);
        break;
    case N_COND:
        scan_expr(b, s, n->cond.test);
        scan_expr(b, s, n->cond.yes);
        scan_expr(b, s, n->cond.no);
        break;
    default:
        break;
    }
}

static void declare_target_params(struct binder *b, struct scope *s, const struct node *target)
{
    if (target->kind == N_NAME)
        declare_param(b, s, target->name.name);
    for (size_t i = 0; target->kind == N_TUPLE && i < target->list.n; i++)
        declare_target_params(b, s, target->list.items[i]);
}

static void scan_body(struct binder *b, struct scope *s, const struct node_list *body);

static void scan_if(struct binder *b, struct scope *s, const struct node *n)
{
    for (size_t i = 0; i < n->cases.tests.n; i++)
        scan_expr(b, s, n->cases.tests.items[i]);
    b->n_ifs++;
    for (size_t i = 0; i < n->cases.tests.n; i++)
        scan_body(b, s, &n->cases.bodies[i]);
    scan_body(b, s, &n->cases.otherwise);
    b->n_ifs--;
}

static void scan_statement(struct binder *b, struct scope *s, const struct node *n)
{
    if (b->failed)
        return;
    switch (n->kind) {
    case N_OUTPUT:
        scan_list(b, s, &n->list);
        break;
    case N_FOR:
        scan_expr(b, s, n->loop.iter);
        break;
    case N_IF:
        scan_if(b, s, n);
        break;
    case N_SET:
        scan_expr(b, s, n->set.value);
        scan_expr(b, s, n->set.target);
        break;
    case N_SETBLOCK:
        scan_expr(b, s, n->block.target);
        break;
    case N_MACRO:
        declare_store(b, s, n->macro.macro->name);
        break;
    case N_CALLBLOCK:
        scan_expr(b, s, n->macro.call);
        break;
    case N_FILTERBLOCK:
        scan_expr(b, s, n->block.filter);
        break;
    case N_WITH:
        scan_list(b, s, &n->block.values);
        break;
    default:
        break;
    }
}

static void scan_body(struct binder *b, struct scope *s, const struct node_list *body)
{
    for (size_t i = 0; i < body->n; i++)
        scan_statement(b, s, body->items[i]);
}

/* ---- second pass: names to variables, inner scopes ---- */

static void bind_expr(struct binder *b, struct scope *s, struct node *n);
static void bind_body(struct binder *b, struct scope *s, const struct node_list *body);

static void bind_list(struct binder *b, struct scope *s, const struct node_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        bind_expr(b, s, l->items[i]);
}

static void bind_args(struct binder *b, struct scope *s, const struct call_args *a)
{
    bind_list(b, s, &a->pos);
    bind_list(b, s, &a->kw);
    bind_expr(b, s, a->dyn_pos);
    bind_expr(b, s, a->dyn_kw);
}

static void bind_name(struct binder *b, struct scope *s, struct node *n)
{
    if (!scope_find(s, n->name.name, &n->name.ref)) {
        /* Every name has been scanned; kept so that a gap there cannot become a wild slot. */
        struct symbol *sym = scope_add(b, s, n->name.name, LOAD_CONTEXT);
        if (sym)
            n->name.ref = (struct ref){.slot = sym->slot};
    }
    n->name.top_level = s == b->t->scope;
}

/* n may be NULL. */
static void bind_expr(struct binder *b, struct scope *s, struct node *n)
{
    if (!n || b->failed)
        return;
    switch (n->kind) {
    case N_NAME:
    case N_NSREF:
        bind_name(b, s, n);
        break;
    case N_TUPLE:
    case N_LIST:
    case N_CONCAT:
    case N_OUTPUT:
        bind_list(b, s, &n->list);
        break;
    case N_DICT:
        bind_list(b, s, &n->dict.keys);
        bind_list(b, s, &n->dict.values);
        break;
    case N_GETATTR:
        bind_expr(b, s, n->getattr.of);
        break;
    case N_GETITEM:
        bind_expr(b, s, n->getitem.of);
        bind_expr(b, s, n->getitem.index);
        break;
    case N_SLICE:
        bind_expr(b, s, n->slice.start);
        bind_expr(b, s, n->slice.stop);
        bind_expr(b, s, n->slice.step);
        break;
    case N_CALL:
        bind_expr(b, s, n->call.fn);
        bind_args(b, s, n->call.args);
        break;
    case N_FILTER:
    case N_TEST:
        bind_expr(b, s, n->apply.of);
        bind_args(b, s, n->apply.args);
        break;
    case N_NOT:
    case N_NEG:
    case N_POS:
    case N_BINARY:
    case N_AND:
    case N_OR:
        bind_expr(b, s, n->binary.a);
        bind_expr(b, s, n->binary.b);
        break;
    case N_COMPARE:
        bind_expr(b, s, n->compare.first);
        bind_list(b, s, &n->compare.rest);
        break;
    case N_COND:
        bind_expr(b, s, n->cond.test);
        bind_expr(b, s, n->cond.yes);
        bind_expr(b, s, n->cond.no);
        break;
    default:
        break;
    }
}

static struct node *clone_target(struct binder *b, const struct node *target)
{
    struct node *n = pool_alloc(&b->t->pool, 1, sizeof(*n));
    if (!n) {
        fail_nomem(b);
        return NULL;
    }
    *n = *target;
    if (target->kind == N_TUPLE) {
        n->list = (struct node_list){0};
        for (size_t i = 0; i < target->list.n; i++) {
            struct node *part = clone_target(b, target->list.items[i]);
            if (part && !node_list_push(&b->t->pool, &n->list, part))
                fail_nomem(b);
        }
    }
    return n;
}

static void bind_for(struct binder *b, struct scope *outer, struct node *n)
{
    bind_expr(b, outer, n->loop.iter);
    struct function *fn = outer->fn;
    if (n->loop.recursive)
        fn = n->loop.fn = function_new(b, outer->fn);
    struct scope *body = n->loop.scope = fn ? scope_new(b, outer, fn) : NULL;
    if (!body)
        return;
    declare_param(b, body, STR("loop"));
    declare_target_params(b, body, n->loop.target);
    scan_body(b, body, &n->loop.body);
    const struct symbol *loop = scope_symbol(body, STR("loop"));
    if (b->failed || !loop)
        return;
    n->loop.loop_slot = loop->slot;
    bind_expr(b, body, n->loop.target);
    bind_body(b, body, &n->loop.body);
    if (n->loop.test) {
        struct scope *test = n->loop.test_scope = scope_new(b, outer, fn);
        n->loop.test_target = clone_target(b, n->loop.target);
        if (b->failed)
            return;
        declare_target_params(b, test, n->loop.test_target);
        scan_expr(b, test, n->loop.test);
        bind_expr(b, test, n->loop.test_target);
        bind_expr(b, test, n->loop.test);
    }
    if (n->loop.otherwise.n > 0) {
        struct scope *otherwise = n->loop.else_scope = scope_new(b, outer, fn);
        if (!otherwise)
            return;
        scan_body(b, otherwise, &n->loop.otherwise);
        bind_body(b, otherwise, &n->loop.otherwise);
    }
}

static uint32_t special_param(struct binder *b, struct scope *s, bool used, struct str name)
{
    if (used)
        declare_param(b, s, name);
    const struct symbol *sym = used ? scope_symbol(s, name) : NULL;
    return sym ? sym->slot : 0;
}

static void bind_macro(struct binder *b, struct scope *outer, struct node *n)
{
    struct macro_node *m = n->macro.macro;
    if (n->kind == N_MACRO) {
        scope_find(outer, m->name, &m->target);
        m->top_level = outer == b->t->scope;
    } else {
        bind_expr(b, outer, n->macro.call);
    }
    m->fn = function_new(b, outer->fn);
    struct scope *s = m->scope = m->fn ? scope_new(b, outer, m->fn) : NULL;
    if (!s)
        return;
    scan_list(b, s, &m->params);
    m->caller_slot = special_param(b, s, m->uses_caller, STR("caller"));
    m->kwargs_slot = special_param(b, s, m->uses_kwargs, STR("kwargs"));
    m->varargs_slot = special_param(b, s, m->uses_varargs, STR("varargs"));
    scan_list(b, s, &m->defaults);
    scan_body(b, s, &m->body);
    bind_list(b, s, &m->params);
    bind_list(b, s, &m->defaults);
    bind_body(b, s, &m->body);
}

/* set, filter, with, generation, block: a body in a scope of its own */
static void bind_block(struct binder *b, struct scope *outer, struct node *n)
{
    bind_expr(b, outer, n->block.target);
    bind_list(b, outer, &n->block.values);
    struct function *fn = outer->fn;
    if (n->kind == N_BLOCK) /* a block sees the context only */
        fn = n->block.fn = function_new(b, NULL);
    struct scope *s = n->block.scope =
        fn ? scope_new(b, n->kind == N_BLOCK ? NULL : outer, fn) : NULL;
    if (!s)
        return;
    for (size_t i = 0; i < n->block.targets.n; i++)
        declare_target_params(b, s, n->block.targets.items[i]);
    scan_body(b, s, &n->block.body);
    scan_expr(b, s, n->block.filter);
    bind_list(b, s, &n->block.targets);
    bind_body(b, s, &n->block.body);
    bind_expr(b, s, n->block.filter);
}

static void bind_statement(struct binder *b, struct scope *s, struct node *n)
{
    switch (n->kind) {
    case N_OUTPUT:
        bind_list(b, s, &n->list);
        break;
    case N_FOR:
        bind_for(b, s, n);
        break;
    case N_IF:
        bind_list(b, s, &n->cases.tests);
        for (size_t i = 0; i < n->cases.tests.n; i++)
            bind_body(b, s, &n->cases.bodies[i]);
        bind_body(b, s, &n->cases.otherwise);
        break;
    case N_SET:
        bind_expr(b, s, n->set.value);
        bind_expr(b, s, n->set.target);
        break;
    case N_MACRO:
    case N_CALLBLOCK:
        bind_macro(b, s, n);
        break;
    case N_SETBLOCK:
    case N_FILTERBLOCK:
    case N_WITH:
    case N_SCOPE:
    case N_BLOCK:
        bind_block(b, s, n);
        break;
    default:
        break;
    }
}

static void bind_body(struct binder *b, struct scope *s, const struct node_list *body)
{
    for (size_t i = 0; i < body->n && !b->failed; i++)
        bind_statement(b, s, body->items[i]);
}

int template__bind_names(struct template *t, struct error *err)
{
    struct binder b = {.t = t, .err = err};
    t->scope = scope_new(&b, NULL, &t->fn);
    if (t->scope) {
        scan_body(&b, t->scope, &t->body);
        bind_body(&b, t->scope, &t->body);
    }
    return b.failed ? -(int)(err ? err->code : ERR_NOMEM) : 0;
}
