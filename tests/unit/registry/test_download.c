/* SPDX-License-Identifier: Apache-2.0
 *
 * The download engine against sources that behave, and against those that do not: every byte must
 * come exactly once, or there must be an error that says why. */
#include "test.h"

#include "fake.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "registry/registry.h"

enum { SIZE = 6 << 20, CHUNK = 512 << 10, MAX_BLOBS = 8 };

enum mode {
    GOOD,
    RESETS,          /* RST after 100 KB of each body */
    DRIPS,           /* FIN after 3 bytes of each body, of a small blob */
    NO_RANGES,       /* 200 and everything */
    NO_RANGES_RESETS,
    SHORT_RANGE,     /* 206 with half of what was asked for */
    OTHER_START,     /* Content-Range of another place */
    OTHER_TOTAL,
    NO_CONTENT_RANGE,
    MORE_BYTES,      /* chunked, longer than asked for */
    EVERY_OTHER_503,
    FIRST_429,
    HANGS_ONCE,
    SLOW_HEADERS_ONCE,
    GZIP_ONCE,
    ONCE_416,
    RANGES_THEN_NOT, /* ranges at first, then 200 */
    EXPIRES,         /* redirects to signed URLs that are good for three requests */
    TOKEN_EXPIRES,   /* a token is good for three requests */
    FAIL_500,
    FAIL_404,
    FAIL_403,
    FAIL_SIZE,
    FAIL_LONGER,     /* chunked, without an end in sight */
    FAIL_GZIP,
    FAIL_LIES,       /* 206, whatever is asked */
    FAIL_LOOP,
    FAIL_REDIRECT,   /* to source.location */
    FAIL_CLOSES,     /* without an answer */
};

struct source {
    struct fake *fake, *cdn;
    enum mode mode;
    const char *location;
    char *data;
    size_t size;
    atomic_uint n, n_cdn, n_tokens, n_secrets_at_cdn, n_parallel, max_parallel;
    atomic_ullong sent;
};

static bool is_first(struct source *s)
{
    return atomic_fetch_add(&s->n, 1) == 0;
}

static void send_body(struct source *s, struct fake_conn *c, uint64_t at, uint64_t n)
{
    if (fake_send(c, s->data + at, (size_t)n))
        atomic_fetch_add(&s->sent, n);
}

static void answer_206(struct source *s, struct fake_conn *c, uint64_t first, uint64_t last,
                       uint64_t said_first, uint64_t total, uint64_t body)
{
    char range[128];
    snprintf(range, sizeof(range), "Content-Range: bytes %llu-%llu/%llu\r\n",
             (unsigned long long)said_first, (unsigned long long)(said_first + last - first),
             (unsigned long long)total);
    if (fake_head(c, 206, range, last - first + 1))
        send_body(s, c, first, body);
}

static void serve_well(struct source *s, struct fake_conn *c, const struct fake_request *r)
{
    if (!r->ranged) {
        if (fake_head(c, 200, "", s->size))
            send_body(s, c, 0, s->size);
        return;
    }
    uint64_t last = MIN(r->last, s->size - 1);
    answer_206(s, c, r->first, last, r->first, s->size, last - r->first + 1);
}

static void chunked(struct fake_conn *c, const char *head, const char *data, size_t n)
{
    char text[256];
    int len = snprintf(text, sizeof(text), "%sTransfer-Encoding: chunked\r\n\r\n%zx\r\n", head, n);
    if (fake_send(c, text, (size_t)len) && fake_send(c, data, n))
        fake_send(c, "\r\n0\r\n\r\n", 7);
}

static void on_cdn(struct fake_conn *c, const struct fake_request *r, void *ctx)
{
    struct source *s = ctx;
    atomic_fetch_add(&s->n_cdn, 1);
    if (*fake_header(r, "Authorization"))
        atomic_fetch_add(&s->n_secrets_at_cdn, 1);
    unsigned long ticket = strtoul(strstr(r->path, "sig=") + 4, NULL, 10);
    if (atomic_load(&s->n_cdn) > ticket * 3)
        fake_answer(c, 403, "", STR("expired"));
    else
        serve_well(s, c, r);
}

