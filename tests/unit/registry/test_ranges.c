/* SPDX-License-Identifier: Apache-2.0
 *
 * Sets of byte ranges. */
#include "test.h"

#include "registry/ranges.h"

static void assert_set(const struct range_set *s, const char *want)
{
    char text[256] = "";
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%llu+%llu", i ? " " : "",
                              (unsigned long long)s->items[i].offset,
                              (unsigned long long)s->items[i].length);
    assert_string_equal(text, want);
}

static void test_missing(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct range_set s;
    assert_ok(range_set_missing(&s, 100, NULL, 0, &err));
    assert_set(&s, "0+100");
    range_set_release(&s);
    struct registry_range have[] = {{0, 10}, {20, 5}, {90, 10}};
    assert_ok(range_set_missing(&s, 100, have, 3, &err));
    assert_set(&s, "10+10 25+65");
    assert_int_equal(range_set_bytes(&s), 75);
    range_set_release(&s);
    assert_ok(range_set_missing(&s, 0, NULL, 0, &err));
    assert_set(&s, "");
    range_set_release(&s);
    static const struct registry_range bad[][2] = {
        {{5, 10}, {14, 2}}, {{20, 1}, {10, 1}}, {{0, 0}, {5, 1}}, {{0, 1}, {95, 6}},
        {{0, 1}, {UINT64_MAX, 2}}, {{0, 1}, {50, UINT64_MAX}},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_fails(range_set_missing(&s, 100, bad[i], 2, &err), ERR_INVALID, "not in order");
}

static void test_take_put(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct range_set s;
    struct registry_range a, b, c;
    assert_ok(range_set_missing(&s, 100, NULL, 0, &err));
    assert_true(range_set_take(&s, 40, &a));
    assert_true(range_set_take(&s, 40, &b));
    assert_set(&s, "80+20");
    range_set_put(&s, (struct registry_range){10, 30}); /* of a, its first 10 came */
    assert_set(&s, "10+30 80+20");
    range_set_put(&s, b);
    assert_set(&s, "10+90");
    assert_true(range_set_take(&s, 80, &c)); /* the rest is too small to be left */
    assert_int_equal(c.length, 90);
    assert_false(range_set_take(&s, 80, &c));
    range_set_put(&s, (struct registry_range){5, 0});
    assert_set(&s, "");
    range_set_release(&s);
}

static void test_cut(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct range_set s;
    struct registry_range have[] = {{30, 10}, {60, 10}}, r;
    assert_ok(range_set_missing(&s, 100, have, 2, &err));
    assert_true(range_set_cut(&s, 20, 30, &r));
    assert_int_equal(r.offset, 20);
    assert_int_equal(r.length, 10);
    assert_true(range_set_cut(&s, 20, 30, &r));
    assert_int_equal(r.offset, 40);
    assert_int_equal(r.length, 10);
    assert_false(range_set_cut(&s, 20, 30, &r));
    assert_set(&s, "0+20 50+10 70+30");
    assert_true(range_set_cut(&s, 80, 10, &r));
    assert_set(&s, "0+20 50+10 70+10 90+10");
    assert_false(range_set_cut(&s, 60, 10, &r));
    range_set_release(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_missing),
        cmocka_unit_test(test_take_put),
        cmocka_unit_test(test_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
