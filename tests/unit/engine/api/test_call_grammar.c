/* SPDX-License-Identifier: Apache-2.0
 *
 * Grammars of answers and the parser that reads them: whatever the masks of a family's grammar let
 * through is read as calls of the tools that there are, with arguments that fit their schemas. */
#include "test.h"

#include <stdlib.h>
#include <string.h>

#include "engine/api/answer_grammar.h"
#include "engine/dialect/parser.h"
#include "grammar_walk.h"

enum { WALKS = 60 };

static const char tools_text[] =
    "{\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"get_weather\",\"parameters\":"
    "{\"type\":\"object\",\"properties\":{\"city\":{\"type\":\"string\"},\"days\":{\"type\":"
    "\"integer\",\"minimum\":0,\"maximum\":14},\"unit\":{\"type\":\"string\",\"enum\":[\"celsius\","
    "\"fahrenheit\"]},\"wind\":{\"type\":\"boolean\"}},\"required\":[\"city\",\"days\"],"
    "\"additionalProperties\":false}}},{\"type\":\"function\",\"function\":{\"name\":\"now\"}},"
    "{\"type\":\"function\",\"function\":{\"name\":\"plan\",\"parameters\":{\"type\":\"object\","
    "\"properties\":{\"steps\":{\"type\":\"array\",\"items\":{\"type\":\"string\",\"maxLength\":3},"
    "\"maxItems\":3},\"id\":{\"type\":\"string\",\"pattern\":\"^[a-f]{3}$\"}},\"required\":["
    "\"steps\"],\"additionalProperties\":false}}}]%s}";

static struct json *request(const char *more)
{
    struct error err = ERROR_INIT;
    struct json *v = NULL;
    char text[4096];
    snprintf(text, sizeof(text), tools_text, more);
    assert_ok(js_parse(str_from(text), "the request", &v, &err));
    return v;
}

/* One closer for each mark that this family has, in both forms that a vocabulary may give it. */
static size_t add_marks(const struct dialect *d, const char **list)
{
    const struct call_format *f = d->calls;
    const char *const marks[] = {
        f->begin[0], f->end[0],    f->close[0],
        f->close[1], f->param_end, f->param,
        f->between,  f->frame[0],  d->reasoning ? d->reasoning->close : NULL};
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(marks); i++)
        if (marks[i] && marks[i][0])
            list[n++] = marks[i];
    return n;
}

static bool fits(const struct json *tools, struct str name, struct str arguments)
{
    struct error err = ERROR_INIT;
    for (size_t i = 0; i < js_len(tools); i++) {
        const struct json *function = js_get(js_at(tools, i), "function");
        if (!str_eq(js_get_str(function, "name"), name))
            continue;
        if (!js_get(function, "parameters"))
            return str_eq_c(arguments, "{}");
        CLEANUP(cleanup_grammar) struct grammar *g = NULL;
        CLEANUP(cleanup_matcher) struct matcher *m = NULL;
        assert_ok(grammar_from_schema(js_get(function, "parameters"), &g, &err));
        assert_ok(matcher_create(g, NULL, &m, &err));
        return matcher_accept(m, arguments) && matcher_may_end(m);
    }
    return false;
}

struct reading {
    struct buf names[64], arguments[64];
    struct buf content, reasoning;
    size_t n;
};

static void reading_release(struct reading *r)
{
    for (size_t i = 0; i < r->n; i++) {
        buf_release(&r->names[i]);
        buf_release(&r->arguments[i]);
    }
    buf_release(&r->content);
    buf_release(&r->reasoning);
}

