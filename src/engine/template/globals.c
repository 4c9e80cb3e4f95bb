/* SPDX-License-Identifier: Apache-2.0
 *
 * The functions a template finds without being given them. */
#include <string.h>

#include "engine/template/interp.h"
#include "engine/template/output.h"

static struct value function_range(struct render *r, const struct call *c)
{
    int64_t start, stop, step;
    if (!arg_int(r, c, 0, 0, &start) || !arg_int(r, c, 1, 0, &stop) || !arg_int(r, c, 2, 1, &step))
        return value_error();
    for (size_t i = 0; i < 3; i++)
        if (c->a[i].type == V_NONE)
            return render_fail_type(r, "'NoneType' object cannot be interpreted as an integer");
    if (!arg_given(c, 1)) {
        stop = start;
        start = 0;
    }
    if (step == 0)
        return render_fail(r, ERR_INVALID, "range() arg 3 must not be zero");
    uint64_t n = 0;
    if (step > 0 ? start < stop : start > stop) {
        uint64_t span = step > 0 ? (uint64_t)stop - (uint64_t)start
                                 : (uint64_t)start - (uint64_t)stop;
        uint64_t by = step > 0 ? (uint64_t)step : 0 - (uint64_t)step;
        n = (span - 1) / by + 1;
    }
    if (n > RENDER_MAX_RANGE)
        return render_fail(r, ERR_TOO_LARGE, "range() has more than %d items", RENDER_MAX_RANGE);
    struct vrange *g = render_alloc(r, 1, sizeof(*g));
    if (!g)
        return value_error();
    *g = (struct vrange){.start = start, .stop = stop, .step = step, .n = (size_t)n};
    return (struct value){.type = V_RANGE, .range = g};
}

/* dict(mapping, **more) and namespace(mapping, **more) */
static struct value make_dict(struct render *r, const struct call *c)
{
    const struct args *a = c->args;
    struct value d = value_dict(r), item;
    if (is_error(d))
        return d;
    if (a->n_pos > 1)
        return render_fail_type(r, "%s expected at most 1 argument, got %zu", c->builtin->name,
                                a->n_pos);
    if (a->n_pos == 1 && a->pos[0].type == V_DICT) {
        const struct vdict *from = a->pos[0].d;
        for (size_t i = 0; i < from->n; i++)
            if (!vdict_set(r, d.d, from->entries[i].key, from->entries[i].value))
                return value_error();
    } else if (a->n_pos == 1) {
        struct iter it;
        if (!iter_start(r, a->pos[0], &it))
            return value_error();
        while (iter_next(r, &it, &item)) {
            struct value pair = value_to_list(r, item);
            if (is_error(pair))
                return pair;
            if (pair.l->n != 2)
                return render_fail(r, ERR_INVALID, "%s(): an item has length %zu; 2 is required",
                                   c->builtin->name, pair.l->n);
            if (!vdict_set(r, d.d, pair.l->items[0], pair.l->items[1]))
                return value_error();
        }
    }
    for (size_t i = 0; i < a->n_kw && !r->failed; i++) {
        struct value key = value_str(r, a->kw_names[i]);
        if (is_error(key) || !vdict_set(r, d.d, key, a->kw[i]))
            return value_error();
    }
    return d;
}

static struct value function_namespace(struct render *r, const struct call *c)
{
    struct value d = make_dict(r, c);
    if (!is_error(d))
        d.type = V_NAMESPACE;
    return d;
}

static struct value make_cycler(struct render *r, enum value_type type, const struct value *items,
                                size_t n)
{
    struct value copy = value_tuple(r, items, n);
    struct vcycler *y = render_alloc(r, 1, sizeof(*y));
    if (is_error(copy) || !y)
        return value_error();
    *y = (struct vcycler){.items = copy.l->items, .n = n};
    return (struct value){.type = type, .cycler = y};
}

static struct value function_cycler(struct render *r, const struct call *c)
{
    if (c->args->n_pos == 0)
        return render_fail_type(r, "at least one item has to be provided");
    return make_cycler(r, V_CYCLER, c->args->pos, c->args->n_pos);
}

static struct value function_joiner(struct render *r, const struct call *c)
{
    struct value sep = arg_given(c, 0) ? c->a[0] : value_str(r, STR(", "));
    return is_error(sep) ? sep : make_cycler(r, V_JOINER, &sep, 1);
}

static struct value function_raise_exception(struct render *r, const struct call *c)
{
    struct value text = value_to_str(r, c->a[0]);
    if (is_error(text) || r->failed)
        return value_error();
    r->failed = r->raised = true;
    error_set(r->err, ERR_INVALID, "%.*s", STR_ARG(text.s->s));
    if (r->o && r->o->ret_raised_text)
        buf_append(r->o->ret_raised_text, text.s->s);
    return value_error();
}

static const struct builtin rows[] = {
    {"cycler", function_cycler, "*"},
    {"dict", make_dict, "*"},
    {"joiner", function_joiner, "sep?"},
    {"namespace", function_namespace, "*"},
    {"raise_exception", function_raise_exception, "message"},
    {"range", function_range, "start, stop?, step?"},
    {"strftime_now", function_strftime_now, "format"},
};

const struct builtin_table globals = {rows, ARRAY_LEN(rows)};
