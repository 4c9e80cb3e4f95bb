/* SPDX-License-Identifier: Apache-2.0
 *
 * The scalar level: the definition of each kernel. Other levels call some of these directly. */
#ifndef ENGINE_KERNELS_SCALAR_SCALAR_H
#define ENGINE_KERNELS_SCALAR_SCALAR_H

#include "engine/kernels/kernels.h"

void dequant_f32_scalar(const void *row, float *dst, size_t n);
void dequant_f16_scalar(const void *row, float *dst, size_t n);
void dequant_bf16_scalar(const void *row, float *dst, size_t n);
void dequant_q4_0_scalar(const void *row, float *dst, size_t n);
void dequant_q4_1_scalar(const void *row, float *dst, size_t n);
void dequant_q5_0_scalar(const void *row, float *dst, size_t n);
void dequant_q5_1_scalar(const void *row, float *dst, size_t n);
void dequant_q8_0_scalar(const void *row, float *dst, size_t n);
void dequant_q2_k_scalar(const void *row, float *dst, size_t n);
void dequant_q3_k_scalar(const void *row, float *dst, size_t n);
void dequant_q4_k_scalar(const void *row, float *dst, size_t n);
void dequant_q5_k_scalar(const void *row, float *dst, size_t n);
void dequant_q6_k_scalar(const void *row, float *dst, size_t n);
void dequant_iq4_nl_scalar(const void *row, float *dst, size_t n);
void dequant_iq4_xs_scalar(const void *row, float *dst, size_t n);
void dequant_tq1_0_scalar(const void *row, float *dst, size_t n);
void dequant_tq2_0_scalar(const void *row, float *dst, size_t n);
void dequant_mxfp4_scalar(const void *row, float *dst, size_t n);
void dequant_nvfp4_scalar(const void *row, float *dst, size_t n);
void dequant_q8_1_scalar(const void *row, float *dst, size_t n);
void dequant_q8_k_scalar(const void *row, float *dst, size_t n);
void dequant_iq1_s_scalar(const void *row, float *dst, size_t n);
void dequant_iq1_m_scalar(const void *row, float *dst, size_t n);
void dequant_iq2_xxs_scalar(const void *row, float *dst, size_t n);
void dequant_iq2_xs_scalar(const void *row, float *dst, size_t n);
void dequant_iq2_s_scalar(const void *row, float *dst, size_t n);
void dequant_iq3_xxs_scalar(const void *row, float *dst, size_t n);
void dequant_iq3_s_scalar(const void *row, float *dst, size_t n);

void dot_f32_scalar(const void *w, size_t row_bytes, size_t n_rows, const float *x,
                    size_t x_stride, size_t n_x, size_t n, float *y, size_t y_stride);

void rms_norm_scalar(const float *a, const float *w, size_t n, float eps, float *dst);
void layer_norm_scalar(const float *a, const float *w, const float *bias, size_t n, float eps,
                       float *dst);
void silu_scalar(const float *a, const float *b, size_t n, float *dst);
void gelu_tanh_scalar(const float *a, const float *b, size_t n, float *dst);
void gelu_erf_scalar(const float *a, const float *b, size_t n, float *dst);
void relu_scalar(const float *a, const float *b, size_t n, float *dst);
void softcap_scalar(const float *a, size_t n, float cap, float *dst);
void f32_to_f16_scalar(const float *a, size_t n, uint16_t *dst);

void attn_scores_f32_scalar(const float *q, size_t q_stride, size_t n_q, const void *keys,
                            size_t width, float scale, float (*scores)[ATTN_TILE]);
void attn_scores_f16_scalar(const float *q, size_t q_stride, size_t n_q, const void *keys,
                            size_t width, float scale, float (*scores)[ATTN_TILE]);
float attn_softmax_scalar(float *scores, size_t begin, size_t end, struct attn_state *state);
void attn_values_f32_scalar(const float (*p)[ATTN_TILE], const float *factor, size_t n_q,
                            size_t begin, size_t end, const void *values, size_t width, float *acc,
                            size_t acc_stride);
void attn_values_f16_scalar(const float (*p)[ATTN_TILE], const float *factor, size_t n_q,
                            size_t begin, size_t end, const void *values, size_t width, float *acc,
                            size_t acc_stride);

void relu_sqr_scalar(const float *a, const float *b, size_t n, float *dst);
void sigmoid_scalar(const float *a, const float *b, size_t n, float *dst);
void softplus_scalar(const float *a, const float *b, size_t n, float *dst);
void conv1d_scalar(const float *const *x, size_t width, const float *w, size_t w_stride,
                   const float *bias, size_t n, float *dst);
void ssm_head_scalar(const float *s_in, float *s_out, size_t n_state, size_t n, float decay,
                     float dt, const float *x, const float *b, const float *c, float *y);
void ssm_channels_scalar(const float *s_in, float *s_out, size_t n_state, size_t n, const float *a,
                         const float *dt, const float *x, const float *b, const float *c, float *y);
void delta_step_scalar(const float *s_in, float *s_out, size_t stride, size_t head_k, size_t n,
                       const float *q, const float *k, const float *v, float decay, float beta,
                       float *dst);

#endif
