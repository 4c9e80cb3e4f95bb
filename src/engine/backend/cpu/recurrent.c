/* SPDX-License-Identifier: Apache-2.0
 *
 * Layers that carry a state: convolution over time, selective scans, the gated delta rule.
 *
 * A part of the work is some channels, or a head, of all sequences: it walks the parts of the batch
 * in their order and their tokens one by one, since a part may start from the state that the one
 * before it leaves. Each channel's sums depend on its own past alone, so the bits do not depend on
 * how tokens, channels and threads are cut. */
#include <math.h>
#include <string.h>

#include "engine/backend/cpu/cpu.h"

/* Channels of a part: a few cache lines of each row. */
enum { CHANNELS = 64 };

struct state_job {
    struct run *run;
    const struct op *op;
    const float *a, *b, *c; /* rows of the slots; c: bc, beta */
    size_t a_width, b_width, c_width, dst_width;
    float *dst;
    const float *w, *bias;
    size_t blocks; /* delta: parts of a head's columns */
};

static struct state_job job_of(struct run *run, const struct op *op, uint16_t c)
{
    const uint32_t *width = run->plan->slot_width;
    return (struct state_job){
        .run = run,
        .op = op,
        .a = run->slot[op->a],
        .b = run->slot[op->b],
        .c = run->slot[c],
        .dst = run->slot[op->dst],
        .a_width = width[op->a],
        .b_width = width[op->b],
        .c_width = width[c],
        .dst_width = width[op->dst],
        .w = (const float *)(const void *)op->w->data,
        .bias = weight_vector(op->bias),
    };
}

/* Where the state of this operation begins in a sequence's two slots. */
struct state_pair {
    const float *in; /* NULL: the sequence begins */
    float *out;
};

static struct state_pair state_of(const struct state_job *j, const struct batch_seq *seq,
                                  size_t state_at)
{
    const struct kv *kv = j->run->kv;
    struct state_pair s = {.out = kv_state(kv, seq->state_out, j->op->layer) + state_at};
    if (seq->state_in >= 0)
        s.in = kv_state(kv, seq->state_in, j->op->layer) + state_at;
    return s;
}

/* `rows` rows of n floats, `stride` apart, to start from: those of `in`, or zeros put into `out`.
 */
static const float *state_start(const float *in, float *out, size_t rows, size_t stride, size_t n)
{
    for (size_t i = 0; !in && i < rows; i++)
        memset(out + i * stride, 0, n * sizeof(float));
    return in ? in : out;
}

/* ---- convolution ---- */

static void conv_seq(const struct state_job *j, const struct batch_seq *seq, size_t c0, size_t n)
{
    const struct conv_params *p = &j->op->conv;
    const struct kernels *k = &j->run->b->k;
    size_t kept = p->width - 1, n_tokens = (size_t)seq->n;
    struct state_pair s = state_of(j, seq, p->state_at + c0);
    const float *in = state_start(s.in, s.out, kept, p->channels, n);
    const float *x = j->a + (size_t)seq->first * j->a_width + p->at + c0;
    const float *rows[CONV_WIDTH_MAX];

    for (size_t t = 0; t < n_tokens; t++) {
        for (size_t i = 0; i < p->width; i++) /* input t - kept + i */
            rows[i] = t + i < kept ? in + (t + i) * p->channels : x + (t + i - kept) * j->a_width;
        float *dst = j->dst + ((size_t)seq->first + t) * p->channels + c0;
        k->conv1d(rows, p->width, j->w + c0, p->channels, j->bias ? j->bias + c0 : NULL, n, dst);
        if (p->silu)
            k->silu(dst, NULL, n, dst);
    }
    for (size_t i = 0; i < kept; i++) { /* upwards: `in` may be `out`, and rows move down */
        const float *row = n_tokens + i < kept ? in + (n_tokens + i) * p->channels
                                               : x + (n_tokens + i - kept) * j->a_width;
        memcpy(s.out + i * p->channels, row, n * sizeof(float));
    }
}

static void conv_part(void *arg, size_t begin, size_t end, uint32_t thread)
{
    const struct state_job *j = arg;
    (void)thread;
    for (int32_t i = 0; i < j->run->batch->n_seqs && !run_canceled(j->run); i++)
        conv_seq(j, &j->run->batch->seqs[i], begin, end - begin);
}

void run_conv1d(struct run *run, const struct op *op)
{
    struct state_job job = job_of(run, op, op->a);
    pool_run(run->b->pool, op->conv.channels, CHANNELS, conv_part, &job);
}

/* ---- selective scans ---- */

/* dt = softplus(dt + bias) of n heads. */
static void time_steps(const struct state_job *j, size_t row, size_t h0, size_t n, float *dt)
{
    const float *src = j->b + row * j->b_width + j->op->scan.dt_at + h0;
    for (size_t i = 0; i < n; i++)
        dt[i] = src[i] + j->bias[h0 + i];
    j->run->b->k.softplus(dt, NULL, n, dt);
}

