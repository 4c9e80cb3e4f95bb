/* SPDX-License-Identifier: Apache-2.0
 *
 * UTF-8. */
#include "base/utf8.h"

#include "test.h"

static void test_utf8__every_code_point(void **state)
{
    (void)state;
    for (uint32_t cp = 0; cp <= 0x110000; cp++) {
        char out[UTF8_MAX];
        size_t n = utf8_encode(cp, out);
        bool scalar = cp <= 0x10FFFF && !(cp >= 0xD800 && cp <= 0xDFFF);
        assert_int_equal(n != 0, scalar);
        if (!n)
            continue;
        uint32_t back = 0;
        assert_int_equal(utf8_decode(out, n, &back), n);
        assert_int_equal(back, cp);
        for (size_t cut = 0; cut < n; cut++) {
            assert_int_equal(utf8_decode(out, cut, &back), 0);
            assert_int_equal(utf8_complete_prefix(out, cut), 0);
        }
        assert_int_equal(utf8_complete_prefix(out, n), n);
    }
}

static void test_utf8__invalid(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "\x80", "\xC0\x80", "\xC1\xBF", "\xE0\x80\x80", "\xED\xA0\x80", "\xF0\x80\x80\x80",
        "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF", "\xC3(", "\xE2\x82(",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        size_t n = strlen(bad[i]);
        assert_false(utf8_valid(bad[i], n));
        /* Garbage is never held back as the beginning of something. */
        char with_end[16];
        snprintf(with_end, sizeof(with_end), "%s.", bad[i]);
        assert_int_equal(utf8_complete_prefix(with_end, n + 1), n + 1);
    }
    assert_int_equal(utf8_complete_prefix("ab\xE2\x82", 4), 2);
    assert_int_equal(utf8_complete_prefix("ab\xED\xA0", 4), 4); /* a surrogate: never valid */
}

static void test_utf8__printable(void **state)
{
    (void)state;
    static const struct {
        const char *in, *want;
    } cases[] = {
        {"plain", "plain"},
        {"\x1b[2J", "\\x1b[2J"},
        {"a\nb\tc", "a\\x0ab\\x09c"},
        {"\xff\xc3\xa9", "\\xff\xc3\xa9"},
        {"\xe2\x80\xae" "abc", "\\xe2\\x80\\xae" "abc"},
        {"\xc2\x9b", "\\xc2\\x9b"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char out[64];
        utf8_printable(out, sizeof(out), cases[i].in, strlen(cases[i].in));
        assert_string_equal(out, cases[i].want);
    }
    char tiny[4];
    utf8_printable(tiny, sizeof(tiny), "ab\xc3\xa9", 4);
    assert_string_equal(tiny, "ab");
}

static void test_utf8__width(void **state)
{
    (void)state;
    assert_int_equal(utf8_width("abc", 3), 3);
    assert_int_equal(utf8_width("\xE6\x97\xA5\xE6\x9C\xAC", 6), 4);
    assert_int_equal(utf8_width("e\xCC\x81", 3), 1);
    assert_int_equal(utf8_width("\xF0\x9F\x98\x80", 4), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_utf8__every_code_point),
        cmocka_unit_test(test_utf8__invalid),
        cmocka_unit_test(test_utf8__printable),
        cmocka_unit_test(test_utf8__width),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
