/* SPDX-License-Identifier: Apache-2.0
 *
 * Each operation of the plan alone against a plain loop in double precision, at every level. */
#include "backend_test.h"

/* One backend under test, with the weights made for it. */
struct bench {
    struct backend *b;
    struct weight *weights[8];
    void *data[8];
    size_t n;
    uint64_t seed;
};

static void bench_open(struct bench *t, const char *level)
{
    *t = (struct bench){.b = backend_at(level, 2), .seed = 1};
}

static void bench_close(struct bench *t)
{
    for (size_t i = 0; i < t->n; i++) {
        t->b->ops->weight_free(t->b, t->weights[i]);
        free(t->data[i]);
    }
    t->b->ops->destroy(t->b);
}

/* A weight from `data`, which the bench takes over. */
static const struct weight *add_weight(struct bench *t, enum weight_type type, uint32_t rows,
                                       uint32_t cols, void *data)
{
    struct error err = ERROR_INIT;
    const struct weight_desc desc = {"w", type, rows, cols, data};
    bool keeps;
    assert_true(t->n < ARRAY_LEN(t->weights));
    assert_ok(t->b->ops->weight_load(t->b, &desc, &t->weights[t->n], &keeps, &err));
    t->data[t->n] = data;
    return t->weights[t->n++];
}

static const struct weight *add_floats(struct bench *t, uint32_t rows, uint32_t cols,
                                       const float *values)
{
    float *copy = xcalloc((size_t)rows * cols, sizeof(*copy));
    memcpy(copy, values, (size_t)rows * cols * sizeof(*copy));
    return add_weight(t, WT_F32, rows, cols, copy);
}

/* Runs ops for one sequence of n tokens at `n_past`, ids 0, 1, 2, …; all rows are wanted. */
static void run_ops(struct bench *t, const struct op *ops, size_t n_ops, const uint32_t *width,
                    uint16_t n_slots, uint16_t out_slot, struct kv *kv, int32_t n, int32_t n_past,
                    float *out)
{
    struct error err = ERROR_INIT;
    int32_t ids[256], pages[64];
    assert_true(n <= (int32_t)ARRAY_LEN(ids));
    for (int32_t i = 0; i < n; i++)
        ids[i] = i;
    for (int32_t i = 0; i < (int32_t)ARRAY_LEN(pages); i++)
        pages[i] = (int32_t)ARRAY_LEN(pages) - 1 - i; /* not in order */
    const struct batch_seq seq = {.first = 0, .n = n, .n_past = n_past, .pages = pages};
    const struct plan plan = {ops, n_ops, width, n_slots, out_slot};
    const struct batch batch = {
        .n_tokens = n, .ids = ids, .n_seqs = 1, .seqs = &seq, .n_out = n, .out_rows = ids};
    assert_ok(t->b->ops->execute(t->b, &plan, kv, &batch, out, NULL, &err));
}

static void assert_close(const char *what, const char *level, size_t i, double got, double want,
                         double bound)
{
    if (!(fabs(got - want) <= bound))
        fail_msg("%s at level %s: item %zu is %.9g, wanted %.9g within %g", what, level, i, got,
                 want, bound);
}

#define FOR_EACH_LEVEL(level) \
    for (size_t level_i = 0; (level = kernels_level_at(level_i)) != NULL; level_i++)

enum { N = 5 }; /* tokens of most tests */

/* The table itself is the activations: embed gives row i for token i. */
static struct op embed_op(const struct weight *table, uint16_t slot)
{
    return (struct op){.kind = OP_EMBED, .dst = slot, .w = table, .scale = 1.0f};
}

