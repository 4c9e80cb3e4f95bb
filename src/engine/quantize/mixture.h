/* SPDX-License-Identifier: Apache-2.0
 *
 * Mixtures: the names that people know quantised files by ("Q4_K_M"), and which type each gives to
 * which tensor. The rules are those of llama.cpp's quantize, so that a file made here has the types
 * and the size its name promises. */
#ifndef ENGINE_QUANTIZE_MIXTURE_H
#define ENGINE_QUANTIZE_MIXTURE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "gguf/gguf.h"

struct mixture {
    const char *name;
    uint32_t file_type; /* general.file_type */
    uint32_t type;      /* enum weight_type of what has no rule of its own */
};

/* By name, upper or lower case; "Q4_K" is short for Q4_K_M, and so on. A name that is none, or one
 * of a type that cannot be written, is ERR_INVALID or ERR_UNSUPPORTED. */
int mixture_find(const char *name, const struct mixture **ret, struct error *err);

/* What the rules ask of a model, and how far it was walked. Zeroed at first. */
struct mixture_walk {
    const struct mixture *mixture;
    bool pure; /* no rules: every tensor gets the mixture's type */
    bool has_imatrix;
    char arch[64];
    uint32_t n_layers, n_experts;
    uint32_t n_gqa; /* query heads for each head of keys; 0 = unknown */
    bool has_output;
    uint32_t n_attn_v; /* tensors that hold values */
    uint32_t at_attn_v, at_ffn_down;
};

/* A tensor of the model, for the counts. */
void mixture_count(struct mixture_walk *w, struct str tensor);

/* Fills all but the first three from a file. Otherwise the caller fills arch, n_layers, n_experts
 * and n_gqa, and counts all tensors. */
int mixture_walk_init(struct mixture_walk *w, const struct gguf *g, struct error *err);

/* The type for a tensor; tensors come layer by layer, those of no layer first, a layer's by name.
 * *ret is t->type for what stays as it is. *ret_wanted differs from *ret where the tensor's rows
 * are no whole number of blocks of the type the rules say. */
int mixture_next(struct mixture_walk *w, const struct gguf_tensor *t, uint32_t *ret,
                 uint32_t *ret_wanted, struct error *err);

/* The order in which mixture_next() wants tensors. */
int mixture_order(const struct gguf_tensor *a, const struct gguf_tensor *b);

#endif
