/* SPDX-License-Identifier: Apache-2.0
 *
 * A request's life and its queue of events. */
#include "engine/run/generation.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

void generation_event_free(struct generation_event *e)
{
    if (!e)
        return;
    for (size_t i = 0; i < e->n_tokens; i++)
        free(e->tokens[i].top);
    free(e->tokens);
    free((char *)(uintptr_t)e->text.ptr);
    free(e->error);
    free(e);
}

static void generation_destroy(struct generation *g)
{
    for (uint32_t i = 0; g->prompts && i < g->n_prompts; i++)
        free(g->prompts[i].ids);
    for (uint32_t i = 0; g->choices && i < g->n_choices; i++) {
        sampler_free(g->choices[i].sampler);
        output_release(&g->choices[i].output);
    }
    free(g->prompts);
    free(g->choices);
    free(g->started);
    while (g->first) {
        struct generation_event *e = g->first;
        g->first = e->next;
        generation_event_free(e);
    }
    pthread_mutex_destroy(&g->lock);
    pthread_cond_destroy(&g->cond);
    free(g);
}

void generation_unref(struct generation *g)
{
    if (atomic_fetch_sub_explicit(&g->refs, 1, memory_order_acq_rel) == 1)
        generation_destroy(g);
}

static int prompt_copy(struct generation_prompt *to, const struct prompt *from, const struct lm *lm,
                       uint32_t ctx_size, struct error *err)
{
    if (from->n == 0)
        return error_set(err, ERR_INVALID, "the prompt is empty");
    if (from->n > ctx_size)
        return error_set(err, ERR_INVALID,
                         "request (%zu tokens) exceeds the available context size (%u tokens), try "
                         "increasing it",
                         from->n, ctx_size);
    for (size_t i = 0; i < from->n; i++)
        if (from->ids[i] < 0 || (uint32_t)from->ids[i] >= lm->n_vocab)
            return error_set(err, ERR_INVALID,
                             "the prompt has token %d, the vocabulary has the ids 0 to %u",
                             from->ids[i], lm->n_vocab - 1);
    to->n = (uint32_t)from->n;
    to->ids = alloc_array(from->n, sizeof(*to->ids));
    if (!to->ids)
        return error_set(err, ERR_NOMEM, "out of memory for a prompt of %zu tokens", from->n);
    memcpy(to->ids, from->ids, from->n * sizeof(*to->ids));
    return 0;
}

static int choice_init(struct choice *c, uint32_t index, const struct lm *lm, uint32_t ctx_size,
                       const struct generation_request *req, struct error *err)
{
    c->prompt = index / req->n_choices;
    struct sampling sampling = req->sampling;
    sampling.seed += index;
    int r = output_init(&c->output, lm->tokenizer, req->stops, req->n_stops, err);
    if (r == 0)
        r = sampler_create(&sampling, lm->n_vocab, lm->eog, lm->n_eog, ctx_size, &c->sampler, err);
    return r;
}

int generation_create(struct batcher *b, const struct lm *lm, uint32_t ctx_size,
                      const struct generation_request *req, struct generation **ret,
                      struct error *err)
{
    uint64_t n_choices = (uint64_t)req->n_prompts * req->n_choices;
    if (n_choices == 0 || n_choices > CHOICES_MAX)
        return error_set(err, ERR_INVALID, "%u prompts with %u choices each: 1 to %d are possible",
                         req->n_prompts, req->n_choices, CHOICES_MAX);

    struct generation *g = xcalloc(1, sizeof(*g));
    g->batcher = b;
    atomic_init(&g->refs, 1);
    pthread_mutex_init(&g->lock, NULL);
    pthread_cond_init(&g->cond, NULL);
    g->n_prompts = req->n_prompts;
    g->n_choices = (uint32_t)n_choices;
    g->n_predict = req->n_predict < 0 ? UINT32_MAX : (uint32_t)MIN(req->n_predict, UINT32_MAX);
    g->cache_prompt = req->cache_prompt;
    g->logprobs = req->logprobs;
    g->n_top_logprobs = MIN(MIN(req->n_top_logprobs, (uint32_t)TOP_LOGPROBS_MAX), lm->n_vocab);
    g->prompts = xcalloc(g->n_prompts, sizeof(*g->prompts));
    g->choices = xcalloc(g->n_choices, sizeof(*g->choices));
    g->started = xcalloc(g->n_choices, sizeof(*g->started));

    int r = 0;
    for (uint32_t i = 0; i < g->n_prompts && r == 0; i++)
        r = prompt_copy(&g->prompts[i], &req->prompts[i], lm, ctx_size, err);
    for (uint32_t i = 0; i < g->n_choices && r == 0; i++)
        r = choice_init(&g->choices[i], i, lm, ctx_size, req, err);
    if (r < 0) {
        generation_destroy(g);
        return r;
    }
    *ret = g;
    return 0;
}

void generation_push(struct generation *g, struct generation_event *e)
{
    if (!e)
        return;
    e->next = NULL;
    pthread_mutex_lock(&g->lock);
    if (g->first)
        g->last->next = e;
    else
        g->first = e;
    g->last = e;
    pthread_cond_signal(&g->cond);
    pthread_mutex_unlock(&g->lock);
}

void generation_end(struct generation *g)
{
    pthread_mutex_lock(&g->lock);
    g->ended = true;
    pthread_cond_signal(&g->cond);
    pthread_mutex_unlock(&g->lock);
}

void generation_fail(struct generation *g, const struct error *err)
{
    struct generation_event *e = xcalloc(1, sizeof(*e));
    e->kind = EVENT_ERROR;
    e->error = xmalloc(sizeof(*e->error));
    *e->error = *err;
    generation_push(g, e);
    generation_end(g);
}

int generation_next(struct generation *g, struct generation_event **ret)
{
    pthread_mutex_lock(&g->lock);
    while (!g->first && !g->ended && !generation_canceled(g))
        pthread_cond_wait(&g->cond, &g->lock);
    struct generation_event *e = g->first;
    int r = 0;
    if (generation_canceled(g)) {
        r = -ERR_CANCELED;
    } else if (e) {
        g->first = e->next;
        *ret = e;
        r = 1;
    }
    pthread_mutex_unlock(&g->lock);
    return r;
}
