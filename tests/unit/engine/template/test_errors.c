/* SPDX-License-Identifier: Apache-2.0
 *
 * What is refused, and what the messages say: the line and the reason. */
#include "render_check.h"

struct error_case {
    const char *template, *message; /* the message is to contain this */
};

static void check_errors(const struct error_case *cases, size_t n)
{
    size_t failed = 0;
    for (size_t i = 0; i < n; i++) {
        struct error err = ERROR_INIT;
        CLEANUP_BUF struct buf out = BUF_INIT(1 << 20);
        int r = render_text(cases[i].template, NULL, &out, &err);
        if (r == -(int)err.code && r < 0 && strstr(err.msg, cases[i].message) && out.len == 0)
            continue;
        print_error("%s\n  got    '%s'\n  wanted '%s'\n", cases[i].template,
                    r < 0 ? err.msg : buf_cstr(&out), cases[i].message);
        failed++;
    }
    if (failed)
        fail_msg("%zu of %zu templates were not refused as they should be", failed, n);
}

static const struct error_case syntax_cases[] = {
    {"{{ x", "line 1: expected '}}', got the end of the template"},
    {"a\nb\n{{ x", "line 3"},
    {"{% if x %}", "ends where 'endif' is expected"},
    {"{% for i in l %}\n{% endif %}", "line 2: unknown or misplaced tag 'endif'"},
    {"{% endif %}", "misplaced tag 'endif'"},
    {"{% foo %}", "unknown or misplaced tag 'foo'"},
    {"{{ }}", "expected an expression, got '}}'"},
    {"{{ x. }}", "expected a name or a number"},
    {"{{ (x }}", "expected ')'"},
    {"{{ x) }}", "unexpected ')'"},
    {"{{ (x] }}", "unexpected ']', expected ')'"},
    {"{{ 'abc }}", "has no end"},
    {"{{ a b }}", "expected '}}', got 'b'"},
    {"{{ x | }}", "expected a name"},
    {"{{ x is }}", "expected a name"},
    {"{{ x is string is string }}", "cannot be chained"},
    {"{# x", "has no end '#}'"},
    {"{% raw %}x", "has no '{% endraw %}'"},
    {"{% set 1 = 2 %}", "expected a name"},
    {"{% set true = 2 %}", "can't assign to 'true'"},
    {"{% for loop in l %}{% endfor %}", "'loop'"},
    {"{% for i in l %}{% set loop = 1 %}{% endfor %}", "'loop'"},
    {"{% break %}", "'break' outside of a loop"},
    {"{% for i in l %}{% macro m() %}{% continue %}{% endmacro %}{% endfor %}",
     "outside of a loop"},
    {"{{ x $ }}", "unexpected character '$'"},
    {"{{ x ! y }}", "unexpected character '!'"},
    {"{{ f(a=1, 2) }}", "invalid syntax for the arguments"},
    {"{{ f(a=1, a=2) }}", "'a' is repeated"},
    {"{% call x %}{% endcall %}", "expected a call"},
    {"{% macro f(a=1, b) %}{% endmacro %}", "without a default"},
    {"{{ [1,,2] }}", "unexpected ','"},
    {"{{ {1} }}", "expected ':'"},
    {"{{ l[] }}", "expected an expression"},
    {"{{ 99999999999999999999 }}", "larger than 64 bits"},
    {"{{ 0xfffffffffffffffff }}", "larger than 64 bits"},
    {"{{ '\\x4' }}", "truncated \\x escape"},
    {"{{ '\\U00110000' }}", "illegal Unicode character"},
    {"{% autoescape true %}{% endautoescape %}", "'autoescape'"},
    {"\xff", "not valid UTF-8"},
};

static void test_errors__syntax(void **state)
{
    (void)state;
    check_errors(syntax_cases, ARRAY_LEN(syntax_cases));
}

