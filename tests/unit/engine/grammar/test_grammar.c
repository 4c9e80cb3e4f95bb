/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "engine/grammar/grammar.h"

static struct grammar *from_schema(const char *text)
{
    struct error err = ERROR_INIT;
    CLEANUP_JSON struct json *schema = NULL;
    struct grammar *g = NULL;
    assert_ok(js_parse(str_from(text), "the schema", &schema, &err));
    assert_ok(grammar_from_schema(schema, &g, &err));
    return g;
}

/* 2: a whole sentence, 1: the beginning of one, 0: neither */
static int match(struct grammar *g, struct str text)
{
    struct error err = ERROR_INIT;
    CLEANUP(cleanup_matcher) struct matcher *m = NULL;
    assert_ok(matcher_create(g, NULL, &m, &err));
    return !matcher_accept(m, text) ? 0 : matcher_may_end(m) ? 2 : 1;
}

static void test_schema__values(void **state)
{
    (void)state;
    static const struct {
        const char *schema, *text;
        int want;
    } cases[] = {
        {"{\"type\":\"number\",\"minimum\":0.5,\"exclusiveMaximum\":1.25}", "0.5", 2},
        {"{\"type\":\"number\",\"minimum\":0.5,\"exclusiveMaximum\":1.25}", "1.2499", 2},
        {"{\"type\":\"number\",\"minimum\":0.5,\"exclusiveMaximum\":1.25}", "1.25", 0},
        {"{\"type\":\"number\",\"minimum\":0.5,\"exclusiveMaximum\":1.25}", "1.250", 0},
        {"{\"type\":\"number\",\"minimum\":0.5,\"exclusiveMaximum\":1.25}", "0.49", 0},
        {"{\"type\":\"number\",\"minimum\":-2.5,\"maximum\":-1}", "-2.5", 2},
        {"{\"type\":\"number\",\"minimum\":-2.5,\"maximum\":-1}", "-0", 0},
        {"{\"type\":\"number\",\"multipleOf\":0.25}", "1.75", 2},
        {"{\"type\":\"number\",\"multipleOf\":0.25}", "1.7", 1},
        {"{\"type\":\"integer\",\"multipleOf\":7,\"minimum\":10}", "21", 2},
        {"{\"type\":\"integer\",\"multipleOf\":7,\"minimum\":10}", "7", 1},
        {"{\"type\":\"string\",\"pattern\":\"b+\"}", "\"abc\"", 2},
        {"{\"type\":\"string\",\"pattern\":\"b+\"}", "\"ac\"", 0},
        {"{\"type\":\"string\",\"pattern\":\"^a|z$\"}", "\"xz\"", 2},
        {"{\"type\":\"string\",\"pattern\":\"^[a-z]{2,3}$\",\"maxLength\":2}", "\"abc\"", 0},
        {"{\"type\":\"string\",\"pattern\":\"^a.*z$\",\"minLength\":4}", "\"az\"", 0},
        {"{\"type\":\"string\",\"maxLength\":1}", "\"\\ud83d\\ude42\"", 2},
        {"{\"type\":\"string\",\"maxLength\":1}", "\"\\ud83d\"", 0},
        {"{\"type\":\"string\",\"format\":\"date\"}", "\"2023-02-29\"", 0},
        {"{\"type\":\"string\",\"format\":\"date\"}", "\"2024-02-29\"", 2},
        {"{\"type\":\"string\",\"format\":\"ipv6\"}", "\"::1\"", 2},
        {"{\"type\":\"string\",\"format\":\"uri\"}", "\"https://a.b/c?d=e#f\"", 2},
        {"{\"type\":\"string\",\"format\":\"email\"}", "\"a.b@c.de\"", 2},
        {"{\"type\":\"string\",\"not\":{\"enum\":[\"a\"]}}", "\"a\"", 0},
        {"{\"type\":[\"string\",\"null\"],\"not\":{\"type\":\"null\"}}", "\"a\"", 2},
        {"{\"type\":[\"string\",\"null\"],\"not\":{\"type\":\"null\"}}", "null", 0},
        {"{\"not\":{\"type\":\"null\"},\"type\":\"string\",\"minLength\":2}", "\"ab\"", 2},
        {"{\"not\":{\"type\":\"null\"},\"type\":\"string\",\"minLength\":2}", "\"a\"", 0},
        {"{\"type\":\"array\",\"prefixItems\":[{\"const\":1}],\"items\":{\"const\":2},"
         "\"maxItems\":3}",
         "[1,2,2]", 2},
        {"{\"type\":\"array\",\"prefixItems\":[{\"const\":1}],\"items\":{\"const\":2},"
         "\"maxItems\":3}",
         "[1,2,2,", 0},
        {"{\"type\":\"array\",\"items\":{\"const\":1},\"minItems\":2}", "[1 ", 0},
        {"{\"properties\":{\"a\":{\"const\":1}},\"type\":\"object\",\"additionalProperties\":"
         "{\"const\":2}}",
         "{\"b\":2,\"a", 1},
        {"{\"properties\":{\"a\":{\"const\":1}},\"type\":\"object\",\"additionalProperties\":"
         "{\"const\":2}}",
         "{\"b\":2,\"a\"", 0},
        {"{\"type\":\"object\",\"patternProperties\":{\"^x\":{\"const\":1}},"
         "\"additionalProperties\":false}",
         "{\"xy\":1}", 2},
        {"{\"type\":\"object\",\"patternProperties\":{\"^x\":{\"const\":1}},"
         "\"additionalProperties\":false}",
         "{\"y", 0},
        {"{\"type\":\"object\",\"properties\":{\"a\":{},\"b\":{}},\"minProperties\":2,"
         "\"additionalProperties\":false}",
         "{\"a\":1,\"b\":[]}", 2},
        {"{\"type\":\"object\",\"properties\":{\"a\":{},\"b\":{}},\"minProperties\":1,"
         "\"maxProperties\":1}",
         "{}", 0},
        {"{\"type\":\"object\",\"properties\":{\"a\":{},\"b\":{}},\"minProperties\":1,"
         "\"maxProperties\":1}",
         "{\"b\":1}", 2},
        {"{\"allOf\":[{\"minimum\":3},{\"maximum\":5}],\"type\":\"integer\"}", "6", 0},
        {"{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"null\"}],\"maxLength\":1}", "\"ab", 0},
        {"{\"type\":[\"string\",\"null\"],\"enum\":[\"a\",null,3]}", "3", 0},
        {"{\"type\":\"string\",\"maxLength\":100000}", "\"abc\"", 2},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(cleanup_grammar) struct grammar *g = from_schema(cases[i].schema);
        int got = match(g, str_from(cases[i].text));
        if (got != cases[i].want)
            fail_msg("%s: %s: %d, wanted %d", cases[i].schema, cases[i].text, got, cases[i].want);
    }
}

