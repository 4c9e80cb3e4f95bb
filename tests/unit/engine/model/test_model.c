/* SPDX-License-Identifier: Apache-2.0
 *
 * Whole models: every architecture against the double-precision forward pass, on random weights of
 * odd shapes; the same answer in one piece and in many; files that do not fit together. */
#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "engine/kernels/types.h"
#include "model_run.h"
#include "ref_forward.h"
#include "temp_dir.h"
#include "tiny_model.h"

static char *write_model(const struct tiny_model *t, const char *name)
{
    struct error err = ERROR_INIT;
    char *path = path_join(dir, name);
    assert_ok(tiny_model_write(t, path, &err));
    return path;
}

static struct model *load(const char *path)
{
    struct error err = ERROR_INIT;
    struct model *m = NULL;
    assert_ok(model_load(path, &(struct model_options){.n_threads = 2}, &m, &err));
    return m;
}

enum { N_IDS = 37 };

static void draw_ids(int32_t *ids, size_t n_vocab)
{
    for (size_t i = 0; i < N_IDS; i++)
        ids[i] = (int32_t)((i * 7919 + 13) % n_vocab);
}

/* ---- against the reference ---- */

static const struct {
    const char *name;
    struct tiny_model model;
    double bound; /* 0 = as the others */
} shapes[] = {
    /* clang-format off */
    {"llama, multi-head",
     {.arch = "llama", .n_layers = 2, .n_embd = 64, .n_heads = 4, .n_kv_heads = 4, .n_ff = 128,
      .untied = true}},
    {"llama, grouped queries, odd sizes",
     {.arch = "llama", .n_layers = 3, .n_embd = 90, .n_heads = 9, .n_kv_heads = 3, .n_ff = 101}},
    {"llama, one key head",
     {.arch = "llama", .n_layers = 1, .n_embd = 60, .n_heads = 6, .n_kv_heads = 1, .n_ff = 37,
      .untied = true}},
    {"llama, biases",
     {.arch = "llama", .n_layers = 2, .n_embd = 48, .n_heads = 4, .n_kv_heads = 2, .n_ff = 80,
      .biases = true}},
    {"llama, wide heads",
     {.arch = "llama", .n_layers = 2, .n_embd = 40, .n_heads = 2, .n_kv_heads = 2, .head = 50,
      .n_ff = 64}},
    {"llama, half rotated",
     {.arch = "llama", .n_layers = 2, .n_embd = 64, .n_heads = 4, .n_kv_heads = 2,
      .rope_dims = 8, .n_ff = 64}},
    {"llama 3, frequency factors",
     {.arch = "llama", .n_layers = 2, .n_embd = 128, .n_heads = 2, .n_kv_heads = 1, .n_ff = 64,
      .freq_base = 500000, .rope_freqs = true, .rope_factor = 32}},
    {"llama, linear scaling",
     {.arch = "llama", .n_layers = 2, .n_embd = 64, .n_heads = 4, .n_kv_heads = 2, .n_ff = 64,
      .rope_scaling = "linear", .rope_factor = 4}},
    {"llama, YaRN",
     {.arch = "llama", .n_layers = 2, .n_embd = 128, .n_heads = 2, .n_kv_heads = 2, .n_ff = 64,
      .n_ctx = 4096, .rope_scaling = "yarn", .rope_factor = 4}},
    {"qwen2",
     {.arch = "qwen2", .n_layers = 2, .n_embd = 56, .n_heads = 4, .n_kv_heads = 2, .n_ff = 96,
      .freq_base = 1e6}},
    {"qwen2, YaRN",
     {.arch = "qwen2", .n_layers = 2, .n_embd = 64, .n_heads = 2, .n_kv_heads = 2, .n_ff = 64,
      .freq_base = 1e6, .rope_scaling = "yarn", .rope_factor = 8}},
    {"qwen3",
     {.arch = "qwen3", .n_layers = 2, .n_embd = 64, .n_heads = 4, .n_kv_heads = 2, .head = 24,
      .n_ff = 96, .freq_base = 1e6, .untied = true}},
    {"llama with experts",
     {.arch = "llama", .n_layers = 3, .n_embd = 60, .n_heads = 6, .n_kv_heads = 2, .n_ff = 70,
      .n_experts = 8}},
    {"llama, one expert of many",
     {.arch = "llama", .n_layers = 2, .n_embd = 64, .n_heads = 4, .n_kv_heads = 4, .n_ff = 33,
      .n_experts = 31, .n_experts_used = 1, .untied = true}},
    {"qwen3moe",
     {.arch = "qwen3moe", .n_layers = 2, .n_embd = 72, .n_heads = 4, .n_kv_heads = 2, .head = 20,
      .n_ff = 130, .n_experts = 7, .n_experts_used = 3}},
    {"qwen3moe, all experts, Q8_0",
     {.arch = "qwen3moe", .type = WT_Q8_0, .n_layers = 2, .n_embd = 96, .n_heads = 4,
      .n_kv_heads = 2, .n_ff = 64, .n_experts = 4, .n_experts_used = 4}},
    {"gemma2, windows",
     {.arch = "gemma2", .n_layers = 4, .n_embd = 64, .n_heads = 4, .n_kv_heads = 2, .head = 20,
      .n_ff = 96, .window = 5}},
    {"gemma2",
     {.arch = "gemma2", .n_layers = 3, .n_embd = 72, .n_heads = 3, .n_kv_heads = 3, .n_ff = 50}},
    {"Q8_0",
     {.arch = "llama", .type = WT_Q8_0, .n_layers = 2, .n_embd = 96, .n_heads = 4,
      .n_kv_heads = 2, .n_ff = 160}},
    {"Q4_0",
     {.arch = "qwen2", .type = WT_Q4_0, .n_layers = 2, .n_embd = 96, .n_heads = 4,
      .n_kv_heads = 2, .n_ff = 160, .untied = true}},
    {"F16",
     {.arch = "qwen3", .type = WT_F16, .n_layers = 2, .n_embd = 50, .n_heads = 5,
      .n_kv_heads = 5, .n_ff = 33}},
    {"BF16",
     {.arch = "llama", .type = WT_BF16, .n_layers = 2, .n_embd = 50, .n_heads = 5,
      .n_kv_heads = 1, .n_ff = 33}},
    {"Q4_K",
     {.arch = "llama", .type = WT_Q4_K, .n_layers = 2, .n_embd = 256, .n_heads = 4,
      .n_kv_heads = 2, .n_ff = 512, .untied = true}},
    {"Q5_K",
     {.arch = "qwen3", .type = WT_Q5_K, .n_layers = 1, .n_embd = 256, .n_heads = 4,
      .n_kv_heads = 2, .n_ff = 256}},
    {"Q6_K",
     {.arch = "gemma2", .type = WT_Q6_K, .n_layers = 2, .n_embd = 256, .n_heads = 4,
      .n_kv_heads = 2, .n_ff = 256}},
    {"gemma",
     {.arch = "gemma", .n_layers = 2, .n_embd = 64, .n_heads = 4, .n_kv_heads = 1, .head = 24,
      .n_ff = 96}},
    {"gemma3, windows that turn faster",
     {.arch = "gemma3", .n_layers = 7, .n_embd = 60, .n_heads = 4, .n_kv_heads = 2, .head = 18,
      .n_ff = 70, .window = 5, .freq_base = 1e6, .rope_scaling = "linear", .rope_factor = 8}},
    {"gemma3, another base in windows",
     {.arch = "gemma3", .n_layers = 6, .n_embd = 48, .n_heads = 4, .n_kv_heads = 4, .head = 20,
      .n_ff = 50, .window = 7, .local_base = 300}},
    {"gemma3, as deep as the largest",
     {.arch = "gemma3", .n_layers = 62, .n_embd = 16, .n_heads = 2, .n_kv_heads = 1, .head = 12,
      .n_ff = 20}},
    {"gemma3n",
     {.arch = "gemma3n", .n_layers = 7, .n_embd = 36, .n_heads = 4, .n_kv_heads = 2, .head = 14,
      .n_ff = 70, .window = 5, .n_input = 9, .rank = 5, .n_shared_kv = 2}},
    {"gemma3n, sparse and dense layers",
     {.arch = "gemma3n", .type = WT_F16, .n_layers = 12, .n_embd = 64, .n_heads = 2,
      .n_kv_heads = 1, .n_ff = 90, .window = 5, .n_input = 6, .rank = 4, .n_shared_kv = 3},
     /* What lies a little above a sparse layer's threshold is a difference of near numbers; scalar
      * and AVX2 sums, longer than those of AVX-512, leave 3.3e-5 after twelve layers. */
     .bound = 5e-5},
    {"phi3",
     {.arch = "phi3", .n_layers = 2, .n_embd = 66, .n_heads = 3, .n_kv_heads = 3, .n_ff = 77,
      .untied = true, .window = 5}},
    {"phi3, long context",
     {.arch = "phi3", .n_layers = 2, .n_embd = 64, .n_heads = 4, .n_kv_heads = 2, .rope_dims = 12,
      .n_ff = 77, .longrope_ctx = 256}},
    {"phi3, short context",
     {.arch = "phi3", .type = WT_Q8_0, .n_layers = 2, .n_embd = 96, .n_heads = 4, .n_kv_heads = 2,
      .n_ff = 64, .longrope_ctx = 512}},
    {"granite",
     {.arch = "granite", .n_layers = 3, .n_embd = 60, .n_heads = 5, .n_kv_heads = 5, .n_ff = 70,
      .biases = true, .untied = true}},
    {"granite, nothing rotated",
     {.arch = "granite", .n_layers = 2, .n_embd = 48, .n_heads = 4, .n_kv_heads = 2, .n_ff = 70,
      .no_rope = true}},
    {"smollm3",
     {.arch = "smollm3", .n_layers = 9, .n_embd = 48, .n_heads = 4, .n_kv_heads = 2, .n_ff = 50}},
    {"mistral3",
     {.arch = "mistral3", .n_layers = 2, .n_embd = 64, .n_heads = 4, .n_kv_heads = 2, .head = 20,
      .n_ff = 50, .rope_scaling = "yarn", .rope_factor = 64, .temp_scale = 0.5,
      .yarn_log_multiplier = 1}},
    {"starcoder2",
     {.arch = "starcoder2", .n_layers = 2, .n_embd = 54, .n_heads = 3, .n_kv_heads = 1,
      .n_ff = 111}},
    {"olmo2",
     {.arch = "olmo2", .n_layers = 2, .n_embd = 60, .n_heads = 6, .n_kv_heads = 2, .n_ff = 70,
      .untied = true}},
    {"olmo2, windows",
     {.arch = "olmo2", .n_layers = 6, .n_embd = 64, .n_heads = 4, .n_kv_heads = 4, .n_ff = 70,
      .untied = true, .window = 6, .rope_scaling = "yarn", .rope_factor = 4}},
    {"command-r",
     {.arch = "command-r", .n_layers = 3, .n_embd = 56, .n_heads = 4, .n_kv_heads = 2,
      .n_ff = 90}},
    {"command-r, norms of heads",
     {.arch = "command-r", .n_layers = 2, .n_embd = 60, .n_heads = 6, .n_kv_heads = 3, .n_ff = 50,
      .qk_norms = true}},
    {"cohere2",
     {.arch = "cohere2", .n_layers = 6, .n_embd = 48, .n_heads = 4, .n_kv_heads = 1, .n_ff = 50,
      .window = 7}},
    {"glm4",
     {.arch = "glm4", .n_layers = 2, .n_embd = 64, .n_heads = 4, .n_kv_heads = 2, .rope_dims = 8,
      .n_ff = 83, .biases = true, .untied = true}},
    {"seed_oss",
     {.arch = "seed_oss", .n_layers = 2, .n_embd = 48, .n_heads = 4, .n_kv_heads = 2, .head = 20,
      .n_ff = 83, .biases = true}},
    {"ernie4_5",
     {.arch = "ernie4_5", .n_layers = 2, .n_embd = 48, .n_heads = 6, .n_kv_heads = 2, .n_ff = 61}},
    {"phi2",
     {.arch = "phi2", .n_layers = 3, .n_embd = 60, .n_heads = 3, .n_kv_heads = 3, .rope_dims = 8,
      .n_ff = 71, .untied = true}},
    {"falcon, one key head",
     {.arch = "falcon", .n_layers = 2, .n_embd = 60, .n_heads = 5, .n_kv_heads = 1, .n_ff = 240}},
    {"falcon, two norms",
     {.arch = "falcon", .n_layers = 3, .n_embd = 64, .n_heads = 4, .n_kv_heads = 2, .n_ff = 80,
      .parallel = true, .untied = true}},
    {"gpt2",
     {.arch = "gpt2", .n_layers = 2, .n_embd = 54, .n_heads = 3, .n_kv_heads = 3, .n_ff = 111}},
    {"gptneox",
     {.arch = "gptneox", .n_layers = 3, .n_embd = 64, .n_heads = 4, .n_kv_heads = 4,
      .rope_dims = 4, .n_ff = 90, .parallel = true, .untied = true}},
    {"gptneox, one half behind the other",
     {.arch = "gptneox", .n_layers = 2, .n_embd = 60, .n_heads = 3, .n_kv_heads = 3,
      .rope_dims = 6, .n_ff = 50, .untied = true}},
    {"stablelm",
     {.arch = "stablelm", .n_layers = 2, .n_embd = 64, .n_heads = 4, .n_kv_heads = 4,
      .rope_dims = 4, .n_ff = 70, .biases = true, .untied = true}},
    {"stablelm, side by side",
     {.arch = "stablelm", .n_layers = 3, .n_embd = 64, .n_heads = 4, .n_kv_heads = 2,
      .rope_dims = 4, .n_ff = 70, .qk_norms = true, .parallel = true, .untied = true}},
    {"internlm2, fused",
     {.arch = "internlm2", .type = WT_Q8_0, .n_layers = 2, .n_embd = 64, .n_heads = 4,
      .n_kv_heads = 2, .n_ff = 96, .fused_qkv = true, .untied = true}},
    {"exaone",
     {.arch = "exaone", .n_layers = 2, .n_embd = 64, .n_heads = 2, .n_kv_heads = 1, .n_ff = 51,
      .rope_freqs = true}},
    {"exaone4",
     {.arch = "exaone4", .n_layers = 2, .n_embd = 48, .n_heads = 4, .n_kv_heads = 2, .head = 14,
      .n_ff = 51}},
    {"exaone4, windows",
     {.arch = "exaone4", .n_layers = 6, .n_embd = 48, .n_heads = 4, .n_kv_heads = 2, .n_ff = 51,
      .window = 5, .rope_freqs = true}},
    {"minicpm",
     {.arch = "minicpm", .n_layers = 2, .n_embd = 60, .n_heads = 5, .n_kv_heads = 5, .n_ff = 70,
      .longrope_ctx = 100}},
    {"apertus",
     {.arch = "apertus", .n_layers = 4, .n_embd = 60, .n_heads = 4, .n_kv_heads = 2, .head = 14,
      .n_ff = 71, .rope_freqs = true, .untied = true}},
    {"starcoder",
     {.arch = "starcoder", .n_layers = 2, .n_embd = 54, .n_heads = 3, .n_kv_heads = 1,
      .n_ff = 111}},
    {"codeshell",
     {.arch = "codeshell", .n_layers = 2, .n_embd = 64, .n_heads = 4, .n_kv_heads = 2,
      .n_ff = 70}},
    {"nemotron",
     {.arch = "nemotron", .n_layers = 2, .n_embd = 64, .n_heads = 4, .n_kv_heads = 2,
      .rope_dims = 8, .n_ff = 70, .untied = true}},
    {"orion",
     {.arch = "orion", .n_layers = 2, .n_embd = 60, .n_heads = 3, .n_kv_heads = 3, .n_ff = 70,
      .untied = true}},
    {"chatglm",
     {.arch = "chatglm", .n_layers = 2, .n_embd = 64, .n_heads = 4, .n_kv_heads = 2,
      .rope_dims = 8, .n_ff = 77, .untied = true}},
    {"hunyuan-dense",
     {.arch = "hunyuan-dense", .n_layers = 3, .n_embd = 60, .n_heads = 6, .n_kv_heads = 2,
      .n_ff = 77}},
    {"arcee",
     {.arch = "arcee", .n_layers = 2, .n_embd = 64, .n_heads = 4, .n_kv_heads = 1, .n_ff = 81}},
    {"xverse",
     {.arch = "xverse", .n_layers = 2, .n_embd = 64, .n_heads = 4, .n_kv_heads = 4, .n_ff = 90,
      .untied = true}},
    {"baichuan, the small one",
     {.arch = "baichuan", .n_layers = 32, .n_embd = 24, .n_heads = 3, .n_kv_heads = 3, .n_ff = 30,
      .untied = true}},
    {"baichuan, the large one",
     {.arch = "baichuan", .n_layers = 40, .n_embd = 24, .n_heads = 4, .n_kv_heads = 4, .n_ff = 30,
      .untied = true}},
    {"gpt-oss",
     {.arch = "gpt-oss", .n_layers = 4, .n_embd = 60, .n_heads = 4, .n_kv_heads = 2, .head = 18,
      .n_ff = 70, .n_experts = 6, .window = 5, .untied = true, .rope_scaling = "yarn",
      .rope_factor = 32, .freq_base = 150000}},
    {"gpt-oss, MXFP4",
     {.arch = "gpt-oss", .type = WT_MXFP4, .n_layers = 2, .n_embd = 96, .n_heads = 6,
      .n_kv_heads = 3, .n_ff = 64, .n_experts = 9, .n_experts_used = 4, .window = 11,
      .untied = true}},
    {"qwen2moe",
     {.arch = "qwen2moe", .n_layers = 2, .n_embd = 60, .n_heads = 6, .n_kv_heads = 2, .n_ff = 34,
      .n_experts = 7, .n_experts_used = 3, .n_ff_shared = 51, .biases = true, .untied = true}},
    {"glm4moe",
     {.arch = "glm4moe", .n_layers = 4, .n_embd = 60, .n_heads = 4, .n_kv_heads = 2, .head = 20,
      .rope_dims = 8, .n_ff = 33, .n_experts = 8, .n_experts_used = 3, .n_ff_shared = 66,
      .n_dense = 2, .expert_norm = true, .expert_scale = 1.7, .biases = true, .qk_norms = true}},
    {"glm4moe, shares as they are, draft layers",
     {.arch = "glm4moe", .n_layers = 2, .n_embd = 48, .n_heads = 4, .n_kv_heads = 1, .n_ff = 33,
      .n_experts = 5, .n_draft_layers = 1, .n_ff_shared = 33, .biases = true, .untied = true}},
    {"granitemoe",
     {.arch = "granitemoe", .n_layers = 2, .n_embd = 60, .n_heads = 5, .n_kv_heads = 5, .n_ff = 41,
      .n_experts = 8, .n_experts_used = 4}},
    {"granitemoe, one beside the experts",
     {.arch = "granitemoe", .n_layers = 2, .n_embd = 48, .n_heads = 4, .n_kv_heads = 2, .n_ff = 41,
      .n_experts = 3, .n_ff_shared = 37}},
    {"olmoe",
     {.arch = "olmoe", .n_layers = 2, .n_embd = 56, .n_heads = 4, .n_kv_heads = 4, .n_ff = 35,
      .n_experts = 16, .n_experts_used = 5, .untied = true}},
    {"ernie4_5-moe",
     {.arch = "ernie4_5-moe", .n_layers = 3, .n_embd = 48, .n_heads = 6, .n_kv_heads = 2,
      .n_ff = 29, .n_experts = 9, .n_experts_used = 3, .n_ff_shared = 58, .n_dense = 1}},
    {"deepseek",
     {.arch = "deepseek", .n_layers = 3, .n_embd = 48, .n_heads = 4, .n_kv_heads = 2, .n_ff = 29,
      .n_experts = 9, .n_experts_used = 4, .n_ff_shared = 58, .n_dense = 1}},
    {"deepseek2, keys and values of each head",
     {.arch = "deepseek2", .n_layers = 3, .n_embd = 48, .n_heads = 3, .n_kv_heads = 3, .head = 14,
      .rope_dims = 6, .value_head = 10, .kv_rank = 20, .n_ff = 29, .n_experts = 7,
      .n_experts_used = 3, .n_ff_shared = 58, .n_dense = 1, .expert_scale = 1.3}},
    {"deepseek2, many heads for one latent",
     {.arch = "deepseek2", .n_layers = 2, .n_embd = 48, .n_heads = 37, .n_kv_heads = 1, .head = 14,
      .rope_dims = 6, .value_head = 10, .kv_rank = 20, .latent = true, .n_ff = 29,
      .n_experts = 4, .n_experts_used = 2, .n_ff_shared = 29, .n_dense = 1}},
    {"deepseek2, the latent, groups, YaRN",
     {.arch = "deepseek2", .n_layers = 3, .n_embd = 48, .n_heads = 5, .n_kv_heads = 1, .head = 14,
      .rope_dims = 6, .value_head = 10, .kv_rank = 20, .q_rank = 18, .latent = true, .n_ff = 29,
      .n_experts = 12, .n_experts_used = 4, .n_expert_groups = 4, .n_expert_groups_used = 2,
      .n_ff_shared = 29, .n_dense = 1, .expert_sigmoid = true, .expert_norm = true,
      .expert_scale = 2.5, .rope_scaling = "yarn", .rope_factor = 40,
      .yarn_log_multiplier = 0.0707}},
    {"lfm2",
     {.arch = "lfm2", .n_layers = 4, .n_embd = 60, .n_heads = 6, .n_kv_heads = 2, .n_ff = 80,
      .conv_width = 3, .untied = true}},
    {"mamba",
     {.arch = "mamba", .n_layers = 3, .n_embd = 40, .n_heads = 1, .n_kv_heads = 1, .n_ff = 1,
      .n_state = 9, .dt_rank = 3}},
    {"mamba, norms without weights",
     {.arch = "mamba", .n_layers = 2, .n_embd = 32, .n_heads = 1, .n_kv_heads = 1, .n_ff = 1,
      .inner = 83, .conv_width = 5, .norms_dt_b_c = true, .untied = true}},
    {"mamba2",
     {.arch = "mamba2", .n_layers = 3, .n_embd = 48, .n_heads = 1, .n_kv_heads = 1, .n_ff = 1,
      .inner = 84, .ssm_heads = 12, .ssm_groups = 3, .n_state = 21}},
    {"mamba2, one group",
     {.arch = "mamba2", .type = WT_Q8_0, .n_layers = 2, .n_embd = 64, .n_heads = 1,
      .n_kv_heads = 1, .n_ff = 1, .ssm_heads = 2, .ssm_groups = 1, .n_state = 64}},
    {"granitehybrid",
     {.arch = "granitehybrid", .n_layers = 4, .n_embd = 48, .n_heads = 4, .n_kv_heads = 2,
      .n_ff = 66, .ssm_heads = 6, .ssm_groups = 2}},
    {"granitehybrid, nothing rotated",
     {.arch = "granitehybrid", .n_layers = 3, .n_embd = 48, .n_heads = 4, .n_kv_heads = 2,
      .n_ff = 66, .no_rope = true, .no_conv_bias = true, .ssm_groups = 1}},
    {"jamba",
     {.arch = "jamba", .n_layers = 3, .n_embd = 44, .n_heads = 4, .n_kv_heads = 1, .n_ff = 50,
      .n_state = 11}},
    {"falcon-h1",
     {.arch = "falcon-h1", .n_layers = 3, .n_embd = 48, .n_heads = 4, .n_kv_heads = 2, .head = 16,
      .n_ff = 70, .inner = 80, .ssm_heads = 5, .ssm_groups = 1}},
    {"qwen35",
     {.arch = "qwen35", .n_layers = 5, .n_embd = 48, .n_heads = 4, .n_kv_heads = 2, .head = 20,
      .rope_dims = 6, .n_ff = 70, .n_state = 18, .ssm_heads = 6, .ssm_groups = 2,
      .attention_period = 4}},
    {"nemotron_h",
     {.arch = "nemotron_h", .n_layers = 7, .n_embd = 48, .n_heads = 4, .n_kv_heads = 2, .head = 10,
      .n_ff = 60, .ssm_heads = 6, .ssm_groups = 3}},
    {"qwen35, draft layers",
     {.arch = "qwen35", .type = WT_F16, .n_layers = 2, .n_embd = 64, .n_heads = 2,
      .n_kv_heads = 2, .n_ff = 64, .n_draft_layers = 1, .n_state = 70, .ssm_heads = 2,
      .ssm_groups = 2}},
    /* clang-format on */
};

