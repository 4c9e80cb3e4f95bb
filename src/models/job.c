/* SPDX-License-Identifier: Apache-2.0
 *
 * Transfers under way, see job.h. */
#include "models/job.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"

enum {
    NOTES_MAX = 256, /* a hostile source cannot fill the memory with notes */
    TICK_MS = 100,
};

struct layer {
    char id[OCI_DIGEST_TEXT_MAX];
    uint64_t size, current;
};

struct note {
    enum models_event_kind kind;
    char *text;
};

struct job {
    struct models *m;
    const char *kind;
    job_work_fn work;
    char *name, *key, *bearer;
    struct http_cancel *cancel;
    struct job *next;   /* guarded by: m->jobs_lock; in m->jobs */
    unsigned refs;      /* guarded by: m->jobs_lock; the worker and the clients */
    unsigned followers; /* guarded by: m->jobs_lock */

    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct layer *layers; /* guarded by: lock, like all below */
    size_t n_layers;
    struct note notes[NOTES_MAX];
    size_t n_notes;
    uint64_t total;
    unsigned version; /* counts changes */
    bool ended;
    struct error error; /* code ERR_NONE: it went well */
    char message[MODELS_MESSAGE_MAX];
};

/* ---- life ---- */

static void job_free(struct job *j)
{
    http_cancel_free(j->cancel);
    for (size_t i = 0; i < j->n_notes; i++)
        free(j->notes[i].text);
    free(j->layers);
    free(j->name);
    free(j->key);
    free(j->bearer);
    pthread_cond_destroy(&j->changed);
    pthread_mutex_destroy(&j->lock);
    free(j);
}

/* Takes the job out of the list: who comes now starts anew. With jobs_lock held. */
static void unlist(struct models *m, struct job *j)
{
    for (struct job **at = &m->jobs; *at; at = &(*at)->next) {
        if (*at == j) {
            *at = j->next;
            return;
        }
    }
}

static void job_unref(struct job *j)
{
    struct models *m = j->m;
    pthread_mutex_lock(&m->jobs_lock);
    bool last = --j->refs == 0;
    pthread_mutex_unlock(&m->jobs_lock);
    if (last)
        job_free(j);
}

static void *job_thread(void *arg)
{
    struct job *j = arg;
    struct models *m = j->m;
    struct error err = ERROR_INIT;
    int r = j->work(j, m, &err);
    if (r < 0)
        log_debug("%s of %s: %s", j->kind, j->name, err.msg);

    /* First out of the list: a client that found it there is told the end of this one. */
    pthread_mutex_lock(&m->jobs_lock);
    unlist(m, j);
    pthread_mutex_unlock(&m->jobs_lock);
    pthread_mutex_lock(&j->lock);
    j->ended = true;
    if (r < 0)
        j->error = err;
    pthread_cond_broadcast(&j->changed);
    pthread_mutex_unlock(&j->lock);

    pthread_mutex_lock(&m->jobs_lock);
    bool last = --j->refs == 0;
    m->n_job_threads--;
    pthread_cond_broadcast(&m->jobs_changed);
    pthread_mutex_unlock(&m->jobs_lock);
    if (last)
        job_free(j);
    return NULL;
}

static bool same_text(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") == 0;
}

/* With jobs_lock held. */
static struct job *find_job(const struct models *m, const struct job_request *q)
{
    for (struct job *j = m->jobs; j; j = j->next)
        if (strcmp(j->kind, q->kind) == 0 && strcmp(j->key, q->key) == 0 &&
            same_text(j->bearer, q->bearer))
            return j;
    return NULL;
}

/* With jobs_lock held. */
static int start_job(struct models *m, const struct job_request *q, struct job **ret,
                     struct error *err)
{
    if (m->jobs_ending)
        return error_set(err, ERR_UNAVAILABLE, "the model runner is shutting down");
    struct job *j = xcalloc(1, sizeof(*j));
    j->m = m;
    j->kind = q->kind;
    j->work = q->work;
    j->name = xstrdup(q->name);
    j->key = xstrdup(q->key);
    j->bearer = xstrdup(q->bearer ? q->bearer : "");
    j->cancel = http_cancel_new();
    pthread_mutex_init(&j->lock, NULL);
    pthread_cond_init(&j->changed, NULL);
    j->refs = 1;
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_t thread;
    int e = pthread_create(&thread, &attr, job_thread, j);
    pthread_attr_destroy(&attr);
    if (e != 0) {
        job_free(j);
        return error_errno(err, e, "cannot start a thread");
    }
    m->n_job_threads++;
    j->next = m->jobs;
    m->jobs = j;
    *ret = j;
    return 0;
}