static void check_embed(const char *level)
{
    struct bench t;
    bench_open(&t, level);
    CLEANUP_FREE float *a = random_floats(N * 40, &t.seed);
    const struct op ops[] = {
        {.kind = OP_EMBED, .w = add_floats(&t, N, 40, a), .scale = 0.5f},
        {.kind = OP_SCALE, .scale = 3.0f},
    };
    float out[N * 40];
    run_ops(&t, ops, 2, (uint32_t[]){40}, 1, 0, NULL, N, 0, out);
    for (size_t i = 0; i < N * 40; i++)
        assert_close("embed", level, i, (double)out[i], 1.5 * (double)a[i], 1e-6);
    bench_close(&t);
}

static void check_add_tables(const char *level)
{
    struct bench t;
    bench_open(&t, level);
    CLEANUP_FREE float *a = random_floats(N * 40, &t.seed);
    CLEANUP_FREE float *row = random_floats(40, &t.seed);
    CLEANUP_FREE float *positions = random_floats(N * 40, &t.seed);
    const struct op ops[] = {
        embed_op(add_floats(&t, N, 40, a), 0),
        {.kind = OP_ADD_ROW, .bias = add_floats(&t, 1, 40, row)},
        {.kind = OP_ADD_POSITION, .dst = 1, .w = add_floats(&t, N, 40, positions)},
    };
    float out[N * 40];
    run_ops(&t, ops, ARRAY_LEN(ops), (uint32_t[]){40, 40}, 2, 1, NULL, N, 0, out);
    for (size_t i = 0; i < N * 40; i++)
        assert_close("tables", level, i, (double)out[i],
                     (double)a[i] + (double)row[i % 40] + (double)positions[i], 1e-6);
    bench_close(&t);
}

static void check_scale_position(const char *level)
{
    struct bench t;
    bench_open(&t, level);
    CLEANUP_FREE float *a = random_floats(N * 40, &t.seed);
    const struct op ops[] = {
        embed_op(add_floats(&t, N, 40, a), 0),
        {.kind = OP_SCALE_POSITION, .scale = 0.3f, .length = 2},
    };
    float out[N * 40];
    run_ops(&t, ops, ARRAY_LEN(ops), (uint32_t[]){40}, 1, 0, NULL, N, 1, out);
    static const double periods[N] = {0, 1, 1, 2, 2}; /* of positions 1 to 5 */
    for (size_t i = 0; i < N * 40; i++)
        assert_close("scale_position", level, i, (double)out[i],
                     (double)a[i] * (1 + (double)0.3f * log(1 + periods[i / 40])), 1e-6);
    bench_close(&t);
}