static struct tiny_model shape_model(size_t i)
{
    struct tiny_model t = shapes[i].model;
    t.n_ctx = t.n_ctx > 0 ? t.n_ctx : 512;
    t.n_vocab = 211; /* a prime: no kernel's width divides it */
    t.no_vocab = true;
    t.seed = 1000 + i;
    return t;
}

/* The largest difference, relative to the largest value of the reference. */
static double distance(const float *got, const double *want, size_t n)
{
    double diff = 0, range = 0;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(got[i]))
            return (double)INFINITY;
        diff = fmax(diff, fabs((double)got[i] - want[i]));
        range = fmax(range, fabs(want[i]));
    }
    return diff / range;
}

/* Bounds: sums in f32 over rows of a few hundred items and a few layers lose about 1e-5 of the
 * range; an f16 cache rounds keys and values to 2^-11, which softmax and later layers spread. */
static void check_shape(size_t i, enum kv_type kv, double bound)
{
    struct error err = ERROR_INIT;
    struct tiny_model t = shape_model(i);
    CLEANUP_FREE char *path = write_model(&t, "m.gguf");
    struct ref_model *ref = ref_model_open(path);
    assert_non_null(ref);
    struct model *m = load(path);
    size_t n_vocab = ref_model_n_vocab(ref);
    assert_int_equal(model_descriptor(m)->n_vocab, n_vocab);
    int32_t ids[N_IDS];
    draw_ids(ids, n_vocab);
    CLEANUP_FREE double *want = xcalloc(N_IDS * n_vocab, sizeof(*want));
    CLEANUP_FREE float *got = xcalloc(N_IDS * n_vocab, sizeof(*got));
    ref_model_forward(ref, ids, N_IDS, want);
    struct model_run run;
    assert_ok(model_run_open(&run, m, N_IDS, kv, &err));
    assert_ok(model_run_feed(&run, ids, N_IDS, true, got, &err));
    double d = distance(got, want, N_IDS * n_vocab);
    if (!(d <= bound))
        fail_msg("%s: logits differ by %g of their range, %g is allowed", shapes[i].name, d, bound);
    model_run_close(&run);
    model_free(m);
    ref_model_free(ref);
}

