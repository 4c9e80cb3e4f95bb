/* SPDX-License-Identifier: Apache-2.0
 *
 * Heads of messages: where they end, what they say about the body, and what is refused. */
#include "test.h"

#include "base/compiler.h"
#include "door/head.h"

static void test_head__finds_the_end(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        ptrdiff_t want;
    } rows[] = {
        {"", HEAD_MORE},
        {"GET / HTTP/1.1", HEAD_MORE},
        {"GET / HTTP/1.1\r\n", HEAD_MORE},
        {"GET / HTTP/1.1\r\n\r", HEAD_MORE},
        {"GET / HTTP/1.1\r\n\r\n", 18},
        {"GET / HTTP/1.1\r\n\r\nrest", 18},
        {"GET / HTTP/1.1\r\nA: b\r\n\r\nGET", 24},
        {"\r\n", 2},
        {"\n", HEAD_BAD},
        {"GET / HTTP/1.1\n", HEAD_BAD},
        {"GET / HTTP/1.1\r\nA: b\n\r\n", HEAD_BAD},
        {"GET / HTTP/1.1\r\nA: b\r\n\n", HEAD_BAD},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct str bytes = str_from(rows[i].bytes);
        size_t scanned = 0;
        if (head_find_end(bytes, &scanned) != rows[i].want)
            fail_msg("row %zu: '%s'", i, rows[i].bytes);
        /* Byte by byte the answer is the same. */
        ptrdiff_t end = HEAD_MORE;
        scanned = 0;
        for (size_t n = 0; n <= bytes.len && end == HEAD_MORE; n++)
            end = head_find_end(str_sub(bytes, 0, n), &scanned);
        if (end != rows[i].want)
            fail_msg("row %zu, byte by byte: '%s'", i, rows[i].bytes);
    }
}

static void test_head__reads_requests(void **state)
{
    (void)state;
    static const struct {
        const char *head, *method, *target;
        enum body_kind body;
        uint64_t length;
    } rows[] = {
        {"GET /v1.41/info HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/v1.41/info", BODY_NONE, 0},
        {"HEAD /_ping HTTP/1.0\r\n\r\n", "HEAD", "/_ping", BODY_NONE, 0},
        {"POST /x HTTP/1.1\r\nHost: a\r\ncontent-LENGTH:  12 \r\n\r\n", "POST", "/x", BODY_LENGTH,
         12},
        {"POST /x HTTP/1.1\r\nContent-Length: 0\r\n\r\n", "POST", "/x", BODY_NONE, 0},
        {"POST /x HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n", "POST", "/x", BODY_CHUNKED, 0},
        {"PUT /a?b=%20c HTTP/1.1\r\nX: \t tabs\tand \xc3\xa4\r\nEmpty:\r\n\r\n", "PUT", "/a?b=%20c",
         BODY_NONE, 0},
        {"GET http://docker/info HTTP/1.1\r\n\r\n", "GET", "http://docker/info", BODY_NONE, 0},
        {"POST /x HTTP/1.1\r\nContent-Length: 9223372036854775807\r\n\r\n", "POST", "/x",
         BODY_LENGTH, INT64_MAX},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct request_head head;
        const char *why = NULL;
        if (!request_head_parse(str_from(rows[i].head), &head, &why))
            fail_msg("row %zu: %s", i, why);
        assert_str(head.method, rows[i].method);
        assert_str(head.target, rows[i].target);
        assert_int_equal(head.body, rows[i].body);
        assert_true(head.length == rows[i].length);
    }
}

