/* SPDX-License-Identifier: Apache-2.0
 *
 * Everything is read and checked first; then the header and the weights are written. */
#include "engine/import/import_model.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/compiler.h"
#include "engine/import/hf_config.h"
#include "engine/import/hf_dir.h"
#include "engine/import/hf_vocab.h"
#include "engine/import/weight_list.h"
#include "engine/kernels/types.h"
#include "engine/quantize/converter.h"
#include "engine/quantize/mixture.h"
#include "gguf/gguf_writer.h"

struct job {
    const struct import_options *o;
    struct hf_dir dir;
    struct json *json; /* config.json */
    struct hf_config config;
    struct hf_vocab vocab;
    struct weight_list weights;
    uint32_t *types; /* [weights.n] in the file */
    uint32_t file_type;
};

static void job_release(struct job *j)
{
    weight_list_release(&j->weights);
    hf_vocab_release(&j->vocab);
    js_free(j->json);
    hf_dir_release(&j->dir);
    free(j->types);
}

static void note(const struct job *j, const char *text)
{
    if (j->o->note)
        j->o->note(j->o->ctx, text);
}

/* ---- types ---- */

/* Vectors, and the routers of experts, are kept in f32. */
static bool is_small(const struct gguf_tensor *t)
{
    return t->n_dims == 1 || str_ends_with(t->name, STR("ffn_gate_inp.weight"));
}

/* Without a wish: as stored. The file is called by the type of its largest part. */
static void types_as_stored(struct job *j)
{
    static const struct {
        uint32_t type, file_type;
    } kinds[] = {{WT_F32, 0}, {WT_F16, 1}, {WT_BF16, 32}};
    uint64_t items[ARRAY_LEN(kinds)] = {0}, most = 0;
    for (size_t i = 0; i < j->weights.n; i++) {
        const struct gguf_tensor *t = &j->weights.items[i].tensor;
        j->types[i] = is_small(t) ? (uint32_t)WT_F32 : t->type;
        for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
            items[k] += j->types[i] == kinds[k].type ? t->n_items : 0;
    }
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
        if (items[k] > most) {
            most = items[k];
            j->file_type = kinds[k].file_type;
        }
}

static int cmp_weight(const void *a, const void *b)
{
    const struct weight *const *x = a, *const *y = b;
    return mixture_order(&(*x)->tensor, &(*y)->tensor);
}

static int types_by_mixture(struct job *j, struct error *err)
{
    const struct hf_config *c = &j->config;
    struct mixture_walk walk = {.n_layers = (uint32_t)c->n_layers,
                                .n_experts = (uint32_t)c->n_experts,
                                .n_gqa = (uint32_t)(c->n_heads / c->n_kv_heads)};
    int r = mixture_find(j->o->type, &walk.mixture, err);
    if (r < 0)
        return r;
    snprintf(walk.arch, sizeof(walk.arch), "%s", c->family->arch);
    CLEANUP_FREE const struct weight **order = xcalloc(j->weights.n, sizeof(struct weight *));
    for (size_t i = 0; i < j->weights.n; i++) {
        order[i] = &j->weights.items[i];
        mixture_count(&walk, order[i]->tensor.name);
    }
    qsort(order, j->weights.n, sizeof(struct weight *), cmp_weight);
    j->file_type = walk.mixture->file_type;
    for (size_t i = 0; r == 0 && i < j->weights.n; i++) {
        const struct gguf_tensor *t = &order[i]->tensor;
        uint32_t *type = &j->types[order[i] - j->weights.items], wanted;
        r = mixture_next(&walk, t, type, &wanted, err);
        if (is_small(t))
            *type = WT_F32;
        else if (r == 0 && *type != wanted) {
            CLEANUP_BUF struct buf text = BUF_INIT(1024);
            buf_printf(&text, "tensor '%s': its rows do not divide into blocks of %s; %s is taken",
                       order[i]->name, weight_type_info(wanted)->name,
                       weight_type_info(*type)->name);
            note(j, buf_cstr(&text));
        }
    }
    return r;
}

