/* SPDX-License-Identifier: Apache-2.0 */
#include "turn_support.h"

static const struct api *const api = &api_anthropic;

static void test_anthropic__requests(void **state)
{
    (void)state;
    assert_body(api, "{'model':'m','max_tokens':5,'messages':[{'role':'user','content':'hi'}]}",
                "{'messages':[{'role':'user','content':'hi'}],'max_tokens':5,'model':'m',"
                "'stream':false}");
    assert_body(api,
                "{'model':'m','max_tokens':5,'stream':true,'temperature':0.5,'top_k':3,"
                "'stop_sequences':['x'],'system':[{'type':'text','text':'a','cache_control':{}},"
                "{'type':'text','text':'b'}],'messages':[{'role':'user','content':[{'type':'text',"
                "'text':'what'},{'type':'image','source':{'type':'base64','media_type':"
                "'image/png','data':'AAAA'}},{'type':'image','source':{'type':'url','url':"
                "'http://a/b.png'}}]}]}",
                "{'messages':[{'role':'system','content':'a\\nb'},{'role':'user','content':["
                "{'type':'text','text':'what'},{'type':'image_url','image_url':{'url':"
                "'data:image/png;base64,AAAA'}},{'type':'image_url','image_url':{'url':"
                "'http://a/b.png'}}]}],'max_tokens':5,'temperature':0.5,'top_k':3,'stop':['x'],"
                "'model':'m','stream':true,'stream_options':{'include_usage':true}}");
}

static void test_anthropic__tools(void **state)
{
    (void)state;
    assert_body(api,
                "{'model':'m','max_tokens':5,'messages':[{'role':'user','content':'w?'},"
                "{'role':'assistant','content':[{'type':'thinking','thinking':'hm','signature':"
                "''},{'type':'text','text':'look'},{'type':'tool_use','id':'t1','name':'wet',"
                "'input':{'a':1}}]},{'role':'user','content':[{'type':'tool_result',"
                "'tool_use_id':'t1','content':[{'type':'text','text':'yes'}]},{'type':'text',"
                "'text':'so?'}]}],'tools':[{'name':'wet','description':'d','input_schema':{'type':"
                "'object'}}],'tool_choice':{'type':'any','disable_parallel_tool_use':true},"
                "'thinking':{'type':'enabled','budget_tokens':100}}",
                "{'messages':[{'role':'user','content':'w?'},{'role':'assistant','content':'look',"
                "'reasoning_content':'hm','tool_calls':[{'id':'t1','type':'function','function':{"
                "'name':'wet','arguments':'{\\\"a\\\":1}'}}]},{'role':'tool','content':'yes',"
                "'tool_call_id':'t1'},{'role':'user','content':'so?'}],'max_tokens':5,'tools':[{"
                "'type':'function','function':{'name':'wet','description':'d','parameters':{'type':"
                "'object'}}}],'parallel_tool_calls':false,'tool_choice':'required',"
                "'chat_template_kwargs':{'enable_thinking':true},'thinking_budget_tokens':100,"
                "'model':'m','stream':false}");
    assert_body(api,
                "{'model':'m','max_tokens':5,'messages':[{'role':'user','content':'x'}],"
                "'tool_choice':{'type':'tool','name':'wet'},'output_format':{'type':'json_schema',"
                "'schema':{'type':'object'}}}",
                "{'messages':[{'role':'user','content':'x'}],'max_tokens':5,'tool_choice':{'type':"
                "'function','function':{'name':'wet'}},'response_format':{'type':'json_schema',"
                "'json_schema':{'name':'answer','schema':{'type':'object'}}},'model':'m',"
                "'stream':false}");
}

