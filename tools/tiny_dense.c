/* SPDX-License-Identifier: Apache-2.0
 *
 * Random models of decoders that differ from Llama's in norms, biases, rotation and scales. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/compiler.h"
#include "engine/kernels/types.h"
#include "tiny_model_internal.h"

enum fact {
    LAYER_NORM = 1 << 0,
    NORM_BIAS = 1 << 1, /* of norms */
    BIASES = 1 << 2,    /* of matrices */
    FUSED_QKV = 1 << 3,
    FUSED_GATE = 1 << 4,
    NO_GATE = 1 << 5,
    NO_PRE_NORM = 1 << 6,
    NO_FFN_NORM = 1 << 7,
    POST_NORMS = 1 << 8,
    POST_ATTN_NAME = 1 << 9, /* the norm before the feed-forward part is called so */
    QK_NORM = 1 << 10,       /* of a head */
    QK_NORM_ALL = 1 << 11,   /* of all heads together */
    POSITIONS = 1 << 12,
    OUTPUT_BIAS = 1 << 13,
    LOGIT_SCALE = 1 << 14,
    ALL_SCALES = 1 << 15,
    UNTIED = 1 << 17,     /* an output matrix of its own */
    QKV_BIASES = 1 << 16, /* of matrices, only those three may have some */
    GPT = LAYER_NORM | NORM_BIAS | BIASES | NO_GATE,
};

static const struct family {
    const char *arch;
    unsigned facts;
} families[] = {
    {"gemma", 0},
    {"gemma3", QK_NORM | POST_NORMS},
    {"gemma3n", QK_NORM | POST_NORMS},
    {"phi3", QKV_BIASES | FUSED_QKV | FUSED_GATE},
    {"granite", LOGIT_SCALE | ALL_SCALES},
    {"smollm3", 0},
    {"mistral3", 0},
    {"starcoder2", GPT},
    {"olmo2", UNTIED | NO_PRE_NORM | NO_FFN_NORM | QK_NORM_ALL | POST_NORMS},
    {"command-r", LAYER_NORM | NO_FFN_NORM | LOGIT_SCALE},
    {"cohere2", LAYER_NORM | NO_FFN_NORM | LOGIT_SCALE},
    {"glm4", QKV_BIASES | FUSED_GATE | POST_NORMS},
    {"seed_oss", QKV_BIASES | POST_ATTN_NAME},
    {"ernie4_5", 0},
    {"phi2", UNTIED | GPT | NO_FFN_NORM | OUTPUT_BIAS},
    {"falcon", LAYER_NORM | NORM_BIAS | FUSED_QKV | NO_GATE | NO_FFN_NORM},
    {"gpt2", GPT | FUSED_QKV | POSITIONS},
    {"gptneox", UNTIED | GPT | FUSED_QKV},
    {"stablelm", UNTIED | QKV_BIASES | LAYER_NORM | NORM_BIAS},
    {"internlm2", UNTIED},
    {"exaone", 0},
    {"exaone4", NO_PRE_NORM | NO_FFN_NORM | QK_NORM | POST_NORMS},
    {"minicpm", LOGIT_SCALE | ALL_SCALES},
    {"baichuan", UNTIED},
    {"starcoder", GPT | FUSED_QKV | POSITIONS},
    {"codeshell", UNTIED | GPT | FUSED_QKV},
    {"nemotron", UNTIED | LAYER_NORM | NORM_BIAS | NO_GATE},
    {"orion", UNTIED | LAYER_NORM | NORM_BIAS},
    {"chatglm", QKV_BIASES | BIASES | FUSED_QKV | FUSED_GATE},
    {"hunyuan-dense", QK_NORM},
    {"arcee", NO_GATE},
    {"xverse", UNTIED},
    {"apertus", UNTIED | NO_GATE | QK_NORM},
    {"gpt-oss", UNTIED | BIASES | POST_ATTN_NAME},
    {"qwen2moe", UNTIED | QKV_BIASES},
    {"glm4moe", UNTIED | QKV_BIASES | POST_ATTN_NAME},
    {"granitemoe", LOGIT_SCALE | ALL_SCALES},
    {"olmoe", UNTIED | QK_NORM_ALL},
    {"ernie4_5-moe", QKV_BIASES},
    {"deepseek", UNTIED},
    {"deepseek2", UNTIED},
    {NULL, 0},
};

