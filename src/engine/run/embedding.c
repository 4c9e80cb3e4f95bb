/* SPDX-License-Identifier: Apache-2.0
 *
 * Texts are taken in groups that fill a step, a longer text alone. Within a group the tokens go
 * through the model in order, and what the pooling needs of their vectors is kept. */
#include "engine/run/embedding.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

struct text {
    int32_t *ids;
    uint32_t n, done; /* tokens; of these computed */
    int32_t page;     /* the first of its pages */
    double *sum;      /* [n_embd] POOLING_MEAN, while it is computed */
    float *rows;      /* [n_rows][width] the result */
    int32_t state;    /* slot of its state */
};

/* Texts at a time where layers carry states, and state slots. */
enum { GROUP_STATES = 8 };

struct embedding {
    struct lm *lm;
    enum pooling pooling, from; /* `from`: whose vectors are needed; never POOLING_RANK */
    uint32_t n_embd, width;
    bool whole; /* texts cannot be cut */
    enum kv_type kv_type;
    struct text *texts;
    size_t n_texts;
    size_t group_first, group_end; /* texts under way */

    struct kv *kv;
    uint32_t n_pages;
    int32_t *pages; /* [n_pages] page i of the cache */

    /* Of a step. */
    int32_t *ids, *out_rows; /* [cap_tokens] */
    struct batch_seq *seqs;  /* [cap_tokens] */
    float *hidden;           /* [cap_hidden][n_embd] */
    size_t cap_tokens, cap_hidden;
};

/* ---- beginning ---- */

static int copy_texts(struct embedding *e, const struct embedding_request *req, uint32_t ctx_size,
                      struct error *err)
{
    e->texts = alloc_array_zero(req->n_texts + 1, sizeof(*e->texts));
    if (!e->texts)
        return error_set(err, ERR_NOMEM, "out of memory for %zu texts", req->n_texts);
    for (size_t i = 0; i < req->n_texts; i++) {
        const struct prompt *p = &req->texts[i];
        if (p->n == 0)
            return error_set(err, ERR_INVALID, "a text without tokens has no embedding");
        if (p->n > ctx_size)
            return error_set(err, ERR_TOO_LARGE,
                             "a text of %zu tokens does not fit the context of %" PRIu32 " tokens",
                             p->n, ctx_size);
        for (size_t k = 0; k < p->n; k++)
            if (p->ids[k] < 0 || (uint32_t)p->ids[k] >= e->lm->n_vocab)
                return error_set(err, ERR_INVALID,
                                 "token id %" PRId32
                                 " is not in the vocabulary, which has the ids 0 to %" PRIu32,
                                 p->ids[k], e->lm->n_vocab - 1);
        struct text *t = &e->texts[e->n_texts++];
        t->n = (uint32_t)p->n;
        size_t n_rows = e->pooling == POOLING_NONE ? p->n : 1;
        t->ids = alloc_array(p->n, sizeof(*t->ids));
        t->rows = alloc_array(n_rows * e->width, sizeof(*t->rows));
        if (!t->ids || !t->rows)
            return error_set(err, ERR_NOMEM, "out of memory for a text of %zu tokens", p->n);
        memcpy(t->ids, p->ids, p->n * sizeof(*t->ids));
    }
    return 0;
}

int embedding_begin(struct lm *lm, const struct embedding_request *req, struct embedding **ret,
                    struct error *err)
{
    const struct descriptor *d = model_descriptor(lm->model);
    uint32_t dense = model_head_width(lm->model, false);
    if (req->pooling == POOLING_RANK && !lm_can_rank(lm))
        return error_set(err, ERR_UNSUPPORTED,
                         "this model has no head for ranking (a tensor 'cls' or 'cls.output')");
    struct embedding *e = xcalloc(1, sizeof(*e));
    e->lm = lm;
    e->pooling = e->from = req->pooling;
    if (req->pooling == POOLING_RANK)
        e->from = d->head & HEAD_FROM_LAST   ? POOLING_LAST
                  : d->head & HEAD_FROM_MEAN ? POOLING_MEAN
                                             : POOLING_CLS;
    e->n_embd = d->n_embd;
    e->width = req->pooling == POOLING_RANK ? model_head_width(lm->model, true)
               : dense > 0                  ? dense
                                            : d->n_embd;
    e->whole = !d->causal;
    e->kv_type = d->encoder ? KV_F32 : req->kv_type; /* it costs one layer */
    uint32_t ctx_size = req->ctx_size > 0 ? req->ctx_size : d->n_ctx_train;
    if (d->encoder || d->learned_positions)
        ctx_size = MIN(ctx_size, d->n_ctx_train);
    int r = copy_texts(e, req, ctx_size, err);
    if (r < 0) {
        embedding_free(e);
        return r;
    }
    *ret = e;
    return 0;
}

