/* SPDX-License-Identifier: Apache-2.0
 *
 * From a tag to a manifest, and small blobs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/json.h"
#include "oci/manifest.h"
#include "registry/internal.h"

#define ACCEPT_MANIFESTS                                                           \
    "Accept: " OCI_TYPE_MANIFEST ", " OCI_TYPE_DOCKER_MANIFEST ", " OCI_TYPE_INDEX \
    ", " OCI_TYPE_DOCKER_LIST

void registry_manifest_release(struct registry_manifest *m)
{
    buf_release(&m->bytes);
    *m = (struct registry_manifest){0};
}

static bool is_digest(const char *which)
{
    return strchr(which, ':') != NULL;
}

/* A tag or a digest may go into a path as it is; anything else was not made by oci_reference. */
static int check_which(const char *which, struct error *err)
{
    struct oci_digest d;
    if (is_digest(which))
        return oci_digest_parse(str_from(which), &d, err);
    size_t n = strlen(which);
    if (n == 0 || n > OCI_TAG_MAX ||
        strspn(which, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != n)
        return error_set(err, ERR_INVALID, "'%s' is no tag", which);
    return 0;
}

/* Asks the endpoints in their order, the one that answered before first. `accept` looks at an
 * answer: 0 = good; an error = the next one is asked, the last one's error counts. */
typedef int (*accept_fn)(struct registry_repo *repo, const struct registry_response *res, void *ctx,
                         struct error *err);

static int ask(struct registry_repo *repo, const struct registry_request *req, accept_fn accept,
               void *ctx, struct http_cancel *cancel, struct error *err)
{
    for (;;) {
        struct registry_response res = {0};
        struct endpoint *ep = &repo->endpoints[repo->at];
        int r = endpoint_request(repo, ep, req, cancel, &res, err);
        if (r == 0)
            r = accept(repo, &res, ctx, err);
        registry_response_release(&res);
        if (r == 0 || r == -ERR_CANCELED || repo->at + 1 == repo->n_endpoints)
            return r;
        repo->at++;
    }
}

/* ---- manifests ---- */

struct wanted {
    const char *which;
    struct registry_manifest *ret;
};

static int manifest_error(struct registry_repo *repo, const struct registry_response *res,
                          const char *which, struct error *err)
{
    CLEANUP_FREE char *doing =
        xasprintf("manifest of %s%c%s", repo->name, is_digest(which) ? '@' : ':', which);
    return registry_error(repo, res, doing, err);
}

static int accept_manifest(struct registry_repo *repo, const struct registry_response *res,
                           void *ctx, struct error *err)
{
    struct wanted *w = ctx;
    if (res->status != 200)
        return manifest_error(repo, res, w->which, err);
    struct str bytes = buf_str(&res->body);
    const char *want = is_digest(w->which) ? w->which : res->docker_content_digest;
    struct oci_digest is = oci_digest_of(bytes), said;
    if (want) {
        int r = oci_digest_parse(str_from(want), &said, err);
        if (r < 0)
            return error_wrap(err, "%s", registry_repo_host(repo));
        bool sha256 = strcmp(oci_digest_algorithm(&said), "sha256") == 0;
        if (!sha256 && is_digest(w->which))
            return error_set(err, ERR_UNSUPPORTED, "'%s': only sha256 is supported", want);
        if (sha256 && !oci_digest_eq(&said, &is))
            return error_set(err, ERR_CORRUPT,
                             "%s sent a manifest that is not the one it names: expected %s, got %s",
                             registry_repo_host(repo), said.text, is.text);
    }
    struct registry_manifest m = {.digest = is, .bytes = BUF_INIT(OCI_MANIFEST_MAX_BYTES)};
    struct str type = str_from(res->content_type);
    ptrdiff_t semicolon = str_find_char(type, ';');
    type = str_trim(str_sub(type, 0, semicolon < 0 ? SIZE_MAX : (size_t)semicolon));
    snprintf(m.media_type, sizeof(m.media_type), "%.*s", STR_ARG(type));
    buf_append(&m.bytes, bytes);
    registry_manifest_release(w->ret);
    *w->ret = m;
    return 0;
}

static int get_manifest(struct registry_repo *repo, const char *which, struct http_cancel *cancel,
                        struct registry_manifest *ret, struct error *err)
{
    const char *headers[] = {ACCEPT_MANIFESTS, NULL};
    CLEANUP_FREE char *path = xasprintf("/v2/%s/manifests/%s", repo->name, which);
    struct registry_request req = {
        .path = path,
        .headers = headers,
        .max_body = OCI_MANIFEST_MAX_BYTES,
        .idempotent = true,
    };
    struct wanted w = {.which = which, .ret = ret};
    int r = ask(repo, &req, accept_manifest, &w, cancel, err);
    if (r == -ERR_TOO_LARGE)
        return error_set(err, ERR_TOO_LARGE, "the manifest of %s at %s is larger than 4 MiB",
                         repo->name, registry_repo_host(repo));
    return r;
}

/* An index entry that may be a model: a manifest, and nothing that says it is for a platform's
 * container or that it is only an attestation. */
static bool may_be_model(const struct json *entry)
{
    const char *type = js_get_cstr(entry, "mediaType", OCI_TYPE_MANIFEST);
    const struct json *annotations = js_get(entry, "annotations");
    if (strcmp(type, OCI_TYPE_MANIFEST) != 0 && strcmp(type, OCI_TYPE_DOCKER_MANIFEST) != 0)
        return false;
    return !js_get(annotations, "vnd.docker.reference.type");
}

static bool says_model(const struct json *entry)
{
    return strcmp(js_get_cstr(entry, "artifactType", ""), OCI_TYPE_CNCF_ARTIFACT) == 0 ||
           str_find(js_get_str(entry, "artifactType"), STR(".ai.model")) >= 0;
}

/* Which manifest of an index is meant. */
static int choose_entry(const struct json *index, struct oci_digest *ret, struct error *err)
{
    const struct json *list = js_get(index, "manifests"), *chosen = NULL;
    size_t n = 0, n_said = 0;
    CLEANUP_BUF struct buf shown = BUF_INIT(600);
    for (size_t i = 0; i < MIN(js_len(list), 1024); i++) {
        const struct json *e = js_at(list, i), *platform = js_get(e, "platform");
        if (!may_be_model(e))
            continue;
        bool said = says_model(e);
        if (said ? n_said == 0 : n_said == 0 && n == 0)
            chosen = e;
        n++;
        n_said += said;
        buf_printf(&shown, "%s%s/%s %.19s", shown.len > 0 ? ", " : "",
                   js_get_cstr(platform, "os", "any"), js_get_cstr(platform, "architecture", "any"),
                   js_get_cstr(e, "digest", ""));
    }
    if (n_said == 1 || (n_said == 0 && n == 1))
        return oci_digest_parse(js_get_str(chosen, "digest"), ret, err);
    if (n == 0)
        return error_set(err, ERR_UNSUPPORTED, "the index has no manifest that could be a model");
    return error_set(err, ERR_UNSUPPORTED,
                     "an index of %zu manifests (%s) instead of one model; pull one of them by its "
                     "digest",
                     n, buf_cstr(&shown));
}

static bool is_index(const struct registry_manifest *m, const struct json *v)
{
    const char *type = js_get_cstr(v, "mediaType", m->media_type);
    return strcmp(type, OCI_TYPE_INDEX) == 0 || strcmp(type, OCI_TYPE_DOCKER_LIST) == 0 ||
           (js_get(v, "manifests") && !js_get(v, "layers"));
}

int registry_resolve(struct registry_repo *repo, const char *which, struct http_cancel *cancel,
                     struct registry_manifest *ret, struct error *err)
{
    struct registry_manifest m = {0};
    if (!which)
        which = repo->reference;
    int r = check_which(which, err);
    if (r == 0)
        r = get_manifest(repo, which, cancel, &m, err);
    if (r < 0)
        return r;
    CLEANUP_JSON struct json *v = NULL;
    struct oci_digest entry;
    r = js_parse(buf_str(&m.bytes), "the manifest", &v, err);
    if (r < 0)
        r = error_recode(err, ERR_CORRUPT);
    if (r == 0 && is_index(&m, v)) {
        r = choose_entry(v, &entry, err);
        if (r == 0)
            r = get_manifest(repo, entry.text, cancel, &m, err);
        js_free(TAKE(v));
        if (r == 0 && js_parse(buf_str(&m.bytes), "the manifest", &v, NULL) == 0 && is_index(&m, v))
            r = error_set(err, ERR_UNSUPPORTED, "an index inside an index instead of a model");
    }
    if (r < 0) {
        registry_manifest_release(&m);
        return r;
    }
    *ret = m;
    return 0;
}

static int accept_head(struct registry_repo *repo, const struct registry_response *res, void *ctx,
                       struct error *err)
{
    struct wanted *w = ctx;
    if (res->status != 200)
        return manifest_error(repo, res, w->which, err);
    if (res->docker_content_digest)
        return oci_digest_parse(str_from(res->docker_content_digest), &w->ret->digest, err);
    w->ret->digest.text[0] = '\0';
    return 0;
}

int registry_resolve_digest(struct registry_repo *repo, const char *which,
                            struct http_cancel *cancel, struct oci_digest *ret, struct error *err)
{
    if (!which)
        which = repo->reference;
    int r = check_which(which, err);
    if (r < 0)
        return r;
    const char *headers[] = {ACCEPT_MANIFESTS, NULL};
    CLEANUP_FREE char *path = xasprintf("/v2/%s/manifests/%s", repo->name, which);
    struct registry_request req = {
        .method = "HEAD", .path = path, .headers = headers, .idempotent = true};
    struct registry_manifest m = {0};
    struct wanted w = {.which = which, .ret = &m};
    r = ask(repo, &req, accept_head, &w, cancel, err);
    if (r == 0 && !*m.digest.text)
        r = get_manifest(repo, which, cancel, &m, err);
    if (r == 0)
        *ret = m.digest;
    registry_manifest_release(&m);
    return r;
}

/* ---- small blobs ---- */

struct wanted_blob {
    const struct oci_digest *digest;
    uint64_t size;
    struct buf *out;
};

static int accept_blob(struct registry_repo *repo, const struct registry_response *res, void *ctx,
                       struct error *err)
{
    struct wanted_blob *w = ctx;
    if (res->status != 200)
        return registry_error(repo, res, w->digest->text, err);
    struct oci_digest is = oci_digest_of(buf_str(&res->body));
    if (res->body.len != w->size || !oci_digest_eq(&is, w->digest))
        return error_set(err, ERR_CORRUPT,
                         "blob digest mismatch for \"%s\": expected %s (%llu bytes), got %s (%zu "
                         "bytes)",
                         w->digest->text, w->digest->text, (unsigned long long)w->size, is.text,
                         res->body.len);
    buf_append(w->out, buf_str(&res->body));
    return buf_check(w->out, "the blob", err);
}

int registry_fetch_small(struct registry_repo *repo, const struct oci_digest *digest, uint64_t size,
                         struct http_cancel *cancel, struct buf *out, struct error *err)
{
    if (size > out->max - out->len)
        return error_set(err, ERR_TOO_LARGE, "%s has %llu bytes; at most %zu are taken",
                         digest->text, (unsigned long long)size, out->max - out->len);
    if (strcmp(oci_digest_algorithm(digest), "sha256") != 0)
        return error_set(err, ERR_UNSUPPORTED, "'%s': only sha256 is supported", digest->text);
    CLEANUP_FREE char *path = xasprintf("/v2/%s/blobs/%s", repo->name, digest->text);
    struct registry_request req = {.path = path, .max_body = (size_t)size + 1, .idempotent = true};
    struct wanted_blob w = {.digest = digest, .size = size, .out = out};
    int r = ask(repo, &req, accept_blob, &w, cancel, err);
    if (r == -ERR_TOO_LARGE)
        return error_set(err, ERR_CORRUPT, "%s is larger than the %llu bytes the manifest says",
                         digest->text, (unsigned long long)size);
    return r;
}
