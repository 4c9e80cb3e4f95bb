/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers line by line. */
#include "runner/news.h"

#include "base/buf.h"
#include "base/clock.h"
#include "runner/respond.h"

enum { LINE_MAX_BYTES = 64 << 10, NEWS_EVERY_MS = 100 };

struct json *news_line(const char *type, const char *message)
{
    struct json *v = js_object();
    js_set_cstr(v, "type", type);
    if (message)
        js_set_cstr(v, "message", message);
    return v;
}

void news_send(struct news *n, struct json *v)
{
    CLEANUP_BUF struct buf line = BUF_INIT(LINE_MAX_BYTES);
    if (!n->begun) {
        http_respond_header(n->r, "Cache-Control", "no-cache");
        http_stream_begin(n->r, 200, "application/json");
        n->begun = true;
    }
    js_write(v, JS_COMPACT, &line);
    buf_push(&line, '\n');
    js_free(v);
    http_stream_write(n->r, buf_str(&line));
}

bool news_is_time(struct news *n, uint64_t done, uint64_t total)
{
    int64_t now = clock_mono_ms();
    if (now - n->last_ms < NEWS_EVERY_MS && done < total)
        return false;
    n->last_ms = now;
    return true;
}

void news_fail(struct news *n, const struct error *err)
{
    if (!n->begun) {
        respond_error(n->r, err);
        return;
    }
    struct json *v = news_line("error", err->msg);
    js_set_int(v, "status", errc_http_status(err->code));
    news_send(n, v);
}
