/* SPDX-License-Identifier: Apache-2.0
 *
 * Statements. Text goes to r->out; what captures text (macros, set and filter blocks) puts a buffer
 * of its own there for a while. After a failure everything returns FLOW_BREAK quickly, and
 * r->failed tells. */
#include "engine/template/interp.h"

static enum flow exec(struct render *r, const struct node *n);

struct activation *activation_new(struct render *r, const struct function *fn,
                                  struct activation *outer)
{
    size_t n = sizeof(struct activation) + fn->n_slots * sizeof(struct value);
    struct activation *a = render_alloc(r, 1, n); /* cleared: V_MISSING is 0 */
    if (a)
        a->outer = outer;
    return a;
}

static struct value *outer_slot(struct render *r, struct ref ref)
{
    struct activation *a = r->act;
    for (uint32_t i = 0; i < ref.up; i++)
        a = a->outer;
    return &a->slots[ref.slot];
}

void scope_enter(struct render *r, const struct scope *s)
{
    for (size_t i = 0; i < s->n; i++) {
        const struct symbol *sym = &s->symbols[i];
        struct value *slot = &r->act->slots[sym->slot];
        switch (sym->load) {
        case LOAD_PARAM:
            break;
        case LOAD_CONTEXT:
            *slot = lookup_context(r, sym->name);
            break;
        case LOAD_ALIAS:
            *slot = *outer_slot(r, sym->outer);
            break;
        case LOAD_UNDEFINED:
            *slot = value_missing();
            break;
        }
    }
}

/* A macro defined inside may outlive the scope: it finds the variables unset, as in jinja2. */
void scope_leave(struct render *r, const struct scope *s)
{
    for (size_t i = 0; i < s->n; i++)
        r->act->slots[s->symbols[i].slot] = value_missing();
}

static enum flow flow_next(const struct render *r)
{
    return r->failed ? FLOW_BREAK : FLOW_NEXT;
}

static void exec_output(struct render *r, const struct node *n)
{
    for (size_t i = 0; i < n->list.n && !r->failed; i++) {
        const struct node *item = n->list.items[i];
        if (item->kind == N_DATA) {
            render_steps(r, 1 + item->text.len / 64);
            buf_append(r->out, item->text);
        } else {
            struct value v = eval(r, item);
            if (!is_error(v))
                value_append_str(r, v, r->out);
        }
        if (r->out->failed)
            render_fail(r, r->out->failed, "the text grows beyond %zu bytes", r->out->max);
    }
}

/* ---- for ---- */

/* Runs the body for each item. The `else` body runs when no turn came to the body's end: also when
 * the first turn ended in a `break`, as in jinja2. */
static void run_loop(struct render *r, const struct node *n, struct value of, int64_t depth0,
                     struct activation *outer)
{
    struct loop *l = render_alloc(r, 1, sizeof(*l));
    if (!l)
        return;
    *l = (struct loop){.node = n, .of = of, .act = r->act, .outer = outer, .index0 = -1,
                       .length = -1, .depth0 = depth0};
    if (!iter_start(r, of, &l->iter))
        return;
    struct value item;
    bool finished_a_turn = false;
    while (loop_next(r, l, &item)) {
        r->act->slots[n->loop.loop_slot] = (struct value){.type = V_LOOP, .loop = l};
        if (!assign(r, n->loop.target, item))
            return;
        scope_enter(r, n->loop.scope);
        enum flow f = exec_body(r, &n->loop.body);
        if (r->failed || f == FLOW_BREAK)
            break;
        finished_a_turn |= f == FLOW_NEXT;
    }
    scope_leave(r, n->loop.scope);
    if (!r->failed && !finished_a_turn && n->loop.else_scope) {
        scope_enter(r, n->loop.else_scope);
        exec_body(r, &n->loop.otherwise);
        scope_leave(r, n->loop.else_scope);
    }
}

/* A turn of a recursive loop: a function of its own, with its own variables. */
static struct value run_recursive(struct render *r, const struct node *n, struct value of,
                                  int64_t depth0, struct activation *outer)
{
    struct activation *act = activation_new(r, n->loop.fn, outer), *old_act = r->act;
    if (!act || !render_enter(r))
        return value_error();
    CLEANUP_BUF struct buf text = render_buf();
    struct buf *old_out = r->out;
    r->act = act;
    r->out = &text;
    run_loop(r, n, of, depth0, outer);
    r->act = old_act;
    r->out = old_out;
    render_leave(r);
    return value_str_buf(r, &text);
}

struct value loop_recurse(struct render *r, struct loop *l, struct value items)
{
    if (!l->node->loop.recursive)
        return render_fail_type(r, "the loop must have the 'recursive' marker to be called");
    return run_recursive(r, l->node, items, l->depth0 + 1, l->outer);
}

static enum flow exec_for(struct render *r, const struct node *n)
{
    struct value of = eval(r, n->loop.iter);
    if (is_error(of))
        return FLOW_BREAK;
    if (!n->loop.recursive) {
        run_loop(r, n, of, 0, NULL);
        return flow_next(r);
    }
    struct value text = run_recursive(r, n, of, 0, r->act);
    if (!is_error(text))
        value_append_str(r, text, r->out);
    return flow_next(r);
}

