/* SPDX-License-Identifier: Apache-2.0
 *
 * Dialects of published templates: those of ../shared/conformance/templates (or MR_SHARED), and
 * pieces of others. */
#include "test.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "engine/dialect/dialect.h"
#include "shared_set.h"

static void check(struct dialect d, const char *what, const char *calls, const char *reasoning)
{
    const char *has = d.reasoning ? d.reasoning->name : "none";
    if (strcmp(d.calls->name, calls) != 0 || strcmp(has, reasoning) != 0)
        fail_msg("%s: %s and %s, wanted %s and %s", what, d.calls->name, has, calls, reasoning);
    if (d.has_tools != (strcmp(calls, "generic") != 0))
        fail_msg("%s: has_tools is wrong", what);
}

static void test_detect__published(void **state)
{
    (void)state;
    static const struct {
        const char *file, *calls, *reasoning;
    } rows[] = {
        {"Bielik-11B-v3.0-Instruct", "hermes", "think"},
        {"ByteDance-Seed-OSS", "seed-oss", "seed"},
        {"ChatGLM4", "generic", "none"},
        {"CohereForAI-c4ai-command-r-plus-tool-use", "command-r", "none"},
        {"CohereForAI-c4ai-command-r-plus", "generic", "none"},
        {"CohereForAI-c4ai-command-r7b-12-2024-tool-use", "command-r7b", "command"},
        {"GLM-4.6", "glm", "think"},
        {"HuggingFaceTB-SmolLM3-3B", "generic", "think"},
        {"Kimi-K2-Instruct", "kimi-k2", "none"},
        {"Kimi-K2-Thinking", "kimi-k2", "think"},
        {"LFM2-8B-A1B", "lfm2", "none"},
        {"Llama-3", "generic", "none"},
        {"MiMo-VL", "hermes", "none"},
        {"MiniMax-M2", "minimax-m2", "think"},
        {"Mistral-7B-v0.2-v1", "generic", "none"},
        {"Mistral-Large-2407-v3", "mistral", "none"},
        {"Mistral-Small-3.2-24B-Instruct-2506", "mistral-args", "none"},
        {"NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", "qwen3-coder", "think"},
        {"NVIDIA-Nemotron-Nano-v2", "nemotron-v2", "think"},
        {"NousResearch-Hermes-2-Pro-Llama-3-8B-tool-use", "hermes", "none"},
        {"Phi-3-mini", "generic", "none"},
        {"Qwen-QwQ-32B", "hermes", "think"},
        {"Qwen-Qwen2.5-7B-Instruct", "hermes", "none"},
        {"Qwen-Qwen3-0.6B", "hermes", "think"},
        {"Qwen3-Coder", "qwen3-coder", "none"},
        {"Qwen3.5-4B", "qwen3-coder", "think"},
        {"deepseek-ai-DeepSeek-R1-Distill-Llama-8B", "deepseek-r1", "think"},
        {"deepseek-ai-DeepSeek-R1-Distill-Qwen-32B", "deepseek-r1", "think"},
        {"deepseek-ai-DeepSeek-V3.1", "deepseek-v3.1", "think"},
        {"llama-cpp-deepseek-r1", "deepseek-r1", "think"},
        {"google-gemma-2-2b-it", "generic", "none"},
        {"google-gemma-4-31B-it", "gemma4", "gemma4"},
        {"ollama-gemma4-31b", "gemma4", "gemma4"},
        {"granite-3.x-tool-call-reduced", "granite", "none"},
        {"granite-4.0-tool-call-reduced", "granite", "none"},
        {"ibm-granite-granite-3.0-8b-instruct", "granite", "none"},
        {"ibm-granite-granite-3.3-2B-Instruct", "granite", "think"},
        {"meetkai-functionary-medium-v3.1", "functionary-v3.1", "none"},
        {"meta-llama-Llama-3.1-8B-Instruct", "llama3", "none"},
        {"meta-llama-Llama-3.2-3B-Instruct", "llama3", "none"},
        {"mistralai-Mistral-Nemo-Instruct-2407", "mistral", "none"},
        {"moonshotai-Kimi-K2", "kimi-k2", "none"},
        {"openai-gpt-oss-120b", "harmony", "harmony"},
        {"poolside-Laguna-XS.2", "glm", "think"},
        {"phi-4", "generic", "none"},
    };
    char *dir = shared_path("conformance/templates");
    if (access(dir, F_OK) != 0) {
        print_message("%s is not there: published templates are not looked at\n", dir);
        free(dir);
        skip();
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = ERROR_INIT;
        CLEANUP_BUF struct buf text = BUF_INIT(1 << 20);
        char name[128];
        snprintf(name, sizeof(name), "%s.jinja", rows[i].file);
        char *path = path_join(dir, name);
        assert_ok(file_read(path, &text, &err));
        free(path);
        check(dialect_detect(buf_str(&text), NULL, NULL), rows[i].file, rows[i].calls,
              rows[i].reasoning);
    }
    free(dir);
}

static bool has_it(void *ctx, struct str text)
{
    return str_eq_c(text, ctx);
}

static void test_detect__pieces(void **state)
{
    (void)state;
    static const struct {
        const char *text, *calls, *reasoning;
    } rows[] = {
        {"", "generic", "none"},
        {"{{ '<｜DSML｜function_calls>' }}", "deepseek-v3.2", "none"},
        {"'>>>all\\n' + message['content']", "functionary-v3.2", "none"},
        {"<|tool|> <|/tool|>", "phi4-mini", "none"},
        {"' functools['", "functools", "none"},
        {"<|tools_prefix|> <|inner_prefix|>", "apertus", "apertus"},
        {"<tool_calls>[ [BEGIN FINAL RESPONSE]", "tool-calls-tag", "apriel"},
        {"[TOOL_CALLS] [ARGS] [THINK]", "mistral-args", "mistral"},
        {"<start_function_call>call:", "functiongemma", "none"},
        {"content.split('</think>')", "generic", "think"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check(dialect_detect(str_from(rows[i].text), NULL, NULL), rows[i].text, rows[i].calls,
              rows[i].reasoning);
    struct dialect d = dialect_detect(STR("plain"), has_it, (void *)(uintptr_t) "<tool_call>");
    assert_string_equal(d.calls->name, "hermes");
    assert_false(d.has_tools);
}

/* Every row of the table can be used. */
static void test_detect__tables(void **state)
{
    (void)state;
    size_t n = 0;
    for (const struct call_format *f = dialect_call_formats; f->name; f++, n++) {
        assert_ptr_equal(dialect_call_format(str_from(f->name)), f);
        bool headed =
            f->style == CALLS_HEADED || f->style == CALLS_PARAMS || f->style == CALLS_BRACES;
        if (headed != (f->head[0] != NULL) && f->style != CALLS_JSON)
            fail_msg("%s: heads", f->name);
        if ((f->style == CALLS_PARAMS) != (f->param && f->key_end[0] && f->param_end))
            fail_msg("%s: parameters", f->name);
        if ((f->style == CALLS_HARMONY) == (f->begin[0] != NULL))
            fail_msg("%s: begin", f->name);
    }
    assert_true(n > 30);
    assert_string_equal(dialect_call_formats[n - 1].name, "generic");
    for (const struct reasoning_format *r = dialect_reasoning_formats; r->name; r++)
        assert_non_null(strstr(r->force, r->close));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_detect__published),
        cmocka_unit_test(test_detect__pieces),
        cmocka_unit_test(test_detect__tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
