/* SPDX-License-Identifier: Apache-2.0
 *
 * Inference: who is asked for, load it, hand the request over. */
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "runner/infer.h"
#include "runner/respond.h"
#include "runner/routes.h"

static bool wants_preload_only(const struct http_request *r)
{
    const char *value = http_request_header(r, "X-Preload-Only");
    return value && (strcasecmp(value, "true") == 0 || strcmp(value, "1") == 0);
}

/* The engine's path: from the first "/v1/", else the last part: "/rerank", "/score", … */
static const char *engine_path(const char *path)
{
    const char *v1 = strstr(path, "/v1/");
    const char *last = strrchr(path, '/');
    return v1 ? v1 : last ? last : path;
}

static void preload(struct daemon *d, struct http_request *r, const char *model,
                    enum engine_mode mode, struct error *err)
{
    struct lease *lease = NULL;
    if (scheduler_acquire(d->scheduler, model, mode, r, &lease, err) < 0)
        return;
    lease_release(lease);
    http_respond_empty(r, 200);
}

void route_infer(struct daemon *d, struct http_request *r, const struct route_args *args)
{
    struct error err = ERROR_INIT;
    if (*args->backend && !engine_backend_known(str_from(args->backend))) {
        error_set(&err, ERR_NOT_FOUND, "backend not found");
        respond_openai_error(r, 0, &err);
        return;
    }
    CLEANUP_BUF struct buf body = BUF_INIT(d->settings->max_body_bytes);
    CLEANUP_JSON struct json *request = NULL;
    if (read_json_object(r, &body, &request, &err) < 0) {
        respond_openai_error(r, 0, &err);
        return;
    }
    const char *model = js_get_cstr(request, "model", "");
    if (!*model) {
        error_set(&err, ERR_INVALID, "model is required");
        respond_openai_error(r, 0, &err);
        return;
    }
    if (wants_preload_only(r))
        preload(d, r, model, args->mode, &err);
    else
        infer(d, r, model, args->mode, engine_path(http_request_path(r)), buf_str(&body), NULL,
              &err);
    if (err.code == ERR_NONE)
        return;
    if (err.code == ERR_NOT_FOUND || err.code == ERR_INVALID)
        error_wrap(&err, "error while getting model");
    respond_openai_error(r, 0, &err);
}
