/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests that were, see journal.h. */
#include "runner/journal.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "http/sse.h"
#include "runner/journal_text.h"
#include "runner/scheduler.h"
#include "runner/watch.h"

enum {
    EACH_MODEL = 10,
    PARSED_MAX = 8 << 20, /* larger requests are not parsed for their media, but cut */
    EVENT_MAX = 1 << 20,
};

/* Never changed once it is in the journal; readers keep it alive. */
struct record {
    struct record *next; /* older first; guarded by the journal's lock */
    unsigned refs;       /* the journal's and readers'; guarded by the journal's lock */
    uint64_t serial;
    char model_id[OCI_DIGEST_TEXT_MAX];
    char *id, *model, *method, *url, *user_agent;
    char *request;
    bool media_is_cut;
    char *answer; /* as it came: its beginning */
    uint64_t answer_cut;
    bool is_sse;
    enum metrics_api api;
    int status;
    int64_t time_s;
    size_t bytes;
};

struct journal {
    enum journal_mode mode;
    uint64_t max_bytes;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* a record has come, or a follower's client has left */
    /* guarded by: lock */
    struct record *first, **end;
    uint64_t bytes, serial;
};

int journal_mode_parse(struct str name, enum journal_mode *ret, struct error *err)
{
    static const char *const names[] = {"on", "redacted", "off"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (str_eq_c(name, names[i])) {
            *ret = (enum journal_mode)i;
            return 0;
        }
    return error_set(err, ERR_INVALID, "--requests must be on, redacted or off, not '%.*s'",
                     STR_ARG(name));
}

struct journal *journal_new(enum journal_mode mode, uint64_t max_bytes)
{
    struct journal *j = xcalloc(1, sizeof(*j));
    j->mode = mode;
    j->max_bytes = max_bytes;
    j->end = &j->first;
    pthread_mutex_init(&j->lock, NULL);
    pthread_cond_init(&j->changed, NULL);
    return j;
}

/* With the lock held, or nobody else there. */
static void record_unref(struct record *x)
{
    if (--x->refs > 0)
        return;
    free(x->id);
    free(x->model);
    free(x->method);
    free(x->url);
    free(x->user_agent);
    free(x->request);
    free(x->answer);
    free(x);
}

void journal_free(struct journal *j)
{
    if (!j)
        return;
    for (struct record *x = j->first, *next; x; x = next) {
        next = x->next;
        record_unref(x);
    }
    pthread_cond_destroy(&j->changed);
    pthread_mutex_destroy(&j->lock);
    free(j);
}

bool journal_keeps_text(const struct journal *j)
{
    return j->mode == JOURNAL_ON;
}

/* ---- writing ---- */

/* What is kept of a request: its beginning, if it is long without its media, too. */
static char *kept_request(struct str body, bool *ret_cut)
{
    CLEANUP_FREE char *cut = NULL;
    *ret_cut = body.len > WATCH_TEXT_MAX;
    if (*ret_cut && body.len <= PARSED_MAX) {
        cut = journal_cut_media(body);
        body = str_from(cut);
    }
    if (body.len > WATCH_TEXT_MAX)
        return xasprintf("%.*s...[truncated %zu bytes]", STR_ARG(str_sub(body, 0, 4096)),
                         body.len - 4096);
    char *copy = str_dup(body);
    return copy ? copy : xstrdup("");
}

/* The oldest of that model, if it has more than its share; else the oldest of all. With the lock
 * held. */
static void drop_one(struct journal *j, const char *model_id)
{
    for (struct record **at = &j->first; *at; at = &(*at)->next) {
        struct record *x = *at;
        if (model_id && strcmp(x->model_id, model_id) != 0)
            continue;
        *at = x->next;
        if (j->end == &x->next)
            j->end = at;
        j->bytes -= x->bytes;
        record_unref(x);
        return;
    }
}

static void put(struct journal *j, struct record *x)
{
    pthread_mutex_lock(&j->lock);
    x->refs = 1;
    x->serial = ++j->serial;
    *j->end = x;
    j->end = &x->next;
    j->bytes += x->bytes;
    size_t n = 0;
    for (const struct record *other = j->first; other; other = other->next)
        n += strcmp(other->model_id, x->model_id) == 0;
    if (n > EACH_MODEL)
        drop_one(j, x->model_id);
    while (j->bytes > j->max_bytes && j->first)
        drop_one(j, NULL);
    pthread_cond_broadcast(&j->changed);
    pthread_mutex_unlock(&j->lock);
}

void journal_add(struct journal *j, struct models *m, const struct watch *w,
                 const struct http_request *r, const char *model, struct str body)
{
    char id[OCI_DIGEST_TEXT_MAX];
    if (j->mode == JOURNAL_OFF || models_resolve_id(m, model, MODELS_EXACT, id, NULL) < 0)
        return; /* only of models that are there: names of strangers are not kept */
    struct record *x = xcalloc(1, sizeof(*x));
    memcpy(x->model_id, id, sizeof(id));
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    x->id = xasprintf("%s_%lld%09ld", id, (long long)now.tv_sec, now.tv_nsec);
    x->time_s = now.tv_sec;
    x->model = xstrdup(model);
    x->method = xstrdup(http_request_method(r));
    x->url = xstrdup(http_request_path(r));
    const char *agent = http_request_header(r, "User-Agent");
    x->user_agent = xstrdup(agent ? agent : "");
    x->api = w->api;
    x->status = w->status ? w->status : 408;
    x->is_sse = w->is_sse;
    if (j->mode == JOURNAL_ON) {
        x->request = kept_request(body, &x->media_is_cut);
        x->answer =
            w->failure.code != ERR_NONE ? xstrdup(w->failure.msg) : str_dup(buf_str(&w->text));
        x->answer_cut = w->failure.code != ERR_NONE ? 0 : w->bytes - w->text.len;
    }
    x->bytes = sizeof(*x) + strlen(x->id) + strlen(x->model) + strlen(x->url) +
               strlen(x->user_agent) + (x->request ? strlen(x->request) : 0) +
               (x->answer ? strlen(x->answer) : 0);
    put(j, x);
}

/* ---- reading ---- */

static void set_answer(const struct record *x, struct json *v)
{
    if (!x->answer)
        return;
    struct str text = str_from(x->answer);
    CLEANUP_FREE char *shown =
        x->is_sse && x->status < 400 ? journal_fold_stream(text, x->answer_cut) : NULL;
    if (shown)
        text = str_from(shown);
    CLEANUP_FREE char *noted =
        x->answer_cut > 0 && !shown
            ? xasprintf("%s...[truncated %llu bytes]", x->answer, (unsigned long long)x->answer_cut)
            : NULL;
    if (noted)
        text = str_from(noted);
    if (x->status < 400) {
        js_set_str(v, "response", text);
        return;
    }
    CLEANUP_JSON struct json *parsed = NULL;
    if (js_parse(text, "the error", &parsed, NULL) == 0) {
        js_set_str(v, "error", text);
        return;
    }
    CLEANUP_JSON struct json *wrapped = js_object();
    js_set_str(wrapped, "error", text);
    CLEANUP_FREE char *error = js_text(wrapped, JS_COMPACT);
    js_set_cstr(v, "error", error);
}

static struct json *record_json(const struct record *x)
{
    static const char *const origins[API_COUNT] = {
        [API_ANTHROPIC] = "anthropic/messages",
        [API_RESPONSES] = "openai/responses",
        [API_OLLAMA] = "ollama/completion",
    };
    struct json *v = js_object();
    js_set_cstr(v, "id", x->id);
    js_set_cstr(v, "model", x->model);
    js_set_cstr(v, "method", x->method);
    js_set_cstr(v, "url", x->url);
    CLEANUP_FREE char *cut =
        x->request && !x->media_is_cut ? journal_cut_media(str_from(x->request)) : NULL;
    js_set_cstr(v, "request", cut ? cut : x->request ? x->request : "");
    set_answer(x, v);
    js_set_int(v, "timestamp", x->time_s);
    js_set_int(v, "status_code", x->status);
    if (*x->user_agent)
        js_set_cstr(v, "user_agent", x->user_agent);
    if (origins[x->api])
        js_set_cstr(v, "origin", origins[x->api]);
    return v;
}

/* {"count", "model", "config", "records": []} */
static struct json *new_group(struct scheduler *s, const char *id, const char *shown)
{
    struct json *group = js_object();
    CLEANUP_JSON struct json *settings = scheduler_settings(s, id);
    const struct json *config = js_get(js_at(settings, 0), "Config");
    js_set_int(group, "count", 0);
    js_set_cstr(group, "model", shown);
    js_set(group, "config", config ? js_copy(config) : js_object());
    js_set(group, "records", js_array());
    return group;
}

static void add_record(struct json *group, const struct record *x)
{
    struct json *records = js_get(group, "records");
    js_push(records, record_json(x));
    js_set_int(group, "count", (int64_t)js_len(records));
}

static struct json *find_group(struct json *list, const char *id)
{
    for (size_t i = 0; i < js_len(list); i++)
        if (str_eq_c(js_get_str(js_at(list, i), "model"), id))
            return js_at(list, i);
    return NULL;
}

/* Records that somebody reads. */
struct reading {
    struct record **items;
    size_t n;
    uint64_t last; /* serial of the newest that there was, dropped or not */
};

/* Takes those behind `serial` of one model, or ("") of all; with the lock held. */
static struct reading read_begin(struct journal *j, uint64_t serial, const char *model_id)
{
    struct reading out = {.last = j->serial};
    size_t n = 0;
    for (const struct record *x = j->first; x; x = x->next)
        n++;
    out.items = xcalloc(n + 1, sizeof(struct record *));
    for (struct record *x = j->first; x; x = x->next)
        if (x->serial > serial && (!*model_id || strcmp(x->model_id, model_id) == 0)) {
            x->refs++;
            out.items[out.n++] = x;
        }
    return out;
}

static void read_end(struct journal *j, struct reading *reading)
{
    pthread_mutex_lock(&j->lock);
    for (size_t i = 0; i < reading->n; i++)
        record_unref(reading->items[i]);
    pthread_mutex_unlock(&j->lock);
    free(reading->items);
}

struct json *journal_list(struct journal *j, struct models *m, struct scheduler *s,
                          const char *model)
{
    char id[OCI_DIGEST_TEXT_MAX] = "";
    struct json *list = js_array();
    if (*model && models_resolve_id(m, model, MODELS_EXACT, id, NULL) < 0)
        return list;
    pthread_mutex_lock(&j->lock);
    struct reading reading = read_begin(j, 0, id);
    pthread_mutex_unlock(&j->lock);
    for (size_t i = 0; i < reading.n; i++) {
        const struct record *x = reading.items[i];
        struct json *group = find_group(list, x->model_id);
        if (!group) {
            group = new_group(s, x->model_id, x->model_id);
            js_push(list, group);
        }
        add_record(group, x);
    }
    read_end(j, &reading);
    return list;
}

/* ---- following ---- */

static void wake(void *ctx)
{
    struct journal *j = ctx;
    pthread_mutex_lock(&j->lock);
    pthread_cond_broadcast(&j->changed);
    pthread_mutex_unlock(&j->lock);
}

/* Records as events, until there is much: the serial up to which all are told. */
static uint64_t write_events(const struct reading *reading, struct scheduler *s, const char *event,
                             const char *model, struct buf *out)
{
    for (size_t i = 0; i < reading->n; i++) {
        const struct record *x = reading->items[i];
        if (out->len > EVENT_MAX)
            return x->serial - 1;
        if (*model && strcmp(model, x->model) != 0)
            continue;
        CLEANUP_JSON struct json *list = js_array();
        struct json *group = new_group(s, x->model_id, x->model);
        add_record(group, x);
        js_push(list, group);
        CLEANUP_FREE char *text = js_text(list, JS_COMPACT);
        sse_write(out, event, str_from(text));
    }
    return reading->last;
}

void journal_follow(struct journal *j, struct scheduler *s, struct http_request *r,
                    const char *model, bool existing)
{
    http_respond_header(r, "Cache-Control", "no-cache");
    http_stream_begin(r, 200, "text/event-stream");
    http_request_on_cancel(r, wake, j);
    CLEANUP_BUF struct buf out = BUF_INIT(4 * EVENT_MAX);
    const char *event = "existing_request";
    uint64_t serial = 0;
    bool told = false;
    int result = 0;
    pthread_mutex_lock(&j->lock);
    if (!existing)
        serial = j->serial;
    while (result == 0 && !http_request_canceled(r)) {
        /* Records that are dropped before their turn are lost to a slow follower. */
        if (told && j->serial == serial) {
            pthread_cond_wait(&j->changed, &j->lock);
            continue;
        }
        struct reading reading = read_begin(j, serial, "");
        pthread_mutex_unlock(&j->lock);
        buf_clear(&out);
        serial = write_events(&reading, s, event, model, &out);
        read_end(j, &reading);
        if (!told && serial == reading.last) {
            sse_write(&out, "connected", STR("{\"status\": \"connected\"}"));
            told = true;
            event = "new_request";
        }
        if (out.len > 0)
            result = http_stream_write(r, buf_str(&out));
        pthread_mutex_lock(&j->lock);
    }
    pthread_mutex_unlock(&j->lock);
    http_request_on_cancel(r, NULL, NULL);
}
