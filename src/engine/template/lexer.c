/* SPDX-License-Identifier: Apache-2.0
 *
 * The lexer works in two states, text and tag, as jinja2's does with its regular expressions.
 *
 * White space around tags, with trim_blocks and lstrip_blocks on:
 *
 *   {%-  {{-  {#-    all white space before the tag goes
 *   {%   {#          white space between the start of the line and the tag goes
 *   {{   {%+ {{+ {#+ nothing goes
 *   -%}  -}}  -#}    all white space after the tag goes
 *   %}   #}          one newline after the tag goes
 *   }}   +%}  +#}    nothing goes
 *
 * An end of tag counts only while no bracket is open, so {{ {"a": {}} }} works. */
#include "engine/template/lexer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/utf8.h"
#include "engine/template/unicode.h"

enum { MAX_BRACKETS = 256 };

struct lexer {
    struct str src;
    size_t at;
    uint32_t line;
    bool line_starting; /* the token before ended with a newline */
    char brackets[MAX_BRACKETS]; /* the closing ones we wait for */
    size_t n_brackets;
    struct pool *pool;
    struct tokens *out;
    struct error *err;
};

int template__syntax_error(struct error *err, uint32_t line, const char *fmt, ...)
{
    char msg[ERROR_MSG_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(msg, sizeof(msg), fmt, args);
    va_end(args);
    return error_set(err, ERR_INVALID, "chat template, line %u: %s", line, msg);
}

static int push(struct lexer *l, struct token t)
{
    struct tokens *o = l->out;
    if (o->n == o->cap) {
        size_t cap = o->cap ? o->cap * 2 : 256;
        struct token *items = realloc(o->items, cap * sizeof(*items));
        if (!items)
            return error_set(l->err, ERR_NOMEM, "out of memory for the chat template");
        o->items = items;
        o->cap = cap;
    }
    o->items[o->n++] = t;
    return 0;
}

static int push_kind(struct lexer *l, enum token_kind kind)
{
    return push(l, (struct token){.kind = kind, .line = l->line});
}

static bool at_text(const struct lexer *l, size_t at, const char *s)
{
    size_t n = strlen(s);
    return l->src.len - at >= n && memcmp(l->src.ptr + at, s, n) == 0;
}

/* Moves on to `to`, counting lines. */
static void advance(struct lexer *l, size_t to)
{
    for (; l->at < to; l->at++)
        l->line += l->src.ptr[l->at] == '\n';
}

static size_t skip_space(const struct lexer *l, size_t at)
{
    while (at < l->src.len) {
        size_t next = at;
        if (!cp_is_space(cp_next(l->src, &next)))
            break;
        at = next;
    }
    return at;
}

/* Where the white space that ends at `end` begins, not before `start`. */
static size_t space_before(const struct lexer *l, size_t start, size_t end)
{
    struct str s = str_make(l->src.ptr + start, end - start);
    size_t at = s.len;
    while (at > 0) {
        size_t prev = at;
        if (!cp_is_space(cp_prev(s, &prev)))
            break;
        at = prev;
    }
    return start + at;
}

/* The end of a block or comment tag at `at`, as "+%}", "-%}" with the space behind it, or "%}" with
 * one newline: its end offset, or 0. */
static size_t tag_end(const struct lexer *l, size_t at, const char *end)
{
    if (at >= l->src.len)
        return 0;
    if (l->src.ptr[at] == '+' && at_text(l, at + 1, end))
        return at + 3;
    if (l->src.ptr[at] == '-' && at_text(l, at + 1, end))
        return skip_space(l, at + 3);
    if (!at_text(l, at, end))
        return 0;
    at += 2;
    return at < l->src.len && l->src.ptr[at] == '\n' ? at + 1 : at;
}

/* The text from l->at to `end`, which a tag follows; strips as the tag's sign asks for. */
static int push_text_before_tag(struct lexer *l, size_t end, char sign, bool variable)
{
    size_t start = l->at, cut = end;
    if (sign == '-') {
        cut = space_before(l, start, end);
    } else if (sign != '+' && !variable) {
        size_t line_start = end;
        while (line_start > start && l->src.ptr[line_start - 1] != '\n')
            line_start--;
        if ((line_start > start || l->line_starting) &&
            space_before(l, line_start, end) == line_start)
            cut = line_start;
    }
    int r = 0;
    if (cut > start)
        r = push(l, (struct token){.kind = T_DATA, .line = l->line,
                                   .text = str_make(l->src.ptr + start, cut - start)});
    advance(l, end);
    return r;
}

static void mark_line_start(struct lexer *l)
{
    l->line_starting = l->at > 0 && l->src.ptr[l->at - 1] == '\n';
}

static char sign_at(const struct lexer *l, size_t at)
{
    char c = at < l->src.len ? l->src.ptr[at] : '\0';
    return c == '-' || c == '+' ? c : '\0';
}

/* "{% raw %}" at `at`: the offset behind it, or 0. */
static size_t raw_begin(const struct lexer *l, size_t at)
{
    size_t i = at + 2 + (sign_at(l, at + 2) != '\0');
    i = skip_space(l, i);
    if (!at_text(l, i, "raw"))
        return 0;
    i = skip_space(l, i + 3);
    if (at_text(l, i, "-%}"))
        return skip_space(l, i + 3);
    return at_text(l, i, "%}") ? i + 2 : 0;
}

static int lex_raw(struct lexer *l, size_t begin_end)
{
    uint32_t line = l->line;
    advance(l, begin_end);
    mark_line_start(l);
    if (l->at == l->src.len)
        return 0;
    for (size_t i = l->at; i + 1 < l->src.len; i++) {
        if (l->src.ptr[i] != '{' || l->src.ptr[i + 1] != '%')
            continue;
        char sign = sign_at(l, i + 2);
        size_t name = skip_space(l, i + 2 + (sign != '\0'));
        if (!at_text(l, name, "endraw"))
            continue;
        size_t end = tag_end(l, skip_space(l, name + 6), "%}");
        if (end == 0)
            continue;
        int r = push_text_before_tag(l, i, sign, false);
        advance(l, end);
        mark_line_start(l);
        return r;
    }
    return template__syntax_error(l->err, line, "'{%% raw %%}' has no '{%% endraw %%}'");
}

static int lex_comment(struct lexer *l, size_t start)
{
    if (start == l->src.len) { /* jinja2 complains only about text that never ends */
        advance(l, start);
        return 0;
    }
    for (size_t i = start; i < l->src.len; i++) {
        size_t end = tag_end(l, i, "#}");
        if (end) {
            advance(l, end);
            mark_line_start(l);
            return 0;
        }
    }
    return template__syntax_error(l->err, l->line, "the comment '{#' has no end '#}'");
}

/* ---- inside tags ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Digits that may have single underscores between them: the offset behind them. */
static size_t skip_digits(const struct lexer *l, size_t at)
{
    const char *p = l->src.ptr;
    size_t n = l->src.len;
    while (at < n && (is_digit(p[at]) || (p[at] == '_' && at + 1 < n && is_digit(p[at + 1]) &&
                                          at > 0 && is_digit(p[at - 1]))))
        at++;
    return at;
}

/* The number's text without underscores, terminated. */
static int number_text(struct lexer *l, size_t end, char *out, size_t size)
{
    size_t n = 0;
    for (size_t i = l->at; i < end; i++) {
        if (l->src.ptr[i] == '_')
            continue;
        if (n + 1 >= size)
            return template__syntax_error(l->err, l->line, "a number has too many digits");
        out[n++] = l->src.ptr[i];
    }
    out[n] = '\0';
    return 0;
}

static int lex_based_int(struct lexer *l, int base)
{
    uint64_t v = 0;
    size_t i = l->at + 2;
    for (; i < l->src.len; i++) {
        int d = l->src.ptr[i] == '_' && i + 1 < l->src.len ? hex_digit(l->src.ptr[i + 1])
                                                            : hex_digit(l->src.ptr[i]);
        if (d < 0 || d >= base)
            break;
        if (l->src.ptr[i] == '_')
            continue;
        if (v > ((uint64_t)INT64_MAX - (uint64_t)d) / (uint64_t)base)
            return template__syntax_error(l->err, l->line, "an integer is larger than 64 bits");
        v = v * (uint64_t)base + (uint64_t)d;
    }
    int r = push(l, (struct token){.kind = T_INT, .line = l->line, .i = (int64_t)v});
    l->at = i;
    return r;
}

static int lex_number(struct lexer *l)
{
    const char *p = l->src.ptr;
    size_t n = l->src.len, end = skip_digits(l, l->at);
    char text[400];
    bool is_float = false;
    if (l->at + 2 < n && p[l->at] == '0') {
        char c = (char)(p[l->at + 1] | 0x20);
        int base = c == 'x' ? 16 : c == 'o' ? 8 : c == 'b' ? 2 : 0;
        size_t first = l->at + 2 + (p[l->at + 2] == '_');
        int d = base && first < n ? hex_digit(p[first]) : -1;
        if (d >= 0 && d < base)
            return lex_based_int(l, base);
    }
    if (l->at == 0 || p[l->at - 1] != '.') { /* in "a.0.1" there are no floats */
        size_t i = end;
        if (i + 1 < n && p[i] == '.' && is_digit(p[i + 1])) {
            is_float = true;
            i = skip_digits(l, i + 1);
        }
        size_t e = i;
        if (e < n && (p[e] == 'e' || p[e] == 'E')) {
            e++;
            if (e < n && (p[e] == '+' || p[e] == '-'))
                e++;
            if (e < n && is_digit(p[e])) {
                is_float = true;
                i = skip_digits(l, e);
            }
        }
        if (is_float)
            end = i;
    }
    if (!is_float && p[l->at] == '0') { /* zeros only: "007" is 00 and 7 */
        end = l->at;
        while (end < n && (p[end] == '0' || (p[end] == '_' && end + 1 < n && p[end + 1] == '0')))
            end++;
    }
    int r = number_text(l, end, text, sizeof(text));
    if (r < 0)
        return r;
    struct token t = {.kind = is_float ? T_FLOAT : T_INT, .line = l->line};
    if (is_float) {
        t.f = strtod(text, NULL);
    } else {
        errno = 0;
        t.i = strtoll(text, NULL, 10);
        if (errno == ERANGE)
            return template__syntax_error(l->err, l->line, "the integer %s is larger than 64 bits",
                                          text);
    }
    l->at = end;
    return push(l, t);
}

/* Reads up to n digits of the base at s.ptr[*at]; false if there are fewer than `min`. */
static bool read_escape(struct str s, size_t *at, size_t min, size_t max, int base, uint32_t *ret)
{
    uint32_t v = 0;
    size_t n = 0;
    while (n < max && *at < s.len) {
        int d = hex_digit(s.ptr[*at]);
        if (d < 0 || d >= base)
            break;
        v = v * (uint32_t)base + (uint32_t)d;
        (*at)++;
        n++;
    }
    *ret = v;
    return n >= min;
}

/* Backslash escapes as in Python's string literals. */
static int unescape(struct lexer *l, struct str s, struct buf *out)
{
    static const char plain[] = "\\\\''\"\"a\ab\bf\fn\nr\rt\tv\v";
    for (size_t i = 0; i < s.len;) {
        char c = s.ptr[i++];
        if (c != '\\' || i == s.len) {
            buf_push(out, c);
            continue;
        }
        c = s.ptr[i++];
        const char *p = NULL;
        for (size_t k = 0; k + 1 < sizeof(plain); k += 2)
            if (plain[k] == c)
                p = &plain[k + 1];
        uint32_t cp = 0;
        if (p) {
            buf_push(out, *p);
        } else if (c == '\n') {
            continue;
        } else if (c >= '0' && c <= '7') {
            i--;
            read_escape(s, &i, 1, 3, 8, &cp);
            cp_append(cp, out);
        } else if (c == 'x' || c == 'u' || c == 'U') {
            size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : 8;
            if (!read_escape(s, &i, digits, digits, 16, &cp))
                return template__syntax_error(l->err, l->line, "truncated \\%c escape in a string",
                                              c);
            if (cp > 0x10FFFF)
                return template__syntax_error(l->err, l->line,
                                              "illegal Unicode character in a string");
            uint32_t low = 0;
            size_t j = i + 2;
            if (cp >= 0xD800 && cp < 0xDC00 && i + 1 < s.len && s.ptr[i] == '\\' &&
                s.ptr[i + 1] == 'u' && read_escape(s, &j, 4, 4, 16, &low) && low >= 0xDC00 &&
                low < 0xE000) {
                cp = 0x10000 + ((cp - 0xD800) << 10) + (low - 0xDC00);
                i = j;
            }
            cp_append(cp, out);
        } else if (c == 'N') {
            return template__syntax_error(l->err, l->line,
                                          "\\N{name} escapes are not supported; use \\u");
        } else {
            buf_push(out, '\\');
            buf_push(out, c);
        }
    }
    return 0;
}

static int lex_string(struct lexer *l)
{
    char quote = l->src.ptr[l->at];
    size_t i = l->at + 1;
    bool escaped = false;
    while (i < l->src.len && l->src.ptr[i] != quote) {
        if (l->src.ptr[i] == '\\') {
            escaped = true;
            i++;
        }
        i++;
    }
    if (i >= l->src.len)
        return template__syntax_error(l->err, l->line, "the string that starts here has no end");
    struct token t = {.kind = T_STRING, .line = l->line,
                      .text = str_make(l->src.ptr + l->at + 1, i - l->at - 1)};
    if (escaped) {
        CLEANUP_BUF struct buf b = BUF_INIT(l->src.len * 2);
        int r = unescape(l, t.text, &b);
        if (r == 0)
            r = buf_check(&b, "a string of the chat template", l->err);
        if (r < 0)
            return r;
        char *copy = pool_bytes(l->pool, b.len);
        if (!copy)
            return error_set(l->err, ERR_NOMEM, "out of memory for the chat template");
        if (b.len)
            memcpy(copy, b.data, b.len);
        t.text = str_make(copy, b.len);
    }
    int r = push(l, t);
    advance(l, i + 1);
    return r;
}

static bool is_name_start(uint32_t cp)
{
    return cp == '_' || (cp < 0x80 ? ((cp | 0x20) >= 'a' && (cp | 0x20) <= 'z') : cp_is_alpha(cp));
}

static int lex_name(struct lexer *l)
{
    size_t end = l->at;
    while (end < l->src.len) {
        size_t next = end;
        uint32_t cp = cp_next(l->src, &next);
        if (!is_name_start(cp) && !cp_is_decimal(cp))
            break;
        end = next;
    }
    int r = push(l, (struct token){.kind = T_NAME, .line = l->line,
                                   .text = str_make(l->src.ptr + l->at, end - l->at)});
    l->at = end;
    return r;
}

static const struct {
    const char *text;
    enum token_kind kind;
} operators[] = {
    /* the longer ones first */
    {"//", T_FLOORDIV}, {"**", T_POW}, {"==", T_EQ}, {"!=", T_NE}, {">=", T_GE}, {"<=", T_LE},
    {"+", T_ADD}, {"-", T_SUB}, {"/", T_DIV}, {"*", T_MUL}, {"%", T_MOD}, {"~", T_TILDE},
    {"[", T_LBRACKET}, {"]", T_RBRACKET}, {"(", T_LPAREN}, {")", T_RPAREN}, {"{", T_LBRACE},
    {"}", T_RBRACE}, {">", T_GT}, {"<", T_LT}, {"=", T_ASSIGN}, {".", T_DOT}, {":", T_COLON},
    {"|", T_PIPE}, {",", T_COMMA}, {";", T_SEMICOLON},
};

static int balance(struct lexer *l, char c)
{
    const char *open = "([{", *close = ")]}";
    const char *p = strchr(open, c);
    if (p) {
        if (l->n_brackets == MAX_BRACKETS)
            return template__syntax_error(l->err, l->line, "brackets are nested deeper than %d",
                                          MAX_BRACKETS);
        l->brackets[l->n_brackets++] = close[p - open];
    } else if (strchr(close, c)) {
        if (l->n_brackets == 0)
            return template__syntax_error(l->err, l->line, "unexpected '%c'", c);
        char want = l->brackets[--l->n_brackets];
        if (want != c)
            return template__syntax_error(l->err, l->line, "unexpected '%c', expected '%c'", c,
                                          want);
    }
    return 0;
}

static int lex_operator(struct lexer *l)
{
    for (size_t i = 0; i < ARRAY_LEN(operators); i++) {
        if (!at_text(l, l->at, operators[i].text))
            continue;
        size_t n = strlen(operators[i].text);
        int r = n == 1 ? balance(l, operators[i].text[0]) : 0;
        if (r == 0)
            r = push_kind(l, operators[i].kind);
        l->at += n;
        return r;
    }
    char shown[32];
    size_t next = l->at;
    cp_next(l->src, &next);
    utf8_printable(shown, sizeof(shown), l->src.ptr + l->at, next - l->at);
    return template__syntax_error(l->err, l->line, "unexpected character '%s'", shown);
}

/* From behind the "{%" or "{{" to behind its end. */
static int lex_tag(struct lexer *l, bool variable)
{
    int r = push_kind(l, variable ? T_VARIABLE_BEGIN : T_BLOCK_BEGIN);
    l->n_brackets = 0;
    while (r == 0 && l->at < l->src.len) {
        size_t end = 0;
        if (l->n_brackets == 0) {
            if (!variable)
                end = tag_end(l, l->at, "%}");
            else if (at_text(l, l->at, "-}}"))
                end = skip_space(l, l->at + 3);
            else if (at_text(l, l->at, "}}"))
                end = l->at + 2;
        }
        if (end) {
            r = push_kind(l, variable ? T_VARIABLE_END : T_BLOCK_END);
            advance(l, end);
            mark_line_start(l);
            return r;
        }
        size_t space = skip_space(l, l->at);
        if (space > l->at) {
            advance(l, space);
            continue;
        }
        char c = l->src.ptr[l->at];
        size_t next = l->at;
        if (is_digit(c))
            r = lex_number(l);
        else if (is_name_start(cp_next(l->src, &next)))
            r = lex_name(l);
        else if (c == '"' || c == '\'')
            r = lex_string(l);
        else
            r = lex_operator(l);
    }
    return r;
}

static int lex_text(struct lexer *l)
{
    const char *p = l->src.ptr;
    for (size_t i = l->at; i + 1 < l->src.len; i++) {
        if (p[i] != '{' || (p[i + 1] != '%' && p[i + 1] != '{' && p[i + 1] != '#'))
            continue;
        char sign = sign_at(l, i + 2);
        int r = push_text_before_tag(l, i, sign, p[i + 1] == '{');
        if (r < 0)
            return r;
        size_t raw = p[i + 1] == '%' ? raw_begin(l, i) : 0;
        if (raw)
            return lex_raw(l, raw);
        size_t inside = i + 2 + (sign != '\0');
        if (p[i + 1] == '#')
            return lex_comment(l, inside);
        l->at = inside;
        return lex_tag(l, p[i + 1] == '{');
    }
    int r = push(l, (struct token){.kind = T_DATA, .line = l->line,
                                   .text = str_sub(l->src, l->at, SIZE_MAX)});
    advance(l, l->src.len);
    return r;
}

int template__lex(struct str source, struct pool *pool, struct tokens *ret, struct error *err)
{
    struct tokens out = {0};
    struct lexer l = {.src = source, .line = 1, .line_starting = true, .pool = pool, .out = &out,
                      .err = err};
    int r = 0;
    while (r == 0 && l.at < l.src.len)
        r = lex_text(&l);
    if (r == 0)
        r = push_kind(&l, T_EOF);
    if (r < 0) {
        free(out.items);
        return r;
    }
    *ret = out;
    return 0;
}

void token_describe(const struct token *t, char *out, size_t size)
{
    static const char *const fixed[] = {
        [T_EOF] = "the end of the template", [T_DATA] = "text", [T_BLOCK_BEGIN] = "'{%'",
        [T_BLOCK_END] = "'%}'", [T_VARIABLE_BEGIN] = "'{{'", [T_VARIABLE_END] = "'}}'",
        [T_STRING] = "a string", [T_INT] = "an integer", [T_FLOAT] = "a float",
    };
    if (t->kind == T_NAME) {
        char name[64];
        utf8_printable(name, sizeof(name), t->text.ptr, t->text.len);
        snprintf(out, size, "'%s'", name);
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(operators); i++) {
        if (operators[i].kind == t->kind) {
            snprintf(out, size, "'%s'", operators[i].text);
            return;
        }
    }
    snprintf(out, size, "%s", fixed[t->kind]);
}
