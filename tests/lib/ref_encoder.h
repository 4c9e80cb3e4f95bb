/* SPDX-License-Identifier: Apache-2.0
 *
 * The reference for encoders: as ref_forward.h, in double precision and as plain as can be. */
#ifndef TESTS_LIB_REF_ENCODER_H
#define TESTS_LIB_REF_ENCODER_H

#include "ref_forward.h"

/* hidden: [n][n_embd] */
void ref_encoder_forward(const struct ref_model *m, const int32_t *ids, size_t n, double *hidden);

/* The vector or the scores of a text, pooled as pooling_type says; returns how many. `out` has room
 * for the wider of both. */
size_t ref_encoder_pool(const struct ref_model *m, const double *hidden, size_t n, double *out);

#endif
