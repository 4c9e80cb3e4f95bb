/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of registry/ share and nobody else sees. */
#ifndef REGISTRY_INTERNAL_H
#define REGISTRY_INTERNAL_H

#include <pthread.h>

#include "http/address.h"
#include "http/multi.h"
#include "http/url.h"
#include "registry/registry.h"

enum {
    REGISTRY_MAX_REDIRECTS = 10,
    REGISTRY_MAX_HOSTS = 64,       /* that one repo talks to */
    REGISTRY_MAX_TOKENS = 256,     /* kept for reuse */
    REGISTRY_DEFAULT_BODY = 1 << 20,
    REGISTRY_MAX_WAIT_S = 60,      /* a Retry-After beyond this ends the transfer */
};

/* ---- the client (registry.c) ---- */

struct token {
    char *key;   /* realm, service, scope and who asks */
    char *value;
    int64_t expires_ms; /* clock_mono_ms() */
};

/* What was found out about a host. */
struct scheme {
    char *host;
    bool plain;
};

struct registry {
    char *docker_config_dir; /* NULL when there is no home */
    char *certs_dirs;
    char *mirrors;
    char *insecure_hosts;
    char *hub_user, *hub_password;
    char *default_registry;
    char *hf_endpoint, *hf_token;
    char *user_agent;
    unsigned max_connections;
    uint64_t chunk_bytes;
    int64_t stall_ms;
    unsigned max_tries;
    int64_t backoff_ms;

    pthread_mutex_t lock;
    struct token tokens[REGISTRY_MAX_TOKENS];  /* guarded by: lock */
    size_t n_tokens;                           /* guarded by: lock */
    struct scheme schemes[REGISTRY_MAX_TOKENS]; /* guarded by: lock */
    size_t n_schemes;                          /* guarded by: lock */
};

/* A copy for the caller to free, NULL if there is none that lives a while yet. */
char *registry__token_get(struct registry *r, const char *key);
void registry__token_put(struct registry *r, const char *key, const char *value, int64_t life_ms);
void registry__token_drop(struct registry *r, const char *key, const char *value);

/* ---- hosts (hosts.c) ---- */

/* How TLS is spoken with one host. */
struct tls_settings {
    struct buf ca; /* PEM, may be empty */
    char *cert, *key;
    bool unverified;
};
void tls_release(struct tls_settings *tls);

/* A host that the repo talks to, with port. */
struct place {
    char *origin; /* "https://host:port" */
    struct tls_settings tls;
};

/* The registry itself, or a mirror of it. */
struct endpoint {
    char *host;   /* as written: "registry-1.docker.io", "localhost:5000" */
    char *prefix; /* of its paths, "" or "/mirror" */
    bool upstream;
    bool plain_first;   /* localhost and the like */
    bool insecure;      /* by the user's word */
    int fixed_scheme;   /* 0 = to be found out, 'p' plain, 's' TLS */
    bool connected;     /* base is set */
    struct url base;    /* "https://host/" */
    enum address_kind kind; /* of the address it has */
    bool kind_known;
    char *authorization; /* value of the header, NULL = none */
    char *token_key;     /* where its token is kept */
    unsigned auth_generation;
};

struct registry_repo {
    struct registry *r;
    char *domain;
    char *name;
    char *reference;          /* tag or digest of the name it was opened with; NULL for a site */
    enum registry_access access;
    char *bearer;             /* NULL if none */
    bool is_site;
    char **mounts;            /* other repositories to pull from */
    size_t n_mounts;
    struct endpoint *endpoints; /* mirrors, then the registry */
    size_t n_endpoints;
    size_t at;                /* the endpoint that answered last */
    struct place *places[REGISTRY_MAX_HOSTS];
    size_t n_places;
    struct http_multi *calls;
};

/* The host that serves a domain: "docker.io" → "registry-1.docker.io". */
const char *registry__host_of(const char *domain);
bool registry__host_is_hub(const char *host);
void endpoint_init(struct endpoint *ep, struct registry *r, const char *host, const char *prefix);
void endpoint_release(struct endpoint *ep);

