/* SPDX-License-Identifier: Apache-2.0
 *
 * The batcher thread.
 *
 * A slot is room for one sequence. Its life:
 *
 *     free ──slot_start──► prompt ──all of it computed──► decode ──slot_stop──► free
 *                            │                              ▲ │
 *                            └── chunk by chunk             └─┘ one token a step
 *
 * ids[0..n_ids) are the tokens known, the cache holds the first n_past of them. While it decodes, a
 * slot has exactly one token that is not in the cache: the one sampled last.
 *
 * Locks: `lock` guards what handler threads and the batcher thread share; it is never held while
 * the model computes, nor together with a generation's own lock. */
#include "engine/run/batcher.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "engine/run/cache.h"
#include "engine/run/generation.h"

enum {
    STEP_TOKENS = 512,
    STEP_TOKENS_MIN = 32,
    PREFILL_STEP_MS = 1000,         /* a newcomer waits about this long for its first step */
    PREFILL_STEP_DECODING_MS = 150, /* and this much a prompt may delay the others' next token */
    QUEUE_MAX = 256,
};

struct slot {
    struct generation *g; /* NULL = free */
    uint32_t choice;
    int32_t *ids; /* [ctx_size + 1] */
    uint32_t n_ids, n_past, n_prompt, n_cached, n_predicted;
    uint32_t n_now; /* tokens in the step under way */
    uint64_t age;   /* counts the starts; smaller = longer here */
    int64_t started_ns, decode_ns;
    struct cache_seq cache;
};

/* Work of a handler thread, which waits for it; stands on that thread's stack. */
struct call {
    batcher_call_fn fn;
    void *ctx;
    struct error *err;
    int result;
    bool done; /* guarded by: the batcher's lock */
    struct call *next;
};

struct batcher {
    struct lm *lm;
    uint32_t ctx_size, n_parallel, step_tokens, queue_max;

    /* The batcher thread's. */
    pthread_t thread;
    bool thread_runs;
    struct cache cache;
    struct slot *slots; /* [n_parallel] */
    uint64_t n_starts;
    struct generation *waiting, **waiting_end; /* some of their sequences have no slot yet */
    struct candidates candidates;
    uint64_t *mask;            /* [(n_vocab + 63) / 64] */
    float *logits;             /* [n_parallel][n_vocab] */
    int32_t *batch_ids;        /* [batch_rows] */
    const float **batch_media; /* [batch_rows] rows of media, NULL for text */
    int32_t *batch_sees;       /* [batch_rows] */
    size_t batch_rows;         /* step_tokens + n_parallel + MEDIA_WHOLE_MAX */
    struct batch_seq *seqs;    /* [n_parallel * CACHE_PARTS_MAX] */
    int32_t *out_rows;         /* [n_parallel] */
    struct slot **batch_slots; /* [n_parallel] those in the step under way */
    double prefill_token_ns;   /* moving average; 0 = not known yet */

    pthread_mutex_t lock;
    pthread_cond_t work;
    bool stop;                                     /* guarded by: lock */
    struct generation *submitted, **submitted_end; /* guarded by: lock */
    uint32_t n_queued;                             /* guarded by: lock; submitted or waiting */
    uint64_t n_numbers;                            /* guarded by: lock */
    struct call *calls, **calls_end;               /* guarded by: lock */
    uint32_t n_calls;                              /* guarded by: lock */
    pthread_cond_t called;                         /* a call is done */
    struct generation *step_owner; /* guarded by: lock; the step is all this request's */
    bool step_cancel;              /* set under the lock, read by the backend */
    struct slot_info *infos;       /* [n_parallel] guarded by: lock */
    struct batcher_stats stats;    /* guarded by: lock */
};

uint32_t batcher_ctx_size(const struct batcher *b)
{
    return b->ctx_size;
}

uint32_t batcher_n_parallel(const struct batcher *b)
{
    return b->n_parallel;
}

/* ---- the handlers' side ---- */

int batcher_submit(struct batcher *b, const struct generation_request *req, struct generation **ret,
                   struct error *err)
{
    struct generation *g;
    int r = generation_create(b, b->lm, b->ctx_size, req, &g, err);
    if (r < 0)
        return r;

