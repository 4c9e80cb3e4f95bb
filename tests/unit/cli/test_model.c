/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows and filters of `list`, what `ps` shows, names for packaged files. */
#include "test.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cli/model.h"
#include "cli/package.h"
#include "cli/ps_view.h"

#define ID_1 "sha256:1111111111111111111111111111111111111111111111111111111111111111"
#define ID_2 "sha256:2222222222222222222222222222222222222222222222222222222222222222"
#define ID_3 "sha256:3333333333333333333333333333333333333333333333333333333333333333"

static struct json *parse(const char *text)
{
    struct error err = ERROR_INIT;
    struct json *v = NULL;
    assert_ok(js_parse(str_from(text), "the test", &v, &err));
    return v;
}

/* "name,name,…" of the rows a filter keeps. */
static char *names(const char *models, const char *filter_text)
{
    struct json *v = parse(models);
    struct error err = ERROR_INIT;
    struct model_filter filter, *used = NULL;
    if (filter_text) {
        assert_ok(model_filter_parse(filter_text, &filter, &err));
        used = &filter;
    }
    struct model_rows rows;
    model_rows_make(v, used, &rows);
    struct buf out = BUF_INIT(4096);
    buf_append_c(&out, "");
    for (size_t i = 0; i < rows.n; i++)
        buf_printf(&out, "%s%s", i > 0 ? "," : "", rows.rows[i].name);
    model_rows_release(&rows);
    js_free(v);
    char *text = buf_take(&out);
    return text ? text : strdup("");
}

static const char models[] =
    "[{\"id\":\"" ID_1 "\",\"tags\":[\"docker.io/ai/smollm2:latest\","
    "\"docker.io/ai/smollm2:360M\",\"docker.io/ai/smollm2:135M\"]},"
    "{\"id\":\"" ID_2 "\",\"tags\":[\"docker.io/myorg/Smollm2:latest\",\"hf.co/b/m:latest\"]},"
    "{\"id\":\"" ID_3 "\"},"
    "{\"tags\":[7,null,{}]},"
    "17]";

static void test_rows__sorted_by_name_then_variant(void **state)
{
    (void)state;
    char *got = names(models, NULL);
    assert_string_equal(got,
                        "<none>,<none>,hf.co/b/m,myorg/Smollm2,smollm2,smollm2:135M,smollm2:360M");
    free(got);
    got = names("[]", NULL);
    assert_string_equal(got, "");
    free(got);
}

