/* SPDX-License-Identifier: Apache-2.0
 *
 * Vectors of small random models of every architecture of encoders against the double-precision
 * reference; pooling; texts in company, in chunks, too long. */
#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "engine/kernels/types.h"
#include "engine/run/embedding.h"
#include "ref_encoder.h"
#include "tiny_encoder.h"
#include "tiny_model.h"

enum { CTX = 96, WIDTH = 64 };

static char *temp_path(void)
{
    return xasprintf("/tmp/test_embedding.%d.gguf", (int)getpid());
}

/* What a test does not say. */
static struct tiny_encoder sized(struct tiny_encoder m)
{
    m.n_layers = m.n_layers ? m.n_layers : 3;
    m.n_embd = WIDTH;
    m.n_heads = m.n_heads ? m.n_heads : 4;
    m.n_kv_heads = m.n_kv_heads ? m.n_kv_heads : m.n_heads;
    m.n_ff = 96;
    m.n_ctx = CTX;
    m.pooling = m.pooling ? m.pooling : POOLING_MEAN;
    return m;
}

static struct lm *open_encoder(const struct tiny_encoder *given, struct ref_model **ret_ref)
{
    const struct tiny_encoder m = sized(*given);
    struct error err = ERROR_INIT;
    struct lm *lm = NULL;
    CLEANUP_FREE char *path = temp_path();
    assert_ok(tiny_encoder_write(&m, path, &err));
    assert_ok(lm_open(path, &(struct lm_options){.n_threads = 2}, &lm, &err));
    if (ret_ref) {
        *ret_ref = ref_model_open(path);
        assert_non_null(*ret_ref);
    }
    unlink(path);
    return lm;
}

static int run(struct lm *lm, const struct embedding_request *req, struct embedding **ret,
               struct error *err)
{
    int r = embedding_begin(lm, req, ret, err);
    if (r < 0)
        return r;
    while ((r = embedding_step(*ret, NULL, err)) > 0)
        ;
    return r;
}

static int32_t id_at(size_t i)
{
    return 5 + (int32_t)((i * 37 + i * i) % 80);
}

static void fill(int32_t *ids, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ids[i] = id_at(i);
}

static const struct tiny_encoder models[] = {
    {.arch = "bert"},
    {.arch = "bert", .pooling = POOLING_CLS, .fused = true, .type = WT_F16},
    {.arch = "bert", .pooling = POOLING_LAST, .no_biases = true, .type = WT_Q8_0},
    {.arch = "bert", .pooling = POOLING_RANK, .n_labels = 1},
    {.arch = "bert", .pooling = POOLING_RANK, .n_labels = 3},
    {.arch = "nomic-bert"},
    {.arch = "nomic-bert", .fused = true, .no_biases = true},
    {.arch = "jina-bert-v2"},
    {.arch = "jina-bert-v2", .fused_up = true},
    {.arch = "jina-bert-v2", .n_heads = 8, .n_kv_heads = 8, .qk_norm = true, .norm_2 = true},
    {.arch = "jina-bert-v2", .pooling = POOLING_RANK, .n_labels = 1},
    {.arch = "jina-bert-v3", .fused = true},
    {.arch = "modern-bert", .n_layers = 5, .window = 9},
    {.arch = "modern-bert", .n_layers = 4, .window = 8, .swiglu = true},
    {.arch = "modern-bert", .pooling = POOLING_RANK, .n_labels = 2},
    {.arch = "neo-bert", .pooling = POOLING_CLS},
    {.arch = "eurobert", .n_kv_heads = 2},
    {.arch = "gemma-embedding", .n_layers = 8, .n_kv_heads = 1, .window = 10},
    {.arch = "gemma-embedding", .n_layers = 7, .window = 500, .dense = 128},
};

static void check_model(const struct tiny_encoder *m)
{
    enum pooling pooling = (enum pooling)sized(*m).pooling;
    static const size_t lengths[] = {1, 7, 33, CTX};
    struct error err = ERROR_INIT;
    struct ref_model *ref;
    struct lm *lm = open_encoder(m, &ref);
    assert_int_equal(lm_default_pooling(lm), pooling);
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        int32_t ids[CTX];
        double hidden[CTX * WIDTH], want[128];
        fill(ids, lengths[i]);
        ref_encoder_forward(ref, ids, lengths[i], hidden);
        size_t n_want = ref_encoder_pool(ref, hidden, lengths[i], want);
        const struct prompt text = {.ids = ids, .n = lengths[i]};
        struct embedding *e;
        assert_ok(run(lm,
                      &(struct embedding_request){.texts = &text, .n_texts = 1, .pooling = pooling},
                      &e, &err));
        uint32_t n_rows, width;
        const float *got = embedding_rows(e, 0, &n_rows, &width);
        assert_int_equal(n_rows, 1);
        assert_int_equal(width, n_want);
        for (size_t k = 0; k < width; k++)
            if (!(fabs((double)got[k] - want[k]) <= 2e-5))
                fail_msg("%s, model %td, %zu tokens: value %zu is %g, wanted %g", m->arch,
                         m - models, lengths[i], k, (double)got[k], want[k]);
        embedding_free(e);
    }
    ref_model_free(ref);
    lm_close(lm);
}

