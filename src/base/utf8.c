/* SPDX-License-Identifier: Apache-2.0
 *
 * UTF-8 after RFC 3629. */
#include "base/utf8.h"

#include <string.h>

#include "base/compiler.h"

size_t utf8_decode(const char *p, size_t len, uint32_t *ret_cp)
{
    if (len == 0)
        return 0;
    const unsigned char *s = (const unsigned char *)p;
    if (s[0] < 0x80) {
        *ret_cp = s[0];
        return 1;
    }
    size_t n;
    uint32_t cp, min;
    if (s[0] >= 0xC2 && s[0] <= 0xDF) {
        n = 2, cp = s[0] & 0x1Fu, min = 0x80;
    } else if (s[0] >= 0xE0 && s[0] <= 0xEF) {
        n = 3, cp = s[0] & 0x0Fu, min = 0x800;
    } else if (s[0] >= 0xF0 && s[0] <= 0xF4) {
        n = 4, cp = s[0] & 0x07u, min = 0x10000;
    } else {
        return 0;
    }
    if (len < n)
        return 0;
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xC0) != 0x80)
            return 0;
        cp = (cp << 6) | (s[i] & 0x3Fu);
    }
    if (cp < min || cp > 0x10FFFF || (cp >= 0xD800 && cp <= 0xDFFF))
        return 0;
    *ret_cp = cp;
    return n;
}

size_t utf8_encode(uint32_t cp, char out[UTF8_MAX])
{
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    if (cp < 0x800) {
        out[0] = (char)(0xC0 | (cp >> 6));
        out[1] = (char)(0x80 | (cp & 0x3F));
        return 2;
    }
    if (cp >= 0xD800 && cp <= 0xDFFF)
        return 0;
    if (cp < 0x10000) {
        out[0] = (char)(0xE0 | (cp >> 12));
        out[1] = (char)(0x80 | ((cp >> 6) & 0x3F));
        out[2] = (char)(0x80 | (cp & 0x3F));
        return 3;
    }
    if (cp <= 0x10FFFF) {
        out[0] = (char)(0xF0 | (cp >> 18));
        out[1] = (char)(0x80 | ((cp >> 12) & 0x3F));
        out[2] = (char)(0x80 | ((cp >> 6) & 0x3F));
        out[3] = (char)(0x80 | (cp & 0x3F));
        return 4;
    }
    return 0;
}

bool utf8_valid(const char *p, size_t len)
{
    uint32_t cp;
    while (len > 0) {
        size_t n = utf8_decode(p, len, &cp);
        if (n == 0)
            return false;
        p += n;
        len -= n;
    }
    return true;
}

/* Is p[0..len) (len < 4) a valid beginning of a character that needs more bytes? */
static bool is_open_character(const char *p, size_t len)
{
    const unsigned char *s = (const unsigned char *)p;
    size_t need = s[0] >= 0xC2 && s[0] <= 0xDF   ? 2
                  : s[0] >= 0xE0 && s[0] <= 0xEF ? 3
                  : s[0] >= 0xF0 && s[0] <= 0xF4 ? 4
                                                 : 0;
    if (len >= need)
        return false;
    /* The smallest and the largest completion bound every completion: if one of them is a
     * character, more bytes can still make it whole. */
    char low[UTF8_MAX], high[UTF8_MAX];
    memset(low, 0x80, sizeof(low));
    memset(high, 0xBF, sizeof(high));
    memcpy(low, p, len);
    memcpy(high, p, len);
    uint32_t cp;
    return utf8_decode(low, need, &cp) == need || utf8_decode(high, need, &cp) == need;
}

size_t utf8_complete_prefix(const char *p, size_t len)
{
    size_t most = MIN(len, (size_t)UTF8_MAX - 1);
    for (size_t tail = 1; tail <= most; tail++) {
        unsigned char c = (unsigned char)p[len - tail];
        if ((c & 0xC0) == 0x80)
            continue; /* inside a character: look further left for its first byte */
        return is_open_character(p + len - tail, tail) ? len - tail : len;
    }
    return len;
}

void utf8_printable(char *out, size_t size, const char *p, size_t len)
{
    static const char hex[] = "0123456789abcdef";
    if (size == 0)
        return;
    size_t used = 0;
    while (len > 0) {
        uint32_t cp = 0;
        size_t n = utf8_decode(p, len, &cp);
        /* C0 and C1 controls, DEL, and the bidirectional overrides can deceive a reader. */
        bool bad = n == 0 || cp < 0x20 || (cp >= 0x7F && cp < 0xA0) ||
                   (cp >= 0x202A && cp <= 0x202E) || (cp >= 0x2066 && cp <= 0x2069);
        if (n == 0)
            n = 1;
        size_t need = bad ? 4 * n : n;
        if (used + need >= size)
            break;
        if (bad) {
            for (size_t i = 0; i < n; i++) {
                unsigned char c = (unsigned char)p[i];
                out[used++] = '\\';
                out[used++] = 'x';
                out[used++] = hex[c >> 4];
                out[used++] = hex[c & 15];
            }
        } else {
            memcpy(out + used, p, n);
            used += n;
        }
        p += n;
        len -= n;
    }
    out[used] = '\0';
}

