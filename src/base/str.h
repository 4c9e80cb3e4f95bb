/* SPDX-License-Identifier: Apache-2.0
 *
 * struct str: borrowed text as pointer and length. It may hold any bytes, NUL
 * included, and is not terminated. Whoever made it says how long it lives. */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/error.h"

struct str {
    const char *ptr;
    size_t len;
};

#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})

/* For printf: "%.*s", STR_ARG(s). */
#define STR_ARG(s) (int)((s).len > 4096 ? 4096 : (s).len), (s).ptr

static inline struct str str_from(const char *cstr)
{
    return (struct str){cstr, cstr ? strlen(cstr) : 0};
}

static inline struct str str_make(const char *ptr, size_t len)
{
    return (struct str){ptr, len};
}

static inline bool str_eq(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool str_eq_c(struct str a, const char *b)
{
    return str_eq(a, str_from(b));
}

bool str_eq_nocase(struct str a, struct str b); /* ASCII */

/* 0 to 15 for a hexadecimal digit of either case, else -1. */
static inline int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool str_starts_with(struct str s, struct str prefix);
bool str_ends_with(struct str s, struct str suffix);
int str_cmp(struct str a, struct str b); /* byte order */

/* Offset of the first/last `needle` in `s`, or -1. An empty needle is found at 0 / s.len. */
ptrdiff_t str_find(struct str s, struct str needle);
ptrdiff_t str_find_char(struct str s, char c);
ptrdiff_t str_rfind_char(struct str s, char c);

/* Part of s from `at` (clamped), at most `len` bytes. */
struct str str_sub(struct str s, size_t at, size_t len);

/* Without ASCII white space at both ends. */
struct str str_trim(struct str s);

/* Cuts *rest at the next `sep`: stores the part before it in *ret_part and moves *rest behind it.
 * Returns false when *rest has no bytes left to give (ptr becomes NULL after the last part). */
bool str_split_next(struct str *rest, char sep, struct str *ret_part);

/* A terminated copy; NULL when out of memory. The caller frees it. */
char *str_dup(struct str s) ATTR_CHECK;

/* A boolean as Go's clients write it: 1, t, T, true, TRUE and True are yes, all else is no. */
bool str_is_true(struct str s);

/* Whole-string numbers, decimal, no sign for the unsigned one, no white space, no overflow. `what`
 * names the thing in the error ("the context size"). */
int str_to_u64(struct str s, const char *what, uint64_t *ret, struct error *err);
int str_to_i64(struct str s, const char *what, int64_t *ret, struct error *err);
int str_to_f64(struct str s, const char *what, double *ret, struct error *err); /* finite */

#endif
