/* SPDX-License-Identifier: Apache-2.0
 *
 * Publications: blobs are gathered under temporary names, then named, with the manifest and the
 * index, in one short step under the index lock.
 *
 *     store_begin ── sink / add_bytes / add_file / hold ──► "ingest-….incomplete", fsynced
 *          │
 *          └── store_commit: lock index
 *                rename each blob the manifest names (or find it there) → fsync directory
 *                write manifest → write index                             → unlock */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "store/store_internal.h"

/* A blob gathered so far. */
struct staged {
    struct oci_digest digest;
    uint64_t size;
    char name[96];  /* in blobs/sha256; "" once it has been renamed or removed */
    bool published; /* this transaction gave it its final name */
};

struct store_txn {
    struct store *s;
    struct store_lock writers;
    int dir; /* blobs/sha256 */
    struct staged *staged;
    size_t n_staged;
};

int store_begin(struct store *s, struct store_txn **ret, struct error *err)
{
    struct store_txn *t = xcalloc(1, sizeof(*t));
    t->s = s;
    t->dir = -1;
    t->writers = (struct store_lock)STORE_LOCK_INIT;
    int r = store__lock_writers(s, false, &t->writers, err);
    if (r == 0)
        r = store__open_area(s, STORE_BLOBS, "sha256", true, &t->dir, err);
    if (r < 0) {
        store_abort(t);
        return r;
    }
    *ret = t;
    return 0;
}

void store_abort(struct store_txn *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->n_staged; i++)
        if (t->staged[i].name[0])
            unlinkat(t->dir, t->staged[i].name, 0);
    free(t->staged);
    if (t->dir >= 0)
        close(t->dir);
    store__unlock(&t->writers);
    free(t);
}

static struct staged *find_staged(const struct store_txn *t, const struct oci_digest *digest)
{
    for (size_t i = 0; i < t->n_staged; i++)
        if (oci_digest_eq(&t->staged[i].digest, digest))
            return &t->staged[i];
    return NULL;
}

/* Takes over a finished temporary file. */
static void stage(struct store_txn *t, const struct oci_digest *digest, uint64_t size,
                  const char *name)
{
    if (find_staged(t, digest)) {
        unlinkat(t->dir, name, 0);
        return;
    }
    t->staged = xrealloc(t->staged, t->n_staged + 1, sizeof(*t->staged));
    struct staged *b = &t->staged[t->n_staged++];
    *b = (struct staged){.digest = *digest, .size = size};
    snprintf(b->name, sizeof(b->name), "%s", name);
}

struct store *store__txn_store(const struct store_txn *t)
{
    return t->s;
}

int store__txn_dir(const struct store_txn *t)
{
    return t->dir;
}

void store__txn_stage(struct store_txn *t, const struct oci_digest *digest, uint64_t size,
                      const char *name)
{
    stage(t, digest, size, name);
}

/* ---- sinks ---- */

struct store_sink {
    struct store_txn *t;
    int fd;
    char name[96];
    struct sha256 *hash;
    struct oci_digest want; /* text "" = any */
    uint64_t size;          /* UINT64_MAX = not known */
    uint64_t written;
};

static void sink_free(struct store_sink *k)
{
    if (k->fd >= 0)
        close(k->fd);
    sha256_free(k->hash);
    free(k);
}

/* Creates the temporary file. */
static int open_temp(struct store_txn *t, char name[96], int *ret_fd, struct error *err)
{
    store__temp_name(t->s, STORE_TEMP_PREFIX, STORE_INCOMPLETE, name);
    int fd = openat(t->dir, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0)
        return error_errno(err, errno, "cannot create a file in the model store '%s'", t->s->root);
    *ret_fd = fd;
    return 0;
}

int store_sink_open(struct store_txn *t, const struct oci_digest *want, uint64_t size,
                    struct store_sink **ret, struct error *err)
{
    if (want && strcmp(oci_digest_algorithm(want), "sha256") != 0)
        return error_set(err, ERR_UNSUPPORTED, "%.20s…: only sha256 blobs can be stored",
                         want->text);
    struct store_sink *k = xcalloc(1, sizeof(*k));
    k->t = t;
    k->fd = -1;
    k->size = size;
    if (want)
        k->want = *want;
    int r = open_temp(t, k->name, &k->fd, err);
    if (r < 0) {
        sink_free(k);
        return r;
    }
    k->hash = sha256_new();
    if (size != UINT64_MAX)
        r = store__reserve(k->fd, size, want ? want->text : "a blob", err);
    if (r < 0) {
        store_sink_abandon(k);
        return r;
    }
    *ret = k;
    return 0;
}

