/* SPDX-License-Identifier: Apache-2.0
 *
 * The batcher: one thread that owns the model, the KV cache and all sequences.
 *
 * Requests come in through a bounded queue, tokens go out through a queue of events per request.
 * At every step the thread puts one token of each decoding sequence and the next chunks of the
 * waiting prompts into one batch, computes it, samples, and hands the text on; requests join and
 * leave between any two steps.
 *
 *      handler threads                   batcher thread
 *      batcher_submit()  ──► submitted ──► waiting ──► slots ──► model_eval ──► sampler ─┐
 *      generation_next() ◄────────────────────────── events ◄── stop strings ◄── detokenizer
 *      generation_cancel() ─► flag, looked at between steps and, when the step is all that
 *                             client's, between the operations of the model
 *
 *     struct generation *g;
 *     batcher_submit(b, &request, &g, err);
 *     struct generation_event *e;
 *     while (generation_next(g, &e) > 0) {
 *         ...
 *         generation_event_free(e);
 *     }
 *     generation_free(g);
 *
 * Fairness: prompts share the room of a step equally, oldest first with what is left over. The
 * room is chosen so that a step takes about PREFILL_STEP_MS, less while others decode.
 *
 * The events of a request are bounded by its context size; a client that does not read holds that
 * memory, but nobody else's slot.
 */
#ifndef ENGINE_RUN_BATCHER_H
#define ENGINE_RUN_BATCHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"
#include "engine/run/lm.h"
#include "engine/run/sampler.h"

struct batcher;
struct generation;

enum {
    PARALLEL_MAX = 64, /* sequences at a time */
    CHOICES_MAX = 64,  /* sequences of one request: prompts times choices */
    TOP_LOGPROBS_MAX = 20,
    CTX_SIZE_MAX = 1 << 24,
    MEDIA_WHOLE_MAX = 1024,
};

struct batcher_options {
    uint32_t ctx_size;   /* tokens a sequence; 1..CTX_SIZE_MAX */
    uint32_t n_parallel; /* 1..PARALLEL_MAX */
    enum kv_type kv_type;
    uint32_t step_tokens; /* most prompt tokens a step; 0 = 512 */
    uint32_t queue_max;   /* requests waiting for a slot; 0 = 256 */
};

/* The model is borrowed; nobody else may use it until batcher_free(). */
int batcher_create(struct lm *lm, const struct batcher_options *o, struct batcher **ret,
                   struct error *err);
/* Every generation must have been freed. NULL is fine. */
void batcher_free(struct batcher *b);

uint32_t batcher_ctx_size(const struct batcher *b);
uint32_t batcher_n_parallel(const struct batcher *b);

/* ---- a request ---- */

/* A part of a prompt that is no text: its rows take the place of embeddings. Its ids are negative
 * numbers of the caller's choice that stand for this content wherever it occurs; the prefix tree
 * compares them. */
struct prompt_media {
    uint32_t first, n; /* ids[first .. first+n) */
    const float *rows; /* [n][n_embd] */
    bool whole;        /* each of its tokens sees all of them; n is then at most MEDIA_WHOLE_MAX */
};

struct prompt {
    const int32_t *ids;
    size_t n;                         /* 1..ctx_size */
    const struct prompt_media *media; /* [n_media] ascending, not overlapping */
    size_t n_media;
};

/* How long an answer may reason. The texts are borrowed. */
struct reasoning_limit {
    struct str open, close; /* its marks, control tokens by their names; open.len 0: it is open */
    const int32_t *force;   /* [n_force] the tokens that end it; n_force 0 = there is no limit */
    size_t n_force;
    uint32_t n_tokens; /* it may have */
};