void embedding_free(struct embedding *e)
{
    if (!e)
        return;
    for (size_t i = 0; i < e->n_texts; i++) {
        free(e->texts[i].ids);
        free(e->texts[i].sum);
        free(e->texts[i].rows);
    }
    model_kv_free(e->lm->model, e->kv);
    free(e->pages);
    free(e->texts);
    free(e->ids);
    free(e->out_rows);
    free(e->seqs);
    free(e->hidden);
    free(e);
}

/* ---- groups ---- */

static int cache_ensure(struct embedding *e, uint32_t n_pages, struct error *err)
{
    if (n_pages <= e->n_pages)
        return 0;
    model_kv_free(e->lm->model, TAKE(e->kv));
    free(TAKE(e->pages));
    e->n_pages = 0;
    int r = model_kv_create(e->lm->model, n_pages, GROUP_STATES, e->kv_type, &e->kv, err);
    if (r < 0)
        return r;
    e->pages = alloc_array(n_pages, sizeof(*e->pages));
    if (!e->pages)
        return error_set(err, ERR_NOMEM, "out of memory for %" PRIu32 " cache pages", n_pages);
    for (uint32_t i = 0; i < n_pages; i++)
        e->pages[i] = (int32_t)i;
    e->n_pages = n_pages;
    return 0;
}

/* The next texts: as many as fill a step, but at least one. */
static int group_begin(struct embedding *e, struct error *err)
{
    uint64_t tokens = 0, pages = 0;
    e->group_first = e->group_end;
    for (; e->group_end < e->n_texts; e->group_end++) {
        struct text *t = &e->texts[e->group_end];
        if (tokens > 0 && tokens + t->n > EMBEDDING_STEP_TOKENS)
            break;
        t->state = (int32_t)(e->group_end - e->group_first);
        if (t->state == GROUP_STATES && model_state_bytes(e->lm->model) > 0)
            break;
        t->page = (int32_t)pages;
        tokens += t->n;
        pages += (t->n + (uint64_t)KV_PAGE_TOKENS - 1) / KV_PAGE_TOKENS;
        if (e->from == POOLING_MEAN) {
            t->sum = alloc_array_zero(e->n_embd, sizeof(*t->sum));
            if (!t->sum)
                return error_set(err, ERR_NOMEM, "out of memory for a vector");
        }
    }
    return cache_ensure(e, (uint32_t)pages, err);
}

/* ---- a step ---- */

static int step_reserve(struct embedding *e, size_t n_tokens, size_t n_hidden, struct error *err)
{
    if (n_tokens > e->cap_tokens) {
        e->cap_tokens = 0;
        free(e->ids);
        free(e->out_rows);
        free(e->seqs);
        e->ids = alloc_array(n_tokens, sizeof(*e->ids));
        e->out_rows = alloc_array(n_tokens, sizeof(*e->out_rows));
        e->seqs = alloc_array(n_tokens, sizeof(*e->seqs));
        if (!e->ids || !e->out_rows || !e->seqs)
            return error_set(err, ERR_NOMEM, "out of memory for a batch of %zu tokens", n_tokens);
        e->cap_tokens = n_tokens;
    }
    if (n_hidden > e->cap_hidden) {
        e->cap_hidden = 0;
        free(e->hidden);
        e->hidden = alloc_aligned(n_hidden * e->n_embd, sizeof(*e->hidden));
        if (!e->hidden)
            return error_set(err, ERR_NOMEM, "out of memory for %zu vectors", n_hidden);
        e->cap_hidden = n_hidden;
    }
    return 0;
}

static bool wants_row(const struct embedding *e, const struct text *t, uint32_t position)
{
    switch (e->from) {
    case POOLING_CLS:
        return position == 0;
    case POOLING_LAST:
        return position + 1 == t->n;
    default:
        return true;
    }
}

/* A vector of the text's token at `position` has been computed. */
static void take_row(const struct embedding *e, struct text *t, uint32_t position, const float *row)
{
    if (e->from == POOLING_MEAN) {
        for (uint32_t i = 0; i < e->n_embd; i++)
            t->sum[i] += (double)row[i];
        return;
    }
    /* A vector that a head is still to be put on stands where its result will. */
    size_t at = e->from == POOLING_NONE ? (size_t)position * e->width : 0;
    if (e->width == e->n_embd)
        memcpy(t->rows + at, row, e->n_embd * sizeof(*row));
}

static void softmax(float *v, uint32_t n)
{
    float max = v[0];
    double sum = 0;
    for (uint32_t i = 1; i < n; i++)
        max = MAX(max, v[i]);
    for (uint32_t i = 0; i < n; i++) {
        v[i] = expf(v[i] - max);
        sum += (double)v[i];
    }
    for (uint32_t i = 0; i < n; i++)
        v[i] = (float)((double)v[i] / sum);
}

