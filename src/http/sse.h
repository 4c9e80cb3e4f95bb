/* SPDX-License-Identifier: Apache-2.0
 *
 * Server-sent events: framing on the way out, parsing on the way in. */
#ifndef HTTP_SSE_H
#define HTTP_SSE_H

#include "base/buf.h"
#include "base/str.h"

/* Appends "data: PAYLOAD\n\n"; a payload with line breaks becomes several data lines. event may be
 * NULL. */
void sse_write(struct buf *out, const char *event, struct str payload);

/* An incremental parser: feed any pieces, get whole events. Comments are skipped. */
struct sse_parser {
    struct buf line;
    struct buf data;
    char event[64];
    bool have_data;
    bool after_cr; /* an LF that follows belongs to the same line end */
};

/* Called for each event ("message" when the stream names none); `data` is borrowed. A negative
 * result stops the feeding and is returned. */
typedef int (*sse_event_fn)(const char *event, struct str data, void *ctx);

#define SSE_PARSER_INIT(max_bytes) \
    ((struct sse_parser){.line = BUF_INIT(max_bytes), .data = BUF_INIT(max_bytes)})
/* 0, the negative result of fn, or ERR_TOO_LARGE for a line or an event above the maximum. */
int sse_feed(struct sse_parser *p, struct str piece, sse_event_fn fn, void *ctx, struct error *err);
void sse_parser_release(struct sse_parser *p);

#endif
