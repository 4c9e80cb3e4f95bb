/* SPDX-License-Identifier: Apache-2.0 */
#include "turn_support.h"

static void test_ollama__chat(void **state)
{
    (void)state;
    assert_body(&api_ollama_chat,
                "{'model':'m','messages':[{'role':'system','content':'s'},{'role':'user','content':"
                "'look','images':['iVBORw0','http://a/b.jpg','AAAA']}],'options':{'temperature':0,"
                "'num_predict':7,'num_gpu':1,'stop':['x'],'min_p':0.1},'think':'low','format':"
                "'json'}",
                "{'messages':[{'role':'system','content':'s'},{'role':'user','content':[{'type':"
                "'text','text':'look'},{'type':'image_url','image_url':{'url':"
                "'data:image/png;base64,iVBORw0'}},{'type':'image_url','image_url':{'url':"
                "'http://a/b.jpg'}},{'type':'image_url','image_url':{'url':"
                "'data:image/jpeg;base64,AAAA'}}]}],'temperature':0,'min_p':0.1,'stop':['x'],"
                "'max_tokens':7,'response_format':{'type':'json_object'},'chat_template_kwargs':{"
                "'enable_thinking':true},'reasoning_effort':'low','model':'m','stream':true,"
                "'stream_options':{'include_usage':true}}");
    /* results go to the calls in their order where they name none */
    assert_body(
        &api_ollama_chat,
        "{'model':'m','stream':false,'think':false,'messages':[{'role':'user','content':"
        "'w?'},{'role':'assistant','content':'','thinking':'hm','tool_calls':[{'function':{"
        "'name':'wet','arguments':{'a':1}}},{'function':{'name':'dry','arguments':{}}}]},"
        "{'role':'tool','content':'yes','tool_name':'wet'},{'role':'tool','content':'no'}],"
        "'tools':[{'type':'function','function':{'name':'wet'}}],'options':{'num_predict':"
        "-1}}",
        "{'messages':[{'role':'user','content':'w?'},{'role':'assistant','content':'',"
        "'tool_calls':[{'id':'call_1_0','type':'function','function':{'name':'wet',"
        "'arguments':'{\\\"a\\\":1}'}},{'id':'call_1_1','type':'function','function':{'name':"
        "'dry','arguments':'{}'}}],'reasoning_content':'hm'},{'role':'tool','content':'yes',"
        "'name':'wet','tool_call_id':'call_1_0'},{'role':'tool','content':'no',"
        "'tool_call_id':'call_1_1'}],'tools':[{'type':'function','function':{'name':"
        "'wet'}}],'chat_template_kwargs':{'enable_thinking':false},'model':'m','stream':"
        "false}");
}

static void test_ollama__generate(void **state)
{
    (void)state;
    assert_body(&api_ollama_generate,
                "{'name':'m','prompt':'hi','system':'s','stream':false,'format':{'type':'object'}}",
                "{'messages':[{'role':'system','content':'s'},{'role':'user','content':'hi'}],"
                "'response_format':{'type':'json_schema','json_schema':{'name':'answer','schema':{"
                "'type':'object'}}},'model':'m','stream':false}");
    static const struct {
        const char *request, *why;
    } cases[] = {
        {"{'prompt':'x'}", "model is required"},
        {"{'model':'m','prompt':'x','raw':true}", "'raw'"},
        {"{'model':'m','prompt':'x','context':[1]}", "'context'"},
        {"{'model':'m','prompt':'x','template':'t'}", "'template'"},
        {"{'model':'m','prompt':'x','suffix':'t'}", "/infill"},
        {"{'model':'m','prompt':'x','format':'xml'}", "'format'"},
        {"{'model':'m','prompt':'x','think':'much'}", "'think'"},
        {"{'model':'m','prompt':'x','options':3}", "'options'"},
        {"{'model':'m','prompt':'x','images':[3]}", "'images'"},
        {"{'model':'m','prompt':5}", "'prompt'"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_refused(&api_ollama_generate, cases[i].request, cases[i].why);
    assert_refused(&api_ollama_chat, "{'model':'m','messages':[{'content':'x'}]}", "no role");
    assert_refused(&api_ollama_chat,
                   "{'model':'m','messages':[{'role':'assistant','tool_calls':[{}]}]}", "no name");
}

static void test_ollama__whole(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct turn t;
    assert_ok(begin(&t, &api_ollama_chat, "{'model':'m','stream':false,'messages':[]}", &err));
    struct json *v = whole(&t, talk_whole);
    assert_json(js_get(v, "message"),
                "{'role':'assistant','content':'It rains','thinking':'hm','tool_calls':[{'id':'c1',"
                "'function':{'index':0,'name':'wet','arguments':{'a':1}}},{'id':'c2','function':{"
                "'index':1,'name':'dry','arguments':{}}}]}");
    assert_true(js_get_bool(v, "done", false));
    assert_string_equal(js_get_cstr(v, "done_reason", ""), "stop");
    assert_int_equal(js_get_int(v, "prompt_eval_count", 0), 10);
    assert_int_equal(js_get_int(v, "eval_count", 0), 7);
    js_free(v);
    turn_release(&t);
}

static void test_ollama__stream(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct turn t;
    assert_ok(begin(&t, &api_ollama_chat, "{'model':'m','messages':[]}", &err));
    char *text = stream(&t, talk);
    struct json *list = events(text);
    assert_int_equal(js_len(list), 5); /* thinking, two texts, the calls, the end */
    assert_json(js_get(js_at(list, 0), "message"),
                "{'role':'assistant','content':'','thinking':'hm'}");
    assert_json(js_get(js_at(list, 2), "message"), "{'role':'assistant','content':'rains'}");
    assert_int_equal(js_len(js_get(js_get(js_at(list, 3), "message"), "tool_calls")), 2);
    assert_false(js_get_bool(js_at(list, 3), "done", true));
    const struct json *last = js_at(list, 4);
    assert_true(js_get_bool(last, "done", false));
    assert_int_equal(js_get_int(last, "prompt_eval_duration", 0), 2000000);
    assert_int_equal(js_get_int(last, "eval_duration", 0), 3000000);
    js_free(list);
    free(text);
    turn_release(&t);

    static const char *const cut[] = {"{'choices':[{'delta':{'content':'a'},'finish_reason':"
                                      "'length'}]}",
                                      NULL};
    assert_ok(begin(&t, &api_ollama_generate, "{'model':'m','prompt':'x'}", &err));
    text = stream(&t, cut);
    list = events(text);
    assert_string_equal(js_get_cstr(js_at(list, 0), "response", ""), "a");
    assert_string_equal(js_get_cstr(js_at(list, 1), "done_reason", ""), "length");
    js_free(list);
    free(text);
    turn_release(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ollama__chat),
        cmocka_unit_test(test_ollama__generate),
        cmocka_unit_test(test_ollama__whole),
        cmocka_unit_test(test_ollama__stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
