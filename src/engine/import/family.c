/* SPDX-License-Identifier: Apache-2.0
 *
 * Families and their tensors. */
#include "engine/import/family.h"

#include "base/compiler.h"

static const struct tensor_name attention[] = {
    {"input_layernorm.weight", "attn_norm.weight", TENSOR_NORM, S_NONE, S_EMBD},
    {"self_attn.q_proj.weight", "attn_q.weight", TENSOR_Q, S_Q, S_EMBD},
    {"self_attn.k_proj.weight", "attn_k.weight", TENSOR_K, S_KV, S_EMBD},
    {"self_attn.v_proj.weight", "attn_v.weight", 0, S_KV, S_EMBD},
    {"self_attn.o_proj.weight", "attn_output.weight", 0, S_EMBD, S_Q},
    {0},
};

static const struct tensor_name attention_biases[] = {
    {"self_attn.q_proj.bias", "attn_q.bias", TENSOR_Q | TENSOR_OPTIONAL, S_NONE, S_Q},
    {"self_attn.k_proj.bias", "attn_k.bias", TENSOR_K | TENSOR_OPTIONAL, S_NONE, S_KV},
    {"self_attn.v_proj.bias", "attn_v.bias", TENSOR_OPTIONAL, S_NONE, S_KV},
    {"self_attn.o_proj.bias", "attn_output.bias", TENSOR_OPTIONAL, S_NONE, S_EMBD},
    {0},
};

static const struct tensor_name qk_norms[] = {
    {"self_attn.q_norm.weight", "attn_q_norm.weight", TENSOR_NORM, S_NONE, S_HEAD},
    {"self_attn.k_norm.weight", "attn_k_norm.weight", TENSOR_NORM, S_NONE, S_HEAD},
    {0},
};

static const struct tensor_name ffn_norm[] = {
    {"post_attention_layernorm.weight", "ffn_norm.weight", TENSOR_NORM, S_NONE, S_EMBD},
    {0},
};

static const struct tensor_name gated_ffn[] = {
    {"mlp.gate_proj.weight", "ffn_gate.weight", 0, S_FF, S_EMBD},
    {"mlp.up_proj.weight", "ffn_up.weight", 0, S_FF, S_EMBD},
    {"mlp.down_proj.weight", "ffn_down.weight", 0, S_EMBD, S_FF},
    {0},
};

static const struct tensor_name ffn_biases[] = {
    {"mlp.gate_proj.bias", "ffn_gate.bias", TENSOR_OPTIONAL, S_NONE, S_FF},
    {"mlp.up_proj.bias", "ffn_up.bias", TENSOR_OPTIONAL, S_NONE, S_FF},
    {"mlp.down_proj.bias", "ffn_down.bias", TENSOR_OPTIONAL, S_NONE, S_EMBD},
    {0},
};

static const struct tensor_name gemma_norms[] = {
    {"post_attention_layernorm.weight", "post_attention_norm.weight", TENSOR_NORM, S_NONE, S_EMBD},
    {"pre_feedforward_layernorm.weight", "ffn_norm.weight", TENSOR_NORM, S_NONE, S_EMBD},
    {"post_feedforward_layernorm.weight", "post_ffw_norm.weight", TENSOR_NORM, S_NONE, S_EMBD},
    {0},
};

static const struct tensor_name phi3[] = {
    {"input_layernorm.weight", "attn_norm.weight", TENSOR_NORM, S_NONE, S_EMBD},
    {"self_attn.qkv_proj.weight", "attn_qkv.weight", 0, S_QKV, S_EMBD},
    {"self_attn.o_proj.weight", "attn_output.weight", 0, S_EMBD, S_Q},
    {"mlp.gate_up_proj.weight", "ffn_up.weight", 0, S_FF_2, S_EMBD},
    {"mlp.down_proj.weight", "ffn_down.weight", 0, S_EMBD, S_FF},
    {0},
};