static void on_request(struct fake_conn *c, const struct fake_request *r, void *ctx)
{
    struct source *s = ctx;
    char text[512];
    uint64_t first = r->ranged ? r->first : 0;
    uint64_t last = r->ranged ? MIN(r->last, s->size - 1) : s->size - 1;
    if (strcmp(r->path, "/v2/") == 0) {
        fake_answer(c, 200, "", STR("{}"));
        return;
    }
    switch (s->mode) {
    case GOOD: {
        unsigned now = atomic_fetch_add(&s->n_parallel, 1) + 1;
        if (now > atomic_load(&s->max_parallel))
            atomic_store(&s->max_parallel, now);
        is_first(s);
        serve_well(s, c, r);
        atomic_fetch_sub(&s->n_parallel, 1);
        return;
    }
    case RESETS:
        answer_206(s, c, first, last, first, s->size, MIN(last - first + 1, 100 << 10));
        fake_reset(c);
        return;
    case DRIPS:
        if (r->ranged)
            answer_206(s, c, first, last, first, s->size, MIN(last - first + 1, 3));
        else if (fake_head(c, 200, "", s->size))
            send_body(s, c, 0, 3);
        fake_close(c);
        return;
    case NO_RANGES:
        if (fake_head(c, 200, "", s->size))
            send_body(s, c, 0, s->size);
        return;
    case NO_RANGES_RESETS:
        if (fake_head(c, 200, "", s->size))
            send_body(s, c, 0, MIN((atomic_fetch_add(&s->n, 1) + 1) << 20, s->size));
        fake_close(c);
        return;
    case SHORT_RANGE:
        last = first + (last - first) / 2;
        answer_206(s, c, first, last, first, s->size, last - first + 1);
        return;
    case OTHER_START:
        if (r->ranged)
            answer_206(s, c, first, last, first + 1, s->size + 1, last - first + 1);
        else
            serve_well(s, c, r);
        return;
    case OTHER_TOTAL:
        if (r->ranged)
            answer_206(s, c, first, last, first, s->size + 1, last - first + 1);
        else
            serve_well(s, c, r);
        return;
    case NO_CONTENT_RANGE:
        if (!r->ranged)
            serve_well(s, c, r);
        else if (fake_head(c, 206, "", last - first + 1))
            send_body(s, c, first, last - first + 1);
        return;
    case MORE_BYTES: {
        uint64_t n = MIN(last + 5000, s->size) - first;
        snprintf(text, sizeof(text), "HTTP/1.1 206 X\r\nContent-Range: bytes %llu-%llu/%zu\r\n",
                 (unsigned long long)first, (unsigned long long)last, s->size);
        chunked(c, text, s->data + first, (size_t)n);
        return;
    }
    case EVERY_OTHER_503:
        if (atomic_fetch_add(&s->n, 1) % 2 == 0)
            fake_answer(c, 503, "Retry-After: 0\r\n", STR("busy"));
        else
            serve_well(s, c, r);
        return;
    case FIRST_429:
        if (is_first(s))
            fake_answer(c, 429, "Retry-After: 1\r\n", STR("slow down"));
        else
            serve_well(s, c, r);
        return;
    case HANGS_ONCE:
        if (is_first(s)) {
            answer_206(s, c, first, last, first, s->size, 1000);
            fake_hang(c);
        } else {
            serve_well(s, c, r);
        }
        return;
    case SLOW_HEADERS_ONCE:
        if (is_first(s))
            fake_hang(c);
        else
            serve_well(s, c, r);
        return;
    case GZIP_ONCE:
        if (is_first(s))
            fake_answer(c, 200, "Content-Encoding: gzip\r\n", STR("\037\213"));
        else
            serve_well(s, c, r);
        return;
    case ONCE_416:
        if (is_first(s))
            fake_answer(c, 416, "", STR(""));
        else
            serve_well(s, c, r);
        return;
    case RANGES_THEN_NOT:
        if (r->ranged && atomic_fetch_add(&s->n, 1) < 4)
            serve_well(s, c, r);
        else if (fake_head(c, 200, "", s->size))
            send_body(s, c, 0, s->size);
        return;
    case EXPIRES:
        snprintf(text, sizeof(text), "Location: http://127.0.0.1:%u/x?sig=%u\r\n",
                 (unsigned)fake_port(s->cdn), atomic_load(&s->n_cdn) / 3 + 1);
        fake_answer(c, 307, text, STR(""));
        return;
    case TOKEN_EXPIRES:
        if (strncmp(r->path, "/token", 6) == 0) {
            snprintf(text, sizeof(text), "{\"token\":\"t%u\",\"expires_in\":300}",
                     atomic_fetch_add(&s->n_tokens, 1) + 1);
            fake_answer(c, 200, "", str_from(text));
            return;
        }
        snprintf(text, sizeof(text), "Bearer t%u", atomic_load(&s->n_tokens));
        if (strcmp(fake_header(r, "Authorization"), text) != 0 ||
            atomic_fetch_add(&s->n, 1) % 4 == 3) {
            snprintf(text, sizeof(text),
                     "WWW-Authenticate: Bearer realm=\"http://127.0.0.1:%u/token\",service=\"s\"\r\n",
                     (unsigned)fake_port(s->fake));
            fake_answer(c, 401, text, STR(""));
            return;
        }
        serve_well(s, c, r);
        return;
    case FAIL_500:
        is_first(s);
        fake_answer(c, 500, "", STR("{\"errors\":[{\"code\":\"UNKNOWN\",\"message\":\"oh\"}]}"));
        return;
    case FAIL_404:
        is_first(s);
        fake_answer(c, 404, "",
                    STR("{\"errors\":[{\"code\":\"BLOB_UNKNOWN\",\"message\":\"no blob\\u001b[2J\"}]}"));
        return;
    case FAIL_403:
        is_first(s);
        fake_answer(c, 403, "", STR("<html>no</html>"));
        return;
    case FAIL_SIZE:
        fake_answer(c, 200, "", STR("much too short"));
        return;
    case FAIL_LONGER: {
        static const char junk[65536];
        if (!fake_send(c, "HTTP/1.0 200 OK\r\n\r\n", 19))
            return;
        for (int i = 0; i < 100000 && fake_send(c, junk, sizeof(junk)); i++)
            ;
        fake_close(c);
        return;
    }
    case FAIL_GZIP:
        fake_answer(c, 200, "Content-Encoding: gzip\r\n", STR("\037\213"));
        return;
    case FAIL_LIES:
        answer_206(s, c, 7, 107, 7, s->size, 101);
        return;
    case FAIL_LOOP:
        snprintf(text, sizeof(text), "Location: %.300s\r\n", r->path);
        is_first(s);
        fake_answer(c, 307, text, STR(""));
        return;
    case FAIL_REDIRECT:
        snprintf(text, sizeof(text), "%s%s%s", s->location ? "Location: " : "",
                 s->location ? s->location : "", s->location ? "\r\n" : "");
        fake_answer(c, 302, text, STR(""));
        return;
    case FAIL_CLOSES:
        is_first(s);
        fake_close(c);
        return;
    }
}

