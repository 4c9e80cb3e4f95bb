/* SPDX-License-Identifier: Apache-2.0
 *
 * Descriptors: the facts of good files, and a sentence for each fact that cannot be right. Files
 * are good ones with some keys replaced, left out or added. */
#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "engine/model/descriptor.h"
#include "engine/model/model.h"
#include "engine/model/weights.h"
#include "gguf/gguf_writer.h"
#include "temp_dir.h"

/* ---- a file from a list of keys and a list of tensors ---- */

enum kind { END, U32, F32, STR_, BOOL, NONE };

struct key {
    const char *name;
    enum kind kind;
    double number;
    const char *text;
};

static const struct key good_keys[] = {
    {"general.architecture", STR_, 0, "llama"},
    {"llama.block_count", U32, 2, NULL},
    {"llama.context_length", U32, 100, NULL},
    {"llama.embedding_length", U32, 8, NULL},
    {"llama.feed_forward_length", U32, 6, NULL},
    {"llama.attention.head_count", U32, 4, NULL},
    {"llama.attention.head_count_kv", U32, 2, NULL},
    {"llama.attention.layer_norm_rms_epsilon", F32, 0.5, NULL},
};

struct tensor {
    const char *name;
    uint32_t cols, rows; /* rows 0: a vector */
    uint32_t type;
};

static const struct tensor good_tensors[] = {
    {"token_embd.weight", 8, 11, 0},       {"output_norm.weight", 8, 0, 0},
    {"blk.0.attn_norm.weight", 8, 0, 0},   {"blk.0.attn_q.weight", 8, 8, 0},
    {"blk.0.attn_k.weight", 8, 4, 0},      {"blk.0.attn_v.weight", 8, 4, 0},
    {"blk.0.attn_output.weight", 8, 8, 0}, {"blk.0.ffn_norm.weight", 8, 0, 0},
    {"blk.0.ffn_gate.weight", 8, 6, 0},    {"blk.0.ffn_up.weight", 8, 6, 0},
    {"blk.0.ffn_down.weight", 6, 8, 0},    {"blk.1.attn_norm.weight", 8, 0, 0},
    {"blk.1.attn_q.weight", 8, 8, 0},      {"blk.1.attn_k.weight", 8, 4, 0},
    {"blk.1.attn_v.weight", 8, 4, 0},      {"blk.1.attn_output.weight", 8, 8, 0},
    {"blk.1.ffn_norm.weight", 8, 0, 0},    {"blk.1.ffn_gate.weight", 8, 6, 0},
    {"blk.1.ffn_up.weight", 8, 6, 0},      {"blk.1.ffn_down.weight", 6, 8, 0},
};

static void write_key(struct gguf_writer *w, const struct key *k)
{
    switch (k->kind) {
    case U32:
        gguf_writer_u32(w, k->name, (uint32_t)k->number);
        break;
    case F32:
        gguf_writer_f32(w, k->name, (float)k->number);
        break;
    case STR_:
        gguf_writer_str(w, k->name, str_from(k->text));
        break;
    case BOOL:
        gguf_writer_bool(w, k->name, k->number != 0);
        break;
    case END:
    case NONE:
        break;
    }
}

static void write_tensor(struct gguf_writer *w, const struct tensor *t)
{
    const uint64_t dims[] = {t->cols, t->rows};
    gguf_writer_tensor(w, str_from(t->name), t->type, t->rows > 0 ? 2 : 1, dims);
}

/* Writes the good file with one tensor replaced or added (name NULL: none; cols 0: left out) and
 * keys replaced or added, ended by a NULL name. */
