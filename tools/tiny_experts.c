/* SPDX-License-Identifier: Apache-2.0
 *
 * Random models of decoders that are mixtures of experts. */
#include <stdio.h>
#include <string.h>

#include "base/compiler.h"
#include "engine/kernels/types.h"
#include "tiny_model_internal.h"

bool tiny_experts(const struct tiny_model *m)
{
    static const char *const archs[] = {"gpt-oss", "qwen2moe",     "glm4moe",   "granitemoe",
                                        "olmoe",   "ernie4_5-moe", "deepseek2", "deepseek"};
    for (size_t i = 0; i < ARRAY_LEN(archs); i++)
        if (strcmp(m->arch, archs[i]) == 0)
            return true;
    return false;
}

static bool is(const struct tiny_model *m, const char *arch)
{
    return strcmp(m->arch, arch) == 0;
}

bool tiny_experts_layer(struct tensor_list *l, const struct tiny_model *m, uint32_t layer)
{
    uint32_t e = m->n_embd, n = m->n_experts, ff = m->n_ff, shared = m->n_ff_shared;
    bool biases = is(m, "gpt-oss"), beside = shared > 0, draft = layer >= m->n_layers;
    bool favor = is(m, "glm4moe") || is(m, "ernie4_5-moe") || m->expert_sigmoid;
    const struct layer_row rows[] = {
        {"ffn_gate_inp.weight", true, FILL_MATRIX, n, e},
        {"ffn_gate_inp.bias", biases, FILL_BIAS, 1, n},
        {"exp_probs_b.bias", favor, FILL_BIAS, 1, n},
        {"ffn_gate_exps.weight", true, FILL_EXPERTS, n * ff, e},
        {"ffn_gate_exps.bias", biases, FILL_LARGE_2D, n, ff},
        {"ffn_up_exps.weight", true, FILL_EXPERTS, n * ff, e},
        {"ffn_up_exps.bias", biases, FILL_LARGE_2D, n, ff},
        {"ffn_down_exps.weight", true, FILL_EXPERTS, n * e, ff},
        {"ffn_down_exps.bias", biases, FILL_BIAS_2D, n, e},
        {"ffn_gate_shexp.weight", beside, FILL_MATRIX, shared, e},
        {"ffn_up_shexp.weight", beside, FILL_MATRIX, shared, e},
        {"ffn_down_shexp.weight", beside, FILL_MATRIX, e, shared},
        {"ffn_gate_inp_shexp.weight", is(m, "qwen2moe"), FILL_BIAS, 1, e},
        {"nextn.eh_proj.weight", draft, FILL_MATRIX, e, 2 * e},
        {"nextn.enorm.weight", draft, FILL_NORM, 1, e},
        {"nextn.hnorm.weight", draft, FILL_NORM, 1, e},
    };
    if (layer < m->n_dense)
        return false;
    tiny_list_layer(l, m, layer, rows, ARRAY_LEN(rows));
    return true;
}

void tiny_experts_keys(struct gguf_writer *w, const struct tiny_model *m)
{
    bool groups = m->n_expert_groups > 0;
    bool counted = is(m, "glm4moe") || is(m, "deepseek2") || is(m, "deepseek"),
         step = is(m, "ernie4_5-moe");
    const struct {
        const char *suffix;
        bool wanted;
        uint32_t value;
    } counts[] = {
        {"expert_feed_forward_length", !is(m, "olmoe") && !is(m, "granitemoe"), m->n_ff},
        {"expert_shared_feed_forward_length", m->n_ff_shared > 0 && !counted, m->n_ff_shared},
        {"expert_shared_count", counted, m->n_ff_shared / m->n_ff},
        {"interleave_moe_layer_step", step, 1},
        {"leading_dense_block_count", counted || step, m->n_dense},
        {"expert_gating_func", counted, is(m, "glm4moe") || m->expert_sigmoid ? 2 : 1},
        {"expert_group_count", groups, m->n_expert_groups},
        {"expert_group_used_count", groups, MAX(m->n_expert_groups_used, 1)},
        {"nextn_predict_layers", m->n_draft_layers > 0, m->n_draft_layers},
    };
    char key[96];
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        snprintf(key, sizeof(key), "%s.%s", m->arch, counts[i].suffix);
        if (counts[i].wanted)
            gguf_writer_u32(w, key, counts[i].value);
    }
    snprintf(key, sizeof(key), "%s.expert_weights_norm", m->arch);
    if (counted)
        gguf_writer_bool(w, key, m->expert_norm);
    snprintf(key, sizeof(key), "%s.expert_weights_scale", m->arch);
    if (m->expert_scale > 0)
        gguf_writer_f32(w, key, (float)m->expert_scale);
}
