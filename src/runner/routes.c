/* SPDX-License-Identifier: Apache-2.0
 *
 * Paths → handlers. A pattern is literal text with at most one {backend}, which stands for one
 * part of the path, and one {name}, which stands for one or more. The first row that fits counts.
 *
 * Before the table is asked, the path is brought to one form: "/exp/vDD4.40", under which Docker
 * Desktop shows the same tree, is taken off, and the aliases "/v1/…", "/rerank", "/score" and those
 * of llama-server's own routes get "/engines" in front. */
#include "runner/routes.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/str.h"
#include "runner/access.h"
#include "runner/guard.h"

#define DESKTOP_PREFIX "/exp/vDD4.40"

enum {
    ROUTE_OPEN = 1, /* no check of the Origin header */
    ROUTE_USE = 2,  /* use of models: open to those who may do nothing else */
};

static const struct route {
    const char *method; /* NULL = any */
    const char *pattern;
    route_fn fn;
    enum engine_mode mode;
    unsigned flags;
} routes[] = {
/* clang-format off */
#define INFER(path, mode)                            \
    {"POST", "/engines" path, route_infer, mode, ROUTE_USE}, \
    {"POST", "/engines/{backend}" path, route_infer, mode, ROUTE_USE}
    /* clang-format on */
    INFER("/v1/chat/completions", MODE_COMPLETION),
    INFER("/v1/completions", MODE_COMPLETION),
    INFER("/v1/embeddings", MODE_EMBEDDING),
    INFER("/v1/rerank", MODE_RERANKING),
    INFER("/v1/score", MODE_RERANKING), /* before "/score": "v1" is no backend */
    INFER("/rerank", MODE_RERANKING),
    INFER("/score", MODE_RERANKING),
    INFER("/infill", MODE_COMPLETION),
    INFER("/tokenize", MODE_COMPLETION),
    INFER("/detokenize", MODE_COMPLETION),
    INFER("/apply-template", MODE_COMPLETION),
    INFER("/v1/images/generations", MODE_IMAGE),
#undef INFER
#define BOTH(method, path, fn)                      \
    {method, "/engines" path, fn, 0, ROUTE_USE},            \
    {                                               \
        method, "/engines/{backend}" path, fn, 0, ROUTE_USE \
    }
    BOTH("POST", "/v1/messages", route_messages),
    BOTH("POST", "/v1/messages/count_tokens", route_count_tokens),
    {"POST", "/anthropic/v1/messages", route_messages, 0, ROUTE_USE},
    {"POST", "/anthropic/v1/messages/count_tokens", route_count_tokens, 0, ROUTE_USE},
    {"GET", "/anthropic/v1/models", route_openai_list, 0, ROUTE_USE},
    BOTH("POST", "/v1/responses", route_responses_create),
    BOTH("GET", "/v1/responses/{name}/input_items", route_responses_items),
    BOTH("GET", "/v1/responses/{name}", route_responses_get),
    BOTH("DELETE", "/v1/responses/{name}", route_responses_delete),
    {"POST", "/engines/responses", route_responses_create, 0, ROUTE_USE},
    {"GET", "/engines/responses/{name}/input_items", route_responses_items, 0, ROUTE_USE},
    {"GET", "/engines/responses/{name}", route_responses_get, 0, ROUTE_USE},
    {"DELETE", "/engines/responses/{name}", route_responses_delete, 0, ROUTE_USE},
#undef BOTH
    {"POST", "/api/chat", route_ollama_chat, 0, ROUTE_USE},
    {"POST", "/api/generate", route_ollama_generate, 0, ROUTE_USE},
    {"POST", "/api/embed", route_ollama_embed, 0, ROUTE_USE},
    {"POST", "/api/embeddings", route_ollama_embeddings, 0, ROUTE_USE},
    {"GET", "/api/version", route_ollama_version, 0, ROUTE_USE},
    {"GET", "/api/tags", route_ollama_tags, 0, ROUTE_USE},
    {"GET", "/api/ps", route_ollama_ps, 0, ROUTE_USE},
    {"POST", "/api/show", route_ollama_show, 0, ROUTE_USE},
    {"POST", "/api/pull", route_ollama_pull, 0, 0},
    {"POST", "/api/push", route_ollama_push, 0, 0},
    {"POST", "/api/copy", route_ollama_copy, 0, 0},
    {"POST", "/api/create", route_ollama_create, 0, 0},
    {"DELETE", "/api/delete", route_ollama_delete, 0, 0},
    {"GET", "/engines/v1/models", route_openai_list, 0, ROUTE_USE},
    {"GET", "/engines/{backend}/v1/models", route_openai_list, 0, ROUTE_USE},
    {"GET", "/engines/v1/models/{name}", route_openai_get, 0, ROUTE_USE},
    {"GET", "/engines/{backend}/v1/models/{name}", route_openai_get, 0, ROUTE_USE},
    {"GET", "/engines/doors", route_doors, 0, 0},
    {"GET", "/engines/status", route_status, 0, ROUTE_USE},
    {"GET", "/engines/ps", route_ps, 0, ROUTE_USE},
    {"GET", "/engines/df", route_df, 0, 0},
    {"GET", "/engines/requests", route_requests, 0, 0},
    {"POST", "/engines/unload", route_unload, 0, 0},
    {"GET", "/engines/_configure", route_settings, 0, 0},
    {"GET", "/engines/_configure/effective", route_effective, 0, 0},
    {"POST", "/engines/_configure", route_configure, 0, 0},
    {"POST", "/engines/{backend}/_configure", route_configure, 0, 0},
    {"GET", "/models", route_models_list, 0, ROUTE_USE},
    {"POST", "/models/create", route_models_create, 0, 0},
    {"POST", "/models/load", route_models_load, 0, 0},
    {"POST", "/models/package", route_models_package, 0, 0},
    {"GET", "/models/save", route_models_save, 0, 0},
    {"POST", "/models/verify", route_models_verify, 0, 0},
    {"POST", "/models/prune", route_models_prune, 0, 0},
    {"DELETE", "/models/purge", route_models_purge, 0, 0},
    {"GET", "/models/{name}/export", route_models_export, 0, 0},
    {"POST", "/models/{name}/tag", route_models_tag, 0, 0},
    {"POST", "/models/{name}/push", route_models_push, 0, 0},
    {"POST", "/models/{name}/repackage", route_models_repackage, 0, 0},
    {"POST", "/models/{name}", route_models_action, 0, 0},
    {"GET", "/models/{name}", route_models_get, 0, 0},
    {"DELETE", "/models/{name}", route_models_delete, 0, 0},
    {NULL, "/", route_root, 0, ROUTE_OPEN | ROUTE_USE},
    {"GET", "/version", route_version, 0, ROUTE_OPEN | ROUTE_USE},
    {"GET", "/metrics", route_metrics, 0, 0},
    {"GET", "/logs", route_logs, 0, ROUTE_OPEN},
};

