/* SPDX-License-Identifier: Apache-2.0
 *
 * The reference of models whose layers are not, or not only, attention: ref_forward.c calls it for
 * their architectures. */
#ifndef TESTS_LIB_REF_RECURRENT_H
#define TESTS_LIB_REF_RECURRENT_H

#include "ref_forward.h"

bool ref_recurrent(const struct ref_model *m);
/* As ref_model_forward(). */
void ref_recurrent_forward(const struct ref_model *m, const int32_t *ids, size_t n, double *logits);

#endif
