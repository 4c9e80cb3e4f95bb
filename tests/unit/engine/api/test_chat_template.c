/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/api/chat_template.h"
#include "test.h"

static struct json *parse(const char *text)
{
    struct error err = ERROR_INIT;
    struct json *v = NULL;
    assert_ok(js_parse(str_from(text), "a body", &v, &err));
    return v;
}

/* Renders the body; fails the test unless the outcome is `want`, or an error with `part`. */
static void check(const struct chat_template_sources *src, const char *body, const char *want,
                  const char *part)
{
    struct error err = ERROR_INIT;
    struct chat_template *t;
    assert_ok(chat_template_create(src, &t, &err));
    CLEANUP_JSON struct json *v = parse(body);
    CLEANUP_BUF struct buf out = BUF_INIT(1 << 20);
    CLEANUP(chat_prompt_release) struct chat_prompt p = {0};
    int r = chat_prompt_parse(v, &p, &err);
    if (r == 0)
        r = chat_template_render(t, &p, &out, &err);
    if (want && (r < 0 || !str_eq_c(buf_str(&out), want)))
        fail_msg("%s: %s", body, r < 0 ? err.msg : buf_cstr(&out));
    if (part && (r == 0 || !strstr(err.msg, part)))
        fail_msg("%s: %s", body, r < 0 ? err.msg : buf_cstr(&out));
    chat_template_free(t);
}

static void test_chat_template__default_is_chatml(void **state)
{
    (void)state;
    const struct chat_template_sources none = {.bos = STR("<s>"), .eos = STR("</s>")};
    check(&none,
          "{\"messages\":[{\"role\":\"system\",\"content\":\"S\"},{\"role\":\"user\","
          "\"content\":\"U\"}]}",
          "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\n",
          NULL);
    check(&none,
          "{\"messages\":[{\"role\":\"developer\",\"content\":\"S\"}],"
          "\"add_generation_prompt\":false}",
          "<|im_start|>system\nS<|im_end|>\n", NULL);
    check(&none,
          "{\"messages\":[{\"role\":\"assistant\",\"content\":null}],"
          "\"add_generation_prompt\":false}",
          "<|im_start|>assistant\n<|im_end|>\n", NULL);
}

static void test_chat_template__variables(void **state)
{
    (void)state;
    const struct chat_template_sources src = {
        .bos = STR("<s>"),
        .eos = STR("</s>"),
        .plain = STR("{{ bos_token }}{{ eos_token }}{{ tools is none }}{{ documents is none }}"
                     "{{ add_generation_prompt }}{{ think|default('unset') }}"),
        .tool_use = STR("{{ tools[0].function.name }}"),
    };
#define MESSAGES "\"messages\":[{\"role\":\"user\",\"content\":\"U\"}]"
#define TOOLS "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]"
    check(&src, "{" MESSAGES "}", "<s></s>TrueTrueTrueunset", NULL);
    check(&src, "{" MESSAGES ",\"chat_template_kwargs\":{\"think\":false,\"bos_token\":\"X\"}}",
          "<s></s>TrueTrueTrueFalse", NULL);
    check(&src, "{" MESSAGES "," TOOLS "}", "f", NULL);
    check(&src, "{" MESSAGES "," TOOLS ",\"tool_choice\":\"auto\"}", "f", NULL);
    check(&src, "{" MESSAGES "," TOOLS ",\"tool_choice\":\"none\"}", "<s></s>TrueTrueTrueunset",
          NULL);
    check(&src, "{" MESSAGES "," TOOLS ",\"tool_choice\":\"required\"}", "f", NULL);
    check(&src, "{" MESSAGES "," TOOLS ",\"tool_choice\":\"some\"}", NULL, "'tool_choice'");
    check(&src, "{" MESSAGES ",\"tool_choice\":{\"type\":\"function\"}}", NULL, "'tool_choice'");
    check(&src, "{" MESSAGES ",\"tools\":7}", NULL, "'tools'");
    check(&src, "{" MESSAGES ",\"chat_template_kwargs\":[]}", NULL, "'chat_template_kwargs'");
    check(&src, "{" MESSAGES ",\"add_generation_prompt\":3}", NULL, "'add_generation_prompt'");
    check(&src, "{}", NULL, "'messages'");
}