/* The last one, without a name, where there is none. */
static const struct family *family_of(const struct tiny_model *m)
{
    const struct family *f = families;
    while (f->arch && strcmp(m->arch, f->arch) != 0)
        f++;
    return f;
}

bool tiny_dense(const struct tiny_model *m)
{
    return family_of(m)->arch;
}

static bool is(const struct tiny_model *m, const char *arch)
{
    return strcmp(m->arch, arch) == 0;
}

void tiny_dense_defaults(struct tiny_model *m)
{
    m->untied |= family_of(m)->facts & UNTIED;
    if (m->window == 0 && (is(m, "gemma3n") || is(m, "cohere2")))
        m->window = 6;
}

/* Norms of queries and keys that only some models of an architecture have. */
static bool has_head_norms(const struct tiny_model *m)
{
    return m->qk_norms && (is(m, "command-r") || is(m, "stablelm"));
}

static bool has_ffn_norm(const struct tiny_model *m)
{
    return !(family_of(m)->facts & NO_FFN_NORM) && !(is(m, "stablelm") && m->parallel);
}

static void list_attention(struct tensor_list *l, const struct tiny_model *m, uint32_t layer)
{
    unsigned f = family_of(m)->facts;
    uint32_t q = m->n_heads * m->head, kv = m->n_kv_heads * m->head, e = m->n_embd;
    bool biases = m->biases || f & BIASES, fused = m->fused_qkv || f & FUSED_QKV;
    bool by_head = has_head_norms(m), pre = !(f & NO_PRE_NORM);
    bool norm_2 = is(m, "falcon") && m->parallel;
    bool shared_norm = is(m, "glm4moe") && m->qk_norms; /* of all heads alike */
    /* Nothing else keeps this one's scores small. */
    enum fill q_norm = is(m, "gemma3n") ? FILL_BIAS : FILL_NORM;
    const struct layer_row rows[] = {
        {"attn_norm.weight", pre, FILL_NORM, 1, e},
        {"attn_norm.bias", pre && f & NORM_BIAS, FILL_BIAS, 1, e},
        {"attn_norm_2.weight", norm_2, FILL_NORM, 1, e},
        {"attn_norm_2.bias", norm_2, FILL_BIAS, 1, e},
        {"attn_qkv.weight", fused, FILL_MATRIX, q + 2 * kv, e},
        {"attn_qkv.bias", fused && biases, FILL_BIAS, 1, q + 2 * kv},
        {"attn_q.weight", !fused, FILL_MATRIX, q, e},
        {"attn_q.bias", !fused && biases, FILL_BIAS, 1, q},
        {"attn_k.weight", !fused, FILL_MATRIX, kv, e},
        {"attn_k.bias", !fused && biases, FILL_BIAS, 1, kv},
        {"attn_v.weight", !fused, FILL_MATRIX, kv, e},
        {"attn_v.bias", !fused && biases, FILL_BIAS, 1, kv},
        {"attn_q_norm.weight", f & QK_NORM, q_norm, 1, m->head},
        {"attn_k_norm.weight", f & QK_NORM, FILL_NORM, 1, m->head},
        {"attn_q_norm.weight", f & QK_NORM_ALL, FILL_NORM, 1, q},
        {"attn_k_norm.weight", f & QK_NORM_ALL, FILL_NORM, 1, kv},
        {"attn_q_norm.weight", by_head, FILL_NORM_2D, m->n_heads, m->head},
        {"attn_k_norm.weight", by_head, FILL_NORM_2D, m->n_kv_heads, m->head},
        {"attn_q_norm.weight", shared_norm, FILL_NORM, 1, m->head},
        {"attn_k_norm.weight", shared_norm, FILL_NORM, 1, m->head},
        {"attn_sinks.weight", is(m, "gpt-oss"), FILL_BIAS, 1, m->n_heads},
        {"attn_output.weight", true, FILL_MATRIX, e, q},
        {"attn_output.bias", biases && !(f & QKV_BIASES), FILL_BIAS, 1, e},
        {"post_attention_norm.weight", f & (POST_NORMS | POST_ATTN_NAME), FILL_NORM, 1, e},
    };
    tiny_list_layer(l, m, layer, rows, ARRAY_LEN(rows));
}

