/* SPDX-License-Identifier: Apache-2.0
 *
 * make_tiny_model: writes a model file with random weights.
 *
 *     make_tiny_model --arch qwen2 --type Q4_K --n-embd 256 /tmp/m.gguf
 *     make_tiny_model --shape smollm2-135m --type Q8_0 /tmp/bench.gguf */
#include <stdio.h>
#include <string.h>

#include "base/compiler.h"
#include "base/opt.h"
#include "engine/kernels/types.h"
#include "tiny_model.h"

struct options {
    const char *arch, *type, *shape, *rope_scaling;
    int64_t n_layers, n_embd, n_heads, n_kv_heads, head, n_ff, n_vocab, n_ctx, window, parts, seed;
    int64_t conv_width, inner, n_state, ssm_heads, ssm_groups, dt_rank, attention_period, n_draft,
        n_experts, n_experts_used, n_ff_shared, n_dense;
    int64_t rope_dims;
    int64_t longrope_ctx;
    double expert_scale, rope_factor, freq_base, temp_scale, yarn_log_multiplier;
    bool untied, biases, rope_freqs, no_vocab, no_rope, fused_qkv, qk_norms, parallel, expert_norm,
        expert_sigmoid, latent;
    int64_t n_groups, n_groups_used, kv_rank, q_rank, value_head;
};

#define COUNT(field, text, most)                                                        \
    {                                                                                   \
        text, 0, OPT_INT, offsetof(struct options, field), "N", .min = 1, .max = (most) \
    }

