/* SPDX-License-Identifier: Apache-2.0
 *
 * Rotary position embedding: each pair (x0, x1) of a head's leading `dims` values is turned by the
 * angle position * inv_freq[i]:
 *
 *     y0 = x0 * cos - x1 * sin        y1 = x0 * sin + x1 * cos
 *
 * Angles, cosines and sines are computed in f64 and rounded once. One table serves all layers of a
 * batch that have the same parameters. */
#include <math.h>
#include <string.h>

#include "engine/backend/cpu/cpu.h"

struct table_job {
    const struct rope_params *p;
    const int32_t *positions;
    float *cos_sin;
};

static void fill_table(void *arg, size_t begin, size_t end, uint32_t thread)
{
    const struct table_job *j = arg;
    size_t half = j->p->dims / 2;
    (void)thread;
    for (size_t t = begin; t < end; t++) {
        float *cosines = j->cos_sin + t * 2 * half, *sines = cosines + half;
        for (size_t i = 0; i < half; i++) {
            double angle = (double)j->positions[t] * (double)j->p->inv_freq[i];
            cosines[i] = (float)(cos(angle) * (double)j->p->mscale);
            sines[i] = (float)(sin(angle) * (double)j->p->mscale);
        }
    }
}

/* The table for these parameters, made if this batch has none yet. */
static int table_get(struct run *run, const struct rope_params *p, const float **ret,
                     struct error *err)
{
    struct backend_cpu *b = run->b;
    for (size_t i = 0; i < ROPE_TABLES; i++) {
        const struct rope_table *t = &b->rope[i];
        if (t->inv_freq == p->inv_freq && t->dims == p->dims && t->mscale == p->mscale) {
            *ret = t->cos_sin.data;
            return 0;
        }
    }
    size_t n_tokens = (size_t)run->batch->n_tokens;
    struct rope_table *t = &b->rope[run->rope_next++ % ROPE_TABLES];
    t->inv_freq = NULL;
    int r = scratch_reserve(&t->cos_sin, (uint64_t)n_tokens * p->dims, "rotary positions", err);
    if (r < 0)
        return r;
    struct table_job job = {p, b->positions, t->cos_sin.data};
    pool_run(b->pool, n_tokens, 32, fill_table, &job);
    t->inv_freq = p->inv_freq;
    t->dims = p->dims;
    t->mscale = p->mscale;
    *ret = t->cos_sin.data;
    return 0;
}

struct rope_job {
    const struct op *op;
    size_t width;
    const float *cos_sin;
    const float *src;
    float *dst;
};

static void rotate_adjacent(const float *x, const float *cosines, const float *sines, size_t half,
                            float *y)
{
    for (size_t i = 0; i < half; i++) {
        float x0 = x[2 * i], x1 = x[2 * i + 1];
        y[2 * i] = x0 * cosines[i] - x1 * sines[i];
        y[2 * i + 1] = x0 * sines[i] + x1 * cosines[i];
    }
}

static void rotate_halves(const float *x, const float *cosines, const float *sines, size_t half,
                          float *y)
{
    for (size_t i = 0; i < half; i++) {
        float x0 = x[i], x1 = x[i + half];
        y[i] = x0 * cosines[i] - x1 * sines[i];
        y[i + half] = x0 * sines[i] + x1 * cosines[i];
    }
}

static void rope_rows(void *arg, size_t begin, size_t end, uint32_t thread)
{
    const struct rope_job *j = arg;
    size_t head = j->op->head, dims = j->op->rope.dims;
    (void)thread;
    for (size_t t = begin; t < end; t++) {
        const float *cosines = j->cos_sin + t * dims, *sines = cosines + dims / 2;
        for (size_t at = t * j->width; at < (t + 1) * j->width; at += head) {
            if (j->op->rope.kind == ROPE_ADJACENT)
                rotate_adjacent(j->src + at, cosines, sines, dims / 2, j->dst + at);
            else
                rotate_halves(j->src + at, cosines, sines, dims / 2, j->dst + at);
            if (j->dst != j->src && dims < head)
                memcpy(j->dst + at + dims, j->src + at + dims, (head - dims) * sizeof(float));
        }
    }
}

int run_rope(struct run *run, const struct op *op, struct error *err)
{
    const float *table;
    int r = table_get(run, &op->rope, &table, err);
    if (r < 0)
        return r;
    struct rope_job job = {
        .op = op,
        .width = run->plan->slot_width[op->dst],
        .cos_sin = table,
        .src = run->slot[op->a],
        .dst = run->slot[op->dst],
    };
    pool_run(run->b->pool, (size_t)run->batch->n_tokens, 8, rope_rows, &job);
    return 0;
}