/* All tokens of the text are done: its vectors get their head. */
static int text_finish(const struct embedding *e, struct text *t, const float *rows,
                       struct error *err)
{
    bool rank = e->pooling == POOLING_RANK;
    CLEANUP_FREE float *mean = NULL;
    if (t->sum) {
        mean = xcalloc(e->n_embd, sizeof(*mean));
        for (uint32_t i = 0; i < e->n_embd; i++)
            mean[i] = (float)(t->sum[i] / t->n);
        rows = mean;
        free(TAKE(t->sum));
    }
    if (!rank && model_head_width(e->lm->model, false) == 0) {
        if (mean)
            memcpy(t->rows, mean, e->n_embd * sizeof(*mean));
        return 0;
    }
    uint32_t n = e->pooling == POOLING_NONE ? t->n : 1;
    int r = model_head(e->lm->model, rank, rows, n, t->rows, err);
    if (r == 0 && rank && model_descriptor(e->lm->model)->head & HEAD_SOFTMAX)
        softmax(t->rows, e->width);
    return r;
}

/* The part of a text that a step computes. */
struct part {
    struct text *t;
    uint32_t first, n;
};

/* The slot of the state behind it. A text that takes several steps is alone in its group: it has
 * two slots in turns. */
static int32_t next_state(const struct part *p)
{
    return p->first > 0 ? !p->t->state : p->t->state;
}

static int step_finish(const struct embedding *e, const struct part *parts, size_t n_parts,
                       struct error *err)
{
    const float *row = e->hidden;
    for (size_t i = 0; i < n_parts; i++) {
        struct text *t = parts[i].t;
        const float *rows = row;
        for (uint32_t k = parts[i].first; k < parts[i].first + parts[i].n; k++) {
            if (!wants_row(e, t, k))
                continue;
            take_row(e, t, k, row);
            row += e->n_embd;
        }
        t->done += parts[i].n;
        t->state = next_state(&parts[i]);
        int r = t->done == t->n ? text_finish(e, t, rows, err) : 0;
        if (r < 0)
            return r;
    }
    return 0;
}

static int step_run(struct embedding *e, const struct part *parts, size_t n_parts,
                    const volatile bool *cancel, struct error *err)
{
    size_t n_tokens = 0, n_out = 0;
    for (size_t i = 0; i < n_parts; i++)
        n_tokens += parts[i].n;
    bool all = e->from == POOLING_NONE || e->from == POOLING_MEAN;
    int r = step_reserve(e, n_tokens, all ? n_tokens : n_parts, err);
    if (r < 0)
        return r;
    int32_t at = 0;
    for (size_t i = 0; i < n_parts; i++) {
        const struct part *p = &parts[i];
        e->seqs[i] = (struct batch_seq){.first = at,
                                        .n = (int32_t)p->n,
                                        .n_past = (int32_t)p->first,
                                        .pages = e->pages + p->t->page,
                                        .state_in = p->first > 0 ? p->t->state : -1,
                                        .state_out = next_state(p)};
        memcpy(e->ids + at, p->t->ids + p->first, p->n * sizeof(*e->ids));
        for (uint32_t k = 0; k < p->n; k++, at++)
            if (wants_row(e, p->t, p->first + k))
                e->out_rows[n_out++] = at;
    }
    const struct batch batch = {.n_tokens = at,
                                .ids = e->ids,
                                .n_seqs = (int32_t)n_parts,
                                .seqs = e->seqs,
                                .n_out = (int32_t)n_out,
                                .out_rows = e->out_rows};
    r = model_hidden(e->lm->model, e->kv, &batch, e->hidden, cancel, err);
    return r < 0 ? r : step_finish(e, parts, n_parts, err);
}

int embedding_step(struct embedding *e, const volatile bool *cancel, struct error *err)
{
    if (e->group_first == e->group_end ||
        e->texts[e->group_end - 1].done == e->texts[e->group_end - 1].n) {
        if (e->group_end == e->n_texts)
            return 0;
        int r = group_begin(e, err);
        if (r < 0)
            return r;
    }
    CLEANUP_FREE struct part *parts = xcalloc(e->group_end - e->group_first, sizeof(*parts));
    size_t n_parts = 0;
    uint32_t room = e->whole ? UINT32_MAX : EMBEDDING_STEP_TOKENS;
    for (size_t i = e->group_first; i < e->group_end && room > 0; i++) {
        struct text *t = &e->texts[i];
        uint32_t n = MIN(t->n - t->done, room);
        if (n == 0)
            continue;
        parts[n_parts++] = (struct part){t, t->done, n};
        room -= n;
    }
    int r = step_run(e, parts, n_parts, cancel, err);
    if (r < 0)
        return r;
    const struct text *last = &e->texts[e->n_texts - 1];
    return last->done < last->n;
}

const float *embedding_rows(const struct embedding *e, size_t i, uint32_t *ret_n_rows,
                            uint32_t *ret_width)
{
    *ret_n_rows = e->pooling == POOLING_NONE ? e->texts[i].n : 1;
    *ret_width = e->width;
    return e->texts[i].rows;
}