    pthread_mutex_lock(&b->lock);
    if (b->stop) {
        r = error_set(err, ERR_UNAVAILABLE, "the engine is shutting down");
    } else if (b->n_queued >= b->queue_max) {
        r = error_set(err, ERR_BUSY, "%u requests are waiting already, try again later",
                      b->n_queued);
    } else {
        atomic_fetch_add(&g->refs, 1); /* the batcher's */
        g->number = ++b->n_numbers;
        *b->submitted_end = g;
        b->submitted_end = &g->next;
        b->n_queued++;
        b->stats.n_requests++;
        pthread_cond_signal(&b->work);
    }
    pthread_mutex_unlock(&b->lock);
    if (r < 0) {
        generation_unref(g);
        return r;
    }
    *ret = g;
    return 0;
}

void generation_cancel(struct generation *g)
{
    struct batcher *b = g->batcher;
    if (atomic_exchange_explicit(&g->canceled, true, memory_order_acq_rel))
        return;
    pthread_mutex_lock(&b->lock);
    if (b->step_owner == g)
        __atomic_store_n(&b->step_cancel, true, __ATOMIC_RELAXED);
    pthread_cond_signal(&b->work);
    pthread_mutex_unlock(&b->lock);

    pthread_mutex_lock(&g->lock);
    pthread_cond_broadcast(&g->cond);
    pthread_mutex_unlock(&g->lock);
}

void generation_free(struct generation *g)
{
    if (!g)
        return;
    generation_cancel(g); /* nothing happens if it has ended */
    generation_unref(g);
}

int batcher_call(struct batcher *b, batcher_call_fn fn, void *ctx, struct error *err)
{
    struct call c = {.fn = fn, .ctx = ctx, .err = err};
    pthread_mutex_lock(&b->lock);
    if (b->stop) {
        c.result = error_set(err, ERR_UNAVAILABLE, "the engine is shutting down");
    } else if (b->n_calls >= b->queue_max) {
        c.result = error_set(err, ERR_BUSY, "%u requests are waiting already, try again later",
                             b->n_calls);
    } else {
        *b->calls_end = &c;
        b->calls_end = &c.next;
        b->n_calls++;
        pthread_cond_signal(&b->work);
        while (!c.done)
            pthread_cond_wait(&b->called, &b->lock);
    }
    pthread_mutex_unlock(&b->lock);
    return c.result;
}

void batcher_inspect(struct batcher *b, struct slot_info *slots, struct batcher_stats *ret)
{
    pthread_mutex_lock(&b->lock);
    if (slots)
        memcpy(slots, b->infos, b->n_parallel * sizeof(*slots));
    *ret = b->stats;
    ret->n_waiting = b->n_queued;
    pthread_mutex_unlock(&b->lock);
}

/* ---- slots ---- */

static bool slot_in_prompt(const struct slot *s)
{
    return s->g && s->n_past < s->n_prompt;
}

static void slot_start(struct batcher *b, struct slot *s, struct generation *g, uint32_t choice)
{
    const struct generation_prompt *p = &g->prompts[g->choices[choice].prompt];
    s->g = g;
    atomic_fetch_add(&g->refs, 1);
    s->choice = choice;
    s->age = ++b->n_starts;
    s->started_ns = clock_mono_ns();
    s->n_ids = s->n_prompt = p->n;
    s->n_predicted = 0;
    memcpy(s->ids, p->ids, p->n * sizeof(*s->ids));
    s->n_past = s->n_cached = cache_seq_begin(&b->cache, &s->cache, s->ids, p->n,
                                              g->adapted ? &g->adapters : NULL, g->cache_prompt);
    for (uint32_t i = 0; i < p->n; i++)
        if (s->ids[i] >= 0) /* media are no tokens that could be said again */
            sampler_accept(g->choices[choice].sampler, s->ids[i]);

    /* Before the request leaves the queue, so that nobody sees it in neither place. */
    pthread_mutex_lock(&b->lock);
    b->stats.n_busy++;
    pthread_mutex_unlock(&b->lock);
}

static void slot_stop(struct batcher *b, struct slot *s)
{
    cache_seq_end(&b->cache, &s->cache, s->ids, s->n_past);
    generation_unref(s->g);
    s->g = NULL;
}

/* Ends all sequences of a request that is canceled or failed. */
static void stop_request(struct batcher *b, struct generation *g)
{
    for (uint32_t i = 0; i < b->n_parallel; i++)
        if (b->slots[i].g == g)
            slot_stop(b, &b->slots[i]);
}

