/* SPDX-License-Identifier: Apache-2.0
 *
 * Finds, checks and loads tensors: one table says what each is called and which shape it has. */
#include "engine/model/weights.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "engine/kernels/types.h"
#include "engine/model/encoder.h"

/* What a dimension of a tensor is. */
enum dim {
    DIM_VECTOR, /* as rows: there are none, the tensor is a vector */
    DIM_EMBD,
    DIM_Q,    /* n_heads * head_k */
    DIM_K,    /* n_kv_heads * head_k */
    DIM_V,    /* n_kv_heads * head_v */
    DIM_ATTN, /* n_heads * head_v */
    DIM_HEAD_K,
    DIM_FF,
};

static const struct {
    const char *name;
    enum dim rows, cols;
} layer_tensors[LT_COUNT] = {
    [LT_ATTN_NORM] = {"attn_norm.weight", DIM_VECTOR, DIM_EMBD},
    [LT_ATTN_Q] = {"attn_q.weight", DIM_Q, DIM_EMBD},
    [LT_ATTN_Q_BIAS] = {"attn_q.bias", DIM_VECTOR, DIM_Q},
    [LT_ATTN_K] = {"attn_k.weight", DIM_K, DIM_EMBD},
    [LT_ATTN_K_BIAS] = {"attn_k.bias", DIM_VECTOR, DIM_K},
    [LT_ATTN_V] = {"attn_v.weight", DIM_V, DIM_EMBD},
    [LT_ATTN_V_BIAS] = {"attn_v.bias", DIM_VECTOR, DIM_V},
    [LT_ATTN_Q_NORM] = {"attn_q_norm.weight", DIM_VECTOR, DIM_HEAD_K},
    [LT_ATTN_K_NORM] = {"attn_k_norm.weight", DIM_VECTOR, DIM_HEAD_K},
    [LT_ATTN_OUT] = {"attn_output.weight", DIM_EMBD, DIM_ATTN},
    [LT_ATTN_OUT_BIAS] = {"attn_output.bias", DIM_VECTOR, DIM_EMBD},
    [LT_POST_ATTN_NORM] = {"post_attention_norm.weight", DIM_VECTOR, DIM_EMBD},
    [LT_FFN_NORM] = {"ffn_norm.weight", DIM_VECTOR, DIM_EMBD},
    [LT_FFN_GATE] = {"ffn_gate.weight", DIM_FF, DIM_EMBD},
    [LT_FFN_GATE_BIAS] = {"ffn_gate.bias", DIM_VECTOR, DIM_FF},
    [LT_FFN_UP] = {"ffn_up.weight", DIM_FF, DIM_EMBD},
    [LT_FFN_UP_BIAS] = {"ffn_up.bias", DIM_VECTOR, DIM_FF},
    [LT_FFN_DOWN] = {"ffn_down.weight", DIM_EMBD, DIM_FF},
    [LT_FFN_DOWN_BIAS] = {"ffn_down.bias", DIM_VECTOR, DIM_EMBD},
    [LT_POST_FFN_NORM] = {"post_ffw_norm.weight", DIM_VECTOR, DIM_EMBD},
};

void weight_name(uint32_t layer, enum layer_tensor tensor, char out[WEIGHT_NAME_MAX])
{
    snprintf(out, WEIGHT_NAME_MAX, "blk.%" PRIu32 ".%s", layer, layer_tensors[tensor].name);
}

static uint32_t dim_size(const struct descriptor *d, const struct layer_desc *l, enum dim dim)
{
    switch (dim) {
    case DIM_VECTOR:
        return 1;
    case DIM_EMBD:
        return d->n_embd;
    case DIM_Q:
        return l->n_heads * l->head_k;
    case DIM_K:
        return l->n_kv_heads * l->head_k;
    case DIM_V:
        return l->n_kv_heads * l->head_v;
    case DIM_ATTN:
        return l->n_heads * l->head_v;
    case DIM_HEAD_K:
        return l->head_k;
    case DIM_FF:
        return l->n_ff;
    }
    return 0;
}

/* ---- finding ---- */

