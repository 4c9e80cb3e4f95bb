/* SPDX-License-Identifier: Apache-2.0
 *
 * json.dumps, and the filters that write values for machines: tojson, pprint. */
#include <math.h>
#include <string.h>

#include "engine/template/interp.h"
#include "engine/template/output.h"
#include "engine/template/unicode.h"

static void append_json_str(struct str s, bool ascii, struct buf *out)
{
    static const char names[] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r',
    };
    buf_push(out, '"');
    for (size_t i = 0; i < s.len;) {
        size_t start = i;
        uint32_t cp = cp_next(s, &i);
        if (cp == '"' || cp == '\\')
            buf_printf(out, "\\%c", (char)cp);
        else if (cp < sizeof(names) && names[cp])
            buf_printf(out, "\\%c", names[cp]);
        else if (cp < ' ' || (ascii && cp > 0x7F && cp < 0x10000))
            buf_printf(out, "\\u%04x", cp);
        else if (ascii && cp >= 0x10000)
            buf_printf(out, "\\u%04x\\u%04x", 0xD800 + ((cp - 0x10000) >> 10),
                       0xDC00 + ((cp - 0x10000) & 0x3FF));
        else
            buf_append_bytes(out, s.ptr + start, i - start);
    }
    buf_push(out, '"');
}

static void append_scalar(struct value v, struct buf *out)
{
    char text[FLOAT_TEXT_MAX];
    switch (v.type) {
    case V_NONE:
        buf_append_c(out, "null");
        break;
    case V_BOOL:
        buf_append_c(out, v.b ? "true" : "false");
        break;
    case V_INT:
        buf_printf(out, "%lld", (long long)v.i);
        break;
    default: /* V_FLOAT */
        float_text(v.f, text);
        if (isnan(v.f))
            buf_append_c(out, "NaN");
        else if (isinf(v.f))
            buf_append_c(out, v.f > 0 ? "Infinity" : "-Infinity");
        else
            buf_append_c(out, text);
        break;
    }
}

static void newline(const struct json_style *style, int level, struct buf *out)
{
    if (!style->pretty)
        return;
    buf_push(out, '\n');
    for (int i = 0; i < level && !out->failed; i++)
        buf_append(out, style->indent);
}

static bool append_array(struct render *r, const struct vlist *l, const struct json_style *style,
                         int level, struct buf *out)
{
    buf_push(out, '[');
    for (size_t i = 0; i < l->n; i++) {
        if (i > 0)
            buf_append(out, style->item_sep);
        newline(style, level + 1, out);
        if (!json_append(r, l->items[i], style, level + 1, out))
            return false;
    }
    if (l->n > 0)
        newline(style, level, out);
    buf_push(out, ']');
    return true;
}

static bool append_key(struct render *r, struct value key, const struct json_style *style,
                       struct buf *out)
{
    if (key.type == V_STR) {
        append_json_str(key.s->s, style->ascii, out);
    } else if (key.type == V_NONE || value_is_number(key)) {
        buf_push(out, '"');
        append_scalar(key, out);
        buf_push(out, '"');
    } else {
        render_fail_type(r, "keys must be str, int, float, bool or None, not %s",
                         value_type_name(key));
        return false;
    }
    buf_append(out, style->key_sep);
    return true;
}

static struct value first_of_pair(struct render *r, struct value pair, const void *arg)
{
    (void)r;
    (void)arg;
    return pair.l->items[0];
}

/* The items as a list of pairs, sorted by key. */
static struct value sorted_pairs(struct render *r, const struct vdict *d)
{
    struct vview view = {.kind = VIEW_ITEMS, .d = (struct vdict *)(uintptr_t)d};
    struct value pairs = value_to_list(r, (struct value){.type = V_VIEW, .view = &view});
    if (!is_error(pairs) && !sort_list(r, pairs.l, first_of_pair, NULL, false))
        return value_error();
    return pairs;
}

static bool append_object(struct render *r, const struct vdict *d, const struct json_style *style,
                          int level, struct buf *out)
{
    struct value pairs = value_none();
    if (style->sort_keys) {
        pairs = sorted_pairs(r, d);
        if (is_error(pairs))
            return false;
    }
    buf_push(out, '{');
    for (size_t i = 0; i < d->n; i++) {
        struct value key = d->entries[i].key, v = d->entries[i].value;
        if (style->sort_keys) {
            key = pairs.l->items[i].l->items[0];
            v = pairs.l->items[i].l->items[1];
        }
        if (i > 0)
            buf_append(out, style->item_sep);
        newline(style, level + 1, out);
        if (!append_key(r, key, style, out) || !json_append(r, v, style, level + 1, out))
            return false;
    }
    if (d->n > 0)
        newline(style, level, out);
    buf_push(out, '}');
    return true;
}

bool json_append(struct render *r, struct value v, const struct json_style *style, int level,
                 struct buf *out)
{
    if (!render_steps(r, 1) || out->failed)
        return false;
    switch (v.type) {
    case V_NONE:
    case V_BOOL:
    case V_INT:
    case V_FLOAT:
        append_scalar(v, out);
        return true;
    case V_STR:
        append_json_str(v.s->s, style->ascii, out);
        return render_steps(r, v.s->s.len / 32);
    case V_LIST:
    case V_TUPLE:
    case V_DICT:
    case V_GENERATOR: /* Python refuses it; templates written for llama.cpp count on it */
        break;
    default:
        render_fail_type(r, "Object of type %s is not JSON serializable", value_type_name(v));
        return false;
    }
    if (level >= RENDER_MAX_NESTING) {
        render_fail(r, ERR_TOO_LARGE, "a value is nested deeper than %d levels",
                    RENDER_MAX_NESTING);
        return false;
    }
    return v.type == V_DICT ? append_object(r, v.d, style, level, out)
                            : append_array(r, v.l, style, level, out);
}

