/* SPDX-License-Identifier: Apache-2.0
 *
 * The backend's promise about batches: a token's result is the same, bit for bit, alone and among
 * others, in one piece and in chunks, with any number of threads. And what execute() refuses. */
#include "backend_test.h"

enum {
    VOCAB = 20,
    WIDTH = 256,
    HEADS = 4,
    KV_HEADS = 2,
    HEAD = 64,
    HIDDEN = 256,
    TOKENS = 40, /* of a sequence: more than a page */
    PAGES = 16,
    LAYERS = 2,
};

/* A small transformer whose tensors have one type. */
struct model {
    struct backend *b;
    struct kv *kv;
    struct weight *weights[2 + LAYERS * 9];
    void *data[2 + LAYERS * 9];
    size_t n_weights;
    float inv_freq[HEAD / 2];
    struct op ops[64];
    size_t n_ops;
    struct plan plan;
};

static const struct weight *model_weight(struct model *m, enum weight_type type, uint32_t rows,
                                         uint32_t cols, uint64_t *seed)
{
    struct error err = ERROR_INIT;
    size_t i = m->n_weights++;
    m->data[i] = random_packed(type, rows, cols, seed);
    const struct weight_desc desc = {"w", type, rows, cols, m->data[i]};
    bool keeps;
    assert_ok(m->b->ops->weight_load(m->b, &desc, &m->weights[i], &keeps, &err));
    return m->weights[i];
}

static void model_op(struct model *m, struct op op)
{
    assert_true(m->n_ops < ARRAY_LEN(m->ops));
    m->ops[m->n_ops++] = op;
}

enum { S_X, S_NORM, S_Q, S_K, S_V, S_ATTN, S_GATE, S_UP, S_SMALL, S_OUT, N_SLOTS };

static void model_layer(struct model *m, enum weight_type type, uint16_t layer, uint64_t *seed)
{
    const struct rope_params rope = {layer % 2 ? ROPE_HALVES : ROPE_ADJACENT, HEAD, m->inv_freq, 1};
    const struct attention_params attn = {
        .n_heads = HEADS, .n_kv_heads = KV_HEADS, .head_k = HEAD, .head_v = HEAD, .scale = 0.125f,
        .window = layer % 2 ? 20 : 0, .causal = true};
#define MATMUL(to, from, rows, cols)                          \
    model_op(m, (struct op){.kind = OP_MATMUL, .dst = (to), .a = (from), \
                            .w = model_weight(m, type, rows, cols, seed)})
#define NORM(to, from, group)                                                               \
    model_op(m, (struct op){.kind = OP_RMS_NORM, .dst = (to), .a = (from), .head = (group), \
                            .eps = 1e-5f})
    NORM(S_NORM, S_X, 0);
    MATMUL(S_Q, S_NORM, HEADS * HEAD, WIDTH);
    MATMUL(S_K, S_NORM, KV_HEADS * HEAD, WIDTH);
    MATMUL(S_V, S_NORM, KV_HEADS * HEAD, WIDTH);
    NORM(S_Q, S_Q, HEAD);
    model_op(m, (struct op){.kind = OP_ROPE, .dst = S_Q, .a = S_Q, .head = HEAD, .rope = rope});
    model_op(m, (struct op){.kind = OP_ROPE, .dst = S_K, .a = S_K, .head = HEAD, .rope = rope});
    model_op(m, (struct op){.kind = OP_KV_STORE, .a = S_K, .b = S_V, .layer = layer});
    model_op(m, (struct op){.kind = OP_ATTENTION, .dst = S_ATTN, .a = S_Q, .layer = layer,
                            .attn = attn});
    MATMUL(S_NORM, S_ATTN, WIDTH, HEADS * HEAD);
    model_op(m, (struct op){.kind = OP_ADD, .dst = S_X, .a = S_X, .b = S_NORM});
    NORM(S_NORM, S_X, 0);
    MATMUL(S_GATE, S_NORM, HIDDEN, WIDTH);
    MATMUL(S_UP, S_NORM, HIDDEN, WIDTH);
    model_op(m, (struct op){.kind = OP_GLU, .dst = S_GATE, .a = S_GATE, .b = S_UP,
                            .act = layer % 2 ? ACT_GELU_TANH : ACT_SILU});
    MATMUL(S_NORM, S_GATE, WIDTH, HIDDEN);
    model_op(m, (struct op){.kind = OP_ADD, .dst = S_X, .a = S_X, .b = S_NORM});
}

