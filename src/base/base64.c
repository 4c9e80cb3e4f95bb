/* SPDX-License-Identifier: Apache-2.0
 *
 * Base64, three bytes as four digits. */
#include "base/base64.h"

#include <stdbool.h>
#include <stdint.h>

#include "base/alloc.h"
#include "base/compiler.h"

void base64_encode(struct str in, struct buf *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t n_out = in.len / 3 * 4 + (in.len % 3 ? 4 : 0);
    char *p = buf_reserve(out, n_out);
    if (!p)
        return;
    for (size_t i = 0; i < in.len; i += 3) {
        uint32_t v = 0;
        size_t n = MIN(in.len - i, (size_t)3);
        for (size_t k = 0; k < 3; k++)
            v = v << 8 | (k < n ? (unsigned char)in.ptr[i + k] : 0);
        for (size_t k = 0; k < 4; k++)
            *p++ = k <= n ? digits[v >> (18 - 6 * k) & 63] : '=';
    }
    buf_added(out, n_out);
}

static int digit_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '-')
        return 62;
    return c == '/' || c == '_' ? 63 : -1;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r' && c != '\v');
}

int base64_decode(struct str in, struct buf *out, struct error *err)
{
    CLEANUP_FREE unsigned char *bytes = alloc_array(in.len / 4 + 1, 3);
    if (!bytes)
        return error_set(err, ERR_NOMEM, "out of memory for %zu bytes of base64 text", in.len);
    size_t n_digits = 0, n_padding = 0, n_out = 0;
    uint32_t v = 0;
    unsigned bits = 0;
    for (size_t i = 0; i < in.len; i++) {
        char c = in.ptr[i];
        int d = digit_value(c);
        if (is_space(c))
            continue;
        if (c == '=' && n_padding < 2) {
            n_padding++;
            continue;
        }
        if (d < 0 || n_padding > 0)
            return error_set(err, ERR_INVALID,
                             "the base64 text has a character at offset %zu that is no digit", i);
        n_digits++;
        v = v << 6 | (uint32_t)d;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            bytes[n_out++] = (unsigned char)(v >> bits);
        }
    }
    if (n_digits % 4 == 1 || (n_padding > 0 && (n_digits + n_padding) % 4 != 0))
        return error_set(err, ERR_INVALID, "the base64 text ends in the middle of a byte");
    if (buf_append_bytes(out, bytes, n_out) < 0)
        return buf_check(out, "the decoded base64 text", err);
    return 0;
}
