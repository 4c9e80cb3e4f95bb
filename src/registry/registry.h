/* SPDX-License-Identifier: Apache-2.0
 *
 * The registry client: OCI distribution over HTTP(S), and whatever else hands out model files by
 * URL. It knows no store: bytes go to a sink.
 *
 *     struct registry *r;                                     // one per process
 *     struct registry_options o = registry_options_from_env();
 *     registry_new(&o, &r, err);
 *
 *     struct registry_repo *repo;                             // one per pull or push
 *     registry_repo_open(r, &ref, REGISTRY_PULL, NULL, &repo, err);
 *     registry_resolve(repo, NULL, cancel, &manifest, err);   // the tag, once; bytes are verified
 *     registry_fetch_small(repo, &config_digest, size, cancel, &buf, err);
 *     registry_download(repo, &download, cancel, err);        // layers, side by side, in chunks
 *     registry_repo_close(repo);
 *
 * What crosses the border
 *   - Credentials go to the registry's own host and to a token service that belongs to it; never to
 *     the target of a redirect, never over plain HTTP unless the registry itself is plain.
 *   - A redirect or a token service on a private, loopback or link-local address is refused unless
 *     the registry itself is at such an address. What counts is the address that is connected to,
 *     so a name that changes its answer in between does not help.
 *   - Every body is bounded; manifests and configs are checked against their digests here. The sink
 *     checks the digests of what registry_download() brings.
 *
 * Errors of the registry keep the codes of the distribution protocol in their text:
 * "UNAUTHORIZED - …" (ERR_DENIED), "MANIFEST_UNKNOWN - …" and "NAME_UNKNOWN - …" (ERR_NOT_FOUND),
 * "TOOMANYREQUESTS - …" (ERR_BUSY), "UNKNOWN - …".
 *
 * Threads: a struct registry may be used by any number of threads; a struct registry_repo by one at
 * a time. A cancel object ends the call that holds it with ERR_CANCELED. */
#ifndef REGISTRY_REGISTRY_H
#define REGISTRY_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"
#include "http/client.h"
#include "oci/digest.h"
#include "oci/reference.h"

struct registry;

/* Zero is a default everywhere. Strings are copied. */
struct registry_options {
    const char *docker_config_dir; /* NULL = $DOCKER_CONFIG, else ~/.docker */
    const char *certs_dirs;        /* "dir:dir"; NULL = /etc/docker/certs.d and certs.d in the
                                      docker config directory */
    const char *mirrors;           /* for docker.io, comma-separated, in the order of asking */
    const char *insecure_hosts;    /* comma-separated host[:port]: plain HTTP or unverified TLS may
                                      be spoken with them; "*" = with every registry */
    const char *hub_user, *hub_password; /* for docker.io and the host of DEFAULT_REGISTRY, and for
                                            no other; before what config.json says */
    const char *hf_endpoint;       /* NULL = https://huggingface.co */
    const char *hf_token;
    const char *user_agent;        /* NULL = "model-runner/VERSION" */
    unsigned max_connections;      /* of one download; 0 = 8 */
    uint64_t chunk_bytes;          /* of one ranged request; 0 = by the speed of the line */
    int64_t stall_ms;              /* a connection without a byte for so long is replaced; 0 = 20 s */
    unsigned max_tries;            /* in a row without a new byte; 0 = 6 */
    int64_t backoff_ms;            /* first pause before another try; 0 = 500 */
};

/* MODEL_RUNNER_REGISTRY_MIRRORS; INSECURE_REGISTRY ("true" = every host but Docker Hub and Hugging
 * Face, else a list of hosts; a host in a list may also be a redirect's target on an inner address);
 * DOCKER_USERNAME and DOCKER_PASSWORD, or DOCKER_HUB_USER and DOCKER_HUB_PASSWORD; HF_ENDPOINT;
 * HF_TOKEN. The strings are the environment's own. */
struct registry_options registry_options_from_env(void);

int registry_new(const struct registry_options *o, struct registry **ret, struct error *err);
void registry_free(struct registry *r); /* NULL is fine; no repo of it may be open */

const char *registry_hf_endpoint(const struct registry *r); /* no '/' at its end */
const char *registry_hf_token(const struct registry *r);    /* NULL if none */

/* ---- a repository ---- */

/* One repository at one registry, for one operation. Keeps connections and what the registry said
 * about it (scheme, token). */
struct registry_repo;

enum registry_access {
    REGISTRY_PULL, /* scope "pull"; mirrors are asked */
    REGISTRY_PUSH, /* scope "pull,push"; never a mirror */
};

/* Does no I/O yet, except reading local settings. bearer: replaces all credentials when not NULL or
 * empty (the request's "bearer-token"). ref must be a name (OCI_REF_NAME). */
int registry_repo_open(struct registry *r, const struct oci_reference *ref,
                       enum registry_access access, const char *bearer, struct registry_repo **ret,
                       struct error *err);

/* A place that serves files by URL and knows no token dance: Hugging Face or a mirror of it. base:
 * "https://huggingface.co". The bearer token (NULL = none) goes to this host only. */
int registry_site_open(struct registry *r, const char *base, const char *bearer,
                       struct registry_repo **ret, struct error *err);

void registry_repo_close(struct registry_repo *repo); /* NULL is fine */

/* Lets a push mount blobs from another repository of the same registry ("ai/smollm2"): adds pull
 * access to it to the tokens asked for. Call before the first request. */
int registry_repo_add_scope(struct registry_repo *repo, const char *repository, struct error *err);