static void model_open(struct model *m, const char *level, uint32_t threads, enum weight_type type,
                       enum kv_type kv_type)
{
    static const uint32_t widths[N_SLOTS] = {
        [S_X] = WIDTH,         [S_NORM] = WIDTH,  [S_Q] = HEADS * HEAD, [S_K] = KV_HEADS * HEAD,
        [S_V] = KV_HEADS * HEAD, [S_ATTN] = HEADS * HEAD, [S_GATE] = HIDDEN, [S_UP] = HIDDEN,
        [S_SMALL] = WIDTH,     [S_OUT] = VOCAB,
    };
    struct error err = ERROR_INIT;
    uint64_t seed = 7;
    *m = (struct model){.b = backend_at(level, threads)};
    for (size_t i = 0; i < HEAD / 2; i++)
        m->inv_freq[i] = (float)pow(10000.0, -2.0 * (double)i / HEAD);
    const struct kv_desc desc = {
        .n_layers = LAYERS,
        .n_pages = PAGES,
        .type = kv_type,
        .n_kv_heads = (uint32_t[]){KV_HEADS, KV_HEADS},
        .head_k = (uint32_t[]){HEAD, HEAD},
        .head_v = (uint32_t[]){HEAD, HEAD},
    };
    assert_ok(m->b->ops->kv_create(m->b, &desc, &m->kv, &err));

    const struct weight *table = model_weight(m, type, VOCAB, WIDTH, &seed);
    model_op(m, (struct op){.kind = OP_EMBED, .dst = S_X, .w = table, .scale = 1.0f});
    for (uint16_t l = 0; l < LAYERS; l++)
        model_layer(m, type, l, &seed);
    model_op(m, (struct op){.kind = OP_SELECT, .dst = S_SMALL, .a = S_X});
    NORM(S_SMALL, S_SMALL, 0);
    model_op(m, (struct op){.kind = OP_MATMUL, .dst = S_OUT, .a = S_SMALL, .w = table});
    m->plan = (struct plan){m->ops, m->n_ops, widths, N_SLOTS, S_OUT};
}

static void model_close(struct model *m)
{
    for (size_t i = 0; i < m->n_weights; i++) {
        m->b->ops->weight_free(m->b, m->weights[i]);
        free(m->data[i]);
    }
    m->b->ops->kv_free(m->b, m->kv);
    m->b->ops->destroy(m->b);
}

/* Three sequences of different texts and cache pages. */
static const int32_t seq_pages[3][3] = {{4, 2, 9}, {0, 15, 1}, {8, 3, 11}};

static int32_t token_of(size_t seq, int32_t position)
{
    return (int32_t)((position * (7 + 2 * (int32_t)seq) + (int32_t)seq) % VOCAB);
}

/* Feeds n[s] next tokens of each sequence (n[s] may be 0) in one batch; the logits of all rows go to
 * logits[s][position]. */
static void feed(struct model *m, const int32_t n[3], int32_t past[3],
                 float logits[3][TOKENS][VOCAB])
{
    struct error err = ERROR_INIT;
    static float out[3 * TOKENS][VOCAB];
    int32_t ids[3 * TOKENS], rows[3 * TOKENS];
    struct batch_seq seqs[3];
    struct batch batch = {.ids = ids, .seqs = seqs, .out_rows = rows};
    for (size_t s = 0; s < 3; s++) {
        if (n[s] == 0)
            continue;
        seqs[batch.n_seqs++] = (struct batch_seq){
            .first = batch.n_tokens, .n = n[s], .n_past = past[s], .pages = seq_pages[s]};
        for (int32_t i = 0; i < n[s]; i++) {
            rows[batch.n_tokens] = batch.n_tokens;
            ids[batch.n_tokens++] = token_of(s, past[s] + i);
        }
    }
    batch.n_out = batch.n_tokens;
    assert_ok(m->b->ops->execute(m->b, &m->plan, m->kv, &batch, out[0], NULL, &err));
    for (size_t s = 0, row = 0; s < 3; s++) {
        for (int32_t i = 0; i < n[s]; i++)
            memcpy(logits[s][past[s] + i], out[row++], sizeof(out[0]));
        past[s] += n[s];
    }
}

