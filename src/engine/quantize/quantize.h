/* SPDX-License-Identifier: Apache-2.0
 *
 * Quantisers: rows of f32 to the blocks of a weight type (engine/kernels/types.h says what blocks
 * mean). Each searches for the scales that keep the weighted squared error of a block small; the
 * weights come from an importance matrix or, without one, from the magnitudes of the numbers.
 *
 *     quantize_row(WT_Q4_K, x, importance, n_cols, packed);
 *
 * Threads: no state; rows are independent. */
#ifndef ENGINE_QUANTIZE_QUANTIZE_H
#define ENGINE_QUANTIZE_QUANTIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Is there a quantiser for this type? */
bool quantize_supports(uint32_t type);

/* Writes n finite numbers as blocks of the type. `importance` has n numbers >= 0, one for each
 * column, or is NULL. False, with nothing written, if there is no quantiser for the type or n is no
 * whole number of blocks. */
bool quantize_row(uint32_t type, const float *x, const float *importance, size_t n, void *out);

/* The largest magnitude that the type can hold: scales are f16 in most of them. */
float quantize_max(uint32_t type);

#endif
