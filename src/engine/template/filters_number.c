/* SPDX-License-Identifier: Apache-2.0
 *
 * Filters for numbers and for single values of any kind. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/template/interp.h"
#include "engine/template/output.h"
#include "engine/template/pystr.h"
#include "engine/template/unicode.h"

static struct value filter_abs(struct render *r, const struct call *c)
{
    struct value v = c->self;
    if (v.type == V_FLOAT)
        return value_float(fabs(v.f));
    if (v.type == V_UNDEFINED)
        return op_negate(r, v);
    if (!value_is_integral(v))
        return render_fail_type(r, "bad operand type for abs(): '%s'", value_type_name(v));
    return value_to_int(v) < 0 ? op_negate(r, v) : value_int(value_to_int(v));
}

static struct value filter_attr(struct render *r, const struct call *c)
{
    struct value name = value_to_str(r, c->a[0]);
    if (is_error(name))
        return name;
    if (c->self.type == V_UNDEFINED)
        return op_negate(r, c->self);
    /* Attributes only, no items: a dict's keys are not attributes. */
    struct value v = c->self.type == V_DICT && !method_find(c->self, name.s->s)
                         ? value_undefined_attr(r, c->self, name.s->s)
                         : get_attr(r, c->self, name);
    return v;
}

static struct value filter_default(struct render *r, const struct call *c)
{
    bool use = c->self.type == V_UNDEFINED || (arg_bool(c, 1, false) && !value_truth(c->self));
    if (!use)
        return c->self;
    return arg_given(c, 0) ? c->a[0] : value_str(r, STR(""));
}

/* Text of a number without underscores and white space; false if it is too long for one. */
static bool number_text(struct str s, char out[400])
{
    size_t n = 0;
    s = strip(s, NULL, STRIP_LEFT | STRIP_RIGHT);
    for (size_t i = 0; i < s.len; i++) {
        bool between = i > 0 && i + 1 < s.len && s.ptr[i - 1] != '_';
        if (s.ptr[i] == '_' && !between)
            return false;
        if (s.ptr[i] == '_')
            continue;
        if (n + 1 >= 400 || s.ptr[i] == '\0')
            return false;
        out[n++] = s.ptr[i];
    }
    out[n] = '\0';
    return n > 0;
}

/* float(text) */
static bool parse_float(struct str s, double *ret)
{
    char text[400], *end;
    if (!number_text(s, text) || strpbrk(text, "xXpP("))
        return false;
    *ret = strtod(text, &end);
    return *end == '\0';
}

/* int(text, base); 1 on success, 0 if it is no number, -1 if it does not fit. */
static int parse_int(struct str s, int64_t base, int64_t *ret)
{
    char text[400];
    if (!number_text(s, text) || base < 0 || base == 1 || base > 36)
        return 0;
    bool negative = text[0] == '-';
    const char *p = text + (text[0] == '-' || text[0] == '+');
    char kind = p[0] == '0' ? (char)(p[1] | 0x20) : '\0';
    int64_t prefixed = kind == 'x' ? 16 : kind == 'o' ? 8 : kind == 'b' ? 2 : 0;
    if (prefixed && (base == prefixed || base == 0)) {
        p += 2;
        base = prefixed;
    } else if (base == 0) {
        base = 10;
    }
    if (*p == '-' || *p == '+' || *p == '\0' || *p == ' ')
        return 0;
    unsigned long long v = 0;
    for (; *p; p++) {
        int d = *p >= '0' && *p <= '9' ? *p - '0'
                : (*p | 0x20) >= 'a' && (*p | 0x20) <= 'z' ? (*p | 0x20) - 'a' + 10
                                                           : 99;
        if (d >= base)
            return 0;
        if (__builtin_mul_overflow(v, (unsigned long long)base, &v) ||
            __builtin_add_overflow(v, (unsigned long long)d, &v))
            return -1;
    }
    if (v > (unsigned long long)INT64_MAX + negative)
        return -1;
    *ret = negative ? (int64_t)(0 - v) : (int64_t)v;
    return 1;
}

static struct value fail_int(struct render *r)
{
    return render_fail(r, ERR_INVALID, "int: the number does not fit in 64 bits");
}

static struct value float_to_int(struct render *r, double f, struct value fallback)
{
    if (!isfinite(f))
        return fallback;
    return fabs(f) < 9.2e18 ? value_int((int64_t)f) : fail_int(r);
}

