/* SPDX-License-Identifier: Apache-2.0
 *
 * Checks a plan and a batch against each other before anything runs, so that the executor's loops
 * can trust every size and number. A mistake here is one of the plan builder or the batcher:
 * ERR_INTERNAL names the operation. */
#include <inttypes.h>

#include "engine/backend/cpu/cpu.h"

static const char *const op_names[] = {
    [OP_EMBED] = "embed",
    [OP_RMS_NORM] = "rms_norm",
    [OP_LAYER_NORM] = "layer_norm",
    [OP_MATMUL] = "matmul",
    [OP_MATMUL_HEADS] = "matmul_heads",
    [OP_ROPE] = "rope",
    [OP_KV_STORE] = "kv_store",
    [OP_ATTENTION] = "attention",
    [OP_ADD] = "add",
    [OP_MUL] = "mul",
    [OP_MUL_NUMBER] = "mul_number",
    [OP_SCALE] = "scale",
    [OP_SCALE_POSITION] = "scale_position",
    [OP_ACT] = "act",
    [OP_XIELU] = "xielu",
    [OP_GLU] = "glu",
    [OP_SELECT] = "select",
    [OP_SOFTCAP] = "softcap",
    [OP_INPUT] = "input",
    [OP_SLICE] = "slice",
    [OP_CONV1D] = "conv1d",
    [OP_SSM_SCAN] = "ssm_scan",
    [OP_DELTA_NET] = "delta_net",
    [OP_EXPERTS] = "experts",
    [OP_MUL_ROW] = "mul_row",
    [OP_SPARSE] = "sparse",
    [OP_MATCH_LENGTH] = "match_length",
    [OP_MIX_STREAMS] = "mix_streams",
    [OP_ADD_STREAMS] = "add_streams",
    [OP_ADD_ROW] = "add_row",
    [OP_ADD_POSITION] = "add_position",
};

int check_batch(const struct plan *plan, const struct kv *kv, const struct batch *batch,
                struct error *err)
{
    (void)plan;
    if (batch->n_tokens < 0 || batch->n_seqs < 0 || batch->n_out < 0)
        return error_set(err, ERR_INTERNAL, "batch with a negative count");
    int64_t next = 0;
    for (int32_t i = 0; i < batch->n_seqs; i++) {
        const struct batch_seq *s = &batch->seqs[i];
        if (s->first != next || s->n <= 0 || s->n > batch->n_tokens - s->first)
            return error_set(err, ERR_INTERNAL,
                             "batch: sequence %" PRId32 " has rows %" PRId32 "+%" PRId32
                             ", expected to start at %" PRId64 " of %" PRId32,
                             i, s->first, s->n, next, batch->n_tokens);
        if (s->n_past < 0 || s->n_past > INT32_MAX - s->n)
            return error_set(err, ERR_INTERNAL, "batch: sequence %" PRId32 " at position %" PRId32,
                             i, s->n_past);
        for (int32_t k = 0; s->sees && k < s->n; k++) {
            if (s->sees[k] < s->n_past + k || s->sees[k] >= s->n_past + s->n ||
                (k > 0 && s->sees[k] < s->sees[k - 1]))
                return error_set(err, ERR_INTERNAL,
                                 "batch: token %" PRId32 " of sequence %" PRId32
                                 " sees up to position %" PRId32,
                                 k, i, s->sees[k]);
        }
        next += s->n;
        int32_t n_pages = kv ? (s->n_past + s->n - 1) / KV_PAGE_TOKENS + 1 : 0;
        for (int32_t p = 0; p < n_pages; p++) {
            if (s->pages[p] < 0 || (uint32_t)s->pages[p] >= kv->n_pages)
                return error_set(err, ERR_INTERNAL,
                                 "batch: sequence %" PRId32 " has page %" PRId32 " of %u", i,
                                 s->pages[p], kv->n_pages);
        }
        if (kv && kv->states &&
            (s->state_in < -1 || s->state_in >= (int64_t)kv->n_states || s->state_out < 0 ||
             s->state_out >= (int64_t)kv->n_states || s->state_in == s->state_out))
            return error_set(err, ERR_INTERNAL,
                             "batch: sequence %" PRId32 " goes from state %" PRId32 " to %" PRId32
                             " of %u",
                             i, s->state_in, s->state_out, kv->n_states);
    }
    if (next != batch->n_tokens)
        return error_set(err, ERR_INTERNAL,
                         "batch: sequences cover %" PRId64 " of %" PRId32 " rows", next,
                         batch->n_tokens);
    for (int32_t i = 0; i < batch->n_out; i++) {
        if (batch->out_rows[i] < 0 || batch->out_rows[i] >= batch->n_tokens)
            return error_set(err, ERR_INTERNAL, "batch: output row %" PRId32 " of %" PRId32,
                             batch->out_rows[i], batch->n_tokens);
    }
    return 0;
}

