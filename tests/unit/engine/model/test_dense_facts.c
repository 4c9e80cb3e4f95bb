/* SPDX-License-Identifier: Apache-2.0
 *
 * Facts of decoders that differ from Llama's, and sentences for what cannot be right. */
#include "test.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "engine/model/model.h"
#include "model_file.h"
#include "model_run.h"
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
                               .no_vocab = true};
}

/* Which layers have windows, and how each rotates. */
static void test_dense__layers(void **state)
{
    (void)state;
    static const struct {
        const char *arch;
        uint32_t window;
        uint32_t windows[8];
        const char *ropes; /* of each layer: as the model, local, none */
    } rows[] = {
        {"gemma3", 9, {9, 9, 9, 9, 9, 0, 9, 9}, "lllllmll"},
        {"gemma3", 0, {0}, "mmmmmmmm"},
        {"gemma3", 64, {0}, "lllllmll"}, /* as wide as the context */
        {"olmo2", 9, {9, 9, 9, 0, 9, 9, 9, 0}, "lllmlllm"},
        {"cohere2", 9, {9, 9, 9, 0, 9, 9, 9, 0}, "mmm-mmm-"},
        {"exaone4", 9, {9, 9, 9, 0, 9, 9, 9, 0}, "mmm-mmm-"},
        {"exaone4", 0, {0}, "mmmmmmmm"},
        {"smollm3", 0, {0}, "mmm-mmm-"},
        {"phi3", 9, {0}, "mmmmmmmm"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = ERROR_INIT;
        struct tiny_model t = small(rows[i].arch);
        t.n_layers = 8;
        t.window = rows[i].window;
        CLEANUP_FREE char *path = model_file_write(dir, &t);
        CLEANUP_DESCRIPTOR struct descriptor d = {0};
        assert_ok(model_file_read(path, &d, &err));
        for (size_t l = 0; l < 8; l++) {
            assert_int_equal(d.layers[l].window, rows[i].windows[l]);
            assert_int_equal("ml-"[d.layers[l].rope], rows[i].ropes[l]);
        }
    }
}

static void test_dense__parallel(void **state)
{
    (void)state;
    static const struct {
        const char *arch;
        bool given, want;
    } rows[] = {
        {"gptneox", false, false}, {"gptneox", true, true}, {"stablelm", false, false},
        {"stablelm", true, true},  {"phi2", false, true},   {"command-r", false, true},
        {"gpt2", false, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = ERROR_INIT;
        struct tiny_model t = small(rows[i].arch);
        t.parallel = rows[i].given;
        CLEANUP_FREE char *path = model_file_write(dir, &t);
        CLEANUP_DESCRIPTOR struct descriptor d = {0};
        assert_ok(model_file_read(path, &d, &err));
        assert_int_equal(d.parallel, rows[i].want);
    }
}

static void test_dense__bad_files(void **state)
{
    (void)state;
    static const struct {
        const char *arch, *key;
        uint32_t value; /* its bits */
        const char *sentence;
    } rows[] = {
        {"cohere2", "cohere2.rope.freq_base", 0x44000000, "two bases are not supported for"},
        {"baichuan", "baichuan.block_count", 4, "a baichuan model of 4 layers is not supported"},
        {"gpt2", "gpt2.context_length", 63, "'position_embd.weight' is 24 x 64, but 24 x 63"},
        {"phi3", "phi3.feed_forward_length", 19, "ffn_up.weight' is 24 x 40, but 24 x 38"},
        {"phi3", "phi3.attention.head_count_kv", 2, "attn_qkv.weight' is 24 x 48, but 24 x 72"},
        {"gptneox", "gptneox.attention.head_count_kv", 2, "attn_qkv.weight"},
        {"starcoder2", "starcoder2.attention.layer_norm_epsilon", 0x7f800000, "epsilon is inf"},
        {"granite", "granite.logit_scale", 0x7fc00000, "granite.logit_scale is nan"},
        {"cohere2", "cohere2.logit_scale", 0xbf800000, "cohere2.logit_scale is -1"},
        {"mistral3", "mistral3.attention.temperature_scale", 0x7f800000,
         "temperature_scale is inf"},
        {"minicpm", "minicpm.rope.scaling.original_context_length", 0, "context_length is 0"},
        {"minicpm", "minicpm.rope.scaling.attn_factor", 0, "attn_factor is 0"},
        {"mistral3", "mistral3.rope.scaling.yarn_log_multiplier", 0xbf800000, "multiplier is -1"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = ERROR_INIT;
        struct tiny_model t = small(rows[i].arch);
        bool mistral = strcmp(t.arch, "mistral3") == 0;
        t.local_base = strcmp(t.arch, "cohere2") == 0 ? 10000 : 0;
        t.temp_scale = mistral ? 0.1 : 0;
        t.yarn_log_multiplier = mistral ? 1 : 0;
        t.rope_scaling = mistral ? "yarn" : NULL;
        t.rope_factor = mistral ? 4 : 0;
        t.longrope_ctx = strcmp(t.arch, "minicpm") == 0 ? 32 : 0;
        CLEANUP_FREE char *path = model_file_write(dir, &t);
        model_file_patch(path, rows[i].key, &rows[i].value);
        CLEANUP_DESCRIPTOR struct descriptor d = {0};
        if (model_file_read(path, &d, &err) == 0)
            fail_msg("%s = %#x was accepted", rows[i].key, rows[i].value);
        if (!strstr(err.msg, rows[i].sentence))
            fail_msg("%s = %#x: '%s'", rows[i].key, rows[i].value, err.msg);
    }
}

/* Layers behind the first read the cache of the last one with the same window. */
static void test_dense__shared_keys(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct tiny_model t = small("gemma3n");
    t.n_layers = 10;
    t.window = 9;
    t.n_input = 3;
    t.rank = 2;
    t.n_shared_kv = 4;
    CLEANUP_FREE char *path = model_file_write(dir, &t);
    CLEANUP_DESCRIPTOR struct descriptor d = {0};
    assert_ok(model_file_read(path, &d, &err));
    static const uint32_t want[10] = {0, 1, 2, 3, 4, 5, 5, 5, 5, 4};
    for (uint32_t i = 0; i < 10; i++)
        assert_int_equal(d.layers[i].kv_layer, want[i]);
    assert_int_equal(descriptor_kv_token_bytes(&d, KV_F32), 6 * (12 + 12) * 4);
    descriptor_release(&d);

    static const struct {
        const char *key;
        uint32_t value;
        const char *sentence;
    } rows[] = {
        {"gemma3n.attention.shared_kv_layers", 10, "shared_kv_layers is 10"},
        {"gemma3n.attention.shared_kv_layers", 6, "layer 4 shares keys and values, but none"},
        {"gemma3n.altup.num_inputs", 9, "gemma3n.altup.num_inputs is 9"},
        {"gemma3n.altup.num_inputs", 3, "altup_proj.weight' is 24 x 24 x 3, but 24 x 24 x 2"},
        {"gemma3n.altup.active_idx", 1, "gemma3n.altup.active_idx is 1"},
        {"gemma3n.embedding_length_per_layer_input", 4, "per_layer_token_embd.weight"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP_FREE char *bad = model_file_write(dir, &t);
        model_file_patch(bad, rows[i].key, &rows[i].value);
        if (model_file_read(bad, &d, &err) == 0)
            fail_msg("%s = %u was accepted", rows[i].key, rows[i].value);
        if (!strstr(err.msg, rows[i].sentence))
            fail_msg("%s = %u: '%s'", rows[i].key, rows[i].value, err.msg);
        descriptor_release(&d);
    }
}

/* Logits behind some tokens; n_ctx 0 = nothing is said. */
static void run(const char *path, uint32_t n_ctx, float logits[7])
{
    static const int32_t ids[] = {1, 5, 2, 6, 3, 3, 0, 4, 1};
    struct error err = ERROR_INIT;
    struct model *m = NULL;
    struct model_run run;
    assert_ok(model_load(path, &(struct model_options){.n_threads = 1}, &m, &err));
    if (n_ctx > 0)
        assert_ok(model_set_context(m, n_ctx, &err));
    assert_ok(model_run_open(&run, m, 9, KV_F32, &err));
    assert_ok(model_run_feed(&run, ids, 9, false, logits, &err));
    model_run_close(&run);
    model_free(m);
}

/* The context that the model runs with decides, and not how long a text is. */
static void test_dense__longrope_follows_context(void **state)
{
    (void)state;
    struct tiny_model t = small("phi3");
    t.longrope_ctx = 32;
    CLEANUP_FREE char *path = model_file_write(dir, &t);
    float short_[7], edge[7], long_[7], unsaid[7];
    run(path, 16, short_);
    run(path, 32, edge);
    run(path, 33, long_);
    run(path, 0, unsaid); /* as long as it was trained */
    assert_memory_equal(short_, edge, sizeof(edge));
    assert_memory_equal(long_, unsaid, sizeof(unsaid));
    assert_memory_not_equal(short_, long_, sizeof(long_));
}

static void test_dense__learned_positions_end(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct tiny_model t = small("gpt2");
    CLEANUP_FREE char *path = model_file_write(dir, &t);
    struct model *m = NULL;
    assert_ok(model_load(path, &(struct model_options){.n_threads = 1}, &m, &err));
    assert_ok(model_set_context(m, 64, &err));
    assert_fails(model_set_context(m, 65, &err), ERR_INVALID, "a context of 65 tokens");
    model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dense__layers),
        cmocka_unit_test(test_dense__parallel),
        cmocka_unit_test(test_dense__bad_files),
        cmocka_unit_test(test_dense__shared_keys),
        cmocka_unit_test(test_dense__longrope_follows_context),
        cmocka_unit_test(test_dense__learned_positions_end),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
