/* SPDX-License-Identifier: Apache-2.0
 *
 * Registries as hosts: which one serves a domain, over which scheme, with which certificates.
 *
 *     host                                             is asked over
 *     localhost, *.local, 127.0.0.0/8, [::1]           http, then https
 *     one named in INSECURE_REGISTRY                   https without verification, then http
 *     the same, when it is also local                  http, then https without verification
 *     one with certificates in certs.d                 https
 *     every other                                      https
 *
 * INSECURE_REGISTRY=true ("*") names every host but Docker Hub and Hugging Face, which nobody runs
 * without TLS. What answered is remembered for the life of the client.
 *
 * certs.d is Docker's: DIR/HOST[:PORT]/ with *.crt (authorities, in addition to the system's), and
 * pairs NAME.cert, NAME.key (a client's certificate). */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "http/proxy.h"
#include "registry/internal.h"

#define HUB_HOST "registry-1.docker.io"

const char *registry__host_of(const char *domain)
{
    return strcmp(domain, OCI_HUB_DOMAIN) == 0 ? HUB_HOST : domain;
}

bool registry__host_is_hub(const char *host)
{
    return strcmp(host, OCI_HUB_DOMAIN) == 0 || strcmp(host, HUB_HOST) == 0 ||
           strcmp(host, "index.docker.io") == 0;
}

/* "host:port" taken apart; the port is `fallback` if there is none. */
static struct str split_host(const char *host, uint16_t fallback, uint16_t *ret_port)
{
    struct str s = str_from(host);
    ptrdiff_t colon = str_rfind_char(s, ':'), bracket = str_rfind_char(s, ']');
    uint64_t port = fallback;
    if (colon > bracket) {
        str_to_u64(str_sub(s, (size_t)colon + 1, SIZE_MAX), "the port", &port, NULL);
        s = str_sub(s, 0, (size_t)colon);
    }
    *ret_port = (uint16_t)MIN(port, UINT16_MAX);
    return s;
}

/* Hosts of development: asked without TLS first. */
static bool is_local(struct str name)
{
    if (str_eq_nocase(name, STR("localhost")) || str_ends_with(name, STR(".localhost")) ||
        str_ends_with(name, STR(".local")))
        return true;
    char text[64];
    if (name.len >= sizeof(text))
        return false;
    memcpy(text, name.ptr, name.len);
    text[name.len] = '\0';
    enum address_kind kind;
    return address_kind_of_text(text, &kind) && kind == ADDRESS_LOOPBACK;
}

/* The list without "*". */
bool registry__host_is_listed(const struct registry *r, const char *host, uint16_t port)
{
    struct str rest = str_from(r->insecure_hosts), entry;
    while (str_split_next(&rest, ',', &entry)) {
        entry = str_trim(entry);
        if (entry.len == 0 || str_eq(entry, STR("*")))
            continue;
        CLEANUP_FREE char *one = str_dup(entry);
        if (one && proxy_list_has(one, host, port))
            return true;
    }
    return false;
}

static bool is_insecure(const struct registry *r, const char *host, uint16_t port)
{
    if (registry__host_is_hub(host) || strcmp(host, OCI_HF_DOMAIN) == 0 ||
        strcmp(host, "auth.docker.io") == 0)
        return false;
    struct str rest = str_from(r->insecure_hosts), entry;
    while (str_split_next(&rest, ',', &entry)) {
        if (str_eq(str_trim(entry), STR("*")))
            return true;
    }
    return registry__host_is_listed(r, host, port);
}

void endpoint_init(struct endpoint *ep, struct registry *r, const char *host, const char *prefix)
{
    uint16_t port = 0;
    struct str name = split_host(host, 443, &port);
    CLEANUP_FREE char *bare = xasprintf("%.*s", STR_ARG(name));
    *ep = (struct endpoint){
        .host = xstrdup(host),
        .prefix = xstrdup(prefix),
        .plain_first = is_local(name),
        .insecure = is_insecure(r, bare, port),
    };
}

void endpoint_release(struct endpoint *ep)
{
    free(ep->host);
    free(ep->prefix);
    url_release(&ep->base);
    free(ep->authorization);
    free(ep->token_key);
}

/* ---- certificates ---- */

void tls_release(struct tls_settings *tls)
{
    buf_release(&tls->ca);
    free(tls->cert);
    free(tls->key);
}

