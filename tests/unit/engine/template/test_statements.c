/* SPDX-License-Identifier: Apache-2.0
 *
 * Statements: white space around tags, scopes, loops, macros, blocks. The expected texts are what
 * jinja2 gives (checked against it when they were written). */
#include "render_check.h"

/* trim_blocks, lstrip_blocks, signs at the tags, raw, comments, line ends */
static const struct render_case white_space_cases[] = {
    {"a\n  {% if t %}\n  b\n  {% endif %}\nc", "a\n  b\nc"},
    {"a {%- if t %} b {%- endif %} c", "a b c"},
    {"a\n {%- if t -%} \n b \n {%- endif -%} \n c", "abc"},
    {"a\n  {%+ if t %}\n b\n  {%+ endif %}\nc", "a\n   b\n  c"},
    {"a {% if t +%}\nb{% endif +%}\nc", "a \nb\nc"},
    {"{{ x }}\n{{ x }}\n", "5\n5"},
    {"{{ x -}}\n  {{- x }}\n\n", "55\n"},
    {"  {{ x }}  \n", "  5  "},
    {"{# c #}\na", "a"},
    {"  {# c #}\n  a", "  a"},
    {"a{#- c -#}\n b", "ab"},
    {"a\n{# c\n d #}\nb", "a\nb"},
    {"{#+ c +#}\nx", "\nx"},
    {"a\r\n{% if t %}\r\nb\r\n{% endif %}\r\n", "a\nb\n"},
    {"a\rb\r", "a\nb"},
    {"x\n\n", "x\n"},
    {"x\n", "x"},
    {"\n", ""},
    {"", ""},
    {"\n{% if t %}\n{% endif %}", "\n"},
    {"   {% if t %}x{% endif %}", "x"},
    {"a   {% if t %}x{% endif %}", "a   x"},
    {"\t{% if t %}\tx\t{% endif %}\t\n", "\tx\t\t"},
    {"{%if t%}x{%endif%}", "x"},
    {"{%-if t-%}x{%-endif-%}", "x"},
    {"{{-x-}}", "5"},
    {"{{+x}}", "5"},
    {" {{+ x }}", " 5"},
    {"{% raw %}{{ x }}{% endraw %}", "{{ x }}"},
    {"a\n  {% raw %}\n {{ x }}\n  {% endraw %}\nb", "a\n\n {{ x }}\nb"},
    {"{%- raw -%}  {% x %} {%- endraw -%}  c", "{% x %}c"},
    {"{%raw%}{%+ endraw +%}\nx", "\nx"},
    {"a {%- raw %} b {% endraw -%} c", "a b c"},
    {"{{ '{{' }}{{ '%}' }}", "{{%}"},
    {"{{ {'a':{'b':1}} }}", "{'a': {'b': 1}}"},
    {"{{ {'a':{'b':1}}['a']['b'] }}", "1"},
    {"{% set a = {'b':'}}'} %}{{ a }}", "{'b': '}}'}"},
    {"{{ \"}}\" }}", "}}"},
    {"{% if '%}' %}y{% endif %}", "y"},
    {"{ { x } }", "{ { x } }"},
    {"{{x}}}", "5}"},
    {"%} }} #}", "%} }} #}"},
    {"{% set x = 1 -%}   \n\n  y", "y"},
    {"x{% set a = 1 %}\ny", "xy"},
    {"x  {% set a = 1 %}\ny", "x  y"},
    {"  {% set a = 1 %}  y", "  y"},
    {"\n\n{% set a = 1 %}\n\n{% set b = 2 %}\n", "\n\n\n"},
    {"{{ x }}{# c #}{{ x }}", "55"},
    {"{% if t %}\n\n{% endif %}", "\n"},
    {"a\343\200\200{%- if t %}\302\240b{% endif %}", "a\302\240b"},
    {"a\n\302\240{% if t %}b{% endif %}", "a\nb"},
};

