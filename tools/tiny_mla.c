/* SPDX-License-Identifier: Apache-2.0
 *
 * Random models with latent attention; mla.h in src/engine/model has the formulas. */
#include <stdio.h>
#include <string.h>

#include "base/compiler.h"
#include "engine/kernels/types.h"
#include "tiny_model_internal.h"

bool tiny_mla(const struct tiny_model *m)
{
    return strcmp(m->arch, "deepseek2") == 0;
}

void tiny_mla_defaults(struct tiny_model *m)
{
    m->kv_rank = m->kv_rank > 0 ? m->kv_rank : 2 * m->head;
    m->value_head = m->value_head > 0 ? m->value_head : m->head;
    m->rope_dims = m->rope_dims < m->head ? m->rope_dims : m->head / 4 * 2;
}

void tiny_mla_attention(struct tensor_list *l, const struct tiny_model *m, uint32_t layer)
{
    uint32_t e = m->n_embd, n = m->n_heads, still = m->head - m->rope_dims, v = m->value_head;
    bool low = m->q_rank > 0;
    const struct layer_row rows[] = {
        {"attn_norm.weight", true, FILL_NORM, 1, e},
        {"attn_q.weight", !low, FILL_MATRIX, n * m->head, e},
        {"attn_q_a.weight", low, FILL_MATRIX, m->q_rank, e},
        {"attn_q_a_norm.weight", low, FILL_NORM, 1, m->q_rank},
        {"attn_q_b.weight", low, FILL_MATRIX, n * m->head, m->q_rank},
        {"attn_kv_a_mqa.weight", true, FILL_MATRIX, m->kv_rank + m->rope_dims, e},
        {"attn_kv_a_norm.weight", true, FILL_NORM, 1, m->kv_rank},
        {"attn_kv_b.weight", !m->latent, FILL_MATRIX, n * (still + v), m->kv_rank},
        {"attn_k_b.weight", m->latent, FILL_HEADS, n * m->kv_rank, still},
        {"attn_v_b.weight", m->latent, FILL_HEADS, n * v, m->kv_rank},
        {"attn_output.weight", true, FILL_MATRIX, e, n * v},
    };
    tiny_list_layer(l, m, layer, rows, ARRAY_LEN(rows));
}

bool tiny_mla_leaves_out(const char *suffix)
{
    return strcmp(suffix, "attention.head_count_kv") == 0 ||
           strcmp(suffix, "attention.key_length") == 0 ||
           strcmp(suffix, "attention.value_length") == 0;
}

void tiny_mla_keys(struct gguf_writer *w, const struct tiny_model *m)
{
    bool latent = m->latent;
    const struct {
        const char *suffix;
        bool wanted;
        uint32_t value;
    } counts[] = {
        {"attention.head_count_kv", true, latent ? 1 : m->n_heads},
        {"attention.key_length", true, latent ? m->kv_rank + m->rope_dims : m->head},
        {"attention.value_length", true, latent ? m->kv_rank : m->value_head},
        {"attention.key_length_mla", latent, m->head},
        {"attention.value_length_mla", latent, m->value_head},
        {"attention.kv_lora_rank", true, m->kv_rank},
        {"attention.q_lora_rank", m->q_rank > 0, m->q_rank},
    };
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        char key[96];
        snprintf(key, sizeof(key), "%s.%s", m->arch, counts[i].suffix);
        if (counts[i].wanted)
            gguf_writer_u32(w, key, counts[i].value);
    }
}
