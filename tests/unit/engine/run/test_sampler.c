/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "engine/run/sampler.h"
#include "test.h"

enum { VOCAB = 8 };

/* Everything off: the plain softmax at temperature 1. */
static struct sampling plain(void)
{
    struct sampling p = SAMPLING_DEFAULT;
    p.temperature = 1;
    p.top_k = 0;
    p.top_p = 1;
    p.min_p = 0;
    p.seed = 1;
    return p;
}

static struct sampler *make(const struct sampling *p, uint32_t n_vocab)
{
    struct error err = ERROR_INIT;
    struct sampler *s = NULL;
    const int32_t eog[] = {2};
    assert_ok(sampler_create(p, n_vocab, eog, 1, 64, &s, &err));
    return s;
}

static int32_t pick(struct sampler *s, const float *logits, uint32_t n_vocab)
{
    struct error err = ERROR_INIT;
    struct candidates c;
    int32_t id = -1;
    assert_ok(candidates_init(&c, n_vocab, &err));
    assert_ok(sampler_pick(s, logits, NULL, &c, &id, &err));
    candidates_release(&c);
    return id;
}

/* Draws n times; counts[id] is how often. */
static void histogram(const struct sampling *p, const float *logits, uint32_t n_vocab, int n,
                      int *counts)
{
    struct error err = ERROR_INIT;
    struct sampler *s = make(p, n_vocab);
    struct candidates c;
    assert_ok(candidates_init(&c, n_vocab, &err));
    memset(counts, 0, n_vocab * sizeof(*counts));
    for (int i = 0; i < n; i++) {
        int32_t id = -1;
        assert_ok(sampler_pick(s, logits, NULL, &c, &id, &err));
        counts[id]++;
    }
    candidates_release(&c);
    sampler_free(s);
}

static void test_sampler__greedy_takes_the_lowest_of_equals(void **state)
{
    (void)state;
    const float logits[VOCAB] = {0, 1, 5, 3, 5, 5, -1, 2};
    struct sampling p = SAMPLING_DEFAULT;
    p.temperature = 0;
    struct sampler *s = make(&p, VOCAB);
    for (int i = 0; i < 10; i++)
        assert_int_equal(pick(s, logits, VOCAB), 2);
    sampler_free(s);
}

static void test_sampler__ignore_eos_and_bias(void **state)
{
    (void)state;
    const float logits[VOCAB] = {0, 1, 9, 3, 4, 5, -1, 2};
    const struct logit_bias bias[] = {{5, -INFINITY}, {6, 100}, {6, -98}};
    struct sampling p = SAMPLING_DEFAULT;
    p.temperature = 0;
    p.ignore_eos = true;
    struct sampler *s = make(&p, VOCAB);
    assert_int_equal(pick(s, logits, VOCAB), 5);
    sampler_free(s);
    p.bias = bias;
    p.n_bias = ARRAY_LEN(bias);
    s = make(&p, VOCAB);
    assert_int_equal(pick(s, logits, VOCAB), 4); /* 6 has -1 + 100 - 98 = 1 */
    sampler_free(s);
}

static void test_sampler__refuses_what_is_no_number(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct candidates c;
    assert_ok(candidates_init(&c, VOCAB, &err));
    const float bad[] = {NAN, INFINITY};
    for (size_t t = 0; t < 2; t++) {
        for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
            float logits[VOCAB] = {0, 1, 2, 3, 4, 5, 6, 7};
            logits[3] = bad[i];
            struct sampling p = plain();
            p.temperature = (double)t;
            struct sampler *s = make(&p, VOCAB);
            int32_t id = -1;
            assert_fails(sampler_pick(s, logits, NULL, &c, &id, &err), ERR_CORRUPT, "token 3");
            assert_int_equal(id, -1);
            sampler_free(s);
        }
    }
    float nothing[VOCAB];
    for (int i = 0; i < VOCAB; i++)
        nothing[i] = -INFINITY;
    struct sampling p = plain();
    struct sampler *s = make(&p, VOCAB);
    int32_t id = -1;
    assert_fails(sampler_pick(s, nothing, NULL, &c, &id, &err), ERR_INVALID, "no token is left");
    sampler_free(s);
    candidates_release(&c);

    const struct logit_bias bias[] = {{VOCAB, 1}};
    p.bias = bias;
    p.n_bias = 1;
    assert_fails(sampler_create(&p, VOCAB, NULL, 0, 64, &s, &err), ERR_INVALID, "token 8");
}

