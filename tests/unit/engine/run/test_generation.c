/* SPDX-License-Identifier: Apache-2.0
 *
 * Generation with real, if tiny, models: greedy texts are the same alone and among others, whatever
 * is in the cache. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/json.h"
#include "engine/kernels/types.h"
#include "engine/run/batcher.h"
#include "shared_set.h"
#include "test.h"
#include "tiny_model.h"

enum { N_PROMPTS = 6, TEXT_MAX = 1 << 20 };

static struct batcher *open_batcher(struct lm *lm, uint32_t n_parallel, enum kv_type type)
{
    struct error err = ERROR_INIT;
    struct batcher *b;
    struct batcher_options o = {.ctx_size = 256, .n_parallel = n_parallel, .kv_type = type};
    assert_ok(batcher_create(lm, &o, &b, &err));
    return b;
}

static struct generation *start(struct batcher *b, const int32_t *ids, size_t n, int64_t n_predict)
{
    struct error err = ERROR_INIT;
    struct generation *g;
    struct prompt p = {ids, n};
    struct generation_request req = GENERATION_REQUEST_INIT;
    req.prompts = &p;
    req.n_predict = n_predict;
    req.sampling.temperature = 0;
    req.sampling.ignore_eos = true;
    assert_ok(batcher_submit(b, &req, &g, &err));
    return g;
}

static char *finish(struct generation *g)
{
    CLEANUP_BUF struct buf text = BUF_INIT(TEXT_MAX);
    struct generation_event *e;
    int r;
    while ((r = generation_next(g, &e)) > 0) {
        if (e->kind == EVENT_ERROR)
            fail_msg("%s", e->error->msg);
        buf_append(&text, e->text);
        generation_event_free(e);
    }
    assert_int_equal(r, 0);
    generation_free(g);
    buf_append(&text, STR(""));
    return buf_take(&text);
}

/* Prompts that share beginnings of different lengths. */
static size_t make_prompt(int i, uint32_t n_vocab, int32_t *ids)
{
    size_t n = 40 + 23 * (size_t)i;
    for (size_t k = 0; k < n; k++)
        ids[k] = (int32_t)((k * 7 + (k > 60 ? (size_t)i * 13 : 0) + 3) % n_vocab);
    return n;
}

/* Every second client leaves after its first text; what was computed up to there is used again. */
static void check_leaving(struct batcher *b, uint32_t n_vocab, char *const *alone)
{
    int32_t ids[256];
    struct generation *g[N_PROMPTS];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < N_PROMPTS; i++)
            g[i] = start(b, ids, make_prompt(i, n_vocab, ids), 24);
        for (int i = round; i < N_PROMPTS; i += 2) {
            struct generation_event *e;
            assert_int_equal(generation_next(g[i], &e), 1);
            generation_event_free(e);
            generation_free(g[i]);
        }
        for (int i = !round; i < N_PROMPTS; i += 2) {
            char *text = finish(g[i]);
            assert_string_equal(text, alone[i]);
            free(text);
        }
    }
}

/* Several choices of one prompt, greedy: all the same text, the others from what the first left. */
static void check_choices(struct batcher *b, uint32_t n_vocab, const char *alone)
{
    enum { CHOICES = 5 };
    int32_t ids[256];
    struct error err = ERROR_INIT;
    struct prompt p = {ids, make_prompt(N_PROMPTS - 1, n_vocab, ids), NULL, 0};
    ids[0] = (ids[0] + 1) % (int32_t)n_vocab; /* nothing of it is in the cache */
    struct generation_request req = GENERATION_REQUEST_INIT;
    req.prompts = &p;
    req.n_predict = 24;
    req.n_choices = CHOICES;
    req.sampling.temperature = 0;
    req.sampling.ignore_eos = true;
    struct buf text[CHOICES];
    for (int i = 0; i < CHOICES; i++)
        text[i] = BUF_INIT(TEXT_MAX);
    for (int round = 0; round < 2; round++) {
        struct generation *g;
        struct generation_event *e;
        uint32_t n_branched = 0;
        assert_ok(batcher_submit(b, &req, &g, &err));
        while (generation_next(g, &e) > 0) {
            buf_append(&text[e->choice], e->text);
            if (e->kind == EVENT_FINISH && e->choice > 0)
                n_branched += e->stats.n_cached > 0;
            generation_event_free(e);
        }
        generation_free(g);
        assert_int_equal(n_branched, CHOICES - 1);
        for (int i = 1; i < CHOICES; i++)
            assert_string_equal(buf_cstr(&text[i]), buf_cstr(&text[0]));
        if (round == 1)
            assert_string_equal(buf_cstr(&text[0]), alone);
        for (int i = 0; i < CHOICES; i++)
            buf_release(&text[i]);
        for (int i = 0; i < CHOICES; i++)
            text[i] = BUF_INIT(TEXT_MAX);
        make_prompt(N_PROMPTS - 1, n_vocab, ids); /* the second time it is the known prompt */
    }
}

