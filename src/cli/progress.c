/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading the progress stream, see progress.h. */
#include "cli/progress.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"

enum {
    LINE_MAX_BYTES = 256 * 1024,
    GARBAGE_MAX_BYTES = 4096,
    MESSAGE_MAX_BYTES = 16 * 1024,
};

void progress_stream_init(struct progress_stream *s, const struct progress_sink *sink)
{
    *s = (struct progress_stream){
        .sink = sink,
        .line = BUF_INIT(LINE_MAX_BYTES),
        .garbage = BUF_INIT(GARBAGE_MAX_BYTES),
        .message = BUF_INIT(MESSAGE_MAX_BYTES),
    };
}

void progress_stream_release(struct progress_stream *s)
{
    buf_release(&s->line);
    buf_release(&s->garbage);
    buf_release(&s->message);
}

static void html_unescape(struct str s, struct buf *out)
{
    static const struct {
        struct str entity;
        char c;
    } table[] = {
        {{"&#34;", 5}, '"'}, {{"&quot;", 6}, '"'}, {{"&#39;", 5}, '\''},
        {{"&lt;", 4}, '<'},  {{"&gt;", 4}, '>'},   {{"&amp;", 5}, '&'},
    };
    while (s.len > 0) {
        size_t n = 1;
        char c = s.ptr[0];
        for (size_t i = 0; c == '&' && i < ARRAY_LEN(table); i++) {
            if (str_starts_with(s, table[i].entity)) {
                n = table[i].entity.len;
                c = table[i].c;
                break;
            }
        }
        buf_push(out, c);
        s = str_sub(s, n, s.len - n);
    }
}

static struct json *parse_line(struct str line)
{
    struct json *v = NULL;
    if (js_parse(line, "the progress", &v, NULL) == 0)
        return v;
    CLEANUP_BUF struct buf plain = BUF_INIT(LINE_MAX_BYTES);
    html_unescape(line, &plain);
    return js_parse(buf_str(&plain), "the progress", &v, NULL) == 0 ? v : NULL;
}

static uint64_t get_u64(const struct json *object, const char *key)
{
    int64_t v = js_get_int(object, key, 0);
    return v > 0 ? (uint64_t)v : 0;
}

static void remember(struct buf *b, struct str s)
{
    buf_clear(b);
    buf_append(b, str_sub(s, 0, b->max));
}

static void take_line(struct progress_stream *s, struct str line)
{
    line = str_trim(line);
    if (line.len == 0 || s->failed)
        return;
    struct json *v = parse_line(line);
    struct str type = js_get_str(v, "type"), message = js_get_str(v, "message");
    if (str_eq_c(type, "progress")) {
        const struct json *layer = js_get(v, "layer");
        struct progress p = {
            .message = message,
            .layer_id = js_get_str(layer, "id"),
            .layer_size = get_u64(layer, "size"),
            .layer_current = get_u64(layer, "current"),
            .total = get_u64(v, "total"),
        };
        s->any_progress = true;
        if (s->sink->progress)
            s->sink->progress(s->sink->ctx, &p);
    } else if (str_eq_c(type, "success")) {
        s->success = true;
        remember(&s->message, message);
    } else if (str_eq_c(type, "warning")) {
        if (s->sink->warning)
            s->sink->warning(s->sink->ctx, message);
    } else if (str_eq_c(type, "error")) {
        s->failed = true;
        remember(&s->message, message);
    } else if (s->garbage.len < GARBAGE_MAX_BYTES) {
        buf_append(&s->garbage, str_sub(line, 0, GARBAGE_MAX_BYTES - s->garbage.len));
    }
    js_free(v);
}

void progress_stream_feed(struct progress_stream *s, struct str piece)
{
    while (piece.len > 0) {
        ptrdiff_t end = str_find_char(piece, '\n');
        struct str part = end < 0 ? piece : str_sub(piece, 0, (size_t)end);
        buf_append(&s->line, part);
        if (end < 0)
            return;
        take_line(s, buf_str(&s->line));
        buf_clear(&s->line);
        piece = str_sub(piece, part.len + 1, piece.len - part.len - 1);
    }
}

int progress_stream_end(struct progress_stream *s, struct error *err)
{
    take_line(s, buf_str(&s->line));
    buf_clear(&s->line);
    struct str message = buf_str(&s->message);
    if (s->failed)
        return error_set(err, ERR_IO, "%.*s", STR_ARG(message));
    if (s->success)
        return 0;
    if (!s->any_progress && s->garbage.len > 0) {
        struct str garbage = buf_str(&s->garbage);
        return error_set(err, ERR_CORRUPT,
                         "unexpected response from server (not valid progress data): %.*s",
                         STR_ARG(garbage));
    }
    return error_set(err, ERR_IO, "the runner ended the connection early (unexpected EOF)");
}

bool progress_error_is_network(const char *text)
{
    static const char *const signs[] = {
        "connection refused", "connection reset",
        "broken pipe",        "timeout",
        "timed out",          "EOF",
        "no such host",       "unreachable",
        "stream error",       "internal_error",
        "protocol_error",
    };
    for (size_t i = 0; i < ARRAY_LEN(signs); i++)
        if (strcasestr(text, signs[i]))
            return true;
    return false;
}