/* What one operation is checked against. */
struct check {
    const struct plan *plan;
    const struct kv *kv;
    const struct batch *batch;
    const uint32_t *rows_now; /* [n_slots] rows that a slot holds at this point */
    uint32_t n_tokens;
};

static bool is_vector(const struct weight *w, uint32_t n)
{
    return !w || (w->owned && w->cols == n);
}

static bool check_kv_shape(const struct check *c, const struct op *op, uint32_t heads, uint32_t k,
                           uint32_t v)
{
    const struct kv *kv = c->kv;
    return kv && op->layer < kv->n_layers && kv->n_kv_heads[op->layer] == heads &&
           kv->head_k[op->layer] == k && kv->head_v[op->layer] == v;
}

/* A weight used as plain f32 numbers, [rows][cols]. */
static bool is_f32(const struct weight *w, uint32_t rows, uint32_t cols)
{
    return w && w->type == WT_F32 && w->rows == rows && w->cols == cols;
}

/* What the operations with a state have in common; `size`: floats of it. */
static const char *check_state(const struct check *c, const struct op *op, uint32_t rows,
                               uint64_t state_at, uint64_t size)
{
    const struct kv *kv = c->kv;
    if (!kv || op->layer >= kv->n_layers || !kv->states || state_at + size > kv->state[op->layer])
        return "the state does not fit the cache";
    if (op->dst == op->a || op->dst == op->b)
        return "it cannot work in place";
    return rows != c->n_tokens ? "its rows have no past any more" : NULL;
}

static const char *check_conv(const struct check *c, const struct op *op, uint32_t rows)
{
    const struct conv_params *p = &op->conv;
    const uint32_t *width = c->plan->slot_width;
    if (p->width < 1 || p->width > CONV_WIDTH_MAX || p->channels < 1 ||
        !is_f32(op->w, p->width, p->channels) || !is_vector(op->bias, p->channels))
        return "the weights do not fit the channels";
    if ((uint64_t)p->at + p->channels > width[op->a] || p->channels != width[op->dst])
        return "the slots do not hold the channels";
    return check_state(c, op, rows, p->state_at, (uint64_t)(p->width - 1) * p->channels);
}

static const char *check_scan(const struct check *c, const struct op *op, uint32_t rows)
{
    const struct scan_params *p = &op->scan;
    const uint32_t *width = c->plan->slot_width;
    uint64_t inner = (uint64_t)p->n_heads * p->head, groups = (uint64_t)p->n_groups * p->n_state;
    if (p->n_heads < 1 || p->head < 1 || p->n_state < 1 || p->n_groups < 1 ||
        p->n_heads % p->n_groups != 0 || (p->per_state && (p->head != 1 || p->n_groups != 1)))
        return "the groups do not divide the heads";
    if (!op->bias || !p->d || !is_vector(op->bias, p->n_heads) || !is_vector(p->d, p->n_heads) ||
        !(p->per_state ? is_f32(op->w, p->n_heads, p->n_state) : is_f32(op->w, 1, p->n_heads)))
        return "the weights do not fit the heads";
    if (p->bc >= c->plan->n_slots || c->rows_now[p->bc] != rows || op->dst == p->bc)
        return "its inputs have different numbers of rows";
    if (inner > width[op->a] || inner != width[op->dst] || p->b_at + groups > width[p->bc] ||
        p->c_at + groups > width[p->bc] || (uint64_t)p->dt_at + p->n_heads > width[op->b])
        return "the slots do not hold the heads";
    return check_state(c, op, rows, p->state_at, inner * p->n_state);
}

