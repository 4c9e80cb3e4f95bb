/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside the kernels only, and in the quantisers, which are their inverse: the levels' fill
 * functions, and facts that several levels share. */
#ifndef ENGINE_KERNELS_KERNELS_INTERNAL_H
#define ENGINE_KERNELS_KERNELS_INTERNAL_H

#include "engine/kernels/kernels.h"

/* Each puts its level's functions over what the table holds. */
void kernels__fill_scalar(struct kernels *k);
void kernels__fill_avx2(struct kernels *k);
void kernels__fill_avx512(struct kernels *k);
void kernels__fill_neon(struct kernels *k);

/* Parts of the x86 levels that have a file of their own. */
void kernels__fill_dot_plain_avx2(struct kernels *k);
void kernels__fill_dot_packed_avx2(struct kernels *k);
void kernels__fill_dequant_iq_avx2(struct kernels *k);
void kernels__fill_dot_plain_avx512(struct kernels *k);
void kernels__fill_dot_packed_avx512(struct kernels *k);

/* What an item of the table types means. */
extern const int8_t kernels__iq4_values[16];
extern const int8_t kernels__mxfp4_values[16];

/* The grids of the IQ types; an entry is packed as iq_grids.c says. iq1_s and iq1_m share one. */
extern const uint16_t kernels__iq2_xxs_grid[256];
extern const uint16_t kernels__iq2_xs_grid[512];
extern const uint16_t kernels__iq2_s_grid[1024];
extern const uint16_t kernels__iq3_xxs_grid[256];
extern const uint16_t kernels__iq3_s_grid[512];
extern const uint16_t kernels__iq1_grid[2048];

/* The 6-bit scale and minimum of sub-block j of q4_k and q5_k: the first four lie in the low bits of
 * bytes 0-3 and 4-7; the others have four bits in bytes 8-11 and two in the top of bytes 0-7. */
static inline void k4_scale_min(const uint8_t *s, size_t j, uint8_t *ret_scale, uint8_t *ret_min)
{
    if (j < 4) {
        *ret_scale = s[j] & 63;
        *ret_min = s[j + 4] & 63;
    } else {
        *ret_scale = (uint8_t)((s[j + 4] & 15) | ((s[j - 4] >> 6) << 4));
        *ret_min = (uint8_t)((s[j + 4] >> 4) | ((s[j] >> 6) << 4));
    }
}

#endif