/* set, set blocks, with, namespaces: who sees what */
static const struct render_case scopes_cases[] = {
    {"{% set a = 1 %}{% set b, c = 2, 3 %}{{ a }}{{ b }}{{ c }}", "123"},
    {"{% set a = 1, 2 %}{{ a }}", "(1, 2)"},
    {"{% set (a, b) = l[:2] %}{{ a }}{{ b }}", "31"},
    {"{% set a = 1 %}{% for i in l %}{% set a = i %}{{ a }}{% endfor %}{{ a }}", "3121"},
    {"{% for i in l %}{{ a }}{% set a = i %}{% endfor %}{{ a }}", ""},
    {"{% set ns = namespace(a=1) %}{% for i in l %}{% set ns.a = ns.a + i %}{% endfor %}{{ ns.a "
     "}}",
     "7"},
    {"{% set ns = namespace() %}{% set ns.x = 1 %}{{ ns.x }}{{ ns }}", "1<Namespace {'x': 1}>"},
    {"{% if t %}{% set a = 1 %}{% endif %}{{ a }}", "1"},
    {"{% if not t %}{% set a = 1 %}{% endif %}{{ a }}", ""},
    {"{% if not t %}{% set x = 1 %}{% endif %}{{ x }}", "5"},
    {"{% for i in [1] %}{{ x }}{% endfor %}{% set x = 9 %}{{ x }}", "9"},
    {"{% for i in [1] %}{% if i == 2 %}{% set x = 7 %}{% endif %}{{ x }}{% endfor %}{{ x }}", "55"},
    {"{% for x in l %}{{ x }}{% endfor %}{{ x }}", "3125"},
    {"{% for i in l %}{% for j in l %}{% set k = j %}{% endfor %}{{ k }}{% endfor %}", ""},
    {"{% set a %}b{{ x }}c{% endset %}{{ a }}", "b5c"},
    {"{% set a | upper %}b{{ x }}c{% endset %}{{ a }}", "B5C"},
    {"{% set a | replace('b', 'z') | upper %}b{{ x }}c{% endset %}{{ a }}", "Z5C"},
    {"{% set a %}{% set b = 3 %}{{ b }}{% endset %}{{ a }}{{ b }}", "3"},
    {"{% set x = x + 1 %}{{ x }}", "6"},
    {"{% with a = 1, b = x %}{{ a }}{{ b }}{% endwith %}{{ a }}", "15"},
    {"{% with %}{% set x = 3 %}{{ x }}{% endwith %}{{ x }}", "35"},
    {"{% with x = x + 1 %}{{ x }}{% endwith %}{{ x }}", "65"},
    {"{% with a = 1, b = a %}{{ b }}{% endwith %}", ""},
    {"{% macro f() %}{{ x }}{% endmacro %}{% set x = 1 %}{{ f() }}", "1"},
    {"{% set x = 1 %}{% macro f() %}{{ x }}{% set x = 2 %}{{ x }}{% endmacro %}{{ f() }}{{ x }}",
     "121"},
    {"{% for i in l %}{% macro f() %}{{ i }}{% endmacro %}{{ f() }}{% endfor %}", "312"},
};