static void scan_head(const struct state_job *j, const struct batch_seq *seq, size_t h)
{
    const struct scan_params *p = &j->op->scan;
    const float *d = weight_vector(p->d);
    size_t group = h / (p->n_heads / p->n_groups), size = (size_t)p->n_state * p->head;
    struct state_pair s = state_of(j, seq, p->state_at + h * size);
    const float *from = state_start(s.in, s.out, 1, size, size);
    for (size_t t = 0; t < (size_t)seq->n; t++) {
        size_t row = (size_t)seq->first + t;
        const float *x = j->a + row * j->a_width + h * p->head;
        const float *bc = j->c + row * j->c_width + group * p->n_state;
        float *y = j->dst + row * j->dst_width + h * p->head;
        float dt;
        time_steps(j, row, h, 1, &dt);
        j->run->b->k.ssm_head(from, s.out, p->n_state, p->head, expf(dt * j->w[h]), dt, x,
                              bc + p->b_at, bc + p->c_at, y);
        for (size_t i = 0; i < p->head; i++)
            y[i] += d[h] * x[i];
        from = s.out;
    }
}

/* The heads are single channels: n of them at once. */
static void scan_channels(const struct state_job *j, const struct batch_seq *seq, size_t h0,
                          size_t n)
{
    const struct scan_params *p = &j->op->scan;
    const float *d = weight_vector(p->d) + h0;
    size_t size = n * p->n_state;
    struct state_pair s = state_of(j, seq, p->state_at + h0 * p->n_state);
    const float *from = state_start(s.in, s.out, 1, size, size);
    float dt[CHANNELS];
    for (size_t t = 0; t < (size_t)seq->n; t++) {
        size_t row = (size_t)seq->first + t;
        const float *x = j->a + row * j->a_width + h0, *bc = j->c + row * j->c_width;
        float *y = j->dst + row * j->dst_width + h0;
        time_steps(j, row, h0, n, dt);
        j->run->b->k.ssm_channels(from, s.out, p->n_state, n, j->w + h0 * p->n_state, dt, x,
                                  bc + p->b_at, bc + p->c_at, y);
        for (size_t i = 0; i < n; i++)
            y[i] += d[i] * x[i];
        from = s.out;
    }
}

static void scan_part(void *arg, size_t begin, size_t end, uint32_t thread)
{
    const struct state_job *j = arg;
    (void)thread;
    for (int32_t i = 0; i < j->run->batch->n_seqs && !run_canceled(j->run); i++) {
        const struct batch_seq *seq = &j->run->batch->seqs[i];
        if (j->op->scan.per_state) {
            scan_channels(j, seq, begin, end - begin);
        } else {
            for (size_t h = begin; h < end; h++)
                scan_head(j, seq, h);
        }
    }
}

void run_ssm_scan(struct run *run, const struct op *op)
{
    struct state_job job = job_of(run, op, op->scan.bc);
    pool_run(run->b->pool, op->scan.n_heads, op->scan.per_state ? CHANNELS : 1, scan_part, &job);
}

/* ---- the gated delta rule ---- */

uint64_t delta_net_scratch(const struct delta_params *p)
{
    return 2 * (uint64_t)p->head_k;
}

/* Columns [c0, c0 + n) of one head. */
static void delta_columns(const struct state_job *j, const struct batch_seq *seq, size_t h,
                          size_t c0, size_t n, float *scratch)
{
    const struct delta_params *p = &j->op->delta;
    const struct kernels *k = &j->run->b->k;
    size_t key = p->tiled ? h % p->n_k_heads : h / (p->n_v_heads / p->n_k_heads);
    size_t keys = (size_t)p->n_k_heads * p->head_k, head_k = p->head_k;
    float *q = scratch, *kn = scratch + head_k;
    float unit = 1.0f / sqrtf((float)head_k), eps = j->op->eps / (float)head_k;
    struct state_pair s = state_of(j, seq, p->state_at + h * head_k * p->head_v + c0);
    const float *from = state_start(s.in, s.out, head_k, p->head_v, n);
    for (size_t t = 0; t < (size_t)seq->n; t++) {
        size_t row = (size_t)seq->first + t;
        const float *a = j->a + row * j->a_width;
        /* x / sqrt(Σ x² + eps), once more divided by sqrt(head_k) for q */
        k->rms_norm(a + key * head_k, NULL, head_k, eps, q);
        k->rms_norm(a + keys + key * head_k, NULL, head_k, eps, kn);
        for (size_t i = 0; i < head_k; i++) {
            q[i] *= unit * unit;
            kn[i] *= unit;
        }
        float step = j->b[row * j->b_width + h] + j->bias[h];
        float beta = j->c[row * j->c_width + h];
        k->softplus(&step, NULL, 1, &step);
        k->sigmoid(&beta, NULL, 1, &beta);
        k->delta_step(from, s.out, p->head_v, head_k, n, q, kn, a + 2 * keys + h * p->head_v + c0,
                      expf(step * j->w[h]), beta, j->dst + row * j->dst_width + h * p->head_v + c0);
        from = s.out;
    }
}

static void delta_part(void *arg, size_t begin, size_t end, uint32_t thread)
{
    const struct state_job *j = arg;
    size_t head_v = j->op->delta.head_v;
    float *scratch = j->run->b->thread_scratch[thread].data;
    for (size_t item = begin; item < end; item++) {
        size_t c0 = item % j->blocks * CHANNELS, n = MIN(head_v - c0, (size_t)CHANNELS);
        for (int32_t i = 0; i < j->run->batch->n_seqs && !run_canceled(j->run); i++)
            delta_columns(j, &j->run->batch->seqs[i], item / j->blocks, c0, n, scratch);
    }
}

void run_delta_net(struct run *run, const struct op *op)
{
    struct state_job job = job_of(run, op, op->delta.beta);
    job.blocks = ((size_t)op->delta.head_v + CHANNELS - 1) / CHANNELS;
    pool_run(run->b->pool, op->delta.n_v_heads * job.blocks, 1, delta_part, &job);
}
