/* SPDX-License-Identifier: Apache-2.0
 *
 * Routing, and the answers that are not completions' own. */
#include "engine/api/api.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "engine/api/routes.h"

struct api {
    struct service service;
    atomic_bool ready; /* service is complete and will not change */
};

struct api *api_create(void)
{
    struct api *a = xcalloc(1, sizeof(*a));
    atomic_init(&a->ready, false);
    return a;
}

void api_free(struct api *a)
{
    free(a);
}

void api_ready(struct api *a, const struct service *s)
{
    a->service = *s;
    atomic_store_explicit(&a->ready, true, memory_order_release);
}

/* ---- errors ---- */

struct json *api_error_json(int status, const char *type, const char *message)
{
    struct json *error = js_object(), *o = js_object();
    js_set_int(error, "code", status);
    js_set_cstr(error, "message", message);
    js_set_cstr(error, "type", type);
    js_set(o, "error", error);
    return o;
}

static void respond_error(struct http_request *req, int status, const char *type,
                          const char *message)
{
    CLEANUP_JSON struct json *o = api_error_json(status, type, message);
    http_respond_json(req, status, o);
}

void api_respond_error(struct http_request *req, const struct error *err)
{
    respond_error(req, errc_http_status(err->code), errc_openai_type(err->code), err->msg);
}

void api_respond_overflow(struct http_request *req, size_t n_prompt, uint32_t n_ctx)
{
    struct error err;
    error_set(&err, ERR_INVALID,
              "request (%zu tokens) exceeds the available context size (%u tokens), try "
              "increasing it",
              n_prompt, n_ctx);
    CLEANUP_JSON struct json *o = api_error_json(400, "exceed_context_size_error", err.msg);
    js_set_int(js_get(o, "error"), "n_prompt_tokens", (int64_t)n_prompt);
    js_set_int(js_get(o, "error"), "n_ctx", n_ctx);
    http_respond_json(req, 400, o);
}

int api_check_generates(const struct service *s, struct error *err)
{
    if (model_generates(s->lm->model))
        return 0;
    return error_set(err, ERR_INVALID,
                     "this model %s and generates no text; use %s",
                     s->pooling == POOLING_RANK ? "ranks documents" : "makes embeddings",
                     s->pooling == POOLING_RANK ? "/v1/rerank" : "/v1/embeddings");
}

int api_engine_error_status(const struct error *err)
{
    /* A damaged model is not the client's fault, whatever the kind means elsewhere. */
    return err->code == ERR_CORRUPT ? 500 : errc_http_status(err->code);
}

int api_read_body(struct http_request *req, struct json **ret)
{
    CLEANUP_BUF struct buf text = BUF_INIT(BODY_MAX);
    struct error err = ERROR_INIT;
    CLEANUP_JSON struct json *body = NULL;
    int r = http_request_read_all(req, &text, &err);
    if (r == 0)
        r = js_parse(buf_str(&text), "the request body", &body, &err);
    if (r == 0 && !js_is(body, JS_OBJECT))
        r = error_set(&err, ERR_INVALID, "the request body must be a JSON object, not %s",
                      js_type_name(body));
    if (r < 0) {
        if (err.code == ERR_CORRUPT) /* JSON that is none: a bad request */
            err.code = ERR_INVALID;
        api_respond_error(req, &err);
        return r;
    }
    *ret = TAKE(body);
    return 0;
}

/* ---- routes ---- */

static const struct route {
    const char *method, *path;
    void (*handle)(struct http_request *req, const struct service *s);
} routes[] = {
    {"GET", "/v1/models", route_models},
    {"GET", "/props", route_props},
    {"GET", "/slots", route_slots},
    {"GET", "/metrics", route_metrics},
    {"GET", "/lora-adapters", route_lora_get},
    {"POST", "/lora-adapters", route_lora_set},
    {"POST", "/v1/chat/completions", route_chat_completions},
    {"POST", "/v1/completions", route_completions},
    {"POST", "/tokenize", route_tokenize},
    {"POST", "/detokenize", route_detokenize},
    {"POST", "/apply-template", route_apply_template},
    {"POST", "/infill", route_infill},
    {"POST", "/v1/embeddings", route_embeddings},
    {"POST", "/embeddings", route_embeddings},
    {"POST", "/v1/rerank", route_rerank},
    {"POST", "/rerank", route_rerank},
    {"POST", "/score", route_score},
    {"POST", "/v1/score", route_score},
};

static bool method_fits(const char *asked, const char *has)
{
    return strcmp(asked, has) == 0 || (strcmp(asked, "HEAD") == 0 && strcmp(has, "GET") == 0);
}

static void respond_method(struct http_request *req, const char *allowed)
{
    struct error err;
    error_set(&err, ERR_INVALID, "%s is not possible here, use %s", http_request_method(req),
              allowed);
    http_respond_header(req, "Allow", allowed);
    respond_error(req, 405, "invalid_request_error", err.msg);
}

static void handle_health(struct http_request *req)
{
    if (!method_fits(http_request_method(req), "GET")) {
        respond_method(req, "GET");
        return;
    }
    CLEANUP_JSON struct json *o = js_object();
    js_set_cstr(o, "status", "ok");
    http_respond_json(req, 200, o);
}

void api_handle(struct http_request *req, void *ctx)
{
    struct api *a = ctx;
    const char *path = http_request_path(req), *method = http_request_method(req);
    if (!atomic_load_explicit(&a->ready, memory_order_acquire)) {
        respond_error(req, 503, "unavailable_error", "Loading model");
        return;
    }
    if (strcmp(path, "/health") == 0) {
        handle_health(req);
        return;
    }
    const char *allowed = NULL;
    for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
        if (strcmp(routes[i].path, path) != 0)
            continue;
        if (method_fits(method, routes[i].method)) {
            routes[i].handle(req, &a->service);
            return;
        }
        allowed = routes[i].method;
    }
    if (allowed) {
        respond_method(req, allowed);
        return;
    }
    struct error err;
    error_set(&err, ERR_NOT_FOUND, "there is no '%s' here", path);
    api_respond_error(req, &err);
}
