/* SPDX-License-Identifier: Apache-2.0
 *
 * Finding, checking and loading tensors. */
#include "engine/model/tensor_set.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "engine/kernels/f16.h"
#include "engine/kernels/types.h"

int tensor_set_init(struct tensor_set *s, const struct gguf *g, struct error *err)
{
    size_t n = gguf_n_tensors(g);
    *s = (struct tensor_set){.g = g};
    s->used = alloc_array_zero(n + 1, sizeof(*s->used));
    if (!s->used)
        return error_set(err, ERR_NOMEM, "out of memory for %zu tensors", n);
    return 0;
}

void tensor_set_release(struct tensor_set *s)
{
    for (size_t i = 0; s->backend && i < s->n_entries; i++)
        if (s->entries[i].weight)
            s->backend->ops->weight_free(s->backend, s->entries[i].weight);
    for (size_t i = 0; i < s->n_copies; i++)
        free(s->copies[i]);
    free(s->copies);
    free(s->entries);
    free(s->used);
    *s = (struct tensor_set){0};
}

/* ---- checking ---- */

static void dims_text(const struct gguf_tensor *t, char out[96])
{
    size_t n = 0;
    for (uint32_t i = 0; i < t->n_dims; i++)
        n += (size_t)snprintf(out + n, 96 - n, "%s%" PRIu64, i > 0 ? " x " : "", t->dims[i]);
}

static bool has_shape(const struct gguf_tensor *t, const struct tensor_want *w)
{
    uint64_t cols = w->transposed ? w->rows : w->cols, rows = w->transposed ? w->cols : w->rows;
    uint64_t all = w->of_rows > 0 ? w->of_rows : rows;
    if (w->stacked > 0)
        return t->dims[0] == cols && t->dims[1] == all / w->stacked && t->dims[2] == w->stacked &&
               t->dims[3] == 1;
    if (w->of_cols > 0)
        return t->dims[0] == w->of_cols && t->n_items == w->of_cols;
    if (w->of_rows > 0)
        return t->dims[0] == w->cols && t->dims[1] == w->of_rows && t->dims[2] == 1 &&
               t->dims[3] == 1;
    if (w->flat && w->vector)
        return t->dims[0] * t->dims[1] == cols && t->n_items == cols;
    if (w->flat)
        return t->dims[t->n_dims - 1] == rows && t->n_items == (uint64_t)rows * cols;
    return t->dims[0] == cols && t->dims[1] == rows && t->dims[2] == 1 && t->dims[3] == 1;
}

static int check_shape(const struct gguf_tensor *t, const struct tensor_want *w, struct error *err)
{
    if (has_shape(t, w))
        return 0;
    char found[96];
    dims_text(t, found);
    if (w->stacked > 0)
        return error_set(err, ERR_CORRUPT,
                         "tensor '%.*s' is %s, but %" PRIu32 " x %" PRIu32 " x %" PRIu32
                         " (columns x rows x matrices) is needed",
                         STR_ARG(t->name), found, w->cols,
                         (w->of_rows > 0 ? w->of_rows : w->rows) / w->stacked, w->stacked);
    if (w->vector && w->of_rows == 0)
        return error_set(err, ERR_CORRUPT, "tensor '%.*s' is %s, but %" PRIu32 " values are needed",
                         STR_ARG(t->name), found, w->of_cols > 0 ? w->of_cols : w->cols);
    return error_set(err, ERR_CORRUPT,
                     "tensor '%.*s' is %s, but %" PRIu32 " x %" PRIu32
                     " (columns x rows) is needed",
                     STR_ARG(t->name), found, w->transposed ? w->rows : w->cols,
                     w->of_rows > 0  ? w->of_rows
                     : w->transposed ? w->cols
                                     : w->rows);
}

static int check_type(const struct gguf_tensor *t, const struct tensor_want *w, struct error *err)
{
    const struct weight_type_info *info = weight_type_info(t->type);
    bool plain = w->vector || w->transposed || w->plain;
    bool good = plain ? t->type == WT_F32 || t->type == WT_F16 || t->type == WT_BF16
                      : info && info->can_compute;
    uint64_t bytes;
    if (good && !plain && w->flat && !weight_row_bytes(t->type, w->cols, &bytes))
        good = false;
    if (good)
        return 0;
    return error_set(err, ERR_UNSUPPORTED, "tensor '%.*s' is of type %s, which is not supported%s",
                     STR_ARG(t->name), info ? info->name : "unknown",
                     w->vector ? " for norms and biases"
                     : plain   ? " there"
                               : "");
}

/* X.scale of X.weight; embeddings are looked up, too, and have none. */
static const struct gguf_tensor *find_scales(struct tensor_set *s, const struct tensor_want *want)
{
    struct str name = str_from(want->name);
    if (want->vector || want->plain || want->transposed || !str_ends_with(name, STR(".weight")) ||
        str_starts_with(name, STR("token_embd")))
        return NULL;
    char text[GGUF_MAX_NAME + 1];
    int stem = (int)(name.len - strlen("weight"));
    snprintf(text, sizeof(text), "%.*sscale", stem, name.ptr);
    const struct gguf_tensor *t = gguf_tensor_find(s->g, str_from(text));
    if (!t || t->type != WT_F32 || (t->n_items != 1 && t->n_items != want->stacked))
        return NULL; /* something else of this name, which is asked for or not known */
    tensor_set_know(s, text);
    snprintf(text, sizeof(text), "%.*sinput_scale", stem, name.ptr);
    tensor_set_know(s, text);
    return t;
}

