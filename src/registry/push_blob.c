/* SPDX-License-Identifier: Apache-2.0
 *
 * One blob on its way to a registry.
 *
 *     HEAD /v2/R/blobs/D ── 200 ──────────────────────────────────────────────▶ there
 *     POST /v2/R/blobs/uploads/?mount=D&from=R2 ── 201 ───────────────────────▶ there
 *       │ 202 Location: L                            (any other answer: POST without mount)
 *       ▼
 *     PATCH L  Content-Range: 0-67108863   ── 202 Location: L, Range: 0-67108863 ──┐
 *       ▲ │ broken, 5xx, 416                                                       │
 *       │ └─▶ GET L ── 204 Range: 0-12345678 (go on there) or 404 (POST again)     │
 *       └──────────────────────────────────────────────────────────────────────────┤
 *     PUT L?digest=D ── 201 ──────────────────────────────────────────────────▶ there
 *
 * A blob of one piece goes with the PUT itself. So does any blob when the registry answers the very
 * first PATCH as one that does not know it.
 *
 * Every failure that may pass counts as a try; bytes that the registry had not confirmed before
 * make the count start again, so an upload ends with success or with max_tries failures in a row.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "registry/headers.h"
#include "registry/internal.h"
#include "registry/push_internal.h"

enum {
    DEFAULT_PIECE = 64 << 20,
    MAX_SHRINK = 64, /* pieces that are refused by their size become so many times smaller */
    MAX_UPLOAD_REDIRECTS = 5,
    ASK_FIRST = 1 << 20,                /* bodies from here on wait for "100 Continue" */
    FINISH_TIMEOUT_MS = 15 * 60 * 1000, /* registries hash a whole blob before they answer */
};

struct upload {
    struct push_job *job;
    struct registry_repo *repo;
    size_t index;
    const struct registry_push_blob *blob;
    char *doing; /* "upload of sha256:…", for messages */
    void *file;
    bool open;

    char *location;     /* of the session; NULL = none */
    uint64_t confirmed; /* bytes the registry says it has */
    uint64_t most;      /* the largest that `confirmed` was */
    uint64_t piece, least_piece;
    uint64_t min_piece; /* the registry's word */
    bool whole;         /* the registry knows no PATCH */
    bool patched;       /* it accepted one */
    bool hash_refused;  /* once already */
    bool unsure;        /* how far the session got must be asked */
    bool ended;         /* the last PUT may have been done, though its answer said otherwise */
    unsigned tries;
    int64_t retry_after_s;

    uint64_t body_from, body_at, body_end; /* of the request under way */
    struct error read_failure;
};

enum step {
    STEP_ON,    /* it moves */
    STEP_DONE,  /* the blob is there */
    STEP_AGAIN, /* a failure that may pass */
    STEP_FAILED,
};

/* ---- requests ---- */

static ssize_t read_body(void *ctx, char *p, size_t n)
{
    struct upload *u = ctx;
    n = (size_t)MIN((uint64_t)n, u->body_end - u->body_at);
    if (n == 0)
        return 0;
    int r = u->job->p->read_at(u->file, u->body_at, p, n, &u->read_failure);
    if (r < 0) {
        if (u->read_failure.code == ERR_NONE)
            error_set(&u->read_failure, ERR_IO, "%s: its bytes cannot be read", u->doing);
        return r;
    }
    u->body_at += n;
    push__tell(u->job, u->index, REGISTRY_PUSH_SENDING, u->body_at);
    return (ssize_t)n;
}

static int rewind_body(void *ctx)
{
    struct upload *u = ctx;
    u->body_at = u->body_from;
    return 0;
}

static void on_header(void *ctx, struct str name, struct str value)
{
    struct upload *u = ctx;
    uint64_t least;
    if (str_eq_nocase(name, STR("Retry-After")))
        u->retry_after_s = retry_after_parse(value, clock_wall_s());
    else if (str_eq_nocase(name, STR("OCI-Chunk-Min-Length")) &&
             str_to_u64(str_trim(value), "", &least, NULL) == 0)
        u->min_piece = least;
}

/* Follows the redirects that keep method and body. */
static int send_request(struct upload *u, struct registry_request *req,
                        struct registry_response *ret, struct error *err)
{
    CLEANUP_FREE char *target = NULL;
    u->retry_after_s = -1;
    req->on_header = on_header;
    req->ctx = u;
    for (unsigned n = 0;; n++) {
        rewind_body(u);
        int r = registry_request(u->repo, req, u->job->stop, ret, err);
        if (r < 0 || (ret->status != 307 && ret->status != 308) || !ret->location ||
            n == MAX_UPLOAD_REDIRECTS)
            return r;
        free(target);
        target = TAKE(ret->location);
        req->path = target;
        registry_response_release(ret);
    }
}