/* The last event is this error; drop_ended() takes it out of the queue. */
static void fail_request(struct batcher *b, struct generation *g, const struct error *err)
{
    g->failed = true;
    generation_fail(g, err);
    stop_request(b, g);
}

static struct generation_stats slot_stats(const struct slot *s)
{
    int64_t now = clock_mono_ns();
    return (struct generation_stats){
        .n_prompt = s->n_prompt,
        .n_cached = s->n_cached,
        .n_predicted = s->n_predicted,
        .prompt_ms = (double)(s->decode_ns - s->started_ns) / 1e6,
        .predicted_ms = (double)(now - s->decode_ns) / 1e6,
    };
}

static void slot_finish(struct batcher *b, struct slot *s, enum finish_reason reason,
                        bool stop_string)
{
    struct generation *g = s->g;
    struct output *out = &g->choices[s->choice].output;
    struct generation_event *e = xcalloc(1, sizeof(*e));
    e->kind = EVENT_FINISH;
    e->choice = s->choice;
    e->reason = reason;
    e->stats = slot_stats(s);

    pthread_mutex_lock(&b->lock);
    b->stats.cached_tokens += e->stats.n_cached;
    b->stats.prompt_ms += e->stats.prompt_ms;
    b->stats.predicted_ms += e->stats.predicted_ms;
    pthread_mutex_unlock(&b->lock);

    if (!stop_string)
        output_end(out);
    struct str found = stop_matcher_found(&out->stops);
    if (found.ptr)
        e->text = (struct str){str_dup(found), found.len};
    struct generation_event *rest = output_take(out);
    if (rest) {
        rest->choice = s->choice;
        rest->n_predicted = s->n_predicted;
    }
    generation_push(g, rest);
    generation_push(g, e);
    if (++g->n_finished == g->n_choices)
        generation_end(g);
    slot_stop(b, s);
}

/* ---- the queue of waiting requests ---- */

static void waiting_remove(struct batcher *b, struct generation **link)
{
    struct generation *g = *link;
    *link = g->next;
    if (b->waiting_end == &g->next)
        b->waiting_end = link;
    pthread_mutex_lock(&b->lock);
    b->n_queued--;
    pthread_mutex_unlock(&b->lock);
    generation_unref(g);
}

/* Requests whose client left, or that failed, leave the slots and the queue. */
static void drop_ended(struct batcher *b)
{
    uint32_t n_canceled = 0;
    for (uint32_t i = 0; i < b->n_parallel; i++) {
        struct generation *g = b->slots[i].g;
        if (!g || !generation_canceled(g))
            continue;
        n_canceled += g->n_started == g->n_choices; /* otherwise counted in the queue below */
        stop_request(b, g);
    }
    for (struct generation **link = &b->waiting; *link;) {
        if (generation_canceled(*link) || (*link)->failed) {
            n_canceled += !(*link)->failed;
            waiting_remove(b, link);
        } else {
            link = &(*link)->next;
        }
    }
    if (n_canceled > 0) {
        pthread_mutex_lock(&b->lock);
        b->stats.n_canceled += n_canceled;
        pthread_mutex_unlock(&b->lock);
    }
}

/* The next sequence of g that can start now, or -1: the first one of each prompt goes ahead, the
 * others follow when the cache holds the prompt. */
static int64_t next_choice(const struct generation *g)
{
    uint32_t per_prompt = g->n_choices / g->n_prompts;
    for (uint32_t i = 0; i < g->n_choices; i++)
        if (!g->started[i] &&
            (i % per_prompt == 0 || g->prompts[i / per_prompt].computed || !g->cache_prompt))
            return i;
    return -1;
}

static struct slot *free_slot(struct batcher *b)
{
    for (uint32_t i = 0; i < b->n_parallel; i++)
        if (!b->slots[i].g)
            return &b->slots[i];
    return NULL;
}

/* Gives free slots to waiting sequences, the oldest request first; true if one started. */
static bool admit(struct batcher *b)
{
    struct slot *s = free_slot(b);
    bool any = false;
    for (struct generation **link = &b->waiting; *link && s;) {
        struct generation *g = *link;
        int64_t choice;
        while (s && (choice = next_choice(g)) >= 0) {
            slot_start(b, s, g, (uint32_t)choice);
            g->started[choice] = true;
            g->n_started++;
            s = free_slot(b);
            any = true;
        }
        if (g->n_started == g->n_choices)
            waiting_remove(b, link);
        else
            link = &g->next;
    }
    return any;
}

