/* SPDX-License-Identifier: Apache-2.0
 *
 * Times and durations. */
#include "base/clock.h"

#include <stdlib.h>

#include "test.h"

static void test_clock__human(void **state)
{
    (void)state;
    static const struct {
        int64_t s;
        const char *want;
    } cases[] = {
        {0, "Less than a second"}, {1, "1 second"},    {59, "59 seconds"},
        {60, "About a minute"},    {119, "About a minute"}, {120, "2 minutes"},
        {3599, "59 minutes"},      {3600, "About an hour"}, {5399, "About an hour"},
        {5400, "2 hours"},         {47 * 3600, "47 hours"}, {48 * 3600, "2 days"},
        {14 * 86400, "2 weeks"},   {60 * 86400, "2 months"}, {730 * 86400, "2 years"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char out[CLOCK_TEXT_MAX];
        clock_human(cases[i].s, out);
        assert_string_equal(out, cases[i].want);
    }
}

static void test_clock__durations(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        int64_t ns;
        const char *out;
    } cases[] = {
        {"5m", 300000000000, "5m0s"}, {"1h30m", 5400000000000, "1h30m0s"},
        {"0", 0, "0s"},               {"-1", -1, "-1ns"},
        {"1.5s", 1500000000, "1.5s"}, {"300ms", 300000000, "300ms"},
        {"2h", 7200000000000, "2h0m0s"}, {"-5m", -300000000000, "-5m0s"},
        {"10us", 10000, "10\xC2\xB5s"},
    };
    struct error err = ERROR_INIT;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t ns = 99;
        assert_ok(duration_parse(str_from(cases[i].in), &ns, &err));
        assert_int_equal(ns, cases[i].ns);
        char out[CLOCK_TEXT_MAX];
        duration_text(ns, out);
        assert_string_equal(out, cases[i].out);
    }
    static const char *const bad[] = {"", "5", "m", "5x", "5m3", "--5m", "1e3s", "99999999999h", " 5m"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        int64_t ns = 99;
        assert_fails(duration_parse(str_from(bad[i]), &ns, &err), ERR_INVALID, "invalid duration");
        assert_int_equal(ns, 99);
    }
}

static void test_clock__rfc3339(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct timespec t = {0};
    char out[CLOCK_TEXT_MAX];
    assert_ok(clock_parse_rfc3339(STR("2025-03-24T11:49:41.12Z"), &t, &err));
    assert_int_equal(t.tv_sec, 1742816981);
    assert_int_equal(t.tv_nsec, 120000000);
    clock_rfc3339_utc(t, out);
    assert_string_equal(out, "2025-03-24T11:49:41.12Z");
    assert_ok(clock_parse_rfc3339(STR("2025-03-24T13:49:41+02:00"), &t, &err));
    assert_int_equal(t.tv_sec, 1742816981);
    assert_fails(clock_parse_rfc3339(STR("2025-03-24"), &t, &err), ERR_INVALID, "RFC 3339");
    assert_fails(clock_parse_rfc3339(STR("2025-03-24T11:49:41"), &t, &err), ERR_INVALID, "RFC 3339");

    setenv("TZ", "XYZ-5:30", 1);
    tzset();
    clock_rfc3339((struct timespec){.tv_sec = 1742816981}, out);
    assert_string_equal(out, "2025-03-24T17:19:41+05:30");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clock__human),
        cmocka_unit_test(test_clock__durations),
        cmocka_unit_test(test_clock__rfc3339),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
