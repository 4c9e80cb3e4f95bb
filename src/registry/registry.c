/* SPDX-License-Identifier: Apache-2.0
 *
 * The client and its repositories: settings, mirrors, kept tokens. */
#include "registry/registry.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/paths.h"
#include "registry/internal.h"

enum {
    DEFAULT_CONNECTIONS = 8,
    MAX_CONNECTIONS = 64,
    DEFAULT_STALL_MS = 20 * 1000,
    DEFAULT_TRIES = 6,
    DEFAULT_BACKOFF_MS = 500,
    MAX_MIRRORS = 8,
};

static const char *set_variable(const char *name)
{
    const char *v = getenv(name);
    return v && *v ? v : NULL;
}

struct registry_options registry_options_from_env(void)
{
    struct registry_options o = {
        .mirrors = set_variable("MODEL_RUNNER_REGISTRY_MIRRORS"),
        .insecure_hosts = set_variable("INSECURE_REGISTRY"),
        .hub_user = set_variable("DOCKER_USERNAME"),
        .hub_password = set_variable("DOCKER_PASSWORD"),
        .hf_endpoint = set_variable("HF_ENDPOINT"),
        .hf_token = set_variable("HF_TOKEN"),
    };
    if (!o.hub_user || !o.hub_password) {
        o.hub_user = set_variable("DOCKER_HUB_USER");
        o.hub_password = set_variable("DOCKER_HUB_PASSWORD");
    }
    if (o.insecure_hosts && (strcmp(o.insecure_hosts, "true") == 0 ||
                             strcmp(o.insecure_hosts, "1") == 0))
        o.insecure_hosts = "*";
    else if (o.insecure_hosts && (strcmp(o.insecure_hosts, "false") == 0 ||
                                  strcmp(o.insecure_hosts, "0") == 0))
        o.insecure_hosts = NULL;
    if (!o.hf_token)
        o.hf_token = set_variable("HUGGING_FACE_HUB_TOKEN");
    return o;
}

static char *copy(const char *s)
{
    return s ? xstrdup(s) : NULL;
}

static char *without_slash(const char *s)
{
    char *out = xstrdup(s);
    size_t n = strlen(out);
    while (n > 0 && out[n - 1] == '/')
        out[--n] = '\0';
    return out;
}

int registry_new(const struct registry_options *o, struct registry **ret, struct error *err)
{
    struct registry *r = xcalloc(1, sizeof(*r));
    pthread_mutex_init(&r->lock, NULL);
    if (o->docker_config_dir)
        r->docker_config_dir = xstrdup(o->docker_config_dir);
    else if (path_docker_config(&r->docker_config_dir, NULL) < 0)
        r->docker_config_dir = NULL; /* no home: then there are no stored credentials */
    if (o->certs_dirs) {
        r->certs_dirs = xstrdup(o->certs_dirs);
    } else {
        CLEANUP_FREE char *own =
            r->docker_config_dir ? path_join(r->docker_config_dir, "certs.d") : NULL;
        r->certs_dirs = xasprintf("/etc/docker/certs.d%s%s", own ? ":" : "", own ? own : "");
    }
    r->mirrors = copy(o->mirrors);
    r->insecure_hosts = xstrdup(o->insecure_hosts ? o->insecure_hosts : "");
    if (o->hub_user && o->hub_password) {
        r->hub_user = xstrdup(o->hub_user);
        r->hub_password = xstrdup(o->hub_password);
    }
    r->default_registry = xstrdup(oci_default_registry());
    r->hf_endpoint = without_slash(o->hf_endpoint ? o->hf_endpoint : "https://huggingface.co");
    r->hf_token = copy(o->hf_token);
    r->user_agent = xstrdup(o->user_agent ? o->user_agent : "model-runner/" MR_VERSION);
    r->max_connections =
        o->max_connections ? MIN(o->max_connections, MAX_CONNECTIONS) : DEFAULT_CONNECTIONS;
    r->chunk_bytes = o->chunk_bytes;
    r->stall_ms = o->stall_ms ? o->stall_ms : DEFAULT_STALL_MS;
    r->max_tries = o->max_tries ? o->max_tries : DEFAULT_TRIES;
    r->backoff_ms = o->backoff_ms ? o->backoff_ms : DEFAULT_BACKOFF_MS;

    struct url hf = {0};
    if (url_parse(r->hf_endpoint, NULL, &hf, err) < 0) {
        registry_free(r);
        return error_wrap(err, "HF_ENDPOINT");
    }
    url_release(&hf);
    *ret = r;
    return 0;
}

void registry_free(struct registry *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->n_tokens; i++) {
        free(r->tokens[i].key);
        free(r->tokens[i].value);
    }
    for (size_t i = 0; i < r->n_schemes; i++)
        free(r->schemes[i].host);
    pthread_mutex_destroy(&r->lock);
    free(r->docker_config_dir);
    free(r->certs_dirs);
    free(r->mirrors);
    free(r->insecure_hosts);
    free(r->hub_user);
    free(r->hub_password);
    free(r->default_registry);
    free(r->hf_endpoint);
    free(r->hf_token);
    free(r->user_agent);
    free(r);
}