static bool is_success(int status)
{
    return status >= 200 && status <= 299;
}

/* The bytes that a Range header of an upload tells of. "0-0" stands for none: registries say it
 * when an upload begins, and no piece of ours is one byte long. */
static bool range_length(const char *range, uint64_t *ret)
{
    struct str s = str_trim(str_from(range));
    if (str_starts_with(s, STR("bytes=")))
        s = str_sub(s, strlen("bytes="), SIZE_MAX);
    uint64_t last;
    if (!str_starts_with(s, STR("0-")) ||
        str_to_u64(str_sub(s, 2, SIZE_MAX), "", &last, NULL) < 0 || last == UINT64_MAX)
        return false;
    *ret = last == 0 ? 0 : last + 1;
    return true;
}

/* A small body is sent sooner than an answer to Expect comes. NULL leaves it to the client. */
static const char *expect_header(uint64_t body_bytes)
{
    return body_bytes < ASK_FIRST ? "Expect:" : NULL;
}

static void take_location(struct upload *u, struct registry_response *res)
{
    if (!res->location)
        return;
    free(u->location);
    u->location = TAKE(res->location);
}

static void forget_session(struct upload *u)
{
    free(TAKE(u->location));
    u->confirmed = 0;
}

static int look_for_blob(struct upload *u, bool insist, struct registry_response *ret,
                         struct error *err)
{
    CLEANUP_FREE char *path =
        xasprintf("/v2/%s/blobs/%s", registry_repo_name(u->repo), u->blob->digest->text);
    struct registry_request req = {.method = "HEAD", .path = path, .idempotent = insist};
    return registry_request(u->repo, &req, u->job->stop, ret, err);
}

/* Was a blob of another digest stored? */
static int check_stored(const struct upload *u, const struct registry_response *res,
                        struct error *err)
{
    const char *told = res->docker_content_digest;
    if (!told || strcmp(told, u->blob->digest->text) == 0)
        return 0;
    return error_set(err, ERR_CORRUPT, "%s: %s says it stored %s instead", u->doing,
                     registry_repo_host(u->repo), told);
}

/* ---- beginning ---- */

/* *ret: it is there now. Otherwise there may be a session already. */
static int try_mount(struct upload *u, bool *ret, struct error *err)
{
    *ret = false;
    if (!u->blob->mount_from || u->job->no_mounts ||
        strcmp(u->blob->mount_from, registry_repo_name(u->repo)) == 0)
        return 0;
    CLEANUP_FREE char *digest = url_encode(str_from(u->blob->digest->text), "");
    CLEANUP_FREE char *from = url_encode(str_from(u->blob->mount_from), "/");
    CLEANUP_FREE char *path = xasprintf("/v2/%s/blobs/uploads/?mount=%s&from=%s",
                                        registry_repo_name(u->repo), digest, from);
    struct registry_request req = {
        .method = "POST", .path = path, .body = STR(""), .idempotent = true};
    struct registry_response res = {0};
    int r = send_request(u, &req, &res, err);
    if (r == 0 && res.status == 201) {
        r = check_stored(u, &res, err);
        *ret = r == 0;
    } else if (r == 0 && res.status == 202) {
        take_location(u, &res);
    }
    registry_response_release(&res);
    return r;
}

static enum step begin_session(struct upload *u, struct error *err)
{
    CLEANUP_FREE char *path = xasprintf("/v2/%s/blobs/uploads/", registry_repo_name(u->repo));
    struct registry_request req = {
        .method = "POST", .path = path, .body = STR(""), .idempotent = true};
    struct registry_response res = {0};
    enum step step = STEP_FAILED;
    if (send_request(u, &req, &res, err) == 0) {
        take_location(u, &res);
        if (res.status != 202 && res.status != 201 && res.status != 204)
            registry_error(u->repo, &res, u->doing, err);
        else if (!u->location)
            error_set(err, ERR_UNAVAILABLE, "%s: %s accepts the upload but does not say where",
                      u->doing, registry_repo_host(u->repo));
        else
            step = STEP_ON;
    }
    registry_response_release(&res);
    u->confirmed = 0;
    return step;
}

/* ---- sending ---- */

static bool may_pass(enum errc code)
{
    return code == ERR_UNAVAILABLE || code == ERR_IO || code == ERR_TIMEOUT;
}

/* For a request that got no answer. */
static enum step broken(const struct upload *u, struct error *err)
{
    if (u->read_failure.code != ERR_NONE) {
        error_copy(err, &u->read_failure);
        return STEP_FAILED;
    }
    return may_pass(err->code) ? STEP_AGAIN : STEP_FAILED;
}

