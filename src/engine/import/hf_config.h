/* SPDX-License-Identifier: Apache-2.0
 *
 * config.json of a supported family: read, checked, and written as GGUF keys. What the engine would
 * compute otherwise than the model's authors meant is refused by the name of the field. */
#ifndef ENGINE_IMPORT_HF_CONFIG_H
#define ENGINE_IMPORT_HF_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/json.h"
#include "engine/import/family.h"
#include "gguf/gguf_writer.h"

enum {
    HF_MAX_LAYERS = 1024,
    HF_MAX_WIDTH = 1 << 20,
    HF_MAX_VOCAB = 1 << 22,
    HF_MAX_EXPERTS = 1024,
};

enum hf_rope { HF_ROPE_PLAIN, HF_ROPE_LINEAR, HF_ROPE_YARN, HF_ROPE_LLAMA3, HF_ROPE_LONG };

struct hf_config {
    const struct json *json; /* borrowed */
    const struct family *family;
    struct sizes sizes;
    int64_t n_layers, n_vocab, n_ctx, n_heads, n_kv_heads, n_experts, n_experts_used, window;
    int64_t rope_dims, n_ctx_before; /* before the rotation was stretched */
    double eps, freq_base, rope_factor;
    enum hf_rope rope;
    bool ties; /* says that the output is the embedding */
    bool unties;
    bool window_unused; /* has a window that neither this engine nor llama.cpp applies */
};

/* `json` must outlive *ret. */
int hf_config_read(const struct json *json, struct hf_config *ret, struct error *err);

/* All keys "ARCH.…". */
void hf_config_write(const struct hf_config *c, struct gguf_writer *w);

/* Tensors with factors of the rotation, f32[rope_dims / 2]: 0, 1 or 2 of them. */
struct rope_factors {
    const char *gguf;
    float *values; /* the caller frees */
};
int hf_config_rope_factors(const struct hf_config *c, struct rope_factors ret[2], size_t *ret_n,
                           struct error *err);

#endif