static const char *check_delta(const struct check *c, const struct op *op, uint32_t rows)
{
    const struct delta_params *p = &op->delta;
    const uint32_t *width = c->plan->slot_width;
    uint64_t keys = (uint64_t)p->n_k_heads * p->head_k, values = (uint64_t)p->n_v_heads * p->head_v;
    if (p->n_k_heads < 1 || p->n_v_heads < 1 || p->head_k < 1 || p->head_v < 1 ||
        p->n_v_heads % p->n_k_heads != 0)
        return "the key heads do not divide the value heads";
    if (!op->bias || !is_f32(op->w, 1, p->n_v_heads) || !is_vector(op->bias, p->n_v_heads))
        return "the weights do not fit the heads";
    if (p->beta >= c->plan->n_slots || c->rows_now[p->beta] != rows || op->dst == p->beta)
        return "its inputs have different numbers of rows";
    if (2 * keys + values != width[op->a] || values != width[op->dst] ||
        width[op->b] != p->n_v_heads || width[p->beta] != p->n_v_heads)
        return "the slots do not hold the heads";
    return check_state(c, op, rows, p->state_at, values * p->head_k);
}

static const char *check_slice(const struct check *c, const struct op *op)
{
    const struct slice_params *p = &op->slice;
    uint64_t a = c->plan->slot_width[op->a], dst = c->plan->slot_width[op->dst];
    if (p->group == 0 || a % p->group != 0 || (uint64_t)p->at + p->n > p->group)
        return "the columns are not there";
    uint64_t n = a / p->group * MAX(p->copies, 1), step = p->step > 0 ? p->step : p->n;
    if (n == 0 || n > dst || p->dst_at + (n - 1) * step + p->n > dst)
        return "the columns are not there";
    return op->dst == op->a ? "it cannot work in place" : NULL;
}

static bool is_stack(const struct weight *w, uint32_t n, uint64_t rows, uint64_t cols)
{
    return w && w->rows == n * rows && w->cols == cols;
}

static const char *check_experts(const struct check *c, const struct op *op)
{
    const struct expert_params *p = &op->experts;
    uint64_t a = c->plan->slot_width[op->a];
    if (p->n_used < 1 || p->n_used > p->n_experts || c->plan->slot_width[op->b] != p->n_experts)
        return "the router does not fit the experts";
    if (!is_stack(p->gate, p->n_experts, p->n_ff, a) ||
        !is_stack(p->up, p->n_experts, p->n_ff, a) || !is_stack(p->down, p->n_experts, a, p->n_ff))
        return "the weights do not fit the experts";
    if (!is_vector(p->favor, p->n_experts))
        return "the router does not fit the experts";
    if (p->n_groups > 1 &&
        (p->n_groups > EXPERT_GROUPS_MAX || p->n_experts % p->n_groups != 0 ||
         p->router == ROUTER_CHOSEN || p->n_groups_used < 1 || p->n_groups_used > p->n_groups ||
         p->n_experts / p->n_groups * p->n_groups_used < p->n_used))
        return "the groups do not fit the experts";
    bool biased = p->gate_bias || p->up_bias || p->down_bias;
    if (biased && !(is_f32(p->gate_bias, p->n_experts, p->n_ff) &&
                    is_f32(p->up_bias, p->n_experts, p->n_ff) &&
                    is_f32(p->down_bias, p->n_experts, (uint32_t)a)))
        return "the biases do not fit the experts";
    if (c->plan->slot_width[op->dst] != a)
        return "widths differ";
    return op->dst == op->b || op->a == op->b ? "it cannot overwrite its scores" : NULL;
}

static const char *check_streams(const struct check *c, const struct op *op, uint32_t rows)
{
    const struct stream_params *p = &op->streams;
    const uint32_t *width = c->plan->slot_width;
    uint64_t a = width[op->a], b = width[op->b];
    bool mix = op->kind == OP_MIX_STREAMS;
    if (p->n == 0 || a % p->n != 0 || width[op->dst] != a ||
        b != (mix ? (uint64_t)p->n * p->n : a / p->n))
        return "the slots do not hold the streams";
    if (mix ? op->dst == op->a || op->dst == op->b : op->dst == op->b)
        return "it cannot work in place";
    if (!p->has_coefs)
        return NULL;
    if (p->coefs >= c->plan->n_slots || width[p->coefs] != p->n || op->dst == p->coefs)
        return "the slots do not hold the streams";
    return c->rows_now[p->coefs] != rows ? "its inputs have different numbers of rows" : NULL;
}