/* Rows of three streams. */
static void check_streams(const char *level)
{
    enum { S = 3, W = 20, ALL = S * W };
    struct bench t;
    bench_open(&t, level);
    CLEANUP_FREE float *a = random_floats(N * ALL, &t.seed);
    CLEANUP_FREE float *b = random_floats(N * W, &t.seed);
    CLEANUP_FREE float *mix = random_floats(N * S * S, &t.seed);
    CLEANUP_FREE float *coefs = random_floats(N * S, &t.seed);
    const uint32_t widths[] = {ALL, W, S * S, S, ALL};
    struct op ops[] = {
        embed_op(add_floats(&t, N, ALL, a), 0),
        embed_op(add_floats(&t, N, W, b), 1),
        embed_op(add_floats(&t, N, S * S, mix), 2),
        embed_op(add_floats(&t, N, S, coefs), 3),
        {.kind = OP_MIX_STREAMS, .dst = 4, .a = 0, .b = 2, .streams = {.n = S}},
    };
    float out[N * ALL];
    run_ops(&t, ops, ARRAY_LEN(ops), widths, ARRAY_LEN(widths), 4, NULL, N, 0, out);
    for (size_t i = 0; i < N * ALL; i++) {
        size_t row = i / ALL, stream = i % ALL / W;
        double want = (double)a[i];
        for (size_t k = 0; k < S; k++)
            want +=
                (double)mix[row * S * S + stream * S + k] * (double)a[row * ALL + k * W + i % W];
        assert_close("mix_streams", level, i, (double)out[i], want, 2e-6);
    }
    for (int with = 0; with < 2; with++) {
        ops[4] =
            (struct op){.kind = OP_ADD_STREAMS,
                        .dst = 4,
                        .a = 0,
                        .b = 1,
                        .streams = {.n = S, .first = with ? 0 : 1, .has_coefs = with, .coefs = 3}};
        run_ops(&t, ops, ARRAY_LEN(ops), widths, ARRAY_LEN(widths), 4, NULL, N, 0, out);
        for (size_t i = 0; i < N * ALL; i++) {
            size_t row = i / ALL, stream = i % ALL / W;
            double by = with ? 1 + (double)coefs[row * S + stream] : stream > 0 ? 1 : 0;
            assert_close("add_streams", level, i, (double)out[i],
                         (double)a[i] + by * (double)b[row * W + i % W], 1e-6);
        }
    }
    ops[4] = (struct op){.kind = OP_MATCH_LENGTH, .dst = 4, .a = 0, .b = 1};
    run_ops(&t, ops, ARRAY_LEN(ops), widths, ARRAY_LEN(widths), 4, NULL, N, 0, out);
    for (size_t i = 0; i < N * ALL; i++) {
        double own = 0, other = 0;
        for (size_t k = 0; k < W; k++) {
            own += pow((double)a[i / W * W + k], 2);
            other += pow((double)b[i / ALL * W + k], 2);
        }
        assert_close("match_length", level, i, (double)out[i], (double)a[i] * sqrt(other / own),
                     1e-6);
    }
    bench_close(&t);
}

/* Of rows: what is small becomes 0; a product; xIELU. */
static void check_row_functions(const char *level)
{
    enum { W = 53 };
    struct bench t;
    bench_open(&t, level);
    CLEANUP_FREE float *a = random_floats(N * W, &t.seed);
    CLEANUP_FREE float *w = random_floats(W, &t.seed);
    const struct xielu_params x = {.p = 0.7f, .n = 1.1f, .beta = 0.4f, .eps = -0.1f};
    struct op ops[] = {
        embed_op(add_floats(&t, N, W, a), 0),
        {.kind = OP_SPARSE, .scale = 0.5f},
    };
    float out[N * W];
    run_ops(&t, ops, 2, (uint32_t[]){W}, 1, 0, NULL, N, 0, out);
    for (size_t i = 0; i < N * W; i++) {
        double mean = 0, square = 0;
        for (size_t k = 0; k < W; k++)
            mean += (double)a[i / W * W + k] / W;
        for (size_t k = 0; k < W; k++)
            square += pow((double)a[i / W * W + k] - mean, 2) / (W - 1);
        double want = fmax(0, (double)a[i] - mean - 0.5 * sqrt(square));
        assert_close("sparse", level, i, (double)out[i], want, 1e-6);
    }
    ops[1] = (struct op){.kind = OP_MUL_ROW, .w = add_floats(&t, 1, W, w)};
    run_ops(&t, ops, 2, (uint32_t[]){W}, 1, 0, NULL, N, 0, out);
    for (size_t i = 0; i < N * W; i++)
        assert_close("mul_row", level, i, (double)out[i], (double)a[i] * (double)w[i % W], 1e-6);
    ops[1] = (struct op){.kind = OP_XIELU, .xielu = x};
    run_ops(&t, ops, 2, (uint32_t[]){W}, 1, 0, NULL, N, 0, out);
    for (size_t i = 0; i < N * W; i++) {
        double v = (double)a[i], linear = (double)x.beta * v;
        double want = v > 0 ? (double)x.p * v * v + linear
                            : (double)x.n * (exp(fmin(v, (double)x.eps)) - 1 - v) + linear;
        assert_close("xielu", level, i, (double)out[i], want, 1e-6);
    }
    bench_close(&t);
}

