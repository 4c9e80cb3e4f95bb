/* SPDX-License-Identifier: Apache-2.0
 *
 * Scaling of pictures as the processors of vision models do it: a separable filter in 8 bits, the
 * horizontal pass first, weights rounded to 22 bits. The results are those of the Pillow library
 * (Image.resize with BILINEAR, BICUBIC, LANCZOS), pixel for pixel, because the models were trained
 * behind it. */
#ifndef ENGINE_VISION_RESIZE_H
#define ENGINE_VISION_RESIZE_H

#include "engine/vision/image.h"

enum resize_filter { RESIZE_BILINEAR, RESIZE_BICUBIC, RESIZE_LANCZOS };

/* *ret becomes `from` stretched to width x height. */
int image_resize(const struct image *from, uint32_t width, uint32_t height,
                 enum resize_filter filter, struct image *ret, struct error *err);

#endif
