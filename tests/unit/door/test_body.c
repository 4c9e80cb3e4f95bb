/* SPDX-License-Identifier: Apache-2.0
 *
 * Bodies: where they end, in pieces of any size. */
#include "test.h"

#include "base/compiler.h"
#include "door/body.h"

/* Feeds in pieces: the length of the body, -1 when malformed, -2 when it has not ended. */
static ptrdiff_t feed(enum body_kind kind, uint64_t length, struct str bytes, size_t step)
{
    struct body b = body_begin(kind, length);
    size_t at = 0;
    while (at < bytes.len && !body_ended(&b)) {
        ptrdiff_t n = body_feed(&b, str_sub(bytes, at, step));
        if (n < 0)
            return -1;
        at += (size_t)n;
    }
    return body_ended(&b) ? (ptrdiff_t)at : -2;
}

static void test_body__ends_where_it_ends(void **state)
{
    (void)state;
    static const struct {
        enum body_kind kind;
        uint64_t length;
        const char *bytes;
        ptrdiff_t want;
    } rows[] = {
        {BODY_NONE, 0, "GET", 0},
        {BODY_LENGTH, 3, "abcGET", 3},
        {BODY_LENGTH, 3, "ab", -2},
        {BODY_TO_END, 0, "abc", -2},
        {BODY_CHUNKED, 0, "0\r\n\r\nGET", 5},
        {BODY_CHUNKED, 0, "3\r\nabc\r\n0\r\n\r\nGET", 13},
        {BODY_CHUNKED, 0, "A\r\n0123456789\r\n00\r\n\r\n", 21},
        {BODY_CHUNKED, 0, "3;x=\"y\"\r\n\r\n\n\r\n0;z\r\n\r\n", 21},
        {BODY_CHUNKED, 0, "1 \r\na\r\n0\r\n\r\n", 12},
        {BODY_CHUNKED, 0, "0\r\nA: b\r\nC: d\r\n\r\nGET", 17},
        {BODY_CHUNKED, 0, "3\r\nab", -2},
        {BODY_CHUNKED, 0, "0\r\n", -2},
        {BODY_CHUNKED, 0, "\r\n", -1},
        {BODY_CHUNKED, 0, "x\r\n", -1},
        {BODY_CHUNKED, 0, "-1\r\n", -1},
        {BODY_CHUNKED, 0, "0x3\r\nabc\r\n", -1},
        {BODY_CHUNKED, 0, "3\nabc\r\n0\r\n\r\n", -1},
        {BODY_CHUNKED, 0, "3\r\nabcd\r\n0\r\n\r\n", -1},
        {BODY_CHUNKED, 0, "3\r\nabc\n0\r\n\r\n", -1},
        {BODY_CHUNKED, 0, "3;a\nb\r\nabc\r\n0\r\n\r\n", -1},
        {BODY_CHUNKED, 0, "0\r\nA: b\n\r\n", -1},
        {BODY_CHUNKED, 0, "0\r\n\n", -1},
        {BODY_CHUNKED, 0, "0\r\n\rx", -1},
        {BODY_CHUNKED, 0, "fffffffffffffffff\r\n", -1},
        {BODY_CHUNKED, 0, "0000000000000000000000\r\n\r\n", -1},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (size_t step = 1; step < 24; step++) {
            ptrdiff_t got = feed(rows[i].kind, rows[i].length, str_from(rows[i].bytes), step);
            if (got != rows[i].want)
                fail_msg("row %zu, steps of %zu: %td", i, step, got);
        }
}

/* Extensions and trailers have a bound, data has none. */
static void test_body__extras_are_bounded(void **state)
{
    (void)state;
    enum { LONG = 100000 };
    static char text[LONG + 64];
    static const char *const rows[] = {"3;", "0\r\nA: "};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        size_t n = (size_t)sprintf(text, "%s", rows[i]);
        memset(text + n, 'x', LONG);
        assert_int_equal(feed(BODY_CHUNKED, 0, str_make(text, n + LONG), 4096), -1);
    }
    size_t n = (size_t)sprintf(text, "%x\r\n", LONG);
    memset(text + n, 'x', LONG);
    n += LONG;
    n += (size_t)sprintf(text + n, "\r\n0\r\n\r\n");
    assert_int_equal(feed(BODY_CHUNKED, 0, str_make(text, n), 4096), (ptrdiff_t)n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_body__ends_where_it_ends),
        cmocka_unit_test(test_body__extras_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
