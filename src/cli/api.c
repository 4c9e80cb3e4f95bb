/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests to the runner, see api.h. */
#include "cli/api.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "cli/interrupt.h"

/* A caller's callbacks, wrapped: the body of a 503 must not reach on_data, which expects the answer
 * that was asked for. */
struct relay {
    const struct http_call *user;
    bool drop_503;
    int status;
};

static int relay_headers(void *ctx, int status)
{
    struct relay *r = ctx;
    r->status = status;
    return r->user->on_headers ? r->user->on_headers(r->user->ctx, status) : 0;
}

static void relay_header(void *ctx, struct str name, struct str value)
{
    struct relay *r = ctx;
    if (r->user->on_header)
        r->user->on_header(r->user->ctx, name, value);
}

static int relay_data(void *ctx, struct str piece)
{
    struct relay *r = ctx;
    if (r->drop_503 && r->status == 503)
        return 0;
    return r->user->on_data(r->user->ctx, piece);
}

static ssize_t relay_read(void *ctx, char *p, size_t n)
{
    struct relay *r = ctx;
    return r->user->read_body(r->user->ctx, p, n);
}

static const char *user_agent(void)
{
    static char *text;
    if (!text) {
        const char *more = getenv("USER_AGENT");
        text = xasprintf("docker-model-cli/v%s%s%s", MR_VERSION, more && *more ? " " : "",
                         more ? more : "");
        /* A line break would add a header. */
        text[strcspn(text, "\r\n")] = '\0';
    }
    return text;
}

int api_perform(const struct api_call *call, struct http_result *res, struct error *err)
{
    const struct daemon *d = call->daemon;
    if (!d) {
        int r = daemon_find(&d, err);
        if (r < 0)
            return r;
    }
    struct http_call http = call->http ? *call->http : HTTP_CALL_INIT;
    struct relay relay = {.user = call->http, .drop_503 = !call->daemon};
    if (call->http) {
        http.ctx = &relay;
        http.on_headers = relay_headers;
        http.on_header = call->http->on_header ? relay_header : NULL;
        http.on_data = call->http->on_data ? relay_data : NULL;
        http.read_body = call->http->read_body ? relay_read : NULL;
    }
    CLEANUP_FREE char *url = xasprintf("%s%s", d->base_url, call->path);
    CLEANUP_FREE char *content = NULL, *accept = NULL, *token = NULL;
    const char *headers[API_MAX_HEADERS + 4];
    size_t n = 0;
    const char *secret = getenv("MODEL_RUNNER_TOKEN");
    if (secret && *secret && !strpbrk(secret, "\r\n")) {
        token = xasprintf("Authorization: Bearer %s", secret);
        headers[n++] = token;
    }
    if (call->body.ptr || http.read_body) {
        content = xasprintf("Content-Type: %s",
                            call->content_type ? call->content_type : "application/json");
        headers[n++] = content;
    }
    if (call->accept) {
        accept = xasprintf("Accept: %s", call->accept);
        headers[n++] = accept;
    }
    for (size_t i = 0; call->headers && call->headers[i] && i < API_MAX_HEADERS; i++)
        headers[n++] = call->headers[i];
    headers[n] = NULL;

    http.method = call->method;
    http.url = url;
    http.unix_path = d->unix_path;
    http.headers = headers;
    http.body = call->body;
    http.user_agent = user_agent();
    http.ca_file = d->ca_file;
    http.insecure = d->insecure;
    if (!http.cancel)
        http.cancel = interrupt_cancel();

    struct error why = ERROR_INIT;
    int r = http_perform(&http, res, &why);
    if (r < 0) {
        if (why.code == ERR_NONE)
            return r; /* from a callback, which has told why */
        if (why.code == ERR_CANCELED)
            return error_copy(err, &why);
        if (call->daemon && why.code == ERR_UNAVAILABLE)
            why.code = ERR_IO; /* another server: nothing that starting a runner would help */
        error_wrap(&why, "error querying %s", call->path);
        return error_copy(err, &why);
    }
    if (res->status == 503 && !call->daemon)
        return error_set(err, ERR_UNAVAILABLE, "%s", API_NOT_RUNNING);
    return 0;
}

enum errc api_status_code(int status)
{
    enum errc code = errc_from_http_status(status);
    return code == ERR_UNAVAILABLE || code == ERR_NONE ? ERR_IO : code;
}

const char *api_status_text(int status, char out[64])
{
    static const struct {
        int status;
        const char *text;
    } table[] = {
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {413, "Request Entity Too Large"},
        {422, "Unprocessable Entity"},
        {429, "Too Many Requests"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
    };
    const char *text = "";
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (table[i].status == status)
            text = table[i].text;
    snprintf(out, 64, "%d%s%s", status, *text ? " " : "", text);
    return out;
}

struct str api_error_text(const struct http_result *res, struct json **hold)
{
    struct str body = str_trim(buf_str(&res->body));
    *hold = NULL;
    if (body.len == 0 || body.ptr[0] != '{' || js_parse(body, "the answer", hold, NULL) < 0)
        return body;
    struct json *error = js_get(*hold, "error");
    struct str message = js_to_str(error);
    if (!message.ptr)
        message = js_get_str(error, "message");
    if (!message.ptr)
        message = js_get_str(*hold, "message");
    return message.ptr ? message : body;
}

int api_get_json(const char *path, const char *what, struct json **ret, struct error *err)
{
    return api_get_json_from(NULL, path, what, ret, err);
}

int api_get_json_from(const struct daemon *d, const char *path, const char *what, struct json **ret,
                      struct error *err)
{
    struct http_call http = HTTP_CALL_INIT;
    http.max_body = JSON_MAX_BYTES;
    struct api_call call = {.path = path, .daemon = d, .http = &http};
    struct http_result res = {0};
    int r = api_perform(&call, &res, err);
    if (r == 0 && res.status != 200) {
        char status[64];
        CLEANUP_JSON struct json *hold = NULL;
        struct str text = api_error_text(&res, &hold);
        r = error_set(err, api_status_code(res.status), "%s: %s%s%.*s", what,
                      api_status_text(res.status, status), text.len ? ": " : "", STR_ARG(text));
    } else if (r == 0) {
        CLEANUP_FREE char *name = xasprintf("the runner's answer to %s", path);
        r = js_parse(buf_str(&res.body), name, ret, err);
    }
    http_result_release(&res);
    return r;
}

char *api_model_path(const char *model, const char *suffix)
{
    CLEANUP_FREE char *name = url_encode(str_from(model), "/:@");
    return xasprintf("/models/%s%s", name, suffix);
}

int api_call_json(const struct api_call *call, const char *what, struct json **ret,
                  struct error *err)
{
    struct http_result res = {0};
    int r = api_perform(call, &res, err);
    if (r == 0 && res.status != 200) {
        char status[64];
        CLEANUP_JSON struct json *hold = NULL;
        struct str text = api_error_text(&res, &hold);
        r = error_set(err, api_status_code(res.status), "%s failed with status %s: %.*s", what,
                      api_status_text(res.status, status), STR_ARG(text));
    } else if (r == 0) {
        *ret = NULL;
        if (str_trim(buf_str(&res.body)).len > 0)
            r = js_parse(buf_str(&res.body), "the runner's answer", ret, err);
    }
    http_result_release(&res);
    return r;
}