/* NULL, or what is wrong. `a`, `b`, `dst` are the slots' widths, `rows` the rows of slot a. */
static const char *check_op(const struct check *c, const struct op *op, uint32_t rows)
{
    const uint32_t *width = c->plan->slot_width;
    uint64_t a = width[op->a], b = width[op->b], dst = width[op->dst];
    uint32_t group = op->head ? op->head : (uint32_t)a;
    const struct attention_params *p = &op->attn;

    switch (op->kind) {
    case OP_EMBED:
        if (!op->w || op->w->cols != dst)
            return "the table's rows do not fit the slot";
        for (int32_t i = 0; i < c->batch->n_tokens; i++) {
            if (c->batch->ids[i] < 0 || (uint32_t)c->batch->ids[i] >= op->w->rows)
                return "a token id is outside the table";
        }
        return NULL;
    case OP_INPUT:
        for (int32_t i = 0; rows == 0 && i < c->batch->n_tokens; i++) {
            if (!c->batch->rows || !c->batch->rows[i])
                return "a row has no input";
        }
        return NULL;
    case OP_RMS_NORM:
        return dst != a || a % group != 0 ||
                       !(is_vector(op->w, group) || is_vector(op->w, (uint32_t)a))
                   ? "widths differ"
                   : NULL;
    case OP_LAYER_NORM:
        if (dst != a || a % group != 0 || !op->w ||
            !(is_vector(op->w, group) || is_vector(op->w, (uint32_t)a)))
            return "widths differ";
        return is_vector(op->bias, op->w->cols) ? NULL : "widths differ";
    case OP_MATMUL:
        if (!op->w || op->w->cols != a || op->w->rows != dst || !is_vector(op->bias, op->w->rows))
            return "the weight does not fit the slots";
        return op->dst == op->a ? "it cannot work in place" : NULL;
    case OP_MATMUL_HEADS:
        if (!op->w || op->head == 0 || op->w->rows != dst || dst % op->head != 0 ||
            (uint64_t)op->head * op->w->cols != a)
            return "the weight does not fit the slots";
        return op->dst == op->a ? "it cannot work in place" : NULL;
    case OP_ROPE:
        if (dst != a || op->head == 0 || a % op->head != 0)
            return "the slots do not hold whole heads";
        if (op->rope.dims % 2 != 0 || op->rope.dims > op->head || !op->rope.inv_freq)
            return "the rotated width does not fit the heads";
        return rows != c->n_tokens ? "its rows have no positions any more" : NULL;
    case OP_KV_STORE:
        if (!c->kv || op->layer >= c->kv->n_layers ||
            a != (uint64_t)c->kv->n_kv_heads[op->layer] * c->kv->head_k[op->layer] ||
            b != (uint64_t)c->kv->n_kv_heads[op->layer] * c->kv->head_v[op->layer])
            return "the slots do not fit the cache";
        return rows != c->n_tokens ? "its rows have no positions any more" : NULL;
    case OP_ATTENTION:
        if (!check_kv_shape(c, op, p->n_kv_heads, p->head_k, p->head_v))
            return "the heads do not fit the cache";
        if (p->n_kv_heads == 0 || p->n_heads % p->n_kv_heads != 0 ||
            a != (uint64_t)p->n_heads * p->head_k || dst != (uint64_t)p->n_heads * p->head_v)
            return "the slots do not hold whole heads";
        if (!is_vector(op->bias, p->n_heads))
            return "the sinks do not fit the heads";
        if (op->dst == op->a)
            return "it cannot work in place";
        return rows != c->n_tokens ? "its rows have no positions any more" : NULL;
    case OP_MUL_NUMBER:
        return dst != a || b != 1 ? "widths differ" : NULL;
    case OP_ADD:
    case OP_MUL:
    case OP_GLU:
        return dst != a || b != a ? "widths differ" : NULL;
    case OP_ADD_ROW:
        return dst != a || !op->bias || !is_vector(op->bias, (uint32_t)a) ? "widths differ" : NULL;
    case OP_ADD_POSITION:
        if (dst != a || !op->w || op->w->cols != a)
            return "the table's rows do not fit the slots";
        for (int32_t i = 0; i < c->batch->n_seqs; i++) {
            const struct batch_seq *s = &c->batch->seqs[i];
            if ((int64_t)s->n_past + s->n > (int64_t)op->w->rows)
                return "a position is outside the table";
        }
        return rows != c->n_tokens ? "its rows have no positions any more" : NULL;
    case OP_SCALE_POSITION:
        if (dst != a || op->length == 0)
            return "widths differ, or positions are not counted";
        return rows != c->n_tokens ? "its rows have no positions any more" : NULL;
    case OP_SCALE:
    case OP_ACT:
    case OP_XIELU:
    case OP_SOFTCAP:
        return dst != a ? "widths differ" : NULL;
    case OP_SELECT:
        if (dst != a || op->dst == op->a)
            return "it needs two slots of the same width";
        return rows != c->n_tokens ? "its rows were selected before" : NULL;
    case OP_SLICE:
        return check_slice(c, op);
    case OP_CONV1D:
        return check_conv(c, op, rows);
    case OP_SSM_SCAN:
        return check_scan(c, op, rows);
    case OP_DELTA_NET:
        return check_delta(c, op, rows);
    case OP_EXPERTS:
        return check_experts(c, op);
    case OP_MUL_ROW:
        return dst != a || !op->w || !is_vector(op->w, (uint32_t)a) ? "widths differ" : NULL;
    case OP_SPARSE:
        return dst != a ? "widths differ" : NULL;
    case OP_MATCH_LENGTH:
        return dst != a || b == 0 || a % b != 0 ? "widths differ" : NULL;
    case OP_MIX_STREAMS:
    case OP_ADD_STREAMS:
        return check_streams(c, op, rows);
    }
    return "no such operation";
}

