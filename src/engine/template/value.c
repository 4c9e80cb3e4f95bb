/* SPDX-License-Identifier: Apache-2.0
 *
 * Values: making them, looking at them, iterating over them. */
#include "engine/template/value.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "engine/template/interp.h"
#include "engine/template/unicode.h"

/* ---- make ---- */

struct value value_str(struct render *r, struct str s)
{
    struct vstr *v = render_alloc(r, 1, sizeof(*v));
    if (!v)
        return value_error();
    *v = (struct vstr){.s = s.ptr ? s : STR(""), .n_chars = SIZE_MAX};
    return (struct value){.type = V_STR, .s = v};
}

struct value value_str_copy(struct render *r, struct str s)
{
    if (s.len == 0)
        return value_str(r, STR(""));
    char *p = render_bytes(r, s.len);
    if (!p)
        return value_error();
    memcpy(p, s.ptr, s.len);
    return value_str(r, str_make(p, s.len));
}

struct value value_str_c(struct render *r, const char *literal)
{
    return value_str(r, str_from(literal));
}

struct value value_str_buf(struct render *r, const struct buf *b)
{
    if (r->failed)
        return value_error();
    if (b->failed)
        return render_fail(r, b->failed, "a string grows beyond %zu bytes", b->max);
    return value_str_copy(r, buf_str(b));
}

struct value value_markup(struct render *r, struct value s)
{
    if (is_error(s))
        return s;
    struct value v = value_str(r, s.s->s);
    if (!is_error(v))
        v.s->markup = true;
    return v;
}

struct value value_list(struct render *r, size_t cap)
{
    struct vlist *l = render_alloc(r, 1, sizeof(*l));
    if (!l)
        return value_error();
    if (cap > 0) {
        l->items = render_alloc(r, cap, sizeof(*l->items));
        if (!l->items)
            return value_error();
        l->cap = cap;
    }
    return (struct value){.type = V_LIST, .l = l};
}

struct value value_tuple(struct render *r, const struct value *items, size_t n)
{
    struct value t = value_list(r, n);
    if (is_error(t))
        return t;
    if (n)
        memcpy(t.l->items, items, n * sizeof(*items));
    t.l->n = n;
    t.type = V_TUPLE;
    return t;
}

struct value value_generator(struct render *r, struct value list, const char *kind)
{
    (void)r;
    if (!is_error(list)) {
        list.type = V_GENERATOR;
        list.l->kind = kind;
    }
    return list;
}

struct value value_dict(struct render *r)
{
    struct vdict *d = render_alloc(r, 1, sizeof(*d));
    return d ? (struct value){.type = V_DICT, .d = d} : value_error();
}

static struct value undefined(struct render *r, struct vundefined u)
{
    struct vundefined *p = render_alloc(r, 1, sizeof(*p));
    if (!p)
        return value_error();
    *p = u;
    return (struct value){.type = V_UNDEFINED, .undef = p};
}

struct value value_undefined(struct render *r, struct str name)
{
    return undefined(r, (struct vundefined){.name = name});
}

struct value value_undefined_attr(struct render *r, struct value owner, struct str name)
{
    return undefined(r, (struct vundefined){.name = name, .owner = value_type_name(owner)});
}

