/* SPDX-License-Identifier: Apache-2.0
 *
 * Every kernel of every level this machine has, against the scalar definition: random input and
 * extremes, sizes around the vector widths, unaligned addresses, canaries around the output.
 *
 *     test_kernels            the tests
 *     test_kernels --bench    times the same functions: GB/s of packed weights, GFLOP/s
 */
#include "test.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "engine/kernels/f16.h"
#include "engine/kernels/kernels.h"

static struct kernels scalar;

static uint64_t random_state = 1;

static uint32_t random_bits(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 32);
}

static float random_float(void)
{
    return (float)((double)random_bits() / 0x1p31 - 1.0);
}

/* ---- output with canaries: n floats, `skew` bytes off alignment ---- */

enum { CANARIES = 16 };

struct guarded {
    unsigned char *block;
    float *data;
    size_t n;
};

static struct guarded guarded_new(size_t n, size_t skew)
{
    struct guarded g = {.n = n};
    g.block = xmalloc((n + 2 * CANARIES) * sizeof(float) + skew);
    memset(g.block, 0x5a, (n + 2 * CANARIES) * sizeof(float) + skew);
    g.data = (float *)(void *)(g.block + CANARIES * sizeof(float) + skew);
    return g;
}

static void guarded_check(const struct guarded *g, const char *what)
{
    const unsigned char *before = (const unsigned char *)g->data - CANARIES;
    const unsigned char *behind = (const unsigned char *)g->data + g->n * sizeof(float);
    for (size_t i = 0; i < CANARIES; i++) {
        if (before[i] != 0x5a || behind[i] != 0x5a)
            fail_msg("%s wrote outside its output", what);
    }
}

static void guarded_free(struct guarded *g)
{
    free(g->block);
}

static uint32_t bits_at(const float *p, size_t i)
{
    uint32_t b;
    memcpy(&b, (const unsigned char *)(const void *)p + i * sizeof(b), sizeof(b));
    return b;
}

/* Same bits; NaNs count as equal. */
static void assert_same_bits(const char *what, const char *level, size_t n, const float *got,
                             const float *want)
{
    for (size_t i = 0; i < n; i++) {
        float g = f32_from_bits(bits_at(got, i)), w = f32_from_bits(bits_at(want, i));
        if (bits_at(got, i) != bits_at(want, i) && !(isnan(g) && isnan(w)))
            fail_msg("%s, level %s: item %zu of %zu is %.9g, wanted %.9g", what, level, i, n,
                     (double)g, (double)w);
    }
}

/* |got - want| <= absolute + relative * |want|; infinities and NaNs must be the same kind. */
static void assert_near(const char *what, const char *level, size_t n, const float *got,
                        const float *want, double absolute, double relative)
{
    for (size_t i = 0; i < n; i++) {
        float g = f32_from_bits(bits_at(got, i)), w = f32_from_bits(bits_at(want, i));
        if ((isnan(g) && isnan(w)) || g == w)
            continue;
        if (!(fabs((double)g - (double)w) <= absolute + relative * fabs((double)w)))
            fail_msg("%s, level %s: item %zu of %zu is %.9g, wanted %.9g", what, level, i, n,
                     (double)g, (double)w);
    }
}

/* ---- packed rows ---- */

enum fill { FILL_RANDOM, FILL_ZERO, FILL_ONES, FILL_TINY_SCALE, FILL_NAN_SCALE, FILL_COUNT };

/* Where the f16 scales of a block are. */
static size_t scale_offsets(enum weight_type type, size_t ret[2])
{
    switch (type) {
    case WT_Q4_0:
    case WT_Q5_0:
    case WT_Q8_0:
    case WT_Q8_1:
    case WT_IQ4_NL:
    case WT_IQ4_XS:
    case WT_IQ2_XXS:
    case WT_IQ2_XS:
    case WT_IQ2_S:
    case WT_IQ3_XXS:
    case WT_IQ3_S:
    case WT_IQ1_S:
        ret[0] = 0;
        return 1;
    case WT_Q4_1:
    case WT_Q5_1:
    case WT_Q4_K:
    case WT_Q5_K:
        ret[0] = 0;
        ret[1] = 2;
        return 2;
    case WT_Q2_K:
        ret[0] = offsetof(struct block_q2_k, d);
        ret[1] = offsetof(struct block_q2_k, dmin);
        return 2;
    case WT_Q3_K:
        ret[0] = offsetof(struct block_q3_k, d);
        return 1;
    case WT_Q6_K:
        ret[0] = offsetof(struct block_q6_k, d);
        return 1;
    case WT_TQ1_0:
        ret[0] = offsetof(struct block_tq1_0, d);
        return 1;
    case WT_TQ2_0:
        ret[0] = offsetof(struct block_tq2_0, d);
        return 1;
    default:
        return 0;
    }
}

