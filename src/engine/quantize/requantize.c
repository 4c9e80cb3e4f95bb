/* SPDX-License-Identifier: Apache-2.0
 *
 * The plan first, tensor by tensor, so that everything that can be wrong is known before a byte is
 * written; then the data. */
#include "engine/quantize/requantize.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/compiler.h"
#include "engine/kernels/kernels.h"
#include "engine/quantize/converter.h"
#include "engine/quantize/imatrix.h"
#include "engine/quantize/mixture.h"
#include "gguf/gguf.h"
#include "gguf/gguf_writer.h"

enum { QUANTIZATION_VERSION = 2 }; /* of the block layouts, general.quantization_version */

struct step {
    const struct gguf_tensor *tensor;
    uint32_t type;
    const float *importance; /* or NULL */
};

struct job {
    const struct requantize_options *o;
    struct gguf *g;
    const struct mixture *mixture;
    struct imatrix *imatrix;
    struct kernels kernels;
    struct step *steps; /* in the order of the file */
    size_t n;
    struct requantize_result result;
};

static void job_release(struct job *j)
{
    free(j->steps);
    imatrix_free(j->imatrix);
    gguf_free(j->g);
}

static void note(const struct job *j, const char *fmt, ...) ATTR_PRINTF(2, 3);

static void note(const struct job *j, const char *fmt, ...)
{
    CLEANUP_BUF struct buf text = BUF_INIT(1024);
    va_list args;
    va_start(args, fmt);
    buf_vprintf(&text, fmt, args);
    va_end(args);
    if (j->o->note)
        j->o->note(j->o->ctx, buf_cstr(&text));
}

static const char *type_name(uint32_t type)
{
    return weight_type_info(type)->name;
}

/* ---- the plan ---- */

/* The numbers of the importance matrix for a tensor. One that is absent counts as all alike. */
static int find_importance(const struct job *j, struct step *s, struct error *err)
{
    const struct gguf_tensor *t = s->tensor;
    uint64_t want = t->dims[0] * t->dims[2] * t->dims[3];
    size_t n;
    s->importance = j->imatrix ? imatrix_find(j->imatrix, t->name, &n) : NULL;
    if (!s->importance || n == want)
        return 0;
    s->importance = NULL;
    if (str_eq_c(t->name, "token_embd.weight"))
        return 0; /* it is looked up, not multiplied; some matrices count it all the same */
    return error_set(err, ERR_INVALID,
                     "the importance matrix has %zu numbers for tensor '%.*s', which has %" PRIu64
                     " columns; it is of another model",
                     n, STR_ARG(t->name), want);
}

static int check_step(const struct job *j, const struct step *s, struct error *err)
{
    const struct gguf_tensor *t = s->tensor;
    if (!j->kernels.weight[t->type].dequant)
        return error_set(err, ERR_UNSUPPORTED,
                         "tensor '%.*s' has the type %s, which cannot be read back; start from a "
                         "file with F16, BF16 or F32 weights",
                         STR_ARG(t->name), type_name(t->type));
    if (t->dims[0] > UINT32_MAX)
        return error_set(err, ERR_TOO_LARGE, "tensor '%.*s' has rows of %" PRIu64 " numbers",
                         STR_ARG(t->name), t->dims[0]);
    /* Two bits without a minimum's help need to know where to be exact. */
    if (str_eq_c(str_from(j->mixture->name), "Q2_K_S") && s->type == WT_Q2_K && !s->importance &&
        !str_eq_c(t->name, "token_embd.weight"))
        return error_set(err, ERR_INVALID,
                         "Q2_K_S needs an importance matrix, and there is none for tensor '%.*s'",
                         STR_ARG(t->name));
    return 0;
}

static int plan_tensor(struct job *j, struct mixture_walk *walk, struct step *s,
                       bool *ret_requantized, struct error *err)
{
    const struct gguf_tensor *t = s->tensor;
    uint32_t wanted;
    int r = mixture_next(walk, t, &s->type, &wanted, err);
    if (r < 0 || s->type == t->type)
        return r;
    r = find_importance(j, s, err);
    if (r == 0)
        r = check_step(j, s, err);
    if (r < 0)
        return r;
    if (s->type != wanted) {
        j->result.n_fallback++;
        note(j, "tensor '%.*s': rows of %" PRIu64 " do not divide into blocks of %s; %s is taken",
             STR_ARG(t->name), t->dims[0], type_name(wanted), type_name(s->type));
    }
    *ret_requantized |= weight_type_info(t->type)->block_items > 1;
    return 0;
}

static int cmp_step(const void *a, const void *b)
{
    const struct step *const *x = a, *const *y = b;
    return mixture_order((*x)->tensor, (*y)->tensor);
}

static int plan(struct job *j, struct error *err)
{
    struct mixture_walk walk = {
        .mixture = j->mixture, .pure = j->o->pure, .has_imatrix = j->imatrix != NULL};
    bool requantized = false;
    int r = mixture_walk_init(&walk, j->g, err);
    if (r < 0)
        return r;
    j->n = gguf_n_tensors(j->g);
    j->steps = xcalloc(j->n + 1, sizeof(*j->steps));
    CLEANUP_FREE struct step **order = xcalloc(j->n + 1, sizeof(struct step *));
    for (size_t i = 0; i < j->n; i++) {
        j->steps[i].tensor = gguf_tensor_at(j->g, i);
        order[i] = &j->steps[i];
    }
    qsort(order, j->n, sizeof(struct step *), cmp_step);
    for (size_t i = 0; r == 0 && i < j->n; i++)
        r = plan_tensor(j, &walk, order[i], &requantized, err);
    if (r == 0 && requantized)
        note(j, "the weights are quantized already: what that lost is lost, and more with it; "
                "start from F16, BF16 or F32 if you can");
    return r;
}

