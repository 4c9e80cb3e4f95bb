/* SPDX-License-Identifier: Apache-2.0
 *
 * Asking engines, see infer.h. */
#include "runner/infer.h"

#include "base/alloc.h"
#include "runner/journal.h"
#include "runner/metrics.h"
#include "runner/watch.h"

int infer(struct daemon *d, struct http_request *r, const char *model, enum engine_mode mode,
          const char *path, struct str body, const struct proxy_sink *sink, struct error *err)
{
    enum { TRIES = 2 }; /* an engine may have died since it was last used */
    struct watch w;
    struct error why = ERROR_INIT;
    watch_begin(&w, r, journal_keeps_text(d->journal));
    metrics_at_work(d->metrics, 1);
    int result = 0;
    bool done = false;
    for (int i = 0; i < TRIES && result == 0 && !done; i++) {
        struct lease *lease = NULL;
        metrics_waiting(d->metrics, 1);
        result = scheduler_acquire(d->scheduler, model, mode, r, &lease, &why);
        metrics_waiting(d->metrics, -1);
        if (result < 0)
            break;
        done = proxy_request(r, lease, path, body, sink, &w, i + 1 == TRIES);
        lease_release(lease);
    }
    if (result == -ERR_BUSY)
        http_respond_header(r, "Retry-After", "5");
    if (result < 0 && result != -ERR_CANCELED)
        watch_failed(&w, 0, &why);
    metrics_at_work(d->metrics, -1);
    watch_end(&w, d, r, model, mode, body);
    return result < 0 ? error_copy(err, &why) : 0;
}

char *infer_error_text(struct str answer)
{
    CLEANUP_JSON struct json *v = NULL;
    js_parse(answer, "the engine's answer", &v, NULL);
    const struct json *e = js_get(v, "error");
    const char *text = js_is(e, JS_STRING) ? js_to_cstr(e) : js_get_cstr(e, "message", NULL);
    if (text)
        return xstrdup(text);
    char *copy = str_dup(str_trim(answer));
    return copy ? copy : xstrdup("");
}

struct collected {
    struct buf body;
    int status;
    struct error failure;
};

static int on_begin(void *ctx, int status, const char *content_type)
{
    struct collected *c = ctx;
    (void)content_type;
    c->status = status;
    return 0;
}

static int on_piece(void *ctx, struct str piece)
{
    struct collected *c = ctx;
    return buf_append(&c->body, piece);
}

static void on_fail(void *ctx, int status, const struct error *err)
{
    struct collected *c = ctx;
    (void)status;
    c->failure = *err;
}

int infer_json(struct daemon *d, struct http_request *r, const char *model, enum engine_mode mode,
               const char *path, const struct json *body, struct json **ret, struct error *err)
{
    enum { ANSWER_MAX = 256 << 20 };
    struct collected c = {.body = BUF_INIT(ANSWER_MAX), .failure = ERROR_INIT};
    const struct proxy_sink sink = {on_begin, on_piece, on_fail, &c};
    CLEANUP_FREE char *text = js_text(body, JS_COMPACT);
    int result = infer(d, r, model, mode, path, str_from(text), &sink, err);
    if (result == 0 && c.failure.code != ERR_NONE)
        result = error_copy(err, &c.failure);
    if (result == 0 && c.status == 0)
        result = error_set(err, ERR_CANCELED, "the client closed the connection");
    if (result == 0 && c.status != 200) {
        CLEANUP_FREE char *why = infer_error_text(buf_str(&c.body));
        result = error_set(err, errc_from_http_status(c.status), "%s", why);
    }
    if (result == 0)
        result = js_parse(buf_str(&c.body), "the engine's answer", ret, err);
    buf_release(&c.body);
    return result;
}
