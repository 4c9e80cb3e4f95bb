/* SPDX-License-Identifier: Apache-2.0
 *
 * Filters for sequences and mappings. Where jinja2 gives a generator, these compute the items at
 * once and give a value that behaves like one: no length, no index, always true. */
#include <string.h>

#include "engine/template/interp.h"
#include "engine/template/pystr.h"

/* ---- sorting ---- */

struct keyed {
    struct value key, item;
};

/* Is b to come before a? */
static bool comes_before(struct render *r, const struct keyed *b, const struct keyed *a,
                         bool reverse)
{
    int order = 0;
    if (!value_compare(r, b->key, a->key, "<", &order))
        return false;
    return order != 2 && (reverse ? order > 0 : order < 0);
}

/* Merges from[lo, mid) and from[mid, hi) into to; equal items keep their order. */
static void merge(struct render *r, const struct keyed *from, struct keyed *to, size_t lo,
                  size_t mid, size_t hi, bool reverse)
{
    size_t a = lo, b = mid;
    for (size_t i = lo; i < hi; i++) {
        bool right = b < hi && (a >= mid || comes_before(r, &from[b], &from[a], reverse));
        to[i] = right ? from[b++] : from[a++];
    }
}

bool sort_list(struct render *r, struct vlist *l, sort_key_fn key, const void *arg, bool reverse)
{
    size_t n = l->n;
    struct keyed *from = render_alloc(r, n, sizeof(*from)), *to = render_alloc(r, n, sizeof(*to));
    if (!from || !to)
        return false;
    for (size_t i = 0; i < n; i++) {
        from[i].item = l->items[i];
        from[i].key = key ? key(r, l->items[i], arg) : l->items[i];
        if (is_error(from[i].key))
            return false;
    }
    for (size_t width = 1; width < n && !r->failed; width *= 2) {
        for (size_t lo = 0; lo < n; lo += 2 * width)
            merge(r, from, to, lo, MIN(lo + width, n), MIN(lo + 2 * width, n), reverse);
        struct keyed *other = from;
        from = to;
        to = other;
    }
    for (size_t i = 0; i < n; i++)
        l->items[i] = from[i].item;
    return !r->failed;
}

static struct value fold_case(struct render *r, struct value v)
{
    if (v.type != V_STR)
        return v;
    CLEANUP_BUF struct buf b = render_buf();
    append_case(v.s->s, CASE_LOWER, &b);
    return value_str_buf(r, &b);
}

/* How filters look at an item: an attribute of it, without case unless asked for. */
struct getter {
    struct value path; /* V_NONE: the item itself */
    struct value fallback; /* for an undefined one; V_MISSING: none */
    bool case_sensitive;
};

static struct value get_key(struct render *r, struct value item, const void *arg)
{
    const struct getter *g = arg;
    struct value v = get_path(r, item, g->path);
    if (v.type == V_UNDEFINED && g->fallback.type != V_MISSING && g->fallback.type != V_NONE)
        v = g->fallback;
    return g->case_sensitive ? v : fold_case(r, v);
}

/* sort's key: "a,b" is a list of attributes. */
static struct value get_keys(struct render *r, struct value item, const void *arg)
{
    const struct getter *g = arg;
    if (g->path.type != V_STR || str_find_char(g->path.s->s, ',') < 0)
        return get_key(r, item, arg);
    struct value keys = value_list(r, 2);
    struct str rest = g->path.s->s, part;
    while (!is_error(keys) && str_split_next(&rest, ',', &part)) {
        struct getter one = *g;
        one.path = value_str(r, part);
        struct value v = is_error(one.path) ? one.path : get_key(r, item, &one);
        if (is_error(v) || !vlist_push(r, keys.l, v))
            return value_error();
    }
    return keys;
}

static struct value path_arg(const struct call *c, size_t i)
{
    return arg_set(c, i) ? c->a[i] : value_none();
}

