/* SPDX-License-Identifier: Apache-2.0
 *
 * Filters for text. They take str() of what they are applied to. */
#include <string.h>

#include "engine/template/interp.h"
#include "engine/template/output.h"
#include "engine/template/pystr.h"
#include "engine/template/unicode.h"

/* Text made from a Markup is a Markup again. */
static struct value like_self(struct render *r, const struct call *c, struct value v)
{
    bool markup = c->self.type == V_STR && c->self.s->markup;
    return markup ? value_markup(r, v) : v;
}

static struct value filter_case(struct render *r, const struct call *c, enum text_case how)
{
    CLEANUP_BUF struct buf b = render_buf();
    struct str s = self_text(r, c);
    if (!render_steps(r, s.len / 16))
        return value_error();
    append_case(s, how, &b);
    return like_self(r, c, value_str_buf(r, &b));
}

static struct value filter_upper(struct render *r, const struct call *c)
{
    return filter_case(r, c, CASE_UPPER);
}

static struct value filter_lower(struct render *r, const struct call *c)
{
    return filter_case(r, c, CASE_LOWER);
}

static struct value filter_capitalize(struct render *r, const struct call *c)
{
    return filter_case(r, c, CASE_CAPITALIZE);
}

/* Words begin behind white space and - ( { [ <, which is not where str.title() sees them. */
static struct value filter_title(struct render *r, const struct call *c)
{
    struct str s = self_text(r, c);
    CLEANUP_BUF struct buf b = render_buf();
    bool in_word = false;
    render_steps(r, s.len / 16);
    for (size_t i = 0; i < s.len && !b.failed;) {
        size_t at = i;
        uint32_t cp = cp_next(s, &i);
        bool border = cp_is_space(cp) || cp == '-' || cp == '(' || cp == '{' || cp == '[' ||
                      cp == '<';
        if (in_word)
            cp_append_lower(s, at, cp, &b);
        else
            cp_append_upper(cp, &b);
        in_word = !border;
    }
    return value_str_buf(r, &b);
}

static struct value filter_center(struct render *r, const struct call *c)
{
    int64_t width;
    uint64_t left, right;
    struct str s = self_text(r, c);
    if (!arg_int(r, c, 0, 80, &width))
        return value_error();
    center_padding(cp_count(s), width > 0 ? (uint64_t)width : 0, &left, &right);
    CLEANUP_BUF struct buf b = render_buf();
    append_padded(s, left, right, ' ', &b);
    return like_self(r, c, value_str_buf(r, &b));
}

static struct value filter_trim(struct render *r, const struct call *c)
{
    struct str chars, s = self_text(r, c);
    if (!arg_str(r, c, 0, STR(""), &chars))
        return value_error();
    s = strip(s, arg_set(c, 0) ? &chars : NULL, STRIP_LEFT | STRIP_RIGHT);
    return like_self(r, c, value_str(r, s));
}

static struct value filter_string(struct render *r, const struct call *c)
{
    return value_to_str(r, c->self);
}

static struct value filter_replace(struct render *r, const struct call *c)
{
    int64_t count;
    struct value old = value_to_str(r, c->a[0]), with = value_to_str(r, c->a[1]);
    struct str s = self_text(r, c);
    if (!arg_int(r, c, 2, -1, &count) || is_error(old) || is_error(with))
        return value_error();
    CLEANUP_BUF struct buf b = render_buf();
    append_replaced(r, s, old.s->s, with.s->s, count < 0 ? -1 : count, &b);
    return value_str_buf(r, &b);
}

static struct value filter_format(struct render *r, const struct call *c)
{
    const struct args *a = c->args;
    struct value format = value_to_str(r, c->self), args;
    if (is_error(format))
        return format;
    if (a->n_kw == 0) {
        args = value_tuple(r, a->pos, a->n_pos);
    } else if (a->n_pos > 0) {
        return render_fail_type(r, "can't handle positional and keyword arguments at the same "
                                   "time");
    } else {
        args = value_dict(r);
        for (size_t i = 0; i < a->n_kw && !is_error(args); i++) {
            struct value key = value_str(r, a->kw_names[i]);
            if (is_error(key) || !vdict_set(r, args.d, key, a->kw[i]))
                return value_error();
        }
    }
    return is_error(args) ? args : format_percent(r, format.s->s, args, format.s->markup);
}