/* for, its variable `loop`, break and continue, list methods */
static const struct render_case loops_cases[] = {
    {"{% for i in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{"
     " loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.previtem }}{{ loop.nextitem }}{{ loo"
     "p.depth }}{{ loop.depth0 }}|{% endfor %}",
     "1032TrueFalse3110|2121FalseFalse33210|3210FalseTrue3110|"},
    {"{% for i in [] %}a{% else %}b{% endfor %}", "b"},
    {"{% for i in y %}a{% else %}b{% endfor %}", "b"},
    {"{% for i in l if i > 1 %}{{ i }}{{ loop.index }}{{ loop.last }}{{ loop.length }}{% else %}"
     "none{% endfor %}",
     "31False222True2"},
    {"{% for i in l if i > 9 %}{{ i }}{% else %}none{% endfor %}", "none"},
    {"{% for k, v in d.items() %}{{ k }}={{ v }},{% endfor %}", "b=1,a=2,items=7,"},
    {"{% for k, v in d | dictsort %}{{ k }}={{ v }},{% endfor %}", "a=2,b=1,items=7,"},
    {"{% for k in d %}{{ k }}{% endfor %}", "baitems"},
    {"{% for c in s %}{{ c }}.{% endfor %}", "H.e.l.l.o. .W.o.r.l.d."},
    {"{% for i in l %}{{ loop.cycle('a','b') }}{% endfor %}", "aba"},
    {"{% for i in [1,1,2] %}{{ loop.changed(i) }}{% endfor %}", "TrueFalseTrue"},
    {"{% for i in l %}{% if loop.index == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}", "3"},
    {"{% for i in l %}{% if loop.index == 2 %}{% continue %}{% endif %}{{ i }}{% endfor %}", "32"},
    {"{% for i in l %}{% break %}{% else %}E{% endfor %}", "E"},
    {"{% for i in l %}{% continue %}{% else %}E{% endfor %}", "E"},
    {"{% for i in l %}{% if loop.last %}{% break %}{% endif %}{% else %}E{% endfor %}", ""},
    {"{% for i in nest recursive %}{{ i.n }}{{ loop.depth }}{% if i.c %}({{ loop(i.c) }}){% endi"
     "f %}{% endfor %}",
     "a1(b2d2(e3))"},
    {"{% for i in nest recursive %}{{ i.n }}{{ loop(i.c) }}{% else %}-{% endfor %}", "ab-de-"},
    {"{% for i in l if i != 1 recursive %}{{ i }}{% endfor %}", "32"},
    {"{% for i, j in [[1,2],[3,4]] %}{{ i }}{{ j }}{% endfor %}", "1234"},
    {"{% for (i, j), k in [[[1,2],3]] %}{{ i }}{{ j }}{{ k }}{% endfor %}", "123"},
    {"{% for i in l %}{% for j in l %}{{ loop.index }}{% endfor %}{{ loop.index }}{% endfor %}",
     "123112321233"},
    {"{% for i in l %}{% set outer = loop %}{% for j in l %}{{ outer.index }}{{ loop.index }} {%"
     " endfor %}{% endfor %}",
     "11 12 13 21 22 23 31 32 33 "},
    {"{% for i in l|reverse %}{{ i }}{{ loop.length }}{% endfor %}", "231333"},
    {"{% for i in l|select('odd') %}{{ loop.revindex }}{{ i }}{{ loop.last }}{% endfor %}",
     "23False11True"},
    {"{% for i in range(3) %}{{ loop.nextitem is defined }}{{ loop.previtem is defined }}{% endf"
     "or %}",
     "TrueFalseTrueTrueFalseTrue"},
    {"{{ loop }}", ""},
    {"{{ loop is defined }}", "False"},
    {"{% for i in l %}{{ loop }}{% endfor %}",
     "<LoopContext 1/3><LoopContext 2/3><LoopContext 3/3>"},
    {"{% for i in 1,2 %}{{ i }}{% endfor %}", "12"},
    {"{% for i in l[1:] %}{{ i }}{% endfor %}", "12"},
    {"{% for i in (l if t else []) %}{{ i }}{% endfor %}", "312"},
    {"{% set ns = namespace(f=false) %}{% for i in l if not ns.f %}{{ i }}{% set ns.f = true %}{"
     "% endfor %}",
     "3"},
    {"{% set ns = namespace(f=false) %}{% for i in l if not ns.f %}{{ i }}{{ loop.last }}{% set "
     "ns.f = true %}{% endfor %}",
     "3False1True"},
    {"{% for i in l %}{% else %}{{ loop is defined }}{% endfor %}", ""},
    {"{% for m in msgs %}{{ loop.index0 }}:{{ m.role }}{{ ',' if not loop.last }}{% endfor %}",
     "0:user,1:assistant,2:User"},
    {"{% for k, v in {'a':{'b':1}}.items() recursive %}{{ k }}{% if v is mapping %}[{{ loop(v.it"
     "ems()) }}]{% endif %}{% endfor %}",
     "a[b]"},
    {"{% for i in l %}{{ i }}{% endfor -%}\n x", "312x"},
    {"{% for i in l -%}\n {{ i }}\n{%- endfor %}", "312"},
    {"{% for i in l %}\n  {{ i }}\n{% endfor %}\n", "  3\n  1\n  2\n"},
    {"{% for i in x|string %}{{ i }}{% endfor %}", "5"},
    {"{% set q = [] %}{% for i in l %}{% set _ = q.append(i*2) %}{% endfor %}{{ q }}", "[6, 2, 4]"},
    {"{% set q=[3,1] %}{% set _=q.sort() %}{{ q }}{% set _=q.extend([5]) %}{{ q }}{% set _=q.ins"
     "ert(1,9) %}{{ q }}{% set _=q.reverse() %}{{ q }}{% set _=q.remove(9) %}{{ q }}{% set _=q.c"
     "lear() %}{{ q }}",
     "[1, 3][1, 3, 5][1, 9, 3, 5][5, 3, 9, 1][5, 3, 1][]"},
};

