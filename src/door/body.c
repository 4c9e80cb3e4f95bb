/* SPDX-License-Identifier: Apache-2.0
 *
 * Bodies of HTTP/1 messages, see body.h. The grammar of chunks (RFC 9112, section 7.1):
 *
 *     SIZE_HEX [; extension] CRLF  data CRLF  …  0 CRLF  [trailer CRLF …]  CRLF */
#include "door/body.h"

#include "base/compiler.h"

/* Extensions and trailers of one body. */
enum { MAX_EXTRA = 16 * 1024 };

struct body body_begin(enum body_kind kind, uint64_t length)
{
    return (struct body){.kind = kind, .left = kind == BODY_LENGTH ? length : 0};
}

static bool take_size_char(struct body *b, char c)
{
    enum { MAX_DIGITS = 15 }; /* less than 2^60 bytes */
    int digit = hex_digit(c);
    if (digit >= 0) {
        b->left = b->left * 16 + (uint64_t)digit;
        return ++b->n_digits <= MAX_DIGITS;
    }
    b->part = c == '\r' ? CHUNK_SIZE_LF : CHUNK_EXTENSION;
    return b->n_digits > 0 && (c == '\r' || c == ';' || c == ' ' || c == '\t');
}

/* One byte of the framing around the data; false = malformed. */
static bool take_char(struct body *b, char c)
{
    if (b->part == CHUNK_EXTENSION || b->part == CHUNK_TRAILER_TEXT)
        if (++b->n_extra > MAX_EXTRA || c == '\n' || c == '\0')
            return false;
    switch (b->part) {
    case CHUNK_SIZE:
        return take_size_char(b, c);
    case CHUNK_EXTENSION:
        if (c == '\r')
            b->part = CHUNK_SIZE_LF;
        return true;
    case CHUNK_SIZE_LF:
        b->part = b->left > 0 ? CHUNK_DATA : CHUNK_TRAILER;
        return c == '\n';
    case CHUNK_DATA_CR:
        b->part = CHUNK_DATA_LF;
        return c == '\r';
    case CHUNK_DATA_LF:
        b->part = CHUNK_SIZE;
        b->n_digits = 0;
        return c == '\n';
    case CHUNK_TRAILER:
        b->part = c == '\r' ? CHUNK_LAST_LF : CHUNK_TRAILER_TEXT;
        return c != '\n' && c != '\0';
    case CHUNK_TRAILER_TEXT:
        if (c == '\r')
            b->part = CHUNK_TRAILER_LF;
        return true;
    case CHUNK_TRAILER_LF:
        b->part = CHUNK_TRAILER;
        return c == '\n';
    case CHUNK_LAST_LF:
        b->kind = BODY_NONE;
        return c == '\n';
    case CHUNK_DATA:
        break;
    }
    return false;
}

ptrdiff_t body_feed(struct body *b, struct str bytes)
{
    size_t at = 0;
    while (at < bytes.len && b->kind != BODY_NONE) {
        size_t rest = bytes.len - at;
        if (b->kind == BODY_TO_END)
            return (ptrdiff_t)bytes.len;
        if (b->kind == BODY_CHUNKED && b->part != CHUNK_DATA) {
            if (!take_char(b, bytes.ptr[at++]))
                return -1;
            continue;
        }
        size_t take = b->left < rest ? (size_t)b->left : rest;
        at += take;
        b->left -= take;
        if (b->left > 0)
            break;
        if (b->kind == BODY_LENGTH)
            b->kind = BODY_NONE;
        else
            b->part = CHUNK_DATA_CR;
    }
    return (ptrdiff_t)at;
}
