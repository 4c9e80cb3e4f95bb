/* SPDX-License-Identifier: Apache-2.0
 *
 * Pulls from a small registry of the test's own: what clients are told, what the store has
 * afterwards, and how clients share a transfer. */
#include "test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/file.h"
#include "fixture.h"
#include "http/server.h"
#include "models/pull.h"
#include "store/partial.h"

enum { BIG = 6 << 20, SLICE = 64 << 10 };

/* ---- a registry with one model ---- */

struct world {
    struct fixture *f;
    struct http_server *server;
    struct models *m;
    char *layer;
    size_t layer_len;
    struct buf config, manifest;
    char name[96];             /* "127.0.0.1:PORT/acme/m:v1" */
    atomic_uint slice_ms;      /* a pause before each slice of the layer */
    atomic_ullong layer_bytes; /* sent */
    /* From here on the layer comes so slowly, until this is 0, that it does not end before a test
     * is ready for that. */
    atomic_ullong slow_from;
    pthread_mutex_t slow_lock; /* one slice at a time, over all connections */
};

static void sleep_ms(unsigned ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000},
              NULL);
}

static void slow_down(struct world *w, const struct http_request *r)
{
    enum { STEP_MS = 5, STEPS = 50 };
    if (!w->slow_from || w->layer_bytes < w->slow_from)
        return;
    pthread_mutex_lock(&w->slow_lock);
    for (int i = 0; i < STEPS && w->slow_from && !http_request_canceled(r); i++)
        sleep_ms(STEP_MS);
    pthread_mutex_unlock(&w->slow_lock);
}

static void send_layer(struct world *w, struct http_request *r)
{
    unsigned long long from = 0, to = w->layer_len - 1;
    const char *range = http_request_header(r, "Range");
    char content_range[96];
    if (range && sscanf(range, "bytes=%llu-%llu", &from, &to) >= 1) {
        snprintf(content_range, sizeof(content_range), "bytes %llu-%llu/%zu", from, to,
                 w->layer_len);
        http_respond_header(r, "Content-Range", content_range);
    }
    http_stream_begin(r, range ? 206 : 200, "application/octet-stream");
    for (unsigned long long at = from; at <= to;) {
        unsigned long long n = MIN((unsigned long long)SLICE, to - at + 1);
        if (w->slice_ms)
            sleep_ms(w->slice_ms);
        slow_down(w, r);
        if (http_stream_write(r, str_make(w->layer + at, (size_t)n)) < 0)
            return;
        w->layer_bytes += n;
        at += n;
    }
}

static void handle(struct http_request *r, void *ctx)
{
    struct world *w = ctx;
    struct str path = str_from(http_request_path(r));
    struct oci_digest config = oci_digest_of(buf_str(&w->config));
    struct oci_digest manifest = oci_digest_of(buf_str(&w->manifest));
    bool is_blob = str_starts_with(path, STR("/v2/acme/m/blobs/"));
    if (str_eq_c(path, "/v2/acme/m/manifests/v1") ||
        (str_starts_with(path, STR("/v2/acme/m/manifests/")) &&
         str_ends_with(path, str_from(manifest.text)))) {
        http_respond_header(r, "Docker-Content-Digest", manifest.text);
        http_respond(r, 200, OCI_TYPE_MANIFEST, buf_str(&w->manifest));
    } else if (is_blob && str_ends_with(path, str_from(config.text))) {
        http_respond(r, 200, "application/octet-stream", buf_str(&w->config));
    } else if (is_blob) {
        send_layer(w, r);
    } else {
        http_respond(r, 404, "application/json",
                     STR("{\"errors\":[{\"code\":\"MANIFEST_UNKNOWN\",\"message\":\"none\"}]}"));
    }
}

static struct oci_digest layer_digest(const struct world *w)
{
    return oci_digest_of(str_make(w->layer, w->layer_len));
}

