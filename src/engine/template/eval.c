/* SPDX-License-Identifier: Apache-2.0
 *
 * Expressions: a walk over the tree. */
#include <string.h>

#include "engine/template/interp.h"

/* ---- variables ---- */

static struct value *slot_of(struct render *r, struct ref ref)
{
    struct activation *a = r->act;
    for (uint32_t i = 0; i < ref.up; i++)
        a = a->outer;
    return &a->slots[ref.slot];
}

struct value lookup_context(struct render *r, struct str name)
{
    struct value *known = vdict_get_str(r, r->context, name);
    if (known)
        return *known;
    const struct json *j = js_get_n(r->vars, name);
    struct value v = value_missing();
    if (j) {
        v = value_from_json(r, j);
    } else {
        const struct builtin *b = global_find(name);
        if (!b)
            return value_missing();
        v = (struct value){.type = V_FUNCTION, .fn = render_alloc(r, 1, sizeof(*v.fn))};
        if (!v.fn)
            return value_error();
        *v.fn = (struct vfunction){.builtin = b, .self = value_missing()};
    }
    struct value key = is_error(v) ? v : value_str(r, name);
    if (is_error(key) || !vdict_set(r, r->context, key, v))
        return value_error();
    return v;
}

static struct value eval_name(struct render *r, const struct node *n)
{
    struct value v = *slot_of(r, n->name.ref);
    return v.type == V_MISSING ? value_undefined(r, n->name.name) : v;
}

/* A variable of the template itself is part of the context that {% block %} sees. */
static bool export_name(struct render *r, struct str name, struct value v)
{
    struct value key = value_str(r, name);
    return !is_error(key) && vdict_set(r, r->context, key, v);
}

static bool assign_tuple(struct render *r, const struct node *target, struct value v)
{
    struct iter it;
    struct value item;
    if (v.type == V_UNDEFINED) {
        op_negate(r, v);
        return false;
    }
    if (!value_is_iterable(v)) {
        render_fail_type(r, "cannot unpack non-iterable %s object", value_type_name(v));
        return false;
    }
    size_t n = 0;
    if (!iter_start(r, v, &it))
        return false;
    while (iter_next(r, &it, &item)) {
        if (n >= target->list.n) {
            render_fail(r, ERR_INVALID, "too many values to unpack (expected %zu)", target->list.n);
            return false;
        }
        if (!assign(r, target->list.items[n++], item))
            return false;
    }
    if (!r->failed && n < target->list.n)
        render_fail(r, ERR_INVALID, "not enough values to unpack (expected %zu, got %zu)",
                    target->list.n, n);
    return !r->failed;
}

bool assign(struct render *r, const struct node *target, struct value v)
{
    if (is_error(v))
        return false;
    if (target->kind == N_TUPLE)
        return assign_tuple(r, target, v);
    struct value *slot = slot_of(r, target->name.ref);
    if (target->kind == N_NAME) {
        *slot = v;
        return !target->name.top_level || export_name(r, target->name.name, v);
    }
    if (slot->type != V_NAMESPACE) {
        render_fail(r, ERR_INVALID, "cannot assign attribute on non-namespace object '%.*s'",
                    STR_ARG(target->name.name));
        return false;
    }
    struct value key = value_str(r, target->name.attr);
    return !is_error(key) && vdict_set(r, slot->d, key, v);
}

/* ---- literals, operators, calls ---- */

static struct value eval_items(struct render *r, const struct node_list *l)
{
    struct value out = value_list(r, l->n);
    for (size_t i = 0; i < l->n && !is_error(out); i++) {
        struct value v = eval(r, l->items[i]);
        if (is_error(v) || !vlist_push(r, out.l, v))
            return value_error();
    }
    return out;
}

static struct value eval_dict(struct render *r, const struct node *n)
{
    struct value d = value_dict(r);
    for (size_t i = 0; i < n->dict.keys.n && !is_error(d); i++) {
        struct value k = eval(r, n->dict.keys.items[i]);
        struct value v = is_error(k) ? k : eval(r, n->dict.values.items[i]);
        if (is_error(v) || !vdict_set(r, d.d, k, v))
            return value_error();
    }
    return d;
}

static struct value eval_slice_part(struct render *r, const struct node *n)
{
    return n ? eval(r, n) : value_none();
}

static struct value eval_getitem(struct render *r, const struct node *n)
{
    struct value of = eval(r, n->getitem.of);
    const struct node *i = n->getitem.index;
    if (is_error(of))
        return of;
    if (i->kind != N_SLICE)
        return get_item(r, of, eval(r, i));
    struct value start = eval_slice_part(r, i->slice.start);
    struct value stop = eval_slice_part(r, i->slice.stop);
    return get_slice(r, of, start, stop, eval_slice_part(r, i->slice.step));
}