/* if */
static const struct render_case conditions_cases[] = {
    {"{% if x > 3 %}a{% elif x > 1 %}b{% else %}c{% endif %}", "a"},
    {"{% if x > 9 %}a{% elif x > 1 %}b{% else %}c{% endif %}", "b"},
    {"{% if x > 9 %}a{% elif x > 8 %}b{% else %}c{% endif %}", "c"},
    {"{% if x > 9 %}a{% elif x > 8 %}b{% endif %}", ""},
    {"{% if x is defined and x %}a{% endif %}", "a"},
    {"{% if not y is defined %}a{% endif %}", "a"},
    {"{% if y is not defined %}a{% endif %}", "a"},
    {"{% if x == 5 and (y or s) %}a{% endif %}", "a"},
    {"{% if (x) %}a{% endif %}", "a"},
    {"{% if x, %}a{% endif %}", "a"},
    {"{% if t: %}a{% else: %}b{% endif %}", "a"},
    {"{% if x in [1,5] %}a{% endif %}", "a"},
    {"{% if 'role' in msgs[0] %}a{% endif %}", "a"},
    {"{% if msgs[1].tool_calls is defined and msgs[1].tool_calls|length > 0 %}a{% endif %}", "a"},
};

/* macros and call blocks */
static const struct render_case macros_cases[] = {
    {"{% macro f(a, b=2, c='x') %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ f(1) }}{{ f(1, c=5) }}{{"
     " f(a=9, b=8) }}{{ f() }}",
     "12x12598x2x"},
    {"{% macro f(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ f(1) }}", "11"},
    {"{% macro f(a) %}{{ a }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ f(1,2,3,z=4) }}",
     "1(2, 3){'z': 4}"},
    {"{% macro f(a) %}{{ a is defined }}{% endmacro %}{{ f() }}", "False"},
    {"{% macro f(a) %}{{ caller() }}{{ a }}{% endmacro %}{% call f(1) %}B{{ x }}{% endcall %}",
     "B51"},
    {"{% macro f() %}{{ caller(1, 2) }}{% endmacro %}{% call(a, b=3, c=4) f() %}{{ a }}{{ b }}{{"
     " c }}{% endcall %}",
     "124"},
    {"{% macro f() %}{{ caller is defined }}{% endmacro %}{{ f() }}", "False"},
    {"{% macro f() %}{% if caller %}{{ caller() }}{% endif %}x{% endmacro %}{{ f() }}{% call f()"
     " %}y{% endcall %}",
     "xyx"},
    {"{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n-1) }}{% endif %}{% endmacro %}{{ f(3) }}",
     "3210"},
    {"{% macro f(a, b) %}{{ f.name }}{{ f.arguments }}{{ f.catch_kwargs }}{{ f.catch_varargs }}{"
     "{ f.caller }}{% endmacro %}{{ f(1) }}{{ f }}",
     "f('a', 'b')FalseFalseFalse<Macro 'f'>"},
    {"{% macro f() %}a\n  b{% endmacro %}[{{ f() }}]", "[a\n  b]"},
    {"{% macro f() -%}\n a\n{%- endmacro %}[{{ f() }}]", "[a]"},
    {"{% macro f(a) %}{% set a = 2 %}{{ a }}{% endmacro %}{{ f(1) }}", "2"},
    {"{% macro f() %}x{% endmacro %}{{ f()|upper }}{{ f() + 'y' }}{{ f() ~ 1 }}{{ f()|length }}",
     "Xxyx11"},
    {"{% macro f(x) %}{{ x }}{% endmacro %}{{ f(*[1]) }}{{ f(**{'x':2}) }}", "12"},
    {"{% macro f(a) %}{% for i in a %}{{ i }}{% if not loop.last %},{% endif %}{% endfor %}{% en"
     "dmacro %}{{ f(l) }}",
     "3,1,2"},
    {"{% macro outer() %}{% macro inner() %}i{{ x }}{% endmacro %}{{ inner() }}{% endmacro %}{{ "
     "outer() }}",
     "i5"},
    {"{% if t %}{% macro f() %}x{% endmacro %}{% endif %}{{ f() }}", "x"},
    {"{% macro a(x) %}{{ b(x) }}{% endmacro %}{% macro b(x) %}[{{ x }}]{% endmacro %}{{ a(1) }}",
     "[1]"},
    {"{% set f = x %}{% macro g(f) %}{{ f }}{% endmacro %}{{ g(3) }}{{ f }}", "35"},
    {"{% macro f(caller=none) %}{{ caller() }}{% endmacro %}{% call f() %}q{% endcall %}", "q"},
    {"{% macro f(kwargs) %}{{ kwargs }}{% endmacro %}{{ f(1) }}", "1"},
};

