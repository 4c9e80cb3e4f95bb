/* SPDX-License-Identifier: Apache-2.0
 *
 * Linear probing over (hash, number) pairs at most half full. The hash reads eight bytes at a time:
 * SentencePiece looks up long candidates, and this is where its time goes. */
#include "engine/text/strtab.h"

#include <stdlib.h>

#include "base/alloc.h"

struct strtab_item {
    size_t offset;
    size_t len;
};

struct strtab_slot {
    uint32_t hash;
    int32_t number; /* -1 = free */
};

enum { STRTAB_MAX = 1 << 30 };

static uint32_t hash_bytes(struct str s)
{
    const uint64_t mult = 0x9e3779b97f4a7c15u;
    uint64_t h = s.len * mult;
    const char *p = s.ptr;
    size_t n = s.len;
    for (; n >= 8; p += 8, n -= 8) {
        uint64_t w;
        memcpy(&w, p, 8);
        h = (h ^ w) * mult;
        h ^= h >> 29;
    }
    if (n > 0) {
        uint64_t w = 0;
        memcpy(&w, p, n);
        h = (h ^ w) * mult;
        h ^= h >> 29;
    }
    h *= mult;
    return (uint32_t)(h >> 32);
}

void strtab_release(struct strtab *t)
{
    free(t->bytes);
    free(t->items);
    free(t->slots);
    *t = (struct strtab){0};
}

struct str strtab_get(const struct strtab *t, int32_t number)
{
    const struct strtab_item *it = &t->items[number];
    return str_make(it->len > 0 ? t->bytes + it->offset : "", it->len);
}

/* The slot that holds s, or the free one where it belongs. */
static struct strtab_slot *slot_find(const struct strtab *t, struct str s, uint32_t hash)
{
    uint32_t mask = t->n_slots - 1;
    for (uint32_t i = hash & mask;; i = (i + 1) & mask) {
        struct strtab_slot *slot = &t->slots[i];
        if (slot->number < 0 || (slot->hash == hash && str_eq(strtab_get(t, slot->number), s)))
            return slot;
    }
}

static int slots_resize(struct strtab *t, uint32_t n_slots)
{
    struct strtab_slot *slots = alloc_array(n_slots, sizeof(*slots));
    if (!slots)
        return -ERR_NOMEM;
    for (uint32_t i = 0; i < n_slots; i++)
        slots[i] = (struct strtab_slot){.number = -1};
    for (uint32_t i = 0; i < t->n_slots; i++) {
        if (t->slots[i].number < 0)
            continue;
        uint32_t at = t->slots[i].hash & (n_slots - 1);
        while (slots[at].number >= 0)
            at = (at + 1) & (n_slots - 1);
        slots[at] = t->slots[i];
    }
    free(t->slots);
    t->slots = slots;
    t->n_slots = n_slots;
    return 0;
}

int strtab_reserve(struct strtab *t, size_t n, size_t n_bytes)
{
    if (n > STRTAB_MAX || n_bytes > SIZE_MAX / 2)
        return -ERR_NOMEM;
    if (n > t->cap) {
        struct strtab_item *items = reallocarray(t->items, n, sizeof(*items));
        if (!items)
            return -ERR_NOMEM;
        t->items = items;
        t->cap = (uint32_t)n;
    }
    if (n_bytes > t->cap_bytes) {
        char *bytes = realloc(t->bytes, n_bytes);
        if (!bytes)
            return -ERR_NOMEM;
        t->bytes = bytes;
        t->cap_bytes = n_bytes;
    }
    uint32_t n_slots = t->n_slots > 0 ? t->n_slots : 16;
    while (n_slots < 2 * n)
        n_slots *= 2;
    return n_slots > t->n_slots ? slots_resize(t, n_slots) : 0;
}

int32_t strtab_append(struct strtab *t, struct str s)
{
    bool full = t->n == t->cap || 2 * ((size_t)t->n + 1) > t->n_slots;
    if (full || s.len > t->cap_bytes - t->n_bytes) {
        size_t n_bytes;
        if (__builtin_add_overflow(t->n_bytes, s.len, &n_bytes))
            return -ERR_NOMEM;
        size_t n = (size_t)t->n + 1;
        if (n > t->cap)
            n += n / 2 + 16;
        if (n_bytes > t->cap_bytes)
            n_bytes += n_bytes / 2;
        int r = strtab_reserve(t, n, n_bytes);
        if (r < 0)
            return r;
    }
    int32_t number = (int32_t)t->n++;
    t->items[number] = (struct strtab_item){.offset = t->n_bytes, .len = s.len};
    if (s.len == 0)
        return number;
    memcpy(t->bytes + t->n_bytes, s.ptr, s.len);
    t->n_bytes += s.len;
    uint32_t hash = hash_bytes(s);
    struct strtab_slot *slot = slot_find(t, s, hash);
    if (slot->number < 0)
        *slot = (struct strtab_slot){.hash = hash, .number = number};
    return number;
}

int32_t strtab_find(const struct strtab *t, struct str s)
{
    return s.len > 0 && t->n_slots > 0 ? slot_find(t, s, hash_bytes(s))->number : -1;
}

int32_t strtab_intern(struct strtab *t, struct str s)
{
    int32_t number = strtab_find(t, s);
    return number >= 0 ? number : strtab_append(t, s);
}