const char *registry_repo_domain(const struct registry_repo *repo); /* as in names: "docker.io" */
const char *registry_repo_host(const struct registry_repo *repo);   /* asked last: "registry-1.docker.io" */
const char *registry_repo_name(const struct registry_repo *repo);   /* "ai/smollm2"; "" for a site */

/* ---- manifests and small blobs ---- */

struct registry_manifest {
    struct oci_digest digest; /* of bytes */
    char media_type[128];
    struct buf bytes;         /* at most OCI_MANIFEST_MAX_BYTES */
};
void registry_manifest_release(struct registry_manifest *m); /* a zeroed one is fine */

/* The manifest that `which` names, a tag or a digest; NULL = what the reference said. The bytes match
 * the digest asked for and the digest the registry told. An index is followed when exactly one of
 * its entries can be a model, else it is ERR_UNSUPPORTED and the entries are listed. */
int registry_resolve(struct registry_repo *repo, const char *which, struct http_cancel *cancel,
                     struct registry_manifest *ret, struct error *err);

/* Only the digest the tag has now (HEAD). For an index it is the index's digest. */
int registry_resolve_digest(struct registry_repo *repo, const char *which,
                            struct http_cancel *cancel, struct oci_digest *ret, struct error *err);

/* Appends a blob of exactly `size` bytes, which must fit into out->max; verified. */
int registry_fetch_small(struct registry_repo *repo, const struct oci_digest *digest, uint64_t size,
                         struct http_cancel *cancel, struct buf *out, struct error *err);

/* ---- downloads ---- */

struct registry_range {
    uint64_t offset, length;
};

/* One thing to download. */
struct registry_blob {
    const char *name;   /* in messages: a digest, a file name */
    const char *path;   /* "/v2/…/blobs/sha256:…" at the repo's host; NULL = from `digest` */
    const struct oci_digest *digest; /* may be NULL when path is given */
    uint64_t size;
    const struct registry_range *have; /* bytes that are there already: ascending, not touching
                                          or overlapping, inside the size */
    size_t n_have;
};

struct registry_download {
    const struct registry_blob *blobs;
    size_t n_blobs;

    /* All callbacks run on the thread that called registry_download(), one at a time; `blob` is an
     * index into blobs. A negative result ends the download and is returned as it is, with what the
     * callback put into *err. They should return soon: everything waits for them.
     *
     * write: bytes of the blob at `offset`. Each missing byte comes exactly once. Pieces of one
     * connection follow each other; several connections work on one blob, at places that move
     * forward together, so that a reader in order is never far behind. Pieces are up to 256 KiB. */
    int (*write)(void *ctx, size_t blob, uint64_t offset, struct str bytes, struct error *err);
    /* Every byte of the blob has been written (now, or was there before). Once per blob. */
    int (*blob_done)(void *ctx, size_t blob, struct error *err);
    /* May be NULL. Bytes of the blob that are there; never fewer than told before. At most ten
     * times a second for each blob, and once at its end. */
    void (*progress)(void *ctx, size_t blob, uint64_t received);
    void *ctx;
};

/* Downloads what is missing, to the end or to an error that trying again does not mend. What was
 * written before a failure stays written, and the next call can start from it. */
int registry_download(struct registry_repo *repo, const struct registry_download *d,
                      struct http_cancel *cancel, struct error *err);

/* ---- single requests (push, listings) ---- */

/* One request at the repo's host with its credentials. A 401 makes it get a token and ask again,
 * once. Redirects are followed for GET and HEAD under the rules above; for other methods a redirect
 * is an answer like others. Answers 429, 502, 503, 504 and broken connections are tried again with
 * pauses when `idempotent`. */
struct registry_request {
    const char *method; /* NULL = GET */
    const char *path;   /* "/v2/…?query", or the absolute URL of an upload location: one at another
                           host gets no credentials */
    const char *const *headers; /* "Name: value", NULL-terminated; NULL = none */
    struct str body;            /* in memory; ptr NULL = none */
    /* Or a streamed body of body_size bytes (negative = chunked). rewind() puts it back to its
     * start before the request is sent again; NULL = it cannot be sent again. */
    ssize_t (*read_body)(void *ctx, char *p, size_t n);
    int (*rewind)(void *ctx);
    int64_t body_size;
    /* Each header of the final answer. May be NULL. */
    void (*on_header)(void *ctx, struct str name, struct str value);
    void *ctx;
    size_t max_body;    /* of the answer; 0 = 1 MiB */
    int64_t timeout_ms; /* without a byte moving; 0 = 60 s */
    bool idempotent;
};

struct registry_response {
    int status;
    char content_type[128];
    char *location;  /* absolute URL of a Location header, NULL if none */
    char *link_next; /* absolute URL of Link: <…>; rel="next" */
    char *docker_content_digest; /* NULL if none */
    char *range;                 /* Range header of an upload, NULL if none */
    struct buf body;
};
void registry_response_release(struct registry_response *res); /* a zeroed one is fine */

/* 0 when an answer came, whatever its status. */
int registry_request(struct registry_repo *repo, const struct registry_request *req,
                     struct http_cancel *cancel, struct registry_response *ret, struct error *err);

/* Makes the error for an answer that is not the one wanted: "UNAUTHORIZED - …". doing: "upload of
 * sha256:…". Returns -err->code. */
int registry_error(const struct registry_repo *repo, const struct registry_response *res,
                   const char *doing, struct error *err);

#endif
