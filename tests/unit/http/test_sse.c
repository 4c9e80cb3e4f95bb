/* SPDX-License-Identifier: Apache-2.0
 *
 * Server-sent events: what is written is read back, whatever the pieces. */
#include "test.h"

#include "http/sse.h"

static int collect(const char *event, struct str data, void *ctx)
{
    struct buf *out = ctx;
    buf_printf(out, "[%s:%.*s]", event, STR_ARG(data));
    return str_eq_c(data, "stop") ? -(int)ERR_CANCELED : 0;
}

static void test_sse__writes(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf b = BUF_INIT(1000);
    sse_write(&b, NULL, STR("{}"));
    assert_str(buf_str(&b), "data: {}\n\n");
    buf_clear(&b);
    sse_write(&b, "error", STR("a\nb\r\nc\rd"));
    assert_str(buf_str(&b), "event: error\ndata: a\ndata: b\ndata: c\ndata: d\n\n");
    buf_clear(&b);
    sse_write(&b, NULL, STR(""));
    assert_str(buf_str(&b), "data: \n\n");
}

static void test_sse__parses_in_any_pieces(void **state)
{
    (void)state;
    static const struct {
        const char *in, *want;
    } rows[] = {
        {"data: a\n\ndata: b\n\n", "[message:a][message:b]"},
        {"data:a\n\n", "[message:a]"},
        {"data:  a\n\n", "[message: a]"},
        {"data: a\r\n\r\ndata: b\r\n\r\n", "[message:a][message:b]"},
        {"data: a\r\rdata: b\r\r", "[message:a][message:b]"},
        {"event: x\ndata: a\n\ndata: b\n\n", "[x:a][message:b]"},
        {"data: a\ndata: b\n\n", "[message:a\nb]"},
        {"data\n\n", "[message:]"},
        {"data: \n\n", "[message:]"},
        {": comment\n\n: another\ndata: a\n\n", "[message:a]"},
        {"id: 7\nretry: 9\nunknown: 1\ndata: a\n\n", "[message:a]"},
        {"event: lonely\n\ndata: a\n\n", "[message:a]"},
        {"data: unfinished\n", ""},
        {"\n\n\n", ""},
        {"data: [DONE]\n\n", "[message:[DONE]]"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        size_t len = strlen(rows[i].in);
        for (size_t step = 1; step <= len; step++) {
            struct error err = ERROR_INIT;
            struct sse_parser p = SSE_PARSER_INIT(1000);
            CLEANUP_BUF struct buf out = BUF_INIT(1000);
            for (size_t at = 0; at < len; at += step)
                assert_ok(
                    sse_feed(&p, str_sub(str_from(rows[i].in), at, step), collect, &out, &err));
            if (!str_eq_c(buf_str(&out), rows[i].want))
                fail_msg("row %zu in pieces of %zu: '%s', wanted '%s'", i, step, buf_cstr(&out),
                         rows[i].want);
            sse_parser_release(&p);
        }
    }
}

static void test_sse__is_bounded(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    CLEANUP_BUF struct buf out = BUF_INIT(1000);
    struct sse_parser p = SSE_PARSER_INIT(20);
    assert_fails(sse_feed(&p, STR("data: 0123456789012345678901234\n\n"), collect, &out, &err),
                 ERR_TOO_LARGE, "event stream");
    sse_parser_release(&p);
    struct sse_parser q = SSE_PARSER_INIT(20);
    assert_fails(sse_feed(&q, STR("data: 0123456789\ndata: 0123456789\n\n"), collect, &out, &err),
                 ERR_TOO_LARGE, "an event");
    sse_parser_release(&q);
    assert_str(buf_str(&out), "");
}

static void test_sse__stops_when_told(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    CLEANUP_BUF struct buf out = BUF_INIT(1000);
    struct sse_parser p = SSE_PARSER_INIT(100);
    assert_int_equal(sse_feed(&p, STR("data: stop\n\ndata: b\n\n"), collect, &out, &err),
                     -(int)ERR_CANCELED);
    assert_str(buf_str(&out), "[message:stop]");
    sse_parser_release(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sse__writes),
        cmocka_unit_test(test_sse__parses_in_any_pieces),
        cmocka_unit_test(test_sse__is_bounded),
        cmocka_unit_test(test_sse__stops_when_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
