/* SPDX-License-Identifier: Apache-2.0
 *
 * Markdown in colour, see markdown.h. */
#include "cli/markdown.h"

#include <string.h>

enum style {
    BOLD = 1 << 0,
    ITALIC = 1 << 1,
    CODE = 1 << 2,    /* within a line */
    BLOCK = 1 << 3,   /* a line of a code block */
    MARK = 1 << 4,    /* of a list */
    GREY = 1 << 5,    /* a quote, a fence */
    ADDRESS = 1 << 6, /* of a link */
    HEADING = 1 << 7,
};

static void show_style(struct markdown *m, struct buf *out)
{
    if (m->style == m->shown)
        return;
    m->shown = m->style;
    buf_append(out, STR("\033[0m"));
    if (m->style & (BOLD | HEADING))
        buf_append(out, STR("\033[1m"));
    if (m->style & ITALIC)
        buf_append(out, STR("\033[3m"));
    if (m->style & (CODE | BLOCK))
        buf_append(out, STR("\033[36m"));
    else if (m->style & MARK)
        buf_append(out, STR("\033[33m"));
    else if (m->style & (GREY | ADDRESS))
        buf_append(out, STR("\033[90m"));
}

static void put(struct markdown *m, const char *p, size_t n, struct buf *out)
{
    if (n == 0)
        return;
    show_style(m, out);
    buf_append_bytes(out, p, n);
    m->before = p[n - 1];
}

static void put_held(struct markdown *m, struct buf *out)
{
    size_t n = m->n_held;
    m->n_held = 0;
    put(m, m->held, n, out);
}

static bool is_word(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (unsigned char)c >= 0x80;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\0';
}

/* ---- within a line ---- */

static void toggle_code(struct markdown *m, struct buf *out)
{
    if (m->code_run == 0) {
        m->code_run = m->n_held;
        m->style |= CODE;
        put_held(m, out);
    } else if (m->code_run == m->n_held) {
        put_held(m, out);
        m->code_run = 0;
        m->style &= ~(unsigned)CODE;
    } else {
        put_held(m, out);
    }
}

/* A run of '*' or '_' and the character behind it: it opens where text follows, closes where text
 * came before. '_' does neither inside a word. */
static void toggle_emphasis(struct markdown *m, char next, struct buf *out)
{
    unsigned marks = (m->n_held >= 2 ? BOLD : 0U) | (m->n_held != 2 ? ITALIC : 0U);
    bool under = m->held[0] == '_';
    bool opens = !is_space(next) && !(under && is_word(m->before));
    bool closes = !is_space(m->before) && !(under && is_word(next));
    if (m->n_held > 3) {
        put_held(m, out);
    } else if (closes && (m->style & marks) == marks) {
        put_held(m, out);
        m->style &= ~marks;
    } else if (opens && !(m->style & marks)) {
        m->style |= marks;
        put_held(m, out);
    } else {
        put_held(m, out);
    }
}

/* The end of a run of marks, before `next`. */
static void end_run(struct markdown *m, char next, struct buf *out)
{
    if (m->n_held == 0)
        return;
    if (m->held[0] == '`')
        toggle_code(m, out);
    else
        toggle_emphasis(m, next, out);
}

static void take_in_line(struct markdown *m, char c, struct buf *out)
{
    bool plain = m->plain || m->style & (BLOCK | ADDRESS);
    bool mark = !plain && (c == '`' || (!m->code_run && (c == '*' || c == '_')));
    if (m->n_held > 0 && !(mark && c == m->held[0] && m->n_held < MARKDOWN_HELD_MAX))
        end_run(m, c, out);
    if (mark) {
        m->held[m->n_held++] = c;
        return;
    }
    if (!plain && !m->code_run && c == '(' && m->bracket)
        m->style |= ADDRESS;
    put(m, &c, 1, out);
    if (c == ')' && m->style & ADDRESS)
        m->style &= ~(unsigned)ADDRESS;
    m->bracket = c == ']';
}

/* ---- beginnings of lines ---- */

