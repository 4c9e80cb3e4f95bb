/* SPDX-License-Identifier: Apache-2.0
 *
 * The shapes of answers and chunks, field by field. */
#include "engine/api/answer.h"
#include "test.h"

static void add_text(struct answer *a, uint32_t choice, const char *text)
{
    struct generation_event e = {.kind = EVENT_TEXT, .choice = choice, .text = str_from(text)};
    answer_add(a, &e, NULL, NULL);
}

static void add_finish(struct answer *a, uint32_t choice, enum finish_reason reason,
                       uint32_t n_predicted)
{
    struct generation_event e = {
        .kind = EVENT_FINISH,
        .choice = choice,
        .reason = reason,
        .stats = {.n_prompt = 10,
                  .n_cached = 4,
                  .n_predicted = n_predicted,
                  .prompt_ms = 3,
                  .predicted_ms = 50},
    };
    answer_add(a, &e, NULL, NULL);
}

/* The value equals `text` once the fields that differ each time are gone. */
static void assert_shape(struct json *v, const char *text)
{
    assert_true(js_get_int(v, "created", 0) > 0);
    assert_int_equal(js_get_int(v, "seed", 5), 5);
    const char *varying[] = {"created", "id", "system_fingerprint", "seed"};
    for (size_t i = 0; i < ARRAY_LEN(varying); i++)
        js_del(v, varying[i]);
    CLEANUP_FREE char *got = js_text(v, JS_COMPACT);
    assert_string_equal(got, text);
    js_free(v);
}

#define TIMINGS                                                                                \
    "\"timings\":{\"cache_n\":4,\"prompt_n\":6,\"prompt_ms\":3.0,\"prompt_per_token_ms\":0.5," \
    "\"prompt_per_second\":2000.0,\"predicted_n\":5,\"predicted_ms\":50.0,"                    \
    "\"predicted_per_token_ms\":10.0,\"predicted_per_second\":100.0}"
#define USAGE                                                                      \
    "\"usage\":{\"completion_tokens\":5,\"prompt_tokens\":10,\"total_tokens\":15," \
    "\"prompt_tokens_details\":{\"cached_tokens\":4}}"

static void test_answer__whole_chat(void **state)
{
    (void)state;
    struct answer a;
    answer_init(&a, true, 1, 1, NULL, NULL);
    a.model = STR("m");
    a.seed = 5;
    assert_true(str_starts_with(str_from(a.id), STR("chatcmpl-")));
    add_text(&a, 0, "Hel");
    add_text(&a, 0, "lo");
    add_finish(&a, 0, FINISH_STOP, 5);
    assert_shape(answer_whole(&a),
                 "{\"choices\":[{\"finish_reason\":\"stop\",\"index\":0,\"message\":{\"role\":"
                 "\"assistant\",\"content\":\"Hello\"},\"logprobs\":null}],\"model\":\"m\","
                 "\"object\":\"chat.completion\"," USAGE "," TIMINGS "}");
    answer_release(&a);
}

static void test_answer__whole_text_with_echo_and_choices(void **state)
{
    (void)state;
    struct answer a;
    answer_init(&a, false, 2, 2, NULL, NULL);
    const struct str echo[] = {STR("A:"), STR("B:")};
    a.model = STR("m");
    a.seed = 5;
    a.echo = echo;
    const char *texts[] = {"a", "b", "c", "d"};
    for (uint32_t i = 0; i < 4; i++) {
        add_text(&a, i, texts[i]);
        add_finish(&a, i, FINISH_LENGTH, 2);
    }
    struct json *v = answer_whole(&a);
    assert_str(js_get_str(js_at(js_get(v, "choices"), 1), "text"), "A:b");
    assert_str(js_get_str(js_at(js_get(v, "choices"), 2), "text"), "B:c");
    assert_int_equal(js_get_int(js_at(js_get(v, "choices"), 3), "index", -1), 3);
    assert_str(js_get_str(v, "object"), "text_completion");
    const struct json *usage = js_get(v, "usage");
    assert_int_equal(js_get_int(usage, "prompt_tokens", 0), 20); /* each prompt once */
    assert_int_equal(js_get_int(usage, "completion_tokens", 0), 8);
    js_free(v);
    answer_release(&a);
}

static void check_shape(void *want, struct json *chunk)
{
    assert_shape(chunk, want);
}

/* The deltas of a stream, one a line. */
static void put_delta(void *out, struct json *chunk)
{
    js_write(js_get(js_at(js_get(chunk, "choices"), 0), "delta"), JS_COMPACT, out);
    buf_push(out, '\n');
    js_free(chunk);
}

/* A Hermes model that thinks: what is reasoning, what a call, and that nothing of their marks is
 * content, however the text is cut. */
