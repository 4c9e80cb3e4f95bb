/* SPDX-License-Identifier: Apache-2.0
 *
 * Names, shapes, and the reading of rows.
 *
 * Rotated pairs: HF rotates number i of a head with number i + head/2; GGUF's llama files have the
 * rows in an order in which the two are neighbours. */
#include "engine/import/weight_list.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/compiler.h"
#include "engine/kernels/f16.h"
#include "engine/kernels/types.h"

void weight_list_release(struct weight_list *l)
{
    for (size_t i = 0; i < l->n; i++) {
        free(l->items[i].parts);
        free(l->items[i].values);
    }
    free(l->items);
    *l = (struct weight_list){0};
}

/* ---- reading ---- */

static bool find_type(struct str dtype, uint32_t *ret)
{
    static const struct {
        const char *name;
        uint32_t type;
    } types[] = {{"F32", WT_F32}, {"F16", WT_F16}, {"BF16", WT_BF16}};
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (str_eq_c(dtype, types[i].name)) {
            *ret = types[i].type;
            return true;
        }
    return false;
}

/* n numbers from item `at` on; the file need not be aligned. */
static void read_items(const struct safetensors_tensor *t, uint32_t type, uint64_t at, size_t n,
                       float *dst)
{
    const unsigned char *p = t->data;
    if (type == WT_F32) {
        memcpy(dst, p + 4 * at, n * sizeof(*dst));
        return;
    }
    for (size_t i = 0; i < n; i++) {
        uint16_t h;
        memcpy(&h, p + 2 * (at + i), sizeof(h));
        dst[i] = type == WT_BF16 ? bf16_to_f32(h) : f16_to_f32(h);
    }
}

/* Where row `row` of the file stands in the directory. */
static uint64_t source_row(const struct weight *w, uint64_t row)
{
    uint64_t head = w->permuted_head;
    if (head == 0)
        return row;
    uint64_t in_head = row % head;
    return row - in_head + in_head % 2 * (head / 2) + in_head / 2;
}

void weight_read_row(const struct weight *w, uint64_t row, float *dst)
{
    const struct gguf_tensor *t = &w->tensor;
    size_t cols = (size_t)t->dims[0];
    if (!w->parts) {
        memcpy(dst, w->values + row * cols, cols * sizeof(*dst));
        return;
    }
    if (t->n_dims == 1) {
        for (size_t i = 0; i < cols; i++)
            read_items(w->parts[0], t->type, source_row(w, i), 1, &dst[i]);
    } else {
        const struct safetensors_tensor *part = w->parts[row / t->dims[1]];
        read_items(part, t->type, source_row(w, row % t->dims[1]) * cols, cols, dst);
    }
    for (size_t i = 0; w->plus != 0 && i < cols; i++)
        dst[i] += w->plus;
}

/* ---- listing ---- */

struct lister {
    struct hf_dir *d;
    const struct hf_config *c;
    struct weight_list *list;
};

static struct weight *new_weight(struct lister *l, const char *gguf, size_t n_parts)
{
    struct weight_list *list = l->list;
    if ((list->n & (list->n + 1)) == 0)
        list->items = xrealloc(list->items, 2 * list->n + 1, sizeof(*list->items));
    struct weight *w = &list->items[list->n++];
    *w = (struct weight){.n_parts = n_parts};
    snprintf(w->name, sizeof(w->name), "%s", gguf);
    if (n_parts > 0)
        w->parts = xcalloc(n_parts, sizeof(*w->parts));
    return w;
}

/* Takes a part that must have these rows and columns; rows 0 = a vector. */
static int take_part(struct lister *l, struct weight *w, size_t at, const char *hf, uint64_t rows,
                     uint64_t cols, struct error *err)
{
    const struct safetensors_tensor *t = hf_dir_take(l->d, hf);
    uint32_t type = 0;
    if (!t)
        return error_set(err, ERR_CORRUPT, "'%s': tensor '%s' is missing", l->d->path, hf);
    if (!find_type(t->dtype, &type))
        return error_set(err, ERR_UNSUPPORTED,
                         "tensor '%s' has the type %.*s; F32, F16 and BF16 can be imported", hf,
                         STR_ARG(t->dtype));
    bool fits = rows == 0 ? t->n_dims == 1 && t->dims[0] == cols
                          : t->n_dims == 2 && t->dims[0] == rows && t->dims[1] == cols;
    if (!fits)
        return error_set(err, ERR_CORRUPT,
                         "tensor '%s' has %" PRIu32 " dimensions, %" PRIu64 " × %" PRIu64
                         ", but config.json says %" PRIu64 " × %" PRIu64,
                         hf, t->n_dims, t->n_dims > 0 ? t->dims[0] : 1,
                         t->n_dims > 1 ? t->dims[1] : 1, rows == 0 ? cols : rows,
                         rows == 0 ? 1 : cols);
    if (at > 0 && type != w->tensor.type)
        return error_set(err, ERR_UNSUPPORTED, "tensor '%s' has another type than its siblings",
                         hf);
    w->parts[at] = t;
    w->tensor.type = type;
    return 0;
}

/* `type` is known by now. */
static void shape(struct weight *w, uint64_t rows, uint64_t cols, size_t n_matrices)
{
    struct gguf_tensor *t = &w->tensor;
    t->n_dims = rows == 0 ? 1 : n_matrices > 1 ? 3 : 2;
    t->dims[0] = cols;
    t->dims[1] = rows == 0 ? 1 : rows;
    t->dims[2] = n_matrices;
    t->dims[3] = 1;
    t->n_items = t->dims[0] * t->dims[1] * t->dims[2];
}

