/* SPDX-License-Identifier: Apache-2.0
 *
 * Proxies from the environment. libcurl could read it too, but it knows no upper-case HTTP_PROXY and
 * does not tell beforehand whether there will be a proxy. */
#include "http/proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "http/address.h"

/* Bytes of a numeric address: 4, 16, or 0 if it is a name. */
static size_t address_bytes(struct str host, unsigned char out[16])
{
    char text[INET6_ADDRSTRLEN + 1];
    if (host.len >= 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
        host = str_sub(host, 1, host.len - 2);
    if (host.len >= sizeof(text))
        return 0;
    memcpy(text, host.ptr, host.len);
    text[host.len] = '\0';
    if (inet_pton(AF_INET, text, out) == 1)
        return 4;
    return inet_pton(AF_INET6, text, out) == 1 ? 16 : 0;
}

static bool net_has(struct str net, struct str bits_text, struct str host)
{
    unsigned char want[16], have[16];
    uint64_t bits = 0;
    size_t n = address_bytes(net, want);
    if (n == 0 || address_bytes(host, have) != n ||
        str_to_u64(bits_text, "the mask", &bits, NULL) < 0 || bits > n * 8)
        return false;
    size_t whole = bits / 8, rest = bits % 8;
    if (memcmp(want, have, whole) != 0)
        return false;
    return rest == 0 || ((want[whole] ^ have[whole]) >> (8 - rest)) == 0;
}

/* Takes ":port" off an entry; false when it names another port. */
static bool port_fits(struct str *entry, uint16_t port)
{
    ptrdiff_t colon = str_rfind_char(*entry, ':');
    bool one = colon >= 0 && str_find_char(*entry, ':') == colon;
    bool bracketed = colon > 0 && entry->ptr[colon - 1] == ']';
    if (!one && !bracketed)
        return true;
    uint64_t want = 0;
    if (str_to_u64(str_sub(*entry, (size_t)colon + 1, SIZE_MAX), "the port", &want, NULL) < 0)
        return false;
    *entry = str_sub(*entry, 0, (size_t)colon);
    return want == port;
}

static bool entry_fits(struct str entry, struct str host, uint16_t port)
{
    ptrdiff_t slash = str_find_char(entry, '/');
    if (slash >= 0)
        return net_has(str_sub(entry, 0, (size_t)slash), str_sub(entry, (size_t)slash + 1, SIZE_MAX),
                       host);
    if (!port_fits(&entry, port))
        return false;
    if (str_starts_with(entry, STR("*.")))
        entry = str_sub(entry, 1, SIZE_MAX);
    if (entry.len == 0)
        return false;
    unsigned char a[16], b[16];
    size_t n = address_bytes(entry, a);
    if (n > 0)
        return address_bytes(host, b) == n && memcmp(a, b, n) == 0;
    if (entry.ptr[0] != '.' && str_eq_nocase(entry, host))
        return true;
    size_t dot = entry.ptr[0] == '.' ? 0 : 1; /* the host has one in front of the entry */
    return host.len > entry.len + dot &&
           (dot == 0 || host.ptr[host.len - entry.len - 1] == '.') &&
           str_eq_nocase(str_sub(host, host.len - entry.len, SIZE_MAX), entry);
}

bool proxy_list_has(const char *list, const char *host, uint16_t port)
{
    struct str rest = str_from(list), entry;
    while (str_split_next(&rest, ',', &entry)) {
        entry = str_trim(entry);
        if (str_eq(entry, STR("*")) || entry_fits(entry, str_from(host), port))
            return true;
    }
    return false;
}

static const char *environment(const char *lower, const char *upper)
{
    const char *v = getenv(lower);
    if (!v || !*v)
        v = getenv(upper);
    return v && *v ? v : NULL;
}

char *proxy_for_url(const struct url *u)
{
    enum address_kind kind;
    if (strcmp(u->host, "localhost") == 0 ||
        (address_kind_of_text(u->host, &kind) && kind == ADDRESS_LOOPBACK))
        return NULL;
    const char *proxy = u->tls ? environment("https_proxy", "HTTPS_PROXY")
                               : environment("http_proxy", "HTTP_PROXY");
    if (!proxy)
        proxy = environment("all_proxy", "ALL_PROXY");
    if (!proxy)
        return NULL;
    const char *except = environment("no_proxy", "NO_PROXY");
    return except && proxy_list_has(except, u->host, u->port) ? NULL : xstrdup(proxy);
}