/* A pattern's parts found in a path, borrowed from it. */
struct found {
    struct str backend;
    struct str name;
};

static bool match(const char *pattern, const char *path, struct found *f)
{
    static const char backend_mark[] = "{backend}", name_mark[] = "{name}";
    while (*pattern) {
        if (strncmp(pattern, backend_mark, sizeof(backend_mark) - 1) == 0) {
            size_t n = strcspn(path, "/");
            if (n == 0)
                return false;
            f->backend = str_make(path, n);
            pattern += sizeof(backend_mark) - 1;
            path += n;
        } else if (strncmp(pattern, name_mark, sizeof(name_mark) - 1) == 0) {
            /* Only literal text follows a {name}, so it ends the path. */
            const char *tail = pattern + sizeof(name_mark) - 1;
            struct str rest = str_from(path);
            size_t tail_len = strlen(tail);
            if (rest.len <= tail_len || !str_ends_with(rest, str_from(tail)))
                return false;
            f->name = str_sub(rest, 0, rest.len - tail_len);
            return f->name.ptr[f->name.len - 1] != '/';
        } else if (*pattern++ != *path++) {
            return false;
        }
    }
    return *path == '\0';
}

static bool is_below(const char *path, const char *prefix)
{
    size_t n = strlen(prefix);
    return strncmp(path, prefix, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

/* The path as the table knows it; the caller frees. */
static char *canonical_path(const char *path)
{
    if (is_below(path, DESKTOP_PREFIX))
        path += strlen(DESKTOP_PREFIX);
    if (*path == '\0')
        path = "/";
    static const char *const aliases[] = {"/rerank",   "/score",      "/infill",
                                          "/tokenize", "/detokenize", "/apply-template"};
    bool alias = is_below(path, "/v1") || is_below(path, "/responses");
    for (size_t i = 0; i < ARRAY_LEN(aliases) && !alias; i++)
        alias = strcmp(path, aliases[i]) == 0;
    if (alias)
        return xasprintf("/engines%s", path);
    return xstrdup(path);
}

static const struct route *find_route(const char *method, const char *path, struct found *f)
{
    if (strcmp(method, "HEAD") == 0)
        method = "GET";
    for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
        *f = (struct found){0};
        if ((!routes[i].method || strcmp(routes[i].method, method) == 0) &&
            match(routes[i].pattern, path, f))
            return &routes[i];
    }
    return NULL;
}

/* The one method that a path of another API has here, when it was asked with another; NULL: the
 * path is not known. */
static const char *allowed_method(const char *path)
{
    struct found f;
    for (size_t i = 0; i < ARRAY_LEN(routes); i++)
        if (routes[i].method && match(routes[i].pattern, path, &f))
            return routes[i].method;
    return NULL;
}

/* Docker Model Runner's own trees know no 405; the others do. */
static void respond_no_route(struct http_request *r, const char *path, bool own)
{
    const char *allowed = own ? NULL : allowed_method(path);
    if (allowed)
        http_respond_header(r, "Allow", allowed);
    http_respond_text(r, allowed ? 405 : 404,
                      allowed ? "method not allowed"
                      : own   ? "not found"
                              : "404 page not found");
}

bool routes_own(struct str target)
{
    static const char *const roots[] = {
        DESKTOP_PREFIX, "/models",   "/engines",   "/v1",        "/responses",     "/anthropic",
        "/api",         "/rerank",   "/score",     "/infill",    "/tokenize",      "/detokenize",
        "/apply-template",
    };
    char path[64]; /* its beginning, with runs of '/' made one; longer than any root */
    size_t n = 0;
    for (size_t i = 0; i < target.len && n + 1 < sizeof(path); i++) {
        char c = target.ptr[i];
        if (c == '?' || c == '#')
            break;
        if (!(c == '/' && n > 0 && path[n - 1] == '/'))
            path[n++] = c;
    }
    path[n] = '\0';
    for (size_t i = 0; i < ARRAY_LEN(roots); i++)
        if (is_below(path, roots[i]))
            return true;
    return false;
}

static char *terminated(struct str s)
{
    char *copy = str_dup(s.ptr ? s : STR(""));
    if (!copy)
        alloc_failed();
    return copy;
}

void routes_handle(struct http_request *r, void *ctx)
{
    const struct entrance *entrance = ctx;
    struct daemon *d = entrance->daemon;
    CLEANUP_FREE char *path = canonical_path(http_request_path(r));
    struct found found;
    log_debug("%s %s", http_request_method(r), path);
    const struct route *route = find_route(http_request_method(r), path, &found);
    static const char *const guarded_paths[] = {"/models", "/engines", "/api", "/anthropic"};
    bool guarded = route && !(route->flags & ROUTE_OPEN);
    for (size_t i = 0; i < ARRAY_LEN(guarded_paths) && !route; i++)
        guarded = guarded || is_below(path, guarded_paths[i]);
    if (!guard_host(d->settings, r))
        return;
    if (guarded && !guard_origin(d->settings, r))
        return;
    CLEANUP(grant_release) struct grant grant = {0};
    if (!access_check(entrance, r, &grant))
        return;
    if (!route) {
        respond_no_route(r, path, is_below(path, "/models") || is_below(path, "/engines"));
        return;
    }
    if (grant.inference_only && !(route->flags & ROUTE_USE)) {
        http_respond_text(r, 403, "the rights here are for using models, not for managing them");
        return;
    }
    http_request_attach(r, &grant);
    CLEANUP_FREE char *backend = terminated(found.backend);
    CLEANUP_FREE char *name = terminated(found.name);
    const struct route_args args = {.backend = backend, .name = name, .mode = route->mode};
    route->fn(d, r, &args);
}
