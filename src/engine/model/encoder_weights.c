/* SPDX-License-Identifier: Apache-2.0
 *
 * The tensors of encoders. Queries, keys and values may lie in one tensor, and so may the two
 * matrices of a gated feed-forward layer; they are used as if they were separate. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/compiler.h"
#include "engine/model/encoder.h"

static const char *const tensor_names[ET_COUNT] = {
    [ET_ATTN_NORM] = "attn_norm.weight",
    [ET_Q] = "attn_q.weight",
    [ET_Q_BIAS] = "attn_q.bias",
    [ET_K] = "attn_k.weight",
    [ET_K_BIAS] = "attn_k.bias",
    [ET_V] = "attn_v.weight",
    [ET_V_BIAS] = "attn_v.bias",
    [ET_Q_NORM] = "attn_q_norm.weight",
    [ET_Q_NORM_BIAS] = "attn_q_norm.bias",
    [ET_K_NORM] = "attn_k_norm.weight",
    [ET_K_NORM_BIAS] = "attn_k_norm.bias",
    [ET_OUT] = "attn_output.weight",
    [ET_OUT_BIAS] = "attn_output.bias",
    [ET_POST_ATTN_NORM] = "post_attention_norm.weight",
    [ET_ATTN_OUT_NORM] = "attn_output_norm.weight",
    [ET_ATTN_OUT_NORM_BIAS] = "attn_output_norm.bias",
    [ET_ATTN_NORM_2] = "attn_norm_2.weight",
    [ET_ATTN_NORM_2_BIAS] = "attn_norm_2.bias",
    [ET_FFN_NORM] = "ffn_norm.weight",
    [ET_GATE] = "ffn_gate.weight",
    [ET_UP] = "ffn_up.weight",
    [ET_UP_BIAS] = "ffn_up.bias",
    [ET_DOWN] = "ffn_down.weight",
    [ET_DOWN_BIAS] = "ffn_down.bias",
    [ET_POST_FFN_NORM] = "post_ffw_norm.weight",
    [ET_LAYER_OUT_NORM] = "layer_output_norm.weight",
    [ET_LAYER_OUT_NORM_BIAS] = "layer_output_norm.bias",
};

/* What is being gone through: one layer. */
struct layer_wants {
    struct encoder_weights *w;
    const struct descriptor *d;
    const struct layer_desc *l;
    struct encoder_layer *to;
    uint32_t number;
};

static uint32_t vector_width(const struct layer_wants *lw, enum encoder_tensor t)
{
    bool by_head = lw->d->encoder->qk_norm_by_head;
    uint32_t q = lw->l->n_heads * lw->l->head_k, k = lw->l->n_kv_heads * lw->l->head_k;
    switch (t) {
    case ET_Q_BIAS:
        return q;
    case ET_K_BIAS:
        return k;
    case ET_V_BIAS:
        return lw->l->n_kv_heads * lw->l->head_v;
    case ET_Q_NORM:
    case ET_Q_NORM_BIAS:
        return by_head ? lw->l->head_k : q;
    case ET_K_NORM:
    case ET_K_NORM_BIAS:
        return by_head ? lw->l->head_k : k;
    case ET_UP_BIAS:
        return lw->l->n_ff;
    default:
        return lw->d->n_embd;
    }
}

static int want_named(const struct layer_wants *lw, const char *name, enum encoder_tensor t,
                      struct tensor_want want, struct error *err)
{
    char full[GGUF_MAX_NAME + 1];
    snprintf(full, sizeof(full), "blk.%" PRIu32 ".%s", lw->number, name);
    want.name = full;
    want.slot = &lw->to->t[t];
    return tensor_set_want(&lw->w->tensors, &want, err);
}

static bool has_tensor(const struct layer_wants *lw, const char *name)
{
    char full[GGUF_MAX_NAME + 1];
    snprintf(full, sizeof(full), "blk.%" PRIu32 ".%s", lw->number, name);
    return gguf_tensor_find(lw->w->tensors.g, str_from(full)) != NULL;
}

