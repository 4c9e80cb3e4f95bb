/* SPDX-License-Identifier: Apache-2.0
 *
 * Which engine processes run. A runner is one engine process that holds one model:
 *
 *               acquire: none there          health answers 200
 *     (none) ─────────────────────▶ LOADING ─────────────────────▶ READY ◀──┐ acquire, release
 *        ▲                             │                             │  └───┘
 *        │                             │ it failed, or unload        │ idle too long, unload, make
 *        │    process gone             ▼                             │ room, other settings, death
 *        └──────────────────────── STOPPING ◀────────────────────────┘
 *
 * A load belongs to nobody: it has a thread of its own, every request for that model waits for the
 * same load, and a client that leaves stops waiting without stopping the load. A request that holds
 * a runner (a lease) keeps it from being unloaded. Processes are stopped without holding the lock;
 * a runner counts until its process is gone, because its memory is in use until then.
 *
 * Threads: everything may be called from any thread. */
#ifndef RUNNER_SCHEDULER_H
#define RUNNER_SCHEDULER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/json.h"
#include "engines/engine.h"
#include "http/server.h"
#include "models/models.h"

struct scheduler;
struct lease;
struct metrics;

struct scheduler_options {
    struct models *models;   /* must outlive the scheduler */
    const char *socket_dir;  /* a private directory, exists */
    struct engine_places places;  /* of the engines' programs */
    const struct engine *engine;  /* the one to use; NULL = as it fits */
    const char *settings_file; /* keeps what is configured (settings_file.h); NULL = nothing is kept */
    int64_t idle_timeout_ns; /* KEEP_FOREVER = never */
    int64_t load_timeout_ms;
    int64_t wait_timeout_ms; /* for a free place */
    int64_t stop_grace_ms;   /* between SIGTERM and SIGKILL */
    unsigned max_runners;
    struct metrics *metrics; /* loads and unloads are counted there */
    uint64_t max_memory; /* for all engines together, in bytes; 0 = what the machine has */
};

int scheduler_start(const struct scheduler_options *o, struct scheduler **ret, struct error *err);
/* Stops every engine and waits for them. NULL is fine. */
void scheduler_stop(struct scheduler *s);

/* The name in full, or as it is when it is no reference. The caller frees. */
char *scheduler_full_name(const char *model);

/* May the client use this model? ERR_DENIED when its access token does not cover it. */
int scheduler_permit(struct http_request *client, const char *model, struct error *err);

/* A running engine for the model, loading it first if need be. `client` (may be NULL) is who waits:
 * when it leaves, the wait ends with ERR_CANCELED. ERR_NOT_FOUND: no such model. Other failures say
 * "unable to load runner: …"; ERR_DENIED as above. */
int scheduler_acquire(struct scheduler *s, const char *model, enum engine_mode mode,
                      struct http_request *client, struct lease **ret, struct error *err);
const char *lease_socket(const struct lease *l);
/* After its connection broke: waits a little for the process to end; true when it did, with the
 * reason in err, and in *ret_killed whether somebody else killed it. */
bool lease_died(struct lease *l, bool *ret_killed, struct error *err);
void lease_release(struct lease *l);

/* Begins to load a model that nobody asks for yet, if there is a free place. */
void scheduler_preload(struct scheduler *s, const char *model, enum engine_mode mode);

/* Who sets: `docker model configure` for good, or a request until the model is unloaded. */
enum setting_layer { LAYER_CONFIGURE, LAYER_REQUEST };

/* Sets what POST /engines/_configure asks for, on disk first; stops an idle runner that it changes.
 * "reset": true begins with nothing instead of what was set. ERR_CONFLICT, "runner already active",
 * when requests use one. *ret_mode: the mode it is for. */
int scheduler_configure(struct scheduler *s, const struct json *request, enum setting_layer layer,
                        enum engine_mode *ret_mode, struct error *err);
/* The array of GET /engines/_configure; model "" = all. */
struct json *scheduler_settings(struct scheduler *s, const char *model);

/* What holds for a model: what each layer sets, NULL = nothing. */
struct layers {
    struct json *configured, *requested;
    struct json *together;
    int64_t packaged_context; /* what the model's own config asks for; 0 = nothing */
    char id[OCI_DIGEST_TEXT_MAX];
    enum engine_mode mode;
    const struct engine *engine;
};
int scheduler_layers(struct scheduler *s, const char *model, enum engine_mode mode,
                     struct layers *ret, struct error *err);
void layers_release(struct layers *l);

/* Stops idle runners and forgets what requests set: all of them, or those of the models named.
 * Returns how many it stopped, after they are gone. */
unsigned scheduler_unload_all(struct scheduler *s, struct str backend);
unsigned scheduler_unload(struct scheduler *s, const char *model, struct str backend);
/* Stops idle runners whose model is not in the store any more. */
void scheduler_drop_deleted(struct scheduler *s);

/* The array of GET /engines/ps. */
struct json *scheduler_ps(struct scheduler *s);

#endif
