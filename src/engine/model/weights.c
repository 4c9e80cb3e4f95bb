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
#include "engine/model/altup.h"
#include "engine/model/encoder.h"
#include "engine/model/mla.h"
#include "engine/model/recurrent.h"

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
    DIM_2Q, /* queries and their gates */
    DIM_3EMBD,
    DIM_CONV_WIDTH,
    DIM_CHANNELS, /* of the convolution */
    DIM_INNER,
    DIM_SSM_IN,
    DIM_SSM_X, /* dt_rank + 2 * n_state */
    DIM_DT_RANK,
    DIM_STATE,
    DIM_SSM_HEADS,
    DIM_2SSM_HEADS,
    DIM_HEAD_INNER, /* inner / n_heads */
    DIM_ONE,
    DIM_EXPERTS,
    DIM_EXPERTS_FF, /* n_experts * n_ff */
    DIM_EXPERTS_EMBD,
    DIM_HEADS,
    DIM_FF_SHARED,
    DIM_MLA_Q,
    DIM_MLA_Q_RANK,
    DIM_MLA_RANK,
    DIM_MLA_KV_A,  /* the latent and what is rotated */
    DIM_MLA_KV_B,  /* of each head what is not rotated of its key, then its value */
    DIM_MLA_STILL, /* what is not rotated of a key */
    DIM_MLA_RANKS, /* n_heads * rank */
    DIM_MLA_V,     /* n_heads * head_v */
};

/* How a tensor is kept, see tensor_set.h. */
enum tensor_form {
    FORM_MATRIX,
    FORM_TRANSPOSED,
    FORM_PLAIN,
    FORM_GROUPS,
    FORM_STACK, /* a matrix for each expert */
    FORM_HEADS, /* … for each head */
};

