/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs a plan for a batch, one operation after the other, each on all threads. */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "engine/backend/cpu/cpu.h"

/* Floats of element-wise work that are worth another thread. */
enum { PART_FLOATS = 8192 };

/* ---- memory ---- */

int scratch_reserve(struct scratch *s, uint64_t n, const char *what, struct error *err)
{
    if (n <= s->cap)
        return 0;
    scratch_release(s);
    s->data = n <= SIZE_MAX ? alloc_aligned((size_t)n, sizeof(float)) : NULL;
    if (!s->data)
        return error_set(err, ERR_NOMEM, "out of memory for %s; use smaller batches", what);
    s->cap = (size_t)n;
    return 0;
}

void scratch_release(struct scratch *s)
{
    free(s->data);
    *s = (struct scratch){0};
}

/* ---- row-wise operations ---- */

struct row_job {
    const struct run *run;
    const struct op *op;
    size_t width; /* of slot dst */
    const float *a, *b;
    float *dst;
};

act_fn act_kernel(const struct kernels *k, enum act_kind kind)
{
    switch (kind) {
    case ACT_SILU:
        return k->silu;
    case ACT_GELU_TANH:
        return k->gelu_tanh;
    case ACT_GELU_ERF:
        return k->gelu_erf;
    case ACT_RELU:
        return k->relu;
    case ACT_RELU_SQR:
        return k->relu_sqr;
    case ACT_SIGMOID:
        return k->sigmoid;
    }
    return NULL;
}

static void embed_rows(void *arg, size_t begin, size_t end, uint32_t thread)
{
    const struct row_job *j = arg;
    const struct weight *w = j->op->w;
    (void)thread;
    for (size_t t = begin; t < end; t++) {
        float *dst = j->dst + t * j->width;
        size_t id = (size_t)j->run->batch->ids[t];
        j->run->b->k.weight[w->type].dequant(w->data + id * w->row_bytes, dst, j->width);
        for (size_t i = 0; i < j->width && j->op->scale != 1.0f; i++)
            dst[i] *= j->op->scale;
    }
}

static void input_rows(void *arg, size_t begin, size_t end, uint32_t thread)
{
    const struct row_job *j = arg;
    (void)thread;
    for (size_t t = begin; t < end; t++)
        if (j->run->batch->rows[t])
            memcpy(j->dst + t * j->width, j->run->batch->rows[t], j->width * sizeof(float));
}

static void add_row_rows(void *arg, size_t begin, size_t end, uint32_t thread)
{
    const struct row_job *j = arg;
    const float *row = weight_vector(j->op->bias);
    (void)thread;
    for (size_t t = begin; t < end; t++)
        for (size_t i = 0; i < j->width; i++)
            j->dst[t * j->width + i] = j->a[t * j->width + i] + row[i];
}

static void add_position_rows(void *arg, size_t begin, size_t end, uint32_t thread)
{
    const struct row_job *j = arg;
    const struct weight *w = j->op->w;
    float *row = j->run->b->thread_scratch[thread].data;
    for (size_t t = begin; t < end; t++) {
        size_t position = (size_t)j->run->b->positions[t];
        j->run->b->k.weight[w->type].dequant(w->data + position * w->row_bytes, row, j->width);
        for (size_t i = 0; i < j->width; i++)
            j->dst[t * j->width + i] = j->a[t * j->width + i] + row[i];
    }
}

static void norm_rows(void *arg, size_t begin, size_t end, uint32_t thread)
{
    const struct row_job *j = arg;
    const struct op *op = j->op;
    const struct kernels *k = &j->run->b->k;
    const float *w = weight_vector(op->w), *bias = weight_vector(op->bias);
    size_t group = op->head ? op->head : j->width;
    (void)thread;
    bool per_row = op->w && op->w->cols == j->width; /* else the weights are a group's */
    for (size_t at = begin * j->width; at < end * j->width; at += group) {
        size_t of = per_row ? at % j->width : 0;
        if (op->kind == OP_RMS_NORM)
            k->rms_norm(j->a + at, w ? w + of : NULL, group, op->eps, j->dst + at);
        else
            k->layer_norm(j->a + at, w ? w + of : NULL, bias ? bias + of : NULL, group, op->eps,
                          j->dst + at);
    }
}

