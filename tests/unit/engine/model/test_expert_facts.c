/* SPDX-License-Identifier: Apache-2.0
 *
 * Facts of mixtures of experts, and sentences for what cannot be right. */
#include "test.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "engine/model/model.h"
#include "model_file.h"
#include "temp_dir.h"

static struct tiny_model small(const char *arch)
{
    return (struct tiny_model){.arch = arch,
                               .n_layers = 4,
                               .n_embd = 24,
                               .n_heads = 2,
                               .n_kv_heads = strcmp(arch, "olmoe") == 0 ? 2 : 1,
                               .n_ff = 20,
                               .n_vocab = 7,
                               .n_ctx = 64,
                               .n_experts = 6,
                               .n_experts_used = 2,
                               .no_vocab = true};
}

/* How each architecture routes, and what stands beside its experts. */
static void test_experts__routing(void **state)
{
    (void)state;
    static const struct {
        const char *arch;
        enum router_kind router;
        bool norm, clamped;
        uint32_t n_dense, n_ff_shared;
    } rows[] = {
        {"gpt-oss", ROUTER_CHOSEN, false, true, 0, 0},
        {"qwen2moe", ROUTER_SOFTMAX, false, false, 0, 40},
        {"glm4moe", ROUTER_SIGMOID, true, false, 2, 40},
        {"granitemoe", ROUTER_CHOSEN, true, false, 0, 0},
        {"olmoe", ROUTER_SOFTMAX, false, false, 0, 0},
        {"ernie4_5-moe", ROUTER_SOFTMAX, true, false, 1, 40},
        {"qwen3moe", ROUTER_CHOSEN, true, false, 0, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = ERROR_INIT;
        struct tiny_model t = small(rows[i].arch);
        t.n_dense = rows[i].n_dense;
        t.n_ff_shared = rows[i].n_ff_shared;
        t.expert_norm = rows[i].norm;
        t.expert_scale = 1.5;
        CLEANUP_FREE char *path = model_file_write(dir, &t);
        CLEANUP_DESCRIPTOR struct descriptor d = {0};
        assert_ok(model_file_read(path, &d, &err));
        assert_int_equal(d.n_experts, 6);
        assert_int_equal(d.n_experts_used, 2);
        assert_int_equal(d.router, rows[i].router);
        assert_int_equal(d.expert_clamped, rows[i].clamped);
        assert_int_equal(d.n_ff_shared, rows[i].n_ff_shared);
        for (uint32_t l = 0; l < 4; l++)
            assert_int_equal(d.layers[l].experts, l >= rows[i].n_dense);
    }
}

static void test_experts__bad_files(void **state)
{
    (void)state;
    static const struct {
        const char *arch, *key;
        uint32_t value; /* its bits */
        const char *sentence;
    } rows[] = {
        {"gpt-oss", "gpt-oss.expert_count", 0, "expert_count is missing or 0"},
        {"gpt-oss", "gpt-oss.expert_count", 513, "expert_count is 513, but at most 512"},
        {"gpt-oss", "gpt-oss.expert_count", 7, "ffn_gate_inp.weight' is 24 x 6, but 24 x 7"},
        {"gpt-oss", "gpt-oss.expert_used_count", 0, "expert_used_count is 0"},
        {"gpt-oss", "gpt-oss.expert_used_count", 7, "expert_used_count is 7"},
        {"gpt-oss", "gpt-oss.expert_feed_forward_length", 21, "ffn_gate_exps.weight"},
        {"gpt-oss", "gpt-oss.expert_feed_forward_length", 0xffffffff, "feed_forward_length is"},
        {"glm4moe", "glm4moe.expert_shared_count", 0xffffffff, "expert_shared_count is 4294967295"},
        {"glm4moe", "glm4moe.expert_shared_count", 3, "ffn_gate_shexp.weight' is 24 x 40"},
        {"glm4moe", "glm4moe.leading_dense_block_count", 5, "leading_dense_block_count is 5"},
        {"glm4moe", "glm4moe.leading_dense_block_count", 2, "blk.1."},
        {"glm4moe", "glm4moe.expert_gating_func", 1, "expert_gating_func is 1, which is not"},
        {"qwen2moe", "qwen2moe.expert_shared_feed_forward_length", 39, "ffn_gate_shexp.weight"},
        {"ernie4_5-moe", "ernie4_5-moe.interleave_moe_layer_step", 2, "layer_step is 2"},
        {"glm4moe", "glm4moe.expert_weights_scale", 0x7f800000, "expert_weights_scale is inf"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = ERROR_INIT;
        struct tiny_model t = small(rows[i].arch);
        t.n_ff_shared = strcmp(rows[i].arch, "gpt-oss") == 0 ? 0 : 40;
        t.n_dense = strcmp(rows[i].arch, "glm4moe") == 0 ? 1 : 0;
        t.expert_scale = 1.5;
        CLEANUP_FREE char *path = model_file_write(dir, &t);
        model_file_patch(path, rows[i].key, &rows[i].value);
        CLEANUP_DESCRIPTOR struct descriptor d = {0};
        if (model_file_read(path, &d, &err) == 0)
            fail_msg("%s = %#x was accepted", rows[i].key, rows[i].value);
        if (!strstr(err.msg, rows[i].sentence))
            fail_msg("%s = %#x: '%s'", rows[i].key, rows[i].value, err.msg);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_experts__routing),
        cmocka_unit_test(test_experts__bad_files),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
