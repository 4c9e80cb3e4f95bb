/* SPDX-License-Identifier: Apache-2.0
 *
 * Routes about the models in the store. */
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "models/models.h"
#include "runner/respond.h"
#include "runner/routes.h"

enum { LIST_MAX = 64 << 20 };

/* One JSON text and a newline. */
static void respond_text_as_json(struct http_request *r, int status, struct buf *text)
{
    struct error err = ERROR_INIT;
    buf_push(text, '\n');
    if (buf_check(text, "the answer", &err) < 0)
        respond_error(r, &err);
    else
        http_respond(r, status, "application/json", buf_str(text));
}

static void respond_list(struct daemon *d, struct http_request *r,
                         void (*write)(const struct model_list *, struct buf *))
{
    struct error err = ERROR_INIT;
    CLEANUP(model_list_release) struct model_list list = {0};
    CLEANUP_BUF struct buf text = BUF_INIT(LIST_MAX);
    if (models_list(d->models, &list, &err) < 0) {
        respond_error(r, &err);
        return;
    }
    write(&list, &text);
    respond_text_as_json(r, 200, &text);
}

void route_models_list(struct daemon *d, struct http_request *r, const struct route_args *args)
{
    (void)args;
    respond_list(d, r, model_list_write);
}

void route_openai_list(struct daemon *d, struct http_request *r, const struct route_args *args)
{
    (void)args;
    respond_list(d, r, model_list_write_openai);
}

static void respond_model(struct daemon *d, struct http_request *r, const char *name, int flags,
                          void (*write)(const struct model_info *, struct buf *))
{
    struct error err = ERROR_INIT;
    CLEANUP(model_info_release) struct model_info info = {0};
    CLEANUP_BUF struct buf text = BUF_INIT(LIST_MAX);
    if (models_get(d->models, name, flags, &info, &err) < 0) {
        error_wrap(&err, "error while getting model");
        respond_error(r, &err);
        return;
    }
    write(&info, &text);
    respond_text_as_json(r, 200, &text);
}

/* The texts of manifest and config, for those who make another model of it. */
static void respond_artifact(struct daemon *d, struct http_request *r, const char *name)
{
    CLEANUP_BUF struct buf manifest = BUF_INIT(LIST_MAX), config = BUF_INIT(LIST_MAX);
    struct error err = ERROR_INIT;
    if (models_artifact_texts(d->models, name, &manifest, &config, &err) < 0) {
        respond_error(r, &err);
        return;
    }
    CLEANUP_JSON struct json *v = js_object();
    js_set_str(v, "manifest", buf_str(&manifest));
    js_set_str(v, "config", buf_str(&config));
    http_respond_json(r, 200, v);
}

void route_models_get(struct daemon *d, struct http_request *r, const struct route_args *args)
{
    if (query_flag(r, "remote")) {
        respond_remote_model(d, r, args->name);
        return;
    }
    if (query_flag(r, "artifact")) {
        respond_artifact(d, r, args->name);
        return;
    }
    /* For those who would rather bring a file than find out later that it is missing. */
    struct error err = ERROR_INIT;
    if (query_flag(r, "complete") && models_check_files(d->models, args->name, &err) < 0) {
        respond_error(r, &err);
        return;
    }
    respond_model(d, r, args->name, MODELS_PARTIAL, model_info_write);
}

void route_openai_get(struct daemon *d, struct http_request *r, const struct route_args *args)
{
    respond_model(d, r, args->name, MODELS_EXACT, model_info_write_openai);
}

void route_models_delete(struct daemon *d, struct http_request *r, const struct route_args *args)
{
    struct error err = ERROR_INIT;
    CLEANUP_BUF struct buf text = BUF_INIT(LIST_MAX);
    if (models_remove(d->models, args->name, query_flag(r, "force"), &text, &err) < 0) {
        error_wrap(&err, "error while deleting model");
        respond_error(r, &err);
        return;
    }
    scheduler_drop_deleted(d->scheduler);
    respond_text_as_json(r, 200, &text);
}

