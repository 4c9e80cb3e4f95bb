/* SPDX-License-Identifier: Apache-2.0 */
#include "turn_support.h"

#include "apis/responses.h"

static const struct api *const api = &api_responses;

static void test_responses__requests(void **state)
{
    (void)state;
    assert_body(
        api,
        "{'model':'m','input':'hi','instructions':'be kind','max_output_tokens':9,"
        "'reasoning':{'effort':'low'},'include':['reasoning.encrypted_content']}",
        "{'messages':[{'role':'system','content':'be kind'},{'role':'user','content':'hi'}],"
        "'max_tokens':9,'reasoning_effort':'low','model':'m','stream':false}");
    assert_body(
        api,
        "{'model':'m','input':[{'role':'developer','content':'d'},{'type':'message','role':"
        "'user','content':[{'type':'input_text','text':'w?'},{'type':'input_image',"
        "'image_url':'data:x'}]},{'type':'reasoning','summary':[],'content':[{'type':"
        "'reasoning_text','text':'hm'}]},{'type':'message','role':'assistant','content':[{"
        "'type':'output_text','text':'look'}]},{'type':'function_call','call_id':'c1','name':"
        "'wet','arguments':'{}'},{'type':'function_call','call_id':'c2','name':'dry',"
        "'arguments':'{}'},{'type':'function_call_output','call_id':'c1','output':'yes'}]}",
        "{'messages':[{'role':'system','content':'d'},{'role':'user','content':[{'type':"
        "'text','text':'w?'},{'type':'image_url','image_url':{'url':'data:x'}}]},{'role':"
        "'assistant','content':'look','reasoning_content':'hm','tool_calls':[{'id':'c1',"
        "'type':'function','function':{'name':'wet','arguments':'{}'}},{'id':'c2','type':"
        "'function','function':{'name':'dry','arguments':'{}'}}]},{'role':'tool','content':"
        "'yes','tool_call_id':'c1'}],'model':'m','stream':false}");
    assert_body(
        api,
        "{'model':'m','input':'x','tools':[{'type':'function','name':'wet','parameters':{"
        "'type':'object'},'strict':true}],'tool_choice':{'type':'function','name':'wet'},"
        "'text':{'format':{'type':'json_schema','name':'n','schema':{'type':'object'}}}}",
        "{'messages':[{'role':'user','content':'x'}],'tools':[{'type':'function','function':"
        "{'name':'wet','parameters':{'type':'object'},'strict':true}}],'tool_choice':{"
        "'type':'function','function':{'name':'wet'}},'response_format':{'type':"
        "'json_schema','json_schema':{'name':'n','schema':{'type':'object'}}},'model':'m',"
        "'stream':false}");
}

