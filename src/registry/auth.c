/* SPDX-License-Identifier: Apache-2.0
 *
 * The answer to a 401: Basic credentials, or a token from the service that the registry names.
 *
 *     registry: 401, WWW-Authenticate: Bearer realm="https://auth/token",service="…",scope="…"
 *     we:       GET https://auth/token?service=…&scope=…       with Basic credentials, or without
 *               POST https://auth/token grant_type=refresh_token   with an identity token
 *     service:  {"token": "…", "expires_in": 300}
 *     we:       the request again, Authorization: Bearer …
 *
 * The realm is a registry's word, so it is mistrusted:
 *   - it must be https, unless the registry itself speaks plain HTTP;
 *   - its address must be public, or of the same kind as the registry's (exchange.c);
 *   - credentials go to it only when it belongs to the registry: the same host, a subdomain of it,
 *     its parent domain or another host under that ("registry-1.docker.io" and "auth.docker.io").
 *     Other services are asked without credentials, which is enough for public models.
 *   - nothing of what it answers is repeated in messages but the status.
 *
 * Tokens are kept in struct registry until they expire, for each realm, service, scope and user. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/base64.h"
#include "base/clock.h"
#include "base/json.h"
#include "registry/headers.h"
#include "registry/internal.h"

enum { TOKEN_MAX_BYTES = 64 * 1024, TOKEN_ANSWER_MAX_BYTES = 1 << 20, TOKEN_TIMEOUT_MS = 30 * 1000 };

static size_t label_count(const char *host)
{
    size_t n = 1;
    for (const char *p = host; *p; p++)
        n += *p == '.';
    return n;
}

static bool is_under(const char *host, const char *domain)
{
    size_t h = strlen(host), d = strlen(domain);
    return h > d + 1 && host[h - d - 1] == '.' && strcmp(host + h - d, domain) == 0;
}

/* "co.uk", "com.au": a domain that belongs to no one, as far as its form tells. */
static bool looks_public(const char *domain)
{
    const char *dot = strchr(domain, '.');
    return label_count(domain) == 2 && dot && strlen(dot + 1) == 2 && dot - domain <= 3;
}

bool registry__realm_belongs(const char *host, const char *realm)
{
    if (strcmp(host, realm) == 0 || is_under(realm, host))
        return true;
    enum address_kind kind;
    if (address_kind_of_text(host, &kind))
        return false;
    const char *parent = strchr(host, '.');
    if (!parent || label_count(parent + 1) < 2 || looks_public(parent + 1))
        return false;
    parent++;
    return strcmp(parent, realm) == 0 || is_under(realm, parent);
}

static bool is_token_text(const char *s)
{
    size_t n = strlen(s);
    for (size_t i = 0; i < n; i++) {
        if (s[i] <= ' ' || s[i] > '~')
            return false;
    }
    return n > 0 && n <= TOKEN_MAX_BYTES;
}

static char *basic_authorization(const struct credentials *c)
{
    CLEANUP_BUF struct buf plain = BUF_INIT(64 << 10), out = BUF_INIT(128 << 10);
    buf_printf(&plain, "%s:%s", c->user, c->password);
    buf_append_c(&out, "Basic ");
    base64_encode(buf_str(&plain), &out);
    return xstrdup(buf_cstr(&out));
}

static void set_authorization(struct endpoint *ep, char *value, char *token_key)
{
    free(ep->authorization);
    free(ep->token_key);
    ep->authorization = value;
    ep->token_key = token_key;
    ep->auth_generation++;
}

/* ---- the token service ---- */

struct token_request {
    const struct challenge *challenge;
    struct url realm;
    struct buf scopes; /* one after the other, NUL behind each */
    const struct credentials *cred;
    bool with_credentials;
};

static void add_scope(struct token_request *t, const char *scope)
{
    for (size_t at = 0; at < t->scopes.len; at += strlen(t->scopes.data + at) + 1) {
        if (strcmp(t->scopes.data + at, scope) == 0)
            return;
    }
    buf_append_bytes(&t->scopes, scope, strlen(scope) + 1);
}

