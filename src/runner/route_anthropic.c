/* SPDX-License-Identifier: Apache-2.0
 *
 * Anthropic's Messages API: POST …/v1/messages and …/v1/messages/count_tokens. */
#include "runner/infer.h"
#include "runner/routes.h"
#include "runner/turns.h"

void route_messages(struct daemon *d, struct http_request *r, const struct route_args *args)
{
    (void)args;
    CLEANUP_JSON struct json *request = turn_read(d, r, &api_anthropic);
    if (!request)
        return;
    struct turn t;
    struct error err = ERROR_INIT;
    if (turn_begin(&t, &api_anthropic, request, NULL, &err) < 0)
        turn_respond_error(r, &api_anthropic, 0, &err);
    else
        turn_run(d, r, &t);
    turn_release(&t);
}

/* What the model would be given: its template's text, as tokens. */
static int count(struct daemon *d, struct http_request *r, const struct turn *t, int64_t *ret,
                 struct error *err)
{
    CLEANUP_JSON struct json *rendered = NULL, *tokens = NULL;
    CLEANUP_JSON struct json *text = js_object();
    int result =
        infer_json(d, r, t->model, MODE_COMPLETION, "/apply-template", t->body, &rendered, err);
    if (result < 0)
        return result;
    js_set_cstr(text, "model", t->model);
    js_set_str(text, "content", js_get_str(rendered, "prompt"));
    js_set_bool(text, "add_special", true);
    js_set_bool(text, "parse_special", true);
    result = infer_json(d, r, t->model, MODE_COMPLETION, "/tokenize", text, &tokens, err);
    *ret = (int64_t)js_len(js_get(tokens, "tokens"));
    return result;
}

void route_count_tokens(struct daemon *d, struct http_request *r, const struct route_args *args)
{
    (void)args;
    CLEANUP_JSON struct json *request = turn_read(d, r, &api_anthropic);
    if (!request)
        return;
    struct turn t;
    struct error err = ERROR_INIT;
    int64_t n = 0;
    js_set_int(request, "max_tokens", 1); /* of no meaning here, and not in the request */
    js_set_bool(request, "stream", false);
    int result = turn_begin(&t, &api_anthropic, request, NULL, &err);
    if (result == 0)
        result = count(d, r, &t, &n, &err);
    if (result < 0) {
        turn_respond_error(r, &api_anthropic, 0, &err);
    } else {
        CLEANUP_JSON struct json *v = js_object();
        js_set_int(v, "input_tokens", n);
        http_respond_json(r, 200, v);
    }
    turn_release(&t);
}