static const struct {
    const char *name;
    enum dim rows, cols;
    enum tensor_form form;
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
    [LT_ATTN_Q_GATE] = {"attn_q.weight", DIM_2Q, DIM_EMBD},
    [LT_FFN_NORM_POST] = {"post_attention_norm.weight", DIM_VECTOR, DIM_EMBD},
    [LT_FFN_NORM_BARE] = {"ffn_norm", DIM_VECTOR, DIM_EMBD},
    [LT_ATTN_QKV] = {"attn_qkv.weight", DIM_CHANNELS, DIM_EMBD},
    [LT_ATTN_GATE] = {"attn_gate.weight", DIM_INNER, DIM_EMBD},
    [LT_SHORTCONV_IN] = {"shortconv.in_proj.weight", DIM_3EMBD, DIM_EMBD},
    [LT_SHORTCONV_CONV] = {"shortconv.conv.weight", DIM_CONV_WIDTH, DIM_EMBD, FORM_TRANSPOSED},
    [LT_SHORTCONV_OUT] = {"shortconv.out_proj.weight", DIM_EMBD, DIM_EMBD},
    [LT_SSM_IN] = {"ssm_in.weight", DIM_SSM_IN, DIM_EMBD},
    [LT_SSM_CONV] = {"ssm_conv1d.weight", DIM_CONV_WIDTH, DIM_CHANNELS, FORM_TRANSPOSED},
    [LT_SSM_CONV_BIAS] = {"ssm_conv1d.bias", DIM_VECTOR, DIM_CHANNELS},
    [LT_SSM_X] = {"ssm_x.weight", DIM_SSM_X, DIM_INNER},
    [LT_SSM_DT] = {"ssm_dt.weight", DIM_INNER, DIM_DT_RANK},
    [LT_SSM_DT_BIAS] = {"ssm_dt.bias", DIM_VECTOR, DIM_SSM_HEADS},
    [LT_SSM_DT_NORM] = {"ssm_dt_norm.weight", DIM_VECTOR, DIM_DT_RANK},
    [LT_SSM_B_NORM] = {"ssm_b_norm.weight", DIM_VECTOR, DIM_STATE},
    [LT_SSM_C_NORM] = {"ssm_c_norm.weight", DIM_VECTOR, DIM_STATE},
    [LT_SSM_A] = {"ssm_a", DIM_INNER, DIM_STATE, FORM_PLAIN},
    [LT_SSM_A_HEADS] = {"ssm_a", DIM_ONE, DIM_SSM_HEADS, FORM_TRANSPOSED},
    [LT_SSM_A_VECTOR] = {"ssm_a", DIM_VECTOR, DIM_SSM_HEADS},
    [LT_SSM_D] = {"ssm_d", DIM_VECTOR, DIM_INNER},
    [LT_SSM_D_HEADS] = {"ssm_d", DIM_ONE, DIM_SSM_HEADS, FORM_TRANSPOSED},
    [LT_SSM_NORM_GROUPS] = {"ssm_norm.weight", DIM_VECTOR, DIM_INNER, FORM_GROUPS},
    [LT_SSM_NORM_HEAD] = {"ssm_norm.weight", DIM_VECTOR, DIM_HEAD_INNER},
    [LT_SSM_ALPHA] = {"ssm_alpha.weight", DIM_SSM_HEADS, DIM_EMBD},
    [LT_SSM_BETA] = {"ssm_beta.weight", DIM_SSM_HEADS, DIM_EMBD},
    [LT_SSM_BETA_ALPHA] = {"ssm_ba.weight", DIM_2SSM_HEADS, DIM_EMBD},
    [LT_SSM_OUT] = {"ssm_out.weight", DIM_EMBD, DIM_INNER},
    [LT_FFN_ROUTER] = {"ffn_gate_inp.weight", DIM_EXPERTS, DIM_EMBD},
    [LT_FFN_GATE_EXPERTS] = {"ffn_gate_exps.weight", DIM_EXPERTS_FF, DIM_EMBD, FORM_STACK},
    [LT_FFN_UP_EXPERTS] = {"ffn_up_exps.weight", DIM_EXPERTS_FF, DIM_EMBD, FORM_STACK},
    [LT_FFN_DOWN_EXPERTS] = {"ffn_down_exps.weight", DIM_EXPERTS_EMBD, DIM_FF, FORM_STACK},
    [LT_ATTN_NORM_BIAS] = {"attn_norm.bias", DIM_VECTOR, DIM_EMBD},
    [LT_ATTN_NORM_2] = {"attn_norm_2.weight", DIM_VECTOR, DIM_EMBD},
    [LT_ATTN_NORM_2_BIAS] = {"attn_norm_2.bias", DIM_VECTOR, DIM_EMBD},
    [LT_ATTN_Q_NORM_ALL] = {"attn_q_norm.weight", DIM_VECTOR, DIM_Q, FORM_GROUPS},
    [LT_ATTN_K_NORM_ALL] = {"attn_k_norm.weight", DIM_VECTOR, DIM_K, FORM_GROUPS},
    [LT_FFN_NORM_BIAS] = {"ffn_norm.bias", DIM_VECTOR, DIM_EMBD},
    [LT_ATTN_SINKS] = {"attn_sinks.weight", DIM_VECTOR, DIM_HEADS},
    [LT_FFN_ROUTER_BIAS] = {"ffn_gate_inp.bias", DIM_VECTOR, DIM_EXPERTS},
    [LT_FFN_ROUTER_FAVOR] = {"exp_probs_b.bias", DIM_VECTOR, DIM_EXPERTS},
    [LT_FFN_GATE_EXPERTS_BIAS] = {"ffn_gate_exps.bias", DIM_EXPERTS, DIM_FF, FORM_PLAIN},
    [LT_FFN_UP_EXPERTS_BIAS] = {"ffn_up_exps.bias", DIM_EXPERTS, DIM_FF, FORM_PLAIN},
    [LT_FFN_DOWN_EXPERTS_BIAS] = {"ffn_down_exps.bias", DIM_EXPERTS, DIM_EMBD, FORM_PLAIN},
    [LT_FFN_GATE_SHARED] = {"ffn_gate_shexp.weight", DIM_FF_SHARED, DIM_EMBD},
    [LT_FFN_UP_SHARED] = {"ffn_up_shexp.weight", DIM_FF_SHARED, DIM_EMBD},
    [LT_FFN_DOWN_SHARED] = {"ffn_down_shexp.weight", DIM_EMBD, DIM_FF_SHARED},
    [LT_FFN_SHARED_ROUTER] = {"ffn_gate_inp_shexp.weight", DIM_VECTOR, DIM_EMBD},
    [LT_MLA_Q] = {"attn_q.weight", DIM_MLA_Q, DIM_EMBD},
    [LT_MLA_Q_A] = {"attn_q_a.weight", DIM_MLA_Q_RANK, DIM_EMBD},
    [LT_MLA_Q_A_NORM] = {"attn_q_a_norm.weight", DIM_VECTOR, DIM_MLA_Q_RANK},
    [LT_MLA_Q_B] = {"attn_q_b.weight", DIM_MLA_Q, DIM_MLA_Q_RANK},
    [LT_MLA_KV_A] = {"attn_kv_a_mqa.weight", DIM_MLA_KV_A, DIM_EMBD},
    [LT_MLA_KV_A_NORM] = {"attn_kv_a_norm.weight", DIM_VECTOR, DIM_MLA_RANK},
    [LT_MLA_KV_B] = {"attn_kv_b.weight", DIM_MLA_KV_B, DIM_MLA_RANK},
    [LT_MLA_K_B] = {"attn_k_b.weight", DIM_MLA_RANKS, DIM_MLA_STILL, FORM_HEADS},
    [LT_MLA_V_B] = {"attn_v_b.weight", DIM_MLA_V, DIM_MLA_RANK, FORM_HEADS},
    [LT_MLA_OUT] = {"attn_output.weight", DIM_EMBD, DIM_MLA_V},
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
    case DIM_2Q:
        return 2 * l->n_heads * l->head_k;
    case DIM_3EMBD:
        return 3 * d->n_embd;
    case DIM_CONV_WIDTH:
        return d->recurrent.conv_width;
    case DIM_CHANNELS:
        return recurrent_conv_channels(d);
    case DIM_INNER:
        return d->recurrent.inner;
    case DIM_SSM_IN:
        return recurrent_in_rows(d);
    case DIM_SSM_X:
        return d->recurrent.dt_rank + 2 * d->recurrent.n_state;
    case DIM_DT_RANK:
        return d->recurrent.dt_rank;
    case DIM_STATE:
        return d->recurrent.n_state;
    case DIM_SSM_HEADS:
        return d->recurrent.n_heads;
    case DIM_2SSM_HEADS:
        return 2 * d->recurrent.n_heads;
    case DIM_HEAD_INNER:
        return d->recurrent.inner / d->recurrent.n_heads;
    case DIM_ONE:
        return 1;
    case DIM_EXPERTS:
        return d->n_experts;
    case DIM_EXPERTS_FF:
        return d->n_experts * l->n_ff;
    case DIM_EXPERTS_EMBD:
        return d->n_experts * d->n_embd;
    case DIM_HEADS:
        return l->n_heads;
    case DIM_FF_SHARED:
        return d->n_ff_shared;
    case DIM_MLA_Q:
        return l->n_heads * d->mla.head_k;
    case DIM_MLA_Q_RANK:
        return d->mla.q_rank;
    case DIM_MLA_RANK:
        return d->mla.rank;
    case DIM_MLA_KV_A:
        return d->mla.rank + d->rope.dims;
    case DIM_MLA_KV_B:
        return l->n_heads * (mla_still(d) + d->mla.head_v);
    case DIM_MLA_STILL:
        return mla_still(d);
    case DIM_MLA_RANKS:
        return l->n_heads * d->mla.rank;
    case DIM_MLA_V:
        return l->n_heads * d->mla.head_v;
    }
    return 0;
}

