/* SPDX-License-Identifier: Apache-2.0
 *
 * Loads: from a model's id to an engine process that answers. Runs on a thread of its own for each
 * load, so that it needs no client. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "http/client.h"
#include "runner/ledger.h"
#include "runner/metrics.h"
#include "runner/scheduler_internal.h"

enum { FIRST_PROBE_MS = 5, LAST_PROBE_MS = 250, PROBE_TIMEOUT_MS = 5000 };

static bool is_wanted(struct runner *r)
{
    pthread_mutex_lock(&r->s->lock);
    bool wanted = r->state == RUNNER_LOADING;
    pthread_mutex_unlock(&r->s->lock);
    return wanted;
}

/* The process is gone; on the supervisor's thread. */
static void on_exit_of(void *ctx)
{
    struct runner *r = ctx;
    struct scheduler *s = r->s;
    pthread_mutex_lock(&s->lock);
    r->process_alive = false;
    if (r->state == RUNNER_READY) {
        struct error why = ERROR_INIT;
        process_reason(r->process, ERR_INTERNAL, &why);
        log_warn("the engine of %s ended: %s", r->typed, why.msg);
        r->state = RUNNER_STOPPING;
    }
    runner_settle(r);
    runner_unref(r);
    pthread_mutex_unlock(&s->lock);
}

/* The context size that the model's config asks for; 0 = none. Packagers put the length that the
 * model was trained for there as well. That is no wish but a limit: taken as one, a small machine
 * would have to find memory for 128K tokens, so the engine is left to choose. */
int64_t wished_context(struct models *models, const char *id, int64_t packaged)
{
    CLEANUP(model_info_release) struct model_info info = {0};
    CLEANUP_JSON struct json *config = NULL;
    if (packaged <= 0 || models_get(models, id, MODELS_EXACT, &info, NULL) < 0 ||
        js_parse(str_from(info.config_json), "the model's config", &config, NULL) < 0)
        return packaged;
    char key[128];
    snprintf(key, sizeof(key), "%s.context_length", info.architecture);
    struct str trained = js_get_str(js_get(config, "gguf"), key);
    int64_t n = 0;
    return str_to_i64(trained, key, &n, NULL) == 0 && n == packaged ? 0 : packaged;
}

static int start_process(struct runner *r, const struct model_files *files, const char *binary,
                         struct error *err)
{
    const struct engine_launch launch = {
        .binary = binary,
        .model_path = files->model_path,
        .mmproj_path = files->mmproj_path,
        .template_path = files->template_path,
        .socket_path = r->socket,
        .lifeline_fd = PROCESS_LIFELINE_FD,
        .mode = r->target.mode,
        .context_size = r->settings.context_size ? r->settings.context_size
                                                 : wished_context(r->s->models, r->target.id, files->context_size),
        .flags = r->settings.flags,
        .n_flags = r->settings.n_flags,
        .config = r->settings.config,
    };
    CLEANUP_ARGV struct argv argv = {0};
    int result = r->target.engine->argv(&launch, &argv, err);
    if (result == 0) {
        engine_need_of(&launch, files->bytes, &r->need);
        result = ledger_admit(r, err);
    }
    if (result < 0)
        return result;
    unlink(r->socket);
    struct scheduler *s = r->s;
    pthread_mutex_lock(&s->lock);
    r->process_alive = true;
    r->refs++; /* for on_exit_of() */
    pthread_mutex_unlock(&s->lock);
    const struct process_spec spec = {
        .title = r->target.engine->title, .argv = argv.v, .on_exit = on_exit_of, .ctx = r};
    struct process *process = NULL;
    result = supervisor_spawn(s->supervisor, &spec, &process, err);
    pthread_mutex_lock(&s->lock);
    if (result < 0) {
        r->process_alive = false;
        runner_unref(r);
    }
    r->process = process;
    if (process && r->state != RUNNER_LOADING) /* it was stopped meanwhile */
        process_stop(process, s->stop_grace_ms);
    pthread_mutex_unlock(&s->lock);
    return result;
}

static bool is_healthy(const struct runner *r)
{
    char url[256];
    snprintf(url, sizeof(url), "http://localhost%s", r->target.engine->health_path);
    struct http_call call = HTTP_CALL_INIT;
    call.url = url;
    call.unix_path = r->socket;
    call.timeout_ms = PROBE_TIMEOUT_MS;
    struct http_result res = {0};
    if (http_perform(&call, &res, NULL) < 0)
        return false;
    int status = res.status;
    http_result_release(&res);
    return status == 200;
}

