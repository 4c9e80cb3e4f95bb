/* SPDX-License-Identifier: Apache-2.0
 *
 * The rows of architectures whose layers are not, or not only, attention. */
#include "engine/model/arch.h"
#include "engine/model/recurrent.h"

#define T(name) LAYER_TENSOR(LT_##name)

#define TENSORS_QKV (T(ATTN_Q) | T(ATTN_K) | T(ATTN_V) | T(ATTN_OUT))
#define TENSORS_FFN (T(FFN_GATE) | T(FFN_UP) | T(FFN_DOWN))
#define BIASES_QKV (T(ATTN_Q_BIAS) | T(ATTN_K_BIAS) | T(ATTN_V_BIAS))
#define BIASES_FFN (T(FFN_GATE_BIAS) | T(FFN_UP_BIAS) | T(FFN_DOWN_BIAS))
#define QK_NORMS (T(ATTN_Q_NORM) | T(ATTN_K_NORM))

#define TENSORS_MAMBA                                                                     \
    (T(SSM_IN) | T(SSM_CONV) | T(SSM_CONV_BIAS) | T(SSM_X) | T(SSM_DT) | T(SSM_DT_BIAS) | \
     T(SSM_A) | T(SSM_D) | T(SSM_OUT))
#define NORMS_MAMBA (T(SSM_DT_NORM) | T(SSM_B_NORM) | T(SSM_C_NORM))
#define TENSORS_MAMBA2 \
    (T(SSM_IN) | T(SSM_CONV) | T(SSM_DT_BIAS) | T(SSM_A_HEADS) | T(SSM_D_HEADS) | T(SSM_OUT))

static const struct arch archs[] = {
    {
        .name = "lfm2",
        .rope = ROPE_HALVES,
        .act = ACT_SILU,
        .gated = true,
        .required = T(ATTN_NORM) | T(FFN_NORM) | TENSORS_FFN,
        .recurrent =
            &(const struct recurrent_arch){
                .kind = RECURRENT_SHORTCONV,
                .where = WHERE_NO_KV_HEADS,
                .rotates = true,
                .has_ffn = true,
                .output_norm = "token_embd_norm.weight",
                .attention = TENSORS_QKV | QK_NORMS,
                .recurrent = T(SHORTCONV_IN) | T(SHORTCONV_CONV) | T(SHORTCONV_OUT),
            },
    },
    {
        .name = "mamba", /* Mamba, FalconMamba */
        .required = T(ATTN_NORM),
        .recurrent =
            &(const struct recurrent_arch){
                .kind = RECURRENT_MAMBA,
                .where = WHERE_ALL,
                .recurrent = TENSORS_MAMBA,
            },
    },
    {
        .name = "mamba2", /* Mamba 2, Codestral Mamba */
        .required = T(ATTN_NORM),
        .recurrent =
            &(const struct recurrent_arch){
                .kind = RECURRENT_MAMBA2,
                .where = WHERE_ALL,
                .recurrent = TENSORS_MAMBA2 | T(SSM_CONV_BIAS) | T(SSM_NORM_GROUPS),
            },
    },
    {
        .name = "granitehybrid", /* Granite 4 */
        .rope = ROPE_ADJACENT,
        .rope_where = ROPE_KEY,
        .scales = SCALES_GRANITE,
        .act = ACT_SILU,
        .gated = true,
        .required = T(ATTN_NORM) | T(FFN_NORM) | TENSORS_FFN,
        .optional = BIASES_FFN,
        .recurrent =
            &(const struct recurrent_arch){
                .kind = RECURRENT_MAMBA2,
                .where = WHERE_NO_KV_HEADS,
                .rotates = true,
                .has_ffn = true,
                .attention = TENSORS_QKV,
                .attention_optional = BIASES_QKV | T(ATTN_OUT_BIAS),
                .recurrent = TENSORS_MAMBA2 | T(SSM_NORM_GROUPS),
                .recurrent_optional = T(SSM_CONV_BIAS),
            },
    },
    {
        .name = "jamba",
        .act = ACT_SILU,
        .gated = true,
        .required = T(ATTN_NORM) | T(FFN_NORM) | TENSORS_FFN,
        .recurrent =
            &(const struct recurrent_arch){
                .kind = RECURRENT_MAMBA,
                .where = WHERE_NO_KV_HEADS,
                .has_ffn = true,
                .attention = TENSORS_QKV,
                .recurrent = TENSORS_MAMBA | NORMS_MAMBA,
            },
    },
    {
        .name = "falcon-h1",
        .rope = ROPE_HALVES,
        .act = ACT_SILU,
        .gated = true,
        .required = T(ATTN_NORM) | T(FFN_NORM_BARE) | TENSORS_FFN,
        .optional = BIASES_FFN,
        .recurrent =
            &(const struct recurrent_arch){
                .kind = RECURRENT_MAMBA2,
                .where = WHERE_BESIDE,
                .rotates = true,
                .has_ffn = true,
                .attention = TENSORS_QKV,
                .attention_optional = BIASES_QKV,
                .recurrent = TENSORS_MAMBA2,
                .recurrent_optional = T(SSM_CONV_BIAS) | T(SSM_NORM_GROUPS),
            },
    },
    {
        .name = "nemotron_h", /* Nemotron-H, Nemotron Nano v2 */
        .act = ACT_RELU_SQR,
        .required = T(ATTN_NORM),
        .recurrent =
            &(const struct recurrent_arch){
                .kind = RECURRENT_MAMBA2,
                .where = WHERE_OR_FFN,
                .has_ffn = true,
                .attention = TENSORS_QKV,
                .attention_optional = BIASES_QKV | T(ATTN_OUT_BIAS),
                .recurrent = TENSORS_MAMBA2 | T(SSM_NORM_GROUPS),
                .recurrent_optional = T(SSM_CONV_BIAS),
                .ffn = T(FFN_UP) | T(FFN_DOWN),
                .ffn_optional = T(FFN_UP_BIAS) | T(FFN_DOWN_BIAS),
            },
    },
    {
        .name = "qwen35", /* Qwen3.5 and 3.6, dense */
        .rope = ROPE_HALVES,
        .act = ACT_SILU,
        .gated = true,
        .required = T(ATTN_NORM) | T(FFN_NORM_POST) | TENSORS_FFN,
        .recurrent =
            &(const struct recurrent_arch){
                .kind = RECURRENT_DELTA_NET,
                .where = WHERE_INTERVAL,
                .rotates = true,
                .has_ffn = true,
                .tiled = true,
                .attention = T(ATTN_Q_GATE) | T(ATTN_K) | T(ATTN_V) | T(ATTN_OUT) | QK_NORMS,
                .recurrent = T(ATTN_QKV) | T(ATTN_GATE) | T(SSM_CONV) | T(SSM_DT_BIAS) |
                             T(SSM_A_VECTOR) | T(SSM_ALPHA) | T(SSM_BETA) | T(SSM_NORM_HEAD) |
                             T(SSM_OUT),
            },
    },
};

const struct arch *recurrent_arch_at(size_t i)
{
    return i < ARRAY_LEN(archs) ? &archs[i] : NULL;
}
