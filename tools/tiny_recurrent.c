/* SPDX-License-Identifier: Apache-2.0
 *
 * Random models whose layers are not, or not only, attention. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/compiler.h"
#include "tiny_model_internal.h"

enum kind { KIND_SHORTCONV, KIND_MAMBA, KIND_MAMBA2, KIND_DELTA_NET };

static const struct family {
    const char *arch;
    enum kind kind;
    bool pure;   /* no attention, no feed-forward part */
    bool beside; /* every layer has both */
    bool alone;  /* in turns: recurrent, feed-forward without a gate, attention */
} families[] = {
    {"lfm2", KIND_SHORTCONV, false, false},     {"mamba", KIND_MAMBA, true, false},
    {"mamba2", KIND_MAMBA2, true, false},       {"granitehybrid", KIND_MAMBA2, false, false},
    {"jamba", KIND_MAMBA, false, false},        {"falcon-h1", KIND_MAMBA2, false, true},
    {"nemotron_h", KIND_MAMBA2, .alone = true}, {"qwen35", KIND_DELTA_NET, false, false},
    {NULL, KIND_SHORTCONV, false, false},
};

/* The last one, without a name, where there is none. */
static const struct family *family_of(const struct tiny_model *m)
{
    const struct family *f = families;
    while (f->arch && strcmp(m->arch, f->arch) != 0)
        f++;
    return f;
}

bool tiny_recurrent(const struct tiny_model *m)
{
    return family_of(m)->arch;
}

const char *tiny_recurrent_output_norm(const struct tiny_model *m)
{
    return strcmp(m->arch, "lfm2") == 0 ? "token_embd_norm.weight" : "output_norm.weight";
}

static uint32_t or_default(uint32_t given, uint32_t otherwise)
{
    return given > 0 ? given : otherwise;
}

void tiny_recurrent_defaults(struct tiny_model *m)
{
    m->conv_width = or_default(m->conv_width, 4);
    m->inner = or_default(m->inner, 2 * m->n_embd);
    m->n_state = or_default(m->n_state, 16);
    m->ssm_heads = or_default(m->ssm_heads, 4);
    m->ssm_groups = or_default(m->ssm_groups, 2);
    m->dt_rank = or_default(m->dt_rank, 5);
    m->attention_period = or_default(m->attention_period, 2);
    const struct family *f = family_of(m);
    if (f->kind == KIND_DELTA_NET)
        m->inner = m->n_state * m->ssm_heads;
}

bool tiny_recurrent_attends(const struct tiny_model *m, uint32_t layer)
{
    const struct family *f = family_of(m);
    if (f->alone)
        return layer % 3 == 2;
    return f->beside || (!f->pure && (layer + 1) % m->attention_period == 0);
}

static bool is_ffn(const struct tiny_model *m, uint32_t layer)
{
    return family_of(m)->alone && layer % 3 == 1;
}

static uint32_t channels(const struct tiny_model *m)
{
    return m->inner + 2 * m->ssm_groups * m->n_state;
}