static void test_chat_template__raises(void **state)
{
    (void)state;
    const struct chat_template_sources src = {
        .plain =
            STR("{% if messages[0].role != 'user' %}{{ raise_exception('roles must alternate') }}"
                "{% endif %}ok"),
    };
    check(&src, "{" MESSAGES "}", "ok", NULL);
    check(&src, "{\"messages\":[{\"role\":\"system\",\"content\":\"\"}]}", NULL,
          "roles must alternate");
}

/* Arguments of tool calls: the value where the template wants one, the text where it needs that. */
static void test_chat_template__tool_call_arguments(void **state)
{
    (void)state;
    const char *body = "{\"messages\":[{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{"
                       "\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":"
                       "\"{\\\"a\\\":1}\"}}]}]}";
    const struct chat_template_sources wants_value = {
        .plain = STR("{{ messages[0].tool_calls[0].function.arguments.a + 1 }}")};
    check(&wants_value, body, "2", NULL);
    const struct chat_template_sources wants_text = {
        .plain = STR("{{ 'x' + messages[0].tool_calls[0].function.arguments }}")};
    check(&wants_text, body, "x{\"a\":1}", NULL);
}

static void test_chat_template__sources(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct chat_template *t = NULL;
    struct chat_template_sources src = {.plain = STR("{% if %}")};
    assert_true(chat_template_create(&src, &t, &err) < 0);
    assert_null(t);
    src = (struct chat_template_sources){.file = "/nonexistent/template"};
    assert_fails(chat_template_create(&src, &t, &err), ERR_NOT_FOUND, "/nonexistent/template");
}

/* Templates that walk over parts get parts, whatever the client sent; others get text. */
static void test_chat_template__parts(void **state)
{
    (void)state;
    const struct chat_template_sources walks = {
        .bos = STR("<s>"),
        .eos = STR("</s>"),
        .plain = STR("{% for m in messages %}[{{ m.role }}{% for line in m.content or [] %}"
                     "{% if line.type == 'text' %}:{{ line.text }}{% endif %}{% endfor %}]"
                     "{% endfor %}"),
    };
    check(&walks, "{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}", "[user:Hi]", NULL);
    check(&walks,
          "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},"
          "{\"type\":\"text\",\"text\":\"b\"}]},{\"role\":\"assistant\",\"content\":null}]}",
          "[user:a\nb][assistant]", NULL);
    const struct chat_template_sources both = {
        .bos = STR("<s>"),
        .eos = STR("</s>"),
        .plain = STR("{% for m in messages %}{% if m.content is string %}{{ m.content }}"
                     "{% else %}parts{% endif %}{% endfor %}"),
    };
    check(&both, "{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}", "Hi", NULL);
}

/* What our own answers have as content, null, in a template that looks into it. */
static void test_chat_template__null_content(void **state)
{
    (void)state;
    const struct chat_template_sources src = {
        .plain = STR("{% for m in messages %}{{ 'yes' if 'x' in m.content else 'no' }}"
                     "{% for c in m.tool_calls or [] %}{% for v in c.function.arguments.values() %}"
                     ":{{ v }}{% endfor %}{% endfor %},{% endfor %}{{ tools if tools }}")};
    check(
        &src,
        "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"},{\"role\":\"assistant\",\"content\":"
        "null,\"tool_calls\":[{\"id\":\"c\",\"type\":\"function\",\"function\":{\"name\":\"f\","
        "\"arguments\":\"{\\\"a\\\":1}\"}}]}]}",
        "yes,no:1,", NULL);
}