/* ---- the other tags ---- */

static enum flow exec_if(struct render *r, const struct node *n)
{
    for (size_t i = 0; i < n->cases.tests.n; i++) {
        struct value test = eval(r, n->cases.tests.items[i]);
        if (is_error(test))
            return FLOW_BREAK;
        if (value_truth(test))
            return exec_body(r, &n->cases.bodies[i]);
    }
    return exec_body(r, &n->cases.otherwise);
}

/* The text of a body in its scope. The scope stays entered: a filter may use its variables. */
static struct value capture(struct render *r, const struct node *n)
{
    CLEANUP_BUF struct buf text = render_buf();
    struct buf *old = r->out;
    r->out = &text;
    scope_enter(r, n->block.scope);
    exec_body(r, &n->block.body);
    r->out = old;
    return eval_filter_on(r, n->block.filter, value_str_buf(r, &text));
}

static enum flow exec_set_block(struct render *r, const struct node *n)
{
    struct value v = capture(r, n);
    if (!is_error(v))
        assign(r, n->block.target, v);
    scope_leave(r, n->block.scope);
    return flow_next(r);
}

static enum flow exec_filter_block(struct render *r, const struct node *n)
{
    struct value v = capture(r, n);
    if (!is_error(v))
        value_append_str(r, v, r->out);
    scope_leave(r, n->block.scope);
    return flow_next(r);
}

static enum flow exec_with(struct render *r, const struct node *n)
{
    scope_enter(r, n->block.scope);
    for (size_t i = 0; i < n->block.targets.n; i++)
        if (!assign(r, n->block.targets.items[i], eval(r, n->block.values.items[i])))
            return FLOW_BREAK;
    enum flow f = exec_body(r, &n->block.body);
    scope_leave(r, n->block.scope);
    return f;
}

static enum flow exec_block(struct render *r, const struct node *n)
{
    struct activation *old = r->act, *act = activation_new(r, n->block.fn, NULL);
    if (!act)
        return FLOW_BREAK;
    r->act = act;
    scope_enter(r, n->block.scope);
    exec_body(r, &n->block.body);
    r->act = old;
    return flow_next(r);
}

static struct value new_macro(struct render *r, const struct macro_node *m)
{
    struct vmacro *v = render_alloc(r, 1, sizeof(*v));
    if (!v)
        return value_error();
    *v = (struct vmacro){.node = m, .outer = r->act};
    return (struct value){.type = V_MACRO, .macro = v};
}

static enum flow exec_macro(struct render *r, const struct node *n)
{
    const struct macro_node *m = n->macro.macro;
    struct value v = new_macro(r, m);
    if (is_error(v))
        return FLOW_BREAK;
    *outer_slot(r, m->target) = v;
    if (m->top_level) {
        struct value key = value_str(r, m->name);
        if (!is_error(key))
            vdict_set(r, r->context, key, v);
    }
    return flow_next(r);
}

static enum flow exec_call_block(struct render *r, const struct node *n)
{
    struct value caller = new_macro(r, n->macro.macro);
    struct value text = is_error(caller) ? caller : eval_call_with(r, n->macro.call, caller);
    if (!is_error(text))
        value_append_str(r, text, r->out);
    return flow_next(r);
}

static enum flow exec_kind(struct render *r, const struct node *n)
{
    switch (n->kind) {
    case N_OUTPUT:
        exec_output(r, n);
        return flow_next(r);
    case N_FOR:
        return exec_for(r, n);
    case N_IF:
        return exec_if(r, n);
    case N_SET:
        assign(r, n->set.target, eval(r, n->set.value));
        return flow_next(r);
    case N_SETBLOCK:
        return exec_set_block(r, n);
    case N_FILTERBLOCK:
        return exec_filter_block(r, n);
    case N_MACRO:
        return exec_macro(r, n);
    case N_CALLBLOCK:
        return exec_call_block(r, n);
    case N_WITH:
    case N_SCOPE:
        return exec_with(r, n);
    case N_BLOCK:
        return exec_block(r, n);
    case N_BREAK:
        return FLOW_BREAK;
    case N_CONTINUE:
        return FLOW_CONTINUE;
    default: /* N_UNSUPPORTED */
        render_fail(r, ERR_UNSUPPORTED, "'%.*s' is not possible: a chat template stands alone",
                    STR_ARG(n->text));
        return FLOW_BREAK;
    }
}

static enum flow exec(struct render *r, const struct node *n)
{
    if (!render_enter(r))
        return FLOW_BREAK;
    r->line = n->line;
    enum flow f = exec_kind(r, n);
    render_leave(r);
    return r->failed ? FLOW_BREAK : f;
}

enum flow exec_body(struct render *r, const struct node_list *body)
{
    for (size_t i = 0; i < body->n; i++) {
        enum flow f = exec(r, body->items[i]);
        if (f != FLOW_NEXT)
            return f;
    }
    return FLOW_NEXT;
}
