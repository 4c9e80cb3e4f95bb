/* SPDX-License-Identifier: Apache-2.0
 *
 * Models to tar streams: as an OCI image layout, and one alone in Docker Model Runner's form. */
#include "models/archive.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/archive_internal.h"
#include "models/models_internal.h"
#include "models/tar.h"
#include "oci/layout.h"

enum { CHUNK = 1 << 20 };

/* ---- one blob ---- */

static void blob_name(const struct oci_digest *d, char out[OCI_DIGEST_TEXT_MAX + 8])
{
    snprintf(out, OCI_DIGEST_TEXT_MAX + 8, "blobs/%s/%s", oci_digest_algorithm(d),
             oci_digest_hex(d));
}

int archive__send_blob(struct models *m, const struct oci_descriptor *d, artifact_sink_fn sink,
                       void *ctx, struct error *err)
{
    char name[OCI_DIGEST_TEXT_MAX + 8];
    blob_name(&d->digest, name);
    CLEANUP_FD int fd = -1;
    int r = store_open_blob(m->store, &d->digest, d->size, &fd, err);
    if (r == 0)
        r = tar_send_header(sink, ctx, name, TAR_FILE, d->size, err);
    if (r < 0)
        return r;
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

int archive__check_blobs(struct models *m, const struct oci_manifest *manifest, struct error *err)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i <= manifest->n_layers; i++) {
        const struct oci_descriptor *d =
            i < manifest->n_layers ? &manifest->layers[i] : &manifest->config;
        CLEANUP_FD int fd = -1;
        r = store_open_blob(m->store, &d->digest, d->size, &fd, err);
    }
    return r;
}

int models_check_files(struct models *m, const char *name, struct error *err)
{
    CLEANUP_META struct model_meta *meta = NULL;
    int r = models__open(m, name, MODELS_EXACT, &meta, err);
    return r == 0 ? archive__check_blobs(m, &meta->manifest, err) : r;
}

/* ---- several models ---- */

/* One model, once however many names ask for it. */
struct member {
    struct model_meta *meta;
    struct buf manifest;
};

struct models_archive {
    struct models *m;
    struct member *members;
    size_t n_members;
    const struct oci_descriptor **blobs; /* configs and layers, each once; of the members' metas */
    size_t n_blobs;
    struct oci_layout layout;
    struct buf index; /* its text */
    bool sha512;
};

static void add_blob(struct models_archive *a, const struct oci_descriptor *d)
{
    for (size_t i = 0; i < a->n_blobs; i++)
        if (oci_digest_eq(&a->blobs[i]->digest, &d->digest))
            return;
    a->blobs = xrealloc(a->blobs, a->n_blobs + 1, sizeof(struct oci_descriptor *));
    a->blobs[a->n_blobs++] = d;
    if (strcmp(oci_digest_algorithm(&d->digest), "sha256") != 0)
        a->sha512 = true;
}

static int add_member(struct models_archive *a, const struct oci_digest *id,
                      const struct member **ret, struct error *err)
{
    for (size_t i = 0; i < a->n_members; i++) {
        if (oci_digest_eq(&a->members[i].meta->id, id)) {
            *ret = &a->members[i];
            return 0;
        }
    }
    struct member fresh = {.manifest = BUF_INIT(OCI_MANIFEST_MAX_BYTES)};
    int r = models__meta_get(a->m, id, &fresh.meta, err);
    if (r < 0)
        return r;
    a->members = xrealloc(a->members, a->n_members + 1, sizeof(*a->members));
    a->members[a->n_members++] = fresh;
    struct member *x = &a->members[a->n_members - 1];
    const struct oci_manifest *manifest = &x->meta->manifest;
    r = store_read_manifest(a->m->store, id, &x->manifest, err);
    if (r == 0)
        r = archive__check_blobs(a->m, manifest, err);
    if (r < 0)
        return r;
    add_blob(a, &manifest->config);
    for (size_t i = 0; i < manifest->n_layers; i++)
        add_blob(a, &manifest->layers[i]);
    *ret = x;
    return 0;
}

static bool has_entry(const struct models_archive *a, const struct oci_digest *id, const char *name)
{
    for (size_t i = 0; i < a->layout.n; i++) {
        const struct oci_layout_entry *e = &a->layout.items[i];
        bool same = e->name && name ? strcmp(e->name, name) == 0 : !e->name && !name;
        if (same && oci_digest_eq(&e->digest, id))
            return true;
    }
    return false;
}