/* Fed byte by byte, as a stream may come. */
static void read_answer(const struct dialect *d, const struct dialect_options *o, struct str text,
                        struct reading *r)
{
    struct dialect_parser *p = dialect_parser_new(d, o);
    struct dialect_delta delta;
    *r = (struct reading){.content = BUF_INIT(1 << 20), .reasoning = BUF_INIT(1 << 20)};
    for (size_t i = 0; i <= text.len; i++) {
        if (i < text.len)
            dialect_parser_feed(p, str_sub(text, i, 1));
        else
            dialect_parser_finish(p);
        while (dialect_parser_next(p, &delta)) {
            if (delta.kind == DELTA_CALL) {
                assert_true(delta.call == r->n && r->n < 64);
                r->names[r->n] = r->arguments[r->n] = BUF_INIT(1 << 20);
                buf_append(&r->names[r->n++], delta.text);
            } else if (delta.kind == DELTA_ARGUMENTS) {
                buf_append(&r->arguments[delta.call], delta.text);
            } else {
                buf_append(delta.kind == DELTA_CONTENT ? &r->content : &r->reasoning, delta.text);
            }
        }
    }
    dialect_parser_free(p);
}

static void check_family(const struct call_format *f, const char *more, bool reasons)
{
    struct error err = ERROR_INIT;
    struct dialect d = {.calls = f, .has_tools = true};
    if (reasons)
        d.reasoning =
            dialect_reasoning_format(f->style == CALLS_HARMONY ? STR("harmony") : STR("think"));
    CLEANUP_JSON struct json *body = request(more);
    struct tool_wish wish;
    assert_ok(tool_wish_parse(body, &wish, &err));
    const struct answer_rules rules = {
        .dialect = &d, .tools = &wish, .reasoning_is_open = reasons && f->style != CALLS_HARMONY};
    CLEANUP(cleanup_grammar) struct grammar *g = NULL;
    bool sure = false;
    int r = answer_grammar(&rules, &g, &sure, &err);
    if (r < 0)
        fail_msg("%s: %s", f->name, err.msg);
    assert_non_null(g);
    assert_true(sure);

    const char *closers[32];
    struct walk_vocab *v = malloc(sizeof(*v));
    assert_ok(walk_vocab_init(v, NULL, 0, closers, add_marks(&d, closers), &err));
    uint64_t rng = 5;
    size_t n_calls = 0, n_done = 0;
    for (int walk = 0; walk < WALKS; walk++) {
        CLEANUP_BUF struct buf text = BUF_INIT((size_t)1 << 20);
        int done = grammar_walk(g, v, &rng, &text, &err);
        if (done < 0)
            fail_msg("%s: %s", f->name, err.msg);
        if (done > 0)
            continue;
        n_done++;
        struct reading got;
        const struct dialect_options o = {
            .tools = wish.tools, .eager = true, .reasoning_is_open = rules.reasoning_is_open};
        read_answer(&d, &o, buf_str(&text), &got);
        if (got.n == 0 || got.content.len > 0)
            fail_msg("%s: %zu calls, content '%s' in '%s'", f->name, got.n, buf_cstr(&got.content),
                     buf_cstr(&text));
        for (size_t i = 0; i < got.n; i++)
            if (!fits(wish.callable, buf_str(&got.names[i]), buf_str(&got.arguments[i])))
                fail_msg("%s: %s(%s) in '%s'", f->name, buf_cstr(&got.names[i]),
                         buf_cstr(&got.arguments[i]), buf_cstr(&text));
        if (!wish.parallel)
            assert_int_equal(got.n, 1);
        n_calls += got.n;
        reading_release(&got);
    }
    if (n_done < WALKS / 2)
        fail_msg("%s: only %zu of %d answers came to an end", f->name, n_done, WALKS);
    assert_true(n_calls >= n_done);
    grammar_vocab_free(v->vocab);
    free(v);
    tool_wish_release(&wish);
}

static void test_calls__required(void **state)
{
    (void)state;
    for (const struct call_format *f = dialect_call_formats; f->name; f++)
        check_family(f, ",\"tool_choice\":\"required\"", false);
}

static void test_calls__one(void **state)
{
    (void)state;
    for (const struct call_format *f = dialect_call_formats; f->name; f++)
        check_family(f,
                     ",\"parallel_tool_calls\":false,\"tool_choice\":{\"type\":\"function\","
                     "\"function\":{\"name\":\"get_weather\"}}",
                     false);
}

