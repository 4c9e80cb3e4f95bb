/* SPDX-License-Identifier: Apache-2.0
 *
 * LoRA adapters in GGUF: matrices A, B of low rank for some of a model's weights, which then count
 * as W + scale * alpha / rank * B A.
 *
 *     general.type = "adapter", adapter.type = "lora", general.architecture = the model's
 *     adapter.lora.alpha
 *     "blk.0.attn_q.weight.lora_a" [cols, rank], "blk.0.attn_q.weight.lora_b" [rank, rows], …
 *
 * An adapter for another architecture, of other shapes, or for a tensor that the model does not
 * have or does not simply multiply with (embeddings, experts, norms) is refused whole. */
#ifndef ENGINE_MODEL_ADAPTER_H
#define ENGINE_MODEL_ADAPTER_H

#include <stdint.h>

#include "base/error.h"
#include "engine/backend/backend.h"
#include "engine/model/descriptor.h"
#include "engine/model/tensor_set.h"

struct adapter;

enum { ADAPTER_MAX_RANK = 4096 };

/* What an adapter is put on. */
struct adapter_target {
    const struct descriptor *desc;
    const struct tensor_set *tensors; /* loaded */
    const struct plan *plan;
    struct backend *backend;
};

/* Becomes adapter number `index`. Freed after the model's last computation, before its backend. */
int adapter_load(const char *path, const struct adapter_target *target, uint32_t index,
                 struct adapter **ret, struct error *err);
void adapter_free(struct adapter *a); /* NULL is fine */

#endif
