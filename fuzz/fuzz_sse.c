/* SPDX-License-Identifier: Apache-2.0
 *
 * The event stream parser. The first byte says how the rest is cut into pieces; the events must not
 * depend on it. */
#include <stdio.h>
#include <stdlib.h>

#include "http/sse.h"

enum { MAX_EVENT = 4096, MAX_LOG = 1 << 20 };

static int note(const char *event, struct str data, void *ctx)
{
    struct buf *log = ctx;
    buf_printf(log, "%s:%zu:", event, data.len);
    buf_append(log, data);
    return 0;
}

static int parse(struct str text, size_t step, struct buf *log)
{
    struct sse_parser p = SSE_PARSER_INIT(MAX_EVENT);
    int r = 0;
    for (size_t at = 0; at < text.len && r == 0; at += step)
        r = sse_feed(&p, str_sub(text, at, step), note, log, NULL);
    sse_parser_release(&p);
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct str text = str_make((const char *)data + 1, size - 1);
    struct buf whole = BUF_INIT(MAX_LOG), pieces = BUF_INIT(MAX_LOG);
    int a = parse(text, text.len, &whole);
    int b = parse(text, (size_t)data[0] % 7 + 1, &pieces);
    if (a != b || !str_eq(buf_str(&whole), buf_str(&pieces)))
        abort();
    buf_release(&whole);
    buf_release(&pieces);
    return 0;
}
