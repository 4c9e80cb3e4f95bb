/* SPDX-License-Identifier: Apache-2.0
 *
 * Fills the kernel table: which levels there are, which of them this CPU (and its operating system)
 * has, and the scalar level. */
#include "engine/kernels/kernels.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "engine/kernels/kernels_internal.h"
#include "engine/kernels/scalar/scalar.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

void kernels__fill_scalar(struct kernels *k)
{
    *k = (struct kernels){
        .level = "scalar",
        .weight =
            {
                [WT_F32] = {dequant_f32_scalar, dot_f32_scalar},
                [WT_F16] = {dequant_f16_scalar, NULL},
                [WT_BF16] = {dequant_bf16_scalar, NULL},
                [WT_Q4_0] = {dequant_q4_0_scalar, NULL},
                [WT_Q4_1] = {dequant_q4_1_scalar, NULL},
                [WT_Q5_0] = {dequant_q5_0_scalar, NULL},
                [WT_Q5_1] = {dequant_q5_1_scalar, NULL},
                [WT_Q8_0] = {dequant_q8_0_scalar, NULL},
                [WT_Q2_K] = {dequant_q2_k_scalar, NULL},
                [WT_Q3_K] = {dequant_q3_k_scalar, NULL},
                [WT_Q4_K] = {dequant_q4_k_scalar, NULL},
                [WT_Q5_K] = {dequant_q5_k_scalar, NULL},
                [WT_Q6_K] = {dequant_q6_k_scalar, NULL},
                [WT_IQ4_NL] = {dequant_iq4_nl_scalar, NULL},
                [WT_IQ4_XS] = {dequant_iq4_xs_scalar, NULL},
                [WT_TQ1_0] = {dequant_tq1_0_scalar, NULL},
                [WT_TQ2_0] = {dequant_tq2_0_scalar, NULL},
                [WT_MXFP4] = {dequant_mxfp4_scalar, NULL},
                [WT_NVFP4] = {dequant_nvfp4_scalar, NULL},
                [WT_Q8_1] = {dequant_q8_1_scalar, NULL},
                [WT_Q8_K] = {dequant_q8_k_scalar, NULL},
                [WT_IQ1_S] = {dequant_iq1_s_scalar, NULL},
                [WT_IQ1_M] = {dequant_iq1_m_scalar, NULL},
                [WT_IQ2_XXS] = {dequant_iq2_xxs_scalar, NULL},
                [WT_IQ2_XS] = {dequant_iq2_xs_scalar, NULL},
                [WT_IQ2_S] = {dequant_iq2_s_scalar, NULL},
                [WT_IQ3_XXS] = {dequant_iq3_xxs_scalar, NULL},
                [WT_IQ3_S] = {dequant_iq3_s_scalar, NULL},
            },
        .dot_max_x = 4,
        .rms_norm = rms_norm_scalar,
        .layer_norm = layer_norm_scalar,
        .silu = silu_scalar,
        .gelu_tanh = gelu_tanh_scalar,
        .gelu_erf = gelu_erf_scalar,
        .relu = relu_scalar,
        .softcap = softcap_scalar,
        .f32_to_f16 = f32_to_f16_scalar,
        .attn_scores_f32 = attn_scores_f32_scalar,
        .attn_scores_f16 = attn_scores_f16_scalar,
        .attn_softmax = attn_softmax_scalar,
        .attn_values_f32 = attn_values_f32_scalar,
        .attn_values_f16 = attn_values_f16_scalar,
        .relu_sqr = relu_sqr_scalar,
        .sigmoid = sigmoid_scalar,
        .softplus = softplus_scalar,
        .conv1d = conv1d_scalar,
        .ssm_head = ssm_head_scalar,
        .ssm_channels = ssm_channels_scalar,
        .delta_step = delta_step_scalar,
    };
}

static bool always(void)
{
    return true;
}

/* __builtin_cpu_supports() reads cpuid and XCR0: a feature whose registers the operating system does
 * not save counts as absent. */
#if defined(__x86_64__)
static bool has_avx2(void)
{
    /* clang's builtin does not know f16c; its registers are those of AVX. */
    unsigned a, b, c, d;
    bool f16c = __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
    return f16c && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static bool has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}
#endif

static const struct level {
    const char *name;
    bool (*present)(void);
    void (*fill)(struct kernels *k);
} levels[] = {
    {"scalar", always, kernels__fill_scalar},
#if defined(__x86_64__)
    {"avx2", has_avx2, kernels__fill_avx2},
    {"avx512", has_avx512, kernels__fill_avx512},
#elif defined(__aarch64__)
    {"neon", always, kernels__fill_neon}, /* part of every arm64 */
#endif
};

const char *kernels_level_at(size_t i)
{
    return i < ARRAY_LEN(levels) && levels[i].present() ? levels[i].name : NULL;
}

int kernels_init(const char *max_level, struct kernels *ret, struct error *err)
{
    size_t last = ARRAY_LEN(levels) - 1;
    if (max_level && *max_level) {
        while (last > 0 && strcmp(levels[last].name, max_level) != 0)
            last--;
        if (strcmp(levels[last].name, max_level) != 0) {
            char names[64] = "";
            for (size_t i = 0; i < ARRAY_LEN(levels); i++) {
                size_t at = strlen(names);
                snprintf(names + at, sizeof(names) - at, "%s%s", i ? ", " : "", levels[i].name);
            }
            return error_set(err, ERR_INVALID,
                             "'%s' is no instruction set level of this program (it has %s)",
                             max_level, names);
        }
        if (!levels[last].present())
            return error_set(err, ERR_UNSUPPORTED,
                             "this CPU does not have the instruction set level '%s'", max_level);
    }
    for (size_t i = 0; i <= last && levels[i].present(); i++)
        levels[i].fill(ret);
    return 0;
}
