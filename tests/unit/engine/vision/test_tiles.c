/* SPDX-License-Identifier: Apache-2.0
 *
 * How pictures are cut. */
#include "engine/vision/tiles.h"

#include "test.h"

static const struct mmproj_desc idefics = {
    .projector = PROJECTOR_IDEFICS3, .side = 512, .patch = 16, .merge = 4, .longest_edge = 2048};
static const struct mmproj_desc old_idefics = {
    .projector = PROJECTOR_IDEFICS3, .side = 512, .patch = 16, .merge = 4};
static const struct mmproj_desc gemma = {
    .projector = PROJECTOR_GEMMA3, .side = 896, .patch = 14, .merge = 4};

/* Grids as the processor of SmolVLM-256M (512 pixels, longest edge 2048) makes them. */
static void test_tiles__plan(void **state)
{
    (void)state;
    static const struct {
        const struct mmproj_desc *desc;
        uint32_t width, height, cols, rows;
    } cases[] = {
        {&idefics, 640, 480, 4, 3}, /* 2048 x 1536 */
        {&idefics, 480, 640, 3, 4},      {&idefics, 100, 100, 4, 4},
        {&idefics, 1000, 100, 4, 1},  /* 2048 x 204 */
        {&idefics, 1920, 1080, 4, 3}, /* 2048 x 1152 */
        {&idefics, 4000, 1, 4, 1},       {&old_idefics, 640, 480, 0, 0},
        {&old_idefics, 1100, 800, 2, 2}, {&gemma, 4000, 3000, 0, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct error err = ERROR_INIT;
        struct tiles t;
        assert_ok(tiles_plan(cases[i].desc, cases[i].width, cases[i].height, &t, &err));
        assert_int_equal(t.cols, cases[i].cols);
        assert_int_equal(t.rows, cases[i].rows);
        assert_int_equal(t.n_squares, cases[i].cols * cases[i].rows + 1);
    }
    struct error err = ERROR_INIT;
    struct tiles t;
    assert_fails(tiles_plan(&old_idefics, 16000, 16000, &t, &err), ERR_TOO_LARGE, "16000 x 16000");
}

/* The squares lie side by side: those of a picture with a mark in one corner show it in the right
 * one. */
static void test_tiles__make(void **state)
{
    (void)state;
    const struct mmproj_desc small = {
        .projector = PROJECTOR_IDEFICS3, .side = 16, .patch = 4, .merge = 2, .longest_edge = 48};
    struct error err = ERROR_INIT;
    CLEANUP_IMAGE struct image image = {0};
    assert_ok(image_create(48, 32, &image, &err));
    for (uint32_t y = 0; y < 32; y++)
        for (uint32_t x = 0; x < 48; x++)
            for (uint32_t c = 0; c < 3; c++)
                image.rgb[(y * 48 + x) * 3 + c] = (unsigned char)(x / 16 * 80 + y / 16 * 40);
    struct tiles t;
    assert_ok(tiles_make(&small, &image, &t, &err));
    assert_int_equal(t.n_squares, 7);
    for (uint32_t i = 0; i < 7; i++) {
        assert_int_equal(t.squares[i].width, 16);
        assert_int_equal(t.squares[i].height, 16);
    }
    for (uint32_t i = 0; i < 6; i++)
        for (uint32_t k = 0; k < 16 * 16 * 3; k++)
            assert_int_equal(t.squares[i].rgb[k], i % 3 * 80 + i / 3 * 40);
    assert_int_equal(t.squares[6].rgb[0], 0); /* all of it: dark at one end, light at the other */
    assert_int_equal(t.squares[6].rgb[16 * 16 * 3 - 1], 200);
    tiles_release(&t);

    struct mmproj_desc one = small;
    one.projector = PROJECTOR_GEMMA3;
    assert_ok(tiles_make(&one, &image, &t, &err));
    assert_int_equal(t.n_squares, 1);
    assert_int_equal(t.squares[0].width, 16);
    tiles_release(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tiles__plan),
        cmocka_unit_test(test_tiles__make),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