const char *registry_hf_endpoint(const struct registry *r)
{
    return r->hf_endpoint;
}

const char *registry_hf_token(const struct registry *r)
{
    return r->hf_token;
}

/* ---- kept tokens ---- */

static void token_remove(struct registry *r, size_t i)
{
    free(r->tokens[i].key);
    free(r->tokens[i].value);
    r->tokens[i] = r->tokens[--r->n_tokens];
}

char *registry__token_get(struct registry *r, const char *key)
{
    enum { MIN_LIFE_MS = 5000 };
    char *found = NULL;
    int64_t now = clock_mono_ms();
    pthread_mutex_lock(&r->lock);
    for (size_t i = r->n_tokens; i-- > 0;) {
        if (r->tokens[i].expires_ms < now + MIN_LIFE_MS)
            token_remove(r, i);
        else if (strcmp(r->tokens[i].key, key) == 0)
            found = xstrdup(r->tokens[i].value);
    }
    pthread_mutex_unlock(&r->lock);
    return found;
}

void registry__token_put(struct registry *r, const char *key, const char *value, int64_t life_ms)
{
    pthread_mutex_lock(&r->lock);
    for (size_t i = r->n_tokens; i-- > 0;) {
        if (strcmp(r->tokens[i].key, key) == 0)
            token_remove(r, i);
    }
    if (r->n_tokens == REGISTRY_MAX_TOKENS)
        token_remove(r, 0);
    r->tokens[r->n_tokens++] = (struct token){
        .key = xstrdup(key), .value = xstrdup(value), .expires_ms = clock_mono_ms() + life_ms};
    pthread_mutex_unlock(&r->lock);
}

void registry__token_drop(struct registry *r, const char *key, const char *value)
{
    pthread_mutex_lock(&r->lock);
    for (size_t i = r->n_tokens; i-- > 0;) {
        if (strcmp(r->tokens[i].key, key) == 0 && strcmp(r->tokens[i].value, value) == 0)
            token_remove(r, i);
    }
    pthread_mutex_unlock(&r->lock);
}

/* ---- repositories ---- */

/* "https://mirror.example/path", "mirror.example:5000": where to ask instead of Docker Hub. */
static int add_mirror(struct registry_repo *repo, struct str text, struct error *err)
{
    CLEANUP_FREE char *whole = str_find(text, STR("://")) < 0
                                   ? xasprintf("https://%.*s", STR_ARG(text))
                                   : xasprintf("%.*s", STR_ARG(text));
    CLEANUP_URL struct url u = {0};
    if (url_parse(whole, NULL, &u, err) < 0)
        return error_wrap(err, "MODEL_RUNNER_REGISTRY_MIRRORS");
    struct str rest = str_from(strstr(u.text, "://") + 3);
    ptrdiff_t slash = str_find_char(rest, '/');
    struct str host = str_sub(rest, 0, slash < 0 ? SIZE_MAX : (size_t)slash);
    struct str path = slash < 0 ? STR("") : str_sub(rest, (size_t)slash, SIZE_MAX);
    while (str_ends_with(path, STR("/")))
        path = str_sub(path, 0, path.len - 1);
    if (str_ends_with(path, STR("/v2")))
        path = str_sub(path, 0, path.len - 3);
    CLEANUP_FREE char *host_text = xasprintf("%.*s", STR_ARG(host));
    CLEANUP_FREE char *path_text = xasprintf("%.*s", STR_ARG(path));
    struct endpoint *ep = &repo->endpoints[repo->n_endpoints++];
    endpoint_init(ep, repo->r, host_text, path_text);
    ep->fixed_scheme = u.tls ? 's' : 'p';
    return 0;
}

static int add_mirrors(struct registry_repo *repo, struct error *err)
{
    struct str rest = str_from(repo->r->mirrors), part;
    while (repo->n_endpoints < MAX_MIRRORS && str_split_next(&rest, ',', &part)) {
        part = str_trim(part);
        int r = part.len > 0 ? add_mirror(repo, part, err) : 0;
        if (r < 0)
            return r;
    }
    return 0;
}

static struct registry_repo *repo_new(struct registry *r, const char *bearer, struct error *err)
{
    struct http_multi *calls = http_multi_new();
    if (!calls) {
        error_set(err, ERR_INTERNAL, "the HTTP client cannot start");
        return NULL;
    }
    struct registry_repo *repo = xcalloc(1, sizeof(*repo));
    repo->r = r;
    repo->calls = calls;
    repo->bearer = bearer && *bearer ? xstrdup(bearer) : NULL;
    repo->endpoints = xcalloc(MAX_MIRRORS + 1, sizeof(*repo->endpoints));
    return repo;
}