static void test_model__agrees_with_reference(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(shapes); i++)
        check_shape(i, KV_F32, shapes[i].bound > 0 ? shapes[i].bound : 2e-5);
}

static void test_model__agrees_with_f16_cache(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(shapes); i++)
        check_shape(i, KV_F16, 1e-2);
}

/* ---- one piece, many pieces ---- */

static void test_model__same_in_pieces(void **state)
{
    (void)state;
    static const int32_t pieces[] = {N_IDS, 1, 2, 7, 32};
    struct error err = ERROR_INIT;
    for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
        struct tiny_model t = shape_model(i);
        CLEANUP_FREE char *path = write_model(&t, "m.gguf");
        struct model *m = load(path);
        size_t n_vocab = t.n_vocab;
        int32_t ids[N_IDS];
        draw_ids(ids, n_vocab);
        CLEANUP_FREE float *logits = xcalloc(ARRAY_LEN(pieces) * N_IDS * n_vocab, sizeof(float));
        for (size_t p = 0; p < ARRAY_LEN(pieces); p++) {
            struct model_run run;
            assert_ok(model_run_open(&run, m, N_IDS, KV_F16, &err));
            float *out = logits + p * N_IDS * n_vocab;
            for (int32_t at = 0; at < N_IDS; at += pieces[p])
                assert_ok(model_run_feed(&run, ids + at, MIN(pieces[p], N_IDS - at), true,
                                         out + (size_t)at * n_vocab, &err));
            model_run_close(&run);
            if (memcmp(out, logits, N_IDS * n_vocab * sizeof(float)) != 0)
                fail_msg("%s: pieces of %d give other logits", shapes[i].name, pieces[p]);
        }
        model_free(m);
    }
}