int store_sink_write(struct store_sink *k, const void *p, size_t n, struct error *err)
{
    if (k->size != UINT64_MAX && n > k->size - k->written)
        return error_set(err, ERR_CORRUPT, "blob %s is longer than the %llu bytes announced",
                         k->want.text, (unsigned long long)k->size);
    int r = fd_write_all(k->fd, "to the model store", p, n, err);
    if (r < 0)
        return r;
    sha256_update(k->hash, p, n);
    k->written += n;
    return 0;
}

void store_sink_abandon(struct store_sink *k)
{
    if (!k)
        return;
    unlinkat(k->t->dir, k->name, 0);
    sink_free(k);
}

int store_sink_finish(struct store_sink *k, struct oci_digest *ret, struct error *err)
{
    int r = 0;
    if (k->size != UINT64_MAX && k->written != k->size)
        r = error_set(err, ERR_CORRUPT, "blob %s ended after %llu of %llu bytes", k->want.text,
                      (unsigned long long)k->written, (unsigned long long)k->size);
    char hex[SHA256_HEX + 1];
    sha256_final_hex(TAKE(k->hash), hex);
    struct oci_digest got = oci_digest_from_sha256_hex(hex);
    if (r == 0 && k->want.text[0] && !oci_digest_eq(&got, &k->want))
        r = error_set(err, ERR_CORRUPT, "blob digest mismatch for \"%s\": expected %s, got %s",
                      k->want.text, k->want.text, got.text);
    if (r == 0 && fsync(k->fd) != 0)
        r = error_errno(err, errno, "cannot sync a blob of the model store");
    if (r < 0) {
        store_sink_abandon(k);
        return r;
    }
    stage(k->t, &got, k->written, k->name);
    sink_free(k);
    if (ret)
        *ret = got;
    return 0;
}

/* ---- other ways in ---- */

int store_txn_add_bytes(struct store_txn *t, struct str bytes, struct oci_digest *ret,
                        struct error *err)
{
    struct store_sink *k;
    int r = store_sink_open(t, NULL, bytes.len, &k, err);
    if (r < 0)
        return r;
    r = store_sink_write(k, bytes.ptr, bytes.len, err);
    if (r < 0) {
        store_sink_abandon(k);
        return r;
    }
    return store_sink_finish(k, ret, err);
}

int store_txn_hold(struct store_txn *t, const struct oci_digest *digest, uint64_t size,
                   struct error *err)
{
    const struct staged *there = find_staged(t, digest);
    if (there && there->size != size)
        return error_set(err, ERR_CORRUPT, "blob %s has %llu bytes instead of %llu", digest->text,
                         (unsigned long long)there->size, (unsigned long long)size);
    if (there)
        return 0;
    if (strcmp(oci_digest_algorithm(digest), "sha256") != 0)
        return 0; /* never removed by us while it is named; commit looks for it */
    struct stat st;
    if (fstatat(t->dir, oci_digest_hex(digest), &st, AT_SYMLINK_NOFOLLOW) != 0 ||
        !S_ISREG(st.st_mode) || (uint64_t)st.st_size != size)
        return error_set(err, ERR_NOT_FOUND, "blob %s is not in the store", digest->text);
    char name[96];
    store__temp_name(t->s, STORE_TEMP_PREFIX, STORE_INCOMPLETE, name);
    int r = store__link_or_copy(t->dir, oci_digest_hex(digest), t->dir, name, digest->text, err);
    if (r == 0)
        stage(t, digest, size, name);
    return r;
}

static int open_local(const char *path, uint64_t size, int *ret, struct error *err)
{
    CLEANUP_FD int fd = -1;
    struct stat st;
    int r = file_open_regular(path, &fd, &st, err);
    if (r < 0)
        return r;
    if ((uint64_t)st.st_size != size)
        return error_set(err, ERR_CONFLICT, "'%s' changed while it was being packaged", path);
    *ret = TAKE_FD(fd);
    return 0;
}

/* Puts the file `from` in the place of the empty temporary one: a link to the very file that is
 * open, whatever its name means by now. 0, or an errno. */
static int link_in(const struct store_txn *t, int from, const char *name)
{
    char self[64], other[128];
    snprintf(self, sizeof(self), "/proc/self/fd/%d", from);
    snprintf(other, sizeof(other), "%s.link", name);
    if (linkat(AT_FDCWD, self, t->dir, other, AT_SYMLINK_FOLLOW) != 0)
        return errno;
    if (renameat(t->dir, other, t->dir, name) == 0)
        return 0;
    int e = errno;
    unlinkat(t->dir, other, 0);
    return e;
}

