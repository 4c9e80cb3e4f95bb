/* SPDX-License-Identifier: Apache-2.0
 *
 * Models into the store and out of it: from local files, from and to tar streams, and variants. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/models_internal.h"
#include "models/tar.h"

enum { CHUNK = 1 << 20, TAR_MAX_TRAILER = 1 << 20 };

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

static int add_artifact(struct store_txn *t, const struct artifact *a, struct add_progress *p,
                        struct error *err)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < a->n_files; i++) {
        const struct artifact_file *f = &a->files[i];
        r = store_txn_add_file(t, f->path, &f->digest, f->size, on_add, p, err);
        p->base += f->size;
    }
    struct oci_digest config;
    return r == 0 ? store_txn_add_bytes(t, str_make(a->config, a->config_len), &config, err) : r;
}

int models_package(struct models *m, const struct artifact_source *src, const char *name,
                   artifact_progress_fn progress, void *progress_ctx,
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
    r = add_artifact(t, a, &p, err);
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

/* ---- from a tar stream ---- */

/* Judges an entry's name. *ret_digest is filled, and true returned, for a blob. */
static int classify(const char *name, bool *ret_manifest, bool *ret_blob,
                    struct oci_digest *ret_digest, struct error *err)
{
    struct str s = str_from(name), rest, part, parts[3];
    while (str_starts_with(s, STR("./")))
        s = str_sub(s, 2, SIZE_MAX);
    size_t n = 0;
    rest = s;
    while (str_split_next(&rest, '/', &part)) {
        if (str_eq_c(part, ".."))
            return error_set(err, ERR_INVALID, "invalid path detected: %s", name);
        if (n < ARRAY_LEN(parts))
            parts[n] = part;
        n++;
    }
    *ret_manifest = str_eq_c(s, "manifest.json");
    *ret_blob = false;
    if (n != 3 || !str_eq_c(parts[0], "blobs"))
        return 0;
    CLEANUP_FREE char *digest = xasprintf("%.*s:%.*s", STR_ARG(parts[1]), STR_ARG(parts[2]));
    *ret_blob = oci_digest_parse(str_from(digest), ret_digest, NULL) == 0;
    return 0;
}

static int load_blob(struct store_txn *t, struct tar_reader *tar, const struct oci_digest *digest,
                     uint64_t size, char *chunk, struct error *err)
{
    if (store_txn_hold(t, digest, size, NULL) == 0)
        return 0; /* the reader skips the data */
    struct store_sink *k;
    int r = store_sink_open(t, digest, size, &k, err);
    if (r < 0)
        return r;
    ssize_t n;
    while ((n = tar_read(tar, chunk, CHUNK, err)) > 0) {
        r = store_sink_write(k, chunk, (size_t)n, err);
        if (r < 0)
            break;
    }
    if (n < 0 || r < 0) {
        store_sink_abandon(k);
        return n < 0 ? (int)n : r;
    }
    return store_sink_finish(k, NULL, err);
}

static int load_manifest(struct tar_reader *tar, uint64_t size, struct buf *out, struct error *err)
{
    if (size > OCI_MANIFEST_MAX_BYTES)
        return error_set(err, ERR_TOO_LARGE, "manifest.json has %llu bytes; at most %d are allowed",
                         (unsigned long long)size, OCI_MANIFEST_MAX_BYTES);
    buf_clear(out);
    char *p = buf_reserve(out, (size_t)size + 1);
    if (!p)
        return buf_check(out, "manifest.json", err);
    while (out->len < size) {
        ssize_t n = tar_read(tar, p + out->len, (size_t)size - out->len, err);
        if (n <= 0)
            return n < 0 ? (int)n : error_set(err, ERR_CORRUPT, "unexpected EOF");
        buf_added(out, (size_t)n);
    }
    return 0;
}

static int load_entries(struct store_txn *t, struct tar_reader *tar, struct buf *manifest,
                        struct error *err)
{
    CLEANUP_FREE char *chunk = xmalloc(CHUNK);
    struct tar_entry e;
    size_t n_blobs = 0;
    int r;
    while ((r = tar_next(tar, &e, err)) > 0) {
        struct oci_digest digest;
        bool is_manifest = false, is_blob = false;
        r = classify(e.name, &is_manifest, &is_blob, &digest, err);
        if (r < 0)
            return r;
        if (e.type != TAR_FILE)
            continue;
        if (is_blob && ++n_blobs > OCI_MANIFEST_MAX_LAYERS + 1)
            return error_set(err, ERR_TOO_LARGE, "more than %d blobs", OCI_MANIFEST_MAX_LAYERS + 1);
        if (is_manifest)
            r = load_manifest(tar, e.size, manifest, err);
        else if (is_blob)
            r = load_blob(t, tar, &digest, e.size, chunk, err);
        if (r < 0)
            return r;
    }
    return r;
}

/* Reads what stands behind the archive's end, so that the sender can finish. */
static void drain(models_read_fn read, void *ctx)
{
    char scratch[4096];
    struct error ignored;
    for (size_t done = 0; done < TAR_MAX_TRAILER;) {
        ssize_t n = read(ctx, scratch, sizeof(scratch), &ignored);
        if (n <= 0)
            return;
        done += (size_t)n;
    }
}

