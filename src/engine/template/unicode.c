/* SPDX-License-Identifier: Apache-2.0
 *
 * Character properties: binary search in the generated ranges. */
#include "engine/template/unicode.h"

#include "base/compiler.h"
#include "base/utf8.h"

struct cp_range {
    uint32_t first, last;
};

/* first, first + step, ... last: each maps to itself + delta. */
struct cp_map {
    uint32_t first, last;
    uint32_t step;
    int32_t delta;
};

struct cp_special {
    uint32_t cp;
    uint32_t to[3]; /* 0 = no more */
};

#include "engine/template/unicode_data.h"

static bool in_ranges(const struct cp_range *t, size_t n, uint32_t cp)
{
    size_t lo = 0, hi = n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (cp > t[mid].last)
            lo = mid + 1;
        else if (cp < t[mid].first)
            hi = mid;
        else
            return true;
    }
    return false;
}

static uint32_t map(const struct cp_map *t, size_t n, uint32_t cp)
{
    size_t lo = 0, hi = n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (cp > t[mid].last)
            lo = mid + 1;
        else if (cp < t[mid].first)
            hi = mid;
        else
            return (cp - t[mid].first) % t[mid].step ? cp : (uint32_t)((int32_t)cp + t[mid].delta);
    }
    return cp;
}

static const struct cp_special *special(const struct cp_special *t, size_t n, uint32_t cp)
{
    size_t lo = 0, hi = n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (cp > t[mid].cp)
            lo = mid + 1;
        else if (cp < t[mid].cp)
            hi = mid;
        else
            return &t[mid];
    }
    return NULL;
}

#define IN(table, cp) in_ranges(table, ARRAY_LEN(table), cp)

bool cp_is_upper(uint32_t cp)
{
    return cp < 0x80 ? cp >= 'A' && cp <= 'Z' : IN(is_upper, cp);
}

bool cp_is_lower(uint32_t cp)
{
    return cp < 0x80 ? cp >= 'a' && cp <= 'z' : IN(is_lower, cp);
}

bool cp_is_title(uint32_t cp)
{
    return cp == 0x1C5 || cp == 0x1C8 || cp == 0x1CB || cp == 0x1F2 ||
           (cp >= 0x1F88 && cp <= 0x1F8F) || (cp >= 0x1F98 && cp <= 0x1F9F) ||
           (cp >= 0x1FA8 && cp <= 0x1FAF) || cp == 0x1FBC || cp == 0x1FCC || cp == 0x1FFC;
}

bool cp_is_alpha(uint32_t cp)
{
    return IN(is_alpha, cp);
}

bool cp_is_decimal(uint32_t cp)
{
    return cp < 0x80 ? cp >= '0' && cp <= '9' : IN(is_decimal, cp);
}

bool cp_is_digit(uint32_t cp)
{
    return cp < 0x80 ? cp >= '0' && cp <= '9' : IN(is_digit, cp);
}

bool cp_is_numeric(uint32_t cp)
{
    return cp < 0x80 ? cp >= '0' && cp <= '9' : IN(is_numeric, cp);
}

bool cp_is_space(uint32_t cp)
{
    if (cp < 0x80)
        return cp == ' ' || (cp >= 0x09 && cp <= 0x0D) || (cp >= 0x1C && cp <= 0x1F);
    return IN(is_space, cp);
}

bool cp_is_printable(uint32_t cp)
{
    return cp < 0x7F ? cp >= ' ' : !IN(not_printable, cp);
}

bool cp_is_line_break(uint32_t cp)
{
    return (cp >= 0x0A && cp <= 0x0D) || (cp >= 0x1C && cp <= 0x1E) || cp == 0x85 ||
           cp == 0x2028 || cp == 0x2029;
}

void cp_append(uint32_t cp, struct buf *out)
{
    char bytes[UTF8_MAX];
    size_t n = utf8_encode(cp, bytes);
    if (n == 0)
        buf_append(out, STR("\xEF\xBF\xBD"));
    else
        buf_append_bytes(out, bytes, n);
}

static void append_special(const struct cp_special *m, struct buf *out)
{
    for (size_t i = 0; i < ARRAY_LEN(m->to) && m->to[i]; i++)
        cp_append(m->to[i], out);
}

void cp_append_upper(uint32_t cp, struct buf *out)
{
    const struct cp_special *m = cp < 0x80 ? NULL
                                           : special(to_upper_many, ARRAY_LEN(to_upper_many), cp);
    if (m)
        append_special(m, out);
    else
        cp_append(map(to_upper, ARRAY_LEN(to_upper), cp), out);
}

void cp_append_title(uint32_t cp, struct buf *out)
{
    const struct cp_special *m = cp < 0x80 ? NULL
                                           : special(to_title_many, ARRAY_LEN(to_title_many), cp);
    if (m)
        append_special(m, out);
    else
        cp_append(map(to_title, ARRAY_LEN(to_title), cp), out);
}

static bool cased(uint32_t cp)
{
    return cp_is_upper(cp) || cp_is_lower(cp) || cp_is_title(cp);
}

/* Is a letter with case before it, and none after it, ignoring marks and apostrophes? */
static bool is_final_sigma(struct str s, size_t at)
{
    size_t i = at;
    uint32_t cp = 0;
    while (i > 0) {
        cp = cp_prev(s, &i);
        if (!IN(is_case_ignorable, cp))
            break;
    }
    if (!cased(cp) || IN(is_case_ignorable, cp))
        return false;
    i = at;
    cp_next(s, &i);
    while (i < s.len) {
        cp = cp_next(s, &i);
        if (!IN(is_case_ignorable, cp))
            return !cased(cp);
    }
    return true;
}

void cp_append_lower(struct str s, size_t at, uint32_t cp, struct buf *out)
{
    enum { CAPITAL_SIGMA = 0x3A3, FINAL_SIGMA = 0x3C2, CAPITAL_I_DOT = 0x130, DOT_ABOVE = 0x307 };
    if (cp == CAPITAL_SIGMA && is_final_sigma(s, at)) {
        cp_append(FINAL_SIGMA, out);
    } else if (cp == CAPITAL_I_DOT) {
        cp_append('i', out);
        cp_append(DOT_ABOVE, out);
    } else {
        cp_append(map(to_lower, ARRAY_LEN(to_lower), cp), out);
    }
}

uint32_t cp_next(struct str s, size_t *at)
{
    unsigned char c = (unsigned char)s.ptr[*at];
    if (c < 0x80) {
        (*at)++;
        return c;
    }
    uint32_t cp = 0xFFFD;
    size_t n = utf8_decode(s.ptr + *at, s.len - *at, &cp);
    *at += n ? n : 1;
    return n ? cp : 0xFFFD;
}

uint32_t cp_prev(struct str s, size_t *at)
{
    size_t i = *at - 1;
    while (i > 0 && *at - i < UTF8_MAX && ((unsigned char)s.ptr[i] & 0xC0) == 0x80)
        i--;
    *at = i;
    return cp_next(s, &i);
}

size_t cp_count(struct str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++)
        n += ((unsigned char)s.ptr[i] & 0xC0) != 0x80;
    return n;
}