static void test_embedding__every_architecture(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(models); i++)
        check_model(&models[i]);
}

/* Many texts at once, of which a group does not hold all: each as if it were alone. */
static void check_company(struct lm *lm, enum pooling pooling)
{
    enum { N = 40 };
    struct error err = ERROR_INIT;
    static int32_t ids[N][CTX];
    struct prompt texts[N];
    for (size_t i = 0; i < N; i++) {
        size_t n = 1 + (i * 29) % CTX;
        for (size_t k = 0; k < n; k++)
            ids[i][k] = id_at(k + i);
        texts[i] = (struct prompt){.ids = ids[i], .n = n};
    }
    struct embedding_request req = {.texts = texts, .n_texts = N, .pooling = pooling};
    struct embedding *all, *one;
    assert_ok(run(lm, &req, &all, &err));
    for (size_t i = 0; i < N; i++) {
        uint32_t n_rows, width, n_alone;
        req.texts = &texts[i];
        req.n_texts = 1;
        assert_ok(run(lm, &req, &one, &err));
        const float *got = embedding_rows(all, i, &n_rows, &width);
        assert_memory_equal(got, embedding_rows(one, 0, &n_alone, &width),
                            (size_t)n_rows * width * sizeof(float));
        assert_int_equal(n_rows, n_alone);
        embedding_free(one);
    }
    embedding_free(all);
}

static void test_embedding__company(void **state)
{
    (void)state;
    static const enum pooling kinds[] = {POOLING_NONE, POOLING_MEAN, POOLING_CLS, POOLING_LAST};
    struct lm *lm = open_encoder(&(struct tiny_encoder){.arch = "jina-bert-v2"}, NULL);
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        check_company(lm, kinds[i]);
    lm_close(lm);
}

/* A decoder: its texts may be cut, and then give what they give in one piece. */
static void test_embedding__decoder_in_chunks(void **state)
{
    (void)state;
    enum { LONG = 1300 };
    struct error err = ERROR_INIT;
    CLEANUP_FREE char *path = temp_path();
    const struct tiny_model m = {.arch = "llama",
                                 .n_layers = 2,
                                 .n_embd = 64,
                                 .n_heads = 4,
                                 .n_kv_heads = 2,
                                 .n_ff = 96,
                                 .n_vocab = 512,
                                 .n_ctx = 2048};
    struct lm *lm = NULL;
    assert_ok(tiny_model_write(&m, path, &err));
    assert_ok(lm_open(path, &(struct lm_options){.n_threads = 2}, &lm, &err));
    unlink(path);
    assert_int_equal(lm_default_pooling(lm), POOLING_LAST);
    assert_false(lm_can_rank(lm));

    CLEANUP_FREE int32_t *ids = xcalloc(LONG, sizeof(*ids));
    fill(ids, LONG);
    const struct prompt text = {.ids = ids, .n = LONG};
    struct embedding_request req = {
        .texts = &text, .n_texts = 1, .pooling = POOLING_NONE, .kv_type = KV_F32};
    struct embedding *tokens, *last, *mean;
    uint32_t n_rows, width;
    assert_ok(run(lm, &req, &tokens, &err));
    const float *rows = embedding_rows(tokens, 0, &n_rows, &width);
    assert_int_equal(n_rows, LONG);
    req.pooling = POOLING_LAST;
    assert_ok(run(lm, &req, &last, &err));
    assert_memory_equal(embedding_rows(last, 0, &n_rows, &width), rows + (size_t)(LONG - 1) * width,
                        width * sizeof(float));
    req.pooling = POOLING_MEAN;
    assert_ok(run(lm, &req, &mean, &err));
    const float *v = embedding_rows(mean, 0, &n_rows, &width);
    for (size_t i = 0; i < width; i++) {
        double sum = 0;
        for (size_t p = 0; p < LONG; p++)
            sum += (double)rows[p * width + i];
        assert_true(fabs(sum / LONG - (double)v[i]) < 1e-6);
    }
    req.pooling = POOLING_RANK;
    struct embedding *none;
    assert_fails(run(lm, &req, &none, &err), ERR_UNSUPPORTED, "no head for ranking");
    embedding_free(tokens);
    embedding_free(last);
    embedding_free(mean);
    lm_close(lm);
}