static void check_norms(const char *level, uint32_t width, uint32_t head)
{
    struct bench t;
    bench_open(&t, level);
    uint32_t group = head ? head : width;
    CLEANUP_FREE float *a = random_floats(N * (size_t)width, &t.seed);
    CLEANUP_FREE float *w = random_floats(width, &t.seed);
    CLEANUP_FREE float *bias = random_floats(width, &t.seed);
    CLEANUP_FREE float *out = xcalloc(N * (size_t)width, sizeof(*out));
    const struct weight *table = add_floats(&t, N, width, a);
    const uint32_t widths[] = {width, width};

    const struct op rms[] = {
        embed_op(table, 0),
        {.kind = OP_RMS_NORM,
         .dst = 1,
         .a = 0,
         .w = add_floats(&t, 1, group, w),
         .head = head,
         .eps = 1e-5f},
    };
    run_ops(&t, rms, 2, widths, 2, 1, NULL, N, 0, out);
    for (size_t i = 0; i < N * (size_t)width; i++) {
        double squares = 0;
        for (size_t g = i / group * group; g < i / group * group + group; g++)
            squares += (double)a[g] * (double)a[g];
        double want = (double)a[i] / sqrt(squares / group + 1e-5) * (double)w[i % group];
        assert_close("rms_norm", level, i, (double)out[i], want, 1e-6);
    }

    const struct op layer[] = {
        embed_op(table, 0),
        {.kind = OP_LAYER_NORM,
         .dst = 0,
         .a = 0,
         .w = add_floats(&t, 1, width, w),
         .head = head,
         .bias = add_floats(&t, 1, width, bias),
         .eps = 1e-5f},
    };
    run_ops(&t, layer, 2, widths, 1, 0, NULL, N, 0, out);
    for (size_t i = 0; i < N * (size_t)width; i++) {
        const float *row = a + i / group * group;
        double mean = 0, var = 0;
        for (size_t c = 0; c < group; c++)
            mean += (double)row[c] / group;
        for (size_t c = 0; c < group; c++)
            var += ((double)row[c] - mean) * ((double)row[c] - mean) / group;
        double want = ((double)a[i] - mean) / sqrt(var + 1e-5) * (double)w[i % width] +
                      (double)bias[i % width];
        assert_close("layer_norm", level, i, (double)out[i], want, 2e-6);
    }
    bench_close(&t);
}

static void check_matmul(const char *level, enum weight_type type, uint32_t rows, uint32_t cols,
                         int32_t n)
{
    struct bench t;
    bench_open(&t, level);
    struct kernels scalar;
    struct error err = ERROR_INIT;
    assert_ok(kernels_init("scalar", &scalar, &err));
    CLEANUP_FREE float *a = random_floats((size_t)n * cols, &t.seed);
    CLEANUP_FREE float *bias = random_floats(rows, &t.seed);
    CLEANUP_FREE float *out = xcalloc((size_t)n * rows, sizeof(*out));
    CLEANUP_FREE float *w = xcalloc(cols, sizeof(*w));
    unsigned char *packed = random_packed(type, rows, cols, &t.seed);
    const struct op ops[] = {
        embed_op(add_floats(&t, (uint32_t)n, cols, a), 0),
        {.kind = OP_MATMUL,
         .dst = 1,
         .a = 0,
         .w = add_weight(&t, type, rows, cols, packed),
         .bias = add_floats(&t, 1, rows, bias)},
    };
    run_ops(&t, ops, 2, (uint32_t[]){cols, rows}, 2, 1, NULL, n, 0, out);
    uint64_t row_bytes = 0;
    assert_true(weight_row_bytes(type, cols, &row_bytes));
    for (size_t r = 0; r < rows; r++) {
        scalar.weight[type].dequant(packed + r * row_bytes, w, cols);
        for (size_t i = 0; i < (size_t)n; i++) {
            double sum = (double)bias[r], magnitude = 1;
            for (size_t c = 0; c < cols; c++) {
                sum += (double)w[c] * (double)a[i * cols + c];
                magnitude += fabs((double)w[c] * (double)a[i * cols + c]);
            }
            assert_close(weight_type_info(type)->name, level, i * rows + r,
                         (double)out[i * rows + r], sum, (cols + 8) * 0x1p-24 * magnitude);
        }
    }
    bench_close(&t);
}

