/* SPDX-License-Identifier: Apache-2.0
 *
 * One request inside engine/run: what it asked for, how far it is, and its queue of events.
 * Its parts belong to different threads; the comments say which. */
#ifndef ENGINE_RUN_GENERATION_H
#define ENGINE_RUN_GENERATION_H

#include <pthread.h>
#include <stdatomic.h>

#include "engine/run/batcher.h"
#include "engine/run/output.h"
#include "engine/run/prefix_tree.h"
#include "engine/run/reasoning_watch.h"

/* One sequence of the request. */
struct choice {
    uint32_t prompt;
    struct sampler *sampler;
    struct matcher *matcher; /* NULL = any text */
    struct output output;
    struct reasoning_watch reasoning;
};

struct generation_prompt {
    int32_t *ids; /* [n] */
    uint32_t n;
    struct prompt_media *media; /* [n_media], their rows in one array, rows_owned */
    size_t n_media;
    float *rows_owned;
    bool computed; /* its first choice is past the prompt: the others find it in the cache */
};

struct generation {
    struct batcher *batcher;
    uint64_t number;
    atomic_uint refs; /* the handler's and the batcher's */
    atomic_bool canceled;

    /* Written before it is submitted, then read by the batcher thread. */
    uint32_t n_prompts, n_choices; /* n_choices: of all prompts together */
    uint32_t n_predict;            /* UINT32_MAX = until the context is full */
    bool cache_prompt, logprobs;
    uint32_t n_top_logprobs;
    struct prefix_key adapters;
    bool adapted; /* any of their scales is not 0 */

    /* The batcher thread's. */
    struct generation_prompt *prompts; /* [n_prompts] */
    struct choice *choices;            /* [n_choices] */
    bool *started;                     /* [n_choices] has, or had, a slot */
    uint32_t n_started, n_finished;
    bool failed;
    struct generation *next; /* in the queue of waiting requests */

    pthread_mutex_t lock;
    pthread_cond_t cond;
    struct generation_event *first, *last; /* guarded by: lock */
    bool ended;                            /* guarded by: lock; no event will come */
};

/* A request checked and copied, with one reference. */
int generation_create(struct batcher *b, struct lm *lm, uint32_t ctx_size,
                      const struct generation_request *req, struct generation **ret,
                      struct error *err);
void generation_unref(struct generation *g);

/* Batcher thread: appends an event (NULL: none); takes it over. */
void generation_push(struct generation *g, struct generation_event *e);
/* Batcher thread: no event will follow. */
void generation_end(struct generation *g);
/* Batcher thread: the last event is this error. */
void generation_fail(struct generation *g, const struct error *err);

static inline bool generation_canceled(struct generation *g)
{
    return atomic_load_explicit(&g->canceled, memory_order_acquire);
}

#endif