void route_models_purge(struct daemon *d, struct http_request *r, const struct route_args *args)
{
    (void)args;
    struct error err = ERROR_INIT;
    if (models_purge(d->models, &err) < 0) {
        respond_error(r, &err);
        return;
    }
    scheduler_drop_deleted(d->scheduler);
    http_respond_empty(r, 200);
}

void route_models_tag(struct daemon *d, struct http_request *r, const struct route_args *args)
{
    struct error err = ERROR_INIT;
    const char *repo = http_request_query(r, "repo");
    const char *tag = http_request_query(r, "tag");
    if (!repo || !*repo || !tag || !*tag) {
        http_respond_text(r, 400, "missing repo or tag query parameter");
        return;
    }
    if (models_tag(d->models, args->name, repo, tag, &err) < 0) {
        respond_error(r, &err);
        return;
    }
    CLEANUP_FREE char *target = xasprintf("%s:%s", repo, tag);
    CLEANUP_FREE char *message = xasprintf("Model tagged successfully with \"%s\"", target);
    CLEANUP_JSON struct json *v = js_object();
    js_set_cstr(v, "message", message);
    js_set_cstr(v, "target", target);
    http_respond_json(r, 201, v);
}

void route_models_repackage(struct daemon *d, struct http_request *r, const struct route_args *args)
{
    CLEANUP_JSON struct json *request = read_control_object(r);
    if (!request)
        return;
    struct error err = ERROR_INIT;
    const char *target = js_get_cstr(request, "target", "");
    int64_t context = 0;
    if (!*target) {
        http_respond_text(r, 400, "target is required");
        return;
    }
    char id[OCI_DIGEST_TEXT_MAX];
    if (js_want_int(request, "context_size", 0, INT32_MAX, &context, &err) < 0 ||
        models_repackage(d->models, args->name, target, (int32_t)context, id, &err) < 0) {
        respond_error(r, &err);
        return;
    }
    CLEANUP_FREE char *message = xasprintf("Model repackaged successfully as \"%s\"", target);
    CLEANUP_JSON struct json *v = js_object();
    js_set_cstr(v, "message", message);
    js_set_cstr(v, "source", args->name);
    js_set_cstr(v, "target", target);
    http_respond_json(r, 201, v);
}

static int send_piece(void *ctx, const void *p, size_t n, struct error *err)
{
    if (http_stream_write(ctx, str_make(p, n)) < 0)
        return error_set(err, ERR_CANCELED, "the client closed the connection");
    return 0;
}

void route_models_export(struct daemon *d, struct http_request *r, const struct route_args *args)
{
    struct error err = ERROR_INIT;
    struct models_export *export = NULL;
    if (models_export_open(d->models, args->name, &export, &err) < 0) {
        error_wrap(&err, "error while exporting model");
        respond_error(r, &err);
        return;
    }
    /* The name becomes a file name: nothing that a header or a shell could misread. */
    CLEANUP_FREE char *file = xasprintf("attachment; filename=\"%s.tar\"", args->name);
    for (char *c = file + strlen("attachment; filename=\""); c[strlen("\"")]; c++)
        if (strchr("/:@\"\\;", *c) || (unsigned char)*c < 32)
            *c = '_';
    http_respond_header(r, "Content-Disposition", file);
    http_stream_begin(r, 200, "application/x-tar");
    if (models_export_write(export, send_piece, r, &err) < 0)
        http_stream_abort(r);
    models_export_close(export);
}

/* POST to a model with no action that is known. */
void route_models_action(struct daemon *d, struct http_request *r, const struct route_args *args)
{
    (void)d;
    const char *action = strrchr(args->name, '/');
    CLEANUP_FREE char *text = xasprintf("unknown action \"%s\"", action ? action + 1 : args->name);
    http_respond_text(r, 404, text);
}