static void list_ffn(struct tensor_list *l, const struct tiny_model *m, uint32_t layer)
{
    unsigned f = family_of(m)->facts;
    uint32_t e = m->n_embd, n_ff = m->n_ff;
    bool experts = tiny_experts(m) && tiny_experts_layer(l, m, layer);
    bool norm = has_ffn_norm(m), gate = !(f & NO_GATE) && !experts, fused = f & FUSED_GATE;
    bool optional = is(m, "granite") || is(m, "smollm3") || is(m, "mistral3") || is(m, "minicpm");
    bool biases = (f & BIASES && !(f & QKV_BIASES)) || (m->biases && optional);
    const struct layer_row rows[] = {
        {"ffn_norm.weight", norm && !(f & POST_ATTN_NAME), FILL_NORM, 1, e},
        {"ffn_norm.bias", norm && f & NORM_BIAS, FILL_BIAS, 1, e},
        {"ffn_gate.weight", gate && !fused, FILL_MATRIX, n_ff, e},
        {"ffn_gate.bias", gate && biases, FILL_BIAS, 1, n_ff},
        {"ffn_up.weight", !experts, FILL_MATRIX, fused ? 2 * n_ff : n_ff, e},
        {"ffn_up.bias", biases && !experts, FILL_BIAS, 1, n_ff},
        {"ffn_down.weight", !experts, FILL_MATRIX, e, n_ff},
        {"ffn_down.bias", biases && !experts, FILL_BIAS, 1, e},
        {"post_ffw_norm.weight", f & POST_NORMS, FILL_NORM, 1, e},
    };
    tiny_list_layer(l, m, layer, rows, ARRAY_LEN(rows));
}

static uint32_t input_width(const struct tiny_model *m)
{
    return m->n_input > 0 ? m->n_input : 256;
}

/* What only gemma3n has, see altup.h in src/engine/model. */
static void list_altup(struct tensor_list *l, const struct tiny_model *m, uint32_t layer)
{
    uint32_t n = TINY_STREAMS, e = m->n_embd, rank = m->rank > 0 ? m->rank : 64;
    const struct layer_row rows[] = {
        {"altup_predict_coef.weight", true, FILL_BIAS_2D, n * n, n},
        {"altup_correct_coef.weight", true, FILL_BIAS_2D, n, n},
        {"altup_correct_scale.weight", true, FILL_NORM, 1, e},
        {"altup_router.weight", true, FILL_MATRIX, n, e},
        {"altup_router_norm.weight", true, FILL_ROUTER, 1, e},
        {"laurel_l.weight", true, FILL_MATRIX, rank, e},
        {"laurel_r.weight", true, FILL_MATRIX, e, rank},
        {"laurel_post_norm.weight", true, FILL_NORM, 1, e},
        {"inp_gate.weight", true, FILL_MATRIX, input_width(m), e},
        {"proj.weight", true, FILL_MATRIX, e, input_width(m)},
        {"post_norm.weight", true, FILL_NORM, 1, e},
    };
    tiny_list_layer(l, m, layer, rows, ARRAY_LEN(rows));
}

void tiny_dense_layer(struct tensor_list *l, const struct tiny_model *m, uint32_t layer)
{
    if (tiny_mla(m))
        tiny_mla_attention(l, m, layer);
    else
        list_attention(l, m, layer);
    list_ffn(l, m, layer);
    if (is(m, "gemma3n"))
        list_altup(l, m, layer);
}

void tiny_dense_globals(struct tensor_list *l, const struct tiny_model *m)
{
    unsigned f = family_of(m)->facts;
    if (f & NORM_BIAS)
        tiny_list_add(l, FILL_BIAS, m->type, 1, m->n_embd, "output_norm.bias");
    if (f & OUTPUT_BIAS)
        tiny_list_add(l, FILL_BIAS, m->type, 1, m->n_vocab, "output.bias");
    if (f & POSITIONS)
        tiny_list_add(l, FILL_EMBEDDING, WT_F32, m->n_ctx, m->n_embd, "position_embd.weight");
    if (is(m, "gemma3n")) {
        uint32_t width = input_width(m) * m->n_layers, e = m->n_embd, others = TINY_STREAMS - 1;
        tiny_list_add(l, FILL_EMBEDDING, m->type, m->n_vocab, width, "per_layer_token_embd.weight");
        tiny_list_add(l, FILL_MATRIX, m->type, width, e, "per_layer_model_proj.weight");
        tiny_list_add(l, FILL_NORM, m->type, 1, input_width(m), "per_layer_proj_norm.weight");
        tiny_list_add(l, FILL_STREAMS, m->type, others * e, e, "altup_proj.weight");
        tiny_list_add(l, FILL_STREAMS, m->type, others * e, e, "altup_unembd_proj.weight");
    }
    if (m->longrope_ctx > 0) {
        tiny_list_add(l, FILL_FACTORS, m->type, 1, m->rope_dims / 2, "rope_factors_short.weight");
        tiny_list_add(l, FILL_FACTORS, m->type, 1, m->rope_dims / 2, "rope_factors_long.weight");
    }
}