struct value value_undefined_hint(struct render *r, const char *fmt, ...)
{
    char text[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    struct value s = value_str_copy(r, str_from(text));
    return is_error(s) ? s : undefined(r, (struct vundefined){.hint = s.s->s});
}

static struct value from_json_array(struct render *r, const struct json *j)
{
    size_t n = js_len(j);
    struct value l = value_list(r, n);
    for (size_t i = 0; i < n && !is_error(l); i++) {
        struct value item = value_from_json(r, js_at(j, i));
        if (is_error(item) || !vlist_push(r, l.l, item))
            return value_error();
    }
    return l;
}

static struct value from_json_object(struct render *r, const struct json *j)
{
    struct value d = value_dict(r);
    struct json_iter it = {0};
    while (!is_error(d) && js_next(j, &it)) {
        struct value key = value_str(r, it.key);
        struct value v = value_from_json(r, it.value);
        if (is_error(key) || is_error(v) || !vdict_set(r, d.d, key, v))
            return value_error();
    }
    return d;
}

struct value value_from_json(struct render *r, const struct json *j)
{
    struct value v = value_none();
    switch (js_type(j)) {
    case JS_NULL:
        break;
    case JS_BOOL:
        return value_bool(js_to_bool(j, false));
    case JS_INT:
        return value_int(js_to_int(j, 0));
    case JS_REAL:
        return value_float(js_to_real(j, 0));
    case JS_STRING:
        return value_str(r, js_to_str(j));
    case JS_ARRAY:
    case JS_OBJECT:
        if (!render_enter(r))
            return value_error();
        v = js_is(j, JS_ARRAY) ? from_json_array(r, j) : from_json_object(r, j);
        render_leave(r);
        break;
    }
    return v;
}

/* ---- look ---- */

const char *value_type_name(struct value v)
{
    switch (v.type) {
    case V_MISSING:
    case V_ERROR:
        break;
    case V_UNDEFINED:
        return "Undefined";
    case V_NONE:
        return "NoneType";
    case V_BOOL:
        return "bool";
    case V_INT:
        return "int";
    case V_FLOAT:
        return "float";
    case V_STR:
        return v.s->markup ? "Markup" : "str";
    case V_LIST:
        return "list";
    case V_TUPLE:
        return "tuple";
    case V_DICT:
        return "dict";
    case V_VIEW:
        return v.view->kind == VIEW_KEYS     ? "dict_keys"
               : v.view->kind == VIEW_VALUES ? "dict_values"
                                             : "dict_items";
    case V_RANGE:
        return "range";
    case V_GENERATOR:
        return "generator";
    case V_NAMESPACE:
        return "Namespace";
    case V_MACRO:
        return "Macro";
    case V_FUNCTION:
        return "builtin_function_or_method";
    case V_LOOP:
        return "LoopContext";
    case V_CYCLER:
        return "Cycler";
    case V_JOINER:
        return "Joiner";
    }
    return "missing";
}

size_t vstr_chars(struct vstr *s)
{
    if (s->n_chars == SIZE_MAX)
        s->n_chars = cp_count(s->s);
    return s->n_chars;
}

int64_t value_len(struct value v)
{
    switch (v.type) {
    case V_UNDEFINED:
        return 0;
    case V_STR:
        return (int64_t)vstr_chars(v.s);
    case V_LIST:
    case V_TUPLE:
        return (int64_t)v.l->n;
    case V_DICT:
        return (int64_t)v.d->n;
    case V_VIEW:
        return (int64_t)v.view->d->n;
    case V_RANGE:
        return (int64_t)v.range->n;
    default:
        return -1;
    }
}

bool value_truth(struct value v)
{
    switch (v.type) {
    case V_MISSING:
    case V_ERROR:
    case V_UNDEFINED:
    case V_NONE:
        return false;
    case V_BOOL:
        return v.b;
    case V_INT:
        return v.i != 0;
    case V_FLOAT:
        return v.f != 0;
    case V_STR:
        return v.s->s.len > 0;
    default:
        return value_len(v) != 0;
    }
}

bool value_is_integral(struct value v)
{
    return v.type == V_INT || v.type == V_BOOL;
}

bool value_is_number(struct value v)
{
    return value_is_integral(v) || v.type == V_FLOAT;
}

int64_t value_to_int(struct value v)
{
    return v.type == V_BOOL ? v.b : v.i;
}

double value_to_float(struct value v)
{
    return v.type == V_FLOAT ? v.f : (double)value_to_int(v);
}

bool value_is_iterable(struct value v)
{
    switch (v.type) {
    case V_UNDEFINED:
    case V_STR:
    case V_LIST:
    case V_TUPLE:
    case V_DICT:
    case V_VIEW:
    case V_RANGE:
    case V_GENERATOR:
    case V_LOOP:
        return true;
    default:
        return false;
    }
}

/* ---- iterate ---- */

bool iter_start(struct render *r, struct value v, struct iter *ret)
{
    if (!value_is_iterable(v)) {
        if (!is_error(v))
            render_fail_type(r, "'%s' object is not iterable", value_type_name(v));
        return false;
    }
    *ret = (struct iter){.of = v};
    return true;
}

static bool next_of_dict(struct render *r, const struct vdict *d, enum view_kind kind, size_t i,
                         struct value *ret)
{
    if (i >= d->n)
        return false;
    const struct dict_entry *e = &d->entries[i];
    if (kind == VIEW_ITEMS)
        *ret = value_tuple(r, (struct value[]){e->key, e->value}, 2);
    else
        *ret = kind == VIEW_KEYS ? e->key : e->value;
    return !is_error(*ret);
}

static bool next_of_str(struct render *r, struct iter *it, struct value *ret)
{
    struct str s = it->of.s->s;
    if (it->at >= s.len)
        return false;
    size_t start = it->at;
    cp_next(s, &it->at);
    *ret = value_str(r, str_sub(s, start, it->at - start));
    return !is_error(*ret);
}

bool iter_next(struct render *r, struct iter *it, struct value *ret)
{
    if (!render_steps(r, 1))
        return false;
    struct value v = it->of;
    switch (v.type) {
    case V_STR:
        return next_of_str(r, it, ret);
    case V_LIST:
    case V_TUPLE:
        if (it->at >= v.l->n)
            return false;
        *ret = v.l->items[it->at++];
        return true;
    case V_GENERATOR:
        if (v.l->pos >= v.l->n)
            return false;
        *ret = v.l->items[v.l->pos++];
        return true;
    case V_DICT:
        return next_of_dict(r, v.d, VIEW_KEYS, it->at++, ret);
    case V_VIEW:
        return next_of_dict(r, v.view->d, v.view->kind, it->at++, ret);
    case V_RANGE:
        if (it->at >= v.range->n)
            return false;
        *ret = value_int(v.range->start + (int64_t)it->at++ * v.range->step);
        return true;
    case V_LOOP: {
        struct value item;
        if (!loop_next(r, v.loop, &item))
            return false;
        *ret = value_tuple(r, (struct value[]){item, v}, 2);
        return !is_error(*ret);
    }
    default:
        return false;
    }
}

struct value value_to_list(struct render *r, struct value v)
{
    struct iter it;
    if (!iter_start(r, v, &it))
        return value_error();
    struct value l = value_list(r, v.type == V_LIST || v.type == V_TUPLE ? v.l->n : 0), item;
    while (!is_error(l) && iter_next(r, &it, &item))
        if (!vlist_push(r, l.l, item))
            return value_error();
    return r->failed ? value_error() : l;
}