/* ---- one step ---- */

struct step {
    struct batch batch;
    uint32_t n_slots, n_prompt_tokens;
    struct generation *owner; /* whose step it is, if it is one request's alone */
};

/* How many prompt tokens this step may take. */
static uint32_t prompt_room(const struct batcher *b, bool decoding)
{
    if (b->prefill_token_ns <= 0)
        return MIN(b->step_tokens, (uint32_t)(2 * STEP_TOKENS_MIN));
    double ms = decoding ? PREFILL_STEP_DECODING_MS : PREFILL_STEP_MS;
    double n = ms * 1e6 / b->prefill_token_ns;
    if (n >= (double)b->step_tokens)
        return b->step_tokens;
    return MIN(MAX((uint32_t)n, (uint32_t)STEP_TOKENS_MIN), b->step_tokens);
}

/* Sets n_now of every busy slot: 1 while it decodes, a chunk of its prompt otherwise. */
static void share_out(struct batcher *b)
{
    uint32_t n_prompts = 0, n_decoding = 0;
    for (uint32_t i = 0; i < b->n_parallel; i++) {
        struct slot *s = &b->slots[i];
        s->n_now = s->g && !slot_in_prompt(s) ? 1 : 0;
        n_prompts += slot_in_prompt(s);
        n_decoding += s->n_now;
    }
    if (n_prompts == 0)
        return;
    uint32_t room = prompt_room(b, n_decoding > 0);
    uint32_t share = MAX(room / n_prompts, 1u);
    for (uint32_t i = 0; i < b->n_parallel && room > 0; i++) {
        struct slot *s = &b->slots[i];
        if (slot_in_prompt(s)) {
            s->n_now = MIN(MIN(share, s->n_prompt - s->n_past), room);
            room -= s->n_now;
        }
    }
    while (room > 0) { /* short prompts left some over: for the oldest that can use it */
        struct slot *oldest = NULL;
        for (uint32_t i = 0; i < b->n_parallel; i++) {
            struct slot *s = &b->slots[i];
            if (slot_in_prompt(s) && s->n_past + s->n_now < s->n_prompt &&
                (!oldest || s->age < oldest->age))
                oldest = s;
        }
        if (!oldest)
            break;
        uint32_t more = MIN(room, oldest->n_prompt - oldest->n_past - oldest->n_now);
        oldest->n_now += more;
        room -= more;
    }
}

static const struct generation_prompt *slot_prompt(const struct slot *s)
{
    return &s->g->prompts[s->g->choices[s->choice].prompt];
}

/* Media whose tokens see each other are computed in one step: a chunk that would end inside them
 * ends before them, or, where they come next, takes all of them. One sequence a step may do that,
 * so that the batch stays bounded; others wait. */
static void keep_media_whole(struct batcher *b)
{
    bool taken = false;
    for (uint32_t i = 0; i < b->n_parallel; i++) {
        struct slot *s = &b->slots[i];
        if (!slot_in_prompt(s) || s->n_now == 0)
            continue;
        const struct generation_prompt *p = slot_prompt(s);
        for (size_t m = 0; m < p->n_media; m++) {
            uint32_t first = p->media[m].first, end = first + p->media[m].n;
            uint32_t chunk_end = s->n_past + s->n_now;
            if (!p->media[m].whole || chunk_end <= first || chunk_end >= end)
                continue;
            if (first > s->n_past) {
                s->n_now = first - s->n_past;
            } else {
                s->n_now = taken ? 0 : end - s->n_past;
                taken = true;
            }
            break;
        }
    }
}

/* Pages and states for what share_out() planned. Steps with media stay in one piece. */
static void reserve_cache(struct batcher *b)
{
    for (uint32_t i = 0; i < b->n_parallel; i++) {
        struct slot *s = &b->slots[i];
        struct error err = ERROR_INIT;
        if (s->g && cache_seq_reserve(&b->cache, &s->cache, s->n_past, s->n_now, &err) < 0)
            fail_request(b, s->g, &err);
    }
    for (uint32_t i = 0; i < b->n_parallel; i++) {
        struct slot *s = &b->slots[i];
        if (slot_in_prompt(s) && slot_prompt(s)->n_media == 0)
            cache_seq_cut(&b->cache, &s->cache, s->n_past, s->n_prompt);
    }
}

