/* SPDX-License-Identifier: Apache-2.0
 *
 * The one adapter over libpng, libjpeg-turbo and libwebp. */
#include "engine/vision/image.h"

#include <inttypes.h>
#include <png.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <turbojpeg.h>
#include <webp/decode.h>

#include "base/alloc.h"

int image_create(uint32_t width, uint32_t height, struct image *ret, struct error *err)
{
    if (width == 0 || height == 0)
        return error_set(err, ERR_INVALID, "the image has no pixels");
    if (width > IMAGE_MAX_SIDE || height > IMAGE_MAX_SIDE ||
        (uint64_t)width * height > IMAGE_MAX_PIXELS)
        return error_set(err, ERR_TOO_LARGE,
                         "the image has %" PRIu32 " x %" PRIu32
                         " pixels; at most %d on a side and %d million together are read",
                         width, height, IMAGE_MAX_SIDE, IMAGE_MAX_PIXELS / 1000000);
    unsigned char *rgb = alloc_array((size_t)width * height, 3);
    if (!rgb)
        return error_set(err, ERR_NOMEM, "out of memory for an image of %" PRIu32 " x %" PRIu32,
                         width, height);
    *ret = (struct image){.width = width, .height = height, .rgb = rgb};
    return 0;
}

void image_release(struct image *image)
{
    free(image->rgb);
    *image = (struct image){0};
}

/* ---- PNG ---- */

struct png_source {
    struct str left;
    struct error error;
};

static void png_give(png_structp png, png_bytep out, size_t n)
{
    struct png_source *s = png_get_io_ptr(png);
    if (n > s->left.len)
        png_error(png, "the file ends too early");
    memcpy(out, s->left.ptr, n);
    s->left = str_sub(s->left, n, SIZE_MAX);
}

static void png_failed(png_structp png, png_const_charp what)
{
    struct png_source *s = png_get_error_ptr(png);
    error_set(&s->error, ERR_INVALID, "the PNG image is damaged: %s", what);
    png_longjmp(png, 1);
}

static void png_warned(png_structp png, png_const_charp what)
{
    (void)png;
    (void)what;
}

/* Everything between setjmp and a longjmp out of libpng; no local changes that is used afterwards.
 */
static int png_read_all(png_structp png, png_infop info, struct png_source *s, struct image *out,
                        struct error *err)
{
    if (setjmp(png_jmpbuf(png)))
        return error_copy(err, &s->error);
    png_set_user_limits(png, IMAGE_MAX_SIDE, IMAGE_MAX_SIDE);
    png_set_chunk_malloc_max(png, 4 << 20);
    png_set_chunk_cache_max(png, 64);
    png_set_read_fn(png, s, png_give);
    png_read_info(png, info);
    int r = image_create(png_get_image_width(png, info), png_get_image_height(png, info), out, err);
    if (r < 0)
        return r;
    png_set_expand(png); /* palettes and 1, 2, 4 bits to 8 */
    png_set_strip_16(png);
    png_set_gray_to_rgb(png);
    png_set_strip_alpha(png);
    int n_passes = png_set_interlace_handling(png);
    png_read_update_info(png, info);
    if (png_get_rowbytes(png, info) != (size_t)out->width * 3)
        png_error(png, "its rows have an unexpected length");
    for (int pass = 0; pass < n_passes; pass++)
        for (uint32_t y = 0; y < out->height; y++)
            png_read_row(png, out->rgb + (size_t)y * out->width * 3, NULL);
    png_read_end(png, NULL);
    return 0;
}

static int decode_png(struct str bytes, struct image *ret, struct error *err)
{
    struct png_source source = {.left = bytes, .error = ERROR_INIT};
    png_structp png =
        png_create_read_struct(PNG_LIBPNG_VER_STRING, &source, png_failed, png_warned);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    int r = info ? png_read_all(png, info, &source, ret, err)
                 : error_set(err, ERR_NOMEM, "out of memory for a PNG image");
    png_destroy_read_struct(&png, &info, NULL);
    return r;
}

/* ---- JPEG ---- */