static struct value filter_indent(struct render *r, const struct call *c)
{
    enum { WIDTH, FIRST, BLANK };
    int64_t width = 4;
    struct str unit = STR("");
    if (c->self.type != V_STR)
        return op_binary(r, OP_ADD, c->self, value_str(r, STR("\n"))); /* fails as Python does */
    if (arg_set(c, WIDTH) && c->a[WIDTH].type == V_STR) {
        unit = c->a[WIDTH].s->s;
        width = 0;
    } else if (!arg_int(r, c, WIDTH, 4, &width)) {
        return value_error();
    }
    CLEANUP_BUF struct buf indent = render_buf();
    append_padded(unit, width > 0 ? (uint64_t)width : 0, 0, ' ', &indent);
    CLEANUP_BUF struct buf b = render_buf();
    struct value with_end = op_concat(r, c->self, value_str(r, STR("\n")));
    struct value lines = is_error(with_end) ? with_end : split_lines(r, with_end.s->s, false);
    if (is_error(lines) || indent.failed)
        return value_str_buf(r, &indent);
    if (arg_bool(c, FIRST, false))
        buf_append(&b, buf_str(&indent));
    for (size_t i = 0; i < lines.l->n; i++) {
        struct str line = lines.l->items[i].s->s;
        if (i > 0) {
            buf_push(&b, '\n');
            if (line.len > 0 || arg_bool(c, BLANK, false))
                buf_append(&b, buf_str(&indent));
        }
        buf_append(&b, line);
    }
    return like_self(r, c, value_str_buf(r, &b));
}

static struct value filter_truncate(struct render *r, const struct call *c)
{
    enum { LENGTH, KILLWORDS, END, LEEWAY };
    int64_t length, leeway;
    struct str end;
    if (!arg_int(r, c, LENGTH, 255, &length) || !arg_str(r, c, END, STR("..."), &end) ||
        !arg_int(r, c, LEEWAY, 5, &leeway))
        return value_error();
    int64_t n_end = (int64_t)cp_count(end);
    if (length < n_end)
        return render_fail(r, ERR_INVALID, "expected length >= %lld, got %lld", (long long)n_end,
                           (long long)length);
    if (leeway < 0)
        return render_fail(r, ERR_INVALID, "expected leeway >= 0, got %lld", (long long)leeway);
    int64_t n = value_len(c->self);
    if (n >= 0 && (n <= length || n - length <= leeway))
        return c->self; /* anything short enough, not only text */
    if (c->self.type != V_STR)
        return render_fail_type(r, "object of type '%s' cannot be truncated",
                                value_type_name(c->self));
    struct value cut = get_slice(r, c->self, value_none(), value_int(length - n_end), value_none());
    if (is_error(cut))
        return cut;
    struct str s = cut.s->s;
    if (!arg_bool(c, KILLWORDS, false)) {
        ptrdiff_t space = str_rfind_char(s, ' ');
        if (space >= 0)
            s = str_sub(s, 0, (size_t)space);
    }
    return like_self(r, c, op_concat(r, value_str(r, s), value_str(r, end)));
}

static bool is_word(uint32_t cp)
{
    return cp == '_' || cp_is_alpha(cp) || cp_is_numeric(cp);
}

static struct value filter_wordcount(struct render *r, const struct call *c)
{
    struct str s = self_text(r, c);
    int64_t n = 0;
    bool in_word = false;
    render_steps(r, s.len / 16);
    for (size_t i = 0; i < s.len;) {
        bool word = is_word(cp_next(s, &i));
        n += word && !in_word;
        in_word = word;
    }
    return value_int(n);
}

/* ---- markup ---- */

