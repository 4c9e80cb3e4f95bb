/* SPDX-License-Identifier: Apache-2.0
 *
 * Origin and Host checks, see guard.h. */
#include "runner/guard.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

static bool in_list(const char *list, struct str value)
{
    struct str rest = str_from(list);
    struct str item;
    while (rest.ptr && str_split_next(&rest, ',', &item)) {
        item = str_trim(item);
        if (str_eq_c(item, "*") || (item.len > 0 && str_eq_nocase(item, value)))
            return true;
    }
    return false;
}

/* "host", "host:port", "[v6]", "[v6]:port" → host; false when it is none of them. */
static bool split_host(struct str s, struct str *ret_host)
{
    struct str port = {0};
    if (s.len > 0 && s.ptr[0] == '[') {
        ptrdiff_t end = str_find_char(s, ']');
        if (end < 0)
            return false;
        *ret_host = str_sub(s, 1, (size_t)end - 1);
        port = str_sub(s, (size_t)end + 1, SIZE_MAX);
    } else {
        ptrdiff_t colon = str_find_char(s, ':');
        *ret_host = colon < 0 ? s : str_sub(s, 0, (size_t)colon);
        port = colon < 0 ? STR("") : str_sub(s, (size_t)colon, SIZE_MAX);
    }
    if (port.len > 0) {
        if (port.ptr[0] != ':' || port.len == 1 || port.len > 6)
            return false;
        for (size_t i = 1; i < port.len; i++)
            if (port.ptr[i] < '0' || port.ptr[i] > '9')
                return false;
    }
    return ret_host->len > 0;
}

static bool is_address(struct str host)
{
    char text[INET6_ADDRSTRLEN];
    unsigned char bytes[sizeof(struct in6_addr)];
    if (host.len >= sizeof(text))
        return false;
    memcpy(text, host.ptr, host.len);
    text[host.len] = '\0';
    return inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1;
}

static bool is_local_name(struct str host)
{
    static const char *const zones[] = {".localhost", ".internal", ".local", ".svc"};
    if (host.ptr[host.len - 1] == '.')
        host.len--;
    if (str_find_char(host, '.') < 0)
        return host.len > 0;
    for (size_t i = 0; i < ARRAY_LEN(zones); i++) {
        size_t n = strlen(zones[i]);
        if (host.len > n && str_eq_nocase(str_sub(host, host.len - n, n), str_make(zones[i], n)))
            return true;
    }
    return false;
}

bool guard_host(const struct settings *s, struct http_request *r)
{
    const char *header = http_request_header(r, "Host");
    if (http_request_is_local_socket(r) || !header || !*header)
        return true;
    struct str host;
    if (split_host(str_from(header), &host) &&
        (is_address(host) || is_local_name(host) || str_eq_nocase(host, str_from(s->host)) ||
         in_list(s->allowed_hosts, host)))
        return true;
    http_respond_text(r, 403, "Host not allowed: set MODEL_RUNNER_ALLOWED_HOSTS to let it in");
    return false;
}

/* http or https on this machine, on any port. */
static bool is_own_origin(struct str origin)
{
    static const char *const names[] = {"localhost", "127.0.0.1", "0.0.0.0", "::1"};
    struct str host;
    if (str_starts_with(origin, STR("http://")))
        origin = str_sub(origin, 7, SIZE_MAX);
    else if (str_starts_with(origin, STR("https://")))
        origin = str_sub(origin, 8, SIZE_MAX);
    else
        return false;
    if (!split_host(origin, &host))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (str_eq_nocase(host, str_from(names[i])))
            return true;
    return false;
}

bool guard_origin(const struct settings *s, struct http_request *r)
{
    const char *origin = http_request_header(r, "Origin");
    if (!origin || !*origin)
        return true;
    if (!is_own_origin(str_from(origin)) && !in_list(s->origins, str_from(origin))) {
        http_respond_text(r, 403, "Origin not allowed");
        return false;
    }
    http_respond_header(r, "Access-Control-Allow-Origin", origin);
    http_respond_header(r, "Vary", "Origin");
    if (strcmp(http_request_method(r), "OPTIONS") != 0)
        return true;
    http_respond_header(r, "Access-Control-Allow-Credentials", "true");
    http_respond_header(r, "Access-Control-Allow-Methods", "GET, POST, DELETE");
    /* "*" does not cover requests with credentials, so what was asked for is named. */
    const char *wanted = http_request_header(r, "Access-Control-Request-Headers");
    http_respond_header(r, "Access-Control-Allow-Headers", wanted && *wanted ? wanted : "*");
    http_respond_empty(r, 204);
    return false;
}
