/* SPDX-License-Identifier: Apache-2.0
 *
 * LoRA adapters: against the double-precision forward pass of a model into whose weights they were
 * merged; the same numbers in any company; files that do not fit. */
#include "test.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/compiler.h"
#include "engine/kernels/types.h"
#include "gguf/gguf_writer.h"
#include "model_run.h"
#include "ref_forward.h"
#include "temp_dir.h"
#include "tiny_model.h"

enum { N_IDS = 21, N_VOCAB = 384, RANK = 3 };

static const struct tiny_model shape = {.arch = "llama",
                                        .type = WT_F32,
                                        .n_layers = 2,
                                        .n_embd = 64,
                                        .n_heads = 4,
                                        .n_kv_heads = 2,
                                        .n_ff = 96,
                                        .n_vocab = N_VOCAB,
                                        .n_ctx = 256,
                                        .untied = true};

static char *in_dir(const char *name)
{
    return path_join(dir, name);
}

static void draw_ids(int32_t *ids)
{
    for (int32_t i = 0; i < N_IDS; i++)
        ids[i] = (i * 7919 + 13) % N_VOCAB;
}

/* ---- adapters and what they mean ---- */

/* Number i of a matrix of an adapter: any numbers will do. */
static float entry(uint32_t seed, bool is_b, uint64_t i)
{
    uint32_t h = seed * 2654435761u + (uint32_t)i * 40503u + is_b;
    h ^= h >> 13;
    h *= 2246822519u;
    return (float)(int32_t)(h ^ (h >> 16)) * 0x1p-31f * (is_b ? 0.5f : 0.3f);
}

struct spec {
    const char *arch, *kind; /* general.architecture, adapter.type */
    const char *const *tensors;
    uint64_t n_cols, n_rows; /* added to the right sizes */
    uint32_t seed;
    double alpha;
};

static uint32_t seed_of(const struct spec *s, size_t tensor)
{
    return s->seed * 100 + (uint32_t)tensor;
}

static void write_values(struct gguf_writer *w, uint32_t seed, bool is_b, uint64_t n)
{
    struct error err = ERROR_INIT;
    for (uint64_t i = 0; i < n; i++) {
        float v = entry(seed, is_b, i);
        assert_ok(gguf_writer_data(w, &v, sizeof(v), &err));
    }
}

/* Writes an adapter of rank RANK for tensors of the model at `base`. */
static void write_adapter(const char *path, const char *base, const struct spec *s)
{
    struct error err = ERROR_INIT;
    CLEANUP(cleanup_gguf) struct gguf *g = NULL;
    CLEANUP(cleanup_gguf_writer) struct gguf_writer *w = gguf_writer_new();
    assert_ok(gguf_open(base, 0, &g, &err));
    gguf_writer_str(w, "general.type", STR("adapter"));
    gguf_writer_str(w, "adapter.type", str_from(s->kind));
    gguf_writer_str(w, "general.architecture", str_from(s->arch));
    gguf_writer_f32(w, "adapter.lora.alpha", (float)s->alpha);
    for (size_t i = 0; s->tensors[i]; i++) {
        const struct gguf_tensor *t = gguf_tensor_find(g, str_from(s->tensors[i]));
        uint64_t cols = (t ? t->dims[0] : 8) + s->n_cols, rows = (t ? t->dims[1] : 8) + s->n_rows;
        char name[GGUF_MAX_NAME];
        snprintf(name, sizeof(name), "%s.lora_a", s->tensors[i]);
        gguf_writer_tensor(w, str_from(name), WT_F32, 2, (uint64_t[]){cols, RANK});
        snprintf(name, sizeof(name), "%s.lora_b", s->tensors[i]);
        gguf_writer_tensor(w, str_from(name), WT_F32, 2, (uint64_t[]){RANK, rows});
    }
    assert_ok(gguf_writer_begin(w, path, &err));
    for (size_t i = 0; s->tensors[i]; i++) {
        const struct gguf_tensor *t = gguf_tensor_find(g, str_from(s->tensors[i]));
        uint64_t cols = (t ? t->dims[0] : 8) + s->n_cols, rows = (t ? t->dims[1] : 8) + s->n_rows;
        write_values(w, seed_of(s, i), false, cols * RANK);
        write_values(w, seed_of(s, i), true, rows * RANK);
    }
    assert_ok(gguf_writer_end(w, &err));
}

