/* SPDX-License-Identifier: Apache-2.0
 *
 * Cutting pictures.
 *
 * gemma3: the picture is stretched to the square, bilinear.
 *
 * idefics3, as the processor of Idefics3 and SmolVLM does it: scaled so that the longer side is
 * longest_edge (the other one even), then stretched to whole squares, which are cut out; the last
 * square is all of it. Lanczos everywhere. Files that name no longest edge are of an old converter;
 * the picture's own size is then brought to the nearest whole squares. */
#include "engine/vision/tiles.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "engine/vision/resize.h"

/* The size of the picture before it is stretched to whole squares, and after. */
struct layout {
    uint32_t width, height; /* 0 = as it is */
    uint32_t cols, rows;
};

static uint32_t round_to_squares(uint32_t pixels, uint32_t side)
{
    return MAX((pixels + side / 2) / side, 1);
}

static struct layout lay_out(const struct mmproj_desc *d, uint32_t width, uint32_t height)
{
    struct layout l = {0};
    if (d->projector == PROJECTOR_GEMMA3)
        return l;
    if (d->longest_edge == 0) {
        l.cols = round_to_squares(width, d->side);
        l.rows = round_to_squares(height, d->side);
        return l;
    }
    double aspect = (double)width / height;
    uint32_t *other = width >= height ? &l.height : &l.width;
    l.width = l.height = d->longest_edge;
    *other = (uint32_t)(width >= height ? d->longest_edge / aspect : d->longest_edge * aspect);
    *other = MAX(*other + *other % 2, 2);
    l.cols = (l.width + d->side - 1) / d->side;
    l.rows = (l.height + d->side - 1) / d->side;
    return l;
}

/* A grid of one square would show the same twice. */
static void set_grid(const struct layout *l, struct tiles *t)
{
    if (l->rows * l->cols > 1) {
        t->rows = l->rows;
        t->cols = l->cols;
    }
    t->n_squares = t->rows * t->cols + 1;
}

int tiles_plan(const struct mmproj_desc *d, uint32_t width, uint32_t height, struct tiles *ret,
               struct error *err)
{
    struct layout l = lay_out(d, width, height);
    if ((uint64_t)l.rows * l.cols > TILES_MAX)
        return error_set(err, ERR_TOO_LARGE,
                         "an image of %" PRIu32 " x %" PRIu32 " pixels makes more than %d tiles of "
                         "%" PRIu32 " x %" PRIu32 "; send a smaller one",
                         width, height, TILES_MAX, d->side, d->side);
    *ret = (struct tiles){0};
    set_grid(&l, ret);
    return 0;
}

static int cut(const struct image *from, uint32_t x, uint32_t y, uint32_t side, struct image *ret,
               struct error *err)
{
    int r = image_create(side, side, ret, err);
    for (uint32_t i = 0; r == 0 && i < side; i++)
        memcpy(ret->rgb + (size_t)i * side * 3, from->rgb + ((size_t)(y + i) * from->width + x) * 3,
               (size_t)side * 3);
    return r;
}

static int make(const struct mmproj_desc *d, const struct image *image, struct tiles *t,
                struct error *err)
{
    int r = tiles_plan(d, image->width, image->height, t, err);
    if (r < 0)
        return r;
    struct layout l = lay_out(d, image->width, image->height);
    t->squares = xcalloc(t->n_squares, sizeof(*t->squares));
    struct image *whole = &t->squares[t->n_squares - 1];
    if (d->projector == PROJECTOR_GEMMA3)
        return image_resize(image, d->side, d->side, RESIZE_BILINEAR, whole, err);

    CLEANUP_IMAGE struct image scaled = {0}, squares = {0};
    if (l.width > 0) {
        r = image_resize(image, l.width, l.height, RESIZE_LANCZOS, &scaled, err);
        if (r < 0)
            return r;
        image = &scaled;
    }
    r = image_resize(image, l.cols * d->side, l.rows * d->side, RESIZE_LANCZOS, &squares, err);
    for (uint32_t i = 0; r == 0 && i + 1 < t->n_squares; i++)
        r = cut(&squares, i % t->cols * d->side, i / t->cols * d->side, d->side, &t->squares[i],
                err);
    if (r == 0)
        r = image_resize(&squares, d->side, d->side, RESIZE_LANCZOS, whole, err);
    return r;
}

int tiles_make(const struct mmproj_desc *d, const struct image *image, struct tiles *ret,
               struct error *err)
{
    struct tiles t = {0};
    int r = make(d, image, &t, err);
    if (r < 0)
        tiles_release(&t);
    else
        *ret = t;
    return r;
}

void tiles_release(struct tiles *t)
{
    for (uint32_t i = 0; t->squares && i < t->n_squares; i++)
        image_release(&t->squares[i]);
    free(t->squares);
    *t = (struct tiles){0};
}
