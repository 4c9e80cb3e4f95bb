/* SPDX-License-Identifier: Apache-2.0
 *
 * Ollama's routes that ask a model: /api/chat, /api/generate, /api/embed, /api/embeddings. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "runner/infer.h"
#include "runner/ollama.h"
#include "runner/respond.h"
#include "runner/routes.h"
#include "runner/turns.h"

void ollama_error(struct http_request *r, const struct error *err)
{
    turn_respond_error(r, &api_ollama_chat, 0, err);
}

struct json *ollama_read(struct http_request *r)
{
    CLEANUP_BUF struct buf text = BUF_INIT(CONTROL_BODY_MAX);
    struct error err = ERROR_INIT;
    struct json *v = NULL;
    if (read_json_object(r, &text, &v, &err) == 0)
        return v;
    ollama_error(r, &err);
    return NULL;
}

const char *ollama_model(struct http_request *r, const struct json *request)
{
    const char *model = js_get_cstr(request, "model", "");
    if (!*model)
        model = js_get_cstr(request, "name", "");
    if (*model)
        return model;
    struct error err = ERROR_INIT;
    error_set(&err, ERR_INVALID, "model is required");
    ollama_error(r, &err);
    return NULL;
}

/* ---- keep_alive and num_ctx: settings of the model ---- */

/* "5m", or seconds; a negative one is for ever. */
static int keep_alive(const struct json *v, char out[CLOCK_TEXT_MAX], struct error *err)
{
    int64_t ns = 0;
    if (js_is_number(v)) {
        double s = js_to_real(v, 0);
        ns = s < 0 ? -1 : s > 1e9 ? -1 : (int64_t)(s * 1e9);
    } else if (!js_to_cstr(v) || duration_parse(js_to_str(v), &ns, NULL) < 0) {
        return error_set(err, ERR_INVALID,
                         "'keep_alive' must be a duration such as \"5m\", or seconds");
    }
    if (ns < 0)
        snprintf(out, CLOCK_TEXT_MAX, "-1");
    else
        duration_text(ns, out);
    return 0;
}

/* What the request says of how the model is kept; *ret_unload: as short as can be. A model that
 * serves other requests meanwhile stays as it is. */
static int apply_settings(struct daemon *d, const struct json *request, const char *model,
                          bool *ret_unload, struct error *err)
{
    const struct json *options = js_get(request, "options"), *keep = js_get(request, "keep_alive");
    CLEANUP_JSON struct json *settings = js_object();
    int64_t context = 0;
    int r = js_want_int(options, "num_ctx", 1, INT32_MAX, &context, err);
    if (!keep)
        keep = js_get(options, "keep_alive");
    if (r == 0 && keep && !js_is(keep, JS_NULL)) {
        char text[CLOCK_TEXT_MAX];
        r = keep_alive(keep, text, err);
        if (r == 0)
            js_set_cstr(settings, "keep_alive", text);
        *ret_unload = r == 0 && strcmp(text, "0s") == 0;
    }
    if (r < 0)
        return r;
    if (context > 0)
        js_set_int(settings, "context-size", context);
    if (js_len(settings) == 0)
        return 0;
    js_set_cstr(settings, "model", model);
    enum engine_mode mode;
    struct error why = ERROR_INIT;
    if (scheduler_configure(d->scheduler, settings, LAYER_REQUEST, &mode, &why) < 0)
        log_info("%s keeps its settings: %s", model, why.msg);
    return 0;
}

/* A request without a prompt loads the model, or unloads it. */
static void load_or_unload(struct daemon *d, struct http_request *r, const struct turn *t,
                           bool unload)
{
    struct error err = ERROR_INIT;
    struct lease *lease = NULL;
    if (unload) {
        scheduler_unload(d->scheduler, t->model, STR("")); /* and forgets what requests set */
    } else if (scheduler_acquire(d->scheduler, t->model, MODE_COMPLETION, r, &lease, &err) < 0) {
        ollama_error(r, &err);
        return;
    } else {
        lease_release(lease);
    }
    CLEANUP_JSON struct json *v = t->api->whole((struct turn *)t);
    js_set_cstr(v, "done_reason", unload ? "unload" : "load");
    http_respond_json(r, 200, v);
}