struct generation_request {
    const struct prompt *prompts; /* [n_prompts] */
    uint32_t n_prompts;
    uint32_t n_choices; /* for each prompt; the seeds are seed, seed + 1, … */
    struct sampling sampling;
    const struct str *stops; /* [n_stops] */
    size_t n_stops;
    int64_t n_predict; /* tokens at most; negative = until the context is full */
    bool cache_prompt; /* use and feed the prefix tree */
    bool logprobs;
    bool marks; /* control tokens are in the text as 0xFF NAME 0xFF */
    struct reasoning_limit reasoning;
    struct grammar *grammar;    /* what the text must be, borrowed; NULL = anything */
    float scales[ADAPTERS_MAX]; /* of the model's adapters; 0 = not used */
    uint32_t n_top_logprobs;    /* with logprobs: 0..TOP_LOGPROBS_MAX likeliest tokens each */
};
#define GENERATION_REQUEST_INIT                                \
    ((struct generation_request){.n_prompts = 1,               \
                                 .n_choices = 1,               \
                                 .n_predict = -1,              \
                                 .sampling = SAMPLING_DEFAULT, \
                                 .cache_prompt = true})

/* Everything is copied. ERR_INVALID for what is out of range, ERR_BUSY when the queue is full. */
int batcher_submit(struct batcher *b, const struct generation_request *req, struct generation **ret,
                   struct error *err);

/* ---- its events ---- */

enum event_kind {
    EVENT_TEXT,   /* text, and with logprobs the tokens it consists of */
    EVENT_FINISH, /* this choice is done; text: the stop string that ended it, or none */
    EVENT_ERROR,  /* the whole request failed; the last event */
};

enum finish_reason {
    FINISH_STOP,   /* an end-of-generation token or a stop string */
    FINISH_LENGTH, /* n_predict or the context size */
};

struct token_info {
    int32_t id;
    float logprob;
    struct token_logprob *top; /* [n_top] best first */
    uint32_t n_top;
};

struct generation_stats {
    uint32_t n_prompt;    /* tokens of the prompt */
    uint32_t n_cached;    /* of these, found in the cache */
    uint32_t n_predicted; /* tokens sampled, an end token included */
    double prompt_ms;     /* computing the prompt */
    double predicted_ms;  /* from then to the last token */
};

struct generation_event {
    enum event_kind kind;
    uint32_t choice;           /* prompt index * n_choices + choice */
    struct str text;           /* whole UTF-8 characters, and with `marks` control tokens */
    uint32_t n_predicted;      /* EVENT_TEXT: tokens of the choice so far */
    struct token_info *tokens; /* [n_tokens] */
    size_t n_tokens;
    enum finish_reason reason;
    struct generation_stats stats;
    struct error *error;
    struct generation_event *next;
};

void generation_event_free(struct generation_event *e); /* NULL is fine */

/* Waits for the next event: 1 and *ret, which the caller frees; 0 after the last one; -ERR_CANCELED
 * once generation_cancel() was called. One thread at a time. */
int generation_next(struct generation *g, struct generation_event **ret);

/* Ends the work soon: at most one more step. Any thread, any number of times, does not block. */
void generation_cancel(struct generation *g);

/* Cancels what still runs and lets go. NULL is fine. */
void generation_free(struct generation *g);

/* ---- the model between two steps ---- */

typedef int (*batcher_call_fn)(void *ctx, struct error *err);

/* Runs fn(ctx) on the batcher's thread, which owns the model, between two of its steps, waits for
 * it, and returns what it returned: for work that is no generation. A call should take no longer
 * than a step. ERR_BUSY when the queue is full, ERR_UNAVAILABLE when the batcher is ending. */
int batcher_call(struct batcher *b, batcher_call_fn fn, void *ctx, struct error *err);

/* ---- what is going on ---- */

struct slot_info {
    bool busy;
    uint64_t request; /* number of the request, from 1 */
    uint32_t n_prompt;
    uint32_t n_past; /* tokens in the cache */
    uint32_t n_predicted;
};

struct batcher_stats {
    uint64_t n_requests, n_canceled, n_steps;
    uint64_t prompt_tokens, cached_tokens, predicted_tokens;
    double prompt_ms, predicted_ms; /* sums over the finished sequences */
    uint32_t n_waiting;             /* requests with no slot yet */
    uint32_t n_busy;                /* slots in use */
    uint32_t n_pages, n_pages_free; /* KV cache; pages kept for reuse are not free */
};

/* slots: [n_parallel], may be NULL. Both as of the last step. */
void batcher_inspect(struct batcher *b, struct slot_info *slots, struct batcher_stats *ret);

#endif
