/* SPDX-License-Identifier: Apache-2.0
 *
 * Mixtures: which type which tensor gets. The expected types are those of files that llama.cpp
 * wrote. */
#include "test.h"

#include "base/compiler.h"
#include "engine/kernels/types.h"
#include "engine/quantize/mixture.h"
#include "gguf/gguf_writer.h"
#include "temp_dir.h"

enum { LAYERS = 16 };

struct shape {
    const char *arch;
    uint32_t heads, kv_heads, experts, cols;
    bool untied;
};

static void matrix(struct gguf_writer *w, const char *name, uint32_t cols, uint64_t matrices)
{
    uint64_t dims[] = {cols, 2, matrices};
    gguf_writer_tensor(w, str_from(name), WT_F32, matrices > 1 ? 3 : 2, dims);
}

static void layer_matrix(struct gguf_writer *w, int layer, const char *name, uint32_t cols,
                         uint64_t matrices)
{
    char full[GGUF_MAX_NAME];
    snprintf(full, sizeof(full), "blk.%d.%s.weight", layer, name);
    matrix(w, full, cols, matrices);
}

static void declare(struct gguf_writer *w, const struct shape *s)
{
    char key[64];
    gguf_writer_str(w, "general.architecture", str_from(s->arch));
    snprintf(key, sizeof(key), "%s.block_count", s->arch);
    gguf_writer_u32(w, key, LAYERS);
    snprintf(key, sizeof(key), "%s.attention.head_count", s->arch);
    gguf_writer_u32(w, key, s->heads);
    snprintf(key, sizeof(key), "%s.attention.head_count_kv", s->arch);
    gguf_writer_u32(w, key, s->kv_heads);
    snprintf(key, sizeof(key), "%s.expert_count", s->arch);
    gguf_writer_u32(w, key, s->experts);
    /* from the last layer to the first: the order of the file must not matter */
    for (int i = LAYERS - 1; i >= 0; i--) {
        uint64_t n = s->experts > 0 ? s->experts : 1;
        layer_matrix(w, i, "attn_q", s->cols, 1);
        layer_matrix(w, i, "attn_k", s->cols, 1);
        layer_matrix(w, i, "attn_v", s->cols, 1);
        layer_matrix(w, i, "attn_output", s->cols, 1);
        layer_matrix(w, i, s->experts > 0 ? "ffn_down_exps" : "ffn_down", s->cols, n);
        layer_matrix(w, i, s->experts > 0 ? "ffn_up_exps" : "ffn_up", s->cols, n);
        layer_matrix(w, i, "ffn_gate_inp", s->cols, 1);
    }
    matrix(w, "token_embd.weight", s->cols, 1);
    if (s->untied)
        matrix(w, "output.weight", s->cols, 1);
    gguf_writer_tensor(w, STR("output_norm.weight"), WT_F32, 1, (uint64_t[]){s->cols});
}

static struct gguf *make(const struct shape *s)
{
    struct error err = ERROR_INIT;
    CLEANUP_FREE char *path = path_join(dir, "m.gguf");
    CLEANUP(cleanup_gguf_writer) struct gguf_writer *w = gguf_writer_new();
    struct gguf *g = NULL;
    declare(w, s);
    assert_ok(gguf_writer_begin(w, path, &err));
    const float zeros[4096] = {0};
    uint64_t n = 0;
    for (; gguf_writer_data(w, zeros, sizeof(float) * 32, NULL) == 0; n++)
        ;
    assert_true(n > 0);
    assert_ok(gguf_writer_end(w, &err));
    assert_ok(gguf_open(path, 0, &g, &err));
    return g;
}

struct choice {
    uint32_t type, wanted;
};

/* The choice for `name` after walking all tensors in order. */
static struct choice choose(const struct gguf *g, const char *mixture, bool imatrix,
                            const char *name)
{
    struct error err = ERROR_INIT;
    struct mixture_walk w = {.has_imatrix = imatrix};
    struct choice found = {UINT32_MAX, UINT32_MAX};
    const struct gguf_tensor *order[256];
    size_t n = gguf_n_tensors(g);
    assert_ok(mixture_find(mixture, &w.mixture, &err));
    assert_ok(mixture_walk_init(&w, g, &err));
    assert_true(n <= ARRAY_LEN(order));
    for (size_t i = 0; i < n; i++) {
        size_t at = i;
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        for (; at > 0 && mixture_order(order[at - 1], t) > 0; at--)
            order[at] = order[at - 1];
        order[at] = t;
    }
    for (size_t i = 0; i < n; i++) {
        uint32_t type, wanted;
        assert_ok(mixture_next(&w, order[i], &type, &wanted, &err));
        if (str_eq_c(order[i]->name, name))
            found = (struct choice){type, wanted};
    }
    return found;
}