static struct value eval_compare(struct render *r, const struct node *n)
{
    struct value left = eval(r, n->compare.first);
    bool ok = true;
    for (size_t i = 0; i < n->compare.rest.n && ok; i++) {
        struct value right = is_error(left) ? left : eval(r, n->compare.rest.items[i]);
        if (!op_compare(r, n->compare.ops[i], left, right, &ok))
            return value_error();
        left = right;
    }
    return value_bool(ok);
}

/* a ~ b ~ c. Two strings go through op_concat(), which can grow the first one in place. */
static struct value eval_concat(struct render *r, const struct node *n)
{
    struct value items = eval_items(r, &n->list);
    if (is_error(items))
        return items;
    const struct value *v = items.l->items;
    if (n->list.n == 2 && v[0].type == V_STR && v[1].type == V_STR)
        return op_concat(r, v[0], v[1]);
    CLEANUP_BUF struct buf b = render_buf();
    for (size_t i = 0; i < n->list.n && !r->failed; i++)
        value_append_str(r, v[i], &b);
    return value_str_buf(r, &b);
}

/* *x and **x behind the plain arguments. */
static bool eval_dynamic_args(struct render *r, const struct call_args *a, struct vlist *pos,
                              struct vlist *kw, struct vlist *names)
{
    struct iter it;
    struct value item, more = a->dyn_pos ? eval(r, a->dyn_pos) : value_none();
    if (is_error(more) || (a->dyn_pos && !iter_start(r, more, &it)))
        return false;
    while (a->dyn_pos && iter_next(r, &it, &item))
        if (!vlist_push(r, pos, item))
            return false;
    more = a->dyn_kw && !r->failed ? eval(r, a->dyn_kw) : value_none();
    if (more.type != V_DICT) {
        if (a->dyn_kw && !is_error(more))
            render_fail_type(r, "argument after ** must be a mapping, not %s",
                             value_type_name(more));
        return !r->failed;
    }
    for (size_t i = 0; i < more.d->n; i++) {
        if (more.d->entries[i].key.type != V_STR) {
            render_fail_type(r, "keywords must be strings");
            return false;
        }
        if (!vlist_push(r, names, more.d->entries[i].key) ||
            !vlist_push(r, kw, more.d->entries[i].value))
            return false;
    }
    return true;
}

/* Arguments of a call, evaluated; they live in the pool. */
static bool eval_args(struct render *r, const struct call_args *a, struct args *ret)
{
    struct vlist pos = {0}, kw = {0}, names = {0};
    for (size_t i = 0; i < a->pos.n; i++) {
        struct value v = eval(r, a->pos.items[i]);
        if (is_error(v) || !vlist_push(r, &pos, v))
            return false;
    }
    for (size_t i = 0; i < a->kw.n; i++) {
        struct value v = eval(r, a->kw.items[i]);
        struct value name = is_error(v) ? v : value_str(r, a->kw_names[i]);
        if (is_error(name) || !vlist_push(r, &kw, v) || !vlist_push(r, &names, name))
            return false;
    }
    if ((a->dyn_pos || a->dyn_kw) && !eval_dynamic_args(r, a, &pos, &kw, &names))
        return false;
    *ret = (struct args){.pos = pos.items, .n_pos = pos.n, .kw = kw.items, .n_kw = kw.n};
    if (names.n == 0)
        return !r->failed;
    struct str *kw_names = render_alloc(r, names.n, sizeof(*kw_names));
    if (!kw_names)
        return false;
    for (size_t i = 0; i < names.n; i++)
        kw_names[i] = names.items[i].s->s;
    ret->kw_names = kw_names;
    return true;
}

static struct value eval_call(struct render *r, const struct node *n)
{
    struct args args;
    struct value fn = eval(r, n->call.fn);
    if (is_error(fn) || !eval_args(r, n->call.args, &args))
        return value_error();
    r->line = n->line;
    return call_value(r, fn, &args);
}

