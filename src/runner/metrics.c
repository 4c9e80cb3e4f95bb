/* SPDX-License-Identifier: Apache-2.0
 *
 * Counters and histograms, see metrics.h. */
#include "runner/metrics.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/memory.h"

enum { BUCKETS_MAX = 12 };

struct histogram {
    const double *bounds;
    size_t n_bounds;
    uint64_t counts[BUCKETS_MAX + 1]; /* not cumulated; the last: beyond all bounds */
    double sum;
};

static const double first_token_bounds[] = {.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60};
static const double token_bounds[] = {.0005, .001, .0025, .005, .01, .02, .05, .1, .2, .5, 1, 5};
static const double request_bounds[] = {.01, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300};
static const double load_bounds[] = {.1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600};

/* Statuses that are counted by themselves; index N_CODES is "other". */
static const int codes[] = {200, 400, 401, 403, 404, 413, 422, 429, 499, 500, 501, 502, 503, 504};
enum { N_CODES = sizeof(codes) / sizeof(codes[0]) };

struct model_tokens {
    char *name;
    uint64_t prompt, completion;
};

struct metrics {
    pthread_mutex_t lock;
    /* guarded by: lock */
    uint64_t requests[API_COUNT][MODE_COUNT][N_CODES + 1];
    struct histogram first_token, token, request, load;
    struct model_tokens models[METRICS_MODELS + 1]; /* the last is "other" */
    size_t n_models;
    uint64_t loads[2], unloads[2], transfers[2][2]; /* [failed, ok], [idle, room], [pull, push] */
    int at_work, waiting;
    int64_t started_s;
};

const char *metrics_api_name(enum metrics_api api)
{
    static const char *const names[API_COUNT] = {"openai", "anthropic", "responses", "ollama"};
    return names[api];
}

#define HISTOGRAM(b) ((struct histogram){.bounds = (b), .n_bounds = ARRAY_LEN(b)})

struct metrics *metrics_new(void)
{
    struct metrics *m = xcalloc(1, sizeof(*m));
    pthread_mutex_init(&m->lock, NULL);
    m->first_token = HISTOGRAM(first_token_bounds);
    m->token = HISTOGRAM(token_bounds);
    m->request = HISTOGRAM(request_bounds);
    m->load = HISTOGRAM(load_bounds);
    m->started_s = clock_wall_s();
    return m;
}

void metrics_free(struct metrics *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->n_models; i++)
        free(m->models[i].name);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

/* ---- counting ---- */

static void observe(struct histogram *h, double value)
{
    size_t i = 0;
    while (i < h->n_bounds && value > h->bounds[i])
        i++;
    h->counts[i]++;
    h->sum += value;
}

static struct model_tokens *tokens_of(struct metrics *m, const char *name)
{
    for (size_t i = 0; i < m->n_models; i++)
        if (strcmp(m->models[i].name, name) == 0)
            return &m->models[i];
    if (m->n_models == METRICS_MODELS)
        return &m->models[METRICS_MODELS];
    m->models[m->n_models].name = xstrdup(name);
    return &m->models[m->n_models++];
}

void metrics_request(struct metrics *m, const struct metrics_request *r)
{
    size_t code = 0;
    int status = r->status ? r->status : 499;
    while (code < N_CODES && codes[code] != status)
        code++;
    pthread_mutex_lock(&m->lock);
    m->requests[r->api][r->mode][code]++;
    observe(&m->request, r->seconds);
    if (r->first_token_s >= 0)
        observe(&m->first_token, r->first_token_s);
    if (r->token_s >= 0)
        observe(&m->token, r->token_s);
    if (r->model && (r->prompt_tokens || r->completion_tokens)) {
        struct model_tokens *t = tokens_of(m, r->model);
        t->prompt += r->prompt_tokens;
        t->completion += r->completion_tokens;
    }
    pthread_mutex_unlock(&m->lock);
}

void metrics_at_work(struct metrics *m, int change)
{
    pthread_mutex_lock(&m->lock);
    m->at_work += change;
    pthread_mutex_unlock(&m->lock);
}

void metrics_waiting(struct metrics *m, int change)
{
    pthread_mutex_lock(&m->lock);
    m->waiting += change;
    pthread_mutex_unlock(&m->lock);
}

void metrics_load(struct metrics *m, bool ok, double seconds)
{
    pthread_mutex_lock(&m->lock);
    m->loads[ok]++;
    if (ok)
        observe(&m->load, seconds);
    pthread_mutex_unlock(&m->lock);
}

void metrics_unload(struct metrics *m, bool to_make_room)
{
    pthread_mutex_lock(&m->lock);
    m->unloads[to_make_room]++;
    pthread_mutex_unlock(&m->lock);
}

void metrics_transfer(struct metrics *m, bool push, bool ok)
{
    pthread_mutex_lock(&m->lock);
    m->transfers[push][ok]++;
    pthread_mutex_unlock(&m->lock);
}

/* ---- telling ---- */

#define PREFIX "model_runner_"

static void head(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_printf(out, "# HELP " PREFIX "%s %s\n# TYPE " PREFIX "%s %s\n", name, help, name, type);
}

static void single(struct buf *out, const char *name, const char *type, const char *help,
                   uint64_t value)
{
    head(out, name, type, help);
    buf_printf(out, PREFIX "%s %" PRIu64 "\n", name, value);
}