static bool reads_a(enum op_kind kind)
{
    return kind != OP_EMBED && kind != OP_INPUT;
}

static bool reads_b(enum op_kind kind)
{
    return kind == OP_KV_STORE || kind == OP_ADD || kind == OP_MUL || kind == OP_MUL_NUMBER ||
           kind == OP_GLU || kind == OP_SSM_SCAN || kind == OP_DELTA_NET || kind == OP_EXPERTS ||
           kind == OP_MATCH_LENGTH || kind == OP_MIX_STREAMS || kind == OP_ADD_STREAMS;
}

int check_plan(const struct plan *plan, const struct kv *kv, const struct batch *batch,
               uint32_t *op_rows, uint32_t *slot_rows, struct error *err)
{
    uint32_t n_out = (uint32_t)batch->n_out;
    const uint32_t unset = UINT32_MAX;

    /* rows_now: what a slot holds at this point of the plan. It stands in the second half of
     * slot_rows. */
    uint32_t *rows_now = slot_rows + plan->n_slots;
    const struct check c = {plan, kv, batch, rows_now, (uint32_t)batch->n_tokens};
    for (size_t s = 0; s < plan->n_slots; s++) {
        slot_rows[s] = 0;
        rows_now[s] = unset;
    }
    for (size_t i = 0; i < plan->n_ops; i++) {
        const struct op *op = &plan->ops[i];
        const char *wrong = NULL;
        uint32_t rows = c.n_tokens;
        if (op->dst >= plan->n_slots || op->a >= plan->n_slots || op->b >= plan->n_slots)
            wrong = "no such slot";
        else if (reads_a(op->kind) && rows_now[op->a] == unset)
            wrong = "it reads a slot that nothing has written";
        else if (reads_b(op->kind) && rows_now[op->b] != rows_now[op->a])
            wrong = "its inputs have different numbers of rows";
        if (!wrong) {
            rows = reads_a(op->kind) ? rows_now[op->a] : c.n_tokens;
            /* OP_INPUT may leave rows alone if its slot has some: 0 tells check_op() it has none.
             */
            bool written = rows_now[op->dst] == c.n_tokens;
            wrong = check_op(&c, op, op->kind == OP_INPUT && !written ? 0 : rows);
        }
        if (wrong)
            return error_set(err, ERR_INTERNAL, "operation %zu of the plan (%s): %s", i,
                             (size_t)op->kind < ARRAY_LEN(op_names) ? op_names[op->kind] : "?",
                             wrong);
        op_rows[i] = rows;
        if (op->kind == OP_KV_STORE)
            continue;
        rows_now[op->dst] = op->kind == OP_SELECT ? n_out : rows;
        slot_rows[op->dst] = MAX(slot_rows[op->dst], rows_now[op->dst]);
    }
    if (plan->out_slot >= plan->n_slots || rows_now[plan->out_slot] != n_out)
        return error_set(err, ERR_INTERNAL,
                         "the plan's output slot %u does not hold the %u output rows",
                         plan->out_slot, n_out);
    return 0;
}