static void test_calls__behind_reasoning(void **state)
{
    (void)state;
    for (const struct call_format *f = dialect_call_formats; f->name; f++)
        if (!(f->flags & CALLS_OPEN)) /* where the prompt ends with a call nobody reasons */
            check_family(f, ",\"tool_choice\":\"required\"", true);
}

/* Free text stays free, and a call that begins in it is held to its rules. */
static void test_calls__auto(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    const struct dialect d = {.calls = dialect_call_format(STR("hermes")), .has_tools = true};
    CLEANUP_JSON struct json *body = request("");
    struct tool_wish wish;
    assert_ok(tool_wish_parse(body, &wish, &err));
    const struct answer_rules rules = {.dialect = &d, .tools = &wish};
    CLEANUP(cleanup_grammar) struct grammar *g = NULL;
    bool sure = false;
    assert_ok(answer_grammar(&rules, &g, &sure, &err));
    assert_true(sure);
    static const struct {
        const char *text;
        bool possible, may_end;
    } cases[] = {
        {"It rains, {\"name\": 3} <tool", true, true},
        {"Let me look.\n<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>", true,
         true},
        {"<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>\n<tool_call>", true,
         false},
        {"<tool_call>\n{\"name\": \"nobody\"", false, false},
        {"<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"x\", \"days\": 15",
         false, false},
        {"\xff<tool_call>\xff\n{\"name\": \"now\", \"arguments\": {}}\n\xff</tool_call>\xff", true,
         true},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(cleanup_matcher) struct matcher *m = NULL;
        assert_ok(matcher_create(g, NULL, &m, &err));
        bool possible = matcher_accept(m, str_from(cases[i].text));
        if (possible != cases[i].possible || (possible && matcher_may_end(m) != cases[i].may_end))
            fail_msg("'%s' is %d", cases[i].text, possible);
    }
    tool_wish_release(&wish);
}

static void test_calls__no_grammar(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    const struct dialect d = {.calls = dialect_call_format(STR("llama3")), .has_tools = true};
    CLEANUP_JSON struct json *body = request("");
    struct tool_wish wish;
    assert_ok(tool_wish_parse(body, &wish, &err));
    struct answer_rules rules = {.dialect = &d, .tools = &wish};
    struct grammar *g = NULL;
    bool sure = true;
    assert_ok(answer_grammar(&rules, &g, &sure, &err)); /* its calls have no mark */
    assert_null(g);
    assert_false(sure);
    tool_wish_release(&wish);
    struct json *none = js_object();
    assert_ok(tool_wish_parse(none, &wish, &err));
    assert_ok(answer_grammar(&rules, &g, &sure, &err));
    assert_null(g);
    tool_wish_release(&wish);
    js_free(none);
}

