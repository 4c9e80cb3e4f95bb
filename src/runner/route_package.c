/* SPDX-License-Identifier: Apache-2.0
 *
 * Packaging: local files, and what the store has, become a model.
 *
 *     POST /models/package {"name": "me/x", "gguf": "/home/me/x.gguf", …}
 *
 * The files are read, and linked or cloned, by the daemon itself, so nothing is sent. Only who may
 * open the daemon's own socket may name files: over TCP they are sent (POST /models/load). */
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "models/models.h"
#include "runner/news.h"
#include "runner/respond.h"
#include "runner/routes.h"

static int on_progress(void *ctx, uint64_t done, uint64_t total)
{
    struct news *n = ctx;
    if (news_is_time(n, done, total)) {
        struct json *v = news_line("progress", NULL);
        js_set_int(v, "current", (int64_t)done);
        js_set_int(v, "total", (int64_t)total);
        news_send(n, v);
    }
    return http_request_canceled(n->r);
}

/* An absolute path, or NULL; relative ones would mean something else here than for the client. */
static int want_path(const struct json *request, const char *key, const char **ret,
                     struct error *err)
{
    struct str path = {NULL, 0};
    int r = js_want_str(request, key, &path, err);
    if (r < 0 || !path.ptr)
        return r;
    if (path.len == 0 || path.ptr[0] != '/' || str_find_char(path, '\0') >= 0)
        return error_set(err, ERR_INVALID, "'%s' must be an absolute path", key);
    *ret = path.ptr;
    return 0;
}

static int read_licenses(const struct json *request, const char *paths[ARTIFACT_MAX_LICENSES],
                         size_t *ret_n, struct error *err)
{
    const struct json *list = js_get(request, "licenses");
    if (!js_is(list, JS_NULL) && !js_is(list, JS_ARRAY))
        return error_set(err, ERR_INVALID, "'licenses' must be an array of paths");
    if (js_len(list) > ARTIFACT_MAX_LICENSES)
        return error_set(err, ERR_INVALID, "more than %d licence files", ARTIFACT_MAX_LICENSES);
    for (size_t i = 0; i < js_len(list); i++) {
        paths[i] = js_to_cstr(js_at(list, i));
        if (!paths[i] || paths[i][0] != '/')
            return error_set(err, ERR_INVALID, "'licenses' must be an array of absolute paths");
    }
    *ret_n = js_len(list);
    return 0;
}

static int read_source(const struct json *request, struct artifact_source *src,
                       const char *licenses[ARTIFACT_MAX_LICENSES], struct error *err)
{
    const struct {
        const char *key;
        const char **value;
    } paths[] = {
        {"gguf", &src->gguf},     {"safetensors_dir", &src->safetensors_dir}, {"dduf", &src->dduf},
        {"mmproj", &src->mmproj}, {"chat_template", &src->chat_template},
    };
    int r = 0;
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(paths); i++)
        r = want_path(request, paths[i].key, paths[i].value, err);
    int64_t context = 0;
    if (r == 0)
        r = js_want_int(request, "context_size", 0, INT32_MAX, &context, err);
    if (r == 0)
        r = read_licenses(request, licenses, &src->n_licenses, err);
    const char *format = js_get_cstr(request, "format", "docker");
    src->licenses = licenses;
    src->context_size = (int32_t)context;
    src->format = strcmp(format, "cncf") == 0 ? ARTIFACT_CNCF : ARTIFACT_DOCKER;
    if (r == 0 && src->format == ARTIFACT_DOCKER && strcmp(format, "docker") != 0)
        return error_set(err, ERR_INVALID, "'format' must be \"docker\" or \"cncf\"");
    return r;
}

void route_models_package(struct daemon *d, struct http_request *r, const struct route_args *args)
{
    (void)args;
    if (!http_request_is_local_socket(r)) {
        http_respond_text(r, 403,
                          "files are packaged through the runner's Unix socket only; "
                          "send the model to /models/load");
        return;
    }
    CLEANUP_JSON struct json *request = read_control_object(r);
    if (!request)
        return;
    struct error err = ERROR_INIT;
    struct news n = {.r = r};
    struct artifact_source src = {0};
    const char *licenses[ARTIFACT_MAX_LICENSES];
    const char *from = js_get_cstr(request, "from", NULL);
    char id[OCI_DIGEST_TEXT_MAX];
    bool copy = true;
    int result = read_source(request, &src, licenses, &err);
    if (result == 0)
        result = js_want_bool(request, "copy", &copy, &err);
    if (result == 0)
        result = models_package(d->models, &src, from, js_get_cstr(request, "name", ""),
                                copy ? 0 : MODELS_NO_COPY, on_progress, &n, id, &err);
    if (result < 0) {
        news_fail(&n, &err);
        return;
    }
    struct json *v = news_line("result", "Model packaged successfully");
    js_set_cstr(v, "id", id);
    news_send(&n, v);
}