static bool is_method_unknown(int status)
{
    return status == 400 || status == 404 || status == 405 || status == 415 || status == 501;
}

/* 413: some proxy in front of the registry allows less in one request. */
static enum step shrink_piece(struct upload *u, uint64_t refused,
                              const struct registry_response *res, struct error *err)
{
    uint64_t least = MAX(u->least_piece, u->min_piece);
    uint64_t smaller = MAX(refused / 4, least);
    if (u->whole || smaller >= refused) {
        registry_error(u->repo, res, u->doing, err);
        return STEP_FAILED;
    }
    u->piece = smaller;
    forget_session(u);
    return STEP_ON;
}

static enum step after_patch(struct upload *u, struct registry_response *res, struct error *err)
{
    uint64_t length = u->body_end;
    if (is_success(res->status)) {
        u->patched = true;
        take_location(u, res);
        if (res->range && (!range_length(res->range, &length) || length > u->body_end)) {
            forget_session(u);
            error_set(err, ERR_UNAVAILABLE, "%s: %s confirms bytes that were not sent (%s)",
                      u->doing, registry_repo_host(u->repo), res->range);
            return STEP_AGAIN;
        }
        u->confirmed = length;
        if (length > u->body_from)
            return STEP_ON;
        error_set(err, ERR_UNAVAILABLE, "%s: %s takes the bytes but does not keep them", u->doing,
                  registry_repo_host(u->repo));
        return STEP_AGAIN;
    }
    if (res->status == 413)
        return shrink_piece(u, u->body_end - u->body_from, res, err);
    if (!u->patched && is_method_unknown(res->status)) {
        u->whole = true;
        forget_session(u);
        return STEP_ON;
    }
    registry_error(u->repo, res, u->doing, err);
    if (res->status == 404)
        forget_session(u);
    return res->status == 404 || res->status == 416 || status_is_passing(res->status) ? STEP_AGAIN
                                                                                      : STEP_FAILED;
}

static enum step send_piece(struct upload *u, struct error *err)
{
    u->body_from = u->confirmed;
    u->body_end = u->confirmed + MIN(MAX(u->piece, u->min_piece), u->blob->size - u->confirmed);
    CLEANUP_FREE char *range =
        xasprintf("Content-Range: %llu-%llu", (unsigned long long)u->body_from,
                  (unsigned long long)u->body_end - 1);
    const char *const headers[] = {"Content-Type: application/octet-stream", range,
                                   expect_header(u->body_end - u->body_from), NULL};
    struct registry_request req = {.method = "PATCH",
                                   .path = u->location,
                                   .headers = headers,
                                   .read_body = read_body,
                                   .rewind = rewind_body,
                                   .body_size = (int64_t)(u->body_end - u->body_from)};
    struct registry_response res = {0};
    int r = send_request(u, &req, &res, err);
    enum step step = r < 0 ? broken(u, err) : after_patch(u, &res, err);
    registry_response_release(&res);
    u->unsure = step == STEP_AGAIN;
    return step;
}

static enum step after_put(struct upload *u, const struct registry_response *res, struct error *err)
{
    if (is_success(res->status))
        return check_stored(u, res, err) < 0 ? STEP_FAILED : STEP_DONE;
    if (res->status == 413 && u->body_end > 0)
        return shrink_piece(u, u->body_end, res, err);
    registry_error(u->repo, res, u->doing, err);
    forget_session(u);
    if (strstr(err->msg, "DIGEST_INVALID")) {
        if (u->hash_refused) {
            error_set(err, ERR_CORRUPT,
                      "%s: %s computes another digest for it; 'docker model verify' says whether "
                      "the stored file is damaged",
                      u->doing, registry_repo_host(u->repo));
            return STEP_FAILED;
        }
        u->hash_refused = true;
        return STEP_AGAIN;
    }
    return res->status == 404 || res->status == 416 || status_is_passing(res->status) ? STEP_AGAIN
                                                                                      : STEP_FAILED;
}

