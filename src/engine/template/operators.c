/* SPDX-License-Identifier: Apache-2.0
 *
 * Python's operators. Integers are 64 bits wide; a result that does not fit is an error. */
#include <math.h>
#include <string.h>

#include "engine/template/interp.h"

static const char *const op_names[] = {
    [OP_ADD] = "+", [OP_SUB] = "-", [OP_MUL] = "*", [OP_DIV] = "/", [OP_FLOORDIV] = "//",
    [OP_MOD] = "%", [OP_POW] = "** or pow()",
};

static struct value fail_overflow(struct render *r)
{
    return render_fail(r, ERR_INVALID, "an integer does not fit in 64 bits");
}

static struct value fail_zero(struct render *r)
{
    return render_fail(r, ERR_INVALID, "division by zero");
}

/* "'x' is undefined", "'dict object' has no attribute 'y'" */
static struct value fail_undefined(struct render *r, const struct vundefined *u)
{
    if (u->hint.len)
        return render_fail(r, ERR_INVALID, "%.*s", STR_ARG(u->hint));
    if (!u->owner)
        return render_fail(r, ERR_INVALID, "'%.*s' is undefined", STR_ARG(u->name));
    if (strcmp(u->owner, "NoneType") == 0)
        return render_fail(r, ERR_INVALID, "'None' has no attribute '%.*s'", STR_ARG(u->name));
    return render_fail(r, ERR_INVALID, "'%s object' has no attribute '%.*s'", u->owner,
                       STR_ARG(u->name));
}

static struct value fail_types(struct render *r, enum binary_op op, struct value a, struct value b)
{
    if (op == OP_ADD && a.type == V_STR)
        return render_fail_type(r, "can only concatenate str (not \"%s\") to str",
                                value_type_name(b));
    if (op == OP_ADD && (a.type == V_LIST || a.type == V_TUPLE))
        return render_fail_type(r, "can only concatenate %s (not \"%s\") to %s", value_type_name(a),
                                value_type_name(b), value_type_name(a));
    return render_fail_type(r, "unsupported operand type(s) for %s: '%s' and '%s'", op_names[op],
                            value_type_name(a), value_type_name(b));
}

/* ---- numbers ---- */

/* a ** n for n >= 0 */
static struct value int_power(struct render *r, int64_t a, int64_t n)
{
    int64_t result = 1;
    while (n > 0) {
        if ((n & 1) && __builtin_mul_overflow(result, a, &result))
            return fail_overflow(r);
        n >>= 1;
        if (n > 0 && __builtin_mul_overflow(a, a, &a))
            return fail_overflow(r);
    }
    return value_int(result);
}

static struct value float_op(struct render *r, enum binary_op op, double a, double b)
{
    double m;
    switch (op) {
    case OP_ADD:
        return value_float(a + b);
    case OP_SUB:
        return value_float(a - b);
    case OP_MUL:
        return value_float(a * b);
    case OP_DIV:
        return b == 0 ? fail_zero(r) : value_float(a / b);
    case OP_FLOORDIV:
    case OP_MOD:
        if (b == 0)
            return fail_zero(r);
        m = fmod(a, b);
        if (m != 0 && (m < 0) != (b < 0))
            m += b;
        else if (m == 0)
            m = copysign(0, b);
        if (op == OP_MOD)
            return value_float(m);
        a = (a - m) / b;
        return value_float(a == 0 ? copysign(0, a) : round(a));
    case OP_POW:
        if (a == 0 && b < 0)
            return fail_zero(r);
        m = pow(a, b);
        if (isnan(m) && !isnan(a) && !isnan(b))
            return render_fail(r, ERR_UNSUPPORTED, "a power of a negative number is not real");
        if (isinf(m) && isfinite(a) && isfinite(b))
            return render_fail(r, ERR_INVALID, "the result of a power is too large");
        return value_float(m);
    }
    return value_error();
}

static struct value int_op(struct render *r, enum binary_op op, int64_t a, int64_t b)
{
    int64_t v;
    switch (op) {
    case OP_ADD:
        return __builtin_add_overflow(a, b, &v) ? fail_overflow(r) : value_int(v);
    case OP_SUB:
        return __builtin_sub_overflow(a, b, &v) ? fail_overflow(r) : value_int(v);
    case OP_MUL:
        return __builtin_mul_overflow(a, b, &v) ? fail_overflow(r) : value_int(v);
    case OP_DIV:
        return b == 0 ? fail_zero(r) : value_float((double)a / (double)b);
    case OP_FLOORDIV:
    case OP_MOD:
        if (b == 0)
            return fail_zero(r);
        if (b == -1) {
            if (op == OP_MOD)
                return value_int(0);
            return a == INT64_MIN ? fail_overflow(r) : value_int(-a);
        }
        v = a % b;
        if (v != 0 && (v < 0) != (b < 0))
            return value_int(op == OP_MOD ? v + b : a / b - 1);
        return value_int(op == OP_MOD ? v : a / b);
    case OP_POW:
        return b < 0 ? float_op(r, op, (double)a, (double)b) : int_power(r, a, b);
    }
    return value_error();
}

