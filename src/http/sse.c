/* SPDX-License-Identifier: Apache-2.0
 *
 * Server-sent events, as in the WHATWG HTML standard, section 9.2.6. Of its fields only "event" and
 * "data" matter here; "id" and "retry" are skipped, as comments are. Lines end with LF, CRLF or a
 * lone CR. */
#include "http/sse.h"

#include <stdio.h>
#include <string.h>

void sse_write(struct buf *out, const char *event, struct str payload)
{
    if (event)
        buf_printf(out, "event: %s\n", event);
    struct str line = payload;
    for (;;) {
        size_t n = 0;
        while (n < line.len && line.ptr[n] != '\n' && line.ptr[n] != '\r')
            n++;
        buf_append(out, STR("data: "));
        buf_append(out, str_sub(line, 0, n));
        buf_push(out, '\n');
        if (n == line.len)
            break;
        bool crlf = line.ptr[n] == '\r' && n + 1 < line.len && line.ptr[n + 1] == '\n';
        line = str_sub(line, n + (crlf ? 2 : 1), SIZE_MAX);
    }
    buf_push(out, '\n');
}

static int dispatch(struct sse_parser *p, sse_event_fn fn, void *ctx)
{
    int r = 0;
    if (p->have_data)
        r = fn(p->event[0] ? p->event : "message", buf_str(&p->data), ctx);
    buf_clear(&p->data);
    p->event[0] = '\0';
    p->have_data = false;
    return r;
}

static void take_field(struct sse_parser *p, struct str name, struct str value)
{
    if (str_eq_c(name, "data")) {
        if (p->have_data)
            buf_push(&p->data, '\n');
        buf_append(&p->data, value);
        p->have_data = true;
    } else if (str_eq_c(name, "event")) {
        snprintf(p->event, sizeof(p->event), "%.*s", STR_ARG(value));
    }
}

static int take_line(struct sse_parser *p, sse_event_fn fn, void *ctx)
{
    struct str line = buf_str(&p->line);
    if (line.len == 0)
        return dispatch(p, fn, ctx);
    ptrdiff_t colon = str_find_char(line, ':');
    struct str name = colon < 0 ? line : str_sub(line, 0, (size_t)colon);
    struct str value = colon < 0 ? STR("") : str_sub(line, (size_t)colon + 1, SIZE_MAX);
    if (value.len > 0 && value.ptr[0] == ' ')
        value = str_sub(value, 1, SIZE_MAX);
    take_field(p, name, value);
    return 0;
}

int sse_feed(struct sse_parser *p, struct str piece, sse_event_fn fn, void *ctx, struct error *err)
{
    while (piece.len > 0) {
        if (p->after_cr && piece.ptr[0] == '\n')
            piece = str_sub(piece, 1, SIZE_MAX);
        p->after_cr = false;
        size_t n = 0;
        while (n < piece.len && piece.ptr[n] != '\n' && piece.ptr[n] != '\r')
            n++;
        buf_append(&p->line, str_sub(piece, 0, n));
        if (n < piece.len) {
            p->after_cr = piece.ptr[n] == '\r';
            int r = p->line.failed ? 0 : take_line(p, fn, ctx);
            if (r < 0)
                return r;
            if (!p->line.failed)
                buf_clear(&p->line);
            n++;
        }
        piece = str_sub(piece, n, SIZE_MAX);
        int r = buf_check(&p->line, "a line of the event stream", err);
        if (r == 0)
            r = buf_check(&p->data, "an event of the stream", err);
        if (r < 0)
            return r;
    }
    return 0;
}

void sse_parser_release(struct sse_parser *p)
{
    buf_release(&p->line);
    buf_release(&p->data);
}
