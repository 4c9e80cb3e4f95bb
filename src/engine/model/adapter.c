/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading an adapter: every tensor of the file must find its place before the first is used. */
#include "engine/model/adapter.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/compiler.h"

#define SUFFIX_A ".lora_a"
#define SUFFIX_B ".lora_b"

struct adapter {
    struct gguf *gguf;
    struct backend *backend;
    struct weight **weights;
    size_t n_weights;
};

void adapter_free(struct adapter *a)
{
    if (!a)
        return;
    for (size_t i = 0; i < a->n_weights; i++)
        a->backend->ops->weight_free(a->backend, a->weights[i]);
    free(a->weights);
    gguf_free(a->gguf);
    free(a);
}

DEFINE_CLEANUP(adapter, struct adapter, adapter_free);

struct loader {
    struct adapter *adapter;
    const struct adapter_target *target;
    uint32_t index;
    double alpha; /* 0 = the rank */
};

/* ---- the header ---- */

static int check_header(const struct gguf *g, const struct descriptor *d, double *ret_alpha,
                        struct error *err)
{
    struct str type = STR(""), kind = STR(""), arch = STR("");
    int r = gguf_want_str(g, "general.type", &type, err);
    if (r == 0)
        r = gguf_want_str(g, "adapter.type", &kind, err);
    if (r == 0)
        r = gguf_want_str(g, "general.architecture", &arch, err);
    if (r == 0)
        r = gguf_want_f64(g, "adapter.lora.alpha", ret_alpha, err);
    if (r < 0)
        return r;
    if (!str_eq_c(type, "adapter") || !str_eq_c(kind, "lora"))
        return error_set(err, ERR_INVALID,
                         "it is no LoRA adapter (general.type '%.*s', "
                         "adapter.type '%.*s')",
                         STR_ARG(type), STR_ARG(kind));
    if (!str_eq_c(arch, d->arch))
        return error_set(err, ERR_INVALID, "it is for models of architecture '%.*s', this is '%s'",
                         STR_ARG(arch), d->arch);
    if (!isfinite(*ret_alpha) || fabs(*ret_alpha) > 1e6)
        return error_set(err, ERR_CORRUPT, "adapter.lora.alpha is %g", *ret_alpha);
    if (gguf_has(g, "adapter.alora.invocation_tokens"))
        return error_set(err, ERR_UNSUPPORTED,
                         "it is an activated adapter (aLoRA), which is not supported");
    return 0;
}

/* ---- the pairs ---- */

/* Is the weight multiplied with, and nothing else done to it? */
static bool is_multiplied(const struct plan *plan, const struct weight *w)
{
    bool found = false;
    for (size_t i = 0; i < plan->n_ops; i++) {
        const struct op *op = &plan->ops[i];
        if (op->w == w && op->kind != OP_MATMUL)
            return false;
        found |= op->w == w;
    }
    return found;
}

static int load_weight(struct loader *l, const struct gguf_tensor *t, uint64_t first, uint64_t rows,
                       struct weight **ret, struct error *err)
{
    char name[GGUF_MAX_NAME + 1];
    uint64_t row_bytes = 0;
    bool keeps_data;
    struct adapter *a = l->adapter;
    snprintf(name, sizeof(name), "%.*s", (int)t->name.len, t->name.ptr);
    weight_row_bytes(t->type, (uint32_t)t->dims[0], &row_bytes);
    struct weight_desc desc = {
        .name = name,
        .type = (enum weight_type)t->type,
        .rows = (uint32_t)rows,
        .cols = (uint32_t)t->dims[0],
        .data = (const char *)t->data + first * row_bytes,
    };
    int r = a->backend->ops->weight_load(a->backend, &desc, ret, &keeps_data, err);
    if (r < 0)
        return r;
    a->weights = xrealloc(a->weights, a->n_weights + 1, sizeof(struct weight *));
    a->weights[a->n_weights++] = *ret;
    return 0;
}

