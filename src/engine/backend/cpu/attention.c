/* SPDX-License-Identifier: Apache-2.0
 *
 * Attention over the paged KV cache.
 *
 * A part of the work is one key/value head and a chunk of up to QUERY_CHUNK tokens of one sequence,
 * with the query heads that share the key/value head, HEADS_MAX of them at most: where all share
 * one, the threads share the heads. The part walks the sequence's pages in order;
 * a page is a tile of the online softmax. Which pages, and which tokens of them, a query sees
 * depends on its own position alone, so its result does too, however the batch is cut:
 *
 *     page          0        1        2
 *     query at 40   [0..32)  [32..41)
 *     query at 70   [0..32)  [32..64) [64..71)
 *
 * Neighbouring queries that see the same part of a page are given to the kernels together. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "engine/backend/cpu/cpu.h"
#include "engine/kernels/f16.h"

static_assert((int)ATTN_TILE == (int)KV_PAGE_TOKENS, "a page is a tile");

/* ---- storing ---- */

struct store_job {
    const struct run *run;
    uint32_t layer;
    const float *k, *v;
};

/* One token's keys go to column `at` of its page, one element a row. */
static void store_keys(const struct kv *kv, unsigned char *keys, size_t at, const float *k,
                       size_t width)
{
    if (kv->type == KV_F32) {
        float *dst = (float *)(void *)keys + at;
        for (size_t d = 0; d < width; d++)
            dst[d * KV_PAGE_TOKENS] = k[d];
    } else {
        uint16_t *dst = (uint16_t *)(void *)keys + at;
        for (size_t d = 0; d < width; d++)
            dst[d * KV_PAGE_TOKENS] = f32_to_f16(k[d]);
    }
}

static void store_rows(void *arg, size_t begin, size_t end, uint32_t thread)
{
    const struct store_job *j = arg;
    const struct kv *kv = j->run->kv;
    uint32_t n_heads = kv->n_kv_heads[j->layer];
    size_t head_k = kv->head_k[j->layer], head_v = kv->head_v[j->layer];
    (void)thread;
    for (size_t c = begin; c < end; c++) {
        const struct query_chunk *chunk = &j->run->b->chunks[c];
        for (uint32_t i = 0; i < chunk->n; i++) {
            size_t row = (size_t)chunk->seq->first + chunk->first + i;
            size_t position = (size_t)chunk->seq->n_past + chunk->first + i;
            int32_t page = chunk->seq->pages[position / KV_PAGE_TOKENS];
            size_t at = position % KV_PAGE_TOKENS;
            for (uint32_t h = 0; h < n_heads; h++) {
                const float *k = j->k + (row * n_heads + h) * head_k;
                const float *v = j->v + (row * n_heads + h) * head_v;
                store_keys(kv, kv_keys(kv, page, j->layer, h), at, k, head_k);
                unsigned char *dst =
                    kv_values(kv, page, j->layer, h) + at * head_v * kv->item_bytes;
                if (kv->type == KV_F32)
                    memcpy(dst, v, head_v * sizeof(float));
                else
                    j->run->b->k.f32_to_f16(v, head_v, (uint16_t *)(void *)dst);
            }
        }
    }
}

void run_kv_store(struct run *run, const struct op *op)
{
    struct store_job job = {run, op->layer, run->slot[op->a], run->slot[op->b]};
    pool_run(run->b->pool, run->n_chunks, 1, store_rows, &job);
}

/* ---- attending ---- */

/* A thread's working memory for n queries: everything [QUERY_CHUNK * group] rows. */
struct work {
    size_t head, n_heads; /* the query heads of the part */
    float *q;             /* [][head_k] the chunk's queries, packed */
    float *acc;           /* [][head_v] */
    float (*scores)[ATTN_TILE];
    float *factor;
    struct attn_state *state;
};

enum { HEADS_MAX = 16 };

/* Parts that the query heads of one key/value head are cut into. */
static size_t head_parts(const struct attention_params *p)
{
    return (p->n_heads / p->n_kv_heads + HEADS_MAX - 1) / HEADS_MAX;
}

static size_t work_queries(const struct attention_params *p)
{
    return (size_t)QUERY_CHUNK * MIN(p->n_heads / p->n_kv_heads, HEADS_MAX);
}