/* ---- the file ---- */

static void declare(const struct job *j, struct gguf_writer *w)
{
    CLEANUP_FREE char *absolute = path_absolute(j->dir.path);
    gguf_writer_str(w, "general.architecture", str_from(j->config.family->arch));
    gguf_writer_str(w, "general.type", STR("model"));
    gguf_writer_str(w, "general.name", str_from(path_base(absolute)));
    gguf_writer_u32(w, "general.file_type", j->file_type);
    gguf_writer_u32(w, "general.quantization_version", 2);
    hf_config_write(&j->config, w);
    hf_vocab_write(&j->vocab, w);
    for (size_t i = 0; i < j->weights.n; i++) {
        const struct gguf_tensor *t = &j->weights.items[i].tensor;
        gguf_writer_tensor(w, t->name, j->types[i], t->n_dims, t->dims);
    }
}

static void read_row(const struct rows *rows, uint64_t row, float *dst)
{
    weight_read_row(rows->data, row, dst);
}

static int write_weights(const struct job *j, struct gguf_writer *w, struct import_result *result,
                         struct error *err)
{
    CLEANUP(cleanup_converter) struct converter *c = NULL;
    int r = converter_create(j->o->n_threads, &c, err);
    for (size_t i = 0; r == 0 && i < j->weights.n; i++) {
        const struct weight *weight = &j->weights.items[i];
        const struct gguf_tensor *t = &weight->tensor;
        struct rows rows = {
            .name = t->name,
            .n_rows = t->n_items / t->dims[0],
            .n_cols = (uint32_t)t->dims[0],
            .rows_per_matrix = t->dims[1],
            .read = read_row,
            .data = weight,
        };
        uint64_t row_bytes;
        if (j->o->progress)
            j->o->progress(j->o->ctx, i, j->weights.n, t->name);
        r = converter_write(c, &rows, j->types[i], NULL, w, err);
        if (weight_row_bytes(j->types[i], rows.n_cols, &row_bytes))
            result->bytes += row_bytes * rows.n_rows;
    }
    result->n_tensors = j->weights.n;
    return r;
}

static int read_all(struct job *j, const char *dir, struct error *err)
{
    int r = hf_dir_open(dir, &j->dir, err);
    if (r == 0)
        r = hf_dir_json(&j->dir, "config.json", &j->json, err);
    if (r == 0 && !j->json)
        r = error_set(err, ERR_NOT_FOUND, "'%s' has no config.json", dir);
    if (r == 0)
        r = hf_config_read(j->json, &j->config, err);
    if (r == 0)
        r = weight_list_make(&j->dir, &j->config, &j->weights, err);
    if (r == 0)
        r = hf_vocab_read(&j->dir, &j->config, &j->vocab, err);
    return r;
}

int import_model(const char *dir, const char *out, const struct import_options *o,
                 struct import_result *ret, struct error *err)
{
    CLEANUP(job_release) struct job j = {.o = o};
    struct import_result result = {0};
    int r = read_all(&j, dir, err);
    if (r < 0)
        return r;
    j.types = xcalloc(j.weights.n + 1, sizeof(*j.types));
    if (o->type)
        r = types_by_mixture(&j, err);
    else
        types_as_stored(&j);
    if (j.config.window_unused)
        note(&j, "config.json has a sliding_window; it is not applied, nor is it by llama.cpp: "
                 "texts longer than it are read with the whole context");
    CLEANUP(cleanup_gguf_writer) struct gguf_writer *w = gguf_writer_new();
    if (r == 0) {
        declare(&j, w);
        r = gguf_writer_begin(w, out, err);
    }
    if (r == 0)
        r = write_weights(&j, w, &result, err);
    if (r == 0)
        r = gguf_writer_end(w, err);
    if (r == 0)
        *ret = result;
    return r;
}
