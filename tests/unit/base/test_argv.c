/* SPDX-License-Identifier: Apache-2.0
 *
 * Lists of words: as they are, formatted, and taken from a line. */
#include "base/argv.h"

#include <stdlib.h>

#include "test.h"

static void test_argv__grows(void **state)
{
    (void)state;
    CLEANUP_ARGV struct argv a = {0};
    enum { MANY = 1000, LONG = 1 << 20 };
    char *text = malloc(LONG + 1);
    memset(text, 'x', LONG);
    text[LONG] = '\0';
    argv_push(&a, text);
    for (int i = 1; i < MANY; i++)
        argv_add(&a, "%d", i);
    assert_int_equal(a.n, MANY);
    assert_string_equal(a.v[0], text);
    assert_string_equal(a.v[MANY - 1], "999");
    assert_null(a.v[MANY]);
    free(text);
}

static void test_argv__splits(void **state)
{
    (void)state;
    static const struct {
        const char *line, *words[4];
    } cases[] = {
        {"", {0}},
        {"  a\tb\n", {"a", "b"}},
        {"'a b' \"c 'd'\"", {"a b", "c 'd'"}},
        {"a\\ b '\\c' \"\\\"\"", {"a b", "\\c", "\""}},
        {"'' x", {"", "x"}},
    };
    struct error err = ERROR_INIT;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP_ARGV struct argv a = {0};
        assert_ok(argv_split(&a, str_from(cases[i].line), "it", &err));
        for (size_t k = 0; k < a.n; k++)
            assert_string_equal(a.v[k], cases[i].words[k]);
        assert_null(cases[i].words[a.n]);
    }
    CLEANUP_ARGV struct argv a = {0};
    assert_fails(argv_split(&a, STR("a 'b"), "the line", &err), ERR_INVALID,
                 "the line has an unclosed quote");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_argv__grows),
        cmocka_unit_test(test_argv__splits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
