/* SPDX-License-Identifier: Apache-2.0
 *
 * The orientation of photographs: cameras store what the sensor saw and note how it was held. */
#include <stdbool.h>
#include <string.h>

#include "engine/vision/image.h"

/* ---- finding the tag ---- */

static uint32_t number(const unsigned char *p, size_t n, bool big_endian)
{
    uint32_t v = 0;
    for (size_t i = 0; i < n; i++)
        v |= (uint32_t)p[i] << 8 * (big_endian ? n - 1 - i : i);
    return v;
}

/* `tiff`: what follows "Exif\0\0": a TIFF header, and the first directory somewhere behind it. */
static int orientation_of_tiff(const unsigned char *tiff, size_t len)
{
    enum { TAG_ORIENTATION = 0x0112, TYPE_SHORT = 3, ENTRY_BYTES = 12 };
    if (len < 8 || (memcmp(tiff, "II*\0", 4) != 0 && memcmp(tiff, "MM\0*", 4) != 0))
        return 1;
    bool big = tiff[0] == 'M';
    uint32_t at = number(tiff + 4, 4, big);
    if (at > len - 2)
        return 1;
    uint32_t n = number(tiff + at, 2, big);
    for (uint32_t i = 0; i < n; i++) {
        size_t entry = (size_t)at + 2 + (size_t)i * ENTRY_BYTES;
        if (entry + ENTRY_BYTES > len)
            return 1;
        const unsigned char *p = tiff + entry;
        if (number(p, 2, big) != TAG_ORIENTATION)
            continue;
        uint32_t v = number(p + 8, 2, big);
        return number(p + 2, 2, big) == TYPE_SHORT && v >= 1 && v <= 8 ? (int)v : 1;
    }
    return 1;
}

int image_exif_orientation(struct str jpeg)
{
    enum { MARKER_APP1 = 0xE1, MARKER_SCAN = 0xDA };
    const unsigned char *p = (const unsigned char *)jpeg.ptr;
    size_t at = 2; /* behind the start marker */
    while (at + 4 <= jpeg.len && p[at] == 0xFF && p[at + 1] != MARKER_SCAN) {
        size_t len = number(p + at + 2, 2, true); /* of the segment, these two bytes included */
        if (len < 2 || at + 2 + len > jpeg.len)
            break;
        if (p[at + 1] == MARKER_APP1 && len >= 8 && memcmp(p + at + 4, "Exif\0\0", 6) == 0)
            return orientation_of_tiff(p + at + 10, len - 8);
        at += 2 + len;
    }
    return 1;
}

/* ---- turning ---- */

int image_orient(struct image *image, int orientation, struct error *err)
{
    if (orientation <= 1 || orientation > 8)
        return 0;
    bool turned = orientation >= 5; /* rows become columns */
    uint32_t w = turned ? image->height : image->width;
    uint32_t h = turned ? image->width : image->height;
    CLEANUP_IMAGE struct image out = {0};
    int r = image_create(w, h, &out, err);
    if (r < 0)
        return r;
    bool mirror_x = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
    bool mirror_y = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
    for (uint32_t y = 0; y < h; y++)
        for (uint32_t x = 0; x < w; x++) {
            uint32_t from_x = turned ? y : x, from_y = turned ? x : y;
            if (mirror_x)
                from_x = image->width - 1 - from_x;
            if (mirror_y)
                from_y = image->height - 1 - from_y;
            memcpy(out.rgb + ((size_t)y * w + x) * 3,
                   image->rgb + ((size_t)from_y * image->width + from_x) * 3, 3);
        }
    image_release(image);
    *image = out;
    out.rgb = NULL;
    return 0;
}
