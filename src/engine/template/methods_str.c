/* SPDX-License-Identifier: Apache-2.0
 *
 * Methods of strings. Positions count characters, as in Python. */
#include <string.h>

#include "engine/template/interp.h"
#include "engine/template/pystr.h"
#include "engine/template/unicode.h"

static struct str self(const struct call *c)
{
    return c->self.s->s;
}

static struct value change_case(struct render *r, const struct call *c, enum text_case how)
{
    CLEANUP_BUF struct buf b = render_buf();
    if (!render_steps(r, self(c).len / 16))
        return value_error();
    append_case(self(c), how, &b);
    return value_str_buf(r, &b);
}

static struct value str_upper(struct render *r, const struct call *c)
{
    return change_case(r, c, CASE_UPPER);
}

static struct value str_lower(struct render *r, const struct call *c)
{
    return change_case(r, c, CASE_LOWER);
}

static struct value str_capitalize(struct render *r, const struct call *c)
{
    return change_case(r, c, CASE_CAPITALIZE);
}

static struct value str_title(struct render *r, const struct call *c)
{
    return change_case(r, c, CASE_TITLE);
}

static struct value str_swapcase(struct render *r, const struct call *c)
{
    return change_case(r, c, CASE_SWAP);
}

/* ---- strip, split, join ---- */

static struct value strip_ends(struct render *r, const struct call *c, int ends)
{
    struct str chars;
    if (!arg_str(r, c, 0, STR(""), &chars))
        return value_error();
    return value_str(r, strip(self(c), arg_set(c, 0) ? &chars : NULL, ends));
}

static struct value str_strip(struct render *r, const struct call *c)
{
    return strip_ends(r, c, STRIP_LEFT | STRIP_RIGHT);
}

static struct value str_lstrip(struct render *r, const struct call *c)
{
    return strip_ends(r, c, STRIP_LEFT);
}

static struct value str_rstrip(struct render *r, const struct call *c)
{
    return strip_ends(r, c, STRIP_RIGHT);
}

static struct value split_from(struct render *r, const struct call *c, bool from_right)
{
    struct str sep;
    int64_t max;
    if (!arg_str(r, c, 0, STR(""), &sep) || !arg_int(r, c, 1, -1, &max))
        return value_error();
    return split(r, self(c), arg_set(c, 0) ? &sep : NULL, max < 0 ? -1 : max, from_right);
}

static struct value str_split(struct render *r, const struct call *c)
{
    return split_from(r, c, false);
}

static struct value str_rsplit(struct render *r, const struct call *c)
{
    return split_from(r, c, true);
}

static struct value str_splitlines(struct render *r, const struct call *c)
{
    return split_lines(r, self(c), arg_bool(c, 0, false));
}

static struct value str_join(struct render *r, const struct call *c)
{
    return join(r, self(c), c->a[0], true);
}

static ptrdiff_t find_last(struct str s, struct str needle)
{
    for (size_t i = s.len; i >= needle.len; i--)
        if (needle.len == 0 || memcmp(s.ptr + i - needle.len, needle.ptr, needle.len) == 0)
            return (ptrdiff_t)(i - needle.len);
    return -1;
}

static struct value partition(struct render *r, const struct call *c, bool last)
{
    struct str s = self(c), sep;
    if (!arg_str(r, c, 0, STR(""), &sep))
        return value_error();
    if (sep.len == 0)
        return render_fail(r, ERR_INVALID, "empty separator");
    ptrdiff_t at = last ? find_last(s, sep) : str_find(s, sep);
    struct str parts[3] = {last ? STR("") : s, STR(""), last ? s : STR("")};
    if (at >= 0) {
        parts[0] = str_sub(s, 0, (size_t)at);
        parts[1] = sep;
        parts[2] = str_sub(s, (size_t)at + sep.len, SIZE_MAX);
    }
    struct value v[3];
    for (size_t i = 0; i < 3; i++) {
        v[i] = value_str(r, parts[i]);
        if (is_error(v[i]))
            return v[i];
    }
    return value_tuple(r, v, 3);
}

static struct value str_partition(struct render *r, const struct call *c)
{
    return partition(r, c, false);
}

static struct value str_rpartition(struct render *r, const struct call *c)
{
    return partition(r, c, true);
}

/* ---- find ---- */

/* The part between the optional arguments i and i + 1 (start and end, in characters). False when
 * start lies behind the end of the string, where nothing is ever found. */