static int add_name(struct models_archive *a, const struct store_index *idx, const char *name,
                    struct error *err)
{
    struct oci_reference ref;
    const struct store_model *found = NULL;
    ptrdiff_t tag = -1;
    int r = oci_reference_parse(str_from(name), a->m->default_registry, &ref, err);
    if (r == 0)
        r = store_index_find(idx, &ref, &found, &tag, err);
    if (r < 0)
        return r;
    if (!found)
        return error_set(err, ERR_NOT_FOUND, "get model '\"%s\"': model not found", name);
    const struct member *x;
    r = add_member(a, &found->id, &x, err);
    if (r < 0)
        return error_wrap(err, "model '%s'", name);
    /* Old stores have tags in shorter forms. */
    char full[OCI_REFERENCE_TEXT_MAX];
    const char *text = found->n_tags ? found->tags[tag >= 0 ? tag : 0] : NULL;
    if (text && models__target(a->m, text, full, NULL) < 0)
        text = NULL;
    if (text)
        text = full;
    if (!has_entry(a, &found->id, text))
        oci_layout_add(&a->layout, &found->id, x->manifest.len, text);
    return 0;
}

int models_archive_open(struct models *m, const char *const *names, size_t n_names,
                        struct models_archive **ret, struct error *err)
{
    if (n_names == 0 || n_names > ARCHIVE_MAX_MODELS)
        return error_set(err, ERR_INVALID, "name 1 to %d models to save", ARCHIVE_MAX_MODELS);
    CLEANUP_INDEX const struct store_index *idx = NULL;
    int r = store_index_get(m->store, &idx, err);
    if (r < 0)
        return r;
    struct models_archive *a = xcalloc(1, sizeof(*a));
    a->m = m;
    a->index = BUF_INIT(OCI_LAYOUT_MAX_BYTES);
    for (size_t i = 0; r == 0 && i < n_names; i++)
        r = add_name(a, idx, names[i], err);
    if (r == 0) {
        oci_layout_write(&a->layout, &a->index);
        r = buf_check(&a->index, OCI_LAYOUT_INDEX, err);
    }
    if (r < 0) {
        models_archive_close(a);
        return r;
    }
    *ret = a;
    return 0;
}

void models_archive_close(struct models_archive *a)
{
    if (!a)
        return;
    for (size_t i = 0; i < a->n_members; i++) {
        models__meta_unref(a->members[i].meta);
        buf_release(&a->members[i].manifest);
    }
    free(a->members);
    free(a->blobs);
    oci_layout_release(&a->layout);
    buf_release(&a->index);
    free(a);
}

uint64_t models_archive_size(const struct models_archive *a)
{
    uint64_t n = tar_entry_bytes(strlen(OCI_LAYOUT_TEXT)) + tar_entry_bytes(a->index.len) +
                 (a->sha512 ? 3 : 2) * (uint64_t)TAR_BLOCK + TAR_END;
    for (size_t i = 0; i < a->n_members; i++)
        n += tar_entry_bytes(a->members[i].manifest.len);
    for (size_t i = 0; i < a->n_blobs; i++)
        n += tar_entry_bytes(a->blobs[i]->size);
    return n;
}

int models_archive_write(struct models_archive *a, artifact_sink_fn sink, void *ctx,
                         struct error *err)
{
    int r = tar_send_bytes(sink, ctx, OCI_LAYOUT_FILE, STR(OCI_LAYOUT_TEXT), err);
    if (r == 0)
        r = tar_send_bytes(sink, ctx, OCI_LAYOUT_INDEX, buf_str(&a->index), err);
    if (r == 0)
        r = tar_send_header(sink, ctx, "blobs", TAR_DIR, 0, err);
    if (r == 0)
        r = tar_send_header(sink, ctx, "blobs/sha256", TAR_DIR, 0, err);
    if (r == 0 && a->sha512)
        r = tar_send_header(sink, ctx, "blobs/sha512", TAR_DIR, 0, err);
    for (size_t i = 0; r == 0 && i < a->n_members; i++) {
        char name[OCI_DIGEST_TEXT_MAX + 8];
        blob_name(&a->members[i].meta->id, name);
        r = tar_send_bytes(sink, ctx, name, buf_str(&a->members[i].manifest), err);
    }
    for (size_t i = 0; r == 0 && i < a->n_blobs; i++)
        r = archive__send_blob(a->m, a->blobs[i], sink, ctx, err);
    return r == 0 ? tar_send_zeros(sink, ctx, TAR_END, err) : r;
}

/* ---- one model in Docker Model Runner's form ---- */

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
    if (r == 0)
        r = archive__check_blobs(m, &meta->manifest, err);
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

int models_export_write(struct models_export *e, artifact_sink_fn sink, void *ctx,
                        struct error *err)
{
    const struct oci_manifest *m = &e->meta->manifest;
    int r = tar_send_header(sink, ctx, "blobs", TAR_DIR, 0, err);
    if (r == 0)
        r = tar_send_header(sink, ctx, "blobs/sha256", TAR_DIR, 0, err);
    for (size_t i = 0; r == 0 && i < m->n_layers; i++)
        r = archive__send_blob(e->m, &m->layers[i], sink, ctx, err);
    if (r == 0)
        r = archive__send_blob(e->m, &m->config, sink, ctx, err);
    if (r == 0)
        r = tar_send_bytes(sink, ctx, "manifest.json", buf_str(&e->manifest), err);
    return r == 0 ? tar_send_zeros(sink, ctx, TAR_END, err) : r;
}
