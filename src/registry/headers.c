/* SPDX-License-Identifier: Apache-2.0
 *
 * Parsers of header fields. */
#include "registry/headers.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/buf.h"

enum { MAX_VALUE = 4096, MAX_FIELD = 16 * 1024 };

static bool is_tchar(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

static void skip_spaces(struct str *s)
{
    while (s->len > 0 && is_space(*s->ptr))
        *s = str_sub(*s, 1, SIZE_MAX);
}

static struct str take_token(struct str *s)
{
    size_t n = 0;
    while (n < s->len && is_tchar(s->ptr[n]))
        n++;
    struct str token = str_sub(*s, 0, n);
    *s = str_sub(*s, n, SIZE_MAX);
    return token;
}

/* A quoted string or a token into out; false when it is neither, or a string without an end. */
static bool take_value(struct str *s, struct buf *out)
{
    buf_clear(out);
    if (s->len == 0 || *s->ptr != '"') {
        struct str token = take_token(s);
        buf_append(out, token);
        return token.len > 0 && !out->failed;
    }
    for (size_t i = 1; i < s->len; i++) {
        char c = s->ptr[i];
        if (c == '"') {
            *s = str_sub(*s, i + 1, SIZE_MAX);
            return !out->failed;
        }
        if (c == '\\' && i + 1 < s->len)
            c = s->ptr[++i];
        buf_push(out, c);
    }
    return false;
}

/* "Negotiate YII=": text behind a scheme that is not made of parameters. */
static void skip_token68(struct str *s)
{
    size_t n = 0;
    while (n < s->len && ((is_tchar(s->ptr[n]) && !strchr("!#$%&'*^`|", s->ptr[n])) ||
                          s->ptr[n] == '/'))
        n++;
    size_t end = n;
    while (end < s->len && s->ptr[end] == '=')
        end++;
    struct str behind = str_sub(*s, end, SIZE_MAX);
    skip_spaces(&behind);
    if (n > 0 && (behind.len == 0 || *behind.ptr == ',')) {
        *s = behind;
    }
}

static void set_once(char **member, const struct buf *value)
{
    /* Only text that can go into a URL or a message again. */
    struct str v = buf_str(value);
    if (*member || memchr(v.ptr, '\0', v.len))
        return;
    *member = str_dup(v);
}

void challenge_add(struct challenge *c, struct str field)
{
    CLEANUP_BUF struct buf value = BUF_INIT(MAX_VALUE);
    struct str s = str_sub(field, 0, MAX_FIELD);
    bool bearer = false; /* parameters are those of a Bearer challenge that counts */
    bool in_scheme = false;
    for (;;) {
        while (s.len > 0 && (is_space(*s.ptr) || *s.ptr == ','))
            s = str_sub(s, 1, SIZE_MAX);
        struct str name = take_token(&s);
        if (name.len == 0)
            return;
        bool spaced = s.len > 0 && is_space(*s.ptr);
        skip_spaces(&s);
        if (in_scheme && s.len > 0 && *s.ptr == '=') {
            s = str_sub(s, 1, SIZE_MAX);
            skip_spaces(&s);
            if (!take_value(&s, &value))
                return;
            if (bearer && str_eq_nocase(name, STR("realm")))
                set_once(&c->realm, &value);
            else if (bearer && str_eq_nocase(name, STR("service")))
                set_once(&c->service, &value);
            else if (bearer && str_eq_nocase(name, STR("scope")))
                set_once(&c->scope, &value);
            continue;
        }
        if (!spaced && s.len > 0 && *s.ptr != ',')
            return;
        in_scheme = true;
        bearer = str_eq_nocase(name, STR("Bearer")) && !c->bearer;
        c->bearer = c->bearer || bearer;
        c->basic = c->basic || str_eq_nocase(name, STR("Basic"));
        skip_token68(&s);
    }
}

void challenge_release(struct challenge *c)
{
    free(c->realm);
    free(c->service);
    free(c->scope);
    *c = (struct challenge){0};
}

bool content_range_parse(struct str field, struct content_range *ret)
{
    field = str_trim(field);
    if (field.len < 6 || !str_eq_nocase(str_sub(field, 0, 5), STR("bytes")) ||
        !is_space(field.ptr[5]))
        return false;
    struct str s = str_trim(str_sub(field, 6, SIZE_MAX));
    ptrdiff_t dash = str_find_char(s, '-'), slash = str_find_char(s, '/');
    if (dash < 0 || slash < dash)
        return false;
    struct str total = str_sub(s, (size_t)slash + 1, SIZE_MAX);
    struct content_range r = {.total = UINT64_MAX};
    if (str_to_u64(str_sub(s, 0, (size_t)dash), "", &r.first, NULL) < 0 ||
        str_to_u64(str_sub(s, (size_t)dash + 1, (size_t)(slash - dash) - 1), "", &r.last, NULL) < 0 ||
        (!str_eq(total, STR("*")) && str_to_u64(total, "", &r.total, NULL) < 0))
        return false;
    if (r.first > r.last || r.last >= r.total)
        return false;
    *ret = r;
    return true;
}

/* Does a list of relations, "prev next", have this one? */
static bool relation_in(struct str list, const char *relation)
{
    struct str part;
    while (str_split_next(&list, ' ', &part)) {
        if (str_eq_nocase(part, str_from(relation)))
            return true;
    }
    return false;
}

struct str link_find(struct str field, const char *relation)
{
    CLEANUP_BUF struct buf value = BUF_INIT(MAX_VALUE);
    struct str s = str_sub(field, 0, MAX_FIELD), none = {0};
    for (;;) {
        while (s.len > 0 && (is_space(*s.ptr) || *s.ptr == ','))
            s = str_sub(s, 1, SIZE_MAX);
        ptrdiff_t end = str_find_char(s, '>');
        if (s.len == 0 || *s.ptr != '<' || end < 0)
            return none;
        struct str target = str_sub(s, 1, (size_t)end - 1);
        s = str_sub(s, (size_t)end + 1, SIZE_MAX);
        bool found = false, has_rel = false;
        for (;;) {
            skip_spaces(&s);
            if (s.len == 0 || *s.ptr != ';')
                break;
            s = str_sub(s, 1, SIZE_MAX);
            skip_spaces(&s);
            struct str name = take_token(&s);
            skip_spaces(&s);
            if (s.len == 0 || *s.ptr != '=')
                continue;
            s = str_sub(s, 1, SIZE_MAX);
            skip_spaces(&s);
            if (!take_value(&s, &value))
                return none;
            if (!has_rel && str_eq_nocase(name, STR("rel"))) {
                has_rel = true;
                found = relation_in(buf_str(&value), relation);
            }
        }
        if (found)
            return target;
        if (s.len > 0 && *s.ptr != ',')
            return none;
    }
}

int64_t retry_after_parse(struct str field, int64_t now)
{
    field = str_trim(field);
    uint64_t seconds = 0;
    if (str_to_u64(field, "", &seconds, NULL) == 0)
        return (int64_t)MIN(seconds, (uint64_t)INT32_MAX);
    char text[40];
    if (field.len == 0 || field.len >= sizeof(text))
        return -1;
    memcpy(text, field.ptr, field.len);
    text[field.len] = '\0';
    struct tm tm = {0};
    const char *end = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    if (!end || *end)
        return -1;
    int64_t at = (int64_t)timegm(&tm);
    return at > now ? MIN(at - now, INT32_MAX) : 0;
}
