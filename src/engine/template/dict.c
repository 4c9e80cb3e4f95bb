/* SPDX-License-Identifier: Apache-2.0
 *
 * Lists and dicts. What they outgrow stays in the rendering's pool. */
#include <math.h>
#include <string.h>

#include "engine/template/interp.h"

bool vlist_push(struct render *r, struct vlist *l, struct value v)
{
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 4;
        struct value *items = render_alloc(r, cap, sizeof(*items));
        if (!items)
            return false;
        if (l->n)
            memcpy(items, l->items, l->n * sizeof(*items));
        l->items = items;
        l->cap = cap;
    }
    l->items[l->n++] = v;
    return true;
}

enum { DICT_INDEX_FROM = 8 }; /* entries; smaller dicts are searched from the front */

static uint64_t hash_bytes(uint64_t h, const void *p, size_t n)
{
    const unsigned char *c = p;
    for (size_t i = 0; i < n; i++)
        h = (h ^ c[i]) * 0x100000001B3u;
    return h;
}

/* Equal values have equal hashes. False for what cannot be a key (a list, ...). */
static bool hash_value(struct render *r, struct value v, uint64_t *ret)
{
    uint64_t h = 0xCBF29CE484222325u;
    switch (v.type) {
    case V_BOOL:
    case V_INT: {
        int64_t i = value_to_int(v);
        *ret = hash_bytes(h, &i, sizeof(i));
        return true;
    }
    case V_FLOAT:
        if (v.f == floor(v.f) && fabs(v.f) < 9e18)
            return hash_value(r, value_int((int64_t)v.f), ret);
        *ret = hash_bytes(h, &v.f, sizeof(v.f));
        return true;
    case V_STR:
        *ret = hash_bytes(h, v.s->s.ptr, v.s->s.len);
        return true;
    case V_TUPLE:
        if (!render_nest(r))
            return false;
        for (size_t i = 0; i < v.l->n; i++) {
            uint64_t item;
            if (!hash_value(r, v.l->items[i], &item)) {
                r->nesting--;
                return false;
            }
            h = hash_bytes(h, &item, sizeof(item));
        }
        r->nesting--;
        *ret = h;
        return true;
    case V_LIST:
    case V_DICT:
        return false;
    default:
        *ret = h ^ (uint64_t)v.type;
        return true;
    }
}

/* Where the key is in the index, or the free place for it. */
static size_t index_place(struct render *r, const struct vdict *d, struct value key, uint64_t hash)
{
    size_t mask = d->index_size - 1, at = (size_t)(hash ^ (hash >> 32)) & mask;
    for (uint64_t probes = 0; d->index[at]; at = (at + 1) & mask, probes++) {
        const struct dict_entry *e = &d->entries[d->index[at] - 1];
        if (e->hash == hash && value_equal(r, e->key, key))
            break;
        if (probes > 16 && !render_steps(r, 1))
            break;
    }
    return at;
}

static struct dict_entry *find_entry(struct render *r, const struct vdict *d, struct value key,
                                     uint64_t hash)
{
    if (d->index) {
        size_t at = index_place(r, d, key, hash);
        return d->index[at] && !r->failed ? &d->entries[d->index[at] - 1] : NULL;
    }
    for (size_t i = 0; i < d->n; i++)
        if (d->entries[i].hash == hash && value_equal(r, d->entries[i].key, key))
            return &d->entries[i];
    return NULL;
}

static bool grow_index(struct render *r, struct vdict *d)
{
    size_t size = d->index_size ? d->index_size * 2 : 32;
    if (d->n > UINT32_MAX / 4)
        return false;
    d->index = render_alloc(r, size, sizeof(*d->index));
    if (!d->index)
        return false;
    d->index_size = size;
    for (size_t i = 0; i < d->n; i++)
        d->index[index_place(r, d, d->entries[i].key, d->entries[i].hash)] = (uint32_t)(i + 1);
    return !r->failed;
}

bool vdict_set(struct render *r, struct vdict *d, struct value key, struct value v)
{
    uint64_t hash;
    if (!hash_value(r, key, &hash)) {
        render_fail_type(r, "unhashable type: '%s'", value_type_name(key));
        return false;
    }
    struct dict_entry *e = find_entry(r, d, key, hash);
    if (r->failed)
        return false;
    if (e) {
        e->value = v;
        return true;
    }
    if (d->n == d->cap) {
        size_t cap = d->cap ? d->cap * 2 : 4;
        struct dict_entry *entries = render_alloc(r, cap, sizeof(*entries));
        if (!entries)
            return false;
        if (d->n)
            memcpy(entries, d->entries, d->n * sizeof(*entries));
        d->entries = entries;
        d->cap = cap;
    }
    d->entries[d->n++] = (struct dict_entry){.key = key, .value = v, .hash = hash};
    if (d->n <= DICT_INDEX_FROM)
        return true;
    if (!d->index || d->n * 2 > d->index_size)
        return grow_index(r, d);
    d->index[index_place(r, d, key, hash)] = (uint32_t)d->n;
    return !r->failed;
}

struct value *vdict_get(struct render *r, const struct vdict *d, struct value key, bool strict)
{
    uint64_t hash;
    if (!hash_value(r, key, &hash)) {
        if (strict)
            render_fail_type(r, "unhashable type: '%s'", value_type_name(key));
        return NULL;
    }
    struct dict_entry *e = find_entry(r, d, key, hash);
    return e ? &e->value : NULL;
}

struct value *vdict_get_str(struct render *r, const struct vdict *d, struct str key)
{
    struct vstr s = {.s = key, .n_chars = SIZE_MAX};
    return vdict_get(r, d, (struct value){.type = V_STR, .s = &s}, false);
}
