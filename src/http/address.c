/* SPDX-License-Identifier: Apache-2.0
 *
 * Kinds of addresses, after IANA's special-purpose registries. */
#include "http/address.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>

#include "base/compiler.h"
#include "base/str.h"

static const struct {
    uint32_t net;
    unsigned bits;
    enum address_kind kind;
} v4_nets[] = {
    {0x00000000, 8, ADDRESS_LOOPBACK},     /* 0/8: connects to this host */
    {0x0a000000, 8, ADDRESS_PRIVATE},      /* 10/8 */
    {0x646464c8, 32, ADDRESS_LINK_LOCAL},  /* 100.100.100.200, a metadata service */
    {0x64400000, 10, ADDRESS_PRIVATE},     /* 100.64/10 */
    {0x7f000000, 8, ADDRESS_LOOPBACK},     /* 127/8 */
    {0xa83f8110, 32, ADDRESS_LINK_LOCAL},  /* 168.63.129.16, a metadata service */
    {0xa9fe0000, 16, ADDRESS_LINK_LOCAL},  /* 169.254/16 */
    {0xac100000, 12, ADDRESS_PRIVATE},     /* 172.16/12 */
    {0xc0000000, 24, ADDRESS_OTHER},       /* 192.0.0/24 */
    {0xc0000200, 24, ADDRESS_OTHER},       /* 192.0.2/24 */
    {0xc0586300, 24, ADDRESS_OTHER},       /* 192.88.99/24 */
    {0xc0a80000, 16, ADDRESS_PRIVATE},     /* 192.168/16 */
    {0xc6120000, 15, ADDRESS_PRIVATE},     /* 198.18/15, benchmarks of networks */
    {0xc6336400, 24, ADDRESS_OTHER},       /* 198.51.100/24 */
    {0xcb007100, 24, ADDRESS_OTHER},       /* 203.0.113/24 */
    {0xe0000000, 4, ADDRESS_OTHER},        /* 224/4 */
    {0xf0000000, 4, ADDRESS_OTHER},        /* 240/4, broadcast */
};

static enum address_kind kind_v4(uint32_t a)
{
    for (size_t i = 0; i < ARRAY_LEN(v4_nets); i++) {
        if (((a ^ v4_nets[i].net) >> (32 - v4_nets[i].bits)) == 0)
            return v4_nets[i].kind;
    }
    return ADDRESS_GLOBAL;
}

static uint32_t be32(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static enum address_kind kind_v6(const unsigned char *a)
{
    static const unsigned char zero[16] = {0};
    static const unsigned char nat64[12] = {0x00, 0x64, 0xff, 0x9b};
    static const unsigned char aws_metadata[16] = {0xfd, 0x00, 0x0e, 0xc2, [14] = 0x02, [15] = 0x54};
    if (memcmp(a, zero, 15) == 0 && a[15] <= 1)
        return ADDRESS_LOOPBACK;
    bool mapped = memcmp(a, zero, 10) == 0 &&
                  ((a[10] == 0xff && a[11] == 0xff) || (a[10] == 0 && a[11] == 0));
    bool translated = memcmp(a, zero, 8) == 0 && a[8] == 0xff && a[9] == 0xff && a[10] == 0 &&
                      a[11] == 0; /* ::ffff:0:a.b.c.d */
    if (mapped || translated || memcmp(a, nat64, 12) == 0)
        return kind_v4(be32(a + 12));
    if (a[0] == 0x20 && a[1] == 0x02) /* 6to4 */
        return kind_v4(be32(a + 2));
    if (be32(a) == 0x20010000) /* Teredo: the client's address is inverted */
        return kind_v4(~be32(a + 12));
    if (be32(a) == 0x0064ff9b || be32(a) == 0x20010db8 || be32(a) == 0x01000000)
        return ADDRESS_OTHER; /* local NAT64, documentation, discard */
    if (memcmp(a, aws_metadata, 16) == 0)
        return ADDRESS_LINK_LOCAL;
    if ((a[0] & 0xfe) == 0xfc)
        return ADDRESS_PRIVATE;
    if (a[0] == 0xfe && (a[1] & 0xc0) == 0x80)
        return ADDRESS_LINK_LOCAL;
    if (a[0] == 0xfe && (a[1] & 0xc0) == 0xc0)
        return ADDRESS_PRIVATE; /* site-local of old */
    return (a[0] & 0xe0) == 0x20 ? ADDRESS_GLOBAL : ADDRESS_OTHER;
}

enum address_kind address_kind(const struct sockaddr *a)
{
    if (a->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, a, sizeof(in));
        return kind_v4(ntohl(in.sin_addr.s_addr));
    }
    if (a->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, a, sizeof(in6));
        return kind_v6(in6.sin6_addr.s6_addr);
    }
    return ADDRESS_OTHER;
}

bool address_kind_of_text(const char *text, enum address_kind *ret)
{
    char copy[INET6_ADDRSTRLEN + 1];
    struct str s = str_from(text);
    if (s.len >= 2 && s.ptr[0] == '[' && s.ptr[s.len - 1] == ']')
        s = str_sub(s, 1, s.len - 2);
    ptrdiff_t scope = str_find_char(s, '%');
    if (scope >= 0)
        s = str_sub(s, 0, (size_t)scope);
    if (s.len >= sizeof(copy))
        return false;
    memcpy(copy, s.ptr, s.len);
    copy[s.len] = '\0';
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, copy, &v4) == 1)
        *ret = kind_v4(ntohl(v4.s_addr));
    else if (inet_pton(AF_INET6, copy, &v6) == 1)
        *ret = kind_v6(v6.s6_addr);
    else
        return false;
    return true;
}

bool address_is_loopback_only(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, host, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    if (inet_pton(AF_INET6, host, &v6) == 1)
        return IN6_IS_ADDR_LOOPBACK(&v6);
    return str_eq_nocase(str_from(host), STR("localhost"));
}

bool address_of_interface(const char *name, char ret[ADDRESS_TEXT_MAX])
{
    struct ifaddrs *all = NULL;
    bool found = false;
    if (getifaddrs(&all) != 0)
        return false;
    for (const struct ifaddrs *i = all; i && !found; i = i->ifa_next) {
        if (strcmp(i->ifa_name, name) != 0 || !i->ifa_addr || i->ifa_addr->sa_family != AF_INET)
            continue;
        struct sockaddr_in in;
        memcpy(&in, i->ifa_addr, sizeof(in));
        found = inet_ntop(AF_INET, &in.sin_addr, ret, ADDRESS_TEXT_MAX) != NULL;
    }
    freeifaddrs(all);
    return found;
}

const char *address_kind_name(enum address_kind k)
{
    switch (k) {
    case ADDRESS_GLOBAL:
        return "a public address";
    case ADDRESS_PRIVATE:
        return "a private address";
    case ADDRESS_LOOPBACK:
        return "a loopback address";
    case ADDRESS_LINK_LOCAL:
        return "a link-local address";
    case ADDRESS_OTHER:
        break;
    }
    return "a reserved address";
}
