/* SPDX-License-Identifier: Apache-2.0
 *
 * The HTTP server through real sockets: decoding, limits, keep-alive, streaming both ways, clients
 * that leave, and the life of the socket file. */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "http_fixture.h"

/* What the handlers saw; reset by each test. */
static atomic_int n_calls, n_cancels, n_done;
static atomic_size_t bytes_seen;

static void on_cancel(void *ctx)
{
    (void)ctx;
    atomic_fetch_add(&n_cancels, 1);
}

static void reset(void)
{
    n_calls = n_cancels = n_done = 0;
    bytes_seen = 0;
}

/* False after half a minute: a bound for what goes wrong, not a measure of speed. */
static bool wait_until(atomic_int *value, int want)
{
    int64_t end = clock_mono_ms() + 30000;
    while (atomic_load(value) < want) {
        if (clock_mono_ms() > end)
            return false;
        usleep(1000);
    }
    return true;
}

/* Echoes what the request looked like, one fact a line. */
static void handle_facts(struct http_request *r, void *ctx)
{
    (void)ctx;
    atomic_fetch_add(&n_calls, 1);
    struct error err = ERROR_INIT;
    CLEANUP_BUF struct buf body = BUF_INIT(1000);
    if (http_request_read_all(r, &body, &err) < 0) {
        http_respond_text(r, errc_http_status(err.code), err.msg);
        return;
    }
    CLEANUP_BUF struct buf out = BUF_INIT(100000);
    const char *q = http_request_query(r, "q");
    const char *x = http_request_header(r, "x-thing");
    buf_printf(&out, "%s|%s|%s|q=%s|x=%s|body=%s", http_request_method(r), http_request_path(r),
               http_request_query_string(r), q ? q : "(none)", x ? x : "(none)", buf_cstr(&body));
    http_respond(r, 200, "text/plain", buf_str(&out));
}

static void test_server__decodes_requests(void **state)
{
    (void)state;
    static const struct {
        const char *request;
        const char *want; /* somewhere in the answer */
    } rows[] = {
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
         "GET|/||q=(none)|x=(none)|body="},
        {"GET /a%20b%2Fc?q=1%2B2+3&z HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
         "GET|/a b/c|q=1%2B2+3&z|q=1+2 3|"},
        {"GET //engines///v1//models HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
         "GET|/engines/v1/models|"},
        {"GET /m?q HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "|q=|"},
        {"GET /m?q=a&q=b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "|q=a|"},
        {"GET http://host:12434/m?q=9 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
         "GET|/m|q=9|q=9|"},
        {"GET /m HTTP/1.1\r\nHost: a\r\nX-THING: some thing\r\nConnection: close\r\n\r\n",
         "x=some thing|"},
        {"POST /m HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
         "POST|/m||q=(none)|x=(none)|body=hello"},
        {"POST /m HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
         "3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n",
         "body=abcdefg"},
        {"POST /m HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
         "0\r\n\r\n",
         "body="},
        {"DELETE /m HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "DELETE|/m|"},
        {"GET /m HTTP/1.0\r\n\r\n", "GET|/m|"},
        {"GET /m%zz HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 400"},
        {"GET /m%2 HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 400"},
        {"GET /m%00 HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 400"},
        {"GET /m?a=%f HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 400"},
        {"GET m HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 400"},
        {"POST /m HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
         "HTTP/1.1 400"},
        {"POST /m HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
         "0\r\n\r\n",
         "HTTP/1.1 400"},
    };
    for (int tcp = 0; tcp < 2; tcp++) {
        struct fixture f;
        fixture_start(&f, tcp == 1, handle_facts, NULL, 0);
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
            char *answer = raw_exchange(&f, rows[i].request);
            if (!strstr(answer, rows[i].want))
                fail_msg("row %zu (%s): '%s' lacks '%s'", i, rows[i].request, answer, rows[i].want);
            free(answer);
        }
        fixture_stop(&f);
    }
}

/* Garbage ends the connection, with an answer or without, and never reaches the handler. */
static void test_server__refuses_garbage(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "\r\n\r\n\r\nnonsense\r\n\r\n",
        "GET\r\n\r\n",
        "POST /m HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\nhello",
        "POST /m HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\nhello",
        "POST /m HTTP/1.1\r\nHost: a\r\nContent-Length: abc\r\n\r\nhello",
        "POST /m HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
        ("POST /m HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
         "fffffffffffffffffff\r\nabc\r\n"),
    };
    struct fixture f;
    fixture_start(&f, false, handle_facts, NULL, 1);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int fd = raw_connect(&f);
        raw_send(fd, rows[i]);
        shutdown(fd, SHUT_WR);
        char *answer = raw_read_all(fd);
        if (strstr(answer, "HTTP/1.1 200"))
            fail_msg("row %zu was accepted: %s", i, answer);
        free(answer);
        close(fd);
    }
    char *answer = raw_exchange(&f, "GET /m HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_non_null(strstr(answer, "HTTP/1.1 200"));
    free(answer);
    fixture_stop(&f);
}