static void mul_number_rows(void *arg, size_t begin, size_t end, uint32_t thread)
{
    const struct row_job *j = arg;
    (void)thread;
    for (size_t t = begin; t < end; t++)
        for (size_t i = 0; i < j->width; i++)
            j->dst[t * j->width + i] = j->a[t * j->width + i] * j->b[t];
}

static void scale_position_rows(void *arg, size_t begin, size_t end, uint32_t thread)
{
    const struct row_job *j = arg;
    (void)thread;
    for (size_t t = begin; t < end; t++) {
        double periods = (double)((uint32_t)j->run->b->positions[t] / j->op->length);
        float scale = (float)(1 + (double)j->op->scale * log(1 + periods));
        for (size_t i = 0; i < j->width; i++)
            j->dst[t * j->width + i] = j->a[t * j->width + i] * scale;
    }
}

static void xielu(const struct xielu_params *p, const float *a, size_t n, float *dst)
{
    for (size_t i = 0; i < n; i++) {
        float x = a[i];
        dst[i] =
            x > 0 ? (p->p * x + p->beta) * x : p->n * (expm1f(fminf(x, p->eps)) - x) + p->beta * x;
    }
}

static void element_rows(void *arg, size_t begin, size_t end, uint32_t thread)
{
    const struct row_job *j = arg;
    const struct op *op = j->op;
    const struct kernels *k = &j->run->b->k;
    const float *a = j->a + begin * j->width, *b = j->b + begin * j->width;
    float *dst = j->dst + begin * j->width;
    size_t n = (end - begin) * j->width;
    (void)thread;
    switch (op->kind) {
    case OP_ADD:
        for (size_t i = 0; i < n; i++)
            dst[i] = a[i] + b[i];
        break;
    case OP_MUL:
        for (size_t i = 0; i < n; i++)
            dst[i] = a[i] * b[i];
        break;
    case OP_SCALE:
        for (size_t i = 0; i < n; i++)
            dst[i] = a[i] * op->scale;
        break;
    case OP_ACT:
        act_kernel(k, op->act)(a, NULL, n, dst);
        break;
    case OP_XIELU:
        xielu(&op->xielu, a, n, dst);
        break;
    case OP_GLU:
        act_kernel(k, op->act)(a, b, n, dst);
        break;
    case OP_SOFTCAP:
        k->softcap(a, n, op->scale, dst);
        break;
    default:
        break;
    }
}

static void slice_rows(void *arg, size_t begin, size_t end, uint32_t thread)
{
    const struct row_job *j = arg;
    const struct slice_params *p = &j->op->slice;
    size_t a_width = j->run->plan->slot_width[j->op->a], n_groups = a_width / p->group;
    size_t step = p->step > 0 ? p->step : p->n, n_copies = MAX(p->copies, 1) * n_groups;
    (void)thread;
    for (size_t t = begin; t < end; t++)
        for (size_t g = 0; g < n_copies; g++)
            memcpy(j->dst + t * j->width + p->dst_at + g * step,
                   j->a + t * a_width + g % n_groups * p->group + p->at, p->n * sizeof(float));
}

static void select_rows(void *arg, size_t begin, size_t end, uint32_t thread)
{
    const struct row_job *j = arg;
    (void)thread;
    for (size_t i = begin; i < end; i++)
        memcpy(j->dst + i * j->width, j->a + (size_t)j->run->batch->out_rows[i] * j->width,
               j->width * sizeof(float));
}

static void run_rows(const struct run *run, const struct op *op, size_t n_rows, pool_fn fn)
{
    struct row_job job = {
        .run = run,
        .op = op,
        .width = run->plan->slot_width[op->dst],
        .a = run->slot[op->a],
        .b = run->slot[op->b],
        .dst = run->slot[op->dst],
    };
    size_t part = MAX(PART_FLOATS / MAX(job.width, 1), 1);
    pool_run(run->b->pool, n_rows, part, fn, &job);
}

/* ---- the plan ---- */

