/* SPDX-License-Identifier: Apache-2.0
 *
 * The HTTP client against the project's server, and against sockets that misbehave. */
#include "test.h"

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "http/client.h"
#include "http_fixture.h"

static void handle(struct http_request *r, void *ctx)
{
    (void)ctx;
    struct error err = ERROR_INIT;
    const char *path = http_request_path(r);
    if (strcmp(path, "/silent") == 0) {
        while (!http_request_canceled(r))
            usleep(1000);
        return;
    }
    if (strcmp(path, "/redirect") == 0) {
        http_respond_header(r, "Location", "/echo");
        http_respond_empty(r, 307);
        return;
    }
    if (strcmp(path, "/loop") == 0) {
        http_respond_header(r, "Location", "/loop");
        http_respond_empty(r, 302);
        return;
    }
    if (strcmp(path, "/abort") == 0 || strcmp(path, "/stall") == 0) {
        http_stream_begin(r, 200, "text/plain");
        http_stream_write(r, STR("part"));
        if (strcmp(path, "/abort") == 0)
            http_stream_abort(r);
        else
            while (!http_request_canceled(r))
                usleep(1000);
        return;
    }
    CLEANUP_BUF struct buf body = BUF_INIT(8 << 20);
    if (http_request_read_all(r, &body, &err) < 0) {
        http_respond_text(r, errc_http_status(err.code), err.msg);
        return;
    }
    const char *type = http_request_header(r, "Content-Type");
    CLEANUP_BUF struct buf out = BUF_INIT(16 << 20);
    buf_printf(&out, "%s %s type=%s len=%zu ", http_request_method(r), path, type ? type : "-",
               body.len);
    buf_append(&out, buf_str(&body));
    http_respond_header(r, "X-Answer", "  42 ");
    http_respond(r, strcmp(path, "/missing") == 0 ? 404 : 200, "text/plain; charset=utf-8",
                 buf_str(&out));
}

static struct fixture fix;

