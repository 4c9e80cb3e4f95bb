/* SPDX-License-Identifier: Apache-2.0
 *
 * Python's two formatting languages: "%05.2f" % x and "{:>10}".format(x).
 *
 * Both end in a struct spec, which says how one value is written. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/template/interp.h"
#include "engine/template/pystr.h"
#include "engine/template/unicode.h"

enum { PRECISION_MAX = 500 };

struct spec {
    uint32_t fill;
    char align; /* '<', '>', '^', '=', or 0: by type */
    char sign;  /* '+', ' ' or 0 */
    bool alternate;
    uint64_t width;
    int precision; /* -1 = none */
    char grouping; /* ',' or '_' or 0 */
    char type;     /* 0 = by type */
};

static bool one_of(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

/* Pads text; with align '=' the fill goes behind the sign. */
static void append_aligned(struct str text, const struct spec *s, char fallback, struct buf *out)
{
    uint64_t n = cp_count(text), pad = s->width > n ? s->width - n : 0;
    char align = s->align ? s->align : fallback;
    uint32_t fill = s->fill ? s->fill : ' ';
    if (align == '<') {
        append_padded(text, 0, pad, fill, out);
    } else if (align == '^') {
        append_padded(text, pad / 2, pad - pad / 2, fill, out);
    } else if (align == '=') {
        size_t sign = text.len > 0 && one_of(text.ptr[0], "+- ");
        if (text.len > sign + 1 && text.ptr[sign] == '0' && one_of(text.ptr[sign + 1], "xXob"))
            sign += 2;
        buf_append(out, str_sub(text, 0, sign));
        append_padded(str_sub(text, sign, SIZE_MAX), pad, 0, fill, out);
    } else {
        append_padded(text, pad, 0, fill, out);
    }
}

static void append_sign(bool negative, const struct spec *s, struct buf *out)
{
    if (negative)
        buf_push(out, '-');
    else if (s->sign)
        buf_push(out, s->sign);
}

/* The digits of a whole number with a separator every `every` digits. */
static void append_grouped(struct str digits, char separator, size_t every, struct buf *out)
{
    for (size_t i = 0; i < digits.len; i++) {
        if (separator && i > 0 && (digits.len - i) % every == 0)
            buf_push(out, separator);
        buf_push(out, digits.ptr[i]);
    }
}

static void append_int(int64_t v, const struct spec *s, struct buf *out)
{
    char digits[72];
    size_t at = sizeof(digits);
    uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    unsigned base = s->type == 'x' || s->type == 'X' ? 16 : s->type == 'o' ? 8
                    : s->type == 'b'                 ? 2
                                                     : 10;
    const char *letters = s->type == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
    do
        digits[--at] = letters[u % base];
    while ((u /= base) > 0);
    struct str text = str_make(digits + at, sizeof(digits) - at);
    CLEANUP_BUF struct buf b = render_buf();
    append_sign(v < 0, s, &b);
    if (s->alternate && base != 10)
        buf_printf(&b, "0%c", s->type);
    if (s->precision > (int)text.len) /* "%.5d" */
        append_padded(text, (uint64_t)s->precision - text.len, 0, '0', &b);
    else
        append_grouped(text, s->grouping, base == 10 ? 3 : 4, &b);
    append_aligned(buf_str(&b), s, '>', out);
}

/* The digits of f >= 0 as the spec wants them; returns their number. */
static size_t float_digits(double f, const struct spec *s, char *text, size_t size)
{
    char type = s->type ? s->type : 'r';
    int precision = s->precision < 0 ? 6 : s->precision;
    if (type == 'n')
        type = 'g';
    if (type == '%') {
        f *= 100;
        type = 'f';
    }
    if (type == 'r' && s->precision < 0) {
        char shortest[FLOAT_TEXT_MAX];
        float_text(f, shortest);
        return (size_t)snprintf(text, size, "%s", shortest);
    }
    if (type == 'r') /* like g, but with at least one digit behind the point */
        type = 'g';
    if (precision == 0 && type == 'g')
        precision = 1;
    int n = 0;
    switch (type) {
    case 'e':
        n = snprintf(text, size, s->alternate ? "%#.*e" : "%.*e", precision, f);
        break;
    case 'E':
        n = snprintf(text, size, s->alternate ? "%#.*E" : "%.*E", precision, f);
        break;
    case 'g':
        n = snprintf(text, size, s->alternate ? "%#.*g" : "%.*g", precision, f);
        break;
    case 'G':
        n = snprintf(text, size, s->alternate ? "%#.*G" : "%.*G", precision, f);
        break;
    default:
        n = snprintf(text, size, s->alternate ? "%#.*f" : "%.*f", precision, f);
        break;
    }
    bool plain = !s->type && isfinite(f) && !memchr(text, '.', (size_t)n) &&
                 !memchr(text, 'e', (size_t)n);
    if (plain && (size_t)n + 2 < size) {
        memcpy(text + n, ".0", 3);
        n += 2;
    }
    return n < 0 ? 0 : MIN((size_t)n, size - 1);
}

static void append_float(double f, const struct spec *s, struct buf *out)
{
    char text[PRECISION_MAX + 400];
    CLEANUP_BUF struct buf b = render_buf();
    append_sign(signbit(f) && !isnan(f), s, &b);
    size_t n = float_digits(isnan(f) ? f : fabs(f), s, text, sizeof(text));
    if (isnan(f) || isinf(f)) {
        bool upper = s->type == 'E' || s->type == 'F' || s->type == 'G';
        buf_append_c(&b, isnan(f) ? (upper ? "NAN" : "nan") : upper ? "INF" : "inf");
    } else {
        size_t whole = 0;
        while (whole < n && text[whole] >= '0' && text[whole] <= '9')
            whole++;
        append_grouped(str_make(text, whole), s->grouping, 3, &b);
        buf_append_bytes(&b, text + whole, n - whole);
    }
    if (s->type == '%')
        buf_push(&b, '%');
    append_aligned(buf_str(&b), s, '>', out);
}

static void append_text(struct str text, const struct spec *s, char align, struct buf *out)
{
    if (s->precision >= 0) {
        size_t end = 0;
        for (int i = 0; i < s->precision && end < text.len; i++)
            cp_next(text, &end);
        text = str_sub(text, 0, end);
    }
    append_aligned(text, s, align, out);
}

/* ---- format(value, spec) ---- */

static bool digits(struct str s, size_t *at, uint64_t max, uint64_t *ret)
{
    uint64_t v = 0;
    size_t start = *at;
    for (; *at < s.len && s.ptr[*at] >= '0' && s.ptr[*at] <= '9'; (*at)++)
        v = MIN(max + 1, v * 10 + (uint64_t)(s.ptr[*at] - '0'));
    *ret = v;
    return *at > start && v <= max;
}

/* [[fill]align][sign][#][0][width][,][.precision][type] */
static bool read_spec(struct str text, struct spec *s)
{
    size_t at = 0, second = 0;
    uint64_t n;
    *s = (struct spec){.precision = -1};
    if (text.len > 0) {
        uint32_t first = cp_next(text, &second);
        if (second < text.len && one_of(text.ptr[second], "<>=^")) {
            s->fill = first;
            s->align = text.ptr[second];
            at = second + 1;
        } else if (one_of(text.ptr[0], "<>=^")) {
            s->align = text.ptr[0];
            at = 1;
        }
    }
    if (at < text.len && one_of(text.ptr[at], "+- ")) {
        s->sign = text.ptr[at] == '-' ? '\0' : text.ptr[at];
        at++;
    }
    if (at < text.len && text.ptr[at] == '#') {
        s->alternate = true;
        at++;
    }
    if (at < text.len && text.ptr[at] == '0') {
        if (!s->align)
            s->align = '=';
        if (!s->fill)
            s->fill = '0';
        at++;
    }
    if (at < text.len && text.ptr[at] >= '0' && text.ptr[at] <= '9') {
        if (!digits(text, &at, RENDER_MAX_TEXT, &n))
            return false;
        s->width = n;
    }
    if (at < text.len && (text.ptr[at] == ',' || text.ptr[at] == '_'))
        s->grouping = text.ptr[at++];
    if (at < text.len && text.ptr[at] == '.') {
        at++;
        if (!digits(text, &at, PRECISION_MAX, &n))
            return false;
        s->precision = (int)n;
    }
    if (at < text.len)
        s->type = text.ptr[at++];
    return at == text.len;
}

static bool fail_spec(struct render *r, struct value v, struct str spec)
{
    render_fail(r, ERR_INVALID, "invalid format specifier '%.*s' for object of type '%s'",
                STR_ARG(spec), value_type_name(v));
    return false;
}

bool format_value(struct render *r, struct value v, struct str text, struct buf *out)
{
    struct spec s;
    if (text.len == 0) {
        value_append_str(r, v, out);
        return !r->failed;
    }
    if (!read_spec(text, &s))
        return fail_spec(r, v, text);
    if (v.type == V_STR) {
        if ((s.type && s.type != 's') || s.align == '=' || s.sign)
            return fail_spec(r, v, text);
        append_text(v.s->s, &s, '<', out);
        return true;
    }
    if (value_is_integral(v) && (!s.type || one_of(s.type, "dxXobn"))) {
        if (s.precision >= 0)
            return fail_spec(r, v, text);
        append_int(value_to_int(v), &s, out);
        return true;
    }
    if (value_is_integral(v) && s.type == 'c') {
        CLEANUP_BUF struct buf b = render_buf();
        cp_append((uint32_t)value_to_int(v), &b);
        append_aligned(buf_str(&b), &s, '<', out);
        return true;
    }
    if (!value_is_number(v) || (s.type && !one_of(s.type, "eEfFgGn%")))
        return fail_spec(r, v, text);
    append_float(value_to_float(v), &s, out);
    return true;
}

/* ---- "%" ---- */

struct percent {
    struct render *r;
    struct str f;
    size_t at;
    struct value args; /* a tuple, a mapping, or one value */
    size_t used;
    bool markup; /* escape what goes in */
    struct buf *out;
};

static bool percent_arg(struct percent *p, struct value *ret)
{
    size_t n = p->args.type == V_TUPLE ? p->args.l->n : 1;
    if (p->used >= n) {
        render_fail_type(p->r, "not enough arguments for format string");
        return false;
    }
    *ret = p->args.type == V_TUPLE ? p->args.l->items[p->used] : p->args;
    p->used++;
    return true;
}

/* A number or '*'. */
static bool percent_number(struct percent *p, uint64_t max, uint64_t *ret)
{
    struct value v;
    *ret = 0;
    if (p->at < p->f.len && p->f.ptr[p->at] == '*') {
        p->at++;
        if (!percent_arg(p, &v))
            return false;
        if (!value_is_integral(v) || value_to_int(v) < 0 || (uint64_t)value_to_int(v) > max) {
            render_fail_type(p->r, "* wants a whole number that is not too large");
            return false;
        }
        *ret = (uint64_t)value_to_int(v);
        return true;
    }
    if (p->at < p->f.len && p->f.ptr[p->at] >= '0' && p->f.ptr[p->at] <= '9' &&
        !digits(p->f, &p->at, max, ret)) {
        render_fail(p->r, ERR_INVALID, "a width or precision in a format string is too large");
        return false;
    }
    return true;
}

static bool percent_key(struct percent *p, struct value *ret)
{
    size_t start = ++p->at;
    int open = 1;
    for (; p->at < p->f.len && open > 0; p->at++)
        open += p->f.ptr[p->at] == '(' ? 1 : p->f.ptr[p->at] == ')' ? -1 : 0;
    if (open > 0 || p->args.type != V_DICT) {
        render_fail_type(p->r, open > 0 ? "incomplete format key" : "format requires a mapping");
        return false;
    }
    struct str key = str_make(p->f.ptr + start, p->at - 1 - start);
    struct value *v = vdict_get_str(p->r, p->args.d, key);
    if (!v) {
        render_fail(p->r, ERR_INVALID, "the format string's key '%.*s' is missing", STR_ARG(key));
        return false;
    }
    *ret = *v;
    return true;
}

static bool percent_text(struct percent *p, struct value v, struct spec *s)
{
    CLEANUP_BUF struct buf b = render_buf();
    if (s->type == 's')
        value_append_str(p->r, v, &b);
    else if (v.type == V_STR && s->type == 'a')
        append_repr_str(v.s->s, true, &b);
    else
        value_append_repr(p->r, v, &b);
    s->fill = ' ';
    if (p->markup && !(v.type == V_STR && v.s->markup)) {
        CLEANUP_BUF struct buf e = render_buf();
        buf_append_html(&e, buf_str(&b));
        append_text(buf_str(&e), s, '>', p->out);
    } else {
        append_text(buf_str(&b), s, '>', p->out);
    }
    return !p->r->failed;
}

static bool percent_convert(struct percent *p, struct value v, struct spec *s)
{
    switch (s->type) {
    case 's':
    case 'r':
    case 'a':
        return percent_text(p, v, s);
    case 'c':
        s->type = 's';
        s->fill = ' ';
        if (value_is_integral(v)) {
            CLEANUP_BUF struct buf b = render_buf();
            cp_append((uint32_t)value_to_int(v), &b);
            append_aligned(buf_str(&b), s, '>', p->out);
            return true;
        }
        if (v.type == V_STR && vstr_chars(v.s) == 1)
            return percent_text(p, v, s);
        render_fail_type(p->r, "%%c requires int or char");
        return false;
    case 'd':
    case 'i':
    case 'u':
    case 'x':
    case 'X':
    case 'o':
        if (v.type == V_FLOAT && one_of(s->type, "diu") && fabs(v.f) < 9e18)
            v = value_int((int64_t)v.f);
        if (!value_is_integral(v)) {
            render_fail_type(p->r, "%%%c format: a number is required, not %s", s->type,
                             value_type_name(v));
            return false;
        }
        append_int(value_to_int(v), s, p->out);
        return true;
    case 'e':
    case 'E':
    case 'f':
    case 'F':
    case 'g':
    case 'G':
        if (!value_is_number(v)) {
            render_fail_type(p->r, "must be real number, not %s", value_type_name(v));
            return false;
        }
        append_float(value_to_float(v), s, p->out);
        return true;
    default:
        render_fail(p->r, ERR_INVALID, "unsupported format character '%c'",
                    s->type >= ' ' && s->type < 0x7F ? s->type : '?');
        return false;
    }
}

/* From behind the '%'. */
static bool percent_directive(struct percent *p)
{
    struct spec s = {.precision = -1, .align = '>'};
    struct value v = value_missing();
    uint64_t n;
    if (p->at < p->f.len && p->f.ptr[p->at] == '(' && !percent_key(p, &v))
        return false;
    for (; p->at < p->f.len && one_of(p->f.ptr[p->at], "#0- +"); p->at++) {
        char c = p->f.ptr[p->at];
        if (c == '#')
            s.alternate = true;
        else if (c == '-')
            s.align = '<';
        else if (c == '0')
            s.fill = '0';
        else if (c == '+' || !s.sign)
            s.sign = c;
    }
    if (!percent_number(p, RENDER_MAX_TEXT, &s.width))
        return false;
    if (p->at < p->f.len && p->f.ptr[p->at] == '.') {
        p->at++;
        if (!percent_number(p, PRECISION_MAX, &n))
            return false;
        s.precision = (int)n;
    }
    while (p->at < p->f.len && one_of(p->f.ptr[p->at], "hlL"))
        p->at++;
    if (p->at >= p->f.len) {
        render_fail(p->r, ERR_INVALID, "incomplete format");
        return false;
    }
    s.type = p->f.ptr[p->at++];
    if (s.align == '<')
        s.fill = ' ';
    else if (s.fill == '0')
        s.align = '=';
    if (s.type == '%') {
        buf_push(p->out, '%');
        return true;
    }
    if (s.type == 's' || s.type == 'r' || s.type == 'a' || s.type == 'c')
        s.align = s.align == '=' ? '>' : s.align;
    if (v.type == V_MISSING && !percent_arg(p, &v))
        return false;
    return percent_convert(p, v, &s);
}

struct value format_percent(struct render *r, struct str format, struct value args, bool markup)
{
    CLEANUP_BUF struct buf b = render_buf();
    struct percent p = {.r = r, .f = format, .args = args, .markup = markup, .out = &b};
    while (p.at < format.len && !b.failed) {
        char c = format.ptr[p.at++];
        if (c != '%')
            buf_push(&b, c);
        else if (!render_steps(r, 1) || !percent_directive(&p))
            return value_error();
    }
    /* What can be indexed counts as a mapping, which need not be used up. */
    bool mapping = args.type == V_DICT || args.type == V_LIST || args.type == V_RANGE ||
                   args.type == V_UNDEFINED;
    if (!mapping && p.used < (args.type == V_TUPLE ? args.l->n : 1))
        return render_fail_type(r, "not all arguments converted during string formatting");
    struct value v = value_str_buf(r, &b);
    return markup ? value_markup(r, v) : v;
}

/* ---- str.format ---- */

struct braces {
    struct render *r;
    const struct args *args;
    int64_t next; /* automatic numbering; -1 = the fields are numbered by hand */
};

static bool braces_fail(struct braces *b, const char *what)
{
    render_fail(b->r, ERR_INVALID, "%s in a format string", what);
    return false;
}

/* The first part of a field name: "", "0", "name". */
static bool first_value(struct braces *b, struct str name, struct value *ret)
{
    size_t at = 0;
    uint64_t n = 0;
    bool number = digits(name, &at, 1000000, &n) && at == name.len;
    if (name.len == 0 || number) {
        if (name.len == 0 ? b->next < 0 : b->next > 0)
            return braces_fail(b, "automatic and manual field numbers");
        if (name.len == 0)
            n = (uint64_t)b->next++;
        else
            b->next = -1;
        if (n >= b->args->n_pos)
            return braces_fail(b, "an argument index out of range");
        *ret = b->args->pos[n];
        return true;
    }
    for (size_t i = 0; i < b->args->n_kw; i++) {
        if (str_eq(b->args->kw_names[i], name)) {
            *ret = b->args->kw[i];
            return true;
        }
    }
    render_fail(b->r, ERR_INVALID, "the format string's field '%.*s' is missing", STR_ARG(name));
    return false;
}

/* "name.attr[key]" */
static bool field_value(struct braces *b, struct str field, struct value *ret)
{
    size_t at = 0;
    while (at < field.len && field.ptr[at] != '.' && field.ptr[at] != '[')
        at++;
    if (!first_value(b, str_sub(field, 0, at), ret))
        return false;
    while (at < field.len) {
        bool item = field.ptr[at++] == '[';
        size_t start = at, n_digits = at;
        while (at < field.len && (item ? field.ptr[at] != ']'
                                       : field.ptr[at] != '.' && field.ptr[at] != '['))
            at++;
        struct str part = str_sub(field, start, at - start);
        if (part.len == 0 || (item && at++ >= field.len))
            return braces_fail(b, "an empty or unfinished attribute");
        uint64_t n;
        struct value key;
        if (item && digits(field, &n_digits, INT32_MAX, &n) && n_digits == start + part.len)
            key = value_int((int64_t)n);
        else
            key = value_str(b->r, part);
        if (is_error(key))
            return false;
        *ret = item ? get_item(b->r, *ret, key) : get_attr(b->r, *ret, key);
        if (is_error(*ret))
            return false;
    }
    return true;
}

static bool expand(struct braces *b, struct str f, int depth, struct buf *out);

/* What stands between { and }: field[!conversion][:spec] */
static bool append_field(struct braces *b, struct str text, int depth, struct buf *out)
{
    size_t at = 0;
    int in_item = 0;
    while (at < text.len && (in_item || (text.ptr[at] != '!' && text.ptr[at] != ':'))) {
        in_item = text.ptr[at] == '[' ? 1 : text.ptr[at] == ']' ? 0 : in_item;
        at++;
    }
    struct value v;
    if (!field_value(b, str_sub(text, 0, at), &v))
        return false;
    CLEANUP_BUF struct buf converted = render_buf();
    if (at < text.len && text.ptr[at] == '!') {
        char how = at + 1 < text.len ? text.ptr[at + 1] : '\0';
        at += 2;
        if (how == 's')
            value_append_str(b->r, v, &converted);
        else if (how == 'a' && v.type == V_STR)
            append_repr_str(v.s->s, true, &converted);
        else if (how == 'r' || how == 'a')
            value_append_repr(b->r, v, &converted);
        else
            return braces_fail(b, "an unknown conversion");
        v = value_str_buf(b->r, &converted);
        if (is_error(v))
            return false;
        if (at < text.len && text.ptr[at] != ':')
            return braces_fail(b, "something unexpected behind a conversion");
    }
    CLEANUP_BUF struct buf spec = render_buf();
    if (at < text.len && !expand(b, str_sub(text, at + 1, SIZE_MAX), depth + 1, &spec))
        return false;
    return format_value(b->r, v, buf_str(&spec), out);
}

static bool expand(struct braces *b, struct str f, int depth, struct buf *out)
{
    if (depth > 2)
        return braces_fail(b, "too many levels of fields");
    for (size_t i = 0; i < f.len && !out->failed;) {
        char c = f.ptr[i++];
        if (c != '{' && c != '}') {
            buf_push(out, c);
            continue;
        }
        if (i < f.len && f.ptr[i] == c && depth == 1) {
            buf_push(out, c);
            i++;
            continue;
        }
        if (c == '}')
            return braces_fail(b, "a single '}'");
        size_t start = i;
        int open = 1;
        for (; i < f.len && open > 0; i++)
            open += f.ptr[i] == '{' ? 1 : f.ptr[i] == '}' ? -1 : 0;
        if (open > 0)
            return braces_fail(b, "a '{' without its '}'");
        if (!render_steps(b->r, 1) ||
            !append_field(b, str_sub(f, start, i - 1 - start), depth, out))
            return false;
    }
    return !b->r->failed;
}

struct value format_braces(struct render *r, struct str format, const struct args *args)
{
    CLEANUP_BUF struct buf out = render_buf();
    struct braces b = {.r = r, .args = args};
    if (!expand(&b, format, 1, &out))
        return value_error();
    return value_str_buf(r, &out);
}