int models_load(struct models *m, models_read_fn read, void *ctx, char ret_id[OCI_DIGEST_TEXT_MAX],
                struct error *err)
{
    struct store_txn *t;
    int r = store_begin(m->store, &t, err);
    if (r < 0)
        return r;
    CLEANUP_BUF struct buf manifest = BUF_INIT(OCI_MANIFEST_MAX_BYTES + 1);
    struct error why = ERROR_INIT;
    struct tar_reader tar;
    tar_reader_init(&tar, read, ctx);
    r = load_entries(t, &tar, &manifest, &why);
    tar_reader_release(&tar);
    if (r == 0 && manifest.len == 0)
        r = error_set(&why, ERR_INVALID, "manifest not found");
    if (r < 0) {
        store_abort(t);
        if (strcmp(why.msg, "unexpected EOF") == 0)
            error_wrap(&why, "model load interrupted");
        return error_copy(err, &why);
    }
    drain(read, ctx);
    struct oci_digest id;
    r = store_commit(t, buf_str(&manifest), NULL, &id, err);
    if (r == 0)
        id_text(&id, ret_id);
    return r;
}

/* ---- to a tar stream ---- */

struct models_export {
    struct models *m;
    struct model_meta *meta;
    struct buf manifest;
};

int models_export_open(struct models *m, const char *name, struct models_export **ret,
                       struct error *err)
{
    struct model_meta *meta = NULL;
    int r = models__open(m, name, MODELS_EXACT, &meta, err);
    if (r < 0)
        return r;
    struct models_export *e = xcalloc(1, sizeof(*e));
    *e = (struct models_export){.m = m, .meta = meta, .manifest = BUF_INIT(OCI_MANIFEST_MAX_BYTES)};
    r = store_read_manifest(m->store, &meta->id, &e->manifest, err);
    for (size_t i = 0; r == 0 && i < meta->manifest.n_layers; i++) {
        const struct oci_descriptor *d = &meta->manifest.layers[i];
        int fd;
        r = store_open_blob(m->store, &d->digest, d->size, &fd, err);
        if (r == 0)
            close(fd);
    }
    if (r < 0) {
        models_export_close(e);
        return r;
    }
    *ret = e;
    return 0;
}

void models_export_close(struct models_export *e)
{
    if (!e)
        return;
    models__meta_unref(e->meta);
    buf_release(&e->manifest);
    free(e);
}

uint64_t models_export_size(const struct models_export *e)
{
    const struct oci_manifest *m = &e->meta->manifest;
    uint64_t n = 2 * (uint64_t)TAR_BLOCK + TAR_END;
    for (size_t i = 0; i < m->n_layers; i++)
        n += tar_entry_bytes(m->layers[i].size);
    return n + tar_entry_bytes(m->config.size) + tar_entry_bytes(e->manifest.len);
}

/* Sends a blob and checks it on the way: damage must not spread. */
static int export_blob(struct models_export *e, const struct oci_descriptor *d,
                       artifact_sink_fn sink, void *ctx, struct error *err)
{
    char name[OCI_DIGEST_TEXT_MAX + 8];
    snprintf(name, sizeof(name), "blobs/%s/%s", oci_digest_algorithm(&d->digest),
             oci_digest_hex(&d->digest));
    CLEANUP_FD int fd = -1;
    int r = store_open_blob(e->m->store, &d->digest, d->size, &fd, err);
    if (r == 0)
        r = tar_send_header(sink, ctx, name, TAR_FILE, d->size, err);
    CLEANUP_FREE char *chunk = xmalloc(CHUNK);
    struct sha256 *hash = sha256_new();
    for (uint64_t left = d->size; r == 0 && left > 0;) {
        ssize_t n = read(fd, chunk, (size_t)MIN((uint64_t)CHUNK, left));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            r = error_errno(err, n < 0 ? errno : EIO, "cannot read blob %s", d->digest.text);
            break;
        }
        sha256_update(hash, chunk, (size_t)n);
        left -= (uint64_t)n;
        r = sink(ctx, chunk, (size_t)n, err);
    }
    char hex[SHA256_HEX + 1];
    sha256_final_hex(hash, hex);
    bool checked = strcmp(oci_digest_algorithm(&d->digest), "sha256") == 0;
    if (r == 0 && checked && strcmp(hex, oci_digest_hex(&d->digest)) != 0)
        r = error_set(err, ERR_CORRUPT, "blob %s is damaged: its content has the digest sha256:%s",
                      d->digest.text, hex);
    return r == 0 ? tar_send_zeros(sink, ctx, tar_padding(d->size), err) : r;
}

int models_export_write(struct models_export *e, artifact_sink_fn sink, void *ctx,
                        struct error *err)
{
    const struct oci_manifest *m = &e->meta->manifest;
    int r = tar_send_header(sink, ctx, "blobs", TAR_DIR, 0, err);
    if (r == 0)
        r = tar_send_header(sink, ctx, "blobs/sha256", TAR_DIR, 0, err);
    for (size_t i = 0; r == 0 && i < m->n_layers; i++)
        r = export_blob(e, &m->layers[i], sink, ctx, err);
    if (r == 0)
        r = export_blob(e, &m->config, sink, ctx, err);
    if (r == 0)
        r = tar_send_bytes(sink, ctx, "manifest.json", buf_str(&e->manifest), err);
    return r == 0 ? tar_send_zeros(sink, ctx, TAR_END, err) : r;
}
