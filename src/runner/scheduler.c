/* SPDX-License-Identifier: Apache-2.0
 *
 * Runners: who gets one, who waits, who goes; scheduler.h draws the states, loader.c starts the
 * processes. */
#include "runner/scheduler.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "oci/reference.h"
#include "runner/ledger.h"
#include "runner/metrics.h"
#include "runner/scheduler_internal.h"
#include "runner/tokens.h"

struct lease {
    struct scheduler *s;
    struct runner *r;
};

/* ---- small things ---- */

static struct timespec at_ms(int64_t mono_ms)
{
    return (struct timespec){.tv_sec = mono_ms / 1000, .tv_nsec = mono_ms % 1000 * 1000000};
}

bool scheduler_wait_change(struct scheduler *s, int64_t until_ms)
{
    if (until_ms == INT64_MAX)
        return pthread_cond_wait(&s->changed, &s->lock) == 0;
    struct timespec t = at_ms(until_ms);
    return pthread_cond_timedwait(&s->changed, &s->lock, &t) != ETIMEDOUT;
}

static void wake_all(void *ctx)
{
    struct scheduler *s = ctx;
    pthread_mutex_lock(&s->lock);
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

/* ---- what a request is about ---- */

void target_release(struct target *t)
{
    free(t->name);
    free(t->format);
    *t = (struct target){0};
}

enum engine_mode process_mode(const struct engine *e, enum engine_mode mode)
{
    return e->one_process ? MODE_COMPLETION : mode;
}

static char *format_of_running(struct scheduler *s, const char *id)
{
    pthread_mutex_lock(&s->lock);
    char *format = NULL;
    for (const struct runner *r = s->runners; r && !format; r = r->next)
        if (strcmp(r->target.id, id) == 0)
            format = xstrdup(r->target.format);
    pthread_mutex_unlock(&s->lock);
    return format;
}

static int find_format(struct scheduler *s, const char *id, char **ret, struct error *err)
{
    *ret = format_of_running(s, id);
    if (*ret)
        return 0;
    struct model_info info;
    int r = models_get(s->models, id, MODELS_EXACT, &info, err);
    if (r < 0)
        return r;
    *ret = xstrdup(info.format);
    model_info_release(&info);
    return 0;
}

static bool is_unfit(const struct scheduler *s, const char *id)
{
    for (size_t i = 0; i < MIN(s->n_unfit, (size_t)UNFIT_MAX); i++)
        if (strcmp(s->unfit[i], id) == 0)
            return true;
    return false;
}

/* The engine that somebody wants for it; NULL = as it fits. */
static const struct engine *wanted_engine(struct scheduler *s, const struct target *t)
{
    const struct engine *e = settings_for(s, t)->engine;
    return e ? e : s->engine;
}

static const struct engine *engine_after(const struct engine *first, const char *format)
{
    bool behind = false;
    for (size_t i = 0; i < engine_count; i++) {
        if (behind && engine_runs(engine_table[i], format))
            return engine_table[i];
        behind = behind || engine_table[i] == first;
    }
    return NULL;
}

/* Sets the engine of a target, and so the mode of its process. */
static int choose_engine(struct scheduler *s, struct target *t, struct error *err)
{
    t->mode = t->asked;
    const struct engine *wanted = wanted_engine(s, t), *e = NULL;
    int r = engine_for_format(t->format, &e, err);
    if (r < 0)
        return r;
    if (wanted && engine_runs(wanted, t->format))
        e = wanted;
    else if (!wanted && is_unfit(s, t->id))
        e = engine_after(e, t->format);
    if (!(e->modes & 1U << t->asked))
        return error_set(err, ERR_UNSUPPORTED, "unsupported backend mode \"%s\"",
                         engine_mode_name(t->asked));
    t->engine = e;
    t->mode = process_mode(e, t->asked);
    return 0;
}

const struct engine *runner_next_engine(const struct runner *r)
{
    struct scheduler *s = r->s;
    const struct engine *first = NULL;
    if (wanted_engine(s, &r->target) || engine_for_format(r->target.format, &first, NULL) < 0 ||
        r->target.engine != first)
        return NULL;
    return engine_after(first, r->target.format);
}

void runner_mark_unfit(const struct runner *r)
{
    struct scheduler *s = r->s;
    if (!is_unfit(s, r->target.id))
        memcpy(s->unfit[s->n_unfit++ % UNFIT_MAX], r->target.id, OCI_DIGEST_TEXT_MAX);
}

struct engine_places scheduler_places(const struct scheduler *s)
{
    return (struct engine_places){.model_engine = s->model_engine, .llama_server = s->llama_server};
}

int find_target(struct scheduler *s, const char *model, enum engine_mode mode,
                       struct target *ret, struct error *err)
{
    struct target t = {.asked = mode};
    int r = models_resolve_id(s->models, model, MODELS_EXACT, t.id, err);
    if (r == 0)
        r = find_format(s, t.id, &t.format, err);
    if (r < 0)
        return r;
    t.name = scheduler_full_name(model);
    pthread_mutex_lock(&s->lock);
    r = choose_engine(s, &t, err);
    pthread_mutex_unlock(&s->lock);
    if (r < 0)
        target_release(&t);
    else
        *ret = t;
    return r;
}

/* ---- runners; all with the lock held ---- */

bool runner_is_idle(const struct runner *r)
{
    return r->in_use == 0 && r->waiters == 0 && r->state != RUNNER_STOPPING;
}

static struct runner *find_runner(struct scheduler *s, const struct target *t)
{
    for (struct runner *r = s->runners; r; r = r->next)
        if (r->target.mode == t->mode && strcmp(r->target.id, t->id) == 0)
            return r;
    return NULL;
}

void runner_unref(struct runner *r)
{
    if (--r->refs > 0)
        return;
    process_unref(r->process);
    model_settings_release(&r->settings);
    target_release(&r->target);
    free(r->typed);
    free(r->socket);
    free(r);
}

void runner_settle(struct runner *r)
{
    struct scheduler *s = r->s;
    if (!r->loading && !r->process_alive && r->listed) {
        for (struct runner **at = &s->runners; *at; at = &(*at)->next)
            if (*at == r) {
                *at = r->next;
                break;
            }
        s->n_runners--;
        r->listed = false;
        unlink(r->socket);
        runner_unref(r);
    }
    pthread_cond_broadcast(&s->changed);
}

void runner_stop(struct runner *r)
{
    if (r->state == RUNNER_STOPPING)
        return;
    r->state = RUNNER_STOPPING;
    if (r->process && r->process_alive)
        process_stop(r->process, r->s->stop_grace_ms);
    runner_settle(r);
}

static struct runner *add_runner(struct scheduler *s, struct target *t, const char *typed)
{
    struct runner *r = xcalloc(1, sizeof(*r));
    r->s = s;
    r->refs = 1; /* the list's */
    r->listed = true;
    r->state = RUNNER_LOADING;
    model_settings_copy(settings_for(s, t), &r->settings);
    r->typed = xstrdup(typed);
    r->number = ++s->serial;
    r->socket = xasprintf("%s/engine-%d-%u.sock", s->socket_dir, (int)getpid(), r->number);
    r->target = *t;
    r->target.name = xstrdup(t->name);
    r->target.format = xstrdup(t->format);
    r->next = s->runners;
    s->runners = r;
    s->n_runners++;
    return r;
}

static int start_load(struct scheduler *s, struct target *t, const char *typed, struct error *err)
{
    struct runner *r = add_runner(s, t, typed);
    r->loading = true;
    r->refs++; /* the load's */
    s->n_loads++;
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_t thread;
    int error = pthread_create(&thread, &attr, load_main, r);
    pthread_attr_destroy(&attr);
    if (!error)
        return 0;
    s->n_loads--;
    r->loading = false;
    runner_settle(r);
    runner_unref(r);
    return error_errno(err, error, "unable to load runner: unable to start runner");
}

bool runner_is_pinned(const struct runner *r)
{
    return settings_for(r->s, &r->target)->keep_alive_ns == KEEP_FOREVER;
}

/* Which of two idle runners goes first: the one not to be kept for ever, then the one that was
 * used longer ago. */
static bool goes_before(const struct runner *a, const struct runner *b)
{
    bool keep_a = runner_is_pinned(a), keep_b = runner_is_pinned(b);
    if (keep_a != keep_b)
        return keep_b;
    return a->last_used_ms < b->last_used_ms;
}

bool scheduler_make_room(struct scheduler *s, bool pinned_too)
{
    struct runner *victim = NULL;
    for (struct runner *r = s->runners; r; r = r->next) {
        if (r->state == RUNNER_STOPPING)
            return true;
        if (r->state == RUNNER_READY && runner_is_idle(r) && (pinned_too || !runner_is_pinned(r)) &&
            (!victim || goes_before(r, victim)))
            victim = r;
    }
    if (!victim)
        return false;
    log_info("unloading %s to make room", victim->typed);
    metrics_unload(s->metrics, true);
    runner_stop(victim);
    return true;
}

/* ---- acquire ---- */

/* Waits for the end of a load; 0 = look again. */
static int join_load(struct scheduler *s, struct runner *r, struct http_request *client,
                     struct error *err)
{
    r->refs++;
    r->waiters++;
    while (r->state == RUNNER_LOADING && !(client && http_request_canceled(client)))
        scheduler_wait_change(s, INT64_MAX);
    r->waiters--;
    int result = r->load_error.code != ERR_NONE ? error_copy(err, &r->load_error) : 0;
    runner_unref(r);
    return result;
}

static int no_place(struct scheduler *s, struct error *err)
{
    return error_set(err, ERR_BUSY,
                     "unable to load runner: all %u places for models are in use by requests: try "
                     "again later or raise --max-models",
                     s->max_runners);
}

static struct lease *lease_new(struct scheduler *s, struct runner *r)
{
    r->in_use++;
    r->refs++;
    struct lease *l = xcalloc(1, sizeof(*l));
    l->s = s;
    l->r = r;
    return l;
}

static int acquire(struct scheduler *s, struct target *t, const char *typed,
                   struct http_request *client, struct lease **ret, struct error *err)
{
    int64_t give_up_ms = clock_mono_ms() + s->wait_timeout_ms;
    for (;;) {
        if (s->stopping)
            return error_set(err, ERR_UNAVAILABLE,
                             "unable to load runner: backend loading disabled");
        if (client && http_request_canceled(client))
            return error_set(err, ERR_CANCELED, "unable to load runner: context canceled");
        int result = choose_engine(s, t, err); /* it may have changed while we waited */
        if (result < 0)
            return result;
        struct runner *r = find_runner(s, t);
        if (r && r->state == RUNNER_READY && runner_is_idle(r) &&
            (r->target.engine != t->engine ||
             !model_settings_same_process(&r->settings, settings_for(s, t)))) {
            log_info("restarting %s with its new settings", typed);
            runner_stop(r);
        } else if (r && r->state == RUNNER_READY && !process_has_ended(r->process)) {
            *ret = lease_new(s, r);
            return 0;
        } else if (r && r->state == RUNNER_LOADING) {
            result = join_load(s, r, client, err);
        } else if (!r && s->n_runners < s->max_runners) {
            result = start_load(s, t, typed, err);
        } else {
            if (!r)
                scheduler_make_room(s, true);
            if (!scheduler_wait_change(s, give_up_ms))
                return no_place(s, err);
        }
        if (result < 0)
            return result;
    }
}

int scheduler_permit(struct http_request *client, const char *model, struct error *err)
{
    const struct grant *grant = client ? http_request_attached(client) : NULL;
    CLEANUP_FREE char *name = scheduler_full_name(model);
    if (!grant || grant_covers_model(grant, name))
        return 0;
    return error_set(err, ERR_DENIED, "the access token does not cover the model '%s'", model);
}

int scheduler_acquire(struct scheduler *s, const char *model, enum engine_mode mode,
                      struct http_request *client, struct lease **ret, struct error *err)
{
    struct target t;
    int result = scheduler_permit(client, model, err);
    if (result == 0)
        result = find_target(s, model, mode, &t, err);
    if (result < 0)
        return result;
    if (client)
        http_request_on_cancel(client, wake_all, s);
    pthread_mutex_lock(&s->lock);
    result = acquire(s, &t, model, client, ret, err);
    pthread_mutex_unlock(&s->lock);
    if (client)
        http_request_on_cancel(client, NULL, NULL);
    target_release(&t);
    return result;
}

const char *lease_socket(const struct lease *l)
{
    return l->r->socket;
}

bool lease_died(struct lease *l, bool *ret_killed, struct error *err)
{
    enum { PATIENCE_MS = 5000 };
    if (!process_wait(l->r->process, PATIENCE_MS))
        return false;
    *ret_killed = process_was_killed(l->r->process);
    process_reason(l->r->process, ERR_INTERNAL, err);
    error_wrap(err, "%s terminated unexpectedly", l->r->target.engine->title);
    return true;
}

void lease_release(struct lease *l)
{
    struct scheduler *s = l->s;
    pthread_mutex_lock(&s->lock);
    l->r->last_used_ms = clock_mono_ms();
    clock_gettime(CLOCK_REALTIME, &l->r->last_used);
    if (--l->r->in_use == 0)
        pthread_cond_broadcast(&s->changed);
    runner_unref(l->r);
    pthread_mutex_unlock(&s->lock);
    free(l);
}

void scheduler_preload(struct scheduler *s, const char *model, enum engine_mode mode)
{
    struct target t;
    if (find_target(s, model, mode, &t, NULL) < 0)
        return;
    pthread_mutex_lock(&s->lock);
    if (!s->stopping && !find_runner(s, &t) && s->n_runners < s->max_runners)
        start_load(s, &t, model, NULL);
    pthread_mutex_unlock(&s->lock);
    target_release(&t);
}

/* ---- unload ---- */

/* Stops the idle runners that `wanted` picks (NULL = all) and waits until they are gone. */
static unsigned unload_where(struct scheduler *s, bool (*wanted)(const struct runner *, void *),
                             void *ctx, struct str backend)
{
    enum { KILL_MS = 2000 };
    unsigned n = 0;
    pthread_mutex_lock(&s->lock);
    unsigned batch = ++s->batch;
    for (struct runner *r = s->runners, *next; r; r = next) {
        next = r->next;
        if (!runner_is_idle(r) || !engine_answers_to(r->target.engine, backend) ||
            (wanted && !wanted(r, ctx)))
            continue;
        r->batch = batch;
        runner_stop(r);
        n++;
    }
    int64_t until_ms = clock_mono_ms() + s->stop_grace_ms + KILL_MS;
    bool left = n > 0;
    while (left) {
        left = false;
        for (const struct runner *r = s->runners; r && !left; r = r->next)
            left = r->batch == batch;
        if (left && !scheduler_wait_change(s, until_ms))
            break;
    }
    pthread_mutex_unlock(&s->lock);
    return n;
}

unsigned scheduler_unload_all(struct scheduler *s, struct str backend)
{
    if (backend.len == 0) {
        pthread_mutex_lock(&s->lock);
        drop_request_settings(s, NULL);
        pthread_mutex_unlock(&s->lock);
    }
    return unload_where(s, NULL, NULL, backend);
}

/* ctx: the model's id or full name, and the name as typed. A runner may outlive its model. */
static bool is_of_model(const struct runner *r, void *ctx)
{
    const char *const *names = ctx;
    return strcmp(r->target.id, names[0]) == 0 || strcmp(r->target.name, names[0]) == 0 ||
           strcmp(r->typed, names[1]) == 0;
}

unsigned scheduler_unload(struct scheduler *s, const char *model, struct str backend)
{
    CLEANUP_FREE char *key = scheduler_model_key(s, model);
    const char *names[] = {key, model};
    unsigned n = unload_where(s, is_of_model, names, backend);
    pthread_mutex_lock(&s->lock);
    drop_request_settings(s, key);
    pthread_mutex_unlock(&s->lock);
    return n;
}

static bool is_deleted(const struct runner *r, void *ctx)
{
    char id[OCI_DIGEST_TEXT_MAX];
    return models_resolve_id(ctx, r->target.id, MODELS_EXACT, id, NULL) == -(int)ERR_NOT_FOUND;
}

void scheduler_drop_deleted(struct scheduler *s)
{
    unload_where(s, is_deleted, s->models, STR(""));
}

/* ---- ps ---- */

struct json *scheduler_ps(struct scheduler *s)
{
    static const char never[] = "0001-01-01T00:00:00Z";
    struct json *list = js_array();
    pthread_mutex_lock(&s->lock);
    for (const struct runner *r = s->runners; r; r = r->next) {
        if (r->state == RUNNER_STOPPING)
            continue;
        struct json *row = js_object();
        char used[CLOCK_TEXT_MAX];
        js_set_cstr(row, "backend_name", r->target.engine->name);
        js_set_cstr(row, "model_name", r->typed);
        js_set_cstr(row, "mode", engine_mode_name(r->target.mode));
        uint64_t held = r->process_alive ? ledger_held(r) : 0;
        if (held > 0)
            js_set_int(row, "memory", (int64_t)held);
        bool resting = r->state == RUNNER_READY && r->in_use == 0;
        if (resting)
            clock_rfc3339(r->last_used, used);
        js_set_cstr(row, "last_used", resting ? used : never);
        if (r->in_use > 0)
            js_set_bool(row, "in_use", true);
        if (r->state == RUNNER_LOADING)
            js_set_bool(row, "loading", true);
        int64_t keep = settings_for(s, &r->target)->keep_alive_ns;
        if (keep != KEEP_DEFAULT) {
            char text[CLOCK_TEXT_MAX];
            keep_alive_text(keep, text);
            js_set_cstr(row, "keep_alive", text);
        }
        js_push(list, row);
    }
    pthread_mutex_unlock(&s->lock);
    return list;
}

/* ---- idle runners, and the scheduler's own life ---- */

/* Stops those whose time is up; the time when the next one is. With the lock held. */
static int64_t unload_idle(struct scheduler *s)
{
    int64_t now = clock_mono_ms();
    int64_t next_ms = INT64_MAX;
    for (struct runner *r = s->runners, *next; r; r = next) {
        next = r->next;
        if (r->state != RUNNER_READY || !runner_is_idle(r))
            continue;
        int64_t keep = settings_for(s, &r->target)->keep_alive_ns;
        if (keep == KEEP_DEFAULT)
            keep = s->idle_timeout_ns;
        if (keep == KEEP_FOREVER)
            continue;
        int64_t end_ms = r->last_used_ms + keep / 1000000;
        if (end_ms > now) {
            next_ms = MIN(next_ms, end_ms);
            continue;
        }
        log_info("unloading %s, idle", r->typed);
        metrics_unload(s->metrics, false);
        runner_stop(r);
    }
    return next_ms;
}

static void *janitor_main(void *arg)
{
    struct scheduler *s = arg;
    pthread_mutex_lock(&s->lock);
    while (!s->stopping)
        scheduler_wait_change(s, unload_idle(s));
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

int scheduler_start(const struct scheduler_options *o, struct scheduler **ret, struct error *err)
{
    struct supervisor *supervisor = NULL;
    int r = supervisor_start(&supervisor, err);
    if (r < 0)
        return r;
    struct scheduler *s = xcalloc(1, sizeof(*s));
    s->models = o->models;
    s->supervisor = supervisor;
    s->socket_dir = xstrdup(o->socket_dir);
    s->model_engine = o->places.model_engine ? xstrdup(o->places.model_engine) : NULL;
    s->llama_server = o->places.llama_server ? xstrdup(o->places.llama_server) : NULL;
    s->engine = o->engine;
    s->idle_timeout_ns = o->idle_timeout_ns;
    s->load_timeout_ms = o->load_timeout_ms;
    s->wait_timeout_ms = o->wait_timeout_ms;
    s->stop_grace_ms = o->stop_grace_ms;
    s->max_runners = MAX(o->max_runners, 1U);
    s->metrics = o->metrics;
    s->max_memory = o->max_memory;
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->changed, &attr);
    pthread_condattr_destroy(&attr);
    r = settings_open(s, o->settings_file, err);
    int error = r < 0 ? 0 : pthread_create(&s->janitor, NULL, janitor_main, s);
    if (error)
        r = error_errno(err, error, "cannot start the scheduler");
    if (r < 0) {
        settings_close(s);
        supervisor_stop(supervisor);
        free(s->socket_dir);
        free(s->model_engine);
        free(s->llama_server);
        free(s);
        return r;
    }
    *ret = s;
    return 0;
}

void scheduler_stop(struct scheduler *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    for (struct runner *r = s->runners, *next; r; r = next) {
        next = r->next;
        runner_stop(r);
    }
    pthread_cond_broadcast(&s->changed);
    while (s->runners || s->n_loads > 0)
        scheduler_wait_change(s, INT64_MAX);
    pthread_mutex_unlock(&s->lock);
    settings_close(s);
    pthread_join(s->janitor, NULL);
    supervisor_stop(s->supervisor);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    free(s->socket_dir);
    free(s->model_engine);
    free(s->llama_server);
    free(s);
}
