/* SPDX-License-Identifier: Apache-2.0
 *
 * str() and repr() of values, as Python writes them. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/template/interp.h"
#include "engine/template/unicode.h"

/* The shortest digits that read back as the same number; exponent form from 1e16 and below 1e-4. */
void float_text(double f, char out[FLOAT_TEXT_MAX])
{
    if (isnan(f)) {
        snprintf(out, FLOAT_TEXT_MAX, "nan");
        return;
    }
    if (isinf(f)) {
        snprintf(out, FLOAT_TEXT_MAX, f < 0 ? "-inf" : "inf");
        return;
    }
    char sci[FLOAT_TEXT_MAX];
    for (int precision = 0; precision < 17; precision++) {
        snprintf(sci, sizeof(sci), "%.*e", precision, f);
        if (strtod(sci, NULL) == f)
            break;
    }
    char *e = strchr(sci, 'e');
    int exponent = (int)strtol(e + 1, NULL, 10);
    if (exponent >= -4 && exponent < 16) {
        int digits = (int)(e - sci) - (sci[0] == '-') - 1; /* of the mantissa, with the point */
        if (digits < 1)
            digits = 1;
        int decimals = digits - 1 - exponent;
        snprintf(out, FLOAT_TEXT_MAX, "%.*f", decimals > 0 ? decimals : 1, f);
        return;
    }
    *e = '\0';
    snprintf(out, FLOAT_TEXT_MAX, "%.25se%c%02d", sci, exponent < 0 ? '-' : '+', abs(exponent));
}

void append_repr_str(struct str s, bool ascii, struct buf *out)
{
    bool single = memchr(s.ptr, '\'', s.len) != NULL, twice = memchr(s.ptr, '"', s.len) != NULL;
    char quote = single && !twice ? '"' : '\'';
    buf_push(out, quote);
    for (size_t i = 0; i < s.len;) {
        size_t start = i;
        uint32_t cp = cp_next(s, &i);
        if (cp == (uint32_t)quote || cp == '\\')
            buf_printf(out, "\\%c", (char)cp);
        else if (cp == '\n')
            buf_append_c(out, "\\n");
        else if (cp == '\r')
            buf_append_c(out, "\\r");
        else if (cp == '\t')
            buf_append_c(out, "\\t");
        else if (cp < 0x7F ? cp >= ' ' : !ascii && cp_is_printable(cp))
            buf_append_bytes(out, s.ptr + start, i - start);
        else if (cp < 0x100)
            buf_printf(out, "\\x%02x", cp);
        else if (cp < 0x10000)
            buf_printf(out, "\\u%04x", cp);
        else
            buf_printf(out, "\\U%08x", cp);
    }
    buf_push(out, quote);
}

static void append_items(struct render *r, const struct vlist *l, struct buf *out)
{
    for (size_t i = 0; i < l->n && !r->failed && !out->failed; i++) {
        if (i > 0)
            buf_append_c(out, ", ");
        value_append_repr(r, l->items[i], out);
    }
}

static void append_entries(struct render *r, const struct vdict *d, enum view_kind kind, bool pairs,
                           struct buf *out)
{
    for (size_t i = 0; i < d->n && !r->failed && !out->failed; i++) {
        if (i > 0)
            buf_append_c(out, ", ");
        if (pairs)
            buf_push(out, '(');
        if (kind != VIEW_VALUES)
            value_append_repr(r, d->entries[i].key, out);
        if (kind == VIEW_ITEMS)
            buf_append_c(out, pairs ? ", " : ": ");
        if (kind != VIEW_KEYS)
            value_append_repr(r, d->entries[i].value, out);
        if (pairs)
            buf_push(out, ')');
    }
}

