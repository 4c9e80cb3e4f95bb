/* SPDX-License-Identifier: Apache-2.0
 *
 * One row per architecture; more of them in arch_*.c. */
#include "engine/model/arch.h"

#include "engine/model/encoder.h"
#include "engine/model/recurrent.h"

#define T(name) LAYER_TENSOR(LT_##name)

#define TENSORS_ATTENTION (T(ATTN_NORM) | T(ATTN_Q) | T(ATTN_K) | T(ATTN_V) | T(ATTN_OUT))
#define TENSORS_FFN (T(FFN_NORM) | T(FFN_GATE) | T(FFN_UP) | T(FFN_DOWN))
#define BIASES_QKV (T(ATTN_Q_BIAS) | T(ATTN_K_BIAS) | T(ATTN_V_BIAS))
#define BIASES_FFN (T(FFN_GATE_BIAS) | T(FFN_UP_BIAS) | T(FFN_DOWN_BIAS))

static const struct arch archs[] = {
    {
        .name = "llama", /* Llama 1 to 3, Mistral, Mixtral, SmolLM, TinyLlama, … */
        .experts = EXPERTS_MAYBE,
        .rope = ROPE_ADJACENT,
        .act = ACT_SILU,
        .gated = true,
        .required = TENSORS_ATTENTION | TENSORS_FFN,
        .optional = BIASES_QKV | T(ATTN_OUT_BIAS) | BIASES_FFN,
    },
    {
        .name = "qwen2", /* Qwen 2 and 2.5 */
        .rope = ROPE_HALVES,
        .act = ACT_SILU,
        .gated = true,
        .required = TENSORS_ATTENTION | TENSORS_FFN | BIASES_QKV,
        .optional = T(ATTN_OUT_BIAS),
    },
    {
        .name = "qwen3",
        .rope = ROPE_HALVES,
        .act = ACT_SILU,
        .gated = true,
        .required = TENSORS_ATTENTION | TENSORS_FFN | T(ATTN_Q_NORM) | T(ATTN_K_NORM),
        .optional = BIASES_QKV | T(ATTN_OUT_BIAS),
        .head = HEAD_OUT | HEAD_FROM_LAST | HEAD_SOFTMAX, /* of its rerankers */
    },
    {
        .name = "qwen3moe",
        .experts = EXPERTS_ALWAYS,
        .rope = ROPE_HALVES,
        .act = ACT_SILU,
        .gated = true,
        .required = TENSORS_ATTENTION | TENSORS_FFN | T(ATTN_Q_NORM) | T(ATTN_K_NORM),
        .optional = BIASES_QKV | T(ATTN_OUT_BIAS),
    },
    {
        .name = "gemma2",
        .rope = ROPE_HALVES,
        .local = LOCAL_BASE,
        .act = ACT_GELU_TANH,
        .gated = true,
        .embd_scale_sqrt = true,
        .window_default = 4096,
        .window_period = 2,
        .attn_softcap_default = 50,
        .final_softcap_default = 30,
        .embd_scale_layers = 46, /* the 27B model: its heads are narrower than n_embd / n_heads */
        .required = TENSORS_ATTENTION | TENSORS_FFN | T(POST_ATTN_NORM) | T(POST_FFN_NORM),
    },
};

static const struct arch *first_arch_at(size_t i)
{
    return i < ARRAY_LEN(archs) ? &archs[i] : NULL;
}

const struct arch *arch_at(size_t i)
{
    static const struct arch *(*const tables[])(size_t i) = {
        first_arch_at,
        dense_arch_at,
        experts_arch_at,
        recurrent_arch_at,
        encoder_arch_at,
    };
    for (size_t k = 0; k < ARRAY_LEN(tables); k++) {
        size_t n = 0;
        for (; tables[k](n); n++)
            if (n == i)
                return tables[k](n);
        i -= n;
    }
    return NULL;
}

const struct arch *arch_find(struct str name)
{
    const struct arch *a;
    for (size_t i = 0; (a = arch_at(i)); i++)
        if (str_eq_c(name, a->name))
            return a;
    return NULL;
}

const char *descriptor_arch_name(size_t i)
{
    const struct arch *a = arch_at(i);
    return a ? a->name : NULL;
}
