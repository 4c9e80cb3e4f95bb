/* SPDX-License-Identifier: Apache-2.0
 *
 * The rows of decoders with one feed-forward part a layer that differ from Llama's in more than
 * sizes. Activations are those that llama.cpp computes where the original model has another form of
 * the same function (GELU by tanh). */
#include "engine/model/arch.h"

#define T(name) LAYER_TENSOR(LT_##name)

#define TENSORS_QKV (T(ATTN_Q) | T(ATTN_K) | T(ATTN_V) | T(ATTN_OUT))
#define TENSORS_ATTENTION (T(ATTN_NORM) | TENSORS_QKV)
#define TENSORS_GATED (T(FFN_GATE) | T(FFN_UP) | T(FFN_DOWN))
#define TENSORS_FFN (T(FFN_NORM) | TENSORS_GATED)
#define BIASES_QKV (T(ATTN_Q_BIAS) | T(ATTN_K_BIAS) | T(ATTN_V_BIAS))
#define BIASES_ATTENTION (BIASES_QKV | T(ATTN_OUT_BIAS))
#define BIASES_GATED (T(FFN_GATE_BIAS) | T(FFN_UP_BIAS) | T(FFN_DOWN_BIAS))
#define BIASES_PLAIN (T(FFN_UP_BIAS) | T(FFN_DOWN_BIAS))
#define POST_NORMS (T(POST_ATTN_NORM) | T(POST_FFN_NORM))
#define QK_NORMS (T(ATTN_Q_NORM) | T(ATTN_K_NORM))
#define QK_NORMS_ALL (T(ATTN_Q_NORM_ALL) | T(ATTN_K_NORM_ALL))

/* A layer of GPT-2: layer norms and biases everywhere, a feed-forward part without a gate. */
#define TENSORS_GPT                                                                              \
    (TENSORS_ATTENTION | T(ATTN_NORM_BIAS) | BIASES_ATTENTION | T(FFN_NORM) | T(FFN_NORM_BIAS) | \
     T(FFN_UP) | T(FFN_DOWN) | BIASES_PLAIN)