static void fill_rows(enum weight_type type, enum fill fill, unsigned char *p, size_t bytes)
{
    const struct weight_type_info *info = weight_type_info(type);
    for (size_t i = 0; i < bytes; i++)
        p[i] = fill == FILL_ZERO ? 0 : fill == FILL_ONES ? 0xff : (unsigned char)random_bits();
    if (fill == FILL_ZERO || fill == FILL_ONES)
        return;
    size_t at[2] = {0};
    size_t n_scales = scale_offsets(type, at);
    for (size_t b = 0; b < bytes / info->block_bytes; b++) {
        unsigned char *block = p + b * info->block_bytes;
        for (size_t s = 0; s < n_scales; s++) {
            uint16_t d = f32_to_f16(random_float() / 64);
            if (fill == FILL_TINY_SCALE)
                d = (uint16_t)(random_bits() & 0x83ff); /* subnormal, either sign */
            else if (fill == FILL_NAN_SCALE && b % 2)
                d = (uint16_t)(0x7c00 | (random_bits() & 0x83ff)); /* NaN or infinite */
            memcpy(block + at[s], &d, sizeof(d));
        }
        if (type == WT_F32 && fill == FILL_RANDOM) {
            float f = random_float();
            memcpy(block, &f, sizeof(f));
        } else if (type == WT_F16 && fill == FILL_RANDOM) {
            uint16_t h = f32_to_f16(random_float());
            memcpy(block, &h, sizeof(h));
        } else if (type == WT_BF16 && fill == FILL_RANDOM) {
            uint16_t h = (uint16_t)(f32_bits(random_float()) >> 16);
            memcpy(block, &h, sizeof(h));
        } else if (type == WT_MXFP4 && fill == FILL_RANDOM) {
            block[0] = (uint8_t)(120 + random_bits() % 10);
        }
    }
}

/* Row lengths to try: some around the widths for plain types, some blocks for the others. */
static size_t row_lengths(enum weight_type type, size_t ret[16])
{
    size_t block = weight_type_info(type)->block_items;
    if (block > 1) {
        static const size_t blocks[] = {1, 2, 3, 5};
        for (size_t i = 0; i < ARRAY_LEN(blocks); i++)
            ret[i] = blocks[i] * block;
        return ARRAY_LEN(blocks);
    }
    static const size_t lengths[] = {1, 3, 4, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 172, 300};
    memcpy(ret, lengths, sizeof(lengths));
    return ARRAY_LEN(lengths);
}

static void check_dequant(const struct kernels *k, enum weight_type type)
{
    size_t lengths[16];
    size_t n_lengths = row_lengths(type, lengths);
    for (size_t l = 0; l < n_lengths; l++) {
        for (enum fill fill = FILL_RANDOM; fill < FILL_COUNT; fill++) {
            size_t n = lengths[l], skew = 1 + 2 * (l % 4);
            uint64_t bytes = 0;
            assert_true(weight_row_bytes(type, (uint32_t)n, &bytes));
            CLEANUP_FREE unsigned char *row = xmalloc((size_t)bytes + skew);
            fill_rows(type, fill, row + skew, (size_t)bytes);
            CLEANUP_FREE float *want = xcalloc(n, sizeof(*want));
            struct guarded got = guarded_new(n, 0);
            scalar.weight[type].dequant(row + skew, want, n);
            k->weight[type].dequant(row + skew, got.data, n);
            assert_same_bits(weight_type_info(type)->name, k->level, n, got.data, want);
            guarded_check(&got, weight_type_info(type)->name);
            guarded_free(&got);
        }
    }
}

/* dot: within its bound of the sum in f64, and the same bits as one row and one vector alone. */
static void check_dot(const struct kernels *k, enum weight_type type, size_t n, size_t n_rows,
                      size_t n_x, size_t skew)
{
    const char *name = weight_type_info(type)->name;
    dot_fn dot = k->weight[type].dot;
    uint64_t row_bytes = 0;
    assert_true(weight_row_bytes(type, (uint32_t)n, &row_bytes));
    CLEANUP_FREE unsigned char *rows = xmalloc((size_t)row_bytes * n_rows + skew);
    fill_rows(type, FILL_RANDOM, rows + skew, (size_t)row_bytes * n_rows);
    size_t x_stride = n + 3, y_stride = n_rows + 2;
    CLEANUP_FREE float *x = xcalloc(n_x * x_stride, sizeof(*x));
    CLEANUP_FREE float *w = xcalloc(n, sizeof(*w));
    for (size_t i = 0; i < n_x * x_stride; i++)
        x[i] = i % x_stride < n ? random_float() : NAN; /* nobody may use the gaps */
    struct guarded y = guarded_new(n_x * y_stride - 2, 0);
    dot(rows + skew, (size_t)row_bytes, n_rows, x, x_stride, n_x, n, y.data, y_stride);
    guarded_check(&y, name);
    for (size_t r = 0; r < n_rows; r++) {
        const unsigned char *row = rows + skew + r * row_bytes;
        scalar.weight[type].dequant(row, w, n);
        for (size_t t = 0; t < n_x; t++) {
            float got = y.data[t * y_stride + r], alone;
            double want = 0, magnitude = 0;
            for (size_t i = 0; i < n; i++) {
                want += (double)w[i] * (double)x[t * x_stride + i];
                magnitude += fabs((double)w[i] * (double)x[t * x_stride + i]);
            }
            double bound = ((double)n + 8) * 0x1p-24 * magnitude;
            if (!(fabs((double)got - want) <= bound))
                fail_msg("dot %s, level %s: %zu items, row %zu, vector %zu: %.9g, wanted %.9g",
                         name, k->level, n, r, t, (double)got, want);
            dot(row, (size_t)row_bytes, 1, x + t * x_stride, x_stride, 1, n, &alone, 1);
            assert_same_bits("dot in company", k->level, 1, &got, &alone);
            k->weight[WT_F32].dot(w, n * sizeof(float), 1, x + t * x_stride, x_stride, 1, n, &alone,
                                  1);
            assert_same_bits("dot of the dequantised row", k->level, 1, &got, &alone);
        }
    }
    for (size_t t = 0; t + 1 < n_x; t++) {
        for (size_t gap = 0; gap < 2; gap++)
            assert_int_equal(bits_at(y.data, t * y_stride + n_rows + gap), 0x5a5a5a5a);
    }
    guarded_free(&y);
}