/* A template without tools: they are told in words, and so is what was called. */
static void test_chat_template__tools_in_words(void **state)
{
    (void)state;
    static const char talk[] =
        "{\"messages\":[{\"role\":\"user\",\"content\":\"w?\"},{\"role\":\"assistant\",\"content\":"
        "null,\"tool_calls\":[{\"id\":\"c\",\"type\":\"function\",\"function\":{\"name\":\"f\","
        "\"arguments\":\"{\\\"a\\\":1}\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"c\",\"content\":"
        "\"42\"},{\"role\":\"user\",\"content\":\"so?\"}]}";
    const struct chat_template_sources plain = {
        .plain = STR("{% for m in messages %}[{{ m.role }}|{{ m.content }}]{% endfor %}")};
    check(&plain, talk,
          "[user|w?][assistant|<tool_call>\n{\"name\": \"f\", \"arguments\": "
          "{\"a\":1}}\n</tool_call>]"
          "[user|<tool_response>\n42\n</tool_response>\nso?]",
          NULL);
    /* nothing is joined where no tool speaks */
    check(&plain,
          "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"user\","
          "\"content\":\"b\"}]}",
          "[user|a][user|b]", NULL);
    /* a template that has no system gets the instruction from the user */
    const struct chat_template_sources no_system = {
        .plain = STR("{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}"
                     "{% endif %}{% set c = messages[0].content %}{{ messages[0].role }}:"
                     "{{ c[-4:] + ':told' if '\"name\":\"f\"' in c else c }}")};
    check(&no_system,
          "{\"messages\":[{\"role\":\"user\",\"content\":\"now?\"}],\"tools\":[{\"type\":"
          "\"function\",\"function\":{\"name\":\"f\"}}]}",
          "user:now?:told", NULL);
}

/* Templates that show the tools but not what was called, or one call of a message alone. */
static void test_chat_template__hidden_calls(void **state)
{
    (void)state;
#define CALL(id, value)                                                                    \
    "{\"id\":\"" id "\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":" \
    "\"{\\\"a\\\": " value "}\"}}"
    static const char two[] =
        "{\"messages\":[{\"role\":\"user\",\"content\":\"w?\"},{\"role\":\"assistant\",\"content\":"
        "null,\"tool_calls\":[" CALL("x", "1") "," CALL(
            "y", "2") "]},{\"role\":\"tool\","
                      "\"tool_call_id\":\"y\",\"content\":\"second\"},{\"role\":\"tool\",\"tool_"
                      "call_id\":\"x\","
                      "\"content\":\"first\"}]}";
    const struct chat_template_sources hides = {
        .plain = STR("{{ tools if tools }}{# <|tool_call_start|> #}"
                     "{% for m in messages %}[{{ m.role }}|{{ m.content }}]{% endfor %}")};
    check(&hides, two,
          "[user|w?][assistant|<|tool_call_start|>[f(a=1), f(a=2)]<|tool_call_end|>]"
          "[tool|second][tool|first]",
          NULL);
    const struct chat_template_sources one = {
        .plain = STR("{{ tools if tools }}{% for m in messages %}[{{ m.role }}|"
                     "{% if m.tool_calls %}{{ m.tool_calls[0].function.arguments }}"
                     "{% else %}{{ m.content }}{% endif %}]{% endfor %}")};
    check(&one, two, "[user|w?][assistant|{'a': 1}][tool|first][assistant|{'a': 2}][tool|second]",
          NULL);
    /* no calls, but the text of them, where only that can be put together */
    const struct chat_template_sources asks_for_none = {
        .plain = STR("{{ tools if tools }}{% for m in messages %}{% if m.content is none %}"
                     "{{ m.tool_calls[0].function.arguments + ';' }}{% endif %}{% endfor %}")};
    check(&asks_for_none, two, "{\"a\": 1};{\"a\": 2};", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chat_template__parts),
        cmocka_unit_test(test_chat_template__default_is_chatml),
        cmocka_unit_test(test_chat_template__variables),
        cmocka_unit_test(test_chat_template__raises),
        cmocka_unit_test(test_chat_template__tool_call_arguments),
        cmocka_unit_test(test_chat_template__null_content),
        cmocka_unit_test(test_chat_template__tools_in_words),
        cmocka_unit_test(test_chat_template__hidden_calls),
        cmocka_unit_test(test_chat_template__sources),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
