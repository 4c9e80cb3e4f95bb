/* SPDX-License-Identifier: Apache-2.0
 *
 * Files of models with recurrent layers: their facts, and a sentence that names the key for each
 * that cannot be right. */
#include "test.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "engine/model/model.h"
#include "engine/model/recurrent.h"
#include "model_file.h"
#include "temp_dir.h"

static struct tiny_model small(const char *arch)
{
    return (struct tiny_model){.arch = arch,
                               .n_layers = 4,
                               .n_embd = 24,
                               .n_heads = 2,
                               .n_kv_heads = 1,
                               .n_ff = 20,
                               .n_vocab = 7,
                               .n_ctx = 64,
                               .no_vocab = true,
                               .ssm_heads = 4,
                               .ssm_groups = 2,
                               .n_state = 6,
                               .dt_rank = 3,
                               .attention_period = 4};
}

static void test_recurrent__facts(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    static const struct {
        const char *arch;
        uint64_t layer_state[4]; /* floats */
        uint32_t kv_heads[4];
        uint32_t rope_dims;
    } rows[] = {
        /* (4 - 1) * 24; mamba: 3 * 48 + 48 * 6; mamba2: 3 * (48 + 2 * 2 * 6) + 48 * 6;
         * qwen35: 4 heads of 6: 3 * (24 + 24) + 4 * 6 * 6 */
        {"lfm2", {72, 72, 72, 0}, {0, 0, 0, 1}, 12},
        {"mamba", {432, 432, 432, 432}, {0, 0, 0, 0}, 0},
        {"mamba2", {504, 504, 504, 504}, {0, 0, 0, 0}, 0},
        {"granitehybrid", {504, 504, 504, 0}, {0, 0, 0, 1}, 12},
        {"jamba", {432, 432, 432, 0}, {0, 0, 0, 1}, 0},
        {"falcon-h1", {504, 504, 504, 504}, {1, 1, 1, 1}, 12},
        {"nemotron_h", {504, 0, 0, 504}, {0, 0, 1, 0}, 0},
        {"qwen35", {288, 288, 288, 0}, {0, 0, 0, 1}, 12},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct tiny_model t = small(rows[i].arch);
        CLEANUP_FREE char *path = model_file_write(dir, &t);
        CLEANUP_DESCRIPTOR struct descriptor d = {0};
        assert_ok(model_file_read(path, &d, &err));
        uint64_t sum = 0;
        for (uint32_t l = 0; l < 4; l++) {
            assert_int_equal(descriptor_layer_state(&d, l), rows[i].layer_state[l]);
            assert_int_equal(d.layers[l].n_kv_heads, rows[i].kv_heads[l]);
            sum += rows[i].layer_state[l];
        }
        assert_int_equal(descriptor_state_bytes(&d), 4 * sum);
        assert_int_equal(d.rope.dims, rows[i].rope_dims);
        struct model *m;
        assert_ok(model_load(path, &(struct model_options){.n_threads = 1}, &m, &err));
        assert_int_equal(model_state_bytes(m), 4 * sum);
        model_free(m);
    }
}