/* What the adapters add to weight (r, c) of tensor `name`. */
static double delta(const struct spec *const *specs, const float *scales, size_t n, struct str name,
                    uint64_t cols, uint64_t r, uint64_t c)
{
    double sum = 0;
    for (size_t k = 0; k < n; k++)
        for (size_t i = 0; specs[k]->tensors[i]; i++)
            for (uint64_t j = 0; str_eq_c(name, specs[k]->tensors[i]) && j < RANK; j++)
                sum += (double)scales[k] * specs[k]->alpha / RANK *
                       (double)entry(seed_of(specs[k], i), true, r * RANK + j) *
                       (double)entry(seed_of(specs[k], i), false, j * cols + c);
    return sum;
}

/* The model with the adapters in its weights. */
static void write_merged(const char *path, const char *base, const struct spec *const *specs,
                         const float *scales, size_t n)
{
    struct error err = ERROR_INIT;
    CLEANUP(cleanup_gguf) struct gguf *g = NULL;
    CLEANUP(cleanup_gguf_writer) struct gguf_writer *w = gguf_writer_new();
    assert_ok(gguf_open(base, 0, &g, &err));
    for (size_t i = 0; i < gguf_n_kv(g); i++)
        gguf_writer_copy(w, g, i);
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        gguf_writer_tensor(w, t->name, WT_F32, t->n_dims, t->dims);
    }
    assert_ok(gguf_writer_begin(w, path, &err));
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        for (uint64_t k = 0; k < t->n_items; k++) {
            float v = ((const float *)t->data)[k];
            v = (float)((double)v + delta(specs, scales, n, t->name, t->dims[0], k / t->dims[0],
                                          k % t->dims[0]));
            assert_ok(gguf_writer_data(w, &v, sizeof(v), &err));
        }
    }
    assert_ok(gguf_writer_end(w, &err));
}

/* ---- the tests ---- */

static struct model *load(const char *path)
{
    struct error err = ERROR_INIT;
    struct model *m = NULL;
    assert_ok(model_load(path, &(struct model_options){.n_threads = 2}, &m, &err));
    return m;
}

/* Logits of some rows of a batch of one sequence per set of scales, all of the same ids. */
static void eval(struct model *m, const float *const *scales, int32_t n_seqs, const int32_t *rows,
                 int32_t n_rows, float *logits)
{
    struct error err = ERROR_INIT;
    struct kv *kv = NULL;
    struct batch_seq seqs[4];
    int32_t ids[4 * N_IDS], pages[4] = {2, 0, 3, 1};
    assert_ok(model_kv_create(m, 4, 0, KV_F32, &kv, &err));
    for (int32_t i = 0; i < n_seqs; i++) {
        draw_ids(ids + i * N_IDS);
        seqs[i] = (struct batch_seq){
            .first = i * N_IDS, .n = N_IDS, .pages = &pages[i], .scales = scales[i]};
    }
    const struct batch batch = {.n_tokens = n_seqs * N_IDS,
                                .ids = ids,
                                .n_seqs = n_seqs,
                                .seqs = seqs,
                                .n_out = n_rows,
                                .out_rows = rows};
    assert_ok(model_eval(m, kv, &batch, logits, NULL, &err));
    model_kv_free(m, kv);
}

static const char *const attention_tensors[] = {"blk.0.attn_q.weight", "blk.0.attn_k.weight",
                                                "blk.1.attn_v.weight", "blk.1.attn_output.weight",
                                                NULL};
static const char *const all_tensors[] = {"blk.0.attn_q.weight",
                                          "blk.0.attn_v.weight",
                                          "blk.0.ffn_gate.weight",
                                          "blk.1.ffn_up.weight",
                                          "blk.1.ffn_down.weight",
                                          "output.weight",
                                          NULL};