static void source_start(struct source *s, enum mode mode, size_t size)
{
    *s = (struct source){.mode = mode, .size = size, .data = xmalloc(size + 1)};
    uint32_t v = 12345;
    for (size_t i = 0; i < size; i++) {
        v = v * 1664525 + 1013904223;
        s->data[i] = (char)(v >> 24);
    }
    s->fake = fake_start(on_request, s);
    s->cdn = fake_start(on_cdn, s);
}

static void source_stop(struct source *s)
{
    fake_stop(s->fake);
    fake_stop(s->cdn);
    free(s->data);
}

/* ---- a sink that sees everything ---- */

struct sink {
    const struct source *source;
    char *got[MAX_BLOBS];
    unsigned char *seen[MAX_BLOBS];
    uint64_t progress[MAX_BLOBS];
    unsigned n_done;
    bool doubled, backwards, outside;
    uint64_t n_bytes, fail_at, cancel_at;
    struct http_cancel *cancel;
};

static int sink_write(void *ctx, size_t blob, uint64_t offset, struct str bytes, struct error *err)
{
    struct sink *k = ctx;
    if (offset + bytes.len > k->source->size || bytes.len > 256 * 1024) {
        k->outside = true;
        return 0;
    }
    memcpy(k->got[blob] + offset, bytes.ptr, bytes.len);
    for (size_t i = 0; i < bytes.len; i++)
        k->doubled = k->doubled || k->seen[blob][offset + i]++ > 0;
    k->n_bytes += bytes.len;
    if (k->cancel_at && k->n_bytes >= k->cancel_at)
        http_cancel_fire(k->cancel);
    return k->fail_at && k->n_bytes >= k->fail_at ? error_set(err, ERR_IO, "the disk is full") : 0;
}