static bool range_arg(struct render *r, const struct call *c, size_t i, struct str *ret_part,
                      int64_t *ret_start)
{
    int64_t n = (int64_t)vstr_chars(c->self.s), start, end;
    if (!arg_int(r, c, i, 0, &start) || !arg_int(r, c, i + 1, n, &end))
        return false;
    start = start < 0 ? MAX(0, start + n) : start;
    end = end < 0 ? MAX(0, end + n) : MIN(end, n);
    *ret_start = start;
    if (start > n || start > end)
        return false;
    struct value part = get_slice(r, c->self, value_int(start), value_int(end), value_none());
    if (is_error(part))
        return false;
    *ret_part = part.s->s;
    return true;
}

static int64_t find_in(struct render *r, const struct call *c, bool last)
{
    struct str needle, part;
    int64_t start = 0;
    if (!arg_str(r, c, 0, STR(""), &needle) || !range_arg(r, c, 1, &part, &start))
        return -1;
    render_steps(r, part.len / 32);
    ptrdiff_t at = last ? find_last(part, needle) : str_find(part, needle);
    return at < 0 ? -1 : start + (int64_t)cp_count(str_sub(part, 0, (size_t)at));
}

static struct value str_find_method(struct render *r, const struct call *c)
{
    return value_int(find_in(r, c, false));
}

static struct value str_rfind_method(struct render *r, const struct call *c)
{
    return value_int(find_in(r, c, true));
}

static struct value index_of(struct render *r, const struct call *c, bool last)
{
    int64_t at = find_in(r, c, last);
    return at < 0 ? render_fail(r, ERR_INVALID, "substring not found") : value_int(at);
}

static struct value str_index(struct render *r, const struct call *c)
{
    return index_of(r, c, false);
}

static struct value str_rindex(struct render *r, const struct call *c)
{
    return index_of(r, c, true);
}

static struct value str_count(struct render *r, const struct call *c)
{
    struct str needle, part;
    int64_t start = 0, n = 0;
    if (!arg_str(r, c, 0, STR(""), &needle) || !range_arg(r, c, 1, &part, &start))
        return value_int(0);
    if (needle.len == 0)
        return value_int((int64_t)cp_count(part) + 1);
    render_steps(r, part.len / 32);
    for (ptrdiff_t at; (at = str_find(part, needle)) >= 0; n++)
        part = str_sub(part, (size_t)at + needle.len, SIZE_MAX);
    return value_int(n);
}

/* startswith and endswith: one string or a tuple of them. */
static struct value has_affix(struct render *r, const struct call *c, bool at_end)
{
    struct str part;
    int64_t start = 0;
    struct value want = c->a[0];
    size_t n = want.type == V_TUPLE ? want.l->n : 1;
    const struct value *items = want.type == V_TUPLE ? want.l->items : &want;
    for (size_t i = 0; i < n; i++) {
        if (items[i].type == V_UNDEFINED && want.type != V_TUPLE)
            return op_negate(r, want);
        if (items[i].type != V_STR)
            return render_fail_type(r, "%s first arg must be str or a tuple of str, not %s",
                                    c->builtin->name, value_type_name(items[i]));
    }
    if (!range_arg(r, c, 1, &part, &start))
        return value_bool(false);
    for (size_t i = 0; i < n; i++)
        if (at_end ? str_ends_with(part, items[i].s->s) : str_starts_with(part, items[i].s->s))
            return value_bool(true);
    return value_bool(false);
}

static struct value str_startswith(struct render *r, const struct call *c)
{
    return has_affix(r, c, false);
}

static struct value str_endswith(struct render *r, const struct call *c)
{
    return has_affix(r, c, true);
}

static struct value str_removeprefix(struct render *r, const struct call *c)
{
    struct str s = self(c), prefix;
    if (!arg_str(r, c, 0, STR(""), &prefix))
        return value_error();
    return str_starts_with(s, prefix) ? value_str(r, str_sub(s, prefix.len, SIZE_MAX)) : c->self;
}

static struct value str_removesuffix(struct render *r, const struct call *c)
{
    struct str s = self(c), suffix;
    if (!arg_str(r, c, 0, STR(""), &suffix))
        return value_error();
    return str_ends_with(s, suffix) ? value_str(r, str_sub(s, 0, s.len - suffix.len)) : c->self;
}

/* ---- change ---- */

static struct value str_replace(struct render *r, const struct call *c)
{
    struct str old, with;
    int64_t count;
    if (!arg_str(r, c, 0, STR(""), &old) || !arg_str(r, c, 1, STR(""), &with) ||
        !arg_int(r, c, 2, -1, &count))
        return value_error();
    if (!arg_set(c, 0) || !arg_set(c, 1))
        return render_fail_type(r, "replace() arguments must be str, not None");
    CLEANUP_BUF struct buf b = render_buf();
    append_replaced(r, self(c), old, with, count < 0 ? -1 : count, &b);
    return value_str_buf(r, &b);
}

