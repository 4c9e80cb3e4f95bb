/* SPDX-License-Identifier: Apache-2.0
 *
 * Mixtures of experts. The rows of the batch are sorted by the experts they chose, so that each
 * expert's weights are read once a batch; threads take parts of the experts' rows. Which expert a
 * row chooses, and the order in which its results are added up, depend on that row alone. */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "engine/backend/cpu/cpu.h"

enum { PART_ROWS = 64 }; /* of an expert's weights */

/* A *visit* is one row at one of its experts; visits are sorted by expert, then by row. */
struct expert_routes {
    uint32_t *chosen; /* [n_rows][n_used] experts, the best first */
    float *share;     /* [n_rows][n_used] */
    uint32_t *visit;  /* [n_rows][n_used] */
    uint32_t *row;    /* [n_visits] */
    uint32_t *first;  /* [n_experts + 1] visit; afterwards only of those that are visited */
    uint32_t *active; /* [n_active] experts with visits */
    uint32_t n_active;
    size_t cap_visits, cap_experts;
};

struct expert_job {
    struct run *run;
    const struct op *op;
    const struct expert_routes *r;
    uint32_t n_rows;
    size_t width, in_stride, ff_stride;
    const float *gate_bias, *up_bias, *down_bias; /* [n_experts] rows, or NULL */
    float *in;                                    /* [n_visits] inputs; later outputs */
    float *gate, *up;                             /* [n_visits] */
};

static size_t stride_of(uint32_t n)
{
    return (size_t)n + MATMUL_PAD;
}

void experts_release(struct backend_cpu *b)
{
    struct expert_routes *r = b->routes;
    scratch_release(&b->experts);
    if (!r)
        return;
    free(r->chosen);
    free(r->share);
    free(r->visit);
    free(r->row);
    free(r->first);
    free(r->active);
    free(r);
    b->routes = NULL;
}

int experts_reserve(struct backend_cpu *b, const struct expert_params *p, uint32_t n_rows,
                    struct error *err)
{
    size_t n = (size_t)n_rows * p->n_used;
    if (!b->routes)
        b->routes = xcalloc(1, sizeof(*b->routes));
    struct expert_routes *r = b->routes;
    if (n > r->cap_visits) {
        r->chosen = xrealloc(r->chosen, n, sizeof(*r->chosen));
        r->share = xrealloc(r->share, n, sizeof(*r->share));
        r->visit = xrealloc(r->visit, n, sizeof(*r->visit));
        r->row = xrealloc(r->row, n, sizeof(*r->row));
        r->cap_visits = n;
    }
    if (p->n_experts > r->cap_experts) {
        r->first = xrealloc(r->first, (size_t)p->n_experts + 1, sizeof(*r->first));
        r->active = xrealloc(r->active, p->n_experts, sizeof(*r->active));
        r->cap_experts = p->n_experts;
    }
    uint64_t floats = (uint64_t)n * (stride_of(p->gate->cols) + 2 * stride_of(p->n_ff));
    return scratch_reserve(&b->experts, floats, "activations of experts", err);
}

uint64_t experts_scratch(const struct backend_cpu *b, const struct expert_params *p,
                         uint32_t n_rows)
{
    uint64_t in = MAX(matmul_scratch(b, p->gate, n_rows), matmul_scratch(b, p->up, n_rows));
    return MAX(in, matmul_scratch(b, p->down, n_rows));
}

/* Shares smaller than this together say nothing, and are not divided by their sum. */
#define SMALLEST_SUM 0x1p-14f

static void scores_to_shares(const struct expert_params *p, float *score)
{
    float max = score[0], sum = 0;
    if (p->router == ROUTER_SIGMOID) {
        for (uint32_t e = 0; e < p->n_experts; e++)
            score[e] = 1.0f / (1.0f + expf(-score[e]));
        return;
    }
    for (uint32_t e = 1; e < p->n_experts; e++)
        max = fmaxf(max, score[e]);
    for (uint32_t e = 0; e < p->n_experts; e++)
        sum += score[e] = expf(score[e] - max);
    for (uint32_t e = 0; e < p->n_experts; e++)
        score[e] /= sum;
}

/* What experts are chosen by. */
static float favored(const float *favor, const float *score, uint32_t e)
{
    return score[e] + (favor ? favor[e] : 0.0f);
}

