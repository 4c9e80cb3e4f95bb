/* SPDX-License-Identifier: Apache-2.0
 *
 * Weights of the CPU backend: used where they lie, in the file's blocks. Only tensors of one row
 * (norms, biases) are copied, as f32, so that the vector kernels know one type. */
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "engine/backend/cpu/cpu.h"

int cpu_weight_load(struct backend *backend, const struct weight_desc *desc, struct weight **ret,
                    bool *ret_keeps_data, struct error *err)
{
    struct backend_cpu *b = backend_cpu_of(backend);
    const struct weight_type_info *info = weight_type_info(desc->type);
    if (!info)
        return error_set(err, ERR_UNSUPPORTED, "tensor '%s' has the unknown type %u", desc->name,
                         (unsigned)desc->type);
    dequant_fn dequant = b->k.weight[desc->type].dequant;
    if (!info->can_compute || !dequant)
        return error_set(err, ERR_UNSUPPORTED,
                         "tensor '%s' has the type %s, which this engine cannot compute with",
                         desc->name, info->name);
    uint64_t row_bytes, bytes;
    if (desc->rows == 0 || desc->cols == 0 || !weight_row_bytes(desc->type, desc->cols, &row_bytes))
        return error_set(err, ERR_CORRUPT,
                         "tensor '%s' has %u rows of %u elements, but %s comes in blocks of %u",
                         desc->name, desc->rows, desc->cols, info->name, info->block_items);
    if (mul_overflows(row_bytes, desc->rows, &bytes) || bytes > PTRDIFF_MAX)
        return error_set(err, ERR_TOO_LARGE, "tensor '%s' of %" PRIu64 " bytes a row is too large",
                         desc->name, row_bytes);

    struct weight *w = xcalloc(1, sizeof(*w));
    *w = (struct weight){
        .type = desc->type,
        .rows = desc->rows,
        .cols = desc->cols,
        .row_bytes = (size_t)row_bytes,
        .data = desc->data,
    };
    if (desc->scales) {
        w->scale_rows = desc->rows / desc->n_scales;
        w->scales = xcalloc(desc->n_scales, sizeof(*w->scales));
        memcpy(w->scales, desc->scales, desc->n_scales * sizeof(*w->scales));
    }
    if (desc->rows == 1) {
        w->owned = alloc_aligned(desc->cols, sizeof(float));
        if (!w->owned) {
            cpu_weight_free(backend, w);
            return error_set(err, ERR_NOMEM, "out of memory for tensor '%s'", desc->name);
        }
        dequant(desc->data, w->owned, desc->cols);
        w->type = WT_F32;
        w->row_bytes = desc->cols * sizeof(float);
        w->data = (const unsigned char *)w->owned;
    }
    *ret_keeps_data = w->owned == NULL;
    *ret = w;
    return 0;
}

void cpu_weight_free(struct backend *backend, struct weight *w)
{
    (void)backend;
    if (!w)
        return;
    free(w->owned);
    free(w->scales);
    free(w->low_rank);
    free(w);
}

const float *weight_vector(const struct weight *w)
{
    return w ? w->owned : NULL;
}