static int run_op(struct run *run, const struct op *op, uint32_t n_rows, struct error *err)
{
    switch (op->kind) {
    case OP_EMBED:
        run_rows(run, op, n_rows, embed_rows);
        return 0;
    case OP_INPUT:
        if (run->batch->rows)
            run_rows(run, op, n_rows, input_rows);
        return 0;
    case OP_ADD_ROW:
        run_rows(run, op, n_rows, add_row_rows);
        return 0;
    case OP_ADD_POSITION:
        run_rows(run, op, n_rows, add_position_rows);
        return 0;
    case OP_MUL_NUMBER:
        run_rows(run, op, n_rows, mul_number_rows);
        return 0;
    case OP_SCALE_POSITION:
        run_rows(run, op, n_rows, scale_position_rows);
        return 0;
    case OP_RMS_NORM:
    case OP_LAYER_NORM:
        run_rows(run, op, n_rows, norm_rows);
        return 0;
    case OP_MATMUL:
        run_matmul(run, op, n_rows);
        run_low_rank(run, op, n_rows);
        return 0;
    case OP_MATMUL_HEADS:
        run_matmul_heads(run, op, n_rows);
        return 0;
    case OP_ROPE:
        return run_rope(run, op, err);
    case OP_KV_STORE:
        run_kv_store(run, op);
        return 0;
    case OP_ATTENTION:
        run_attention(run, op);
        return 0;
    case OP_CONV1D:
        run_conv1d(run, op);
        return 0;
    case OP_SSM_SCAN:
        run_ssm_scan(run, op);
        return 0;
    case OP_DELTA_NET:
        run_delta_net(run, op);
        return 0;
    case OP_EXPERTS:
        run_experts(run, op, n_rows);
        return 0;
    case OP_MUL_ROW:
    case OP_SPARSE:
    case OP_MATCH_LENGTH:
    case OP_MIX_STREAMS:
    case OP_ADD_STREAMS:
        run_streams(run, op, n_rows);
        return 0;
    case OP_SLICE:
        run_rows(run, op, n_rows, slice_rows);
        return 0;
    case OP_SELECT:
        run_rows(run, op, (size_t)run->batch->n_out, select_rows);
        return 0;
    case OP_ADD:
    case OP_MUL:
    case OP_SCALE:
    case OP_ACT:
    case OP_XIELU:
    case OP_GLU:
    case OP_SOFTCAP:
        run_rows(run, op, n_rows, element_rows);
        return 0;
    }
    return error_set(err, ERR_INTERNAL, "the plan has an operation of unknown kind %d", op->kind);
}

/* Positions of the rows, and the sequences cut into chunks; the memory is there. */
static void lay_out_batch(struct run *run)
{
    struct backend_cpu *b = run->b;
    for (int32_t s = 0; s < run->batch->n_seqs; s++) {
        const struct batch_seq *seq = &run->batch->seqs[s];
        for (int32_t i = 0; i < seq->n; i++)
            b->positions[seq->first + i] = seq->n_past + i;
        uint32_t n = (uint32_t)seq->n;
        for (uint32_t at = 0; at < n; at += QUERY_CHUNK)
            b->chunks[run->n_chunks++] =
                (struct query_chunk){.seq = seq, .first = at, .n = MIN(n - at, QUERY_CHUNK)};
    }
}