/* ---- finding ---- */

static bool has_tensor(const struct gguf *g, uint32_t layer, const char *suffix)
{
    char name[WEIGHT_NAME_MAX];
    snprintf(name, sizeof(name), "blk.%" PRIu32 ".%s", layer, suffix);
    return gguf_tensor_find(g, str_from(name)) != NULL;
}

/* Queries, keys and values may lie behind each other in one tensor, and so may the two matrices of
 * a gated feed-forward part: they are used as if they were separate. Says where in such a tensor
 * `tensor` is, and what its name is; NULL if the file has it by itself. */
static const char *fused_place(const struct gguf *g, const struct descriptor *d, uint32_t layer,
                               enum layer_tensor tensor, uint32_t *first, uint32_t *all)
{
    const struct layer_desc *l = &d->layers[layer];
    uint32_t q = l->n_heads * l->head_k, k = l->n_kv_heads * l->head_k;
    const char *name = "attn_qkv.weight";
    *all = q + k + l->n_kv_heads * l->head_v;
    *first = 0;
    switch (tensor) {
    case LT_ATTN_Q_BIAS:
    case LT_ATTN_K_BIAS:
    case LT_ATTN_V_BIAS:
        name = "attn_qkv.bias";
        break;
    case LT_FFN_GATE:
    case LT_FFN_UP:
        name = "ffn_up.weight";
        *all = 2 * l->n_ff;
        *first = tensor == LT_FFN_UP ? l->n_ff : 0;
        return d->fused_gate && !has_tensor(g, layer, "ffn_gate.weight") ? name : NULL;
    case LT_ATTN_Q:
    case LT_ATTN_K:
    case LT_ATTN_V:
        break;
    default:
        return NULL;
    }
    if (!((d->tensors_required | l->tensors_required) >> LT_ATTN_Q & 1))
        return NULL; /* such a tensor is another one there (recurrent.h) */
    if (tensor == LT_ATTN_K || tensor == LT_ATTN_K_BIAS)
        *first = q;
    if (tensor == LT_ATTN_V || tensor == LT_ATTN_V_BIAS)
        *first = q + k;
    return has_tensor(g, layer, name) ? name : NULL;
}

