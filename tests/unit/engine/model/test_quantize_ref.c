/* SPDX-License-Identifier: Apache-2.0
 *
 * The quantisers of tools/: what they write, read back by the tests' own unpacking, is near the
 * original. */
#include "test.h"

#include <math.h>
#include <stdlib.h>

#include "engine/kernels/types.h"
#include "quantize_ref.h"
#include "ref_forward.h"

enum { N = 1024 };

static const struct {
    uint32_t type;
    double bound; /* of the error, relative to the largest value of a block */
} rows[] = {
    {WT_F32, 0},     {WT_F16, 0x1p-11}, {WT_BF16, 0x1p-8}, {WT_Q8_0, 0.0045},
    {WT_Q4_0, 0.13}, {WT_Q6_K, 0.02},   {WT_Q5_K, 0.045},  {WT_Q4_K, 0.08},
};

static void fill(float *x)
{
    uint32_t state = 12345;
    for (size_t i = 0; i < N; i++) {
        state = state * 1664525 + 1013904223;
        x[i] = ((float)(state >> 8) / (float)(1 << 23) - 1) * (float)(1 + i / 32 % 7);
    }
    for (size_t i = 256; i < 288; i++)
        x[i] = 0; /* a block of zeros */
    for (size_t i = 288; i < 320; i++)
        x[i] = 3; /* a block without variance */
}

static void test_quantize_ref__near_the_original(void **state)
{
    (void)state;
    float x[N];
    fill(x);
    for (size_t r = 0; r < ARRAY_LEN(rows); r++) {
        unsigned char packed[N * 4];
        double back[N];
        assert_true(quantize_ref(rows[r].type, x, N, packed));
        assert_true(ref_unpack(rows[r].type, packed, N, back));
        for (size_t i = 0; i < N; i++) {
            double max = 0;
            for (size_t k = i / 256 * 256; k < i / 256 * 256 + 256; k++)
                max = fmax(max, fabs((double)x[k]));
            double diff = fabs(back[i] - (double)x[i]);
            if (!(diff <= rows[r].bound * max))
                fail_msg("%s: item %zu is %g, was %g", weight_type_info(rows[r].type)->name, i,
                         back[i], (double)x[i]);
        }
    }
}

static void test_quantize_ref__refuses(void **state)
{
    (void)state;
    float x[N];
    unsigned char packed[N * 4];
    fill(x);
    assert_false(quantize_ref(WT_Q8_0, x, 33, packed));
    assert_false(quantize_ref(WT_Q4_K, x, 128, packed));
    assert_false(quantize_ref(WT_IQ1_S, x, 256, packed));
    assert_false(quantize_ref(UINT32_MAX, x, 256, packed));
    assert_true(quantize_ref(WT_Q4_K, x, 0, packed));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quantize_ref__near_the_original),
        cmocka_unit_test(test_quantize_ref__refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
