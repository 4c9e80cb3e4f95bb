/* SPDX-License-Identifier: Apache-2.0
 *
 * Look-ups in the generated tables. ASCII, nearly all of most texts, does not search; beyond it the
 * place found last is tried first, because neighbouring characters are of one script. */
#include "engine/text/unicode.h"

#include <stddef.h>

#include "engine/text/unicode_tables.h"

enum {
    HANGUL_FIRST = 0xac00,
    HANGUL_LAST = 0xd7a3,
    HANGUL_LEAD = 0x1100,
    HANGUL_PER_LEAD = 21 * 28, /* syllables with the same first letter */
};

static enum unicode_class ascii_class(uint32_t cp)
{
    static const unsigned char classes[128] = {
        [0 ... 31] = UC_CONTROL,   [' '] = UC_SEPARATOR,      ['!' ... '/'] = UC_PUNCT,
        ['0' ... '9'] = UC_NUMBER, [':' ... ';'] = UC_PUNCT,  ['<' ... '>'] = UC_SYMBOL,
        ['?' ... '@'] = UC_PUNCT,  ['A' ... 'Z'] = UC_LETTER, ['[' ... ']'] = UC_PUNCT,
        ['^'] = UC_SYMBOL,         ['_'] = UC_PUNCT,          ['`'] = UC_SYMBOL,
        ['a' ... 'z'] = UC_LETTER, ['{'] = UC_PUNCT,          ['|'] = UC_SYMBOL,
        ['}'] = UC_PUNCT,          ['~'] = UC_SYMBOL,         [127] = UC_CONTROL,
    };
    return cp == '$' || cp == '+' ? UC_SYMBOL : (enum unicode_class)classes[cp];
}

enum unicode_class unicode_class(uint32_t cp)
{
    if (cp < 0x80)
        return ascii_class(cp);
    if (cp > 0x10ffff)
        return UC_NONE;
    static _Thread_local size_t last;
    if (unicode_ranges[last].first <= cp &&
        (last + 1 == unicode_ranges_n || cp < unicode_ranges[last + 1].first))
        return unicode_ranges[last].cls;
    size_t lo = 0, hi = unicode_ranges_n; /* ranges[lo].first <= cp < ranges[hi].first */
    while (hi - lo > 1) {
        size_t mid = lo + (hi - lo) / 2;
        if (unicode_ranges[mid].first <= cp)
            lo = mid;
        else
            hi = mid;
    }
    last = lo;
    return unicode_ranges[lo].cls;
}

bool unicode_is_space(uint32_t cp)
{
    if (cp < 0x80)
        return cp == ' ' || (cp >= '\t' && cp <= '\r');
    if (cp > 0x3000)
        return false;
    return cp == 0x85 || cp == 0xa0 || cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200a) ||
           cp == 0x2028 || cp == 0x2029 || cp == 0x202f || cp == 0x205f || cp == 0x3000;
}

/* *last: where the character looked for before would stand. */
static uint32_t pair_find(const struct unicode_pair *pairs, size_t n, uint32_t cp, size_t *last)
{
    if ((*last == 0 || pairs[*last - 1].from < cp) && (*last == n || cp < pairs[*last].from))
        return cp;
    size_t lo = 0, hi = n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (pairs[mid].from < cp)
            lo = mid + 1;
        else
            hi = mid;
    }
    *last = lo;
    return lo < n && pairs[lo].from == cp ? pairs[lo].to : cp;
}

/* Pictures, which have neither cases nor parts. */
static bool is_picture(uint32_t cp)
{
    return cp >> 12 == 0x1f;
}

uint32_t unicode_to_lower(uint32_t cp)
{
    if (cp < 0x80)
        return cp >= 'A' && cp <= 'Z' ? cp + ('a' - 'A') : cp;
    if (is_picture(cp))
        return cp;
    static _Thread_local size_t last;
    return pair_find(unicode_lower, unicode_lower_n, cp, &last);
}

uint32_t unicode_base_char(uint32_t cp)
{
    if (cp < 0x80 || is_picture(cp))
        return cp;
    if (cp >= HANGUL_FIRST && cp <= HANGUL_LAST)
        return HANGUL_LEAD + (cp - HANGUL_FIRST) / HANGUL_PER_LEAD;
    static _Thread_local size_t last;
    return pair_find(unicode_base, unicode_base_n, cp, &last);
}
