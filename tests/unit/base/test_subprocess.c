/* SPDX-License-Identifier: Apache-2.0
 *
 * Programs run for what they print. */
#include "base/subprocess.h"

#include <unistd.h>

#include "base/file.h"
#include "test.h"

static int run_script(const char *script, struct subprocess c, struct buf *out, bool *well,
                      struct error *err)
{
    const char *const argv[] = {"/bin/sh", "-c", script, NULL};
    c.argv = argv;
    return subprocess_run(&c, out, well, err);
}

static void test_subprocess__output_and_status(void **state)
{
    (void)state;
    static const struct {
        const char *script, *want;
        bool read_errors, well;
    } cases[] = {
        {"cat; echo err >&2", "hello", false, true},
        {"cat; echo err >&2", "helloerr\n", true, true},
        {"echo no; exit 3", "no\n", false, false},
        {"kill -9 $$", "", false, false},
        {"exec <&-; echo deaf", "deaf\n", false, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct error err = ERROR_INIT;
        CLEANUP_BUF struct buf out = BUF_INIT(4096);
        bool well = !cases[i].well;
        const struct subprocess c = {.input = STR("hello"),
                                     .read_errors = cases[i].read_errors,
                                     .timeout_ms = 30000,
                                     .cancel_fd = -1};
        assert_ok(run_script(cases[i].script, c, &out, &well, &err));
        assert_string_equal(buf_cstr(&out), cases[i].want);
        assert_int_equal(well, cases[i].well);
    }
}

static void test_subprocess__limits(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    CLEANUP_BUF struct buf out = BUF_INIT(4096);
    bool well = false;
    const struct subprocess slow = {.timeout_ms = 50, .cancel_fd = -1};
    assert_fails(run_script("sleep 100", slow, &out, &well, &err), ERR_TIMEOUT, "did not answer");
    const struct subprocess calm = {.timeout_ms = 30000, .cancel_fd = -1};
    assert_fails(run_script("yes", calm, &out, &well, &err), ERR_TOO_LARGE, "too much text");
    int p[2];
    assert_int_equal(pipe(p), 0);
    CLEANUP_FD int r = p[0];
    close(p[1]); /* end of file: readable */
    const struct subprocess canceled = {.timeout_ms = 30000, .cancel_fd = r};
    assert_fails(run_script("sleep 100", canceled, &out, &well, &err), ERR_CANCELED, "canceled");
    const char *const nothing[] = {"/nonexistent/program", NULL};
    const struct subprocess absent = {.argv = nothing, .timeout_ms = 30000, .cancel_fd = -1};
    assert_true(subprocess_run(&absent, &out, &well, &err) < 0);
    assert_non_null(strstr(err.msg, "/nonexistent/program"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_subprocess__output_and_status),
        cmocka_unit_test(test_subprocess__limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
