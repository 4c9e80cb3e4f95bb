/* SPDX-License-Identifier: Apache-2.0
 *
 * Values: making them, lists and dicts, equality and order, iteration. */
#include "engine/template/value.h"

#include <math.h>
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

/* ---- equality and order ---- */

/* Compares an int with a float exactly, without rounding the int. NaN is 2. */
static int compare_int_float(int64_t i, double f)
{
    if (isnan(f))
        return 2;
    if (f >= 9223372036854775808.0)
        return -1;
    if (f < -9223372036854775808.0)
        return 1;
    int64_t whole = (int64_t)f;
    if (i != whole)
        return i < whole ? -1 : 1;
    double rest = f - (double)whole;
    return rest > 0 ? -1 : rest < 0;
}

static int compare_numbers(struct value a, struct value b)
{
    if (a.type == V_FLOAT && b.type == V_FLOAT) {
        if (isnan(a.f) || isnan(b.f))
            return 2;
        return a.f < b.f ? -1 : a.f > b.f;
    }
    if (a.type == V_FLOAT) {
        int c = compare_int_float(value_to_int(b), a.f);
        return c == 2 ? 2 : -c;
    }
    if (b.type == V_FLOAT)
        return compare_int_float(value_to_int(a), b.f);
    int64_t x = value_to_int(a), y = value_to_int(b);
    return x < y ? -1 : x > y;
}

bool value_same(struct value a, struct value b)
{
    if (a.type != b.type)
        return false;
    switch (a.type) {
    case V_NONE:
        return true;
    case V_BOOL:
        return a.b == b.b;
    case V_INT:
        return a.i == b.i;
    case V_FLOAT:
        return memcmp(&a.f, &b.f, sizeof(a.f)) == 0;
    case V_STR:
        return a.s == b.s || str_eq(a.s->s, b.s->s);
    default:
        return a.d == b.d; /* the same object: any of the pointers will do */
    }
}

static bool nest(struct render *r)
{
    if (r->failed || !render_steps(r, 1))
        return false;
    if (r->nesting >= RENDER_MAX_NESTING) {
        render_fail(r, ERR_TOO_LARGE, "a value is nested deeper than %d levels", RENDER_MAX_NESTING);
        return false;
    }
    r->nesting++;
    return true;
}

static bool equal_lists(struct render *r, const struct vlist *a, const struct vlist *b)
{
    if (a->n != b->n || !nest(r))
        return false;
    bool same = true;
    for (size_t i = 0; same && i < a->n; i++)
        same = value_equal(r, a->items[i], b->items[i]);
    r->nesting--;
    return same;
}

static bool equal_dicts(struct render *r, const struct vdict *a, const struct vdict *b)
{
    if (a->n != b->n || !nest(r))
        return false;
    bool same = true;
    for (size_t i = 0; same && i < a->n; i++) {
        const struct value *other = vdict_get(r, b, a->entries[i].key, false);
        same = other && value_equal(r, a->entries[i].value, *other);
    }
    r->nesting--;
    return same;
}

bool value_equal(struct render *r, struct value a, struct value b)
{
    if (!render_steps(r, 1))
        return false;
    if (value_is_number(a) && value_is_number(b))
        return compare_numbers(a, b) == 0;
    if (a.type != b.type)
        return false;
    switch (a.type) {
    case V_UNDEFINED:
        return true;
    case V_STR:
        return str_eq(a.s->s, b.s->s) && render_steps(r, a.s->s.len / 64);
    case V_LIST:
    case V_TUPLE:
        return a.l == b.l || equal_lists(r, a.l, b.l);
    case V_DICT:
        return a.d == b.d || equal_dicts(r, a.d, b.d);
    case V_RANGE:
        return a.range->n == b.range->n &&
               (a.range->n == 0 || (a.range->start == b.range->start &&
                                    (a.range->n == 1 || a.range->step == b.range->step)));
    case V_VIEW:
        return a.view->kind == b.view->kind && a.view->kind != VIEW_VALUES &&
               equal_dicts(r, a.view->d, b.view->d);
    default:
        return value_same(a, b);
    }
}

static bool compare_lists(struct render *r, const struct vlist *a, const struct vlist *b,
                          const char *op, int *ret)
{
    if (!nest(r))
        return false;
    size_t n = MIN(a->n, b->n), i = 0;
    while (i < n && value_equal(r, a->items[i], b->items[i]))
        i++;
    bool ok = !r->failed;
    if (ok && i < n)
        ok = value_compare(r, a->items[i], b->items[i], op, ret);
    else if (ok)
        *ret = a->n < b->n ? -1 : a->n > b->n;
    r->nesting--;
    return ok;
}

bool value_compare(struct render *r, struct value a, struct value b, const char *op, int *ret)
{
    if (!render_steps(r, 1))
        return false;
    if (value_is_number(a) && value_is_number(b)) {
        *ret = compare_numbers(a, b);
        return true;
    }
    if (a.type == V_STR && b.type == V_STR) {
        /* byte order of UTF-8 is the order of code points */
        *ret = str_cmp(a.s->s, b.s->s);
        *ret = *ret < 0 ? -1 : *ret > 0;
        return render_steps(r, MIN(a.s->s.len, b.s->s.len) / 64);
    }
    if ((a.type == V_LIST || a.type == V_TUPLE) && a.type == b.type)
        return compare_lists(r, a.l, b.l, op, ret);
    if (a.type == V_UNDEFINED || b.type == V_UNDEFINED)
        op_negate(r, a.type == V_UNDEFINED ? a : b); /* fails with the undefined's own message */
    else
        render_fail_type(r, "'%s' not supported between instances of '%s' and '%s'", op,
                         value_type_name(a), value_type_name(b));
    return false;
}