static void make_artifact(struct world *w, const char *config_type)
{
    struct oci_digest layer = layer_digest(w);
    buf_clear(&w->config);
    buf_clear(&w->manifest);
    buf_printf(&w->config,
               "{\"config\":{\"format\":\"gguf\",\"size\":\"6 MiB\"},\"descriptor\":{},"
               "\"rootfs\":{\"type\":\"rootfs\",\"diff_ids\":[\"%s\"]}}",
               layer.text);
    struct oci_digest config = oci_digest_of(buf_str(&w->config));
    struct oci_manifest man = {0};
    oci_manifest_set_config(&man, config_type, &config, w->config.len);
    oci_manifest_add_layer(&man, OCI_TYPE_GGUF, &layer, w->layer_len);
    oci_manifest_write(&man, &w->manifest);
    oci_manifest_release(&man);
}

static struct world *begin(void **state)
{
    struct world *w = xcalloc(1, sizeof(*w));
    struct error err = ERROR_INIT;
    w->f = *state;
    pthread_mutex_init(&w->slow_lock, NULL);
    w->config = BUF_INIT(1 << 20);
    w->manifest = BUF_INIT(1 << 20);
    w->layer_len = BIG;
    w->layer = xmalloc(BIG);
    for (size_t i = 0; i < BIG; i++)
        w->layer[i] = (char)(i * 2654435761u >> 16);
    memcpy(w->layer, "GGUF", 4);
    make_artifact(w, OCI_TYPE_CONFIG_V01);
    const struct http_server_options o = {
        .listen = {.host = "127.0.0.1"}, .handler = handle, .ctx = w};
    assert_ok(http_server_start(&o, &w->server, &err));
    snprintf(w->name, sizeof(w->name), "127.0.0.1:%u/acme/m:v1",
             (unsigned)http_server_port(w->server));
    const struct registry_options registry = {
        .docker_config_dir = w->f->root, .insecure_hosts = "*", .max_tries = 1};
    const struct models_options models = {.root = w->f->store_dir, .registry = &registry};
    assert_ok(models_open(&models, &w->m, &err));
    return w;
}

static void end(struct world *w)
{
    models_close(w->m);
    http_server_stop(w->server);
    free(w->layer);
    buf_release(&w->config);
    buf_release(&w->manifest);
    pthread_mutex_destroy(&w->slow_lock);
    free(w);
}

/* ---- a client ---- */

struct client {
    struct world *w;
    struct http_cancel *cancel;
    uint64_t leave_at; /* cancels when the layer has so much; 0 = stays */
    pthread_t thread;
    int result;
    struct error err;
    char message[MODELS_MESSAGE_MAX];
    atomic_size_t n_events;
    size_t n_warnings;
    uint64_t last, total;
    bool backwards;
};

static void on_event(void *ctx, const struct models_event *ev)
{
    struct client *c = ctx;
    c->n_events++;
    c->n_warnings += ev->kind == MODELS_EVENT_WARNING;
    if (ev->kind != MODELS_EVENT_LAYER)
        return;
    c->backwards = c->backwards || ev->layer_current < c->last;
    c->last = ev->layer_current;
    c->total = ev->total;
    if (c->leave_at && ev->layer_current >= c->leave_at)
        http_cancel_fire(c->cancel);
}

static void *client_thread(void *ctx)
{
    struct client *c = ctx;
    c->result = models_pull(c->w->m, c->w->name, NULL, on_event, c, c->cancel, c->message, &c->err);
    return NULL;
}

static struct client start(struct world *w, uint64_t leave_at)
{
    return (struct client){
        .w = w, .cancel = http_cancel_new(), .leave_at = leave_at, .err = ERROR_INIT};
}

static void await_events(const struct client *c)
{
    for (int i = 0; i < 30000 && c->n_events == 0; i++)
        sleep_ms(1);
    assert_true(c->n_events > 0);
}

static struct client pull(struct world *w, uint64_t leave_at)
{
    struct client c = start(w, leave_at);
    client_thread(&c);
    http_cancel_free(c.cancel);
    return c;
}

static void on_found(void *ctx, const char *sentence)
{
    (void)ctx;
    print_error("%s\n", sentence);
}

static void assert_clean(struct world *w, size_t n_models)
{
    struct error err = ERROR_INIT;
    struct model_list l;
    size_t bad;
    assert_ok(models_verify(w->m, NULL, on_found, NULL, NULL, &bad, &err));
    assert_int_equal(bad, 0);
    assert_ok(models_list(w->m, &l, &err));
    assert_int_equal(l.n, n_models);
    model_list_release(&l);
}