static void test_server__limits_headers(void **state)
{
    (void)state;
    struct fixture f;
    fixture_start(&f, false, handle_facts, NULL, 0);
    enum { BOMB = 4 << 20 };
    char *bomb = malloc(BOMB + 1);
    assert_non_null(bomb);
    reset();
    for (int many = 0; many < 2; many++) {
        size_t n = (size_t)sprintf(bomb, "GET / HTTP/1.1\r\nHost: a\r\nX: ");
        while (n + 32 < BOMB)
            n += many ? (size_t)sprintf(bomb + n, "y\r\nX%zu: ", n)
                      : (size_t)sprintf(bomb + n, "aaaaaaaaaaaaaaaa");
        int fd = raw_connect(&f);
        raw_send(fd, bomb);
        char *answer = raw_read_all(fd);
        assert_null(strstr(answer, "HTTP/1.1 200"));
        free(answer);
        close(fd);
    }
    free(bomb);
    assert_int_equal(n_calls, 0);
    fixture_stop(&f);
}

static void test_server__cuts_slow_headers(void **state)
{
    (void)state;
    struct fixture f;
    fixture_start(&f, false, handle_facts, NULL, 1);
    int silent = raw_connect(&f);
    int dripping = raw_connect(&f);
    int64_t start = clock_mono_ms();
    raw_send(dripping, "GET / HTTP/1.1\r\nHost: a\r\n");
    bool cut = false;
    while (!cut && clock_mono_ms() - start < 30000) {
        raw_send(dripping, "X");
        struct pollfd p = {.fd = dripping, .events = POLLRDHUP};
        cut = poll(&p, 1, 100) > 0;
    }
    assert_true(cut);
    assert_true(clock_mono_ms() - start >= 900);
    free(raw_read_all(silent));
    close(silent);
    close(dripping);
    fixture_stop(&f);
}

static void test_server__keeps_alive_and_pipelines(void **state)
{
    (void)state;
    struct fixture f;
    fixture_start(&f, false, handle_facts, NULL, 0);
    char body[1000];
    int fd = raw_connect(&f);
    for (int i = 0; i < 20; i++) {
        raw_send(fd, "POST /k HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
        assert_int_equal(raw_read_answer(fd, body, sizeof(body)), 200);
        assert_string_equal(body, "POST|/k||q=(none)|x=(none)|body=hi");
    }
    raw_send(fd, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n"
                 "GET /3 HTTP/1.1\r\nHost: a\r\n\r\n");
    for (int i = 1; i <= 3; i++) {
        char want[32];
        snprintf(want, sizeof(want), "GET|/%d||", i);
        assert_int_equal(raw_read_answer(fd, body, sizeof(body)), 200);
        assert_non_null(strstr(body, want));
    }
    close(fd);
    fixture_stop(&f);
}

/* Waits without a word until the client leaves, or a minute. */
static void handle_silent(struct http_request *r, void *ctx)
{
    bool *read_body = ctx;
    if (read_body && *read_body) {
        char piece[16];
        struct error err = ERROR_INIT;
        while (http_request_read(r, piece, sizeof(piece), &err) > 0)
            ;
    }
    http_request_on_cancel(r, on_cancel, NULL);
    atomic_fetch_add(&n_calls, 1);
    for (int i = 0; i < 60000 && !http_request_canceled(r); i++)
        usleep(1000);
    http_respond_text(r, 200, "never mind");
    atomic_fetch_add(&n_done, 1);
}

static void test_server__notices_a_client_that_leaves(void **state)
{
    (void)state;
    static const struct {
        const char *request;
        bool read_body;
    } rows[] = {
        {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", false},
        {"GET / HTTP/1.0\r\n\r\n", false},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", true},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", false},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\nhello", false},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", false},
        {"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n", false},
        /* The second request must not look like a client that leaves, nor hide one. */
        {"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /again HTTP/1.1\r\nHost: a\r\n\r\n", false},
    };
    for (int tcp = 0; tcp < 2; tcp++)
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
            struct fixture f;
            bool read_body = rows[i].read_body;
            reset();
            fixture_start(&f, tcp == 1, handle_silent, &read_body, 0);
            int fd = raw_connect(&f);
            raw_send(fd, rows[i].request);
            assert_true(wait_until(&n_calls, 1));
            usleep(20 * 1000);
            assert_int_equal(n_cancels, 0);
            close(fd);
            if (!wait_until(&n_done, 1))
                fail_msg("row %zu: the handler did not learn that its client left", i);
            assert_int_equal(n_cancels, 1);
            fixture_stop(&f);
        }
}