static double act(enum act_kind kind, double x)
{
    switch (kind) {
    case ACT_SILU:
        return x / (1 + exp(-x));
    case ACT_GELU_TANH:
        return 0.5 * x * (1 + tanh(0.79788456080286535588 * (x + 0.044715 * x * x * x)));
    case ACT_GELU_ERF:
        return 0.5 * x * (1 + erf(x * 0.70710678118654752440));
    case ACT_RELU:
        return x < 0 ? 0 : x;
    case ACT_RELU_SQR:
        return x < 0 ? 0 : x * x;
    case ACT_SIGMOID:
        return 1 / (1 + exp(-x));
    }
    return (double)NAN;
}

static void check_elements(const char *level, uint32_t width)
{
    struct bench t;
    bench_open(&t, level);
    CLEANUP_FREE float *a = random_floats(N * (size_t)width, &t.seed);
    CLEANUP_FREE float *out = xcalloc(N * (size_t)width, sizeof(*out));
    for (size_t i = 0; i < N * (size_t)width; i++)
        a[i] *= 12.0f;
    const struct op embed_a = embed_op(add_floats(&t, N, width, a), 0);
    struct op ops[3] = {embed_a, {.kind = OP_SCALE, .dst = 1, .a = 0, .scale = 0.25f}};
    for (enum act_kind kind = ACT_SILU; kind <= ACT_RELU; kind++) {
        ops[2] = (struct op){.kind = OP_GLU, .dst = 1, .a = 0, .b = 1, .act = kind};
        run_ops(&t, ops, 3, (uint32_t[]){width, width}, 2, 1, NULL, N, 0, out);
        for (size_t i = 0; i < N * (size_t)width; i++) {
            double x = (double)a[i], want = act(kind, x) * x / 4;
            assert_close("glu", level, i, (double)out[i], want, 2e-6 * (1 + x * x / 4));
        }
        ops[2] = (struct op){.kind = OP_ACT, .dst = 0, .a = 0, .act = kind};
        run_ops(&t, ops, 3, (uint32_t[]){width, width}, 2, 0, NULL, N, 0, out);
        for (size_t i = 0; i < N * (size_t)width; i++) {
            double x = (double)a[i], want = act(kind, x);
            assert_close("act", level, i, (double)out[i], want, 1e-6 * (1 + fabs(x)));
        }
    }
    static const struct {
        enum op_kind kind;
        const char *name;
    } others[] = {{OP_ADD, "add"}, {OP_MUL, "mul"}, {OP_SOFTCAP, "softcap"}};
    for (size_t o = 0; o < ARRAY_LEN(others); o++) {
        ops[2] = (struct op){.kind = others[o].kind, .dst = 1, .a = 0, .b = 1, .scale = 10.0f};
        run_ops(&t, ops, 3, (uint32_t[]){width, width}, 2, 1, NULL, N, 0, out);
        for (size_t i = 0; i < N * (size_t)width; i++) {
            double x = (double)a[i];
            double want = o == 0 ? 1.25 * x : o == 1 ? x * x / 4 : 10 * tanh(x / 10);
            assert_close(others[o].name, level, i, (double)out[i], want, 1e-6 * (1 + x * x));
        }
    }
    bench_close(&t);
}