/* filter blocks, generation, print, block */
static const struct render_case blocks_cases[] = {
    {"{% filter upper %}a{{ s }}{% endfilter %}", "AHELLO WORLD"},
    {"{% filter replace('a','b')|upper %}aaa{% endfilter %}", "BBB"},
    {"{% filter indent(2) %}a\nb\n{% endfilter %}", "a\n  b\n"},
    {"{% generation %}a{{ x }}{% set x = 3 %}{% endgeneration %}{{ x }}", "a55"},
    {"a\n{% generation %}\nb\n{% endgeneration %}\nc", "a\nb\nc"},
    {"{% print x %}{% print x, s %}", "55Hello World"},
    {"{% block a %}{{ x }}{% endblock %}", "5"},
    {"{% set z = 3 %}{% block a %}{{ z }}{% endblock a %}", "3"},
    {"{% autoescape false %}{{ '<' }}{% endautoescape %}", "<"},
    {"{% if false %}{% include 'a' %}{% endif %}ok", "ok"},
};

/* what looks wrong and is allowed, and undefined values where they may be used */
static const struct render_case odd_syntax_cases[] = {
    {"{% raw %}", ""},
    {"{{ 1.2.3 }}", ""},
    {"{{ x|upper() }}", "5"},
    {"{{ l[0, 1] }}", ""},
    {"{{ d.1 }}", ""},
    {"{{ l.0 }}", "3"},
    {"{{ l.0.1 }}", ""},
    {"{{ é }}", ""},
    {"{% set é = 1 %}{{ é }}", "1"},
    {"{{ 'a' 'b' }}", "ab"},
    {"{{ namespace({'a':1}).a }}", "1"},
    {"{{ x|tojson(indent='  ') }}", "5"},
    {"{{ l|tojson(indent='--') }}", "[\n--3,\n--1,\n--2\n]"},
    {"{{ none|upper }}", "NONE"},
    {"{{ none|trim }}", "None"},
    {"{{ none ~ 'a' }}", "Nonea"},
    {"{{ none|string + 'a' }}", "Nonea"},
    {"{{ y|upper }}", ""},
    {"{{ y|trim }}", ""},
    {"{{ y|string }}", ""},
    {"{{ y|sum }}", "0"},
    {"{{ y|sort }}", "[]"},
    {"{{ y|unique|list }}", "[]"},
    {"{{ y|reverse|list }}", "[]"},
    {"{{ y|map('upper')|list }}", "[]"},
    {"{{ y|selectattr('a')|list }}", "[]"},
    {"{{ y|last }}", ""},
    {"{{ y|min }}", ""},
    {"{{ y|batch(2)|list }}", "[]"},
    {"{{ y|replace('a','b') }}", ""},
    {"{{ y|wordcount }}", "0"},
    {"{{ y|title }}", ""},
    {"{{ y|capitalize }}", ""},
    {"{{ y|escape }}", ""},
    {"{{ y|format }}", ""},
    {"{{ y|truncate }}", ""},
    {"{{ y|center(3) }}", "   "},
    {"{{ y|urlencode }}", ""},
    {"{{ y|groupby('a')|list }}", "[]"},
    {"{{ y|slice(2)|list }}", "[[], []]"},
    {"{{ y|list|length }}", "0"},
    {"{{ (y|default({})).a is defined }}", "False"},
    {"{{ y is none }}", "False"},
    {"{{ y is string }}", "False"},
    {"{{ y == '' }}", "False"},
    {"{{ y ~ 'a' }}", "a"},
    {"{{ y in [] }}", "False"},
    {"{{ 'a' in y }}", "False"},
    {"{{ not y }}", "True"},
    {"{{ y if y else 'n' }}", "n"},
    {"{{ [y, 1] }}", "[Undefined, 1]"},
    {"{{ [y]|join }}", ""},
    {"{{ '%s' % y }}", ""},
    {"{{ x[y] }}", ""},
    {"{{ d[y] }}", ""},
    {"{{ d.get(y) }}", "None"},
    {"{{ s.strip(none) }}", "Hello World"},
    {"{{ d.items()[0] }}", ""},
    {"{{ l|map('upper')|first }}", "3"},
    {"{{ ''.join(l|map('string')) }}", "312"},
    {"{{ ', '.join(msgs|map(attribute='role')) }}", "user, assistant, User"},
};

