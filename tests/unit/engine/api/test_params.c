/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "engine/api/params.h"
#include "test.h"

static struct json *parse(const char *text)
{
    struct error err = ERROR_INIT;
    struct json *v = NULL;
    assert_ok(js_parse(str_from(text), "a body", &v, &err));
    return v;
}

static const struct params_defaults defaults = {
    .sampling = {.temperature = 0.8,
                 .top_k = 40,
                 .top_p = 0.95,
                 .min_p = 0.05,
                 .typical_p = 1,
                 .repeat_penalty = 1,
                 .repeat_last_n = 64},
    .seed = -1,
    .n_predict = -1,
};

static void test_params__defaults(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    /* null is as good as absent; unknown fields do not matter */
    const char *bodies[] = {"{}",
                            "{\"temperature\":null,\"stop\":null,\"logprobs\":null,\"n\":null,"
                            "\"stream_options\":null,\"response_format\":null,\"user\":7,"
                            "\"functions\":[],\"grammar\":\"\",\"logit_bias\":null}"};
    for (size_t i = 0; i < 2; i++) {
        CLEANUP_JSON struct json *body = parse(bodies[i]);
        struct params p;
        assert_ok(params_parse(body, PARAMS_CHAT, &defaults, &p, &err));
        assert_true(fabs(p.sampling.temperature - 0.8) < 1e-9);
        assert_int_equal(p.sampling.top_k, 40);
        assert_int_equal(p.n_predict, -1);
        assert_int_equal(p.n, 1);
        assert_true(p.cache_prompt);
        assert_false(p.stream || p.include_usage || p.logprobs);
        assert_int_equal(p.n_stops, 0);
        assert_null(p.model.ptr);
        params_release(&p);
    }
}

static void test_params__all_fields(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    CLEANUP_JSON struct json *body = parse(
        "{\"model\":\"ai/x\",\"temperature\":0,\"top_p\":0.5,\"min_p\":0.1,\"typical_p\":0.9,"
        "\"top_k\":7,\"repeat_penalty\":1.1,\"repeat_last_n\":-1,\"frequency_penalty\":-1.5,"
        "\"presence_penalty\":2,\"seed\":42,\"n\":3,\"max_tokens\":5,\"max_completion_tokens\":6,"
        "\"stop\":[\"a\",\"b\"],\"stream\":true,\"stream_options\":{\"include_usage\":true},"
        "\"ignore_eos\":true,\"cache_prompt\":false,\"logprobs\":true,\"top_logprobs\":20,"
        "\"logit_bias\":{\"5\":-100,\"6\":1.5},\"response_format\":{\"type\":\"text\"}}");
    struct params p;
    assert_ok(params_parse(body, PARAMS_CHAT, &defaults, &p, &err));
    assert_str(p.model, "ai/x");
    assert_true(p.sampling.temperature <= 0 && p.sampling.seed == 42 && p.sampling.top_k == 7);
    assert_int_equal(p.sampling.repeat_last_n, -1);
    assert_int_equal(p.n_predict, 6);
    assert_int_equal(p.n, 3);
    assert_int_equal(p.n_stops, 2);
    assert_str(p.stops[1], "b");
    assert_true(p.stream && p.include_usage && p.sampling.ignore_eos && p.logprobs);
    assert_false(p.cache_prompt);
    assert_int_equal(p.n_top_logprobs, 20);
    assert_int_equal(p.sampling.n_bias, 2);
    assert_int_equal(p.sampling.bias[0].id, 5);
    assert_true(p.sampling.bias[1].bias > 1.4F);
    params_release(&p);
}

static void test_params__other_forms(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct params p;
    CLEANUP_JSON struct json *text = parse("{\"logprobs\":3,\"stop\":\"x\",\"n_predict\":9,"
                                           "\"logit_bias\":[[1,2],[3,false]]}");
    assert_ok(params_parse(text, PARAMS_TEXT, &defaults, &p, &err));
    assert_true(p.logprobs);
    assert_int_equal(p.n_top_logprobs, 3);
    assert_str(p.stops[0], "x");
    assert_int_equal(p.n_predict, 9);
    assert_true(isinf(p.sampling.bias[1].bias));
    params_release(&p);

    CLEANUP_JSON struct json *zero = parse("{\"logprobs\":0}");
    assert_ok(params_parse(zero, PARAMS_TEXT, &defaults, &p, &err));
    assert_true(p.logprobs && p.n_top_logprobs == 0);
    params_release(&p);
}

