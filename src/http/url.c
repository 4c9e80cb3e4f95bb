/* SPDX-License-Identifier: Apache-2.0
 *
 * Percent-encoding (RFC 3986, section 2). */
#include <string.h>

#include "base/alloc.h"
#include "http/client.h"

static bool is_unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

char *url_encode(struct str s, const char *keep)
{
    static const char digits[] = "0123456789ABCDEF";
    char *out = xcalloc(s.len + 1, 3);
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (is_unreserved(c) || (keep && c && strchr(keep, c))) {
            out[n++] = c;
        } else {
            out[n++] = '%';
            out[n++] = digits[(unsigned char)c >> 4];
            out[n++] = digits[(unsigned char)c & 15];
        }
    }
    out[n] = '\0';
    return out;
}
