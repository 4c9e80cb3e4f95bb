/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory of the machine and of processes. */
#include "base/memory.h"

#include <unistd.h>

#include "test.h"

static void test_memory__numbers(void **state)
{
    (void)state;
    uint64_t own = memory_of_process(getpid());
    assert_true(own > 64 * 1024 && own < UINT64_C(1) << 40);
    assert_true(memory_available() > 0);
    assert_true(memory_of_process(0) == 0);
    assert_true(memory_of_process(-1) == 0);
    enum { MANY = 64 << 20 };
    char *p = malloc(MANY);
    assert_non_null(p);
    memset(p, 1, MANY);
    assert_true(memory_of_process(getpid()) >= own + MANY / 2);
    free(p);
}

static void test_memory__text(void **state)
{
    (void)state;
    static const struct {
        uint64_t bytes;
        const char *text;
    } cases[] = {
        {0, "0 MiB"},
        {1 << 20, "1 MiB"},
        {UINT64_C(1023) << 20, "1023 MiB"},
        {UINT64_C(5) << 30, "5.0 GiB"},
        {UINT64_MAX, "17179869184.0 GiB"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[MEMORY_TEXT_MAX];
        memory_text(cases[i].bytes, text);
        assert_string_equal(text, cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory__numbers),
        cmocka_unit_test(test_memory__text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
