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
    for (uint32_t i = 0; g->prompts && i < g->n_prompts; i++) {
        free(g->prompts[i].ids);
        free(g->prompts[i].media);
        free(g->prompts[i].rows_owned);
    }
    for (uint32_t i = 0; g->choices && i < g->n_choices; i++) {
        sampler_free(g->choices[i].sampler);
        matcher_free(g->choices[i].matcher);
        output_release(&g->choices[i].output);
        reasoning_watch_release(&g->choices[i].reasoning);
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

/* The ids of media are negative, all others are in the vocabulary. */
static int check_ids(const struct prompt *p, const struct lm *lm, struct error *err)
{
    size_t at = 0;
    for (size_t m = 0; m <= p->n_media; m++) {
        size_t end = m < p->n_media ? p->media[m].first : p->n;
        for (; at < end; at++)
            if (p->ids[at] < 0 || (uint32_t)p->ids[at] >= lm->n_vocab)
                return error_set(err, ERR_INVALID,
                                 "the prompt has token %d, the vocabulary has the ids 0 to %u",
                                 p->ids[at], lm->n_vocab - 1);
        if (m < p->n_media)
            at += p->media[m].n;
    }
    return 0;
}

static int check_media(const struct prompt *p, struct error *err)
{
    size_t at = 0;
    for (size_t m = 0; m < p->n_media; m++) {
        const struct prompt_media *media = &p->media[m];
        bool inside = media->first >= at && media->first <= p->n && media->n > 0 &&
                      media->n <= p->n - media->first;
        if (!inside || (media->whole && media->n > MEDIA_WHOLE_MAX))
            return error_set(err, ERR_INTERNAL,
                             "part %zu of the prompt, %u tokens at %u, is not "
                             "within it",
                             m, media->n, media->first);
        at = media->first + media->n;
        for (size_t i = media->first; i < at; i++)
            if (p->ids[i] >= 0)
                return error_set(err, ERR_INTERNAL,
                                 "token %zu of the prompt is both text and media", i);
    }
    return 0;
}

static int media_copy(struct generation_prompt *to, const struct prompt *from, size_t width,
                      struct error *err)
{
    size_t n_rows = 0;
    for (size_t m = 0; m < from->n_media; m++)
        n_rows += from->media[m].n;
    if (n_rows == 0)
        return 0;
    to->n_media = from->n_media;
    to->media = alloc_array(from->n_media, sizeof(*to->media));
    to->rows_owned = alloc_array(n_rows * width, sizeof(float));
    if (!to->media || !to->rows_owned)
        return error_set(err, ERR_NOMEM, "out of memory for a prompt with %zu rows of media",
                         n_rows);
    float *rows = to->rows_owned;
    for (size_t m = 0; m < from->n_media; m++) {
        to->media[m] = from->media[m];
        to->media[m].rows = rows;
        memcpy(rows, from->media[m].rows, from->media[m].n * width * sizeof(float));
        rows += from->media[m].n * width;
    }
    return 0;
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
    int r = check_media(from, err);
    if (r == 0)
        r = check_ids(from, lm, err);
    if (r == 0)
        r = media_copy(to, from, lm->n_embd, err);
    if (r < 0)
        return r;
    to->n = (uint32_t)from->n;
    to->ids = alloc_array(from->n, sizeof(*to->ids));
    if (!to->ids)
        return error_set(err, ERR_NOMEM, "out of memory for a prompt of %zu tokens", from->n);
    memcpy(to->ids, from->ids, from->n * sizeof(*to->ids));
    return 0;
}

static int choice_init(struct choice *c, uint32_t index, struct lm *lm, uint32_t ctx_size,
                       const struct generation_request *req, struct error *err)
{
    c->prompt = index / req->n_choices;
    struct sampling sampling = req->sampling;
    sampling.seed += index;
    int r = output_init(&c->output, lm->tokenizer, req->stops, req->n_stops, req->marks, err);
    if (r == 0)
        r = reasoning_watch_init(&c->reasoning, &req->reasoning, err);
    if (r == 0)
        r = sampler_create(&sampling, lm->n_vocab, lm->eog, lm->n_eog, ctx_size, &c->sampler, err);
    const struct grammar_vocab *vocab;
    if (r == 0 && req->grammar) {
        r = lm_grammar_vocab(lm, &vocab, err);
        if (r == 0)
            r = matcher_create(req->grammar, vocab, &c->matcher, err);
    }
    return r;
}

int generation_create(struct batcher *b, struct lm *lm, uint32_t ctx_size,
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
    for (size_t i = 0; i < ADAPTERS_MAX; i++) {
        g->adapters.scales[i] = req->scales[i] + 0.0f; /* never -0: keys are compared as bytes */
        g->adapted |= req->scales[i] != 0;
    }
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
