/* SPDX-License-Identifier: Apache-2.0
 *
 * Layers with a state: each operation against a plain loop in double precision; the same bits in
 * one piece, in chunks, among others and with parts that leave a state in the midst; a state that
 * was written once stays what it is, also when the work that started from it is canceled. */
#include "backend_test.h"

enum { TOKENS = 23, STATES = 12, WEIGHTS = 8 };

/* A plan of one operation over embedded rows. */
struct rig {
    struct backend *b;
    struct kv *kv;
    struct weight *weights[WEIGHTS];
    float *data[WEIGHTS];
    size_t n_weights;
    struct op ops[4];
    size_t n_ops;
    uint32_t width[4];
    uint16_t n_slots;
    uint32_t out_width;
};

static const struct weight *rig_weight(struct rig *r, uint32_t rows, uint32_t cols, float scale,
                                       float offset, uint64_t seed)
{
    struct error err = ERROR_INIT;
    size_t i = r->n_weights++;
    assert_true(i < WEIGHTS);
    r->data[i] = random_floats((size_t)rows * cols, &seed);
    for (size_t k = 0; k < (size_t)rows * cols; k++)
        r->data[i][k] = r->data[i][k] * scale + offset;
    const struct weight_desc desc = {"w", WT_F32, rows, cols, r->data[i]};
    bool keeps;
    assert_ok(r->b->ops->weight_load(r->b, &desc, &r->weights[i], &keeps, &err));
    return r->weights[i];
}

/* A slot whose row of token id t is row t of a random table; returns the table. */
static const float *rig_input(struct rig *r, uint32_t width, uint64_t seed)
{
    const struct weight *w = rig_weight(r, TOKENS, width, 1, 0, seed);
    r->width[r->n_slots] = width;
    r->ops[r->n_ops++] = (struct op){.kind = OP_EMBED, .dst = r->n_slots++, .w = w, .scale = 1.0f};
    return r->data[r->n_weights - 1];
}

static void rig_end(struct rig *r, struct op op, uint32_t out_width, uint32_t state)
{
    struct error err = ERROR_INIT;
    op.dst = r->n_slots;
    r->width[r->n_slots++] = r->out_width = out_width;
    r->ops[r->n_ops++] = op;
    const struct kv_desc desc = {
        .n_layers = 2,
        .n_pages = 1,
        .type = KV_F16,
        .n_kv_heads = (uint32_t[]){0, 0},
        .head_k = (uint32_t[]){0, 0},
        .head_v = (uint32_t[]){0, 0},
        .n_states = STATES,
        .state = (uint32_t[]){3, op.conv.state_at + state},
    };
    assert_int_equal(kv_state_bytes(&desc), 4 * (3 + op.conv.state_at + state));
    assert_ok(r->b->ops->kv_create(r->b, &desc, &r->kv, &err));
}

static void rig_close(struct rig *r)
{
    for (size_t i = 0; i < r->n_weights; i++) {
        r->b->ops->weight_free(r->b, r->weights[i]);
        free(r->data[i]);
    }
    r->b->ops->kv_free(r->b, r->kv);
    r->b->ops->destroy(r->b);
}

/* Parts of tokens: [from, from + n) of the one text, from state to state. */
struct part {
    int32_t from, n, state_in, state_out;
};

static int rig_run(struct rig *r, const struct part *parts, size_t n_parts, float *out,
                   const volatile bool *cancel, struct error *err)
{
    static const int32_t page = 0;
    struct batch_seq seqs[8];
    int32_t ids[4 * TOKENS], rows[4 * TOKENS];
    struct batch batch = {.ids = ids, .seqs = seqs, .out_rows = rows};
    for (size_t i = 0; i < n_parts; i++) {
        seqs[batch.n_seqs++] = (struct batch_seq){.first = batch.n_tokens,
                                                  .n = parts[i].n,
                                                  .n_past = parts[i].from,
                                                  .pages = &page,
                                                  .state_in = parts[i].state_in,
                                                  .state_out = parts[i].state_out};
        for (int32_t k = 0; k < parts[i].n; k++) {
            rows[batch.n_tokens] = batch.n_tokens;
            ids[batch.n_tokens++] = parts[i].from + k;
        }
    }
    batch.n_out = batch.n_tokens;
    const struct plan plan = {r->ops, r->n_ops, r->width, r->n_slots, (uint16_t)(r->n_slots - 1)};
    return r->b->ops->execute(r->b, &plan, r->kv, &batch, out, cancel, err);
}

