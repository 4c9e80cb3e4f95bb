/* SPDX-License-Identifier: Apache-2.0
 *
 * Operations on rows that hold several residual streams behind each other, and the two others that
 * only models with such rows need. */
#include <math.h>

#include "engine/backend/cpu/cpu.h"

struct stream_job {
    const struct run *run;
    const struct op *op;
    size_t width, b_width; /* of the slots dst and a, b */
    const float *a, *b, *coefs;
    float *dst;
};

static double square_sum(const float *a, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)a[i] * (double)a[i];
    return sum;
}

static void match_row(const struct stream_job *j, const float *a, const float *b, float *dst)
{
    size_t group = j->b_width;
    double want = square_sum(b, group);
    for (size_t at = 0; at < j->width; at += group) {
        float scale = (float)sqrt(want / square_sum(a + at, group));
        for (size_t i = at; i < at + group; i++)
            dst[i] = a[i] * scale;
    }
}

static void mix_row(const struct stream_job *j, const float *a, const float *coefs, float *dst)
{
    size_t n = j->op->streams.n, width = j->width / n;
    for (size_t r = 0; r < n; r++) {
        for (size_t i = 0; i < width; i++) {
            float sum = a[r * width + i];
            for (size_t k = 0; k < n; k++)
                sum += coefs[r * n + k] * a[k * width + i];
            dst[r * width + i] = sum;
        }
    }
}

static void add_row(const struct stream_job *j, const float *a, const float *b, const float *coefs,
                    float *dst)
{
    size_t width = j->b_width, first = j->op->streams.first;
    for (size_t r = 0; r < j->op->streams.n; r++) {
        float by = r < first ? 0 : coefs ? 1 + coefs[r] : 1;
        for (size_t i = 0; i < width; i++)
            dst[r * width + i] = a[r * width + i] + by * b[i];
    }
}

/* Sums in f64: the bound must not depend on how they are added up. */
static void sparse_row(const struct stream_job *j, const float *a, float *dst)
{
    size_t n = j->width;
    double mean = 0, square = 0;
    for (size_t i = 0; i < n; i++)
        mean += (double)a[i];
    mean /= (double)n;
    for (size_t i = 0; i < n; i++)
        square += ((double)a[i] - mean) * ((double)a[i] - mean);
    double deviation = n > 1 ? sqrt(square / (double)(n - 1)) : 0;
    float bound = (float)(mean + (double)j->op->scale * deviation);
    for (size_t i = 0; i < n; i++)
        dst[i] = fmaxf(0, a[i] - bound);
}

static void stream_rows(void *arg, size_t begin, size_t end, uint32_t thread)
{
    const struct stream_job *j = arg;
    size_t n = j->op->streams.n;
    const float *w = weight_vector(j->op->w);
    (void)thread;
    for (size_t t = begin; t < end; t++) {
        const float *a = j->a + t * j->width, *b = j->b + t * j->b_width;
        float *dst = j->dst + t * j->width;
        switch (j->op->kind) {
        case OP_MATCH_LENGTH:
            match_row(j, a, b, dst);
            break;
        case OP_MIX_STREAMS:
            mix_row(j, a, b, dst);
            break;
        case OP_ADD_STREAMS:
            add_row(j, a, b, j->op->streams.has_coefs ? j->coefs + t * n : NULL, dst);
            break;
        case OP_SPARSE:
            sparse_row(j, a, dst);
            break;
        case OP_MUL_ROW:
            for (size_t i = 0; i < j->width; i++)
                dst[i] = a[i] * w[i];
            break;
        default:
            break;
        }
    }
}

void run_streams(struct run *run, const struct op *op, uint32_t n_rows)
{
    struct stream_job job = {
        .run = run,
        .op = op,
        .width = run->plan->slot_width[op->dst],
        .b_width = run->plan->slot_width[op->b],
        .a = run->slot[op->a],
        .b = run->slot[op->b],
        .dst = run->slot[op->dst],
    };
    if (op->kind == OP_ADD_STREAMS && op->streams.has_coefs)
        job.coefs = run->slot[op->streams.coefs];
    pool_run(run->b->pool, n_rows, 1, stream_rows, &job);
}
