/* SPDX-License-Identifier: Apache-2.0
 *
 * Which proxy a request goes through, by the environment:
 *
 *     http_proxy, HTTP_PROXY       for http URLs
 *     https_proxy, HTTPS_PROXY     for https URLs
 *     all_proxy, ALL_PROXY         for both, after those
 *     no_proxy, NO_PROXY           "*", or a comma-separated list of
 *                                      example.com    the host and its subdomains
 *                                      .example.com   the subdomains
 *                                      10.0.0.0/8     addresses
 *                                  each with ":port" if wanted
 *
 * Loopback hosts are never asked through a proxy. */
#ifndef HTTP_PROXY_H
#define HTTP_PROXY_H

#include <stdbool.h>

#include "base/compiler.h"
#include "http/url.h"

/* The proxy's URL for the caller to free; NULL = none. */
char *proxy_for_url(const struct url *u) ATTR_CHECK;

/* Does the list name this host? */
bool proxy_list_has(const char *list, const char *host, uint16_t port);

#endif