static void test_template__white_space(void **state)
{
    (void)state;
    check_cases(white_space_cases, ARRAY_LEN(white_space_cases));
}

static void test_template__scopes(void **state)
{
    (void)state;
    check_cases(scopes_cases, ARRAY_LEN(scopes_cases));
}

static void test_template__loops(void **state)
{
    (void)state;
    check_cases(loops_cases, ARRAY_LEN(loops_cases));
}

static void test_template__conditions(void **state)
{
    (void)state;
    check_cases(conditions_cases, ARRAY_LEN(conditions_cases));
}

static void test_template__macros(void **state)
{
    (void)state;
    check_cases(macros_cases, ARRAY_LEN(macros_cases));
}

static void test_template__blocks(void **state)
{
    (void)state;
    check_cases(blocks_cases, ARRAY_LEN(blocks_cases));
}

static void test_template__odd_syntax(void **state)
{
    (void)state;
    check_cases(odd_syntax_cases, ARRAY_LEN(odd_syntax_cases));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_template__white_space),
        cmocka_unit_test(test_template__scopes),
        cmocka_unit_test(test_template__loops),
        cmocka_unit_test(test_template__conditions),
        cmocka_unit_test(test_template__macros),
        cmocka_unit_test(test_template__blocks),
        cmocka_unit_test(test_template__odd_syntax),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