static void test_recurrent__bad_keys(void **state)
{
    (void)state;
    static const struct {
        const char *arch, *key;
        uint32_t value;
        const char *sentence;
    } rows[] = {
        {"lfm2", "lfm2.shortconv.l_cache", 1, "lfm2.shortconv.l_cache is 1"},
        {"lfm2", "lfm2.shortconv.l_cache", 65, "lfm2.shortconv.l_cache is 65"},
        {"lfm2", "lfm2.shortconv.l_cache", 5, "shortconv.conv.weight"},
        {"mamba", "mamba.ssm.conv_kernel", 0, "mamba.ssm.conv_kernel is 0"},
        {"mamba", "mamba.ssm.conv_kernel", UINT32_MAX, "mamba.ssm.conv_kernel is 4294967295"},
        {"mamba", "mamba.ssm.inner_size", 0, "mamba.ssm.inner_size is 0"},
        {"mamba", "mamba.ssm.inner_size", (1 << 20) + 1, "mamba.ssm.inner_size is 1048577"},
        {"mamba", "mamba.ssm.inner_size", 50, "ssm_in.weight"},
        {"mamba", "mamba.ssm.state_size", 1 << 20, "ssm_x.weight"},
        {"mamba", "mamba.ssm.state_size", (1 << 20) + 1, "mamba.ssm.state_size is 1048577"},
        {"mamba", "mamba.ssm.state_size", 7, "ssm_x.weight"},
        {"mamba", "mamba.ssm.time_step_rank", 0, "mamba.ssm.time_step_rank is 0"},
        {"mamba2", "mamba2.ssm.time_step_rank", 5, "it must divide mamba2.ssm.inner_size, 48"},
        {"mamba2", "mamba2.ssm.group_count", 3, "it must divide mamba2.ssm.time_step_rank, 4"},
        {"mamba2", "mamba2.ssm.group_count", 0, "mamba2.ssm.group_count is 0"},
        {"mamba2", "mamba2.ssm.state_size", 1 << 20,
         "mamba2.ssm.group_count of 2 and mamba2.ssm.state_size"},
        {"mamba2", "mamba2.ssm.group_count", 1, "ssm_in.weight"},
        {"qwen35", "qwen35.ssm.state_size", 12, "qwen35.ssm.state_size is 12"},
        {"qwen35", "qwen35.ssm.group_count", 1, "attn_qkv.weight"},
        {"qwen35", "qwen35.full_attention_interval", 0, "qwen35.full_attention_interval is 0"},
        {"qwen35", "qwen35.full_attention_interval", 3, "blk.2.attn_k.weight"},
        {"qwen35", "qwen35.rope.dimension_count", 14, "qwen35.rope.dimension_count is 14"},
        {"granitehybrid", "granitehybrid.embedding_scale", 0x7f800000, "embedding_scale"},
        {"jamba", "jamba.feed_forward_length", 0, "jamba.feed_forward_length is 0"},
        {"falcon-h1", "falcon-h1.attention.head_count_kv", 0, "falcon-h1.attention.head_count_kv"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = ERROR_INIT;
        struct tiny_model t = small(rows[i].arch);
        CLEANUP_FREE char *path = model_file_write(dir, &t);
        model_file_patch(path, rows[i].key, &rows[i].value);
        CLEANUP_DESCRIPTOR struct descriptor d = {0};
        if (model_file_read(path, &d, &err) == 0)
            fail_msg("%s = %u was accepted", rows[i].key, rows[i].value);
        if (!strstr(err.msg, rows[i].sentence))
            fail_msg("%s = %u: '%s'", rows[i].key, rows[i].value, err.msg);
    }
}

static void test_recurrent__draft_layers(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct tiny_model t = small("qwen35");
    t.n_draft_layers = 2;
    CLEANUP_FREE char *path = model_file_write(dir, &t);
    CLEANUP_DESCRIPTOR struct descriptor d = {0};
    assert_ok(model_file_read(path, &d, &err));
    assert_int_equal(d.n_layers, 4);
    assert_int_equal(d.n_draft_layers, 2);
    descriptor_release(&d);
    const uint32_t all = 6, one = 1;
    model_file_patch(path, "qwen35.nextn_predict_layers", &all);
    assert_fails(model_file_read(path, &d, &err), ERR_CORRUPT, "qwen35.nextn_predict_layers is 6");
    model_file_patch(path, "qwen35.nextn_predict_layers", &one); /* block 4 is no draft any more */
    assert_fails(model_file_read(path, &d, &err), ERR_CORRUPT, "blk.4.");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recurrent__facts),
        cmocka_unit_test(test_recurrent__bad_keys),
        cmocka_unit_test(test_recurrent__draft_layers),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