static struct value filter_sort(struct render *r, const struct call *c)
{
    struct getter g = {.path = path_arg(c, 2), .fallback = value_missing(),
                       .case_sensitive = arg_bool(c, 1, false)};
    struct value l = value_to_list(r, c->self);
    if (is_error(l) || !sort_list(r, l.l, get_keys, &g, arg_bool(c, 0, false)))
        return value_error();
    return l;
}

static struct value second_or_first(struct render *r, struct value pair, const void *arg)
{
    const struct getter *g = arg;
    struct value v = pair.l->items[g->path.b];
    return g->case_sensitive ? v : fold_case(r, v);
}

static struct value filter_dictsort(struct render *r, const struct call *c)
{
    struct str by;
    if (!arg_str(r, c, 1, STR("key"), &by))
        return value_error();
    if (!str_eq_c(by, "key") && !str_eq_c(by, "value"))
        return render_fail(r, ERR_INVALID, "you can only sort by either \"key\" or \"value\"");
    if (c->self.type == V_UNDEFINED)
        return op_negate(r, c->self);
    if (c->self.type != V_DICT)
        return render_fail_type(r, "'%s' object has no items", value_type_name(c->self));
    struct getter g = {.path = value_bool(str_eq_c(by, "value")),
                       .case_sensitive = arg_bool(c, 0, false)};
    struct vview view = {.kind = VIEW_ITEMS, .d = c->self.d};
    struct value l = value_to_list(r, (struct value){.type = V_VIEW, .view = &view});
    if (is_error(l) || !sort_list(r, l.l, second_or_first, &g, arg_bool(c, 2, false)))
        return value_error();
    return l;
}

static struct value filter_groupby(struct render *r, const struct call *c)
{
    struct getter g = {.path = c->a[0], .fallback = c->a[1],
                       .case_sensitive = arg_bool(c, 2, false)};
    struct getter exact = g;
    exact.case_sensitive = true;
    struct value l = value_to_list(r, c->self), groups = value_list(r, 0), last = value_missing();
    if (is_error(l) || is_error(groups) || !sort_list(r, l.l, get_key, &g, false))
        return value_error();
    for (size_t i = 0; i < l.l->n; i++) {
        struct value item = l.l->items[i], key = get_key(r, item, &g);
        if (is_error(key))
            return key;
        if (last.type == V_MISSING || !value_equal(r, key, last)) {
            struct value pair[2] = {get_key(r, item, &exact), value_list(r, 0)};
            if (is_error(pair[0]) || is_error(pair[1]))
                return value_error();
            struct value group = value_tuple(r, pair, 2);
            if (is_error(group) || !vlist_push(r, groups.l, group))
                return value_error();
            group.l->is_group = true;
            last = key;
        }
        if (!vlist_push(r, groups.l->items[groups.l->n - 1].l->items[1].l, item))
            return value_error();
    }
    return groups;
}

static struct value filter_unique(struct render *r, const struct call *c)
{
    struct getter g = {.path = path_arg(c, 1), .fallback = value_missing(),
                       .case_sensitive = arg_bool(c, 0, false)};
    struct value seen = value_dict(r), out = value_list(r, 0), item;
    struct iter it;
    if (is_error(seen) || is_error(out) || !iter_start(r, c->self, &it))
        return value_error();
    while (iter_next(r, &it, &item)) {
        struct value key = get_key(r, item, &g);
        if (is_error(key))
            return key;
        size_t before = seen.d->n;
        if (!vdict_set(r, seen.d, key, value_none()))
            return value_error();
        if (seen.d->n > before && !vlist_push(r, out.l, item))
            return value_error();
    }
    return value_generator(r, out, "sync_do_unique");
}

static struct value extreme(struct render *r, const struct call *c, bool max)
{
    struct getter g = {.path = path_arg(c, 1), .fallback = value_missing(),
                       .case_sensitive = arg_bool(c, 0, false)};
    struct value best = value_missing(), best_key = best, item;
    struct iter it;
    if (!iter_start(r, c->self, &it))
        return value_error();
    while (iter_next(r, &it, &item)) {
        struct value key = get_key(r, item, &g);
        int order = 0;
        if (is_error(key))
            return key;
        if (best.type != V_MISSING && !value_compare(r, key, best_key, max ? ">" : "<", &order))
            return value_error();
        if (best.type == V_MISSING || (order != 2 && (max ? order > 0 : order < 0))) {
            best = item;
            best_key = key;
        }
    }
    return best.type == V_MISSING
               ? value_undefined_hint(r, "No aggregated item, sequence was empty.")
               : best;
}

