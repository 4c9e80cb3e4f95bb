/* SPDX-License-Identifier: Apache-2.0
 *
 * Decoding: pictures written by the same libraries, whole, cut and damaged; the other formats by
 * name; sizes that lie; orientation. */
#include "engine/vision/image.h"

#include "test.h"

#include <png.h>
#include <stdlib.h>
#include <string.h>
#include <turbojpeg.h>
#include <webp/encode.h>

#include "base/alloc.h"
#include "base/buf.h"

enum { W = 23, H = 14 };

static void fill(unsigned char rgb[H][W][3])
{
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) {
            rgb[y][x][0] = (unsigned char)(x * 10);
            rgb[y][x][1] = (unsigned char)(y * 15);
            rgb[y][x][2] = (unsigned char)(x < W / 2 ? 200 : 30);
        }
}

/* ---- writers ---- */

static void png_collect(png_structp png, png_bytep data, size_t n)
{
    buf_append_bytes(png_get_io_ptr(png), data, n);
}

static void png_flush_nothing(png_structp png)
{
    (void)png;
}

static void write_png(struct buf *out, int color_type, int depth, bool interlaced)
{
    unsigned char rgb[H][W][3];
    fill(rgb);
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    png_set_write_fn(png, out, png_collect, png_flush_nothing);
    png_set_IHDR(png, info, W, H, depth, color_type, interlaced ? PNG_INTERLACE_ADAM7 : 0, 0, 0);
    png_write_info(png, info);
    int passes = png_set_interlace_handling(png);
    int channels = png_get_channels(png, info);
    for (int pass = 0; pass < passes; pass++)
        for (int y = 0; y < H; y++) {
            unsigned char row[W * 8] = {0}, *p = row;
            for (int x = 0; x < W; x++)
                for (int c = 0; c < channels; c++) {
                    *p++ = c < 3 ? rgb[y][x][c] : 7; /* alpha: nearly transparent */
                    if (depth == 16)
                        *p++ = 99;
                }
            png_write_row(png, row);
        }
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
}

static void write_jpeg(struct buf *out)
{
    unsigned char rgb[H][W][3], *jpeg = NULL;
    unsigned long n = 0;
    fill(rgb);
    tjhandle tj = tjInitCompress();
    assert_int_equal(tjCompress2(tj, &rgb[0][0][0], W, 0, H, TJPF_RGB, &jpeg, &n, TJSAMP_444, 98,
                                 TJFLAG_ACCURATEDCT),
                     0);
    buf_append_bytes(out, jpeg, n);
    tjFree(jpeg);
    tjDestroy(tj);
}

static void write_webp(struct buf *out)
{
    unsigned char rgb[H][W][3];
    uint8_t *webp = NULL;
    fill(rgb);
    size_t n = WebPEncodeLosslessRGB(&rgb[0][0][0], W, H, W * 3, &webp);
    assert_true(n > 0);
    buf_append_bytes(out, webp, n);
    WebPFree(webp);
}

/* ---- whole pictures ---- */

static void check_picture(struct str bytes, int tolerance)
{
    struct error err = ERROR_INIT;
    unsigned char rgb[H][W][3];
    fill(rgb);
    CLEANUP_IMAGE struct image image = {0};
    assert_ok(image_decode(bytes, &image, &err));
    assert_int_equal(image.width, W);
    assert_int_equal(image.height, H);
    for (size_t i = 0; i < sizeof(rgb); i++)
        assert_true(abs((&rgb[0][0][0])[i] - image.rgb[i]) <= tolerance);
}