static void check_rope(const char *level, enum rope_kind kind, uint32_t head, uint32_t dims)
{
    enum { HEADS = 3, PAST = 1000 };
    struct bench t;
    bench_open(&t, level);
    uint32_t width = HEADS * head;
    CLEANUP_FREE float *a = random_floats(N * (size_t)width, &t.seed);
    CLEANUP_FREE float *out = xcalloc(N * (size_t)width, sizeof(*out));
    CLEANUP_FREE float *inv_freq = xcalloc(dims / 2, sizeof(*inv_freq));
    for (size_t i = 0; i < dims / 2; i++)
        inv_freq[i] = (float)pow(10000.0, -2.0 * (double)i / dims);
    struct op ops[] = {
        embed_op(add_floats(&t, N, width, a), 0),
        {.kind = OP_ROPE,
         .dst = 1,
         .a = 0,
         .head = head,
         .rope = {.kind = kind, .dims = dims, .inv_freq = inv_freq, .mscale = 1.25f}},
    };
    for (uint16_t dst = 0; dst < 2; dst++) { /* in place and not */
        ops[1].dst = dst;
        run_ops(&t, ops, 2, (uint32_t[]){width, width}, 2, dst, NULL, N, PAST, out);
        for (size_t i = 0; i < N * (size_t)width; i++) {
            size_t d = i % head, base = i - d, half = dims / 2;
            double want = (double)a[i];
            if (d < dims) {
                bool second = kind == ROPE_ADJACENT ? d % 2 : d >= half;
                size_t pair = kind == ROPE_ADJACENT ? d / 2 : d % half;
                size_t at0 = base + (kind == ROPE_ADJACENT ? 2 * pair : pair);
                size_t at1 = kind == ROPE_ADJACENT ? at0 + 1 : at0 + half;
                double angle = (double)(PAST + i / width) * (double)inv_freq[pair];
                double c = 1.25 * cos(angle), s = 1.25 * sin(angle);
                want = second ? (double)a[at0] * s + (double)a[at1] * c
                              : (double)a[at0] * c - (double)a[at1] * s;
            }
            assert_close("rope", level, i, (double)out[i], want, 1e-6);
        }
    }
    bench_close(&t);
}

struct attention_case {
    struct attention_params p;
    enum kv_type kv;
    double bound;
    const float *sinks; /* of each head; NULL = none */
};

/* What the query of token i, head h should get, over the keys and values of all `n` tokens. */
static double attention_want(const struct attention_case *c, const float *q, const float *k,
                             const float *v, size_t n, size_t i, size_t h, size_t d)
{
    const struct attention_params *p = &c->p;
    size_t kv_head = h / (p->n_heads / p->n_kv_heads);
    double sum = c->sinks ? exp((double)c->sinks[h]) : 0, weighted = 0;
    for (size_t key = 0; key < n; key++) {
        size_t away = key > i ? key - i : i - key;
        if (p->causal ? key > i || (p->window && away >= p->window)
                      : p->window && away > p->window / 2)
            continue;
        double score = 0;
        for (size_t x = 0; x < p->head_k; x++)
            score += (double)q[(i * p->n_heads + h) * p->head_k + x] *
                     (double)k[(key * p->n_kv_heads + kv_head) * p->head_k + x];
        score *= (double)p->scale;
        if (p->slopes)
            score -= (double)p->slopes[h] * (double)away;
        if (p->softcap > 0)
            score = (double)p->softcap * tanh(score / (double)p->softcap);
        sum += exp(score);
        weighted += exp(score) * (double)v[(key * p->n_kv_heads + kv_head) * p->head_v + d];
    }
    return weighted / sum;
}

