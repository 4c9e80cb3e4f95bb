/* SPDX-License-Identifier: Apache-2.0
 *
 * What a model sees of the calls that it made before: one conversation with text, calls and results
 * rendered with every template of ../shared/conformance/templates (or MR_SHARED). Whatever a
 * template knows of tools, nothing of the conversation may be lost. */
#include "test.h"

#include <dirent.h>

#include "base/buf.h"
#include "base/file.h"
#include "engine/api/chat_template.h"
#include "shared_set.h"

enum { FILE_MAX_BYTES = 16 << 20 };

#define TOOLS                                                                                    \
    "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"find_weather\","                 \
    "\"description\":\"Tells the weather\",\"parameters\":{\"type\":\"object\",\"properties\":{" \
    "\"city\":{\"type\":\"string\",\"description\":\"Where\"},"                                  \
    "\"days\":{\"type\":\"integer\",\"description\":\"How many\"}},\"required\":[\"city\"]}}},"  \
    "{\"type\":\"function\",\"function\":{\"name\":\"find_train\",\"description\":\"Trains\","   \
    "\"parameters\":{\"type\":\"object\",\"properties\":{\"to\":{\"type\":\"string\","           \
    "\"description\":\"Where to\"}},\"required\":[\"to\"]}}}]"
#define WEATHER                                                                            \
    "{\"id\":\"call12345\",\"type\":\"function\",\"function\":{\"name\":\"find_weather\"," \
    "\"arguments\":\"{\\\"city\\\":\\\"Tromsoe\\\",\\\"days\\\":37}\"}}"
#define TRAIN                                                                            \
    "{\"id\":\"call67890\",\"type\":\"function\",\"function\":{\"name\":\"find_train\"," \
    "\"arguments\":\"{\\\"to\\\":\\\"Narvik\\\"}\"}}"
#define USER(text) "{\"role\":\"user\",\"content\":\"" text "\"}"
#define RESULT(id, name, text) \
    "{\"role\":\"tool\",\"tool_call_id\":\"" id "\",\"name\":\"" name "\",\"content\":\"" text "\"}"
#define CALLS(content, calls) \
    "{\"role\":\"assistant\",\"content\":" content ",\"tool_calls\":[" calls "]}"
#define ANSWER(text) "{\"role\":\"assistant\",\"content\":\"" text "\"}"

/* What is said, and the texts that must appear, each behind the one before; where calls have to be
 * told one by one, results stand between them. */
static const struct {
    const char *name, *body, *texts[8];
    bool any_order;
} talks[] = {
    {"one call",
     "{\"messages\":[" USER("Ask-one") "," CALLS("null", WEATHER) "," RESULT(
         "call12345", "find_weather", "Snow-falls") "]," TOOLS "}",
     {"Ask-one", "find_weather", "Tromsoe", "Snow-falls"}},
    {"two rounds",
     "{\"messages\":[" USER("Ask-one") "," CALLS("null", WEATHER) "," RESULT("call12345", "find_weather", "Snow-falls") "," ANSWER(
         "It-will-snow") "," USER("Ask-two") "," CALLS("null",
                                                       TRAIN) "," RESULT("call67890", "find_train",
                                                                         "Leaves-at-noon") "]"
                                                                                           "," TOOLS
                                                                                           "}",
     {"Ask-one", "Tromsoe", "Snow-falls", "It-will-snow", "Ask-two", "Narvik", "Leaves-at-noon"}},
    {"a round that is over",
     "{\"messages\":[" USER("Ask-one") "," CALLS("null", WEATHER) "," RESULT(
         "call12345", "find_weather",
         "Snow-falls") "," ANSWER("It-will-snow") "," USER("Ask-two") "]," TOOLS "}",
     {"Ask-one", "Tromsoe", "Snow-falls", "It-will-snow", "Ask-two"}},
    {"two calls at once",
     "{\"messages\":[" USER("Ask-one") "," CALLS("null", WEATHER "," TRAIN) "," RESULT(
         "call12345", "find_weather", "Snow-falls") "," RESULT("call67890", "find_train",
                                                               "Leaves-at-noon") "]," TOOLS "}",
     {"Ask-one", "Tromsoe", "Narvik", "Snow-falls", "Leaves-at-noon"},
     .any_order = true},
    {"text before a call",
     "{\"messages\":[" USER("Ask-one") "," CALLS("\"I-will-look\"", WEATHER) "," RESULT(
         "call12345", "find_weather", "Snow-falls") "]," TOOLS "}",
     {"Ask-one", "I-will-look", "Tromsoe", "Snow-falls"}},
    {"tools are no longer there",
     "{\"messages\":[" USER("Ask-one") "," CALLS("\"\"", WEATHER) "," RESULT(
         "call12345", "find_weather", "Snow-falls") "]}",
     {"Ask-one", "find_weather", "Tromsoe", "Snow-falls"}},
};

