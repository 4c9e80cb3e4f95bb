/* SPDX-License-Identifier: Apache-2.0
 *
 * Frequencies of rotation: the formulas at points that can be worked out by hand. */
#include "test.h"

#include <math.h>

#include "engine/model/descriptor.h"

static struct rope_desc plain(uint32_t dims, double base)
{
    return (struct rope_desc){.dims = dims, .freq_base = base, .factor = 1, .attn_factor = 1};
}

static void expect_near(float got, double want)
{
    if (!(fabs((double)got - want) <= 1e-6 * fabs(want)))
        fail_msg("got %g, wanted %g", (double)got, want);
}

static void test_rope__plain(void **state)
{
    (void)state;
    struct rope_desc r = plain(8, 10000);
    float f[4], mscale = 0;
    rope_frequencies(&r, NULL, f, &mscale);
    static const double want[] = {1, 0.1, 0.01, 0.001};
    for (int i = 0; i < 4; i++)
        expect_near(f[i], want[i]);
    assert_true(mscale == 1);
}

static void test_rope__factors_and_linear(void **state)
{
    (void)state;
    struct rope_desc r = plain(4, 10000);
    const float factors[] = {1, 8};
    float f[2], mscale;
    rope_frequencies(&r, factors, f, &mscale);
    expect_near(f[0], 1);
    expect_near(f[1], 0.01 / 8);
    r.scaling = ROPE_SCALING_LINEAR;
    r.factor = 4;
    rope_frequencies(&r, NULL, f, &mscale);
    expect_near(f[0], 0.25);
    expect_near(f[1], 0.0025);
    assert_true(mscale == 1);
    r.attn_factor = 1.25; /* how LongRoPE's files say it */
    rope_frequencies(&r, NULL, f, &mscale);
    assert_true(mscale == 1.25f);
}

/* Fast frequencies stay, slow ones are divided, those between change steadily. */
static void test_rope__yarn(void **state)
{
    (void)state;
    enum { HALF = 64 };
    struct rope_desc r = plain(2 * HALF, 10000);
    float base[HALF], f[HALF], mscale;
    rope_frequencies(&r, NULL, base, &mscale);
    r.scaling = ROPE_SCALING_YARN;
    r.factor = 4;
    r.orig_ctx = 4096;
    r.beta_fast = 32;
    r.beta_slow = 1;
    r.ext_factor = r.attn_factor = 1;
    rope_frequencies(&r, NULL, f, &mscale);
    expect_near(mscale, 1 + 0.1 * log(4));
    for (int i = 0; i < HALF; i++) {
        double turns = 4096 * (double)base[i] / (2 * M_PI), ratio = (double)(f[i] / base[i]);
        if (turns > 40)
            assert_true(fabs(ratio - 1) < 1e-6);
        else if (turns < 0.8)
            assert_true(fabs(ratio - 0.25) < 1e-6);
        assert_true(i == 0 || f[i] / base[i] <= f[i - 1] / base[i - 1] + 1e-6f);
    }
    r.ext_factor = 0; /* no ramp: every frequency is divided */
    rope_frequencies(&r, NULL, f, &mscale);
    expect_near(f[0], 0.25);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rope__plain),
        cmocka_unit_test(test_rope__factors_and_linear),
        cmocka_unit_test(test_rope__yarn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