static void write_histogram(struct buf *out, const char *name, const char *help,
                            const struct histogram *h)
{
    head(out, name, "histogram", help);
    uint64_t n = 0;
    for (size_t i = 0; i < h->n_bounds; i++) {
        n += h->counts[i];
        buf_printf(out, PREFIX "%s_bucket{le=\"%g\"} %" PRIu64 "\n", name, h->bounds[i], n);
    }
    n += h->counts[h->n_bounds];
    buf_printf(out, PREFIX "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", name, n);
    buf_printf(out, PREFIX "%s_sum %.9g\n" PREFIX "%s_count %" PRIu64 "\n", name, h->sum, name, n);
}

static void write_requests(const struct metrics *m, struct buf *out)
{
    head(out, "requests_total", "counter",
         "Requests to models by API, kind and status (499: the client left before the answer).");
    for (int api = 0; api < API_COUNT; api++)
        for (int mode = 0; mode < MODE_COUNT; mode++)
            for (int code = 0; code <= N_CODES; code++) {
                uint64_t n = m->requests[api][mode][code];
                char text[16] = "other";
                if (code < N_CODES)
                    snprintf(text, sizeof(text), "%d", codes[code]);
                if (n > 0)
                    buf_printf(out,
                               PREFIX "requests_total{api=\"%s\",mode=\"%s\",code=\"%s\"} %" PRIu64
                                      "\n",
                               metrics_api_name((enum metrics_api)api),
                               engine_mode_name((enum engine_mode)mode), text, n);
            }
}

/* A label's value: names of models have no quotes, and yet. */
static void write_label(struct buf *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            buf_push(out, '\\');
        if (*text == '\n')
            buf_append_c(out, "\\n");
        else
            buf_push(out, *text);
    }
}

static void write_tokens(const struct metrics *m, struct buf *out)
{
    static const char *const names[] = {"prompt_tokens_total", "completion_tokens_total"};
    static const char *const helps[] = {"Tokens of prompts by model.",
                                        "Tokens of answers by model."};
    for (int k = 0; k < 2; k++) {
        head(out, names[k], "counter", helps[k]);
        for (size_t i = 0; i <= METRICS_MODELS; i++) {
            const struct model_tokens *t = &m->models[i];
            uint64_t n = k ? t->completion : t->prompt;
            if (i >= m->n_models && i < METRICS_MODELS)
                continue;
            if (i == METRICS_MODELS && n == 0)
                continue;
            buf_printf(out, PREFIX "%s{model=\"", names[k]);
            write_label(out, i < METRICS_MODELS ? t->name : "other");
            buf_printf(out, "\"} %" PRIu64 "\n", n);
        }
    }
}

static void write_pairs(struct buf *out, const char *name, const char *help, const char *label,
                        const char *const values[2], const uint64_t counts[2])
{
    head(out, name, "counter", help);
    for (int i = 0; i < 2; i++)
        buf_printf(out, PREFIX "%s{%s=\"%s\"} %" PRIu64 "\n", name, label, values[i], counts[i]);
}

void metrics_write(struct metrics *m, const struct metrics_now *now, struct buf *out)
{
    static const char *const results[] = {"failed", "ok"};
    static const char *const reasons[] = {"idle", "room"};
    pthread_mutex_lock(&m->lock);
    head(out, "build_info", "gauge", "The version that runs.");
    buf_printf(out, PREFIX "build_info{version=\"%s\"} 1\n", MR_VERSION);
    single(out, "start_time_seconds", "gauge", "When the daemon was started, in Unix time.",
           (uint64_t)m->started_s);
    single(out, "resident_memory_bytes", "gauge", "Memory of the daemon itself.",
           memory_of_process(getpid()));
    write_requests(m, out);
    single(out, "requests_active", "gauge", "Requests to models at work.",
           (uint64_t)MAX(m->at_work, 0));
    single(out, "requests_waiting", "gauge", "Requests that wait for their model to be loaded.",
           (uint64_t)MAX(m->waiting, 0));
    write_histogram(out, "request_duration_seconds", "From a request to the end of its answer.",
                    &m->request);
    write_histogram(out, "time_to_first_token_seconds",
                    "From a request to the first text of a streamed answer.", &m->first_token);
    write_histogram(out, "time_per_token_seconds",
                    "Between the tokens of a streamed answer, its mean.", &m->token);
    write_tokens(m, out);
    write_pairs(out, "model_loads_total", "Loads of models.", "result", results, m->loads);
    write_histogram(out, "model_load_duration_seconds", "Loads that succeeded.", &m->load);
    write_pairs(out, "model_unloads_total", "Models unloaded by the daemon itself.", "reason",
                reasons, m->unloads);
    single(out, "models_loaded", "gauge", "Models in memory.", now->loaded);
    single(out, "engine_memory_bytes", "gauge", "Memory of all engines.", now->engine_bytes);
    single(out, "store_models", "gauge", "Models in the store.", now->models);
    single(out, "store_bytes", "gauge", "Bytes of the models in the store.", now->store_bytes);
    write_pairs(out, "pulls_total", "Pulls that clients asked for.", "result", results,
                m->transfers[0]);
    write_pairs(out, "pushes_total", "Pushes that clients asked for.", "result", results,
                m->transfers[1]);
    single(out, "pulled_bytes_total", "counter", "Bytes of layers received.", now->pulled_bytes);
    pthread_mutex_unlock(&m->lock);
}