static void rig_must(struct rig *r, const struct part *parts, size_t n_parts, float *out)
{
    struct error err = ERROR_INIT;
    assert_ok(rig_run(r, parts, n_parts, out, NULL, &err));
}

/* ---- the operations ---- */

enum { CONV_WIDTH = 4, CHANNELS = 83, CONV_AT = 5 };

static void open_conv(struct rig *r, double *want)
{
    const float *x = rig_input(r, CONV_AT + CHANNELS + 2, 1);
    const struct weight *w = rig_weight(r, CONV_WIDTH, CHANNELS, 1, 0, 2);
    const float *wf = r->data[r->n_weights - 1];
    const struct weight *bias = rig_weight(r, 1, CHANNELS, 1, 0, 3);
    const float *bf = r->data[r->n_weights - 1];
    rig_end(r,
            (struct op){.kind = OP_CONV1D,
                        .layer = 1,
                        .w = w,
                        .bias = bias,
                        .conv = {.width = CONV_WIDTH,
                                 .channels = CHANNELS,
                                 .at = CONV_AT,
                                 .silu = true,
                                 .state_at = 7}},
            CHANNELS, 7 + (CONV_WIDTH - 1) * CHANNELS);
    for (int t = 0; t < TOKENS; t++) {
        for (int c = 0; c < CHANNELS; c++) {
            double sum = (double)bf[c];
            for (int j = 0; j < CONV_WIDTH; j++) {
                int from = t - (CONV_WIDTH - 1) + j;
                if (from >= 0)
                    sum += (double)wf[j * CHANNELS + c] *
                           (double)x[from * (CONV_AT + CHANNELS + 2) + CONV_AT + c];
            }
            want[t * CHANNELS + c] = sum / (1 + exp(-sum));
        }
    }
}

static double softplus(double x)
{
    return log1p(exp(x));
}

/* Mamba 2 with heads of 5 in 2 groups; or Mamba 1 with 70 channels. */
static void open_scan(struct rig *r, bool per_state, double *want)
{
    const uint32_t heads = per_state ? 70 : 6, head = per_state ? 1 : 5, groups = per_state ? 1 : 2;
    const uint32_t n_state = per_state ? 9 : 7, inner = heads * head, gs = groups * n_state;
    const uint32_t width = inner + 2 * gs, dt_at = 3;
    const float *x = rig_input(r, width, 11);
    const float *dt = rig_input(r, dt_at + heads, 12);
    const struct weight *a =
        rig_weight(r, per_state ? heads : 1, per_state ? n_state : heads, 0.5f, -0.7f, 13);
    const float *af = r->data[r->n_weights - 1];
    const struct weight *bias = rig_weight(r, 1, heads, 1, 0, 14);
    const float *bf = r->data[r->n_weights - 1];
    const struct weight *d = rig_weight(r, 1, heads, 1, 0, 15);
    const float *df = r->data[r->n_weights - 1];
    rig_end(r,
            (struct op){.kind = OP_SSM_SCAN,
                        .layer = 1,
                        .a = 0,
                        .b = 1,
                        .w = a,
                        .bias = bias,
                        .scan = {.n_heads = heads,
                                 .head = head,
                                 .n_groups = groups,
                                 .n_state = n_state,
                                 .bc = 0,
                                 .b_at = inner,
                                 .c_at = inner + gs,
                                 .dt_at = dt_at,
                                 .d = d,
                                 .per_state = per_state}},
            inner, inner * n_state);
    CLEANUP_FREE double *s = xcalloc((size_t)inner * n_state, sizeof(*s));
    for (uint32_t t = 0; t < TOKENS; t++) {
        const float *row = x + t * width;
        for (uint32_t p = 0; p < inner; p++) {
            uint32_t h = p / head, g = h / (heads / groups);
            double step = softplus((double)dt[t * (dt_at + heads) + dt_at + h] + (double)bf[h]);
            double y = (double)df[h] * (double)row[p];
            for (uint32_t i = 0; i < n_state; i++) {
                double decay = exp(step * (double)(per_state ? af[h * n_state + i] : af[h]));
                s[p * n_state + i] = s[p * n_state + i] * decay +
                                     step * (double)row[p] * (double)row[inner + g * n_state + i];
                y += s[p * n_state + i] * (double)row[inner + gs + g * n_state + i];
            }
            want[t * inner + p] = y;
        }
    }
}

