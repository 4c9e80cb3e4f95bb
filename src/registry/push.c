/* SPDX-License-Identifier: Apache-2.0
 *
 * A push as a whole: a look at the registry, a few threads that bring the blobs, the manifest.
 *
 * Each thread has a repository object, and so connections, of its own; tokens and what is known
 * about the host they share through struct registry. The caller's thread waits for them and passes
 * its cancellation on; the first failure stops the others. */
#include "registry/push.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "registry/internal.h"
#include "registry/push_internal.h"

enum { DEFAULT_PARALLEL = 5, MAX_PARALLEL = 32, TELL_EVERY_MS = 100 };

void push__tell(struct push_job *job, size_t blob, enum registry_push_state state, uint64_t done)
{
    if (!job->p->progress)
        return;
    int64_t now = clock_mono_ms();
    pthread_mutex_lock(&job->lock);
    struct push_told *told = &job->told[blob];
    bool final = state != REGISTRY_PUSH_SENDING;
    if (!told->final && (final || (done > told->done && now - told->at_ms >= TELL_EVERY_MS))) {
        told->done = MAX(told->done, done);
        told->at_ms = now;
        told->final = final;
        job->p->progress(job->p->ctx, blob, state, told->done);
    }
    pthread_mutex_unlock(&job->lock);
}

/* ---- the threads ---- */

static bool is_repeated(const struct registry_push *p, size_t blob)
{
    for (size_t i = 0; i < blob; i++) {
        if (oci_digest_eq(p->blobs[i].digest, p->blobs[blob].digest))
            return true;
    }
    return false;
}

static bool next_blob(struct push_job *job, size_t *ret)
{
    pthread_mutex_lock(&job->lock);
    bool more = job->failure.code == ERR_NONE && job->next < job->p->n_blobs;
    if (more)
        *ret = job->next++;
    pthread_mutex_unlock(&job->lock);
    return more;
}

static void fail(struct push_job *job, const struct error *err)
{
    pthread_mutex_lock(&job->lock);
    if (job->failure.code == ERR_NONE)
        error_copy(&job->failure, err);
    pthread_mutex_unlock(&job->lock);
    http_cancel_fire(job->stop);
}

/* A repository to push to, with access to those that blobs are mounted from. */
static int open_repo(const struct push_job *job, struct registry_repo **ret, struct error *err)
{
    const struct registry_push *p = job->p;
    struct registry_repo *repo = NULL;
    int r = registry_repo_open(job->r, p->ref, REGISTRY_PUSH, p->bearer, &repo, err);
    for (size_t i = 0; r == 0 && !job->no_mounts && i < p->n_blobs; i++) {
        const char *from = p->blobs[i].mount_from;
        bool known = !from || strcmp(from, p->ref->repository) == 0;
        for (size_t k = 0; k < i && !known; k++)
            known = p->blobs[k].mount_from && strcmp(p->blobs[k].mount_from, from) == 0;
        /* Where it is not possible, the blob is uploaded. */
        if (!known)
            registry_repo_add_scope(repo, from, NULL);
    }
    if (r < 0) {
        registry_repo_close(repo);
        return r;
    }
    *ret = repo;
    return 0;
}

static void *push_blobs(void *arg)
{
    struct push_job *job = arg;
    struct registry_repo *repo = NULL;
    struct error err = ERROR_INIT;
    int r = open_repo(job, &repo, &err);
    size_t blob;
    while (r == 0 && next_blob(job, &blob)) {
        if (is_repeated(job->p, blob))
            push__tell(job, blob, REGISTRY_PUSH_EXISTS, job->p->blobs[blob].size);
        else
            r = push__blob(job, repo, blob, &err);
    }
    if (r < 0)
        fail(job, &err);
    registry_repo_close(repo);
    ssize_t written;
    do
        written = write(job->ended_fd, "", 1);
    while (written < 0 && errno == EINTR);
    return NULL;
}

/* Until n threads have ended, with an eye on the caller's cancellation. */
static void wait_for_threads(struct push_job *job, int fd, size_t n, struct http_cancel *cancel)
{
    bool passed_on = false;
    for (size_t ended = 0; ended < n;) {
        struct pollfd fds[2] = {{.fd = fd, .events = POLLIN},
                                {.fd = passed_on ? -1 : http_cancel_fd(cancel), .events = POLLIN}};
        if (poll(fds, 2, -1) < 0)
            continue;
        if (!passed_on && http_cancel_fired(cancel)) {
            passed_on = true;
            http_cancel_fire(job->stop);
        }
        char bytes[MAX_PARALLEL];
        if (fds[0].revents) {
            ssize_t got = read(fd, bytes, sizeof(bytes));
            if (got > 0)
                ended += (size_t)got;
        }
    }
}