/* A token that came from outside goes into a header: nothing but visible ASCII. */
static int check_bearer(const char *bearer, struct error *err)
{
    for (const char *p = bearer; p && *p; p++) {
        if (*p <= ' ' || *p > '~')
            return error_set(err, ERR_INVALID, "the bearer token has a character that no token has");
    }
    return 0;
}

int registry_repo_open(struct registry *r, const struct oci_reference *ref,
                       enum registry_access access, const char *bearer, struct registry_repo **ret,
                       struct error *err)
{
    if (!*ref->repository)
        return error_set(err, ERR_INVALID, "an id names no repository; use a name");
    int res = check_bearer(bearer, err);
    if (res < 0)
        return res;
    struct registry_repo *repo = repo_new(r, bearer, err);
    if (!repo)
        return -ERR_INTERNAL;
    repo->domain = xstrdup(ref->domain);
    repo->name = xstrdup(ref->repository);
    repo->reference = xstrdup(*ref->digest.text ? ref->digest.text : ref->tag);
    repo->access = access;
    if (access == REGISTRY_PULL && r->mirrors && oci_reference_is_hub(ref)) {
        res = add_mirrors(repo, err);
        if (res < 0) {
            registry_repo_close(repo);
            return res;
        }
    }
    struct endpoint *ep = &repo->endpoints[repo->n_endpoints++];
    endpoint_init(ep, r, registry__host_of(ref->domain), "");
    ep->upstream = true;
    if (repo->bearer)
        ep->authorization = xasprintf("Bearer %s", repo->bearer);
    *ret = repo;
    return 0;
}

int registry_site_open(struct registry *r, const char *base, const char *bearer,
                       struct registry_repo **ret, struct error *err)
{
    CLEANUP_URL struct url u = {0};
    int res = check_bearer(bearer, err);
    if (res == 0)
        res = url_parse(base, NULL, &u, err);
    if (res < 0)
        return res;
    struct registry_repo *repo = repo_new(r, bearer, err);
    if (!repo)
        return -ERR_INTERNAL;
    struct str rest = str_from(strstr(u.text, "://") + 3);
    ptrdiff_t slash = str_find_char(rest, '/');
    CLEANUP_FREE char *host =
        xasprintf("%.*s", STR_ARG(str_sub(rest, 0, slash < 0 ? SIZE_MAX : (size_t)slash)));
    CLEANUP_FREE char *raw_prefix = xstrdup(slash < 0 ? "" : rest.ptr + slash);
    CLEANUP_FREE char *prefix = without_slash(raw_prefix);
    repo->domain = xstrdup(host);
    repo->name = xstrdup("");
    repo->is_site = true;
    struct endpoint *ep = &repo->endpoints[repo->n_endpoints++];
    endpoint_init(ep, r, host, prefix);
    ep->fixed_scheme = u.tls ? 's' : 'p';
    ep->upstream = true;
    if (repo->bearer)
        ep->authorization = xasprintf("Bearer %s", repo->bearer);
    *ret = repo;
    return 0;
}

void registry_repo_close(struct registry_repo *repo)
{
    if (!repo)
        return;
    http_multi_free(repo->calls);
    for (size_t i = 0; i < repo->n_endpoints; i++)
        endpoint_release(&repo->endpoints[i]);
    for (size_t i = 0; i < repo->n_places; i++) {
        struct place *p = repo->places[i];
        free(p->origin);
        tls_release(&p->tls);
        free(p);
    }
    for (size_t i = 0; i < repo->n_mounts; i++)
        free(repo->mounts[i]);
    free(repo->mounts);
    free(repo->endpoints);
    free(repo->domain);
    free(repo->name);
    free(repo->reference);
    free(repo->bearer);
    free(repo);
}

int registry_repo_add_scope(struct registry_repo *repo, const char *repository, struct error *err)
{
    enum { MAX_MOUNTS = 16 };
    struct str s = str_from(repository);
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || strchr("/._-", c)))
            return error_set(err, ERR_INVALID, "'%s' is no repository", repository);
    }
    if (s.len == 0 || s.len > OCI_REPOSITORY_MAX || repo->n_mounts == MAX_MOUNTS)
        return error_set(err, ERR_INVALID, "'%s': no more repositories can be mounted from",
                         repository);
    repo->mounts = xrealloc(repo->mounts, repo->n_mounts + 1, sizeof(*repo->mounts));
    repo->mounts[repo->n_mounts++] = xstrdup(repository);
    return 0;
}

const char *registry_repo_domain(const struct registry_repo *repo)
{
    return repo->domain;
}

const char *registry_repo_host(const struct registry_repo *repo)
{
    return repo->endpoints[repo->at].host;
}

const char *registry_repo_name(const struct registry_repo *repo)
{
    return repo->name;
}
