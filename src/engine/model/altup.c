/* SPDX-License-Identifier: Apache-2.0
 *
 * Facts and tensors of Gemma 3n. */
#include "engine/model/altup.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/compiler.h"
#include "engine/model/keys.h"

/* What the published models have, where a file does not say it. */
enum { OWN_KV_LAYERS = 20, SPARSE_LAYERS = 10 };
#define SPARSITY 1.6448533535003662f /* deviations: one of twenty values is larger */

/* ---- facts ---- */

static int read_sizes(const struct gguf *g, struct descriptor *d, struct error *err)
{
    struct altup_desc *a = &d->altup;
    uint32_t active = 0;
    a->n_streams = 4;
    a->n_input = 256;
    int r = read_count(g, d, "altup.num_inputs", false, 2, ALTUP_MAX_STREAMS, &a->n_streams, err);
    if (r == 0)
        r = read_count(g, d, "altup.active_idx", false, 0, UINT32_MAX, &active, err);
    if (r == 0 && active != 0)
        return error_set(err, ERR_UNSUPPORTED,
                         "%s.altup.active_idx is %" PRIu32
                         ", but only models that compute the first stream are supported",
                         d->arch, active);
    if (r == 0)
        r = read_count(g, d, "embedding_length_per_layer_input", false, 1, 1 << 16, &a->n_input,
                       err);
    const struct gguf_tensor *left = gguf_tensor_find(g, STR("blk.0.laurel_l.weight"));
    if (r == 0 && (!left || left->dims[1] < 1 || left->dims[1] > MODEL_MAX_WIDTH))
        return error_set(err, ERR_CORRUPT, "tensor 'blk.0.laurel_l.weight' %s",
                         left ? "has a rank out of range" : "is missing");
    if (r == 0)
        a->rank = (uint32_t)left->dims[1];
    uint64_t widest = MAX((uint64_t)a->n_streams * d->n_embd, (uint64_t)a->n_input * d->n_layers);
    if (r == 0 && widest > MODEL_MAX_WIDTH)
        return error_set(err, ERR_CORRUPT,
                         "%" PRIu32 " streams, or inputs of %" PRIu32 " layers, are too wide: "
                         "%" PRIu64 " values, at most %d are possible",
                         a->n_streams, d->n_layers, widest, MODEL_MAX_WIDTH);
    return r;
}

static int read_sparsity(const struct gguf *g, struct descriptor *d, struct error *err)
{
    char key[KEY_MAX];
    enum gguf_type type;
    uint64_t n_items;
    CLEANUP_FREE float *list = NULL;
    size_t n = 0;
    int r = 0;
    if (gguf_array_info(g, key_of(d, "activation_sparsity_scale", key), &type, &n_items)) {
        r = gguf_get_f32_array(g, key, &list, &n, err);
        if (r == 0 && n < d->n_layers)
            r = error_set(err, ERR_CORRUPT, "%s has %zu items for %" PRIu32 " layers", key, n,
                          d->n_layers);
    }
    for (uint32_t i = 0; r == 0 && i < d->n_layers; i++) {
        float v = list ? list[i] : i < SPARSE_LAYERS ? SPARSITY : 0;
        if (!(v >= 0 && v <= 100))
            r = error_set(err, ERR_CORRUPT, "%s is %g in layer %" PRIu32, key, (double)v, i);
        d->layers[i].sparsity = v;
    }
    return r;
}

static int read_shared(const struct gguf *g, struct descriptor *d, struct error *err)
{
    uint32_t n_shared = d->n_layers > OWN_KV_LAYERS ? d->n_layers - OWN_KV_LAYERS : 0;
    int r =
        read_count(g, d, "attention.shared_kv_layers", false, 0, d->n_layers - 1, &n_shared, err);
    uint32_t n_own = d->n_layers - n_shared;
    for (uint32_t i = n_own; r == 0 && i < d->n_layers; i++) {
        struct layer_desc *l = &d->layers[i];
        uint32_t from = n_own;
        while (from > 0 && d->layers[from - 1].rope != l->rope)
            from--;
        if (from == 0)
            return error_set(err, ERR_CORRUPT,
                             "layer %" PRIu32 " shares keys and values, but none of the first "
                             "%" PRIu32 " layers has the same window",
                             i, n_own);
        l->kv_layer = from - 1;
        if (l->n_heads != d->layers[from - 1].n_heads ||
            l->n_kv_heads != d->layers[from - 1].n_kv_heads)
            return error_set(err, ERR_UNSUPPORTED,
                             "layers of different sizes that share keys and values are not "
                             "supported");
    }
    return r;
}

