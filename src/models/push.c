/* SPDX-License-Identifier: Apache-2.0
 *
 * Models to registries, see pull.h. */
#include <errno.h>
#include <string.h>

#include "models/job.h"
#include "registry/push.h"

/* One push; `blobs` are the layers in order, then the config. */
struct push {
    struct job *j;
    struct models *m;
    struct model_meta *meta;
    struct oci_reference ref;
    struct registry_push_blob *blobs;
    size_t n_blobs;
    size_t *rows; /* of the job's board; SIZE_MAX = not there yet */
};

static const struct oci_descriptor *blob_of(const struct push *p, size_t i)
{
    const struct oci_manifest *man = &p->meta->manifest;
    return i < man->n_layers ? &man->layers[i] : &man->config;
}

/* ---- the blobs' bytes ---- */

struct push_file {
    int fd;
};

static int on_open(void *ctx, size_t blob, void **ret_file, struct error *err)
{
    struct push *p = ctx;
    const struct oci_descriptor *d = blob_of(p, blob);
    int fd;
    int r = store_open_blob(p->m->store, &d->digest, d->size, &fd, err);
    if (r < 0)
        return r;
    struct push_file *f = xmalloc(sizeof(*f));
    f->fd = fd;
    *ret_file = f;
    return 0;
}

static int on_read(void *file, uint64_t offset, void *bytes, size_t n, struct error *err)
{
    struct push_file *f = file;
    char *at = bytes;
    while (n > 0) {
        ssize_t got = pread(f->fd, at, n, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return error_errno(err, got < 0 ? errno : EIO, "cannot read a blob of the store");
        at += got;
        offset += (uint64_t)got;
        n -= (size_t)got;
    }
    return 0;
}

static void on_close(void *file)
{
    struct push_file *f = file;
    close(f->fd);
    free(f);
}

/* Blobs that the registry had cost nothing and are not told; the config is too small to tell. */
static void on_progress(void *ctx, size_t blob, enum registry_push_state state, uint64_t done)
{
    struct push *p = ctx;
    const struct oci_descriptor *d = blob_of(p, blob);
    bool skipped = state == REGISTRY_PUSH_EXISTS || state == REGISTRY_PUSH_MOUNTED;
    if (blob >= p->meta->manifest.n_layers || (skipped && p->rows[blob] == SIZE_MAX))
        return;
    if (p->rows[blob] == SIZE_MAX)
        p->rows[blob] = job_add_layer(p->j, d->digest.text, d->size);
    job_layer(p->j, p->rows[blob], done);
}

/* ---- where a blob may be already ---- */

/* A repository of the same registry, other than the target, that a stored model with this blob was
 * pulled from (or pushed to, as its tag says). The text lives as long as the index. */
static const char *mount_source(const struct push *p, const struct store_index *idx,
                                const struct oci_digest *blob, struct oci_reference *scratch)
{
    for (size_t i = 0; i < idx->n_models; i++) {
        const struct store_model *model = &idx->models[i];
        bool has = false;
        for (size_t k = 0; k < model->n_files && !has; k++)
            has = oci_digest_eq(&model->files[k], blob);
        for (size_t k = 0; has && k < model->n_tags; k++)
            if (oci_reference_parse(str_from(model->tags[k]), NULL, scratch, NULL) == 0 &&
                strcmp(scratch->domain, p->ref.domain) == 0 &&
                strcmp(scratch->repository, p->ref.repository) != 0)
                return scratch->repository;
    }
    return NULL;
}

static void list_blobs(struct push *p, char **sources)
{
    CLEANUP_INDEX const struct store_index *idx = NULL;
    bool indexed = store_index_get(p->m->store, &idx, NULL) == 0;
    for (size_t i = 0; i < p->n_blobs; i++) {
        const struct oci_descriptor *d = blob_of(p, i);
        struct oci_reference ref;
        const char *source = indexed ? mount_source(p, idx, &d->digest, &ref) : NULL;
        sources[i] = source ? xstrdup(source) : NULL;
        p->blobs[i] = (struct registry_push_blob){
            .digest = &d->digest, .size = d->size, .mount_from = sources[i]};
        p->rows[i] = SIZE_MAX;
    }
}

/* ---- all of it ---- */

static int send_all(struct push *p, struct error *err)
{
    CLEANUP_BUF struct buf manifest = BUF_INIT(OCI_MANIFEST_MAX_BYTES);
    int r = store_read_manifest(p->m->store, &p->meta->id, &manifest, err);
    if (r < 0)
        return r;
    p->n_blobs = p->meta->manifest.n_layers + 1;
    p->blobs = xcalloc(p->n_blobs, sizeof(*p->blobs));
    p->rows = xcalloc(p->n_blobs, sizeof(*p->rows));
    char **sources = xcalloc(p->n_blobs, sizeof(*sources));
    list_blobs(p, sources);
    const struct registry_push push = {
        .ref = &p->ref,
        .bearer = job_bearer(p->j),
        .blobs = p->blobs,
        .n_blobs = p->n_blobs,
        .manifest = buf_str(&manifest),
        .manifest_type = OCI_TYPE_MANIFEST,
        .open = on_open,
        .read_at = on_read,
        .close = on_close,
        .progress = on_progress,
        .ctx = p,
    };
    r = registry_push(p->m->registry, &push, job_cancel(p->j), err);
    for (size_t i = 0; i < p->n_blobs; i++)
        free(sources[i]);
    free(sources);
    free(p->blobs);
    free(p->rows);
    return r;
}

static int push_work(struct job *j, struct models *m, struct error *err)
{
    CLEANUP_META struct model_meta *meta = NULL;
    struct push p = {.j = j, .m = m};
    int r = oci_reference_parse(str_from(job_name(j)), m->default_registry, &p.ref, err);
    if (r == 0 && (p.ref.kind == OCI_REF_ID || !p.ref.repository[0]))
        r = error_set(err, ERR_INVALID,
                      "'%s' is an id; give the model a name first: docker model tag %s NAME",
                      job_name(j), job_name(j));
    if (r == 0 && oci_reference_is_hugging_face(&p.ref))
        r = error_set(err, ERR_UNSUPPORTED,
                      "models cannot be pushed to Hugging Face; use its own tools");
    if (r == 0)
        r = models__open(m, job_name(j), MODELS_EXACT, &meta, err);
    if (r < 0)
        return r;
    p.ref.kind = OCI_REF_NAME;
    p.meta = meta;
    job_total(j, meta->bytes);
    r = send_all(&p, err);
    if (r < 0)
        return r == -ERR_CANCELED ? r : error_wrap(err, "failed to push model \"%s\"", job_name(j));
    job_done(j, "Model pushed successfully");
    return 0;
}

int models_push(struct models *m, const char *name, const char *bearer, models_event_fn fn,
                void *ctx, struct http_cancel *cancel, char ret_message[MODELS_MESSAGE_MAX],
                struct error *err)
{
    struct oci_reference ref;
    char key[OCI_REFERENCE_TEXT_MAX];
    int r = oci_reference_parse(str_from(name), m->default_registry, &ref, err);
    if (r < 0)
        return r;
    oci_reference_text(&ref, key);
    const struct job_request q = {
        .work = push_work, .kind = "push", .name = name, .key = key, .bearer = bearer};
    return job_follow(m, &q, fn, ctx, cancel, ret_message, err);
}
