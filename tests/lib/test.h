/* SPDX-License-Identifier: Apache-2.0
 *
 * What every C test includes: cmocka with the headers it wants first, and a few helpers.
 *
 *     #include "test.h"
 *
 *     static void test_str__trim(void **state)
 *     {
 *         (void)state;
 *         assert_str(str_trim(STR(" a ")), "a");
 *     }
 *
 *     int main(void)
 *     {
 *         const struct CMUnitTest tests[] = {cmocka_unit_test(test_str__trim)};
 *         return cmocka_run_group_tests(tests, NULL, NULL);
 *     }
 */
#ifndef TESTS_LIB_TEST_H
#define TESTS_LIB_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/str.h"

/* The call must succeed; prints the error otherwise. `err` is a struct error in scope. */
#define assert_ok(call)                                                   \
    do {                                                                  \
        int r_ = (call);                                                  \
        if (r_ < 0)                                                       \
            fail_msg("%s: %s (%s)", #call, err.msg, errc_name(err.code)); \
    } while (0)

/* The call must fail with this kind, and the message must contain `part`. */
#define assert_fails(call, kind, part)                                                     \
    do {                                                                                   \
        int r_ = (call);                                                                   \
        if (r_ != -(int)(kind))                                                            \
            fail_msg("%s: got %d (%s), wanted %s", #call, r_, r_ < 0 ? err.msg : "success", \
                     errc_name(kind));                                                     \
        if (!strstr(err.msg, (part)))                                                      \
            fail_msg("%s: message '%s' lacks '%s'", #call, err.msg, (part));               \
    } while (0)

/* A struct str equals a C string. */
#define assert_str(s, want)                                                              \
    do {                                                                                 \
        struct str s_ = (s);                                                             \
        if (!str_eq_c(s_, (want)))                                                       \
            fail_msg("%s is '%.*s', wanted '%s'", #s, (int)s_.len, s_.ptr, (want));      \
    } while (0)

#endif
