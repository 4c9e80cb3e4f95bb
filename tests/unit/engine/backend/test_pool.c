/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <stdatomic.h>

#include "engine/backend/cpu/pool.h"
#include "engine/backend/cpu/topology.h"

struct count {
    atomic_uint seen[1000];
    atomic_uint wrong; /* parts outside their bounds */
    size_t n, grain;
    uint32_t n_threads;
};

static void count_part(void *arg, size_t begin, size_t end, uint32_t thread)
{
    struct count *c = arg;
    if (begin >= end || end > c->n || end - begin > c->grain || thread >= c->n_threads) {
        c->wrong++;
        return;
    }
    for (size_t i = begin; i < end; i++)
        c->seen[i]++;
}

static void test_pool__every_item_once(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    static const uint32_t threads[] = {1, 2, 3, 8};
    static const struct {
        size_t n, grain;
    } cases[] = {{0, 1}, {1, 1}, {7, 1}, {7, 3}, {7, 100}, {999, 1}, {1000, 7}, {1000, 1000}};
    for (size_t t = 0; t < ARRAY_LEN(threads); t++) {
        struct pool *p;
        assert_ok(pool_create(threads[t], &p, &err));
        assert_int_equal(pool_threads(p), threads[t]);
        for (size_t c = 0; c < ARRAY_LEN(cases); c++) {
            static struct count count;
            count = (struct count){
                .n = cases[c].n, .grain = cases[c].grain, .n_threads = threads[t]};
            pool_run(p, count.n, count.grain, count_part, &count);
            assert_int_equal(count.wrong, 0);
            for (size_t i = 0; i < ARRAY_LEN(count.seen); i++)
                assert_int_equal(count.seen[i], i < count.n);
        }
        pool_free(p);
    }
}

static void add_part(void *arg, size_t begin, size_t end, uint32_t thread)
{
    (void)thread;
    for (size_t i = begin; i < end; i++)
        atomic_fetch_add((atomic_size_t *)arg, i);
}

/* Loops in a row, some directly, some after the threads have gone to sleep. */
static void test_pool__many_loops(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct pool *p;
    assert_ok(pool_create(4, &p, &err));
    for (int loop = 0; loop < 5000; loop++) {
        atomic_size_t sum = 0;
        pool_run(p, 10, 1, add_part, &sum);
        assert_int_equal(sum, 45);
        if (loop % 500 == 0)
            usleep(1000);
    }
    pool_free(p);
}

static void test_pool__ends_without_work(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct pool *p;
    assert_ok(pool_create(3, &p, &err));
    pool_free(p);
    pool_free(NULL);
}

static void test_pool__refuses_numbers(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct pool *p = NULL;
    assert_fails(pool_create(0, &p, &err), ERR_INVALID, "threads");
    assert_fails(pool_create(POOL_MAX_THREADS + 1, &p, &err), ERR_INVALID, "threads");
    assert_null(p);
    assert_true(topology_cores() >= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pool__every_item_once),
        cmocka_unit_test(test_pool__many_loops),
        cmocka_unit_test(test_pool__ends_without_work),
        cmocka_unit_test(test_pool__refuses_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
