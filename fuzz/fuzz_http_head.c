/* SPDX-License-Identifier: Apache-2.0
 *
 * The door's reading of HTTP/1: the first byte says how the rest is cut into pieces, and whether it
 * is a request. Where the messages end must not depend on the pieces, and nothing may be read
 * outside of them. */
#include <stdlib.h>

#include "door/body.h"
#include "door/head.h"

/* Where the first message ends: -1 = refused, -2 = not in these bytes. */
static ptrdiff_t find_end(struct str text, bool request, bool to_head, size_t step)
{
    size_t scanned = 0, seen = 0;
    ptrdiff_t len = HEAD_MORE;
    while (len == HEAD_MORE && seen < text.len) {
        seen = seen + step < text.len ? seen + step : text.len;
        len = head_find_end(str_sub(text, 0, seen), &scanned);
    }
    if (len <= 0)
        return len == HEAD_BAD ? -1 : -2;
    struct str head = str_sub(text, 0, (size_t)len);
    struct body body;
    if (request) {
        struct request_head h;
        const char *why;
        if (!request_head_parse(head, &h, &why))
            return why && *why ? -1 : -3;
        if (h.method.ptr < head.ptr || h.target.ptr + h.target.len > head.ptr + head.len)
            abort();
        body = body_begin(h.body, h.length);
    } else {
        struct response_head h;
        if (!response_head_parse(head, to_head, &h))
            return -1;
        if (h.status < 100 || h.status > 999)
            abort();
        body = body_begin(h.body, h.length);
    }
    size_t at = (size_t)len;
    while (at < text.len && !body_ended(&body)) {
        struct str piece = str_sub(text, at, step);
        ptrdiff_t n = body_feed(&body, piece);
        if (n < 0)
            return -1;
        if ((size_t)n > piece.len || (n == 0 && !body_ended(&body)))
            abort();
        at += (size_t)n;
    }
    return body_ended(&body) ? (ptrdiff_t)at : -2;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct str text = str_make((const char *)data + 1, size - 1);
    bool request = data[0] & 1, to_head = data[0] & 2;
    ptrdiff_t whole = find_end(text, request, to_head, text.len);
    ptrdiff_t pieces = find_end(text, request, to_head, (size_t)(data[0] >> 2) % 9 + 1);
    if (whole != pieces || whole == -3)
        abort();
    return 0;
}