/* Templates that leave out, or put behind the calls, what is said in front of them: transformers
 * and llama.cpp show the model the same. */
static bool drops_text(const char *file, size_t talk)
{
    static const char *const files[] = {"CohereForAI-c4ai-command-r7b",
                                        "meta-llama-Llama-3.1",
                                        "meta-llama-Llama-3.2",
                                        "mistralai-Mistral-Nemo",
                                        "Mistral-Large-2407",
                                        "Mistral-Small-3.2",
                                        "NousResearch-Hermes-2-Pro",
                                        "google-gemma-4",
                                        "deepseek-ai-DeepSeek-R1-Distill-Qwen",
                                        "ollama-gemma4"};
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        if (strncmp(file, files[i], strlen(files[i])) == 0)
            return strcmp(talks[talk].name, "text before a call") == 0;
    return false;
}

static bool check(const struct chat_template *t, size_t talk, const char *file)
{
    struct error err = ERROR_INIT;
    CLEANUP_JSON struct json *body = NULL;
    assert_ok(js_parse(str_from(talks[talk].body), "a body", &body, &err));
    CLEANUP(chat_prompt_release) struct chat_prompt p = {0};
    assert_ok(chat_prompt_parse(body, &p, &err));
    CLEANUP_BUF struct buf out = BUF_INIT(FILE_MAX_BYTES);
    if (chat_template_render(t, &p, &out, &err) < 0) {
        print_error("%s: %s: %s\n", file, talks[talk].name, err.msg);
        return false;
    }
    struct str rest = buf_str(&out);
    for (const char *const *text = talks[talk].texts; *text; text++) {
        ptrdiff_t at = str_find(rest, str_from(*text));
        if (at < 0) {
            print_error("%s: %s: '%s' is missing in\n%.*s\n", file, talks[talk].name, *text,
                        (int)out.len, buf_cstr(&out));
            return false;
        }
        if (!talks[talk].any_order)
            rest = str_sub(rest, (size_t)at + strlen(*text), SIZE_MAX);
    }
    return true;
}

static void test_tool_history__published(void **state)
{
    (void)state;
    CLEANUP_FREE char *path = shared_path("conformance/templates");
    DIR *dir = opendir(path);
    if (!dir)
        skip();
    int n = 0, failed = 0;
    for (struct dirent *e; (e = readdir(dir));) {
        if (!str_ends_with(str_from(e->d_name), STR(".jinja")))
            continue;
        struct error err = ERROR_INIT;
        CLEANUP_FREE char *file = path_join(path, e->d_name);
        CLEANUP_BUF struct buf text = BUF_INIT(FILE_MAX_BYTES);
        assert_ok(file_read(file, &text, &err));
        bool with_tools_only = str_ends_with(str_from(e->d_name), STR("-tool-use.jinja"));
        struct chat_template_sources src = {.bos = STR("<s>"), .eos = STR("</s>")};
        *(with_tools_only ? &src.tool_use : &src.plain) = buf_str(&text);
        struct chat_template *t;
        assert_ok(chat_template_create(&src, &t, &err));
        for (size_t i = 0; i < ARRAY_LEN(talks); i++, n++)
            failed += !drops_text(e->d_name, i) && !check(t, i, e->d_name);
        chat_template_free(t);
    }
    closedir(dir);
    print_message("%d conversations, %d failed\n", n, failed);
    assert_true(n > 0);
    assert_int_equal(failed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_tool_history__published)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
