/* SPDX-License-Identifier: Apache-2.0
 *
 * One exchange with a registry: guarded connections, credentials for the own host only, redirects
 * by hand, a second try after a 401, further tries after what passes.
 *
 * Where a stranger (the target of a redirect, a token service) may be, is decided three times:
 * redirect_target() and guard_init() refuse a URL whose host is the number of a forbidden address,
 * which is all that can be said when a proxy connects for us; guard_on_connect() sees the address
 * that libcurl is about to connect to. Forbidden is what is not public, unless the registry itself
 * has an address of the same kind or the user named the host in INSECURE_REGISTRY. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/json.h"
#include "registry/headers.h"
#include "registry/internal.h"

bool url_is_own(const struct endpoint *ep, const struct url *u)
{
    return strcmp(ep->base.origin, u->origin) == 0;
}

bool status_is_redirect(int status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

bool status_is_passing(int status)
{
    return status == 408 || status == 429 || status == 500 || (status >= 502 && status <= 504);
}

int endpoint_url(const struct endpoint *ep, const char *path, struct url *ret, struct error *err)
{
    struct str origin = str_from(ep->base.text);
    while (str_ends_with(origin, STR("/")))
        origin = str_sub(origin, 0, origin.len - 1);
    CLEANUP_FREE char *text = xasprintf("%.*s%s%s", STR_ARG(origin), ep->prefix, path);
    return url_parse(text, NULL, ret, err);
}

/* ---- where we may go ---- */

static bool kind_allowed(const struct guard *g, enum address_kind kind)
{
    const struct endpoint *ep = g->ep;
    if (g->own) {
        /* A public registry whose name suddenly means an inner address. */
        return !(ep->kind_known && ep->kind == ADDRESS_GLOBAL && kind != ADDRESS_GLOBAL);
    }
    if (kind == ADDRESS_GLOBAL)
        return true;
    if (kind != ADDRESS_OTHER && ep->kind_known && kind == ep->kind)
        return true;
    return registry__host_is_listed(g->repo->r, g->target.host, g->target.port);
}

static int refuse(struct guard *g, enum address_kind kind, struct error *err)
{
    return error_set(err, ERR_DENIED,
                     "%s sends us to %s, which is %s; nothing was sent there (if that is meant to "
                     "be, name the host in INSECURE_REGISTRY)",
                     g->ep->host, g->target.host, address_kind_name(kind));
}

int guard_init(struct guard *g, struct registry_repo *repo, const struct endpoint *ep,
               const struct url *target, struct error *err)
{
    *g = (struct guard){.repo = repo, .ep = ep};
    g->target = (struct url){.text = xstrdup(target->text),
                             .host = xstrdup(target->host),
                             .origin = xstrdup(target->origin),
                             .port = target->port,
                             .tls = target->tls};
    g->own = strcmp(ep->base.host, target->host) == 0;
    enum address_kind kind;
    if (address_kind_of_text(target->host, &kind) && !kind_allowed(g, kind)) {
        refuse(g, kind, err);
        guard_release(g);
        return -ERR_DENIED;
    }
    return 0;
}

void guard_release(struct guard *g)
{
    url_release(&g->target);
}

int guard_on_connect(void *ctx, const struct sockaddr *address)
{
    struct guard *g = ctx;
    enum address_kind kind = address_kind(address);
    return kind_allowed(g, kind) ? 0 : refuse(g, kind, &g->refused);
}

void guard_note(const struct guard *g, struct endpoint *ep, const struct http_result *res)
{
    enum address_kind kind;
    if (!g->own || ep->kind_known || !res->sent)
        return;
    if (address_kind_of_text(res->proxied ? g->target.host : res->peer, &kind)) {
        ep->kind = kind;
        ep->kind_known = true;
    }
}

int call_prepare(struct guard *g, struct http_call *call, struct error *err)
{
    const struct place *place = NULL;
    int r = repo__place(g->repo, &g->target, &place, err);
    if (r < 0)
        return r;
    call->url = g->target.text;
    call->ctx = g;
    call->on_connect = guard_on_connect;
    call->user_agent = g->repo->r->user_agent;
    if (place->tls.ca.len > 0)
        call->ca_pem = buf_str(&place->tls.ca);
    call->client_cert = place->tls.cert;
    call->client_key = place->tls.key;
    call->insecure = place->tls.unverified;
    return 0;
}

