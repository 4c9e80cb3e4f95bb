/* SPDX-License-Identifier: Apache-2.0
 *
 * Routes about the engines and what they hold. */
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/file.h"
#include "runner/effective.h"
#include "runner/respond.h"
#include "runner/routes.h"

static char *engine_program(const struct daemon *d, const struct engine *e, struct error *err)
{
    char *path = NULL;
    return e->find(&d->settings->places, &path, err) < 0 ? NULL : path;
}

/* "Running: TITLE VERSION", or why not; *ret_there: the program is there. */
static char *status_text(const struct daemon *d, const struct engine *e, bool *ret_there)
{
    struct error err = ERROR_INIT;
    CLEANUP_FREE char *path = engine_program(d, e, &err), *version = NULL;
    *ret_there = path != NULL;
    if (!path)
        return xasprintf("Not Installed: %s", err.msg);
    if (e->version(path, &version, &err) < 0)
        return xasprintf("Error: %s", err.msg);
    return xasprintf("Running: %s %s", e->title, version);
}

/* What requests that name a backend get: of its own name if that is here, else the engine that
 * stands in for it. */
static char *backend_status(const struct daemon *d, struct str name)
{
    const struct engine *own = engine_by_name(name);
    bool there = false;
    CLEANUP_FREE char *text = own ? status_text(d, own, &there) : xstrdup("Not Installed");
    for (size_t i = 0; i < engine_count && !there; i++)
        if (engine_table[i] != own && engine_answers_to(engine_table[i], name))
            return status_text(d, engine_table[i], &there);
    return TAKE(text);
}

void route_status(struct daemon *d, struct http_request *r, const struct route_args *args)
{
    (void)args;
    CLEANUP_JSON struct json *v = js_object();
    for (const char *const *name = engine_backends; *name; name++) {
        CLEANUP_FREE char *text = backend_status(d, str_from(*name));
        js_set_cstr(v, *name, text);
    }
    CLEANUP_FREE char *body = js_text(v, JS_COMPACT);
    http_respond(r, 200, "application/json", str_from(body));
}

void route_ps(struct daemon *d, struct http_request *r, const struct route_args *args)
{
    (void)args;
    CLEANUP_JSON struct json *v = scheduler_ps(d->scheduler);
    http_respond_json(r, 200, v);
}

void route_df(struct daemon *d, struct http_request *r, const struct route_args *args)
{
    (void)args;
    struct error err = ERROR_INIT;
    uint64_t models = 0, engine = 0;
    if (models_disk_usage(d->models, &models, &err) < 0) {
        respond_error(r, &err);
        return;
    }
    CLEANUP_FREE char *path = engine_program(d, engine_table[0], NULL);
    if (path)
        file_size(path, &engine, NULL);
    CLEANUP_JSON struct json *v = js_object();
    js_set_int(v, "models_disk_usage", (int64_t)models);
    uint64_t waste = 0, partial = 0;
    if (models_waste(d->models, &waste, &partial, NULL) == 0) {
        js_set_int(v, "reclaimable_disk_usage", (int64_t)waste);
        js_set_int(v, "partial_disk_usage", (int64_t)partial);
    }
    js_set_int(v, "default_backend_disk_usage", (int64_t)engine);
    http_respond_json(r, 200, v);
}

void route_unload(struct daemon *d, struct http_request *r, const struct route_args *args)
{
    (void)args;
    CLEANUP_JSON struct json *request = read_control_object(r);
    if (!request)
        return;
    struct str backend = js_get_str(request, "backend");
    unsigned n = 0;
    if (js_get_bool(request, "all", false)) {
        n = scheduler_unload_all(d->scheduler, backend);
    } else {
        const struct json *list = js_get(request, "models");
        for (size_t i = 0; i < js_len(list); i++) {
            const char *name = js_to_cstr(js_at(list, i));
            if (name)
                n += scheduler_unload(d->scheduler, name, backend);
        }
    }
    CLEANUP_JSON struct json *v = js_object();
    js_set_int(v, "unloaded_runners", n);
    http_respond_json(r, 200, v);
}

void route_configure(struct daemon *d, struct http_request *r, const struct route_args *args)
{
    if (*args->backend && !engine_backend_known(str_from(args->backend))) {
        http_respond_text(r, 404, "backend not found");
        return;
    }
    CLEANUP_JSON struct json *request = read_control_object(r);
    if (!request)
        return;
    struct error err = ERROR_INIT;
    const char *model = js_get_cstr(request, "model", "");
    enum engine_mode mode;
    if (!*model) {
        http_respond_text(r, 400, "model is required");
        return;
    }
    if (scheduler_configure(d->scheduler, request, LAYER_CONFIGURE, &mode, &err) < 0) {
        if (err.code == ERR_INVALID)
            error_wrap(&err, "invalid request");
        respond_error(r, &err);
        return;
    }
    scheduler_preload(d->scheduler, model, mode);
    http_respond_empty(r, 202);
}

void route_settings(struct daemon *d, struct http_request *r, const struct route_args *args)
{
    (void)args;
    const char *model = http_request_query(r, "model");
    CLEANUP_JSON struct json *v = scheduler_settings(d->scheduler, model ? model : "");
    http_respond_json(r, 200, v);
}

void route_effective(struct daemon *d, struct http_request *r, const struct route_args *args)
{
    (void)args;
    const char *model = http_request_query(r, "model"), *named = http_request_query(r, "mode");
    CLEANUP_JSON struct json *v = NULL;
    struct error err = ERROR_INIT;
    enum engine_mode mode = MODE_COMPLETION;
    int result = 0;
    if (!model || !*model)
        result = error_set(&err, ERR_INVALID, "model is required");
    else if (named && *named)
        result = engine_mode_parse(str_from(named), &mode, &err);
    if (result == 0)
        result = effective_settings(d, model, mode, &v, &err);
    if (result < 0)
        respond_error(r, &err);
    else
        http_respond_json(r, 200, v);
}
