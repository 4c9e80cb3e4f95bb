/* SPDX-License-Identifier: Apache-2.0
 *
 * Latent attention in double precision, from the paper's equations: every head's keys and values
 * are spelled out. */
#ifndef TESTS_REF_MLA_H
#define TESTS_REF_MLA_H

#include "ref_forward.h"

/* What a layer's attention makes of x [n][e], behind its norm; turning: the radians a position that
 * each pair turns. Returns [n][e], malloced. */
double *ref_mla(const struct ref_model *m, size_t layer, const double *x, size_t n, size_t e,
                const double *turning);

#endif