void call_explain(const struct guard *g, const struct http_result *res, int r, struct error *err)
{
    if (g->refused.code != ERR_NONE && r == -(int)g->refused.code)
        error_copy(err, &g->refused);
    else if (res->fault == HTTP_FAULT_CERTIFICATE && err)
        error_wrap(err,
                   "the certificate of %s is not trusted; if it should be, put its authority's "
                   "certificate into /etc/docker/certs.d/%s/ca.crt",
                   g->target.host, g->target.origin + strlen("https://"));
    else if (res->fault == HTTP_FAULT_TLS && err)
        error_wrap(err, "TLS with %s failed; if it speaks plain HTTP, name it in INSECURE_REGISTRY",
                   g->target.host);
}

int redirect_target(const struct endpoint *ep, const struct url *from, const char *location,
                    struct url *ret, struct error *err)
{
    if (!location)
        return error_set(err, ERR_UNAVAILABLE, "%.*s: a redirect to nowhere",
                         STR_ARG(url_shown(from)));
    CLEANUP_URL struct url to = {0};
    int r = url_parse(location, from, &to, err);
    if (r < 0) {
        error_wrap(err, "%.*s redirects to", STR_ARG(url_shown(from)));
        return error_recode(err, ERR_UNAVAILABLE);
    }
    if (!to.tls && (from->tls || ep->base.tls))
        return error_set(err, ERR_DENIED, "%.*s redirects from https to plain http (%s); refused",
                         STR_ARG(url_shown(from)), to.host);
    *ret = to;
    to = (struct url){0};
    return 0;
}

/* ---- pauses ---- */

int64_t retry_pause_ms(const struct registry *r, unsigned n, int64_t retry_after_s)
{
    enum { LONGEST_MS = 30 * 1000 };
    unsigned doublings = MIN(n > 0 ? n - 1 : 0, 16);
    int64_t ms = MIN(r->backoff_ms << doublings, (int64_t)LONGEST_MS);
    uint32_t random = 0;
    if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != (ssize_t)sizeof(random))
        random = (uint32_t)clock_mono_ns();
    ms = ms / 2 + (int64_t)((uint64_t)ms * random >> 32); /* 0.5 to 1.5 of it */
    return retry_after_s < 0 ? ms : MAX(ms, MIN(retry_after_s, REGISTRY_MAX_WAIT_S) * 1000);
}

int asks_to_wait(const char *host, int status, int64_t seconds, struct error *err)
{
    return error_set(err, status == 429 ? ERR_BUSY : ERR_UNAVAILABLE,
                     "%s - %s answered %d and asks to come again in %lld s",
                     status == 429 ? "TOOMANYREQUESTS" : "UNAVAILABLE", host, status,
                     (long long)seconds);
}

int pause_ms(int64_t ms, struct http_cancel *cancel, struct error *err)
{
    int64_t until = clock_mono_ms() + ms;
    struct http_multi *m = http_multi_new();
    int r = m ? 0 : error_set(err, ERR_INTERNAL, "the HTTP client cannot start");
    while (r == 0 && clock_mono_ms() < until)
        r = http_multi_wait(m, cancel, until - clock_mono_ms(), err);
    http_multi_free(m);
    return r;
}

/* ---- one request ---- */

struct exchange {
    struct guard guard; /* first: see guard_on_connect() */
    const struct registry_request *req;
    struct challenge challenge;
    char *location, *link_next, *digest, *range;
    int64_t retry_after_s;
    bool body_taken; /* of req->read_body */
    bool final;      /* no token to be had, or a redirect that leads nowhere */
    enum http_fault fault;
};

static void exchange_clear(struct exchange *x)
{
    challenge_release(&x->challenge);
    free(TAKE(x->location));
    free(TAKE(x->link_next));
    free(TAKE(x->digest));
    free(TAKE(x->range));
    x->retry_after_s = -1;
}

static void keep(char **member, struct str value)
{
    free(*member);
    *member = memchr(value.ptr, '\0', value.len) ? NULL : str_dup(value);
}

