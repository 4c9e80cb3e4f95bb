/* SPDX-License-Identifier: Apache-2.0
 *
 * What engines answer, in all the forms that they are known to have. */
#include "turn_support.h"

static const char request[] = "{'model':'m','stream':true,'messages':[]}";

/* vLLM names reasoning otherwise, some engines send calls whole and without an index. */
static void test_turn__dialects_of_engines(void **state)
{
    (void)state;
    static const char *const chunks[] = {
        "{'choices':[{'delta':{'reasoning':'hm'}}]}",
        "{'choices':[{'delta':{'tool_calls':[{'id':'a','function':{'name':'f','arguments':'{'}}]}}"
        "]}",
        "{'choices':[{'delta':{'tool_calls':[{'function':{'arguments':'}'}}]}}]}",
        "{'choices':[{'delta':{'tool_calls':[{'function':{'name':'g','arguments':'{}'}}]}}]}",
        "{'choices':[{'delta':{},'finish_reason':'tool_calls'}]}",
        "{}",
        "{'choices':null}",
        NULL};
    struct error err = ERROR_INIT;
    struct turn t;
    assert_ok(begin(&t, &api_ollama_chat, request, &err));
    char *text = stream(&t, chunks);
    assert_string_equal(buf_cstr(&t.reasoning), "hm");
    assert_int_equal(t.n_calls, 2);
    assert_string_equal(t.calls[0].id, "a");
    assert_string_equal(buf_cstr(&t.calls[0].arguments), "{}");
    assert_string_equal(t.calls[1].name, "g");
    assert_true(strncmp(t.calls[1].id, "call_", 5) == 0);
    assert_int_equal(t.finish, TURN_CALLS);
    free(text);
    turn_release(&t);
}

static void test_turn__errors_of_engines(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct turn t;
    struct buf out = BUF_INIT(1 << 16);
    struct json *v = parse("{'error':{'message':'it fell over'}}"), *answer = NULL;
    assert_ok(begin(&t, &api_ollama_chat, request, &err));
    assert_fails(turn_chunk(&t, v, &out, &err), ERR_UNAVAILABLE, "it fell over");
    assert_fails(turn_whole(&t, v, &answer, &err), ERR_CORRUPT, "no message");
    js_free(v);
    /* more calls than anybody makes */
    struct json *many = js_object(), *delta = js_object(), *choice = js_object(),
                *choices = js_array(), *calls = js_array();
    for (int i = 0; i <= TURN_CALLS_MAX; i++)
        js_push(calls, parse("{'id':'x','function':{'name':'f'}}"));
    js_set(delta, "tool_calls", calls);
    js_set(choice, "delta", delta);
    js_push(choices, choice);
    js_set(many, "choices", choices);
    assert_fails(turn_chunk(&t, many, &out, &err), ERR_TOO_LARGE, "tool calls");
    js_free(many);
    buf_release(&out);
    turn_release(&t);
}

static void test_turn__ids(void **state)
{
    (void)state;
    char a[TURN_ID_MAX], b[TURN_ID_MAX];
    turn_new_id("resp_", a);
    turn_new_id("resp_", b);
    assert_int_equal(strlen(a), strlen("resp_") + 24);
    assert_string_not_equal(a, b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_turn__dialects_of_engines),
        cmocka_unit_test(test_turn__errors_of_engines),
        cmocka_unit_test(test_turn__ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
