/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers that come line by line, see news.h. */
#include "cli/news.h"

#include "base/alloc.h"
#include "cli/api.h"

enum { LINE_MAX_BYTES = 256 << 10, ERROR_BODY_MAX = 64 << 10 };

struct news {
    news_fn fn;
    void *ctx;
    int status;
    bool ended; /* the result is there */
    struct buf line, error_body;
    struct error error; /* that the runner told */
};

static int on_headers(void *ctx, int status)
{
    struct news *n = ctx;
    n->status = status;
    return 0;
}

static void take_line(struct news *n, struct str text)
{
    CLEANUP_JSON struct json *v = NULL;
    text = str_trim(text);
    if (text.len == 0 || js_parse(text, "the runner's answer", &v, NULL) < 0)
        return;
    struct str type = js_get_str(v, "type");
    if (str_eq_c(type, "error"))
        error_set(&n->error, api_status_code((int)js_get_int(v, "status", 500)), "%s",
                  js_get_cstr(v, "message", "unknown error"));
    else
        n->fn(n->ctx, v);
    n->ended |= str_eq_c(type, "result");
}

static int on_data(void *ctx, struct str piece)
{
    struct news *n = ctx;
    if (n->status != 200) {
        buf_append(&n->error_body, str_sub(piece, 0, ERROR_BODY_MAX - n->error_body.len));
        return 0;
    }
    for (ptrdiff_t end; (end = str_find_char(piece, '\n')) >= 0;) {
        buf_append(&n->line, str_sub(piece, 0, (size_t)end));
        piece = str_sub(piece, (size_t)end + 1, SIZE_MAX);
        take_line(n, buf_str(&n->line));
        buf_clear(&n->line);
    }
    return buf_append(&n->line, piece);
}

int news_post(const char *path, const struct json *request, const char *what, news_fn fn, void *ctx,
              struct error *err)
{
    CLEANUP_FREE char *body = js_text(request, JS_COMPACT);
    struct news n = {
        .fn = fn,
        .ctx = ctx,
        .line = BUF_INIT(LINE_MAX_BYTES),
        .error_body = BUF_INIT(ERROR_BODY_MAX),
    };
    struct http_call http = HTTP_CALL_INIT;
    http.on_headers = on_headers;
    http.on_data = on_data;
    http.ctx = &n;
    struct api_call call = {.path = path, .body = str_from(body), .http = &http};
    struct http_result res = {0};
    int r = api_perform(&call, &res, err);
    if (r == 0 && n.status != 200) {
        char status[64];
        struct str text = str_trim(buf_str(&n.error_body));
        r = error_set(err, api_status_code(n.status), "%s failed with status %s: %.*s", what,
                      api_status_text(n.status, status), STR_ARG(text));
    } else if (r == 0 && n.error.code) {
        r = error_copy(err, &n.error);
    } else if (r == 0 && !n.ended) {
        r = error_set(err, ERR_IO, "%s: the runner's answer broke off", what);
    }
    http_result_release(&res);
    buf_release(&n.line);
    buf_release(&n.error_body);
    return r;
}
