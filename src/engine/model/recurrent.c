/* SPDX-License-Identifier: Apache-2.0
 *
 * Facts of recurrent layers: which they are, and their sizes, checked against each other. */
#include "engine/model/recurrent.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "engine/model/keys.h"

/* ---- which layers ---- */

/* attention.recurrent_layers says it for each layer; else each full_attention_interval-th has
 * attention. */
static int read_interval(const struct gguf *g, struct descriptor *d, enum recurrent_kind kind,
                         struct error *err)
{
    uint32_t interval = 4, n_all = d->n_layers + d->n_draft_layers;
    char key[KEY_MAX];
    enum gguf_type type;
    uint64_t n_items;
    CLEANUP_FREE bool *listed = NULL;
    size_t n = 0;
    int r = 0;
    if (gguf_array_info(g, key_of(d, "attention.recurrent_layers", key), &type, &n_items)) {
        r = gguf_get_bool_array(g, key, &listed, &n, err);
        if (r == 0 && n != n_all)
            r = error_set(err, ERR_CORRUPT, "%s has %zu items for %" PRIu32 " layers", key, n,
                          n_all);
    } else {
        r = read_count(g, d, "full_attention_interval", false, 1, MODEL_MAX_LAYERS, &interval, err);
    }
    for (uint32_t i = 0; r == 0 && i < d->n_layers; i++) {
        if (listed ? listed[i] : (i + 1) % interval != 0) {
            d->layers[i].recurrent = kind;
            d->layers[i].n_heads = d->layers[i].n_kv_heads = 0;
        }
    }
    return r;
}

static int read_where(const struct gguf *g, const struct recurrent_arch *a, struct descriptor *d,
                      struct error *err)
{
    if (a->where == WHERE_INTERVAL)
        return read_interval(g, d, a->kind, err);
    for (uint32_t i = 0; i < d->n_layers; i++) {
        struct layer_desc *l = &d->layers[i];
        bool ffn = a->where == WHERE_OR_FFN && l->n_ff > 0;
        if (ffn)
            l->n_heads = l->n_kv_heads = 0;
        bool alone = a->where == WHERE_NO_KV_HEADS || a->where == WHERE_OR_FFN;
        if (ffn || (alone && l->n_kv_heads > 0))
            continue;
        l->recurrent = a->kind;
        if (a->where != WHERE_BESIDE)
            l->n_heads = l->n_kv_heads = 0;
        else if (l->n_kv_heads == 0)
            return error_set(err, ERR_CORRUPT, "%s.attention.head_count_kv is 0 in layer %" PRIu32,
                             d->arch, i);
    }
    return 0;
}

/* ---- sizes ---- */

static int check_groups(const struct descriptor *d, struct error *err)
{
    const struct recurrent_desc *c = &d->recurrent;
    if (c->inner % c->n_heads != 0)
        return error_set(err, ERR_CORRUPT,
                         "%s.ssm.time_step_rank is %" PRIu32
                         ", but it must divide %s.ssm.inner_size, %" PRIu32,
                         d->arch, c->n_heads, d->arch, c->inner);
    if (c->n_heads % c->n_groups != 0)
        return error_set(err, ERR_CORRUPT,
                         "%s.ssm.group_count is %" PRIu32
                         ", but it must divide %s.ssm.time_step_rank, %" PRIu32,
                         d->arch, c->n_groups, d->arch, c->n_heads);
    return 0;
}

/* Widths that plan and weights are made of fit MODEL_MAX_WIDTH, a few times. */
static int check_widths(const struct descriptor *d, struct error *err)
{
    const struct recurrent_desc *c = &d->recurrent;
    uint64_t groups = (uint64_t)c->n_groups * c->n_state;
    if (groups > MODEL_MAX_WIDTH)
        return error_set(err, ERR_CORRUPT,
                         "%s.ssm.group_count of %" PRIu32 " and %s.ssm.state_size of %" PRIu32
                         " are too large: %d together are possible",
                         d->arch, c->n_groups, d->arch, c->n_state, MODEL_MAX_WIDTH);
    for (uint32_t i = 0; i < d->n_layers; i++)
        if (descriptor_layer_state(d, i) > MODEL_MAX_STATE)
            return error_set(err, ERR_CORRUPT,
                             "the state of a layer has %" PRIu64
                             " numbers (%s.ssm.inner_size %" PRIu32 ", %s.ssm.state_size %" PRIu32
                             "): at most %d are possible",
                             descriptor_layer_state(d, i), d->arch, c->inner, d->arch, c->n_state,
                             MODEL_MAX_STATE);
    return 0;
}