static void test_head__refuses_what_two_readers_could_read_differently(void **state)
{
    (void)state;
    static const struct {
        const char *head, *why;
    } rows[] = {
        {"\r\n", "request line"},
        {"GET\r\n\r\n", "request line"},
        {"GET /\r\n\r\n", "request line"},
        {"GET  / HTTP/1.1\r\n\r\n", "request line"},
        {"GET / x HTTP/1.1\r\n\r\n", "version"},
        {"GET / HTTP/1.1 \r\n\r\n", "version"},
        {"GET / HTTP/2.0\r\n\r\n", "version"},
        {"GET / http/1.1\r\n\r\n", "version"},
        {"G\tT / HTTP/1.1\r\n\r\n", "request line"},
        {"GET /\x01 HTTP/1.1\r\n\r\n", "request line"},
        {"GET /\r HTTP/1.1\r\n\r\n", "request line"},
        {"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", "folded"},
        {"GET / HTTP/1.1\r\n Host: a\r\n\r\n", "folded"},
        {"GET / HTTP/1.1\r\nHost\r\n\r\n", "colon"},
        {"GET / HTTP/1.1\r\nHost : a\r\n\r\n", "name"},
        {"GET / HTTP/1.1\r\n: a\r\n\r\n", "name"},
        {"GET / HTTP/1.1\r\nA: b\rContent-Length: 5\r\n\r\n", "control"},
        {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "Host"},
        {"POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", "more than once"},
        {"POST / HTTP/1.1\r\nContent-Length: 5, 5\r\n\r\n", "malformed"},
        {"POST / HTTP/1.1\r\nContent-Length: +5\r\n\r\n", "malformed"},
        {"POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n", "malformed"},
        {"POST / HTTP/1.1\r\nContent-Length: 0x5\r\n\r\n", "malformed"},
        {"POST / HTTP/1.1\r\nContent-Length:\r\n\r\n", "malformed"},
        {"POST / HTTP/1.1\r\nContent-Length: 9223372036854775808\r\n\r\n", "malformed"},
        {"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", "malformed"},
        {"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "both"},
        {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n", "both"},
        {"POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "coding"},
        {"POST / HTTP/1.1\r\nTransfer-Encoding: identity\r\n\r\n", "coding"},
        {"POST / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n", "coding"},
        {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
         "coding"},
        {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.0"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct request_head head;
        const char *why = "accepted";
        bool ok = request_head_parse(str_from(rows[i].head), &head, &why);
        if (ok || !strstr(why, rows[i].why))
            fail_msg("row %zu: '%s': %s", i, rows[i].head, ok ? "accepted" : why);
    }
    /* NUL is no text either. */
    static const char nul[] = "GET / HTTP/1.1\r\nA: \0b\r\n\r\n";
    struct request_head head;
    const char *why;
    assert_false(request_head_parse(str_make(nul, sizeof(nul) - 1), &head, &why));
}

static void test_head__reads_answers(void **state)
{
    (void)state;
    static const struct {
        const char *head;
        bool to_head, ok;
        int status;
        enum body_kind body;
        uint64_t length;
    } rows[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", false, true, 200, BODY_LENGTH, 7},
        {"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", true, true, 200, BODY_NONE, 7},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", false, true, 200, BODY_CHUNKED,
         0},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", true, true, 200, BODY_NONE, 0},
        {"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n", false, true,
         200, BODY_TO_END, 0},
        {"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n", false, true, 101,
         BODY_NONE, 0},
        {"HTTP/1.1 100 Continue\r\n\r\n", false, true, 100, BODY_NONE, 0},
        {"HTTP/1.1 204 No Content\r\n\r\n", false, true, 204, BODY_NONE, 0},
        {"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", false, true, 304, BODY_NONE, 9},
        {"HTTP/1.0 200\r\n\r\n", false, true, 200, BODY_TO_END, 0},
        {"HTTP/1.1 20 OK\r\n\r\n", false, false, 0, BODY_NONE, 0},
        {"HTTP/1.1 2000 OK\r\n\r\n", false, false, 0, BODY_NONE, 0},
        {"HTTP/1.1 OK\r\n\r\n", false, false, 0, BODY_NONE, 0},
        {"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nTransfer-Encoding: chunked\r\n\r\n", false, false,
         0, BODY_NONE, 0},
        {"SSH-2.0-x\r\n\r\n", false, false, 0, BODY_NONE, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct response_head head;
        bool ok = response_head_parse(str_from(rows[i].head), rows[i].to_head, &head);
        if (ok != rows[i].ok)
            fail_msg("row %zu: '%s'", i, rows[i].head);
        if (!ok)
            continue;
        assert_int_equal(head.status, rows[i].status);
        assert_int_equal(head.body, rows[i].body);
        assert_true(head.length == rows[i].length);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_head__finds_the_end),
        cmocka_unit_test(test_head__reads_requests),
        cmocka_unit_test(test_head__refuses_what_two_readers_could_read_differently),
        cmocka_unit_test(test_head__reads_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