static int want_layer(struct weights *w, const struct descriptor *d, uint32_t i, struct error *err)
{
    for (uint32_t k = 0; k < LT_COUNT; k++) {
        bool required = d->tensors_required >> k & 1;
        if (!required && !(d->tensors_optional >> k & 1))
            continue;
        char name[WEIGHT_NAME_MAX];
        weight_name(i, k, name);
        const struct tensor_want want = {
            .name = name,
            .slot = &w->layers[i].t[k],
            .rows = dim_size(d, &d->layers[i], layer_tensors[k].rows),
            .cols = dim_size(d, &d->layers[i], layer_tensors[k].cols),
            .vector = layer_tensors[k].rows == DIM_VECTOR,
            .required = required,
        };
        int r = tensor_set_want(&w->tensors, &want, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Factors that divide the frequencies of rotation: kept here, not on the backend. */
static int read_rope_factors(struct weights *w, const struct descriptor *d, struct error *err)
{
    const struct gguf_tensor *t = tensor_set_know(&w->tensors, "rope_freqs.weight");
    if (!t)
        return 0;
    uint32_t n = d->rope.dims / 2;
    if (t->type != WT_F32 || t->n_items != n)
        return error_set(err, ERR_CORRUPT,
                         "tensor 'rope_freqs.weight' has %" PRIu64
                         " values of type %s, but %" PRIu32 " of type F32 are needed",
                         t->n_items, weight_type_info(t->type)->name, n);
    w->rope_factors = xcalloc(n, sizeof(float));
    memcpy(w->rope_factors, t->data, n * sizeof(float));
    for (uint32_t i = 0; i < n; i++)
        if (!isfinite(w->rope_factors[i]) || w->rope_factors[i] <= 0)
            return error_set(err, ERR_CORRUPT,
                             "tensor 'rope_freqs.weight': value %" PRIu32 " is %g, not positive", i,
                             (double)w->rope_factors[i]);
    return 0;
}

/* Finds and checks all tensors. */
static int want_all(struct weights *w, const struct gguf *g, const struct descriptor *d,
                    struct error *err)
{
    const struct tensor_want global[] = {
        {"token_embd.weight", &w->token_embd, d->n_vocab, d->n_embd, .required = true},
        {"output_norm.weight", &w->output_norm, 1, d->n_embd, .vector = true, .required = true},
        {"output.weight", &w->output, d->n_vocab, d->n_embd},
    };
    w->n_layers = d->n_layers;
    w->layers = xcalloc(d->n_layers, sizeof(*w->layers));
    int r = tensor_set_init(&w->tensors, g, err);
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(global); i++)
        r = tensor_set_want(&w->tensors, &global[i], err);
    for (uint32_t i = 0; r == 0 && i < d->n_layers; i++)
        r = want_layer(w, d, i, err);
    if (r == 0)
        r = head_want(&w->head, &w->tensors, d, err);
    if (r == 0)
        r = read_rope_factors(w, d, err);
    if (r < 0)
        return r;
    char what[64];
    snprintf(what, sizeof(what), "a %s model of %" PRIu32 " layers", d->arch, d->n_layers);
    return tensor_set_complete(&w->tensors, what, err);
}

/* ---- loading ---- */

int weights_check(const struct gguf *g, const struct descriptor *d, struct error *err)
{
    if (d->encoder)
        return encoder_weights_check(g, d, err);
    CLEANUP(weights_release) struct weights w = {0};
    return want_all(&w, g, d, err);
}

int weights_load(struct weights *w, const struct gguf *g, const struct descriptor *d,
                 struct backend *b, struct error *err)
{
    *w = (struct weights){.backend = b};
    int r = want_all(w, g, d, err);
    return r < 0 ? r : tensor_set_load(&w->tensors, b, err);
}

void weights_release(struct weights *w)
{
    struct weight *global[] = {w->token_embd, w->output_norm, w->output};
    for (size_t i = 0; i < ARRAY_LEN(global); i++)
        if (global[i])
            w->backend->ops->weight_free(w->backend, global[i]);
    for (uint32_t i = 0; w->layers && i < w->n_layers; i++)
        for (size_t k = 0; k < LT_COUNT; k++)
            if (w->layers[i].t[k])
                w->backend->ops->weight_free(w->backend, w->layers[i].t[k]);
    head_release(&w->head, w->backend);
    tensor_set_release(&w->tensors);
    free(w->layers);
    free(w->rope_factors);
    *w = (struct weights){0};
}
