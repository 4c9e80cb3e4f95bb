/* SPDX-License-Identifier: Apache-2.0
 *
 * Random names: of their alphabet, of their length, and not twice the same. */
#include "base/random.h"

#include <string.h>

#include "test.h"

static void test_random__names(void **state)
{
    (void)state;
    char a[100 + 1], b[100 + 1];
    random_name(RANDOM_HEX, 100, a);
    random_name(RANDOM_HEX, 100, b);
    assert_int_equal(strlen(a), 100);
    assert_int_equal(strspn(a, RANDOM_HEX), 100);
    assert_string_not_equal(a, b);
    assert_int_not_equal(memcmp(a, a + 64, 36), 0); /* more than one draw, not one repeated */
    random_name("x", 3, a);
    assert_string_equal(a, "xxx");
    random_name(RANDOM_LETTERS, 0, a);
    assert_string_equal(a, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random__names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