static void test_answer__dialect(void **state)
{
    (void)state;
    static const char said[] =
        "<think>\nhm\n</think>\n\nLet me look.\n<tool_call>\n{\"name\": \"f\", "
        "\"arguments\": {\"a\": 1}}\n</tool_call>";
    const struct dialect d = {.calls = dialect_call_format(STR("hermes")),
                              .reasoning = dialect_reasoning_format(STR("think"))};
    struct error err = ERROR_INIT;
    CLEANUP_JSON struct json *tools = NULL;
    assert_ok(js_parse(STR("[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]"), "tools",
                       &tools, &err));
    const struct dialect_options o = {.tools = tools};
    for (size_t cut = 1; cut <= strlen(said); cut++) {
        struct answer whole, stream;
        CLEANUP_BUF struct buf deltas = BUF_INIT(1 << 16);
        answer_init(&whole, true, 1, 1, &d, &o);
        answer_init(&stream, true, 1, 1, &d, &o);
        uint32_t n = 0;
        for (size_t at = 0; at < strlen(said); at += cut) {
            const struct generation_event e = {
                .kind = EVENT_TEXT, .text = str_sub(str_from(said), at, cut), .n_predicted = ++n};
            answer_add(&whole, &e, NULL, NULL);
            answer_add(&stream, &e, put_delta, &deltas);
        }
        const struct generation_event end = {.kind = EVENT_FINISH, .reason = FINISH_STOP};
        answer_add(&whole, &end, NULL, NULL);
        answer_add(&stream, &end, put_delta, &deltas);
        struct json *v = answer_whole(&whole);
        const struct json *choice = js_at(js_get(v, "choices"), 0), *m = js_get(choice, "message");
        assert_string_equal(js_get_cstr(choice, "finish_reason", ""), "tool_calls");
        assert_string_equal(js_get_cstr(m, "content", ""), "Let me look.");
        assert_string_equal(js_get_cstr(m, "reasoning_content", ""), "hm");
        const struct json *call = js_at(js_get(m, "tool_calls"), 0);
        assert_true(str_starts_with(js_get_str(call, "id"), STR("call_")));
        assert_string_equal(js_get_cstr(js_get(call, "function"), "arguments", ""), "{\"a\": 1}");
        if (cut == 1) {
            const struct json *details = js_get(js_get(v, "usage"), "completion_tokens_details");
            assert_int_equal(js_get_int(details, "reasoning_tokens", 0),
                             strlen("<think>\nhm"));
        }
        js_free(v);
        assert_null(strstr(buf_cstr(&deltas), "tool_call>"));
        assert_null(strstr(buf_cstr(&deltas), "think>"));
        assert_non_null(strstr(buf_cstr(&deltas), "{\"tool_calls\":[{\"index\":0,\"id\":\"call_"));
        v = answer_chunk_finish(&stream, 0);
        assert_string_equal(js_get_cstr(js_at(js_get(v, "choices"), 0), "finish_reason", ""),
                            "tool_calls");
        js_free(v);
        answer_release(&whole);
        answer_release(&stream);
    }
}

static void test_answer__chunks(void **state)
{
    (void)state;
    struct answer a;
    answer_init(&a, true, 1, 1, NULL, NULL);
    a.model = STR("m");
    a.seed = 5;
    add_finish(&a, 0, FINISH_LENGTH, 5);
#define CHUNK_TAIL ",\"model\":\"m\",\"object\":\"chat.completion.chunk\""
    assert_shape(answer_chunk_role(&a, 0),
                 "{\"choices\":[{\"finish_reason\":null,\"index\":0,\"delta\":{\"role\":"
                 "\"assistant\",\"content\":null}}]" CHUNK_TAIL "}");
    const struct generation_event text = {.kind = EVENT_TEXT, .text = STR("x\xff")};
    char want[] = "{\"choices\":[{\"finish_reason\":null,\"index\":0,\"delta\":{\"content\":"
                  "\"x\xef\xbf\xbd\"}}]" CHUNK_TAIL "}";
    answer_add(&a, &text, check_shape, want);
    struct json *last = answer_chunk_finish(&a, 0);
    answer_add_timings(&a, last);
    assert_shape(last,
                 "{\"choices\":[{\"finish_reason\":\"length\",\"index\":0,\"delta\":{}}]" CHUNK_TAIL
                 "," TIMINGS "}");
    assert_shape(answer_chunk_usage(&a), "{\"choices\":[]" CHUNK_TAIL "," USAGE "}");
    answer_release(&a);

    answer_init(&a, false, 1, 1, NULL, NULL);
    a.model = STR("m");
    assert_shape(
        answer_chunk_text(&a, 0, STR("x"), NULL),
        "{\"choices\":[{\"finish_reason\":null,\"index\":0,\"text\":\"x\"}],\"model\":\"m\","
        "\"object\":\"text_completion\"}");
    answer_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answer__whole_chat),
        cmocka_unit_test(test_answer__whole_text_with_echo_and_choices),
        cmocka_unit_test(test_answer__dialect),
        cmocka_unit_test(test_answer__chunks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
