/* SPDX-License-Identifier: Apache-2.0
 *
 * dst[t][r] = Σ_c w[r][c] * a[t][c] + bias[r].
 *
 * Few vectors (decoding): the packed rows are multiplied as they stream in. Many (a prompt): a panel
 * of rows that fits the second-level cache is dequantised once and used for all vectors. Both give
 * the same bits (kernels.h). Threads take parts of the rows.
 *
 * Rows of a panel, and the vectors, which are copied for it, lie a cache line more than their length
 * apart: at a distance of a power of two they would all fall into the same few sets of the caches. */
#include <string.h>

#include "engine/backend/cpu/cpu.h"

enum {
    PANEL_ROWS_MAX = 64,
    PANEL_FLOATS = 64 * 1024, /* 256 KiB: what a panel may take of the second-level cache */
    ROWS_MULTIPLE = 4,        /* kernels like whole groups of rows */
    PART_BYTES = 64 * 1024,   /* packed weights of a part when decoding */
    PAD = MATMUL_PAD,
};

struct matmul_job {
    struct run *run;
    const struct weight *w;
    const float *bias;
    const float *x;
    size_t x_stride, n_x;
    float *y;
    size_t y_stride;
    size_t panel_rows; /* 0: no panel, the kernel reads the packed rows */
};

static size_t panel_rows(uint32_t cols)
{
    size_t rows = PANEL_FLOATS / (size_t)cols / ROWS_MULTIPLE * ROWS_MULTIPLE;
    return MIN(MAX(rows, ROWS_MULTIPLE), PANEL_ROWS_MAX);
}

static bool needs_panel(const struct backend_cpu *b, const struct weight *w, uint32_t n_x)
{
    return n_x > b->k.dot_max_x || !b->k.weight[w->type].dot;
}

uint64_t matmul_scratch(const struct backend_cpu *b, const struct weight *w, uint32_t n_rows)
{
    return needs_panel(b, w, n_rows) ? (uint64_t)panel_rows(w->cols) * (w->cols + PAD) : 0;
}

uint64_t matmul_copy(const struct backend_cpu *b, const struct weight *w, uint32_t n_rows)
{
    return needs_panel(b, w, n_rows) ? (uint64_t)n_rows * (w->cols + PAD) : 0;
}

static void copy_vectors(void *arg, size_t begin, size_t end, uint32_t thread)
{
    const struct matmul_job *j = arg;
    size_t n = j->w->cols;
    (void)thread;
    for (size_t t = begin; t < end; t++)
        memcpy(j->run->b->vectors.data + t * (n + PAD), j->x + t * n, n * sizeof(float));
}

static void scale_rows(const struct weight *w, size_t begin, size_t end, uint32_t n_x, float *y,
                       size_t y_stride)
{
    for (size_t t = 0; t < n_x; t++)
        for (size_t r = begin; r < end; r++)
            y[t * y_stride + r - begin] *= w->scales[r / w->scale_rows];
}

static void multiply_rows(const struct backend_cpu *b, const struct weight *w, size_t begin,
                          size_t end, const float *x, size_t x_stride, uint32_t n_x, float *y,
                          size_t y_stride, float *panel)
{
    const struct kernels *k = &b->k;
    if (!needs_panel(b, w, n_x)) {
        k->weight[w->type].dot(w->data + begin * w->row_bytes, w->row_bytes, end - begin, x,
                               x_stride, n_x, w->cols, y, y_stride);
        return;
    }
    size_t stride = w->cols + PAD, most = panel_rows(w->cols);
    for (size_t row = begin; row < end; row += most) {
        size_t n = MIN(most, end - row);
        for (size_t i = 0; i < n; i++)
            k->weight[w->type].dequant(w->data + (row + i) * w->row_bytes, panel + i * stride,
                                       w->cols);
        k->weight[WT_F32].dot(panel, stride * sizeof(float), n, x, x_stride, n_x, w->cols,
                              y + (row - begin), y_stride);
    }
}

void matmul_rows(const struct backend_cpu *b, const struct weight *w, size_t begin, size_t end,
                 const float *x, size_t x_stride, uint32_t n_x, float *y, size_t y_stride,
                 float *panel)
{
    multiply_rows(b, w, begin, end, x, x_stride, n_x, y, y_stride, panel);
    if (w->scales)
        scale_rows(w, begin, end, n_x, y, y_stride);
}

static void matmul_part(void *arg, size_t begin, size_t end, uint32_t thread)
{
    const struct matmul_job *j = arg;
    const struct backend_cpu *b = j->run->b;
    const struct weight *w = j->w;
    if (run_canceled(j->run))
        return;
    matmul_rows(b, w, begin, end, j->x, j->x_stride, (uint32_t)j->n_x, j->y + begin, j->y_stride,
                b->thread_scratch[thread].data);
    if (!j->bias)
        return;
    for (size_t t = 0; t < j->n_x; t++)
        for (size_t r = begin; r < end; r++)
            j->y[t * j->y_stride + r] += j->bias[r];
}

void run_matmul(struct run *run, const struct op *op, uint32_t n_rows)
{
    const struct weight *w = op->w;
    struct matmul_job job = {
        .run = run,
        .w = w,
        .bias = weight_vector(op->bias),
        .x = run->slot[op->a],
        .x_stride = w->cols,
        .n_x = n_rows,
        .y = run->slot[op->dst],
        .y_stride = w->rows,
        .panel_rows = needs_panel(run->b, w, n_rows) ? panel_rows(w->cols) : 0,
    };
    size_t part = PART_BYTES / w->row_bytes;
    if (job.panel_rows) {
        part = job.panel_rows;
        pool_run(run->b->pool, n_rows, 16, copy_vectors, &job);
        job.x = run->b->vectors.data;
        job.x_stride = w->cols + PAD;
    }
    /* Enough parts for the threads to share evenly, but no smaller than a group of rows. */
    part = MIN(part, (size_t)w->rows / (4 * (size_t)run->b->n_threads));
    part = MAX(part / ROWS_MULTIPLE * ROWS_MULTIPLE, ROWS_MULTIPLE);
    pool_run(run->b->pool, w->rows, part, matmul_part, &job);
}

struct heads_job {
    struct run *run;
    const struct op *op;
    uint32_t n_rows;
};

static void heads_part(void *arg, size_t begin, size_t end, uint32_t thread)
{
    const struct heads_job *j = arg;
    const struct op *op = j->op;
    const struct weight *w = op->w;
    const uint32_t *width = j->run->plan->slot_width;
    size_t rows = w->rows / op->head;
    for (size_t h = begin; h < end && !run_canceled(j->run); h++)
        matmul_rows(j->run->b, w, h * rows, (h + 1) * rows, j->run->slot[op->a] + h * w->cols,
                    width[op->a], j->n_rows, j->run->slot[op->dst] + h * rows, width[op->dst],
                    j->run->b->thread_scratch[thread].data);
}

void run_matmul_heads(struct run *run, const struct op *op, uint32_t n_rows)
{
    struct heads_job job = {run, op, n_rows};
    pool_run(run->b->pool, op->head, 1, heads_part, &job);
}
