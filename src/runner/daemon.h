/* SPDX-License-Identifier: Apache-2.0
 *
 * The daemon: the parts that live as long as it does. */
#ifndef RUNNER_DAEMON_H
#define RUNNER_DAEMON_H

#include <pthread.h>

#include "models/models.h"
#include "runner/scheduler.h"
#include "runner/settings.h"

struct daemon {
    const struct settings *settings;
    struct models *models;
    pthread_t cleaner; /* removes old leftovers from the store at the start */
    bool has_cleaner;
    struct scheduler *scheduler;
    struct response_store *responses; /* of the Responses API, for its next requests */
    struct metrics *metrics;
    struct journal *journal; /* the last requests */
    struct doors *doors; /* what it listens on */
    char *engine_dir;                /* private, for the engines' sockets */
};

/* Opens the store, starts the scheduler, listens. `settings` must outlive it. */
int daemon_start(const struct settings *settings, struct daemon *ret, struct error *err);
/* Ends requests, then engines. A zeroed one is fine. */
void daemon_stop(struct daemon *d);

#endif
