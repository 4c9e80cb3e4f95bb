/* SPDX-License-Identifier: Apache-2.0
 *
 * Header fields of registries, well-formed and hostile. */
#include "test.h"

#include "registry/headers.h"

static const char *or_dash(const char *s)
{
    return s ? s : "-";
}

static void test_challenge(void **state)
{
    (void)state;
    static const struct {
        const char *field;
        bool bearer, basic;
        const char *realm, *service, *scope; /* "-" = none */
    } cases[] = {
        {"Bearer realm=\"https://a/t\",service=\"s\",scope=\"repository:x:pull\"", true, false,
         "https://a/t", "s", "repository:x:pull"},
        {"bearer Realm = \"https://a/t\" , SERVICE=s", true, false, "https://a/t", "s", "-"},
        {"Basic realm=\"Registry\"", false, true, "-", "-", "-"},
        {"Basic realm=\"r\", Bearer realm=\"https://b\"", true, true, "https://b", "-", "-"},
        {"Bearer realm=\"https://b\", Basic realm=\"r\"", true, true, "https://b", "-", "-"},
        {"Negotiate YII/x+y==, Bearer realm=\"https://b\"", true, false, "https://b", "-", "-"},
        {"Negotiate, Basic realm=\"x\"", false, true, "-", "-", "-"},
        {"Bearer realm=\"a\\\"b,c\",service=\"d\"", true, false, "a\"b,c", "d", "-"},
        {"Bearer realm=\"first\",realm=\"second\"", true, false, "first", "-", "-"},
        {"Bearer realm=\"one\", Bearer realm=\"two\"", true, false, "one", "-", "-"},
        {"Bearer realm=\"open", true, false, "-", "-", "-"},
        {"Bearer realm=", true, false, "-", "-", "-"},
        {"Bearer", true, false, "-", "-", "-"},
        {"", false, false, "-", "-", "-"},
        {"realm=\"x\"", false, false, "-", "-", "-"},
        {",,, ,", false, false, "-", "-", "-"},
        {"Bearer error=\"invalid_token\",realm=\"r\"", true, false, "r", "-", "-"},
        {"Digest realm=\"d\",nonce=\"n\", Bearer realm=\"r\"", true, false, "r", "-", "-"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct challenge c = {0};
        challenge_add(&c, str_from(cases[i].field));
        print_message("%s\n", cases[i].field);
        assert_int_equal(c.bearer, cases[i].bearer);
        assert_int_equal(c.basic, cases[i].basic);
        assert_string_equal(or_dash(c.realm), cases[i].realm);
        assert_string_equal(or_dash(c.service), cases[i].service);
        assert_string_equal(or_dash(c.scope), cases[i].scope);
        challenge_release(&c);
    }
}

static void test_challenge__several_fields(void **state)
{
    (void)state;
    struct challenge c = {0};
    challenge_add(&c, STR("Basic realm=\"x\""));
    challenge_add(&c, STR("Bearer realm=\"r\""));
    challenge_add(&c, STR("Bearer realm=\"later\",service=\"later\""));
    assert_true(c.basic && c.bearer);
    assert_string_equal(c.realm, "r");
    assert_null(c.service);
    challenge_release(&c);
}

static void test_challenge__bounded(void **state)
{
    (void)state;
    static char field[64 * 1024];
    memset(field, 'a', sizeof(field));
    memcpy(field, "Bearer realm=\"", 14);
    field[sizeof(field) - 1] = '"';
    struct challenge c = {0};
    challenge_add(&c, str_make(field, sizeof(field)));
    assert_null(c.realm);
    challenge_add(&c, str_make("Bearer realm=\"a\0b\"", 18));
    assert_null(c.realm);
    challenge_release(&c);
}

static void test_content_range(void **state)
{
    (void)state;
    static const struct {
        const char *field;
        bool ok;
        uint64_t first, last, total;
    } cases[] = {
        {"bytes 0-99/1000", true, 0, 99, 1000},
        {"  Bytes 5-5/6 ", true, 5, 5, 6},
        {"bytes 0-0/*", true, 0, 0, UINT64_MAX},
        {"bytes 18446744073709551613-18446744073709551614/18446744073709551615", true,
         UINT64_MAX - 2, UINT64_MAX - 1, UINT64_MAX},
        {"bytes 0-99/99", false, 0, 0, 0},
        {"bytes 9-8/99", false, 0, 0, 0},
        {"bytes */1000", false, 0, 0, 0},
        {"bytes 0-/10", false, 0, 0, 0},
        {"bytes -5/10", false, 0, 0, 0},
        {"bytes 0-99", false, 0, 0, 0},
        {"bytes=0-99/1000", false, 0, 0, 0},
        {"items 0-99/1000", false, 0, 0, 0},
        {"bytes 0-99/1000, 1-2/3", false, 0, 0, 0},
        {"bytes 0x0-99/1000", false, 0, 0, 0},
        {"bytes 0-18446744073709551616/1", false, 0, 0, 0},
        {"bytes 0/5-9", false, 0, 0, 0},
        {"bytes", false, 0, 0, 0},
        {"", false, 0, 0, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct content_range r = {0};
        print_message("%s\n", cases[i].field);
        assert_int_equal(content_range_parse(str_from(cases[i].field), &r), cases[i].ok);
        if (!cases[i].ok)
            continue;
        assert_int_equal(r.first, cases[i].first);
        assert_int_equal(r.last, cases[i].last);
        assert_int_equal(r.total, cases[i].total);
    }
}

static void test_link(void **state)
{
    (void)state;
    static const struct {
        const char *field, *next;
    } cases[] = {
        {"</v2/x?last=a>; rel=\"next\"", "/v2/x?last=a"},
        {"<a>; rel=prev, <b>; rel=next", "b"},
        {"<a>; title=\"x, y; rel=next\"; rel=\"first next\"", "a"},
        {"<a>; rel=prev; rel=next", NULL},
        {"<a>", NULL},
        {"<a; rel=next", NULL},
        {"a; rel=next", NULL},
        {"<a>; rel=\"next", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct str got = link_find(str_from(cases[i].field), "next");
        if (cases[i].next)
            assert_str(got, cases[i].next);
        else
            assert_null(got.ptr);
    }
}

static void test_retry_after(void **state)
{
    (void)state;
    assert_int_equal(retry_after_parse(STR("120"), 0), 120);
    assert_int_equal(retry_after_parse(STR(" 0 "), 0), 0);
    assert_int_equal(retry_after_parse(STR("99999999999999"), 0), INT32_MAX);
    assert_int_equal(retry_after_parse(STR("Wed, 21 Oct 2015 07:28:00 GMT"), 1445412470), 10);
    assert_int_equal(retry_after_parse(STR("Wed, 21 Oct 2015 07:28:00 GMT"), 1445412490), 0);
    assert_int_equal(retry_after_parse(STR("-5"), 0), -1);
    assert_int_equal(retry_after_parse(STR("soon"), 0), -1);
    assert_int_equal(retry_after_parse(STR(""), 0), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_challenge),
        cmocka_unit_test(test_challenge__several_fields),
        cmocka_unit_test(test_challenge__bounded),
        cmocka_unit_test(test_content_range),
        cmocka_unit_test(test_link),
        cmocka_unit_test(test_retry_after),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