int tensor_set_want(struct tensor_set *s, const struct tensor_want *want, struct error *err)
{
    const struct gguf_tensor *t = tensor_set_know(s, want->name);
    if (!t && want->required)
        return error_set(err, ERR_CORRUPT, "tensor '%s' is missing", want->name);
    if (!t)
        return 0;
    if (s->n_entries == s->cap_entries) {
        s->cap_entries = 2 * s->cap_entries + 64;
        s->entries = xrealloc(s->entries, s->cap_entries, sizeof(*s->entries));
    }
    struct tensor_entry *e = &s->entries[s->n_entries++];
    *e = (struct tensor_entry){.want = *want, .tensor = t, .scales = find_scales(s, want)};
    if (want->vector)
        e->want.rows = 1;
    int r = check_shape(t, &e->want, err);
    return r < 0 ? r : check_type(t, &e->want, err);
}

const struct gguf_tensor *tensor_set_know(struct tensor_set *s, const char *name)
{
    const struct gguf_tensor *t = gguf_tensor_find(s->g, str_from(name));
    if (t)
        s->used[t - gguf_tensor_at(s->g, 0)] = true;
    return t;
}

void tensor_set_know_prefix(struct tensor_set *s, const char *prefix)
{
    for (size_t i = 0; i < gguf_n_tensors(s->g); i++)
        s->used[i] |= str_starts_with(gguf_tensor_at(s->g, i)->name, str_from(prefix));
}

int tensor_set_complete(const struct tensor_set *s, const char *what, struct error *err)
{
    for (size_t i = 0; i < gguf_n_tensors(s->g); i++)
        if (!s->used[i])
            return error_set(err, ERR_UNSUPPORTED,
                             "tensor '%.*s' is not part of %s as this engine knows it",
                             STR_ARG(gguf_tensor_at(s->g, i)->name), what);
    return 0;
}

/* ---- loading ---- */

static float plain_value(const struct gguf_tensor *t, uint64_t i)
{
    if (t->type == WT_F32) {
        float f;
        memcpy(&f, (const char *)t->data + i * sizeof(f), sizeof(f));
        return f;
    }
    uint16_t h;
    memcpy(&h, (const char *)t->data + i * sizeof(h), sizeof(h));
    return t->type == WT_F16 ? f16_to_f32(h) : bf16_to_f32(h);
}

/* The tensor as f32, transposed if that is wanted; kept by the set. NULL = out of memory. */
static const float *copy_as_f32(struct tensor_set *s, const struct tensor_entry *e)
{
    uint64_t rows = e->want.rows, cols = e->want.cols,
             first = (uint64_t)e->want.first_row * cols + e->want.first_col;
    float *out = alloc_array((size_t)(rows * cols), sizeof(*out));
    if (!out)
        return NULL;
    s->copies = xrealloc(s->copies, s->n_copies + 1, sizeof(*s->copies));
    s->copies[s->n_copies++] = out;
    for (uint64_t r = 0; r < rows; r++)
        for (uint64_t c = 0; c < cols; c++)
            out[r * cols + c] =
                plain_value(e->tensor, e->want.transposed ? c * rows + r : first + r * cols + c);
    return out;
}

static int load_entry(struct tensor_set *s, struct tensor_entry *e, struct error *err)
{
    const struct gguf_tensor *t = e->tensor;
    char name[GGUF_MAX_NAME + 1];
    snprintf(name, sizeof(name), "%.*s", (int)t->name.len, t->name.ptr);
    struct weight_desc desc = {
        .name = name,
        .type = (enum weight_type)t->type,
        .rows = e->want.rows,
        .cols = e->want.cols,
        .data = t->data,
    };
    if (e->scales) {
        desc.scales = e->scales->data;
        desc.n_scales = (uint32_t)e->scales->n_items;
    }
    uint64_t row_bytes;
    if (e->want.first_row > 0 && weight_row_bytes(t->type, e->want.cols, &row_bytes))
        desc.data = (const char *)t->data + e->want.first_row * row_bytes;
    bool part = e->want.first_col > 0, plain = e->want.vector || e->want.plain;
    bool copied = e->want.transposed || (plain && (part || t->type != WT_F32));
    bool keeps_data = false;
    if (copied) {
        desc.type = WT_F32;
        desc.data = copy_as_f32(s, e);
        if (!desc.data)
            return error_set(err, ERR_NOMEM, "out of memory for tensor '%s'", name);
    }
    int r = s->backend->ops->weight_load(s->backend, &desc, &e->weight, &keeps_data, err);
    if (r < 0)
        return r;
    *e->want.slot = e->weight;
    s->bytes += e->want.first_row == 0 && !part ? t->bytes : 0;
    if (copied || !keeps_data)
        gguf_tensor_unneeded(s->g, t);
    return 0;
}

int tensor_set_load(struct tensor_set *s, struct backend *b, struct error *err)
{
    s->backend = b;
    for (size_t i = 0; i < s->n_entries; i++) {
        int r = load_entry(s, &s->entries[i], err);
        if (r < 0)
            return r;
    }
    return 0;
}
