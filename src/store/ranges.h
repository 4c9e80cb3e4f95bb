/* SPDX-License-Identifier: Apache-2.0
 *
 * Sets of byte ranges: which parts of a file are there. Ascending, apart from each other. */
#ifndef STORE_RANGES_H
#define STORE_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store_range {
    uint64_t offset, length;
};

struct ranges {
    struct store_range *items;
    size_t n, cap;
};

void ranges_release(struct ranges *r);

/* Adds a range, joining what touches it. offset + length must not overflow. */
void ranges_add(struct ranges *r, uint64_t offset, uint64_t length);

/* Takes away what lies at or behind `end`. */
void ranges_clip(struct ranges *r, uint64_t end);

void ranges_copy(struct ranges *to, const struct ranges *from);
uint64_t ranges_total(const struct ranges *r);
uint64_t ranges_prefix(const struct ranges *r); /* bytes from 0 on without a gap */

#endif
