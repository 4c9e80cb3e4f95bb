/* SPDX-License-Identifier: Apache-2.0
 *
 * The tests behind `is`. */
#include <math.h>

#include "engine/template/interp.h"
#include "engine/template/unicode.h"

static struct value compare(struct render *r, const struct call *c, enum compare_op op)
{
    bool result = false;
    return op_compare(r, op, c->self, c->a[0], &result) ? value_bool(result) : value_error();
}

static struct value test_eq(struct render *r, const struct call *c)
{
    return compare(r, c, CMP_EQ);
}

static struct value test_ne(struct render *r, const struct call *c)
{
    return compare(r, c, CMP_NE);
}

static struct value test_lt(struct render *r, const struct call *c)
{
    return compare(r, c, CMP_LT);
}

static struct value test_le(struct render *r, const struct call *c)
{
    return compare(r, c, CMP_LE);
}

static struct value test_gt(struct render *r, const struct call *c)
{
    return compare(r, c, CMP_GT);
}

static struct value test_ge(struct render *r, const struct call *c)
{
    return compare(r, c, CMP_GE);
}

static struct value test_in(struct render *r, const struct call *c)
{
    return compare(r, c, CMP_IN);
}

static struct value test_boolean(struct render *r, const struct call *c)
{
    (void)r;
    return value_bool(c->self.type == V_BOOL);
}

static struct value test_callable(struct render *r, const struct call *c)
{
    (void)r;
    enum value_type t = c->self.type;
    /* Undefined has a __call__, if only to complain. */
    return value_bool(t == V_MACRO || t == V_FUNCTION || t == V_LOOP || t == V_JOINER ||
                      t == V_UNDEFINED);
}

static struct value test_defined(struct render *r, const struct call *c)
{
    (void)r;
    return value_bool(c->self.type != V_UNDEFINED);
}

static struct value test_undefined(struct render *r, const struct call *c)
{
    (void)r;
    return value_bool(c->self.type == V_UNDEFINED);
}

/* value % by == 0, by Python's rules for % */
static struct value is_multiple(struct render *r, struct value v, struct value by, int64_t rest)
{
    struct value m = op_binary(r, OP_MOD, v, by);
    return is_error(m) ? m : value_bool(value_equal(r, m, value_int(rest)));
}

static struct value test_divisibleby(struct render *r, const struct call *c)
{
    return is_multiple(r, c->self, c->a[0], 0);
}

static struct value test_even(struct render *r, const struct call *c)
{
    return is_multiple(r, c->self, value_int(2), 0);
}

static struct value test_odd(struct render *r, const struct call *c)
{
    return is_multiple(r, c->self, value_int(2), 1);
}

static struct value test_escaped(struct render *r, const struct call *c)
{
    (void)r;
    return value_bool(c->self.type == V_STR && c->self.s->markup);
}

static struct value test_true(struct render *r, const struct call *c)
{
    (void)r;
    return value_bool(c->self.type == V_BOOL && c->self.b);
}

static struct value test_false(struct render *r, const struct call *c)
{
    (void)r;
    return value_bool(c->self.type == V_BOOL && !c->self.b);
}

static struct value test_filter(struct render *r, const struct call *c)
{
    (void)r;
    return value_bool(c->self.type == V_STR && filter_find(c->self.s->s));
}

static struct value test_test(struct render *r, const struct call *c)
{
    (void)r;
    return value_bool(c->self.type == V_STR && test_find(c->self.s->s));
}

static struct value test_float(struct render *r, const struct call *c)
{
    (void)r;
    return value_bool(c->self.type == V_FLOAT);
}

static struct value test_integer(struct render *r, const struct call *c)
{
    (void)r;
    return value_bool(c->self.type == V_INT);
}

static struct value test_number(struct render *r, const struct call *c)
{
    (void)r;
    return value_bool(value_is_number(c->self));
}

static struct value test_iterable(struct render *r, const struct call *c)
{
    (void)r;
    return value_bool(value_is_iterable(c->self));
}

static struct value test_mapping(struct render *r, const struct call *c)
{
    (void)r;
    return value_bool(c->self.type == V_DICT);
}

static struct value test_none(struct render *r, const struct call *c)
{
    (void)r;
    return value_bool(c->self.type == V_NONE);
}

static struct value test_sameas(struct render *r, const struct call *c)
{
    (void)r;
    return value_bool(value_same(c->self, c->a[0]));
}

static struct value test_sequence(struct render *r, const struct call *c)
{
    (void)r;
    enum value_type t = c->self.type;
    return value_bool(t == V_STR || t == V_LIST || t == V_TUPLE || t == V_DICT || t == V_RANGE ||
                      t == V_UNDEFINED);
}

static struct value test_string(struct render *r, const struct call *c)
{
    (void)r;
    return value_bool(c->self.type == V_STR);
}

/* Has letters with case, all of them lower (or upper)? */
static struct value test_case(struct render *r, const struct call *c, bool upper)
{
    struct str s = self_text(r, c);
    bool any = false;
    for (size_t i = 0; i < s.len;) {
        uint32_t cp = cp_next(s, &i);
        if (cp_is_title(cp) || (upper ? cp_is_lower(cp) : cp_is_upper(cp)))
            return value_bool(false);
        any |= upper ? cp_is_upper(cp) : cp_is_lower(cp);
    }
    return value_bool(any);
}

static struct value test_lower(struct render *r, const struct call *c)
{
    return test_case(r, c, false);
}

static struct value test_upper(struct render *r, const struct call *c)
{
    return test_case(r, c, true);
}

static const struct builtin rows[] = {
    {"!=", test_ne, "other"},
    {"<", test_lt, "other"},
    {"<=", test_le, "other"},
    {"==", test_eq, "other"},
    {">", test_gt, "other"},
    {">=", test_ge, "other"},
    {"boolean", test_boolean, ""},
    {"callable", test_callable, ""},
    {"defined", test_defined, ""},
    {"divisibleby", test_divisibleby, "num"},
    {"eq", test_eq, "other"},
    {"equalto", test_eq, "other"},
    {"escaped", test_escaped, ""},
    {"even", test_even, ""},
    {"false", test_false, ""},
    {"filter", test_filter, ""},
    {"float", test_float, ""},
    {"ge", test_ge, "other"},
    {"greaterthan", test_gt, "other"},
    {"gt", test_gt, "other"},
    {"in", test_in, "seq"},
    {"integer", test_integer, ""},
    {"iterable", test_iterable, ""},
    {"le", test_le, "other"},
    {"lessthan", test_lt, "other"},
    {"lower", test_lower, ""},
    {"lt", test_lt, "other"},
    {"mapping", test_mapping, ""},
    {"ne", test_ne, "other"},
    {"none", test_none, ""},
    {"number", test_number, ""},
    {"odd", test_odd, ""},
    {"sameas", test_sameas, "other"},
    {"sequence", test_sequence, ""},
    {"string", test_string, ""},
    {"test", test_test, ""},
    {"true", test_true, ""},
    {"undefined", test_undefined, ""},
    {"upper", test_upper, ""},
};

const struct builtin_table tests = {rows, ARRAY_LEN(rows)};
