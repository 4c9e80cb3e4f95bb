/* SPDX-License-Identifier: Apache-2.0
 *
 * The clients of a measurement: a thread each, streaming, so that the first token has a time. */
#include "cli/bench.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "cli/chat.h"

/* What the clients of one level share; the lock keeps result, error and failed. */
struct level {
    struct chat_request request;
    int64_t deadline_ns;
    pthread_mutex_t lock;
    struct bench_result *result;
    struct error error;
    bool failed;
};

/* ctx: how many pieces have come. */
static void on_text(void *ctx, struct str text)
{
    (void)text;
    ++*(int64_t *)ctx;
}

static void on_notice(void *ctx, struct str line)
{
    (void)ctx;
    (void)line;
}

static int ask(const struct level *l, struct bench_sample *ret, struct error *err)
{
    int64_t pieces = 0;
    const struct chat_sink sink = {on_text, on_text, on_notice, &pieces};
    CLEANUP_FREE char *content = NULL;
    struct chat_stats s;
    int r = chat_send(&l->request, &sink, &content, &s, err);
    if (r < 0)
        return r;
    /* A server that tells no counts sends a token a piece, as good as always. */
    bool told = s.has_usage && s.completion_tokens >= 0;
    *ret = (struct bench_sample){
        .tokens = told ? s.completion_tokens : pieces,
        .first_ns = MAX(s.first_token_ns, INT64_C(0)),
        .total_ns = s.total_ns,
    };
    return 0;
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

int bench_level(const char *model, const char *prompt, int64_t duration_ns, int64_t timeout_ns,
                struct bench_result *ret, struct error *err)
{
    CLEANUP_JSON struct json *messages = js_array();
    struct json *message = js_object();
    js_set_cstr(message, "role", "user");
    js_set_cstr(message, "content", prompt);
    js_push(messages, message);
    int64_t started = clock_mono_ns();
    struct level l = {
        .request = {.endpoint = &chat_runner,
                    .model = model,
                    .messages = messages,
                    .want_usage = true,
                    .timeout_ms = timeout_ns / 1000000},
        .deadline_ns = started + duration_ns,
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
