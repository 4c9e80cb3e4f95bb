/* SPDX-License-Identifier: Apache-2.0
 *
 * Shared forms of answers, see respond.h. */
#include "runner/respond.h"

#include <string.h>

void respond_error(struct http_request *r, const struct error *err)
{
    http_respond_text(r, errc_http_status(err->code), err->msg);
}

struct json *openai_error(const struct error *err)
{
    struct json *inner = js_object();
    js_set_cstr(inner, "message", err->msg);
    js_set_cstr(inner, "type", errc_openai_type(err->code));
    js_set_cstr(inner, "code", errc_name(err->code));
    js_set(inner, "param", js_null());
    struct json *outer = js_object();
    js_set(outer, "error", inner);
    return outer;
}

void respond_openai_error(struct http_request *r, int status, const struct error *err)
{
    CLEANUP_JSON struct json *v = openai_error(err);
    http_respond_json(r, status ? status : errc_http_status(err->code), v);
}

int read_json_object(struct http_request *r, struct buf *text, struct json **ret, struct error *err)
{
    int result = http_request_read_all(r, text, err);
    if (result == -(int)ERR_TOO_LARGE)
        return error_wrap(err, "request too large");
    if (result < 0)
        return result;
    CLEANUP_JSON struct json *v = NULL;
    struct error reason = ERROR_INIT;
    if (js_parse(buf_str(text), "the request body", &v, &reason) < 0)
        return error_set(err, ERR_INVALID, "invalid request: %s", reason.msg);
    if (!js_is(v, JS_OBJECT))
        return error_set(err, ERR_INVALID,
                         "invalid request: the request body must be a JSON object");
    *ret = TAKE(v);
    return 0;
}

struct json *read_control_object(struct http_request *r)
{
    CLEANUP_BUF struct buf text = BUF_INIT(CONTROL_BODY_MAX);
    struct error err = ERROR_INIT;
    struct json *v = NULL;
    if (read_json_object(r, &text, &v, &err) == 0)
        return v;
    respond_error(r, &err);
    return NULL;
}

bool query_flag(const struct http_request *r, const char *key)
{
    const char *value = http_request_query(r, key);
    return value && (!*value || str_is_true(str_from(value)));
}