/* The rows of the step's media; false if it has none. */
static bool fill_media(struct batcher *b, const struct slot *s, int32_t first_row)
{
    const struct generation_prompt *p = slot_prompt(s);
    bool any = false;
    for (size_t m = 0; m < p->n_media; m++) {
        const struct prompt_media *media = &p->media[m];
        uint32_t begin = MAX(media->first, s->n_past);
        uint32_t end = MIN(media->first + media->n, s->n_past + s->n_now);
        for (uint32_t at = begin; at < end; at++) {
            int32_t row = first_row + (int32_t)(at - s->n_past);
            b->batch_ids[row] = 0;
            b->batch_media[row] = media->rows + (size_t)(at - media->first) * b->lm->n_embd;
            if (media->whole)
                b->batch_sees[row] = (int32_t)(media->first + media->n) - 1;
            any = true;
        }
    }
    return any;
}

/* The sequence's parts of the batch: one, or where the cache wants states in between, several. */
static void add_parts(struct batcher *b, const struct slot *s, struct batch *batch)
{
    int32_t row = batch->n_tokens, n_past = (int32_t)s->n_past, state = s->cache.state;
    const float *scales = s->g->adapted ? s->g->adapters.scales : NULL;
    for (uint32_t i = 0; i < s->cache.n_parts; i++) {
        const struct cache_part *part = &s->cache.parts[i];
        b->seqs[batch->n_seqs++] = (struct batch_seq){.first = row,
                                                      .n = (int32_t)part->n,
                                                      .n_past = n_past,
                                                      .pages = s->cache.pages,
                                                      .state_in = state,
                                                      .state_out = part->state,
                                                      .scales = scales};
        row += (int32_t)part->n;
        n_past += (int32_t)part->n;
        state = part->state;
    }
}

/* Fills the batch; false if there is nothing to compute. */
static bool build(struct batcher *b, struct step *step)
{
    struct batch *batch = &step->batch;
    *step = (struct step){.batch = {.ids = b->batch_ids, .seqs = b->seqs, .out_rows = b->out_rows}};
    memset(b->batch_media, 0, b->batch_rows * sizeof(*b->batch_media));
    for (uint32_t i = 0; i < b->n_parallel; i++) {
        struct slot *s = &b->slots[i];
        if (!s->g || s->n_now == 0)
            continue;
        if (step->n_slots == 0)
            step->owner = s->g;
        else if (step->owner != s->g)
            step->owner = NULL;
        b->batch_slots[step->n_slots++] = s;
        add_parts(b, s, batch);
        memcpy(b->batch_ids + batch->n_tokens, s->ids + s->n_past, s->n_now * sizeof(*s->ids));
        for (uint32_t k = 0; k < s->n_now; k++)
            b->batch_sees[batch->n_tokens + (int32_t)k] = (int32_t)(s->n_past + k);
        if (slot_in_prompt(s) && fill_media(b, s, batch->n_tokens)) {
            batch->rows = b->batch_media;
            b->seqs[batch->n_seqs - 1].sees = b->batch_sees + batch->n_tokens;
        }
        batch->n_tokens += (int32_t)s->n_now;
        if (slot_in_prompt(s))
            step->n_prompt_tokens += s->n_now;
        if (s->n_past + s->n_now == s->n_ids)
            b->out_rows[batch->n_out++] = batch->n_tokens - 1;
    }
    return batch->n_seqs > 0;
}

static struct token_info *token_info_make(const struct batcher *b, const struct generation *g,
                                          const float *logits, int32_t id, struct token_info *info)
{
    if (!g->logprobs)
        return NULL;
    *info = (struct token_info){.id = id, .n_top = g->n_top_logprobs};
    if (info->n_top > 0)
        info->top = xcalloc(info->n_top, sizeof(*info->top));
    info->logprob = logprobs_of(logits, b->lm->n_vocab, id, info->top, info->n_top);
    return info;
}

/* The next token: the sampler's, or the one that ends reasoning which has gone on for too long. */
static int slot_pick(struct batcher *b, struct choice *c, const float *logits, int32_t *ret,
                     struct error *err)
{
    int r = c->matcher ? matcher_mask(c->matcher, b->mask, err) : 0;
    int32_t forced = reasoning_watch_forces(&c->reasoning);
    if (forced >= 0 && c->matcher && !(b->mask[forced / 64] >> (forced % 64) & 1)) {
        reasoning_watch_give_up(&c->reasoning); /* the grammar wants something else here */
        forced = -1;
    }
    if (r < 0 || forced < 0)
        return r < 0 ? r
                     : sampler_pick(c->sampler, logits, c->matcher ? b->mask : NULL, &b->candidates,
                                    ret, err);
    *ret = forced;
    return 0;
}

