/* SPDX-License-Identifier: Apache-2.0
 *
 * Sets of byte ranges, as sorted arrays: they are short, a few more than there are connections. */
#include "registry/ranges.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

static void insert(struct range_set *s, size_t at, struct registry_range r)
{
    if (s->n == s->cap) {
        s->cap = s->cap ? s->cap * 2 : 8;
        s->items = xrealloc(s->items, s->cap, sizeof(*s->items));
    }
    memmove(s->items + at + 1, s->items + at, (s->n - at) * sizeof(*s->items));
    s->items[at] = r;
    s->n++;
}

static void erase(struct range_set *s, size_t at)
{
    s->n--;
    memmove(s->items + at, s->items + at + 1, (s->n - at) * sizeof(*s->items));
}

int range_set_missing(struct range_set *s, uint64_t size, const struct registry_range *have,
                      size_t n_have, struct error *err)
{
    *s = (struct range_set){0};
    uint64_t at = 0;
    for (size_t i = 0; i < n_have; i++) {
        uint64_t end = 0;
        if (have[i].length == 0 || have[i].offset < at ||
            add_overflows(have[i].offset, have[i].length, &end) || end > size) {
            range_set_release(s);
            return error_set(err, ERR_INVALID, "the record of received ranges is not in order");
        }
        if (have[i].offset > at)
            insert(s, s->n, (struct registry_range){at, have[i].offset - at});
        at = end;
    }
    if (at < size)
        insert(s, s->n, (struct registry_range){at, size - at});
    return 0;
}

void range_set_release(struct range_set *s)
{
    free(s->items);
    *s = (struct range_set){0};
}

uint64_t range_set_bytes(const struct range_set *s)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < s->n; i++)
        sum += s->items[i].length;
    return sum;
}

bool range_set_take(struct range_set *s, uint64_t max, struct registry_range *ret)
{
    if (s->n == 0)
        return false;
    uint64_t n = s->items[0].length;
    if (n > max && n - max >= max / 4)
        n = max;
    return range_set_cut(s, s->items[0].offset, n, ret);
}

bool range_set_cut(struct range_set *s, uint64_t offset, uint64_t length,
                   struct registry_range *ret)
{
    uint64_t end = offset + length;
    for (size_t i = 0; i < s->n; i++) {
        struct registry_range r = s->items[i];
        uint64_t r_end = r.offset + r.length;
        if (r_end <= offset)
            continue;
        uint64_t from = MAX(r.offset, offset), to = MIN(r_end, end);
        if (from >= to)
            return false;
        erase(s, i);
        if (to < r_end)
            insert(s, i, (struct registry_range){to, r_end - to});
        if (r.offset < from)
            insert(s, i, (struct registry_range){r.offset, from - r.offset});
        *ret = (struct registry_range){from, to - from};
        return true;
    }
    return false;
}

void range_set_put(struct range_set *s, struct registry_range r)
{
    if (r.length == 0)
        return;
    size_t i = 0;
    while (i < s->n && s->items[i].offset < r.offset)
        i++;
    insert(s, i, r);
    if (i + 1 < s->n && s->items[i].offset + s->items[i].length == s->items[i + 1].offset) {
        s->items[i].length += s->items[i + 1].length;
        erase(s, i + 1);
    }
    if (i > 0 && s->items[i - 1].offset + s->items[i - 1].length == s->items[i].offset) {
        s->items[i - 1].length += s->items[i].length;
        erase(s, i);
    }
}
