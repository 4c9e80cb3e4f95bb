/* SPDX-License-Identifier: Apache-2.0
 *
 * Pictures: decoded, turned, and scaled to a small square. */
#include "engine/vision/image.h"
#include "engine/vision/resize.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err = ERROR_INIT;
    CLEANUP_IMAGE struct image image = {0}, small = {0};
    if (image_decode(str_make((const char *)data, size), &image, &err) < 0)
        return 0;
    /* Large pictures take long and show nothing new. */
    if ((uint64_t)image.width * image.height < 1 << 20)
        image_resize(&image, 16, 16, RESIZE_LANCZOS, &small, &err);
    return 0;
}
