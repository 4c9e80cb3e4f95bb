/* SPDX-License-Identifier: Apache-2.0
 *
 * A rendering in progress, and the evaluator's parts: expressions (eval.c), operators
 * (operators.c), calls and macros (call.c), statements (exec.c). */
#ifndef ENGINE_TEMPLATE_INTERP_H
#define ENGINE_TEMPLATE_INTERP_H

#include <time.h>

#include "engine/template/ast.h"
#include "engine/template/builtins.h"
#include "engine/template/value.h"

enum {
    RENDER_MAX_DEPTH = 800,  /* nested evaluations; a macro that calls itself takes a few a call */
    RENDER_MAX_NESTING = 300, /* of lists and dicts that are printed or compared */
    RENDER_MAX_RANGE = 100000,
};
#define RENDER_MAX_MEMORY ((size_t)256 << 20)
#define RENDER_MAX_TEXT ((size_t)64 << 20) /* of one string */
#define RENDER_MAX_STEPS ((uint64_t)30000000)

/* The variables of one running function. */
struct activation {
    struct activation *outer; /* of the function it was defined in */
    struct value slots[];
};

struct render {
    const struct template *t;
    const struct json *vars;
    struct vdict *context; /* variables of `vars` that were looked up, converted; blocks' exports */
    struct activation *act;
    struct buf *out;
    struct pool pool;      /* values */
    struct pool text_pool; /* their bytes: apart, so that the newest string can grow in place */
    uint64_t steps_left;
    int depth, nesting;
    uint32_t line;
    struct timespec now;
    uint64_t random_state;
    bool failed, raised;
    const struct template_options *o;
    struct error *err;
};

/* A macro, or the caller() of a call block, with the variables it was defined among. */
struct vmacro {
    const struct macro_node *node;
    struct activation *outer;
};

struct vfunction {
    const struct builtin *builtin;
    struct value self;
};

/* The running for loop. Items are taken one at a time, because the loop's test may depend on what
 * the body did; `last` and `nextitem` look one item ahead, `length` takes the rest. */
struct loop {
    const struct node *node;
    struct value of;
    struct iter iter;
    struct activation *act; /* where the loop's test has its variables */
    struct activation *outer; /* recursive loops: of the function around */
    struct vlist *rest;     /* items taken by `length`; NULL before */
    size_t rest_at;
    struct value before, current, after; /* after: V_MISSING = not looked at */
    bool ended;
    int64_t index0, length; /* length: -1 = unknown */
    int64_t depth0;
    struct value changed; /* arguments of the last changed(): a tuple, or V_MISSING */
};

/* Marks the rendering as failed (the first reason wins): "chat template, line N: ...". */
struct value render_fail(struct render *r, enum errc code, const char *fmt, ...) ATTR_PRINTF(3, 4);
struct value render_fail_type(struct render *r, const char *fmt, ...) ATTR_PRINTF(2, 3);

/* Uses up n steps; false (and failed) when none are left. */
bool render_steps(struct render *r, uint64_t n);

/* Memory that lives as long as the rendering; NULL (and failed) when there is no more. */
void *render_alloc(struct render *r, size_t n, size_t size) ATTR_CHECK;
char *render_bytes(struct render *r, size_t n) ATTR_CHECK;

/* A buffer for building one string. */
static inline struct buf render_buf(void) { return (struct buf)BUF_INIT(RENDER_MAX_TEXT); }

/* Every recursion of the evaluator goes through these. */
bool render_enter(struct render *r);
void render_leave(struct render *r);

/* Counts a level of nested values; false (and failed) when there are too many. Undone by
 * r->nesting--. */
bool render_nest(struct render *r);

/* ---- expressions ---- */

struct value eval(struct render *r, const struct node *n);
bool assign(struct render *r, const struct node *target, struct value v);
struct value lookup_context(struct render *r, struct str name);
/* A filter's or a set block's filter chain, with `text` where the chain begins. */
struct value eval_filter_on(struct render *r, const struct node *filter, struct value text);

/* The call of a call block, with caller=... added. */
struct value eval_call_with(struct render *r, const struct node *n, struct value caller);

/* The object's attribute (method first, then item) and item (item first, then method). */
struct value get_attr(struct render *r, struct value of, struct value name);
struct value get_item(struct render *r, struct value of, struct value index);
struct value get_slice(struct render *r, struct value of, struct value start, struct value stop,
                       struct value step);
/* "a.b.0" as the attribute arguments of filters are; an int counts as a part too. */
struct value get_path(struct render *r, struct value of, struct value path);

/* ---- operators ---- */

struct value op_binary(struct render *r, enum binary_op op, struct value a, struct value b);
struct value op_negate(struct render *r, struct value v);
bool op_compare(struct render *r, enum compare_op op, struct value a, struct value b, bool *ret);
bool op_contains(struct render *r, struct value item, struct value in, bool *ret);
struct value op_concat(struct render *r, struct value a, struct value b); /* of two strings */

/* ---- calls ---- */

struct value call_value(struct render *r, struct value fn, const struct args *args);
struct value call_filter(struct render *r, struct str name, struct value of,
                         const struct args *args);
/* 0 or 1 in *ret; false after a failure. */
bool call_test(struct render *r, struct str name, struct value of, const struct args *args,
               bool *ret);

/* ---- statements ---- */

enum flow { FLOW_NEXT, FLOW_BREAK, FLOW_CONTINUE };
enum flow exec_body(struct render *r, const struct node_list *body);
void scope_enter(struct render *r, const struct scope *s);
void scope_leave(struct render *r, const struct scope *s);
struct activation *activation_new(struct render *r, const struct function *fn,
                                  struct activation *outer);

/* ---- loops ---- */

struct value loop_attr(struct render *r, struct loop *l, struct str name);
/* False at the end or after a failure. */
bool loop_next(struct render *r, struct loop *l, struct value *ret);
struct value loop_cycle(struct render *r, const struct call *c);
struct value loop_changed(struct render *r, const struct call *c);
/* loop(items) inside a recursive loop: the body's text for them. */
struct value loop_recurse(struct render *r, struct loop *l, struct value items);

/* ---- Python's formatting ---- */

struct value format_percent(struct render *r, struct str format, struct value args, bool markup);
struct value format_braces(struct render *r, struct str format, const struct args *args);
/* format(v, spec) */
bool format_value(struct render *r, struct value v, struct str spec, struct buf *out);

struct json_style {
    bool ascii, sort_keys;
    struct str item_sep, key_sep;
    struct str indent; /* one level */
    bool pretty;
};
bool json_append(struct render *r, struct value v, const struct json_style *style, int level,
                 struct buf *out);

/* sorted(list, reverse), in place and stable, by `key` of each item; see filters_seq.c. */
typedef struct value (*sort_key_fn)(struct render *r, struct value item, const void *arg);
bool sort_list(struct render *r, struct vlist *l, sort_key_fn key, const void *arg, bool reverse);

#endif