static void list_mixer(struct tensor_list *l, const struct tiny_model *m, uint32_t layer)
{
    const struct family *f = family_of(m);
    bool recurrent = f->beside || (!tiny_recurrent_attends(m, layer) && !is_ffn(m, layer));
    bool shortconv = recurrent && f->kind == KIND_SHORTCONV;
    bool mamba = recurrent && f->kind == KIND_MAMBA, mamba2 = recurrent && f->kind == KIND_MAMBA2;
    bool delta = recurrent && f->kind == KIND_DELTA_NET, norms = strcmp(m->arch, "jamba") == 0;
    bool bias = mamba || (mamba2 && !m->no_conv_bias);
    uint32_t e = m->n_embd, conv = mamba ? m->inner : channels(m);
    const struct layer_row rows[] = {
        {"shortconv.in_proj.weight", shortconv, FILL_MATRIX, 3 * e, e},
        {"shortconv.conv.weight", shortconv, FILL_CONV_2D, e, m->conv_width},
        {"shortconv.out_proj.weight", shortconv, FILL_MATRIX, e, e},
        {"ssm_in.weight", mamba, FILL_MATRIX, 2 * m->inner, e},
        {"ssm_in.weight", mamba2, FILL_MATRIX, m->inner + channels(m) + m->ssm_heads, e},
        {"attn_qkv.weight", delta, FILL_MATRIX, channels(m), e},
        {"attn_gate.weight", delta, FILL_MATRIX, m->inner, e},
        {"ssm_conv1d.weight", recurrent && !shortconv, FILL_CONV_2D, conv, m->conv_width},
        {"ssm_conv1d.bias", bias, FILL_BIAS, 1, conv},
        {"ssm_x.weight", mamba, FILL_MATRIX, m->dt_rank + 2 * m->n_state, m->inner},
        {"ssm_dt_norm.weight", mamba && norms, FILL_NORM, 1, m->dt_rank},
        {"ssm_b_norm.weight", mamba && norms, FILL_NORM, 1, m->n_state},
        {"ssm_c_norm.weight", mamba && norms, FILL_NORM, 1, m->n_state},
        {"ssm_dt.weight", mamba, FILL_MATRIX, m->inner, m->dt_rank},
        {"ssm_dt.bias", mamba, FILL_BIAS, 1, m->inner},
        {"ssm_dt.bias", mamba2 || delta, FILL_BIAS, 1, m->ssm_heads},
        {"ssm_a", mamba, FILL_DECAY_2D, m->inner, m->n_state},
        {"ssm_a", mamba2, FILL_DECAY_2D, m->ssm_heads, 1},
        {"ssm_a", delta, FILL_DECAY, 1, m->ssm_heads},
        {"ssm_d", mamba, FILL_BIAS, 1, m->inner},
        {"ssm_d", mamba2, FILL_BIAS_2D, m->ssm_heads, 1},
        {"ssm_alpha.weight", delta, FILL_MATRIX, m->ssm_heads, e},
        {"ssm_beta.weight", delta, FILL_MATRIX, m->ssm_heads, e},
        {"ssm_norm.weight", mamba2, FILL_NORM_2D, m->ssm_groups, m->inner / m->ssm_groups},
        {"ssm_norm.weight", delta, FILL_NORM, 1, m->n_state},
        {"ssm_out.weight", recurrent && !shortconv, FILL_MATRIX, e, m->inner},
    };
    tiny_list_layer(l, m, layer, rows, ARRAY_LEN(rows));
}

static void list_attention(struct tensor_list *l, const struct tiny_model *m, uint32_t layer)
{
    const struct family *f = family_of(m);
    bool gate = f->kind == KIND_DELTA_NET, norms = gate || f->kind == KIND_SHORTCONV;
    uint32_t q = m->n_heads * m->head, kv = m->n_kv_heads * m->head;
    const struct layer_row rows[] = {
        {"attn_q.weight", true, FILL_MATRIX, gate ? 2 * q : q, m->n_embd},
        {"attn_k.weight", true, FILL_MATRIX, kv, m->n_embd},
        {"attn_v.weight", true, FILL_MATRIX, kv, m->n_embd},
        {"attn_q_norm.weight", norms, FILL_NORM, 1, m->head},
        {"attn_k_norm.weight", norms, FILL_NORM, 1, m->head},
        {"attn_output.weight", true, FILL_MATRIX, m->n_embd, q},
    };
    tiny_list_layer(l, m, layer, rows, ARRAY_LEN(rows));
}

/* A block behind the model's own: an attention layer and what joins it to the last one. */
static void list_draft(struct tensor_list *l, const struct tiny_model *m, uint32_t layer)
{
    const struct layer_row rows[] = {
        {"nextn.eh_proj.weight", true, FILL_MATRIX, m->n_embd, 2 * m->n_embd},
        {"nextn.enorm.weight", true, FILL_NORM, 1, m->n_embd},
        {"nextn.hnorm.weight", true, FILL_NORM, 1, m->n_embd},
    };
    tiny_list_layer(l, m, layer, rows, ARRAY_LEN(rows));
}

void tiny_recurrent_layer(struct tensor_list *l, const struct tiny_model *m, uint32_t layer)
{
    const struct family *f = family_of(m);
    const char *ffn_norm = f->beside                   ? "ffn_norm"
                           : f->kind == KIND_DELTA_NET ? "post_attention_norm.weight"
                                                       : "ffn_norm.weight";
    const struct layer_row norm = {"attn_norm.weight", true, FILL_NORM, 1, m->n_embd};
    const struct layer_row ffn[] = {
        {ffn_norm, !f->alone, FILL_NORM, 1, m->n_embd},
        {"ffn_gate.weight", !f->alone, FILL_MATRIX, m->n_ff, m->n_embd},
        {"ffn_up.weight", true, FILL_MATRIX, m->n_ff, m->n_embd},
        {"ffn_down.weight", true, FILL_MATRIX, m->n_embd, m->n_ff},
    };
    bool draft = layer >= m->n_layers;
    tiny_list_layer(l, m, layer, &norm, 1);
    if (draft)
        list_draft(l, m, layer);
    else
        list_mixer(l, m, layer);
    if (draft || tiny_recurrent_attends(m, layer))
        list_attention(l, m, layer);
    if (!f->pure && (!f->alone || is_ffn(m, layer)))
        tiny_list_layer(l, m, layer, ffn, ARRAY_LEN(ffn));
}