static float want[3][TOKENS][VOCAB], got[3][TOKENS][VOCAB];

/* Compares `got` up to the given positions with `want`. */
static void assert_same(const char *how, const char *level, enum weight_type type,
                        const int32_t past[3])
{
    for (size_t s = 0; s < 3; s++) {
        for (int32_t i = 0; i < past[s]; i++) {
            if (memcmp(got[s][i], want[s][i], sizeof(want[s][i])) != 0)
                fail_msg("%s, level %s, weights %s: sequence %zu differs at position %d", how,
                         level, weight_type_info(type)->name, s, i);
        }
    }
}

static void check_invariance(const char *level, enum weight_type type, enum kv_type kv)
{
    struct model m;
    static const int32_t cuts[] = {1, 3, 5, 17, 39};

    model_open(&m, level, 1, type, kv);
    int32_t past[3] = {0};
    for (size_t s = 0; s < 3; s++) { /* each alone, in one piece */
        int32_t n[3] = {0};
        n[s] = TOKENS;
        feed(&m, n, past, want);
    }
    for (size_t i = 0; i < (size_t)VOCAB * TOKENS * 3; i++)
        assert_true(isfinite((&want[0][0][0])[i]));
    model_close(&m);

    for (uint32_t threads = 1; threads <= 3; threads++) {
        model_open(&m, level, threads, type, kv);
        memset(past, 0, sizeof(past));
        feed(&m, (const int32_t[3]){TOKENS, TOKENS, TOKENS}, past, got);
        assert_same("together", level, type, past);
        for (size_t c = 0; c < ARRAY_LEN(cuts) && threads == 2; c++) {
            memset(past, 0, sizeof(past));
            memset(got, 0, sizeof(got));
            while (past[0] + cuts[c] <= TOKENS && past[0] < 36)
                feed(&m, (const int32_t[3]){cuts[c], 0, past[2] < 30}, past, got);
            assert_same("in chunks", level, type, past);
        }
        model_close(&m);
    }
}

static void test_batch__bits_do_not_depend_on_company(void **state)
{
    (void)state;
    static const struct {
        enum weight_type type;
        enum kv_type kv;
    } cases[] = {{WT_F32, KV_F32},  {WT_F16, KV_F16},  {WT_Q5_0, KV_F16},
                 {WT_Q4_K, KV_F32}, {WT_BF16, KV_F16}};
    const char *level;
    for (size_t l = 0; (level = kernels_level_at(l)) != NULL; l++) {
        /* The scalar level is slow and has one path: two types tell. */
        for (size_t c = 0; c < ARRAY_LEN(cases) && (l > 0 || c < 2); c++)
            check_invariance(level, cases[c].type, cases[c].kv);
    }
}

/* Rows in place of ids: the same bits as the tokens whose embeddings they are. Tokens that see the
 * whole part: the same bits as attention that is not causal. */
