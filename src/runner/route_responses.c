/* SPDX-License-Identifier: Apache-2.0
 *
 * OpenAI's Responses API: POST …/responses, and GET, DELETE …/responses/{id}. */
#include "apis/responses.h"
#include "base/alloc.h"
#include "runner/response_store.h"
#include "runner/routes.h"
#include "runner/turns.h"

static void respond_not_found(struct http_request *r)
{
    struct error err = ERROR_INIT;
    error_set(&err, ERR_NOT_FOUND, "Response not found");
    turn_respond_error(r, &api_responses, 0, &err);
}

/* The conversation that the request continues: *ret stays NULL where it continues none. */
static int find_before(struct daemon *d, const struct json *request, struct json **ret,
                       struct error *err)
{
    struct str id = {0};
    struct json *response = NULL;
    int r = js_want_str(request, "previous_response_id", &id, err);
    if (r < 0 || id.len == 0)
        return r;
    if (!response_store_get(d->responses, id.ptr, ret, &response))
        return error_set(err, ERR_INVALID,
                         "previous_response_id \"%.*s\" was not found: responses are kept for an "
                         "hour, while this runner runs; send the conversation in 'input'",
                         STR_ARG(id));
    const struct json *output = js_get(response, "output");
    for (size_t i = 0; i < js_len(output); i++)
        js_push(*ret, js_ref(js_at(output, i)));
    js_free(response);
    return 0;
}

/* The input of all turns so far, and this answer. */
static void keep(struct daemon *d, const struct turn *t, const struct json *before)
{
    if (!js_get_bool(t->request, "store", true))
        return;
    CLEANUP_JSON struct json *items = before ? js_copy(before) : js_array();
    CLEANUP_JSON struct json *input = responses_items(t->request);
    CLEANUP_JSON struct json *response = responses_object(t, responses_status(t), NULL);
    for (size_t i = 0; i < js_len(input); i++)
        js_push(items, js_ref(js_at(input, i)));
    response_store_put(d->responses, t->id, items, response);
}

void route_responses_create(struct daemon *d, struct http_request *r, const struct route_args *args)
{
    (void)args;
    CLEANUP_JSON struct json *request = turn_read(d, r, &api_responses), *before = NULL;
    if (!request)
        return;
    struct turn t = {0};
    struct error err = ERROR_INIT;
    int result = find_before(d, request, &before, &err);
    if (result == 0)
        result = turn_begin(&t, &api_responses, request, before, &err);
    if (result < 0)
        turn_respond_error(r, &api_responses, 0, &err);
    else if (turn_run(d, r, &t))
        keep(d, &t, before);
    turn_release(&t);
}

void route_responses_get(struct daemon *d, struct http_request *r, const struct route_args *args)
{
    CLEANUP_JSON struct json *response = NULL;
    if (response_store_get(d->responses, args->name, NULL, &response))
        http_respond_json(r, 200, response);
    else
        respond_not_found(r);
}

void route_responses_items(struct daemon *d, struct http_request *r, const struct route_args *args)
{
    CLEANUP_JSON struct json *items = NULL;
    if (!response_store_get(d->responses, args->name, &items, NULL)) {
        respond_not_found(r);
        return;
    }
    CLEANUP_JSON struct json *v = js_object();
    js_set_cstr(v, "object", "list");
    js_set(v, "data", TAKE(items));
    js_set_bool(v, "has_more", false);
    http_respond_json(r, 200, v);
}

void route_responses_delete(struct daemon *d, struct http_request *r, const struct route_args *args)
{
    if (!response_store_delete(d->responses, args->name)) {
        respond_not_found(r);
        return;
    }
    CLEANUP_JSON struct json *v = js_object();
    js_set_cstr(v, "id", args->name);
    js_set_cstr(v, "object", "response.deleted");
    js_set_bool(v, "deleted", true);
    http_respond_json(r, 200, v);
}
