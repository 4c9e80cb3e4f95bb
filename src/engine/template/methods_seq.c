/* SPDX-License-Identifier: Apache-2.0
 *
 * Methods of lists, tuples, dicts and the other small types.
 *
 * jinja2's immutable sandbox refuses what changes a dict or a list. Dicts stay immutable here;
 * lists can be changed, because published templates (Kimi K2, ...) call list.append. */
#include <math.h>
#include <string.h>

#include "engine/template/interp.h"

/* ---- dict ---- */

static struct value make_view(struct render *r, const struct call *c, enum view_kind kind)
{
    struct vview *v = render_alloc(r, 1, sizeof(*v));
    if (!v)
        return value_error();
    *v = (struct vview){.kind = kind, .d = c->self.d};
    return (struct value){.type = V_VIEW, .view = v};
}

static struct value dict_items(struct render *r, const struct call *c)
{
    return make_view(r, c, VIEW_ITEMS);
}

static struct value dict_keys(struct render *r, const struct call *c)
{
    return make_view(r, c, VIEW_KEYS);
}

static struct value dict_values(struct render *r, const struct call *c)
{
    return make_view(r, c, VIEW_VALUES);
}

static struct value dict_get(struct render *r, const struct call *c)
{
    struct value *v = vdict_get(r, c->self.d, c->a[0], true);
    if (v)
        return *v;
    return arg_given(c, 1) ? c->a[1] : value_none();
}

static struct value dict_copy(struct render *r, const struct call *c)
{
    struct value d = value_dict(r);
    for (size_t i = 0; i < c->self.d->n && !is_error(d); i++)
        if (!vdict_set(r, d.d, c->self.d->entries[i].key, c->self.d->entries[i].value))
            return value_error();
    return d;
}

static const struct builtin dict_rows[] = {
    {"copy", dict_copy, ""}, {"get", dict_get, "key, default?"}, {"items", dict_items, ""},
    {"keys", dict_keys, ""}, {"values", dict_values, ""},
};

bool method_is_refused(struct value of, struct str name)
{
    static const char *const names[] = {"clear", "pop", "popitem", "setdefault", "update"};
    for (size_t i = 0; of.type == V_DICT && i < ARRAY_LEN(names); i++)
        if (str_eq_c(name, names[i]))
            return true;
    return false;
}

const struct builtin_table methods_dict = {dict_rows, ARRAY_LEN(dict_rows)};

/* ---- list and tuple ---- */

static struct value list_append(struct render *r, const struct call *c)
{
    return vlist_push(r, c->self.l, c->a[0]) ? value_none() : value_error();
}

static struct value list_extend(struct render *r, const struct call *c)
{
    struct value more = value_to_list(r, c->a[0]); /* first, it may be the list itself */
    for (size_t i = 0; !is_error(more) && i < more.l->n; i++)
        if (!vlist_push(r, c->self.l, more.l->items[i]))
            return value_error();
    return is_error(more) ? more : value_none();
}

static struct value list_insert(struct render *r, const struct call *c)
{
    struct vlist *l = c->self.l;
    int64_t at, n = (int64_t)l->n;
    if (!arg_int(r, c, 0, 0, &at))
        return value_error();
    at = at < 0 ? MAX(0, at + n) : MIN(at, n);
    if (!vlist_push(r, l, c->a[1]) || !render_steps(r, (uint64_t)(n - at) / 8))
        return value_error();
    memmove(l->items + at + 1, l->items + at, (size_t)(n - at) * sizeof(*l->items));
    l->items[at] = c->a[1];
    return value_none();
}

static struct value remove_at(struct render *r, struct vlist *l, size_t at)
{
    struct value v = l->items[at];
    if (!render_steps(r, (l->n - at) / 8))
        return value_error();
    l->n--;
    memmove(l->items + at, l->items + at + 1, (l->n - at) * sizeof(*l->items));
    return v;
}

static struct value list_pop(struct render *r, const struct call *c)
{
    int64_t at, n = (int64_t)c->self.l->n;
    if (!arg_int(r, c, 0, -1, &at))
        return value_error();
    if (n == 0)
        return render_fail(r, ERR_INVALID, "pop from empty list");
    if (at < 0)
        at += n;
    if (at < 0 || at >= n)
        return render_fail(r, ERR_INVALID, "pop index out of range");
    return remove_at(r, c->self.l, (size_t)at);
}