static struct value filter_max(struct render *r, const struct call *c)
{
    return extreme(r, c, true);
}

static struct value filter_min(struct render *r, const struct call *c)
{
    return extreme(r, c, false);
}

static struct value filter_sum(struct render *r, const struct call *c)
{
    struct value total = arg_given(c, 1) ? c->a[1] : value_int(0), item;
    struct iter it;
    if (!iter_start(r, c->self, &it))
        return value_error();
    if (total.type == V_STR)
        return render_fail_type(r, "sum() can't sum strings [use ''.join(seq) instead]");
    while (iter_next(r, &it, &item)) {
        total = op_binary(r, OP_ADD, total, get_path(r, item, path_arg(c, 0)));
        if (is_error(total))
            return total;
    }
    return r->failed ? value_error() : total;
}

/* ---- map, select, reject ---- */

/* Arguments from number `from` on. */
static struct args rest_args(const struct args *a, size_t from)
{
    struct args rest = *a;
    from = MIN(from, a->n_pos);
    rest.pos = from ? a->pos + from : a->pos;
    rest.n_pos -= from;
    return rest;
}

static const struct value *keyword(const struct args *a, const char *name)
{
    for (size_t i = 0; i < a->n_kw; i++)
        if (str_eq_c(a->kw_names[i], name))
            return &a->kw[i];
    return NULL;
}

static struct value filter_map(struct render *r, const struct call *c)
{
    const struct args *a = c->args;
    const struct value *path = a->n_pos == 0 ? keyword(a, "attribute") : NULL;
    const struct value *fallback = path ? keyword(a, "default") : NULL;
    struct value out = value_list(r, 0), item;
    struct iter it;
    if (!value_truth(c->self))
        return value_generator(r, out, "sync_do_map");
    if (path && a->n_kw > (fallback ? 2u : 1u))
        return render_fail_type(r, "map() got an unexpected keyword argument");
    if (!path && (a->n_pos == 0 || a->pos[0].type != V_STR))
        return render_fail_type(r, "map requires a filter argument");
    if (is_error(out) || !iter_start(r, c->self, &it))
        return value_error();
    struct getter g = {.path = path ? *path : value_none(), .case_sensitive = true,
                       .fallback = fallback ? *fallback : value_missing()};
    struct args rest = rest_args(a, 1);
    while (iter_next(r, &it, &item)) {
        struct value v = path ? get_key(r, item, &g)
                              : call_filter(r, a->pos[0].s->s, item, &rest);
        if (is_error(v) || !vlist_push(r, out.l, v))
            return value_error();
    }
    return value_generator(r, out, "sync_do_map");
}

static struct value select_items(struct render *r, const struct call *c, bool by_attr, bool keep,
                                 const char *kind)
{
    const struct args *a = c->args;
    size_t off = by_attr ? 1 : 0;
    struct value out = value_list(r, 0), item;
    struct iter it;
    if (!value_truth(c->self))
        return value_generator(r, out, kind);
    if (by_attr && a->n_pos == 0)
        return render_fail_type(r, "missing parameter for attribute name");
    if (a->n_pos > off && a->pos[off].type != V_STR)
        return render_fail_type(r, "%s: the name of the test must be a string", c->builtin->name);
    if (is_error(out) || !iter_start(r, c->self, &it))
        return value_error();
    struct args rest = rest_args(a, off + 1);
    while (iter_next(r, &it, &item)) {
        struct value v = by_attr ? get_path(r, item, a->pos[0]) : item;
        bool passes = value_truth(v);
        if (is_error(v))
            return v;
        if (a->n_pos > off && !call_test(r, a->pos[off].s->s, v, &rest, &passes))
            return value_error();
        if (passes == keep && !vlist_push(r, out.l, item))
            return value_error();
    }
    return value_generator(r, out, kind);
}

