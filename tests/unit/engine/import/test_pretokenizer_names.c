/* SPDX-License-Identifier: Apache-2.0
 *
 * Pre-tokenizers of published tokenizer.json files, and ones that are not known. */
#include "test.h"

#include "base/compiler.h"
#include "engine/import/pretokenizer_names.h"

#define BYTES "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":false}"
#define GPT2 "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true}"
#define SPLIT(regex)                                                                       \
    "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"" regex "\"},\"behavior\":\"Isolated\"," \
    "\"invert\":false}"
#define SEQUENCE(a, b) "{\"type\":\"Sequence\",\"pretokenizers\":[" a "," b "]}"
#define LLAMA3                                                                              \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}{1,3}| ?" \
    "[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+"

static int name_of(const char *pre, const char *model, const char **ret, struct error *err)
{
    char text[4096];
    CLEANUP_JSON struct json *json = NULL;
    snprintf(text, sizeof(text), "{\"pre_tokenizer\":%s,\"model\":%s}", pre, model);
    struct error bad = ERROR_INIT;
    if (js_parse(str_from(text), "the test", &json, &bad) < 0)
        fail_msg("%s", bad.msg);
    return pretokenizer_name(json, ret, err);
}

static void test_pretokenizer_name__known(void **state)
{
    (void)state;
    static const struct {
        const char *pre, *model, *name;
    } cases[] = {
        {GPT2, "{}", "gpt-2"},
        {SEQUENCE("{\"type\":\"Digits\",\"individual_digits\":true}", GPT2), "{}", "smollm"},
        {SEQUENCE(SPLIT(LLAMA3), BYTES), "{\"ignore_merges\":true}", "llama-bpe"},
        {SEQUENCE(SPLIT(LLAMA3), BYTES), "{\"ignore_merges\":false}", "dbrx"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct error err = ERROR_INIT;
        const char *name = NULL;
        assert_ok(name_of(cases[i].pre, cases[i].model, &name, &err));
        assert_string_equal(name, cases[i].name);
    }
}

static void test_pretokenizer_name__unknown(void **state)
{
    (void)state;
    static const struct {
        const char *pre, *model, *why;
    } cases[] = {
        {SEQUENCE(SPLIT("[a-z]+"), BYTES), "{}", "[a-z]+"},
        {"null", "{}", "none"},
        {"{\"type\":\"Whitespace\"}", "{}", "Whitespace"},
        {SEQUENCE("{\"type\":\"Digits\",\"individual_digits\":false}", GPT2), "{}", "digits"},
        {"{\"type\":\"ByteLevel\"}", "{}", "add_prefix_space"},
        {GPT2, "{\"ignore_merges\":true}", "gpt2"},
        {"{\"type\":\"Split\",\"pattern\":{\"String\":\" \"}}", "{}", "Split"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct error err = ERROR_INIT;
        const char *name;
        assert_fails(name_of(cases[i].pre, cases[i].model, &name, &err), ERR_UNSUPPORTED,
                     cases[i].why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pretokenizer_name__known),
        cmocka_unit_test(test_pretokenizer_name__unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
