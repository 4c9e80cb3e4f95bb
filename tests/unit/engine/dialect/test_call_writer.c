/* SPDX-License-Identifier: Apache-2.0
 *
 * What is written of earlier calls is what the parser reads, in every family. */
#include "answer_check.h"
#include "engine/dialect/call_writer.h"

static struct json *parse(const char *text)
{
    struct json *v = NULL;
    struct error err = ERROR_INIT;
    assert_ok(js_parse(str_from(text), "a test", &v, &err));
    return v;
}

#define CALL(name, id, arguments)                                             \
    "{\"id\":\"" id "\",\"type\":\"function\",\"function\":{\"name\":\"" name \
    "\",\"arguments\":" arguments "}}"

static const char *const names[] = {"get_weather", "find"};
static const char *const values[] = {
    "{\"city\":\"Par\\\"is\",\"days\":3,\"on\":true,\"at\":[1.5,null,{\"a\":\"b\"}]}", "{}"};
static const char as_values[] =
    "[" CALL("get_weather", "abcdefghi",
             "{\"city\":\"Par\\\"is\",\"days\":3,\"on\":true,\"at\":"
             "[1.5,null,{\"a\":\"b\"}]}") "," CALL("find", "123456789", "{}") "]";
static const char as_text[] =
    "[" CALL("get_weather", "abcdefghi",
             "\"{\\\"city\\\":\\\"Par\\\\\\\"is\\\",\\\"days\\\":3,\\\"on\\\":true,\\\"at\\\":"
             "[1.5,null,{\\\"a\\\":\\\"b\\\"}]}\"") "," CALL("find", "123456789", "\"{}\"") "]";

static void check(const struct call_format *f, const char *calls_text, size_t n)
{
    CLEANUP_JSON struct json *calls = parse(calls_text);
    while (js_len(calls) > n)
        js_remove(calls, js_len(calls) - 1);
    CLEANUP_JSON struct json *tools = parse(
        "[{\"type\":\"function\",\"function\":{\"name\":\"get_weather\",\"parameters\":{\"type\":"
        "\"object\"}}},{\"type\":\"function\",\"function\":{\"name\":\"find\"}}]");
    CLEANUP_BUF struct buf text = BUF_INIT(ANSWER_MAX);
    calls_write(f, calls, &text);
    const struct dialect d = {.calls = f, .has_tools = true};
    const struct dialect_options o = {.tools = tools};
    struct answer a = answer_parse(&d, &o, buf_str(&text), 0);
    if (js_len(a.calls) != n || a.content.len > 0)
        fail_msg("%s: %zu calls and '%s' in %s", f->name, js_len(a.calls), buf_cstr(&a.content),
                 buf_cstr(&text));
    for (size_t i = 0; i < n; i++) {
        CLEANUP_JSON struct json *got = parse(js_get_cstr(js_at(a.calls, i), "arguments", "?"));
        CLEANUP_JSON struct json *want = parse(values[i]);
        if (!str_eq_c(js_get_str(js_at(a.calls, i), "name"), names[i]) || !js_equal(got, want))
            fail_msg("%s: call %zu of %s", f->name, i, buf_cstr(&text));
    }
    answer_free(&a);
}

static void test_call_writer__reads_back(void **state)
{
    (void)state;
    for (const struct call_format *f = dialect_call_formats; f->name; f++) {
        if (f->style == CALLS_HARMONY) /* its calls are no text */
            continue;
        size_t n = f->flags & CALLS_ONE ? 1 : 2;
        check(f, as_values, n);
        check(f, as_text, n);
    }
}

static void test_call_writer__forms(void **state)
{
    (void)state;
    static const struct {
        const char *format, *want;
    } rows[] = {
        {"generic", "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\":true}}\n</tool_call>"},
        {"harmony", "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\":true}}\n</tool_call>"},
        {"granite", "<|tool_call|>[{\"name\": \"f\", \"arguments\": {\"a\":true}}]</tool_call>"},
        {"llama3", "{\"name\": \"f\", \"parameters\": {\"a\":true}}"},
        {"lfm2", "<|tool_call_start|>[f(a=True)]<|tool_call_end|>"},
        {"apertus", "<|tools_prefix|>[{\"f\": {\"a\":true}}]<|tools_suffix|>"},
        {"deepseek-r1",
         "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n"
         "{\"a\":true}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>"},
        {"kimi-k2",
         "<|tool_calls_section_begin|><|tool_call_begin|>functions.f:0<|tool_call_argument_begin|>"
         "{\"a\":true}<|tool_call_end|><|tool_calls_section_end|>"},
    };
    CLEANUP_JSON struct json *calls = parse("[" CALL("f", "1", "{\"a\":true}") "]");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP_BUF struct buf text = BUF_INIT(ANSWER_MAX);
        calls_write(dialect_call_format(str_from(rows[i].format)), calls, &text);
        assert_string_equal(buf_cstr(&text), rows[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_call_writer__reads_back),
        cmocka_unit_test(test_call_writer__forms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