static int want_layer(struct weights *w, const struct descriptor *d, uint32_t i, struct error *err)
{
    for (uint32_t k = 0; k < LT_COUNT; k++) {
        const struct layer_desc *l = &d->layers[i];
        bool required = (d->tensors_required | l->tensors_required) >> k & 1;
        if (!required && !((d->tensors_optional | l->tensors_optional) >> k & 1))
            continue;
        char name[WEIGHT_NAME_MAX];
        weight_name(i, k, name);
        bool is_kv = k == LT_ATTN_K || k == LT_ATTN_V || k == LT_ATTN_K_NORM;
        if (is_kv && l->kv_layer != i && tensor_set_know(&w->tensors, name))
            continue; /* files have them, but they are not used */
        struct tensor_want want = {
            .name = name,
            .slot = &w->layers[i].t[k],
            .rows = dim_size(d, l, layer_tensors[k].rows),
            .cols = dim_size(d, l, layer_tensors[k].cols),
            .vector = layer_tensors[k].rows == DIM_VECTOR,
            .flat = layer_tensors[k].form == FORM_GROUPS,
            .transposed = layer_tensors[k].form == FORM_TRANSPOSED,
            .plain = layer_tensors[k].form == FORM_PLAIN,
            .stacked = layer_tensors[k].form == FORM_STACK   ? d->n_experts
                       : layer_tensors[k].form == FORM_HEADS ? l->n_heads
                                                             : 0,
            .required = required,
        };
        uint32_t first, all;
        const char *fused = fused_place(w->tensors.g, d, i, k, &first, &all);
        if (fused)
            snprintf(name, sizeof(name), "blk.%" PRIu32 ".%s", i, fused);
        if (fused && want.vector) {
            want.first_col = first;
            want.of_cols = all;
        } else if (fused) {
            want.first_row = first;
            want.of_rows = all;
        }
        int r = tensor_set_want(&w->tensors, &want, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Factors that divide the frequencies of rotation: kept here, not on the backend. *ret stays NULL
 * where there are none. */
static int read_rope_factors(struct weights *w, const struct descriptor *d, const char *name,
                             float **ret, struct error *err)
{
    const struct gguf_tensor *t = tensor_set_know(&w->tensors, name);
    if (!t)
        return 0;
    uint32_t n = d->rope.dims / 2;
    if (n == 0)
        return error_set(err, ERR_UNSUPPORTED,
                         "tensor '%s' is not part of a %s model, which rotates nothing", name,
                         d->arch);
    if (t->type != WT_F32 || t->n_items != n)
        return error_set(err, ERR_CORRUPT,
                         "tensor '%s' has %" PRIu64 " values of type %s, but %" PRIu32
                         " of type F32 are needed",
                         name, t->n_items, weight_type_info(t->type)->name, n);
    float *factors = *ret = xcalloc(n, sizeof(float));
    memcpy(factors, t->data, n * sizeof(float));
    for (uint32_t i = 0; i < n; i++)
        if (!isfinite(factors[i]) || factors[i] <= 0)
            return error_set(err, ERR_CORRUPT, "tensor '%s': value %" PRIu32 " is %g, not positive",
                             name, i, (double)factors[i]);
    return 0;
}

/* One set for all contexts, or LongRoPE's two. */
static int read_all_rope_factors(struct weights *w, const struct descriptor *d, struct error *err)
{
    static const char short_name[] = "rope_factors_short.weight";
    static const char long_name[] = "rope_factors_long.weight";
    int r = read_rope_factors(w, d, "rope_freqs.weight", &w->rope_factors, err);
    if (r < 0 || w->rope_factors)
        return r;
    r = read_rope_factors(w, d, short_name, &w->rope_factors, err);
    if (r == 0)
        r = read_rope_factors(w, d, long_name, &w->rope_factors_long, err);
    bool any = w->rope_factors || w->rope_factors_long || d->rope.scaling == ROPE_SCALING_LONG;
    if (r == 0 && any && !(w->rope_factors && w->rope_factors_long))
        r = error_set(err, ERR_CORRUPT, "tensor '%s' is missing",
                      w->rope_factors ? long_name : short_name);
    return r;
}

/* Draft layers guess tokens ahead for a program that verifies them; an answer is the same without.
 */
static void know_draft_layers(struct tensor_set *s, const struct descriptor *d)
{
    for (uint32_t i = d->n_layers; i < d->n_layers + d->n_draft_layers; i++) {
        char prefix[WEIGHT_NAME_MAX];
        snprintf(prefix, sizeof(prefix), "blk.%" PRIu32 ".", i);
        tensor_set_know_prefix(s, prefix);
    }
}

/* Finds and checks all tensors. */
static int want_all(struct weights *w, const struct gguf *g, const struct descriptor *d,
                    struct error *err)
{
    const char *norm = d->recurrent.output_norm ? d->recurrent.output_norm : "output_norm.weight";
    const struct tensor_want global[] = {
        {"token_embd.weight", &w->token_embd, d->n_vocab, d->n_embd, .required = true},
        {norm, &w->output_norm, 1, d->n_embd, .vector = true, .required = true},
        {"output.weight", &w->output, d->n_vocab, d->n_embd},
        {d->layer_norm ? "output_norm.bias" : NULL, &w->output_norm_bias, 1, d->n_embd,
         .vector = true},
        {d->layer_norm ? "output.bias" : NULL, &w->output_bias, 1, d->n_vocab, .vector = true},
        {d->learned_positions ? "position_embd.weight" : NULL, &w->positions, d->n_ctx_train,
         d->n_embd, .required = true},
    };
    w->n_layers = d->n_layers;
    w->layers = xcalloc(d->n_layers, sizeof(*w->layers));
    int r = tensor_set_init(&w->tensors, g, err);
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(global); i++)
        r = global[i].name ? tensor_set_want(&w->tensors, &global[i], err) : 0;
    for (uint32_t i = 0; r == 0 && i < d->n_layers; i++)
        r = want_layer(w, d, i, err);
    if (r == 0 && d->altup.n_streams > 0)
        r = altup_want(&w->altup, &w->tensors, d, err);
    if (r == 0)
        r = head_want(&w->head, &w->tensors, d, err);
    if (r == 0)
        r = read_all_rope_factors(w, d, err);
    if (r < 0)
        return r;
    know_draft_layers(&w->tensors, d);
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
    *w = (struct weights){0};
    int r = want_all(w, g, d, err);
    return r < 0 ? r : tensor_set_load(&w->tensors, b, err);
}

void weights_release(struct weights *w)
{
    tensor_set_release(&w->tensors);
    free(w->layers);
    free(w->rope_factors);
    free(w->rope_factors_long);
    altup_weights_free(w->altup);
    *w = (struct weights){0};
}