/* Frequencies follow the softmax, also with a temperature. */
static void test_sampler__draws_by_probability(void **state)
{
    (void)state;
    const float logits[4] = {0, 1, 2, 3};
    for (int t = 1; t <= 2; t++) {
        struct sampling p = plain();
        p.temperature = t;
        int counts[4];
        histogram(&p, logits, 4, 20000, counts);
        double sum = 0;
        for (int i = 0; i < 4; i++)
            sum += exp((double)logits[i] / t);
        for (int i = 0; i < 4; i++) {
            double want = 20000 * exp((double)logits[i] / t) / sum;
            assert_true(fabs(counts[i] - want) < 5 * sqrt(want) + 1);
        }
    }
}

/* Which tokens may come at all, by each of the links. */
static void test_sampler__links_keep_the_right_tokens(void **state)
{
    (void)state;
    /* p = 0.5, 0.25, 0.15, 0.07, 0.03 in a shuffled order */
    float logits[5];
    const double probs[5] = {0.07, 0.5, 0.03, 0.25, 0.15};
    for (int i = 0; i < 5; i++)
        logits[i] = (float)log(probs[i]);
    const struct {
        const char *name;
        int64_t top_k;
        double top_p, min_p, typical_p;
        bool may[5];
    } rows[] = {
        {"all", 0, 1, 0, 1, {1, 1, 1, 1, 1}},
        {"top_k 1", 1, 1, 0, 1, {0, 1, 0, 0, 0}},
        {"top_k 3", 3, 1, 0, 1, {0, 1, 0, 1, 1}},
        {"top_k beyond", 99, 1, 0, 1, {1, 1, 1, 1, 1}},
        {"top_p 0", 0, 0, 0, 1, {0, 1, 0, 0, 0}},
        {"top_p .7", 0, 0.7, 0, 1, {0, 1, 0, 1, 0}},
        {"top_p .76", 0, 0.76, 0, 1, {0, 1, 0, 1, 1}},
        {"min_p .4", 0, 1, 0.4, 1, {0, 1, 0, 1, 0}},
        {"min_p 1", 0, 1, 1, 1, {0, 1, 0, 0, 0}},
        /* entropy 1.26 nats: 0.25 (1.39) and 0.15 (1.90), 0.5 (0.69) are nearest, in the order
         * 0.25, 0.5, 0.15 */
        {"typical .2", 0, 1, 0, 0.2, {0, 0, 0, 1, 0}},
        {"typical .7", 0, 1, 0, 0.7, {0, 1, 0, 1, 0}},
        {"top_k 3 top_p .6", 3, 0.6, 0, 1, {0, 1, 0, 1, 0}},
    };
    for (size_t r = 0; r < ARRAY_LEN(rows); r++) {
        struct sampling p = plain();
        p.top_k = rows[r].top_k;
        p.top_p = rows[r].top_p;
        p.min_p = rows[r].min_p;
        p.typical_p = rows[r].typical_p;
        int counts[5];
        histogram(&p, logits, 5, 3000, counts);
        for (int i = 0; i < 5; i++)
            if ((counts[i] > 0) != rows[r].may[i])
                fail_msg("%s: token %d came %d times", rows[r].name, i, counts[i]);
    }
}

static int compare_floats_down(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return x > y ? -1 : x < y;
}

/* The quickselect agrees with a full sort, on vocabularies of awkward sizes and with many ties. */
static void test_sampler__top_k_of_large_vocabularies(void **state)
{
    (void)state;
    const uint32_t sizes[] = {1, 2, 16, 17, 100, 1000, 4099};
    for (size_t t = 0; t < ARRAY_LEN(sizes); t++) {
        uint32_t n = sizes[t];
        float *logits = xcalloc(n, sizeof(*logits)), *sorted = xcalloc(n, sizeof(*sorted));
        int *counts = xcalloc(n, sizeof(*counts));
        uint64_t x = 12345 + n;
        for (uint32_t i = 0; i < n; i++) {
            x = x * 6364136223846793005u + 1442695040888963407u;
            logits[i] = (float)((x >> 33) % (n / 2 + 1)) / 100;
        }
        memcpy(sorted, logits, n * sizeof(*sorted));
        qsort(sorted, n, sizeof(*sorted), compare_floats_down);
        for (uint32_t k = 1; k <= 20 && k <= n; k += 3) {
            struct sampling p = plain();
            p.top_k = k;
            p.temperature = 100; /* nearly uniform */
            histogram(&p, logits, n, 1000, counts);
            uint32_t seen = 0;
            for (uint32_t i = 0; i < n; i++) {
                seen += counts[i] > 0;
                if (counts[i] > 0)
                    assert_true(logits[i] >= sorted[k - 1]);
            }
            assert_int_equal(seen, k);
        }
        free(logits);
        free(sorted);
        free(counts);
    }
}