static struct value filter_select(struct render *r, const struct call *c)
{
    return select_items(r, c, false, true, "sync_do_select");
}

static struct value filter_reject(struct render *r, const struct call *c)
{
    return select_items(r, c, false, false, "sync_do_reject");
}

static struct value filter_selectattr(struct render *r, const struct call *c)
{
    return select_items(r, c, true, true, "sync_do_selectattr");
}

static struct value filter_rejectattr(struct render *r, const struct call *c)
{
    return select_items(r, c, true, false, "sync_do_rejectattr");
}

/* ---- ends, order, parts ---- */

static struct value filter_length(struct render *r, const struct call *c)
{
    int64_t n = value_len(c->self);
    if (c->self.type == V_LOOP)
        return loop_attr(r, c->self.loop, STR("length"));
    return n < 0 ? render_fail_type(r, "object of type '%s' has no len()", value_type_name(c->self))
                 : value_int(n);
}

static struct value filter_first(struct render *r, const struct call *c)
{
    struct iter it;
    struct value v;
    if (!iter_start(r, c->self, &it))
        return value_error();
    if (iter_next(r, &it, &v))
        return v;
    return value_undefined_hint(r, "No first item, sequence was empty.");
}

/* reversed() as a new list. */
static struct value reversed(struct render *r, struct value v)
{
    struct value l = value_to_list(r, v);
    for (size_t i = 0; !is_error(l) && i < l.l->n / 2; i++) {
        struct value t = l.l->items[i];
        l.l->items[i] = l.l->items[l.l->n - 1 - i];
        l.l->items[l.l->n - 1 - i] = t;
    }
    return l;
}

static struct value filter_last(struct render *r, const struct call *c)
{
    int64_t n = value_len(c->self);
    if (n < 0)
        return render_fail_type(r, "'%s' object is not reversible", value_type_name(c->self));
    if (n == 0)
        return value_undefined_hint(r, "No last item, sequence was empty.");
    if (c->self.type != V_DICT && c->self.type != V_VIEW)
        return get_item(r, c->self, value_int(n - 1));
    struct value l = reversed(r, c->self);
    return is_error(l) ? l : l.l->items[0];
}

static struct value filter_random(struct render *r, const struct call *c)
{
    int64_t n = value_len(c->self);
    if (n < 0)
        return render_fail_type(r, "object of type '%s' has no len()", value_type_name(c->self));
    if (n == 0)
        return value_undefined_hint(r, "No random item, sequence was empty.");
    r->random_state ^= r->random_state << 13;
    r->random_state ^= r->random_state >> 7;
    r->random_state ^= r->random_state << 17;
    return get_item(r, c->self, value_int((int64_t)(r->random_state % (uint64_t)n)));
}

static struct value filter_reverse(struct render *r, const struct call *c)
{
    if (c->self.type == V_STR)
        return get_slice(r, c->self, value_none(), value_none(), value_int(-1));
    return value_generator(r, reversed(r, c->self), "reversed");
}

static struct value filter_list(struct render *r, const struct call *c)
{
    return value_to_list(r, c->self);
}

static struct value filter_items(struct render *r, const struct call *c)
{
    if (c->self.type == V_UNDEFINED)
        return value_generator(r, value_list(r, 0), "do_items");
    if (c->self.type != V_DICT)
        return render_fail_type(r, "Can only get item pairs from a mapping.");
    struct vview view = {.kind = VIEW_ITEMS, .d = c->self.d};
    return value_generator(r, value_to_list(r, (struct value){.type = V_VIEW, .view = &view}),
                           "do_items");
}

static struct value filter_join(struct render *r, const struct call *c)
{
    struct value sep = arg_given(c, 0) ? value_to_str(r, c->a[0]) : value_str(r, STR(""));
    struct value items = c->self, item;
    if (is_error(sep))
        return sep;
    if (arg_set(c, 1)) {
        struct iter it;
        items = value_list(r, 0);
        if (is_error(items) || !iter_start(r, c->self, &it))
            return value_error();
        while (iter_next(r, &it, &item)) {
            struct value v = get_path(r, item, c->a[1]);
            if (is_error(v) || !vlist_push(r, items.l, v))
                return value_error();
        }
    }
    return join(r, sep.s->s, items, false);
}

