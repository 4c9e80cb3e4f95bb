/* SPDX-License-Identifier: Apache-2.0
 *
 * Absolute http and https URLs taken apart. One parser, libcurl's, which also makes the request:
 * what is checked here is what is connected to. Numbers that stand for IPv4 addresses (octal, hex,
 * one big number) come out as dotted addresses. */
#ifndef HTTP_URL_H
#define HTTP_URL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

struct url {
    char *text;    /* the whole, normalised, without a fragment */
    char *host;    /* lower case; an IPv6 address in brackets */
    char *origin;  /* "https://host:port", always with the port */
    uint16_t port; /* given or the scheme's own */
    bool tls;      /* https */
};

/* Another scheme, a user name in it, control characters or spaces are ERR_INVALID. `base` makes a
 * relative reference absolute; NULL = text must be absolute. */
int url_parse(const char *text, const struct url *base, struct url *ret, struct error *err);
void url_release(struct url *u); /* a zeroed one is fine */
#define CLEANUP_URL CLEANUP(url_release)

/* For messages: scheme, host and path; never the query, which may carry a signature. */
struct str url_shown(const struct url *u);

#endif
