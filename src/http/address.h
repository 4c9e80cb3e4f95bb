/* SPDX-License-Identifier: Apache-2.0
 *
 * What kind of place a network address is, for deciding whether a stranger may send us there.
 * IPv4 addresses inside IPv6 ones (mapped, compatible, NAT64, 6to4, Teredo) count as the IPv4
 * address. */
#ifndef HTTP_ADDRESS_H
#define HTTP_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>

enum address_kind {
    ADDRESS_GLOBAL,
    ADDRESS_PRIVATE,    /* RFC 1918, shared (100.64/10), unique local */
    ADDRESS_LOOPBACK,   /* 127/8, ::1, and the "this host" addresses 0/8 and :: */
    ADDRESS_LINK_LOCAL, /* 169.254/16, fe80::/10, and metadata services of clouds */
    ADDRESS_OTHER,      /* multicast, reserved, documentation: nobody's server */
};

enum address_kind address_kind(const struct sockaddr *a);

/* From numeric text as inet_pton() reads it, "[::1]" or with a %scope included; false if it is none. */
bool address_kind_of_text(const char *text, enum address_kind *ret);

/* Does only this machine reach a server on that address? Names count by their text: "localhost". */
bool address_is_loopback_only(const char *host);

/* The IPv4 address of a network interface of this machine; false if there is none. */
enum { ADDRESS_TEXT_MAX = 46 };
bool address_of_interface(const char *name, char ret[ADDRESS_TEXT_MAX]);

const char *address_kind_name(enum address_kind k); /* "a loopback address" */

#endif
