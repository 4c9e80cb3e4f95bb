/* SPDX-License-Identifier: Apache-2.0
 *
 * Python's ==, < and `is`. */
#include <math.h>
#include <string.h>

#include "engine/template/interp.h"

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

static bool equal_lists(struct render *r, const struct vlist *a, const struct vlist *b)
{
    if (a->n != b->n || !render_nest(r))
        return false;
    bool same = true;
    for (size_t i = 0; same && i < a->n; i++)
        same = value_equal(r, a->items[i], b->items[i]);
    r->nesting--;
    return same;
}

static bool equal_dicts(struct render *r, const struct vdict *a, const struct vdict *b)
{
    if (a->n != b->n || !render_nest(r))
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
    if (!render_nest(r))
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
