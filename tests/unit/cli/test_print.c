/* SPDX-License-Identifier: Apache-2.0
 *
 * Printing foreign text, tables, sizes. */
#include "test.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cli/print.h"
#include "cli/table.h"

/* Runs code that prints to `to` and compares what it printed. */
#define assert_prints(want, code)                            \
    do {                                                     \
        char *printed_ = NULL;                               \
        size_t printed_len_ = 0;                             \
        FILE *to = open_memstream(&printed_, &printed_len_); \
        assert_non_null(to);                                 \
        code;                                                \
        fclose(to);                                          \
        assert_string_equal(printed_, want);                 \
        free(printed_);                                      \
    } while (0)

static void test_print__line_text_shows_controls(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"plain", "plain"},
        {"", ""},
        {"a\nb\tc", "a\\x0ab\\x09c"},
        {"\033[2Jgone", "\\x1b[2Jgone"},
        {"\xC2\x9B"
         "31m",
         "\\xc2\\x9b31m"},
        {"\xFF\xFE", "\\xff\\xfe"},
        {"gr\xC3\xBC\xC3\x9F", "gr\xC3\xBC\xC3\x9F"},
        {"\xE2\x80\xAE"
         "abc",
         "\\xe2\\x80\\xae"
         "abc"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_prints(cases[i].out, print_line_text(to, str_from(cases[i].in)));
}

static void test_print__line_text_longer_than_its_pieces(void **state)
{
    (void)state;
    /* Two-byte characters across every border inside. */
    for (size_t lead = 0; lead < 3; lead++) {
        CLEANUP_BUF struct buf in = BUF_INIT(8192);
        for (size_t i = 0; i < lead; i++)
            buf_push(&in, 'x');
        for (size_t i = 0; i < 1000; i++)
            buf_append_c(&in, "\xC3\xA4");
        CLEANUP_BUF struct buf out = BUF_INIT(65536);
        append_line_text(&out, buf_str(&in));
        assert_true(str_eq(buf_str(&in), buf_str(&out)));
    }
}

static void test_print__terminal_text(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"two\nlines\tand a tab", "two\nlines\tand a tab"},
        {"\033]0;title\a", "\xE2\x90\x9B]0;title\xE2\x90\x87"},
        {"over\rwrite\r\n", "overwrite\n"},
        {"\x7F", "\xE2\x90\xA1"},
        {"\xC2\x9B"
         "2J",
         "\xEF\xBF\xBD"
         "2J"},
        {"\xF0\x9F\x98\x80", "\xF0\x9F\x98\x80"},
        {"cut \xF0\x9F", "cut \xEF\xBF\xBD\xEF\xBF\xBD"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP_BUF struct buf out = BUF_INIT(1024);
        append_terminal_text(&out, str_from(cases[i].in));
        assert_string_equal(buf_cstr(&out), cases[i].out);
        for (size_t k = 0; k < out.len; k++)
            assert_int_not_equal(out.data[k], '\033');
    }
}

static void test_print__json_escapes_what_json_does_not(void **state)
{
    (void)state;
    struct json *v = js_object();
    js_set_cstr(v, "k",
                "a\x7F\xC2\x9B"
                "b\033<&>/\xC3\xA4");
    assert_prints("{\"k\":\"a\\u007f\\u009bb\\u001B<&>/\xC3\xA4\"}\n",
                  print_json(to, v, JS_COMPACT));
    js_free(v);
    v = js_array();
    assert_prints("[]\n", print_json(to, v, JS_INDENT_4));
    js_push(v, js_int(1));
    assert_prints("[\n    1\n]\n", print_json(to, v, JS_INDENT_4));
    js_free(v);
}

static void test_print__sizes(void **state)
{
    (void)state;
    static const struct {
        double bytes;
        const char *text, *brief;
    } cases[] = {
        {0, "0.00B", "0B"},         {999, "999.00B", "999B"},
        {1000, "1.00kB", "1kB"},    {256350000, "256.35MB", "256.4MB"},
        {4.5e9, "4.50GB", "4.5GB"}, {1e20, "100000.00PB", "1e+05PB"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[SIZE_TEXT_MAX];
        size_text(cases[i].bytes, text);
        assert_string_equal(text, cases[i].text);
        size_text_short(cases[i].bytes, text);
        assert_string_equal(text, cases[i].brief);
    }
}

static void test_table__pads_every_cell(void **state)
{
    (void)state;
    struct table t;
    table_init(&t, (const char *const[]){"NAME", "SIZE"}, 2);
    assert_prints("NAME  SIZE  \n", table_print(&t, to));
    table_row(&t, (const char *const[]){"smollm2", "1"});
    table_row(&t, (const char *const[]){NULL, "256.35MiB"});
    assert_prints("NAME     SIZE       \n"
                  "smollm2  1          \n"
                  "         256.35MiB  \n",
                  table_print(&t, to));
    table_release(&t);
}

static void test_table__measures_columns_not_bytes(void **state)
{
    (void)state;
    struct table t;
    table_init(&t, (const char *const[]){"N", "X"}, 2);
    table_row(&t, (const char *const[]){"\xE6\xA8\xA1\xE5\x9E\x8B", "y"}); /* two wide characters */
    table_row(&t, (const char *const[]){"gr\xC3\xBC", "y"});
    table_row(&t, (const char *const[]){"a\nb", "y"}); /* no line break from outside */
    assert_prints("N       X  \n"
                  "\xE6\xA8\xA1\xE5\x9E\x8B    y  \n"
                  "gr\xC3\xBC     y  \n"
                  "a\\x0ab  y  \n",
                  table_print(&t, to));
    table_release(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_print__line_text_shows_controls),
        cmocka_unit_test(test_print__line_text_longer_than_its_pieces),
        cmocka_unit_test(test_print__terminal_text),
        cmocka_unit_test(test_print__json_escapes_what_json_does_not),
        cmocka_unit_test(test_print__sizes),
        cmocka_unit_test(test_table__pads_every_cell),
        cmocka_unit_test(test_table__measures_columns_not_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