static void test_image__png(void **state)
{
    (void)state;
    static const struct {
        int color_type, depth;
        bool interlaced;
    } kinds[] = {
        {PNG_COLOR_TYPE_RGB, 8, false},
        {PNG_COLOR_TYPE_RGB, 8, true},
        {PNG_COLOR_TYPE_RGB, 16, false},
        {PNG_COLOR_TYPE_RGB_ALPHA, 8, false}, /* the colour is kept, however transparent */
        {PNG_COLOR_TYPE_RGB_ALPHA, 16, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        CLEANUP_BUF struct buf png = BUF_INIT(1 << 20);
        write_png(&png, kinds[i].color_type, kinds[i].depth, kinds[i].interlaced);
        check_picture(buf_str(&png), 0);
    }
    CLEANUP_BUF struct buf gray = BUF_INIT(1 << 20);
    CLEANUP_IMAGE struct image image = {0};
    struct error err = ERROR_INIT;
    write_png(&gray, PNG_COLOR_TYPE_GRAY, 8, false);
    assert_ok(image_decode(buf_str(&gray), &image, &err));
    for (int x = 0; x < W; x++)
        for (int c = 0; c < 3; c++)
            assert_int_equal(image.rgb[x * 3 + c], x * 10);
}

static void test_image__jpeg_and_webp(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf jpeg = BUF_INIT(1 << 20), webp = BUF_INIT(1 << 20);
    write_jpeg(&jpeg);
    check_picture(buf_str(&jpeg), 12);
    write_webp(&webp);
    check_picture(buf_str(&webp), 0);
}

/* ---- what strangers send ---- */

static void test_image__cut_and_damaged(void **state)
{
    (void)state;
    struct buf files[3] = {BUF_INIT(1 << 20), BUF_INIT(1 << 20), BUF_INIT(1 << 20)};
    write_png(&files[0], PNG_COLOR_TYPE_RGB, 8, false);
    write_jpeg(&files[1]);
    write_webp(&files[2]);
    for (size_t f = 0; f < ARRAY_LEN(files); f++) {
        for (size_t n = 0; n < files[f].len; n++) {
            /* A copy of the exact size, so that reading beyond it is seen. */
            char *part = xmalloc(n + 1);
            memcpy(part, files[f].data, n);
            struct error err = ERROR_INIT;
            struct image image = {0};
            int r = image_decode(str_make(part, n), &image, &err);
            if (r == 0 && f != 0) /* a decoder may not need the last bytes */
                assert_true(n + 16 >= files[f].len);
            else
                assert_true(r < 0 && err.msg[0]);
            image_release(&image);
            free(part);
        }
        uint32_t seed = 1;
        for (int round = 0; round < 400; round++) {
            CLEANUP_BUF struct buf bad = BUF_INIT(1 << 20);
            buf_append(&bad, buf_str(&files[f]));
            for (int k = 0; k < 3; k++) {
                seed = seed * 1664525 + 1013904223;
                bad.data[8 + seed % (bad.len - 8)] ^= (char)(seed >> 24 | 1);
            }
            struct image image = {0};
            int r = image_decode(buf_str(&bad), &image, NULL);
            assert_true(r == 0 || !image.rgb);
            image_release(&image);
        }
        buf_release(&files[f]);
    }
}

static void test_image__sizes_that_lie(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct image image = {0};
    CLEANUP_BUF struct buf png = BUF_INIT(1 << 20);
    png_structp p = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(p);
    png_set_write_fn(p, &png, png_collect, png_flush_nothing);
    png_set_IHDR(p, info, 16000, 16000, 8, PNG_COLOR_TYPE_RGB, 0, 0, 0);
    png_write_info(p, info);
    png_destroy_write_struct(&p, &info);
    buf_append(&png, STR("\0\0\1\0IDAT"));
    assert_fails(image_decode(buf_str(&png), &image, &err), ERR_TOO_LARGE, "16000 x 16000");
    assert_null(image.rgb);
}

static void test_image__other_formats(void **state)
{
    (void)state;
    static const struct {
        struct str bytes;
        enum errc code;
        const char *part;
    } cases[] = {
        {STR("GIF89a......"), ERR_UNSUPPORTED, "GIF"},
        {STR("BM..........."), ERR_UNSUPPORTED, "BMP"},
        {STR("II*\0........"), ERR_UNSUPPORTED, "TIFF"},
        {STR("\0\0\0\x20"
             "ftypavif...."),
         ERR_UNSUPPORTED, "AVIF"},
        {STR("\0\0\0\x20"
             "ftypheic...."),
         ERR_UNSUPPORTED, "HEIC"},
        {STR("<svg xmlns="), ERR_UNSUPPORTED, "SVG"},
        {STR("%PDF-1.4"), ERR_UNSUPPORTED, "PDF"},
        {STR("hello"), ERR_INVALID, "no PNG, JPEG or WebP"},
        {STR(""), ERR_INVALID, "an empty file"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct error err = ERROR_INIT;
        struct image image = {0};
        assert_fails(image_decode(cases[i].bytes, &image, &err), cases[i].code, cases[i].part);
    }
}

/* ---- orientation ---- */

/* Two rows of three pixels, 1 2 3 / 4 5 6, and how each orientation shows them. */
static void test_image__orientation(void **state)
{
    (void)state;
    static const struct {
        uint32_t width, height;
        unsigned char pixels[6];
    } want[9] = {
        [1] = {3, 2, {1, 2, 3, 4, 5, 6}}, [2] = {3, 2, {3, 2, 1, 6, 5, 4}},
        [3] = {3, 2, {6, 5, 4, 3, 2, 1}}, [4] = {3, 2, {4, 5, 6, 1, 2, 3}},
        [5] = {2, 3, {1, 4, 2, 5, 3, 6}}, [6] = {2, 3, {4, 1, 5, 2, 6, 3}},
        [7] = {2, 3, {6, 3, 5, 2, 4, 1}}, [8] = {2, 3, {3, 6, 2, 5, 1, 4}},
    };
    for (int o = 1; o <= 8; o++) {
        struct error err = ERROR_INIT;
        CLEANUP_IMAGE struct image image = {0};
        assert_ok(image_create(3, 2, &image, &err));
        for (int i = 0; i < 18; i++)
            image.rgb[i] = (unsigned char)(i / 3 + 1);
        assert_ok(image_orient(&image, o, &err));
        assert_int_equal(image.width, want[o].width);
        assert_int_equal(image.height, want[o].height);
        for (int i = 0; i < 18; i++)
            assert_int_equal(image.rgb[i], want[o].pixels[i / 3]);
    }
}

static void test_image__exif(void **state)
{
    (void)state;
    static const unsigned char little[] = {
        0xFF, 0xD8, 0xFF, 0xE0, 0,   4,   'x', 'y',       /* another segment first */
        0xFF, 0xE1, 0,    34,   'E', 'x', 'i', 'f', 0, 0, /* APP1 */
        'I',  'I',  '*',  0,    8,   0,   0,   0,   1, 0, /* one entry at 8 */
        0x12, 1,    3,    0,    1,   0,   0,   0,   6, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xDA};
    static const unsigned char big[] = {0xFF, 0xD8, 0xFF, 0xE1, 0, 34,  'E', 'x', 'i',  'f',
                                        0,    0,    'M',  'M',  0, '*', 0,   0,   0,    8,
                                        0,    1,    1,    0x12, 0, 3,   0,   0,   0,    1,
                                        0,    8,    0,    0,    0, 0,   0,   0,   0xFF, 0xDA};
    assert_int_equal(image_exif_orientation(str_make((const char *)little, sizeof(little))), 6);
    assert_int_equal(image_exif_orientation(str_make((const char *)big, sizeof(big))), 8);
    for (size_t n = 2; n < sizeof(big); n++) { /* cut anywhere: an answer, nothing read beyond */
        unsigned char *part = xmalloc(n);
        memcpy(part, big, n);
        int o = image_exif_orientation(str_make((const char *)part, n));
        assert_true(o == 1 || o == 8);
        free(part);
    }
    unsigned char wild[sizeof(big)];
    memcpy(wild, big, sizeof(big));
    memset(wild + 16, 0xFF, 4); /* the directory is far outside */
    assert_int_equal(image_exif_orientation(str_make((const char *)wild, sizeof(wild))), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_image__png),
        cmocka_unit_test(test_image__jpeg_and_webp),
        cmocka_unit_test(test_image__cut_and_damaged),
        cmocka_unit_test(test_image__sizes_that_lie),
        cmocka_unit_test(test_image__other_formats),
        cmocka_unit_test(test_image__orientation),
        cmocka_unit_test(test_image__exif),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