int altup_read(const struct gguf *g, struct descriptor *d, struct error *err)
{
    d->v_norm = true;
    int r = read_sizes(g, d, err);
    if (r == 0)
        r = read_sparsity(g, d, err);
    return r < 0 ? r : read_shared(g, d, err);
}

/* ---- tensors ---- */

static int want_layer(struct altup_layer *to, struct tensor_set *s, const struct descriptor *d,
                      uint32_t layer, struct error *err)
{
    const struct altup_desc *a = &d->altup;
    uint32_t n = a->n_streams, e = d->n_embd;
    const struct {
        const char *name;
        uint32_t rows, cols; /* rows 0: a vector */
    } rows[AT_COUNT] = {
        [AT_PREDICT] = {"altup_predict_coef.weight", n * n, n},
        [AT_CORRECT] = {"altup_correct_coef.weight", n, n},
        [AT_CORRECT_SCALE] = {"altup_correct_scale.weight", 0, e},
        [AT_ROUTER] = {"altup_router.weight", n, e},
        [AT_ROUTER_NORM] = {"altup_router_norm.weight", 0, e},
        [AT_LAUREL_LEFT] = {"laurel_l.weight", a->rank, e},
        [AT_LAUREL_RIGHT] = {"laurel_r.weight", e, a->rank},
        [AT_LAUREL_NORM] = {"laurel_post_norm.weight", 0, e},
        [AT_INPUT_GATE] = {"inp_gate.weight", a->n_input, e},
        [AT_INPUT_PROJ] = {"proj.weight", e, a->n_input},
        [AT_INPUT_NORM] = {"post_norm.weight", 0, e},
    };
    int r = 0;
    for (size_t i = 0; r == 0 && i < AT_COUNT; i++) {
        char name[GGUF_MAX_NAME + 1];
        snprintf(name, sizeof(name), "blk.%" PRIu32 ".%s", layer, rows[i].name);
        r = tensor_set_want(s,
                            &(struct tensor_want){.name = name,
                                                  .slot = &to->t[i],
                                                  .rows = rows[i].rows,
                                                  .cols = rows[i].cols,
                                                  .vector = rows[i].rows == 0,
                                                  .required = true},
                            err);
    }
    return r;
}

int altup_want(struct altup_weights **ret, struct tensor_set *s, const struct descriptor *d,
               struct error *err)
{
    const struct altup_desc *a = &d->altup;
    struct altup_weights *w = *ret = xcalloc(1, sizeof(*w));
    uint32_t e = d->n_embd, others = a->n_streams - 1, inputs = a->n_input * d->n_layers;
    const struct tensor_want wants[] = {
        {"per_layer_token_embd.weight", &w->own_embd, d->n_vocab, inputs, .required = true},
        {"per_layer_model_proj.weight", &w->model_proj, inputs, e, .required = true},
        {"per_layer_proj_norm.weight", &w->proj_norm, 1, a->n_input, .vector = true,
         .required = true},
        {"altup_proj.weight", &w->split, others * e, e, .stacked = others, .required = true},
    };
    w->layers = xcalloc(d->n_layers, sizeof(*w->layers));
    int r = 0;
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(wants); i++)
        r = tensor_set_want(s, &wants[i], err);
    for (uint32_t i = 0; r == 0 && i < others; i++)
        r = tensor_set_want(s,
                            &(struct tensor_want){.name = "altup_unembd_proj.weight",
                                                  .slot = &w->merge[i],
                                                  .rows = e,
                                                  .cols = e,
                                                  .first_row = i * e,
                                                  .of_rows = others * e,
                                                  .stacked = others,
                                                  .required = true},
                            err);
    for (uint32_t i = 0; r == 0 && i < d->n_layers; i++)
        r = want_layer(&w->layers[i], s, d, i, err);
    return r;
}

void altup_weights_free(struct altup_weights *w)
{
    if (!w)
        return;
    free(w->layers);
    free(w);
}
