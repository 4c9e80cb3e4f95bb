/* SPDX-License-Identifier: Apache-2.0
 *
 * make_tiny_encoder: writes a file of an embedding or ranking model with random weights.
 *
 *     make_tiny_encoder --arch jina-bert-v2 --fused-up --pooling 1 /tmp/m.gguf */
#include <stdio.h>
#include <string.h>

#include "base/compiler.h"
#include "base/opt.h"
#include "engine/kernels/types.h"
#include "tiny_encoder.h"

struct options {
    const char *arch, *type;
    int64_t n_layers, n_embd, n_heads, n_kv_heads, n_ff, n_ctx, pooling, window, n_labels, dense;
    int64_t seed;
    bool fused, fused_up, no_biases, qk_norm, norm_2, swiglu;
};

#define COUNT(field, text, least, most, about)                                         \
    {                                                                                  \
        text, 0, OPT_INT, offsetof(struct options, field), "N", about, .min = (least), \
                                                                       .max = (most)   \
    }
#define FLAG(field, text, about)                                          \
    {                                                                     \
        text, 0, OPT_FLAG, offsetof(struct options, field), .help = about \
    }

static const struct opt opts[] = {
    {"arch", 'a', OPT_STRING, offsetof(struct options, arch), "NAME",
     "bert (the default), nomic-bert, jina-bert-v2, jina-bert-v3, modern-bert, neo-bert, eurobert, "
     "gemma-embedding, or qwen3"},
    {"type", 't', OPT_STRING, offsetof(struct options, type), "TYPE", "F32 (the default), F16, …"},
    COUNT(n_layers, "n-layers", 1, 1024, "layers"),
    COUNT(n_embd, "n-embd", 1, 1 << 16, "width of a vector"),
    COUNT(n_heads, "n-heads", 1, 1 << 10, "heads"),
    COUNT(n_kv_heads, "n-kv-heads", 1, 1 << 10, "key and value heads"),
    COUNT(n_ff, "n-ff", 1, 1 << 18, "width of the feed-forward layers"),
    COUNT(n_ctx, "n-ctx", 1, 1 << 20, "tokens of context"),
    COUNT(pooling, "pooling", 0, 4, "none, mean, cls, last, rank"),
    COUNT(window, "window", 0, 1 << 20, "symmetric window"),
    COUNT(n_labels, "labels", 0, 3, "scores of a head for ranking"),
    COUNT(dense, "dense", 0, 1 << 16, "width between two projections"),
    {"seed", 0, OPT_INT, offsetof(struct options, seed), "N", "seed of the random numbers"},
    FLAG(fused, "fused", "queries, keys and values in one tensor"),
    FLAG(fused_up, "fused-up", "the gate in the tensor of ffn_up"),
    FLAG(no_biases, "no-biases", "leave out the optional biases"),
    FLAG(qk_norm, "qk-norm", "norms of queries and keys"),
    FLAG(norm_2, "norm-2", "a second norm behind the attention"),
    FLAG(swiglu, "swiglu", "SiLU in place of GELU"),
    OPT_END,
};

static const struct command command = {
    .name = "make_tiny_encoder",
    .args = "FILE",
    .summary = "write a file of an embedding model with random weights",
    .opts = opts,
    .min_args = 1,
    .max_args = 1,
};

static const struct program program = {
    .name = "make_tiny_encoder",
    .man_name = "make_tiny_encoder",
    .version = MR_VERSION,
    .summary = "write a file of an embedding model with random weights",
};

static int make(const struct options *o, const char *path, struct error *err)
{
    struct tiny_encoder m = {
        .arch = o->arch,
        .n_layers = (uint32_t)o->n_layers,
        .n_embd = (uint32_t)o->n_embd,
        .n_heads = (uint32_t)o->n_heads,
        .n_kv_heads = (uint32_t)(o->n_kv_heads > 0 ? o->n_kv_heads : o->n_heads),
        .n_ff = (uint32_t)o->n_ff,
        .n_ctx = (uint32_t)o->n_ctx,
        .pooling = (uint32_t)o->pooling,
        .window = (uint32_t)o->window,
        .n_labels = (uint32_t)o->n_labels,
        .dense = (uint32_t)o->dense,
        .fused = o->fused,
        .fused_up = o->fused_up,
        .no_biases = o->no_biases,
        .qk_norm = o->qk_norm,
        .norm_2 = o->norm_2,
        .swiglu = o->swiglu,
        .seed = (uint64_t)o->seed,
    };
    for (uint32_t t = 0; t < WT_COUNT; t++) {
        const struct weight_type_info *info = weight_type_info(t);
        if (info && strcmp(info->name, o->type) == 0) {
            m.type = t;
            return tiny_encoder_write(&m, path, err);
        }
    }
    return error_set(err, ERR_INVALID, "no weight type '%s'", o->type);
}

int main(int argc, char **argv)
{
    struct options o = {.arch = "bert",
                        .type = "F32",
                        .n_layers = 3,
                        .n_embd = 64,
                        .n_heads = 4,
                        .n_ff = 96,
                        .n_ctx = 128,
                        .pooling = 1,
                        .seed = 1};
    struct opt_args args;
    struct error err = ERROR_INIT;
    if (opt_parse(&command, argc, argv, &o, &args, &err) < 0)
        return opt_usage_error(&program, &command, &err);
    if (make(&o, args.v[0], &err) < 0) {
        fprintf(stderr, "make_tiny_encoder: %s\n", err.msg);
        return errc_exit_code(err.code);
    }
    return 0;
}