static void check_dots(const struct kernels *k, enum weight_type type)
{
    static const size_t counts[] = {1, 2, 3, 4, 5, 17, 64};
    size_t lengths[16];
    size_t n_lengths = row_lengths(type, lengths);
    for (size_t l = 0; l < n_lengths; l++) {
        for (size_t c = 0; c < ARRAY_LEN(counts); c++)
            check_dot(k, type, lengths[l], 1 + (l + c) % 9, counts[c], (l + c) % 3);
    }
}

/* ---- vector functions ---- */

static const size_t vector_lengths[] = {1,  2,  3,  4,  5,  7,  8,  9,   15,
                                        16, 17, 31, 32, 33, 47, 64, 100, 1000};

/* Numbers of every size, and the special ones when `special`. */
static void fill_vector(float *p, size_t n, float scale, bool special)
{
    static const float specials[] = {0.0f,   -0.0f,  INFINITY, -INFINITY, NAN,     1e-45f, -1e-40f,
                                     3e38f,  -3e38f, 88.5f,    -88.5f,    -103.9f, 104.5f, 1e-8f,
                                     0.2499f, -0.25f};
    for (size_t i = 0; i < n; i++) {
        float f = random_float() * scale;
        if (special && i % 2)
            f = specials[random_bits() % ARRAY_LEN(specials)];
        memcpy((unsigned char *)(void *)p + i * sizeof(f), &f, sizeof(f));
    }
}

static void check_act(const char *what, const struct kernels *k, act_fn got_fn, act_fn want_fn,
                      double absolute, double relative)
{
    for (size_t l = 0; l < ARRAY_LEN(vector_lengths); l++) {
        for (int round = 0; round < 4; round++) {
            size_t n = vector_lengths[l];
            CLEANUP_FREE float *a = xcalloc(n, sizeof(*a));
            CLEANUP_FREE float *b = xcalloc(n, sizeof(*b));
            CLEANUP_FREE float *want = xcalloc(n, sizeof(*want));
            struct guarded got = guarded_new(n, 0);
            fill_vector(a, n, round < 2 ? 8.0f : 100.0f, round == 3);
            fill_vector(b, n, 1.0f, false);
            const float *factor = round % 2 ? b : NULL;
            want_fn(a, factor, n, want);
            got_fn(a, factor, n, got.data);
            assert_near(what, k->level, n, got.data, want, absolute, relative);
            guarded_check(&got, what);
            got_fn(a, factor, n, a); /* in place */
            assert_same_bits(what, k->level, n, a, got.data);
            guarded_free(&got);
        }
    }
}

static void check_norms(const struct kernels *k)
{
    for (size_t l = 0; l < ARRAY_LEN(vector_lengths); l++) {
        for (int round = 0; round < 4; round++) {
            size_t n = vector_lengths[l];
            CLEANUP_FREE float *a = xcalloc(n, sizeof(*a));
            CLEANUP_FREE float *w = xcalloc(n, sizeof(*w));
            CLEANUP_FREE float *want = xcalloc(n, sizeof(*want));
            struct guarded got = guarded_new(n, 0);
            fill_vector(a, n, round == 2 ? 1e18f : 3.0f, round == 3);
            fill_vector(w, n, 2.0f, false);
            scalar.rms_norm(a, round % 2 ? w : NULL, n, 1e-6f, want);
            k->rms_norm(a, round % 2 ? w : NULL, n, 1e-6f, got.data);
            assert_near("rms_norm", k->level, n, got.data, want, 0, 2e-7);
            scalar.layer_norm(a, round % 2 ? w : NULL, w, n, 1e-6f, want);
            k->layer_norm(a, round % 2 ? w : NULL, w, n, 1e-6f, got.data);
            assert_near("layer_norm", k->level, n, got.data, want, 1e-6, 1e-6);
            guarded_check(&got, "norm");
            guarded_free(&got);
        }
    }
}

static void check_softcap(const struct kernels *k)
{
    for (size_t l = 0; l < ARRAY_LEN(vector_lengths); l++) {
        for (int round = 0; round < 3; round++) {
            size_t n = vector_lengths[l];
            float cap = round == 0 ? 30.0f : 2.0f;
            CLEANUP_FREE float *a = xcalloc(n, sizeof(*a));
            CLEANUP_FREE float *want = xcalloc(n, sizeof(*want));
            struct guarded got = guarded_new(n, 0);
            fill_vector(a, n, 20.0f, round == 2);
            scalar.softcap(a, n, cap, want);
            k->softcap(a, n, cap, got.data);
            assert_near("softcap", k->level, n, got.data, want, 1e-44, 5e-7);
            guarded_check(&got, "softcap");
            guarded_free(&got);
        }
    }
}