/* Two sequences in one batch, one of them behind a prompt, asked only for some rows. */
static void check_among_others(size_t shape)
{
    struct error err = ERROR_INIT;
    struct tiny_model t = shape_model(shape);
    CLEANUP_FREE char *path = write_model(&t, "m.gguf");
    struct model *m = load(path);
    int32_t ids[N_IDS], other[9];
    draw_ids(ids, t.n_vocab);
    for (int32_t i = 0; i < 9; i++)
        other[i] = 200 - i;
    float alone[2][211], together[2][211];
    for (int i = 0; i < 2; i++) {
        struct model_run run;
        assert_ok(model_run_open(&run, m, 64, KV_F32, &err));
        assert_ok(
            model_run_feed(&run, i == 0 ? ids : other, i == 0 ? N_IDS : 9, false, alone[i], &err));
        model_run_close(&run);
    }
    struct kv *kv = NULL;
    assert_ok(model_kv_create(m, 5, 3, KV_F32, &kv, &err));
    const int32_t pages_a[] = {3, 0}, pages_b[] = {4};
    struct batch_seq first = {
        .first = 0, .n = 20, .n_past = 0, .pages = pages_a, .state_in = -1, .state_out = 1};
    struct batch batch = {.n_tokens = 20, .ids = ids, .n_seqs = 1, .seqs = &first};
    assert_ok(model_eval(m, kv, &batch, NULL, NULL, &err));
    int32_t mixed[N_IDS - 20 + 9];
    memcpy(mixed, ids + 20, (N_IDS - 20) * sizeof(*ids));
    memcpy(mixed + N_IDS - 20, other, sizeof(other));
    struct batch_seq seqs[] = {
        {.first = 0,
         .n = N_IDS - 20,
         .n_past = 20,
         .pages = pages_a,
         .state_in = 1,
         .state_out = 0},
        {.first = N_IDS - 20,
         .n = 9,
         .n_past = 0,
         .pages = pages_b,
         .state_in = -1,
         .state_out = 2},
    };
    const int32_t rows[] = {N_IDS - 20 + 8, N_IDS - 20 - 1}; /* the second one's first */
    batch = (struct batch){.n_tokens = ARRAY_LEN(mixed),
                           .ids = mixed,
                           .n_seqs = 2,
                           .seqs = seqs,
                           .n_out = 2,
                           .out_rows = rows};
    assert_ok(model_eval(m, kv, &batch, &together[0][0], NULL, &err));
    if (memcmp(together[0], alone[1], sizeof(alone[1])) != 0 ||
        memcmp(together[1], alone[0], sizeof(alone[0])) != 0)
        fail_msg("%s: other logits among others", shapes[shape].name);
    model_kv_free(m, kv);
    model_free(m);
}