static int append_file(const char *dir, const char *name, struct buf *out, struct error *err)
{
    CLEANUP_FREE char *path = path_join(dir, name);
    int r = file_read(path, out, err);
    if (r == 0)
        buf_push(out, '\n');
    return r;
}

static void cleanup_dir(DIR **d)
{
    if (*d)
        closedir(*d);
}

/* Takes what one directory of certs.d has; an absent one has nothing. *found: it is there. */
static int read_certs(const char *path, struct tls_settings *tls, bool *found, struct error *err)
{
    CLEANUP(cleanup_dir) DIR *dir = opendir(path);
    if (!dir)
        return errno == ENOENT || errno == ENOTDIR || errno == EACCES
                   ? 0
                   : error_errno(err, errno, "cannot read '%s'", path);
    *found = true;
    struct dirent *entry;
    while ((entry = readdir(dir))) {
        struct str name = str_from(entry->d_name);
        if (str_ends_with(name, STR(".crt"))) {
            int r = append_file(path, entry->d_name, &tls->ca, err);
            if (r < 0)
                return r;
        } else if (str_ends_with(name, STR(".cert")) && !tls->cert) {
            CLEANUP_FREE char *key =
                xasprintf("%s/%.*s.key", path, (int)(name.len - 5), name.ptr);
            if (!file_exists(key))
                return error_set(err, ERR_INVALID, "'%s/%s' lacks its key '%s'", path,
                                 entry->d_name, key);
            tls->cert = path_join(path, entry->d_name);
            tls->key = TAKE(key);
        }
    }
    return 0;
}

static int find_certs(const struct registry *r, const char *host, uint16_t port,
                      struct tls_settings *tls, bool *found, struct error *err)
{
    if (strchr(host, '/') || strcmp(host, "..") == 0)
        return 0;
    struct str rest = str_from(r->certs_dirs), dir;
    while (str_split_next(&rest, ':', &dir)) {
        if (dir.len == 0)
            continue;
        CLEANUP_FREE char *with_port =
            xasprintf("%.*s/%s:%u", STR_ARG(dir), host, (unsigned)port);
        int res = read_certs(with_port, tls, found, err);
        if (res == 0 && port == 443) {
            CLEANUP_FREE char *without = xasprintf("%.*s/%s", STR_ARG(dir), host);
            res = read_certs(without, tls, found, err);
        }
        if (res < 0)
            return res;
    }
    return 0;
}

int repo__place(struct registry_repo *repo, const struct url *u, const struct place **ret,
                struct error *err)
{
    enum { MAX_CA_BYTES = 8 << 20 };
    for (size_t i = 0; i < repo->n_places; i++) {
        if (strcmp(repo->places[i]->origin, u->origin) == 0) {
            *ret = repo->places[i];
            return 0;
        }
    }
    if (repo->n_places == REGISTRY_MAX_HOSTS)
        return error_set(err, ERR_UNAVAILABLE, "%s sends us to too many different hosts",
                         repo->domain);
    struct tls_settings tls = {.ca = BUF_INIT(MAX_CA_BYTES)};
    bool found = false;
    int r = u->tls ? find_certs(repo->r, u->host, u->port, &tls, &found, err) : 0;
    if (r < 0) {
        tls_release(&tls);
        return r;
    }
    tls.unverified = u->tls && is_insecure(repo->r, u->host, u->port);
    struct place *p = xcalloc(1, sizeof(*p));
    *p = (struct place){.origin = xstrdup(u->origin), .tls = tls};
    repo->places[repo->n_places++] = p;
    *ret = p;
    return 0;
}

/* ---- which scheme ---- */

static bool scheme_known(struct registry *r, const char *host, bool *ret_plain)
{
    bool found = false;
    pthread_mutex_lock(&r->lock);
    for (size_t i = 0; i < r->n_schemes && !found; i++) {
        if (strcmp(r->schemes[i].host, host) == 0) {
            *ret_plain = r->schemes[i].plain;
            found = true;
        }
    }
    pthread_mutex_unlock(&r->lock);
    return found;
}

void registry__scheme_forget(struct registry *r, const char *host)
{
    pthread_mutex_lock(&r->lock);
    for (size_t i = r->n_schemes; i-- > 0;) {
        if (strcmp(r->schemes[i].host, host) == 0) {
            free(r->schemes[i].host);
            r->schemes[i] = r->schemes[--r->n_schemes];
        }
    }
    pthread_mutex_unlock(&r->lock);
}