/* The slot's sequence has its next logits: picks a token and hands its text on. */
static void slot_sample(struct batcher *b, struct slot *s, const float *logits)
{
    struct generation *g = s->g;
    struct choice *c = &g->choices[s->choice];
    if (g->n_predict == 0) {
        slot_finish(b, s, FINISH_LENGTH, false);
        return;
    }
    struct error err = ERROR_INIT;
    int32_t id;
    int picked = slot_pick(b, c, logits, &id, &err);
    if (picked == 0 && c->matcher && !matcher_accept_token(c->matcher, id))
        picked = error_set(&err, ERR_INTERNAL, "the grammar does not take the token it allowed");
    if (picked < 0) {
        fail_request(b, g, &err);
        return;
    }
    sampler_accept(c->sampler, id);
    s->n_predicted++;
    pthread_mutex_lock(&b->lock);
    b->stats.predicted_tokens++;
    pthread_mutex_unlock(&b->lock);
    if (tokenizer_is_eog(b->lm->tokenizer, id)) {
        slot_finish(b, s, FINISH_STOP, false);
        return;
    }

    struct token_info info;
    int r = output_feed(&c->output, id, token_info_make(b, g, logits, id, &info), &err);
    reasoning_watch_feed(&c->reasoning, buf_str(&c->output.piece));
    if (r < 0) {
        fail_request(b, g, &err);
    } else if (r > 0) {
        slot_finish(b, s, FINISH_STOP, true);
    } else if (c->matcher && !matcher_may_go_on(c->matcher)) {
        slot_finish(b, s, FINISH_STOP, false); /* nothing more can follow */
    } else if (s->n_predicted >= g->n_predict || s->n_past >= b->ctx_size) {
        slot_finish(b, s, FINISH_LENGTH, false);
    } else {
        struct generation_event *e = output_take(&c->output);
        if (e) {
            e->choice = s->choice;
            e->n_predicted = s->n_predicted;
        }
        generation_push(g, e);
        s->ids[s->n_ids++] = id;
    }
}

/* The step was computed: its rows are in the cache, its logits in b->logits. */
static void deliver(struct batcher *b, const struct step *step)
{
    const float *logits = b->logits;
    for (uint32_t i = 0; i < step->n_slots; i++) {
        struct slot *s = b->batch_slots[i];
        const float *mine = NULL;
        bool was_prompt = s->n_past < s->n_prompt;
        if (s->n_past + s->n_now == s->n_ids) {
            mine = logits;
            logits += b->lm->n_vocab;
        }
        if (!s->g)
            continue; /* an earlier sequence of the same request failed */
        s->n_past += s->n_now;
        cache_seq_commit(&b->cache, &s->cache, s->ids, s->n_past);
        if (was_prompt && !slot_in_prompt(s)) {
            s->decode_ns = clock_mono_ns();
            s->g->prompts[s->g->choices[s->choice].prompt].computed = true;
        }
        if (mine && !generation_canceled(s->g))
            slot_sample(b, s, mine);
    }
}

static void learn_speed(struct batcher *b, const struct step *step, int64_t ns)
{
    /* Steps with few prompt tokens say more about decoding. */
    if (step->n_prompt_tokens < STEP_TOKENS_MIN / 2)
        return;
    double now = (double)ns / (double)step->batch.n_tokens;
    b->prefill_token_ns = b->prefill_token_ns > 0 ? 0.7 * b->prefill_token_ns + 0.3 * now : now;
}

static void publish(struct batcher *b, const struct step *step)
{
    pthread_mutex_lock(&b->lock);
    b->stats.n_busy = 0;
    for (uint32_t i = 0; i < b->n_parallel; i++) {
        const struct slot *s = &b->slots[i];
        b->infos[i] = (struct slot_info){0};
        if (!s->g)
            continue;
        b->stats.n_busy++;
        b->infos[i] = (struct slot_info){.busy = true,
                                         .request = s->g->number,
                                         .n_prompt = s->n_prompt,
                                         .n_past = s->n_past,
                                         .n_predicted = s->n_predicted};
    }
    b->stats.n_pages = b->cache.pages.n;
    b->stats.n_pages_free = b->cache.pages.n_free;
    if (step) {
        b->stats.n_steps++;
        b->stats.prompt_tokens += step->n_prompt_tokens;
    }
    pthread_mutex_unlock(&b->lock);
}