static void test_rows__filters(void **state)
{
    (void)state;
    static const struct {
        const char *filter, *want;
    } cases[] = {
        {"smollm2", "smollm2,smollm2:135M,smollm2:360M"},
        {"SmolLM2", "smollm2,smollm2:135M,smollm2:360M"},
        {"ai/smollm2", "smollm2,smollm2:135M,smollm2:360M"},
        {"docker.io/ai/smollm2", "smollm2,smollm2:135M,smollm2:360M"},
        {"index.docker.io/ai/smollm2", "smollm2,smollm2:135M,smollm2:360M"},
        {"smollm2:latest", "smollm2"},
        {"smollm2:135M", "smollm2:135M"},
        {"smollm2:135m", ""},
        {"smoll", ""},
        {"myorg/smollm2", "myorg/Smollm2"},
        {"hf.co/b/m", "hf.co/b/m"},
        {"localhost:5000/smollm2", ""},
        {"333333333333", "<none>"},
        {ID_1, "smollm2,smollm2:135M,smollm2:360M"},
        {"smollm2@" ID_2, "hf.co/b/m,myorg/Smollm2"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *got = names(models, cases[i].filter);
        if (strcmp(got, cases[i].want) != 0)
            fail_msg("filter '%s' keeps '%s', wanted '%s'", cases[i].filter, got, cases[i].want);
        free(got);
    }
    struct model_filter filter;
    struct error err = ERROR_INIT;
    assert_fails(model_filter_parse("a:b:c", &filter, &err), ERR_INVALID, "a:b:c");
}

static void test_model__short_id(void **state)
{
    (void)state;
    assert_str(model_short_id(STR("sha256:0123456789abcdef0123")), "0123456789ab");
    assert_str(model_short_id(STR("short")), "short");
    assert_str(model_short_id(STR("")), "");
}

static void test_model__context(void **state)
{
    (void)state;
    static const struct {
        const char *model, *want;
    } cases[] = {
        {"{\"config\":{\"context_size\":4096,\"gguf\":{\"llama.context_length\":\"8192\"}}}",
         "4096"},
        {"{\"config\":{\"gguf\":{\"llama.context_length\":\"8192\"}}}", "8192"},
        {"{\"config\":{\"gguf\":{\"general.architecture\":\"qwen2\",\"qwen2.context_length\":"
         "\"32768\"}}}",
         "32768"},
        {"{\"config\":null}", ""},
        {"{}", ""},
        {"{\"config\":{\"context_size\":\"7\"}}", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct json *model = parse(cases[i].model);
        char space[32];
        assert_string_equal(model_context(model, space), cases[i].want);
        js_free(model);
    }
}

static void test_ps__until(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct timespec now;
    assert_ok(clock_parse_rfc3339(STR("2026-07-22T10:00:00Z"), &now, &err));
    static const struct {
        const char *row, *want;
    } cases[] = {
        {"{\"loading\":true,\"keep_alive\":\"-1\"}", "Loading..."},
        {"{\"keep_alive\":\"-1\",\"last_used\":\"2026-07-22T10:00:00Z\"}", "Forever"},
        {"{\"in_use\":true,\"last_used\":\"0001-01-01T00:00:00Z\"}", "5 minutes from now"},
        {"{\"in_use\":true,\"keep_alive\":\"10m0s\"}", "10 minutes from now"},
        {"{\"last_used\":\"2026-07-22T09:58:30Z\"}", "3 minutes from now"},
        {"{\"last_used\":\"2026-07-22T11:56:00.5+02:00\"}", "About a minute from now"},
        {"{\"last_used\":\"2026-07-22T09:54:00Z\"}", "Expiring"},
        {"{\"last_used\":\"2026-07-22T10:00:00Z\",\"keep_alive\":\"0s\"}", "Expiring"},
        {"{\"last_used\":\"2026-07-22T10:00:00Z\",\"keep_alive\":\"1h0m0s\"}",
         "About an hour from now"},
        {"{\"last_used\":\"nonsense\"}", "5 minutes from now"},
        {"{\"last_used\":\"1700-01-01T00:00:00Z\"}", "Expiring"},
        {"{\"last_used\":\"2026-07-22T10:00:00Z\",\"keep_alive\":\"lots\"}", "5 minutes from now"},
        {"{}", "5 minutes from now"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct json *row = parse(cases[i].row);
        char until[PS_UNTIL_MAX];
        ps_until(row, now, until);
        if (strcmp(until, cases[i].want) != 0)
            fail_msg("%s: '%s', wanted '%s'", cases[i].row, until, cases[i].want);
        js_free(row);
    }
}

static void test_ps__model_name(void **state)
{
    (void)state;
    static const struct {
        const char *name, *want;
    } cases[] = {
        {"docker.io/ai/SmolLM2:latest", "smollm2"},
        {"ai/smollm2:360M", "smollm2:360m"},
        {"myorg/m:latest", "myorg/m"},
        {ID_1, "111111111111"},
        {"", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char name[OCI_REFERENCE_TEXT_MAX];
        ps_model_name(str_from(cases[i].name), name);
        assert_string_equal(name, cases[i].want);
    }
}

static void test_package__names_from_files(void **state)
{
    (void)state;
    static const struct {
        const char *path, *want;
    } cases[] = {
        {"./demo.gguf", "local/demo"},
        {"/models/SmolLM2-135M-Instruct.Q4_K_M.gguf", "local/smollm2-135m-instruct.q4_k_m"},
        {"dir/big-00001-of-00003.gguf", "local/big"},
        {"dir/big-0001-of-00003.gguf", "local/big-0001-of-00003"},
        {"./my model (1).GGUF", "local/my-model-1"},
        {"./--x__y..z--.gguf", "local/x_y.z"},
        {"./\xE6\xA8\xA1.gguf", "local/model"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *name = package_name_for(cases[i].path);
        assert_string_equal(name, cases[i].want);
        struct oci_reference ref;
        struct error err = ERROR_INIT;
        assert_ok(oci_reference_parse(str_from(name), NULL, &ref, &err));
        free(name);
    }
}

static void test_package__paths_and_names(void **state)
{
    (void)state;
    static const struct {
        const char *word;
        bool is_file;
    } cases[] = {
        {"smollm2", false},       {"ai/smollm2", false},   {"model.gguf", false},
        {"org/name.gguf", false}, {"./model.gguf", true},  {"../m", true},
        {"/no/such.gguf", true},  {"hf.co/a/b:Q4", false}, {"", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(package_is_local_file(cases[i].word), cases[i].is_file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows__sorted_by_name_then_variant),
        cmocka_unit_test(test_rows__filters),
        cmocka_unit_test(test_model__short_id),
        cmocka_unit_test(test_model__context),
        cmocka_unit_test(test_ps__until),
        cmocka_unit_test(test_ps__model_name),
        cmocka_unit_test(test_package__names_from_files),
        cmocka_unit_test(test_package__paths_and_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