/* ---- the header ---- */

static bool is_replaced(struct str key)
{
    return str_eq_c(key, "general.file_type") || str_eq_c(key, "general.quantization_version") ||
           str_eq_c(key, "general.alignment") || str_starts_with(key, STR("split."));
}

static void declare(const struct job *j, struct gguf_writer *w)
{
    for (size_t i = 0; i < gguf_n_kv(j->g); i++)
        if (!is_replaced(gguf_kv_key(j->g, i)))
            gguf_writer_copy(w, j->g, i);
    gguf_writer_u32(w, "general.quantization_version", QUANTIZATION_VERSION);
    gguf_writer_u32(w, "general.file_type", j->mixture->file_type);
    if (gguf_has(j->g, "general.alignment"))
        gguf_writer_alignment(w, gguf_alignment(j->g));
    for (size_t i = 0; i < j->n; i++) {
        const struct gguf_tensor *t = j->steps[i].tensor;
        gguf_writer_tensor(w, t->name, j->steps[i].type, t->n_dims, t->dims);
    }
}

/* ---- the data ---- */

struct source {
    const struct gguf_tensor *tensor;
    dequant_fn dequant;
    size_t row_bytes;
};

static void read_row(const struct rows *rows, uint64_t row, float *dst)
{
    const struct source *s = rows->data;
    s->dequant((const char *)s->tensor->data + row * s->row_bytes, dst, rows->n_cols);
}

static int write_tensor(struct job *j, struct converter *c, const struct step *s,
                        struct gguf_writer *w, struct error *err)
{
    const struct gguf_tensor *t = s->tensor;
    uint64_t row_bytes;
    int r;
    if (s->type == t->type) {
        r = gguf_writer_data(w, t->data, (size_t)t->bytes, err);
        j->result.bytes_after += t->bytes;
    } else {
        weight_row_bytes(t->type, (uint32_t)t->dims[0], &row_bytes);
        struct source source = {t, j->kernels.weight[t->type].dequant, (size_t)row_bytes};
        struct rows rows = {
            .name = t->name,
            .n_rows = t->n_items / t->dims[0],
            .n_cols = (uint32_t)t->dims[0],
            .rows_per_matrix = t->dims[1],
            .read = read_row,
            .data = &source,
        };
        r = converter_write(c, &rows, s->type, s->importance, w, err);
        weight_row_bytes(s->type, rows.n_cols, &row_bytes);
        j->result.bytes_after += row_bytes * rows.n_rows;
        j->result.n_converted++;
    }
    j->result.bytes_before += t->bytes;
    gguf_tensor_unneeded(j->g, t);
    return r;
}

static int write_file(struct job *j, const char *out, struct error *err)
{
    CLEANUP(cleanup_converter) struct converter *c = NULL;
    CLEANUP(cleanup_gguf_writer) struct gguf_writer *w = gguf_writer_new();
    declare(j, w);
    int r = converter_create(j->o->n_threads, &c, err);
    if (r == 0)
        r = gguf_writer_begin(w, out, err);
    for (size_t i = 0; r == 0 && i < j->n; i++) {
        if (j->o->progress)
            j->o->progress(j->o->ctx, i, j->n, j->steps[i].tensor->name);
        r = write_tensor(j, c, &j->steps[i], w, err);
    }
    if (r == 0)
        r = gguf_writer_end(w, err);
    j->result.n_tensors = j->n;
    return r;
}

/* ---- the whole ---- */

static int refuse_same_file(const char *in, const char *out, struct error *err)
{
    struct stat a, b;
    if (stat(in, &a) == 0 && stat(out, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino)
        return error_set(err, ERR_INVALID, "'%s' would be written over itself; name another file",
                         in);
    return 0;
}

static int check_kind(const struct job *j, const char *in, struct error *err)
{
    struct str type = STR("model");
    int r = gguf_want_str(j->g, "general.type", &type, err);
    if (r == 0 && !str_eq_c(type, "model"))
        r = error_set(err, ERR_UNSUPPORTED, "'%s' is no model but '%.*s'", in, STR_ARG(type));
    return r;
}

int requantize_file(const char *in, const char *out, const struct requantize_options *o,
                    struct requantize_result *ret, struct error *err)
{
    CLEANUP(job_release) struct job j = {.o = o};
    int r = mixture_find(o->type, &j.mixture, err);
    if (r == 0)
        r = refuse_same_file(in, out, err);
    if (r == 0)
        r = kernels_init(NULL, &j.kernels, err);
    if (r == 0)
        r = gguf_open(in, 0, &j.g, err);
    if (r == 0)
        r = check_kind(&j, in, err);
    if (r == 0 && o->imatrix)
        r = imatrix_open(o->imatrix, &j.imatrix, err);
    if (r == 0)
        r = plan(&j, err);
    if (r == 0)
        r = write_file(&j, out, err);
    if (r == 0)
        *ret = j.result;
    return r;
}