static void open_scan1(struct rig *r, double *want)
{
    open_scan(r, true, want);
}

static void open_scan2(struct rig *r, double *want)
{
    open_scan(r, false, want);
}

static void open_delta(struct rig *r, bool tiled, double *want)
{
    enum { KH = 2, VH = 4, HK = 6, HV = 67, WIDTH = 2 * KH * HK + VH * HV };
    const float *x = rig_input(r, WIDTH, 21);
    const float *alpha = rig_input(r, VH, 22), *beta = rig_input(r, VH, 23);
    const struct weight *a = rig_weight(r, 1, VH, 0.5f, -0.7f, 24);
    const float *af = r->data[r->n_weights - 1];
    const struct weight *bias = rig_weight(r, 1, VH, 1, 0, 25);
    const float *bf = r->data[r->n_weights - 1];
    const double eps = 1e-3;
    rig_end(r,
            (struct op){.kind = OP_DELTA_NET,
                        .layer = 1,
                        .a = 0,
                        .b = 1,
                        .w = a,
                        .bias = bias,
                        .eps = (float)eps,
                        .delta = {.n_k_heads = KH,
                                  .n_v_heads = VH,
                                  .head_k = HK,
                                  .head_v = HV,
                                  .beta = 2,
                                  .tiled = tiled}},
            VH * HV, VH * HK * HV);
    static double s[VH][HK][HV];
    memset(s, 0, sizeof(s));
    for (int t = 0; t < TOKENS; t++) {
        for (int h = 0; h < VH; h++) {
            int kh = tiled ? h % KH : h / (VH / KH);
            double q[HK], k[HK], qq = 0, kk = 0;
            for (int i = 0; i < HK; i++) {
                q[i] = (double)x[t * WIDTH + kh * HK + i];
                k[i] = (double)x[t * WIDTH + KH * HK + kh * HK + i];
                qq += q[i] * q[i];
                kk += k[i] * k[i];
            }
            double decay = exp((double)af[h] * softplus((double)alpha[t * VH + h] + (double)bf[h]));
            double b = 1 / (1 + exp(-(double)beta[t * VH + h]));
            for (int j = 0; j < HV; j++) {
                double kept = 0, out = 0;
                for (int i = 0; i < HK; i++)
                    kept += s[h][i][j] * decay * k[i] / sqrt(kk + eps);
                double d = b * ((double)x[t * WIDTH + 2 * KH * HK + h * HV + j] - kept);
                for (int i = 0; i < HK; i++) {
                    s[h][i][j] = s[h][i][j] * decay + k[i] / sqrt(kk + eps) * d;
                    out += s[h][i][j] * q[i] / sqrt(qq + eps) / sqrt(HK);
                }
                want[(t * VH + h) * HV + j] = out;
            }
        }
    }
}

static void open_delta_grouped(struct rig *r, double *want)
{
    open_delta(r, false, want);
}