static void check_model(const struct tiny_model *spec)
{
    struct error err = ERROR_INIT;
    char path[] = "/tmp/mr-test-generation-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    assert_ok(tiny_model_write(spec, path, &err));
    struct lm *lm;
    assert_ok(lm_open(path, &(struct lm_options){.n_threads = 2}, &lm, &err));
    unlink(path);

    int32_t ids[256];
    char *alone[N_PROMPTS];
    for (int i = 0; i < N_PROMPTS; i++) {
        struct batcher *b = open_batcher(lm, 1, KV_F16);
        size_t n = make_prompt(i, lm->n_vocab, ids);
        alone[i] = finish(start(b, ids, n, 24));
        batcher_free(b);
    }
    struct batcher *b = open_batcher(lm, 4, KV_F16);
    for (int round = 0; round < 2; round++) { /* the second one finds everything in the cache */
        struct generation *g[N_PROMPTS];
        for (int i = 0; i < N_PROMPTS; i++) {
            size_t n = make_prompt(i, lm->n_vocab, ids);
            g[i] = start(b, ids, n, 24);
        }
        for (int i = 0; i < N_PROMPTS; i++) {
            char *together = finish(g[i]);
            assert_string_equal(together, alone[i]);
            free(together);
        }
    }
    check_leaving(b, lm->n_vocab, alone);
    check_choices(b, lm->n_vocab, alone[N_PROMPTS - 1]);
    batcher_free(b);
    for (int i = 0; i < N_PROMPTS; i++)
        free(alone[i]);
    lm_close(lm);
}

static void test_generation__alone_and_together(void **state)
{
    (void)state;
    const struct tiny_model specs[] = {
        {.arch = "llama",
         .type = WT_F32,
         .n_layers = 2,
         .n_embd = 64,
         .n_heads = 4,
         .n_kv_heads = 2,
         .n_ff = 96,
         .n_vocab = 400,
         .n_ctx = 256,
         .seed = 1},
        {.arch = "qwen2",
         .type = WT_Q8_0,
         .n_layers = 2,
         .n_embd = 64,
         .n_heads = 4,
         .n_kv_heads = 2,
         .n_ff = 96,
         .n_vocab = 400,
         .n_ctx = 256,
         .seed = 2},
        {.arch = "llama",
         .type = WT_Q4_K,
         .n_layers = 2,
         .n_embd = 256,
         .n_heads = 4,
         .n_kv_heads = 4,
         .n_ff = 256,
         .n_vocab = 400,
         .n_ctx = 256,
         .seed = 3,
         .untied = true},
    };
    for (size_t i = 0; i < ARRAY_LEN(specs); i++)
        check_model(&specs[i]);
}

static void test_generation__recurrent_layers(void **state)
{
    (void)state;
    static const char *const archs[] = {"lfm2",  "mamba",     "mamba2", "granitehybrid",
                                        "jamba", "falcon-h1", "qwen35", "nemotron_h"};
    for (size_t i = 0; i < ARRAY_LEN(archs); i++) {
        const struct tiny_model spec = {.arch = archs[i],
                                        .type = WT_F16,
                                        .n_layers = 3,
                                        .n_embd = 32,
                                        .n_heads = 2,
                                        .n_kv_heads = 1,
                                        .n_ff = 48,
                                        .n_vocab = 400,
                                        .n_ctx = 256,
                                        .seed = 4};
        check_model(&spec);
    }
}

/* The reference continuations of a trained model, all prompts at once. */
static void test_generation__stories(void **state)
{
    (void)state;
    CLEANUP_FREE char *model = shared_path("conformance/logits/stories260K.gguf");
    CLEANUP_FREE char *greedy = shared_path("conformance/logits/stories260K.greedy64.json");
    if (!file_exists(model) || !file_exists(greedy))
        skip();
    struct error err = ERROR_INIT;
    CLEANUP_BUF struct buf text = BUF_INIT(TEXT_MAX);
    CLEANUP_JSON struct json *doc = NULL;
    assert_ok(file_read(greedy, &text, &err));
    assert_ok(js_parse(buf_str(&text), greedy, &doc, &err));
    const struct json *rows = js_get(doc, "rows");
    assert_true(js_len(rows) > 0);

    struct lm *lm;
    assert_ok(lm_open(model, &(struct lm_options){0}, &lm, &err));
    struct batcher *b = open_batcher(lm, 4, KV_F32);
    struct generation *g[16];
    for (size_t i = 0; i < js_len(rows) && i < ARRAY_LEN(g); i++) {
        CLEANUP_TOKEN_LIST struct token_list ids = TOKEN_LIST_INIT;
        assert_ok(lm_tokenize_prompt(lm, js_get_str(js_at(rows, i), "prompt"), &ids, &err));
        const struct json *want = js_get(js_at(rows, i), "ids");
        assert_int_equal(ids.n, js_len(want));
        for (size_t k = 0; k < ids.n; k++)
            assert_int_equal(ids.ids[k], js_to_int(js_at(want, k), -1));
        g[i] = start(b, ids.ids, ids.n, 64);
    }
    for (size_t i = 0; i < js_len(rows) && i < ARRAY_LEN(g); i++) {
        const struct json *ids = js_get(js_at(rows, i), "greedy_ids");
        CLEANUP_BUF struct buf want = BUF_INIT(TEXT_MAX);
        for (size_t k = 0; k < js_len(ids); k++)
            assert_ok(tokenizer_piece(lm->tokenizer, (int32_t)js_to_int(js_at(ids, k), 0), false,
                                      &want, &err));
        char *got = finish(g[i]);
        assert_string_equal(got, buf_cstr(&want));
        free(got);
    }
    batcher_free(b);
    lm_close(lm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_generation__alone_and_together),
        cmocka_unit_test(test_generation__recurrent_layers),
        cmocka_unit_test(test_generation__stories),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
