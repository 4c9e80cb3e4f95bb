/* SPDX-License-Identifier: Apache-2.0
 *
 * Facts of mixtures of experts, and sentences for what cannot be right. */
#include "test.h"

#include <math.h>
#include <stdio.h>
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
        {"deepseek", ROUTER_SOFTMAX, false, false, 1, 40},
        {"deepseek2", ROUTER_SOFTMAX, true, false, 1, 40},
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

static struct tiny_model latent(void)
{
    struct tiny_model t = small("deepseek2");
    t.head = 14;
    t.rope_dims = 6;
    t.value_head = 10;
    t.kv_rank = 18;
    t.q_rank = 16;
    t.latent = true;
    t.n_ff_shared = 20;
    t.n_dense = 1;
    t.n_expert_groups = 3;
    t.n_expert_groups_used = 2;
    t.expert_sigmoid = true;
    t.rope_scaling = "yarn";
    t.rope_factor = 40;
    t.yarn_log_multiplier = 0.1;
    return t;
}

/* What the cache keeps of a token, and what scores are multiplied by. */
static void test_experts__latent(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct tiny_model t = latent();
    CLEANUP_FREE char *path = model_file_write(dir, &t);
    CLEANUP_DESCRIPTOR struct descriptor d = {0};
    assert_ok(model_file_read(path, &d, &err));
    assert_true(d.mla.latent);
    assert_int_equal(d.mla.rank, 18);
    assert_int_equal(d.mla.head_k, 14);
    assert_int_equal(d.router, ROUTER_SIGMOID);
    assert_int_equal(d.n_expert_groups, 3);
    assert_int_equal(descriptor_kv_token_bytes(&d, KV_F16), 4 * 2 * (6 + 18 + 18));
    double growth = 1 + 0.1 * log(40);
    assert_true(fabs((double)d.attn_scale - growth * growth / sqrt(14)) < 1e-6);
    t.latent = false;
    CLEANUP_FREE char *old = model_file_write(dir, &t);
    CLEANUP_DESCRIPTOR struct descriptor o = {0};
    assert_ok(model_file_read(old, &o, &err));
    assert_int_equal(descriptor_kv_token_bytes(&o, KV_F16), 4 * 2 * 2 * (14 + 10));
}

static void test_experts__bad_latents(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        uint32_t value;
        const char *sentence;
    } rows[] = {
        {"attention.kv_lora_rank", 0, "kv_lora_rank is 0"},
        {"attention.kv_lora_rank", 17, "key_length and value_length are 24 and 18, but 23 and 17"},
        {"attention.q_lora_rank", 15, "attn_q_a.weight' is 24 x 16, but 24 x 15"},
        {"attention.q_lora_rank", 0, "attn_q.weight' is missing"},
        {"attention.key_length", 25, "key_length and value_length are 25 and 18"},
        {"attention.value_length", 19, "key_length and value_length are 24 and 19"},
        {"attention.key_length_mla", 0, "must both be there"},
        {"attention.key_length_mla", 6, "only a part of them is rotated"},
        {"attention.key_length_mla", 13, "attn_q_b.weight' is 16 x 28, but 16 x 26"},
        {"attention.value_length_mla", 11, "attn_v_b.weight' is 18 x 10 x 2, but 18 x 11 x 2"},
        {"attention.head_count_kv", 2, "head_count_kv is 2 in layer 0, but 1 is needed"},
        {"rope.dimension_count", 8, "key_length and value_length are 24 and 18, but 26 and 18"},
        {"expert_group_count", 4, "expert_group_count is 4, but it must divide the 6 experts"},
        {"expert_group_count", 65, "expert_group_count is 65"},
        {"expert_group_used_count", 0, "expert_group_used_count is 0"},
        {"expert_group_used_count", 4, "expert_group_used_count is 4"},
        {"expert_gating_func", 3, "expert_gating_func is 3, which is not supported"},
        {"expert_used_count", 5, "groups of 2 experts are too few for the 5"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = ERROR_INIT;
        struct tiny_model t = latent();
        CLEANUP_FREE char *path = model_file_write(dir, &t);
        char key[96];
        snprintf(key, sizeof(key), "deepseek2.%s", rows[i].key);
        model_file_patch(path, key, &rows[i].value);
        CLEANUP_DESCRIPTOR struct descriptor d = {0};
        if (model_file_read(path, &d, &err) == 0)
            fail_msg("%s = %u was accepted", key, rows[i].value);
        if (!strstr(err.msg, rows[i].sentence))
            fail_msg("%s = %u: '%s'", key, rows[i].value, err.msg);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_experts__routing),
        cmocka_unit_test(test_experts__bad_files),
        cmocka_unit_test(test_experts__latent),
        cmocka_unit_test(test_experts__bad_latents),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