/* A decoder with a head of two classes: probabilities, from the last token. */
static void test_embedding__decoder_ranks(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    const struct tiny_encoder m = {.arch = "qwen3", .pooling = POOLING_RANK, .n_labels = 2};
    struct lm *lm = open_encoder(&m, NULL);
    assert_true(lm_can_rank(lm));
    assert_int_equal(lm_default_pooling(lm), POOLING_RANK);
    int32_t ids[9];
    fill(ids, ARRAY_LEN(ids));
    const struct prompt text = {.ids = ids, .n = ARRAY_LEN(ids)};
    struct embedding *e;
    const struct embedding_request req = {.texts = &text, .n_texts = 1, .pooling = POOLING_RANK};
    assert_ok(run(lm, &req, &e, &err));
    uint32_t n_rows, width;
    const float *scores = embedding_rows(e, 0, &n_rows, &width);
    assert_int_equal(width, 2);
    assert_true(scores[0] > 0 && scores[1] > 0);
    assert_true(fabs((double)scores[0] + (double)scores[1] - 1) < 1e-6);
    embedding_free(e);
    lm_close(lm);
}

static void test_embedding__refusals(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct lm *lm = open_encoder(&(struct tiny_encoder){.arch = "bert"}, NULL);
    int32_t ids[CTX + 1];
    fill(ids, CTX + 1);
    struct prompt text = {.ids = ids, .n = CTX + 1};
    struct embedding_request req = {.texts = &text, .n_texts = 1, .pooling = POOLING_MEAN};
    struct embedding *e;
    assert_fails(run(lm, &req, &e, &err), ERR_TOO_LARGE,
                 "97 tokens does not fit the context of 96");
    req.ctx_size = 4096; /* there are no positions behind the file's context */
    assert_fails(run(lm, &req, &e, &err), ERR_TOO_LARGE,
                 "97 tokens does not fit the context of 96");
    req.ctx_size = 8;
    text.n = 9;
    assert_fails(run(lm, &req, &e, &err), ERR_TOO_LARGE, "9 tokens does not fit the context of 8");
    text.n = 0;
    assert_fails(run(lm, &req, &e, &err), ERR_INVALID, "without tokens");
    text.n = 3;
    ids[1] = 4000;
    assert_fails(run(lm, &req, &e, &err), ERR_INVALID, "token id 4000");
    ids[1] = 5;
    req.pooling = POOLING_RANK;
    assert_fails(run(lm, &req, &e, &err), ERR_UNSUPPORTED, "no head for ranking");

    /* Nothing to do is done at once; a canceled one ends. */
    req.n_texts = 0;
    req.pooling = POOLING_MEAN;
    assert_ok(run(lm, &req, &e, &err));
    embedding_free(e);
    req.n_texts = 1;
    volatile bool cancel = true;
    assert_ok(embedding_begin(lm, &req, &e, &err));
    assert_fails(embedding_step(e, &cancel, &err), ERR_CANCELED, "canceled");
    embedding_free(e);

    float *logits = xcalloc(lm->n_vocab, sizeof(*logits));
    const struct batch none = {0};
    assert_false(model_generates(lm->model));
    assert_fails(model_eval(lm->model, NULL, &none, logits, NULL, &err), ERR_UNSUPPORTED,
                 "'bert' makes embeddings");
    free(logits);
    lm_close(lm);
}

static void test_embedding__pooling_names(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    enum pooling p;
    for (int i = POOLING_NONE; i <= POOLING_RANK; i++) {
        assert_ok(pooling_parse(str_from(pooling_name((enum pooling)i)), &p, &err));
        assert_int_equal(p, i);
    }
    assert_fails(pooling_parse(STR("max"), &p, &err), ERR_INVALID, "no pooling 'max'");
    float v[] = {3, 0, -4}, zero[] = {0, 0};
    embedding_normalise(v, 3);
    assert_true(fabsf(v[0] - 0.6f) < 1e-6f && fabsf(v[2] + 0.8f) < 1e-6f);
    embedding_normalise(zero, 2);
    assert_true(zero[0] == 0.0f && zero[1] == 0.0f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_embedding__every_architecture),
        cmocka_unit_test(test_embedding__company),
        cmocka_unit_test(test_embedding__decoder_in_chunks),
        cmocka_unit_test(test_embedding__decoder_ranks),
        cmocka_unit_test(test_embedding__refusals),
        cmocka_unit_test(test_embedding__pooling_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