static int check_shapes(const struct gguf_tensor *a, const struct gguf_tensor *b,
                        const struct gguf_tensor *of, struct error *err)
{
    if (a->n_items == a->dims[0] * a->dims[1] && b->n_items == b->dims[0] * b->dims[1] &&
        a->dims[0] == of->dims[0] && b->dims[1] == of->dims[1] && a->dims[1] == b->dims[0] &&
        a->dims[1] <= ADAPTER_MAX_RANK)
        return 0;
    return error_set(err, ERR_INVALID,
                     "tensor '%.*s' has %" PRIu64 " × %" PRIu64 " and its A and B %" PRIu64
                     " × %" PRIu64 " and %" PRIu64 " × %" PRIu64
                     ", which do not fit; is it for another model?",
                     STR_ARG(of->name), of->dims[1], of->dims[0], a->dims[1], a->dims[0],
                     b->dims[1], b->dims[0]);
}

/* A pair for all weights that are made of tensor `base`: one, or parts of its rows. */
static int adapt(struct loader *l, struct str base, const struct gguf_tensor *a,
                 const struct gguf_tensor *b, struct error *err)
{
    const struct adapter_target *target = l->target;
    struct weight *wa = NULL, *wb;
    bool found = false;
    for (size_t i = 0; i < target->tensors->n_entries; i++) {
        const struct tensor_entry *e = &target->tensors->entries[i];
        if (!str_eq(e->tensor->name, base))
            continue;
        if (e->want.flat || e->want.transposed || !is_multiplied(target->plan, e->weight)) {
            found = false;
            break;
        }
        int r = found ? 0 : check_shapes(a, b, e->tensor, err);
        if (r == 0 && !wa)
            r = load_weight(l, a, 0, a->dims[1], &wa, err);
        if (r == 0)
            r = load_weight(l, b, e->want.first_row, e->want.rows, &wb, err);
        if (r == 0)
            r = target->backend->ops->weight_adapt(
                target->backend, e->weight, l->index, wa, wb,
                l->alpha != 0 ? (float)(l->alpha / (double)a->dims[1]) : 1, err);
        if (r < 0)
            return r;
        found = true;
    }
    if (!found)
        return error_set(err, ERR_UNSUPPORTED,
                         "it changes tensor '%.*s', which this model does not have, or not as a "
                         "matrix that adapters can change",
                         STR_ARG(base));
    return 0;
}

/* The other tensor of a pair. */
static const struct gguf_tensor *partner(const struct gguf *g, struct str base, const char *suffix)
{
    char name[GGUF_MAX_NAME + 1];
    int n = snprintf(name, sizeof(name), "%.*s%s", (int)base.len, base.ptr, suffix);
    return n < (int)sizeof(name) ? gguf_tensor_find(g, str_from(name)) : NULL;
}

static int load_tensor(struct loader *l, const struct gguf_tensor *t, struct error *err)
{
    bool is_a = str_ends_with(t->name, STR(SUFFIX_A)), is_b = str_ends_with(t->name, STR(SUFFIX_B));
    if (!is_a && !is_b)
        return error_set(err, ERR_UNSUPPORTED, "tensor '%.*s' is no part of a LoRA adapter",
                         STR_ARG(t->name));
    struct str base = str_sub(t->name, 0, t->name.len - strlen(SUFFIX_A));
    const struct gguf_tensor *other = partner(l->adapter->gguf, base, is_a ? SUFFIX_B : SUFFIX_A);
    if (!other)
        return error_set(err, ERR_CORRUPT, "tensor '%.*s' has no partner", STR_ARG(t->name));
    return is_a ? adapt(l, base, t, other, err) : 0;
}

int adapter_load(const char *path, const struct adapter_target *target, uint32_t index,
                 struct adapter **ret, struct error *err)
{
    CLEANUP(cleanup_adapter) struct adapter *a = xcalloc(1, sizeof(*a));
    struct loader l = {a, target, index, 0};
    a->backend = target->backend;
    int r = gguf_open(path, 0, &a->gguf, err);
    if (r == 0)
        r = check_header(a->gguf, target->desc, &l.alpha, err);
    for (size_t i = 0; r == 0 && i < gguf_n_tensors(a->gguf); i++)
        r = load_tensor(&l, gguf_tensor_at(a->gguf, i), err);
    if (r == 0 && a->n_weights == 0)
        r = error_set(err, ERR_CORRUPT, "it changes nothing");
    if (r < 0)
        return error_wrap(err, "adapter '%s'", path);
    *ret = TAKE(a);
    return 0;
}
