/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/api/messages.h"
#include "engine/api/tools.h"
#include "test.h"

static struct json *parse(const char *text)
{
    struct error err = ERROR_INIT;
    struct json *v = NULL;
    assert_ok(js_parse(str_from(text), "messages", &v, &err));
    return v;
}

static void test_messages__normalises(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to;
        unsigned flags;
    } rows[] = {
        {"[{\"role\":\"user\",\"content\":\"hi\"}]", "[{\"role\":\"user\",\"content\":\"hi\"}]", 0},
        {"[{\"role\":\"user\",\"content\":[]}]", "[{\"role\":\"user\",\"content\":\"\"}]", 0},
        {"[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},"
         "{\"type\":\"text\",\"text\":\"b\"}],\"name\":\"n\"}]",
         "[{\"role\":\"user\",\"content\":\"a\\nb\",\"name\":\"n\"}]", 0},
        {"[{\"role\":\"assistant\"}]", "[{\"role\":\"assistant\",\"content\":null}]", 0},
        {"[{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"function\":{\"name\":\"f\","
         "\"arguments\":\"{\\\"a\\\": 1}\"}}]}]",
         "[{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"function\":{\"name\":\"f\","
         "\"arguments\":{\"a\":1}}}]}]",
         MESSAGES_PARSE_ARGUMENTS},
        {"[{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"function\":{\"name\":\"f\","
         "\"arguments\":\"{broken\"}}]}]",
         "[{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"function\":{\"name\":\"f\","
         "\"arguments\":\"{broken\"}}]}]",
         MESSAGES_PARSE_ARGUMENTS},
        {"[{\"role\":\"tool\",\"tool_call_id\":\"x\",\"content\":\"42\"}]",
         "[{\"role\":\"tool\",\"tool_call_id\":\"x\",\"content\":\"42\"}]", 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = ERROR_INIT;
        CLEANUP_JSON struct json *from = parse(rows[i].from), *want = parse(rows[i].to), *to = NULL;
        CLEANUP_JSON struct json *before = js_copy(from);
        assert_ok(messages_normalise(from, rows[i].flags, &to, &err));
        assert_true(js_equal(to, want));
        assert_true(js_equal(from, before)); /* the body stays as it was */
    }
}

static void test_messages__refuses_and_names(void **state)
{
    (void)state;
    static const struct {
        const char *text, *part;
    } rows[] = {
        {"null", "'messages' must be an array"},
        {"{}", "'messages' must be an array"},
        {"\"hi\"", "'messages' must be an array"},
        {"[]", "'messages' is empty"},
        {"[7]", "messages[0] must be an object"},
        {"[[]]", "messages[0] must be an object"},
        {"[{\"role\":\"user\",\"content\":\"\"},{\"content\":\"x\"}]", "messages[1].role"},
        {"[{\"role\":5,\"content\":\"x\"}]", "messages[0].role"},
        {"[{\"role\":\"\",\"content\":\"x\"}]", "messages[0].role"},
        {"[{\"role\":\"user\"}]", "messages[0].content"},
        {"[{\"role\":\"user\",\"content\":null}]", "messages[0].content"},
        {"[{\"role\":\"user\",\"content\":7}]", "messages[0].content must be"},
        {"[{\"role\":\"user\",\"content\":{}}]", "messages[0].content must be"},
        {"[{\"role\":\"user\",\"content\":[\"x\"]}]", "messages[0].content[0]"},
        {"[{\"role\":\"user\",\"content\":[{\"type\":7}]}]", "messages[0].content[0]"},
        {"[{\"role\":\"user\",\"content\":[{\"type\":\"text\"}]}]", "messages[0].content[0].text"},
        {"[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":[]}]}]",
         "messages[0].content[0].text"},
        {"[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"\"},"
         "{\"type\":\"image_url\",\"image_url\":{\"url\":\"x\"}}]}]",
         "messages[0].content[1].type is 'image_url', only 'text' is supported"},
        {"[{\"role\":\"user\",\"content\":[{\"type\":\"input_audio\"}]}]", "no hearing"},
        {"[{\"role\":\"user\",\"content\":[{\"type\":\"smell\"}]}]", "'smell'"},
        {"[{\"role\":\"assistant\",\"tool_calls\":{}}]", "messages[0].tool_calls"},
        {"[{\"role\":\"assistant\",\"tool_calls\":[1]}]",
         "messages[0].tool_calls[0].function.name"},
        {"[{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{}}]}]",
         "messages[0].tool_calls[0].function.name"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = ERROR_INIT;
        CLEANUP_JSON struct json *from = parse(rows[i].text), *to = NULL;
        assert_fails(messages_normalise(from, MESSAGES_PARSE_ARGUMENTS, &to, &err), ERR_INVALID,
                     rows[i].part);
        assert_null(to);
    }
}

static void test_tools__check(void **state)
{
    (void)state;
    static const struct {
        const char *text, *part; /* NULL = fine */
    } rows[] = {
        {"null", NULL},
        {"[]", NULL},
        {"[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]", NULL},
        {"{}", "'tools' must be an array"},
        {"[1]", "tools[0].type"},
        {"[{\"type\":\"web\"}]", "tools[0].type"},
        {"[{\"type\":\"function\"}]", "tools[0].function.name"},
        {"[{\"type\":\"function\",\"function\":{\"name\":3}}]", "tools[0].function.name"},
        {"[{\"type\":\"function\",\"function\":{\"name\":\"a b\"}}]", "tools[0].function.name"},
        {"[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":[]}}]",
         "parameters must be a JSON schema"},
        {"[{\"type\":\"function\",\"function\":{\"name\":\"f\"}},{\"type\":\"function\","
         "\"function\":{\"name\":\"f\"}}]",
         "two tools named 'f'"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = ERROR_INIT;
        CLEANUP_JSON struct json *body = js_object();
        CLEANUP(tool_wish_release) struct tool_wish wish = {0};
        js_set(body, "tools", parse(rows[i].text));
        if (rows[i].part)
            assert_fails(tool_wish_parse(body, &wish, &err), ERR_INVALID, rows[i].part);
        else
            assert_ok(tool_wish_parse(body, &wish, &err));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages__normalises),
        cmocka_unit_test(test_messages__refuses_and_names),
        cmocka_unit_test(test_tools__check),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