static void serve(struct daemon *d, struct http_request *r, const struct api *api,
                  const char *content)
{
    CLEANUP_JSON struct json *request = turn_read(d, r, api);
    if (!request)
        return;
    struct turn t;
    struct error err = ERROR_INIT;
    bool unload = false;
    int result = turn_begin(&t, api, request, NULL, &err);
    if (result == 0)
        result = scheduler_permit(r, t.model, &err);
    if (result == 0)
        result = apply_settings(d, request, t.model, &unload, &err);
    const struct json *said = js_get(request, content);
    if (result < 0)
        turn_respond_error(r, api, 0, &err);
    else if (js_len(said) == 0 && js_to_str(said).len == 0)
        load_or_unload(d, r, &t, unload);
    else
        turn_run(d, r, &t);
    turn_release(&t);
}

void route_ollama_chat(struct daemon *d, struct http_request *r, const struct route_args *args)
{
    (void)args;
    serve(d, r, &api_ollama_chat, "messages");
}

void route_ollama_generate(struct daemon *d, struct http_request *r, const struct route_args *args)
{
    (void)args;
    serve(d, r, &api_ollama_generate, "prompt");
}

/* ---- embeddings ---- */

/* The vectors of `input`, in its order. */
static int embed(struct daemon *d, struct http_request *r, const struct json *request,
                 const char *model, const char *input, struct json **ret, int64_t *ret_tokens,
                 struct error *err)
{
    CLEANUP_JSON struct json *body = js_object(), *answer = NULL;
    bool unload;
    struct json *given = js_get(request, input), *dimensions = js_get(request, "dimensions");
    if (!given)
        return error_set(err, ERR_INVALID, "'%s' is required", input);
    int result = scheduler_permit(r, model, err);
    if (result == 0)
        result = apply_settings(d, request, model, &unload, err);
    if (result < 0)
        return result;
    js_set_cstr(body, "model", model);
    js_set(body, "input", js_ref(given));
    if (dimensions)
        js_set(body, "dimensions", js_ref(dimensions));
    result = infer_json(d, r, model, MODE_EMBEDDING, "/v1/embeddings", body, &answer, err);
    if (result < 0)
        return result;
    *ret = js_array();
    const struct json *data = js_get(answer, "data");
    for (size_t i = 0; i < js_len(data); i++) {
        struct json *vector = js_get(js_at(data, i), "embedding");
        js_push(*ret, vector ? js_ref(vector) : js_array());
    }
    *ret_tokens = js_get_int(js_get(answer, "usage"), "prompt_tokens", 0);
    return 0;
}

void route_ollama_embed(struct daemon *d, struct http_request *r, const struct route_args *args)
{
    (void)args;
    CLEANUP_JSON struct json *request = turn_read(d, r, &api_ollama_chat), *vectors = NULL;
    const char *model = request ? ollama_model(r, request) : NULL;
    struct error err = ERROR_INIT;
    int64_t began = clock_mono_ns(), n_tokens = 0;
    if (!model)
        return;
    if (embed(d, r, request, model, "input", &vectors, &n_tokens, &err) < 0) {
        ollama_error(r, &err);
        return;
    }
    CLEANUP_JSON struct json *v = js_object();
    js_set_cstr(v, "model", model);
    js_set(v, "embeddings", TAKE(vectors));
    js_set_int(v, "total_duration", clock_mono_ns() - began);
    js_set_int(v, "load_duration", 0);
    js_set_int(v, "prompt_eval_count", n_tokens);
    http_respond_json(r, 200, v);
}

/* The older form: one prompt, one vector. */
void route_ollama_embeddings(struct daemon *d, struct http_request *r,
                             const struct route_args *args)
{
    (void)args;
    CLEANUP_JSON struct json *request = turn_read(d, r, &api_ollama_chat), *vectors = NULL;
    const char *model = request ? ollama_model(r, request) : NULL;
    struct error err = ERROR_INIT;
    int64_t n_tokens = 0;
    if (!model)
        return;
    if (embed(d, r, request, model, "prompt", &vectors, &n_tokens, &err) < 0) {
        ollama_error(r, &err);
        return;
    }
    CLEANUP_JSON struct json *v = js_object();
    struct json *first = js_at(vectors, 0);
    js_set(v, "embedding", first ? js_ref(first) : js_array());
    http_respond_json(r, 200, v);
}