static int await_health(struct runner *r, struct error *err)
{
    int64_t give_up_ms = clock_mono_ms() + r->s->load_timeout_ms;
    for (int64_t pause_ms = FIRST_PROBE_MS;; pause_ms = MIN(pause_ms * 2, LAST_PROBE_MS)) {
        if (process_wait(r->process, pause_ms)) {
            process_reason(r->process, ERR_INTERNAL, err);
            return error_wrap(err, "%s terminated unexpectedly", r->target.engine->title);
        }
        if (!is_wanted(r))
            return error_set(err, ERR_CANCELED, "the model was unloaded");
        if (is_healthy(r))
            return 0;
        if (clock_mono_ms() > give_up_ms)
            return error_set(err, ERR_TIMEOUT,
                             "inference backend took too long to initialize (%lld s)",
                             (long long)(r->s->load_timeout_ms / 1000));
    }
}

/* The engine's program, new enough. */
static int find_program(struct runner *r, char **ret, struct error *err)
{
    const struct engine *e = r->target.engine;
    const struct engine_places places = scheduler_places(r->s);
    CLEANUP_FREE char *path = NULL, *version = NULL;
    int result = e->find(&places, &path, err);
    if (result == 0)
        result = e->version(path, &version, err);
    if (result < 0)
        return result;
    log_debug("%s is %s %s", path, e->title, version);
    *ret = TAKE(path);
    return 0;
}

static int load(struct runner *r, struct error *err)
{
    CLEANUP(model_files_release) struct model_files files = {0};
    int result = models_resolve_file(r->s->models, r->target.id, &files, err);
    if (result < 0)
        return error_wrap(err, "failed to get model");
    CLEANUP_FREE char *binary = NULL;
    result = find_program(r, &binary, err);
    if (result == 0)
        result = start_process(r, &files, binary, err);
    if (result < 0)
        return error_wrap(err, "unable to start runner");
    result = await_health(r, err);
    if (result < 0)
        return error_wrap(err, "error waiting for runner to be ready");
    return 0;
}

/* Can another engine of this machine take a model that the first one does not know? Says so in err
 * when there is none. With the lock held. */
static bool goes_elsewhere(struct runner *r, struct error *err)
{
    const struct engine *next = r->process && process_exit_status(r->process) == EXIT_UNSUPPORTED
                                    ? runner_next_engine(r)
                                    : NULL;
    if (!next)
        return false;
    const struct engine_places places = scheduler_places(r->s);
    CLEANUP_FREE char *path = NULL;
    struct error why = ERROR_INIT;
    if (next->find(&places, &path, &why) < 0) {
        struct error whole = *err;
        error_set(err, whole.code, "%s. Another engine may know it: %s", whole.msg, why.msg);
        return false;
    }
    log_info("%s: %s. Trying %s", r->typed, err->msg, next->title);
    runner_mark_unfit(r);
    return true;
}

void *load_main(void *arg)
{
    struct runner *r = arg;
    struct scheduler *s = r->s;
    struct error err = ERROR_INIT;
    int64_t start_ms = clock_mono_ms();
    log_info("loading %s with %s", r->typed, r->target.engine->name);
    int result = load(r, &err);
    if (result < 0) {
        error_wrap(&err, "unable to load runner");
        log_error("%s: %s", r->typed, err.msg);
    }

    metrics_load(s->metrics, result == 0, (double)(clock_mono_ms() - start_ms) / 1000);
    pthread_mutex_lock(&s->lock);
    bool again = result < 0 && r->state == RUNNER_LOADING && goes_elsewhere(r, &err);
    r->loading = false;
    r->last_used_ms = clock_mono_ms();
    clock_gettime(CLOCK_REALTIME, &r->last_used);
    if (result == 0 && r->state == RUNNER_LOADING && r->process_alive) {
        r->state = RUNNER_READY;
        log_info("%s is ready after %lld ms", r->typed, (long long)(r->last_used_ms - start_ms));
    } else if (result < 0 && !again) {
        /* Whatever it was, to the client it is a server that cannot do what it should, or not yet.
         */
        if (err.code != ERR_BUSY)
            err.code = ERR_INTERNAL;
        r->load_error = err;
    }
    if (r->state != RUNNER_READY)
        runner_stop(r);
    runner_settle(r);
    s->n_loads--;
    pthread_cond_broadcast(&s->changed);
    runner_unref(r);
    pthread_mutex_unlock(&s->lock);
    return NULL;
}
