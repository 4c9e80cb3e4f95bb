/* SPDX-License-Identifier: Apache-2.0
 *
 * The image encoder: a square of pixels becomes rows of the language model's embedding space. */
#ifndef ENGINE_VISION_ENCODER_H
#define ENGINE_VISION_ENCODER_H

#include <stdbool.h>

#include "engine/vision/image.h"
#include "engine/vision/mmproj.h"

struct encoder;

/* The projector is borrowed. One thread at a time. */
int encoder_create(const struct mmproj *m, struct encoder **ret, struct error *err);
void encoder_free(struct encoder *e); /* NULL is fine */

/* `square` has mmproj_desc.side pixels on each side; out: [mmproj_n_tokens][n_text]. `cancel` (may
 * be NULL): ERR_CANCELED soon after it turns true. */
int encoder_run(struct encoder *e, const struct image *square, float *out,
                const volatile bool *cancel, struct error *err);

#endif