static struct value filter_forceescape(struct render *r, const struct call *c)
{
    CLEANUP_BUF struct buf b = render_buf();
    buf_append_html(&b, self_text(r, c));
    return value_markup(r, value_str_buf(r, &b));
}

static struct value filter_escape(struct render *r, const struct call *c)
{
    if (c->self.type == V_STR && c->self.s->markup)
        return c->self;
    return filter_forceescape(r, c);
}

static struct value filter_safe(struct render *r, const struct call *c)
{
    return value_markup(r, value_to_str(r, c->self));
}

/* Without what stands between `open` and the next `close`. */
static void remove_between(struct str s, struct str open, struct str close, struct buf *out)
{
    while (s.len > 0) {
        ptrdiff_t at = str_find(s, open);
        struct str tail = at < 0 ? STR("") : str_sub(s, (size_t)at + open.len, SIZE_MAX);
        ptrdiff_t end = at < 0 ? -1 : str_find(tail, close);
        if (end < 0)
            break;
        buf_append(out, str_sub(s, 0, (size_t)at));
        s = str_sub(tail, (size_t)end + close.len, SIZE_MAX);
    }
    buf_append(out, s);
}

/* The character that "&name;" at s.ptr[0] stands for, and the entity's length; 0 if it is none. */
static size_t read_entity(struct str s, uint32_t *ret)
{
    static const struct {
        struct str name;
        uint32_t cp;
    } names[] = {{{"&amp;", 5}, '&'}, {{"&lt;", 4}, '<'}, {{"&gt;", 4}, '>'},
                 {{"&quot;", 6}, '"'}, {{"&apos;", 6}, '\''}, {{"&nbsp;", 6}, 0xA0}};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (str_starts_with(s, names[i].name)) {
            *ret = names[i].cp;
            return names[i].name.len;
        }
    }
    if (s.len < 4 || s.ptr[1] != '#')
        return 0;
    bool hex = (s.ptr[2] | 0x20) == 'x';
    uint32_t cp = 0;
    size_t i = hex ? 3 : 2, start = i;
    for (; i < s.len && i < start + 7; i++) {
        char c = s.ptr[i], low = (char)(c | 0x20);
        if (c >= '0' && c <= '9')
            cp = cp * (hex ? 16 : 10) + (uint32_t)(c - '0');
        else if (hex && low >= 'a' && low <= 'f')
            cp = cp * 16 + (uint32_t)(low - 'a' + 10);
        else
            break;
    }
    *ret = cp;
    return i > start && i < s.len && s.ptr[i] == ';' ? i + 1 : 0;
}

static struct value filter_striptags(struct render *r, const struct call *c)
{
    CLEANUP_BUF struct buf no_comments = render_buf();
    CLEANUP_BUF struct buf no_tags = render_buf();
    struct str s = self_text(r, c);
    render_steps(r, s.len / 16);
    remove_between(s, STR("<!--"), STR("-->"), &no_comments);
    remove_between(buf_str(&no_comments), STR("<"), STR(">"), &no_tags);
    struct value words = split(r, buf_str(&no_tags), NULL, -1, false);
    struct value joined = is_error(words) ? words : join(r, STR(" "), words, true);
    if (is_error(joined))
        return joined;
    CLEANUP_BUF struct buf b = render_buf();
    s = joined.s->s;
    for (size_t i = 0; i < s.len && !b.failed;) {
        uint32_t cp;
        size_t n = s.ptr[i] == '&' ? read_entity(str_sub(s, i, SIZE_MAX), &cp) : 0;
        if (n)
            cp_append(cp, &b);
        else
            buf_push(&b, s.ptr[i]);
        i += n ? n : 1;
    }
    return value_str_buf(r, &b);
}