/* ---- keys ---- */

bool tiny_recurrent_leaves_out(const struct tiny_model *m, const char *suffix)
{
    const struct family *f = family_of(m);
    bool attention = strncmp(suffix, "attention.", 10) == 0,
         rope = strncmp(suffix, "rope.", 5) == 0;
    if (strcmp(suffix, "attention.head_count_kv") == 0)
        return f->kind != KIND_DELTA_NET && !f->beside;
    if (f->alone && strcmp(suffix, "feed_forward_length") == 0)
        return true;
    return f->pure && (attention || rope || strcmp(suffix, "feed_forward_length") == 0);
}

static void write_u32(struct gguf_writer *w, const struct tiny_model *m, const char *suffix,
                      uint32_t v)
{
    char key[96];
    snprintf(key, sizeof(key), "%s.%s", m->arch, suffix);
    gguf_writer_u32(w, key, v);
}

static void write_f32(struct gguf_writer *w, const struct tiny_model *m, const char *suffix,
                      float v)
{
    char key[96];
    snprintf(key, sizeof(key), "%s.%s", m->arch, suffix);
    gguf_writer_f32(w, key, v);
}

/* `value` for the layers that have such a part, 0 for the others. */
static void write_per_layer(struct gguf_writer *w, const struct tiny_model *m, const char *suffix,
                            bool (*has)(const struct tiny_model *m, uint32_t layer), uint32_t value)
{
    char key[96];
    snprintf(key, sizeof(key), "%s.%s", m->arch, suffix);
    CLEANUP_FREE int32_t *v = xcalloc(m->n_layers, sizeof(*v));
    for (uint32_t i = 0; i < m->n_layers; i++)
        v[i] = has(m, i) ? (int32_t)value : 0;
    gguf_writer_i32_array(w, key, v, m->n_layers);
}

void tiny_recurrent_keys(struct gguf_writer *w, const struct tiny_model *m)
{
    const struct family *f = family_of(m);
    char key[96];
    if (f->pure) { /* as real files have them */
        write_u32(w, m, "attention.head_count", 0);
        write_u32(w, m, "feed_forward_length", 0);
    }
    if (tiny_recurrent_leaves_out(m, "attention.head_count_kv") && !f->pure)
        write_per_layer(w, m, "attention.head_count_kv", tiny_recurrent_attends, m->n_kv_heads);
    if (f->alone) {
        write_per_layer(w, m, "feed_forward_length", is_ffn, m->n_ff);
        write_f32(w, m, "attention.layer_norm_epsilon", 1e-5f);
    }
    if (m->n_draft_layers > 0)
        write_u32(w, m, "nextn_predict_layers", m->n_draft_layers);
    if (f->kind == KIND_SHORTCONV) {
        write_u32(w, m, "shortconv.l_cache", m->conv_width);
        return;
    }
    write_u32(w, m, "ssm.conv_kernel", m->conv_width);
    write_u32(w, m, "ssm.inner_size", m->inner);
    write_u32(w, m, "ssm.state_size", m->n_state);
    write_u32(w, m, "ssm.time_step_rank", f->kind == KIND_MAMBA ? m->dt_rank : m->ssm_heads);
    if (f->kind != KIND_MAMBA)
        write_u32(w, m, "ssm.group_count", m->ssm_groups);
    if (m->norms_dt_b_c) {
        snprintf(key, sizeof(key), "%s.ssm.dt_b_c_rms", m->arch);
        gguf_writer_bool(w, key, true);
    }
    if (f->kind == KIND_DELTA_NET) {
        static const int32_t sections[4] = {1, 1, 1, 0};
        snprintf(key, sizeof(key), "%s.rope.dimension_sections", m->arch);
        gguf_writer_i32_array(w, key, sections, 4);
        write_u32(w, m, "full_attention_interval", m->attention_period);
    }
    if (strcmp(m->arch, "granitehybrid") == 0) {
        write_f32(w, m, "embedding_scale", 3);
        write_f32(w, m, "residual_scale", 0.7f);
        write_f32(w, m, "logit_scale", 2);
        write_f32(w, m, "attention.scale", 0.3f);
        snprintf(key, sizeof(key), "%s.rope.scaling.finetuned", m->arch);
        gguf_writer_bool(w, key, !m->no_rope);
    }
}
