/* SPDX-License-Identifier: Apache-2.0
 *
 * The quantisers: what they write, read back by the kernels, is near the original, and nearest
 * where it matters. */
#include "test.h"

#include <math.h>
#include <stdlib.h>

#include "base/compiler.h"
#include "engine/kernels/kernels.h"
#include "engine/quantize/quantize.h"

enum { N = 2048 };

/* Relative to the root mean square of the row: the error's, on numbers of a normal-like
 * distribution. What good quantisers of these formats reach is some percent below each. */
static const struct {
    uint32_t type;
    double bound;
} rows[] = {
    {WT_F32, 0},      {WT_F16, 3e-4},   {WT_BF16, 2.5e-3}, {WT_Q8_0, 0.006},   {WT_Q4_0, 0.095},
    {WT_Q4_1, 0.085}, {WT_Q5_0, 0.047}, {WT_Q5_1, 0.042},  {WT_Q2_K, 0.31},    {WT_Q3_K, 0.17},
    {WT_Q4_K, 0.080}, {WT_Q5_K, 0.040}, {WT_Q6_K, 0.021},  {WT_IQ4_NL, 0.080}, {WT_IQ4_XS, 0.082},
    {WT_MXFP4, 0.12}, {WT_TQ1_0, 0.85}, {WT_TQ2_0, 0.85},
};

static struct kernels kernels;

static int make_kernels(void **state)
{
    (void)state;
    return kernels_init("scalar", &kernels, NULL);
}

/* Sums of four uniform numbers; the same every time. */
static void fill(float *x, size_t n, uint32_t seed)
{
    for (size_t i = 0; i < n; i++) {
        float sum = 0;
        for (int k = 0; k < 4; k++) {
            seed = seed * 1664525 + 1013904223;
            sum += (float)(seed >> 8) / (float)(1 << 23) - 1;
        }
        x[i] = 0.02f * sum;
    }
}

static void round_trip(uint32_t type, const float *x, const float *importance, size_t n,
                       float *back)
{
    unsigned char packed[N * 4];
    assert_true(quantize_row(type, x, importance, n, packed));
    kernels.weight[type].dequant(packed, back, n);
}

/* Root of the mean of w * error², and of w * x². */
static double relative_error(const float *x, const float *back, const float *w, size_t n)
{
    double error = 0, all = 0;
    for (size_t i = 0; i < n; i++) {
        double diff = (double)back[i] - (double)x[i], weight = w ? (double)w[i] : 1;
        error += weight * diff * diff;
        all += weight * (double)x[i] * (double)x[i];
    }
    return sqrt(error / all);
}

static void test_quantize__near_the_original(void **state)
{
    (void)state;
    float x[N], back[N];
    fill(x, N, 1);
    for (size_t r = 0; r < ARRAY_LEN(rows); r++) {
        round_trip(rows[r].type, x, NULL, N, back);
        double error = relative_error(x, back, NULL, N);
        if (!(error <= rows[r].bound))
            fail_msg("%s: relative error %g", weight_type_info(rows[r].type)->name, error);
    }
}

/* Columns of which every eighth matters a hundred times as much. */
static void test_quantize__exact_where_it_matters(void **state)
{
    (void)state;
    static const uint32_t types[] = {WT_Q4_0, WT_Q4_1, WT_Q5_0, WT_Q5_1,   WT_Q2_K,  WT_Q3_K,
                                     WT_Q4_K, WT_Q5_K, WT_Q6_K, WT_IQ4_NL, WT_IQ4_XS};
    float x[N], w[N], with[N], without[N];
    fill(x, N, 2);
    for (size_t i = 0; i < N; i++)
        w[i] = i % 8 == 3 ? 100 : 1;
    for (size_t t = 0; t < ARRAY_LEN(types); t++) {
        round_trip(types[t], x, NULL, N, without);
        round_trip(types[t], x, w, N, with);
        double a = relative_error(x, with, w, N), b = relative_error(x, without, w, N);
        if (!(a < 0.93 * b))
            fail_msg("%s: weighted error %g with importance, %g without",
                     weight_type_info(types[t])->name, a, b);
    }
}

/* Not every type has a level for 0: beside a large number it becomes a small one. */
static float near_900(size_t i)
{
    return i / 256 == 900 / 256 ? 0.02f : 0;
}

/* Blocks without variance: of zeros, of one number, and of one number among zeros. */
static void test_quantize__flat_blocks(void **state)
{
    (void)state;
    float x[N] = {0}, w[N], back[N];
    for (size_t i = 0; i < N; i++)
        w[i] = i % 32 < 16 ? 0 : 1; /* half the columns do not matter at all */
    for (size_t i = 256; i < 512; i++)
        x[i] = 3;
    for (size_t i = 512; i < 768; i++)
        x[i] = -0.25f;
    x[900] = 1.5f;
    for (size_t r = 0; r < ARRAY_LEN(rows); r++) {
        const char *name = weight_type_info(rows[r].type)->name;
        round_trip(rows[r].type, x, NULL, N, back);
        for (size_t i = 0; i < N; i++)
            if (!(fabsf(back[i] - x[i]) <= 0.07f * fabsf(x[i]) + near_900(i)))
                fail_msg("%s: item %zu is %g, was %g", name, i, (double)back[i], (double)x[i]);
        round_trip(rows[r].type, x, w, N, back);
        for (size_t i = 0; i < N; i++)
            if (!isfinite(back[i]) ||
                (w[i] > 0 && fabsf(back[i] - x[i]) > 0.07f * fabsf(x[i]) + near_900(i)))
                fail_msg("%s, weighed: item %zu is %g, was %g", name, i, (double)back[i],
                         (double)x[i]);
    }
}

/* The largest numbers that fit a type stay finite. */
static void test_quantize__largest(void **state)
{
    (void)state;
    float x[N], back[N];
    for (size_t r = 0; r < ARRAY_LEN(rows); r++) {
        float max = quantize_max(rows[r].type);
        for (size_t i = 0; i < N; i++)
            x[i] = i % 3 == 0 ? max : i % 3 == 1 ? -max : max / 7;
        /* a range of twice that is squared in the searches: those with a minimum keep away */
        round_trip(rows[r].type, x, NULL, N, back);
        for (size_t i = 0; i < N; i++)
            if (!isfinite(back[i]))
                fail_msg("%s: item %zu is %g, was %g", weight_type_info(rows[r].type)->name, i,
                         (double)back[i], (double)x[i]);
    }
}

static void test_quantize__refuses(void **state)
{
    (void)state;
    float x[N];
    unsigned char packed[N * 4];
    fill(x, N, 3);
    assert_false(quantize_row(WT_Q8_0, x, NULL, 33, packed));
    assert_false(quantize_row(WT_Q4_K, x, NULL, 128, packed));
    assert_false(quantize_row(WT_IQ1_S, x, NULL, 256, packed));
    assert_false(quantize_row(UINT32_MAX, x, NULL, 256, packed));
    assert_false(quantize_supports(UINT32_MAX));
    assert_true(quantize_row(WT_Q4_K, x, NULL, 0, packed));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quantize__near_the_original),
        cmocka_unit_test(test_quantize__exact_where_it_matters),
        cmocka_unit_test(test_quantize__flat_blocks),
        cmocka_unit_test(test_quantize__largest),
        cmocka_unit_test(test_quantize__refuses),
    };
    return cmocka_run_group_tests(tests, make_kernels, NULL);
}
