/* SPDX-License-Identifier: Apache-2.0
 *
 * The clients of a measurement: a thread each, streaming, so that the first token has a time. */
#include "cli/bench.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "cli/api.h"
#include "cli/chat.h"

enum { ERROR_BODY_MAX = 64 << 10 };

/* What the clients of one level share; the lock keeps result, error and failed. */
struct level {
    const char *body;
    int64_t deadline_ns, timeout_ms;
    pthread_mutex_t lock;
    struct bench_result *result;
    struct error error;
    bool failed;
};

struct turn {
    struct chat_reader reader;
    int64_t started_ns, first_ns, pieces;
    int status;
    struct buf error_body;
    struct error error;
};

static void on_text(void *ctx, struct str text)
{
    (void)text;
    struct turn *t = ctx;
    if (t->pieces++ == 0)
        t->first_ns = clock_mono_ns() - t->started_ns;
}

static void on_notice(void *ctx, struct str line)
{
    (void)ctx;
    (void)line;
}

static int on_headers(void *ctx, int status)
{
    struct turn *t = ctx;
    t->status = status;
    return 0;
}

static void on_header(void *ctx, struct str name, struct str value)
{
    struct turn *t = ctx;
    if (str_eq_nocase(name, STR("content-type")))
        chat_reader_content_type(&t->reader, value);
}

static int on_data(void *ctx, struct str piece)
{
    struct turn *t = ctx;
    if (t->status != 200) {
        buf_append(&t->error_body, str_sub(piece, 0, ERROR_BODY_MAX - t->error_body.len));
        return 0;
    }
    return chat_reader_feed(&t->reader, piece, &t->error);
}

static int finish(struct turn *t, int r, struct error *err)
{
    if (r < 0)
        return t->error.code != ERR_NONE ? error_copy(err, &t->error) : r;
    if (t->status == 200)
        return chat_reader_end(&t->reader, err);
    struct str body = str_trim(buf_str(&t->error_body));
    return error_set(err, api_status_code(t->status), "error response: status=%d body=%.*s",
                     t->status, STR_ARG(body));
}

static int ask(const struct level *l, struct bench_sample *ret, struct error *err)
{
    struct turn t = {
        .started_ns = clock_mono_ns(),
        .error_body = BUF_INIT(ERROR_BODY_MAX),
        .error = ERROR_INIT,
    };
    const struct chat_sink sink = {on_text, on_text, on_notice, &t};
    chat_reader_init(&t.reader, &sink);
    struct http_call http = HTTP_CALL_INIT;
    http.on_headers = on_headers;
    http.on_header = on_header;
    http.on_data = on_data;
    http.ctx = &t;
    http.timeout_ms = l->timeout_ms;
    struct api_call call = {
        .path = "/engines/v1/chat/completions",
        .body = str_from(l->body),
        .accept = "text/event-stream",
        .http = &http,
    };
    struct http_result res = {0};
    int r = finish(&t, api_perform(&call, &res, err), err);
    http_result_release(&res);
    if (r == 0) {
        const struct chat_stats *s = &t.reader.stats;
        /* A server that tells no counts sends a token a piece, as good as always. */
        bool told = s->has_usage && s->completion_tokens >= 0;
        *ret = (struct bench_sample){
            .tokens = told ? s->completion_tokens : t.pieces,
            .first_ns = t.first_ns,
            .total_ns = clock_mono_ns() - t.started_ns,
        };
    }
    chat_reader_release(&t.reader);
    buf_release(&t.error_body);
    return r;
}

static void add_sample(struct bench_result *r, const struct bench_sample *s)
{
    if (r->n == r->cap) {
        r->cap = r->cap ? r->cap * 2 : 64;
        r->samples = xrealloc(r->samples, r->cap, sizeof(*r->samples));
    }
    r->samples[r->n++] = *s;
    r->total_tokens += s->tokens;
}

static void *client(void *ctx)
{
    struct level *l = ctx;
    bool on;
    do {
        struct bench_sample sample = {0};
        struct error err = ERROR_INIT;
        int r = ask(l, &sample, &err);
        pthread_mutex_lock(&l->lock);
        if (r == 0) {
            add_sample(l->result, &sample);
        } else if (!l->failed) {
            l->failed = true;
            error_copy(&l->error, &err);
        }
        on = !l->failed && clock_mono_ns() < l->deadline_ns;
        pthread_mutex_unlock(&l->lock);
    } while (on);
    return NULL;
}

static char *request_body(const char *model, const char *prompt)
{
    CLEANUP_JSON struct json *body = js_object();
    struct json *message = js_object(), *messages = js_array(), *options = js_object();
    js_set_cstr(message, "role", "user");
    js_set_cstr(message, "content", prompt);
    js_push(messages, message);
    js_set_bool(options, "include_usage", true);
    js_set_cstr(body, "model", model);
    js_set(body, "messages", messages);
    js_set_bool(body, "stream", true);
    js_set(body, "stream_options", options);
    return js_text(body, JS_COMPACT);
}

int bench_level(const char *model, const char *prompt, int64_t duration_ns, int64_t timeout_ns,
                struct bench_result *ret, struct error *err)
{
    CLEANUP_FREE char *body = request_body(model, prompt);
    int64_t started = clock_mono_ns();
    struct level l = {
        .body = body,
        .deadline_ns = started + duration_ns,
        .timeout_ms = timeout_ns / 1000000,
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .result = ret,
        .error = ERROR_INIT,
    };
    size_t wanted = (size_t)ret->concurrency, n = 0;
    CLEANUP_FREE pthread_t *threads = xcalloc(wanted, sizeof(*threads));
    while (n < wanted) {
        int failed = pthread_create(&threads[n], NULL, client, &l);
        if (failed) {
            pthread_mutex_lock(&l.lock);
            l.failed = true;
            error_errno(&l.error, failed, "cannot start client %zu", n + 1);
            pthread_mutex_unlock(&l.lock);
            break;
        }
        n++;
    }
    for (size_t i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
    pthread_mutex_destroy(&l.lock);
    ret->elapsed_ns = clock_mono_ns() - started;
    return l.failed ? error_copy(err, &l.error) : 0;
}

void bench_result_release(struct bench_result *r)
{
    free(r->samples);
    *r = (struct bench_result){0};
}

/* ---- medians ---- */

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int64_t median(int64_t *values, size_t n)
{
    if (n == 0)
        return 0;
    qsort(values, n, sizeof(*values), compare);
    return values[n / 2];
}

int64_t bench_first_token_ns(const struct bench_result *r)
{
    CLEANUP_FREE int64_t *values = xcalloc(r->n + 1, sizeof(*values));
    size_t n = 0;
    for (size_t i = 0; i < r->n; i++)
        if (r->samples[i].first_ns > 0)
            values[n++] = r->samples[i].first_ns;
    return median(values, n);
}

int64_t bench_per_token_ns(const struct bench_result *r)
{
    CLEANUP_FREE int64_t *values = xcalloc(r->n + 1, sizeof(*values));
    size_t n = 0;
    for (size_t i = 0; i < r->n; i++) {
        const struct bench_sample *s = &r->samples[i];
        if (s->first_ns > 0 && s->tokens > 1)
            values[n++] = (s->total_ns - s->first_ns) / (s->tokens - 1);
    }
    return median(values, n);
}