struct value op_negate(struct render *r, struct value v)
{
    if (v.type == V_UNDEFINED)
        return fail_undefined(r, v.undef);
    if (v.type == V_FLOAT)
        return value_float(-v.f);
    if (!value_is_integral(v))
        return render_fail_type(r, "bad operand type for unary -: '%s'", value_type_name(v));
    return int_op(r, OP_SUB, 0, value_to_int(v));
}

/* ---- strings and lists ---- */

struct value op_concat(struct render *r, struct value a, struct value b)
{
    if (is_error(a) || is_error(b))
        return value_error();
    struct str x = a.s->s, y = b.s->s;
    if (y.len == 0)
        return a.s->markup ? value_str(r, x) : a;
    if (x.len == 0)
        return b.s->markup ? value_str(r, y) : b;
    if (x.len + y.len > RENDER_MAX_TEXT)
        return render_fail(r, ERR_TOO_LARGE, "a string grows beyond %zu bytes", RENDER_MAX_TEXT);
    if (!render_steps(r, y.len / 64))
        return value_error();
    /* `s = s + x` in a loop: when s is the newest text, x goes right behind it. */
    char *p = (char *)(uintptr_t)x.ptr;
    if (!pool_extend(&r->text_pool, x.ptr + x.len, y.len)) {
        p = render_bytes(r, x.len + y.len);
        if (!p || !render_steps(r, x.len / 64))
            return value_error();
        memcpy(p, x.ptr, x.len);
    }
    memcpy(p + x.len, y.ptr, y.len);
    return value_str(r, str_make(p, x.len + y.len));
}

static struct value escaped(struct render *r, struct value s)
{
    if (s.s->markup)
        return s;
    CLEANUP_BUF struct buf b = render_buf();
    buf_append_html(&b, s.s->s);
    return value_str_buf(r, &b);
}

/* str + str; with a Markup on either side the other one is escaped. */
static struct value add_strings(struct render *r, struct value a, struct value b)
{
    if (!a.s->markup && !b.s->markup)
        return op_concat(r, a, b);
    a = escaped(r, a);
    b = is_error(a) ? a : escaped(r, b);
    return is_error(b) ? b : value_markup(r, op_concat(r, a, b));
}

static struct value add_lists(struct render *r, struct value a, struct value b)
{
    struct value l = value_list(r, a.l->n + b.l->n);
    if (is_error(l) || !render_steps(r, a.l->n + b.l->n))
        return value_error();
    if (a.l->n)
        memcpy(l.l->items, a.l->items, a.l->n * sizeof(*a.l->items));
    if (b.l->n)
        memcpy(l.l->items + a.l->n, b.l->items, b.l->n * sizeof(*b.l->items));
    l.l->n = a.l->n + b.l->n;
    l.type = a.type;
    return l;
}

static struct value repeat_str(struct render *r, struct value v, int64_t times)
{
    struct str s = v.s->s;
    uint64_t len = 0;
    if (times <= 0 || s.len == 0)
        return value_str(r, STR(""));
    if (__builtin_mul_overflow((uint64_t)s.len, (uint64_t)times, &len) || len > RENDER_MAX_TEXT)
        return render_fail(r, ERR_TOO_LARGE, "a string grows beyond %zu bytes", RENDER_MAX_TEXT);
    char *p = render_steps(r, len / 64) ? render_bytes(r, len) : NULL;
    if (!p)
        return value_error();
    for (size_t at = 0; at < len; at += s.len)
        memcpy(p + at, s.ptr, s.len);
    struct value out = value_str(r, str_make(p, len));
    return v.s->markup ? value_markup(r, out) : out;
}