static void test_params__refuses_and_names(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        enum errc code;
        const char *part;
    } rows[] = {
        {"{\"temperature\":\"hot\"}", ERR_INVALID, "'temperature'"},
        {"{\"temperature\":-1}", ERR_INVALID, "'temperature'"},
        {"{\"temperature\":1e300}", ERR_INVALID, "'temperature'"},
        {"{\"temperature\":[]}", ERR_INVALID, "'temperature'"},
        {"{\"top_p\":1.5}", ERR_INVALID, "'top_p'"},
        {"{\"min_p\":{}}", ERR_INVALID, "'min_p'"},
        {"{\"typical_p\":-0.1}", ERR_INVALID, "'typical_p'"},
        {"{\"top_k\":1.5}", ERR_INVALID, "'top_k'"},
        {"{\"top_k\":1e30}", ERR_INVALID, "'top_k'"},
        {"{\"repeat_penalty\":0}", ERR_INVALID, "'repeat_penalty'"},
        {"{\"repeat_last_n\":-2}", ERR_INVALID, "'repeat_last_n'"},
        {"{\"frequency_penalty\":\"1\"}", ERR_INVALID, "'frequency_penalty'"},
        {"{\"seed\":\"abc\"}", ERR_INVALID, "'seed'"},
        {"{\"seed\":1.5}", ERR_INVALID, "'seed'"},
        {"{\"n\":0}", ERR_INVALID, "'n'"},
        {"{\"n\":9}", ERR_INVALID, "'n'"},
        {"{\"max_tokens\":-2}", ERR_INVALID, "'max_tokens'"},
        {"{\"max_tokens\":true}", ERR_INVALID, "'max_tokens'"},
        {"{\"max_completion_tokens\":99999999999}", ERR_INVALID, "'max_completion_tokens'"},
        {"{\"stream\":1}", ERR_INVALID, "'stream'"},
        {"{\"stream\":\"true\"}", ERR_INVALID, "'stream'"},
        {"{\"stream_options\":[]}", ERR_INVALID, "'stream_options'"},
        {"{\"stream_options\":{\"include_usage\":1}}", ERR_INVALID, "'include_usage'"},
        {"{\"stop\":5}", ERR_INVALID, "'stop'"},
        {"{\"stop\":{\"a\":1}}", ERR_INVALID, "'stop'"},
        {"{\"stop\":[\"a\",7]}", ERR_INVALID, "'stop[1]'"},
        {"{\"logprobs\":\"yes\"}", ERR_INVALID, "'logprobs'"},
        {"{\"logprobs\":true,\"top_logprobs\":21}", ERR_INVALID, "'top_logprobs'"},
        {"{\"top_logprobs\":2}", ERR_INVALID, "'logprobs'"},
        {"{\"logit_bias\":7}", ERR_INVALID, "'logit_bias'"},
        {"{\"logit_bias\":{\"x\":1}}", ERR_INVALID, "'logit_bias'"},
        {"{\"logit_bias\":{\"-1\":1}}", ERR_INVALID, "'logit_bias'"},
        {"{\"logit_bias\":{\"1\":\"much\"}}", ERR_INVALID, "'logit_bias'"},
        {"{\"logit_bias\":{\"1\":true}}", ERR_INVALID, "'logit_bias'"},
        {"{\"logit_bias\":{\"1\":1e9}}", ERR_INVALID, "'logit_bias'"},
        {"{\"logit_bias\":{\"99999999999\":1}}", ERR_INVALID, "'logit_bias'"},
        {"{\"logit_bias\":[1,2]}", ERR_INVALID, "'logit_bias'"},
        {"{\"logit_bias\":[[1]]}", ERR_INVALID, "'logit_bias'"},
        {"{\"logit_bias\":[[\"a\",1]]}", ERR_INVALID, "'logit_bias'"},
        {"{\"model\":1}", ERR_INVALID, "'model'"},
        {"{\"response_format\":\"json\"}", ERR_INVALID, "'response_format'"},
        {"{\"response_format\":{}}", ERR_INVALID, "'response_format'"},
        {"{\"response_format\":{\"type\":\"xml\"}}", ERR_INVALID, "'xml'"},
        {"{\"response_format\":{\"type\":\"json_schema\"}}", ERR_INVALID, "'json_schema'"},
        {"{\"grammar\":\"root ::= a\"}", ERR_INVALID, "'grammar'"},
        {"{\"json_schema\":{\"contains\":{}}}", ERR_INVALID, "'contains'"},
        {"{\"json_schema\":{},\"grammar\":\"root ::= \\\"a\\\"\"}", ERR_INVALID, "only one"},
        {"{\"mirostat\":2}", ERR_UNSUPPORTED, "'mirostat'"},
        {"{\"mirostat\":\"x\"}", ERR_INVALID, "'mirostat'"},
        {"{\"best_of\":3}", ERR_UNSUPPORTED, "'best_of'"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = ERROR_INIT;
        CLEANUP_JSON struct json *body = parse(rows[i].body);
        struct params p;
        int r = params_parse(body, PARAMS_CHAT, &defaults, &p, &err);
        if (r != -(int)rows[i].code || !strstr(err.msg, rows[i].part))
            fail_msg("%s: %d '%s'", rows[i].body, r, err.msg);
        params_release(&p);
    }
}

static void test_params__engine_defaults(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct params_defaults mine = defaults;
    mine.seed = 7;
    mine.n_predict = 5;
    mine.sampling.temperature = 0.25;
    struct json *body = NULL;
    assert_ok(js_parse(STR("{\"top_k\":3}"), "the body", &body, &err));
    struct params p;
    assert_ok(params_parse(body, PARAMS_CHAT, &mine, &p, &err));
    assert_true(p.sampling.seed == 7);
    assert_int_equal(p.n_predict, 5);
    assert_true(p.sampling.temperature > 0.24 && p.sampling.temperature < 0.26);
    assert_int_equal(p.sampling.top_k, 3);
    params_release(&p);
    js_free(body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_params__engine_defaults),
        cmocka_unit_test(test_params__defaults),
        cmocka_unit_test(test_params__all_fields),
        cmocka_unit_test(test_params__other_forms),
        cmocka_unit_test(test_params__refuses_and_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
