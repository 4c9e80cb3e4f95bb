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
#include "engine/kernels/f16.h"
#include "engine/kernels/types.h"

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

/* A tensor that was found and has the right shape, and where its weight goes. */
struct entry {
    const struct gguf_tensor *tensor;
    struct weight **slot;
    uint32_t rows, cols;
    bool vector;
};

struct loader {
    const struct gguf *g;
    const struct descriptor *d;
    struct entry *entries; /* [n_tensors of the file] */
    size_t n_entries;
    bool *used; /* [n_tensors] */
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

/* ---- checking ---- */

static void dims_text(const struct gguf_tensor *t, char out[96])
{
    size_t n = 0;
    for (uint32_t i = 0; i < t->n_dims; i++)
        n += (size_t)snprintf(out + n, 96 - n, "%s%" PRIu64, i > 0 ? " x " : "", t->dims[i]);
}

static int check_shape(const struct entry *e, struct error *err)
{
    const struct gguf_tensor *t = e->tensor;
    if (t->dims[0] == e->cols && t->dims[1] == e->rows && t->dims[2] == 1 && t->dims[3] == 1)
        return 0;
    char found[96];
    dims_text(t, found);
    if (e->vector)
        return error_set(err, ERR_CORRUPT, "tensor '%.*s' is %s, but %" PRIu32 " values are needed",
                         (int)t->name.len, t->name.ptr, found, e->cols);
    return error_set(err, ERR_CORRUPT,
                     "tensor '%.*s' is %s, but %" PRIu32 " x %" PRIu32
                     " (columns x rows) is needed",
                     (int)t->name.len, t->name.ptr, found, e->cols, e->rows);
}

static int check_type(const struct entry *e, struct error *err)
{
    const struct gguf_tensor *t = e->tensor;
    const struct weight_type_info *info = weight_type_info(t->type);
    bool good = e->vector ? t->type == WT_F32 || t->type == WT_F16 || t->type == WT_BF16
                          : info && info->can_compute;
    if (good)
        return 0;
    return error_set(err, ERR_UNSUPPORTED, "tensor '%.*s' is of type %s, which is not supported%s",
                     (int)t->name.len, t->name.ptr, info ? info->name : "unknown",
                     e->vector ? " for norms and biases" : "");
}

/* Takes the tensor `name` into the list. An absent one is an error only if it is `required`. */
static int want(struct loader *ld, const char *name, bool required, bool vector, uint32_t rows,
                uint32_t cols, struct weight **slot, struct error *err)
{
    const struct gguf_tensor *t = gguf_tensor_find(ld->g, str_from(name));
    if (!t && required)
        return error_set(err, ERR_CORRUPT, "tensor '%s' is missing", name);
    if (!t)
        return 0;
    struct entry *e = &ld->entries[ld->n_entries++];
    *e = (struct entry){.tensor = t, .slot = slot, .rows = rows, .cols = cols, .vector = vector};
    ld->used[t - gguf_tensor_at(ld->g, 0)] = true;
    int r = check_shape(e, err);
    return r < 0 ? r : check_type(e, err);
}

static int want_layer(struct loader *ld, uint32_t i, struct layer_weights *lw, struct error *err)
{
    const struct descriptor *d = ld->d;
    for (uint32_t k = 0; k < LT_COUNT; k++) {
        bool required = d->tensors_required >> k & 1;
        if (!required && !(d->tensors_optional >> k & 1))
            continue;
        char name[WEIGHT_NAME_MAX];
        weight_name(i, k, name);
        int r = want(ld, name, required, layer_tensors[k].rows == DIM_VECTOR,
                     dim_size(d, &d->layers[i], layer_tensors[k].rows),
                     dim_size(d, &d->layers[i], layer_tensors[k].cols), &lw->t[k], err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Factors that divide the frequencies of rotation: kept here, not on the backend. */
static int read_rope_factors(struct loader *ld, struct weights *w, struct error *err)
{
    const struct gguf_tensor *t = gguf_tensor_find(ld->g, STR("rope_freqs.weight"));
    if (!t)
        return 0;
    ld->used[t - gguf_tensor_at(ld->g, 0)] = true;
    uint32_t n = ld->d->rope.dims / 2;
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

static int want_all(struct loader *ld, struct weights *w, struct error *err)
{
    const struct descriptor *d = ld->d;
    int r = want(ld, "token_embd.weight", true, false, d->n_vocab, d->n_embd, &w->token_embd, err);
    if (r == 0)
        r = want(ld, "output_norm.weight", true, true, 1, d->n_embd, &w->output_norm, err);
    if (r == 0)
        r = want(ld, "output.weight", false, false, d->n_vocab, d->n_embd, &w->output, err);
    for (uint32_t i = 0; r == 0 && i < d->n_layers; i++)
        r = want_layer(ld, i, &w->layers[i], err);
    if (r == 0)
        r = read_rope_factors(ld, w, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < gguf_n_tensors(ld->g); i++) {
        if (ld->used[i])
            continue;
        const struct gguf_tensor *t = gguf_tensor_at(ld->g, i);
        return error_set(err, ERR_UNSUPPORTED,
                         "tensor '%.*s' is not part of a %s model of %" PRIu32
                         " layers as this engine knows it",
                         (int)t->name.len, t->name.ptr, d->arch, d->n_layers);
    }
    return 0;
}

/* ---- loading ---- */

static const float *vector_as_f32(struct weights *w, const struct gguf_tensor *t)
{
    if (t->type == WT_F32)
        return t->data;
    float *out = xcalloc(t->n_items, sizeof(float));
    w->converted[w->n_converted++] = out;
    for (uint64_t i = 0; i < t->n_items; i++) {
        uint16_t h;
        memcpy(&h, (const char *)t->data + i * sizeof(h), sizeof(h));
        out[i] = t->type == WT_F16 ? f16_to_f32(h) : bf16_to_f32(h);
    }
    return out;
}

static int load_entry(struct weights *w, const struct gguf *g, const struct entry *e,
                      struct error *err)
{
    const struct gguf_tensor *t = e->tensor;
    char name[WEIGHT_NAME_MAX + 1];
    snprintf(name, sizeof(name), "%.*s", (int)t->name.len, t->name.ptr);
    struct weight_desc desc = {
        .name = name,
        .type = e->vector ? WT_F32 : (enum weight_type)t->type,
        .rows = e->rows,
        .cols = e->cols,
        .data = e->vector ? (const void *)vector_as_f32(w, t) : t->data,
    };
    bool keeps_data = false;
    int r = w->backend->ops->weight_load(w->backend, &desc, e->slot, &keeps_data, err);
    if (r < 0)
        return r;
    w->bytes += t->bytes;
    if (!keeps_data)
        gguf_tensor_unneeded(g, t);
    return 0;
}

/* Finds and checks all tensors; *ret_entries is the caller's. */
static int prepare(struct weights *w, const struct gguf *g, const struct descriptor *d,
                   struct entry **ret_entries, size_t *ret_n, struct error *err)
{
    w->n_layers = d->n_layers;
    w->layers = xcalloc(d->n_layers, sizeof(*w->layers));
    size_t n = gguf_n_tensors(g);
    CLEANUP_FREE struct entry *entries = alloc_array_zero(n + 1, sizeof(*entries));
    CLEANUP_FREE bool *used = alloc_array_zero(n + 1, sizeof(*used));
    w->converted = alloc_array_zero(n + 1, sizeof(*w->converted));
    if (!entries || !used || !w->converted)
        return error_set(err, ERR_NOMEM, "out of memory for %zu tensors", n);
    struct loader ld = {.g = g, .d = d, .entries = entries, .used = used};
    int r = want_all(&ld, w, err);
    if (r < 0)
        return r;
    *ret_entries = TAKE(entries);
    *ret_n = ld.n_entries;
    return 0;
}

int weights_check(const struct gguf *g, const struct descriptor *d, struct error *err)
{
    CLEANUP(weights_release) struct weights w = {0};
    CLEANUP_FREE struct entry *entries = NULL;
    size_t n;
    return prepare(&w, g, d, &entries, &n, err);
}

int weights_load(struct weights *w, const struct gguf *g, const struct descriptor *d,
                 struct backend *b, struct error *err)
{
    *w = (struct weights){.backend = b};
    CLEANUP_FREE struct entry *entries = NULL;
    size_t n = 0;
    int r = prepare(w, g, d, &entries, &n, err);
    for (size_t i = 0; r == 0 && i < n; i++)
        r = load_entry(w, g, &entries[i], err);
    return r;
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
    for (size_t i = 0; i < w->n_converted; i++)
        free(w->converted[i]);
    free(w->converted);
    free(w->layers);
    free(w->rope_factors);
    *w = (struct weights){0};
}
