/* SPDX-License-Identifier: Apache-2.0
 *
 * a.b, a[b] and a[b:c]. As in jinja2, a.b is the attribute or else the item "b", a["b"] the item or
 * else the attribute. There are no attributes but those listed here and the tables' methods. */
#include <string.h>

#include "engine/template/interp.h"
#include "engine/template/unicode.h"

static struct value bound_method(struct render *r, struct value of, struct str name)
{
    const struct builtin *b = method_find(of, name);
    if (!b && method_is_refused(of, name))
        return value_undefined_hint(r, "access to attribute '%.*s' of '%s' object is unsafe.",
                                    STR_ARG(name), value_type_name(of));
    if (!b)
        return value_missing();
    struct vfunction *fn = render_alloc(r, 1, sizeof(*fn));
    if (!fn)
        return value_error();
    *fn = (struct vfunction){.builtin = b, .self = of};
    return (struct value){.type = V_FUNCTION, .fn = fn};
}

static struct value macro_attr(struct render *r, const struct macro_node *m, struct str name)
{
    if (str_eq_c(name, "name"))
        return m->name.len ? value_str(r, m->name) : value_none();
    if (str_eq_c(name, "arguments")) {
        struct value l = value_list(r, m->params.n);
        for (size_t i = 0; i < m->params.n && !is_error(l); i++) {
            struct value s = value_str(r, m->params.items[i]->name.name);
            if (is_error(s) || !vlist_push(r, l.l, s))
                return value_error();
        }
        if (!is_error(l))
            l.type = V_TUPLE;
        return l;
    }
    if (str_eq_c(name, "catch_kwargs"))
        return value_bool(m->uses_kwargs);
    if (str_eq_c(name, "catch_varargs"))
        return value_bool(m->uses_varargs);
    if (str_eq_c(name, "caller"))
        return value_bool(m->uses_caller);
    return value_missing();
}

/* What Python's getattr() finds, or V_MISSING. */
static struct value own_attr(struct render *r, struct value of, struct str name)
{
    switch (of.type) {
    case V_NAMESPACE: {
        struct value *v = vdict_get_str(r, of.d, name);
        return v ? *v : value_missing();
    }
    case V_LOOP: {
        struct value v = loop_attr(r, of.loop, name);
        return v.type == V_MISSING ? bound_method(r, of, name) : v;
    }
    case V_MACRO:
        return macro_attr(r, of.macro->node, name);
    case V_CYCLER:
        if (str_eq_c(name, "current"))
            return of.cycler->items[of.cycler->pos];
        return bound_method(r, of, name);
    case V_TUPLE:
        if (of.l->is_group && str_eq_c(name, "grouper"))
            return of.l->items[0];
        if (of.l->is_group && str_eq_c(name, "list"))
            return of.l->items[1];
        return bound_method(r, of, name);
    case V_RANGE:
        if (str_eq_c(name, "start"))
            return value_int(of.range->start);
        if (str_eq_c(name, "stop"))
            return value_int(of.range->stop);
        if (str_eq_c(name, "step"))
            return value_int(of.range->step);
        return value_missing();
    default:
        return bound_method(r, of, name);
    }
}

static struct value list_item(struct render *r, const struct vlist *l, int64_t i)
{
    (void)r;
    if (i < 0)
        i += (int64_t)l->n;
    return i >= 0 && (uint64_t)i < l->n ? l->items[i] : value_missing();
}

/* Byte offset of the character number i (0..n_chars). */
static size_t char_offset(struct render *r, struct vstr *s, size_t i)
{
    if (vstr_chars(s) == s->s.len)
        return i;
    size_t at = 0;
    render_steps(r, i / 32);
    while (i > 0 && at < s->s.len) {
        at++;
        while (at < s->s.len && ((unsigned char)s->s.ptr[at] & 0xC0) == 0x80)
            at++;
        i--;
    }
    return at;
}

static struct value str_item(struct render *r, struct vstr *s, int64_t i)
{
    int64_t n = (int64_t)vstr_chars(s);
    if (i < 0)
        i += n;
    if (i < 0 || i >= n)
        return value_missing();
    size_t start = char_offset(r, s, (size_t)i), end = start;
    cp_next(s->s, &end);
    struct value v = value_str(r, str_sub(s->s, start, end - start));
    return s->markup ? value_markup(r, v) : v;
}

/* What Python's of[index] gives, or V_MISSING where it raises a TypeError or LookupError. */
static struct value own_item(struct render *r, struct value of, struct value index)
{
    if (of.type == V_DICT) {
        struct value *v = vdict_get(r, of.d, index, false);
        return v ? *v : value_missing();
    }
    if (!value_is_integral(index))
        return value_missing();
    int64_t i = value_to_int(index);
    switch (of.type) {
    case V_LIST:
    case V_TUPLE:
        return list_item(r, of.l, i);
    case V_STR:
        return str_item(r, of.s, i);
    case V_RANGE:
        if (i < 0)
            i += (int64_t)of.range->n;
        if (i < 0 || (uint64_t)i >= of.range->n)
            return value_missing();
        return value_int(of.range->start + i * of.range->step);
    default:
        return value_missing();
    }
}

static struct value missing_attr(struct render *r, struct value of, struct value name)
{
    struct value text = value_to_str(r, name);
    return is_error(text) ? text : value_undefined_attr(r, of, text.s->s);
}

struct value get_attr(struct render *r, struct value of, struct value name)
{
    if (is_error(of))
        return of;
    if (of.type == V_UNDEFINED)
        return op_negate(r, of);
    struct value v = own_attr(r, of, name.s->s);
    if (v.type == V_MISSING && !r->failed)
        v = own_item(r, of, name);
    if (r->failed)
        return value_error();
    return v.type == V_MISSING ? missing_attr(r, of, name) : v;
}

