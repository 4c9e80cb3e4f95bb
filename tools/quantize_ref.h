/* SPDX-License-Identifier: Apache-2.0
 *
 * Reference quantisers: f32 rows to the blocks of a weight type, in the plainest way that is right
 * (round to nearest, scales from minimum and maximum). For models made by tools and tests; a good
 * quantiser searches for better scales. */
#ifndef TOOLS_QUANTIZE_REF_H
#define TOOLS_QUANTIZE_REF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Writes n values as blocks of the type; n is a whole number of blocks. False if there is no
 * quantiser for the type or n does not fit it. */
bool quantize_ref(uint32_t type, const float *x, size_t n, void *out);

bool quantize_ref_supports(uint32_t type);

#endif