/* Streams until it is stopped. */
static void handle_endless(struct http_request *r, void *ctx)
{
    (void)ctx;
    http_request_on_cancel(r, on_cancel, NULL);
    http_stream_begin(r, 200, "text/event-stream");
    atomic_fetch_add(&n_calls, 1);
    while (http_stream_write(r, STR("data: x\n\n")) == 0)
        atomic_fetch_add(&bytes_seen, 9);
    atomic_fetch_add(&n_done, 1);
}

static void test_server__stops_streams_without_a_reader(void **state)
{
    (void)state;
    for (int tcp = 0; tcp < 2; tcp++) {
        struct fixture f;
        reset();
        fixture_start(&f, tcp == 1, handle_endless, NULL, 0);
        int fd = raw_connect(&f);
        raw_send(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_true(wait_until(&n_calls, 1));
        /* Back pressure: nobody reads, so the writer comes to a halt after a bounded amount. */
        size_t before;
        do {
            before = bytes_seen;
            usleep(100 * 1000);
        } while (bytes_seen != before);
        assert_true(bytes_seen < (16 << 20));
        assert_int_equal(n_cancels, 0);
        close(fd);
        assert_true(wait_until(&n_done, 1));
        assert_int_equal(n_cancels, 1);
        fixture_stop(&f);
    }
}

/* Stopping the server ends handlers that are busy in every way. */
static void test_server__stop_cancels(void **state)
{
    (void)state;
    struct fixture f;
    reset();
    fixture_start(&f, false, handle_silent, NULL, 0);
    int silent = raw_connect(&f);
    raw_send(silent, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    int body = raw_connect(&f);
    raw_send(body, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nx");
    int idle = raw_connect(&f);
    assert_true(wait_until(&n_calls, 2));
    int64_t start = clock_mono_ms();
    fixture_stop(&f);
    assert_true(clock_mono_ms() - start < 30000); /* of the minute */
    assert_int_equal(n_done, 2);
    close(silent);
    close(body);
    close(idle);

    reset();
    fixture_start(&f, false, handle_endless, NULL, 0);
    int stream = raw_connect(&f);
    raw_send(stream, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_true(wait_until(&n_calls, 1));
    usleep(50 * 1000);
    fixture_stop(&f);
    assert_int_equal(n_done, 1);
    close(stream);
}

/* Clients with malformed and too long requests under way must not harm a server that stops. */
static void test_server__stop_amid_bad_requests(void **state)
{
    (void)state;
    enum { ROUNDS = 15, CLIENTS = 12, LONG = 150000 };
    char *bad = malloc(LONG + 1);
    assert_non_null(bad);
    memset(bad, 'a', LONG);
    memcpy(bad, "GET /", 5);
    bad[LONG] = '\0';
    for (int round = 0; round < ROUNDS; round++) {
        struct fixture f;
        fixture_start(&f, round % 2 == 1, handle_facts, NULL, 0);
        int fds[CLIENTS];
        for (int i = 0; i < CLIENTS; i++) {
            fds[i] = raw_connect(&f);
            const char *text = i % 3 == 0   ? bad
                               : i % 3 == 1 ? "GET / HTTP/1.1\r\n\r\n"
                                            : "x\r\n\r\n";
            ssize_t ignored = send(fds[i], text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
            (void)ignored;
        }
        usleep((useconds_t)round * 300);
        fixture_stop(&f);
        for (int i = 0; i < CLIENTS; i++)
            close(fds[i]);
    }
    free(bad);
}

/* Answers by what the path asks for. */
static void handle_kinds(struct http_request *r, void *ctx)
{
    (void)ctx;
    const char *path = http_request_path(r);
    atomic_fetch_add(&n_calls, 1);
    if (strcmp(path, "/nothing") == 0)
        return;
    if (strcmp(path, "/empty") == 0) {
        http_respond_header(r, "X-One", "1");
        http_respond_empty(r, 202);
    } else if (strcmp(path, "/json") == 0) {
        struct json *v = js_object();
        js_set_int(v, "a", 1);
        http_respond_json(r, 200, v);
        js_free(v);
    } else if (strcmp(path, "/twice") == 0) {
        http_respond_text(r, 200, "first");
        http_respond_text(r, 500, "second");
        http_stream_begin(r, 200, NULL);
    } else if (strcmp(path, "/evil-header") == 0) {
        http_respond_header(r, "X-Evil", "a\r\nX-Injected: 1");
        http_respond_text(r, 200, "fine");
    } else if (strcmp(path, "/abort") == 0) {
        http_stream_begin(r, 200, NULL);
        http_stream_write(r, STR("part"));
        http_stream_abort(r);
        http_stream_write(r, STR("after"));
    } else if (strcmp(path, "/unread") == 0) {
        http_respond_text(r, 413, "too much");
    } else if (strcmp(path, "/204") == 0) {
        http_respond_empty(r, 204);
    } else {
        http_stream_begin(r, 200, "text/x");
        http_stream_write(r, STR("one "));
        http_stream_write(r, STR(""));
        http_stream_write(r, STR("two"));
    }
    atomic_fetch_add(&n_done, 1);
}

static void test_server__answers(void **state)
{
    (void)state;
    static const struct {
        const char *method, *path, *want, *never;
    } rows[] = {
        {"GET", "/nothing", "HTTP/1.1 500", NULL},
        {"GET", "/empty", "X-One: 1\r\n", NULL},
        {"GET", "/empty", "HTTP/1.1 202 Accepted\r\n", NULL},
        {"GET", "/json", "\r\n\r\n{\"a\":1}\n", NULL},
        {"GET", "/json", "Content-Type: application/json\r\n", NULL},
        {"GET", "/twice", "first", "second"},
        {"GET", "/evil-header", "fine", "Injected"},
        {"GET", "/abort", "part", "after"},
        {"GET", "/abort", "part", "\r\n0\r\n\r\n"},
        {"GET", "/204", "HTTP/1.1 204", "Transfer-Encoding"},
        {"GET", "/stream", "Content-Type: text/x\r\n", NULL},
        {"GET", "/stream", "0\r\n\r\n", NULL},
        {"HEAD", "/stream", "HTTP/1.1 200", "one"},
        {"HEAD", "/json", "HTTP/1.1 200", "{"},
    };
    struct fixture f;
    fixture_start(&f, false, handle_kinds, NULL, 0);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char request[200];
        snprintf(request, sizeof(request), "%s %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
                 rows[i].method, rows[i].path);
        char *answer = raw_exchange(&f, request);
        if (!strstr(answer, rows[i].want))
            fail_msg("row %zu: '%s' lacks '%s'", i, answer, rows[i].want);
        if (rows[i].never && strstr(answer, rows[i].never))
            fail_msg("row %zu: '%s' has '%s'", i, answer, rows[i].never);
        free(answer);
    }
    fixture_stop(&f);
}

/* An answer that comes before the body must reach a client that sends all of it first. */
static void test_server__early_answer_arrives(void **state)
{
    (void)state;
    enum { BODY = 8 << 20 };
    char *body = malloc(BODY + 1);
    assert_non_null(body);
    memset(body, 'x', BODY);
    body[BODY] = '\0';
    for (int tcp = 0; tcp < 2; tcp++) {
        struct fixture f;
        char head[200], answer[1000];
        fixture_start(&f, tcp == 1, handle_kinds, NULL, 0);
        snprintf(head, sizeof(head),
                 "POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", BODY);
        int fd = raw_connect(&f);
        raw_send(fd, head);
        raw_send(fd, body);
        assert_int_equal(raw_read_answer(fd, answer, sizeof(answer)), 413);
        raw_send(fd, "GET /json HTTP/1.1\r\nHost: a\r\n\r\n"); /* and the connection lives on */
        assert_int_equal(raw_read_answer(fd, answer, sizeof(answer)), 200);
        close(fd);
        fixture_stop(&f);

        /* A handler that reads at most 1000 bytes refuses by the announced length alone ... */
        fixture_start(&f, tcp == 1, handle_facts, NULL, 0);
        fd = raw_connect(&f);
        raw_send(fd, "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
                     "Content-Length: 1001\r\n\r\n");
        assert_int_equal(raw_read_answer(fd, answer, sizeof(answer)), 413);
        assert_non_null(strstr(answer, "larger than 1000 bytes"));
        close(fd);
        /* ... or when chunks add up. */
        fd = raw_connect(&f);
        raw_send(fd, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        for (int i = 0; i < 3000; i++)
            raw_send(fd, "10\r\n0123456789abcdef\r\n");
        raw_send(fd, "0\r\n\r\n");
        assert_int_equal(raw_read_answer(fd, answer, sizeof(answer)), 413);
        close(fd);
        fixture_stop(&f);
    }
    free(body);
}

static void test_server__says_continue(void **state)
{
    (void)state;
    struct fixture f;
    fixture_start(&f, false, handle_facts, NULL, 0);
    int fd = raw_connect(&f);
    raw_send(fd,
             "POST /c HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    char line[64] = "";
    static const char want[] = "HTTP/1.1 100 Continue\r\n\r\n";
    assert_int_equal(recv(fd, line, sizeof(want) - 1, MSG_WAITALL), sizeof(want) - 1);
    assert_string_equal(line, want);
    raw_send(fd, "ok");
    char body[200];
    assert_int_equal(raw_read_answer(fd, body, sizeof(body)), 200);
    assert_non_null(strstr(body, "body=ok"));
    close(fd);
    fixture_stop(&f);
}

enum { BIG = 64 << 20 };

/* "/up" counts a body's bytes, "/down" sends BIG bytes. */
static void handle_big(struct http_request *r, void *ctx)
{
    (void)ctx;
    struct error err = ERROR_INIT;
    static _Thread_local char piece[30011];
    if (strcmp(http_request_path(r), "/up") == 0) {
        size_t total = 0, sum = 0;
        for (;;) {
            ssize_t n = http_request_read(r, piece, sizeof(piece), &err);
            if (n <= 0)
                break;
            for (ssize_t i = 0; i < n; i++)
                sum += (unsigned char)piece[i];
            total += (size_t)n;
        }
        char text[64];
        snprintf(text, sizeof(text), "%zu %zu", total, sum);
        http_respond_text(r, 200, text);
        return;
    }
    memset(piece, 'd', sizeof(piece));
    http_stream_begin(r, 200, "application/octet-stream");
    for (size_t left = BIG; left > 0;) {
        size_t n = MIN(left, sizeof(piece));
        if (http_stream_write(r, str_make(piece, n)) < 0)
            return;
        left -= n;
    }
}

static long peak_rss_kib(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return u.ru_maxrss;
}

static void test_server__big_bodies_in_little_memory(void **state)
{
    (void)state;
    struct fixture f;
    fixture_start(&f, false, handle_big, NULL, 0);
    long before = peak_rss_kib();
    int fd = raw_connect(&f);
    char head[200], answer[200];
    snprintf(head, sizeof(head), "POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", BIG);
    raw_send(fd, head);
    char piece[65537];
    memset(piece, 'u', 65536);
    piece[65536] = '\0';
    for (int i = 0; i < BIG / 65536; i++)
        raw_send(fd, piece);
    assert_int_equal(raw_read_answer(fd, answer, sizeof(answer)), 200);
    char want[64];
    snprintf(want, sizeof(want), "%d %zu\n", BIG, (size_t)BIG * 'u');
    assert_string_equal(answer, want);

    raw_send(fd, "GET /down HTTP/1.0\r\n\r\n");
    size_t total = 0;
    for (;;) {
        ssize_t n = recv(fd, piece, 65536, 0);
        if (n <= 0)
            break;
        total += (size_t)n;
    }
    assert_true(total > BIG && total < BIG + 1000);
    close(fd);
    assert_true(peak_rss_kib() - before < 24 * 1024);
    fixture_stop(&f);
}

enum { STREAMS = 50, EVENTS = 100 };

static void handle_events(struct http_request *r, void *ctx)
{
    (void)ctx;
    http_stream_begin(r, 200, "text/event-stream");
    for (int i = 0; i < EVENTS; i++) {
        char event[64];
        snprintf(event, sizeof(event), "data: %s-%d\n\n", http_request_path(r), i);
        if (http_stream_write(r, str_from(event)) < 0)
            return;
        if (i % 10 == 0)
            usleep(500);
    }
}

struct stream_client {
    pthread_t thread;
    const struct fixture *f;
    int id;
    bool ok;
};

static void *stream_client_main(void *arg)
{
    struct stream_client *c = arg;
    char request[64];
    snprintf(request, sizeof(request), "GET /s%d HTTP/1.0\r\n\r\n", c->id);
    char *answer = raw_exchange(c->f, request);
    const char *at = answer;
    c->ok = true;
    for (int i = 0; i < EVENTS && c->ok; i++) {
        char want[64];
        snprintf(want, sizeof(want), "data: /s%d-%d\n\n", c->id, i);
        at = strstr(at, want);
        c->ok = at != NULL;
    }
    free(answer);
    return NULL;
}

static void test_server__many_streams_at_once(void **state)
{
    (void)state;
    struct fixture f;
    fixture_start(&f, false, handle_events, NULL, 0);
    static struct stream_client clients[STREAMS];
    for (int i = 0; i < STREAMS; i++) {
        clients[i] = (struct stream_client){.f = &f, .id = i};
        assert_int_equal(pthread_create(&clients[i].thread, NULL, stream_client_main, &clients[i]),
                         0);
    }
    for (int i = 0; i < STREAMS; i++) {
        pthread_join(clients[i].thread, NULL);
        if (!clients[i].ok)
            fail_msg("stream %d was damaged", i);
    }
    fixture_stop(&f);
}

enum { TICKS = 5 };

/* Each write goes out by itself, not when a buffer is full: there is no other before it came. */
static void handle_ticks(struct http_request *r, void *ctx)
{
    atomic_int *n_seen = ctx;
    http_stream_begin(r, 200, "text/event-stream");
    for (int i = 0; i < TICKS; i++) {
        http_stream_write(r, STR("tick\n"));
        if (!wait_until(n_seen, i + 1))
            return;
    }
}

static void test_server__flushes_each_write(void **state)
{
    (void)state;
    for (int tcp = 0; tcp < 2; tcp++) {
        struct fixture f;
        atomic_int n_seen = 0;
        fixture_start(&f, tcp == 1, handle_ticks, &n_seen, 0);
        int fd = raw_connect(&f);
        raw_send(fd, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        for (;;) {
            char piece[4096];
            ssize_t n = recv(fd, piece, sizeof(piece) - 1, 0);
            if (n <= 0)
                break;
            piece[n] = '\0';
            if (strstr(piece, "tick"))
                atomic_fetch_add(&n_seen, 1);
        }
        assert_int_equal(n_seen, TICKS);
        close(fd);
        fixture_stop(&f);
    }
}

static int count_threads(void)
{
    FILE *f = fopen("/proc/self/status", "r");
    assert_non_null(f);
    char line[256];
    int n = 0;
    while (fgets(line, sizeof(line), f))
        if (sscanf(line, "Threads: %d", &n) == 1)
            break;
    fclose(f);
    return n;
}

/* Connections that wait for a request hold no thread, whether they had one already or not. */
static void test_server__idle_connections_hold_no_thread(void **state)
{
    (void)state;
    enum { IDLE = 300 };
    struct fixture f;
    char body[1000];
    static int fds[IDLE];
    reset();
    fixture_start(&f, false, handle_facts, NULL, 0);
    int before = count_threads();
    for (int i = 0; i < IDLE; i++) {
        fds[i] = raw_connect(&f);
        if (i % 2 == 0)
            continue;
        raw_send(fds[i], "GET /k HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_int_equal(raw_read_answer(fds[i], body, sizeof(body)), 200);
    }
    int64_t end = clock_mono_ms() + 30000;
    while (count_threads() > before && clock_mono_ms() < end)
        usleep(1000);
    assert_int_equal(count_threads(), before);
    for (int i = 0; i < IDLE; i++) {
        raw_send(fds[i], "GET /k HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_int_equal(raw_read_answer(fds[i], body, sizeof(body)), 200);
        close(fds[i]);
    }
    assert_int_equal(n_calls, IDLE + IDLE / 2);
    fixture_stop(&f);
}

/* More requests at work than there are threads for: the next client is told so, at once. */
static void test_server__refuses_requests_beyond_its_bound(void **state)
{
    (void)state;
    struct fixture f = {0};
    struct error err = ERROR_INIT;
    char answer[1000];
    reset();
    fixture_start(&f, true, handle_silent, NULL, 0);
    http_server_stop(f.server);
    const struct http_server_options o = {
        .listen.host = "127.0.0.1", .handler = handle_silent, .max_requests = 2};
    assert_ok(http_server_start(&o, &f.server, &err));
    f.port = http_server_port(f.server);
    int fds[3];
    for (int i = 0; i < 3; i++) {
        fds[i] = raw_connect(&f);
        raw_send(fds[i], "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        if (i < 2)
            assert_true(wait_until(&n_calls, i + 1));
    }
    assert_int_equal(raw_read_answer(fds[2], answer, sizeof(answer)), 503);
    assert_int_equal(n_calls, 2);
    close(fds[0]);
    assert_true(wait_until(&n_done, 1));
    /* A place is free as soon as its thread is gone, a moment after the handler. */
    int64_t end = clock_mono_ms() + 30000;
    while (n_calls < 3 && clock_mono_ms() < end) {
        raw_send(fds[2], "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        struct pollfd p = {.fd = fds[2], .events = POLLIN};
        if (poll(&p, 1, 100) > 0)
            assert_int_equal(raw_read_answer(fds[2], answer, sizeof(answer)), 503);
    }
    assert_int_equal(n_calls, 3);
    for (int i = 1; i < 3; i++)
        close(fds[i]);
    fixture_stop(&f);
}

/* Connections that somebody else accepted are served like its own. */
static void test_server__adopts_connections(void **state)
{
    (void)state;
    struct http_server *s = NULL;
    struct error err = ERROR_INIT;
    char body[1000];
    const struct http_server_options o = {.listen.nowhere = true, .handler = handle_facts};
    assert_ok(http_server_start(&o, &s, &err));
    for (int i = 0; i < 3; i++) {
        int pair[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        assert_ok(http_server_adopt(s, pair[1], &err));
        for (int k = 0; k < 2; k++) {
            raw_send(pair[0], "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
            assert_int_equal(raw_read_answer(pair[0], body, sizeof(body)), 200);
            assert_non_null(strstr(body, "POST|/a||"));
        }
        close(pair[0]);
    }
    http_server_stop(s);
}

static void test_server__socket_file(void **state)
{
    (void)state;
    struct fixture f;
    struct error err = ERROR_INIT;
    struct http_server *other = NULL;
    mode_t old_umask = umask(0);
    fixture_start(&f, false, handle_facts, NULL, 0);
    umask(old_umask);
    struct stat st;
    assert_int_equal(stat(f.sock, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);

    /* A live socket is not taken over. */
    struct http_server_options o = {.handler = handle_facts, .listen.unix_path = f.sock};
    assert_fails(http_server_start(&o, &other, &err), ERR_CONFLICT, "another server");
    free(raw_exchange(&f, "GET / HTTP/1.0\r\n\r\n"));
    fixture_stop(&f);

    /* A dead one is, and a wider mode is not narrowed by the umask. */
    fixture_start(&f, false, handle_facts, NULL, 0);
    http_server_stop(f.server);
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    snprintf(un.sun_path, sizeof(un.sun_path), "%.100s", f.sock);
    int dead = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(dead, (struct sockaddr *)&un, sizeof(un)), 0);
    close(dead);
    o.listen.unix_path = f.sock;
    o.listen.unix_mode = 0666;
    assert_ok(http_server_start(&o, &f.server, &err));
    assert_int_equal(stat(f.sock, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0666);
    fixture_stop(&f);

    /* A group is named or numbered. */
    fixture_start(&f, false, handle_facts, NULL, 0);
    http_server_stop(f.server);
    char group[32];
    snprintf(group, sizeof(group), "%u", (unsigned)getegid());
    o.listen.unix_mode = 0660;
    o.listen.unix_group = group;
    assert_ok(http_server_start(&o, &f.server, &err));
    assert_int_equal(stat(f.sock, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0660);
    assert_int_equal(st.st_gid, getegid());
    http_server_stop(f.server);
    o.listen.unix_group = "no-such-group";
    assert_fails(http_server_start(&o, &f.server, &err), ERR_NOT_FOUND, "no-such-group");
    o.listen.unix_group = NULL;
    assert_int_equal(rmdir(f.dir), 0);

    /* A file that is no socket is left alone. */
    char path[] = "/tmp/mr-http-file-XXXXXX";
    int file = mkstemp(path);
    assert_true(file >= 0);
    o.listen.unix_path = path;
    assert_fails(http_server_start(&o, &other, &err), ERR_CONFLICT, "is not a socket");
    assert_int_equal(access(path, F_OK), 0);
    close(file);
    unlink(path);
    char lock[64];
    snprintf(lock, sizeof(lock), "%s.lock", path);
    unlink(lock);

    char long_path[200];
    memset(long_path, 'p', sizeof(long_path));
    long_path[0] = '/';
    long_path[sizeof(long_path) - 1] = '\0';
    o.listen.unix_path = long_path;
    assert_fails(http_server_start(&o, &other, &err), ERR_INVALID, "shorter");
    o.listen.unix_path = "/nonexistent-dir/x.sock";
    assert_fails(http_server_start(&o, &other, &err), ERR_NOT_FOUND, "/nonexistent-dir");
}

static void test_server__port_in_use(void **state)
{
    (void)state;
    struct fixture f;
    struct error err = ERROR_INIT;
    struct http_server *other = NULL;
    fixture_start(&f, true, handle_facts, NULL, 0);
    struct http_server_options o = {.handler = handle_facts,
                                    .listen = {.host = "127.0.0.1", .port = f.port}};
    assert_fails(http_server_start(&o, &other, &err), ERR_CONFLICT, "cannot listen");
    fixture_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_server__decodes_requests),
        cmocka_unit_test(test_server__refuses_garbage),
        cmocka_unit_test(test_server__limits_headers),
        cmocka_unit_test(test_server__cuts_slow_headers),
        cmocka_unit_test(test_server__keeps_alive_and_pipelines),
        cmocka_unit_test(test_server__notices_a_client_that_leaves),
        cmocka_unit_test(test_server__stops_streams_without_a_reader),
        cmocka_unit_test(test_server__stop_cancels),
        cmocka_unit_test(test_server__stop_amid_bad_requests),
        cmocka_unit_test(test_server__answers),
        cmocka_unit_test(test_server__early_answer_arrives),
        cmocka_unit_test(test_server__says_continue),
        cmocka_unit_test(test_server__big_bodies_in_little_memory),
        cmocka_unit_test(test_server__many_streams_at_once),
        cmocka_unit_test(test_server__flushes_each_write),
        cmocka_unit_test(test_server__idle_connections_hold_no_thread),
        cmocka_unit_test(test_server__refuses_requests_beyond_its_bound),
        cmocka_unit_test(test_server__adopts_connections),
        cmocka_unit_test(test_server__socket_file),
        cmocka_unit_test(test_server__port_in_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
