/* SPDX-License-Identifier: Apache-2.0
 *
 * Scaling, against digests of what Pillow 9.4 makes of the same pictures, and a few plain facts. */
#include "engine/vision/resize.h"

#include "test.h"

#include <string.h>

#include "base/digest.h"

static struct image picture(uint32_t width, uint32_t height)
{
    struct image image;
    assert_int_equal(image_create(width, height, &image, NULL), 0);
    unsigned char *p = image.rgb;
    for (uint32_t y = 0; y < height; y++)
        for (uint32_t x = 0; x < width; x++)
            for (uint32_t c = 0; c < 3; c++)
                *p++ = (unsigned char)(x * x * 3 + y * y * 5 + c * 29 + x * y);
    return image;
}

static void test_resize__as_pillow(void **state)
{
    (void)state;
    static const struct {
        uint32_t from_width, from_height, width, height;
        enum resize_filter filter;
        const char *digest;
    } cases[] = {
        {640, 427, 512, 342, RESIZE_BILINEAR, "a1ed9949a9df594b"},
        {640, 427, 512, 342, RESIZE_BICUBIC, "5429fff0f4bae3ec"},
        {640, 427, 512, 342, RESIZE_LANCZOS, "112247e1b25efead"},
        {300, 200, 1024, 684, RESIZE_BILINEAR, "1642f4ceebb0cd90"},
        {300, 200, 1024, 684, RESIZE_BICUBIC, "2519464f763169f3"},
        {300, 200, 1024, 684, RESIZE_LANCZOS, "a0b4ee91fb631c8b"},
        {1000, 700, 896, 896, RESIZE_BILINEAR, "07f161da63bf9fbc"},
        {1000, 700, 896, 896, RESIZE_BICUBIC, "c8f5c3ec9f31c031"},
        {1000, 700, 896, 896, RESIZE_LANCZOS, "c6a8cba659d1e055"},
        {33, 1000, 64, 64, RESIZE_BILINEAR, "f9b733adb9e35ece"},
        {33, 1000, 64, 64, RESIZE_BICUBIC, "aab1be3dd8b665eb"},
        {33, 1000, 64, 64, RESIZE_LANCZOS, "ddd53feae2ab4c06"},
        {64, 64, 64, 9, RESIZE_BILINEAR, "3b22886a8c879246"},
        {64, 64, 64, 9, RESIZE_BICUBIC, "5c5493febd9dae61"},
        {64, 64, 64, 9, RESIZE_LANCZOS, "f061418890895d70"},
        {5, 1, 1, 7, RESIZE_BILINEAR, "2fd20173086cadd3"},
        {5, 1, 1, 7, RESIZE_BICUBIC, "2fd20173086cadd3"},
        {5, 1, 1, 7, RESIZE_LANCZOS, "2fd20173086cadd3"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct error err = ERROR_INIT;
        CLEANUP_IMAGE struct image from = picture(cases[i].from_width, cases[i].from_height);
        CLEANUP_IMAGE struct image to = {0};
        assert_ok(image_resize(&from, cases[i].width, cases[i].height, cases[i].filter, &to, &err));
        char hex[SHA256_HEX + 1];
        sha256_hex(str_make((char *)to.rgb, (size_t)to.width * to.height * 3), hex);
        hex[16] = '\0';
        assert_string_equal(hex, cases[i].digest);
    }
}

/* A picture of one colour stays that, and one that keeps its size is the same. */
static void test_resize__flat_and_same(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    CLEANUP_IMAGE struct image flat = picture(50, 40);
    memset(flat.rgb, 77, 50 * 40 * 3);
    for (enum resize_filter f = RESIZE_BILINEAR; f <= RESIZE_LANCZOS; f++) {
        CLEANUP_IMAGE struct image to = {0}, same = {0}, small = {0};
        assert_ok(image_resize(&flat, 301, 7, f, &to, &err));
        for (size_t i = 0; i < 301 * 7 * 3; i++)
            assert_int_equal(to.rgb[i], 77);
        CLEANUP_IMAGE struct image from = picture(31, 17);
        assert_ok(image_resize(&from, 31, 17, f, &same, &err));
        assert_memory_equal(same.rgb, from.rgb, 31 * 17 * 3);
        assert_ok(image_resize(&from, 1, 1, f, &small, &err));
        assert_int_equal(small.width * small.height, 1);
    }
}

static void test_resize__limits(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    CLEANUP_IMAGE struct image from = picture(4, 4);
    struct image to = {0};
    assert_fails(image_resize(&from, IMAGE_MAX_SIDE + 1, 4, RESIZE_BILINEAR, &to, &err),
                 ERR_TOO_LARGE, "16385 x 4");
    assert_fails(image_resize(&from, IMAGE_MAX_SIDE, IMAGE_MAX_SIDE, RESIZE_BILINEAR, &to, &err),
                 ERR_TOO_LARGE, "pixels");
    assert_fails(image_resize(&from, 4, 0, RESIZE_BILINEAR, &to, &err), ERR_INVALID, "no pixels");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resize__as_pillow),
        cmocka_unit_test(test_resize__flat_and_same),
        cmocka_unit_test(test_resize__limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