static void make_scopes(const struct registry_repo *repo, struct token_request *t)
{
    t->scopes = BUF_INIT(64 << 10);
    if (*repo->name) {
        CLEANUP_FREE char *own = xasprintf("repository:%s:%s", repo->name,
                                           repo->access == REGISTRY_PUSH ? "pull,push" : "pull");
        add_scope(t, own);
    } else if (t->challenge->scope) {
        add_scope(t, t->challenge->scope);
    }
    for (size_t i = 0; i < repo->n_mounts; i++) {
        CLEANUP_FREE char *other = xasprintf("repository:%s:pull", repo->mounts[i]);
        add_scope(t, other);
    }
}

static void add_field(struct buf *out, const char *name, const char *value)
{
    CLEANUP_FREE char *text = url_encode(str_from(value), ":/,");
    buf_printf(out, "%s%s=%s", out->len > 0 ? "&" : "", name, text);
}

static char *token_key(const struct token_request *t, const struct endpoint *ep)
{
    CLEANUP_BUF struct buf key = BUF_INIT(128 << 10);
    buf_printf(&key, "%s\n%s\n%s\n", ep->base.origin, t->realm.text,
               t->challenge->service ? t->challenge->service : "");
    for (size_t at = 0; at < t->scopes.len; at += strlen(t->scopes.data + at) + 1)
        buf_printf(&key, "%s\n", t->scopes.data + at);
    char secret[SHA256_HEX + 1] = "";
    if (t->with_credentials) {
        CLEANUP_BUF struct buf who = BUF_INIT(256 << 10);
        const struct credentials *c = t->cred;
        buf_printf(&who, "%s\n%s\n%s", c->user ? c->user : "", c->password ? c->password : "",
                   c->identity_token ? c->identity_token : "");
        sha256_hex(buf_str(&who), secret);
    }
    buf_append_c(&key, secret);
    return xstrdup(buf_cstr(&key));
}

/* The query of a GET, or the body of a POST. */
static void token_fields(const struct token_request *t, bool post, struct buf *out)
{
    if (t->challenge->service)
        add_field(out, "service", t->challenge->service);
    if (post) {
        CLEANUP_BUF struct buf all = BUF_INIT(64 << 10); /* one field, separated by spaces */
        for (size_t at = 0; at < t->scopes.len; at += strlen(t->scopes.data + at) + 1)
            buf_printf(&all, "%s%s", at > 0 ? " " : "", t->scopes.data + at);
        add_field(out, "grant_type", "refresh_token");
        add_field(out, "client_id", "model-runner");
        add_field(out, "refresh_token", t->cred->identity_token);
        if (all.len > 0)
            add_field(out, "scope", buf_cstr(&all));
        return;
    }
    for (size_t at = 0; at < t->scopes.len; at += strlen(t->scopes.data + at) + 1)
        add_field(out, "scope", t->scopes.data + at);
    if (t->with_credentials && t->cred->user)
        add_field(out, "account", t->cred->user);
}

static int send_token_request(struct registry_repo *repo, const struct endpoint *ep,
                              const struct token_request *t, struct http_cancel *cancel, int *status,
                              struct buf *body, struct error *err)
{
    bool post = t->with_credentials && t->cred->identity_token;
    CLEANUP_BUF struct buf fields = BUF_INIT(256 << 10);
    token_fields(t, post, &fields);
    CLEANUP_FREE char *text =
        post || fields.len == 0
            ? xstrdup(t->realm.text)
            : xasprintf("%s%c%s", t->realm.text, strchr(t->realm.text, '?') ? '&' : '?',
                        buf_cstr(&fields));
    CLEANUP_URL struct url u = {0};
    struct guard g;
    int r = url_parse(text, NULL, &u, err);
    if (r == 0)
        r = guard_init(&g, repo, ep, &u, err);
    if (r < 0)
        return r;
    CLEANUP_FREE char *line = NULL;
    const char *headers[4] = {"Accept-Encoding: identity", "Accept: application/json"};
    if (post) {
        headers[2] = "Content-Type: application/x-www-form-urlencoded";
    } else if (t->with_credentials && t->cred->user) {
        CLEANUP_FREE char *basic = basic_authorization(t->cred);
        line = xasprintf("Authorization: %s", basic);
        headers[2] = line;
    }
    struct http_call call = HTTP_CALL_INIT;
    r = call_prepare(&g, &call, err);
    call.headers = headers;
    if (post)
        call.body = buf_str(&fields);
    call.max_body = TOKEN_ANSWER_MAX_BYTES;
    call.timeout_ms = TOKEN_TIMEOUT_MS;
    struct http_flight *f = NULL;
    if (r == 0)
        r = http_multi_start(repo->calls, &call, &f, err);
    if (r == 0)
        r = http_multi_wait(repo->calls, cancel, -1, err);
    if (r == 0) {
        const struct http_result *res = NULL;
        http_multi_next(repo->calls);
        r = http_flight_result(f, &res, err);
        if (r == 0) {
            *status = res->status;
            buf_append(body, buf_str(&res->body));
        } else {
            call_explain(&g, res, r, err);
        }
    }
    http_flight_free(f);
    guard_release(&g);
    return r;
}