/* Fills the temporary file `to`, `name`, and hashes what is in it then. */
static int take_in(const struct store_txn *t, const char *path, int to, const char *name,
                   uint64_t size, unsigned flags, struct oci_digest *ret,
                   store_progress_fn progress, void *ctx, struct error *err)
{
    CLEANUP_FD int from = -1;
    int r = open_local(path, size, &from, err);
    if (r < 0)
        return r;
    /* A clone is a snapshot: hash it, rather than the file that may go on changing. */
    bool cloned = store__clone(from, to);
    int e = cloned ? 0 : link_in(t, from, name);
    bool linked = !cloned && e == 0;
    if (e != 0 && (flags & STORE_NO_COPY)) {
        struct error why = ERROR_INIT;
        error_errno(&why, e, "'%s' can only be copied into the model store, not linked", path);
        return error_set(err, ERR_UNSUPPORTED, "%s", why.msg);
    }
    if (e != 0)
        r = store__reserve(to, size, path, err);
    struct sha256 *hash = sha256_new();
    if (r == 0)
        r = store__copy(cloned ? to : from, cloned || linked ? -1 : to, path, size, hash, progress,
                        ctx, err);
    if (r < 0) {
        sha256_free(hash);
        return r;
    }
    char hex[SHA256_HEX + 1];
    sha256_final_hex(hash, hex);
    *ret = oci_digest_from_sha256_hex(hex);
    if (fsync(linked ? from : to) != 0)
        return error_errno(err, errno, "cannot sync a blob of the model store");
    return 0;
}

int store_txn_add_file(struct store_txn *t, const char *path, const struct oci_digest *want,
                       uint64_t size, unsigned flags, store_progress_fn progress, void *ctx,
                       struct error *err)
{
    if (find_staged(t, want) || store_txn_hold(t, want, size, NULL) == 0)
        return 0;
    char name[96];
    CLEANUP_FD int fd = -1;
    int r = open_temp(t, name, &fd, err);
    if (r < 0)
        return r;
    struct oci_digest got;
    r = take_in(t, path, fd, name, size, flags, &got, progress, ctx, err);
    if (r == 0 && !oci_digest_eq(&got, want))
        r = error_set(err, ERR_CONFLICT, "'%s' changed while it was being packaged", path);
    if (r < 0) {
        unlinkat(t->dir, name, 0);
        return r;
    }
    stage(t, want, size, name);
    return 0;
}

int store_txn_read(struct store_txn *t, const struct oci_digest *digest, struct buf *out,
                   struct error *err)
{
    const struct staged *b = find_staged(t, digest);
    if (!b)
        return error_set(err, ERR_NOT_FOUND, "blob %s is missing", digest->text);
    const char *name = b->name[0] ? b->name : oci_digest_hex(digest);
    return store__read_at(t->dir, name, digest->text, out, err);
}

/* ---- commit ---- */