static void test_model__same_among_others(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(shapes); i++)
        check_among_others(i);
}

static void test_model__split_file(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct tiny_model t = shape_model(0);
    float whole[211], split[211];
    const int32_t ids[] = {1, 2, 3, 200};
    for (int i = 0; i < 2; i++) {
        t.n_parts = i == 0 ? 1 : 3;
        CLEANUP_FREE char *path = write_model(&t, i == 0 ? "m.gguf" : "m-00001-of-00003.gguf");
        struct model *m = load(path);
        assert_int_equal(gguf_n_parts(model_gguf(m)), t.n_parts);
        struct model_run run;
        assert_ok(model_run_open(&run, m, 8, KV_F32, &err));
        assert_ok(model_run_feed(&run, ids, 4, false, i == 0 ? whole : split, &err));
        model_run_close(&run);
        model_free(m);
    }
    assert_memory_equal(whole, split, sizeof(whole));
}

static void test_model__refuses_ids(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct tiny_model t = shape_model(0);
    CLEANUP_FREE char *path = write_model(&t, "m.gguf");
    struct model *m = load(path);
    struct model_run run;
    assert_ok(model_run_open(&run, m, 8, KV_F32, &err));
    static const int32_t bad[] = {-1, 211, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        const int32_t ids[] = {5, bad[i]};
        assert_fails(model_run_feed(&run, ids, 2, false, NULL, &err), ERR_INVALID, "out of range");
    }
    model_run_close(&run);
    model_free(m);
}

static void test_model__sizes(void **state)
{
    (void)state;
    struct tiny_model t = shape_model(1); /* 3 layers, 3 key heads of 10 */
    CLEANUP_FREE char *path = write_model(&t, "m.gguf");
    struct model *m = load(path);
    assert_int_equal(model_kv_token_bytes(m, KV_F16), 3 * 3 * (10 + 10) * 2);
    assert_int_equal(model_kv_token_bytes(m, KV_F32), 3 * 3 * (10 + 10) * 4);
    uint64_t sum = 0;
    for (size_t i = 0; i < gguf_n_tensors(model_gguf(m)); i++)
        sum += gguf_tensor_at(model_gguf(m), i)->bytes;
    assert_int_equal(model_weight_bytes(m), sum);
    model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model__agrees_with_reference),
        cmocka_unit_test(test_model__agrees_with_f16_cache),
        cmocka_unit_test(test_model__same_in_pieces),
        cmocka_unit_test(test_model__same_among_others),
        cmocka_unit_test(test_model__split_file),
        cmocka_unit_test(test_model__refuses_ids),
        cmocka_unit_test(test_model__sizes),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