static int sink_done(void *ctx, size_t blob, struct error *err)
{
    (void)err;
    struct sink *k = ctx;
    k->n_done++;
    return k->progress[blob] == k->source->size ? 0 : error_set(err, ERR_INTERNAL, "not told");
}

static void sink_progress(void *ctx, size_t blob, uint64_t received)
{
    struct sink *k = ctx;
    k->backwards = k->backwards || received <= k->progress[blob];
    k->progress[blob] = received;
}

static void sink_init(struct sink *k, const struct source *s, size_t n)
{
    *k = (struct sink){.source = s, .cancel = http_cancel_new()};
    for (size_t i = 0; i < n; i++) {
        k->got[i] = xcalloc(s->size + 1, 1);
        k->seen[i] = xcalloc(s->size + 1, 1);
    }
}

static void sink_release(struct sink *k)
{
    for (size_t i = 0; i < MAX_BLOBS; i++) {
        free(k->got[i]);
        free(k->seen[i]);
    }
    http_cancel_free(k->cancel);
}

struct run {
    const struct registry_range *have;
    size_t n_have;
    size_t n_blobs;
    uint64_t chunk;
    unsigned max_connections;
    const char *host;
};

static int download(struct source *s, struct sink *k, const struct run *run, struct error *ret)
{
    struct error err = ERROR_INIT;
    struct registry_options o = {
        .docker_config_dir = "/nonexistent",
        .certs_dirs = "/nonexistent",
        .chunk_bytes = run->chunk ? run->chunk : CHUNK,
        .max_connections = run->max_connections,
        .stall_ms = 400,
        .backoff_ms = 4,
    };
    struct registry *r = NULL;
    struct registry_repo *repo = NULL;
    struct oci_reference ref;
    char name[128];
    snprintf(name, sizeof(name), "%s:%u/ai/m:1", run->host ? run->host : "127.0.0.1",
             (unsigned)fake_port(s->fake));
    assert_ok(oci_reference_parse(str_from(name), NULL, &ref, &err));
    assert_ok(registry_new(&o, &r, &err));
    assert_ok(registry_repo_open(r, &ref, REGISTRY_PULL, NULL, &repo, &err));
    struct oci_digest digest = oci_digest_of(str_make(s->data, s->size));
    struct registry_blob blobs[MAX_BLOBS];
    size_t n = run->n_blobs ? run->n_blobs : 1;
    for (size_t i = 0; i < n; i++)
        blobs[i] = (struct registry_blob){.name = "the blob",
                                          .digest = &digest,
                                          .size = s->size,
                                          .have = run->have,
                                          .n_have = run->n_have};
    struct registry_download d = {.blobs = blobs,
                                  .n_blobs = n,
                                  .write = sink_write,
                                  .blob_done = sink_done,
                                  .progress = sink_progress,
                                  .ctx = k};
    int res = registry_download(repo, &d, k->cancel, ret);
    registry_repo_close(repo);
    registry_free(r);
    return res;
}

