/* SPDX-License-Identifier: Apache-2.0
 *
 * What the parser is made of: following JSON, literals, typed values. */
#include "test.h"

#include "engine/dialect/json_scan.h"
#include "engine/dialect/literal.h"
#include "engine/dialect/typed.h"

/* Where the value ends: bytes taken, or -1 if it is none, or -2 if it is not whole. */
static int scan(const char *text)
{
    struct json_scan s = JSON_SCAN_INIT;
    for (int i = 0; text[i] != '\0'; i++) {
        switch (json_scan_byte(&s, (unsigned char)text[i])) {
        case JSON_MORE:
            break;
        case JSON_DONE:
            return i + 1;
        case JSON_DONE_BEFORE:
            return i;
        default:
            return -1;
        }
    }
    return json_scan_may_end(&s) ? (int)strlen(text) : -2;
}

static void test_json_scan__ends(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int want;
    } rows[] = {
        {"{}", 2},
        {" {\"a\": [1, -2.5e+3, true, false, null, \"x\\u00e9\\n\"]} rest", 52},
        {"\"a\"b", 3},
        {"12 ", 2},
        {"0]", 1},
        {"-1.5e3", 6},
        {"true", 4},
        {"{\"a\":\"1\n2\"}", 11}, /* a raw line break */
        {"{", -2},
        {"\"abc", -2},
        {"1.", -2},
        {"1.5e", -2},
        {"-", -2},
        {"tru", -2},
        {"{\"a\":1", -2},
        {"01", 1},
        {"[01]", -1},
        {"+1", -1},
        {"tRue", -1},
        {"{a:1}", -1},
        {"{\"a\" 1}", -1},
        {"{\"a\":1,}", -1},
        {"[1,]", -1},
        {"[1}", -1},
        {"{\"a\":1]", -1},
        {"\"\\x\"", -1},
        {"\"\\u12g4\"", -1},
        {"1.e5", -1},
        {"]", -1},
        {"", -2},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (scan(rows[i].text) != rows[i].want)
            fail_msg("%s: %d, wanted %d", rows[i].text, scan(rows[i].text), rows[i].want);
    char deep[JSON_SCAN_DEPTH_MAX + 2];
    memset(deep, '[', sizeof(deep));
    deep[JSON_SCAN_DEPTH_MAX] = '\0';
    assert_int_equal(scan(deep), -2);
    deep[JSON_SCAN_DEPTH_MAX] = '[';
    deep[JSON_SCAN_DEPTH_MAX + 1] = '\0';
    assert_int_equal(scan(deep), -1);
}

static void check_literal(const char *text, const char *quote, const char *want)
{
    struct literal_reader r = {.text = str_from(text), .quote = str_from(quote)};
    CLEANUP_BUF struct buf out = BUF_INIT(1 << 16);
    bool ok = literal_value(&r, &out);
    literal_skip_space(&r);
    ok = ok && r.at == r.text.len;
    if (ok != (want != NULL) || (want && !str_eq_c(buf_str(&out), want)))
        fail_msg("%s: %s '%s', wanted '%s'", text, ok ? "ok" : "refused", buf_cstr(&out),
                 want ? want : "(refused)");
    CLEANUP_JSON struct json *v = NULL;
    if (want && js_parse(buf_str(&out), "", &v, NULL) < 0)
        fail_msg("%s: '%s' is no JSON", text, buf_cstr(&out));
}

static void test_literal__values(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"1", "1"},
        {"-1_000", "-1000"},
        {"+2.50", "2.50"},
        {".5", "0.5"},
        {"5.", "5.0"},
        {"1e5", "1e5"},
        {"True", "true"},
        {"None", "null"},
        {"false", "false"},
        {"'a'", "\"a\""},
        {"\"it's\"", "\"it's\""},
        {"'it\\'s \\u00e9 \\x41 \\n \\q'", "\"it's é A \\n \\\\q\""},
        {"'\\ud83c\\udf27'", "\"🌧\""},
        {"r'\\d+'", "\"\\\\d+\""},
        {"'''a\n'b\"'''", "\"a\\n'b\\\"\""},
        {"'a' 'b'", "\"ab\""},
        {"''", "\"\""},
        {"[]", "[]"},
        {"[1, 'a', ]", "[1,\"a\"]"},
        {"(1, 2)", "[1,2]"},
        {"{'a': {\"b\": [None]}, c: 1}", "{\"a\":{\"b\":[null]},\"c\":1}"},
        {"{1: 2}", "{\"1\":2}"},
        {"", NULL},
        {"x", NULL},
        {"'a", NULL},
        {"[1 2]", NULL},
        {"{'a' 1}", NULL},
        {"1.2.3", NULL},
        {"1x", NULL},
        {"'\\u12'", NULL},
        {"01", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check_literal(rows[i].text, "", rows[i].want);
    check_literal("{a:<|\"|>x \"y\" \\n<|\"|>,b:[<|\"|>z<|\"|>]}", "<|\"|>",
                  "{\"a\":\"x \\\"y\\\" \\\\n\",\"b\":[\"z\"]}");
    char deep[2 * LITERAL_DEPTH_MAX + 4];
    memset(deep, '[', LITERAL_DEPTH_MAX + 1);
    memset(deep + LITERAL_DEPTH_MAX + 1, ']', LITERAL_DEPTH_MAX + 1);
    deep[2 * LITERAL_DEPTH_MAX + 2] = '\0';
    check_literal(deep, "", NULL);
}

