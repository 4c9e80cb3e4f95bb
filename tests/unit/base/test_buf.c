/* SPDX-License-Identifier: Apache-2.0
 *
 * Growing buffers. */
#include "base/buf.h"
#include "test.h"

static void test_buf__grows_to_its_maximum(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    CLEANUP_BUF struct buf b = BUF_INIT(1000);
    for (int i = 0; i < 100; i++)
        assert_int_equal(buf_append(&b, STR("0123456789")), 0);
    assert_int_equal(b.len, 1000);
    assert_int_equal(b.data[1000], 0);
    assert_ok(buf_check(&b, "the text", &err));
    assert_int_equal(buf_push(&b, 'x'), -ERR_TOO_LARGE);
    assert_int_equal(b.len, 1000);
    assert_fails(buf_check(&b, "the text", &err), ERR_TOO_LARGE, "the text is larger than");
    /* A failed buffer stays failed, also for what would fit. */
    buf_truncate(&b, 10);
    assert_int_equal(buf_push(&b, 'x'), -ERR_TOO_LARGE);
    buf_clear(&b);
    assert_int_equal(buf_push(&b, 'x'), 0);
}

static void test_buf__printf_and_consume(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf b = BUF_INIT(64);
    assert_str(buf_str(&b), "");
    buf_printf(&b, "%d-%s", 42, "abc");
    assert_str(buf_str(&b), "42-abc");
    buf_consume(&b, 3);
    assert_str(buf_str(&b), "abc");
    buf_consume(&b, 3);
    assert_str(buf_str(&b), "");
    assert_int_equal(buf_printf(&b, "%070d", 1), -ERR_TOO_LARGE);
    assert_int_equal(b.len, 0);
}

static void test_buf__html(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf b = BUF_INIT(64);
    assert_int_equal(buf_append_html(&b, STR("<a b='c' d=\"e\">&")), 0);
    assert_str(buf_str(&b), "&lt;a b=&#39;c&#39; d=&#34;e&#34;&gt;&amp;");
    struct buf small = BUF_INIT(5);
    assert_int_equal(buf_append_html(&small, STR("<<")), -ERR_TOO_LARGE);
    buf_release(&small);
}

static void test_buf__take(void **state)
{
    (void)state;
    struct buf b = BUF_INIT(64);
    char *empty = buf_take(&b);
    assert_string_equal(empty, "");
    free(empty);
    buf_append_c(&b, "x");
    char *p = buf_take(&b);
    assert_string_equal(p, "x");
    assert_null(b.data);
    free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buf__grows_to_its_maximum),
        cmocka_unit_test(test_buf__printf_and_consume),
        cmocka_unit_test(test_buf__html),
        cmocka_unit_test(test_buf__take),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