/* All that was missing came once, what was there was left alone. */
static void assert_complete(const struct sink *k, const struct run *run)
{
    size_t n = run->n_blobs ? run->n_blobs : 1, size = k->source->size;
    assert_false(k->doubled);
    assert_false(k->backwards);
    assert_false(k->outside);
    assert_int_equal(k->n_done, n);
    unsigned char *had = xcalloc(size + 1, 1);
    for (size_t i = 0; i < run->n_have; i++)
        memset(had + run->have[i].offset, 1, run->have[i].length);
    for (size_t b = 0; b < n; b++) {
        assert_int_equal(k->progress[b], size);
        for (size_t i = 0; i < size; i++) {
            if (k->seen[b][i] != !had[i])
                fail_msg("byte %zu came %u times", i, k->seen[b][i]);
            if (!had[i] && k->got[b][i] != k->source->data[i])
                fail_msg("byte %zu is wrong", i);
        }
    }
    free(had);
}

static void test_download__completes(void **state)
{
    (void)state;
    static const struct registry_range holes[] = {{0, 1000}, {700000, 1}, {2 << 20, 1 << 20},
                                                  {(6 << 20) - 5, 5}};
    static const struct registry_range small_hole[] = {{10, 5}};
    static const struct {
        enum mode mode;
        size_t size;
        struct run run;
    } cases[] = {
        {GOOD, SIZE, {0}},
        {GOOD, SIZE, {.chunk = 64 << 20}}, /* one request, then halves of it */
        {GOOD, SIZE, {.n_blobs = 8}},
        {GOOD, SIZE, {.have = holes, .n_have = 4}},
        {GOOD, SIZE, {.max_connections = 1}},
        {GOOD, 1, {0}},
        {GOOD, CHUNK, {.n_blobs = 3}},
        {GOOD, CHUNK + 1, {0}},
        {GOOD, SIZE, {.host = "localhost"}},
        {RESETS, SIZE, {0}},
        {DRIPS, 100, {.have = small_hole, .n_have = 1}},
        {NO_RANGES, SIZE, {0}},
        {NO_RANGES, SIZE, {.have = holes, .n_have = 4}},
        {NO_RANGES, SIZE, {.n_blobs = 4}},
        {NO_RANGES_RESETS, SIZE, {0}},
        {NO_RANGES_RESETS, SIZE, {.have = holes, .n_have = 4}},
        {SHORT_RANGE, SIZE, {.have = holes, .n_have = 4}},
        {OTHER_START, SIZE, {0}},
        {OTHER_TOTAL, SIZE, {0}},
        {NO_CONTENT_RANGE, SIZE, {.have = holes, .n_have = 4}},
        {MORE_BYTES, SIZE, {.have = holes, .n_have = 4}},
        {EVERY_OTHER_503, SIZE, {0}},
        {FIRST_429, SIZE, {0}},
        {HANGS_ONCE, SIZE, {0}},
        {SLOW_HEADERS_ONCE, SIZE, {0}},
        {GZIP_ONCE, SIZE, {0}},
        {ONCE_416, SIZE, {0}},
        {RANGES_THEN_NOT, SIZE, {0}},
        {RANGES_THEN_NOT, SIZE, {.have = holes, .n_have = 4}},
        {EXPIRES, SIZE, {0}},
        {EXPIRES, SIZE, {.n_blobs = 3}},
        {TOKEN_EXPIRES, SIZE, {0}},
        {TOKEN_EXPIRES, SIZE, {.n_blobs = 3}},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct error err = ERROR_INIT;
        struct source s;
        struct sink k;
        int64_t began = clock_mono_ms();
        source_start(&s, cases[i].mode, cases[i].size);
        sink_init(&k, &s, MAX_BLOBS);
        assert_ok(download(&s, &k, &cases[i].run, &err));
        print_message("case %zu, mode %d: %lld ms\n", i, cases[i].mode,
                      (long long)(clock_mono_ms() - began));
        assert_complete(&k, &cases[i].run);
        assert_int_equal(s.n_secrets_at_cdn, 0);
        if (cases[i].mode == TOKEN_EXPIRES)
            assert_true(s.n_tokens > 1);
        if (cases[i].mode == EXPIRES)
            assert_true(s.n_cdn > 3);
        source_stop(&s);
        sink_release(&k);
    }
}