static int read_token(struct str body, char **ret, int64_t *ret_life_ms)
{
    enum { DEFAULT_LIFE_S = 60, LONGEST_LIFE_S = 3600 };
    CLEANUP_JSON struct json *v = NULL;
    if (js_parse(body, "the token", &v, NULL) < 0)
        return -ERR_UNAVAILABLE;
    const char *token = js_get_cstr(v, "token", NULL);
    if (!token || !*token)
        token = js_get_cstr(v, "access_token", NULL);
    if (!token || !is_token_text(token))
        return -ERR_UNAVAILABLE;
    int64_t life = js_get_int(v, "expires_in", DEFAULT_LIFE_S);
    *ret_life_ms = MAX(DEFAULT_LIFE_S, MIN(life, LONGEST_LIFE_S)) * 1000;
    *ret = xstrdup(token);
    return 0;
}

/* Asks the service: 0 and a token, or why there is none. */
static int fetch_token(struct registry_repo *repo, const struct endpoint *ep,
                       const struct token_request *t, struct http_cancel *cancel, char **ret,
                       int64_t *ret_life_ms, struct error *err)
{
    struct str shown = url_shown(&t->realm);
    for (unsigned tries = 1;; tries++) {
        CLEANUP_BUF struct buf body = BUF_INIT(TOKEN_ANSWER_MAX_BYTES);
        struct error failed = ERROR_INIT;
        int status = 0;
        int r = send_token_request(repo, ep, t, cancel, &status, &body, &failed);
        if (r == 0 && status == 200 && read_token(buf_str(&body), ret, ret_life_ms) == 0)
            return 0;
        bool passing = r < 0 ? r == -ERR_UNAVAILABLE || r == -ERR_IO || r == -ERR_TIMEOUT
                             : status_is_passing(status);
        if (passing && tries < MIN(repo->r->max_tries, 3)) {
            r = pause_ms(retry_pause_ms(repo->r, tries, -1), cancel, err);
            if (r < 0)
                return r;
            continue;
        }
        if (r == -ERR_TOO_LARGE)
            return error_set(err, ERR_UNAVAILABLE,
                             "the token service %.*s of %s answers with too much text",
                             STR_ARG(shown), ep->host);
        if (r < 0) {
            error_wrap(&failed, "the token service %.*s of %s", STR_ARG(shown), ep->host);
            return error_copy(err, &failed);
        }
        if (status == 200)
            return error_set(err, ERR_UNAVAILABLE,
                             "the token service %.*s of %s answered without a token",
                             STR_ARG(shown), ep->host);
        if (status_is_passing(status))
            return error_set(err, status == 429 ? ERR_BUSY : ERR_UNAVAILABLE,
                             "the token service %.*s of %s answered %d; try again later",
                             STR_ARG(shown), ep->host, status);
        if (status_is_redirect(status))
            return error_set(err, ERR_DENIED,
                             "the token service %.*s of %s answered %d: a redirect, which is not "
                             "followed with what belongs there",
                             STR_ARG(shown), ep->host, status);
        return error_set(err, ERR_DENIED,
                         "UNAUTHORIZED - the token service %.*s of %s answered %d %s%s; %s",
                         STR_ARG(shown), ep->host, status,
                         t->with_credentials && t->cred->user ? "to user " : "",
                         t->with_credentials && t->cred->user ? t->cred->user
                         : t->with_credentials                ? "to the stored identity token"
                                                              : "to a request without credentials",
                         t->with_credentials
                             ? "check the stored credentials ('docker login')"
                             : "log in with 'docker login'");
    }
}

