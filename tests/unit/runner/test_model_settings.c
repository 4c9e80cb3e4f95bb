/* SPDX-License-Identifier: Apache-2.0
 *
 * Settings of a model: what is accepted, how requests add up, what needs a new process. */
#include "test.h"

#include "runner/model_settings.h"

static struct json *parse(const char *text)
{
    struct error err = ERROR_INIT;
    struct json *v = NULL;
    assert_ok(js_parse(str_from(text), "the test", &v, &err));
    return v;
}

/* Merges `request` over *s in place. */
static int merge(struct model_settings *s, const char *request, struct error *err)
{
    CLEANUP_JSON struct json *v = parse(request);
    struct model_settings merged;
    int r = model_settings_merge(s, v, &merged, err);
    if (r < 0)
        return r;
    model_settings_release(s);
    *s = merged;
    return 0;
}

static void test_model_settings__add_up(void **state)
{
    (void)state;
    static const struct {
        const char *first, *second, *config;
    } rows[] = {
        {"{}", "{}", "{}"},
        {"{\"context-size\":10}", "{}", "{\"context-size\":10}"},
        {"{\"context-size\":10}", "{\"keep_alive\":\"5m\"}",
         "{\"context-size\":10,\"keep_alive\":\"5m\"}"},
        {"{\"context-size\":10}", "{\"context-size\":20}", "{\"context-size\":20}"},
        {"{\"context-size\":10}", "{\"context-size\":null}", "{}"},
        {"{\"model\":\"m\",\"mode\":\"x\",\"other\":1}", "{}", "{}"},
        {"{\"raw-runtime-flags\":\"--temp 0.2  --seed=-1\"}", "{}",
         "{\"runtime-flags\":[\"--temp\",\"0.2\",\"--seed=-1\"]}"},
        {"{\"raw-runtime-flags\":\"--temp '0 2' \\\"\\\" -v\"}", "{}",
         "{\"runtime-flags\":[\"--temp\",\"0 2\",\"\",\"-v\"]}"},
        {"{\"raw-runtime-flags\":\"-v\",\"runtime-flags\":[\"--temp\",\"1\"]}", "{}",
         "{\"runtime-flags\":[\"--temp\",\"1\"]}"},
        {"{\"runtime-flags\":[\"-v\"]}", "{\"runtime-flags\":[]}", "{\"runtime-flags\":[]}"},
        {"{\"llamacpp\":{\"reasoning-budget\":-1}}", "{\"vllm\":{\"hf-overrides\":{\"a_1\":[1]}}}",
         "{\"llamacpp\":{\"reasoning-budget\":-1},\"vllm\":{\"hf-overrides\":{\"a_1\":[1]}}}"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = ERROR_INIT;
        struct model_settings s = MODEL_SETTINGS_INIT;
        assert_ok(merge(&s, rows[i].first, &err));
        assert_ok(merge(&s, rows[i].second, &err));
        char *text = js_text(s.config, JS_COMPACT);
        if (strcmp(text, rows[i].config) != 0)
            fail_msg("row %zu: %s, wanted %s", i, text, rows[i].config);
        free(text);
        model_settings_release(&s);
    }
}

static void test_model_settings__values(void **state)
{
    (void)state;
    static const struct {
        const char *request;
        int64_t context, keep_ns;
        size_t n_flags;
    } rows[] = {
        {"{}", 0, KEEP_DEFAULT, 0},
        {"{\"context-size\":4096}", 4096, KEEP_DEFAULT, 0},
        {"{\"context-size\":-1}", 0, KEEP_DEFAULT, 0},
        {"{\"context-size\":0}", 0, KEEP_DEFAULT, 0},
        {"{\"keep_alive\":\"0\"}", 0, 0, 0},
        {"{\"keep_alive\":\"-1\"}", 0, KEEP_FOREVER, 0},
        {"{\"keep_alive\":\"-1m\"}", 0, KEEP_FOREVER, 0},
        {"{\"keep_alive\":\"1h30m\"}", 0, INT64_C(5400000000000), 0},
        {"{\"runtime-flags\":[\"-t\",\"4\",\"-s\",\"-1\"]}", 0, KEEP_DEFAULT, 4},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = ERROR_INIT;
        struct model_settings s = MODEL_SETTINGS_INIT;
        assert_ok(merge(&s, rows[i].request, &err));
        assert_int_equal(s.context_size, rows[i].context);
        assert_true(s.keep_alive_ns == rows[i].keep_ns);
        assert_int_equal(s.n_flags, rows[i].n_flags);
        model_settings_release(&s);
    }
}

static void test_model_settings__refuses(void **state)
{
    (void)state;
    static const struct {
        const char *request, *part;
    } rows[] = {
        {"{\"context-size\":\"x\"}", "context-size"},
        {"{\"context-size\":1.5}", "context-size"},
        {"{\"context-size\":99999999999}", "context-size"},
        {"{\"keep_alive\":\"\"}", "keep_alive"},
        {"{\"keep_alive\":\"abc\"}", "keep_alive"},
        {"{\"keep_alive\":300}", "keep_alive"},
        {"{\"runtime-flags\":\"-v\"}", "runtime-flags"},
        {"{\"runtime-flags\":[[]]}", "runtime-flags"},
        {"{\"runtime-flags\":[\"--no-such\"]}", "\"--no-such\" is not allowed"},
        {"{\"raw-runtime-flags\":\"--temp 'x\"}", "quote"},
        {"{\"vllm\":{\"hf-overrides\":{\"a\":{\"b\":[{\"c d\":1}]}}}}", "hf-overrides"},
        {"{\"vllm\":{\"hf-overrides\":{\"1a\":1}}}", "hf-overrides"},
        {"{\"vllm\":{\"hf-overrides\":{\"\":1}}}", "hf-overrides"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = ERROR_INIT;
        struct model_settings s = MODEL_SETTINGS_INIT;
        assert_fails(merge(&s, rows[i].request, &err), ERR_INVALID, rows[i].part);
    }
}

static void test_model_settings__same_process(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool same;
    } rows[] = {
        {"{}", "{}", true},
        {"{}", "{\"keep_alive\":\"5m\"}", true},
        {"{\"keep_alive\":\"1m\",\"context-size\":5}", "{\"context-size\":5}", true},
        {"{}", "{\"context-size\":5}", false},
        {"{\"runtime-flags\":[\"-v\"]}", "{\"runtime-flags\":[]}", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = ERROR_INIT;
        struct model_settings a = MODEL_SETTINGS_INIT, b = MODEL_SETTINGS_INIT, copy;
        assert_ok(merge(&a, rows[i].a, &err));
        assert_ok(merge(&b, rows[i].b, &err));
        if (model_settings_same_process(&a, &b) != rows[i].same)
            fail_msg("row %zu", i);
        assert_int_equal(model_settings_copy(&b, &copy), 0);
        assert_true(model_settings_same_process(&b, &copy));
        model_settings_release(&a);
        model_settings_release(&b);
        model_settings_release(&copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model_settings__add_up),
        cmocka_unit_test(test_model_settings__values),
        cmocka_unit_test(test_model_settings__refuses),
        cmocka_unit_test(test_model_settings__same_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