static const struct spec first = {"llama", "lora", attention_tensors, 0, 0, 1, 6};
static const struct spec second = {"llama", "lora", all_tensors, 0, 0, 2, 2};

static struct model *load_with_both(const char *base)
{
    struct error err = ERROR_INIT;
    CLEANUP_FREE char *one = in_dir("one.gguf"), *two = in_dir("two.gguf");
    write_adapter(one, base, &first);
    write_adapter(two, base, &second);
    struct model *m = load(base);
    assert_ok(model_add_adapter(m, one, &err));
    assert_ok(model_add_adapter(m, two, &err));
    assert_int_equal(model_n_adapters(m), 2);
    return m;
}

static void check_merged(const float scales[ADAPTERS_MAX])
{
    struct error err = ERROR_INIT;
    CLEANUP_FREE char *base = in_dir("base.gguf"), *merged = in_dir("merged.gguf");
    assert_ok(tiny_model_write(&shape, base, &err));
    struct model *m = load_with_both(base);
    write_merged(merged, base, (const struct spec *[]){&first, &second}, scales, 2);
    struct ref_model *ref = ref_model_open(merged);
    assert_non_null(ref);

    int32_t ids[N_IDS], rows[N_IDS];
    draw_ids(ids);
    for (int32_t i = 0; i < N_IDS; i++)
        rows[i] = i;
    CLEANUP_FREE double *want = xcalloc((size_t)N_IDS * N_VOCAB, sizeof(*want));
    CLEANUP_FREE float *got = xcalloc((size_t)N_IDS * N_VOCAB, sizeof(*got));
    ref_model_forward(ref, ids, N_IDS, want);
    eval(m, &scales, 1, rows, N_IDS, got);
    double most = 0, range = 0;
    for (size_t i = 0; i < (size_t)N_IDS * N_VOCAB; i++) {
        most = fmax(most, fabs(want[i] - (double)got[i]));
        range = fmax(range, fabs(want[i]));
    }
    if (!(most <= 2e-5 * range))
        fail_msg("scales %g, %g: logits differ by %g of %g", (double)scales[0], (double)scales[1],
                 most, range);
    ref_model_free(ref);
    model_free(m);
}

static void test_adapter__as_if_merged(void **state)
{
    (void)state;
    check_merged((float[ADAPTERS_MAX]){1});
    check_merged((float[ADAPTERS_MAX]){0, -0.5f});
    check_merged((float[ADAPTERS_MAX]){0.75f, 1.5f});
}

/* Sequences with several sets of adapters in one batch, and every way to select rows. */
static void test_adapter__same_among_others(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    CLEANUP_FREE char *base = in_dir("base.gguf");
    assert_ok(tiny_model_write(&shape, base, &err));
    struct model *m = load_with_both(base);
    struct model *plain = load(base);
    const float one[ADAPTERS_MAX] = {1}, both[ADAPTERS_MAX] = {0.5f, 2}, none[ADAPTERS_MAX] = {0};
    const float *sets[] = {both, NULL, one, none};
    static float alone[4][N_IDS][N_VOCAB], together[4 * N_IDS][N_VOCAB];
    int32_t rows[4 * N_IDS];
    for (int32_t i = 0; i < N_IDS; i++)
        rows[i] = i;
    for (size_t i = 0; i < 4; i++)
        eval(m, &sets[i], 1, rows, N_IDS, &alone[i][0][0]);
    assert_memory_not_equal(alone[0], alone[1], sizeof(alone[0]));
    assert_memory_not_equal(alone[0], alone[2], sizeof(alone[0]));
    assert_memory_equal(alone[1], alone[3], sizeof(alone[1]));
    eval(plain, &sets[1], 1, rows, N_IDS, &together[0][0]);
    assert_memory_equal(alone[1], together, sizeof(alone[1]));

    for (int32_t n_rows = 1; n_rows <= 4 * N_IDS; n_rows += 4 * N_IDS - 1) {
        for (int32_t i = 0; i < n_rows; i++) /* backwards: as many rows as tokens, in no order */
            rows[i] = 4 * N_IDS - 1 - i * 5 % (4 * N_IDS);
        eval(m, sets, 4, rows, n_rows, &together[0][0]);
        for (int32_t i = 0; i < n_rows; i++)
            if (memcmp(together[i], alone[rows[i] / N_IDS][rows[i] % N_IDS], sizeof(together[i])) !=
                0)
                fail_msg("row %d of %d: other logits among others", (int)rows[i], (int)n_rows);
    }
    model_free(plain);
    model_free(m);
}

