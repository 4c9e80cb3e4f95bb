/* SPDX-License-Identifier: Apache-2.0
 *
 * Header fields that registries and file servers answer with. Pure text, hostile text included. */
#ifndef REGISTRY_HEADERS_H
#define REGISTRY_HEADERS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

/* What WWW-Authenticate asks for (RFC 9110, 11.6.1). Several fields and several challenges in one
 * field add up; the first of a scheme counts. */
struct challenge {
    bool bearer, basic;
    char *realm;   /* of Bearer; NULL if absent, and so on */
    char *service;
    char *scope;
};

void challenge_add(struct challenge *c, struct str field);
void challenge_release(struct challenge *c); /* a zeroed one is fine */

/* "bytes 0-99/1000"; total is UINT64_MAX for "*". Only a range that was sent: first <= last < total;
 * anything else is false. */
struct content_range {
    uint64_t first, last, total;
};
bool content_range_parse(struct str field, struct content_range *ret);

/* The target of the first link with this relation (RFC 8288), or {NULL, 0}. */
struct str link_find(struct str field, const char *relation);

/* Seconds to wait: a number, or a date against `now` (seconds since 1970); -1 if it is neither. A date
 * that is over is 0. */
int64_t retry_after_parse(struct str field, int64_t now);

#endif