enum pad_side { PAD_LEFT, PAD_RIGHT, PAD_BOTH };

static struct value pad(struct render *r, const struct call *c, enum pad_side side)
{
    int64_t width;
    struct str fill;
    size_t at = 0;
    if (!arg_int(r, c, 0, 0, &width) || !arg_str(r, c, 1, STR(" "), &fill))
        return value_error();
    uint32_t cp = fill.len ? cp_next(fill, &at) : 0;
    if (fill.len == 0 || at != fill.len)
        return render_fail_type(r, "The fill character must be exactly one character long");
    uint64_t n = vstr_chars(c->self.s), w = width > 0 ? (uint64_t)width : 0, left, right;
    center_padding(n, w, &left, &right);
    CLEANUP_BUF struct buf b = render_buf();
    if (side == PAD_LEFT)
        append_padded(self(c), left + right, 0, cp, &b);
    else if (side == PAD_RIGHT)
        append_padded(self(c), 0, left + right, cp, &b);
    else
        append_padded(self(c), left, right, cp, &b);
    return value_str_buf(r, &b);
}

static struct value str_rjust(struct render *r, const struct call *c)
{
    return pad(r, c, PAD_LEFT);
}

static struct value str_ljust(struct render *r, const struct call *c)
{
    return pad(r, c, PAD_RIGHT);
}

static struct value str_center(struct render *r, const struct call *c)
{
    return pad(r, c, PAD_BOTH);
}

static struct value str_zfill(struct render *r, const struct call *c)
{
    int64_t width;
    if (!arg_int(r, c, 0, 0, &width))
        return value_error();
    struct str s = self(c);
    int64_t n = (int64_t)vstr_chars(c->self.s);
    bool sign = s.len > 0 && (s.ptr[0] == '-' || s.ptr[0] == '+');
    CLEANUP_BUF struct buf b = render_buf();
    buf_append(&b, str_sub(s, 0, sign));
    append_padded(str_sub(s, sign, SIZE_MAX), width > n ? (uint64_t)(width - n) : 0, 0, '0', &b);
    return value_str_buf(r, &b);
}

static struct value str_expandtabs(struct render *r, const struct call *c)
{
    int64_t size, column = 0;
    if (!arg_int(r, c, 0, 8, &size))
        return value_error();
    CLEANUP_BUF struct buf b = render_buf();
    for (size_t i = 0; i < self(c).len && !b.failed && render_steps(r, 1);) {
        uint32_t cp = cp_next(self(c), &i);
        if (cp != '\t') {
            cp_append(cp, &b);
            column = cp == '\n' || cp == '\r' ? 0 : column + 1;
        } else if (size > 0) {
            int64_t n = size - column % size;
            append_padded(STR(""), (uint64_t)n, 0, ' ', &b);
            column += n;
        }
    }
    return value_str_buf(r, &b);
}

static struct value str_format(struct render *r, const struct call *c)
{
    return format_braces(r, self(c), c->args);
}

static struct value str_format_map(struct render *r, const struct call *c)
{
    if (c->a[0].type != V_DICT)
        return render_fail_type(r, "format_map() takes a dict");
    const struct vdict *d = c->a[0].d;
    struct str *names = render_alloc(r, d->n, sizeof(*names));
    struct value *values = render_alloc(r, d->n, sizeof(*values));
    if (!names || !values)
        return value_error();
    size_t n = 0;
    for (size_t i = 0; i < d->n; i++) {
        if (d->entries[i].key.type != V_STR)
            continue;
        names[n] = d->entries[i].key.s->s;
        values[n++] = d->entries[i].value;
    }
    return format_braces(r, self(c), &(struct args){.kw_names = names, .kw = values, .n_kw = n});
}

/* ---- what is in it ---- */

static bool cp_is_alnum(uint32_t cp)
{
    return cp_is_alpha(cp) || cp_is_numeric(cp);
}

static bool cp_is_ascii(uint32_t cp)
{
    return cp < 0x80;
}

static struct value all_are(struct render *r, const struct call *c, bool (*test)(uint32_t),
                            bool when_empty)
{
    struct str s = self(c);
    render_steps(r, s.len / 16);
    for (size_t i = 0; i < s.len;)
        if (!test(cp_next(s, &i)))
            return value_bool(false);
    return value_bool(s.len > 0 || when_empty);
}

static struct value str_isalnum(struct render *r, const struct call *c)
{
    return all_are(r, c, cp_is_alnum, false);
}