struct value eval_call_with(struct render *r, const struct node *n, struct value caller)
{
    struct args args;
    struct value fn = eval(r, n->call.fn);
    if (is_error(fn) || !eval_args(r, n->call.args, &args))
        return value_error();
    struct str *names = render_alloc(r, args.n_kw + 1, sizeof(*names));
    struct value *kw = render_alloc(r, args.n_kw + 1, sizeof(*kw));
    if (!names || !kw)
        return value_error();
    for (size_t i = 0; i < args.n_kw; i++) {
        names[i] = args.kw_names[i];
        kw[i] = args.kw[i];
    }
    names[args.n_kw] = STR("caller");
    kw[args.n_kw++] = caller;
    args.kw_names = names;
    args.kw = kw;
    r->line = n->line;
    return call_value(r, fn, &args);
}

static struct value apply_filter(struct render *r, const struct node *n, struct value of)
{
    struct args args;
    if (is_error(of) || !eval_args(r, n->apply.args, &args))
        return value_error();
    r->line = n->line;
    if (!n->apply.builtin)
        return render_fail(r, ERR_UNSUPPORTED, "there is no filter named '%.*s'",
                           STR_ARG(n->apply.name));
    return builtin_call(r, n->apply.builtin, of, &args);
}

struct value eval_filter_on(struct render *r, const struct node *filter, struct value text)
{
    if (!filter)
        return text;
    if (!render_enter(r))
        return value_error();
    struct value of = filter->apply.of ? eval_filter_on(r, filter->apply.of, text) : text;
    of = apply_filter(r, filter, of);
    render_leave(r);
    return of;
}

static struct value eval_test(struct render *r, const struct node *n)
{
    struct args args;
    struct value of = eval(r, n->apply.of);
    if (is_error(of) || !eval_args(r, n->apply.args, &args))
        return value_error();
    r->line = n->line;
    if (!n->apply.builtin)
        return render_fail(r, ERR_UNSUPPORTED, "there is no test named '%.*s'",
                           STR_ARG(n->apply.name));
    return builtin_call(r, n->apply.builtin, of, &args);
}

static struct value eval_cond(struct render *r, const struct node *n)
{
    struct value test = eval(r, n->cond.test);
    if (is_error(test))
        return test;
    if (value_truth(test))
        return eval(r, n->cond.yes);
    if (n->cond.no)
        return eval(r, n->cond.no);
    return value_undefined_hint(r, "the inline if-expression on line %u evaluated to false and no "
                                   "else section was defined.", n->line);
}

static struct value eval_unary(struct render *r, const struct node *n)
{
    struct value v = eval(r, n->binary.a);
    if (is_error(v))
        return v;
    if (n->kind == N_NOT)
        return value_bool(!value_truth(v));
    if (n->kind == N_NEG || v.type == V_UNDEFINED)
        return op_negate(r, v);
    if (!value_is_number(v))
        return render_fail_type(r, "bad operand type for unary +: '%s'", value_type_name(v));
    return v.type == V_BOOL ? value_int(v.b) : v;
}

static struct value eval_kind(struct render *r, const struct node *n)
{
    struct value a, b;
    switch (n->kind) {
    case N_CONST:
        return n->constant;
    case N_NAME:
        return eval_name(r, n);
    case N_TUPLE:
    case N_LIST:
        a = eval_items(r, &n->list);
        if (n->kind == N_TUPLE && !is_error(a))
            a.type = V_TUPLE;
        return a;
    case N_DICT:
        return eval_dict(r, n);
    case N_GETATTR:
        a = eval(r, n->getattr.of);
        r->line = n->line;
        return get_attr(r, a, n->getattr.name);
    case N_GETITEM:
        return eval_getitem(r, n);
    case N_CALL:
        return eval_call(r, n);
    case N_FILTER:
        return apply_filter(r, n, eval(r, n->apply.of));
    case N_TEST:
        return eval_test(r, n);
    case N_NOT:
    case N_NEG:
    case N_POS:
        return eval_unary(r, n);
    case N_BINARY:
        a = eval(r, n->binary.a);
        b = is_error(a) ? a : eval(r, n->binary.b);
        r->line = n->line;
        return op_binary(r, n->binary.op, a, b);
    case N_AND:
    case N_OR:
        a = eval(r, n->binary.a);
        if (is_error(a) || value_truth(a) == (n->kind == N_OR))
            return a;
        return eval(r, n->binary.b);
    case N_COMPARE:
        return eval_compare(r, n);
    case N_CONCAT:
        return eval_concat(r, n);
    case N_COND:
        return eval_cond(r, n);
    default: /* a slice among several indices: a[1:2, 3] */
        return render_fail_type(r, "a slice cannot be used here");
    }
}

struct value eval(struct render *r, const struct node *n)
{
    if (!render_enter(r))
        return value_error();
    r->line = n->line;
    struct value v = eval_kind(r, n);
    render_leave(r);
    return v;
}
