/* SPDX-License-Identifier: Apache-2.0
 *
 * String operations with Python's rules. */
#include "engine/template/pystr.h"

#include <string.h>

#include "engine/template/interp.h"
#include "engine/template/unicode.h"

static bool is_cased(uint32_t cp)
{
    return cp_is_upper(cp) || cp_is_lower(cp) || cp_is_title(cp);
}

void append_case(struct str s, enum text_case how, struct buf *out)
{
    bool in_word = false;
    for (size_t i = 0; i < s.len && !out->failed;) {
        size_t at = i;
        uint32_t cp = cp_next(s, &i);
        switch (how) {
        case CASE_UPPER:
            cp_append_upper(cp, out);
            break;
        case CASE_LOWER:
            cp_append_lower(s, at, cp, out);
            break;
        case CASE_CAPITALIZE:
            at == 0 ? cp_append_title(cp, out) : cp_append_lower(s, at, cp, out);
            break;
        case CASE_TITLE:
            in_word ? cp_append_lower(s, at, cp, out) : cp_append_title(cp, out);
            in_word = is_cased(cp);
            break;
        case CASE_SWAP:
            if (cp_is_upper(cp))
                cp_append_lower(s, at, cp, out);
            else if (cp_is_lower(cp))
                cp_append_upper(cp, out);
            else
                cp_append(cp, out);
            break;
        }
    }
}

static bool in_chars(uint32_t cp, const struct str *chars)
{
    if (!chars)
        return cp_is_space(cp);
    for (size_t i = 0; i < chars->len;)
        if (cp_next(*chars, &i) == cp)
            return true;
    return false;
}

struct str strip(struct str s, const struct str *chars, int ends)
{
    size_t from = 0, to = s.len;
    while ((ends & STRIP_LEFT) && from < to) {
        size_t next = from;
        if (!in_chars(cp_next(s, &next), chars))
            break;
        from = next;
    }
    while ((ends & STRIP_RIGHT) && to > from) {
        size_t prev = to;
        if (!in_chars(cp_prev(s, &prev), chars))
            break;
        to = prev;
    }
    return str_sub(s, from, to - from);
}

void append_replaced(struct render *r, struct str s, struct str old, struct str with, int64_t count,
                     struct buf *out)
{
    render_steps(r, s.len / 32);
    if (old.len == 0) { /* before each character and at the end */
        for (size_t i = 0; !r->failed && !out->failed;) {
            if (count-- == 0) {
                buf_append(out, str_sub(s, i, SIZE_MAX));
                return;
            }
            buf_append(out, with);
            if (i >= s.len || !render_steps(r, 1))
                return;
            size_t at = i;
            cp_next(s, &i);
            buf_append_bytes(out, s.ptr + at, i - at);
        }
        return;
    }
    while (count-- != 0 && !r->failed && !out->failed) {
        ptrdiff_t at = str_find(s, old);
        if (at < 0 || !render_steps(r, 1))
            break;
        buf_append_bytes(out, s.ptr, (size_t)at);
        buf_append(out, with);
        s = str_sub(s, (size_t)at + old.len, SIZE_MAX);
    }
    buf_append(out, s);
}

/* ---- split ---- */

static bool push_part(struct render *r, struct vlist *l, struct str s)
{
    struct value v = render_steps(r, 1) ? value_str(r, s) : value_error();
    return !is_error(v) && vlist_push(r, l, v);
}

static ptrdiff_t rfind(struct str s, struct str needle)
{
    for (size_t i = s.len; i >= needle.len; i--)
        if (memcmp(s.ptr + i - needle.len, needle.ptr, needle.len) == 0)
            return (ptrdiff_t)(i - needle.len);
    return -1;
}

static void split_at(struct render *r, struct str s, struct str sep, int64_t max, bool from_right,
                     struct vlist *l)
{
    while (max-- != 0) {
        ptrdiff_t at = from_right ? rfind(s, sep) : str_find(s, sep);
        if (at < 0)
            break;
        struct str before = str_sub(s, 0, (size_t)at);
        struct str behind = str_sub(s, (size_t)at + sep.len, SIZE_MAX);
        if (!push_part(r, l, from_right ? behind : before))
            return;
        s = from_right ? before : behind;
    }
    push_part(r, l, s);
}