struct value get_item(struct render *r, struct value of, struct value index)
{
    if (is_error(of) || is_error(index))
        return value_error();
    if (of.type == V_UNDEFINED)
        return op_negate(r, of);
    struct value v = own_item(r, of, index);
    if (v.type == V_MISSING && index.type == V_STR && !r->failed)
        v = own_attr(r, of, index.s->s);
    if (r->failed)
        return value_error();
    return v.type == V_MISSING ? missing_attr(r, of, index) : v;
}

/* Start, stop and step of a slice over n items, as Python clamps them. */
static bool slice_bounds(struct render *r, int64_t n, const struct value part[3],
                         int64_t *ret_start, int64_t *ret_step, int64_t *ret_count)
{
    int64_t v[3] = {0, 0, 1};
    for (int i = 0; i < 3; i++) {
        if (part[i].type == V_NONE)
            continue;
        if (!value_is_integral(part[i])) {
            render_fail_type(r, "slice indices must be integers or None, not %s",
                             value_type_name(part[i]));
            return false;
        }
        v[i] = value_to_int(part[i]);
    }
    int64_t step = v[2];
    if (step == 0) {
        render_fail(r, ERR_INVALID, "slice step cannot be zero");
        return false;
    }
    if (step < -INT64_MAX)
        step = -INT64_MAX;
    int64_t low = step < 0 ? -1 : 0, high = step < 0 ? n - 1 : n;
    int64_t bound[2] = {step < 0 ? high : low, step < 0 ? low : high};
    for (int i = 0; i < 2; i++) {
        if (part[i].type == V_NONE)
            continue;
        bound[i] = v[i] < 0 ? (v[i] < -n ? -1 : v[i] + n) : v[i];
        bound[i] = MAX(low, MIN(high, bound[i]));
    }
    int64_t span = step < 0 ? bound[0] - bound[1] : bound[1] - bound[0];
    *ret_start = bound[0];
    *ret_step = step;
    *ret_count = span > 0 ? (span - 1) / (step < 0 ? -step : step) + 1 : 0;
    return true;
}

static struct value slice_str(struct render *r, struct vstr *s, int64_t start, int64_t step,
                              int64_t count)
{
    if (count == 0)
        return value_str(r, STR(""));
    if (step == 1) {
        size_t from = char_offset(r, s, (size_t)start);
        struct vstr tail = {.s = str_sub(s->s, from, SIZE_MAX),
                            .n_chars = vstr_chars(s) - (size_t)start};
        return value_str(r, str_sub(s->s, from, char_offset(r, &tail, (size_t)count)));
    }
    if (!render_steps(r, (uint64_t)count))
        return value_error();
    CLEANUP_BUF struct buf b = render_buf();
    if (vstr_chars(s) == s->s.len) {
        for (int64_t i = 0; i < count; i++)
            buf_push(&b, s->s.ptr[start + i * step]);
    } else {
        /* Walk from character to character in the direction of the step. */
        size_t at = char_offset(r, s, (size_t)start);
        for (int64_t i = 0; i < count; i++) {
            size_t end = at;
            cp_next(s->s, &end);
            buf_append_bytes(&b, s->s.ptr + at, end - at);
            if (i + 1 == count)
                break;
            for (int64_t k = 0; k < (step < 0 ? -step : step); k++)
                step < 0 ? (void)cp_prev(s->s, &at) : (void)cp_next(s->s, &at);
        }
        render_steps(r, s->s.len / 8);
    }
    return value_str_buf(r, &b);
}

struct value get_slice(struct render *r, struct value of, struct value start, struct value stop,
                       struct value step)
{
    int64_t n = value_len(of), from, by, count;
    if (is_error(of) || is_error(start) || is_error(stop) || is_error(step))
        return value_error();
    if (of.type == V_UNDEFINED)
        return op_negate(r, of);
    if (of.type != V_STR && of.type != V_LIST && of.type != V_TUPLE && of.type != V_RANGE)
        return render_fail_type(r, "'%s' object cannot be sliced", value_type_name(of));
    if (!slice_bounds(r, n, (struct value[]){start, stop, step}, &from, &by, &count))
        return value_error();
    if (of.type == V_STR) {
        struct value s = slice_str(r, of.s, from, by, count);
        return of.s->markup && !is_error(s) ? value_markup(r, s) : s;
    }
    if (of.type == V_RANGE) {
        struct vrange *g = render_alloc(r, 1, sizeof(*g));
        if (!g)
            return value_error();
        *g = (struct vrange){.start = of.range->start + from * of.range->step,
                             .step = of.range->step * by, .n = (size_t)count};
        g->stop = g->start + count * g->step;
        return (struct value){.type = V_RANGE, .range = g};
    }
    struct value l = value_list(r, (size_t)count);
    if (is_error(l) || !render_steps(r, (uint64_t)count / 4))
        return value_error();
    for (int64_t i = 0; i < count; i++)
        l.l->items[l.l->n++] = of.l->items[from + i * by];
    l.type = of.type;
    return l;
}

struct value get_path(struct render *r, struct value of, struct value path)
{
    if (path.type != V_STR)
        return path.type == V_NONE ? of : get_item(r, of, path);
    struct str rest = path.s->s, part;
    while (!is_error(of) && str_split_next(&rest, '.', &part)) {
        bool digits = part.len > 0 && part.len < 18;
        int64_t n = 0;
        for (size_t i = 0; i < part.len && digits; i++) {
            digits = part.ptr[i] >= '0' && part.ptr[i] <= '9';
            n = n * 10 + (part.ptr[i] - '0');
        }
        struct value index = digits ? value_int(n) : value_str(r, part);
        of = get_item(r, of, index);
    }
    return of;
}