static void test_download__several_connections(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct source s;
    struct sink k;
    struct run run = {.chunk = 64 << 10};
    source_start(&s, GOOD, SIZE);
    sink_init(&k, &s, 1);
    assert_ok(download(&s, &k, &run, &err));
    assert_complete(&k, &run);
    assert_true(s.n >= 6 * 16 / 2);       /* chunks as small as they were to be */
    assert_true(s.max_parallel <= 8);
    assert_int_equal(s.sent, SIZE);       /* nothing was asked for twice */
    source_stop(&s);
    sink_release(&k);
}

static void test_download__nothing_missing(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct source s;
    struct sink k;
    struct registry_range all[] = {{0, 1000}};
    struct run run = {.have = all, .n_have = 1, .n_blobs = 2};
    source_start(&s, FAIL_CLOSES, 1000);
    sink_init(&k, &s, 2);
    assert_ok(download(&s, &k, &run, &err));
    assert_complete(&k, &run);
    assert_int_equal(s.n, 0);
    source_stop(&s);
    sink_release(&k);
}

static void test_download__fails(void **state)
{
    (void)state;
    static const struct {
        enum mode mode;
        const char *location;
        enum errc code;
        const char *text;
        unsigned max_requests; /* 0 = any number */
    } cases[] = {
        {FAIL_500, NULL, ERR_UNAVAILABLE, "given up after 6 tries", 6},
        {FAIL_404, NULL, ERR_NOT_FOUND, "BLOB_UNKNOWN", 1},
        {FAIL_403, NULL, ERR_DENIED, "UNAUTHORIZED", 1},
        {FAIL_SIZE, NULL, ERR_CORRUPT, "where the manifest says", 0},
        {FAIL_LONGER, NULL, ERR_CORRUPT, "larger than", 0},
        {FAIL_GZIP, NULL, ERR_CORRUPT, "compressed", 0},
        {FAIL_LIES, NULL, ERR_CORRUPT, "other bytes", 0},
        {FAIL_LOOP, NULL, ERR_UNAVAILABLE, "stopped after 10 redirects", 11},
        {FAIL_CLOSES, NULL, ERR_UNAVAILABLE, "given up", 12}, /* libcurl asks twice itself */
        {FAIL_REDIRECT, NULL, ERR_UNAVAILABLE, "nowhere", 0},
        {FAIL_REDIRECT, "http://169.254.169.254/latest/", ERR_DENIED, "link-local", 0},
        {FAIL_REDIRECT, "http://2852039166/", ERR_DENIED, "link-local", 0},
        {FAIL_REDIRECT, "http://0xa9.254.0251.254/", ERR_DENIED, "link-local", 0},
        {FAIL_REDIRECT, "http://[::ffff:169.254.169.254]/", ERR_DENIED, "link-local", 0},
        {FAIL_REDIRECT, "http://[64:ff9b::a9fe:a9fe]/", ERR_DENIED, "link-local", 0},
        {FAIL_REDIRECT, "http://[fd00:ec2::254]/", ERR_DENIED, "link-local", 0},
        {FAIL_REDIRECT, "http://10.0.0.1/", ERR_DENIED, "private", 0},
        {FAIL_REDIRECT, "http://[fd12::1]:80/", ERR_DENIED, "private", 0},
        {FAIL_REDIRECT, "https://192.168.1.1/", ERR_DENIED, "private", 0},
        {FAIL_REDIRECT, "http://255.255.255.255/", ERR_DENIED, "reserved", 0},
        {FAIL_REDIRECT, "http://224.0.0.1/", ERR_DENIED, "reserved", 0},
        {FAIL_REDIRECT, "file:///etc/passwd", ERR_UNAVAILABLE, "only http and https", 0},
        {FAIL_REDIRECT, "gopher://127.0.0.1/", ERR_UNAVAILABLE, "", 0},
        {FAIL_REDIRECT, "http://user:pw@127.0.0.1/", ERR_UNAVAILABLE, "user name", 0},
        {FAIL_REDIRECT, "http://a\\@10.0.0.1/", ERR_UNAVAILABLE, "not a URL", 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct error err = ERROR_INIT;
        struct source s;
        struct sink k;
        struct run run = {0};
        source_start(&s, cases[i].mode, 1 << 20);
        s.location = cases[i].location;
        sink_init(&k, &s, 1);
        assert_fails(download(&s, &k, &run, &err), cases[i].code, cases[i].text);
        print_message("%s\n", err.msg);
        if (cases[i].max_requests)
            assert_in_range(s.n, 1, cases[i].max_requests);
        assert_int_equal(k.n_done, 0);
        assert_false(k.doubled || k.outside);
        assert_null(strchr(err.msg, '\033'));
        source_stop(&s);
        sink_release(&k);
    }
}

static void test_download__sink_fails(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct source s;
    struct sink k;
    struct run run = {0};
    source_start(&s, GOOD, SIZE);
    sink_init(&k, &s, 1);
    k.fail_at = 1 << 20;
    assert_fails(download(&s, &k, &run, &err), ERR_IO, "the disk is full");
    assert_int_equal(k.n_done, 0);
    assert_in_range(k.n_bytes, 1 << 20, (1 << 20) + (256 << 10)); /* not written to again */
    source_stop(&s);
    sink_release(&k);
}

static void test_download__canceled_and_resumed(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct source s;
    struct sink k;
    struct run run = {0};
    source_start(&s, GOOD, SIZE);
    sink_init(&k, &s, 1);
    k.cancel_at = 2 << 20;
    assert_fails(download(&s, &k, &run, &err), ERR_CANCELED, "canceled");
    assert_false(k.doubled);
    assert_true(k.progress[0] == k.n_bytes && k.n_bytes < SIZE);

    /* What came is left out the second time. */
    struct registry_range have[64];
    size_t n = 0;
    for (size_t i = 0; i < SIZE; i++) {
        if (!k.seen[0][i])
            continue;
        if (n > 0 && have[n - 1].offset + have[n - 1].length == i)
            have[n - 1].length++;
        else if (n < ARRAY_LEN(have))
            have[n++] = (struct registry_range){i, 1};
    }
    struct sink again;
    struct run rest = {.have = have, .n_have = n};
    sink_init(&again, &s, 1);
    assert_ok(download(&s, &again, &rest, &err));
    assert_complete(&again, &rest);
    assert_int_equal(again.n_bytes + k.n_bytes, SIZE);
    source_stop(&s);
    sink_release(&k);
    sink_release(&again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_download__completes),
        cmocka_unit_test(test_download__several_connections),
        cmocka_unit_test(test_download__nothing_missing),
        cmocka_unit_test(test_download__fails),
        cmocka_unit_test(test_download__sink_fails),
        cmocka_unit_test(test_download__canceled_and_resumed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
