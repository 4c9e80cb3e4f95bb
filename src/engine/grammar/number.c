/* SPDX-License-Identifier: Apache-2.0
 *
 * Sets of numbers. A bound is compared digit by digit, as on paper. */
#include "engine/grammar/number.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A number as its digits: "12.5" is {"12", "5"}, without zeros that say nothing. */
struct decimal {
    char whole[64], fraction[400];
    bool negative;
};

static int to_decimal(const struct json *v, struct decimal *ret, struct error *err)
{
    char text[512];
    *ret = (struct decimal){0};
    if (js_is(v, JS_INT)) {
        snprintf(text, sizeof(text), "%lld", (long long)js_to_int(v, 0));
    } else {
        double d = js_to_real(v, 0), back = 0;
        char shortest[64];
        int exponent = 0;
        if (d > 1e30 || d < -1e30)
            return error_set(err, ERR_UNSUPPORTED, "the bound %g is too large", d);
        for (int digits = 1; digits <= 17; digits++) { /* the shortest that reads back the same */
            snprintf(shortest, sizeof(shortest), "%.*e", digits - 1, d);
            back = strtod(shortest, NULL);
            if (memcmp(&back, &d, sizeof(d)) == 0) {
                exponent = digits - 1 - atoi(strchr(shortest, 'e') + 1);
                break;
            }
        }
        snprintf(text, sizeof(text), "%.*f", MAX(exponent, 0), d);
    }
    const char *p = text;
    ret->negative = *p == '-';
    p += ret->negative;
    size_t n = strcspn(p, ".");
    if (n >= sizeof(ret->whole))
        return error_set(err, ERR_UNSUPPORTED, "the bound %s is too large", text);
    memcpy(ret->whole, p, n);
    if (p[n] == '.')
        snprintf(ret->fraction, sizeof(ret->fraction), "%s", p + n + 1);
    for (size_t k = strlen(ret->fraction); k > 0 && ret->fraction[k - 1] == '0'; k--)
        ret->fraction[k - 1] = '\0';
    if (strcmp(ret->whole, "0") == 0 && !ret->fraction[0])
        ret->negative = false;
    return 0;
}

/* ---- pieces ---- */

static void digits(struct nfa *a, uint32_t from, uint32_t to, unsigned lo, unsigned hi)
{
    if (lo <= hi)
        nfa_bytes(a, from, to, '0' + lo, '0' + hi, 0);
}

/* min to max digits. */
static uint32_t some_digits(struct nfa *a, uint32_t from, int min, int max)
{
    uint32_t end = nfa_node(a);
    for (int i = 0;; i++) {
        if (i >= min)
            nfa_empty(a, from, end);
        if (i == max)
            return end;
        uint32_t next = nfa_node(a);
        digits(a, from, next, 0, 9);
        from = next;
    }
}

static void fraction(struct nfa *a, uint32_t from, uint32_t to, bool integer)
{
    nfa_empty(a, from, to);
    if (!integer)
        nfa_empty(a, some_digits(a, nfa_literal(a, from, STR(".")), 1, NUMBER_FRACTION_DIGITS), to);
}

/* A whole part of this many digits. */
static uint32_t whole(struct nfa *a, uint32_t from, int min, int max)
{
    uint32_t end = nfa_node(a), first = nfa_node(a);
    if (min <= 1)
        nfa_empty(a, nfa_literal(a, from, STR("0")), end);
    digits(a, from, first, 1, 9);
    if (max >= 1 && max >= min)
        nfa_empty(a, some_digits(a, first, MAX(min - 1, 0), max - 1), end);
    return end;
}

