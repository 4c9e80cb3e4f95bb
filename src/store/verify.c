/* SPDX-License-Identifier: Apache-2.0
 *
 * Disk usage, and reading everything again to see whether it is still what it was. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "store/store_internal.h"

/* ---- usage ---- */

struct usage {
    uint64_t bytes;
    struct inode {
        dev_t dev;
        ino_t ino;
    } * seen; /* open-addressing table of files with several names; ino 0 = free */
    size_t n, cap;
};

/* True when the inode is new. */
static bool remember(struct usage *u, dev_t dev, ino_t ino)
{
    if (2 * u->n >= u->cap) {
        struct usage bigger = {.cap = u->cap ? 2 * u->cap : 256};
        bigger.seen = xcalloc(bigger.cap, sizeof(*bigger.seen));
        for (size_t i = 0; i < u->cap; i++)
            if (u->seen[i].ino)
                remember(&bigger, u->seen[i].dev, u->seen[i].ino);
        free(u->seen);
        u->seen = bigger.seen;
        u->cap = bigger.cap;
    }
    size_t at = (size_t)((uint64_t)ino * 0x9e3779b97f4a7c15u >> 20) & (u->cap - 1);
    for (; u->seen[at].ino; at = (at + 1) & (u->cap - 1))
        if (u->seen[at].ino == ino && u->seen[at].dev == dev)
            return false;
    u->seen[at] = (struct inode){dev, ino};
    u->n++;
    return true;
}

/* Adds the directory that `fd` (taken over) is open on. Files that vanish meanwhile do not count.
 */