static void check_f16(const struct kernels *k)
{
    for (size_t l = 0; l < ARRAY_LEN(vector_lengths); l++) {
        size_t n = vector_lengths[l];
        CLEANUP_FREE float *a = xcalloc(n, sizeof(*a));
        CLEANUP_FREE uint16_t *want = xcalloc(n, sizeof(*want));
        CLEANUP_FREE uint16_t *got = xcalloc(n + 8, sizeof(*got));
        for (int round = 0; round < 50; round++) {
            fill_vector(a, n, round % 2 ? 70000.0f : 1e-4f, false);
            if (round >= 40) /* anything */
                for (size_t i = 0; i < n; i++)
                    a[i] = f32_from_bits(random_bits());
            memset(got, 0x5a, (n + 8) * sizeof(*got));
            scalar.f32_to_f16(a, n, want);
            k->f32_to_f16(a, n, got);
            for (size_t i = 0; i < n; i++) {
                if (got[i] != want[i])
                    fail_msg("f32_to_f16, level %s: %.9g (%08x) gives %04x, wanted %04x", k->level,
                             (double)a[i], f32_bits(a[i]), got[i], want[i]);
            }
            for (size_t i = n; i < n + 8; i++)
                assert_int_equal(got[i], 0x5a5a);
        }
    }
}

/* ---- attention ---- */

static void check_scores(const struct kernels *k, bool f16, size_t n_q, size_t width)
{
    attn_scores_fn fn = f16 ? k->attn_scores_f16 : k->attn_scores_f32;
    attn_scores_fn want_fn = f16 ? scalar.attn_scores_f16 : scalar.attn_scores_f32;
    size_t q_stride = width + 1;
    CLEANUP_FREE float *q = xcalloc(n_q * q_stride, sizeof(*q));
    CLEANUP_FREE float *keys = xcalloc(width * ATTN_TILE, sizeof(*keys));
    CLEANUP_FREE uint16_t *keys_f16 = xcalloc(width * ATTN_TILE, sizeof(*keys_f16));
    CLEANUP_FREE float *want = xcalloc(n_q, ATTN_TILE * sizeof(float));
    fill_vector(q, n_q * q_stride, 1.0f, false);
    fill_vector(keys, width * ATTN_TILE, 1.0f, false);
    scalar.f32_to_f16(keys, width * ATTN_TILE, keys_f16);
    const void *tile = f16 ? (const void *)keys_f16 : (const void *)keys;
    struct guarded got = guarded_new(n_q * ATTN_TILE, 0);
    want_fn(q, q_stride, n_q, tile, width, 0.3f, (float(*)[ATTN_TILE])(void *)want);
    fn(q, q_stride, n_q, tile, width, 0.3f, (float(*)[ATTN_TILE])(void *)got.data);
    assert_near("attn_scores", k->level, n_q * ATTN_TILE, got.data, want,
                (double)width * 0x1p-23 * (double)width, 0);
    guarded_check(&got, "attn_scores");
    for (size_t i = 0; i < n_q; i++) {
        float alone[1][ATTN_TILE];
        fn(q + i * q_stride, q_stride, 1, tile, width, 0.3f, alone);
        assert_same_bits("attn_scores alone", k->level, ATTN_TILE, got.data + i * ATTN_TILE,
                         alone[0]);
    }
    guarded_free(&got);
}

static void check_softmax(const struct kernels *k, size_t begin, size_t end, float before)
{
    float want[ATTN_TILE], got[ATTN_TILE];
    fill_vector(want, ATTN_TILE, 10.0f, false);
    for (size_t t = 0; t < ATTN_TILE; t++) {
        if (t < begin || t >= end)
            want[t] = t % 2 ? NAN : INFINITY; /* must not matter */
    }
    memcpy(got, want, sizeof(got));
    struct attn_state want_state = {before, 3.0f}, got_state = want_state;
    float want_factor = scalar.attn_softmax(want, begin, end, &want_state);
    float got_factor = k->attn_softmax(got, begin, end, &got_state);
    assert_near("softmax weights", k->level, end - begin, got + begin, want + begin, 0, 4e-7);
    assert_near("softmax factor", k->level, 1, &got_factor, &want_factor, 1e-44, 4e-7);
    assert_near("softmax sum", k->level, 1, &got_state.sum, &want_state.sum, 0, 2e-6);
    assert_same_bits("softmax maximum", k->level, 1, &got_state.max, &want_state.max);
}