static struct value filter_int(struct render *r, const struct call *c)
{
    struct value fallback = arg_given(c, 0) ? c->a[0] : value_int(0);
    int64_t base, i;
    double f;
    if (!arg_int(r, c, 1, 10, &base))
        return value_error();
    if (c->self.type == V_UNDEFINED)
        return op_negate(r, c->self);
    if (c->self.type == V_FLOAT)
        return float_to_int(r, c->self.f, fallback);
    if (value_is_integral(c->self))
        return value_int(value_to_int(c->self));
    if (c->self.type != V_STR)
        return fallback;
    int ok = parse_int(c->self.s->s, base, &i);
    if (ok < 0)
        return fail_int(r);
    if (ok > 0)
        return value_int(i);
    return parse_float(c->self.s->s, &f) ? float_to_int(r, f, fallback) : fallback;
}

static struct value filter_float(struct render *r, const struct call *c)
{
    double f;
    if (c->self.type == V_UNDEFINED)
        return op_negate(r, c->self);
    if (value_is_number(c->self))
        return value_float(value_to_float(c->self));
    if (c->self.type == V_STR && parse_float(c->self.s->s, &f))
        return value_float(f);
    return arg_given(c, 0) ? c->a[0] : value_float(0);
}

/* round(f, n): to the nearest decimal, ties to even as far as the binary number is a tie. */
static double round_digits(double f, int64_t n)
{
    char text[400];
    if (!isfinite(f) || n > 300)
        return f;
    if (n < -308)
        return copysign(0, f);
    if (n >= 0) {
        snprintf(text, sizeof(text), "%.*f", (int)n, f);
        return strtod(text, NULL);
    }
    double scale = pow(10, (double)-n);
    return nearbyint(f / scale) * scale;
}

static struct value filter_round(struct render *r, const struct call *c)
{
    int64_t n;
    struct str method;
    if (!arg_int(r, c, 0, 0, &n) || !arg_str(r, c, 1, STR("common"), &method))
        return value_error();
    if (c->self.type == V_UNDEFINED)
        return op_negate(r, c->self);
    if (!value_is_number(c->self))
        return render_fail_type(r, "type %s doesn't define __round__ method",
                                value_type_name(c->self));
    if (str_eq_c(method, "common")) {
        if (!value_is_integral(c->self))
            return value_float(round_digits(c->self.f, n));
        if (n >= 0)
            return value_int(value_to_int(c->self));
        return value_int((int64_t)round_digits((double)value_to_int(c->self), n));
    }
    bool up = str_eq_c(method, "ceil");
    if (!up && !str_eq_c(method, "floor"))
        return render_fail(r, ERR_INVALID, "round: the method must be common, ceil or floor");
    double scale = pow(10, (double)n), v = value_to_float(c->self) * scale;
    return value_float((up ? ceil(v) : floor(v)) / scale);
}

static struct value filter_filesizeformat(struct render *r, const struct call *c)
{
    static const char *const decimal[] = {"kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"};
    static const char *const binary[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"};
    double bytes = 0;
    if (value_is_number(c->self))
        bytes = value_to_float(c->self);
    else if (c->self.type != V_STR || !parse_float(c->self.s->s, &bytes))
        return render_fail_type(r, "filesizeformat: '%s' is not a number",
                                value_type_name(c->self));
    bool bin = arg_bool(c, 0, false);
    double base = bin ? 1024 : 1000, unit = base;
    CLEANUP_BUF struct buf b = render_buf();
    if (bytes == 1) {
        buf_append_c(&b, "1 Byte");
    } else if (bytes < base) {
        buf_printf(&b, "%.0f Bytes", trunc(bytes));
    } else {
        size_t i = 0;
        while (i < ARRAY_LEN(decimal) && bytes >= (unit *= base))
            i++;
        i = MIN(i, ARRAY_LEN(decimal) - 1);
        buf_printf(&b, "%.1f %s", base * bytes / unit, bin ? binary[i] : decimal[i]);
    }
    return value_str_buf(r, &b);
}

static const struct builtin rows[] = {
    {"abs", filter_abs, ""},
    {"attr", filter_attr, "name"},
    {"d", filter_default, "default_value?, boolean?"},
    {"default", filter_default, "default_value?, boolean?"},
    {"filesizeformat", filter_filesizeformat, "binary?"},
    {"float", filter_float, "default?"},
    {"int", filter_int, "default?, base?"},
    {"pprint", filter_pprint, ""},
    {"round", filter_round, "precision?, method?"},
    {"tojson", filter_tojson, "ensure_ascii?, indent?, separators?, sort_keys?"},
};

const struct builtin_table filters_number = {rows, ARRAY_LEN(rows)};
