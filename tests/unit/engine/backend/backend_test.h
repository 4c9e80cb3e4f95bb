/* SPDX-License-Identifier: Apache-2.0
 *
 * For the tests of the backend: random numbers, weights, and a loop over the CPU's levels. */
#ifndef TESTS_UNIT_ENGINE_BACKEND_BACKEND_TEST_H
#define TESTS_UNIT_ENGINE_BACKEND_BACKEND_TEST_H

#include "test.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "engine/backend/backend.h"
#include "engine/kernels/f16.h"
#include "engine/kernels/kernels.h"

static inline uint64_t random_next(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return *seed >> 33;
}

/* Uniform in [-1, 1). */
static inline float random_float(uint64_t *seed)
{
    return (float)((double)random_next(seed) / (double)(1u << 30) - 1.0);
}

static inline float *random_floats(size_t n, uint64_t *seed)
{
    float *p = xcalloc(n, sizeof(*p));
    for (size_t i = 0; i < n; i++)
        p[i] = random_float(seed);
    return p;
}

/* Packed rows of random bits whose scales are moderate numbers, so that values stay near one. */
static inline unsigned char *random_packed(enum weight_type type, uint32_t rows, uint32_t cols,
                                           uint64_t *seed)
{
    uint64_t row_bytes = 0;
    assert_true(weight_row_bytes(type, cols, &row_bytes));
    size_t n = (size_t)row_bytes * rows;
    unsigned char *p = xmalloc(n);
    for (size_t i = 0; i < n; i++)
        p[i] = (unsigned char)random_next(seed);
    size_t n_blocks = n / weight_type_info(type)->block_bytes;
    for (size_t i = 0; i < n_blocks; i++) {
        float scale = 0.02f + 0.01f * random_float(seed);
        uint16_t d = f32_to_f16(scale), small = f32_to_f16(scale / 32.0f);
        switch (type) {
        case WT_F32:
            scale = random_float(seed);
            memcpy(p + 4 * i, &scale, 4);
            break;
        case WT_F16:
            d = f32_to_f16(random_float(seed));
            memcpy(p + 2 * i, &d, 2);
            break;
        case WT_BF16:
            d = (uint16_t)(f32_bits(random_float(seed)) >> 16);
            memcpy(p + 2 * i, &d, 2);
            break;
        case WT_Q4_0:
        case WT_Q8_0:
        case WT_Q5_0:
            memcpy(p + i * weight_type_info(type)->block_bytes, &d, 2);
            break;
        case WT_Q4_1:
        case WT_Q5_1:
            memcpy(p + i * weight_type_info(type)->block_bytes, &d, 2);
            memcpy(p + i * weight_type_info(type)->block_bytes + 2, &d, 2);
            break;
        case WT_Q4_K:
        case WT_Q5_K:
            memcpy(p + i * weight_type_info(type)->block_bytes, &small, 2);
            memcpy(p + i * weight_type_info(type)->block_bytes + 2, &small, 2);
            break;
        case WT_Q6_K:
            small = f32_to_f16(scale / 128.0f);
            memcpy(p + i * sizeof(struct block_q6_k) + offsetof(struct block_q6_k, d), &small, 2);
            break;
        default:
            fail_msg("no random weights of type %d", (int)type);
        }
    }
    return p;
}

/* A backend of the given level and number of threads. */
static inline struct backend *backend_at(const char *level, uint32_t n_threads)
{
    struct error err = ERROR_INIT;
    struct backend *b = NULL;
    setenv("MR_CPU", level, 1);
    const struct backend_cpu_options o = {.n_threads = n_threads};
    assert_ok(backend_cpu_create(&o, &b, &err));
    unsetenv("MR_CPU");
    return b;
}

#endif