static void check_values(const struct kernels *k, bool f16, size_t n_q, size_t width, size_t begin,
                         size_t end)
{
    attn_values_fn fn = f16 ? k->attn_values_f16 : k->attn_values_f32;
    attn_values_fn want_fn = f16 ? scalar.attn_values_f16 : scalar.attn_values_f32;
    CLEANUP_FREE float *p = xcalloc(n_q, ATTN_TILE * sizeof(float));
    CLEANUP_FREE float *factor = xcalloc(n_q, sizeof(float));
    CLEANUP_FREE float *values = xcalloc(width * ATTN_TILE, sizeof(float));
    CLEANUP_FREE uint16_t *values_f16 = xcalloc(width * ATTN_TILE, sizeof(uint16_t));
    size_t stride = width + 2;
    CLEANUP_FREE float *want = xcalloc(n_q * stride, sizeof(float));
    struct guarded got = guarded_new(n_q * stride, 0);
    fill_vector(p, n_q * ATTN_TILE, 1.0f, false);
    fill_vector(factor, n_q, 1.0f, false);
    fill_vector(values, width * ATTN_TILE, 1.0f, false);
    for (size_t t = 0; t < ATTN_TILE; t++) {
        for (size_t d = 0; d < width && (t < begin || t >= end); d++)
            values[t * width + d] = NAN; /* must not be used */
    }
    scalar.f32_to_f16(values, width * ATTN_TILE, values_f16);
    const void *tile = f16 ? (const void *)values_f16 : (const void *)values;
    fill_vector(want, n_q * stride, 1.0f, false);
    memcpy(got.data, want, n_q * stride * sizeof(float));
    CLEANUP_FREE float *alone = xcalloc(n_q * stride, sizeof(float));
    memcpy(alone, want, n_q * stride * sizeof(float));
    const float(*weights)[ATTN_TILE] = (const float(*)[ATTN_TILE])(const void *)p;
    want_fn(weights, factor, n_q, begin, end, tile, width, want, stride);
    fn(weights, factor, n_q, begin, end, tile, width, got.data, stride);
    guarded_check(&got, "attn_values");
    for (size_t i = 0; i < n_q; i++) {
        assert_near("attn_values", k->level, width, got.data + i * stride, want + i * stride, 4e-6,
                    0);
        assert_same_bits("attn_values' gap", k->level, 2, got.data + i * stride + width,
                         want + i * stride + width);
        fn(weights + i, factor + i, 1, begin, end, tile, width, alone + i * stride, stride);
    }
    assert_same_bits("attn_values alone", k->level, n_q * stride, got.data, alone);
    guarded_free(&got);
}

static void check_attention(const struct kernels *k)
{
    static const size_t widths[] = {1, 3, 8, 16, 24, 33, 64, 80, 128};
    static const size_t queries[] = {1, 2, 4, 5, 9};
    static const struct {
        size_t begin, end;
    } parts[] = {{0, ATTN_TILE}, {0, 1}, {31, 32}, {5, 6}, {3, 29}, {16, 32}, {0, 17}};
    for (size_t w = 0; w < ARRAY_LEN(widths); w++) {
        for (size_t q = 0; q < ARRAY_LEN(queries); q++) {
            for (int f16 = 0; f16 < 2; f16++) {
                size_t part = (w + q) % ARRAY_LEN(parts);
                check_scores(k, f16, queries[q], widths[w]);
                check_values(k, f16, queries[q], widths[w], parts[part].begin, parts[part].end);
            }
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        check_softmax(k, parts[i].begin, parts[i].end, -INFINITY);
        check_softmax(k, parts[i].begin, parts[i].end, 5.0f);
        check_softmax(k, parts[i].begin, parts[i].end, 50.0f);
        check_softmax(k, parts[i].begin, parts[i].end, 500.0f);
    }
}

/* ---- the tests ---- */

/* Calls fn with the table of each level. */
static void for_each_level(void (*fn)(const struct kernels *k))
{
    struct error err = ERROR_INIT;
    const char *level;
    assert_ok(kernels_init("scalar", &scalar, &err));
    for (size_t i = 0; (level = kernels_level_at(i)) != NULL; i++) {
        struct kernels k;
        assert_ok(kernels_init(level, &k, &err));
        assert_string_equal(k.level, level);
        fn(&k);
    }
}

static void dequant_level(const struct kernels *k)
{
    for (uint32_t type = 0; type < WT_COUNT; type++) {
        const struct weight_type_info *info = weight_type_info(type);
        assert_int_equal(info && info->can_compute, k->weight[type].dequant != NULL);
        if (k->weight[type].dequant)
            check_dequant(k, (enum weight_type)type);
    }
}

static void test_kernels__dequant(void **state)
{
    (void)state;
    for_each_level(dequant_level);
}

static void dot_level(const struct kernels *k)
{
    assert_non_null(k->weight[WT_F32].dot);
    for (uint32_t type = 0; type < WT_COUNT; type++) {
        if (k->weight[type].dot)
            check_dots(k, (enum weight_type)type);
    }
}

static void test_kernels__dot(void **state)
{
    (void)state;
    for_each_level(dot_level);
}

static void act_level(const struct kernels *k)
{
    check_act("silu", k, k->silu, scalar.silu, 1e-37, 6e-7);
    check_act("gelu_tanh", k, k->gelu_tanh, scalar.gelu_tanh, 1e-6, 1e-6);
    check_act("gelu_erf", k, k->gelu_erf, scalar.gelu_erf, 0, 0);
    check_act("relu", k, k->relu, scalar.relu, 0, 0);
    check_act("relu_sqr", k, k->relu_sqr, scalar.relu_sqr, 0, 0);
    check_act("sigmoid", k, k->sigmoid, scalar.sigmoid, 1e-37, 6e-7);
    check_act("softplus", k, k->softplus, scalar.softplus, 1e-37, 6e-7);
    check_softcap(k);
}

static void test_kernels__activations(void **state)
{
    (void)state;
    for_each_level(act_level);
}

/* ---- layers with a state ---- */

static void check_conv1d(const struct kernels *k)
{
    enum { WIDTH = 5 };
    for (size_t l = 0; l < ARRAY_LEN(vector_lengths); l++) {
        size_t n = vector_lengths[l], stride = n + 3;
        CLEANUP_FREE float *x = xcalloc(WIDTH * n, sizeof(*x));
        CLEANUP_FREE float *w = xcalloc(WIDTH * stride, sizeof(*w));
        CLEANUP_FREE float *bias = xcalloc(n, sizeof(*bias));
        CLEANUP_FREE float *want = xcalloc(n, sizeof(*want));
        const float *rows[WIDTH];
        fill_vector(x, WIDTH * n, 1.0f, false);
        fill_vector(w, WIDTH * stride, 1.0f, false);
        fill_vector(bias, n, 1.0f, false);
        for (size_t j = 0; j < WIDTH; j++)
            rows[j] = x + j * n;
        for (size_t width = 1; width <= WIDTH; width++) {
            struct guarded got = guarded_new(n, 0);
            const float *b = width % 2 ? bias : NULL;
            scalar.conv1d(rows, width, w, stride, b, n, want);
            k->conv1d(rows, width, w, stride, b, n, got.data);
            assert_near("conv1d", k->level, n, got.data, want, 1e-6, 1e-6);
            guarded_check(&got, "conv1d");
            guarded_free(&got);
        }
    }
}

enum { STATE_ROWS = 9 };

/* Numbers for one step over [STATE_ROWS][n] or [n][STATE_ROWS] items of state. */
struct step {
    float *s, *a, *dt, *x, *want, *want_y, b[STATE_ROWS], c[STATE_ROWS];
    struct guarded got, y;
};

static void step_init(struct step *t, size_t n)
{
    *t = (struct step){.got = guarded_new(STATE_ROWS * n, 0), .y = guarded_new(n, 0)};
    float **arrays[] = {&t->s, &t->a, &t->want};
    for (size_t i = 0; i < ARRAY_LEN(arrays); i++) {
        *arrays[i] = xcalloc(STATE_ROWS * n, sizeof(float));
        fill_vector(*arrays[i], STATE_ROWS * n, 1.0f, false);
    }
    float **vectors[] = {&t->dt, &t->x, &t->want_y};
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
        *vectors[i] = xcalloc(n, sizeof(float));
        fill_vector(*vectors[i], n, 1.0f, false);
    }
    fill_vector(t->b, STATE_ROWS, 1.0f, false);
    fill_vector(t->c, STATE_ROWS, 1.0f, false);
}