/* The end: with all bytes when none were sent before. */
static enum step send_end(struct upload *u, struct error *err)
{
    bool with_body = u->confirmed < u->blob->size;
    u->body_from = 0;
    u->body_end = with_body ? u->blob->size : 0;
    CLEANUP_FREE char *digest = url_encode(str_from(u->blob->digest->text), "");
    CLEANUP_FREE char *path =
        xasprintf("%s%cdigest=%s", u->location, strchr(u->location, '?') ? '&' : '?', digest);
    const char *const headers[] = {"Content-Type: application/octet-stream",
                                   expect_header(u->body_end), NULL};
    struct registry_request req = {
        .method = "PUT", .path = path, .headers = headers, .timeout_ms = FINISH_TIMEOUT_MS};
    if (with_body) {
        req.read_body = read_body;
        req.rewind = rewind_body;
        req.body_size = (int64_t)u->blob->size;
    } else {
        req.body = STR("");
    }
    struct registry_response res = {0};
    int r = send_request(u, &req, &res, err);
    enum step step = r < 0 ? broken(u, err) : after_put(u, &res, err);
    registry_response_release(&res);
    if (step == STEP_AGAIN) {
        u->unsure = u->ended = true;
        if (with_body)
            forget_session(u);
    }
    return step;
}

/* After a failure: is the blob there after all, how far did the session get? Without a useful
 * answer the upload begins anew. */
static enum step settle(struct upload *u, struct error *err)
{
    struct registry_response res = {0};
    enum step step = STEP_ON;
    if (u->ended) {
        if (look_for_blob(u, false, &res, err) < 0)
            return broken(u, err);
        if (res.status == 200)
            step = STEP_DONE;
        registry_response_release(&res);
        u->ended = false;
    }
    if (step == STEP_ON && u->location) {
        struct registry_request req = {.path = u->location};
        if (registry_request(u->repo, &req, u->job->stop, &res, err) < 0)
            return broken(u, err);
        uint64_t length = 0;
        if (is_success(res.status) && res.range && range_length(res.range, &length) &&
            length <= MAX(u->body_end, u->confirmed)) {
            take_location(u, &res);
            u->confirmed = length;
        } else if (status_is_passing(res.status)) {
            registry_error(u->repo, &res, u->doing, err);
            step = STEP_AGAIN;
        } else {
            forget_session(u);
        }
        registry_response_release(&res);
    }
    u->unsure = step == STEP_AGAIN;
    return step;
}

static enum step take_step(struct upload *u, struct error *err)
{
    if (u->unsure)
        return settle(u, err);
    if (!u->location)
        return begin_session(u, err);
    bool one_request = u->whole || u->blob->size <= MAX(u->piece, u->min_piece);
    if (u->confirmed < u->blob->size && !(one_request && u->confirmed == 0))
        return send_piece(u, err);
    return send_end(u, err);
}

static int run_upload(struct upload *u, struct error *err)
{
    for (;;) {
        struct error failed = ERROR_INIT;
        enum step step = take_step(u, &failed);
        if (step == STEP_DONE)
            return 0;
        if (step == STEP_FAILED)
            return error_copy(err, &failed);
        if (u->confirmed > u->most) {
            u->most = u->confirmed;
            u->tries = 0;
        }
        if (step == STEP_ON)
            continue;
        if (++u->tries >= u->job->r->max_tries)
            return error_copy(err, &failed);
        int r = pause_ms(retry_pause_ms(u->job->r, u->tries, u->retry_after_s), u->job->stop, err);
        if (r < 0)
            return r;
    }
}

static int bring(struct upload *u, enum registry_push_state *ret, struct error *err)
{
    struct registry_response res = {0};
    int r = look_for_blob(u, true, &res, err);
    /* Whatever else it says than yes, the upload will tell more clearly. */
    bool there = r == 0 && res.status == 200;
    registry_response_release(&res);
    *ret = REGISTRY_PUSH_EXISTS;
    if (r < 0 || there)
        return r;
    r = try_mount(u, &there, err);
    *ret = REGISTRY_PUSH_MOUNTED;
    if (r < 0 || there)
        return r;
    *ret = REGISTRY_PUSH_DONE;
    r = u->job->p->open(u->job->p->ctx, u->index, &u->file, err);
    u->open = r == 0;
    return r < 0 ? r : run_upload(u, err);
}

int push__blob(struct push_job *job, struct registry_repo *repo, size_t blob, struct error *err)
{
    struct upload u = {
        .job = job,
        .repo = repo,
        .index = blob,
        .blob = &job->p->blobs[blob],
        .piece = job->p->piece_bytes ? job->p->piece_bytes : DEFAULT_PIECE,
        .retry_after_s = -1,
    };
    u.least_piece = MAX(u.piece / MAX_SHRINK, (uint64_t)1);
    u.doing = xasprintf("upload of %s", u.blob->digest->text);
    enum registry_push_state state;
    int r = bring(&u, &state, err);
    if (u.open && job->p->close)
        job->p->close(u.file);
    free(u.location);
    free(u.doing);
    if (r == 0)
        push__tell(job, blob, state, u.blob->size);
    return r;
}
