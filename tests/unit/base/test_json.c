/* SPDX-License-Identifier: Apache-2.0
 *
 * The JSON adapter: bounds, order, text forms, errors that name the field. */
#include "base/json.h"

#include <math.h>

#include "base/alloc.h"
#include "test.h"

static struct json *parse(const char *text)
{
    struct error err = ERROR_INIT;
    struct json *v = NULL;
    if (js_parse(str_from(text), "the text", &v, &err) < 0)
        fail_msg("%s: %s", text, err.msg);
    return v;
}

static void assert_text(const struct json *v, const char *want)
{
    CLEANUP_FREE char *text = js_text(v, JS_COMPACT);
    assert_string_equal(text, want);
}

static void test_json__round_trip(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "null", "true", "-12", "0.1", "1.5e300", "\"a\\u0000b\"", "[]", "{}",
        "{\"z\":1,\"a\":[1,2.5,\"x/y\",null],\"m\":{\"k\":false}}", "\"\xC3\xA9\"",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        CLEANUP_JSON struct json *v = parse(texts[i]);
        assert_text(v, texts[i]);
    }
}

static void test_json__refuses(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "", "{", "{\"a\":}", "[1,]", "nul", "1 2", "\"\xFF\"", "{a:1}", "'a'", "[1e999999]",
        "99999999999999999999999",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct error err = ERROR_INIT;
        struct json *v = NULL;
        assert_fails(js_parse(str_from(texts[i]), "the body", &v, &err), ERR_INVALID, "the body");
        assert_null(v);
    }
}

static void test_json__depth(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct json *v = NULL;
    char deep[2 * (JSON_MAX_DEPTH + 1) + 1];
    for (int depth = JSON_MAX_DEPTH; depth <= JSON_MAX_DEPTH + 1; depth++) {
        memset(deep, '[', (size_t)depth);
        memset(deep + depth, ']', (size_t)depth);
        int r = js_parse(str_make(deep, 2 * (size_t)depth), "x", &v, &err);
        assert_int_equal(r, depth > JSON_MAX_DEPTH ? -ERR_INVALID : 0);
    }
    js_free(v);
    /* Brackets inside strings do not count. */
    CLEANUP_BUF struct buf b = BUF_INIT(4096);
    buf_append_c(&b, "\"\\\"");
    for (int i = 0; i < 1000; i++)
        buf_push(&b, '[');
    buf_append_c(&b, "\"");
    CLEANUP_JSON struct json *s = parse(buf_cstr(&b));
    assert_int_equal(js_to_str(s).len, 1001);
}

static void test_json__build(void **state)
{
    (void)state;
    CLEANUP_JSON struct json *o = js_object();
    js_set_int(o, "n", 3);
    js_set_cstr(o, "none", NULL);
    js_set_str(o, "bad", STR("a\xFFz"));
    js_set_real(o, "nan", (double)NAN);
    js_set(o, "list", js_array());
    js_push(js_get(o, "list"), js_bool(true));
    js_set_int(o, "n", 4);
    assert_text(o, "{\"n\":4,\"none\":null,\"bad\":\"a\xEF\xBF\xBDz\",\"nan\":null,\"list\":[true]}");
    js_del(o, "none");
    assert_int_equal(js_len(o), 4);

    struct json_iter it = {0};
    const char *keys[] = {"n", "bad", "nan", "list"};
    size_t n = 0;
    while (js_next(o, &it))
        assert_str(it.key, keys[n++]);
    assert_int_equal(n, 4);
}

static void test_json__want(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    CLEANUP_JSON struct json *o = parse("{\"i\":5,\"r\":0.5,\"s\":\"x\",\"b\":true,\"z\":null,\"w\":7.0}");
    int64_t i = -1;
    double r = -1;
    bool b = false;
    struct str s = STR("");
    assert_ok(js_want_int(o, "i", 0, 10, &i, &err));
    assert_int_equal(i, 5);
    assert_ok(js_want_int(o, "w", 0, 10, &i, &err));
    assert_int_equal(i, 7);
    assert_ok(js_want_int(o, "z", 0, 10, &i, &err));
    assert_ok(js_want_int(o, "absent", 0, 10, &i, &err));
    assert_int_equal(i, 7);
    assert_fails(js_want_int(o, "i", 6, 10, &i, &err), ERR_INVALID, "'i' must be");
    assert_fails(js_want_int(o, "r", 0, 10, &i, &err), ERR_INVALID, "'r' must be a whole number");
    assert_fails(js_want_int(o, "s", 0, 10, &i, &err), ERR_INVALID, "from 0 to 10");
    assert_ok(js_want_real(o, "r", 0, 1, &r, &err));
    assert_ok(js_want_real(o, "i", 0, 9, &r, &err));
    assert_fails(js_want_real(o, "s", 0, 1, &r, &err), ERR_INVALID, "'s'");
    assert_ok(js_want_bool(o, "b", &b, &err));
    assert_true(b);
    assert_fails(js_want_bool(o, "i", &b, &err), ERR_INVALID, "not integer");
    assert_ok(js_want_str(o, "s", &s, &err));
    assert_str(s, "x");
    assert_fails(js_want_str(o, "b", &s, &err), ERR_INVALID, "'b' must be a string");
}

static void test_json__write_string(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf b = BUF_INIT(100);
    js_write_string(STR("a\"\n\x01"), &b);
    assert_str(buf_str(&b), "\"a\\\"\\n\\u0001\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json__round_trip), cmocka_unit_test(test_json__refuses),
        cmocka_unit_test(test_json__depth),      cmocka_unit_test(test_json__build),
        cmocka_unit_test(test_json__want),       cmocka_unit_test(test_json__write_string),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
