/* SPDX-License-Identifier: Apache-2.0
 *
 * The levels that the numbers in the entries of the IQ types' grids stand for. */
#ifndef ENGINE_KERNELS_SIMD_IQ_LEVELS_H
#define ENGINE_KERNELS_SIMD_IQ_LEVELS_H

static const float iq2_levels[8] = {8, 25, 43}; /* as many as a vector has */
static const float iq3_xxs_levels[8] = {4, 12, 20, 28, 36, 44, 52, 62};
static const float iq3_s_levels[8] = {1, 3, 5, 7, 9, 11, 13, 15};
static const float iq1_levels[8] = {-1, 0, 1};

#define IQ1_DELTA 0.125f

#endif
