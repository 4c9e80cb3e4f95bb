/* SPDX-License-Identifier: Apache-2.0
 *
 * A table of numbered strings with look-up by content. Numbers count up from 0 in the order of
 * adding; the bytes are copied. Reading is safe from several threads once nobody adds any more. */
#ifndef ENGINE_TEXT_STRTAB_H
#define ENGINE_TEXT_STRTAB_H

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct strtab_item;
struct strtab_slot;

struct strtab {
    char *bytes; /* all strings, one behind the other */
    size_t n_bytes, cap_bytes;
    struct strtab_item *items;
    uint32_t n, cap;
    struct strtab_slot *slots; /* open addressing, a power of two */
    uint32_t n_slots;
};

void strtab_release(struct strtab *t);

/* Room for n strings with n_bytes bytes in all, so that adding them moves nothing. */
int strtab_reserve(struct strtab *t, size_t n, size_t n_bytes);

/* Adds a string as the next number, also when it is there already or empty; strtab_find() gives
 * the first number of equal strings, and never finds the empty one. Returns the number or
 * -ERR_NOMEM. */
int32_t strtab_append(struct strtab *t, struct str s);

/* The number of s, added if it is new. */
int32_t strtab_intern(struct strtab *t, struct str s);

int32_t strtab_find(const struct strtab *t, struct str s); /* -1 = absent */
/* Borrowed until the next addition. */
struct str strtab_get(const struct strtab *t, int32_t number);

#endif
