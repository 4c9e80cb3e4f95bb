/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading literals. */
#include "engine/dialect/literal.h"

#include <string.h>

#include "base/utf8.h"

enum { STRING_MAX = 64 << 20 };

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || is_digit(c) ||
           (unsigned char)c >= 0x80;
}

static char peek(const struct literal_reader *r)
{
    return r->at < r->text.len ? r->text.ptr[r->at] : '\0';
}

static struct str rest(const struct literal_reader *r)
{
    return str_sub(r->text, r->at, SIZE_MAX);
}

void literal_skip_space(struct literal_reader *r)
{
    while (r->at < r->text.len && strchr(" \t\r\n", peek(r)) && peek(r) != '\0')
        r->at++;
}

bool literal_take(struct literal_reader *r, const char *text)
{
    if (!str_starts_with(rest(r), str_from(text)))
        return false;
    r->at += strlen(text);
    return true;
}

static bool take_token(struct literal_reader *r, const char *text)
{
    literal_skip_space(r);
    return literal_take(r, text);
}

struct str literal_name(struct literal_reader *r)
{
    size_t from = r->at;
    if (!is_name_byte(peek(r)) || is_digit(peek(r)))
        return str_make(NULL, 0);
    while (is_name_byte(peek(r)) ||
           ((peek(r) == '.' || peek(r) == '-') && r->at + 1 < r->text.len &&
            is_name_byte(r->text.ptr[r->at + 1])))
        r->at++;
    return str_sub(r->text, from, r->at - from);
}

/* ---- strings ---- */

static void put_code_point(uint32_t cp, struct buf *out)
{
    char bytes[UTF8_MAX];
    size_t n = utf8_encode(cp, bytes);
    if (n == 0)
        n = utf8_encode(0xFFFD, bytes);
    buf_append_bytes(out, bytes, n);
}

static bool take_hex(struct literal_reader *r, int n, uint32_t *ret)
{
    uint32_t v = 0;
    for (int i = 0; i < n; i++) {
        int h = hex_digit(peek(r));
        if (h < 0)
            return false;
        v = v << 4 | (uint32_t)h;
        r->at++;
    }
    *ret = v;
    return true;
}

/* \u escapes may be halves of a pair, as in JSON. */
static bool put_unicode(struct literal_reader *r, int n, struct buf *out)
{
    uint32_t cp, low;
    if (!take_hex(r, n, &cp))
        return false;
    if (n == 4 && cp >= 0xD800 && cp < 0xDC00 && literal_take(r, "\\u")) {
        if (!take_hex(r, 4, &low))
            return false;
        if (low >= 0xDC00 && low < 0xE000) {
            put_code_point(0x10000 + ((cp - 0xD800) << 10) + (low - 0xDC00), out);
            return true;
        }
        put_code_point(cp, out);
        cp = low;
    }
    put_code_point(cp, out);
    return true;
}

/* Behind a backslash. An escape that Python does not know is the text itself. */
static bool put_escape(struct literal_reader *r, struct buf *out)
{
    static const char from[] = "nrtbfav0/", to[] = "\n\r\t\b\f\a\v\0/";
    char c = peek(r);
    const char *known = c != '\0' ? strchr(from, c) : NULL;
    if (r->at++ >= r->text.len)
        return false;
    if (known) {
        buf_push(out, to[known - from]);
        return true;
    }
    switch (c) {
    case '\\':
    case '\'':
    case '"':
        buf_push(out, c);
        return true;
    case '\n':
        return true;
    case 'x':
        return put_unicode(r, 2, out);
    case 'u':
        return put_unicode(r, 4, out);
    case 'U':
        return put_unicode(r, 8, out);
    default:
        buf_push(out, '\\');
        buf_push(out, c);
        return true;
    }
}

static bool read_until(struct literal_reader *r, struct str quote, bool escapes, struct buf *out)
{
    while (r->at < r->text.len) {
        if (str_starts_with(rest(r), quote)) {
            r->at += quote.len;
            return true;
        }
        char c = r->text.ptr[r->at++];
        if (c != '\\' || !escapes)
            buf_push(out, c);
        else if (!put_escape(r, out))
            return false;
    }
    return false;
}

/* A string's content to out; false if none begins here or it does not end. */
static bool read_string(struct literal_reader *r, struct buf *out)
{
    static const char *const quotes[] = {"\"\"\"", "'''", "\"", "'"};
    if (r->quote.len > 0 && str_starts_with(rest(r), r->quote)) {
        r->at += r->quote.len;
        return read_until(r, r->quote, false, out);
    }
    size_t before = r->at;
    bool raw = (peek(r) == 'r' || peek(r) == 'R') && literal_take(r, peek(r) == 'r' ? "r" : "R");
    for (size_t i = 0; i < ARRAY_LEN(quotes); i++) {
        if (!literal_take(r, quotes[i]))
            continue;
        /* "" is an empty string, not the beginning of """. */
        return read_until(r, str_from(quotes[i]), !raw, out);
    }
    r->at = before;
    return false;
}

static bool string_value(struct literal_reader *r, struct buf *out)
{
    CLEANUP_BUF struct buf text = BUF_INIT(STRING_MAX);
    bool any = false;
    while (read_string(r, &text)) { /* "a" "b" is "ab" */
        any = true;
        literal_skip_space(r);
    }
    if (any)
        js_write_string(buf_str(&text), out);
    return any;
}

/* ---- numbers and words ---- */

