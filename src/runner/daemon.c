/* SPDX-License-Identifier: Apache-2.0
 *
 * Start and end of the daemon's parts. */
#include "runner/daemon.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/log.h"
#include "base/paths.h"
#include "runner/response_store.h"
#include "runner/doors.h"
#include "runner/journal.h"
#include "runner/metrics.h"

/* A socket's path has 107 characters; "/engines/engine-PID-N.sock" needs its share. */
enum { STOP_GRACE_MS = 5000, LONGEST_RUNTIME_DIR = 64 };

/* Downloads that nobody has gone on with for so long are given up. */
enum { LEFTOVER_AGE_S = 7 * 24 * 3600 };

/* The engines' sockets lie beside ours in a directory of their own, so that two daemons of one user
 * do not meet there either. */
static int make_engine_dir(struct daemon *d, struct error *err)
{
    CLEANUP_FREE char *runtime = NULL;
    int r = path_runtime_dir(&runtime, err);
    if (r == 0 && strlen(runtime) > LONGEST_RUNTIME_DIR)
        r = error_set(err, ERR_INVALID, "'%s' is too long for sockets", runtime);
    if (r == 0)
        r = dir_make_private(runtime, err);
    if (r == 0) {
        d->engine_dir = path_join(runtime, "engines");
        r = dir_make_private(d->engine_dir, err);
    }
    if (r == 0)
        return 0;
    /* A machine without a home that can be written, or with a long one: a fresh directory. */
    free(d->engine_dir);
    d->engine_dir = xstrdup("/tmp/model-runner-XXXXXX");
    if (!mkdtemp(d->engine_dir)) {
        free(TAKE(d->engine_dir));
        return r;
    }
    return 0;
}

static void *clean_store(void *models)
{
    struct error err = ERROR_INIT;
    uint64_t freed;
    /* What is read here once is not read any more when the first client asks for it. */
    struct model_list list;
    if (models_list(models, &list, NULL) == 0)
        model_list_release(&list);
    int r = models_prune(models, LEFTOVER_AGE_S, &freed, &err);
    if (r < 0)
        log_debug("old leftovers stay in the store: %s", err.msg);
    else if (freed > 0)
        log_info("removed %.2f MB of old leftovers from the store", (double)freed / 1e6);
    return NULL;
}

static int open_models(struct daemon *d, struct error *err)
{
    const struct models_options o = {
        .root = d->settings->models_path,
        .max_pulls = d->settings->max_pulls,
    };
    int r = models_open(&o, &d->models, err);
    if (r == 0)
        d->has_cleaner = pthread_create(&d->cleaner, NULL, clean_store, d->models) == 0;
    return r;
}

int daemon_start(const struct settings *settings, struct daemon *ret, struct error *err)
{
    struct daemon *d = ret;
    *d = (struct daemon){.settings = settings};
    d->metrics = metrics_new();
    d->journal = journal_new(settings->journal_mode, settings->journal_bytes);
    int r = make_engine_dir(d, err);
    if (r == 0)
        r = open_models(d, err);
    if (r == 0) {
        const struct scheduler_options o = {
            .models = d->models,
            .socket_dir = d->engine_dir,
            .places = settings->places,
            .engine = settings->engine,
            .settings_file = settings->settings_file,
            .idle_timeout_ns = settings->idle_timeout_ns < 0 ? -1 : settings->idle_timeout_ns,
            .load_timeout_ms = settings->load_timeout_ns / 1000000,
            .wait_timeout_ms = settings->wait_timeout_ns / 1000000,
            .stop_grace_ms = STOP_GRACE_MS,
            .max_runners = settings->max_models,
            .metrics = d->metrics,
            .max_memory = settings->max_memory_bytes,
        };
        r = scheduler_start(&o, &d->scheduler, err);
    }
    d->responses = response_store_new();
    if (r == 0)
        r = doors_open(d, &d->doors, err);
    if (r < 0)
        daemon_stop(d);
    return r;
}

void daemon_stop(struct daemon *d)
{
    doors_close(d->doors);
    scheduler_stop(d->scheduler);
    response_store_free(d->responses);
    if (d->has_cleaner)
        pthread_join(d->cleaner, NULL);
    models_close(d->models);
    journal_free(d->journal);
    metrics_free(d->metrics);
    if (d->engine_dir && strncmp(d->engine_dir, "/tmp/", 5) == 0)
        rmdir(d->engine_dir);
    free(d->engine_dir);
    *d = (struct daemon){0};
}