static int decode_jpeg(struct str bytes, struct image *ret, struct error *err)
{
    tjhandle tj = tjInitDecompress();
    if (!tj)
        return error_set(err, ERR_NOMEM, "out of memory for a JPEG image");
    const unsigned char *data = (const unsigned char *)bytes.ptr;
    int width = 0, height = 0, sampling = 0, space = 0, r = 0;
    if (tjDecompressHeader3(tj, data, bytes.len, &width, &height, &sampling, &space) != 0)
        r = error_set(err, ERR_INVALID, "the JPEG image is damaged: %s", tjGetErrorStr2(tj));
    else if (space == TJCS_CMYK || space == TJCS_YCCK)
        r = error_set(err, ERR_UNSUPPORTED,
                      "JPEG images in CMYK are not supported; convert it to RGB");
    else
        r = image_create((uint32_t)width, (uint32_t)height, ret, err);
    /* Warnings (a few damaged or missing bytes) are errors too: half a picture is no picture. */
    if (r == 0 && tjDecompress2(tj, data, bytes.len, ret->rgb, width, 0, height, TJPF_RGB,
                                TJFLAG_ACCURATEDCT | TJFLAG_LIMITSCANS) != 0)
        r = error_set(err, ERR_INVALID, "the JPEG image is damaged: %s", tjGetErrorStr2(tj));
    tjDestroy(tj);
    return r < 0 ? r : image_orient(ret, image_exif_orientation(bytes), err);
}

/* ---- WebP ---- */

static int decode_webp(struct str bytes, struct image *ret, struct error *err)
{
    const uint8_t *data = (const uint8_t *)bytes.ptr;
    WebPBitstreamFeatures f;
    if (WebPGetFeatures(data, bytes.len, &f) != VP8_STATUS_OK)
        return error_set(err, ERR_INVALID, "the WebP image is damaged");
    if (f.has_animation)
        return error_set(err, ERR_UNSUPPORTED,
                         "animated WebP images are not supported; send one frame");
    int r = image_create((uint32_t)f.width, (uint32_t)f.height, ret, err);
    if (r < 0)
        return r;
    size_t row = (size_t)ret->width * 3;
    if (!WebPDecodeRGBInto(data, bytes.len, ret->rgb, row * ret->height, (int)row))
        return error_set(err, ERR_INVALID, "the WebP image is damaged");
    return 0;
}

/* ---- which ---- */

/* What a file begins with: bytes at an offset. */
static const struct {
    const char *name;
    struct str magic;
    size_t at;
    int (*decode)(struct str bytes, struct image *ret, struct error *err);
} formats[] = {
    {"PNG", STR("\x89PNG\r\n\x1a\n"), 0, decode_png},
    {"JPEG", STR("\xff\xd8\xff"), 0, decode_jpeg},
    {"WebP", STR("WEBP"), 8, decode_webp},
    {"GIF", STR("GIF8"), 0, NULL},
    {"BMP", STR("BM"), 0, NULL},
    {"TIFF", STR("II*\0"), 0, NULL},
    {"TIFF", STR("MM\0*"), 0, NULL},
    {"AVIF", STR("ftypavif"), 4, NULL},
    {"HEIC", STR("ftyphei"), 4, NULL},
    {"HEIC", STR("ftypmif1"), 4, NULL},
    {"SVG", STR("<svg"), 0, NULL},
    {"SVG", STR("<?xml"), 0, NULL},
    {"PDF", STR("%PDF"), 0, NULL},
};

int image_decode(struct str bytes, struct image *ret, struct error *err)
{
    for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
        if (!str_eq(str_sub(bytes, formats[i].at, formats[i].magic.len), formats[i].magic))
            continue;
        if (!formats[i].decode)
            return error_set(err, ERR_UNSUPPORTED,
                             "%s images are not supported; PNG, JPEG and WebP are",
                             formats[i].name);
        CLEANUP_IMAGE struct image image = {0};
        int r = formats[i].decode(bytes, &image, err);
        if (r < 0)
            return r;
        *ret = image;
        image.rgb = NULL;
        return 0;
    }
    return error_set(err, ERR_INVALID, "%s is no PNG, JPEG or WebP image",
                     bytes.len == 0 ? "an empty file" : "the file");
}