static void walk(struct usage *u, int fd, int depth)
{
    DIR *d = depth < 64 ? fdopendir(fd) : NULL;
    if (!d) {
        close(fd);
        return;
    }
    for (struct dirent *e; (e = readdir(d));) {
        struct stat st;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
            fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        if (S_ISREG(st.st_mode) && (st.st_nlink == 1 || remember(u, st.st_dev, st.st_ino)))
            u->bytes += (uint64_t)st.st_size;
        if (!S_ISDIR(st.st_mode))
            continue;
        int sub = openat(fd, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (sub >= 0)
            walk(u, sub, depth + 1);
    }
    closedir(d);
}

int store_disk_usage(struct store *s, uint64_t *ret, struct error *err)
{
    int root;
    int r = store__open_root(s, &root, err);
    if (r < 0)
        return r;
    struct usage u = {0};
    walk(&u, root, 0);
    free(u.seen);
    *ret = u.bytes;
    return 0;
}

/* ---- verify ---- */

struct verify {
    struct store *s;
    store_found_fn found;
    store_verify_fn progress;
    void *ctx;
    const char *name; /* of the model being read */
    uint64_t done, total;
    size_t bad;
    bool canceled;
    struct oci_digest *good; /* blobs that were read and are right; models share blobs */
    size_t n_good;
};

/* Was the model removed while it was being read? Then nothing is wrong with it. */
static bool is_gone(struct store *s, const struct oci_digest *id)
{
    CLEANUP_INDEX const struct store_index *idx = NULL;
    if (store_index_get(s, &idx, NULL) < 0)
        return false;
    for (size_t i = 0; i < idx->n_models; i++)
        if (oci_digest_eq(&idx->models[i].id, id))
            return false;
    return true;
}

static void report(struct verify *v, const struct store_model *m, const char *trouble)
{
    if (is_gone(v->s, &m->id))
        return;
    char sentence[ERROR_MSG_MAX + 1024];
    if (m->n_tags)
        snprintf(sentence, sizeof(sentence),
                 "%.256s (%.19s): %s; get it again with 'docker model pull %.256s' (or package it "
                 "again)",
                 m->tags[0], m->id.text, trouble, m->tags[0]);
    else
        snprintf(sentence, sizeof(sentence),
                 "<none> (%.19s): %s; remove it with 'docker model rm %.12s', or pull or package "
                 "it again",
                 m->id.text, trouble, oci_digest_hex(&m->id));
    v->bad++;
    if (v->found)
        v->found(v->ctx, sentence);
}

static int on_bytes(void *ctx, uint64_t done)
{
    struct verify *v = ctx;
    if (v->progress && v->progress(v->ctx, v->name, v->done + done, v->total) != 0)
        v->canceled = true;
    return v->canceled;
}

static void verify_blob(struct verify *v, const struct store_model *m,
                        const struct oci_descriptor *d)
{
    bool known = false;
    for (size_t i = 0; i < v->n_good && !known; i++)
        known = oci_digest_eq(&v->good[i], &d->digest);
    struct error why;
    if (!known && store__hash_blob(v->s, &d->digest, d->size, on_bytes, v, &why) < 0) {
        if (!v->canceled)
            report(v, m, why.msg);
    } else if (!known) {
        v->good = xrealloc(v->good, v->n_good + 1, sizeof(*v->good));
        v->good[v->n_good++] = d->digest;
    }
    v->done += d->size;
}

static void verify_model(struct verify *v, const struct store_model *m)
{
    CLEANUP_BUF struct buf text = BUF_INIT(OCI_MANIFEST_MAX_BYTES);
    struct oci_manifest manifest = {0};
    struct error why;
    v->name = m->n_tags ? m->tags[0] : m->id.text;
    if (store_read_manifest(v->s, &m->id, &text, &why) < 0 ||
        oci_manifest_parse(buf_str(&text), &manifest, &why) < 0) {
        report(v, m, why.msg);
        return;
    }
    bool same = m->n_files == manifest.n_layers + 1;
    for (size_t i = 0; same && i < manifest.n_layers; i++)
        same = oci_digest_eq(&m->files[i], &manifest.layers[i].digest);
    if (!same || !oci_digest_eq(&m->files[manifest.n_layers], &manifest.config.digest))
        report(v, m, "models.json and the manifest name different files");
    verify_blob(v, m, &manifest.config);
    for (size_t i = 0; i < manifest.n_layers && !v->canceled; i++)
        verify_blob(v, m, &manifest.layers[i]);
    oci_manifest_release(&manifest);
}

/* Bytes that are going to be read; what cannot be read does not count. */
static uint64_t bytes_of(struct store *s, const struct store_model *m)
{
    CLEANUP_BUF struct buf text = BUF_INIT(OCI_MANIFEST_MAX_BYTES);
    struct oci_manifest manifest = {0};
    uint64_t n = 0;
    if (store_read_manifest(s, &m->id, &text, NULL) < 0 ||
        oci_manifest_parse(buf_str(&text), &manifest, NULL) < 0)
        return 0;
    if (oci_manifest_layer_bytes(&manifest, &n, NULL) == 0)
        n += manifest.config.size;
    oci_manifest_release(&manifest);
    return n;
}

int store_verify(struct store *s, const struct oci_digest *id, store_found_fn found,
                 store_verify_fn progress, void *ctx, size_t *ret_bad, struct error *err)
{
    CLEANUP_INDEX const struct store_index *idx = NULL;
    int r = store_index_get(s, &idx, err);
    if (r < 0)
        return r;
    struct verify v = {.s = s, .found = found, .progress = progress, .ctx = ctx};
    for (size_t i = 0; progress && i < idx->n_models; i++)
        if (!id || oci_digest_eq(&idx->models[i].id, id))
            v.total += bytes_of(s, &idx->models[i]);
    for (size_t i = 0; i < idx->n_models && !v.canceled; i++)
        if (!id || oci_digest_eq(&idx->models[i].id, id))
            verify_model(&v, &idx->models[i]);
    free(v.good);
    if (v.canceled)
        return error_set(err, ERR_CANCELED, "canceled");
    *ret_bad = v.bad;
    return 0;
}