static void run_step(struct batcher *b, struct step *step)
{
    pthread_mutex_lock(&b->lock);
    bool cancel = b->stop || (step->owner && generation_canceled(step->owner));
    __atomic_store_n(&b->step_cancel, cancel, __ATOMIC_RELAXED);
    b->step_owner = step->owner;
    pthread_mutex_unlock(&b->lock);

    struct error err = ERROR_INIT;
    int64_t start = clock_mono_ns();
    int r = cancel ? -ERR_CANCELED
                   : model_eval(b->lm->model, b->cache.kv, &step->batch, b->logits, &b->step_cancel,
                                &err);

    pthread_mutex_lock(&b->lock);
    b->step_owner = NULL;
    pthread_mutex_unlock(&b->lock);

    if (r == 0) {
        learn_speed(b, step, clock_mono_ns() - start);
        deliver(b, step);
    } else if (r != -ERR_CANCELED) {
        for (uint32_t i = 0; i < step->n_slots; i++)
            if (b->batch_slots[i]->g)
                fail_request(b, b->batch_slots[i]->g, &err);
    }
}

/* ---- the thread ---- */

static bool any_busy(const struct batcher *b)
{
    for (uint32_t i = 0; i < b->n_parallel; i++)
        if (b->slots[i].g)
            return true;
    return false;
}

/* Takes over what was submitted; sleeps while there is nothing to do. False = stop. */
static bool take_work(struct batcher *b)
{
    bool idle = !b->waiting && !any_busy(b);
    pthread_mutex_lock(&b->lock);
    while (idle && !b->submitted && !b->calls && !b->stop)
        pthread_cond_wait(&b->work, &b->lock);
    if (b->submitted) {
        *b->waiting_end = b->submitted;
        b->waiting_end = b->submitted_end;
        b->submitted = NULL;
        b->submitted_end = &b->submitted;
    }
    bool stop = b->stop;
    pthread_mutex_unlock(&b->lock);
    return !stop;
}

/* The oldest call; `end`: there is no time for it any more. False if there is none. */
static bool run_call(struct batcher *b, bool end)
{
    pthread_mutex_lock(&b->lock);
    struct call *c = b->calls;
    if (c) {
        b->calls = c->next;
        if (!b->calls)
            b->calls_end = &b->calls;
        b->n_calls--;
    }
    pthread_mutex_unlock(&b->lock);
    if (!c)
        return false;
    c->result = end ? error_set(c->err, ERR_UNAVAILABLE, "the engine is shutting down")
                    : c->fn(c->ctx, c->err);
    pthread_mutex_lock(&b->lock);
    c->done = true;
    pthread_cond_broadcast(&b->called);
    pthread_mutex_unlock(&b->lock);
    return true;
}

static void end_all(struct batcher *b)
{
    struct error err = {.code = ERR_UNAVAILABLE, .msg = "the engine is shutting down"};
    while (run_call(b, true))
        ;
    for (uint32_t i = 0; i < b->n_parallel; i++)
        if (b->slots[i].g)
            fail_request(b, b->slots[i].g, &err);
    while (b->waiting) {
        if (!b->waiting->failed)
            generation_fail(b->waiting, &err);
        waiting_remove(b, &b->waiting);
    }
}

static void *batcher_main(void *arg)
{
    struct batcher *b = arg;
    while (take_work(b)) {
        struct step step;
        run_call(b, false);
        drop_ended(b);
        if (admit(b))
            publish(b, NULL);
        share_out(b);
        keep_media_whole(b);
        reserve_cache(b);
        bool work = build(b, &step);
        if (work)
            run_step(b, &step);
        publish(b, work ? &step : NULL);
    }
    end_all(b);
    return NULL;
}

/* ---- life ---- */