static const struct opt opts[] = {
    {"shape", 's', OPT_STRING, offsetof(struct options, shape), "NAME",
     "the sizes of a real model: smollm2-135m, qwen3-0.6b, llama-3.2-1b"},
    {"arch", 'a', OPT_STRING, offsetof(struct options, arch), "NAME",
     "llama (the default), qwen2, qwen3, qwen3moe, gemma2; gemma, gemma3, gemma3n, phi3, granite, "
     "smollm3, "
     "mistral3, starcoder2, olmo2, command-r, cohere2, glm4, seed_oss, ernie4_5, phi2, falcon, "
     "gpt2, gptneox, stablelm, internlm2, exaone, exaone4, minicpm, baichuan, apertus, "
     "starcoder, codeshell, nemotron, orion, chatglm, hunyuan-dense, arcee, xverse; gpt-oss, "
     "qwen2moe, glm4moe, granitemoe, olmoe, ernie4_5-moe, deepseek, deepseek2; lfm2, mamba, "
     "mamba2, granitehybrid, jamba, falcon-h1, nemotron_h or qwen35"},
    {"type", 't', OPT_STRING, offsetof(struct options, type), "TYPE",
     "F32 (the default), F16, BF16, Q8_0, Q4_0, Q4_K, Q5_K, Q6_K or MXFP4"},
    COUNT(n_layers, "n-layers", 1024),
    COUNT(n_embd, "n-embd", 1 << 20),
    COUNT(n_heads, "n-heads", 1 << 16),
    COUNT(n_kv_heads, "n-kv-heads", 1 << 16),
    COUNT(head, "head", 1 << 16),
    COUNT(n_ff, "n-ff", 1 << 22),
    COUNT(n_vocab, "n-vocab", 1 << 24),
    COUNT(n_ctx, "n-ctx", INT32_MAX),
    COUNT(rope_dims, "rope-dims", 1 << 16),
    COUNT(window, "window", INT32_MAX),
    COUNT(conv_width, "conv-width", 64),
    COUNT(inner, "inner", 1 << 20),
    COUNT(n_state, "n-state", 1 << 16),
    COUNT(ssm_heads, "ssm-heads", 1 << 16),
    COUNT(ssm_groups, "ssm-groups", 1 << 16),
    COUNT(dt_rank, "dt-rank", 1 << 16),
    COUNT(attention_period, "attention-period", 1024),
    COUNT(n_draft, "draft-layers", 16),
    COUNT(n_experts, "experts", 512),
    COUNT(n_experts_used, "experts-used", 512),
    COUNT(n_ff_shared, "ff-shared", 1 << 22),
    COUNT(n_groups, "expert-groups", 64),
    COUNT(n_groups_used, "expert-groups-used", 64),
    COUNT(kv_rank, "kv-rank", 1 << 16),
    COUNT(q_rank, "q-rank", 1 << 16),
    COUNT(value_head, "value-head", 1 << 16),
    {"expert-sigmoid", 0, OPT_FLAG, offsetof(struct options, expert_sigmoid),
     .help = "deepseek2: shares are sigmoids, with a bias for choosing"},
    {"latent", 0, OPT_FLAG, offsetof(struct options, latent),
     .help = "deepseek2: the newer form of its matrices"},
    COUNT(n_dense, "dense-layers", 1024),
    COUNT(longrope_ctx, "longrope-ctx", INT32_MAX),
    COUNT(parts, "parts", 1024),
    {"seed", 0, OPT_INT, offsetof(struct options, seed), "N", "seed of the random numbers"},
    {"freq-base", 0, OPT_REAL, offsetof(struct options, freq_base), "X", "base of the rotation"},
    {"rope-scaling", 0, OPT_STRING, offsetof(struct options, rope_scaling), "KIND",
     "linear or yarn"},
    {"rope-factor", 0, OPT_REAL, offsetof(struct options, rope_factor), "X", "how far to stretch"},
    {"rope-freqs", 0, OPT_FLAG, offsetof(struct options, rope_freqs),
     .help = "add Llama 3's frequency factors"},
    {"untied", 0, OPT_FLAG, offsetof(struct options, untied),
     .help = "an output matrix of its own"},
    {"biases", 0, OPT_FLAG, offsetof(struct options, biases), .help = "biases in a llama model"},
    {"no-rope", 0, OPT_FLAG, offsetof(struct options, no_rope), .help = "rotate nothing (granite)"},
    {"fused-qkv", 0, OPT_FLAG, offsetof(struct options, fused_qkv),
     .help = "queries, keys and values in one tensor"},
    {"qk-norms", 0, OPT_FLAG, offsetof(struct options, qk_norms),
     .help = "norms of queries and keys (command-r, stablelm)"},
    {"parallel", 0, OPT_FLAG, offsetof(struct options, parallel),
     .help = "both halves of a layer read the same (gptneox, stablelm); two norms (falcon)"},
    {"temp-scale", 0, OPT_REAL, offsetof(struct options, temp_scale), "X",
     "how queries grow with the position (mistral3)"},
    {"yarn-log-multiplier", 0, OPT_REAL, offsetof(struct options, yarn_log_multiplier), "X",
     "how much of YaRN's scale is taken back"},
    {"expert-norm", 0, OPT_FLAG, offsetof(struct options, expert_norm),
     .help = "shares of experts add up to one (glm4moe)"},
    {"expert-scale", 0, OPT_REAL, offsetof(struct options, expert_scale), "X",
     "what the experts' sum is multiplied by"},
    {"no-vocab", 0, OPT_FLAG, offsetof(struct options, no_vocab),
     .help = "leave the tokenizer out"},
    OPT_END,
};

static const struct command command = {
    .name = "make_tiny_model",
    .args = "FILE",
    .summary = "write a model file with random weights",
    .opts = opts,
    .min_args = 1,
    .max_args = 1,
};

static const struct program program = {
    .name = "make_tiny_model",
    .man_name = "make_tiny_model",
    .version = MR_VERSION,
    .summary = "write a model file with random weights",
};

static int find_type(const char *name, uint32_t *ret, struct error *err)
{
    for (uint32_t t = 0; t < WT_COUNT; t++) {
        const struct weight_type_info *info = weight_type_info(t);
        if (info && strcmp(info->name, name) == 0) {
            *ret = t;
            return 0;
        }
    }
    return error_set(err, ERR_INVALID, "no weight type '%s'", name);
}