bool tiny_dense_leaves_out(const struct tiny_model *m, const char *suffix)
{
    unsigned f = family_of(m)->facts;
    return f & LAYER_NORM && strcmp(suffix, "attention.layer_norm_rms_epsilon") == 0;
}

static const char *key_of(const struct tiny_model *m, const char *suffix, char out[96])
{
    snprintf(out, 96, "%s.%s", m->arch, suffix);
    return out;
}

/* Four numbers of each layer. */
static void write_xielu(struct gguf_writer *w, const struct tiny_model *m)
{
    static const struct {
        const char *key;
        float first, step;
    } rows[] = {{"xielu.alpha_p", 0.5f, 0.1f},
                {"xielu.alpha_n", 0.9f, -0.2f},
                {"xielu.beta", 0.5f, 0.02f},
                {"xielu.eps", -1e-2f, -1e-2f}};
    CLEANUP_FREE float *v = xcalloc(m->n_layers, sizeof(*v));
    for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
        for (uint32_t i = 0; i < m->n_layers; i++)
            v[i] = rows[k].first + (float)i * rows[k].step;
        gguf_writer_f32_array(w, rows[k].key, v, m->n_layers);
    }
}

static void write_altup(struct gguf_writer *w, const struct tiny_model *m)
{
    char key[96];
    uint32_t shared = m->n_layers > 20 ? m->n_layers - 20 : 0;
    gguf_writer_u32(w, key_of(m, "altup.num_inputs", key), TINY_STREAMS);
    gguf_writer_u32(w, key_of(m, "altup.active_idx", key), 0);
    gguf_writer_u32(w, key_of(m, "embedding_length_per_layer_input", key), input_width(m));
    gguf_writer_u32(w, key_of(m, "attention.shared_kv_layers", key),
                    m->n_shared_kv > 0 ? m->n_shared_kv : shared);
}

void tiny_dense_keys(struct gguf_writer *w, const struct tiny_model *m)
{
    unsigned f = family_of(m)->facts;
    bool all = f & ALL_SCALES;
    const struct {
        const char *suffix;
        bool wanted;
        float value;
    } reals[] = {
        {"attention.layer_norm_epsilon", f & LAYER_NORM, m->eps > 0 ? (float)m->eps : 1e-5f},
        {"embedding_scale", all, 1.7f},
        {"residual_scale", all, 0.3f},
        {"attention.scale", is(m, "granite") || is(m, "granitemoe"), 0.4f},
        {"logit_scale", f & LOGIT_SCALE, all ? 3.0f : 0.6f},
        {"rope.freq_base_swa", m->local_base > 0, (float)m->local_base},
        {"attention.temperature_scale", m->temp_scale > 0, (float)m->temp_scale},
        {"rope.scaling.attn_factor", m->longrope_ctx > 0, 1.19f},
    };
    char key[96];
    for (size_t i = 0; i < ARRAY_LEN(reals); i++)
        if (reals[i].wanted)
            gguf_writer_f32(w, key_of(m, reals[i].suffix, key), reals[i].value);
    if (m->longrope_ctx > 0)
        gguf_writer_u32(w, key_of(m, "rope.scaling.original_context_length", key), m->longrope_ctx);
    if (m->longrope_ctx > 0 && is(m, "minicpm"))
        gguf_writer_str(w, key_of(m, "rope.scaling.type", key), STR("longrope"));
    if (m->no_rope)
        gguf_writer_bool(w, key_of(m, "rope.scaling.finetuned", key), false);
    if (is(m, "gptneox") || is(m, "stablelm"))
        gguf_writer_bool(w, key_of(m, "use_parallel_residual", key), m->parallel);
    if (is(m, "gemma3n"))
        write_altup(w, m);
    if (is(m, "apertus"))
        write_xielu(w, m);
    if (m->yarn_log_multiplier > 0)
        gguf_writer_f32(w, key_of(m, "rope.scaling.yarn_log_multiplier", key),
                        (float)m->yarn_log_multiplier);
}