static void step_check(struct step *t, const struct kernels *k, size_t n, const char *what)
{
    assert_near(what, k->level, STATE_ROWS * n, t->got.data, t->want, 2e-6, 2e-6);
    assert_near(what, k->level, n, t->y.data, t->want_y, 1e-5, 2e-6);
    guarded_check(&t->got, what);
    guarded_check(&t->y, what);
}

static void step_release(struct step *t)
{
    float *all[] = {t->s, t->a, t->dt, t->x, t->want, t->want_y};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        free(all[i]);
    guarded_free(&t->got);
    guarded_free(&t->y);
}

static void check_steps(const struct kernels *k)
{
    for (size_t l = 0; l < ARRAY_LEN(vector_lengths); l++) {
        size_t n = vector_lengths[l], rows = STATE_ROWS;
        struct step t;
        step_init(&t, n);
        scalar.ssm_head(t.s, t.want, rows, n, 0.75f, 0.5f, t.x, t.b, t.c, t.want_y);
        k->ssm_head(t.s, t.got.data, rows, n, 0.75f, 0.5f, t.x, t.b, t.c, t.y.data);
        step_check(&t, k, n, "ssm_head");
        scalar.ssm_channels(t.s, t.want, rows, n, t.a, t.dt, t.x, t.b, t.c, t.want_y);
        k->ssm_channels(t.s, t.got.data, rows, n, t.a, t.dt, t.x, t.b, t.c, t.y.data);
        step_check(&t, k, n, "ssm_channels");
        scalar.delta_step(t.s, t.want, n, rows, n, t.b, t.c, t.x, 0.75f, 0.5f, t.want_y);
        k->delta_step(t.s, t.got.data, n, rows, n, t.b, t.c, t.x, 0.75f, 0.5f, t.y.data);
        step_check(&t, k, n, "delta_step");
        /* The same in place. */
        k->delta_step(t.s, t.s, n, rows, n, t.b, t.c, t.x, 0.75f, 0.5f, t.want_y);
        assert_same_bits("delta_step", k->level, rows * n, t.s, t.got.data);
        assert_same_bits("delta_step", k->level, n, t.want_y, t.y.data);
        step_release(&t);
    }
}

static void state_level(const struct kernels *k)
{
    check_conv1d(k);
    check_steps(k);
}

