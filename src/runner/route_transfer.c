/* SPDX-License-Identifier: Apache-2.0
 *
 * Routes that move models between this machine and registries. Their answers are progress streams:
 * one JSON object a line, each sent at once. The stream begins with the first thing there is to
 * tell, so what fails before that is answered with the status it deserves. */
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "models/pull.h"
#include "runner/metrics.h"
#include "runner/respond.h"
#include "runner/routes.h"

enum { LINE_MAX_BYTES = 64 << 10, INFO_MAX = 64 << 20 };

/* An answer on its way. */
struct progress_answer {
    struct http_request *r;
    const char *mode; /* "pull", "push" */
    const char *done; /* "Downloaded", "Uploaded" */
    bool json;        /* else text, with the characters of HTML escaped */
    bool begun;
};

static void begin(struct progress_answer *a)
{
    if (a->begun)
        return;
    a->begun = true;
    http_respond_header(a->r, "Cache-Control", "no-cache");
    http_stream_begin(a->r, 200, a->json ? "application/json" : "text/plain");
}

static void send_line(struct progress_answer *a, const char *type, const char *message,
                      const struct models_event *ev)
{
    CLEANUP_BUF struct buf line = BUF_INIT(LINE_MAX_BYTES);
    CLEANUP_BUF struct buf escaped = BUF_INIT(6 * LINE_MAX_BYTES);
    buf_printf(&line, "{\"type\":\"%s\",\"message\":", type);
    js_write_string(str_from(message), &line);
    buf_printf(&line, ",\"total\":%llu,\"layer\":{", (unsigned long long)ev->total);
    if (ev->layer_id)
        buf_printf(&line, "\"id\":\"%s\",", ev->layer_id);
    buf_printf(&line, "\"size\":%llu,\"current\":%llu},\"mode\":\"%s\"}",
               (unsigned long long)ev->layer_size, (unsigned long long)ev->layer_current, a->mode);
    struct buf *out = &line;
    if (!a->json) {
        buf_append_html(&escaped, buf_str(&line));
        out = &escaped;
    }
    buf_push(out, '\n');
    begin(a);
    http_stream_write(a->r, buf_str(out));
}

static void on_event(void *ctx, const struct models_event *ev)
{
    struct progress_answer *a = ctx;
    char message[64];
    if (ev->kind == MODELS_EVENT_LAYER) {
        snprintf(message, sizeof(message), "%s: %.2f MB", a->done,
                 (double)ev->layer_current / (1 << 20));
        send_line(a, "progress", message, ev);
    } else {
        send_line(a, ev->kind == MODELS_EVENT_WARNING ? "warning" : "progress", ev->message, ev);
    }
}

/* doing: "pulling", "pushing". */
static void respond_failure(struct http_request *r, const char *doing, const struct error *err)
{
    int status = errc_http_status(err->code);
    CLEANUP_FREE char *text = NULL;
    if (err->code == ERR_INVALID) {
        text = xasprintf("Invalid model reference: %s", err->msg);
    } else if (err->code == ERR_DENIED && strstr(err->msg, "UNAUTHORIZED")) {
        status = 401;
        text = xasprintf("Unauthorized: %s", err->msg);
    } else if (err->code == ERR_NOT_FOUND) {
        text = xasprintf("Model not found: %s", err->msg);
    } else {
        /* 503 would mean that this daemon is not there. */
        status = err->code == ERR_UNSUPPORTED   ? 422
                 : err->code == ERR_IO          ? 500
                 : err->code == ERR_UNAVAILABLE ? 502
                                                : status;
        text = xasprintf("error while %s model: %s", doing, err->msg);
    }
    http_respond_text(r, status, text);
}

static void finish(struct progress_answer *a, int result, const char *doing, const char *message,
                   const struct error *err)
{
    static const struct models_event nothing = {0};
    if (result == 0) {
        send_line(a, "success", message, &nothing);
    } else if (a->begun) {
        CLEANUP_FREE char *text = xasprintf("Error: %s", err->msg);
        send_line(a, "error", text, &nothing);
    } else if (result != -ERR_CANCELED) {
        respond_failure(a->r, doing, err);
    }
}

