/* SPDX-License-Identifier: Apache-2.0
 *
 * Look-ups in the generated tables. ASCII, nearly all of most texts, does not search. */
#include "engine/text/unicode.h"

#include <stddef.h>

#include "engine/text/unicode_tables.h"

enum {
    HANGUL_FIRST = 0xac00,
    HANGUL_LAST = 0xd7a3,
    HANGUL_LEAD = 0x1100,
    HANGUL_PER_LEAD = 21 * 28, /* syllables with the same first letter */
};

enum unicode_class unicode_class(uint32_t cp)
{
    if (cp < 0x80) {
        if ((cp | 0x20) >= 'a' && (cp | 0x20) <= 'z')
            return UC_LETTER;
        if (cp >= '0' && cp <= '9')
            return UC_NUMBER;
    }
    if (cp > 0x10ffff)
        return UC_NONE;
    size_t lo = 0, hi = unicode_ranges_n; /* ranges[lo].first <= cp < ranges[hi].first */
    while (hi - lo > 1) {
        size_t mid = lo + (hi - lo) / 2;
        if (unicode_ranges[mid].first <= cp)
            lo = mid;
        else
            hi = mid;
    }
    return unicode_ranges[lo].cls;
}

bool unicode_is_space(uint32_t cp)
{
    if (cp < 0x80)
        return cp == ' ' || (cp >= '\t' && cp <= '\r');
    return cp == 0x85 || cp == 0xa0 || cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200a) ||
           cp == 0x2028 || cp == 0x2029 || cp == 0x202f || cp == 0x205f || cp == 0x3000;
}

static uint32_t pair_find(const struct unicode_pair *pairs, size_t n, uint32_t cp)
{
    size_t lo = 0, hi = n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (pairs[mid].from < cp)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < n && pairs[lo].from == cp ? pairs[lo].to : cp;
}

uint32_t unicode_to_lower(uint32_t cp)
{
    if (cp < 0x80)
        return cp >= 'A' && cp <= 'Z' ? cp + ('a' - 'A') : cp;
    return pair_find(unicode_lower, unicode_lower_n, cp);
}

uint32_t unicode_base_char(uint32_t cp)
{
    if (cp < 0x80)
        return cp;
    if (cp >= HANGUL_FIRST && cp <= HANGUL_LAST)
        return HANGUL_LEAD + (cp - HANGUL_FIRST) / HANGUL_PER_LEAD;
    return pair_find(unicode_base, unicode_base_n, cp);
}
