/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading an answer in every form and every way of being cut into pieces, and showing it. */
#include "test.h"

#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "cli/chat.h"
#include "cli/chat_view.h"

/* What a sink got, as "R(reasoning)C(content)N(notice)", neighbours joined. */
struct record {
    struct buf text;
    char last;
};

static void add(struct record *r, char kind, struct str text)
{
    if (r->last != kind) {
        if (r->last)
            buf_push(&r->text, ')');
        buf_push(&r->text, kind);
        buf_push(&r->text, '(');
    }
    r->last = kind;
    buf_append(&r->text, text);
}

static void on_content(void *ctx, struct str text)
{
    add(ctx, 'C', text);
}
static void on_reasoning(void *ctx, struct str text)
{
    add(ctx, 'R', text);
}
static void on_notice(void *ctx, struct str line)
{
    add(ctx, 'N', line);
    ((struct record *)ctx)->last = 'n'; /* each notice stands alone */
}

/* Feeds `body` in pieces of `step` bytes; returns the result and what the sink got. */
static int read_answer(const char *body, size_t step, const char *content_type, struct buf *out,
                       struct chat_stats *stats, struct error *err)
{
    struct record record = {.text = BUF_INIT(1 << 20)};
    struct chat_sink sink = {on_content, on_reasoning, on_notice, &record};
    struct chat_reader reader;
    chat_reader_init(&reader, &sink);
    if (content_type)
        chat_reader_content_type(&reader, str_from(content_type));
    size_t len = strlen(body);
    int r = 0;
    for (size_t i = 0; i < len && r == 0; i += step)
        r = chat_reader_feed(&reader, str_make(body + i, MIN(step, len - i)), err);
    if (r == 0)
        r = chat_reader_end(&reader, err);
    if (record.last)
        buf_push(&record.text, ')');
    buf_clear(out);
    buf_append(out, buf_str(&record.text));
    buf_append_c(out, "");
    if (stats)
        *stats = reader.stats;
    buf_release(&record.text);
    chat_reader_release(&reader);
    return r;
}

#define DELTA(text) "data: {\"choices\":[{\"delta\":{\"content\":\"" text "\"}}]}\n\n"
#define THINK(text) "data: {\"choices\":[{\"delta\":{\"reasoning_content\":\"" text "\"}}]}\n\n"
#define STOP "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
#define DONE "data: [DONE]\n\n"

static const struct {
    const char *body, *want;
} good[] = {
    {DELTA("Hel") DELTA("lo") STOP DONE, "C(Hello)"},
    {DELTA("x") DONE, "C(x)"},
    {DELTA("x") STOP, "C(x)"},
    {STOP DONE, ""},
    {": hello\n\n" DELTA("x") DONE, "C(x)"},
    {"data:{\"choices\":[{\"delta\":{\"content\":\"x\"},\"finish_reason\":\"stop\"}]}", "C(x)"},
    {THINK("hm") DELTA("yes") THINK("or") DELTA("no") DONE, "R(hm)C(yes)R(or)C(no)"},
    {"Installing diffusers backend...\nready\n" DELTA("x") DONE,
     "N(Installing diffusers backend...)N(ready)C(x)"},
    {"\n\n{\"choices\":[{\"message\":{\"role\":\"assistant\",\"content\":\"whole\\nanswer\","
     "\"reasoning_content\":\"why\"},\"finish_reason\":\"stop\"}]}",
     "R(why)C(whole\nanswer)"},
    {"Loading\n{\"choices\":[{\"message\":{\"content\":\"x\"}}]}\n", "N(Loading)C(x)"},
    {"event: message\r\ndata: {\"choices\":[{\"delta\":{\"content\":\"\xC3\xA4\"}}]}\r\n\r\n" DONE,
     "C(\xC3\xA4)"},
    /* Parts that are not there, and parts of another type. */
    {"data: {}\n\ndata: {\"choices\":[]}\n\ndata: "
     "{\"choices\":[{\"delta\":{\"content\":null}}]}\n\n"
     "data: {\"choices\":[{\"delta\":{\"content\":7}}]}\n\ndata: []\n\n" DONE,
     ""},
};

static void test_reader__forms_in_any_pieces(void **state)
{
    (void)state;
    static const size_t steps[] = {1, 2, 3, 7, 64, 100000};
    CLEANUP_BUF struct buf got = BUF_INIT(1 << 20);
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        for (size_t k = 0; k < ARRAY_LEN(steps); k++) {
            struct error err = ERROR_INIT;
            assert_ok(read_answer(good[i].body, steps[k], NULL, &got, NULL, &err));
            if (strcmp(buf_cstr(&got), good[i].want) != 0)
                fail_msg("case %zu in pieces of %zu: '%s', wanted '%s'", i, steps[k],
                         buf_cstr(&got), good[i].want);
        }
    }
}