static bool is_blob(const struct store_txn *t, const struct oci_digest *digest, uint64_t size)
{
    struct stat st;
    return fstatat(t->dir, oci_digest_hex(digest), &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISREG(st.st_mode) && (uint64_t)st.st_size == size;
}

/* Gives one blob of the manifest its final name. */
static int publish_blob(struct store_txn *t, const struct oci_descriptor *d, struct error *err)
{
    struct staged *b = find_staged(t, &d->digest);
    if (!b) {
        if (store_has_blob(t->s, &d->digest, d->size))
            return 0;
        return error_set(
            err, ERR_CORRUPT,
            "missing blob \"%s\" for manifest - refusing to write unless all blobs exist",
            d->digest.text);
    }
    if (b->size != d->size)
        return error_set(err, ERR_CORRUPT, "blob %s has %llu bytes; the manifest says %llu",
                         d->digest.text, (unsigned long long)b->size, (unsigned long long)d->size);
    if (!b->name[0]) { /* named twice in the manifest, or by a model published before */
        if (is_blob(t, &d->digest, d->size))
            return 0;
        return error_set(err, ERR_CONFLICT, "blob %s was removed meanwhile", d->digest.text);
    }
    if (is_blob(t, &d->digest, d->size)) {
        unlinkat(t->dir, b->name, 0);
    } else {
        if (renameat(t->dir, b->name, t->dir, oci_digest_hex(&d->digest)) != 0)
            return error_errno(err, errno, "cannot name blob %s in the model store",
                               d->digest.text);
        b->published = true;
        struct stat st;
        if (fstatat(t->dir, oci_digest_hex(&d->digest), &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            !store__is_checked(t->s, &d->digest, &st))
            store__set_checked(t->s, &d->digest, &st);
    }
    b->name[0] = '\0';
    return 0;
}

static int publish_blobs(struct store_txn *t, const struct oci_manifest *m, struct error *err)
{
    int r = publish_blob(t, &m->config, err);
    for (size_t i = 0; r == 0 && i < m->n_layers; i++)
        r = publish_blob(t, &m->layers[i], err);
    return r == 0 ? store__fsync_dir(t->dir, "the blobs", err) : r;
}

static int publish_manifest(struct store *s, const struct oci_digest *id, struct str text,
                            struct error *err)
{
    CLEANUP_BUF struct buf there = BUF_INIT(OCI_MANIFEST_MAX_BYTES);
    if (store_read_manifest(s, id, &there, NULL) == 0)
        return 0;
    CLEANUP_FD int dir = -1; /* made, and known to be no link */
    int r = store__open_area(s, STORE_MANIFESTS, "sha256", true, &dir, err);
    if (r < 0)
        return r;
    CLEANUP_FREE char *path = store__path(s, STORE_MANIFESTS, id);
    return file_write_atomic(path, text, 0644, err);
}

static int publish_entry(struct store *s, const struct store_index *now,
                         const struct oci_digest *id, const struct oci_manifest *m, const char *tag,
                         struct error *err)
{
    struct store_index *next = store__index_edit(now);
    struct store_model *model = store__index_model(next, id);
    if (!model)
        model = store__index_add(next, id);
    store__model_set_files(model, m);
    if (tag) {
        store__index_take_tag(next, tag);
        store__model_add_tag(model, tag);
    }
    return store__index_publish(s, next, err);
}

static bool is_referenced(const struct store_index *idx, const struct oci_digest *digest)
{
    for (size_t i = 0; i < idx->n_models; i++)
        for (size_t k = 0; k < idx->models[i].n_files; k++)
            if (oci_digest_eq(&idx->models[i].files[k], digest))
                return true;
    return false;
}

/* After a failed commit: takes the names of this transaction's blobs and its manifest away again,
 * unless the index names the model after all (it was there before, or the failure came late). */
static void withdraw(struct store_txn *t, const struct oci_digest *id)
{
    CLEANUP_INDEX const struct store_index *idx = NULL;
    if (store_index_get(t->s, &idx, NULL) < 0)
        return;
    for (size_t i = 0; i < idx->n_models; i++)
        if (oci_digest_eq(&idx->models[i].id, id))
            return;
    for (size_t i = 0; i < t->n_staged; i++)
        if (t->staged[i].published && !is_referenced(idx, &t->staged[i].digest))
            unlinkat(t->dir, oci_digest_hex(&t->staged[i].digest), 0);
    CLEANUP_FREE char *path = store__path(t->s, STORE_MANIFESTS, id);
    unlink(path);
}

static int commit(struct store_txn *t, struct str text, const struct oci_manifest *m,
                  const char *tag, const struct oci_digest *id, struct error *err)
{
    CLEANUP_LOCK struct store_lock lock = STORE_LOCK_INIT;
    CLEANUP_INDEX const struct store_index *now = NULL;
    int r = store__lock_index(t->s, &lock, err);
    if (r == 0)
        r = store_index_get(t->s, &now, err);
    if (r < 0)
        return r;
    r = publish_blobs(t, m, err);
    if (r == 0)
        r = publish_manifest(t->s, id, text, err);
    if (r == 0)
        r = publish_entry(t->s, now, id, m, tag, err);
    if (r < 0)
        withdraw(t, id);
    return r;
}

int store_publish(struct store_txn *t, struct str manifest, const char *tag,
                  struct oci_digest *ret_id, struct error *err)
{
    struct oci_manifest m = {0};
    enum oci_config_kind kind;
    int r = oci_manifest_parse(manifest, &m, err);
    if (r == 0)
        r = oci_config_kind_of(m.config.media_type, &kind, err);
    struct oci_digest id = oci_digest_of(manifest);
    if (r == 0)
        r = commit(t, manifest, &m, tag, &id, err);
    oci_manifest_release(&m);
    if (r == 0)
        *ret_id = id;
    return r;
}

int store_commit(struct store_txn *t, struct str manifest, const char *tag,
                 struct oci_digest *ret_id, struct error *err)
{
    int r = store_publish(t, manifest, tag, ret_id, err);
    store_abort(t);
    return r;
}
