/* SPDX-License-Identifier: Apache-2.0
 *
 * Finding quantisation labels. */
#include "oci/quantization.h"

#include <stdint.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_word(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool starts_nocase(struct str s, struct str prefix)
{
    return s.len >= prefix.len && str_eq_nocase(str_sub(s, 0, prefix.len), prefix);
}

static size_t digits_at(struct str s)
{
    size_t n = 0;
    while (n < s.len && is_digit(s.ptr[n]))
        n++;
    return n;
}

/* Length of the word at the start of s. */
static size_t word_at(struct str s)
{
    size_t n = 0;
    while (n < s.len && is_word(s.ptr[n]))
        n++;
    return n;
}

static bool is_part(struct str s)
{
    static const char *const parts[] = {"K",  "S",   "M",  "L",  "XS", "XXS", "XXXS",
                                        "XL", "XXL", "NL", "P",  "KS", "KL",  "KT",
                                        "KV", "KSS", "R4", "R8", "MOE"};
    if (digits_at(s) == s.len)
        return s.len > 0 && s.len <= 2;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (str_eq_nocase(s, str_from(parts[i])))
            return true;
    }
    return false;
}

/* The first word of a label. */
static bool is_label_word(struct str s)
{
    static const char *const whole[] = {"BF16",  "F16", "F32",   "F64",  "FP16", "FP32", "MXFP4",
                                        "NVFP4", "FP8", "MXFP6", "INT8", "INT4", "F8",   "MXFP8"};
    for (size_t i = 0; i < ARRAY_LEN(whole); i++) {
        if (str_eq_nocase(s, str_from(whole[i])))
            return true;
    }
    if (starts_nocase(s, STR("IQ")) || starts_nocase(s, STR("TQ")))
        s = str_sub(s, 1, SIZE_MAX);
    return s.len >= 2 && s.len <= 3 && (*s.ptr == 'Q' || *s.ptr == 'q') &&
           digits_at(str_sub(s, 1, SIZE_MAX)) == s.len - 1;
}

bool oci_quantization_next(struct str s, size_t *at, struct str *ret)
{
    while (*at < s.len) {
        struct str rest = str_sub(s, *at, SIZE_MAX);
        size_t n = word_at(rest);
        if (n == 0) {
            ++*at;
            continue;
        }
        if (!is_label_word(str_sub(rest, 0, n))) {
            *at += n;
            continue;
        }
        while (n < rest.len && rest.ptr[n] == '_') {
            size_t more = word_at(str_sub(rest, n + 1, SIZE_MAX));
            if (!is_part(str_sub(rest, n + 1, more)))
                break;
            n += 1 + more;
        }
        size_t from = *at;
        if (from >= 3 && str_eq_nocase(str_sub(s, from - 3, 3), STR("UD-")) &&
            (from == 3 || !is_word(s.ptr[from - 4])))
            from -= 3;
        *at += n;
        *ret = str_sub(s, from, *at - from);
        return true;
    }
    return false;
}

static struct str last_label(struct str s)
{
    struct str label = {NULL, 0}, next;
    size_t at = 0;
    while (oci_quantization_next(s, &at, &next))
        label = next;
    return label;
}

struct str oci_quantization_of(struct str path)
{
    ptrdiff_t slash = str_rfind_char(path, '/');
    struct str label = last_label(str_sub(path, (size_t)(slash + 1), SIZE_MAX));
    return label.ptr || slash < 0 ? label : last_label(str_sub(path, 0, (size_t)slash));
}
