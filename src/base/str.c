/* SPDX-License-Identifier: Apache-2.0
 *
 * Borrowed strings. */
#include "base/str.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>

static char ascii_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool str_eq_nocase(struct str a, struct str b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (ascii_lower(a.ptr[i]) != ascii_lower(b.ptr[i]))
            return false;
    return true;
}

bool str_starts_with(struct str s, struct str prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.ptr, prefix.ptr, prefix.len) == 0);
}

bool str_ends_with(struct str s, struct str suffix)
{
    return s.len >= suffix.len &&
           (suffix.len == 0 || memcmp(s.ptr + s.len - suffix.len, suffix.ptr, suffix.len) == 0);
}

int str_cmp(struct str a, struct str b)
{
    size_t n = MIN(a.len, b.len);
    int c = n ? memcmp(a.ptr, b.ptr, n) : 0;
    if (c != 0)
        return c;
    return a.len < b.len ? -1 : a.len > b.len;
}

ptrdiff_t str_find(struct str s, struct str needle)
{
    if (needle.len == 0)
        return 0;
    if (s.len < needle.len)
        return -1;
    const char *hit = memmem(s.ptr, s.len, needle.ptr, needle.len);
    return hit ? hit - s.ptr : -1;
}

ptrdiff_t str_find_char(struct str s, char c)
{
    const char *hit = s.len ? memchr(s.ptr, c, s.len) : NULL;
    return hit ? hit - s.ptr : -1;
}

ptrdiff_t str_rfind_char(struct str s, char c)
{
    const char *hit = s.len ? memrchr(s.ptr, c, s.len) : NULL;
    return hit ? hit - s.ptr : -1;
}

struct str str_sub(struct str s, size_t at, size_t len)
{
    if (at >= s.len)
        return (struct str){s.ptr ? s.ptr + s.len : NULL, 0};
    return (struct str){s.ptr + at, MIN(len, s.len - at)};
}

struct str str_trim(struct str s)
{
    while (s.len > 0 && isspace((unsigned char)s.ptr[0]))
        s.ptr++, s.len--;
    while (s.len > 0 && isspace((unsigned char)s.ptr[s.len - 1]))
        s.len--;
    return s;
}

bool str_split_next(struct str *rest, char sep, struct str *ret_part)
{
    if (!rest->ptr)
        return false;
    ptrdiff_t at = str_find_char(*rest, sep);
    if (at < 0) {
        *ret_part = *rest;
        *rest = (struct str){NULL, 0};
    } else {
        *ret_part = str_make(rest->ptr, (size_t)at);
        *rest = str_make(rest->ptr + at + 1, rest->len - (size_t)at - 1);
    }
    return true;
}

char *str_dup(struct str s)
{
    char *p = malloc(s.len + 1);
    if (!p)
        return NULL;
    if (s.len)
        memcpy(p, s.ptr, s.len);
    p[s.len] = '\0';
    return p;
}

bool str_is_true(struct str s)
{
    static const char *const yes[] = {"1", "t", "T", "true", "TRUE", "True"};
    for (size_t i = 0; i < ARRAY_LEN(yes); i++)
        if (str_eq_c(s, yes[i]))
            return true;
    return false;
}

int str_to_u64(struct str s, const char *what, uint64_t *ret, struct error *err)
{
    uint64_t v = 0;
    if (s.len == 0)
        return error_set(err, ERR_INVALID, "%s is empty; a whole number is needed", what);
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return error_set(err, ERR_INVALID, "%s must be a whole number, not '%.*s'", what,
                             STR_ARG(s));
        uint64_t digit = (uint64_t)(s.ptr[i] - '0');
        if (__builtin_mul_overflow(v, (uint64_t)10, &v) || __builtin_add_overflow(v, digit, &v))
            return error_set(err, ERR_INVALID, "%s is too large: '%.*s'", what, STR_ARG(s));
    }
    *ret = v;
    return 0;
}

int str_to_i64(struct str s, const char *what, int64_t *ret, struct error *err)
{
    bool negative = s.len > 0 && s.ptr[0] == '-';
    struct str digits = negative ? str_sub(s, 1, SIZE_MAX) : s;
    uint64_t magnitude;
    int r = str_to_u64(digits, what, &magnitude, err);
    if (r < 0)
        return r;
    uint64_t limit = negative ? (uint64_t)INT64_MAX + 1 : (uint64_t)INT64_MAX;
    if (magnitude > limit)
        return error_set(err, ERR_INVALID, "%s is out of range: '%.*s'", what, STR_ARG(s));
    *ret = negative ? (int64_t)(~magnitude + 1) : (int64_t)magnitude;
    return 0;
}

int str_to_f64(struct str s, const char *what, double *ret, struct error *err)
{
    char text[64];
    if (s.len == 0 || s.len >= sizeof(text) || isspace((unsigned char)s.ptr[0]))
        return error_set(err, ERR_INVALID, "%s must be a number, not '%.*s'", what, STR_ARG(s));
    memcpy(text, s.ptr, s.len);
    text[s.len] = '\0';
    char *end = NULL;
    errno = 0;
    double v = strtod(text, &end);
    if (*end != '\0' || end == text || !isfinite(v))
        return error_set(err, ERR_INVALID, "%s must be a number, not '%.*s'", what, STR_ARG(s));
    *ret = v;
    return 0;
}