/* Ranges of East Asian wide and emoji characters, after Unicode's EastAsianWidth (W and F). */
static bool is_wide(uint32_t cp)
{
    static const struct {
        uint32_t first, last;
    } wide[] = {
        {0x1100, 0x115F},   {0x231A, 0x231B},   {0x2329, 0x232A},   {0x23E9, 0x23EC},
        {0x23F0, 0x23F0},   {0x23F3, 0x23F3},   {0x25FD, 0x25FE},   {0x2614, 0x2615},
        {0x2648, 0x2653},   {0x267F, 0x267F},   {0x2693, 0x2693},   {0x26A1, 0x26A1},
        {0x26AA, 0x26AB},   {0x26BD, 0x26BE},   {0x26C4, 0x26C5},   {0x26CE, 0x26CE},
        {0x26D4, 0x26D4},   {0x26EA, 0x26EA},   {0x26F2, 0x26F3},   {0x26F5, 0x26F5},
        {0x26FA, 0x26FA},   {0x26FD, 0x26FD},   {0x2705, 0x2705},   {0x270A, 0x270B},
        {0x2728, 0x2728},   {0x274C, 0x274C},   {0x274E, 0x274E},   {0x2753, 0x2755},
        {0x2757, 0x2757},   {0x2795, 0x2797},   {0x27B0, 0x27B0},   {0x27BF, 0x27BF},
        {0x2B1B, 0x2B1C},   {0x2B50, 0x2B50},   {0x2B55, 0x2B55},   {0x2E80, 0x303E},
        {0x3041, 0x33FF},   {0x3400, 0x4DBF},   {0x4E00, 0xA4CF},   {0xA960, 0xA97F},
        {0xAC00, 0xD7A3},   {0xF900, 0xFAFF},   {0xFE10, 0xFE19},   {0xFE30, 0xFE6F},
        {0xFF00, 0xFF60},   {0xFFE0, 0xFFE6},   {0x16FE0, 0x1B2FF}, {0x1F004, 0x1F004},
        {0x1F0CF, 0x1F0CF}, {0x1F18E, 0x1F18E}, {0x1F191, 0x1F19A}, {0x1F200, 0x1F320},
        {0x1F32D, 0x1F335}, {0x1F337, 0x1F37C}, {0x1F37E, 0x1F393}, {0x1F3A0, 0x1F3CA},
        {0x1F3CF, 0x1F3D3}, {0x1F3E0, 0x1F3F0}, {0x1F3F4, 0x1F3F4}, {0x1F3F8, 0x1F43E},
        {0x1F440, 0x1F440}, {0x1F442, 0x1F4FC}, {0x1F4FF, 0x1F53D}, {0x1F54B, 0x1F54E},
        {0x1F550, 0x1F567}, {0x1F57A, 0x1F57A}, {0x1F595, 0x1F596}, {0x1F5A4, 0x1F5A4},
        {0x1F5FB, 0x1F64F}, {0x1F680, 0x1F6C5}, {0x1F6CC, 0x1F6CC}, {0x1F6D0, 0x1F6D2},
        {0x1F6D5, 0x1F6DF}, {0x1F6EB, 0x1F6EC}, {0x1F6F4, 0x1F6FC}, {0x1F7E0, 0x1F7EB},
        {0x1F90C, 0x1F9FF}, {0x1FA70, 0x1FAFF}, {0x20000, 0x3FFFD},
    };
    for (size_t i = 0; i < ARRAY_LEN(wide); i++)
        if (cp >= wide[i].first && cp <= wide[i].last)
            return true;
    return false;
}

static bool is_zero_width(uint32_t cp)
{
    return (cp >= 0x0300 && cp <= 0x036F) || (cp >= 0x0483 && cp <= 0x0489) ||
           (cp >= 0x0591 && cp <= 0x05BD) || (cp >= 0x0610 && cp <= 0x061A) ||
           (cp >= 0x064B && cp <= 0x065F) || (cp >= 0x0E34 && cp <= 0x0E3A) ||
           (cp >= 0x200B && cp <= 0x200F) || (cp >= 0x1AB0 && cp <= 0x1AFF) ||
           (cp >= 0x1DC0 && cp <= 0x1DFF) || (cp >= 0x20D0 && cp <= 0x20FF) ||
           (cp >= 0xFE00 && cp <= 0xFE0F) || (cp >= 0xFE20 && cp <= 0xFE2F) || cp == 0xFEFF ||
           (cp >= 0xE0100 && cp <= 0xE01EF);
}

size_t utf8_width(const char *p, size_t len)
{
    size_t width = 0;
    while (len > 0) {
        uint32_t cp = 0;
        size_t n = utf8_decode(p, len, &cp);
        if (n == 0)
            n = 1, width += 1;
        else if (cp >= 0x20 && cp != 0x7F && !is_zero_width(cp))
            width += is_wide(cp) ? 2 : 1;
        p += n;
        len -= n;
    }
    return width;
}