static void expect(const struct gguf *g, const char *mixture, bool imatrix, const char *name,
                   uint32_t type)
{
    struct choice c = choose(g, mixture, imatrix, name);
    if (c.type != type)
        fail_msg("%s: %s is %s, wanted %s", mixture, name,
                 c.type < WT_COUNT ? weight_type_info(c.type)->name : "not there",
                 weight_type_info(type)->name);
}

static void test_mixture__dense(void **state)
{
    (void)state;
    CLEANUP(cleanup_gguf) struct gguf *g = make(&(struct shape){"llama", 8, 2, 0, 256, true});
    static const struct {
        const char *mixture, *tensor;
        uint32_t type;
    } cases[] = {
        {"F16", "output.weight", WT_F16},
        {"BF16", "blk.3.ffn_up.weight", WT_BF16},
        {"Q8_0", "output.weight", WT_Q8_0},
        {"Q4_0", "output.weight", WT_Q6_K},
        {"Q4_0", "token_embd.weight", WT_Q4_0},
        {"Q4_0", "output_norm.weight", WT_F32},
        {"Q4_0", "blk.0.ffn_gate_inp.weight", WT_F32},
        {"Q4_K_M", "blk.0.attn_q.weight", WT_Q4_K},
        {"Q4_K_M", "blk.0.attn_v.weight", WT_Q6_K}, /* the first eighth */
        {"Q4_K_M", "blk.2.attn_v.weight", WT_Q4_K},
        {"Q4_K_M", "blk.4.attn_v.weight", WT_Q6_K}, /* every third */
        {"Q4_K_M", "blk.10.ffn_down.weight", WT_Q6_K},
        {"Q4_K_M", "blk.11.ffn_down.weight", WT_Q4_K},
        {"Q4_K_M", "blk.15.ffn_down.weight", WT_Q6_K}, /* the last eighth */
        {"q4_k", "blk.0.attn_v.weight", WT_Q6_K},
        {"Q4_K_S", "blk.3.attn_v.weight", WT_Q5_K},
        {"Q4_K_S", "blk.4.attn_v.weight", WT_Q4_K},
        {"Q4_K_S", "blk.1.ffn_down.weight", WT_Q5_K},
        {"Q4_K_S", "blk.2.ffn_down.weight", WT_Q4_K},
        {"Q5_K_M", "blk.0.ffn_down.weight", WT_Q6_K},
        {"Q5_K_S", "blk.0.ffn_down.weight", WT_Q5_K},
        {"Q3_K_S", "blk.0.attn_v.weight", WT_Q3_K},
        {"Q3_K_M", "blk.1.attn_v.weight", WT_Q5_K},
        {"Q3_K_M", "blk.2.attn_v.weight", WT_Q4_K},
        {"Q3_K_M", "blk.0.ffn_down.weight", WT_Q5_K},
        {"Q3_K_M", "blk.1.ffn_down.weight", WT_Q4_K},
        {"Q3_K_M", "blk.9.attn_output.weight", WT_Q4_K},
        {"Q3_K_L", "blk.9.ffn_down.weight", WT_Q5_K},
        {"Q3_K_L", "blk.9.attn_output.weight", WT_Q5_K},
        {"Q2_K", "blk.9.attn_v.weight", WT_Q4_K}, /* four query heads share one */
        {"Q2_K", "blk.9.ffn_down.weight", WT_Q3_K},
        {"Q2_K", "blk.9.ffn_up.weight", WT_Q2_K},
        {"Q6_K", "blk.9.ffn_up.weight", WT_Q6_K},
        {"IQ4_XS", "blk.0.ffn_down.weight", WT_Q5_K},
        {"IQ4_NL", "blk.2.attn_v.weight", WT_Q5_K},
        {"TQ2_0", "token_embd.weight", WT_Q4_K},
        {"TQ1_0", "blk.0.attn_v.weight", WT_TQ1_0},
        {"MXFP4", "blk.0.ffn_up.weight", WT_Q8_0}, /* nothing here is an expert */
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        expect(g, cases[i].mixture, false, cases[i].tensor, cases[i].type);
    expect(g, "IQ4_XS", true, "blk.0.ffn_down.weight", WT_IQ4_XS);
    expect(g, "Q4_0", true, "blk.0.ffn_down.weight", WT_Q4_1);
    expect(g, "Q5_0", true, "blk.1.ffn_down.weight", WT_Q5_1);
    expect(g, "Q5_0", true, "blk.2.ffn_down.weight", WT_Q5_0);
}

static void test_mixture__tied(void **state)
{
    (void)state;
    CLEANUP(cleanup_gguf) struct gguf *g = make(&(struct shape){"llama", 4, 4, 0, 256, false});
    expect(g, "Q4_K_M", false, "token_embd.weight", WT_Q6_K);
    expect(g, "Q2_K", false, "blk.9.attn_v.weight", WT_Q3_K);
    expect(g, "IQ4_NL", false, "blk.2.attn_v.weight", WT_IQ4_NL);
}

static void test_mixture__experts(void **state)
{
    (void)state;
    CLEANUP(cleanup_gguf) struct gguf *g = make(&(struct shape){"llama", 8, 4, 8, 256, true});
    expect(g, "Q4_K_M", false, "blk.4.attn_v.weight", WT_Q8_0);
    expect(g, "Q4_K_M", false, "blk.4.attn_k.weight", WT_Q8_0);
    expect(g, "Q4_K_M", false, "blk.4.attn_output.weight", WT_Q5_K);
    expect(g, "Q4_K_M", false, "blk.4.ffn_down_exps.weight", WT_Q6_K);
    expect(g, "Q4_K_M", false, "blk.3.ffn_down_exps.weight", WT_Q4_K);
    expect(g, "MXFP4_MOE", false, "blk.3.ffn_down_exps.weight", WT_MXFP4);
    expect(g, "MXFP4_MOE", false, "blk.3.attn_v.weight", WT_Q8_0);
    expect(g, "MXFP4_MOE", false, "output.weight", WT_Q8_0);
}

static void test_mixture__short_rows(void **state)
{
    (void)state;
    CLEANUP(cleanup_gguf) struct gguf *g = make(&(struct shape){"llama", 4, 2, 0, 96, true});
    static const struct {
        const char *mixture;
        uint32_t wanted, type;
    } cases[] = {
        {"Q2_K", WT_Q2_K, WT_Q4_0},   {"Q3_K_S", WT_Q3_K, WT_Q4_0},
        {"Q4_K_M", WT_Q4_K, WT_Q5_0}, {"Q5_K_M", WT_Q5_K, WT_Q5_1},
        {"Q6_K", WT_Q6_K, WT_Q8_0},   {"IQ4_XS", WT_IQ4_XS, WT_IQ4_NL},
        {"TQ1_0", WT_TQ1_0, WT_Q4_0}, {"Q8_0", WT_Q8_0, WT_Q8_0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct choice c = choose(g, cases[i].mixture, false, "blk.5.ffn_up.weight");
        assert_int_equal(c.type, cases[i].type);
        assert_int_equal(c.wanted, cases[i].wanted);
    }
    gguf_free(TAKE(g));
    g = make(&(struct shape){"llama", 4, 2, 0, 48, true}); /* not even of 32 */
    assert_int_equal(choose(g, "Q4_K_M", false, "blk.5.ffn_up.weight").type, WT_F16);
    assert_int_equal(choose(g, "Q8_0", false, "output.weight").type, WT_F16);
}

static void test_mixture__names(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    const struct mixture *m;
    assert_ok(mixture_find("iq4_xs", &m, &err));
    assert_int_equal(m->file_type, 30);
    assert_ok(mixture_find("Q5_K", &m, &err));
    assert_string_equal(m->name, "Q5_K_M");
    assert_fails(mixture_find("IQ2_XXS", &m, &err), ERR_INVALID, "IQ2_XXS");
    assert_fails(mixture_find("", &m, &err), ERR_INVALID, "Q4_K_M");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mixture__dense),   cmocka_unit_test(test_mixture__tied),
        cmocka_unit_test(test_mixture__experts), cmocka_unit_test(test_mixture__short_rows),
        cmocka_unit_test(test_mixture__names),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