static int setup(void **state)
{
    (void)state;
    fixture_start(&fix, false, handle, NULL, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_stop(&fix);
    return 0;
}

static struct http_call call_to(const char *url)
{
    struct http_call c = HTTP_CALL_INIT;
    c.url = url;
    c.unix_path = fix.sock;
    return c;
}

static void test_client__methods(void **state)
{
    (void)state;
    static const char *const json[] = {"Content-Type: application/json", NULL};
    static const struct {
        const char *method, *path, *body;
        const char *const *headers;
        int status;
        const char *want;
    } rows[] = {
        {NULL, "/echo", NULL, NULL, 200, "GET /echo type=- len=0 "},
        {NULL, "/echo", "hello", NULL, 200, "POST /echo type=- len=5 hello"},
        {NULL, "/echo", "{}", json, 200, "POST /echo type=application/json len=2 {}"},
        {"POST", "/echo", NULL, NULL, 200, "POST /echo type=application/x-www-form-urlencoded len=0 "},
        {"POST", "/echo", "", NULL, 200, "POST /echo type=- len=0 "},
        {"PUT", "/echo", "x", NULL, 200, "PUT /echo type=- len=1 x"},
        {"DELETE", "/echo", NULL, NULL, 200, "DELETE /echo type=- len=0 "},
        {"HEAD", "/echo", NULL, NULL, 200, ""},
        {NULL, "/missing", NULL, NULL, 404, "GET /missing type=- len=0 "},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = ERROR_INIT;
        struct http_result res = {0};
        char url[100];
        snprintf(url, sizeof(url), "http://localhost%s", rows[i].path);
        struct http_call c = call_to(url);
        c.method = rows[i].method;
        c.headers = rows[i].headers;
        c.body = str_from(rows[i].body);
        assert_ok(http_perform(&c, &res, &err));
        assert_int_equal(res.status, rows[i].status);
        if (!str_eq_c(buf_str(&res.body), rows[i].want))
            fail_msg("row %zu: '%s', wanted '%s'", i, buf_cstr(&res.body), rows[i].want);
        assert_string_equal(res.content_type, "text/plain; charset=utf-8");
        http_result_release(&res);
    }
}

struct seen {
    int status;
    int headers_at; /* how many headers came before on_headers */
    int n_headers;
    char answer[32];
    struct buf data;
    int give;    /* pieces of body left to send */
    int result;  /* of the callbacks */
};

static int see_headers(void *ctx, int status)
{
    struct seen *s = ctx;
    s->status = status;
    s->headers_at = s->n_headers;
    return s->result;
}

static void see_header(void *ctx, struct str name, struct str value)
{
    struct seen *s = ctx;
    s->n_headers++;
    if (str_eq_nocase(name, STR("x-answer")))
        snprintf(s->answer, sizeof(s->answer), "%.*s", STR_ARG(value));
}

static int see_data(void *ctx, struct str piece)
{
    struct seen *s = ctx;
    return buf_append(&s->data, piece);
}

static ssize_t give_body(void *ctx, char *p, size_t n)
{
    struct seen *s = ctx;
    if (s->give < 0)
        return -(int)ERR_BUSY;
    if (s->give-- == 0)
        return 0;
    size_t len = MIN(n, (size_t)1000);
    memset(p, 'b', len);
    return (ssize_t)len;
}

static void test_client__streams_both_ways(void **state)
{
    (void)state;
    for (int chunked = 0; chunked < 2; chunked++) {
        struct error err = ERROR_INIT;
        struct http_result res = {0};
        struct seen s = {.data = BUF_INIT(8 << 20), .give = 3000};
        struct http_call c = call_to("http://localhost/echo");
        c.read_body = give_body;
        c.body_size = chunked ? -1 : 3000 * 1000;
        c.on_headers = see_headers;
        c.on_header = see_header;
        c.on_data = see_data;
        c.ctx = &s;
        assert_ok(http_perform(&c, &res, &err));
        assert_int_equal(s.status, 200);
        assert_true(s.n_headers > 2);
        assert_int_equal(s.headers_at, s.n_headers);
        assert_string_equal(s.answer, "42");
        assert_int_equal(res.body.len, 0);
        assert_true(str_starts_with(buf_str(&s.data), STR("POST /echo type=- len=3000000 bbb")));
        buf_release(&s.data);
        http_result_release(&res);
    }
}

static void test_client__callbacks_stop_it(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct http_result res = {0};
    struct seen s = {.give = -1, .data = BUF_INIT(3)};
    struct http_call c = call_to("http://localhost/echo");
    c.ctx = &s;
    c.read_body = give_body;
    assert_int_equal(http_perform(&c, &res, &err), -(int)ERR_BUSY);
    c.read_body = NULL;
    c.on_data = see_data;
    assert_int_equal(http_perform(&c, &res, &err), -(int)ERR_TOO_LARGE);
    s.result = -(int)ERR_DENIED;
    c.on_headers = see_headers;
    assert_int_equal(http_perform(&c, &res, &err), -(int)ERR_DENIED);
    assert_string_equal(err.msg, "");
    buf_release(&s.data);
}

static void test_client__redirects(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct http_result res = {0};
    struct seen s = {.data = BUF_INIT(1000)};
    struct http_call c = call_to("http://localhost/redirect");
    c.on_headers = see_headers;
    c.on_header = see_header;
    c.ctx = &s;
    assert_ok(http_perform(&c, &res, &err));
    assert_int_equal(res.status, 307);
    http_result_release(&res);
    c.follow_redirects = true;
    c.body = STR("again");
    s = (struct seen){0};
    assert_ok(http_perform(&c, &res, &err));
    assert_int_equal(res.status, 200);
    assert_int_equal(s.status, 200);
    assert_string_equal(buf_cstr(&res.body), "POST /echo type=- len=5 again");
    http_result_release(&res);
    c = call_to("http://localhost/loop");
    c.follow_redirects = true;
    assert_fails(http_perform(&c, &res, &err), ERR_UNAVAILABLE, "too many redirects");
}

static void test_client__limits(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct http_result res = {0};
    struct http_call c = call_to("http://localhost/echo");
    c.max_body = 10;
    assert_fails(http_perform(&c, &res, &err), ERR_TOO_LARGE, "too large");
    c = call_to("http://localhost/silent?token=secret");
    c.timeout_ms = 80;
    assert_fails(http_perform(&c, &res, &err), ERR_TIMEOUT, fix.sock);
    c.timeout_ms = 0;
    c.stall_timeout_ms = 80;
    assert_fails(http_perform(&c, &res, &err), ERR_TIMEOUT, "no data for 80 ms");
    c.url = "http://localhost/stall";
    assert_fails(http_perform(&c, &res, &err), ERR_TIMEOUT, "no data");
    c = call_to("http://localhost/abort");
    assert_fails(http_perform(&c, &res, &err), ERR_IO, "broke off");
    c = call_to("ftp://localhost/");
    assert_fails(http_perform(&c, &res, &err), ERR_INVALID, "");
    c = call_to("http://localhost/");
    c.unix_path = "/tmp/mr-nobody-listens.sock";
    assert_fails(http_perform(&c, &res, &err), ERR_UNAVAILABLE, "/tmp/mr-nobody-listens.sock");
    c = HTTP_CALL_INIT;
    c.url = "http://user:pw@127.0.0.1:1/path?sig=secret";
    assert_fails(http_perform(&c, &res, &err), ERR_UNAVAILABLE, "127.0.0.1:1/path: ");
    assert_null(strstr(err.msg, "secret"));
    assert_null(strstr(err.msg, "pw@"));
}

static void *fire_soon(void *arg)
{
    usleep(50 * 1000);
    http_cancel_fire(arg);
    return NULL;
}

static void test_client__cancel(void **state)
{
    (void)state;
    static const char *const urls[] = {"http://localhost/silent", "http://localhost/stall"};
    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        struct error err = ERROR_INIT;
        struct http_result res = {0};
        struct http_cancel *cancel = http_cancel_new();
        struct http_call c = call_to(urls[i]);
        c.cancel = cancel;
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, fire_soon, cancel), 0);
        assert_fails(http_perform(&c, &res, &err), ERR_CANCELED, "canceled");
        pthread_join(thread, NULL);
        c.url = "http://localhost/echo"; /* and calls that start later */
        assert_fails(http_perform(&c, &res, &err), ERR_CANCELED, "canceled");
        http_cancel_free(cancel);
    }
    http_cancel_free(NULL);
}