static int read_ssm(const struct gguf *g, const struct recurrent_arch *a, struct descriptor *d,
                    struct error *err)
{
    struct recurrent_desc *c = &d->recurrent;
    uint32_t rank = 0;
    int r = read_count(g, d, "ssm.conv_kernel", true, 1, CONV_WIDTH_MAX, &c->conv_width, err);
    if (r == 0)
        r = read_count(g, d, "ssm.inner_size", true, 1, MODEL_MAX_WIDTH, &c->inner, err);
    if (r == 0)
        r = read_count(g, d, "ssm.state_size", true, 1, MODEL_MAX_WIDTH, &c->n_state, err);
    if (r == 0)
        r = read_count(g, d, "ssm.time_step_rank", true, 1, MODEL_MAX_WIDTH, &rank, err);
    c->n_heads = rank;
    c->n_groups = 1;
    if (a->kind == RECURRENT_MAMBA) {
        char key[KEY_MAX];
        c->dt_rank = rank;
        c->n_heads = c->inner;
        return r < 0 ? r
                     : gguf_want_bool(g, key_of(d, "ssm.dt_b_c_rms", key), &c->norms_dt_b_c, err);
    }
    if (r == 0)
        r = read_count(g, d, "ssm.group_count", true, 1, MODEL_MAX_WIDTH, &c->n_groups, err);
    if (r == 0)
        r = check_groups(d, err);
    if (r < 0)
        return r;
    uint32_t head = c->inner / c->n_heads;
    if (a->kind == RECURRENT_DELTA_NET && head != c->n_state)
        return error_set(err, ERR_UNSUPPORTED,
                         "%s.ssm.state_size is %" PRIu32 ", but the value heads are %" PRIu32
                         " wide: heads of different widths are not supported",
                         d->arch, c->n_state, head);
    if (a->kind == RECURRENT_MAMBA2 && c->inner % c->n_groups != 0)
        return error_set(err, ERR_CORRUPT,
                         "%s.ssm.group_count is %" PRIu32
                         ", but it must divide %s.ssm.inner_size, %" PRIu32,
                         d->arch, c->n_groups, d->arch, c->inner);
    return 0;
}

int recurrent_read(const struct gguf *g, const struct recurrent_arch *a, struct descriptor *d,
                   struct error *err)
{
    d->recurrent.tiled = a->tiled;
    d->recurrent.output_norm = a->output_norm;
    int r = read_where(g, a, d, err);
    if (r == 0)
        r = a->kind == RECURRENT_SHORTCONV
                ? read_count(g, d, "shortconv.l_cache", true, 2, CONV_WIDTH_MAX,
                             &d->recurrent.conv_width, err)
                : read_ssm(g, a, d, err);
    if (r == 0)
        r = check_widths(d, err);
    for (uint32_t i = 0; r == 0 && i < d->n_layers; i++) {
        struct layer_desc *l = &d->layers[i];
        bool attention = l->n_kv_heads > 0, ffn = l->n_ff > 0;
        l->tensors_required =
            (l->recurrent ? a->recurrent : 0) | (attention ? a->attention : 0) | (ffn ? a->ffn : 0);
        l->tensors_optional = (l->recurrent ? a->recurrent_optional : 0) |
                              (attention ? a->attention_optional : 0) | (ffn ? a->ffn_optional : 0);
    }
    return r;
}

uint32_t recurrent_conv_channels(const struct descriptor *d)
{
    const struct recurrent_desc *c = &d->recurrent;
    uint32_t groups = 2 * c->n_groups * c->n_state; /* B and C, or queries and keys */
    return c->dt_rank > 0 ? c->inner : c->inner + groups;
}

uint32_t recurrent_in_rows(const struct descriptor *d)
{
    const struct recurrent_desc *c = &d->recurrent;
    return c->dt_rank > 0 ? 2 * c->inner : c->inner + recurrent_conv_channels(d) + c->n_heads;
}

uint64_t descriptor_layer_state(const struct descriptor *d, uint32_t layer)
{
    const struct recurrent_desc *c = &d->recurrent;
    uint64_t kept = c->conv_width - 1;
    switch (d->layers[layer].recurrent) {
    case RECURRENT_NONE:
        return 0;
    case RECURRENT_SHORTCONV:
        return kept * d->n_embd;
    case RECURRENT_MAMBA:
    case RECURRENT_MAMBA2:
    case RECURRENT_DELTA_NET: /* heads of n_state x n_state */
        return kept * recurrent_conv_channels(d) + (uint64_t)c->inner * c->n_state;
    }
    return 0;
}

uint64_t descriptor_state_bytes(const struct descriptor *d)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < d->n_layers; i++)
        sum += descriptor_layer_state(d, i);
    return sum * sizeof(float);
}