static void scheme_keep(struct registry *r, const char *host, bool plain)
{
    registry__scheme_forget(r, host);
    pthread_mutex_lock(&r->lock);
    if (r->n_schemes == REGISTRY_MAX_TOKENS)
        free(r->schemes[--r->n_schemes].host);
    r->schemes[r->n_schemes++] = (struct scheme){.host = xstrdup(host), .plain = plain};
    pthread_mutex_unlock(&r->lock);
}

static int set_base(struct endpoint *ep, bool plain, struct error *err)
{
    CLEANUP_FREE char *text = xasprintf("%s://%s/", plain ? "http" : "https", ep->host);
    url_release(&ep->base);
    return url_parse(text, NULL, &ep->base, err);
}

/* Does the endpoint speak this? 1 = yes, 0 = something else, negative = nobody there. */
static int probe(struct registry_repo *repo, struct endpoint *ep, bool plain,
                 struct http_cancel *cancel, enum http_fault *fault, struct error *err)
{
    int r = set_base(ep, plain, err);
    if (r < 0)
        return r;
    struct guard g;
    CLEANUP_URL struct url u = {0};
    r = endpoint_url(ep, "/v2/", &u, err);
    if (r == 0)
        r = guard_init(&g, repo, ep, &u, err);
    if (r < 0)
        return r;
    struct http_call call = HTTP_CALL_INIT;
    r = call_prepare(&g, &call, err);
    struct http_flight *f = NULL;
    const struct http_result *res = NULL;
    call.max_body = 64 << 10;
    call.timeout_ms = 15 * 1000;
    if (r == 0)
        r = http_multi_start(repo->calls, &call, &f, err);
    if (r == 0)
        r = http_multi_wait(repo->calls, cancel, -1, err);
    if (r == 0) {
        http_multi_next(repo->calls);
        r = http_flight_result(f, &res, err);
        if (r == -ERR_TOO_LARGE)
            r = 0; /* whatever it is, it answered */
        *fault = res->fault;
        if (r < 0)
            call_explain(&g, res, r, err);
    }
    /* Servers answer plain HTTP on their TLS port with 400 and a hint in words, or send us to
     * the other scheme. */
    if (r == 0)
        r = plain && (res->status == 400 || res->status == 497 || status_is_redirect(res->status))
                ? 0
                : 1;
    http_flight_free(f);
    guard_release(&g);
    return r;
}

int endpoint_connect(struct registry_repo *repo, struct endpoint *ep, struct http_cancel *cancel,
                     enum http_fault *fault, struct error *err)
{
    if (ep->connected)
        return 0;
    enum http_fault ignored;
    if (!fault)
        fault = &ignored;
    bool plain = ep->fixed_scheme == 'p';
    bool sure = ep->fixed_scheme != 0 || (!ep->plain_first && !ep->insecure) ||
                scheme_known(repo->r, ep->host, &plain);
    if (!sure) {
        int r = set_base(ep, false, err);
        struct tls_settings tls = {.ca = BUF_INIT(1 << 20)};
        if (r == 0)
            r = find_certs(repo->r, ep->base.host, ep->base.port, &tls, &sure, err);
        tls_release(&tls);
        if (r < 0)
            return r;
    }
    if (!sure) {
        plain = ep->plain_first;
        struct error first = ERROR_INIT;
        int r = probe(repo, ep, plain, cancel, fault, &first);
        if (r == -ERR_CANCELED)
            return error_copy(err, &first);
        if (r <= 0) {
            struct error second = ERROR_INIT;
            plain = !plain;
            int again = probe(repo, ep, plain, cancel, fault, &second);
            /* Of two failures, that of the scheme which something answered on tells more. */
            bool tls_tells = !plain && r == 0;
            if (again < 0 && (tls_tells || *fault == HTTP_FAULT_CERTIFICATE))
                return error_copy(err, &second);
            if (again <= 0)
                return r < 0 ? error_copy(err, &first)
                             : error_set(err, ERR_UNAVAILABLE,
                                         "%s answers neither as a registry over HTTP nor over HTTPS",
                                         ep->host);
        }
        scheme_keep(repo->r, ep->host, plain);
    }
    int r = set_base(ep, plain, err);
    if (r == 0)
        ep->connected = true;
    return r;
}