static const struct tensor_name qwen_experts[] = {
    {"mlp.gate.weight", "ffn_gate_inp.weight", 0, S_EXPERTS, S_EMBD},
    {"mlp.experts.#.gate_proj.weight", "ffn_gate_exps.weight", TENSOR_EXPERTS, S_FF, S_EMBD},
    {"mlp.experts.#.up_proj.weight", "ffn_up_exps.weight", TENSOR_EXPERTS, S_FF, S_EMBD},
    {"mlp.experts.#.down_proj.weight", "ffn_down_exps.weight", TENSOR_EXPERTS, S_EMBD, S_FF},
    {0},
};

static const struct tensor_name mixtral_experts[] = {
    {"block_sparse_moe.gate.weight", "ffn_gate_inp.weight", 0, S_EXPERTS, S_EMBD},
    {"block_sparse_moe.experts.#.w1.weight", "ffn_gate_exps.weight", TENSOR_EXPERTS, S_FF, S_EMBD},
    {"block_sparse_moe.experts.#.w3.weight", "ffn_up_exps.weight", TENSOR_EXPERTS, S_FF, S_EMBD},
    {"block_sparse_moe.experts.#.w2.weight", "ffn_down_exps.weight", TENSOR_EXPERTS, S_EMBD, S_FF},
    {0},
};

#define LISTS(...)                      \
    (const struct tensor_name *const[]) \
    {                                   \
        __VA_ARGS__, NULL               \
    }
#define LLAMA LISTS(attention, attention_biases, ffn_norm, gated_ffn, ffn_biases)
#define GEMMA2_FLAGS FAMILY_NORM_PLUS_ONE | FAMILY_TIED | FAMILY_HEAD_DIM | FAMILY_WINDOW

static const struct family families[] = {
    {"LlamaForCausalLM", "llama", FAMILY_PERMUTED, LLAMA},
    {"MistralForCausalLM", "llama", FAMILY_PERMUTED, LLAMA},
    {"MixtralForCausalLM", "llama", FAMILY_PERMUTED, LISTS(attention, ffn_norm, mixtral_experts)},
    {"Qwen2ForCausalLM", "qwen2", 0, LISTS(attention, attention_biases, ffn_norm, gated_ffn)},
    {"Qwen3ForCausalLM", "qwen3", FAMILY_HEAD_DIM,
     LISTS(attention, attention_biases, qk_norms, ffn_norm, gated_ffn)},
    {"Qwen3MoeForCausalLM", "qwen3moe", FAMILY_HEAD_DIM,
     LISTS(attention, attention_biases, qk_norms, ffn_norm, qwen_experts)},
    {"GemmaForCausalLM", "gemma", FAMILY_NORM_PLUS_ONE | FAMILY_TIED | FAMILY_HEAD_DIM,
     LISTS(attention, ffn_norm, gated_ffn)},
    {"Gemma2ForCausalLM", "gemma2", GEMMA2_FLAGS, LISTS(attention, gemma_norms, gated_ffn)},
    {"Gemma3ForCausalLM", "gemma3", GEMMA2_FLAGS,
     LISTS(attention, qk_norms, gemma_norms, gated_ffn)},
    {"Phi3ForCausalLM", "phi3", 0, LISTS(phi3, ffn_norm)},
    {"GraniteForCausalLM", "granite", FAMILY_PERMUTED, LLAMA},
    {"SmolLM3ForCausalLM", "smollm3", FAMILY_PERMUTED, LLAMA},
};

const struct family *family_at(size_t i)
{
    return i < ARRAY_LEN(families) ? &families[i] : NULL;
}

const struct family *family_find(struct str hf_architecture)
{
    for (size_t i = 0; i < ARRAY_LEN(families); i++)
        if (str_eq_c(hf_architecture, families[i].hf))
            return &families[i];
    return NULL;
}

uint64_t size_of(const struct sizes *s, enum size_of what)
{
    switch (what) {
    case S_EMBD:
        return s->embd;
    case S_Q:
        return s->q;
    case S_KV:
        return s->kv;
    case S_QKV:
        return s->q + 2 * s->kv;
    case S_HEAD:
        return s->head;
    case S_FF:
        return s->ff;
    case S_FF_2:
        return 2 * s->ff;
    case S_EXPERTS:
        return s->experts;
    case S_NONE:
        break;
    }
    return 1;
}
