/* SPDX-License-Identifier: Apache-2.0
 *
 * The tensors of the file to be: where each comes from and what is done to it. */
#ifndef ENGINE_IMPORT_WEIGHT_LIST_H
#define ENGINE_IMPORT_WEIGHT_LIST_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "engine/import/hf_config.h"
#include "engine/import/hf_dir.h"
#include "gguf/gguf.h"

struct weight {
    struct gguf_tensor tensor; /* name, dims; type: as it is stored in the directory */
    char name[GGUF_MAX_NAME + 1];
    const struct safetensors_tensor **parts; /* [n_parts] one matrix each; NULL: `values` */
    size_t n_parts;
    float *values;          /* numbers of our own making */
    uint32_t permuted_head; /* width of a head whose halves are interleaved; 0 = none */
    float plus;             /* added to every number */
};

struct weight_list {
    struct weight *items;
    size_t n;
};

/* Takes all tensors that the config's family has out of the directory and checks their shapes. A
 * tensor that is left over is an error. *ret is zeroed at first and released also after an error.
 */
int weight_list_make(struct hf_dir *d, const struct hf_config *c, struct weight_list *ret,
                     struct error *err);
void weight_list_release(struct weight_list *l);

/* Row `row` of all matrices together, dims[0] numbers. */
void weight_read_row(const struct weight *w, uint64_t row, float *dst);

#endif