static struct value str_isalpha(struct render *r, const struct call *c)
{
    return all_are(r, c, cp_is_alpha, false);
}

static struct value str_isascii(struct render *r, const struct call *c)
{
    return all_are(r, c, cp_is_ascii, true);
}

static struct value str_isdecimal(struct render *r, const struct call *c)
{
    return all_are(r, c, cp_is_decimal, false);
}

static struct value str_isdigit(struct render *r, const struct call *c)
{
    return all_are(r, c, cp_is_digit, false);
}

static struct value str_isnumeric(struct render *r, const struct call *c)
{
    return all_are(r, c, cp_is_numeric, false);
}

static struct value str_isprintable(struct render *r, const struct call *c)
{
    return all_are(r, c, cp_is_printable, true);
}

static struct value str_isspace(struct render *r, const struct call *c)
{
    return all_are(r, c, cp_is_space, false);
}

static bool is_name_start(uint32_t cp)
{
    return cp == '_' || cp_is_alpha(cp);
}

static bool is_name_part(uint32_t cp)
{
    return is_name_start(cp) || cp_is_decimal(cp);
}

static struct value str_isidentifier(struct render *r, const struct call *c)
{
    size_t at = 0;
    if (self(c).len == 0 || !is_name_start(cp_next(self(c), &at)))
        return value_bool(false);
    return all_are(r, c, is_name_part, false);
}

static struct value is_case(struct render *r, const struct call *c, bool upper)
{
    const struct builtin *b = test_find(upper ? STR("upper") : STR("lower"));
    return b->fn(r, c);
}

static struct value str_isupper(struct render *r, const struct call *c)
{
    return is_case(r, c, true);
}

static struct value str_islower(struct render *r, const struct call *c)
{
    return is_case(r, c, false);
}

static struct value str_istitle(struct render *r, const struct call *c)
{
    struct str s = self(c);
    bool in_word = false, any = false;
    render_steps(r, s.len / 16);
    for (size_t i = 0; i < s.len;) {
        uint32_t cp = cp_next(s, &i);
        bool upper = cp_is_upper(cp) || cp_is_title(cp), lower = cp_is_lower(cp);
        if ((upper && in_word) || (lower && !in_word))
            return value_bool(false);
        in_word = upper || lower;
        any |= in_word;
    }
    return value_bool(any);
}

static const struct builtin rows[] = {
    {"capitalize", str_capitalize, ""},
    {"casefold", str_lower, ""},
    {"center", str_center, "width, fillchar?"},
    {"count", str_count, "sub, start?, end?"},
    {"endswith", str_endswith, "suffix, start?, end?"},
    {"expandtabs", str_expandtabs, "tabsize?"},
    {"find", str_find_method, "sub, start?, end?"},
    {"format", str_format, "*"},
    {"format_map", str_format_map, "mapping"},
    {"index", str_index, "sub, start?, end?"},
    {"isalnum", str_isalnum, ""},
    {"isalpha", str_isalpha, ""},
    {"isascii", str_isascii, ""},
    {"isdecimal", str_isdecimal, ""},
    {"isdigit", str_isdigit, ""},
    {"isidentifier", str_isidentifier, ""},
    {"islower", str_islower, ""},
    {"isnumeric", str_isnumeric, ""},
    {"isprintable", str_isprintable, ""},
    {"isspace", str_isspace, ""},
    {"istitle", str_istitle, ""},
    {"isupper", str_isupper, ""},
    {"join", str_join, "iterable"},
    {"ljust", str_ljust, "width, fillchar?"},
    {"lower", str_lower, ""},
    {"lstrip", str_lstrip, "chars?"},
    {"partition", str_partition, "sep"},
    {"removeprefix", str_removeprefix, "prefix"},
    {"removesuffix", str_removesuffix, "suffix"},
    {"replace", str_replace, "old, new, count?"},
    {"rfind", str_rfind_method, "sub, start?, end?"},
    {"rindex", str_rindex, "sub, start?, end?"},
    {"rjust", str_rjust, "width, fillchar?"},
    {"rpartition", str_rpartition, "sep"},
    {"rsplit", str_rsplit, "sep?, maxsplit?"},
    {"rstrip", str_rstrip, "chars?"},
    {"split", str_split, "sep?, maxsplit?"},
    {"splitlines", str_splitlines, "keepends?"},
    {"startswith", str_startswith, "prefix, start?, end?"},
    {"strip", str_strip, "chars?"},
    {"swapcase", str_swapcase, ""},
    {"title", str_title, ""},
    {"upper", str_upper, ""},
    {"zfill", str_zfill, "width"},
};

const struct builtin_table methods_str = {rows, ARRAY_LEN(rows)};