/* Memory for everything that the batch needs, so that nothing fails once it runs. */
static int reserve(struct run *run, const uint32_t *slot_rows, struct error *err)
{
    struct backend_cpu *b = run->b;
    const struct plan *plan = run->plan;
    size_t n_tokens = (size_t)run->batch->n_tokens;

    if (n_tokens > b->cap_tokens) {
        free(b->positions);
        free(b->chunks);
        b->cap_tokens = 0;
        b->positions = alloc_array(n_tokens, sizeof(*b->positions));
        b->chunks = alloc_array(n_tokens, sizeof(*b->chunks));
        if (!b->positions || !b->chunks)
            return error_set(err, ERR_NOMEM, "out of memory for a batch of %zu tokens", n_tokens);
        b->cap_tokens = n_tokens;
    }
    if (plan->n_slots > b->n_slots) {
        b->slots = xrealloc(b->slots, plan->n_slots, sizeof(*b->slots));
        memset(b->slots + b->n_slots, 0, (plan->n_slots - b->n_slots) * sizeof(*b->slots));
        b->n_slots = plan->n_slots;
    }
    for (size_t s = 0; s < plan->n_slots; s++) {
        if (run->slot[s])
            continue; /* the caller's */
        uint64_t n = (uint64_t)slot_rows[s] * plan->slot_width[s];
        int r = scratch_reserve(&b->slots[s], n, "activations", err);
        if (r < 0)
            return r;
        run->slot[s] = b->slots[s].data;
    }
    uint64_t most = 0, vectors = 0, middle = 0;
    for (size_t i = 0; i < plan->n_ops; i++) {
        const struct op *op = &plan->ops[i];
        uint64_t n = 0;
        if (op->kind == OP_MATMUL) {
            n = matmul_scratch(b, op->w, b->op_rows[i]);
            vectors = MAX(vectors, matmul_copy(b, op->w, b->op_rows[i]));
            if (run->row_scales) {
                n = MAX(n, low_rank_scratch(b, op->w));
                middle = MAX(middle, low_rank_middle(op->w));
            }
        } else if (op->kind == OP_MATMUL_HEADS) {
            n = matmul_scratch(b, op->w, b->op_rows[i]);
        } else if (op->kind == OP_ATTENTION) {
            n = attention_scratch(&op->attn);
        } else if (op->kind == OP_DELTA_NET) {
            n = delta_net_scratch(&op->delta);
        } else if (op->kind == OP_ADD_POSITION) {
            n = plan->slot_width[op->dst];
        } else if (op->kind == OP_EXPERTS) {
            n = experts_scratch(b, &op->experts, b->op_rows[i]);
            int r = experts_reserve(b, &op->experts, b->op_rows[i], err);
            if (r < 0)
                return r;
        }
        most = MAX(most, n);
    }
    int copied = scratch_reserve(&b->vectors, vectors, "activations", err);
    if (copied == 0)
        copied = scratch_reserve(&b->middle, middle, "activations", err);
    if (copied < 0)
        return copied;
    for (uint32_t t = 0; t < b->n_threads; t++) {
        int r = scratch_reserve(&b->thread_scratch[t], most, "the threads' working memory", err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int run_plan(struct run *run, struct error *err)
{
    for (size_t i = 0; i < run->plan->n_ops; i++) {
        uint32_t n_rows = run->b->op_rows[i];
        int r = n_rows ? run_op(run, &run->plan->ops[i], n_rows, err) : 0;
        if (r < 0)
            return r;
        low_rank_follow(run, &run->plan->ops[i]);
        if (run_canceled(run))
            return error_set(err, ERR_CANCELED, "the computation was canceled");
    }
    return 0;
}

int cpu_execute(struct backend *backend, const struct plan *plan, struct kv *kv,
                const struct batch *batch, float *out, const volatile bool *cancel,
                struct error *err)
{
    struct backend_cpu *b = backend_cpu_of(backend);
    int r = check_batch(plan, kv, batch, err);
    if (r < 0)
        return r;
    if (plan->n_ops > b->cap_ops) {
        b->op_rows = xrealloc(b->op_rows, plan->n_ops, sizeof(*b->op_rows));
        b->cap_ops = plan->n_ops;
    }
    CLEANUP_FREE uint32_t *slot_rows = xcalloc(2 * (size_t)plan->n_slots, sizeof(*slot_rows));
    CLEANUP_FREE float **slot = xcalloc(plan->n_slots, sizeof(float *));
    r = check_plan(plan, kv, batch, b->op_rows, slot_rows, err);
    if (r < 0 || batch->n_tokens == 0)
        return r;

    CLEANUP(low_rank_end)
    struct run run = {
        .b = b,
        .plan = plan,
        .kv = kv,
        .batch = batch,
        .cancel = cancel,
        .slot = slot,
    };
    /* The output is computed where the caller wants it, if the slot holds nothing larger before. */
    bool direct = slot_rows[plan->out_slot] == (uint32_t)batch->n_out && batch->n_out > 0;
    if (direct)
        slot[plan->out_slot] = out;
    r = low_rank_begin(&run, err);
    if (r == 0)
        r = reserve(&run, slot_rows, err);
    if (r < 0)
        return r;
    lay_out_batch(&run);
    for (size_t i = 0; i < ROPE_TABLES; i++)
        b->rope[i].inv_freq = NULL; /* those of the last batch's positions */
    r = run_plan(&run, err);
    if (r < 0)
        return r;
    if (!direct && batch->n_out > 0)
        memcpy(out, slot[plan->out_slot],
               (size_t)batch->n_out * plan->slot_width[plan->out_slot] * sizeof(float));
    return 0;
}