static int bearer(struct registry_repo *repo, struct endpoint *ep, const struct challenge *c,
                  const struct credentials *cred, struct http_cancel *cancel, struct error *err)
{
    struct token_request t = {.challenge = c, .cred = cred};
    struct error bad = ERROR_INIT;
    if (url_parse(c->realm, NULL, &t.realm, &bad) < 0)
        return error_set(err, ERR_UNAVAILABLE, "the token service that %s names: %s", ep->host,
                         bad.msg);
    int r = 0;
    if (!t.realm.tls && ep->base.tls) {
        r = error_set(err, ERR_DENIED,
                      "%s wants the token fetched over plain http from %s; refused", ep->host,
                      t.realm.host);
        url_release(&t.realm);
        return r;
    }
    bool have = cred->user || cred->identity_token;
    t.with_credentials = have && registry__realm_belongs(ep->base.host, t.realm.host);
    make_scopes(repo, &t);
    CLEANUP_FREE char *key = token_key(&t, ep);
    /* The token that was just refused must not come back. */
    if (ep->token_key && ep->authorization && strcmp(ep->token_key, key) == 0)
        registry__token_drop(repo->r, key, ep->authorization + strlen("Bearer "));
    CLEANUP_FREE char *token = registry__token_get(repo->r, key);
    if (!token) {
        int64_t life_ms = 0;
        r = fetch_token(repo, ep, &t, cancel, &token, &life_ms, err);
        if (r == 0)
            registry__token_put(repo->r, key, token, life_ms);
        else if (r == -ERR_DENIED && have && !t.with_credentials)
            error_wrap(err, "the credentials for %s were not sent to %s, which does not belong to "
                            "it", ep->host, t.realm.host);
    }
    if (r == 0)
        set_authorization(ep, xasprintf("Bearer %s", token), TAKE(key));
    url_release(&t.realm);
    buf_release(&t.scopes);
    return r;
}

int endpoint_authorize(struct registry_repo *repo, struct endpoint *ep, const struct challenge *c,
                       unsigned seen, struct http_cancel *cancel, struct error *err)
{
    if (seen != ep->auth_generation)
        return 0; /* somebody renewed it meanwhile */
    if (repo->bearer && ep->upstream)
        return error_set(err, ERR_DENIED,
                         "UNAUTHORIZED - %s does not accept the token that came with the request",
                         ep->host);
    if (repo->is_site)
        return error_set(err, ERR_DENIED,
                         "UNAUTHORIZED - Authentication required for this model (%s); set HF_TOKEN",
                         ep->host);
    struct credentials cred = {0};
    int r = credentials_find(repo->r, ep->host, ep->upstream, cancel, &cred, err);
    if (r < 0)
        return r;
    bool was_basic = ep->authorization && str_starts_with(str_from(ep->authorization), STR("Basic "));
    if (cred.bearer && !(ep->authorization && strcmp(ep->authorization + 7, cred.bearer) == 0)) {
        set_authorization(ep, xasprintf("Bearer %s", cred.bearer), NULL);
    } else if (c->bearer && c->realm) {
        r = bearer(repo, ep, c, &cred, cancel, err);
    } else if (c->basic && cred.user && !was_basic) {
        set_authorization(ep, basic_authorization(&cred), NULL);
    } else if (c->basic && cred.user) {
        r = error_set(err, ERR_DENIED,
                      "UNAUTHORIZED - %s does not accept the credentials of user %s; log in again "
                      "with 'docker login %s'", ep->host, cred.user, ep->host);
    } else {
        r = error_set(err, ERR_DENIED,
                      "UNAUTHORIZED - Authentication required for this model (%s); log in with "
                      "'docker login %s'", ep->host,
                      registry__host_is_hub(ep->host) ? "" : ep->host);
    }
    credentials_release(&cred);
    return r;
}
