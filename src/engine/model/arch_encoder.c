/* SPDX-License-Identifier: Apache-2.0
 *
 * One row per architecture of encoders. */
#include "base/compiler.h"
#include "engine/model/encoder.h"

#define E(name) (1u << ET_##name)

/* BERT's layer: norms behind the two halves, with biases. */
#define POST_NORMS \
    (E(ATTN_OUT_NORM) | E(ATTN_OUT_NORM_BIAS) | E(LAYER_OUT_NORM) | E(LAYER_OUT_NORM_BIAS))
#define BIASES_QKV (E(Q_BIAS) | E(K_BIAS) | E(V_BIAS))
#define BIASES_FFN (E(UP_BIAS) | E(DOWN_BIAS))
#define BIASES (BIASES_QKV | E(OUT_BIAS) | BIASES_FFN)

static const struct encoder_arch bert = {
    .learned_positions = true,
    .token_types = true,
    .ffn = ENCODER_FFN_PLAIN,
    .required = POST_NORMS,
    .optional = BIASES,
};
static const struct encoder_arch nomic_bert = {
    .rotates = true,
    .token_types = true,
    .ffn = ENCODER_FFN_GATED,
    .required = POST_NORMS,
    .optional = BIASES_QKV | E(OUT_BIAS),
};
static const struct encoder_arch jina_bert_v2 = {
    .alibi = true,
    .token_types = true,
    .ffn = ENCODER_FFN_BY_FILE,
    .required = POST_NORMS | E(OUT_BIAS) | E(DOWN_BIAS),
    .optional = BIASES_QKV | E(UP_BIAS) | E(Q_NORM) | E(Q_NORM_BIAS) | E(K_NORM) | E(K_NORM_BIAS) |
                E(ATTN_NORM_2) | E(ATTN_NORM_2_BIAS),
};
static const struct encoder_arch jina_bert_v3 = {
    .rotates = true,
    .token_types = true,
    .ffn = ENCODER_FFN_PLAIN,
    .required = POST_NORMS,
    .optional = BIASES,
};
static const struct encoder_arch modern_bert = {
    .rotates = true,
    .whole_first = true,
    .ffn = ENCODER_FFN_FUSED,
    .output_norm = "output_norm.weight",
    .required = E(FFN_NORM),
    .optional = E(ATTN_NORM), /* the first layer has none */
};
static const struct encoder_arch neo_bert = {
    .rms = true,
    .rotates = true,
    .ffn = ENCODER_FFN_FUSED,
    .output_norm = "enc.output_norm.weight",
    .required = E(ATTN_NORM) | E(FFN_NORM),
};
static const struct encoder_arch eurobert = {
    .rms = true,
    .rotates = true,
    .ffn = ENCODER_FFN_GATED,
    .output_norm = "output_norm.weight",
    .required = E(ATTN_NORM) | E(FFN_NORM),
};
static const struct encoder_arch gemma_embedding = {
    .rms = true,
    .rotates = true,
    .qk_norm_by_head = true,
    .ffn = ENCODER_FFN_GATED,
    .output_norm = "output_norm.weight",
    .required =
        E(ATTN_NORM) | E(Q_NORM) | E(K_NORM) | E(POST_ATTN_NORM) | E(FFN_NORM) | E(POST_FFN_NORM),
};

static const struct arch archs[] = {
    {
        .name = "bert", /* MiniLM, BGE, E5, XLM-RoBERTa and its rerankers, … */
        .act = ACT_GELU_TANH,
        .encoder = &bert,
        .head = HEAD_CLS | HEAD_OUT | HEAD_OUT_BIAS,
    },
    {
        .name = "nomic-bert",
        .rope = ROPE_HALVES,
        .act = ACT_SILU,
        .encoder = &nomic_bert,
    },
    {
        .name = "jina-bert-v2",
        .act = ACT_GELU_TANH,
        .encoder = &jina_bert_v2,
        .head = HEAD_CLS_ONE,
    },
    {
        .name = "jina-bert-v3",
        .rope = ROPE_HALVES,
        .act = ACT_GELU_TANH,
        .encoder = &jina_bert_v3,
    },
    {
        .name = "modern-bert", /* ModernBERT, granite-embedding, its rerankers */
        .rope = ROPE_HALVES,
        .act = ACT_GELU_TANH,
        .window_period = 3,
        .encoder = &modern_bert,
        .head = HEAD_CLS | HEAD_CLS_NORM | HEAD_OUT | HEAD_OUT_BIAS | HEAD_FROM_MEAN | HEAD_GELU,
    },
    {
        .name = "neo-bert",
        .rope = ROPE_ADJACENT,
        .act = ACT_SILU,
        .encoder = &neo_bert,
        .head = HEAD_CLS | HEAD_OUT | HEAD_OUT_BIAS,
    },
    {
        .name = "eurobert",
        .rope = ROPE_HALVES,
        .act = ACT_SILU,
        .encoder = &eurobert,
    },
    {
        .name = "gemma-embedding", /* EmbeddingGemma */
        .rope = ROPE_HALVES,
        .act = ACT_GELU_TANH,
        .embd_scale_sqrt = true,
        .window_period = 6,
        .encoder = &gemma_embedding,
        .head = HEAD_DENSE,
    },
};

const struct arch *encoder_arch_at(size_t i)
{
    return i < ARRAY_LEN(archs) ? &archs[i] : NULL;
}
