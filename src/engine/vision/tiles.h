/* SPDX-License-Identifier: Apache-2.0
 *
 * How a picture becomes squares of the size that an image encoder takes. */
#ifndef ENGINE_VISION_TILES_H
#define ENGINE_VISION_TILES_H

#include "engine/vision/image.h"
#include "engine/vision/mmproj.h"

/* A grid of squares row by row, and behind them the whole picture as one square. */
struct tiles {
    uint32_t rows, cols;   /* of the grid; 0 = there is only the whole */
    struct image *squares; /* [n_squares] */
    uint32_t n_squares;    /* rows * cols + 1 */
};

enum { TILES_MAX = 256 };

/* The grid without making it, from the picture's size alone. ERR_TOO_LARGE beyond TILES_MAX. */
int tiles_plan(const struct mmproj_desc *d, uint32_t width, uint32_t height, struct tiles *ret,
               struct error *err);

int tiles_make(const struct mmproj_desc *d, const struct image *image, struct tiles *ret,
               struct error *err);
void tiles_release(struct tiles *t); /* a zeroed one is fine */

#endif