static bool number_value(struct literal_reader *r, struct buf *out)
{
    char number[64];
    size_t n = 0;
    bool digits = false, is_real = false;
    if (peek(r) == '-' || peek(r) == '+') {
        if (peek(r) == '-')
            number[n++] = '-';
        r->at++;
    }
    if (peek(r) == '.')
        number[n++] = '0';
    while (r->at < r->text.len && n < sizeof(number) - 2) {
        char c = peek(r);
        bool sign =
            (c == '-' || c == '+') && n > 0 && (number[n - 1] == 'e' || number[n - 1] == 'E');
        if (c == '_' && digits) {
            r->at++;
            continue;
        }
        if (!is_digit(c) && c != '.' && !sign && !((c == 'e' || c == 'E') && digits))
            break;
        if (c == '.' && is_real)
            return false;
        is_real |= c == '.' || c == 'e' || c == 'E';
        digits |= is_digit(c);
        number[n++] = c;
        r->at++;
        if (c == '.' && !is_digit(peek(r)))
            number[n++] = '0'; /* "5." */
    }
    struct json *v;
    if (!digits || is_name_byte(peek(r)) || js_parse(str_make(number, n), "", &v, NULL) < 0)
        return false;
    js_free(v);
    buf_append(out, str_make(number, n));
    return true;
}

static bool word_value(struct literal_reader *r, struct buf *out)
{
    static const struct {
        const char *word, *json;
    } words[] = {{"True", "true"}, {"False", "false"}, {"None", "null"},
                 {"true", "true"}, {"false", "false"}, {"null", "null"}};
    size_t before = r->at;
    struct str name = literal_name(r);
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (str_eq_c(name, words[i].word)) {
            buf_append_c(out, words[i].json);
            return true;
        }
    }
    r->at = before;
    return false;
}

/* ---- containers ---- */

static bool list_value(struct literal_reader *r, const char *end, struct buf *out)
{
    buf_push(out, '[');
    for (bool first = true; !take_token(r, end); first = false) {
        if (!first && !take_token(r, ","))
            return false;
        if (!first && take_token(r, end))
            break;
        if (!first)
            buf_push(out, ',');
        if (!literal_value(r, out))
            return false;
    }
    buf_push(out, ']');
    return true;
}

/* A quoted text, an identifier or a number. */
static bool object_key(struct literal_reader *r, struct buf *out)
{
    CLEANUP_BUF struct buf key = BUF_INIT(STRING_MAX);
    literal_skip_space(r);
    if (!read_string(r, &key)) {
        size_t from = r->at;
        while (is_name_byte(peek(r)) || peek(r) == '-' || peek(r) == '.' || peek(r) == '$')
            r->at++;
        if (r->at == from)
            return false;
        buf_append(&key, str_sub(r->text, from, r->at - from));
    }
    js_write_string(buf_str(&key), out);
    return true;
}

/* From behind the opening to behind `end`. */
static bool members(struct literal_reader *r, const char *end, const char *between, struct buf *out)
{
    buf_push(out, '{');
    for (bool first = true; !take_token(r, end); first = false) {
        if (!first && !take_token(r, ","))
            return false;
        if (!first && take_token(r, end))
            break;
        if (!first)
            buf_push(out, ',');
        if (!object_key(r, out) || !take_token(r, between))
            return false;
        buf_push(out, ':');
        if (!literal_value(r, out))
            return false;
    }
    buf_push(out, '}');
    return true;
}

bool literal_object(struct literal_reader *r, struct buf *out)
{
    return take_token(r, "{") && members(r, "}", ":", out);
}

bool literal_value(struct literal_reader *r, struct buf *out)
{
    literal_skip_space(r);
    if (r->depth >= LITERAL_DEPTH_MAX)
        return false;
    r->depth++;
    bool ok;
    if (literal_take(r, "["))
        ok = list_value(r, "]", out);
    else if (literal_take(r, "("))
        ok = list_value(r, ")", out);
    else if (literal_take(r, "{"))
        ok = members(r, "}", ":", out);
    else
        ok = string_value(r, out) || word_value(r, out) || number_value(r, out);
    r->depth--;
    return ok;
}

/* ---- calls ---- */

static struct str nth_property(const struct json *schema, size_t n)
{
    struct json_iter it = {0};
    while (js_next(js_get(schema, "properties"), &it))
        if (n-- == 0)
            return it.key;
    return str_make(NULL, 0);
}

/* "key=" in front of a value; the reader stays where it is if there is none. */
static struct str keyword(struct literal_reader *r)
{
    size_t before = r->at;
    struct str name = literal_name(r);
    if (name.len > 0 && take_token(r, "=") && peek(r) != '=')
        return name;
    r->at = before;
    return str_make(NULL, 0);
}

bool literal_arguments(struct literal_reader *r, const struct json *schema, struct buf *out)
{
    if (!take_token(r, "("))
        return false;
    buf_push(out, '{');
    size_t n = 0;
    for (; !take_token(r, ")"); n++) {
        if (n > 0 && !take_token(r, ","))
            return false;
        if (n > 0 && take_token(r, ")"))
            break;
        if (n > 0)
            buf_push(out, ',');
        literal_skip_space(r);
        struct str key = keyword(r);
        if (key.len == 0)
            key = nth_property(schema, n);
        if (key.len == 0)
            return false;
        js_write_string(key, out);
        buf_push(out, ':');
        if (!literal_value(r, out))
            return false;
    }
    buf_push(out, '}');
    return true;
}