uint64_t attention_scratch(const struct attention_params *p)
{
    return (uint64_t)work_queries(p) * ((uint64_t)p->head_k + p->head_v + ATTN_TILE + 3);
}

static struct work work_layout(float *scratch, const struct attention_params *p)
{
    size_t n = work_queries(p);
    struct work w = {0};
    w.scores = (float(*)[ATTN_TILE])(void *)scratch;
    w.q = scratch + n * ATTN_TILE;
    w.acc = w.q + n * p->head_k;
    w.factor = w.acc + n * p->head_v;
    w.state = (struct attn_state *)(void *)(w.factor + n);
    return w;
}

struct attention_job {
    struct run *run;
    const struct op *op;
    const float *q;
    float *dst;
};

/* The keys that query `i` of the part sees: [*begin, *end) of the sequence's. */
static void visible_keys(const struct attention_params *p, const struct batch_seq *seq, size_t i,
                         size_t *begin, size_t *end)
{
    size_t position = (size_t)seq->n_past + i;
    size_t back = p->window ? (p->causal ? p->window - 1 : p->window / 2) : SIZE_MAX;
    size_t last = seq->sees ? (size_t)seq->sees[i] : position;
    *begin = position > back ? position - back : 0;
    *end = p->causal ? last + 1 : (size_t)seq->n_past + (size_t)seq->n;
    if (p->window && !p->causal)
        *end = MIN(*end, position + p->window / 2 + 1);
}

/* A page for queries that see the same part of it. */
struct tile {
    size_t first, n;   /* rows of the working memory: one for each query head of each token */
    size_t begin, end; /* tokens of the page that they see */
    size_t query_at;   /* position of the first query's token */
    size_t key_at;     /* … of the page's first token */
    size_t head;       /* the first query head */
};

/* ALiBi: nearer keys count more. */
static void add_slopes(const struct attention_params *p, const struct tile *t, size_t group,
                       float (*scores)[ATTN_TILE])
{
    for (size_t i = 0; i < t->n; i++) {
        float slope = p->slopes[t->head + i % group];
        size_t query = t->query_at + i / group;
        for (size_t k = t->begin; k < t->end; k++) {
            size_t key = t->key_at + k;
            scores[i][k] -= slope * (float)(key > query ? key - query : query - key);
        }
    }
}

static void attend_tile(const struct attention_job *j, const struct work *w, const struct tile *t,
                        const void *keys, const void *values)
{
    size_t first = t->first, n = t->n, begin = t->begin, end = t->end;
    const struct kernels *k = &j->run->b->k;
    const struct attention_params *p = &j->op->attn;
    bool f16 = j->run->kv->type == KV_F16;
    float(*scores)[ATTN_TILE] = w->scores + first;

    (f16 ? k->attn_scores_f16 : k->attn_scores_f32)(w->q + first * p->head_k, p->head_k, n, keys,
                                                    p->head_k, p->scale, scores);
    if (p->slopes)
        add_slopes(p, t, w->n_heads, scores);
    for (size_t i = 0; i < n; i++) {
        if (p->softcap > 0.0f)
            k->softcap(scores[i] + begin, end - begin, p->softcap, scores[i] + begin);
        w->factor[first + i] = k->attn_softmax(scores[i], begin, end, &w->state[first + i]);
    }
    (f16 ? k->attn_values_f16
         : k->attn_values_f32)((const float(*)[ATTN_TILE])scores, w->factor + first, n, begin, end,
                               values, p->head_v, w->acc + first * p->head_v, p->head_v);
}

/* The part of page `page` that a query with keys [begin, end) sees, relative to the page. */
static void clip_to_page(size_t page, size_t *begin, size_t *end)
{
    size_t at = page * KV_PAGE_TOKENS;
    *begin = *begin > at ? MIN(*begin - at, KV_PAGE_TOKENS) : 0;
    *end = *end > at ? MIN(*end - at, KV_PAGE_TOKENS) : 0;
}