/* Named in the list of insecure hosts itself, not by "*". */
bool registry__host_is_listed(const struct registry *r, const char *host, uint16_t port);

/* Finds out how to talk to the endpoint; afterwards ep->base is set. *fault (may be NULL) tells
 * why not, when nobody answered. */
int endpoint_connect(struct registry_repo *repo, struct endpoint *ep, struct http_cancel *cancel,
                     enum http_fault *fault, struct error *err);

/* After a failure: another server may listen there by now. */
void registry__scheme_forget(struct registry *r, const char *host);

/* TLS settings for a URL, read once per host. */
int repo__place(struct registry_repo *repo, const struct url *u, const struct place **ret,
                struct error *err);

/* ---- credentials (credentials.c) ---- */

struct credentials {
    char *user, *password; /* NULL = none */
    char *identity_token;  /* to be exchanged; NULL = none */
    char *bearer;          /* ready for use; NULL = none */
};
void credentials_release(struct credentials *c);

/* Those of a registry host, none if nobody has any. */
int credentials_find(struct registry *r, const char *host, bool upstream, struct http_cancel *cancel,
                     struct credentials *ret, struct error *err);

/* ---- authorisation (auth.c) ---- */

struct challenge;

/* May a registry's credentials go to a token service at this host? Both in lower case. */
bool registry__realm_belongs(const char *host, const char *realm);

/* Answers a 401 of the endpoint: afterwards ep->authorization is another one. `seen` is the
 * ep->auth_generation that the refused request was made with. ERR_DENIED when there is nothing more
 * to offer. */
int endpoint_authorize(struct registry_repo *repo, struct endpoint *ep, const struct challenge *c,
                       unsigned seen, struct http_cancel *cancel, struct error *err);

/* ---- one exchange (exchange.c) ---- */

/* Decides which addresses may be connected to for one URL. Put it first into the ctx of a call. */
struct guard {
    struct registry_repo *repo;
    const struct endpoint *ep;
    struct url target;
    bool own; /* the endpoint's own host */
    struct error refused;
};
int guard_init(struct guard *g, struct registry_repo *repo, const struct endpoint *ep,
               const struct url *target, struct error *err); /* copies target */
void guard_release(struct guard *g);
int guard_on_connect(void *ctx, const struct sockaddr *address);

/* Learns the endpoint's kind of address from an answer of its own host. */
void guard_note(const struct guard *g, struct endpoint *ep, const struct http_result *res);

/* Fills what the address, TLS and our name need; the caller adds the rest. */
int call_prepare(struct guard *g, struct http_call *call, struct error *err);

/* Makes the error of a failed call say what to do about it. */
void call_explain(const struct guard *g, const struct http_result *res, int r, struct error *err);

/* The URL a redirect from `from` leads to, if it may be followed. */
int redirect_target(const struct endpoint *ep, const struct url *from, const char *location,
                    struct url *ret, struct error *err);

bool url_is_own(const struct endpoint *ep, const struct url *u); /* same origin */
bool status_is_redirect(int status);
bool status_is_passing(int status); /* worth another try */

/* base + prefix + path. */
int endpoint_url(const struct endpoint *ep, const char *path, struct url *ret, struct error *err);

/* Pause before try number n (1, 2, …): doubled each time, with jitter; Retry-After (-1 = none) is
 * honoured up to REGISTRY_MAX_WAIT_S. */
int64_t retry_pause_ms(const struct registry *r, unsigned n, int64_t retry_after_s);
/* The error for a Retry-After that is longer. */
int asks_to_wait(const char *host, int status, int64_t seconds, struct error *err);
int pause_ms(int64_t ms, struct http_cancel *cancel, struct error *err);

/* One request at one endpoint, see registry_request(). */
int endpoint_request(struct registry_repo *repo, struct endpoint *ep,
                     const struct registry_request *req, struct http_cancel *cancel,
                     struct registry_response *ret, struct error *err);

#endif