static void test_kernels__layers_with_a_state(void **state)
{
    (void)state;
    for_each_level(state_level);
}

static void test_kernels__norms(void **state)
{
    (void)state;
    for_each_level(check_norms);
}

static void test_kernels__f32_to_f16(void **state)
{
    (void)state;
    for_each_level(check_f16);
}

static void test_kernels__attention(void **state)
{
    (void)state;
    for_each_level(check_attention);
}

/* Every f16 value converts to f32 and back to itself; bf16 is the head of f32. */
static void test_f16__round_trip(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 0x10000; h++) {
        float f = f16_to_f32((uint16_t)h);
        bool is_nan = (h & 0x7fff) > 0x7c00;
        assert_int_equal(isnan(f) != 0, is_nan);
        assert_int_equal(f32_to_f16(f), is_nan ? (h | 0x200) : h);
        if (!is_nan && (h & 0x7c00) != 0x7c00) {
            double want = ldexp((double)((h & 0x3ff) + ((h & 0x7c00) ? 0x400 : 0)),
                                (int)((h & 0x7c00) ? (h >> 10 & 31) : 1) - 25);
            assert_true(fabs((double)f) == want);
        }
    }
    assert_int_equal(f32_to_f16(65519.996f), 0x7bff);
    assert_int_equal(f32_to_f16(65520.0f), 0x7c00);
    assert_int_equal(f32_to_f16(0x1p-25f), 0);           /* half of the smallest: to even */
    assert_int_equal(f32_to_f16(0x1.000002p-25f), 1);
    assert_int_equal(f32_to_f16(1.0f + 0x1p-11f), 0x3c00);
    assert_int_equal(f32_to_f16(1.0f + 0x3p-11f), 0x3c02);
}

static void test_types__facts(void **state)
{
    (void)state;
    assert_null(weight_type_info(4));
    assert_null(weight_type_info(WT_COUNT));
    assert_null(weight_type_info(UINT32_MAX));
    assert_string_equal(weight_type_info(WT_Q4_K)->name, "Q4_K");
    uint64_t bytes = 1;
    assert_false(weight_row_bytes(WT_Q4_K, 255, &bytes));
    assert_false(weight_row_bytes(31, 256, &bytes));
    assert_int_equal(bytes, 1);
    assert_true(weight_row_bytes(WT_Q4_K, 512, &bytes));
    assert_int_equal(bytes, 288);
    assert_true(weight_row_bytes(WT_F64, UINT32_MAX, &bytes));
    assert_true(bytes == 8ull * UINT32_MAX);
}

static void test_kernels__level_names(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct kernels k;
    assert_string_equal(kernels_level_at(0), "scalar");
    assert_null(kernels_level_at(100));
    assert_fails(kernels_init("AVX2", &k, &err), ERR_INVALID, "'AVX2' is no instruction set level");
    assert_ok(kernels_init(NULL, &k, &err));
    assert_ok(kernels_init("", &k, &err));
}

/* ---- bench ---- */

enum { BENCH_COLS = 4096, BENCH_MS = 150 };

/* Seconds of one call, the best of repeated ones. */
#define BENCH(seconds, call)                                          \
    do {                                                              \
        int64_t start_ = clock_mono_ns(), best_ = INT64_MAX, now_;    \
        do {                                                          \
            int64_t t_ = clock_mono_ns();                             \
            call;                                                     \
            now_ = clock_mono_ns();                                   \
            best_ = now_ - t_ < best_ ? now_ - t_ : best_;            \
        } while (now_ - start_ < BENCH_MS * (int64_t)1000000);        \
        (seconds) = (double)best_ * 1e-9;                             \
    } while (0)

static void bench_type(const struct kernels *k, enum weight_type type)
{
    enum { ROWS = 256, X = 4 };
    uint64_t row_bytes = 0;
    assert_true(weight_row_bytes(type, BENCH_COLS, &row_bytes));
    size_t bytes = (size_t)row_bytes * ROWS;
    CLEANUP_FREE unsigned char *rows = xmalloc(bytes);
    CLEANUP_FREE float *x = xcalloc(X * BENCH_COLS, sizeof(*x));
    CLEANUP_FREE float *y = xcalloc(X * ROWS, sizeof(*y));
    fill_rows(type, FILL_RANDOM, rows, bytes);
    fill_vector(x, X * BENCH_COLS, 1.0f, false);
    double dequant, one = 0, four = 0;
    BENCH(dequant, for (size_t r = 0; r < ROWS; r++) k->weight[type].dequant(
                       rows + r * row_bytes, x, BENCH_COLS));
    fill_vector(x, X * BENCH_COLS, 1.0f, false);
    printf("%-8s %-7s dequant %6.2f GB/s", k->level, weight_type_info(type)->name,
           (double)bytes / dequant * 1e-9);
    if (k->weight[type].dot) {
        dot_fn dot = k->weight[type].dot;
        BENCH(one, dot(rows, row_bytes, ROWS, x, BENCH_COLS, 1, BENCH_COLS, y, ROWS));
        BENCH(four, dot(rows, row_bytes, ROWS, x, BENCH_COLS, X, BENCH_COLS, y, ROWS));
        printf("   dot x1 %6.2f GB/s %7.2f GFLOP/s   x4 %6.2f GB/s %7.2f GFLOP/s",
               (double)bytes / one * 1e-9, 2e-9 * ROWS * BENCH_COLS / one,
               (double)bytes / four * 1e-9, 2e-9 * ROWS * BENCH_COLS * X / four);
    }
    printf("\n");
}

