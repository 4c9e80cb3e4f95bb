/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of model families that can be imported: what Hugging Face's `architectures` name means
 * in GGUF, and how the tensors are called in both. */
#ifndef ENGINE_IMPORT_FAMILY_H
#define ENGINE_IMPORT_FAMILY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

enum family_flags {
    FAMILY_PERMUTED = 1,      /* rotated pairs lie in halves in HF, side by side in GGUF */
    FAMILY_NORM_PLUS_ONE = 2, /* norms are stored as w - 1 */
    FAMILY_TIED = 4,          /* the output is always the embedding */
    FAMILY_HEAD_DIM = 8,      /* head_dim has keys of its own, whatever n_embd / n_heads is */
    FAMILY_WINDOW = 16,       /* sliding_window is honoured */
};

/* Sizes of tensors, by the letters of the table below. */
struct sizes {
    uint64_t embd, q, kv, head, ff, experts;
};

enum size_of { S_NONE, S_EMBD, S_Q, S_KV, S_QKV, S_HEAD, S_FF, S_FF_2, S_EXPERTS };

enum tensor_flags {
    TENSOR_OPTIONAL = 1,
    TENSOR_NORM = 2,
    TENSOR_Q = 4,        /* rows of query heads */
    TENSOR_K = 8,        /* of key heads */
    TENSOR_EXPERTS = 16, /* one tensor per expert, its number in place of '#'; stacked in GGUF */
};

struct tensor_name {
    const char *hf, *gguf;   /* behind "model.layers.N." and "blk.N." */
    unsigned flags;          /* enum tensor_flags */
    enum size_of rows, cols; /* rows S_NONE: a vector of `cols` */
};

struct family {
    const char *hf, *arch;
    unsigned flags;                           /* enum family_flags */
    const struct tensor_name *const *tensors; /* lists, ended by NULL; each ended by a NULL name */
};

const struct family *family_find(struct str hf_architecture); /* or NULL */
const struct family *family_at(size_t i);                     /* NULL past the last */

uint64_t size_of(const struct sizes *s, enum size_of what);

#endif