static void test_batch__rows_and_sees(void **state)
{
    (void)state;
    enum { N = 37 };
    struct error err = ERROR_INIT;
    static float table[VOCAB][WIDTH], from_ids[N][VOCAB], from_rows[N][VOCAB];
    int32_t ids[N], zeros[N] = {0}, all[N], last[N];
    const float *rows[N];
    struct model m;
    model_open(&m, "", 2, WT_F32, KV_F32);
    memcpy(table, m.data[0], sizeof(table));
    memmove(m.ops + 2, m.ops + 1, (m.n_ops - 1) * sizeof(m.ops[0]));
    m.ops[1] = (struct op){.kind = OP_INPUT, .dst = S_X};
    m.plan.n_ops = ++m.n_ops;
    for (int32_t i = 0; i < N; i++) {
        ids[i] = token_of(0, i);
        all[i] = i;
        last[i] = N - 1;
        rows[i] = i % 3 ? table[ids[i]] : NULL;
        zeros[i] = i % 3 ? 0 : ids[i];
    }
    struct batch_seq seq = {.n = N, .pages = seq_pages[0]};
    struct batch batch = {.n_tokens = N, .ids = ids, .n_seqs = 1, .seqs = &seq, .n_out = N,
                          .out_rows = all};
    assert_ok(m.b->ops->execute(m.b, &m.plan, m.kv, &batch, from_ids[0], NULL, &err));
    batch.ids = zeros;
    batch.rows = rows;
    assert_ok(m.b->ops->execute(m.b, &m.plan, m.kv, &batch, from_rows[0], NULL, &err));
    assert_memory_equal(from_rows, from_ids, sizeof(from_ids));

    for (size_t i = 0; i < m.n_ops; i++)
        m.ops[i].attn.window = 0; /* it means something else where attention is not causal */
    seq.sees = last;
    assert_ok(m.b->ops->execute(m.b, &m.plan, m.kv, &batch, from_rows[0], NULL, &err));
    seq.sees = NULL;
    for (size_t i = 0; i < m.n_ops; i++)
        m.ops[i].attn.causal = false;
    assert_ok(m.b->ops->execute(m.b, &m.plan, m.kv, &batch, from_ids[0], NULL, &err));
    assert_memory_equal(from_rows, from_ids, sizeof(from_ids));

    last[3] = 2;
    seq.sees = last;
    assert_fails(m.b->ops->execute(m.b, &m.plan, m.kv, &batch, from_rows[0], NULL, &err),
                 ERR_INTERNAL, "token 3 of sequence 0 sees up to position 2");
    seq.sees = NULL;
    m.ops[0] = m.ops[1];
    assert_fails(m.b->ops->execute(m.b, &m.plan, m.kv, &batch, from_rows[0], NULL, &err),
                 ERR_INTERNAL, "a row has no input");
    model_close(&m);
}

static void test_batch__copied_page_continues(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct model m;
    model_open(&m, "scalar", 2, WT_F16, KV_F16);
    int32_t past[3] = {0};
    feed(&m, (const int32_t[3]){20, 0, 0}, past, want);
    m.b->ops->kv_copy_page(m.b, m.kv, seq_pages[0][0], 5);
    feed(&m, (const int32_t[3]){1, 0, 0}, past, want);
    const int32_t id = token_of(0, 20), row = 0, page = 5;
    const struct batch_seq seq = {.first = 0, .n = 1, .n_past = 20, .pages = &page};
    const struct batch batch = {.n_tokens = 1, .ids = &id, .n_seqs = 1, .seqs = &seq, .n_out = 1,
                                .out_rows = &row};
    assert_ok(m.b->ops->execute(m.b, &m.plan, m.kv, &batch, got[0][20], NULL, &err));
    assert_memory_equal(got[0][20], want[0][20], sizeof(want[0][20]));
    model_close(&m);
}

static void test_batch__no_output_wanted(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct model m;
    model_open(&m, "", 2, WT_Q4_0, KV_F16);
    const int32_t ids[] = {1, 2, 3};
    const struct batch_seq seq = {.first = 0, .n = 3, .n_past = 0, .pages = seq_pages[0]};
    const struct batch batch = {.n_tokens = 3, .ids = ids, .n_seqs = 1, .seqs = &seq};
    assert_ok(m.b->ops->execute(m.b, &m.plan, m.kv, &batch, NULL, NULL, &err));
    const struct batch nothing = {0};
    assert_ok(m.b->ops->execute(m.b, &m.plan, m.kv, &nothing, NULL, NULL, &err));
    model_close(&m);
}

static void test_batch__cancel(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct model m;
    model_open(&m, "", 2, WT_F16, KV_F16);
    const int32_t ids[] = {1, 2, 3};
    const volatile bool cancel = true;
    const struct batch_seq seq = {.first = 0, .n = 3, .n_past = 0, .pages = seq_pages[0]};
    const struct batch batch = {.n_tokens = 3, .ids = ids, .n_seqs = 1, .seqs = &seq};
    assert_fails(m.b->ops->execute(m.b, &m.plan, m.kv, &batch, NULL, &cancel, &err), ERR_CANCELED,
                 "canceled");
    model_close(&m);
}