static const struct arch archs[] = {
    {
        .name = "gemma",
        .rope = ROPE_HALVES,
        .act = ACT_GELU_TANH,
        .gated = true,
        .embd_scale_sqrt = true,
        .required = TENSORS_ATTENTION | TENSORS_FFN,
    },
    {
        .name = "gemma3",
        .rope = ROPE_HALVES,
        .local = LOCAL_BASE_UNSCALED,
        .local_base = 10000,
        .act = ACT_GELU_TANH,
        .gated = true,
        .embd_scale_sqrt = true,
        .window_period = 6,
        .embd_scale_layers = 62, /* the 27B model */
        .required = TENSORS_ATTENTION | QK_NORMS | TENSORS_FFN | POST_NORMS,
    },
    {
        .name = "gemma3n",
        .rope = ROPE_HALVES,
        .local = LOCAL_BASE_UNSCALED,
        .local_base = 10000,
        .altup = true,
        .attn_scale = 1,
        .act = ACT_GELU_TANH,
        .gated = true,
        .embd_scale_sqrt = true,
        .window_default = 512,
        .window_period = 5,
        .final_softcap_default = 30,
        .required = TENSORS_ATTENTION | QK_NORMS | TENSORS_FFN | POST_NORMS,
    },
    {
        .name = "phi3", /* Phi-3, Phi-3.5, Phi-4 and their mini models */
        .rope = ROPE_HALVES,
        .fused_gate = true,
        .window_ignored = true,
        .act = ACT_SILU,
        .gated = true,
        .required = TENSORS_ATTENTION | TENSORS_FFN,
        .optional = BIASES_QKV,
    },
    {
        .name = "granite", /* Granite 3 and 4, dense; Granite Code of 3B and 8B is a `llama` */
        .rope = ROPE_ADJACENT,
        .rope_where = ROPE_KEY,
        .scales = SCALES_GRANITE,
        .act = ACT_SILU,
        .gated = true,
        .required = TENSORS_ATTENTION | TENSORS_FFN,
        .optional = BIASES_ATTENTION | BIASES_GATED,
    },
    {
        .name = "smollm3",
        .rope = ROPE_ADJACENT,
        .rope_where = ROPE_THREE_OF_4,
        .act = ACT_SILU,
        .gated = true,
        .required = TENSORS_ATTENTION | TENSORS_FFN,
        .optional = BIASES_ATTENTION | BIASES_GATED,
    },
    {
        .name = "mistral3", /* Ministral 3, Mistral Small 3.2 and later */
        .rope = ROPE_ADJACENT,
        .temperature = true,
        .yarn_log = true,
        .act = ACT_SILU,
        .gated = true,
        .required = TENSORS_ATTENTION | TENSORS_FFN,
        .optional = BIASES_ATTENTION | BIASES_GATED,
    },
    {
        .name = "starcoder2",
        .rope = ROPE_HALVES,
        .layer_norm = true,
        .act = ACT_GELU_TANH,
        .required = TENSORS_GPT,
    },
    {
        .name = "olmo2", /* OLMo 2 and 3 */
        .rope = ROPE_HALVES,
        .local = LOCAL_MODEL_UNSCALED,
        .qk_norm_whole = true,
        .window_period = 4,
        .act = ACT_SILU,
        .gated = true,
        .required = TENSORS_QKV | QK_NORMS_ALL | TENSORS_GATED | POST_NORMS,
    },
    {
        .name = "command-r", /* Command R, Aya */
        .rope = ROPE_ADJACENT,
        .layer_norm = true,
        .parallel = PARALLEL_YES,
        .scales = SCALES_LOGITS,
        .act = ACT_SILU,
        .gated = true,
        .required = TENSORS_ATTENTION | TENSORS_GATED,
        .optional = BIASES_ATTENTION | QK_NORMS_ALL,
    },
    {
        .name = "cohere2", /* Command R7B, Command A */
        .rope = ROPE_ADJACENT,
        .rope_where = ROPE_WINDOWS,
        .window_default = 4096,
        .window_period = 4,
        .layer_norm = true,
        .parallel = PARALLEL_YES,
        .scales = SCALES_LOGITS,
        .act = ACT_SILU,
        .gated = true,
        .required = TENSORS_ATTENTION | TENSORS_GATED,
        .optional = BIASES_ATTENTION,
    },
    {
        .name = "glm4", /* GLM-4-0414 */
        .rope = ROPE_ADJACENT,
        .fused_gate = true,
        .act = ACT_SILU,
        .gated = true,
        .required = TENSORS_ATTENTION | TENSORS_FFN | POST_NORMS,
        .optional = BIASES_QKV,
    },
    {
        .name = "chatglm", /* ChatGLM 3, GLM-4 of 2024 */
        .rope = ROPE_ADJACENT,
        .fused_gate = true,
        .act = ACT_SILU,
        .gated = true,
        .required = TENSORS_ATTENTION | TENSORS_FFN,
        .optional = BIASES_QKV,
    },
    {
        .name = "hunyuan-dense",
        .rope = ROPE_HALVES,
        .qk_norm_rotated = true,
        .act = ACT_SILU,
        .gated = true,
        .required = TENSORS_ATTENTION | QK_NORMS | TENSORS_FFN,
    },
    {
        .name = "arcee",
        .rope = ROPE_ADJACENT,
        .act = ACT_RELU_SQR,
        .required = TENSORS_ATTENTION | T(FFN_NORM) | T(FFN_UP) | T(FFN_DOWN),
    },
    {
        .name = "xverse",
        .rope = ROPE_ADJACENT,
        .act = ACT_SILU,
        .gated = true,
        .required = TENSORS_ATTENTION | TENSORS_FFN,
    },
    {
        .name = "seed_oss",
        .rope = ROPE_HALVES,
        .act = ACT_SILU,
        .gated = true,
        .required = TENSORS_ATTENTION | T(FFN_NORM_POST) | TENSORS_GATED,
        .optional = BIASES_QKV,
    },
    {
        .name = "ernie4_5",
        .rope = ROPE_ADJACENT,
        .act = ACT_SILU,
        .gated = true,
        .required = TENSORS_ATTENTION | TENSORS_FFN,
        .optional = BIASES_ATTENTION,
    },
    {
        .name = "phi2",
        .rope = ROPE_HALVES,
        .layer_norm = true,
        .parallel = PARALLEL_YES,
        .act = ACT_GELU_TANH,
        .required = TENSORS_ATTENTION | T(ATTN_NORM_BIAS) | BIASES_ATTENTION | T(FFN_UP) |
                    T(FFN_DOWN) | BIASES_PLAIN,
    },
    {
        .name = "falcon",
        .rope = ROPE_HALVES,
        .layer_norm = true,
        .parallel = PARALLEL_YES,
        .act = ACT_GELU_TANH,
        .required = TENSORS_ATTENTION | T(ATTN_NORM_BIAS) | T(FFN_UP) | T(FFN_DOWN),
        .optional = T(ATTN_NORM_2) | T(ATTN_NORM_2_BIAS),
    },
    {
        .name = "starcoder",
        .rope_where = ROPE_NOWHERE,
        .learned_positions = true,
        .layer_norm = true,
        .act = ACT_GELU_TANH,
        .required = TENSORS_GPT,
    },
    {
        .name = "codeshell",
        .rope = ROPE_HALVES,
        .layer_norm = true,
        .act = ACT_GELU_TANH,
        .required = TENSORS_GPT,
    },
    {
        .name = "nemotron", /* Nemotron 3 and 4, Minitron */
        .rope = ROPE_HALVES,
        .layer_norm = true,
        .act = ACT_RELU_SQR,
        .required = TENSORS_ATTENTION | T(ATTN_NORM_BIAS) | T(FFN_NORM) | T(FFN_NORM_BIAS) |
                    T(FFN_UP) | T(FFN_DOWN),
        .optional = BIASES_ATTENTION | BIASES_PLAIN,
    },
    {
        .name = "orion",
        .rope = ROPE_HALVES,
        .layer_norm = true,
        .act = ACT_SILU,
        .gated = true,
        .required = TENSORS_ATTENTION | T(ATTN_NORM_BIAS) | TENSORS_FFN | T(FFN_NORM_BIAS),
    },
    {
        .name = "gpt2",
        .rope_where = ROPE_NOWHERE,
        .learned_positions = true,
        .layer_norm = true,
        .act = ACT_GELU_TANH,
        .required = TENSORS_GPT,
    },
    {
        .name = "gptneox", /* GPT-NeoX, Pythia, RedPajama, Dolly */
        .rope = ROPE_HALVES,
        .layer_norm = true,
        .parallel = PARALLEL_KEY,
        .act = ACT_GELU_TANH,
        .required = TENSORS_GPT,
    },
    {
        .name = "stablelm",
        .rope = ROPE_HALVES,
        .layer_norm = true,
        .parallel = PARALLEL_NO_FFN_NORM,
        .act = ACT_SILU,
        .gated = true,
        .required = TENSORS_ATTENTION | T(ATTN_NORM_BIAS) | TENSORS_GATED,
        .optional = BIASES_QKV | QK_NORMS_ALL,
    },
    {
        .name = "internlm2",
        .rope = ROPE_ADJACENT,
        .act = ACT_SILU,
        .gated = true,
        .required = TENSORS_ATTENTION | TENSORS_FFN,
        .optional = BIASES_ATTENTION,
    },
    {
        .name = "exaone", /* EXAONE 3 and 3.5 */
        .rope = ROPE_HALVES,
        .act = ACT_SILU,
        .gated = true,
        .required = TENSORS_ATTENTION | TENSORS_FFN,
        .optional = BIASES_ATTENTION,
    },
    {
        .name = "exaone4",
        .rope = ROPE_HALVES,
        .rope_where = ROPE_WINDOWS,
        .window_period = 4,
        .act = ACT_SILU,
        .gated = true,
        .required = TENSORS_QKV | QK_NORMS | TENSORS_GATED | POST_NORMS,
    },
    {
        .name = "apertus",
        .rope = ROPE_HALVES,
        .xielu = true,
        .required = TENSORS_ATTENTION | QK_NORMS | T(FFN_NORM) | T(FFN_UP) | T(FFN_DOWN),
        .optional = BIASES_ATTENTION,
    },
    {
        .name = "minicpm",
        .rope = ROPE_ADJACENT,
        .scales = SCALES_MINICPM,
        .act = ACT_SILU,
        .gated = true,
        .required = TENSORS_ATTENTION | TENSORS_FFN,
        .optional = BIASES_ATTENTION | BIASES_GATED,
    },
    {
        .name = "baichuan", /* Baichuan 1 and 2: 7B rotates, 13B has ALiBi */
        .rope = ROPE_ADJACENT,
        .rope_where = ROPE_BAICHUAN,
        .act = ACT_SILU,
        .gated = true,
        .required = TENSORS_ATTENTION | TENSORS_FFN,
    },
};

const struct arch *dense_arch_at(size_t i)
{
    return i < ARRAY_LEN(archs) ? &archs[i] : NULL;
}