/* With a strict tool nothing that is read as a call is free, in any family. */
static size_t check_strict(const struct call_format *f, bool reasons)
{
    struct error err = ERROR_INIT;
    struct dialect d = {.calls = f, .has_tools = true};
    if (reasons)
        d.reasoning = dialect_reasoning_format(STR("mistral")); /* which calls end */
    CLEANUP_JSON struct json *body = request("");
    struct tool_wish wish;
    assert_ok(tool_wish_parse(body, &wish, &err));
    wish.strict = true;
    const struct answer_rules rules = {.dialect = &d, .tools = &wish, .reasoning_is_open = reasons};
    CLEANUP(cleanup_grammar) struct grammar *g = NULL;
    bool sure = false;
    assert_ok(answer_grammar(&rules, &g, &sure, &err));
    assert_non_null(g);
    assert_true(sure);
    const char *closers[32], *pieces[16];
    size_t n_pieces = 0, n_calls = 0;
    for (size_t i = 0; i < CALL_FORMS && f->begin[i]; i++)
        pieces[n_pieces++] = f->begin[i];
    const char *const starts[] = {
        "{\"name\": \"now\", \"", "[now()]", "now",      "all\n", "{}", "get_weather",
        "[{\"name\": \"",         "\xff",    "all\nx>>>"};
    for (size_t i = 0; i < ARRAY_LEN(starts); i++)
        pieces[n_pieces++] = starts[i];
    struct walk_vocab *v = malloc(sizeof(*v));
    assert_ok(walk_vocab_init(v, pieces, n_pieces, closers, add_marks(&d, closers), &err));
    uint64_t rng = 7;
    for (int walk = 0; walk < WALKS; walk++) {
        CLEANUP_BUF struct buf text = BUF_INIT((size_t)1 << 20);
        int done = grammar_walk(g, v, &rng, &text, &err);
        if (done < 0)
            fail_msg("%s: %s", f->name, err.msg);
        if (done > 0)
            continue;
        struct reading got;
        const struct dialect_options o = {
            .tools = wish.tools, .eager = true, .reasoning_is_open = reasons};
        read_answer(&d, &o, buf_str(&text), &got);
        for (size_t i = 0; i < got.n; i++)
            if (!fits(wish.callable, buf_str(&got.names[i]), buf_str(&got.arguments[i])))
                fail_msg("%s: %s(%s) in '%s'", f->name, buf_cstr(&got.names[i]),
                         buf_cstr(&got.arguments[i]), buf_cstr(&text));
        n_calls += got.n;
        reading_release(&got);
    }
    grammar_vocab_free(v->vocab);
    free(v);
    tool_wish_release(&wish);
    return n_calls;
}

static void test_calls__strict(void **state)
{
    (void)state;
    size_t n_families = 0; /* with calls: a walk goes where chance leads it */
    for (const struct call_format *f = dialect_call_formats; f->name; f++) {
        if (f->style == CALLS_HARMONY)
            continue;
        size_t n = check_strict(f, false);
        if (!(f->flags & CALLS_OPEN))
            n += check_strict(f, true);
        n_families += n > 0;
    }
    print_message("calls of %zu families were looked at\n", n_families);
    assert_true(n_families > 20);
}

/* The same by hand, where nothing but the first character tells calls from text. */
static void test_calls__strict_without_marks(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    static const struct {
        const char *family, *text;
        bool possible, may_end;
    } cases[] = {
        {"llama3", "", true, true},
        {"llama3", "It rains {\"name\": \"x\"}", true, true},
        {"llama3", "<b>Rain</b>", true, true},
        {"llama3", "\n{\"name\": \"now\", \"parameters\": {}}", true, true},
        {"llama3", "{\"name\": \"now\", \"parameters\": {\"a\"", false, false},
        {"llama3", "{\"name\": \"nobody\"", false, false},
        {"llama3", "{\"a\": 1}", false, false},
        {"llama3", "[1, 2]", false, false},
        {"llama3", "\xff<|python_tag|>\xff", false, false},
        {"llama3", "<|python_tag|>", false, false},
        {"llama3", "x = <|python_tag|>", false, false},
        {"llama4", "[now()]", true, true},
        {"llama4", "[now(1)]", false, false},
        {"llama4", "Well, [now(1)]", true, true},
        {"functionary-v3.2", "all\nIt rains", true, true},
        {"functionary-v3.2", "all\nLet me see>>>now\n{}", true, true},
        {"functionary-v3.2", "all\nLet me see>>>now\n{\"", false, false},
        {"functionary-v3.2", "now\n{}>>>now\n{}", true, true},
        {"functionary-v3.2", "other\n", false, false},
        {"qwen3-coder", "<function=now", false, false},
        {"granite", "a <tool_call>", false, false},
        {"granite", "a <|tool_call|>[{\"name\": \"now\", \"arguments\": {}}]</tool_call>", true,
         true},
    };
    CLEANUP_JSON struct json *body = request("");
    struct tool_wish wish;
    assert_ok(tool_wish_parse(body, &wish, &err));
    wish.strict = true;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct dialect d = {.calls = dialect_call_format(str_from(cases[i].family)),
                                  .has_tools = true};
        const struct answer_rules rules = {.dialect = &d, .tools = &wish};
        CLEANUP(cleanup_grammar) struct grammar *g = NULL;
        CLEANUP(cleanup_matcher) struct matcher *m = NULL;
        bool sure = false;
        assert_ok(answer_grammar(&rules, &g, &sure, &err));
        assert_true(sure);
        assert_ok(matcher_create(g, NULL, &m, &err));
        bool possible = matcher_accept(m, str_from(cases[i].text));
        if (possible != cases[i].possible || (possible && matcher_may_end(m) != cases[i].may_end))
            fail_msg("%s: '%s' is %d", cases[i].family, cases[i].text, possible);
    }
    tool_wish_release(&wish);
}

