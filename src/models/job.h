/* SPDX-License-Identifier: Apache-2.0
 *
 * Transfers under way: a thread that works, and any number of clients that watch it. Internal to
 * models/.
 *
 * The worker writes into the job's board how far each layer is; every client reads it at its own
 * pace and is told what is new for it. So a slow client slows nobody, and one that joins late is
 * told where things stand. */
#ifndef MODELS_JOB_H
#define MODELS_JOB_H

#include "models/models_internal.h"
#include "models/pull.h"

struct job;

/* What a transfer does, on a thread of its own. */
typedef int (*job_work_fn)(struct job *j, struct models *m, struct error *err);

struct job_request {
    job_work_fn work;
    const char *kind;   /* "pull", "push": jobs of the same kind, name and bearer are one */
    const char *name;   /* as the client typed it */
    const char *key;    /* the name in its full form */
    const char *bearer; /* NULL = none */
};

/* Joins the job, or starts it, and stays until its end or until `cancel` fires. */
int job_follow(struct models *m, const struct job_request *q, models_event_fn fn, void *ctx,
               struct http_cancel *cancel, char ret_message[MODELS_MESSAGE_MAX], struct error *err);

/* Cancels all jobs and waits for their ends. */
void jobs_end(struct models *m);

/* ---- for the worker ---- */

const char *job_name(const struct job *j);
const char *job_bearer(const struct job *j);
struct http_cancel *job_cancel(struct job *j);
void job_note(struct job *j, const char *fmt, ...) ATTR_PRINTF(2, 3);
void job_warn(struct job *j, const char *fmt, ...) ATTR_PRINTF(2, 3);
void job_total(struct job *j, uint64_t bytes);
size_t job_add_layer(struct job *j, const char *id,
                     uint64_t size);                           /* the one of this id if known */
void job_layer(struct job *j, size_t layer, uint64_t current); /* never goes back */
void job_done(struct job *j, const char *fmt, ...) ATTR_PRINTF(2, 3); /* its last words */

/* Waits for one of the slots for pulls; ERR_CANCELED. */
int job_take_slot(struct job *j, struct models *m, struct error *err);
void job_give_slot(struct models *m);

#endif