/* Where a file has queries, keys and values in one tensor, the adapter has them so, too. */
static void test_adapter__fused(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    CLEANUP_FREE char *base = in_dir("phi3.gguf"), *path = in_dir("fused.gguf");
    CLEANUP_FREE char *merged = in_dir("merged.gguf");
    static const char *const tensors[] = {"blk.0.attn_qkv.weight", "blk.1.ffn_up.weight", NULL};
    const struct spec spec = {"phi3", "lora", tensors, 0, 0, 3, 5};
    const float scales[ADAPTERS_MAX] = {1};
    const float *adapted = scales, *nothing = NULL;
    struct tiny_model t = shape;
    t.arch = "phi3";
    assert_ok(tiny_model_write(&t, base, &err));
    write_adapter(path, base, &spec);
    write_merged(merged, base, (const struct spec *[]){&spec}, scales, 1);
    struct model *m = load(base), *want = load(merged);
    assert_ok(model_add_adapter(m, path, &err));
    static float a[N_VOCAB], b[N_VOCAB];
    const int32_t last = N_IDS - 1;
    eval(m, &adapted, 1, &last, 1, a);
    eval(want, &nothing, 1, &last, 1, b);
    for (size_t i = 0; i < N_VOCAB; i++)
        assert_true(fabsf(a[i] - b[i]) <= 1e-4f * (1 + fabsf(b[i])));
    model_free(m);
    model_free(want);
}

static void refuse(const char *base, const struct spec *s, enum errc code, const char *words)
{
    struct error err = ERROR_INIT;
    CLEANUP_FREE char *path = in_dir("bad.gguf");
    write_adapter(path, base, s);
    struct model *m = load(base);
    assert_fails(model_add_adapter(m, path, &err), code, words);
    assert_non_null(strstr(err.msg, "bad.gguf"));
    model_free(m);
}

static void test_adapter__refuses(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    CLEANUP_FREE char *base = in_dir("base.gguf");
    assert_ok(tiny_model_write(&shape, base, &err));
    static const char *const unknown[] = {"blk.7.attn_q.weight", NULL};
    static const char *const embedding[] = {"token_embd.weight", NULL};
    static const char *const nothing[] = {NULL};
    struct spec s = first;
    s.arch = "qwen2";
    refuse(base, &s, ERR_INVALID, "'qwen2'");
    s = first;
    s.kind = "control";
    refuse(base, &s, ERR_INVALID, "no LoRA adapter");
    s = first;
    s.n_cols = 1;
    refuse(base, &s, ERR_INVALID, "blk.0.attn_q.weight");
    s = first;
    s.n_rows = 1;
    refuse(base, &s, ERR_INVALID, "do not fit");
    s = first;
    s.tensors = unknown;
    refuse(base, &s, ERR_UNSUPPORTED, "blk.7.attn_q.weight");
    s.tensors = embedding;
    refuse(base, &s, ERR_UNSUPPORTED, "token_embd.weight");
    s.tensors = nothing;
    refuse(base, &s, ERR_CORRUPT, "changes nothing");
    s = first;
    s.alpha = (double)INFINITY;
    refuse(base, &s, ERR_CORRUPT, "alpha");
    struct model *m = load(base);
    assert_fails(model_add_adapter(m, base, &err), ERR_INVALID, "no LoRA adapter");
    assert_fails(model_add_adapter(m, "/nonexistent", &err), ERR_NOT_FOUND, "/nonexistent");
    model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_adapter__as_if_merged),
        cmocka_unit_test(test_adapter__same_among_others),
        cmocka_unit_test(test_adapter__fused),
        cmocka_unit_test(test_adapter__refuses),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