/* Rows as the backend lays them out: a cache line apart from a power of two, so that they do not all
 * fall into the same sets of the caches. */
static void bench_gemm(const struct kernels *k)
{
    enum { ROWS = 64, STRIDE = BENCH_COLS + 16 };
    static const size_t counts[] = {4, 16, 64, 256, 512};
    CLEANUP_FREE float *w = xcalloc(ROWS * STRIDE, sizeof(*w));
    CLEANUP_FREE float *x = xcalloc(512 * STRIDE, sizeof(*x));
    CLEANUP_FREE float *y = xcalloc(512 * ROWS, sizeof(*y));
    fill_vector(w, ROWS * STRIDE, 1.0f, false);
    fill_vector(x, 512 * STRIDE, 1.0f, false);
    for (size_t c = 0; c < ARRAY_LEN(counts); c++) {
        for (size_t rows = 16; rows <= ROWS; rows *= 4) {
            double seconds;
            BENCH(seconds, k->weight[WT_F32].dot(w, STRIDE * sizeof(float), rows, x, STRIDE,
                                                 counts[c], BENCH_COLS, y, rows));
            printf("%-8s gemm %2zu x %3zu x %d  %7.2f GFLOP/s\n", k->level, rows, counts[c],
                   BENCH_COLS, 2e-9 * (double)(rows * counts[c]) * BENCH_COLS / seconds);
        }
    }
}

static void bench_rest(const struct kernels *k)
{
    CLEANUP_FREE float *a = xcalloc(BENCH_COLS, sizeof(*a));
    CLEANUP_FREE float *b = xcalloc(BENCH_COLS, sizeof(*b));
    fill_vector(a, BENCH_COLS, 8.0f, false);
    double seconds;
#define BENCH_LINE(what, n, call)                                                           \
    do {                                                                                    \
        BENCH(seconds, call);                                                               \
        printf("%-8s %-10s %8.3f ns an item\n", k->level, what, seconds * 1e9 / (double)(n)); \
    } while (0)
    BENCH_LINE("rms_norm", BENCH_COLS, k->rms_norm(a, a, BENCH_COLS, 1e-5f, b));
    BENCH_LINE("layer_norm", BENCH_COLS, k->layer_norm(a, a, a, BENCH_COLS, 1e-5f, b));
    BENCH_LINE("silu", BENCH_COLS, k->silu(a, a, BENCH_COLS, b));
    BENCH_LINE("gelu_tanh", BENCH_COLS, k->gelu_tanh(a, a, BENCH_COLS, b));
    BENCH_LINE("gelu_erf", BENCH_COLS, k->gelu_erf(a, a, BENCH_COLS, b));
    BENCH_LINE("softcap", BENCH_COLS, k->softcap(a, BENCH_COLS, 30.0f, b));
    enum { HEAD = 128, QUERIES = 4 };
    static float q[QUERIES * HEAD], p[QUERIES][ATTN_TILE], factor[QUERIES], acc[QUERIES * HEAD];
    static uint16_t tile[HEAD * ATTN_TILE];
    struct attn_state state = {.max = 0};
    BENCH_LINE("scores x1", HEAD * ATTN_TILE,
               k->attn_scores_f16(q, HEAD, 1, tile, HEAD, 1.0f, p));
    BENCH_LINE("scores x4", QUERIES * HEAD * ATTN_TILE,
               k->attn_scores_f16(q, HEAD, QUERIES, tile, HEAD, 1.0f, p));
    BENCH_LINE("softmax", ATTN_TILE, k->attn_softmax(p[0], 0, ATTN_TILE, &state));
    BENCH_LINE("values x1", HEAD * ATTN_TILE,
               k->attn_values_f16((const float(*)[ATTN_TILE])p, factor, 1, 0, ATTN_TILE, tile,
                                  HEAD, acc, HEAD));
    BENCH_LINE("values x4", QUERIES * HEAD * ATTN_TILE,
               k->attn_values_f16((const float(*)[ATTN_TILE])p, factor, QUERIES, 0, ATTN_TILE,
                                  tile, HEAD, acc, HEAD));
}

static void bench_level(const struct kernels *k)
{
    for (uint32_t type = 0; type < WT_COUNT; type++) {
        if (k->weight[type].dequant)
            bench_type(k, (enum weight_type)type);
    }
    bench_gemm(k);
    bench_rest(k);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--bench") == 0) {
        for_each_level(bench_level);
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types__facts),
        cmocka_unit_test(test_f16__round_trip),
        cmocka_unit_test(test_kernels__level_names),
        cmocka_unit_test(test_kernels__dequant),
        cmocka_unit_test(test_kernels__dot),
        cmocka_unit_test(test_kernels__activations),
        cmocka_unit_test(test_kernels__norms),
        cmocka_unit_test(test_kernels__f32_to_f16),
        cmocka_unit_test(test_kernels__attention),
        cmocka_unit_test(test_kernels__layers_with_a_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
