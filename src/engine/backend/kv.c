/* SPDX-License-Identifier: Apache-2.0
 *
 * What every backend's KV cache has in common: its size. */
#include "base/alloc.h"
#include "engine/backend/backend.h"

int kv_page_bytes(const struct kv_desc *desc, uint64_t *ret, struct error *err)
{
    uint64_t item = desc->type == KV_F16 ? 2 : 4;
    uint64_t total = 0;
    for (uint32_t l = 0; l < desc->n_layers; l++) {
        uint64_t width = (uint64_t)desc->head_k[l] + desc->head_v[l];
        uint64_t bytes;
        if (mul_overflows(width, desc->n_kv_heads[l], &bytes) ||
            mul_overflows(bytes, item * KV_PAGE_TOKENS, &bytes) ||
            add_overflows(total, bytes, &total))
            return error_set(err, ERR_TOO_LARGE,
                             "a page of the KV cache is too large to count: layer %u has %u key/value "
                             "heads of %u and %u elements",
                             l, desc->n_kv_heads[l], desc->head_k[l], desc->head_v[l]);
    }
    *ret = total;
    return 0;
}

uint64_t kv_state_bytes(const struct kv_desc *desc)
{
    uint64_t total = 0; /* 32-bit numbers of at most 2^16 layers: no overflow */
    for (uint32_t l = 0; desc->state && l < desc->n_layers; l++)
        total += desc->state[l];
    return total * sizeof(float);
}