static void fire(void *cancel)
{
    http_cancel_fire(cancel);
}

typedef int (*transfer_fn)(struct models *m, const char *name, const char *bearer,
                           models_event_fn fn, void *ctx, struct http_cancel *cancel,
                           char ret_message[MODELS_MESSAGE_MAX], struct error *err);

static void transfer(struct daemon *d, struct progress_answer *a, transfer_fn fn, const char *name,
                     const char *bearer, const char *doing)
{
    struct error err = ERROR_INIT;
    char message[MODELS_MESSAGE_MAX] = "";
    const char *accept = http_request_header(a->r, "Accept");
    a->json = accept && strcmp(accept, "application/json") == 0;
    /* Clients of old repeat a pull that failed by the network; here that has been done. */
    http_respond_header(a->r, "X-Model-Runner-Retried", "true");
    struct http_cancel *cancel = http_cancel_new();
    http_request_on_cancel(a->r, fire, cancel);
    int r = fn(d->models, name, bearer, on_event, a, cancel, message, &err);
    http_request_on_cancel(a->r, NULL, NULL);
    http_cancel_free(cancel);
    metrics_transfer(d->metrics, fn == models_push, r == 0);
    finish(a, r, doing, message, &err);
}

void route_models_create(struct daemon *d, struct http_request *r, const struct route_args *args)
{
    (void)args;
    CLEANUP_BUF struct buf text = BUF_INIT(CONTROL_BODY_MAX);
    CLEANUP_JSON struct json *request = NULL;
    struct error err = ERROR_INIT;
    if (read_json_object(r, &text, &request, &err) < 0 || !js_to_cstr(js_get(request, "from"))) {
        http_respond_text(r, 400, "invalid request body");
        return;
    }
    struct progress_answer a = {.r = r, .mode = "pull", .done = "Downloaded"};
    transfer(d, &a, models_pull, js_get_cstr(request, "from", ""),
             js_get_cstr(request, "bearer-token", NULL), "pulling");
}

void route_models_push(struct daemon *d, struct http_request *r, const struct route_args *args)
{
    CLEANUP_BUF struct buf text = BUF_INIT(CONTROL_BODY_MAX);
    CLEANUP_JSON struct json *request = NULL;
    struct error err = ERROR_INIT;
    int result = http_request_read_all(r, &text, &err);
    if (result == 0 && str_trim(buf_str(&text)).len > 0)
        result = js_parse(buf_str(&text), "the request body", &request, &err);
    if (result < 0) {
        http_respond_text(r, 400, "invalid request body");
        return;
    }
    struct progress_answer a = {.r = r, .mode = "push", .done = "Uploaded"};
    transfer(d, &a, models_push, args->name, js_get_cstr(request, "bearer-token", NULL), "pushing");
}

void respond_remote_model(struct daemon *d, struct http_request *r, const char *name)
{
    struct error err = ERROR_INIT;
    CLEANUP(model_info_release) struct model_info info = {0};
    CLEANUP_BUF struct buf text = BUF_INIT(INFO_MAX);
    struct http_cancel *cancel = http_cancel_new();
    http_request_on_cancel(r, fire, cancel);
    int result = models_get_remote(d->models, name, NULL, cancel, &info, &err);
    http_request_on_cancel(r, NULL, NULL);
    http_cancel_free(cancel);
    if (result < 0) {
        int status = err.code == ERR_UNSUPPORTED   ? 422
                     : err.code == ERR_UNAVAILABLE ? 502
                                                   : errc_http_status(err.code);
        if (err.code == ERR_DENIED && strstr(err.msg, "UNAUTHORIZED"))
            status = 401;
        error_wrap(&err, "error while getting remote model");
        http_respond_text(r, status, err.msg);
        return;
    }
    model_info_write(&info, &text);
    buf_push(&text, '\n');
    http_respond(r, 200, "application/json", buf_str(&text));
}