static struct value filter_batch(struct render *r, const struct call *c)
{
    int64_t size;
    if (!arg_int(r, c, 0, 1, &size))
        return value_error();
    struct value out = value_list(r, 0), row = value_none(), item;
    struct iter it;
    if (is_error(out) || !iter_start(r, c->self, &it))
        return value_error();
    while (iter_next(r, &it, &item)) {
        if (row.type == V_NONE || (int64_t)row.l->n == size) {
            row = value_list(r, 0);
            if (is_error(row) || !vlist_push(r, out.l, row))
                return value_error();
        }
        if (!vlist_push(r, row.l, item))
            return value_error();
    }
    if (arg_set(c, 1) && size > RENDER_MAX_RANGE)
        return render_fail(r, ERR_TOO_LARGE, "batch: rows of more than %d items", RENDER_MAX_RANGE);
    while (row.type == V_LIST && arg_set(c, 1) && (int64_t)row.l->n < size)
        if (!render_steps(r, 1) || !vlist_push(r, row.l, c->a[1]))
            return value_error();
    return value_generator(r, out, "do_batch");
}

static struct value filter_slice(struct render *r, const struct call *c)
{
    int64_t slices;
    struct value l = value_to_list(r, c->self), out = value_list(r, 0);
    if (is_error(l) || is_error(out) || !arg_int(r, c, 0, 1, &slices))
        return value_error();
    if (slices == 0)
        return render_fail(r, ERR_INVALID, "integer division or modulo by zero");
    if (slices > RENDER_MAX_RANGE)
        return render_fail(r, ERR_TOO_LARGE, "slice: more than %d slices", RENDER_MAX_RANGE);
    if (slices < 0)
        return value_generator(r, out, "sync_do_slice");
    uint64_t each = l.l->n / (uint64_t)slices, more = l.l->n % (uint64_t)slices, at = 0;
    for (uint64_t i = 0; i < (uint64_t)slices; i++) {
        uint64_t n = each + (i < more);
        struct value row = render_steps(r, 1) ? value_list(r, n + 1) : value_error();
        if (is_error(row) || !vlist_push(r, out.l, row))
            return value_error();
        for (uint64_t k = 0; k < n; k++)
            row.l->items[row.l->n++] = l.l->items[at++];
        if (arg_set(c, 1) && i >= more)
            row.l->items[row.l->n++] = c->a[1];
    }
    return value_generator(r, out, "sync_do_slice");
}

static const struct builtin rows[] = {
    {"batch", filter_batch, "linecount, fill_with?"},
    {"count", filter_length, ""},
    {"dictsort", filter_dictsort, "case_sensitive?, by?, reverse?"},
    {"first", filter_first, ""},
    {"groupby", filter_groupby, "attribute, default?, case_sensitive?"},
    {"items", filter_items, ""},
    {"join", filter_join, "d?, attribute?"},
    {"last", filter_last, ""},
    {"length", filter_length, ""},
    {"list", filter_list, ""},
    {"map", filter_map, "*"},
    {"max", filter_max, "case_sensitive?, attribute?"},
    {"min", filter_min, "case_sensitive?, attribute?"},
    {"random", filter_random, ""},
    {"reject", filter_reject, "*"},
    {"rejectattr", filter_rejectattr, "*"},
    {"reverse", filter_reverse, ""},
    {"select", filter_select, "*"},
    {"selectattr", filter_selectattr, "*"},
    {"slice", filter_slice, "slices, fill_with?"},
    {"sort", filter_sort, "reverse?, case_sensitive?, attribute?"},
    {"sum", filter_sum, "attribute?, start?"},
    {"unique", filter_unique, "case_sensitive?, attribute?"},
};

const struct builtin_table filters_seq = {rows, ARRAY_LEN(rows)};