static void test_batch__mistakes_are_named(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct model m;
    model_open(&m, "scalar", 1, WT_F16, KV_F16);
    float out[4 * VOCAB];
    const int32_t ids[] = {1, 2, 3, 4}, bad_ids[] = {1, VOCAB, 3, 4}, bad_rows[] = {4};
    const struct batch_seq good = {.first = 0, .n = 4, .pages = seq_pages[0]};
    const struct batch_seq short_seq = {.first = 0, .n = 3, .pages = seq_pages[0]};
    const struct batch_seq late = {.first = 1, .n = 3, .pages = seq_pages[0]};
    const struct batch_seq bad_page = {.first = 0, .n = 4, .pages = (int32_t[]){PAGES}};
    const struct {
        struct batch batch;
        const char *part;
    } cases[] = {
        {{.n_tokens = 4, .ids = bad_ids, .n_seqs = 1, .seqs = &good}, "token id"},
        {{.n_tokens = 4, .ids = ids, .n_seqs = 1, .seqs = &short_seq}, "cover 3 of 4"},
        {{.n_tokens = 4, .ids = ids, .n_seqs = 1, .seqs = &late}, "expected to start at 0"},
        {{.n_tokens = 4, .ids = ids, .n_seqs = 1, .seqs = &bad_page}, "page 16"},
        {{.n_tokens = 4, .ids = ids, .n_seqs = 1, .seqs = &good, .n_out = 1, .out_rows = bad_rows},
         "output row 4"},
        {{.n_tokens = -1, .ids = ids}, "negative"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_fails(m.b->ops->execute(m.b, &m.plan, m.kv, &cases[i].batch, out, NULL, &err),
                     ERR_INTERNAL, cases[i].part);

    /* A plan whose first operation is changed. */
    const struct batch batch = {.n_tokens = 4, .ids = ids, .n_seqs = 1, .seqs = &good};
    const struct op first = m.ops[1];
    const struct {
        struct op op;
        const char *part;
    } ops[] = {
        {{.kind = OP_ADD, .dst = S_X, .a = S_X, .b = S_UP}, "different numbers of rows"},
        {{.kind = OP_ADD, .dst = S_X, .a = S_UP, .b = S_X}, "nothing has written"},
        {{.kind = OP_SCALE, .dst = S_K, .a = S_X}, "scale): widths differ"},
        {{.kind = OP_MATMUL, .dst = S_OUT, .a = S_X}, "does not fit"},
        {{.kind = OP_MATMUL, .dst = N_SLOTS, .a = S_X}, "no such slot"},
        {{.kind = OP_ATTENTION, .dst = S_ATTN, .a = S_X, .layer = LAYERS}, "do not fit the cache"},
        {{.kind = OP_SELECT, .dst = S_X, .a = S_X}, "two slots"},
        {{.kind = OP_ROPE, .dst = S_X, .a = S_X, .head = 100}, "whole heads"},
        {{.kind = (enum op_kind)77, .dst = S_X, .a = S_X}, "no such operation"},
    };
    for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
        m.ops[1] = ops[i].op;
        assert_fails(m.b->ops->execute(m.b, &m.plan, m.kv, &batch, out, NULL, &err), ERR_INTERNAL,
                     ops[i].part);
    }
    m.ops[1] = first;
    assert_ok(m.b->ops->execute(m.b, &m.plan, m.kv, &batch, out, NULL, &err));
    model_close(&m);
}

/* Weights and activations that are no numbers give answers that are none, and nothing worse. */
static void test_batch__not_a_number(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    const char *level;
    static const uint16_t values[] = {0x7e00, 0x7c00, 0xfc00}; /* NaN and infinities as f16 */
    for (size_t l = 0; (level = kernels_level_at(l)) != NULL; l++) {
        for (size_t v = 0; v < ARRAY_LEN(values); v++) {
            struct model m;
            model_open(&m, level, 2, WT_F16, KV_F16);
            for (size_t w = 0; w < m.n_weights; w++)
                memcpy((unsigned char *)m.data[w] + 40, &values[v], 2);
            float out[3][VOCAB];
            const int32_t ids[] = {0, 1, 2};
            const struct batch_seq seq = {.first = 0, .n = 3, .n_past = 0, .pages = seq_pages[0]};
            const struct batch batch = {.n_tokens = 3, .ids = ids, .n_seqs = 1, .seqs = &seq,
                                        .n_out = 3, .out_rows = ids};
            assert_ok(m.b->ops->execute(m.b, &m.plan, m.kv, &batch, out[0], NULL, &err));
            assert_true(isnan(out[2][0]));
            model_close(&m);
        }
    }
}

static void test_backend__refusals(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct backend *b = NULL;
    setenv("MR_CPU", "mmx", 1);
    assert_fails(backend_cpu_create(&(struct backend_cpu_options){0}, &b, &err), ERR_INVALID,
                 "'mmx' is no instruction set level");
    unsetenv("MR_CPU");
    assert_fails(backend_cpu_create(&(struct backend_cpu_options){.n_threads = 100000}, &b, &err),
                 ERR_INVALID, "threads");
    assert_ok(backend_cpu_create(&(struct backend_cpu_options){0}, &b, &err));
    assert_true(backend_cpu_threads(b) >= 1);
    assert_non_null(backend_cpu_level(b));

    static const unsigned char data[64];
    static const struct {
        struct weight_desc desc;
        enum errc code;
        const char *part;
    } weights[] = {
        {{"t", WT_I32, 1, 256, data}, ERR_UNSUPPORTED, "I32"},
        {{"t", WT_I32, 1, 4, data}, ERR_UNSUPPORTED, "I32"},
        {{"t", (enum weight_type)5, 1, 4, data}, ERR_UNSUPPORTED, "unknown type 5"},
        {{"t", (enum weight_type)4711, 1, 4, data}, ERR_UNSUPPORTED, "unknown type 4711"},
        {{"t", WT_Q4_0, 1, 33, data}, ERR_CORRUPT, "blocks of 32"},
        {{"t", WT_Q4_0, 1, 0, data}, ERR_CORRUPT, "blocks of 32"},
        {{"t", WT_F32, UINT32_MAX, UINT32_MAX, data}, ERR_TOO_LARGE, "too large"},
    };
    for (size_t i = 0; i < ARRAY_LEN(weights); i++) {
        struct weight *w = NULL;
        bool keeps;
        assert_fails(b->ops->weight_load(b, &weights[i].desc, &w, &keeps, &err), weights[i].code,
                     weights[i].part);
        assert_null(w);
    }

    const uint32_t one[] = {1}, big[] = {UINT32_MAX}, some[] = {128};
    struct kv *kv = NULL;
    struct kv_desc desc = {.n_layers = 1, .n_pages = 1, .type = KV_F16,
                           .n_kv_heads = big, .head_k = big, .head_v = big};
    assert_fails(b->ops->kv_create(b, &desc, &kv, &err), ERR_TOO_LARGE, "layer 0");
    desc = (struct kv_desc){.n_layers = 1, .n_pages = UINT32_MAX, .type = KV_F16,
                            .n_kv_heads = some, .head_k = some, .head_v = some};
    assert_fails(b->ops->kv_create(b, &desc, &kv, &err), ERR_NOMEM, "smaller context");
    desc = (struct kv_desc){.n_layers = 1, .n_pages = 3, .type = KV_F32,
                            .n_kv_heads = one, .head_k = some, .head_v = one};
    uint64_t bytes;
    assert_ok(kv_page_bytes(&desc, &bytes, &err));
    assert_int_equal(bytes, 129 * 4 * KV_PAGE_TOKENS);
    b->ops->weight_free(b, NULL);
    b->ops->kv_free(b, NULL);
    b->ops->destroy(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_batch__bits_do_not_depend_on_company),
        cmocka_unit_test(test_batch__rows_and_sees),
        cmocka_unit_test(test_batch__copied_page_continues),
        cmocka_unit_test(test_batch__no_output_wanted),
        cmocka_unit_test(test_batch__cancel),
        cmocka_unit_test(test_batch__mistakes_are_named),
        cmocka_unit_test(test_batch__not_a_number),
        cmocka_unit_test(test_backend__refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
