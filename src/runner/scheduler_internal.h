/* SPDX-License-Identifier: Apache-2.0
 *
 * Shared by the files of the scheduler only: scheduler.c, scheduler_settings.c, loader.c, ledger.c. */
#ifndef RUNNER_SCHEDULER_INTERNAL_H
#define RUNNER_SCHEDULER_INTERNAL_H

#include <pthread.h>

#include "runner/model_settings.h"
#include "runner/scheduler.h"
#include "runner/supervisor.h"

/* What makes a process serve a request, or another one. */
struct target {
    char id[OCI_DIGEST_TEXT_MAX]; /* of the model */
    char *name;                   /* full name it was asked by */
    char *format;                 /* of the model */
    enum engine_mode asked;       /* by the request */
    /* by choose_engine(), with the lock held: */
    const struct engine *engine;
    enum engine_mode mode; /* of the process */
};

enum runner_state { RUNNER_LOADING, RUNNER_READY, RUNNER_STOPPING };

struct runner {
    struct scheduler *s;
    struct runner *next;
    struct target target;
    char *typed; /* the model as the first request named it */
    char *socket;

    /* guarded by: s->lock */
    enum runner_state state;
    unsigned refs; /* list, load, process, leases, waiters */
    bool listed;
    bool loading; /* its load thread runs */
    bool process_alive;
    struct process *process;
    unsigned in_use;  /* leases */
    unsigned waiters; /* for the end of the load */
    unsigned batch;   /* the unload request that stopped it */
    unsigned number;   /* loads are let in in this order */
    bool let_in;       /* its memory counts, see ledger.h */
    bool waits;        /* for memory */
    struct engine_need need;
    int64_t last_used_ms;
    struct timespec last_used;
    struct model_settings settings; /* it was started with */
    struct error load_error;        /* code ERR_NONE while there is none */
};

/* What was set for a model and a mode. */
struct setting {
    struct setting *next;
    char *key;   /* the model's id, or its full name while it is not in the store */
    char *name;  /* its full name: finds the settings again after a newer version was pulled */
    char *typed; /* as the request named it */
    enum engine_mode mode;
    struct json *configured; /* by `configure`; on disk, too. NULL = nothing */
    struct json *requested;  /* by requests, until the model is unloaded. NULL = nothing */
    struct model_settings values; /* both together */
};

enum { UNFIT_MAX = 64 };

struct scheduler {
    struct models *models;
    struct supervisor *supervisor;
    char *socket_dir;
    char *model_engine, *llama_server; /* where the user says they are; NULL = look for them */
    const struct engine *engine;       /* the one to use; NULL = as it fits */
    int64_t idle_timeout_ns;
    int64_t load_timeout_ms;
    int64_t wait_timeout_ms;
    int64_t stop_grace_ms;
    unsigned max_runners;
    struct metrics *metrics;
    uint64_t max_memory;
    pthread_t janitor;
    char *settings_file; /* NULL = nothing is kept */
    pthread_mutex_t settings_lock; /* held while settings change; taken before `lock` */

    pthread_mutex_t lock;
    pthread_cond_t changed; /* anything below */
    /* guarded by: lock */
    struct runner *runners; /* whose process may exist */
    unsigned n_runners;
    unsigned n_loads;
    unsigned serial;
    unsigned batch;
    struct setting *settings;
    char unfit[UNFIT_MAX][OCI_DIGEST_TEXT_MAX]; /* models that the first engine refused lately */
    size_t n_unfit;
    bool stopping;
};

struct engine_places scheduler_places(const struct scheduler *s);

/* Waits for any change, at most until then; with the lock held. False when the time is up. */
bool scheduler_wait_change(struct scheduler *s, int64_t until_ms);

void target_release(struct target *t);
int find_target(struct scheduler *s, const char *model, enum engine_mode mode, struct target *ret,
                struct error *err);
enum engine_mode process_mode(const struct engine *e, enum engine_mode mode);

/* The name in full, or as it is when it is no reference. The caller frees. */
/* The model's id; its full name while it is not in the store. The caller frees. */
char *scheduler_model_key(struct scheduler *s, const char *model);

/* Reads what the file says (path NULL: there is none), and frees it. */
int settings_open(struct scheduler *s, const char *path, struct error *err);
void settings_close(struct scheduler *s);

/* All below with the lock held. */

/* The settings of a model for a mode; those for completion serve the modes that have none. */
const struct model_settings *settings_for(struct scheduler *s, const struct target *t);
/* What requests have set is over; key NULL = for all models. */
void drop_request_settings(struct scheduler *s, const char *key);

/* The first engine of the model's format refused it: the one to try next; NULL = there is none, or
 * somebody has said which engine to use. */
const struct engine *runner_next_engine(const struct runner *r);
void runner_mark_unfit(const struct runner *r);
bool runner_is_idle(const struct runner *r);
bool runner_is_pinned(const struct runner *r); /* to be kept for ever */
/* Stops the idle runner that goes first, unless one is being stopped already; false when there is
 * none. Pinned ones go only where pinned_too says so, and last. */
bool scheduler_make_room(struct scheduler *s, bool pinned_too);
void runner_unref(struct runner *r);
void runner_stop(struct runner *r);
/* Takes it from the list when nothing of it is left, and wakes everybody. */
void runner_settle(struct runner *r);

/* Without the lock: the context size that a model's config asks for; 0 = none, the engine chooses. */
int64_t wished_context(struct models *models, const char *id, int64_t packaged);

/* The thread of one load; arg is the runner, with a reference of its own. */
void *load_main(void *arg);

#endif
