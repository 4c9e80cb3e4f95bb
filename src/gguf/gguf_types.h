/* SPDX-License-Identifier: Apache-2.0
 *
 * Element types of GGUF tensors: names and block sizes, for checking lengths. What the blocks mean
 * is the business of engine/kernels. */
#ifndef GGUF_GGUF_TYPES_H
#define GGUF_GGUF_TYPES_H

#include <stdint.h>

struct gguf_type_info {
    const char *name;     /* "Q4_K" */
    uint32_t block_items; /* a row holds a whole number of blocks */
    uint32_t block_bytes;
};

/* NULL for a number that names no type: never assigned, or removed from the format. */
const struct gguf_type_info *gguf_type_info(uint32_t type);

/* `general.file_type` as people write it: 15 → "Q4_K_M"; NULL if unknown. */
const char *gguf_file_type_name(uint32_t file_type);

#endif