static void set_count(uint32_t *to, int64_t given)
{
    if (given > 0)
        *to = (uint32_t)given;
}

static int make(const struct options *o, const char *path, struct error *err)
{
    struct tiny_model m = {
        .arch = "llama",
        .n_layers = 2,
        .n_embd = 64,
        .n_heads = 4,
        .n_kv_heads = 2,
        .n_ff = 96,
        .n_vocab = 512,
        .n_ctx = 2048,
    };
    int r = o->shape ? tiny_model_shape(o->shape, &m, err) : 0;
    if (r == 0)
        r = find_type(o->type, &m.type, err);
    if (r < 0)
        return r;
    if (o->arch)
        m.arch = o->arch;
    if (strcmp(m.arch, "baichuan") == 0)
        m.n_layers = 32; /* the number of layers says how it tells positions apart */
    set_count(&m.n_layers, o->n_layers);
    set_count(&m.n_embd, o->n_embd);
    set_count(&m.n_heads, o->n_heads);
    set_count(&m.n_kv_heads, o->n_kv_heads);
    set_count(&m.head, o->head);
    set_count(&m.n_ff, o->n_ff);
    set_count(&m.n_vocab, o->n_vocab);
    set_count(&m.n_ctx, o->n_ctx);
    set_count(&m.rope_dims, o->rope_dims);
    set_count(&m.window, o->window);
    set_count(&m.conv_width, o->conv_width);
    set_count(&m.inner, o->inner);
    set_count(&m.n_state, o->n_state);
    set_count(&m.ssm_heads, o->ssm_heads);
    set_count(&m.ssm_groups, o->ssm_groups);
    set_count(&m.dt_rank, o->dt_rank);
    set_count(&m.attention_period, o->attention_period);
    set_count(&m.n_draft_layers, o->n_draft);
    set_count(&m.n_experts, o->n_experts);
    set_count(&m.n_experts_used, o->n_experts_used);
    set_count(&m.n_ff_shared, o->n_ff_shared);
    set_count(&m.n_dense, o->n_dense);
    m.expert_norm = o->expert_norm;
    m.expert_sigmoid = o->expert_sigmoid;
    m.latent = o->latent;
    set_count(&m.n_expert_groups, o->n_groups);
    set_count(&m.n_expert_groups_used, o->n_groups_used);
    set_count(&m.kv_rank, o->kv_rank);
    set_count(&m.q_rank, o->q_rank);
    set_count(&m.value_head, o->value_head);
    m.expert_scale = o->expert_scale;
    set_count(&m.n_parts, o->parts);
    m.seed = (uint64_t)o->seed;
    m.rope_scaling = o->rope_scaling;
    m.rope_factor = o->rope_factor > 0 ? o->rope_factor : m.rope_factor;
    m.freq_base = o->freq_base > 0 ? o->freq_base : m.freq_base;
    m.rope_freqs |= o->rope_freqs;
    m.untied |= o->untied;
    m.biases |= o->biases;
    m.no_rope = o->no_rope;
    m.fused_qkv = o->fused_qkv;
    m.qk_norms = o->qk_norms;
    m.parallel = o->parallel;
    m.temp_scale = o->temp_scale;
    m.yarn_log_multiplier = o->yarn_log_multiplier;
    set_count(&m.longrope_ctx, o->longrope_ctx);
    m.no_vocab = o->no_vocab;
    return tiny_model_write(&m, path, err);
}

int main(int argc, char **argv)
{
    struct options o = {.type = "F32", .seed = 1};
    struct opt_args args;
    struct error err = ERROR_INIT;
    if (opt_parse(&command, argc, argv, &o, &args, &err) < 0)
        return opt_usage_error(&program, &command, &err);
    if (make(&o, args.v[0], &err) < 0) {
        fprintf(stderr, "make_tiny_model: %s\n", err.msg);
        return errc_exit_code(err.code);
    }
    return 0;
}