/* Which groups are chosen from. */
static void choose_groups(const struct expert_params *p, const float *favor, const float *score,
                          bool used[EXPERT_GROUPS_MAX])
{
    uint32_t size = p->n_experts / p->n_groups;
    float value[EXPERT_GROUPS_MAX];
    memset(used, 0, EXPERT_GROUPS_MAX * sizeof(*used));
    for (uint32_t g = 0; g < p->n_groups; g++) {
        float best = favored(favor, score, g * size), second = -INFINITY;
        for (uint32_t e = g * size + 1; e < (g + 1) * size; e++) {
            float v = favored(favor, score, e);
            second = v > best ? best : fmaxf(second, v);
            best = fmaxf(best, v);
        }
        value[g] = size > 1 ? best + second : best;
    }
    for (uint32_t k = 0; k < p->n_groups_used; k++) {
        uint32_t best = UINT32_MAX;
        for (uint32_t g = 0; g < p->n_groups; g++)
            if (!used[g] && (best == UINT32_MAX || value[g] > value[best]))
                best = g;
        used[best] = true;
    }
}

/* The n_used best of a row and their shares. */
static void route_row(const struct expert_params *p, float *score, float scale, uint32_t *chosen,
                      float *share)
{
    const float *favor = weight_vector(p->favor);
    bool softmax = p->router == ROUTER_CHOSEN;
    float sum = 0;
    if (!softmax)
        scores_to_shares(p, score);
    bool grouped = p->n_groups > 1, used[EXPERT_GROUPS_MAX];
    if (grouped)
        choose_groups(p, favor, score, used);
    for (uint32_t k = 0; k < p->n_used; k++) {
        uint32_t best = UINT32_MAX;
        float best_value = 0;
        for (uint32_t e = 0; e < p->n_experts; e++) {
            bool taken = grouped && !used[e / (p->n_experts / p->n_groups)];
            for (uint32_t i = 0; i < k && !taken; i++)
                taken = chosen[i] == e;
            float value = favored(favor, score, e);
            if (!taken && (best == UINT32_MAX || value > best_value)) {
                best = e;
                best_value = value;
            }
        }
        chosen[k] = best;
        share[k] = softmax ? expf(score[best] - score[chosen[0]]) : score[best];
        sum += share[k];
    }
    if (!softmax)
        sum = p->norm ? fmaxf(sum, SMALLEST_SUM) : 1.0f;
    for (uint32_t k = 0; k < p->n_used; k++)
        share[k] = share[k] / sum * scale;
}

static void route_rows(void *arg, size_t begin, size_t end, uint32_t thread)
{
    const struct expert_job *j = arg;
    const struct expert_params *p = &j->op->experts;
    (void)thread;
    for (size_t t = begin; t < end; t++)
        route_row(p, j->run->slot[j->op->b] + t * p->n_experts, j->op->scale,
                  j->r->chosen + t * p->n_used, j->r->share + t * p->n_used);
}

/* Sorts the visits by expert. */
static void sort_visits(struct expert_routes *r, const struct expert_params *p, uint32_t n_rows)
{
    size_t n = (size_t)n_rows * p->n_used;
    memset(r->first, 0, ((size_t)p->n_experts + 1) * sizeof(*r->first));
    for (size_t i = 0; i < n; i++)
        r->first[r->chosen[i] + 1]++;
    r->n_active = 0;
    for (uint32_t e = 0; e < p->n_experts; e++) {
        if (r->first[e + 1] > 0)
            r->active[r->n_active++] = e;
        r->first[e + 1] += r->first[e];
    }
    for (size_t i = 0; i < n; i++) {
        uint32_t visit = r->first[r->chosen[i]]++;
        r->visit[i] = visit;
        r->row[visit] = (uint32_t)(i / p->n_used);
    }
    /* Each has moved on to where the next began. */
    memmove(r->first + 1, r->first, p->n_experts * sizeof(*r->first));
    r->first[0] = 0;
}

static void gather_rows(void *arg, size_t begin, size_t end, uint32_t thread)
{
    const struct expert_job *j = arg;
    const float *a = j->run->slot[j->op->a];
    (void)thread;
    for (size_t v = begin; v < end; v++)
        memcpy(j->in + v * j->in_stride, a + j->r->row[v] * j->width, j->width * sizeof(float));
}

static size_t parts_of(size_t n_rows)
{
    return (n_rows + PART_ROWS - 1) / PART_ROWS;
}

/* Part i of the rows of all active experts' matrices of n_rows rows: which expert, which of its
 * rows, and its visits. */
struct part {
    size_t expert, begin, end, first;
    uint32_t n;
};

static struct part part_at(const struct expert_routes *r, size_t i, size_t n_rows)
{
    size_t per_expert = parts_of(n_rows), e = r->active[i / per_expert];
    size_t begin = i % per_expert * PART_ROWS;
    return (struct part){e, begin, MIN(begin + PART_ROWS, n_rows), r->first[e],
                         r->first[e + 1] - r->first[e]};
}

static void add_bias(const float *bias, float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] += bias[i];
}