static void on_header(void *ctx, struct str name, struct str value)
{
    struct exchange *x = ctx;
    if (str_eq_nocase(name, STR("WWW-Authenticate")))
        challenge_add(&x->challenge, value);
    else if (str_eq_nocase(name, STR("Location")))
        keep(&x->location, value);
    else if (str_eq_nocase(name, STR("Docker-Content-Digest")))
        keep(&x->digest, value);
    else if (str_eq_nocase(name, STR("Range")))
        keep(&x->range, value);
    else if (str_eq_nocase(name, STR("Retry-After")))
        x->retry_after_s = retry_after_parse(value, clock_wall_s());
    else if (str_eq_nocase(name, STR("Link"))) {
        struct str next = link_find(value, "next");
        if (next.ptr)
            keep(&x->link_next, next);
    }
    if (x->req->on_header)
        x->req->on_header(x->req->ctx, name, value);
}

static ssize_t on_read(void *ctx, char *p, size_t n)
{
    struct exchange *x = ctx;
    x->body_taken = true;
    return x->req->read_body(x->req->ctx, p, n);
}

/* Our headers and the caller's. The strings in extra[] are freed by the caller. */
static const char **header_list(const struct registry_request *req, const char *authorization,
                                char **ret_line)
{
    size_t n = 0;
    while (req->headers && req->headers[n])
        n++;
    const char **list = xcalloc(n + 3, sizeof(*list));
    if (n > 0)
        memcpy(list, req->headers, n * sizeof(*list));
    list[n++] = "Accept-Encoding: identity";
    *ret_line = authorization ? xasprintf("Authorization: %s", authorization) : NULL;
    list[n] = *ret_line;
    return list;
}

/* One answer from one URL. The transfer's error is in *err, with advice where there is some. */
static int send_once(struct exchange *x, const struct url *u, struct endpoint *ep,
                     struct http_cancel *cancel, struct registry_response *ret, struct error *err)
{
    enum { STALL_MS = 60 * 1000 };
    struct registry_repo *repo = x->guard.repo;
    const struct registry_request *req = x->req;
    guard_release(&x->guard);
    int r = guard_init(&x->guard, repo, ep, u, err);
    if (r < 0)
        return r;
    exchange_clear(x);
    struct http_call call = HTTP_CALL_INIT;
    r = call_prepare(&x->guard, &call, err);
    if (r < 0)
        return r;
    CLEANUP_FREE char *line = NULL;
    CLEANUP_FREE const char **headers =
        header_list(req, url_is_own(ep, u) ? ep->authorization : NULL, &line);
    call.method = req->method;
    call.headers = headers;
    call.body = req->body;
    call.read_body = req->read_body ? on_read : NULL;
    call.body_size = req->body_size;
    call.on_header = on_header;
    call.max_body = req->max_body ? req->max_body : REGISTRY_DEFAULT_BODY;
    call.stall_timeout_ms = req->timeout_ms ? req->timeout_ms : STALL_MS;

    struct http_flight *f = NULL;
    r = http_multi_start(repo->calls, &call, &f, err);
    if (r == 0)
        r = http_multi_wait(repo->calls, cancel, -1, err);
    if (r < 0) {
        http_flight_free(f);
        return r;
    }
    const struct http_result *res = NULL;
    http_multi_next(repo->calls);
    r = http_flight_result(f, &res, err);
    guard_note(&x->guard, ep, res);
    if (r == 0) {
        buf_release(&ret->body);
        ret->status = res->status;
        memcpy(ret->content_type, res->content_type, sizeof(ret->content_type));
        ret->body = BUF_INIT(res->body.max);
        buf_append(&ret->body, buf_str(&res->body));
    } else {
        x->fault = res->fault;
        call_explain(&x->guard, res, r, err);
    }
    http_flight_free(f);
    return r;
}

static bool may_redirect(const struct registry_request *req)
{
    return !req->method || strcmp(req->method, "GET") == 0 || strcmp(req->method, "HEAD") == 0;
}

/* Puts a streamed body back to its start, where some of it has been sent. */
static int rewind_body(struct exchange *x, struct error *err)
{
    const struct registry_request *req = x->req;
    if (!req->read_body || !x->body_taken)
        return 0;
    x->body_taken = false;
    if (!req->rewind || req->rewind(req->ctx) < 0)
        return error_set(err, ERR_UNAVAILABLE, "%.*s: the upload was interrupted",
                         STR_ARG(url_shown(&x->guard.target)));
    return 0;
}

