/* SPDX-License-Identifier: Apache-2.0
 *
 * Adapters: y[t] += Σ_i scale[t][i] * factor_i * B_i (A_i x[t]), behind a matrix multiplication.
 *
 * Rows that follow each other and have the same scales are taken together, ROW_TILE at most; each
 * row's numbers are those that it would have alone (kernels.h). Adapters are added one after the
 * other, by their number. */
#include <string.h>

#include "base/alloc.h"
#include "engine/backend/cpu/cpu.h"

enum {
    ROW_TILE = 64,
    OUT_PART = 64, /* outputs that a thread computes before it adds them */
};

int cpu_weight_adapt(struct backend *backend, struct weight *w, uint32_t index,
                     const struct weight *a, const struct weight *b, float factor,
                     struct error *err)
{
    (void)backend;
    if (index >= ADAPTERS_MAX || a->cols != w->cols || b->rows != w->rows || a->rows != b->cols)
        return error_set(err, ERR_INTERNAL, "an adapter does not fit its weight");
    if (!w->low_rank)
        w->low_rank = xcalloc(ADAPTERS_MAX, sizeof(*w->low_rank));
    w->low_rank[index] = (struct low_rank){a, b, factor};
    return 0;
}

/* ---- memory ---- */

uint64_t low_rank_scratch(const struct backend_cpu *b, const struct weight *w)
{
    uint64_t most = 0;
    for (uint32_t i = 0; w->low_rank && i < ADAPTERS_MAX; i++) {
        const struct low_rank *l = &w->low_rank[i];
        if (!l->a)
            continue;
        uint64_t panel = MAX(matmul_scratch(b, l->a, ROW_TILE), matmul_scratch(b, l->b, ROW_TILE));
        most = MAX(most, panel + ROW_TILE * OUT_PART);
    }
    return most;
}

uint64_t low_rank_middle(const struct weight *w)
{
    uint64_t most = 0;
    for (uint32_t i = 0; w->low_rank && i < ADAPTERS_MAX; i++)
        if (w->low_rank[i].a)
            most = MAX(most, (uint64_t)ROW_TILE * w->low_rank[i].a->rows);
    return most;
}

/* ---- which rows have which scales ---- */

int low_rank_begin(struct run *run, struct error *err)
{
    const struct batch *batch = run->batch;
    bool any = false;
    for (int32_t s = 0; s < batch->n_seqs; s++)
        any |= batch->seqs[s].scales != NULL;
    if (!any)
        return 0;
    run->row_scales = alloc_array_zero((size_t)batch->n_tokens, sizeof(*run->row_scales));
    run->selected = alloc_array_zero(run->plan->n_slots, sizeof(*run->selected));
    if (!run->row_scales || !run->selected)
        return error_set(err, ERR_NOMEM, "out of memory for a batch of %d tokens",
                         (int)batch->n_tokens);
    for (int32_t s = 0; s < batch->n_seqs; s++)
        for (int32_t i = 0; i < batch->seqs[s].n; i++)
            run->row_scales[batch->seqs[s].first + i] = batch->seqs[s].scales;
    return 0;
}

void low_rank_end(struct run *run)
{
    free(TAKE(run->row_scales));
    free(TAKE(run->selected));
}

void low_rank_follow(struct run *run, const struct op *op)
{
    if (!run->selected || op->kind == OP_KV_STORE || op->kind == OP_INPUT)
        return;
    run->selected[op->dst] =
        op->kind == OP_SELECT || (op->kind != OP_EMBED && run->selected[op->a]);
}

static const float *scales_of(const struct run *run, const struct op *op, uint32_t row)
{
    return run->row_scales[run->selected[op->a] ? (uint32_t)run->batch->out_rows[row] : row];
}

/* ---- one adapter for some rows ---- */

struct low_rank_job {
    const struct run *run;
    const struct low_rank *l;
    const float *x; /* [n][cols] */
    float *middle;  /* [n][rank] */
    float *y;       /* [n][rows] */
    uint32_t n;
    float scale;
};

static void into_middle(void *arg, size_t begin, size_t end, uint32_t thread)
{
    const struct low_rank_job *j = arg;
    const struct backend_cpu *b = j->run->b;
    matmul_rows(b, j->l->a, begin, end, j->x, j->l->a->cols, j->n, j->middle + begin, j->l->a->rows,
                b->thread_scratch[thread].data);
}

static void out_of_middle(void *arg, size_t begin, size_t end, uint32_t thread)
{
    const struct low_rank_job *j = arg;
    const struct backend_cpu *b = j->run->b;
    float *part = b->thread_scratch[thread].data, *panel = part + ROW_TILE * OUT_PART;
    size_t rows = j->l->b->rows;
    for (size_t at = begin; at < end; at += OUT_PART) {
        size_t n_out = MIN(end - at, (size_t)OUT_PART);
        matmul_rows(b, j->l->b, at, at + n_out, j->middle, j->l->b->cols, j->n, part, OUT_PART,
                    panel);
        for (uint32_t t = 0; t < j->n; t++)
            for (size_t i = 0; i < n_out; i++)
                j->y[t * rows + at + i] += j->scale * part[t * OUT_PART + i];
    }
}

static void add_rows(struct run *run, const struct op *op, uint32_t first, uint32_t n,
                     const float *scales)
{
    const struct weight *w = op->w;
    for (uint32_t i = 0; i < ADAPTERS_MAX; i++) {
        const struct low_rank *l = &w->low_rank[i];
        if (!l->a || scales[i] == 0)
            continue;
        struct low_rank_job job = {
            .run = run,
            .l = l,
            .x = run->slot[op->a] + (size_t)first * w->cols,
            .middle = run->b->middle.data,
            .y = run->slot[op->dst] + (size_t)first * w->rows,
            .n = n,
            .scale = scales[i] * l->factor,
        };
        pool_run(run->b->pool, l->a->rows, 8, into_middle, &job);
        pool_run(run->b->pool, w->rows, OUT_PART, out_of_middle, &job);
    }
}

void run_low_rank(struct run *run, const struct op *op, uint32_t n_rows)
{
    if (!run->row_scales || !op->w->low_rank)
        return;
    for (uint32_t first = 0, n; first < n_rows; first += n) {
        const float *scales = scales_of(run, op, first);
        for (n = 1; first + n < n_rows && n < ROW_TILE; n++)
            if (scales_of(run, op, first + n) != scales)
                break;
        if (scales)
            add_rows(run, op, first, n, scales);
    }
}