static size_t run_of(const char *p, size_t n, char c)
{
    size_t k = 0;
    while (k < n && p[k] == c)
        k++;
    return k;
}

enum kind { KIND_OPEN, KIND_TEXT, KIND_FENCE, KIND_HEADING, KIND_QUOTE, KIND_LIST };

/* What the line is, by what is held of it; KIND_OPEN: more is needed. */
static enum kind kind_of(const struct markdown *m)
{
    size_t spaces = run_of(m->held, m->n_held, ' ');
    const char *p = m->held + spaces;
    size_t n = m->n_held - spaces;
    enum kind more = m->n_held < MARKDOWN_HELD_MAX ? KIND_OPEN : KIND_TEXT;
    if (n == 0)
        return more;
    char c = *p;
    size_t run = run_of(p, n, c);
    if (c == '`' || c == '~') {
        if (m->fence && c != m->fence)
            return KIND_TEXT;
        return run >= 3 ? KIND_FENCE : run == n ? more : KIND_TEXT;
    }
    if (m->fence)
        return KIND_TEXT;
    if (c == '#' && run <= 6)
        return run == n ? more : is_space(p[run]) ? KIND_HEADING : KIND_TEXT;
    if (c == '>')
        return KIND_QUOTE;
    if (c == '-' || c == '+' || c == '*')
        return n == 1 ? more : p[1] == ' ' ? KIND_LIST : KIND_TEXT;
    size_t digits = 0;
    while (digits < n && p[digits] >= '0' && p[digits] <= '9')
        digits++;
    if (digits == 0 || digits > 9)
        return KIND_TEXT;
    if (n <= digits + 1)
        return n == digits || p[digits] == '.' || p[digits] == ')' ? more : KIND_TEXT;
    return (p[digits] == '.' || p[digits] == ')') && p[digits + 1] == ' ' ? KIND_LIST : KIND_TEXT;
}

/* Writes the beginning of a line as what it is. */
static void begin_line(struct markdown *m, enum kind kind, struct buf *out)
{
    char text[MARKDOWN_HELD_MAX];
    size_t n = m->n_held;
    memcpy(text, m->held, n);
    m->n_held = 0;
    m->line_start = false;
    m->style = m->fence ? BLOCK : 0;
    if (kind == KIND_FENCE) {
        m->style = GREY;
        m->fence = m->fence ? '\0' : text[run_of(text, n, ' ')];
    } else if (kind == KIND_HEADING) {
        m->style = HEADING;
    } else if (kind == KIND_QUOTE) {
        m->style = GREY;
    } else if (kind == KIND_LIST) {
        m->style = MARK;
        put(m, text, n, out);
        m->style = 0;
        return;
    }
    m->plain = kind == KIND_FENCE;
    for (size_t i = 0; i < n; i++)
        take_in_line(m, text[i], out);
}

static void end_line(struct markdown *m, struct buf *out)
{
    if (m->line_start)
        begin_line(m, kind_of(m) == KIND_FENCE ? KIND_FENCE : KIND_TEXT, out);
    end_run(m, '\n', out);
    m->style = 0;
    put(m, "\n", 1, out);
    m->line_start = true;
    m->code_run = 0;
    m->plain = m->bracket = false;
}

/* ---- the whole ---- */

void markdown_begin(struct markdown *m)
{
    *m = (struct markdown){.line_start = true, .before = '\n'};
}

void markdown_write(struct markdown *m, struct str text, struct buf *out)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '\n') {
            end_line(m, out);
        } else if (m->line_start) {
            m->held[m->n_held++] = c;
            enum kind kind = kind_of(m);
            if (kind != KIND_OPEN)
                begin_line(m, kind, out);
        } else {
            take_in_line(m, c, out);
        }
    }
}

void markdown_end(struct markdown *m, struct buf *out)
{
    if (m->line_start && m->n_held > 0)
        begin_line(m, KIND_TEXT, out);
    end_run(m, '\n', out);
    m->style = 0;
    show_style(m, out);
}