static char *write_file(const struct key *keys, const struct tensor *tensor)
{
    struct error err = ERROR_INIT;
    CLEANUP(cleanup_gguf_writer) struct gguf_writer *w = gguf_writer_new();
    char *path = path_join(dir, "m.gguf");
    for (size_t i = 0; i < ARRAY_LEN(good_keys); i++) {
        bool replaced = false;
        for (const struct key *k = keys; k && k->name; k++)
            replaced |= strcmp(k->name, good_keys[i].name) == 0;
        if (!replaced)
            write_key(w, &good_keys[i]);
    }
    for (const struct key *k = keys; k && k->name; k++)
        write_key(w, k);
    bool replaced = false;
    size_t n_values = 0;
    for (size_t i = 0; i < ARRAY_LEN(good_tensors); i++) {
        const struct tensor *use = &good_tensors[i];
        if (tensor && strcmp(use->name, tensor->name) == 0) {
            replaced = true;
            use = tensor;
        }
        if (use->cols > 0)
            write_tensor(w, use);
        n_values += (size_t)use->cols * MAX(use->rows, 1u);
    }
    if (tensor && !replaced) {
        write_tensor(w, tensor);
        n_values += (size_t)tensor->cols * MAX(tensor->rows, 1u);
    }
    assert_ok(gguf_writer_begin(w, path, &err));
    const float half = 0.5f;
    for (size_t i = 0; i < n_values; i++)
        if (gguf_writer_data(w, &half, sizeof(half), &err) < 0)
            break; /* types smaller than f32 need less */
    assert_ok(gguf_writer_end(w, &err));
    return path;
}

static int read_file(const char *path, struct descriptor *d, struct error *err)
{
    CLEANUP(cleanup_gguf) struct gguf *g = NULL;
    int r = gguf_open(path, 0, &g, err);
    if (r == 0)
        r = descriptor_read(g, d, err);
    return r == 0 ? weights_check(g, d, err) : r;
}

/* ---- facts ---- */

static void test_descriptor__llama(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    CLEANUP_FREE char *path = write_file(NULL, NULL);
    CLEANUP_DESCRIPTOR struct descriptor d = {0};
    assert_ok(read_file(path, &d, &err));
    assert_string_equal(d.arch, "llama");
    assert_int_equal(d.n_layers, 2);
    assert_int_equal(d.n_vocab, 11);
    assert_int_equal(d.n_ctx_train, 100);
    assert_int_equal(d.layers[1].n_heads, 4);
    assert_int_equal(d.layers[1].n_kv_heads, 2);
    assert_int_equal(d.layers[1].head_k, 2);
    assert_int_equal(d.layers[1].n_ff, 6);
    assert_int_equal(d.layers[1].window, 0);
    assert_int_equal(d.rope.kind, ROPE_ADJACENT);
    assert_int_equal(d.rope.dims, 2);
    assert_true(d.rope.freq_base == 10000);
    assert_int_equal(d.rope.scaling, ROPE_SCALING_NONE);
    assert_true(d.norm_eps == 0.5f);
    assert_true(d.embd_scale == 1);
    assert_true(fabsf(d.attn_scale - 1 / sqrtf(2)) < 1e-7f);
    assert_true(d.attn_softcap == 0 && d.final_softcap == 0);
    assert_int_equal(descriptor_kv_token_bytes(&d, KV_F16), 2 * 2 * (2 + 2) * 2);
}

static void test_descriptor__defaults_and_options(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    const struct key keys[] = {
        {"llama.attention.head_count_kv", NONE, 0, NULL},
        {"llama.attention.scale", F32, 0.125, NULL},
        {"llama.attention.sliding_window", U32, 10, NULL},
        {"llama.rope.scaling.factor", F32, 4, NULL}, /* without a type: linear */
        {0},
    };
    CLEANUP_FREE char *path = write_file(keys, NULL);
    CLEANUP(cleanup_gguf) struct gguf *g = NULL;
    CLEANUP_DESCRIPTOR struct descriptor d = {0};
    assert_ok(gguf_open(path, 0, &g, &err));
    assert_ok(descriptor_read(g, &d, &err));
    assert_int_equal(d.layers[0].n_kv_heads, 4); /* as many as heads */
    assert_int_equal(d.layers[0].window, 10);
    assert_true(d.attn_scale == 0.125f);
    assert_int_equal(d.rope.scaling, ROPE_SCALING_LINEAR);
    assert_true(d.rope.factor == 4);
}

