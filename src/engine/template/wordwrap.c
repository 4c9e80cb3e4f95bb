/* SPDX-License-Identifier: Apache-2.0
 *
 * The wordwrap filter, with the rules of Python's textwrap.
 *
 * A line is cut into chunks: white space, words, and parts of words that end in a hyphen between
 * letters or stand beside a dash ("--"). Chunks are then put on lines of at most `width`
 * characters. White space at the ends of a wrapped line is dropped. */
#include <string.h>

#include "engine/template/interp.h"
#include "engine/template/output.h"
#include "engine/template/pystr.h"
#include "engine/template/unicode.h"

struct wrap {
    struct render *r;
    int64_t width;
    bool break_words, break_hyphens;
    struct str separator; /* between lines */
    bool first;           /* no line has been written yet */
    struct buf *out;
};

static bool is_blank(struct str s)
{
    return s.len > 0 && s.ptr[0] && strchr("\t\n\v\f\r ", s.ptr[0]) != NULL;
}

static uint32_t at_cp(struct str s, size_t at)
{
    return at < s.len ? cp_next(s, &at) : 0;
}

static uint32_t before_cp(struct str s, size_t at)
{
    return at > 0 ? cp_prev(s, &at) : 0;
}

static bool is_word_cp(uint32_t cp)
{
    return cp == '_' || cp_is_alpha(cp) || cp_is_numeric(cp);
}

static bool is_letter(uint32_t cp)
{
    return cp == '_' || cp_is_alpha(cp);
}

static bool is_word_or_mark(uint32_t cp)
{
    return is_word_cp(cp) || (cp && cp < 0x80 && strchr("!\"'&.,?", (int)cp));
}

/* A dash of two or more hyphens at `at` with a word behind it: its end, or 0. */
static size_t dash_end(struct str s, size_t at)
{
    size_t i = at;
    while (i < s.len && s.ptr[i] == '-')
        i++;
    return i - at >= 2 && is_word_cp(at_cp(s, i)) && is_word_or_mark(before_cp(s, at)) ? i : 0;
}

/* May a word be cut behind the hyphen that ends at `at`? */
static bool hyphen_cut(struct str s, size_t at)
{
    size_t i = at - 1, next = at;
    uint32_t one = before_cp(s, i);
    if (i == 0 || next >= s.len)
        return false;
    cp_prev(s, &i);
    uint32_t two = before_cp(s, i);
    bool left = is_letter(one) && is_letter(two);
    if (!left && is_word_or_mark(one) && two == '-' && i > 1)
        left = is_letter(before_cp(s, i - 1));
    if (!left || !is_letter(cp_next(s, &next)))
        return false;
    if (at_cp(s, next) == '-')
        next++;
    return is_letter(at_cp(s, next));
}

/* End of the chunk that starts at `at`. */
static size_t chunk_end(const struct wrap *w, struct str s, size_t at)
{
    size_t i = at;
    if (is_blank(str_sub(s, i, SIZE_MAX))) {
        while (i < s.len && is_blank(str_sub(s, i, SIZE_MAX)))
            i++;
        return i;
    }
    size_t dash = w->break_hyphens ? dash_end(s, at) : 0;
    if (dash)
        return dash;
    while (i < s.len && !is_blank(str_sub(s, i, SIZE_MAX))) {
        cp_next(s, &i);
        if (!w->break_hyphens)
            continue;
        if ((s.ptr[i - 1] == '-' && hyphen_cut(s, i)) || (i < s.len && dash_end(s, i)))
            break;
    }
    return i;
}

static void put_line(struct wrap *w, struct str line)
{
    if (line.len == 0)
        return;
    if (!w->first)
        buf_append(w->out, w->separator);
    w->first = false;
    buf_append(w->out, line);
}

/* How many bytes of a chunk wider than a line still go on a line with `room` characters left. */
static size_t cut_long(const struct wrap *w, struct str chunk, int64_t room)
{
    size_t end = 0, hyphen = 0;
    bool other = false;
    if (w->width < 1)
        room = 1;
    for (int64_t i = 0; i < room && end < chunk.len; i++) {
        if (chunk.ptr[end] == '-' && other && end > 0)
            hyphen = end + 1;
        other |= chunk.ptr[end] != '-';
        cp_next(chunk, &end);
    }
    return w->break_hyphens && hyphen && end < chunk.len ? hyphen : end;
}

/* One line of the input. The lines that come out are parts of it. */
static void wrap_line(struct wrap *w, struct str s)
{
    size_t at = 0, chunk = 0; /* at: start of the unplaced rest; chunk: end of its first chunk */
    bool any = false;
    while (at < s.len && !w->out->failed && render_steps(w->r, 1)) {
        chunk = chunk > at ? chunk : chunk_end(w, s, at);
        if (any && is_blank(str_sub(s, at, SIZE_MAX))) {
            at = chunk;
            if (at >= s.len)
                break;
            chunk = chunk_end(w, s, at);
        }
        size_t start = at;
        bool ends_blank = false;
        int64_t len = 0;
        while (at < s.len) {
            chunk = chunk > at ? chunk : chunk_end(w, s, at);
            int64_t n = (int64_t)cp_count(str_sub(s, at, chunk - at));
            if (!render_steps(w->r, 1))
                return;
            if (len + n > w->width) {
                if (n <= w->width)
                    break;
                if (w->break_words) { /* white space before a part, even an empty one, stays */
                    at += cut_long(w, str_sub(s, at, chunk - at), w->width - len);
                    ends_blank = false;
                } else if (at == start) {
                    at = chunk;
                }
                break;
            }
            ends_blank = is_blank(str_sub(s, at, SIZE_MAX));
            len += n;
            at = chunk;
        }
        size_t end = at;
        while (ends_blank && end > start && is_blank(str_sub(s, end - 1, SIZE_MAX)))
            end--;
        put_line(w, str_sub(s, start, end - start));
        any |= end > start;
        if (at == start && at < s.len) /* no progress: a chunk that is never to be broken */
            return;
    }
}

struct value filter_wordwrap(struct render *r, const struct call *c)
{
    enum { WIDTH, BREAK_WORDS, SEPARATOR, BREAK_HYPHENS };
    CLEANUP_BUF struct buf b = render_buf();
    struct wrap w = {.r = r, .break_words = arg_bool(c, BREAK_WORDS, true),
                     .break_hyphens = arg_bool(c, BREAK_HYPHENS, true), .out = &b};
    if (c->self.type != V_STR)
        return render_fail_type(r, "'%s' object has no lines to wrap", value_type_name(c->self));
    if (!arg_int(r, c, WIDTH, 79, &w.width) ||
        !arg_str(r, c, SEPARATOR, STR("\n"), &w.separator))
        return value_error();
    if (w.width <= 0)
        return render_fail(r, ERR_INVALID, "invalid width %lld (must be > 0)", (long long)w.width);
    struct value lines = split_lines(r, c->self.s->s, false);
    for (size_t i = 0; !is_error(lines) && i < lines.l->n; i++) {
        if (i > 0)
            buf_append(&b, w.separator);
        w.first = true;
        wrap_line(&w, lines.l->items[i].s->s);
    }
    return value_str_buf(r, &b);
}