/* ---- tests ---- */

static void test_pull__new_then_cached(void **state)
{
    struct world *w = begin(state);
    struct client c = pull(w, 0);
    if (c.result < 0)
        fail_msg("%s", c.err.msg);
    assert_string_equal(c.message, "Model pulled successfully");
    assert_int_equal(c.last, BIG);
    assert_int_equal(c.total, BIG);
    assert_false(c.backwards);
    assert_int_equal(c.n_warnings, 0);
    assert_clean(w, 1);

    c = pull(w, 0);
    assert_int_equal(c.result, 0);
    assert_string_equal(c.message, "Using cached model: 6 MiB");
    assert_int_equal(c.n_events, 0);
    assert_int_equal(w->layer_bytes, BIG);
    end(w);
}

static void test_pull__refusals(void **state)
{
    static const struct {
        const char *name;
        enum errc code;
        const char *part;
    } cases[] = {
        {"a:b:c", ERR_INVALID, "column"},
        {"", ERR_INVALID, ""},
        {"sha256:0123456789012345678901234567890123456789012345678901234567890123", ERR_INVALID,
         "not a name"},
        {NULL, ERR_NOT_FOUND, "MANIFEST_UNKNOWN - Model not found"}, /* no such tag */
    };
    struct world *w = begin(state);
    char good[sizeof(w->name)];
    memcpy(good, w->name, sizeof(good));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (cases[i].name)
            snprintf(w->name, sizeof(w->name), "%.90s", cases[i].name);
        else
            strcpy(strstr(w->name, "v1"), "v2");
        struct client c = pull(w, 0);
        memcpy(w->name, good, sizeof(good));
        if (c.result != -(int)cases[i].code || !strstr(c.err.msg, cases[i].part))
            fail_msg("case %zu: %d, %s", i, c.result, c.err.msg);
        assert_int_equal(c.n_events, 0);
    }
    make_artifact(w, "application/vnd.docker.ai.model.config.v99.0+json");
    struct client c = pull(w, 0);
    assert_int_equal(c.result, -(int)ERR_UNSUPPORTED);
    assert_non_null(strstr(c.err.msg, "config type \"application/vnd.docker.ai.model.config.v99.0+"
                                      "json\" is not supported (supported: "));
    assert_non_null(strstr(c.err.msg, "unsupported model config media type"));
    assert_int_equal(c.n_events, 0);
    assert_clean(w, 0);
    end(w);
}

static void test_pull__wrong_content(void **state)
{
    struct world *w = begin(state);
    w->layer[BIG / 2] ^= 1;
    struct client c = pull(w, 0);
    assert_int_equal(c.result, -(int)ERR_CORRUPT);
    assert_non_null(strstr(c.err.msg, "digest mismatch"));
    assert_clean(w, 0);
    w->layer[BIG / 2] ^= 1;
    assert_int_equal(pull(w, 0).result, 0);
    assert_clean(w, 1);
    end(w);
}

/* A file that is no GGUF is stored, with a word about it. */
static void test_pull__no_gguf(void **state)
{
    struct world *w = begin(state);
    w->layer[0] = 'X';
    make_artifact(w, OCI_TYPE_CONFIG_V01);
    struct client c = pull(w, 0);
    assert_int_equal(c.result, 0);
    assert_int_equal(c.n_warnings, 1);
    end(w);
}

static void test_pull__goes_on_after_the_last_client_left(void **state)
{
    struct world *w = begin(state);
    w->slice_ms = 5;
    w->slow_from = BIG / 4 * 3;
    struct client c = pull(w, BIG / 2);
    assert_int_equal(c.result, -(int)ERR_CANCELED);
    assert_clean(w, 0);
    w->slice_ms = 0;
    w->slow_from = 0;
    w->layer_bytes = 0;
    c = pull(w, 0);
    if (c.result < 0)
        fail_msg("%s", c.err.msg);
    assert_true(w->layer_bytes <= BIG / 2 + (2 << 20)); /* what was on its way may be lost */
    assert_clean(w, 1);
    end(w);
}