static struct value repeat_list(struct render *r, struct value v, int64_t times)
{
    uint64_t n = 0;
    if (times < 0)
        times = 0;
    if (__builtin_mul_overflow((uint64_t)v.l->n, (uint64_t)times, &n) || !render_steps(r, n))
        return render_fail(r, ERR_TOO_LARGE, "a list grows too large");
    struct value l = value_list(r, n);
    for (size_t i = 0; i < n && !is_error(l); i++)
        l.l->items[l.l->n++] = v.l->items[i % v.l->n];
    if (!is_error(l))
        l.type = v.type;
    return l;
}

static bool is_list(struct value v)
{
    return v.type == V_LIST || v.type == V_TUPLE;
}

struct value op_binary(struct render *r, enum binary_op op, struct value a, struct value b)
{
    if (is_error(a) || is_error(b))
        return value_error();
    if (op == OP_MOD && a.type == V_STR)
        return format_percent(r, a.s->s, b, a.s->markup);
    if (a.type == V_UNDEFINED)
        return fail_undefined(r, a.undef);
    if (b.type == V_UNDEFINED)
        return fail_undefined(r, b.undef);
    if (value_is_number(a) && value_is_number(b)) {
        if (a.type == V_FLOAT || b.type == V_FLOAT)
            return float_op(r, op, value_to_float(a), value_to_float(b));
        return int_op(r, op, value_to_int(a), value_to_int(b));
    }
    if (op == OP_ADD && a.type == V_STR && b.type == V_STR)
        return add_strings(r, a, b);
    if (op == OP_ADD && is_list(a) && a.type == b.type)
        return add_lists(r, a, b);
    if (op == OP_MUL && a.type == V_STR && value_is_integral(b))
        return repeat_str(r, a, value_to_int(b));
    if (op == OP_MUL && b.type == V_STR && value_is_integral(a))
        return repeat_str(r, b, value_to_int(a));
    if (op == OP_MUL && is_list(a) && value_is_integral(b))
        return repeat_list(r, a, value_to_int(b));
    if (op == OP_MUL && is_list(b) && value_is_integral(a))
        return repeat_list(r, b, value_to_int(a));
    return fail_types(r, op, a, b);
}

/* ---- comparisons ---- */

bool op_contains(struct render *r, struct value item, struct value in, bool *ret)
{
    if (in.type == V_STR) {
        if (item.type != V_STR) {
            render_fail_type(r, "'in <string>' requires string as left operand, not %s",
                             value_type_name(item));
            return false;
        }
        *ret = str_find(in.s->s, item.s->s) >= 0;
        return render_steps(r, in.s->s.len / 32);
    }
    if (in.type == V_DICT || (in.type == V_VIEW && in.view->kind == VIEW_KEYS)) {
        const struct vdict *d = in.type == V_DICT ? in.d : in.view->d;
        *ret = vdict_get(r, d, item, true) != NULL;
        return !r->failed;
    }
    if (in.type == V_RANGE && value_is_integral(item)) {
        const struct vrange *g = in.range;
        int64_t i = value_to_int(item), last = g->start + ((int64_t)g->n - 1) * g->step;
        *ret = g->n > 0 && i >= MIN(g->start, last) && i <= MAX(g->start, last) &&
               (i - g->start) % g->step == 0;
        return true;
    }
    if (!value_is_iterable(in)) {
        render_fail_type(r, "argument of type '%s' is not iterable", value_type_name(in));
        return false;
    }
    struct iter it;
    struct value v;
    *ret = false;
    if (!iter_start(r, in, &it))
        return false;
    while (!*ret && iter_next(r, &it, &v))
        *ret = value_equal(r, v, item);
    return !r->failed;
}

bool op_compare(struct render *r, enum compare_op op, struct value a, struct value b, bool *ret)
{
    static const char *const names[] = {[CMP_LT] = "<", [CMP_LE] = "<=", [CMP_GT] = ">",
                                        [CMP_GE] = ">="};
    int c = 0;
    if (is_error(a) || is_error(b))
        return false;
    switch (op) {
    case CMP_EQ:
    case CMP_NE:
        *ret = value_equal(r, a, b) == (op == CMP_EQ);
        return !r->failed;
    case CMP_IN:
    case CMP_NOT_IN:
        if (!op_contains(r, a, b, ret))
            return false;
        *ret = *ret == (op == CMP_IN);
        return true;
    case CMP_LT:
    case CMP_LE:
    case CMP_GT:
    case CMP_GE:
        if (!value_compare(r, a, b, names[op], &c))
            return false;
        *ret = c != 2 && (op == CMP_LT   ? c < 0
                          : op == CMP_LE ? c <= 0
                          : op == CMP_GT ? c > 0
                                         : c >= 0);
        return true;
    }
    return false;
}
