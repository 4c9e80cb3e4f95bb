/* SPDX-License-Identifier: Apache-2.0
 *
 * Pictures: from the bytes of a PNG, JPEG or WebP file to pixels.
 *
 * Files come from strangers: their size is looked at before memory is taken, and what is not
 * one whole, sound picture is refused. Transparency is dropped, as the processors that models were
 * trained with drop it; a JPEG is turned the way its EXIF orientation says. */
#ifndef ENGINE_VISION_IMAGE_H
#define ENGINE_VISION_IMAGE_H

#include <stdint.h>

#include "base/compiler.h"
#include "base/error.h"
#include "base/str.h"

struct image {
    uint32_t width, height;
    unsigned char *rgb; /* [height][width][3], owned */
};

enum {
    IMAGE_MAX_SIDE = 16384,
    IMAGE_MAX_PIXELS = 64 << 20,
};

/* ERR_INVALID for what is damaged, ERR_TOO_LARGE beyond the limits above, ERR_UNSUPPORTED for other
 * formats, by name. */
int image_decode(struct str bytes, struct image *ret, struct error *err);
void image_release(struct image *image); /* a zeroed one is fine */
#define CLEANUP_IMAGE CLEANUP(image_release)

/* A new picture with room for its pixels, not cleared; ERR_TOO_LARGE beyond the limits. */
int image_create(uint32_t width, uint32_t height, struct image *ret, struct error *err);

/* The orientation (1 to 8) that the EXIF data of a JPEG file asks for; 1 where there is none.
 * Source: CIPA DC-008 (Exif 2.32), tag 0x0112. */
int image_exif_orientation(struct str jpeg);

/* Turns and mirrors *image so that an orientation of 1 shows it right. */
int image_orient(struct image *image, int orientation, struct error *err);

#endif