/* A schema that cannot be enforced is refused where a call must fit it, and named. */
static void test_calls__refused(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    const struct dialect d = {.calls = dialect_call_format(STR("hermes")), .has_tools = true};
    static const char text[] =
        "{\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"strict\":%s,"
        "\"parameters\":{\"type\":\"object\",\"dependentSchemas\":{\"a\":{}}}}}],\"tool_choice\":"
        "\"%s\"}";
    static const struct {
        const char *strict, *choice;
        bool refused;
    } cases[] = {{"false", "required", true}, {"true", "auto", true}, {"false", "auto", false}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char whole[512];
        snprintf(whole, sizeof(whole), text, cases[i].strict, cases[i].choice);
        CLEANUP_JSON struct json *body = NULL;
        assert_ok(js_parse(str_from(whole), "the request", &body, &err));
        struct tool_wish wish;
        assert_ok(tool_wish_parse(body, &wish, &err));
        const struct answer_rules rules = {.dialect = &d, .tools = &wish};
        struct grammar *g = NULL;
        bool sure = true;
        if (cases[i].refused) {
            assert_fails(answer_grammar(&rules, &g, &sure, &err), ERR_INVALID, "dependentSchemas");
            assert_non_null(strstr(err.msg, "the tool 'f'"));
        } else {
            assert_ok(answer_grammar(&rules, &g, &sure, &err));
            assert_null(g);
            assert_false(sure);
        }
        tool_wish_release(&wish);
    }
}

/* What is wanted of the content holds behind the reasoning. */
static void test_content__behind_reasoning(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    const struct dialect d = {.calls = dialect_call_format(STR("generic")),
                              .reasoning = dialect_reasoning_format(STR("think"))};
    CLEANUP_JSON struct json *none = js_object(), *schema = js_object();
    js_set_cstr(schema, "type", "integer");
    struct tool_wish wish;
    assert_ok(tool_wish_parse(none, &wish, &err));
    for (int open = 0; open < 2; open++) {
        const struct answer_rules rules = {
            .dialect = &d, .tools = &wish, .schema = schema, .reasoning_is_open = open};
        CLEANUP(cleanup_grammar) struct grammar *g = NULL;
        bool sure;
        assert_ok(answer_grammar(&rules, &g, &sure, &err));
        const struct {
            const char *text;
            bool fits;
        } cases[] = {
            {"hm, 3?\n</think>\n\n42", open},
            {"<think>\nhm</think>42", true}, /* also where it was open: then it is reasoning */
            {"42", !open},
            {"x", false},
        };
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
            CLEANUP(cleanup_matcher) struct matcher *m = NULL;
            assert_ok(matcher_create(g, NULL, &m, &err));
            bool fits_it = matcher_accept(m, str_from(cases[i].text)) && matcher_may_end(m);
            if (fits_it != cases[i].fits)
                fail_msg("open %d: '%s' is %d", open, cases[i].text, fits_it);
        }
    }
    tool_wish_release(&wish);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calls__required),
        cmocka_unit_test(test_calls__one),
        cmocka_unit_test(test_calls__behind_reasoning),
        cmocka_unit_test(test_calls__auto),
        cmocka_unit_test(test_calls__no_grammar),
        cmocka_unit_test(test_calls__refused),
        cmocka_unit_test(test_calls__strict),
        cmocka_unit_test(test_calls__strict_without_marks),
        cmocka_unit_test(test_content__behind_reasoning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