static int batcher_allocate(struct batcher *b, const struct batcher_options *o, struct error *err)
{
    int r = cache_init(&b->cache, b->lm->model, b->n_parallel, b->ctx_size, o->kv_type, err);
    if (r == 0)
        r = candidates_init(&b->candidates, b->lm->n_vocab, err);
    if (r < 0)
        return r;
    size_t n = b->n_parallel;
    b->slots = xcalloc(n, sizeof(*b->slots));
    b->seqs = xcalloc(n * CACHE_PARTS_MAX, sizeof(*b->seqs));
    b->out_rows = xcalloc(n, sizeof(*b->out_rows));
    b->batch_slots = xcalloc(n, sizeof(*b->batch_slots));
    b->infos = xcalloc(n, sizeof(*b->infos));
    b->batch_rows = (size_t)b->step_tokens + n + MEDIA_WHOLE_MAX;
    b->batch_ids = alloc_array(b->batch_rows, sizeof(*b->batch_ids));
    b->batch_sees = alloc_array(b->batch_rows, sizeof(*b->batch_sees));
    b->batch_media = alloc_array(b->batch_rows, sizeof(*b->batch_media));
    b->mask = alloc_array_zero(((size_t)b->lm->n_vocab + 63) / 64, sizeof(*b->mask));
    b->logits = alloc_aligned(n * b->lm->n_vocab, sizeof(*b->logits));
    bool enough = b->batch_ids && b->batch_sees && b->batch_media && b->logits && b->mask;
    for (size_t i = 0; i < n && enough; i++) {
        struct slot *s = &b->slots[i];
        s->ids = alloc_array((size_t)b->ctx_size + 1, sizeof(*s->ids));
        enough = s->ids != NULL;
        if (enough && cache_seq_init(&b->cache, &s->cache, err) < 0)
            return -ERR_NOMEM;
    }
    return enough ? 0 : error_set(err, ERR_NOMEM, "out of memory for %zu sequences", n);
}

int batcher_create(struct lm *lm, const struct batcher_options *o, struct batcher **ret,
                   struct error *err)
{
    if (o->ctx_size < 1 || o->ctx_size > CTX_SIZE_MAX)
        return error_set(err, ERR_INVALID, "a context of %u tokens: 1 to %d are possible",
                         o->ctx_size, CTX_SIZE_MAX);
    if (o->n_parallel < 1 || o->n_parallel > PARALLEL_MAX)
        return error_set(err, ERR_INVALID, "%u sequences at a time: 1 to %d are possible",
                         o->n_parallel, PARALLEL_MAX);
    int known = model_set_context(lm->model, o->ctx_size, err);
    if (known < 0)
        return known;

    struct batcher *b = xcalloc(1, sizeof(*b));
    b->lm = lm;
    b->ctx_size = o->ctx_size;
    b->n_parallel = o->n_parallel;
    b->step_tokens = o->step_tokens ? o->step_tokens : STEP_TOKENS;
    b->queue_max = o->queue_max ? o->queue_max : QUEUE_MAX;
    b->waiting_end = &b->waiting;
    b->submitted_end = &b->submitted;
    b->calls_end = &b->calls;
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->work, NULL);
    pthread_cond_init(&b->called, NULL);
    int r = batcher_allocate(b, o, err);
    if (r == 0) {
        publish(b, NULL);
        int e = pthread_create(&b->thread, NULL, batcher_main, b);
        b->thread_runs = e == 0;
        if (e != 0)
            r = error_errno(err, e, "cannot start the batcher's thread");
    }
    if (r < 0) {
        batcher_free(b);
        return r;
    }
    *ret = b;
    return 0;
}

void batcher_free(struct batcher *b)
{
    if (!b)
        return;
    if (b->thread_runs) {
        pthread_mutex_lock(&b->lock);
        b->stop = true;
        __atomic_store_n(&b->step_cancel, true, __ATOMIC_RELAXED);
        pthread_cond_signal(&b->work);
        pthread_mutex_unlock(&b->lock);
        pthread_join(b->thread, NULL);
    }
    for (uint32_t i = 0; b->slots && i < b->n_parallel; i++) {
        free(b->slots[i].ids);
        cache_seq_release(&b->slots[i].cache);
    }
    cache_release(&b->cache);
    candidates_release(&b->candidates);
    free(b->slots);
    free(b->seqs);
    free(b->out_rows);
    free(b->batch_slots);
    free(b->infos);
    free(b->batch_ids);
    free(b->batch_sees);
    free(b->batch_media);
    free(b->logits);
    free(b->mask);
    pthread_mutex_destroy(&b->lock);
    pthread_cond_destroy(&b->work);
    pthread_cond_destroy(&b->called);
    free(b);
}