static void test_schema__refused(void **state)
{
    (void)state;
    static const struct {
        const char *schema, *part;
    } cases[] = {
        {"{\"properties\":{\"a\":{\"contains\":{}}}}", "#/properties/a: 'contains'"},
        {"{\"if\":{}}", "'if'"},
        {"{\"type\":\"array\",\"uniqueItems\":true}", "'uniqueItems'"},
        {"{\"type\":\"string\",\"format\":\"nonsense\"}", "'nonsense'"},
        {"{\"type\":\"string\",\"pattern\":\"(?=a)b\"}", "look-around"},
        {"{\"type\":\"string\",\"pattern\":\"(a)\\\\1\"}", "back references"},
        {"{\"type\":\"strin\"}", "'type'"},
        {"{\"$ref\":\"#/$defs/x\"}", "does not exist"},
        {"{\"$ref\":\"https://example.com/x\"}", "'$ref'"},
        {"{\"$ref\":\"#\"}", "itself"},
        {"{\"anyOf\":[{\"$ref\":\"#\"},{\"type\":\"null\"}]}", "itself"},
        {"{\"oneOf\":[{\"type\":\"integer\"},{\"type\":\"number\"}]}", "'oneOf'"},
        {"{\"type\":\"integer\",\"minimum\":3,\"maximum\":2}", "no text"},
        {"{\"type\":\"object\",\"properties\":{\"a\":false},\"required\":[\"a\"]}", "no text"},
        {"false", "no text"},
        {"{\"$defs\":{\"a\":{\"type\":\"object\",\"properties\":{\"x\":{\"$ref\":\"#/$defs/a\"}},"
         "\"required\":[\"x\"]}},\"$ref\":\"#/$defs/a\"}",
         "no text"},
        {"{\"type\":\"string\",\"pattern\":\"^(a|b)*a(a|b){20}$\"}", "too complex"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct error err = ERROR_INIT;
        CLEANUP_JSON struct json *schema = NULL;
        CLEANUP(cleanup_grammar) struct grammar *g = NULL;
        if (str_eq_c(str_from(cases[i].schema), "false"))
            schema = js_bool(false);
        else
            assert_ok(js_parse(str_from(cases[i].schema), "the schema", &schema, &err));
        assert_true(grammar_from_schema(schema, &g, &err) < 0);
        if (!strstr(err.msg, cases[i].part))
            fail_msg("%s: '%s' lacks '%s'", cases[i].schema, err.msg, cases[i].part);
    }
}

static void test_compose__triggers(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct grammar_builder *b = grammar_builder_new();
    CLEANUP_JSON struct json *schema = js_object();
    js_set_cstr(schema, "type", "integer");
    const struct str triggers[] = {STR("<call>")};
    gexpr call[] = {gexpr_until(b, triggers, 1), gexpr_schema(b, schema, "tools"),
                    gexpr_special(b, STR("</call>"))};
    gexpr both[] = {gexpr_free(b, triggers, 1), gexpr_seq(b, call, 3)};
    CLEANUP(cleanup_grammar) struct grammar *g = NULL;
    assert_ok(grammar_build(b, gexpr_alt(b, both, 2), &g, &err));
    grammar_builder_free(b);
    assert_int_equal(match(g, STR("no call <cal")), 2);
    assert_int_equal(match(g, STR("x <<call>")), 1);
    assert_int_equal(match(g, STR("x <call>12</call>")), 2);
    assert_int_equal(match(g, STR("\xff<call>\xff"
                                  "12\xff</call>\xff")),
                     2);
    assert_int_equal(match(g, STR("<call>x")), 0);
    assert_int_equal(match(g, STR("\xff<other>\xff")), 0);
}

/* ---- masks against the definition: a token is allowed if its bytes can follow ---- */

enum { N_TOKENS = 700 };

static uint64_t rng_state = 7;

static uint32_t rng(uint32_t n)
{
    rng_state = rng_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(rng_state >> 33) % n;
}

static void check_masks(struct grammar *g, const struct str *tokens, struct grammar_vocab *v)
{
    struct error err = ERROR_INIT;
    uint64_t mask[(N_TOKENS + 63) / 64];
    for (int walk = 0; walk < 12; walk++) {
        CLEANUP(cleanup_matcher) struct matcher *m = NULL;
        CLEANUP_BUF struct buf text = BUF_INIT(1 << 16);
        assert_ok(matcher_create(g, v, &m, &err));
        for (int step = 0; step < 40; step++) {
            int32_t fits[N_TOKENS];
            uint32_t n = 0;
            assert_ok(matcher_mask(m, mask, &err));
            for (int32_t id = 0; id < N_TOKENS; id++) {
                size_t before = text.len;
                bool allowed = mask[id / 64] >> (id % 64) & 1;
                bool possible = id == 0 ? matcher_may_end(m) : false;
                if (id > 0 && tokens[id].len > 0) {
                    buf_append(&text, tokens[id]);
                    possible = match(g, buf_str(&text)) > 0;
                    buf_truncate(&text, before);
                }
                if (allowed != possible)
                    fail_msg("behind '%s' token '%.*s' is %d", buf_cstr(&text), STR_ARG(tokens[id]),
                             allowed);
                if (allowed && id > 0)
                    fits[n++] = id;
            }
            if (n == 0)
                break;
            int32_t id = fits[rng(n)];
            assert_true(matcher_accept_token(m, id));
            buf_append(&text, tokens[id]);
        }
    }
}

static void test_masks__equal_bytes(void **state)
{
    (void)state;
    static const char *const schemas[] = {
        "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\",\"minLength\":2,"
        "\"maxLength\":9},\"b\":{\"type\":\"array\",\"items\":{\"type\":\"integer\",\"maximum\":31}"
        ","
        "\"minItems\":1,\"maxItems\":4}},\"required\":[\"b\"]}",
        "{}",
        "{\"type\":\"array\",\"items\":{\"anyOf\":[{\"enum\":[\"a\",\"ab\",1]},{\"type\":"
        "\"object\","
        "\"additionalProperties\":{\"type\":\"null\"}}]},\"maxItems\":5}",
    };
    static const char alphabet[] = "\"\",,::{}[]ab019 -n\\u\n";
    char *storage = xmalloc(N_TOKENS * 8);
    struct str tokens[N_TOKENS];
    for (int i = 0; i < N_TOKENS; i++) {
        size_t len = i < 256 ? 1 : 2 + rng(5);
        for (size_t k = 0; k < len; k++)
            storage[i * 8 + (int)k] = i < 256 ? (char)i : alphabet[rng(sizeof(alphabet) - 1)];
        tokens[i] = str_make(storage + (ptrdiff_t)i * 8, len);
    }
    const int32_t eog = 0;
    for (size_t i = 0; i < ARRAY_LEN(schemas); i++) {
        struct error err = ERROR_INIT;
        struct grammar_vocab *v = NULL;
        assert_ok(grammar_vocab_create(tokens, N_TOKENS, &eog, 1, &v, &err));
        struct grammar *g = from_schema(schemas[i]);
        assert_ok(grammar_prepare(g, v, &err));
        check_masks(g, tokens, v);
        grammar_unref(g);
        grammar_vocab_free(v);
    }
    free(storage);
}

/* Some of these names begin with another: every choice of them, under every bound. */
static const char *const few[] = {"a", "ab", "b", "abc"};

static void few_schema(unsigned required, int min, int max, struct buf *out)
{
    buf_append_c(out, "{\"type\":\"object\",\"properties\":{");
    for (unsigned i = 0; i < ARRAY_LEN(few); i++)
        buf_printf(out, "%s\"%s\":{\"type\":\"integer\"}", i > 0 ? "," : "", few[i]);
    buf_append_c(out, "},\"required\":[");
    for (unsigned i = 0, n = 0; i < ARRAY_LEN(few); i++)
        if (required >> i & 1)
            buf_printf(out, "%s\"%s\"", n++ > 0 ? "," : "", few[i]);
    buf_printf(out, "],\"minProperties\":%d,\"maxProperties\":%d}", min, max);
}

static void test_schema__chosen_properties(void **state)
{
    (void)state;
    const unsigned all = 1u << ARRAY_LEN(few);
    for (unsigned required = 0; required < all; required++) {
        for (int bounds = 0; bounds < 25; bounds++) {
            int min = bounds / 5, max = bounds % 5;
            struct error err = ERROR_INIT;
            CLEANUP_BUF struct buf schema = BUF_INIT(4096);
            CLEANUP_JSON struct json *v = NULL;
            CLEANUP(cleanup_grammar) struct grammar *g = NULL;
            few_schema(required, min, max, &schema);
            assert_ok(js_parse(buf_str(&schema), "a schema", &v, &err));
            if (grammar_from_schema(v, &g, &err) < 0) { /* nothing can fit it */
                assert_true(min > max || __builtin_popcount(required) > max);
                continue;
            }
            for (unsigned chosen = 0; chosen < all; chosen++) {
                int n = __builtin_popcount(chosen);
                CLEANUP_BUF struct buf text = BUF_INIT(4096);
                for (unsigned i = 0; i < ARRAY_LEN(few); i++)
                    if (chosen >> i & 1)
                        buf_printf(&text, "%s\"%s\":%u", text.len > 0 ? "," : "{", few[i], i);
                buf_append_c(&text, n > 0 ? "}" : "{}");
                bool want = (chosen & required) == required && n >= min && n <= max;
                if ((match(g, buf_str(&text)) == 2) != want)
                    fail_msg("%s: %s", buf_cstr(&schema), buf_cstr(&text));
            }
        }
    }
}

static void test_schema__thousands_of_properties(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    CLEANUP_JSON struct json *schema = js_object(), *properties = js_object();
    for (int i = 0; i < 3000; i++) {
        char name[32];
        snprintf(name, sizeof(name), "property_%d", i);
        struct json *integer = js_object();
        js_set_cstr(integer, "type", "integer");
        js_set(properties, name, integer);
    }
    js_set_cstr(schema, "type", "object");
    js_set(schema, "properties", js_ref(properties));
    CLEANUP(cleanup_grammar) struct grammar *g = NULL;
    assert_ok(grammar_from_schema(schema, &g, &err));
    assert_true(match(g, str_from("{}")) == 2);
    assert_true(
        match(g, str_from("{\"property_5\": 1, \"property_77\": 3, \"property_2999\": 0}")) == 2);
    assert_false(match(g, str_from("{\"property_77\": 3, \"property_5\": 1}")) == 2);
    assert_false(match(g, str_from("{\"property_3000\": 3}")) == 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schema__values),
        cmocka_unit_test(test_schema__refused),
        cmocka_unit_test(test_schema__chosen_properties),
        cmocka_unit_test(test_schema__thousands_of_properties),
        cmocka_unit_test(test_compose__triggers),
        cmocka_unit_test(test_masks__equal_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