/* ---- refusals ---- */

static void test_descriptor__bad_keys(void **state)
{
    (void)state;
    static const struct {
        struct key key;
        const char *part;
    } rows[] = {
        {{"general.architecture", NONE, 0, NULL}, "general.architecture"},
        {{"general.architecture", U32, 1, NULL}, "a string is needed"},
        {{"general.architecture", STR_, 0, ""}, "'' is not supported"},
        {{"general.architecture", STR_, 0, "clip"}, "'clip' is not supported (supported: llama, "},
        {{"llama.block_count", NONE, 0, NULL}, "no key 'llama.block_count'"},
        {{"llama.block_count", U32, 0, NULL}, "llama.block_count is 0"},
        {{"llama.block_count", U32, 3, NULL}, "'blk.2.attn_norm.weight' is missing"},
        {{"llama.block_count", U32, 1, NULL}, "'blk.1.attn_norm.weight' is not part"},
        {{"llama.block_count", U32, 4294967295.0, NULL}, "4294967295"},
        {{"llama.block_count", F32, 2, NULL}, "a whole number is needed"},
        {{"llama.block_count", STR_, 0, "2"}, "a whole number is needed"},
        {{"llama.context_length", NONE, 0, NULL}, "llama.context_length"},
        {{"llama.context_length", U32, 0, NULL}, "llama.context_length is 0"},
        {{"llama.embedding_length", U32, 0, NULL}, "embedding_length is 0"},
        {{"llama.embedding_length", U32, 9, NULL}, "divide the embedding length 9"},
        {{"llama.embedding_length", U32, 16, NULL}, "'token_embd.weight' is 8 x 11, but 16 x 11"},
        {{"llama.embedding_length", U32, 2147483648.0, NULL}, "embedding_length is 2147483648"},
        {{"llama.attention.causal", BOOL, 0, NULL}, "llama.attention.causal is false"},
        {{"llama.attention.head_count", NONE, 0, NULL}, "attention.head_count"},
        {{"llama.attention.head_count", U32, 0, NULL}, "head_count is 0"},
        {{"llama.attention.head_count", U32, 3, NULL}, "head_count"},
        {{"llama.attention.head_count", U32, 65536, NULL}, "head_count"},
        {{"llama.attention.head_count_kv", U32, 0, NULL}, "head_count_kv is 0"},
        {{"llama.attention.head_count_kv", U32, 3, NULL}, "head_count_kv is 3"},
        {{"llama.attention.head_count_kv", U32, 8, NULL}, "head_count_kv is 8"},
        {{"llama.attention.head_count_kv", U32, 1, NULL}, "attn_k.weight' is 8 x 4, but 8 x 2"},
        {{"llama.attention.key_length", U32, 1 << 20, NULL}, "out of range"},
        {{"llama.feed_forward_length", NONE, 0, NULL}, "feed_forward_length"},
        {{"llama.feed_forward_length", U32, 0, NULL}, "feed_forward_length is 0"},
        {{"llama.feed_forward_length", U32, 7, NULL}, "ffn_gate.weight' is 8 x 6, but 8 x 7"},
        {{"llama.feed_forward_length", U32, 4294967295.0, NULL}, "feed_forward_length"},
        {{"llama.rope.dimension_count", U32, 0, NULL}, "rope.dimension_count is 0"},
        {{"llama.rope.dimension_count", U32, 4, NULL}, "rope.dimension_count is 4"},
        {{"llama.rope.freq_base", F32, 0, NULL}, "rope.freq_base is 0"},
        {{"llama.rope.freq_base", F32, (double)NAN, NULL}, "rope.freq_base is nan"},
        {{"llama.rope.freq_base", F32, (double)INFINITY, NULL}, "rope.freq_base is inf"},
        {{"llama.rope.freq_base", STR_, 0, "x"}, "a number is needed"},
        {{"llama.rope.scaling.type", STR_, 0, "longrope"},
         "'rope_factors_short.weight' is missing"},
        {{"llama.rope.scaling.type", STR_, 0, "dynamic"}, "'dynamic' is not supported"},
        {{"llama.rope.scaling.type", STR_, 0, ""}, "'' is not supported"},
        {{"llama.rope.scaling.factor", F32, -2, NULL}, "rope.scaling.factor is -2"},
        {{"llama.rope.scaling.factor", F32, (double)NAN, NULL}, "rope.scaling.factor is nan"},
        {{"llama.attention.layer_norm_rms_epsilon", NONE, 0, NULL}, "layer_norm_rms_epsilon"},
        {{"llama.attention.layer_norm_rms_epsilon", F32, (double)NAN, NULL}, "epsilon is nan"},
        {{"llama.attention.layer_norm_rms_epsilon", F32, -1, NULL}, "epsilon is -1"},
        {{"llama.attention.layer_norm_rms_epsilon", F32, (double)INFINITY, NULL}, "epsilon is inf"},
        {{"llama.attention.scale", F32, (double)NAN, NULL}, "attention.scale is nan"},
        {{"llama.expert_count", U32, 8, NULL}, "llama.expert_used_count"},
        {{"llama.expert_count", U32, 513, NULL}, "llama.expert_count is 513"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = ERROR_INIT;
        const struct key keys[] = {rows[i].key, {0}};
        CLEANUP_FREE char *path = write_file(keys, NULL);
        CLEANUP_DESCRIPTOR struct descriptor d = {0};
        if (read_file(path, &d, &err) == 0)
            fail_msg("%s = %g '%s' was accepted", rows[i].key.name, rows[i].key.number,
                     rows[i].key.text ? rows[i].key.text : "");
        if (!strstr(err.msg, rows[i].part))
            fail_msg("%s: '%s' lacks '%s'", rows[i].key.name, err.msg, rows[i].part);
    }
}

/* Mixtures of experts: what is counted wrong, or routed in a way that is not computed. */
static void test_descriptor__bad_experts(void **state)
{
    (void)state;
    static const struct {
        struct key key;
        const char *part;
    } rows[] = {
        {{"llama.expert_used_count", U32, 0, NULL}, "llama.expert_used_count is 0"},
        {{"llama.expert_used_count", U32, 9, NULL}, "llama.expert_used_count is 9"},
        {{"llama.expert_feed_forward_length", U32, 4294967295.0, NULL}, "feed_forward_length is"},
        {{"llama.expert_feed_forward_length", U32, 1 << 22, NULL}, "'blk.0.ffn_gate_inp.weight'"},
        {{"llama.expert_shared_count", U32, 1, NULL}, "llama.expert_shared_count is 1"},
        {{"llama.expert_group_count", U32, 2, NULL}, "llama.expert_group_count is 2"},
        {{"llama.expert_gating_func", U32, 2, NULL}, "llama.expert_gating_func is 2"},
        {{"llama.expert_weights_scale", F32, (double)NAN, NULL}, "expert_weights_scale is nan"},
        {{"llama.expert_weights_norm", BOOL, 0, NULL}, "llama.expert_weights_norm is false"},
        {{"llama.expert_group_count", U32, 1, NULL}, "'blk.0.ffn_gate_inp.weight' is missing"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = ERROR_INIT;
        bool used = strcmp(rows[i].key.name, "llama.expert_used_count") == 0;
        const struct key keys[] = {{"llama.expert_count", U32, 8, NULL},
                                   rows[i].key,
                                   {used ? NULL : "llama.expert_used_count", U32, 2, NULL},
                                   {0}};
        CLEANUP_FREE char *path = write_file(keys, NULL);
        CLEANUP_DESCRIPTOR struct descriptor d = {0};
        if (read_file(path, &d, &err) == 0)
            fail_msg("%s = %g was accepted", rows[i].key.name, rows[i].key.number);
        if (!strstr(err.msg, rows[i].part))
            fail_msg("%s: '%s' lacks '%s'", rows[i].key.name, err.msg, rows[i].part);
    }
}

static void test_descriptor__bad_tensors(void **state)
{
    (void)state;
    static const struct {
        struct tensor tensor;
        const char *part;
    } rows[] = {
        {{"token_embd.weight", 0, 0, 0}, "'token_embd.weight' is missing"},
        {{"output_norm.weight", 0, 0, 0}, "'output_norm.weight' is missing"},
        {{"blk.1.ffn_down.weight", 0, 0, 0}, "'blk.1.ffn_down.weight' is missing"},
        {{"blk.1.ffn_down.weight", 8, 6, 0}, "is 8 x 6, but 6 x 8 (columns x rows) is needed"},
        {{"blk.0.attn_q.weight", 8, 9, 0}, "is 8 x 9, but 8 x 8"},
        {{"blk.0.attn_q.weight", 64, 0, 0}, "is 64, but 8 x 8"},
        {{"blk.0.attn_norm.weight", 7, 0, 0}, "is 7, but 8 values are needed"},
        {{"blk.0.attn_norm.weight", 8, 8, 0}, "is 8 x 8, but 8 values are needed"},
        {{"blk.0.attn_norm.weight", 8, 0, 26}, "type I32, which is not supported for norms"},
        {{"blk.0.attn_q.weight", 8, 8, 26}, "type I32, which is not supported"},
        {{"output.weight", 8, 12, 0}, "is 8 x 12, but 8 x 11"},
        {{"blk.0.attn_q.bias", 4, 0, 0}, "is 4, but 8 values are needed"},
        {{"rope_freqs.weight", 2, 0, 0}, "has 2 values of type F32, but 1"},
        {{"blk.2.attn_q.weight", 8, 8, 0}, "'blk.2.attn_q.weight' is not part of a llama model"},
        {{"blk.0.attn_q_norm.weight", 2, 0, 0}, "is not part of a llama model"},
        {{"blk.0.ffn_gate_exps.weight", 8, 8, 0}, "is not part of a llama model"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = ERROR_INIT;
        CLEANUP_FREE char *path = write_file(NULL, &rows[i].tensor);
        CLEANUP_DESCRIPTOR struct descriptor d = {0};
        if (read_file(path, &d, &err) == 0)
            fail_msg("%s was accepted", rows[i].tensor.name);
        if (!strstr(err.msg, rows[i].part))
            fail_msg("%s: '%s' lacks '%s'", rows[i].tensor.name, err.msg, rows[i].part);
        struct model *m = NULL; /* loading says the same, with the file's name */
        assert_true(model_load(path, NULL, &m, &err) < 0);
        assert_non_null(strstr(err.msg, rows[i].part));
        assert_non_null(strstr(err.msg, path));
    }
}

static void test_descriptor__vocabulary_size(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct tensor embd = {"token_embd.weight", 8, 12, 0};
    CLEANUP_FREE char *path = write_file(NULL, &embd);
    CLEANUP_DESCRIPTOR struct descriptor d = {0};
    assert_ok(read_file(path, &d, &err));
    assert_int_equal(d.n_vocab, 12);
}

static void test_descriptor__names(void **state)
{
    (void)state;
    bool llama = false, qwen2 = false;
    size_t i = 0;
    for (; descriptor_arch_name(i); i++) {
        llama |= strcmp(descriptor_arch_name(i), "llama") == 0;
        qwen2 |= strcmp(descriptor_arch_name(i), "qwen2") == 0;
    }
    assert_true(llama && qwen2 && i >= 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_descriptor__llama),
        cmocka_unit_test(test_descriptor__defaults_and_options),
        cmocka_unit_test(test_descriptor__bad_keys),
        cmocka_unit_test(test_descriptor__bad_experts),
        cmocka_unit_test(test_descriptor__bad_tensors),
        cmocka_unit_test(test_descriptor__vocabulary_size),
        cmocka_unit_test(test_descriptor__names),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