/* The way from the endpoint's URL through redirects to an answer, with one more try when the
 * endpoint wants other credentials. */
static int send_through(struct exchange *x, struct endpoint *ep, const struct url *start,
                        struct http_cancel *cancel, struct registry_response *ret,
                        struct error *err)
{
    struct registry_repo *repo = x->guard.repo;
    enum { MAX_CHALLENGES = 2 }; /* a kept token that is refused, then a new one */
    unsigned challenges = 0, redirects = 0;
    CLEANUP_URL struct url at = {0};
    int r = url_parse(start->text, NULL, &at, err);
    while (r == 0) {
        unsigned generation = ep->auth_generation;
        r = rewind_body(x, err);
        if (r == 0)
            r = send_once(x, &at, ep, cancel, ret, err);
        if (r < 0)
            return r;
        if (ret->status == 401 && url_is_own(ep, &at) && challenges++ < MAX_CHALLENGES) {
            struct error denied = ERROR_INIT;
            r = endpoint_authorize(repo, ep, &x->challenge, generation, cancel, &denied);
            if (r < 0) {
                x->final = true;
                return error_copy(err, &denied);
            }
            url_release(&at);
            r = url_parse(start->text, NULL, &at, err);
            redirects = 0;
            continue;
        }
        if (!status_is_redirect(ret->status) || !may_redirect(x->req))
            break;
        x->final = true; /* until it has been followed */
        if (redirects++ == REGISTRY_MAX_REDIRECTS)
            return error_set(err, ERR_UNAVAILABLE, "%.*s: stopped after 10 redirects",
                             STR_ARG(url_shown(start)));
        struct url next = {0};
        r = redirect_target(ep, &at, x->location, &next, err);
        if (r == 0) {
            url_release(&at);
            at = next;
            x->final = false;
        }
    }
    if (r < 0)
        return r;
    struct url abs = {0};
    if (x->location && url_parse(x->location, &at, &abs, NULL) == 0) {
        ret->location = xstrdup(abs.text);
        url_release(&abs);
    }
    if (x->link_next && url_parse(x->link_next, &at, &abs, NULL) == 0) {
        ret->link_next = xstrdup(abs.text);
        url_release(&abs);
    }
    ret->docker_content_digest = TAKE(x->digest);
    ret->range = TAKE(x->range);
    return 0;
}

/* A path of the endpoint, or an upload location: that must not lead from https to http. */
static int start_url(const struct endpoint *ep, const char *path, struct url *ret,
                     struct error *err)
{
    if (*path == '/')
        return endpoint_url(ep, path, ret, err);
    CLEANUP_URL struct url u = {0};
    int r = url_parse(path, NULL, &u, err);
    if (r < 0)
        return r;
    if (ep->base.tls && !u.tls)
        return error_set(err, ERR_DENIED, "%s sends us from https to plain http (%s); refused",
                         ep->host, u.host);
    *ret = u;
    u = (struct url){0};
    return 0;
}

