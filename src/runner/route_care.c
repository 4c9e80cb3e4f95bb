/* SPDX-License-Identifier: Apache-2.0
 *
 * Routes that carry models away and back as archives, and those that look after the store. What
 * takes long is told line by line, one JSON object each. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "models/archive.h"
#include "runner/news.h"
#include "runner/respond.h"
#include "runner/routes.h"

/* ---- archives ---- */

struct names {
    const char *items[ARCHIVE_MAX_MODELS]; /* the request's */
    size_t n;
};

/* All "name=…" of the query. */
static int query_names(struct http_request *r, struct names *ret, struct error *err)
{
    const char *name;
    while ((name = http_request_query_nth(r, "name", ret->n))) {
        if (ret->n == ARCHIVE_MAX_MODELS)
            return error_set(err, ERR_INVALID, "at most %d models can be saved at once",
                             ARCHIVE_MAX_MODELS);
        ret->items[ret->n++] = name;
    }
    return ret->n ? 0 : error_set(err, ERR_INVALID, "missing name query parameter");
}

static int send_piece(void *ctx, const void *p, size_t n, struct error *err)
{
    if (http_stream_write(ctx, str_make(p, n)) < 0)
        return error_set(err, ERR_CANCELED, "the client closed the connection");
    return 0;
}

void route_models_save(struct daemon *d, struct http_request *r, const struct route_args *args)
{
    (void)args;
    struct error err = ERROR_INIT;
    struct names names = {.n = 0};
    struct models_archive *archive = NULL;
    int result = query_names(r, &names, &err);
    if (result == 0)
        result = models_archive_open(d->models, names.items, names.n, &archive, &err);
    if (result < 0) {
        error_wrap(&err, "error while saving models");
        respond_error(r, &err);
        return;
    }
    /* Chunked, so that a stream that breaks is seen to be broken; the size is told aside. */
    char size[32];
    snprintf(size, sizeof(size), "%llu", (unsigned long long)models_archive_size(archive));
    http_respond_header(r, "Archive-Size", size);
    http_stream_begin(r, 200, "application/x-tar");
    if (models_archive_write(archive, send_piece, r, &err) < 0)
        http_stream_abort(r);
    models_archive_close(archive);
}

static ssize_t read_body(void *ctx, void *p, size_t n, struct error *err)
{
    return http_request_read(ctx, p, n, err);
}

/* The answer is the one line that a DMR gives for its one model, and a list of all. */
void route_models_load(struct daemon *d, struct http_request *r, const struct route_args *args)
{
    (void)args;
    struct error err = ERROR_INIT;
    CLEANUP(models_loaded_release) struct models_loaded_list loaded = {0};
    if (models_load_archive(d->models, read_body, r, &loaded, &err) < 0) {
        int status = err.code == ERR_IO ? 500 : errc_http_status(err.code);
        error_wrap(&err, "error while loading model");
        http_respond_text(r, status, err.msg);
        return;
    }
    struct json *layer = js_object();
    js_set_int(layer, "size", 0);
    js_set_int(layer, "current", 0);
    CLEANUP_JSON struct json *v = js_object();
    js_set_cstr(v, "type", "success");
    js_set_cstr(v, "message", "Model loaded successfully");
    js_set_int(v, "total", 0);
    js_set(v, "layer", layer);
    js_set_cstr(v, "mode", "pull");
    js_set_cstr(v, "id", loaded.items[0].id);
    struct json *models = js_array();
    for (size_t i = 0; i < loaded.n; i++) {
        struct json *model = js_object();
        js_set_cstr(model, "id", loaded.items[i].id);
        if (loaded.items[i].name)
            js_set_cstr(model, "name", loaded.items[i].name);
        js_push(models, model);
    }
    js_set(v, "models", models);
    http_respond_json(r, 200, v);
}

/* ---- verify, prune ---- */

static void on_problem(void *ctx, const char *sentence)
{
    news_send(ctx, news_line("problem", sentence));
}

static int on_verified(void *ctx, const char *name, uint64_t done, uint64_t total)
{
    struct news *n = ctx;
    if (news_is_time(n, done, total)) {
        struct json *v = news_line("progress", NULL);
        js_set_cstr(v, "model", name);
        js_set_int(v, "current", (int64_t)done);
        js_set_int(v, "total", (int64_t)total);
        news_send(n, v);
    }
    return http_request_canceled(n->r);
}

void route_models_verify(struct daemon *d, struct http_request *r, const struct route_args *args)
{
    (void)args;
    CLEANUP_JSON struct json *request = read_control_object(r);
    if (!request)
        return;
    struct error err = ERROR_INIT;
    struct news n = {.r = r};
    size_t bad = 0;
    const char *name = js_get_cstr(request, "model", "");
    if (models_verify(d->models, *name ? name : NULL, on_problem, on_verified, &n, &bad, &err) <
        0) {
        news_fail(&n, &err);
        return;
    }
    struct json *v = news_line("result", NULL);
    js_set_int(v, "problems", (int64_t)bad);
    news_send(&n, v);
}

void route_models_prune(struct daemon *d, struct http_request *r, const struct route_args *args)
{
    (void)args;
    struct error err = ERROR_INIT;
    uint64_t bytes = 0;
    if (models_prune(d->models, 0, &bytes, &err) < 0) {
        respond_error(r, &err);
        return;
    }
    CLEANUP_JSON struct json *v = js_object();
    js_set_int(v, "space_reclaimed", (int64_t)bytes);
    http_respond_json(r, 200, v);
}