static void test_responses__refused(void **state)
{
    (void)state;
    static const struct {
        const char *request, *why;
    } cases[] = {
        {"{'input':'x'}", "model is required"},
        {"{'model':'m'}", "'input'"},
        {"{'model':'m','input':[]}", "'input'"},
        {"{'model':'m','input':'x','background':true}", "'background'"},
        {"{'model':'m','input':'x','conversation':'c'}", "previous_response_id"},
        {"{'model':'m','input':'x','prompt':{'id':'p'}}", "'prompt'"},
        {"{'model':'m','input':'x','truncation':'auto'}", "'truncation'"},
        {"{'model':'m','input':'x','include':['file_search_call.results']}", "file_search"},
        {"{'model':'m','input':'x','tools':[{'type':'web_search'}]}", "web_search"},
        {"{'model':'m','input':'x','tool_choice':{'type':'mcp'}}", "'mcp'"},
        {"{'model':'m','input':[{'type':'item_reference','id':'i'}]}", "item_reference"},
        {"{'model':'m','input':[{'role':'user','content':[{'type':'input_file'}]}]}", "input_file"},
        {"{'model':'m','input':[{'role':'robot','content':'x'}]}", "input[0].role"},
        {"{'model':'m','input':[{'type':'function_call','name':'x'}]}", "call_id"},
        {"{'model':'m','input':'x','text':{'format':{'type':'json_schema','schema':{}}}}",
         "text.format.name"},
        {"{'model':'m','input':'x','text':{'format':{'type':'xml'}}}", "xml"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_refused(api, cases[i].request, cases[i].why);
}

static void test_responses__before(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct turn t;
    struct json *request = parse("{'model':'m','input':'and now?','instructions':'i'}");
    struct json *before = parse("[{'role':'user','content':'first'},{'type':'message','role':"
                                "'assistant','content':[{'type':'output_text','text':'yes'}]}]");
    assert_ok(turn_begin(&t, api, request, before, &err));
    assert_json(js_get(t.body, "messages"),
                "[{'role':'system','content':'i'},{'role':'user','content':'first'},{'role':"
                "'assistant','content':'yes'},{'role':'user','content':'and now?'}]");
    turn_release(&t);
    js_free(request);
    js_free(before);
}

static void test_responses__whole(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct turn t;
    assert_ok(begin(&t, api, "{'model':'m','input':'x','metadata':{'k':'v'}}", &err));
    struct json *v = whole(&t, talk_whole);
    assert_string_equal(js_get_cstr(v, "status", ""), "completed");
    assert_string_equal(js_get_cstr(v, "output_text", ""), "It rains");
    assert_json(js_get(v, "metadata"), "{'k':'v'}");
    assert_all(js_get(v, "output"), "type", "reasoning,message,function_call,function_call");
    assert_all(js_get(v, "output"), "call_id", ",,c1,c2");
    assert_json(js_get(js_at(js_get(v, "output"), 1), "content"),
                "[{'type':'output_text','text':'It rains','annotations':[],'logprobs':[]}]");
    assert_int_equal(js_get_int(js_get(v, "usage"), "total_tokens", 0), 17);
    js_free(v);
    turn_release(&t);

    assert_ok(begin(&t, api, "{'model':'m','input':'x'}", &err));
    v = whole(&t, "{'choices':[{'finish_reason':'length','message':{'content':'It'}}]}");
    assert_string_equal(js_get_cstr(v, "status", ""), "incomplete");
    assert_json(js_get(v, "incomplete_details"), "{'reason':'max_output_tokens'}");
    js_free(v);
    turn_release(&t);
}

static void test_responses__stream(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct turn t;
    assert_ok(begin(&t, api, "{'model':'m','input':'x','stream':true}", &err));
    char *text = stream(&t, talk);
    struct json *list = events(text);
    assert_all(list, "type",
               "response.created,response.in_progress,"
               "response.output_item.added,response.content_part.added,"
               "response.reasoning_text.delta,response.reasoning_text.done,"
               "response.content_part.done,response.output_item.done,"
               "response.output_item.added,response.content_part.added,"
               "response.output_text.delta,response.output_text.delta,response.output_text.done,"
               "response.content_part.done,response.output_item.done,"
               "response.output_item.added,response.function_call_arguments.delta,"
               "response.function_call_arguments.delta,response.function_call_arguments.done,"
               "response.output_item.done,"
               "response.output_item.added,response.function_call_arguments.delta,"
               "response.function_call_arguments.done,response.output_item.done,"
               "response.completed");
    for (size_t i = 0; i < js_len(list); i++)
        assert_int_equal(js_get_int(js_at(list, i), "sequence_number", -1), (int)i);
    assert_string_equal(js_get_cstr(js_at(list, 12), "text", ""), "It rains");
    assert_string_equal(js_get_cstr(js_at(list, 18), "arguments", ""), "{\"a\":1}");
    const struct json *done = js_get(js_at(list, 24), "response");
    assert_all(js_get(done, "output"), "type", "reasoning,message,function_call,function_call");
    assert_all(js_get(done, "output"), "status", "completed,completed,completed,completed");
    assert_int_equal(js_get_int(js_get(done, "usage"), "output_tokens", 0), 7);
    js_free(list);
    free(text);
    turn_release(&t);
}

/* A text that goes on behind a call is an item of its own. */
static void test_responses__interleaved(void **state)
{
    (void)state;
    static const char *const chunks[] = {
        "{'choices':[{'delta':{'content':'a'}}]}",
        "{'choices':[{'delta':{'tool_calls':[{'index':0,'id':'c','function':{'name':'f',"
        "'arguments':'{}'}}]}}]}",
        "{'choices':[{'delta':{'content':'b'}}]}", NULL};
    struct error err = ERROR_INIT;
    struct turn t;
    assert_ok(begin(&t, api, "{'model':'m','input':'x','stream':true}", &err));
    char *text = stream(&t, chunks);
    assert_string_equal(js_get_cstr(js_at(js_get(js_at(t.output, 0), "content"), 0), "text", ""),
                        "a");
    assert_string_equal(js_get_cstr(js_at(js_get(js_at(t.output, 2), "content"), 0), "text", ""),
                        "b");
    free(text);
    turn_release(&t);
}

static void test_responses__broken(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct turn t;
    struct buf out = BUF_INIT((size_t)1 << 20);
    assert_ok(begin(&t, api, "{'model':'m','input':'x','stream':true}", &err));
    turn_open(&t, &out);
    api->broken(&t, 500, "it fell over", &out);
    struct json *list = events(buf_cstr(&out));
    assert_all(list, "type", "response.created,response.in_progress,error,response.failed");
    assert_string_equal(
        js_get_cstr(js_get(js_get(js_at(list, 3), "response"), "error"), "message", ""),
        "it fell over");
    js_free(list);
    buf_release(&out);
    turn_release(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_responses__requests), cmocka_unit_test(test_responses__refused),
        cmocka_unit_test(test_responses__before),   cmocka_unit_test(test_responses__whole),
        cmocka_unit_test(test_responses__stream),   cmocka_unit_test(test_responses__interleaved),
        cmocka_unit_test(test_responses__broken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