static int bring_blobs(struct push_job *job, struct http_cancel *cancel, struct error *err)
{
    int fds[2];
    if (pipe(fds) < 0)
        return error_errno(err, errno, "push: no pipe for its threads");
    CLEANUP_FD int read_fd = fds[0];
    CLEANUP_FD int write_fd = fds[1];
    job->ended_fd = write_fd;
    unsigned wanted = job->p->max_parallel ? job->p->max_parallel : DEFAULT_PARALLEL;
    size_t most = MIN((size_t)MIN(wanted, (unsigned)MAX_PARALLEL), job->p->n_blobs), n = 0;
    pthread_t threads[MAX_PARALLEL];
    int failed = 0;
    while (n < most && failed == 0) {
        failed = pthread_create(&threads[n], NULL, push_blobs, job);
        n += failed == 0;
    }
    if (failed != 0 && n == 0)
        return error_errno(err, failed, "push: no thread for its uploads");
    wait_for_threads(job, read_fd, n, cancel);
    for (size_t i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
    if (http_cancel_fired(cancel))
        return error_set(err, ERR_CANCELED, "the push was canceled");
    return job->failure.code != ERR_NONE ? error_copy(err, &job->failure) : 0;
}

/* ---- before and after ---- */

/* Is there a registry that lets us in? Leaves the token behind for the threads. */
static int knock(struct push_job *job, struct http_cancel *cancel, struct registry_repo **ret,
                 struct error *err)
{
    struct registry_repo *repo = NULL;
    int r = open_repo(job, &repo, err);
    if (r < 0)
        return r;
    struct registry_request req = {.path = "/v2/", .idempotent = true};
    struct registry_response res = {0};
    r = registry_request(repo, &req, cancel, &res, err);
    if (r == 0 && (res.status == 401 || res.status == 403 || res.status == 429))
        r = registry_error(repo, &res, "push", err);
    registry_response_release(&res);
    if (r < 0) {
        registry_repo_close(repo);
        return r;
    }
    *ret = repo;
    return 0;
}

static bool has_mounts(const struct registry_push *p)
{
    for (size_t i = 0; i < p->n_blobs; i++) {
        if (p->blobs[i].mount_from)
            return true;
    }
    return false;
}

static int put_manifest(struct push_job *job, struct registry_repo *repo,
                        struct http_cancel *cancel, struct error *err)
{
    const struct registry_push *p = job->p;
    struct oci_digest own = oci_digest_of(p->manifest);
    const char *which = *p->ref->tag ? p->ref->tag : p->ref->digest.text;
    if (!*p->ref->tag && strcmp(which, own.text) != 0)
        return error_set(err, ERR_INVALID, "the model to push is %s and not %s", own.text, which);
    CLEANUP_FREE char *path = xasprintf("/v2/%s/manifests/%s", registry_repo_name(repo), which);
    CLEANUP_FREE char *type = xasprintf("Content-Type: %s", p->manifest_type);
    const char *const headers[] = {type, NULL};
    struct registry_request req = {
        .method = "PUT", .path = path, .headers = headers, .body = p->manifest, .idempotent = true};
    struct registry_response res = {0};
    int r = registry_request(repo, &req, cancel, &res, err);
    if (r == 0 && (res.status < 200 || res.status > 299))
        r = registry_error(repo, &res, "push of the manifest", err);
    else if (r == 0 && res.docker_content_digest &&
             strcmp(res.docker_content_digest, own.text) != 0)
        r = error_set(err, ERR_CORRUPT, "%s stored the manifest as %s instead of %s",
                      registry_repo_host(repo), res.docker_content_digest, own.text);
    registry_response_release(&res);
    return r;
}

int registry_push(struct registry *r, const struct registry_push *p, struct http_cancel *cancel,
                  struct error *err)
{
    if (oci_reference_is_hugging_face(p->ref))
        return error_set(
            err, ERR_UNSUPPORTED,
            "models cannot be pushed to Hugging Face; push to an OCI registry, or upload "
            "the files with Hugging Face's own tools");
    struct push_job job = {.r = r, .p = p, .stop = http_cancel_new(), .ended_fd = -1};
    pthread_mutex_init(&job.lock, NULL);
    job.told = xcalloc(p->n_blobs + 1, sizeof(*job.told));
    struct registry_repo *repo = NULL;
    int res = knock(&job, cancel, &repo, err);
    if (res == -ERR_DENIED && has_mounts(p)) {
        job.no_mounts = true;
        res = knock(&job, cancel, &repo, err);
    }
    if (res == 0)
        res = bring_blobs(&job, cancel, err);
    if (res == 0)
        res = put_manifest(&job, repo, cancel, err);
    registry_repo_close(repo);
    http_cancel_free(job.stop);
    free(job.told);
    pthread_mutex_destroy(&job.lock);
    return res;
}