/* Index of the first item equal to v within [from, to), or -1. */
static int64_t find(struct render *r, const struct vlist *l, struct value v, int64_t from,
                    int64_t to)
{
    for (int64_t i = from; i < to && !r->failed; i++)
        if (value_equal(r, l->items[i], v))
            return i;
    return -1;
}

static struct value list_remove(struct render *r, const struct call *c)
{
    int64_t at = find(r, c->self.l, c->a[0], 0, (int64_t)c->self.l->n);
    if (at < 0)
        return render_fail(r, ERR_INVALID, "list.remove(x): x not in list");
    struct value v = remove_at(r, c->self.l, (size_t)at);
    return is_error(v) ? v : value_none();
}

static struct value list_index(struct render *r, const struct call *c)
{
    int64_t n = (int64_t)c->self.l->n, from, to;
    if (!arg_int(r, c, 1, 0, &from) || !arg_int(r, c, 2, n, &to))
        return value_error();
    from = from < 0 ? MAX(0, from + n) : from;
    to = to < 0 ? to + n : MIN(to, n);
    int64_t at = find(r, c->self.l, c->a[0], from, to);
    return at < 0 ? render_fail(r, ERR_INVALID, "the value is not in the list") : value_int(at);
}

static struct value list_count(struct render *r, const struct call *c)
{
    int64_t n = 0;
    for (size_t i = 0; i < c->self.l->n && !r->failed; i++)
        n += value_equal(r, c->self.l->items[i], c->a[0]);
    return value_int(n);
}

static struct value list_copy(struct render *r, const struct call *c)
{
    return value_to_list(r, c->self);
}

static struct value list_clear(struct render *r, const struct call *c)
{
    (void)r;
    c->self.l->n = 0;
    return value_none();
}

static struct value list_reverse(struct render *r, const struct call *c)
{
    struct vlist *l = c->self.l;
    if (!render_steps(r, l->n / 4))
        return value_error();
    for (size_t i = 0; i < l->n / 2; i++) {
        struct value v = l->items[i];
        l->items[i] = l->items[l->n - 1 - i];
        l->items[l->n - 1 - i] = v;
    }
    return value_none();
}

static struct value list_sort(struct render *r, const struct call *c)
{
    if (arg_set(c, 0))
        return render_fail(r, ERR_UNSUPPORTED, "list.sort(): 'key' is not supported");
    bool ok = sort_list(r, c->self.l, NULL, NULL, arg_bool(c, 1, false));
    return ok ? value_none() : value_error();
}

/* ---- the small ones ---- */

static struct value cycler_next(struct render *r, const struct call *c)
{
    (void)r;
    struct vcycler *y = c->self.cycler;
    struct value v = y->items[y->pos];
    y->pos = (y->pos + 1) % y->n;
    return v;
}

static struct value cycler_reset(struct render *r, const struct call *c)
{
    (void)r;
    c->self.cycler->pos = 0;
    return value_none();
}

static struct value float_is_integer(struct render *r, const struct call *c)
{
    (void)r;
    return value_bool(isfinite(c->self.f) && c->self.f == floor(c->self.f));
}

static const struct builtin seq_rows[] = {
    {"Cycler.next", cycler_next, ""},
    {"Cycler.reset", cycler_reset, ""},
    {"LoopContext.changed", loop_changed, "*"},
    {"LoopContext.cycle", loop_cycle, "*"},
    {"float.is_integer", float_is_integer, ""},
    {"list.append", list_append, "object"},
    {"list.clear", list_clear, ""},
    {"list.copy", list_copy, ""},
    {"list.count", list_count, "value"},
    {"list.extend", list_extend, "iterable"},
    {"list.index", list_index, "value, start?, stop?"},
    {"list.insert", list_insert, "index, object"},
    {"list.pop", list_pop, "index?"},
    {"list.remove", list_remove, "value"},
    {"list.reverse", list_reverse, ""},
    {"list.sort", list_sort, "key?, reverse?"},
    {"tuple.count", list_count, "value"},
    {"tuple.index", list_index, "value, start?, stop?"},
};

const struct builtin_table methods_seq = {seq_rows, ARRAY_LEN(seq_rows)};