int endpoint_request(struct registry_repo *repo, struct endpoint *ep,
                     const struct registry_request *req, struct http_cancel *cancel,
                     struct registry_response *ret, struct error *err)
{
    CLEANUP_URL struct url start = {0};
    /* A mirror that is down must not keep us from asking the next one. */
    enum { MAX_CONNECTS = 2 };
    unsigned max_tries = ep->upstream ? repo->r->max_tries : 1;
    for (unsigned tries = 1;; tries++) {
        struct error failed = ERROR_INIT;
        struct registry_response res = {0};
        struct exchange x = {.guard = {.repo = repo}, .req = req, .retry_after_s = -1};
        int r = endpoint_connect(repo, ep, cancel, &x.fault, &failed);
        if (r == 0 && !start.text)
            r = start_url(ep, req->path, &start, &failed);
        if (r == 0)
            r = send_through(&x, ep, &start, cancel, &res, &failed);
        int64_t retry_after_s = x.retry_after_s;
        guard_release(&x.guard);
        exchange_clear(&x);
        bool passing = r < 0 ? r == -ERR_UNAVAILABLE || r == -ERR_IO || r == -ERR_TIMEOUT
                             : status_is_passing(res.status);
        /* What asks for tokens has tried several times, and other certificates will not come. A
         * host where nobody listens is given a second chance, not six. */
        passing = passing && !x.final && x.fault != HTTP_FAULT_CERTIFICATE &&
                  (x.fault != HTTP_FAULT_CONNECT || tries < MAX_CONNECTS);
        if (r == 0 && req->idempotent && passing && retry_after_s > REGISTRY_MAX_WAIT_S) {
            r = asks_to_wait(ep->host, res.status, retry_after_s, &failed);
            passing = false;
        } else if (r < 0) {
            registry__scheme_forget(repo->r, ep->host);
        }
        bool again =
            req->idempotent && passing && tries < max_tries && (!req->read_body || req->rewind);
        if (!again) {
            if (r < 0) {
                registry_response_release(&res);
                /* A failure of the caller's own callback has no text here. */
                return failed.code == ERR_NONE ? r : error_copy(err, &failed);
            }
            *ret = res;
            return 0;
        }
        registry_response_release(&res);
        r = pause_ms(retry_pause_ms(repo->r, tries, retry_after_s), cancel, err);
        if (r < 0)
            return r;
        if (req->read_body && req->rewind(req->ctx) < 0)
            return error_set(err, ERR_IO, "the upload cannot be started again");
    }
}

int registry_request(struct registry_repo *repo, const struct registry_request *req,
                     struct http_cancel *cancel, struct registry_response *ret, struct error *err)
{
    return endpoint_request(repo, &repo->endpoints[repo->n_endpoints - 1], req, cancel, ret, err);
}

void registry_response_release(struct registry_response *res)
{
    free(res->location);
    free(res->link_next);
    free(res->docker_content_digest);
    free(res->range);
    buf_release(&res->body);
    *res = (struct registry_response){0};
}

/* ---- what an answer means ---- */

/* The first entry of {"errors": [{"code": …, "message": …}]}. */
static void body_error(const struct registry_response *res, char code[64], char message[256])
{
    *code = *message = '\0';
    CLEANUP_JSON struct json *v = NULL;
    if (res->body.len == 0 || js_parse(buf_str(&res->body), "the answer", &v, NULL) < 0)
        return;
    const struct json *first = js_at(js_get(v, "errors"), 0);
    const char *c = js_get_cstr(first, "code", "");
    if (strspn(c, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") == strlen(c))
        snprintf(code, 64, "%s", c);
    snprintf(message, 256, "%s", js_get_cstr(first, "message", ""));
}

int registry_error(const struct registry_repo *repo, const struct registry_response *res,
                   const char *doing, struct error *err)
{
    char code[64], message[256];
    body_error(res, code, message);
    const char *host = registry_repo_host(repo);
    enum errc kind = errc_from_http_status(res->status);
    const char *said = *message ? message : "no reason given";
    switch (res->status) {
    case 401:
    case 403:
        return error_set(err, ERR_DENIED,
                         "UNAUTHORIZED - Authentication required for this model, or it does not "
                         "exist (%s, %s: %d %s); log in with 'docker login %s'",
                         doing, host, res->status, said, registry__host_is_hub(host) ? "" : host);
    case 404:
        if (strcmp(code, "NAME_UNKNOWN") == 0)
            return error_set(err, ERR_NOT_FOUND, "NAME_UNKNOWN - Repository not found (%s at %s)",
                             doing, host);
        if (strcmp(code, "BLOB_UNKNOWN") == 0 || strcmp(code, "BLOB_UPLOAD_UNKNOWN") == 0)
            return error_set(err, ERR_NOT_FOUND, "%s - %s at %s: %s", code, doing, host, said);
        return error_set(err, ERR_NOT_FOUND, "MANIFEST_UNKNOWN - Model not found (%s at %s)", doing,
                         host);
    case 429:
        return error_set(err, ERR_BUSY,
                         "TOOMANYREQUESTS - %s at %s: %s; wait, or log in for a higher limit",
                         doing, host, said);
    default:
        break;
    }
    if (kind == ERR_NONE || res->status >= 500)
        kind = ERR_UNAVAILABLE;
    return error_set(err, kind, "%s - %s at %s: the registry answered %d: %s",
                     *code ? code : "UNKNOWN", doing, host, res->status, said);
}