static struct value filter_xmlattr(struct render *r, const struct call *c)
{
    if (c->self.type != V_DICT)
        return render_fail_type(r, "xmlattr: '%s' object has no items", value_type_name(c->self));
    CLEANUP_BUF struct buf b = render_buf();
    const struct vdict *d = c->self.d;
    for (size_t i = 0; i < d->n && !r->failed; i++) {
        if (d->entries[i].value.type == V_NONE || d->entries[i].value.type == V_UNDEFINED)
            continue;
        struct value key = value_to_str(r, d->entries[i].key);
        struct value text = is_error(key) ? key : value_to_str(r, d->entries[i].value);
        if (is_error(text))
            return text;
        for (size_t k = 0; k < key.s->s.len; k++)
            if (memchr(" \t\n\r\f\v/>=", key.s->s.ptr[k], 10))
                return render_fail(r, ERR_INVALID, "invalid character in attribute name: '%.*s'",
                                   STR_ARG(key.s->s));
        if (b.len > 0 || arg_bool(c, 0, true))
            buf_push(&b, ' ');
        buf_append_html(&b, key.s->s);
        buf_append_c(&b, "=\"");
        if (text.s->markup)
            buf_append(&b, text.s->s);
        else
            buf_append_html(&b, text.s->s);
        buf_push(&b, '"');
    }
    return value_str_buf(r, &b);
}

/* ---- urls ---- */

static void append_quoted(struct str s, bool query, struct buf *out)
{
    for (size_t i = 0; i < s.len && !out->failed; i++) {
        char c = s.ptr[i];
        bool plain = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
                     (c != '\0' && strchr("_.-~", c));
        if (plain || (c == '/' && !query))
            buf_push(out, c);
        else if (c == ' ' && query)
            buf_push(out, '+');
        else
            buf_printf(out, "%%%02X", (unsigned char)c);
    }
}

static struct value filter_urlencode(struct render *r, const struct call *c)
{
    CLEANUP_BUF struct buf b = render_buf();
    if (c->self.type == V_STR || !value_is_iterable(c->self)) {
        append_quoted(self_text(r, c), false, &b);
        return value_str_buf(r, &b);
    }
    struct vview view = {.kind = VIEW_ITEMS, .d = c->self.d};
    struct value pairs = c->self, pair;
    if (c->self.type == V_DICT)
        pairs = (struct value){.type = V_VIEW, .view = &view};
    struct iter it;
    if (!iter_start(r, pairs, &it))
        return value_error();
    while (iter_next(r, &it, &pair)) {
        pair = value_to_list(r, pair);
        if (is_error(pair) || pair.l->n != 2)
            return render_fail_type(r, "urlencode wants pairs");
        struct value key = value_to_str(r, pair.l->items[0]);
        struct value v = is_error(key) ? key : value_to_str(r, pair.l->items[1]);
        if (is_error(v))
            return v;
        if (b.len > 0)
            buf_push(&b, '&');
        append_quoted(key.s->s, true, &b);
        buf_push(&b, '=');
        append_quoted(v.s->s, true, &b);
    }
    return value_str_buf(r, &b);
}

static const struct builtin rows[] = {
    {"capitalize", filter_capitalize, ""},
    {"center", filter_center, "width?"},
    {"e", filter_escape, ""},
    {"escape", filter_escape, ""},
    {"forceescape", filter_forceescape, ""},
    {"format", filter_format, "*"},
    {"indent", filter_indent, "width?, first?, blank?"},
    {"lower", filter_lower, ""},
    {"replace", filter_replace, "old, new, count?"},
    {"safe", filter_safe, ""},
    {"string", filter_string, ""},
    {"striptags", filter_striptags, ""},
    {"title", filter_title, ""},
    {"trim", filter_trim, "chars?"},
    {"truncate", filter_truncate, "length?, killwords?, end?, leeway?"},
    {"upper", filter_upper, ""},
    {"urlencode", filter_urlencode, ""},
    {"wordcount", filter_wordcount, ""},
    {"wordwrap", filter_wordwrap, "width?, break_long_words?, wrapstring?, break_on_hyphens?"},
    {"xmlattr", filter_xmlattr, "autospace?"},
};

const struct builtin_table filters_text = {rows, ARRAY_LEN(rows)};