static const struct error_case run_time_cases[] = {
    {"a\n{{ y.a }}", "chat template, line 2: 'y' is undefined"},
    {"{{ d.zz.a }}", "'dict object' has no attribute 'zz'"},
    {"{{ none.a.b }}", "'None' has no attribute 'a'"},
    {"{{ y + 1 }}", "'y' is undefined"},
    {"{{ y() }}", "'y' is undefined"},
    {"{{ s() }}", "'str' object is not callable"},
    {"{{ s.foo() }}", "'str object' has no attribute 'foo'"},
    {"{{ s.__class__() }}", "no attribute '__class__'"},
    {"{{ d.clear() }}", "access to attribute 'clear' of 'dict' object is unsafe"},
    {"{{ 'a' + 1 }}", "can only concatenate str (not \"int\") to str"},
    {"{{ 1 + 'a' }}", "unsupported operand type(s) for +: 'int' and 'str'"},
    {"{{ 1 / 0 }}", "division by zero"},
    {"{{ 1 % 0 }}", "division by zero"},
    {"{{ 'a' < 1 }}", "'<' not supported between instances of 'str' and 'int'"},
    {"{{ [1, 'a']|sort }}", "not supported between instances"},
    {"{{ 2 ** 63 }}", "does not fit in 64 bits"},
    {"{{ 9223372036854775807 + 1 }}", "does not fit in 64 bits"},
    {"{{ (0 - 9223372036854775807 - 1) // -1 }}", "does not fit in 64 bits"},
    {"{{ {[1]: 2} }}", "unhashable type: 'list'"},
    {"{{ 1 in 5 }}", "argument of type 'int' is not iterable"},
    {"{{ 1 in 'a' }}", "requires string as left operand"},
    {"{% for i in 5 %}{% endfor %}", "'int' object is not iterable"},
    {"{% for i, j in [[1]] %}{% endfor %}", "not enough values to unpack (expected 2, got 1)"},
    {"{% for i, j in [[1,2,3]] %}{% endfor %}", "too many values to unpack (expected 2)"},
    {"{% set x.y = 1 %}", "non-namespace object 'x'"},
    {"{{ x|foo }}", "there is no filter named 'foo'"},
    {"{{ x is foo }}", "there is no test named 'foo'"},
    {"{{ [1]|map('foo')|list }}", "there is no filter named 'foo'"},
    {"{{ [1]|select('foo')|list }}", "there is no test named 'foo'"},
    {"{{ x|upper(1) }}", "takes at most 0 argument(s)"},
    {"{{ x|default(a=1) }}", "unexpected keyword argument 'a'"},
    {"{{ 'a'|replace('b') }}", "missing the argument 'new'"},
    {"{% macro f() %}{% endmacro %}{{ f(1) }}", "macro 'f' takes not more than 0"},
    {"{% macro f() %}{% endmacro %}{{ f(a=1) }}", "takes no keyword argument 'a'"},
    {"{% macro f() %}{{ caller() }}{% endmacro %}{{ f() }}", "No caller defined"},
    {"{{ y|tojson }}", "Undefined is not JSON serializable"},
    {"{{ x|length }}", "object of type 'int' has no len()"},
    {"{{ l|selectattr('a')|length }}", "object of type 'generator' has no len()"},
    {"{{ '%d' % 'x' }}", "a number is required, not str"},
    {"{{ '%s %s' % ('a',) }}", "not enough arguments for format string"},
    {"{{ '%s' % ('a','b') }}", "not all arguments converted"},
    {"{{ '{a}'.format(1) }}", "field 'a' is missing"},
    {"{{ '{'.format(1) }}", "without its '}'"},
    {"{{ 'a'.index('b') }}", "substring not found"},
    {"{{ ''.split('') }}", "empty separator"},
    {"{{ [].pop() }}", "pop from empty list"},
    {"{{ l[::0] }}", "slice step cannot be zero"},
    {"{{ x[1:] }}", "'int' object cannot be sliced"},
    {"{{ range(1, 2, 0) }}", "must not be zero"},
    {"{% include 'a' %}", "'include' is not possible"},
    {"text {{ y.a }}", "'y' is undefined"},
};

static void test_errors__run_time(void **state)
{
    (void)state;
    check_errors(run_time_cases, ARRAY_LEN(run_time_cases));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errors__syntax),
        cmocka_unit_test(test_errors__run_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