void jobs_end(struct models *m)
{
    pthread_mutex_lock(&m->jobs_lock);
    m->jobs_ending = true;
    for (struct job *j = m->jobs; j; j = j->next)
        http_cancel_fire(j->cancel);
    pthread_cond_broadcast(&m->jobs_changed);
    while (m->n_job_threads > 0)
        pthread_cond_wait(&m->jobs_changed, &m->jobs_lock);
    pthread_mutex_unlock(&m->jobs_lock);
}

/* ---- following ---- */

/* What one client has been told. */
struct follower {
    models_event_fn fn;
    void *ctx;
    uint64_t *told; /* of each layer; UINT64_MAX = nothing yet */
    size_t n_told;
    size_t notes_told;
    unsigned version;
};

static void deadline_in(int64_t ms, struct timespec *ret)
{
    clock_gettime(CLOCK_REALTIME, ret);
    ret->tv_nsec += (long)ms * 1000000;
    ret->tv_sec += ret->tv_nsec / 1000000000;
    ret->tv_nsec %= 1000000000;
}

/* The next thing that this client has not been told; with the lock held. Texts of notes live as
 * long as the job; an id is copied. */
static bool next_event(const struct job *j, struct follower *f, char id[OCI_DIGEST_TEXT_MAX],
                       struct models_event *ret)
{
    *ret = (struct models_event){.total = j->total};
    if (f->notes_told < j->n_notes) {
        const struct note *n = &j->notes[f->notes_told++];
        ret->kind = n->kind;
        ret->message = n->text;
        return true;
    }
    if (f->n_told < j->n_layers) {
        f->told = xrealloc(f->told, j->n_layers, sizeof(*f->told));
        for (; f->n_told < j->n_layers; f->n_told++)
            f->told[f->n_told] = UINT64_MAX;
    }
    for (size_t i = 0; i < j->n_layers; i++) {
        const struct layer *l = &j->layers[i];
        if (f->told[i] == l->current)
            continue;
        f->told[i] = l->current;
        memcpy(id, l->id, OCI_DIGEST_TEXT_MAX);
        ret->kind = MODELS_EVENT_LAYER;
        ret->layer_id = id;
        ret->layer_size = l->size;
        ret->layer_current = l->current;
        return true;
    }
    return false;
}

static void tell_news(struct job *j, struct follower *f)
{
    char id[OCI_DIGEST_TEXT_MAX];
    struct models_event ev;
    for (;;) {
        pthread_mutex_lock(&j->lock);
        f->version = j->version;
        bool more = next_event(j, f, id, &ev);
        pthread_mutex_unlock(&j->lock);
        if (!more)
            return;
        f->fn(f->ctx, &ev);
    }
}

static int follow(struct job *j, struct follower *f, struct http_cancel *cancel,
                  char ret_message[MODELS_MESSAGE_MAX], struct error *err)
{
    for (;;) {
        pthread_mutex_lock(&j->lock);
        bool ended = j->ended;
        if (!ended && f->version == j->version) {
            struct timespec until;
            deadline_in(TICK_MS, &until);
            pthread_cond_timedwait(&j->changed, &j->lock, &until);
        }
        pthread_mutex_unlock(&j->lock);
        if (http_cancel_fired(cancel))
            return error_set(err, ERR_CANCELED, "canceled");
        tell_news(j, f);
        if (ended)
            break;
    }
    if (j->error.code != ERR_NONE) /* not written any more */
        return error_copy(err, &j->error);
    memcpy(ret_message, j->message, MODELS_MESSAGE_MAX);
    return 0;
}

