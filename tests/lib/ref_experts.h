/* SPDX-License-Identifier: Apache-2.0
 *
 * Mixtures of experts, in double precision. */
#ifndef TESTS_LIB_REF_EXPERTS_H
#define TESTS_LIB_REF_EXPERTS_H

#include "ref_forward.h"

/* What the experts of a layer make of x [n][e]: as large, allocated. */
double *ref_experts(const struct ref_model *m, size_t layer, const double *x, size_t n, size_t e);

#endif
