/* SPDX-License-Identifier: Apache-2.0
 *
 * What push.c (threads, progress, manifest) and push_blob.c (one upload) share. */
#ifndef REGISTRY_PUSH_INTERNAL_H
#define REGISTRY_PUSH_INTERNAL_H

#include <pthread.h>

#include "registry/push.h"

/* What was told about a blob. */
struct push_told {
    uint64_t done;
    int64_t at_ms;
    bool final;
};

struct push_job {
    struct registry *r;
    const struct registry_push *p;
    struct http_cancel *stop; /* fired by the caller's cancel and by the first failure */
    bool no_mounts;           /* asking for them costs us the token */
    int ended_fd;             /* a byte is written to it by each thread that ends */

    pthread_mutex_t lock;
    size_t next;            /* blob to begin; guarded by: lock */
    struct error failure;   /* the first one; guarded by: lock */
    struct push_told *told; /* one for each blob; guarded by: lock */
};

void push__tell(struct push_job *job, size_t blob, enum registry_push_state state, uint64_t done);

/* Brings one blob to the registry, unless it is there. */
int push__blob(struct push_job *job, struct registry_repo *repo, size_t blob, struct error *err);

#endif