static void test_sampler__seed_repeats(void **state)
{
    (void)state;
    float logits[64] = {0};
    for (uint64_t seed = 0; seed < 4; seed++) {
        struct sampling p = plain();
        p.seed = seed;
        struct sampler *a = make(&p, 64), *b = make(&p, 64);
        p.seed = seed + 1;
        struct sampler *c = make(&p, 64);
        int same = 0;
        for (int i = 0; i < 100; i++) {
            int32_t x = pick(a, logits, 64);
            assert_int_equal(x, pick(b, logits, 64));
            same += x == pick(c, logits, 64);
        }
        assert_true(same < 20);
        sampler_free(a);
        sampler_free(b);
        sampler_free(c);
    }
    assert_true(sampling_random_seed() <= UINT32_MAX);
}

static void test_sampler__penalties(void **state)
{
    (void)state;
    const float logits[4] = {2.0F, 1.9F, -1.0F, -5.0F};
    struct sampling p = plain();
    p.temperature = 0;
    p.repeat_penalty = 2;
    p.repeat_last_n = 2;
    struct sampler *s = make(&p, 4);
    assert_int_equal(pick(s, logits, 4), 0);
    sampler_accept(s, 0);
    assert_int_equal(pick(s, logits, 4), 1); /* 0 has 1.0 */
    sampler_accept(s, 1);
    assert_int_equal(pick(s, logits, 4), 0); /* 1.0 against 0.95 */
    sampler_accept(s, 3);
    assert_int_equal(pick(s, logits, 4), 0); /* 0 has left the window */
    sampler_free(s);

    /* presence counts once, frequency every time */
    p = plain();
    p.temperature = 0;
    p.repeat_last_n = -1;
    p.presence_penalty = 0.05;
    p.frequency_penalty = 0.01;
    s = make(&p, 4);
    for (int i = 0; i < 4; i++)
        sampler_accept(s, 0);
    assert_int_equal(pick(s, logits, 4), 0); /* 2 - 0.05 - 0.04 = 1.91 */
    sampler_accept(s, 0);
    sampler_accept(s, 0);
    assert_int_equal(pick(s, logits, 4), 1);
    sampler_free(s);
}

static void test_sampler__logprobs(void **state)
{
    (void)state;
    float logits[100];
    double sum = 0;
    for (int i = 0; i < 100; i++) {
        logits[i] = (float)((i * 37) % 50) / 5;
        sum += exp((double)logits[i]);
    }
    struct token_logprob top[5];
    float p = logprobs_of(logits, 100, 7, top, 5);
    assert_true(fabs((double)p - ((double)logits[7] - log(sum))) < 1e-5);
    for (int i = 0; i < 5; i++) {
        assert_true(fabs((double)top[i].logprob - ((double)logits[top[i].id] - log(sum))) < 1e-5);
        if (i > 0) {
            assert_true(top[i].logprob <= top[i - 1].logprob);
            assert_true(top[i].logprob < top[i - 1].logprob || top[i].id > top[i - 1].id);
        }
    }
    assert_true(top[0].logprob >= p);
    (void)logprobs_of(logits, 100, 7, NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sampler__greedy_takes_the_lowest_of_equals),
        cmocka_unit_test(test_sampler__ignore_eos_and_bias),
        cmocka_unit_test(test_sampler__refuses_what_is_no_number),
        cmocka_unit_test(test_sampler__draws_by_probability),
        cmocka_unit_test(test_sampler__links_keep_the_right_tokens),
        cmocka_unit_test(test_sampler__top_k_of_large_vocabularies),
        cmocka_unit_test(test_sampler__seed_repeats),
        cmocka_unit_test(test_sampler__penalties),
        cmocka_unit_test(test_sampler__logprobs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
