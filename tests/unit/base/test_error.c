/* SPDX-License-Identifier: Apache-2.0
 *
 * Errors: text, context, mapping to the outside world. */
#include "base/error.h"

#include <errno.h>

#include "test.h"

static void test_error__set_and_wrap(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    assert_int_equal(error_set(&err, ERR_NOT_FOUND, "model '%s' not found", "x\x1b[31m"),
                     -ERR_NOT_FOUND);
    assert_string_equal(err.msg, "model 'x\\x1b[31m' not found");
    assert_int_equal(error_wrap(&err, "inspect %d", 7), -ERR_NOT_FOUND);
    assert_string_equal(err.msg, "inspect 7: model 'x\\x1b[31m' not found");
    assert_int_equal(error_set(NULL, ERR_IO, "nobody listens"), -ERR_IO);
    assert_int_equal(error_errno(&err, ENOENT, "open '%s'", "f"), -ERR_NOT_FOUND);
    assert_string_equal(err.msg, "open 'f': No such file or directory");
    assert_int_equal(error_errno(&err, ENOSPC, "write"), -ERR_IO);
}

static void test_error__long_text_is_cut(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    char big[5000];
    memset(big, 'a', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    error_set(&err, ERR_INVALID, "%s", big);
    assert_int_equal(strlen(err.msg), ERROR_MSG_MAX - 1);
    error_wrap(&err, "%s", big);
    assert_int_equal(strlen(err.msg), ERROR_MSG_MAX - 1);
    assert_non_null(strstr(err.msg, ": aaa"));
}

static void test_error__mapping(void **state)
{
    (void)state;
    assert_int_equal(errc_http_status(ERR_NOT_FOUND), 404);
    assert_int_equal(errc_http_status(ERR_BUSY), 429);
    assert_int_equal(errc_from_http_status(404), ERR_NOT_FOUND);
    assert_int_equal(errc_from_http_status(204), ERR_NONE);
    assert_int_equal(errc_from_http_status(418), ERR_INVALID);
    assert_int_equal(errc_from_http_status(503), ERR_UNAVAILABLE);
    assert_int_equal(errc_exit_code(ERR_CANCELED), 130);
    for (int c = ERR_INVALID; c <= ERR_INTERNAL; c++) {
        assert_true(errc_http_status((enum errc)c) >= 400);
        assert_true(strlen(errc_name((enum errc)c)) > 0);
        assert_true(errc_exit_code((enum errc)c) != 0);
    }
}

static void test_error__recode(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    error_set(&err, ERR_INVALID, "a manifest without layers");
    assert_int_equal(error_recode(&err, ERR_CORRUPT), -ERR_CORRUPT);
    assert_int_equal(err.code, ERR_CORRUPT);
    assert_string_equal(err.msg, "a manifest without layers");
    assert_int_equal(error_recode(NULL, ERR_CORRUPT), -ERR_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_error__set_and_wrap),
        cmocka_unit_test(test_error__long_text_is_cut),
        cmocka_unit_test(test_error__recode),
        cmocka_unit_test(test_error__mapping),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