static void test_pull__clients_share(void **state)
{
    struct world *w = begin(state);
    static const size_t leavers_first[] = {1, 3, 0, 2};
    w->slice_ms = 5;
    w->slow_from = BIG / 4 * 3;
    struct client c[4] = {start(w, 0), start(w, BIG / 4), start(w, 0), start(w, BIG / 2)};
    for (size_t i = 0; i < ARRAY_LEN(c); i++)
        assert_int_equal(pthread_create(&c[i].thread, NULL, client_thread, &c[i]), 0);
    await_events(&c[0]);
    await_events(&c[2]);
    for (size_t k = 0; k < ARRAY_LEN(c); k++) {
        size_t i = leavers_first[k];
        if (k == 2)
            w->slow_from = 0;
        pthread_join(c[i].thread, NULL);
        http_cancel_free(c[i].cancel);
        assert_int_equal(c[i].result, c[i].leave_at ? -(int)ERR_CANCELED : 0);
        assert_false(c[i].backwards);
    }
    assert_string_equal(c[0].message, "Model pulled successfully");
    assert_int_equal(c[2].last, BIG);
    assert_true(w->layer_bytes < BIG + BIG / 2); /* once for all */
    assert_clean(w, 1);
    end(w);
}

/* Another process (here: another transaction) has the layer in its hands, and gives it up. */
static void test_pull__waits_for_another_process(void **state)
{
    struct world *w = begin(state);
    struct error err = ERROR_INIT;
    struct store *other;
    struct store_txn *t;
    struct store_partial *p;
    struct oci_digest digest = layer_digest(w);
    assert_ok(store_open(w->f->store_dir, &other, &err));
    assert_ok(store_begin(other, &t, &err));
    assert_ok(store_partial_open(t, &digest, BIG, &p, &err));
    struct client c = start(w, 0);
    assert_int_equal(pthread_create(&c.thread, NULL, client_thread, &c), 0);
    sleep_ms(100);
    assert_ok(store_partial_write(p, 0, w->layer, BIG / 2, &err));
    store_partial_close(p);
    store_abort(t);
    pthread_join(c.thread, NULL);
    http_cancel_free(c.cancel);
    if (c.result < 0)
        fail_msg("%s", c.err.msg);
    assert_int_equal(w->layer_bytes, BIG - BIG / 2);
    assert_clean(w, 1);
    store_close(other);
    end(w);
}

/* Closing ends what is under way, with clients or without. */
static void test_pull__close_amid(void **state)
{
    struct world *w = begin(state);
    w->slice_ms = 5;
    w->slow_from = BIG / 2;
    struct client c = pull(w, BIG / 8);
    assert_int_equal(c.result, -(int)ERR_CANCELED);
    end(w); /* the worker may still be at it */
}

static void test_pull__remote(void **state)
{
    struct world *w = begin(state);
    struct error err = ERROR_INIT;
    struct model_info info;
    assert_ok(models_get_remote(w->m, w->name, NULL, NULL, &info, &err));
    assert_string_equal(info.id, oci_digest_of(buf_str(&w->manifest)).text);
    assert_string_equal(info.size, "6 MiB");
    assert_int_equal(info.n_tags, 0);
    model_info_release(&info);
    assert_int_equal(w->layer_bytes, 0);
    strcpy(strstr(w->name, "v1"), "v2");
    assert_fails(models_get_remote(w->m, w->name, NULL, NULL, &info, &err), ERR_NOT_FOUND,
                 "failed to pull model \"127.0.0.1:");
    end(w);
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_STORE(test_pull__new_then_cached),
        WITH_STORE(test_pull__refusals),
        WITH_STORE(test_pull__wrong_content),
        WITH_STORE(test_pull__no_gguf),
        WITH_STORE(test_pull__goes_on_after_the_last_client_left),
        WITH_STORE(test_pull__clients_share),
        WITH_STORE(test_pull__waits_for_another_process),
        WITH_STORE(test_pull__close_amid),
        WITH_STORE(test_pull__remote),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
