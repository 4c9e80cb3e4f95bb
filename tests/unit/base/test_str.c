/* SPDX-License-Identifier: Apache-2.0
 *
 * Borrowed strings. */
#include "test.h"

static void test_str__search(void **state)
{
    (void)state;
    assert_int_equal(str_find(STR("abcabc"), STR("ca")), 2);
    assert_int_equal(str_find(STR("abc"), STR("")), 0);
    assert_int_equal(str_find(STR(""), STR("a")), -1);
    assert_int_equal(str_find_char(STR("a:b:c"), ':'), 1);
    assert_int_equal(str_rfind_char(STR("a:b:c"), ':'), 3);
    assert_int_equal(str_rfind_char(STR(""), ':'), -1);
    assert_true(str_starts_with(STR("hf.co/x"), STR("hf.co/")));
    assert_false(str_starts_with(STR("hf"), STR("hf.co/")));
    assert_true(str_ends_with(STR("x.gguf"), STR(".gguf")));
    assert_true(str_eq_nocase(STR("Content-Type"), STR("content-TYPE")));
    assert_false(str_eq_nocase(STR("a"), STR("ab")));
    assert_true(str_cmp(STR("a"), STR("ab")) < 0);
    assert_true(str_cmp(STR("b"), STR("ab")) > 0);
}

static void test_str__sub_is_clamped(void **state)
{
    (void)state;
    assert_str(str_sub(STR("hello"), 1, 3), "ell");
    assert_str(str_sub(STR("hello"), 3, SIZE_MAX), "lo");
    assert_str(str_sub(STR("hello"), 9, 3), "");
    assert_str(str_trim(STR(" \t a b \n")), "a b");
    assert_str(str_trim(STR("   ")), "");
}

static void test_str__split(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *parts[5];
    } cases[] = {
        {"a,b", {"a", "b"}}, {"a,,b", {"a", "", "b"}}, {"", {""}}, {",", {"", ""}}, {"abc", {"abc"}},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct str rest = str_from(cases[i].text), part;
        size_t n = 0;
        while (str_split_next(&rest, ',', &part)) {
            assert_non_null(cases[i].parts[n]);
            assert_str(part, cases[i].parts[n]);
            n++;
        }
        assert_null(cases[i].parts[n]);
    }
}

static void test_str__numbers(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    uint64_t u = 7;
    int64_t s = 7;
    double d = 7;
    assert_ok(str_to_u64(STR("18446744073709551615"), "N", &u, &err));
    assert_true(u == UINT64_MAX);
    assert_fails(str_to_u64(STR("18446744073709551616"), "N", &u, &err), ERR_INVALID, "too large");
    assert_fails(str_to_u64(STR("-1"), "the port", &u, &err), ERR_INVALID, "the port");
    assert_fails(str_to_u64(STR(""), "N", &u, &err), ERR_INVALID, "empty");
    assert_fails(str_to_u64(STR("1 "), "N", &u, &err), ERR_INVALID, "'1 '");
    assert_true(u == UINT64_MAX); /* untouched by failures */
    assert_ok(str_to_i64(STR("-9223372036854775808"), "N", &s, &err));
    assert_true(s == INT64_MIN);
    assert_fails(str_to_i64(STR("9223372036854775808"), "N", &s, &err), ERR_INVALID, "range");
    assert_ok(str_to_f64(STR("-1.5e3"), "N", &d, &err));
    assert_true(d > -1500.5 && d < -1499.5);
    assert_fails(str_to_f64(STR("nan"), "N", &d, &err), ERR_INVALID, "number");
    assert_fails(str_to_f64(STR("1e999"), "N", &d, &err), ERR_INVALID, "number");
    assert_fails(str_to_f64(STR("1x"), "N", &d, &err), ERR_INVALID, "number");
}

static void test_str__hex_digits(void **state)
{
    (void)state;
    static const char digits[] = "0123456789abcdefABCDEF";
    for (int c = 0; c < 256; c++) {
        const char *at = c ? strchr(digits, c) : NULL;
        int want = at ? (int)(at - digits) : -1;
        assert_int_equal(hex_digit((char)c), want > 15 ? want - 6 : want);
    }
}

static void test_str__booleans(void **state)
{
    (void)state;
    static const char *const yes[] = {"1", "t", "T", "true", "TRUE", "True"};
    static const char *const no[] = {"", "0", "f", "yes", "tRUE", "true ", "11"};
    for (size_t i = 0; i < ARRAY_LEN(yes); i++)
        assert_true(str_is_true(str_from(yes[i])));
    for (size_t i = 0; i < ARRAY_LEN(no); i++)
        assert_false(str_is_true(str_from(no[i])));
    assert_false(str_is_true(str_from(NULL)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_str__search),
        cmocka_unit_test(test_str__sub_is_clamped),
        cmocka_unit_test(test_str__split),
        cmocka_unit_test(test_str__numbers),
        cmocka_unit_test(test_str__hex_digits),
        cmocka_unit_test(test_str__booleans),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