/* The fraction behind a whole part equal to the bound's. */
static void compare_fraction(struct nfa *a, uint32_t from, uint32_t to, const struct decimal *d,
                             bool above, bool open, bool integer)
{
    size_t n = strlen(d->fraction);
    if (above ? n == 0 && !open : n > 0 || !open)
        nfa_empty(a, from, to); /* no fraction at all */
    if (integer)
        return;
    uint32_t at = nfa_literal(a, from, STR("."));
    for (size_t i = 0; i < n && i < NUMBER_FRACTION_DIGITS; i++) {
        unsigned c = (unsigned)(d->fraction[i] - '0');
        uint32_t free_digits = nfa_node(a), next = nfa_node(a);
        if (above)
            digits(a, at, free_digits, c + 1, 9);
        else if (c > 0)
            digits(a, at, free_digits, 0, c - 1);
        nfa_empty(a, some_digits(a, free_digits, 0, NUMBER_FRACTION_DIGITS - (int)i - 1), to);
        digits(a, at, next, c, c);
        at = next;
        if (!above && i + 1 < n)
            nfa_empty(a, at, to); /* ends early: less */
    }
    if (n > NUMBER_FRACTION_DIGITS)
        return;
    if (n > 0 && !open)
        nfa_empty(a, at, to);
    for (int i = (int)n; i < NUMBER_FRACTION_DIGITS; i++) { /* equal so far, zeros follow … */
        uint32_t free_digits = nfa_node(a), next = nfa_node(a);
        if (above) { /* … or something that makes it more */
            digits(a, at, free_digits, 1, 9);
            nfa_empty(a, some_digits(a, free_digits, 0, NUMBER_FRACTION_DIGITS - i - 1), to);
        }
        digits(a, at, next, 0, 0);
        at = next;
        if (!open)
            nfa_empty(a, at, to);
    }
}

/* Unsigned numbers above (or below) the bound's magnitude. */
static void compare(struct nfa *a, uint32_t from, uint32_t to, const struct decimal *d, bool above,
                    bool open, bool integer)
{
    int n = (int)strlen(d->whole);
    if (above && n < NUMBER_INT_DIGITS)
        fraction(a, whole(a, from, n + 1, NUMBER_INT_DIGITS), to, integer);
    if (!above && n > 1)
        fraction(a, whole(a, from, 1, MIN(n - 1, NUMBER_INT_DIGITS)), to, integer);
    if (n > NUMBER_INT_DIGITS)
        return;
    uint32_t at = from;
    for (int i = 0; i < n; i++) {
        unsigned c = (unsigned)(d->whole[i] - '0'), least = i == 0 && n > 1 ? 1 : 0;
        uint32_t other = nfa_node(a), next = nfa_node(a);
        if (above)
            digits(a, at, other, c + 1, 9);
        else if (c > least)
            digits(a, at, other, least, c - 1);
        fraction(a, some_digits(a, other, n - i - 1, n - i - 1), to, integer);
        digits(a, at, next, c, c);
        at = next;
    }
    compare_fraction(a, at, to, d, above, open, integer);
}

/* One bound: all numbers on its side. */
static int half_line(const struct json *bound, bool lower, bool open, bool integer,
                     struct dfa **ret, struct error *err)
{
    struct decimal d;
    int r = to_decimal(bound, &d, err);
    if (r < 0)
        return r;
    struct nfa a = {0};
    uint32_t start = nfa_node(&a), end = nfa_node(&a), minus = nfa_node(&a);
    bool zero = strcmp(d.whole, "0") == 0 && !d.fraction[0];
    nfa_bytes(&a, start, minus, '-', '-', 0);
    if (!d.negative) {
        compare(&a, start, end, &d, lower, open, integer);
        if (!lower) { /* all negative ones; -0 only where 0 is in */
            uint32_t magnitude = zero && open ? 1 : 0;
            if (magnitude)
                compare(&a, minus, end, &(struct decimal){.whole = "0"}, true, true, integer);
            else
                fraction(&a, whole(&a, minus, 1, NUMBER_INT_DIGITS), end, integer);
        }
    } else {
        compare(&a, minus, end, &d, !lower, open, integer);
        if (lower)
            fraction(&a, whole(&a, start, 1, NUMBER_INT_DIGITS), end, integer);
    }
    r = dfa_from_nfa(&a, start, end, ret, err);
    nfa_release(&a);
    return r;
}

