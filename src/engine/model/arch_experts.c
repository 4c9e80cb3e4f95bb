/* SPDX-License-Identifier: Apache-2.0
 *
 * The rows of architectures that are mixtures of experts in ways of their own. */
#include "engine/model/arch.h"

#define T(name) LAYER_TENSOR(LT_##name)

#define TENSORS_ATTENTION (T(ATTN_NORM) | T(ATTN_Q) | T(ATTN_K) | T(ATTN_V) | T(ATTN_OUT))
#define TENSORS_GATED (T(FFN_GATE) | T(FFN_UP) | T(FFN_DOWN))
#define BIASES_QKV (T(ATTN_Q_BIAS) | T(ATTN_K_BIAS) | T(ATTN_V_BIAS))
#define BIASES_EXPERTS \
    (T(FFN_GATE_EXPERTS_BIAS) | T(FFN_UP_EXPERTS_BIAS) | T(FFN_DOWN_EXPERTS_BIAS))

static const struct arch archs[] = {
    {
        .name = "gpt-oss",
        .rope = ROPE_HALVES,
        .window_period = 2,
        .act = ACT_SILU,
        .gated = true,
        .experts = EXPERTS_ALWAYS,
        .expert_clamped = true,
        .required = TENSORS_ATTENTION | BIASES_QKV | T(ATTN_OUT_BIAS) | T(ATTN_SINKS) |
                    T(FFN_NORM_POST) | TENSORS_GATED,
        .experts_required = T(FFN_ROUTER_BIAS) | BIASES_EXPERTS,
    },
    {
        .name = "qwen2moe", /* Qwen1.5-MoE, Qwen2-57B-A14B */
        .rope = ROPE_HALVES,
        .act = ACT_SILU,
        .gated = true,
        .experts = EXPERTS_ALWAYS,
        .expert_norm = EXPERT_NORM_NO,
        .shared = SHARED_ALWAYS,
        .required = TENSORS_ATTENTION | T(FFN_NORM) | TENSORS_GATED,
        .optional = BIASES_QKV,
        .experts_required = T(FFN_SHARED_ROUTER),
    },
    {
        .name = "glm4moe", /* GLM-4.5, 4.6 and Air */
        .rope = ROPE_HALVES,
        .act = ACT_SILU,
        .gated = true,
        .experts = EXPERTS_ALWAYS,
        .expert_norm = EXPERT_NORM_KEY,
        .expert_sigmoid = true,
        .shared = SHARED_MAYBE,
        .dense_first = true,
        .draft_layers = true,
        .required = TENSORS_ATTENTION | T(FFN_NORM_POST) | TENSORS_GATED,
        .optional = BIASES_QKV | T(ATTN_Q_NORM) | T(ATTN_K_NORM),
        .experts_required = T(FFN_ROUTER_FAVOR),
    },
    {
        .name = "granitemoe", /* Granite 3 of 1B and 3B */
        .rope = ROPE_ADJACENT,
        .rope_where = ROPE_KEY,
        .scales = SCALES_GRANITE,
        .act = ACT_SILU,
        .gated = true,
        .experts = EXPERTS_ALWAYS,
        .shared = SHARED_MAYBE,
        .required = TENSORS_ATTENTION | T(FFN_NORM) | TENSORS_GATED,
        .optional = BIASES_QKV | T(ATTN_OUT_BIAS),
    },
    {
        .name = "olmoe",
        .rope = ROPE_HALVES,
        .qk_norm_whole = true,
        .act = ACT_SILU,
        .gated = true,
        .experts = EXPERTS_ALWAYS,
        .expert_norm = EXPERT_NORM_NO,
        .required = TENSORS_ATTENTION | T(ATTN_Q_NORM_ALL) | T(ATTN_K_NORM_ALL) | T(FFN_NORM) |
                    TENSORS_GATED,
    },
    {
        .name = "ernie4_5-moe", /* ERNIE 4.5 21B-A3B, 300B-A47B */
        .rope = ROPE_ADJACENT,
        .act = ACT_SILU,
        .gated = true,
        .experts = EXPERTS_ALWAYS,
        .shared = SHARED_MAYBE,
        .dense_first = true,
        .required = TENSORS_ATTENTION | T(FFN_NORM) | TENSORS_GATED,
        .optional = BIASES_QKV,
        .experts_optional = T(FFN_ROUTER_FAVOR),
    },
    {
        .name = "deepseek", /* DeepSeekMoE 16B */
        .rope = ROPE_ADJACENT,
        .act = ACT_SILU,
        .gated = true,
        .experts = EXPERTS_ALWAYS,
        .expert_norm = EXPERT_NORM_NO,
        .shared = SHARED_MAYBE,
        .dense_first = true,
        .required = TENSORS_ATTENTION | T(FFN_NORM) | TENSORS_GATED,
        .optional = BIASES_QKV | T(ATTN_OUT_BIAS),
    },
    {
        .name = "deepseek2", /* DeepSeek V2, V2-Lite, V3, R1; Kimi K2, Moonlight, GLM-4.7-Flash */
        .rope = ROPE_ADJACENT,
        .yarn_log = true,
        .mla = true,
        .act = ACT_SILU,
        .gated = true,
        .experts = EXPERTS_ALWAYS,
        .expert_norm = EXPERT_NORM_KEY,
        .expert_gating = true,
        .expert_groups = true,
        .shared = SHARED_MAYBE,
        .dense_first = true,
        .required = T(ATTN_NORM) | T(FFN_NORM) | TENSORS_GATED,
        .experts_optional = T(FFN_ROUTER_FAVOR),
    },
};

const struct arch *experts_arch_at(size_t i)
{
    return i < ARRAY_LEN(archs) ? &archs[i] : NULL;
}