/* ---- lists and dicts ---- */

bool vlist_push(struct render *r, struct vlist *l, struct value v)
{
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 4;
        struct value *items = render_alloc(r, cap, sizeof(*items));
        if (!items)
            return false;
        if (l->n)
            memcpy(items, l->items, l->n * sizeof(*items));
        l->items = items;
        l->cap = cap;
    }
    l->items[l->n++] = v;
    return true;
}

enum { DICT_INDEX_FROM = 8 }; /* entries; smaller dicts are searched from the front */

static uint64_t hash_bytes(uint64_t h, const void *p, size_t n)
{
    const unsigned char *c = p;
    for (size_t i = 0; i < n; i++)
        h = (h ^ c[i]) * 0x100000001B3u;
    return h;
}

/* Equal values have equal hashes. False for what cannot be a key (a list, ...). */
static bool hash_value(struct render *r, struct value v, uint64_t *ret)
{
    uint64_t h = 0xCBF29CE484222325u;
    switch (v.type) {
    case V_BOOL:
    case V_INT: {
        int64_t i = value_to_int(v);
        *ret = hash_bytes(h, &i, sizeof(i));
        return true;
    }
    case V_FLOAT:
        if (v.f == floor(v.f) && fabs(v.f) < 9e18)
            return hash_value(r, value_int((int64_t)v.f), ret);
        *ret = hash_bytes(h, &v.f, sizeof(v.f));
        return true;
    case V_STR:
        *ret = hash_bytes(h, v.s->s.ptr, v.s->s.len);
        return true;
    case V_TUPLE:
        if (!nest(r))
            return false;
        for (size_t i = 0; i < v.l->n; i++) {
            uint64_t item;
            if (!hash_value(r, v.l->items[i], &item)) {
                r->nesting--;
                return false;
            }
            h = hash_bytes(h, &item, sizeof(item));
        }
        r->nesting--;
        *ret = h;
        return true;
    case V_LIST:
    case V_DICT:
        return false;
    default:
        *ret = h ^ (uint64_t)v.type;
        return true;
    }
}

/* Where the key is in the index, or the free place for it. */
static size_t index_place(struct render *r, const struct vdict *d, struct value key, uint64_t hash)
{
    size_t mask = d->index_size - 1, at = (size_t)(hash ^ (hash >> 32)) & mask;
    for (uint64_t probes = 0; d->index[at]; at = (at + 1) & mask, probes++) {
        const struct dict_entry *e = &d->entries[d->index[at] - 1];
        if (e->hash == hash && value_equal(r, e->key, key))
            break;
        if (probes > 16 && !render_steps(r, 1))
            break;
    }
    return at;
}

static struct dict_entry *find_entry(struct render *r, const struct vdict *d, struct value key,
                                     uint64_t hash)
{
    if (d->index) {
        size_t at = index_place(r, d, key, hash);
        return d->index[at] && !r->failed ? &d->entries[d->index[at] - 1] : NULL;
    }
    for (size_t i = 0; i < d->n; i++)
        if (d->entries[i].hash == hash && value_equal(r, d->entries[i].key, key))
            return &d->entries[i];
    return NULL;
}

static bool grow_index(struct render *r, struct vdict *d)
{
    size_t size = d->index_size ? d->index_size * 2 : 32;
    if (d->n > UINT32_MAX / 4)
        return false;
    d->index = render_alloc(r, size, sizeof(*d->index));
    if (!d->index)
        return false;
    d->index_size = size;
    for (size_t i = 0; i < d->n; i++)
        d->index[index_place(r, d, d->entries[i].key, d->entries[i].hash)] = (uint32_t)(i + 1);
    return !r->failed;
}

bool vdict_set(struct render *r, struct vdict *d, struct value key, struct value v)
{
    uint64_t hash;
    if (!hash_value(r, key, &hash)) {
        render_fail_type(r, "unhashable type: '%s'", value_type_name(key));
        return false;
    }
    struct dict_entry *e = find_entry(r, d, key, hash);
    if (r->failed)
        return false;
    if (e) {
        e->value = v;
        return true;
    }
    if (d->n == d->cap) {
        size_t cap = d->cap ? d->cap * 2 : 4;
        struct dict_entry *entries = render_alloc(r, cap, sizeof(*entries));
        if (!entries)
            return false;
        if (d->n)
            memcpy(entries, d->entries, d->n * sizeof(*entries));
        d->entries = entries;
        d->cap = cap;
    }
    d->entries[d->n++] = (struct dict_entry){.key = key, .value = v, .hash = hash};
    if (d->n <= DICT_INDEX_FROM)
        return true;
    if (!d->index || d->n * 2 > d->index_size)
        return grow_index(r, d);
    d->index[index_place(r, d, key, hash)] = (uint32_t)d->n;
    return !r->failed;
}

struct value *vdict_get(struct render *r, const struct vdict *d, struct value key, bool strict)
{
    uint64_t hash;
    if (!hash_value(r, key, &hash)) {
        if (strict)
            render_fail_type(r, "unhashable type: '%s'", value_type_name(key));
        return NULL;
    }
    struct dict_entry *e = find_entry(r, d, key, hash);
    return e ? &e->value : NULL;
}

struct value *vdict_get_str(struct render *r, const struct vdict *d, struct str key)
{
    struct vstr s = {.s = key, .n_chars = SIZE_MAX};
    return vdict_get(r, d, (struct value){.type = V_STR, .s = &s}, false);
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
