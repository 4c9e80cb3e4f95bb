/* SPDX-License-Identifier: Apache-2.0
 *
 * A stand-in for cmocka, for tests/kernels/test_arm64.py only. The distribution has cmocka for
 * another architecture only after `dpkg --add-architecture`, which a test must not ask for. This is
 * the part that the tests compiled there use, with the same names and arguments. A failed assertion
 * ends its test and names the place; the answer is TAP, the exit status the number of failures. */
#ifndef TESTS_LIB_ARM64_CMOCKA_H
#define TESTS_LIB_ARM64_CMOCKA_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct CMUnitTest {
    const char *name;
    void (*run)(void **state);
};

/* Where a failed assertion goes. Assertions are made by the main thread alone. */
static jmp_buf cmocka__failed;

__attribute__((noreturn, format(printf, 3, 4))) static inline void
cmocka__fail(const char *file, int line, const char *format, ...)
{
    va_list args;
    printf("# %s:%d: ", file, line);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
    longjmp(cmocka__failed, 1);
}

static inline void cmocka__equal(const char *file, int line, const char *what, uintmax_t got,
                                 uintmax_t want)
{
    if (got != want)
        cmocka__fail(file, line, "%s is %#jx, wanted %#jx", what, got, want);
}

static inline void cmocka__equal_text(const char *file, int line, const char *what,
                                      const char *got, const char *want)
{
    if (!got || !want || strcmp(got, want) != 0)
        cmocka__fail(file, line, "%s is '%s', wanted '%s'", what, got ? got : "(null)",
                     want ? want : "(null)");
}

static inline void cmocka__equal_bytes(const char *file, int line, const char *what,
                                       const void *got, const void *want, size_t n)
{
    if (memcmp(got, want, n) != 0)
        cmocka__fail(file, line, "%s: the %zu bytes differ", what, n);
}

static inline void cmocka__true(const char *file, int line, const char *what, bool value)
{
    if (!value)
        cmocka__fail(file, line, "%s does not hold", what);
}

static inline int cmocka__run(const struct CMUnitTest *tests, size_t n)
{
    static volatile size_t i; /* static: longjmp() leaves them alone */
    static volatile int n_failed;
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("1..%zu\n", n);
    for (i = 0; i < n; i++) {
        void *state = NULL;
        if (setjmp(cmocka__failed) == 0) {
            tests[i].run(&state);
            printf("ok %zu - %s\n", i + 1, tests[i].name);
        } else {
            n_failed++;
            printf("not ok %zu - %s\n", i + 1, tests[i].name);
        }
    }
    return n_failed;
}

#define fail_msg(...) cmocka__fail(__FILE__, __LINE__, __VA_ARGS__)
#define assert_true(c) cmocka__true(__FILE__, __LINE__, #c, (c))
#define assert_false(c) cmocka__true(__FILE__, __LINE__, "!(" #c ")", !(c))
#define assert_null(p) cmocka__true(__FILE__, __LINE__, #p " == NULL", (p) == NULL)
#define assert_non_null(p) cmocka__true(__FILE__, __LINE__, #p " != NULL", (p) != NULL)
#define assert_int_equal(a, b) cmocka__equal(__FILE__, __LINE__, #a, (uintmax_t)(a), (uintmax_t)(b))
#define assert_string_equal(a, b) cmocka__equal_text(__FILE__, __LINE__, #a, (a), (b))
#define assert_memory_equal(a, b, n) cmocka__equal_bytes(__FILE__, __LINE__, #a, (a), (b), (n))

#define cmocka_unit_test(function) {#function, function}
#define cmocka_run_group_tests(tests, setup, teardown) \
    ((void)(setup), (void)(teardown), cmocka__run((tests), sizeof(tests) / sizeof((tests)[0])))

#endif