static void open_delta_tiled(struct rig *r, double *want)
{
    open_delta(r, true, want);
}

static const struct {
    const char *name;
    void (*open)(struct rig *r, double *want); /* [TOKENS][out_width] */
} operations[] = {
    {"conv1d", open_conv},
    {"scan of Mamba 1", open_scan1},
    {"scan of Mamba 2", open_scan2},
    {"delta rule, grouped", open_delta_grouped},
    {"delta rule, tiled", open_delta_tiled},
};

enum { OUT_MAX = 512 };

struct outputs {
    double want[TOKENS * OUT_MAX];
    float whole[TOKENS * OUT_MAX], got[4 * TOKENS * OUT_MAX];
};

static void open_at(struct rig *r, const char *level, uint32_t threads, size_t op, double *want)
{
    *r = (struct rig){.b = backend_at(level, threads)};
    operations[op].open(r, want);
    assert_true(r->out_width <= OUT_MAX);
}

static void assert_rows(const struct rig *r, size_t op, const char *how, const float *got,
                        const float *want, size_t n)
{
    if (memcmp(got, want, n * r->out_width * sizeof(float)) != 0)
        fail_msg("%s: %s gives other bits", operations[op].name, how);
}

static void check_operation(const char *level, size_t op, struct outputs *o)
{
    struct rig r;
    open_at(&r, level, 1, op, o->want);
    rig_must(&r, &(struct part){0, TOKENS, -1, 3}, 1, o->whole);
    for (size_t i = 0; i < (size_t)TOKENS * r.out_width; i++)
        if (!(fabs((double)o->whole[i] - o->want[i]) <= 1e-5 * (1 + fabs(o->want[i]))))
            fail_msg("%s at level %s: item %zu is %.9g, wanted %.9g", operations[op].name, level, i,
                     (double)o->whole[i], o->want[i]);
    size_t row = r.out_width;
    for (int32_t chunk = 1; chunk <= 7; chunk++) { /* chunks, two slots in turns */
        for (int32_t at = 0, turn = 0; at < TOKENS; at += chunk, turn++)
            rig_must(&r,
                     &(struct part){at, MIN(chunk, TOKENS - at), at == 0 ? -1 : (turn + 1) % 2,
                                    turn % 2},
                     1, o->got + (size_t)at * row);
        assert_rows(&r, op, "a chunked text", o->got, o->whole, TOKENS);
    }
    rig_close(&r);

    open_at(&r, level, 3, op, o->want);
    /* One batch: a text in three parts, a chunk of another sequence between two of its parts, and a
     * third that branches off the first one's middle. */
    const struct part parts[] = {
        {0, 2, -1, 5}, {2, 9, 5, 6}, {0, TOKENS, -1, 7}, {11, TOKENS - 11, 6, 8}, {11, 1, 6, 9},
    };
    rig_must(&r, parts, ARRAY_LEN(parts), o->got);
    assert_rows(&r, op, "a text in parts", o->got, o->whole, 11);
    assert_rows(&r, op, "a text among others", o->got + 11 * row, o->whole, TOKENS);
    assert_rows(&r, op, "the last part", o->got + (11 + TOKENS) * row, o->whole + 11 * row,
                TOKENS - 11);
    assert_rows(&r, op, "a branch", o->got + (11 + TOKENS + TOKENS - 11) * row, o->whole + 11 * row,
                1);
    /* What was left in the midst is still there. */
    rig_must(&r, &(struct part){11, TOKENS - 11, 6, 1}, 1, o->got);
    assert_rows(&r, op, "a snapshot", o->got, o->whole + 11 * row, TOKENS - 11);
    struct error err = ERROR_INIT;
    const volatile bool cancel = true;
    assert_fails(rig_run(&r, &(struct part){2, TOKENS - 2, 5, 1}, 1, o->got, &cancel, &err),
                 ERR_CANCELED, "canceled");
    rig_must(&r, &(struct part){2, TOKENS - 2, 5, 1}, 1, o->got);
    assert_rows(&r, op, "what follows a canceled step", o->got, o->whole + 2 * row, TOKENS - 2);
    rig_close(&r);
}

