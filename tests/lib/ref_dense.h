/* SPDX-License-Identifier: Apache-2.0
 *
 * Decoders that differ from Llama's in norms, biases, rotation and scales, in double precision. */
#ifndef TESTS_LIB_REF_DENSE_H
#define TESTS_LIB_REF_DENSE_H

#include <stdbool.h>

#include "ref_forward.h"

bool ref_dense(const struct ref_model *m);

/* As ref_model_forward(). */
void ref_dense_forward(const struct ref_model *m, const int32_t *ids, size_t n, double *logits);

#endif
