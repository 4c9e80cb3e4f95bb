/* SPDX-License-Identifier: Apache-2.0
 *
 * A set of byte ranges: what of a blob is still missing and given to nobody. */
#ifndef REGISTRY_RANGES_H
#define REGISTRY_RANGES_H

#include "base/error.h"
#include "registry/registry.h"

struct range_set {
    struct registry_range *items; /* ascending, not touching, none empty */
    size_t n, cap;
};

/* What of [0, size) is not in `have`. ERR_INVALID when those are not in order or outside. */
int range_set_missing(struct range_set *s, uint64_t size, const struct registry_range *have,
                      size_t n_have, struct error *err);
void range_set_release(struct range_set *s);

uint64_t range_set_bytes(const struct range_set *s);

/* Takes out up to max bytes from the start of the set; false when it is empty. A rest that would be
 * smaller than max / 4 goes along. */
bool range_set_take(struct range_set *s, uint64_t max, struct registry_range *ret);

/* Takes out the first part of the set inside [offset, offset + length); false if there is none. */
bool range_set_cut(struct range_set *s, uint64_t offset, uint64_t length,
                   struct registry_range *ret);

/* Puts a range back that is not in the set. */
void range_set_put(struct range_set *s, struct registry_range r);

#endif
