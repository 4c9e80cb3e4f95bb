/* SPDX-License-Identifier: Apache-2.0
 *
 * Random numbers for made-up models: the same everywhere for the same seed. */
#ifndef TOOLS_RANDOM_H
#define TOOLS_RANDOM_H

#include <stdint.h>

static inline uint64_t random_bits(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15; /* splitmix64 */
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

/* Uniform in (-1, 1). */
static inline float random_uniform(uint64_t *state)
{
    return (float)((double)(random_bits(state) >> 11) * 0x1p-52 - 1);
}

/* The state to begin a tensor with: its values depend on nothing but the seed and its name. */
static inline uint64_t random_seed(uint64_t seed, const char *name)
{
    uint64_t h = 0xcbf29ce484222325 ^ seed; /* FNV-1a */
    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * 0x100000001b3;
    return h;
}

#endif
