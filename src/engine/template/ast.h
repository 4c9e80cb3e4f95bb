/* SPDX-License-Identifier: Apache-2.0
 *
 * A parsed template: a tree of nodes in the template's pool, read-only after parsing.
 *
 * Names are resolved as jinja2's compiler does it. The template, each macro, each call block and
 * each recursive loop is a *function* with numbered variables (slots); loops, `with`, `set` blocks
 * and the like are *scopes* inside a function. A name becomes a (functions up, slot) pair, and a
 * scope has a list of what its variables start as when it is entered. See scope.c.
 */
#ifndef ENGINE_TEMPLATE_AST_H
#define ENGINE_TEMPLATE_AST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"
#include "engine/template/pool.h"
#include "engine/template/template.h"
#include "engine/template/value.h"

enum {
    TEMPLATE_MAX_BYTES = 2 << 20,
    TEMPLATE_MAX_NAMES = 2000, /* different variables, in all and in one scope */
    TEMPLATE_MAX_HEIGHT = 200, /* of the tree; bounds the parser's and the evaluator's recursion */
};

enum node_kind {
    /* expressions */
    N_CONST, N_NAME, N_NSREF, N_TUPLE, N_LIST, N_DICT, N_GETATTR, N_GETITEM, N_SLICE, N_CALL,
    N_FILTER, N_TEST, N_NOT, N_NEG, N_POS, N_BINARY, N_AND, N_OR, N_COMPARE, N_CONCAT, N_COND,
    /* statements */
    N_DATA, N_OUTPUT, N_FOR, N_IF, N_SET, N_SETBLOCK, N_MACRO, N_CALLBLOCK, N_FILTERBLOCK, N_WITH,
    N_SCOPE, N_BLOCK, N_BREAK, N_CONTINUE, N_UNSUPPORTED,
};

enum binary_op { OP_ADD, OP_SUB, OP_MUL, OP_DIV, OP_FLOORDIV, OP_MOD, OP_POW };
enum compare_op { CMP_EQ, CMP_NE, CMP_LT, CMP_LE, CMP_GT, CMP_GE, CMP_IN, CMP_NOT_IN };

struct node_list {
    struct node **items;
    size_t n, cap;
};

/* A variable: `up` functions out from the running one, then the slot there. */
struct ref {
    uint32_t up, slot;
};

/* What a scope's variable holds when the scope is entered. */
enum load_kind {
    LOAD_PARAM,     /* set by whoever enters */
    LOAD_CONTEXT,   /* the variable of that name in the context, or a global */
    LOAD_ALIAS,     /* what the outer variable of that name holds */
    LOAD_UNDEFINED, /* nothing yet */
};

struct symbol {
    struct str name;
    uint32_t slot;
    enum load_kind load;
    struct ref outer; /* LOAD_ALIAS */
    bool stored;
};

struct scope {
    struct scope *parent;
    struct function *fn;
    struct symbol *symbols;
    size_t n, cap;
};

struct function {
    struct function *parent;
    uint32_t n_slots;
};

struct call_args {
    struct node_list pos;
    struct str *kw_names;
    struct node_list kw;
    struct node *dyn_pos, *dyn_kw; /* *x and **x, or NULL */
};

struct builtin;

struct macro_node {
    struct str name; /* empty for a call block */
    struct node_list params; /* N_NAME, stored */
    struct node_list defaults; /* of the last parameters */
    struct node_list body;
    bool uses_caller, uses_kwargs, uses_varargs;
    bool explicit_caller; /* `caller` is among params */
    struct ref target; /* the variable that holds the macro */
    uint32_t caller_slot, kwargs_slot, varargs_slot;
    struct function *fn;
    struct scope *scope;
    bool top_level;
};

struct node {
    enum node_kind kind;
    uint16_t height;
    uint32_t line;
    union {
        struct value constant;
        struct { /* N_NAME, N_NSREF */
            struct str name;
            struct ref ref;
            struct str attr; /* N_NSREF */
            bool store, is_param, top_level;
        } name;
        struct node_list list; /* N_TUPLE, N_LIST, N_CONCAT, N_OUTPUT */
        struct { struct node_list keys, values; } dict;
        struct { struct node *of; struct value name; } getattr;
        struct { struct node *of, *index; } getitem;
        struct { struct node *start, *stop, *step; } slice; /* each may be NULL */
        struct { struct node *fn; struct call_args *args; } call;
        struct { /* N_FILTER, N_TEST */
            struct node *of; /* NULL: the text of the block */
            struct str name;
            const struct builtin *builtin; /* NULL: unknown, an error when it runs */
            struct call_args *args;
        } apply;
        /* also AND and OR; NOT, NEG and POS have a only */
        struct { struct node *a, *b; enum binary_op op; } binary;
        struct { struct node *first; struct node_list rest; enum compare_op *ops; } compare;
        struct { struct node *test, *yes, *no; } cond; /* no may be NULL */
        struct str text; /* N_DATA, N_UNSUPPORTED */
        struct {
            struct node *target, *iter;
            struct node *test, *test_target; /* test may be NULL; it has variables of its own */
            struct node_list body, otherwise;
            bool recursive;
            struct scope *scope, *test_scope, *else_scope;
            struct function *fn; /* recursive loops only */
            uint32_t loop_slot;
        } loop;
        struct { struct node_list tests, *bodies, otherwise; } cases; /* N_IF */
        struct { struct node *target, *value; } set;
        struct { /* N_SETBLOCK, N_FILTERBLOCK, N_WITH, N_SCOPE, N_BLOCK */
            struct node *target, *filter; /* filter may be NULL */
            struct node_list targets, values; /* N_WITH */
            struct node_list body;
            struct scope *scope;
            struct function *fn; /* N_BLOCK */
        } block;
        struct { struct macro_node *macro; struct node *call; } macro; /* call: N_CALLBLOCK */
    };
};

struct template {
    struct pool pool;
    struct str source; /* newlines made "\n" */
    struct node_list body;
    struct function fn;
    struct scope *scope;
    struct str *names; /* every variable that is read, once */
    size_t n_names, cap_names;
};

/* parser.c: fills t->body from t->source. */
int template__parse_source(struct template *t, struct error *err);

/* scope.c: fills in slots and scopes. */
int template__bind_names(struct template *t, struct error *err);

/* Appends to a list in the pool. False when memory is out. */
bool node_list_push(struct pool *p, struct node_list *l, struct node *n);

#endif