static void check_attention(const char *level, const struct attention_case *c)
{
    enum { TOKENS = 75, LAYERS = 2 };
    const struct attention_params *p = &c->p;
    struct error err = ERROR_INIT;
    struct bench t;
    bench_open(&t, level);
    const uint32_t wq = p->n_heads * p->head_k, wk = p->n_kv_heads * p->head_k;
    const uint32_t wv = p->n_kv_heads * p->head_v, wo = p->n_heads * p->head_v;
    CLEANUP_FREE float *q = random_floats((size_t)TOKENS * wq, &t.seed);
    CLEANUP_FREE float *k = random_floats((size_t)TOKENS * wk, &t.seed);
    CLEANUP_FREE float *v = random_floats((size_t)TOKENS * wv, &t.seed);
    CLEANUP_FREE float *out = xcalloc((size_t)TOKENS * wo, sizeof(*out));
    const struct op ops[] = {
        embed_op(add_floats(&t, TOKENS, wq, q), 0),
        embed_op(add_floats(&t, TOKENS, wk, k), 1),
        embed_op(add_floats(&t, TOKENS, wv, v), 2),
        {.kind = OP_KV_STORE, .a = 1, .b = 2, .layer = 1},
        {.kind = OP_ATTENTION,
         .dst = 3,
         .a = 0,
         .layer = 1,
         .attn = *p,
         .bias = c->sinks ? add_floats(&t, 1, p->n_heads, c->sinks) : NULL},
    };
    const struct kv_desc desc = {
        .n_layers = LAYERS,
        .n_pages = 64,
        .type = c->kv,
        .n_kv_heads = (uint32_t[]){1, p->n_kv_heads},
        .head_k = (uint32_t[]){3, p->head_k},
        .head_v = (uint32_t[]){5, p->head_v},
    };
    struct kv *kv;
    assert_ok(t.b->ops->kv_create(t.b, &desc, &kv, &err));
    run_ops(&t, ops, ARRAY_LEN(ops), (uint32_t[]){wq, wk, wv, wo}, 4, 3, kv, TOKENS, 0, out);
    for (size_t i = 0; i < TOKENS; i++)
        for (size_t h = 0; h < p->n_heads; h++)
            for (size_t d = 0; d < p->head_v; d++) {
                size_t at = i * wo + h * p->head_v + d;
                assert_close("attention", level, at, (double)out[at],
                             attention_want(c, q, k, v, TOKENS, i, h, d), c->bound);
            }
    t.b->ops->kv_free(t.b, kv);
    bench_close(&t);
}

static void test_ops__of_rows(void **state)
{
    (void)state;
    const char *level;
    FOR_EACH_LEVEL(level)
    {
        check_embed(level);
        check_add_tables(level);
        check_scale_position(level);
        check_streams(level);
        check_row_functions(level);
    }
}

static void test_ops__norms(void **state)
{
    (void)state;
    const char *level;
    FOR_EACH_LEVEL(level)
    {
        check_norms(level, 1, 0);
        check_norms(level, 67, 0);
        check_norms(level, 96, 24);
        check_norms(level, 512, 0);
    }
}

static void test_ops__matmul(void **state)
{
    (void)state;
    const char *level;
    static const struct {
        enum weight_type type;
        uint32_t cols;
    } types[] = {{WT_F32, 37},   {WT_F16, 37},   {WT_BF16, 37},  {WT_Q8_0, 96},
                 {WT_Q4_0, 96},  {WT_Q4_1, 96},  {WT_Q5_0, 96},  {WT_Q5_1, 96},
                 {WT_Q4_K, 512}, {WT_Q5_K, 512}, {WT_Q6_K, 512}, {WT_F32, 172}};
    static const int32_t batches[] = {1, 3, 4, 5, 33};
    FOR_EACH_LEVEL(level)
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        for (size_t n = 0; n < ARRAY_LEN(batches); n++)
            check_matmul(level, types[i].type, 1 + 17 * (uint32_t)(i % 3), types[i].cols,
                         batches[n]);
}

static void test_ops__elements(void **state)
{
    (void)state;
    const char *level;
    FOR_EACH_LEVEL(level)
    {
        check_elements(level, 1);
        check_elements(level, 61);
        check_elements(level, 4000);
    }
}