static int want_vectors(const struct layer_wants *lw, struct error *err)
{
    for (enum encoder_tensor t = 0; t < ET_COUNT; t++) {
        const struct encoder_arch *e = lw->d->encoder;
        bool required = e->required >> t & 1;
        if (!required && !(e->optional >> t & 1))
            continue;
        bool apart = t != ET_Q_BIAS && t != ET_K_BIAS && t != ET_V_BIAS;
        if (!apart && has_tensor(lw, "attn_qkv.bias"))
            continue;
        int r = want_named(
            lw, tensor_names[t], t,
            (struct tensor_want){.cols = vector_width(lw, t), .vector = true, .required = required},
            err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int want_qkv(const struct layer_wants *lw, struct error *err)
{
    const struct layer_desc *l = lw->l;
    const uint32_t rows[] = {l->n_heads * l->head_k, l->n_kv_heads * l->head_k,
                             l->n_kv_heads * l->head_v};
    static const enum encoder_tensor matrices[] = {ET_Q, ET_K, ET_V};
    static const enum encoder_tensor biases[] = {ET_Q_BIAS, ET_K_BIAS, ET_V_BIAS};
    uint32_t all = rows[0] + rows[1] + rows[2], first = 0;
    bool fused = has_tensor(lw, "attn_qkv.weight");
    bool fused_bias = fused && lw->d->encoder->optional >> ET_Q_BIAS & 1;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct tensor_want want = {.rows = rows[i], .cols = lw->d->n_embd, .required = true};
        struct tensor_want bias = {.cols = rows[i], .vector = true};
        if (fused) {
            want.first_row = first;
            want.of_rows = all;
            bias.first_col = first;
            bias.of_cols = all;
        }
        int r = want_named(lw, fused ? "attn_qkv.weight" : tensor_names[matrices[i]], matrices[i],
                           want, err);
        if (r == 0 && fused_bias)
            r = want_named(lw, "attn_qkv.bias", biases[i], bias, err);
        if (r < 0)
            return r;
        first += rows[i];
    }
    return 0;
}

static int want_ffn(const struct layer_wants *lw, struct error *err)
{
    uint32_t n_ff = lw->l->n_ff, n_embd = lw->d->n_embd;
    enum encoder_ffn kind = lw->d->encoder->ffn;
    if (kind == ENCODER_FFN_BY_FILE) {
        char name[GGUF_MAX_NAME + 1];
        snprintf(name, sizeof(name), "blk.%" PRIu32 ".ffn_up.weight", lw->number);
        const struct gguf_tensor *up = gguf_tensor_find(lw->w->tensors.g, str_from(name));
        if (has_tensor(lw, tensor_names[ET_GATE]))
            kind = ENCODER_FFN_GATED;
        else
            kind = up && up->dims[1] == 2 * (uint64_t)n_ff ? ENCODER_FFN_FUSED : ENCODER_FFN_PLAIN;
    }
    bool fused = kind == ENCODER_FFN_FUSED;
    const struct tensor_want gate = {
        .rows = n_ff, .cols = n_embd, .required = true, .of_rows = fused ? 2 * n_ff : 0};
    struct tensor_want up = gate;
    up.first_row = fused ? n_ff : 0;
    int r = want_named(lw, tensor_names[ET_UP], ET_UP, up, err);
    if (r == 0 && kind != ENCODER_FFN_PLAIN)
        r = want_named(lw, tensor_names[fused ? ET_UP : ET_GATE], ET_GATE, gate, err);
    if (r == 0)
        r = want_named(lw, tensor_names[ET_DOWN], ET_DOWN,
                       (struct tensor_want){.rows = n_embd, .cols = n_ff, .required = true}, err);
    return r;
}

static int want_layer(struct encoder_weights *w, const struct descriptor *d, uint32_t i,
                      struct error *err)
{
    const struct layer_wants lw = {w, d, &d->layers[i], &w->layers[i], i};
    int r = want_qkv(&lw, err);
    if (r == 0)
        r = want_named(&lw, tensor_names[ET_OUT], ET_OUT,
                       (struct tensor_want){.rows = d->n_embd,
                                            .cols = lw.l->n_heads * lw.l->head_v,
                                            .required = true},
                       err);
    if (r == 0)
        r = want_ffn(&lw, err);
    return r == 0 ? want_vectors(&lw, err) : r;
}

static int want_all(struct encoder_weights *w, const struct gguf *g, const struct descriptor *d,
                    struct error *err)
{
    const struct encoder_arch *e = d->encoder;
    bool norm_first = e->token_types || e->whole_first; /* BERT's family, ModernBERT */
    const struct {
        bool known;
        struct tensor_want want;
    } wants[] = {
        {true, {"token_embd.weight", &w->token_embd, d->n_vocab, d->n_embd, .required = true}},
        {e->token_types && d->n_token_types > 0,
         {"token_types.weight", &w->type_row, 1, d->n_embd, .vector = true,
          .of_rows = d->n_token_types}},
        {e->learned_positions,
         {"position_embd.weight", &w->positions, d->n_ctx_train, d->n_embd, .required = true}},
        {norm_first,
         {"token_embd_norm.weight", &w->embd_norm, 1, d->n_embd, .vector = true, .required = true}},
        {e->token_types,
         {"token_embd_norm.bias", &w->embd_norm_bias, 1, d->n_embd, .vector = true,
          .required = true}},
        {e->output_norm,
         {e->output_norm, &w->output_norm, 1, d->n_embd, .vector = true, .required = true}},
    };
    w->n_layers = d->n_layers;
    w->layers = xcalloc(d->n_layers, sizeof(*w->layers));
    int r = tensor_set_init(&w->tensors, g, err);
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(wants); i++)
        r = wants[i].known ? tensor_set_want(&w->tensors, &wants[i].want, err) : 0;
    for (uint32_t i = 0; r == 0 && i < d->n_layers; i++)
        r = want_layer(w, d, i, err);
    if (r == 0)
        r = head_want(&w->head, &w->tensors, d, err);
    if (r < 0)
        return r;
    char what[64];
    snprintf(what, sizeof(what), "a %s model of %" PRIu32 " layers", d->arch, d->n_layers);
    return tensor_set_complete(&w->tensors, what, err);
}

int encoder_weights_check(const struct gguf *g, const struct descriptor *d, struct error *err)
{
    CLEANUP(encoder_weights_release) struct encoder_weights w = {0};
    return want_all(&w, g, d, err);
}

int encoder_weights_load(struct encoder_weights *w, const struct gguf *g,
                         const struct descriptor *d, struct backend *b, struct error *err)
{
    *w = (struct encoder_weights){0};
    int r = want_all(w, g, d, err);
    return r < 0 ? r : tensor_set_load(&w->tensors, b, err);
}

void encoder_weights_release(struct encoder_weights *w)
{
    tensor_set_release(&w->tensors);
    free(w->layers);
    *w = (struct encoder_weights){0};
}