int job_follow(struct models *m, const struct job_request *q, models_event_fn fn, void *ctx,
               struct http_cancel *cancel, char ret_message[MODELS_MESSAGE_MAX], struct error *err)
{
    pthread_mutex_lock(&m->jobs_lock);
    struct job *j = find_job(m, q);
    int r = j ? 0 : start_job(m, q, &j, err);
    if (j) {
        j->refs++;
        j->followers++;
    }
    pthread_mutex_unlock(&m->jobs_lock);
    if (!j)
        return r;

    struct follower f = {.fn = fn, .ctx = ctx, .version = UINT_MAX};
    r = follow(j, &f, cancel, ret_message, err);
    free(f.told);
    pthread_mutex_lock(&m->jobs_lock);
    if (--j->followers == 0) {
        unlist(m, j);
        http_cancel_fire(j->cancel);
    }
    pthread_mutex_unlock(&m->jobs_lock);
    job_unref(j);
    return r;
}

/* ---- the worker's side ---- */

const char *job_name(const struct job *j)
{
    return j->name;
}

const char *job_bearer(const struct job *j)
{
    return j->bearer;
}

struct http_cancel *job_cancel(struct job *j)
{
    return j->cancel;
}

static void changed(struct job *j)
{
    j->version++;
    pthread_cond_broadcast(&j->changed);
    pthread_mutex_unlock(&j->lock);
}

static void add_note(struct job *j, enum models_event_kind kind, char *text)
{
    pthread_mutex_lock(&j->lock);
    if (j->n_notes < NOTES_MAX)
        j->notes[j->n_notes++] = (struct note){kind, TAKE(text)};
    changed(j);
    free(text);
}

/* A text of bounded length, without what could disturb a terminal. */
static char *ATTR_PRINTF(1, 0) format_text(const char *fmt, va_list args)
{
    struct error text = ERROR_INIT;
    error_vset(&text, ERR_INTERNAL, fmt, args);
    return xstrdup(text.msg);
}

void job_note(struct job *j, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    add_note(j, MODELS_EVENT_NOTE, format_text(fmt, args));
    va_end(args);
}

void job_warn(struct job *j, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    add_note(j, MODELS_EVENT_WARNING, format_text(fmt, args));
    va_end(args);
}

void job_total(struct job *j, uint64_t bytes)
{
    pthread_mutex_lock(&j->lock);
    j->total = bytes;
    pthread_mutex_unlock(&j->lock);
}

size_t job_add_layer(struct job *j, const char *id, uint64_t size)
{
    pthread_mutex_lock(&j->lock);
    size_t at = 0;
    while (at < j->n_layers && strcmp(j->layers[at].id, id) != 0)
        at++;
    if (at == j->n_layers) {
        j->layers = xrealloc(j->layers, j->n_layers + 1, sizeof(*j->layers));
        struct layer *l = &j->layers[j->n_layers++];
        *l = (struct layer){.size = size};
        snprintf(l->id, sizeof(l->id), "%s", id);
    }
    changed(j);
    return at;
}

void job_layer(struct job *j, size_t layer, uint64_t current)
{
    pthread_mutex_lock(&j->lock);
    struct layer *l = &j->layers[layer];
    l->current = MIN(MAX(l->current, current), l->size);
    changed(j);
}

void job_done(struct job *j, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    pthread_mutex_lock(&j->lock);
    vsnprintf(j->message, sizeof(j->message), fmt, args);
    pthread_mutex_unlock(&j->lock);
    va_end(args);
}

int job_take_slot(struct job *j, struct models *m, struct error *err)
{
    pthread_mutex_lock(&m->jobs_lock);
    while (m->pulls >= m->max_pulls && !http_cancel_fired(j->cancel)) {
        struct timespec until;
        deadline_in(TICK_MS, &until);
        pthread_cond_timedwait(&m->jobs_changed, &m->jobs_lock, &until);
    }
    bool canceled = http_cancel_fired(j->cancel);
    if (!canceled)
        m->pulls++;
    pthread_mutex_unlock(&m->jobs_lock);
    return canceled ? error_set(err, ERR_CANCELED, "canceled") : 0;
}

void job_give_slot(struct models *m)
{
    pthread_mutex_lock(&m->jobs_lock);
    m->pulls--;
    pthread_cond_broadcast(&m->jobs_changed);
    pthread_mutex_unlock(&m->jobs_lock);
}