/* A peer that is no HTTP server. */
static void *serve_garbage(void *arg)
{
    int listener = *(int *)arg;
    static const char *const answers[] = {
        "", "garbage\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        int fd = accept(listener, NULL, NULL);
        char request[4096];
        if (recv(fd, request, sizeof(request), 0) > 0)
            raw_send(fd, answers[i]);
        close(fd);
    }
    return NULL;
}

static void test_client__bad_peers(void **state)
{
    (void)state;
    char path[] = "/tmp/mr-http-XXXXXX";
    assert_non_null(mkdtemp(path));
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    snprintf(un.sun_path, sizeof(un.sun_path), "%s/g.sock", path);
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&un, sizeof(un)), 0);
    assert_int_equal(listen(listener, 8), 0);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, serve_garbage, &listener), 0);
    static const enum errc want[] = {ERR_UNAVAILABLE, ERR_UNAVAILABLE, ERR_IO, ERR_UNAVAILABLE};
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        struct error err = ERROR_INIT;
        struct http_result res = {0};
        struct http_call c = call_to("http://localhost/");
        c.unix_path = un.sun_path;
        int r = http_perform(&c, &res, &err);
        if (r != -(int)want[i])
            fail_msg("answer %zu: %d '%s', wanted %s", i, r, err.msg, errc_name(want[i]));
    }
    pthread_join(thread, NULL);
    close(listener);
    unlink(un.sun_path);
    rmdir(path);
}

static void test_client__url_encode(void **state)
{
    (void)state;
    static const struct {
        const char *in, *keep, *want;
    } rows[] = {
        {"", NULL, ""},
        {"aZ09-._~", NULL, "aZ09-._~"},
        {"a b/c:d", NULL, "a%20b%2Fc%3Ad"},
        {"a b/c:d", "/:", "a%20b/c:d"},
        {"\xc3\xa9%", NULL, "%C3%A9%25"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char *out = url_encode(str_from(rows[i].in), rows[i].keep);
        assert_string_equal(out, rows[i].want);
        free(out);
    }
    char *nul = url_encode(str_make("\0x", 2), "/");
    assert_string_equal(nul, "%00x");
    free(nul);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_client__methods),
        cmocka_unit_test(test_client__streams_both_ways),
        cmocka_unit_test(test_client__callbacks_stop_it),
        cmocka_unit_test(test_client__redirects),
        cmocka_unit_test(test_client__limits),
        cmocka_unit_test(test_client__cancel),
        cmocka_unit_test(test_client__bad_peers),
        cmocka_unit_test(test_client__url_encode),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