/* The first (or last) run of characters that are no white space. */
static struct str word_at(struct str s, bool from_right)
{
    size_t at = from_right ? s.len : 0;
    while (from_right ? at > 0 : at < s.len) {
        size_t next = at;
        if (cp_is_space(from_right ? cp_prev(s, &next) : cp_next(s, &next)))
            break;
        at = next;
    }
    return from_right ? str_sub(s, at, SIZE_MAX) : str_sub(s, 0, at);
}

static void split_words(struct render *r, struct str s, int64_t max, bool from_right,
                        struct vlist *l)
{
    s = strip(s, NULL, from_right ? STRIP_RIGHT : STRIP_LEFT);
    while (s.len > 0 && max-- != 0) {
        struct str word = word_at(s, from_right);
        if (!push_part(r, l, word))
            return;
        size_t rest = s.len - word.len;
        s = strip(from_right ? str_sub(s, 0, rest) : str_sub(s, word.len, rest), NULL,
                  from_right ? STRIP_RIGHT : STRIP_LEFT);
    }
    if (s.len > 0) /* max was reached */
        push_part(r, l, s);
}

struct value split(struct render *r, struct str s, const struct str *sep, int64_t max,
                   bool from_right)
{
    struct value l = value_list(r, 0);
    if (is_error(l) || !render_steps(r, s.len / 32))
        return value_error();
    if (sep && sep->len == 0)
        return render_fail(r, ERR_INVALID, "empty separator");
    if (sep)
        split_at(r, s, *sep, max, from_right, l.l);
    else
        split_words(r, s, max, from_right, l.l);
    for (size_t i = 0; from_right && i < l.l->n / 2; i++) {
        struct value v = l.l->items[i];
        l.l->items[i] = l.l->items[l.l->n - 1 - i];
        l.l->items[l.l->n - 1 - i] = v;
    }
    return r->failed ? value_error() : l;
}

struct value split_lines(struct render *r, struct str s, bool keep_ends)
{
    struct value l = value_list(r, 0);
    for (size_t i = 0; i < s.len && !is_error(l);) {
        size_t start = i, end = i;
        while (i < s.len) {
            end = i;
            uint32_t cp = cp_next(s, &i);
            if (cp == '\r' && i < s.len && s.ptr[i] == '\n')
                i++;
            if (cp_is_line_break(cp))
                break;
            end = i;
        }
        if (!push_part(r, l.l, str_sub(s, start, (keep_ends ? i : end) - start)))
            return value_error();
    }
    return l;
}

/* ---- pad, join ---- */

void append_padded(struct str s, uint64_t left, uint64_t right, uint32_t fill, struct buf *out)
{
    if (left > RENDER_MAX_TEXT || right > RENDER_MAX_TEXT) {
        buf_reserve(out, SIZE_MAX / 4); /* marks it as too large */
        return;
    }
    for (uint64_t i = 0; i < left && !out->failed; i++)
        cp_append(fill, out);
    buf_append(out, s);
    for (uint64_t i = 0; i < right && !out->failed; i++)
        cp_append(fill, out);
}

void center_padding(uint64_t n_chars, uint64_t width, uint64_t *ret_left, uint64_t *ret_right)
{
    uint64_t pad = width > n_chars ? width - n_chars : 0;
    *ret_left = pad / 2 + (pad & width & 1);
    *ret_right = pad - *ret_left;
}

struct value join(struct render *r, struct str sep, struct value items, bool strict)
{
    struct iter it;
    struct value item;
    CLEANUP_BUF struct buf b = render_buf();
    if (!iter_start(r, items, &it))
        return value_error();
    for (size_t n = 0; iter_next(r, &it, &item) && !b.failed; n++) {
        if (strict && item.type != V_STR)
            return render_fail_type(r, "sequence item %zu: expected str instance, %s found", n,
                                    value_type_name(item));
        if (n > 0)
            buf_append(&b, sep);
        value_append_str(r, item, &b);
    }
    return value_str_buf(r, &b);
}