/* up = what the activation makes of both. */
static void activate(const struct backend_cpu *b, const struct op *op, float *gate, float *up,
                     size_t n)
{
    if (!op->experts.clamped) {
        act_kernel(&b->k, op->act)(gate, up, n, up);
        return;
    }
    /* silu(a g) / a = g sigmoid(a g) */
    const float a = 1.702f, limit = 7.0f;
    for (size_t i = 0; i < n; i++) {
        gate[i] = a * fminf(gate[i], limit);
        up[i] = (fminf(fmaxf(up[i], -limit), limit) + 1.0f) / a;
    }
    b->k.silu(gate, up, n, up);
}

static void inner_part(void *arg, size_t begin, size_t end, uint32_t thread)
{
    const struct expert_job *j = arg;
    const struct expert_params *p = &j->op->experts;
    const struct backend_cpu *b = j->run->b;
    float *panel = b->thread_scratch[thread].data;
    for (size_t i = begin; i < end && !run_canceled(j->run); i++) {
        struct part t = part_at(j->r, i, p->n_ff);
        size_t at = t.first * j->ff_stride + t.begin, row = t.expert * p->n_ff;
        const float *in = j->in + t.first * j->in_stride;
        matmul_rows(b, p->gate, row + t.begin, row + t.end, in, j->in_stride, t.n, j->gate + at,
                    j->ff_stride, panel);
        matmul_rows(b, p->up, row + t.begin, row + t.end, in, j->in_stride, t.n, j->up + at,
                    j->ff_stride, panel);
        for (size_t v = 0; v < t.n; v++, at += j->ff_stride) {
            if (j->gate_bias) {
                add_bias(j->gate_bias + row + t.begin, j->gate + at, t.end - t.begin);
                add_bias(j->up_bias + row + t.begin, j->up + at, t.end - t.begin);
            }
            activate(b, j->op, j->gate + at, j->up + at, t.end - t.begin);
        }
    }
}

static void outer_part(void *arg, size_t begin, size_t end, uint32_t thread)
{
    const struct expert_job *j = arg;
    const struct expert_params *p = &j->op->experts;
    const struct backend_cpu *b = j->run->b;
    for (size_t i = begin; i < end && !run_canceled(j->run); i++) {
        struct part t = part_at(j->r, i, j->width);
        size_t row = t.expert * j->width;
        matmul_rows(b, p->down, row + t.begin, row + t.end, j->up + t.first * j->ff_stride,
                    j->ff_stride, t.n, j->in + t.first * j->in_stride + t.begin, j->in_stride,
                    b->thread_scratch[thread].data);
        for (size_t v = 0; v < t.n && j->down_bias; v++)
            add_bias(j->down_bias + row + t.begin, j->in + (t.first + v) * j->in_stride + t.begin,
                     t.end - t.begin);
    }
}

static const float *bias_rows(const struct weight *w)
{
    return w ? (const float *)(const void *)w->data : NULL;
}

static void add_up_rows(void *arg, size_t begin, size_t end, uint32_t thread)
{
    const struct expert_job *j = arg;
    uint32_t n_used = j->op->experts.n_used;
    (void)thread;
    for (size_t t = begin; t < end; t++) {
        float *dst = j->run->slot[j->op->dst] + t * j->width;
        for (uint32_t k = 0; k < n_used; k++) {
            const float *part = j->in + j->r->visit[t * n_used + k] * j->in_stride;
            float share = j->r->share[t * n_used + k];
            for (size_t i = 0; i < j->width; i++)
                dst[i] = (k > 0 ? dst[i] : 0.0f) + share * part[i];
        }
    }
}

void run_experts(struct run *run, const struct op *op, uint32_t n_rows)
{
    struct backend_cpu *b = run->b;
    const struct expert_params *p = &op->experts;
    size_t n_visits = (size_t)n_rows * p->n_used;
    struct expert_job j = {
        .run = run,
        .op = op,
        .r = b->routes,
        .n_rows = n_rows,
        .width = run->plan->slot_width[op->a],
        .in_stride = stride_of(p->gate->cols),
        .ff_stride = stride_of(p->n_ff),
        .gate_bias = bias_rows(p->gate_bias),
        .up_bias = bias_rows(p->up_bias),
        .down_bias = bias_rows(p->down_bias),
        .in = b->experts.data,
    };
    j.gate = j.in + n_visits * j.in_stride;
    j.up = j.gate + n_visits * j.ff_stride;
    pool_run(b->pool, n_rows, 16, route_rows, &j);
    sort_visits(b->routes, p, n_rows);
    pool_run(b->pool, n_visits, 16, gather_rows, &j);
    pool_run(b->pool, j.r->n_active * parts_of(p->n_ff), 1, inner_part, &j);
    pool_run(b->pool, j.r->n_active * parts_of(j.width), 1, outer_part, &j);
    pool_run(b->pool, n_rows, 16, add_up_rows, &j);
}
