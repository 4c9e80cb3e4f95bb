/* SPDX-License-Identifier: Apache-2.0
 *
 * Hostile templates: each must end soon with an error that names the limit, or work. */
#include "render_check.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "engine/template/pool.h"

/* `n` times `part` between `before` and `after`, as a template. */
static char *repeated(const char *before, const char *part, size_t n, const char *after)
{
    struct buf b = BUF_INIT(SIZE_MAX / 2);
    buf_append_c(&b, before);
    for (size_t i = 0; i < n; i++)
        buf_append_c(&b, part);
    buf_append_c(&b, after);
    char *text = buf_take(&b);
    assert_non_null(text);
    return text;
}

static void expect_refusal(const char *text, const char *message)
{
    struct error err = ERROR_INIT;
    CLEANUP_BUF struct buf out = BUF_INIT(16 << 20);
    /* less than the default, to be quick */
    const struct template_options o = {.max_steps = 1500000};
    int64_t start = clock_mono_ms();
    int r = render_text(text, &o, &out, &err);
    if (r >= 0 || !strstr(err.msg, message))
        fail_msg("%.60s...: got '%.80s', wanted '%s'", text, r < 0 ? err.msg : "success", message);
    assert_int_equal(out.len, 0);
    int64_t ms = clock_mono_ms() - start;
    if (ms > 30000)
        fail_msg("%.60s...: took %lld ms", text, (long long)ms);
}

static void test_limits__nesting(void **state)
{
    static const struct {
        const char *before, *part, *after, *message;
    } cases[] = {
        {"{{ ", "(", "1 }}", "nested deeper"},
        {"{{ ", "[", "1 }}", "nested deeper"},
        {"{{ ", "not ", "1 }}", "nested deeper"},
        {"{{ ", "-", "1 }}", "nested deeper"},
        {"{{ 1", "+1", " }}", "nested deeper"},
        {"{{ 1", "|string", " }}", "nested deeper"},
        {"{{ x", ".a", " }}", "nested deeper"},
        {"{{ x", "[0]", " }}", "nested deeper"},
        {"{{ x", "()", " }}", "nested deeper"},
        {"{{ 1", " if 1 else 2", " }}", "nested deeper"},
        {"{{ 1", " and 1", " }}", "nested deeper"},
        {"", "{% if 1 %}", "", "nested deeper"},
        {"", "{% for i in [1] %}", "", "nested deeper"},
        {"", "{% macro a() %}", "", "nested deeper"},
        {"", "{% set a %}", "", "nested deeper"},
        {"{% set ", "(", "a = 1 %}", "nested deeper"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP_FREE char *text = repeated(cases[i].before, cases[i].part, 50000, cases[i].after);
        expect_refusal(text, cases[i].message);
    }
    CLEANUP_FREE char *closed = repeated("{{ ((((((((((((((((((((((((((((((((1", ")", 32, " }}");
    struct error err = ERROR_INIT;
    CLEANUP_BUF struct buf out = BUF_INIT(100);
    assert_ok(render_text(closed, NULL, &out, &err));
}

static void test_limits__work(void **state)
{
    static const char *const cases[][2] = {
        {"{% for i in range(1000000000) %}{% endfor %}", "range() has more than 100000 items"},
        {"{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
         "too much work"},
        {"{% set a = [1] %}{% for i in a %}{% set _ = a.append(1) %}{% endfor %}", "too much work"},
        {"{{ 'a' * 10000000000 }}", "a string grows beyond"},
        {"{{ 9223372036854775807 * [1] }}", "too"},
        {"{{ 'a'|center(10000000000) }}", "a string grows beyond"},
        {"{{ 'a'.ljust(9223372036854775807) }}", "a string grows beyond"},
        {"{{ '%999999999d' % 1 }}", "too large"},
        {"{{ '%.999999999f' % 1 }}", "too large"},
        {"{{ '{:999999999}'.format(1) }}", "invalid format specifier"},
        {"{{ [1]|slice(1000000000)|list }}", "more than 100000"},
        {"{{ [1]|batch(1000000000, 1)|list }}", "more than 100000"},
        {"{% set n = namespace(s='a') %}{% for i in range(99) %}{% set n.s = n.s + n.s %}"
         "{% endfor %}", "too much work"}, /* copying counts; the string's own limit is far above */
        {"{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "nested too deeply"},
        {"{% for i in [1] recursive %}{{ loop([1]) }}{% endfor %}", "nested too deeply"},
        {"{% macro f() %}{{ caller() }}{% endmacro %}{% macro g() %}{% call f() %}{{ g() }}"
         "{% endcall %}{% endmacro %}{{ g() }}", "nested too deeply"},
        {"{% set a = [] %}{% set _ = a.append(a) %}{{ a }}", "nested deeper"},
        {"{% set a = [] %}{% set _ = a.append(a) %}{{ a|tojson }}", "nested deeper"},
        {"{% set a = [] %}{% set _ = a.append(a) %}{{ a|pprint }}", "nested"},
        {"{% set a = [] %}{% set _ = a.append(a) %}{% set b = [] %}{% set _ = b.append(b) %}"
         "{{ a == b }}", "nested deeper"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        expect_refusal(cases[i][0], cases[i][1]);
}

static void test_limits__size(void **state)
{
    (void)state;
    CLEANUP_FREE char *large = repeated("", "0123456789", 300000, "");
    expect_refusal(large, "at most");
    CLEANUP_BUF struct buf names = BUF_INIT(1 << 20);
    for (int i = 0; i < 5000; i++)
        buf_printf(&names, "{{ a%d }}", i);
    expect_refusal(buf_cstr(&names), "variables");
}

/* Growing a string piece by piece takes memory for its length, not for the square of it. */
static void test_limits__growing_text(void **state)
{
    (void)state;
#ifdef POOL_ALLOCATES_APART
    skip();
#endif
    struct error err = ERROR_INIT;
    CLEANUP_BUF struct buf out = BUF_INIT(1 << 20);
    assert_ok(render_text("{% set n = namespace(s='') %}{% for i in range(20000) %}"
                          "{% set n.s = n.s ~ 'xxxxxxxxxx' %}{% endfor %}{{ n.s|length }}",
                          NULL, &out, &err));
    assert_str(buf_str(&out), "200000");
}

static void test_limits__steps_and_output(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    const struct template_options few = {.max_steps = 100};
    CLEANUP_BUF struct buf out = BUF_INIT(1 << 20);
    const char *loop = "{% for i in range(1000) %}x{% endfor %}";
    assert_fails(render_text(loop, &few, &out, &err), ERR_TOO_LARGE, "too much work");
    assert_ok(render_text(loop, NULL, &out, &err));
    assert_int_equal(out.len, 1000);

    CLEANUP_BUF struct buf small = BUF_INIT(10);
    buf_append(&small, STR("abc"));
    assert_fails(render_text(loop, NULL, &small, &err), ERR_TOO_LARGE, "beyond 10 bytes");
    assert_int_equal(small.len, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limits__nesting),
        cmocka_unit_test(test_limits__work),
        cmocka_unit_test(test_limits__size),
        cmocka_unit_test(test_limits__growing_text),
        cmocka_unit_test(test_limits__steps_and_output),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
