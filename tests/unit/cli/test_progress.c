/* SPDX-License-Identifier: Apache-2.0
 *
 * The progress stream of pulls and pushes. */
#include "test.h"

#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "cli/progress.h"

/* Reads a whole stream in pieces of `step` bytes; what the view printed comes back. */
static char *viewed(const char *body, size_t step, int *ret_result, struct error *err)
{
    char *text = NULL;
    size_t text_len = 0;
    FILE *to = open_memstream(&text, &text_len);
    struct progress_view *view = progress_view_new(to, PROGRESS_PULL);
    struct progress_stream s;
    progress_stream_init(&s, progress_view_sink(view));
    size_t len = strlen(body);
    for (size_t i = 0; i < len; i += step)
        progress_stream_feed(&s, str_make(body + i, MIN(step, len - i)));
    *ret_result = progress_stream_end(&s, err);
    if (*ret_result == 0)
        fprintf(to, "[%s]", buf_cstr(&s.message));
    progress_stream_release(&s);
    progress_view_free(view);
    fclose(to);
    return text;
}

#define LAYER(id, current)                                 \
    "{\"type\":\"progress\",\"message\":\"Downloaded: "    \
    "x\",\"total\":3000000,\"layer\":{\"id\":\"sha256:" id \
    "\",\"size\":2000000,\"current\":" current "},\"mode\":\"pull\"}\n"
#define SUCCESS "{\"type\":\"success\",\"message\":\"Model pulled successfully\"}\n"

static void test_stream__lines(void **state)
{
    (void)state;
    static const struct {
        const char *body, *want;
    } cases[] = {
        {SUCCESS, "[Model pulled successfully]"},
        {LAYER("aaaa", "500000") LAYER("bbbb", "1000000") LAYER("aaaa", "2000000") SUCCESS,
         "Downloaded 500.00kB of 3.00MB\nDownloaded 1.50MB of 3.00MB\nDownloaded 3.00MB of 3.00MB\n"
         "[Model pulled successfully]"},
        /* As old runners write it. */
        {"{&#34;type&#34;:&#34;success&#34;,&#34;message&#34;:&#34;a &lt;b&gt; &amp; "
         "&#39;c&#39;&#34;}\n",
         "[a <b> & 'c']"},
        /* Plain JSON is taken as it is. */
        {"{\"type\":\"success\",\"message\":\"a &amp; b\"}", "[a &amp; b]"},
        {"{\"type\":\"progress\",\"message\":\"Fetching file list...\",\"layer\":{}}\n\n" SUCCESS,
         "Fetching file list...\n[Model pulled successfully]"},
        {"{\"type\":\"progress\",\"message\":\"bad \\u001b[2J\",\"layer\":{\"id\":\"\"}}\n" SUCCESS,
         "bad \\x1b[2J\n[Model pulled successfully]"},
        {"some noise\n" SUCCESS "more noise", "[Model pulled successfully]"},
    };
    static const size_t steps[] = {1, 5, 100000};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (size_t k = 0; k < ARRAY_LEN(steps); k++) {
            struct error err = ERROR_INIT;
            int r = 0;
            char *got = viewed(cases[i].body, steps[k], &r, &err);
            assert_ok(r);
            assert_string_equal(got, cases[i].want);
            free(got);
        }
    }
}

static void test_stream__errors(void **state)
{
    (void)state;
    static const struct {
        const char *body, *part;
        enum errc code;
    } cases[] = {
        {LAYER("aaaa", "1") "{\"type\":\"error\",\"message\":\"Error: disk full\"}\ndisk full\n",
         "Error: disk full", ERR_IO},
        {"{\"type\":\"error\",\"message\":\"first\"}\n" SUCCESS, "first", ERR_IO},
        {LAYER("aaaa", "1"), "unexpected EOF", ERR_IO},
        {"", "unexpected EOF", ERR_IO},
        {"<html>busy</html>", "not valid progress data): <html>busy", ERR_CORRUPT},
        {"[1,2]\n{\"type\":7}\n", "[1,2]", ERR_CORRUPT},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct error err = ERROR_INIT;
        int r = 0;
        free(viewed(cases[i].body, 3, &r, &err));
        assert_fails(r, cases[i].code, cases[i].part);
    }
}

static void test_stream__hostile(void **state)
{
    (void)state;
    /* A line without end, and more layers than are kept. */
    struct buf body = BUF_INIT(8 << 20);
    for (int i = 0; i < 2000; i++)
        buf_printf(
            &body,
            "{\"type\":\"progress\",\"total\":-5,\"layer\":{\"id\":\"sha256:%012d\",\"size\":1e99,"
            "\"current\":9223372036854775807}}\n",
            i);
    for (int i = 0; i < 1000000; i++)
        buf_push(&body, 'x');
    struct error err = ERROR_INIT;
    int r = 0;
    free(viewed(buf_cstr(&body), 4096, &r, &err));
    assert_fails(r, ERR_IO, "unexpected EOF");
    buf_release(&body);
}

static void test_network_errors(void **state)
{
    (void)state;
    assert_true(progress_error_is_network("Error: read tcp: connection reset by peer"));
    assert_true(progress_error_is_network("unexpected EOF"));
    assert_true(progress_error_is_network("lookup x: no such host"));
    assert_false(progress_error_is_network("Model not found"));
    assert_false(progress_error_is_network("no space left on device"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stream__lines),
        cmocka_unit_test(test_stream__errors),
        cmocka_unit_test(test_stream__hostile),
        cmocka_unit_test(test_network_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