static void append_container(struct render *r, struct value v, struct buf *out)
{
    switch (v.type) {
    case V_LIST:
        buf_push(out, '[');
        append_items(r, v.l, out);
        buf_push(out, ']');
        break;
    case V_TUPLE:
        buf_push(out, '(');
        append_items(r, v.l, out);
        buf_append_c(out, v.l->n == 1 ? ",)" : ")");
        break;
    case V_DICT:
        buf_push(out, '{');
        append_entries(r, v.d, VIEW_ITEMS, false, out);
        buf_push(out, '}');
        break;
    case V_NAMESPACE:
        buf_append_c(out, "<Namespace {");
        append_entries(r, v.d, VIEW_ITEMS, false, out);
        buf_append_c(out, "}>");
        break;
    default: /* V_VIEW */
        buf_printf(out, "%s([", value_type_name(v));
        append_entries(r, v.view->d, v.view->kind, v.view->kind == VIEW_ITEMS, out);
        buf_append_c(out, "])");
        break;
    }
}

static void append_range(const struct vrange *g, struct buf *out)
{
    buf_printf(out, "range(%lld, %lld", (long long)g->start, (long long)g->stop);
    if (g->step != 1)
        buf_printf(out, ", %lld", (long long)g->step);
    buf_push(out, ')');
}

static void append_object(struct render *r, struct value v, struct buf *out)
{
    switch (v.type) {
    case V_MACRO:
        buf_append_c(out, "<Macro ");
        if (v.macro->node->name.len)
            append_repr_str(v.macro->node->name, false, out);
        else
            buf_append_c(out, "anonymous");
        buf_push(out, '>');
        break;
    case V_FUNCTION:
        if (v.fn->self.type == V_MISSING)
            buf_printf(out, "<function %s>", v.fn->builtin->name);
        else
            buf_printf(out, "<built-in method %s of %s object>", v.fn->builtin->name,
                       value_type_name(v.fn->self));
        break;
    case V_LOOP: {
        struct value n = loop_attr(r, v.loop, STR("length"));
        buf_printf(out, "<LoopContext %lld/%lld>", (long long)v.loop->index0 + 1,
                   is_error(n) ? 0LL : (long long)n.i);
        break;
    }
    case V_GENERATOR:
        buf_printf(out, "<generator object %s>", v.l->kind);
        break;
    default:
        buf_printf(out, "<%s object>", value_type_name(v));
        break;
    }
}

void value_append_repr(struct render *r, struct value v, struct buf *out)
{
    char text[FLOAT_TEXT_MAX];
    if (r->failed || !render_steps(r, 1))
        return;
    switch (v.type) {
    case V_UNDEFINED:
        buf_append_c(out, "Undefined");
        break;
    case V_NONE:
        buf_append_c(out, "None");
        break;
    case V_BOOL:
        buf_append_c(out, v.b ? "True" : "False");
        break;
    case V_INT:
        buf_printf(out, "%lld", (long long)v.i);
        break;
    case V_FLOAT:
        float_text(v.f, text);
        buf_append_c(out, text);
        break;
    case V_STR:
        if (v.s->markup)
            buf_append_c(out, "Markup(");
        append_repr_str(v.s->s, false, out);
        if (v.s->markup)
            buf_push(out, ')');
        render_steps(r, v.s->s.len / 64);
        break;
    case V_LIST:
    case V_TUPLE:
    case V_DICT:
    case V_NAMESPACE:
    case V_VIEW:
        if (!render_nest(r))
            return;
        append_container(r, v, out);
        r->nesting--;
        break;
    case V_RANGE:
        append_range(v.range, out);
        break;
    default:
        append_object(r, v, out);
        break;
    }
}

void value_append_str(struct render *r, struct value v, struct buf *out)
{
    if (v.type == V_STR) {
        render_steps(r, v.s->s.len / 64);
        buf_append(out, v.s->s);
    } else if (v.type != V_UNDEFINED) {
        value_append_repr(r, v, out);
    }
}

struct value value_to_str(struct render *r, struct value v)
{
    if (v.type == V_STR || is_error(v))
        return v;
    if (v.type == V_UNDEFINED)
        return value_str(r, STR(""));
    CLEANUP_BUF struct buf b = render_buf();
    value_append_repr(r, v, &b);
    return value_str_buf(r, &b);
}