static void test_reader__errors(void **state)
{
    (void)state;
    static const struct {
        const char *body, *part, *shown;
        enum errc code;
    } bad[] = {
        {DELTA("a") "data: {\"error\":{\"message\":\"the engine died\"}}\n\n", "the engine died",
         "C(a)", ERR_IO},
        {DELTA("a") "event: error\ndata: {\"type\":\"error\",\"message\":\"gone\"}\n\n", "gone",
         "C(a)", ERR_IO},
        {"data: {\"error\":\"text\"}\n\n", "text", "", ERR_IO},
        {"data: {\"error\":{}}\n\n", "without saying which", "", ERR_IO},
        {"{\"error\":{\"code\":400,\"message\":\"too long\"}}", "too long", "", ERR_IO},
        {DELTA("a"), "broke off", "C(a)", ERR_IO},
        {"", "broke off", "", ERR_IO},
        {"data: {nonsense\n\n", "a part of the answer", "", ERR_INVALID},
        {"{\"choices\":", "the answer", "", ERR_INVALID},
        {"proxy says no", "unexpected answer: proxy says no", "", ERR_CORRUPT},
    };
    CLEANUP_BUF struct buf got = BUF_INIT(1 << 20);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct error err = ERROR_INIT;
        assert_fails(read_answer(bad[i].body, 5, NULL, &got, NULL, &err), bad[i].code, bad[i].part);
        assert_string_equal(buf_cstr(&got), bad[i].shown);
    }
}

static void test_reader__content_type_decides_first(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf got = BUF_INIT(1 << 20);
    struct error err = ERROR_INIT;
    /* A field nobody knows would else be taken for a notice. */
    assert_ok(read_answer("unknown: field\n" DELTA("x") DONE, 4, "text/event-stream; charset=utf-8",
                          &got, NULL, &err));
    assert_string_equal(buf_cstr(&got), "C(x)");
}

static void test_reader__stats(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf got = BUF_INIT(1 << 20);
    struct error err = ERROR_INIT;
    struct chat_stats stats;
    assert_ok(read_answer(
        DELTA("x") "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,"
                   "\"completion_tokens\":7,\"total_tokens\":12},\"timings\":"
                   "{\"prompt_per_second\":10.5,\"predicted_per_second\":20.25}}\n\n" DONE,
        9, NULL, &got, &stats, &err));
    assert_true(stats.has_usage);
    assert_int_equal(stats.prompt_tokens, 5);
    assert_int_equal(stats.completion_tokens, 7);
    assert_int_equal(stats.total_tokens, 12);
    assert_true(stats.prompt_per_second > 10.4 && stats.predicted_per_second < 20.3);
    assert_ok(read_answer(DELTA("x") DONE, 9, NULL, &got, &stats, &err));
    assert_false(stats.has_usage);
    assert_int_equal(stats.completion_tokens, -1);
}

/* ---- showing ---- */

static char *shown(bool filter, bool color, const char *const *parts)
{
    char *text = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&text, &len);
    struct chat_view v;
    chat_view_init(&v, to, color);
    v.filter = filter;
    for (; *parts; parts++) {
        struct str s = str_from(*parts);
        /* A leading '?' marks reasoning. */
        if (s.ptr[0] == '?')
            v.sink.reasoning(v.sink.ctx, str_sub(s, 1, s.len - 1));
        else
            v.sink.content(v.sink.ctx, s);
    }
    chat_view_end(&v);
    fclose(to);
    return text;
}

static void test_view__plain(void **state)
{
    (void)state;
    static const struct {
        bool filter;
        const char *parts[6];
        const char *want;
    } cases[] = {
        {false, {"a", "b\n"}, "ab\n"},
        {false, {"raw \033[1m"}, "raw \033[1m"},
        {true, {"raw \033[1m\r\n"}, "raw \xE2\x90\x9B[1m\n"},
        {false, {"?why", "??", "answer"}, "Thinking:\nwhy?\n\n--\n\nanswer"},
        {false, {"?a", "b", "?c", "d"}, "Thinking:\na\n\n--\n\nb\n\nThinking:\nc\n\n--\n\nd"},
        {true, {"?\033[2J", "x"}, "Thinking:\n\xE2\x90\x9B[2J\n\n--\n\nx"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *got = shown(cases[i].filter, false, cases[i].parts);
        assert_string_equal(got, cases[i].want);
        free(got);
    }
}

/* Without the colours, a coloured answer is the answer: nothing is lost at any cut. */
static void test_view__color_keeps_the_text(void **state)
{
    (void)state;
    static const char text[] = "see `x`:\n```c\nint x;\n\n``\n`y`\n```\nand ```inline``` ``\n``";
    for (size_t cut = 0; cut < sizeof(text); cut++) {
        char *first = strndup(text, cut);
        char *second = strdup(text + cut);
        char *got = shown(true, true, (const char *const[]){first, second, NULL});
        size_t n = 0;
        for (char *p = got; *p; p++) {
            if (*p == '\033')
                p = strchr(p, 'm');
            else
                got[n++] = *p;
        }
        got[n] = '\0';
        assert_string_equal(got, text);
        free(got);
        free(first);
        free(second);
    }
}

static void test_view__color_marks_code(void **state)
{
    (void)state;
    char *got = shown(true, true, (const char *const[]){"a\n```c\nint x;\n```\nb", NULL});
    assert_string_equal(got, "a\n\033[0m\033[90m```c\033[0m\n\033[0m\033[36mint x;\033[0m\n"
                             "\033[0m\033[90m```\033[0m\nb\033[0m");
    free(got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reader__forms_in_any_pieces),
        cmocka_unit_test(test_reader__errors),
        cmocka_unit_test(test_reader__content_type_decides_first),
        cmocka_unit_test(test_reader__stats),
        cmocka_unit_test(test_view__plain),
        cmocka_unit_test(test_view__color_keeps_the_text),
        cmocka_unit_test(test_view__color_marks_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