static void test_typed__by_schema(void **state)
{
    (void)state;
    static const char schema[] =
        "{\"type\":\"object\",\"$defs\":{\"n\":{\"type\":\"integer\"}},\"properties\":{"
        "\"s\":{\"type\":\"string\"},\"i\":{\"type\":\"integer\"},\"n\":{\"type\":\"number\"},"
        "\"b\":{\"type\":\"boolean\"},\"o\":{\"type\":\"object\"},\"a\":{\"type\":\"array\"},"
        "\"z\":{\"type\":\"null\"},\"sn\":{\"type\":[\"string\",\"null\"]},"
        "\"in\":{\"anyOf\":[{\"type\":\"integer\"},{\"type\":\"null\"}]},\"r\":{\"$ref\":\"#/$defs/"
        "n\"},"
        "\"loop\":{\"$ref\":\"#/properties/"
        "loop\"},\"e\":{\"enum\":[1,2,\"x\"]},\"es\":{\"enum\":[\"1\"]},"
        "\"c\":{\"const\":true},\"any\":{},\"all\":{\"allOf\":[{\"type\":\"integer\"},{\"minimum\":"
        "1}]}}}";
    static const struct {
        const char *key, *text, *want;
    } rows[] = {
        {"s", "5", "\"5\""},
        {"s", "null", "\"null\""},
        {"i", "5", "5"},
        {"i", " 5\n", "5"},
        {"i", "5.0", "5.0"},
        {"i", "5.5", "\"5.5\""},
        {"i", "five", "\"five\""},
        {"n", "-2.5e3", "-2.5e3"},
        {"b", "True", "true"},
        {"b", "false", "false"},
        {"b", "1", "\"1\""},
        {"o", "{\"a\": 1}", "{\"a\": 1}"},
        {"o", "{'a': True}", "{\"a\":true}"},
        {"o", "[1]", "\"[1]\""},
        {"a", "[1, \"x\"]", "[1, \"x\"]"},
        {"a", "not [closed", "\"not [closed\""},
        {"z", "None", "null"},
        {"sn", "null", "null"},
        {"sn", "x", "\"x\""},
        {"sn", "5", "\"5\""},
        {"in", "7", "7"},
        {"in", "null", "null"},
        {"r", "7", "7"},
        {"loop", "x", "\"x\""},
        {"e", "2", "2"},
        {"e", "x", "\"x\""},
        {"es", "1", "\"1\""},
        {"c", "true", "true"},
        {"any", "[1]", "[1]"},
        {"any", "word", "\"word\""},
        {"all", "3", "3"},
        {"unknown", "3", "\"3\""},
        {"s", "a\"b\\\n", "\"a\\\"b\\\\\\n\""},
    };
    struct error err = ERROR_INIT;
    struct json *v;
    assert_ok(js_parse(STR(schema), "the schema", &v, &err));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP_BUF struct buf out = BUF_INIT(1 << 16);
        typed_value(v, str_from(rows[i].key), str_from(rows[i].text), &out);
        if (!str_eq_c(buf_str(&out), rows[i].want))
            fail_msg("%s = %s: %s, wanted %s", rows[i].key, rows[i].text, buf_cstr(&out),
                     rows[i].want);
    }
    assert_true(typed_is_string(v, STR("s")));
    assert_true(typed_is_string(v, STR("unknown")));
    assert_false(typed_is_string(v, STR("sn")));
    js_free(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_scan__ends),
        cmocka_unit_test(test_literal__values),
        cmocka_unit_test(test_typed__by_schema),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