static void attend_page(const struct attention_job *j, const struct work *w,
                        const struct query_chunk *chunk, size_t page, uint32_t kv_head)
{
    const struct attention_params *p = &j->op->attn;
    const struct batch_seq *seq = chunk->seq;
    size_t group = w->n_heads;
    const void *keys = kv_keys(j->run->kv, seq->pages[page], j->op->layer, kv_head);
    const void *values = kv_values(j->run->kv, seq->pages[page], j->op->layer, kv_head);

    size_t run_first = 0, run_begin = 0, run_end = 0; /* queries [run_first, i) see the same */
    for (size_t i = 0; i <= chunk->n; i++) {
        size_t begin = 0, end = 0;
        if (i < chunk->n) {
            visible_keys(p, seq, chunk->first + i, &begin, &end);
            clip_to_page(page, &begin, &end);
            if (i > run_first && begin == run_begin && end == run_end)
                continue;
        }
        if (i > run_first && run_begin < run_end) {
            const struct tile t = {
                .first = run_first * group,
                .n = (i - run_first) * group,
                .begin = run_begin,
                .end = run_end,
                .query_at = (size_t)seq->n_past + chunk->first + run_first,
                .key_at = page * KV_PAGE_TOKENS,
                .head = w->head,
            };
            attend_tile(j, w, &t, keys, values);
        }
        run_first = i;
        run_begin = begin;
        run_end = end;
    }
}

static void attend_chunk(const struct attention_job *j, const struct work *w,
                         const struct query_chunk *chunk, uint32_t kv_head)
{
    const struct attention_params *p = &j->op->attn;
    size_t group = w->n_heads;
    size_t q_width = (size_t)p->n_heads * p->head_k, dst_width = (size_t)p->n_heads * p->head_v;
    size_t row = (size_t)chunk->seq->first + chunk->first;

    for (size_t i = 0; i < chunk->n; i++)
        memcpy(w->q + i * group * p->head_k, j->q + (row + i) * q_width + w->head * p->head_k,
               group * p->head_k * sizeof(float));
    for (size_t i = 0; i < chunk->n * group; i++)
        w->state[i] = (struct attn_state){.max = -INFINITY};
    memset(w->acc, 0, chunk->n * group * p->head_v * sizeof(float));

    size_t begin, end, last_begin, last_end;
    visible_keys(p, chunk->seq, chunk->first, &begin, &end);
    visible_keys(p, chunk->seq, chunk->first + chunk->n - 1, &last_begin, &last_end);
    for (size_t page = begin / KV_PAGE_TOKENS; page * KV_PAGE_TOKENS < last_end; page++) {
        if (run_canceled(j->run))
            return;
        attend_page(j, w, chunk, page, kv_head);
    }
    const float *sinks = weight_vector(j->op->bias);
    for (size_t i = 0; i < chunk->n; i++) {
        float *dst = j->dst + (row + i) * dst_width + w->head * p->head_v;
        for (size_t g = 0; g < group; g++) {
            const struct attn_state *s = &w->state[i * group + g];
            /* A sink far above all scores makes the sum infinite, and what is divided by it 0. */
            float sum = s->sum + (sinks ? expf(sinks[w->head + g] - s->max) : 0.0f);
            for (size_t d = 0; d < p->head_v; d++)
                dst[g * p->head_v + d] = w->acc[(i * group + g) * p->head_v + d] / sum;
        }
    }
}

static void attention_part(void *arg, size_t begin, size_t end, uint32_t thread)
{
    const struct attention_job *j = arg;
    const struct attention_params *p = &j->op->attn;
    const struct backend_cpu *b = j->run->b;
    struct work w = work_layout(b->thread_scratch[thread].data, p);
    size_t group = p->n_heads / p->n_kv_heads, n_parts = head_parts(p);
    for (size_t i = begin; i < end; i++) {
        size_t kv_head = i / n_parts % p->n_kv_heads, first = i % n_parts * HEADS_MAX;
        w.head = kv_head * group + first;
        w.n_heads = MIN(group - first, HEADS_MAX);
        attend_chunk(j, &w, &b->chunks[i / n_parts / p->n_kv_heads], (uint32_t)kv_head);
    }
}

void run_attention(struct run *run, const struct op *op)
{
    struct attention_job job = {run, op, run->slot[op->a], run->slot[op->dst]};
    pool_run(run->b->pool, run->n_chunks * op->attn.n_kv_heads * head_parts(&op->attn), 1,
             attention_part, &job);
}
