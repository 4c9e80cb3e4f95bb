/* SPDX-License-Identifier: Apache-2.0
 *
 * Models into the store: from local files, and variants of those that are there. */
#include <string.h>

#include "models/models_internal.h"

static void id_text(const struct oci_digest *id, char ret[OCI_DIGEST_TEXT_MAX])
{
    memcpy(ret, id->text, OCI_DIGEST_TEXT_MAX);
}

/* ---- local files ---- */

struct add_progress {
    artifact_progress_fn fn;
    void *ctx;
    uint64_t base, total;
};

static int on_add(void *ctx, uint64_t done)
{
    struct add_progress *p = ctx;
    return p->fn ? p->fn(p->ctx, p->base + done, p->total) : 0;
}

/* Hashing is the first half of the work, storing the second. */
static int on_hash(void *ctx, uint64_t done, uint64_t total)
{
    struct add_progress *p = ctx;
    p->total = 2 * total;
    p->base = total;
    return p->fn ? p->fn(p->ctx, done, p->total) : 0;
}

static int add_artifact(struct store_txn *t, const struct artifact *a, unsigned flags,
                        struct add_progress *p, struct error *err)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < a->n_files; i++) {
        const struct artifact_file *f = &a->files[i];
        r = f->path ? store_txn_add_file(t, f->path, &f->digest, f->size,
                                         flags & MODELS_NO_COPY ? STORE_NO_COPY : 0, on_add, p, err)
                    : store_txn_hold(t, &f->digest, f->size, err);
        p->base += f->path ? f->size : 0;
    }
    struct oci_digest config;
    return r == 0 ? store_txn_add_bytes(t, str_make(a->config, a->config_len), &config, err) : r;
}

int models_artifact_texts(struct models *m, const char *name, struct buf *manifest,
                          struct buf *config, struct error *err)
{
    CLEANUP_META struct model_meta *meta = NULL;
    int r = models__open(m, name, MODELS_EXACT, &meta, err);
    if (r == 0)
        r = store_read_manifest(m->store, &meta->id, manifest, err);
    return r < 0 ? r : store_read_blob(m->store, &meta->manifest.config.digest, config, err);
}

static int package(struct models *m, const struct artifact_source *src, const char *name,
                   unsigned flags, artifact_progress_fn progress, void *progress_ctx,
                   char ret_id[OCI_DIGEST_TEXT_MAX], struct error *err)
{
    char target[OCI_REFERENCE_TEXT_MAX];
    bool named = name && *name;
    int r = named ? models__target(m, name, target, err) : 0;
    if (r < 0)
        return r;
    struct add_progress p = {.fn = progress, .ctx = progress_ctx};
    CLEANUP(cleanup_artifact) struct artifact *a = NULL;
    r = artifact_build(src, on_hash, &p, &a, err);
    if (r < 0)
        return r;
    struct store_txn *t;
    r = store_begin(m->store, &t, err);
    if (r < 0)
        return r;
    r = add_artifact(t, a, flags, &p, err);
    if (r < 0) {
        store_abort(t);
        return r;
    }
    struct oci_digest id;
    r = store_commit(t, str_make(a->manifest, a->manifest_len), named ? target : NULL, &id, err);
    if (r == 0)
        id_text(&id, ret_id);
    return r;
}

int models_package(struct models *m, const struct artifact_source *src, const char *from,
                   const char *name, unsigned flags, artifact_progress_fn progress,
                   void *progress_ctx, char ret_id[OCI_DIGEST_TEXT_MAX], struct error *err)
{
    CLEANUP_BUF struct buf manifest = BUF_INIT(OCI_MANIFEST_MAX_BYTES);
    CLEANUP_BUF struct buf config = BUF_INIT(OCI_CONFIG_MAX_BYTES);
    struct artifact_source all = *src;
    if (from) {
        int r = models_artifact_texts(m, from, &manifest, &config, err);
        if (r < 0)
            return r;
        all.base.manifest = buf_str(&manifest);
        all.base.config = buf_str(&config);
    }
    return package(m, &all, name, flags, progress, progress_ctx, ret_id, err);
}

/* ---- variants ---- */

/* Manifest and config of a variant; the config is added to the transaction. */
static int make_variant(struct models *m, struct store_txn *t, const struct model_meta *meta,
                        int32_t context_size, struct buf *manifest, struct error *err)
{
    CLEANUP_BUF struct buf config = BUF_INIT((size_t)OCI_CONFIG_MAX_BYTES * 6);
    struct oci_model_config c = {0};
    CLEANUP_BUF struct buf text = BUF_INIT(OCI_CONFIG_MAX_BYTES);
    int r = store_read_blob(m->store, &meta->manifest.config.digest, &text, err);
    if (r == 0)
        r = oci_model_config_parse(buf_str(&text), meta->kind, &c, err);
    if (r < 0)
        return r;
    c.context_size = context_size;
    oci_model_config_write(&c, &config);
    oci_model_config_release(&c);
    r = buf_check(&config, "the model config", err);

    struct oci_digest digest;
    if (r == 0)
        r = store_txn_add_bytes(t, buf_str(&config), &digest, err);
    for (size_t i = 0; r == 0 && i < meta->manifest.n_layers; i++)
        r = store_txn_hold(t, &meta->manifest.layers[i].digest, meta->manifest.layers[i].size, err);
    if (r < 0)
        return r;
    struct oci_manifest variant = meta->manifest; /* shares everything but the config */
    variant.config.digest = digest;
    variant.config.size = config.len;
    oci_manifest_write(&variant, manifest);
    return buf_check(manifest, "the manifest", err);
}

int models_repackage(struct models *m, const char *name, const char *target, int32_t context_size,
                     char ret_id[OCI_DIGEST_TEXT_MAX], struct error *err)
{
    char full[OCI_REFERENCE_TEXT_MAX];
    CLEANUP_META struct model_meta *meta = NULL;
    int r = models__target(m, target, full, err);
    if (r == 0)
        r = models__open(m, name, MODELS_EXACT, &meta, err);
    if (r < 0)
        return r;
    if (context_size <= 0) {
        r = store_tag(m->store, &meta->id, full, err);
        if (r == 0)
            id_text(&meta->id, ret_id);
        return r;
    }
    if (meta->kind == OCI_CONFIG_CNCF)
        return error_set(err, ERR_UNSUPPORTED,
                         "'%s' is a ModelPack artifact; its config has no context size", name);
    struct store_txn *t;
    r = store_begin(m->store, &t, err);
    if (r < 0)
        return r;
    CLEANUP_BUF struct buf manifest = BUF_INIT(OCI_MANIFEST_MAX_BYTES);
    r = make_variant(m, t, meta, context_size, &manifest, err);
    if (r < 0) {
        store_abort(t);
        return r;
    }
    struct oci_digest id;
    r = store_commit(t, buf_str(&manifest), full, &id, err);
    if (r == 0)
        id_text(&id, ret_id);
    return r;
}