static int take_plain(struct lister *l, const char *hf, const char *gguf, uint64_t rows,
                      uint64_t cols, struct weight **ret, struct error *err)
{
    struct weight *w = new_weight(l, gguf, 1);
    int r = take_part(l, w, 0, hf, rows, cols, err);
    if (r == 0)
        shape(w, rows, cols, 1);
    *ret = w;
    return r;
}

/* "a.#.b" with a number. */
static void number_name(char *out, size_t size, const char *prefix, const char *name, size_t number)
{
    const char *mark = strchr(name, '#');
    if (mark)
        snprintf(out, size, "%s%.*s%zu%s", prefix, (int)(mark - name), name, number, mark + 1);
    else
        snprintf(out, size, "%s%s", prefix, name);
}

static int take_layer_tensor(struct lister *l, int64_t layer, const struct tensor_name *n,
                             struct error *err)
{
    const struct hf_config *c = l->c;
    char prefix[64], hf[256], gguf[GGUF_MAX_NAME + 1];
    uint64_t rows = n->rows == S_NONE ? 0 : size_of(&c->sizes, n->rows);
    uint64_t cols = size_of(&c->sizes, n->cols);
    size_t n_parts = (n->flags & TENSOR_EXPERTS) ? (size_t)c->n_experts : 1;
    snprintf(prefix, sizeof(prefix), "model.layers.%" PRId64 ".", layer);
    snprintf(gguf, sizeof(gguf), "blk.%" PRId64 ".%s", layer, n->gguf);
    number_name(hf, sizeof(hf), prefix, n->hf, 0);
    if ((n->flags & TENSOR_OPTIONAL) && !hf_dir_take(l->d, hf))
        return 0;
    struct weight *w = new_weight(l, gguf, n_parts);
    for (size_t i = 0; i < n_parts; i++) {
        number_name(hf, sizeof(hf), prefix, n->hf, i);
        int r = take_part(l, w, i, hf, rows, cols, err);
        if (r < 0)
            return r;
    }
    shape(w, rows, cols, n_parts);
    if (n->flags & TENSOR_EXPERTS)
        w->tensor.n_dims = 3;
    if ((c->family->flags & FAMILY_PERMUTED) && (n->flags & (TENSOR_Q | TENSOR_K)))
        w->permuted_head = (uint32_t)c->sizes.head;
    if ((c->family->flags & FAMILY_NORM_PLUS_ONE) && (n->flags & TENSOR_NORM))
        w->plus = 1;
    return 0;
}

static int take_ends(struct lister *l, struct error *err)
{
    const struct hf_config *c = l->c;
    uint64_t n_vocab = (uint64_t)c->n_vocab, embd = c->sizes.embd;
    struct weight *w;
    int r = take_plain(l, "model.embed_tokens.weight", "token_embd.weight", n_vocab, embd, &w, err);
    if (r == 0)
        r = take_plain(l, "model.norm.weight", "output_norm.weight", 0, embd, &w, err);
    if (r < 0)
        return r;
    if (c->family->flags & FAMILY_NORM_PLUS_ONE)
        w->plus = 1;
    bool has_output = hf_dir_take(l->d, "lm_head.weight") != NULL;
    if (c->ties || (!has_output && !c->unties))
        return 0;
    return take_plain(l, "lm_head.weight", "output.weight", n_vocab, embd, &w, err);
}

static int take_factors(struct lister *l, struct error *err)
{
    struct rope_factors factors[2] = {0};
    size_t n = 0;
    int r = hf_config_rope_factors(l->c, factors, &n, err);
    for (size_t i = 0; i < ARRAY_LEN(factors); i++) {
        if (i >= n || r < 0) {
            free(factors[i].values);
            continue;
        }
        struct weight *w = new_weight(l, factors[i].gguf, 0);
        w->values = factors[i].values;
        w->tensor.type = WT_F32;
        shape(w, 0, (uint64_t)l->c->rope_dims / 2, 1);
    }
    return r;
}

/* Numbers that older files keep though they follow from the config. */
static bool is_idle(struct str name)
{
    return str_ends_with(name, STR(".rotary_emb.inv_freq"));
}

int weight_list_make(struct hf_dir *d, const struct hf_config *c, struct weight_list *ret,
                     struct error *err)
{
    struct lister l = {d, c, ret};
    int r = take_ends(&l, err);
    if (r == 0)
        r = take_factors(&l, err);
    for (int64_t i = 0; r == 0 && i < c->n_layers; i++)
        for (const struct tensor_name *const *list = c->family->tensors; r == 0 && *list; list++)
            for (const struct tensor_name *n = *list; r == 0 && n->hf; n++)
                r = take_layer_tensor(&l, i, n, err);
    for (size_t i = 0; r == 0 && i < d->n_tensors; i++)
        if (!d->taken[i] && !is_idle(d->tensors[i]->name))
            r = error_set(err, ERR_UNSUPPORTED,
                          "'%s': tensor '%.*s' has no place in a file of %s; is it a variant of "
                          "%s?",
                          d->path, STR_ARG(d->tensors[i]->name), c->family->arch, c->family->hf);
    for (size_t i = 0; i < ret->n; i++) /* the list does not move any more */
        ret->items[i].tensor.name = str_from(ret->items[i].name);
    return r;
}