static void test_recurrent__operations(void **state)
{
    (void)state;
    struct outputs *o = xcalloc(1, sizeof(*o));
    const char *level;
    for (size_t l = 0; (level = kernels_level_at(l)) != NULL; l++)
        for (size_t op = 0; op < ARRAY_LEN(operations); op++)
            check_operation(level, op, o);
    free(o);
}

static void test_recurrent__mistakes_are_named(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct outputs *o = xcalloc(1, sizeof(*o));
    static const struct part bad[] = {
        {0, 1, -2, 0}, {0, 1, STATES, 0}, {0, 1, -1, -1}, {0, 1, -1, STATES}, {0, 1, 4, 4},
    };
    for (size_t op = 0; op < ARRAY_LEN(operations); op++) {
        struct rig r;
        open_at(&r, "", 1, op, o->want);
        for (size_t i = 0; i < ARRAY_LEN(bad); i++)
            assert_fails(rig_run(&r, &bad[i], 1, o->got, NULL, &err), ERR_INTERNAL, "state");
        const struct part good = {0, 1, -1, 0};
        struct op *last = &r.ops[r.n_ops - 1], keep = *last;
        last->layer = 0; /* whose state is too small */
        assert_fails(rig_run(&r, &good, 1, o->got, NULL, &err), ERR_INTERNAL, "state");
        *last = keep;
        last->w = r.weights[0];
        assert_fails(rig_run(&r, &good, 1, o->got, NULL, &err), ERR_INTERNAL, "weights");
        *last = keep;
        r.width[r.n_slots - 1]++;
        assert_fails(rig_run(&r, &good, 1, o->got, NULL, &err), ERR_INTERNAL, "slots");
        rig_close(&r);
    }
    free(o);
}

/* Columns of groups, and norms whose weights are a row's. */
static void test_recurrent__slices_and_grouped_norms(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct rig r = {.b = backend_at("", 2)};
    const float *x = rig_input(&r, 12, 31);
    const struct weight *w = rig_weight(&r, 1, 8, 1, 2, 32);
    const float *wf = r.data[r.n_weights - 1];
    r.ops[r.n_ops++] = (struct op){
        .kind = OP_SLICE, .dst = 1, .a = 0, .slice = {.group = 6, .at = 1, .n = 3, .dst_at = 2}};
    r.ops[r.n_ops++] = (struct op){
        .kind = OP_SLICE, .dst = 1, .a = 0, .slice = {.group = 12, .at = 10, .n = 2, .dst_at = 0}};
    r.width[r.n_slots++] = 8;
    rig_end(&r, (struct op){.kind = OP_RMS_NORM, .a = 1, .w = w, .head = 4, .eps = 1e-5f}, 8, 1);
    float out[TOKENS * 8];
    rig_must(&r, &(struct part){0, TOKENS, -1, 0}, 1, out);
    static const int from[8] = {10, 11, 1, 2, 3, 7, 8, 9};
    for (int t = 0; t < TOKENS; t++) {
        for (int i = 0; i < 8; i++) {
            double sum = 0;
            for (int k = 0; k < 4; k++)
                sum += pow((double)x[t * 12 + from[i / 4 * 4 + k]], 2);
            double want = (double)x[t * 12 + from[i]] * (double)wf[i] / sqrt(sum / 4 + 1e-5);
            assert_true(fabs((double)out[t * 8 + i] - want) < 1e-5);
        }
    }
    r.ops[1].slice.n = 5;
    assert_fails(rig_run(&r, &(struct part){0, 1, -1, 0}, 1, out, NULL, &err), ERR_INTERNAL,
                 "columns");
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recurrent__operations),
        cmocka_unit_test(test_recurrent__mistakes_are_named),
        cmocka_unit_test(test_recurrent__slices_and_grouped_norms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