/* separators=(item, key) */
static bool read_separators(struct render *r, struct value v, struct json_style *style)
{
    if ((v.type != V_TUPLE && v.type != V_LIST) || v.l->n != 2 || v.l->items[0].type != V_STR ||
        v.l->items[1].type != V_STR) {
        render_fail_type(r, "tojson(): 'separators' must be a pair of strings");
        return false;
    }
    style->item_sep = v.l->items[0].s->s;
    style->key_sep = v.l->items[1].s->s;
    return true;
}

struct value filter_tojson(struct render *r, const struct call *c)
{
    enum { ASCII, INDENT, SEPARATORS, SORT_KEYS };
    enum { INDENT_MAX = 64 };
    static const char spaces[] = "                                                                ";
    struct json_style style = {.ascii = arg_bool(c, ASCII, false),
                               .sort_keys = arg_bool(c, SORT_KEYS, false),
                               .item_sep = STR(", "), .key_sep = STR(": ")};
    if (arg_set(c, INDENT)) {
        int64_t n;
        style.pretty = true;
        style.item_sep = STR(",");
        if (c->a[INDENT].type == V_STR) {
            style.indent = c->a[INDENT].s->s;
        } else if (!arg_int(r, c, INDENT, 0, &n)) {
            return value_error();
        } else {
            n = MAX(0, MIN(n, INDENT_MAX));
            style.indent = str_make(spaces, (size_t)n);
        }
    }
    if (arg_set(c, SEPARATORS) && !read_separators(r, c->a[SEPARATORS], &style))
        return value_error();
    CLEANUP_BUF struct buf b = render_buf();
    json_append(r, c->self, &style, 0, &b);
    return value_str_buf(r, &b);
}

/* ---- pprint ---- */

enum { PPRINT_WIDTH = 80 };

static void pretty(struct render *r, struct value v, size_t indent, size_t after, struct buf *out);

static void pretty_break(size_t indent, struct buf *out)
{
    buf_push(out, ',');
    if (indent == SIZE_MAX) {
        buf_push(out, ' ');
        return;
    }
    buf_push(out, '\n');
    for (size_t i = 0; i < indent && !out->failed; i++)
        buf_push(out, ' ');
}

static void pretty_dict(struct render *r, struct value v, size_t indent, size_t after,
                        struct buf *out)
{
    struct value pairs = sorted_pairs(r, v.d);
    buf_push(out, '{');
    for (size_t i = 0; !r->failed && i < pairs.l->n; i++) {
        if (i > 0)
            pretty_break(indent, out);
        CLEANUP_BUF struct buf key = render_buf();
        value_append_repr(r, pairs.l->items[i].l->items[0], &key);
        buf_append(out, buf_str(&key));
        buf_append_c(out, ": ");
        size_t column = indent == SIZE_MAX ? indent : indent + cp_count(buf_str(&key)) + 2;
        pretty(r, pairs.l->items[i].l->items[1], column, i + 1 == pairs.l->n ? after + 1 : 1, out);
    }
    buf_push(out, '}');
}

static void pretty_list(struct render *r, struct value v, size_t indent, size_t after,
                        struct buf *out)
{
    bool list = v.type == V_LIST;
    buf_push(out, list ? '[' : '(');
    for (size_t i = 0; i < v.l->n && !r->failed; i++) {
        if (i > 0)
            pretty_break(indent, out);
        pretty(r, v.l->items[i], indent, i + 1 == v.l->n ? after + 1 : 1, out);
    }
    if (!list && v.l->n == 1)
        buf_push(out, ',');
    buf_push(out, list ? ']' : ')');
}

/* One line if it fits between `indent` and the width with `after` more characters behind it;
 * otherwise an item a line. indent SIZE_MAX: one line in any case. */
static void pretty(struct render *r, struct value v, size_t indent, size_t after, struct buf *out)
{
    if (!render_enter(r))
        return;
    if (v.type != V_DICT && v.type != V_LIST && v.type != V_TUPLE) {
        value_append_repr(r, v, out);
    } else {
        if (indent != SIZE_MAX) {
            CLEANUP_BUF struct buf line = render_buf();
            pretty(r, v, SIZE_MAX, 0, &line);
            if (cp_count(buf_str(&line)) + indent + after <= PPRINT_WIDTH)
                indent = SIZE_MAX;
        }
        size_t inner = indent == SIZE_MAX ? indent : indent + 1;
        if (v.type == V_DICT)
            pretty_dict(r, v, inner, after, out);
        else
            pretty_list(r, v, inner, after, out);
    }
    render_leave(r);
}

struct value filter_pprint(struct render *r, const struct call *c)
{
    CLEANUP_BUF struct buf b = render_buf();
    pretty(r, c->self, 0, 0, &b);
    return value_str_buf(r, &b);
}