int number_any_dfa(bool integer, struct dfa **ret, struct error *err)
{
    struct nfa a = {0};
    uint32_t start = nfa_node(&a), end = nfa_node(&a), first = nfa_node(&a), number = nfa_node(&a);
    nfa_empty(&a, start, first);
    nfa_bytes(&a, start, first, '-', '-', 0);
    fraction(&a, whole(&a, first, 1, NUMBER_INT_DIGITS), number, integer);
    nfa_empty(&a, number, end);
    if (!integer) {
        uint32_t e = nfa_node(&a), sign = nfa_node(&a);
        nfa_bytes(&a, number, e, 'e', 'e', 0);
        nfa_bytes(&a, number, e, 'E', 'E', 0);
        nfa_empty(&a, e, sign);
        nfa_bytes(&a, e, sign, '+', '+', 0);
        nfa_bytes(&a, e, sign, '-', '-', 0);
        nfa_empty(&a, some_digits(&a, sign, 1, NUMBER_EXPONENT_DIGITS), end);
    }
    int r = dfa_from_nfa(&a, start, end, ret, err);
    nfa_release(&a);
    return r;
}

int number_range_dfa(const struct number_range *range, bool integer, struct dfa **ret,
                     struct error *err)
{
    CLEANUP(cleanup_dfa) struct dfa *low = NULL;
    CLEANUP(cleanup_dfa) struct dfa *high = NULL;
    int r = 0;
    if (range->min)
        r = half_line(range->min, true, range->min_open, integer, &low, err);
    if (r == 0 && range->max)
        r = half_line(range->max, false, range->max_open, integer, &high, err);
    if (r < 0)
        return r;
    if (low && high)
        return dfa_product(low, high, false, ret, err);
    *ret = low ? TAKE(low) : TAKE(high);
    return 0;
}

/* States: what is left of the digits so far, divided by `of` without its point, and how many of
 * them stood behind the point. */
int number_multiple_dfa(const struct json *of, struct dfa **ret, struct error *err)
{
    struct decimal d;
    int r = js_is_number(of) ? to_decimal(of, &d, err)
                             : error_set(err, ERR_INVALID, "must be a number");
    if (r < 0)
        return r;
    char all[512];
    snprintf(all, sizeof(all), "%s%s", d.whole, d.fraction);
    uint64_t m = strlen(all) <= 9 ? strtoull(all, NULL, 10) : UINT64_MAX;
    uint64_t places = strlen(d.fraction), n_states = m * (places + 1);
    if (d.negative || m == 0)
        return error_set(err, ERR_INVALID, "must be above 0");
    if (m > DFA_STATES_MAX || n_states > DFA_STATES_MAX / 2)
        return error_set(err, ERR_UNSUPPORTED, "%s is too large or has too many digits", all);
    struct nfa a = {0};
    uint32_t start = nfa_node(&a), end = nfa_node(&a), sign = nfa_node(&a), zero = nfa_node(&a);
    uint32_t *nodes = calloc(n_states, sizeof(*nodes));
    if (!nodes)
        return error_set(err, ERR_NOMEM, "out of memory");
    for (uint64_t i = 0; i < n_states; i++)
        nodes[i] = nfa_node(&a);
    nfa_empty(&a, start, sign);
    nfa_bytes(&a, start, sign, '-', '-', 0);
    nfa_bytes(&a, sign, zero, '0', '0', 0);
    for (unsigned c = 1; c < 10; c++)
        digits(&a, sign, nodes[c % m], c, c);
    uint64_t scale = 1; /* the digits so far mean digits * scale / 10^places */
    for (uint64_t p = places + 1; p-- > 0; scale *= 10)
        for (uint64_t rest = 0; rest < m; rest++) {
            uint32_t at = nodes[p * m + rest];
            if (rest * scale % m == 0)
                nfa_empty(&a, at, end);
            for (unsigned c = 0; c < 10 && (p == 0 || p < places); c++) {
                uint64_t next = p == 0 ? 0 : p + 1;
                if (next <= places)
                    digits(&a, at, nodes[next * m + (rest * 10 + c) % m], c, c);
            }
            if (p == 0 && places > 0) {
                uint32_t point = nfa_literal(&a, at, STR("."));
                for (unsigned c = 0; c < 10; c++)
                    digits(&a, point, nodes[m + (rest * 10 + c) % m], c, c);
            }
        }
    nfa_empty(&a, zero, end);
    if (places > 0) {
        uint32_t point = nfa_literal(&a, zero, STR("."));
        for (unsigned c = 0; c < 10; c++)
            digits(&a, point, nodes[m + c % m], c, c);
    }
    free(nodes);
    r = dfa_from_nfa(&a, start, end, ret, err);
    nfa_release(&a);
    return r;
}