static void test_anthropic__refused(void **state)
{
    (void)state;
    static const struct {
        const char *request, *why;
    } cases[] = {
        {"{}", "model is required"},
        {"{'model':5}", "'model'"},
        {"{'model':'m','messages':[]}", "max_tokens"},
        {"{'model':'m','max_tokens':0,'messages':[]}", "max_tokens"},
        {"{'model':'m','max_tokens':1,'messages':[]}", "at least one message"},
        {"{'model':'m','max_tokens':1,'messages':[{'role':'system','content':'x'}]}",
         "messages.0.role"},
        {"{'model':'m','max_tokens':1,'messages':[{'role':'user'}]}", "messages.0.content"},
        {"{'model':'m','max_tokens':1,'messages':[{'role':'user','content':[{'type':"
         "'document'}]}]}",
         "'document'"},
        {"{'model':'m','max_tokens':1,'messages':[{'role':'user','content':[{'type':'image',"
         "'source':{'type':'file'}}]}]}",
         "source"},
        {"{'model':'m','max_tokens':1,'messages':[{'role':'user','content':[{'type':"
         "'tool_result'}]}]}",
         "tool_use_id"},
        {"{'model':'m','max_tokens':1,'messages':[{'role':'user','content':'x'}],'tools':[{'type':"
         "'web_search_20250305','name':'web_search'}]}",
         "web_search_20250305"},
        {"{'model':'m','max_tokens':1,'messages':[{'role':'user','content':'x'}],'tool_choice':{"
         "'type':'some'}}",
         "tool_choice"},
        {"{'model':'m','max_tokens':1,'messages':[{'role':'user','content':'x'}],'thinking':{"
         "'type':'much'}}",
         "thinking.type"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_refused(api, cases[i].request, cases[i].why);
}

static const char request[] =
    "{'model':'m','max_tokens':9,'messages':[{'role':'user','content':'x'}]}";

static void test_anthropic__whole(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct turn t;
    assert_ok(begin(&t, api, request, &err));
    struct json *v = whole(&t, talk_whole);
    assert_json(js_get(v, "content"),
                "[{'type':'thinking','thinking':'hm','signature':''},{'type':'text','text':"
                "'It rains'},{'type':'tool_use','id':'c1','name':'wet','input':{'a':1}},{'type':"
                "'tool_use','id':'c2','name':'dry','input':{}}]");
    assert_string_equal(js_get_cstr(v, "stop_reason", ""), "tool_use");
    assert_json(js_get(v, "usage"),
                "{'input_tokens':6,'cache_creation_input_tokens':0,'cache_read_input_tokens':4,"
                "'output_tokens':7}");
    js_free(v);
    turn_release(&t);
}

static void test_anthropic__reasons(void **state)
{
    (void)state;
    static const struct {
        const char *choice, *reason, *stop;
    } cases[] = {
        {"'finish_reason':'stop'", "end_turn", NULL},
        {"'finish_reason':'length'", "max_tokens", NULL},
        {"'finish_reason':'stop','stop_reason':'END'", "stop_sequence", "END"},
        {"'finish_reason':'stop','stop_reason':5", "end_turn", NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error err = ERROR_INIT;
        struct turn t;
        char answer[200];
        snprintf(answer, sizeof(answer), "{'choices':[{%s,'message':{'content':'x'}}]}",
                 cases[i].choice);
        assert_ok(begin(&t, api, request, &err));
        struct json *v = whole(&t, answer);
        assert_string_equal(js_get_cstr(v, "stop_reason", ""), cases[i].reason);
        const char *stop = js_to_cstr(js_get(v, "stop_sequence"));
        assert_true(cases[i].stop ? stop && strcmp(stop, cases[i].stop) == 0 : !stop);
        js_free(v);
        turn_release(&t);
    }
}

static void test_anthropic__stream(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct turn t;
    assert_ok(begin(&t, api, request, &err));
    char *text = stream(&t, talk);
    struct json *list = events(text);
    assert_all(list, "type",
               "message_start,"
               "content_block_start,content_block_delta,content_block_delta,content_block_stop,"
               "content_block_start,content_block_delta,content_block_delta,content_block_stop,"
               "content_block_start,content_block_delta,content_block_delta,content_block_stop,"
               "content_block_start,content_block_delta,content_block_stop,"
               "message_delta,message_stop");
    assert_non_null(strstr(text, "event: content_block_start\ndata: {\"type\""));
    assert_json(js_at(list, 3), "{'type':'content_block_delta','index':0,'delta':{'type':"
                                "'signature_delta','signature':''}}");
    assert_json(js_at(list, 9), "{'type':'content_block_start','index':2,'content_block':{'type':"
                                "'tool_use','id':'c1','name':'wet','input':{}}}");
    assert_json(js_at(list, 10), "{'type':'content_block_delta','index':2,'delta':{'type':"
                                 "'input_json_delta','partial_json':'{\\\"a\\\":'}}");
    assert_json(js_get(js_at(list, 16), "delta"),
                "{'stop_reason':'tool_use','stop_sequence':null}");
    assert_int_equal(js_get_int(js_get(js_at(list, 16), "usage"), "output_tokens", 0), 7);
    js_free(list);
    free(text);
    turn_release(&t);
}

static void test_anthropic__errors(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *type;
    } cases[] = {
        {400, "invalid_request_error"}, {404, "not_found_error"}, {413, "request_too_large"},
        {429, "rate_limit_error"},      {500, "api_error"},       {503, "overloaded_error"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct json *v = api->error(cases[i].status, "why");
        assert_string_equal(js_get_cstr(v, "type", ""), "error");
        assert_string_equal(js_get_cstr(js_get(v, "error"), "type", ""), cases[i].type);
        js_free(v);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_anthropic__requests), cmocka_unit_test(test_anthropic__tools),
        cmocka_unit_test(test_anthropic__refused),  cmocka_unit_test(test_anthropic__whole),
        cmocka_unit_test(test_anthropic__reasons),  cmocka_unit_test(test_anthropic__stream),
        cmocka_unit_test(test_anthropic__errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
