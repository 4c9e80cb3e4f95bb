/* SPDX-License-Identifier: Apache-2.0
 *
 * Sets of byte ranges, see ranges.h. They are short: one range for each connection and each gap. */
#include "store/ranges.h"

#include <string.h>

#include "base/alloc.h"

void ranges_release(struct ranges *r)
{
    free(r->items);
    *r = (struct ranges){0};
}

static uint64_t end_of(const struct store_range *x)
{
    return x->offset + x->length;
}

static void insert_at(struct ranges *r, size_t at, struct store_range x)
{
    if (r->n == r->cap) {
        r->cap = r->cap ? 2 * r->cap : 16;
        r->items = xrealloc(r->items, r->cap, sizeof(*r->items));
    }
    memmove(&r->items[at + 1], &r->items[at], (r->n - at) * sizeof(*r->items));
    r->items[at] = x;
    r->n++;
}

void ranges_add(struct ranges *r, uint64_t offset, uint64_t length)
{
    if (length == 0)
        return;
    uint64_t end = offset + length;
    size_t first = 0;
    while (first < r->n && end_of(&r->items[first]) < offset)
        first++;
    size_t last = first; /* behind the ranges that touch the new one */
    while (last < r->n && r->items[last].offset <= end)
        last++;
    if (first == last) {
        insert_at(r, first, (struct store_range){offset, length});
        return;
    }
    uint64_t from = MIN(offset, r->items[first].offset);
    uint64_t to = MAX(end, end_of(&r->items[last - 1]));
    r->items[first] = (struct store_range){from, to - from};
    memmove(&r->items[first + 1], &r->items[last], (r->n - last) * sizeof(*r->items));
    r->n -= last - first - 1;
}

void ranges_clip(struct ranges *r, uint64_t end)
{
    while (r->n > 0 && r->items[r->n - 1].offset >= end)
        r->n--;
    if (r->n > 0 && end_of(&r->items[r->n - 1]) > end)
        r->items[r->n - 1].length = end - r->items[r->n - 1].offset;
}

void ranges_copy(struct ranges *to, const struct ranges *from)
{
    to->n = 0;
    for (size_t i = 0; i < from->n; i++)
        insert_at(to, i, from->items[i]);
}

uint64_t ranges_total(const struct ranges *r)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < r->n; i++)
        sum += r->items[i].length;
    return sum;
}

uint64_t ranges_prefix(const struct ranges *r)
{
    return r->n > 0 && r->items[0].offset == 0 ? r->items[0].length : 0;
}