static void test_ops__rope(void **state)
{
    (void)state;
    const char *level;
    FOR_EACH_LEVEL(level)
    {
        check_rope(level, ROPE_ADJACENT, 8, 8);
        check_rope(level, ROPE_HALVES, 8, 8);
        check_rope(level, ROPE_ADJACENT, 10, 6);
        check_rope(level, ROPE_HALVES, 10, 6);
        check_rope(level, ROPE_HALVES, 64, 64);
    }
}

static void test_ops__attention(void **state)
{
    (void)state;
    const char *level;
    static const float slopes[] = {0.5f, 0.25f, 0.0625f, 0.7f};
    static const float sinks[] = {-3.0f, 0.0f, 2.5f, 90.0f};
    static const struct attention_case cases[] = {
        {{4, 4, 8, 8, 0.4f, 0, 0, true}, KV_F32, 2e-6, NULL},
        {{8, 2, 16, 24, 0.25f, 0, 0, true}, KV_F32, 2e-6, NULL},
        {{6, 1, 5, 7, 1.0f, 0, 0, true}, KV_F32, 2e-6, NULL},
        {{4, 2, 16, 16, 1.0f, 0, 0, false}, KV_F32, 2e-6, NULL},
        {{4, 2, 16, 16, 1.0f, 5.0f, 0, true}, KV_F32, 4e-6, NULL},
        {{4, 2, 16, 16, 1.0f, 0, 9, true}, KV_F32, 2e-6, NULL},
        {{4, 2, 16, 16, 1.0f, 3.0f, 33, true}, KV_F32, 4e-6, NULL},
        {{4, 2, 16, 16, 1.0f, 0, 9, false}, KV_F32, 2e-6, NULL},
        {{4, 2, 16, 16, 1.0f, 0, 40, false}, KV_F32, 2e-6, NULL},
        {{4, 2, 16, 16, 1.0f, 0, 0, false, slopes}, KV_F32, 4e-6, NULL},
        {{4, 1, 16, 16, 1.0f, 0, 0, true, slopes}, KV_F32, 4e-6, NULL},
        {{4, 2, 80, 64, 0.125f, 0, 0, true}, KV_F16, 2e-3, NULL},
        {{4, 2, 16, 16, 1.0f, 0, 0, true}, KV_F32, 4e-6, sinks},
        {{4, 4, 16, 16, 1.0f, 0, 9, true}, KV_F32, 4e-6, sinks},
    };
    FOR_EACH_LEVEL(level)
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        check_attention(level, &cases[i]);
}

/* Each row times one number of its own. */
static void test_ops__mul_number(void **state)
{
    (void)state;
    const char *level;
    FOR_EACH_LEVEL(level)
    {
        struct bench t;
        bench_open(&t, level);
        CLEANUP_FREE float *a = random_floats(N * 19, &t.seed), *b = random_floats(N, &t.seed);
        float out[N * 19];
        struct op ops[] = {
            embed_op(add_floats(&t, N, 19, a), 0),
            embed_op(add_floats(&t, N, 1, b), 1),
            {.kind = OP_MUL_NUMBER, .a = 0, .b = 1},
        };
        for (uint16_t dst = 0; dst < 3; dst += 2) { /* in place and not */
            ops[2].dst = dst;
            run_ops(&t, ops, 3, (uint32_t[]){19, 1, 19}, 3, dst, NULL, N, 0, out);
            for (size_t i = 0; i < ARRAY_LEN(out); i++)
                assert_close("mul_number", level, i, (double)out[i], (double)(a[i] * b[i / 19]), 0);
        }
        bench_close(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ops__of_rows),    cmocka_unit_test(test_ops__norms),
        cmocka_unit_test(test_ops__matmul),     cmocka_unit_test(test_ops__elements),
        cmocka_unit_test(test_ops__rope),       cmocka_unit_test(test_ops__attention),
        cmocka_unit_test(test_ops__mul_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
