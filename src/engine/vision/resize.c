/* SPDX-License-Identifier: Apache-2.0
 *
 * Resampling. An output pixel is the weighted mean of the input pixels under the filter, which is
 * centred on it and, where the picture shrinks, as many times wider as the picture shrinks. */
#include "engine/vision/resize.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

enum { WEIGHT_BITS = 22 };

/* The weights of all output pixels of one direction. */
struct taps {
    size_t most;      /* weights a pixel at most */
    uint32_t *first;  /* [n_out] the first input pixel */
    uint32_t *n;      /* [n_out] how many */
    int32_t *weights; /* [n_out][most] sum is 1 << WEIGHT_BITS, about */
};

static void taps_release(struct taps *t)
{
    free(t->first);
    free(t->n);
    free(t->weights);
}

static double sinc(double x)
{
    return x == 0 ? 1 : sin(M_PI * x) / (M_PI * x);
}

static double filter_reach(enum resize_filter f)
{
    return f == RESIZE_LANCZOS ? 3 : f == RESIZE_BICUBIC ? 2 : 1;
}

static double filter_value(enum resize_filter f, double x)
{
    x = fabs(x);
    if (x >= filter_reach(f))
        return 0;
    switch (f) {
    case RESIZE_BILINEAR:
        return 1 - x;
    case RESIZE_BICUBIC: /* Keys' cubic convolution, a = -1/2 */
        return x < 1 ? (1.5 * x - 2.5) * x * x + 1 : ((-0.5 * x + 2.5) * x - 4) * x + 2;
    case RESIZE_LANCZOS:
        return sinc(x) * sinc(x / 3);
    }
    return 0;
}

static int taps_create(uint32_t n_in, uint32_t n_out, enum resize_filter f, struct taps *t,
                       struct error *err)
{
    double scale = (double)n_in / n_out, widen = MAX(scale, 1.0);
    double reach = filter_reach(f) * widen;
    t->most = (size_t)ceil(reach) * 2 + 1;
    t->first = alloc_array(n_out, sizeof(*t->first));
    t->n = alloc_array(n_out, sizeof(*t->n));
    t->weights = alloc_array_zero((size_t)n_out * t->most, sizeof(*t->weights));
    CLEANUP_FREE double *w = alloc_array(t->most, sizeof(*w));
    if (!t->first || !t->n || !t->weights || !w)
        return error_set(err, ERR_NOMEM, "out of memory for the scaling of an image");
    for (uint32_t i = 0; i < n_out; i++) {
        double centre = (i + 0.5) * scale, sum = 0;
        int64_t begin = MAX((int64_t)(centre - reach + 0.5), 0);
        int64_t end = MIN((int64_t)(centre + reach + 0.5), (int64_t)n_in);
        size_t n = (size_t)(end - begin);
        for (size_t k = 0; k < n; k++) {
            w[k] = filter_value(f, ((double)begin + (double)k - centre + 0.5) / widen);
            sum += w[k];
        }
        t->first[i] = (uint32_t)begin;
        t->n[i] = (uint32_t)n;
        for (size_t k = 0; k < n; k++)
            t->weights[i * t->most + k] = (int32_t)round(w[k] / sum * (1 << WEIGHT_BITS));
    }
    return 0;
}

static unsigned char to_byte(int32_t sum)
{
    int32_t v = sum >> WEIGHT_BITS;
    return (unsigned char)(v < 0 ? 0 : v > 255 ? 255 : v);
}

static void scale_rows(const struct image *from, const struct taps *t, struct image *to)
{
    for (uint32_t y = 0; y < from->height; y++) {
        const unsigned char *row = from->rgb + (size_t)y * from->width * 3;
        unsigned char *out = to->rgb + (size_t)y * to->width * 3;
        for (uint32_t x = 0; x < to->width; x++, out += 3) {
            const unsigned char *p = row + (size_t)t->first[x] * 3;
            const int32_t *w = t->weights + x * t->most;
            int32_t r = 1 << (WEIGHT_BITS - 1), g = r, b = r;
            for (uint32_t k = 0; k < t->n[x]; k++, p += 3) {
                r += p[0] * w[k];
                g += p[1] * w[k];
                b += p[2] * w[k];
            }
            out[0] = to_byte(r);
            out[1] = to_byte(g);
            out[2] = to_byte(b);
        }
    }
}

static int scale_columns(const struct image *from, const struct taps *t, struct image *to,
                         struct error *err)
{
    size_t width = (size_t)from->width * 3;
    CLEANUP_FREE int32_t *sums = alloc_array(width, sizeof(*sums));
    if (!sums)
        return error_set(err, ERR_NOMEM, "out of memory for the scaling of an image");
    for (uint32_t y = 0; y < to->height; y++) {
        for (size_t i = 0; i < width; i++)
            sums[i] = 1 << (WEIGHT_BITS - 1);
        for (uint32_t k = 0; k < t->n[y]; k++) {
            const unsigned char *row = from->rgb + (t->first[y] + k) * width;
            int32_t w = t->weights[y * t->most + k];
            for (size_t i = 0; i < width; i++)
                sums[i] += row[i] * w;
        }
        unsigned char *out = to->rgb + y * width;
        for (size_t i = 0; i < width; i++)
            out[i] = to_byte(sums[i]);
    }
    return 0;
}

int image_resize(const struct image *from, uint32_t width, uint32_t height,
                 enum resize_filter filter, struct image *ret, struct error *err)
{
    CLEANUP_IMAGE struct image wide = {0}, out = {0};
    CLEANUP(taps_release) struct taps across = {0}, down = {0};
    const struct image *last = from;
    int r = 0;
    /* A direction that keeps its size is not filtered. */
    if (width != from->width) {
        r = image_create(width, from->height, &wide, err);
        if (r == 0)
            r = taps_create(from->width, width, filter, &across, err);
        if (r < 0)
            return r;
        scale_rows(from, &across, &wide);
        last = &wide;
    }
    r = image_create(width, height, &out, err);
    if (r < 0)
        return r;
    if (height != from->height) {
        r = taps_create(from->height, height, filter, &down, err);
        if (r == 0)
            r = scale_columns(last, &down, &out, err);
        if (r < 0)
            return r;
    } else {
        memcpy(out.rgb, last->rgb, (size_t)width * height * 3);
    }
    *ret = out;
    out.rgb = NULL;
    return 0;
}
