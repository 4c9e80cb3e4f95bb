/* SPDX-License-Identifier: Apache-2.0
 *
 * The model store: content-addressed files and an index of names, on disk in the layout that Docker
 * Model Runner uses, so that either program can open what the other wrote.
 *
 *     ROOT/layout.json                          {"version": "1.0.0"}
 *     ROOT/models.json                          the index: id, tags and files of every model
 *     ROOT/blobs/sha256/<64 hex>                layers and configs
 *     ROOT/blobs/sha256/<64 hex>.partial        downloads that may be resumed (partial.h)
 *     ROOT/blobs/sha256/<64 hex>.ranges         what of them is there
 *     ROOT/blobs/sha256/<64 hex>.incomplete     downloads of a DMR
 *     ROOT/blobs/sha256/ingest-….incomplete     being written now, by a running operation
 *     ROOT/manifests/sha256/<64 hex>            manifests; the file's name is the model's id
 *     ROOT/bundles/sha256/<64 hex>/             what an engine opens (bundle.h)
 *     ROOT/blobs/sha256/<64 hex>.damaged        what a check found to be something else
 *     ROOT/.model-runner.lock, .model-runner.writers
 *     ROOT/.model-runner.checked                which files were hashed (checked.c)
 *     ROOT/.model-runner.models                 what lists say of the models (models/summary.c)
 *
 * Invariants
 *  1. A file under blobs/ or manifests/ has its final name only when its content is whole, has been
 *     hashed and is on the disk.
 *  2. The index never names a model whose manifest or blobs are not there.
 *  3. What the index names is never removed, nor what a running publication is going to name.
 *
 * Several processes, threads and a DMR (which knows no locks) may work on one store:
 *  - `.model-runner.lock` is held (flock, exclusive) for every change of the index, briefly. The
 *    index is read again under it, so that no change of others is lost. Readers need no lock:
 *    models.json is replaced by rename.
 *  - `.model-runner.writers` is held shared by every publication from its first byte to its end.
 *    Cleaning takes it exclusively: when that succeeds, unfinished files belong to nobody. A killed
 *    process lets go of both by dying.
 *  - A publication holds each of its blobs under a name of its own ("ingest-…"; a blob that exists
 *    already gets a second hard link), so that a removal meanwhile cannot take it away.
 *
 * Publishing: write → fsync → rename → fsync of the directory; blobs, then the manifest, then the
 * index. Removing: the index, then manifest, bundle and blobs. Whenever the machine stops, the
 * worst that is left are files that nothing names, which store_prune() removes.
 *
 * No symbolic link below ROOT is followed. Paths of blobs are built in one place (path.c), from
 * checked digests.
 *
 * Threads: all functions may be called at any time. */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"
#include "oci/digest.h"
#include "oci/manifest.h"
#include "oci/reference.h"

struct store;

/* Opens ROOT, making it if it is absent or empty. A directory with something else in it is refused:
 * ERR_INVALID. A damaged models.json is reported by the operations that need it. */
int store_open(const char *root, struct store **ret, struct error *err);
void store_close(struct store *s); /* NULL is fine */
const char *store_root(const struct store *s);

/* ---- the index ---- */

struct store_model {
    struct oci_digest id;
    char **tags; /* full references; text that is none is kept as it is */
    size_t n_tags;
    struct oci_digest *files; /* layers in order, then the config */
    size_t n_files;
    atomic_uint *owners; /* the index's: states that share tags and files */
};

/* One state of the index, never changed; may be shared by threads. */
struct store_index {
    struct store_model *models; /* in the order of models.json */
    size_t n_models;
};

/* The state now. store_index_unref() gives it back. */
int store_index_get(struct store *s, const struct store_index **ret, struct error *err);
void store_index_unref(const struct store_index *idx); /* NULL is fine */
static inline void cleanup_store_index(const struct store_index **idx)
{
    store_index_unref(*idx);
}
#define CLEANUP_INDEX CLEANUP(cleanup_store_index)

/* The model a reference names: by id, by the start of an id (which must be unique: ERR_CONFLICT),
 * by tag, or by digest whatever the repository. NULL if there is none; with *ret_tag (may be NULL)
 * the index of the tag that matched, or -1. */
int store_index_find(const struct store_index *idx, const struct oci_reference *ref,
                     const struct store_model **ret, ptrdiff_t *ret_tag, struct error *err);

/* Which models of the index have a manifest file: ret[n_models]. Those with ids of another
 * algorithm than sha256 count as having none. */
void store_has_manifests(struct store *s, const struct store_index *idx, bool *ret);

/* The first model with a tag whose last path part, without its tag, is `name`. */
const struct store_model *store_index_find_partial(const struct store_index *idx, struct str name);

/* ---- reading ---- */

/* Appends the manifest of a model; ERR_CORRUPT when its digest is not the id. */
int store_read_manifest(struct store *s, const struct oci_digest *id, struct buf *out,
                        struct error *err);

/* Appends a small blob (a config), checked against its digest. */
int store_read_blob(struct store *s, const struct oci_digest *digest, struct buf *out,
                    struct error *err);

/* Opens a blob for reading. ERR_NOT_FOUND if it is absent, ERR_CORRUPT if it is not a regular file
 * or its size is not `size` (UINT64_MAX = any). The caller closes *ret_fd. */
int store_open_blob(struct store *s, const struct oci_digest *digest, uint64_t size, int *ret_fd,
                    struct error *err);
bool store_has_blob(struct store *s, const struct oci_digest *digest, uint64_t size);

/* ROOT/blobs/sha256/<hex>; the caller frees. */
char *store_blob_path(const struct store *s, const struct oci_digest *digest) ATTR_CHECK;

/* ---- publishing a model ---- */

/* One model on its way in. One thread at a time. */
struct store_txn;

int store_begin(struct store *s, struct store_txn **ret, struct error *err);

/* A blob from a stream:
 *     store_sink_open(t, want, size, &sink, err);
 *     while (more) store_sink_write(sink, p, n, err);
 *     store_sink_finish(sink, &digest, err);      or store_sink_abandon(sink)
 * want: the digest it must have, NULL if not known. size: its size if known, else UINT64_MAX; space
 * is reserved at once and a stream of another length refused. finish and abandon free the sink. */
struct store_sink;
int store_sink_open(struct store_txn *t, const struct oci_digest *want, uint64_t size,
                    struct store_sink **ret, struct error *err);
int store_sink_write(struct store_sink *k, const void *p, size_t n, struct error *err);
int store_sink_finish(struct store_sink *k, struct oci_digest *ret, struct error *err);
void store_sink_abandon(struct store_sink *k);

/* A blob from memory. */
int store_txn_add_bytes(struct store_txn *t, struct str bytes, struct oci_digest *ret,
                        struct error *err);

/* Called with the bytes done so far; a non-zero return cancels. */
typedef int (*store_progress_fn)(void *ctx, uint64_t done);

/* A blob from a local file, which must have this digest and size: cloned where the file system can,
 * else hard-linked, else copied; hashed in every case. A linked file that its owner writes to later
 * is noticed before it is used (checked.c), and the model refused. A blob that the store has
 * already is taken instead. With STORE_NO_COPY, ERR_UNSUPPORTED where the file would have to be
 * copied. */
enum { STORE_NO_COPY = 1 };
int store_txn_add_file(struct store_txn *t, const char *path, const struct oci_digest *want,
                       uint64_t size, unsigned flags, store_progress_fn progress, void *ctx,
                       struct error *err);

/* A blob that is in the store already, held against removal. ERR_NOT_FOUND if it is not there in
 * this size. */
int store_txn_hold(struct store_txn *t, const struct oci_digest *digest, uint64_t size,
                   struct error *err);

/* Appends a small blob that was added or is held. ERR_NOT_FOUND if it is neither. */
int store_txn_read(struct store_txn *t, const struct oci_digest *digest, struct buf *out,
                   struct error *err);

/* Publishes one model; others of the same transaction, which may share its blobs, can follow. */
int store_publish(struct store_txn *t, struct str manifest, const char *tag,
                  struct oci_digest *ret_id, struct error *err);

/* Publishes: every blob that the manifest names must have been added or be in the store. `tag`: a
 * full reference text, taken from another model if it has it; NULL = leave untagged. A model that
 * is there already only gets the tag. Ends the transaction, also on failure. */
int store_commit(struct store_txn *t, struct str manifest, const char *tag,
                 struct oci_digest *ret_id, struct error *err);
void store_abort(struct store_txn *t); /* NULL is fine */

/* ---- changing names, removing ---- */

/* Gives model `id` the tag, taking it from any other. */
int store_tag(struct store *s, const struct oci_digest *id, const char *tag, struct error *err);

/* Takes a tag away, whoever has it; the model stays. ERR_NOT_FOUND if no model has it. */
int store_untag(struct store *s, const char *tag, struct error *err);

/* What store_remove() did. */
struct store_removal {
    char **untagged;
    size_t n_untagged;
    bool deleted;
    struct oci_digest id;
};
void store_removal_release(struct store_removal *r);

enum store_remove_flags {
    STORE_REMOVE_FORCE = 1, /* by id: also with several tags */
};

/* By tag: untags, and deletes the model with its last tag. By id or digest: deletes it; with
 * several tags only by force, else ERR_CONFLICT. *name is what the messages call it. One look at
 * the index decides and acts. */
int store_remove(struct store *s, const struct oci_reference *ref, const char *name, unsigned flags,
                 struct store_removal *ret, struct error *err);

/* ---- care ---- */

/* Bytes of all files under ROOT; a file with several names counts once. */
int store_disk_usage(struct store *s, uint64_t *ret, struct error *err);

/* What store_prune() would free now, and how much of it are unfinished downloads. */
struct store_waste {
    uint64_t bytes, partial_bytes;
};
int store_waste(struct store *s, struct store_waste *ret, struct error *err);

/* Bytes that can still be written to the store's file system. */
int store_free_space(struct store *s, uint64_t *ret, struct error *err);

/* Removes files that nothing names and that are older than min_age_s. ERR_BUSY while a publication
 * runs. */
int store_prune(struct store *s, int64_t min_age_s, uint64_t *ret_bytes, struct error *err);

/* Removes everything and starts empty; the directory itself stays. ERR_BUSY while a publication
 * runs; a directory that is not a store is refused. */
int store_reset(struct store *s, struct error *err);

/* Reads every byte of one model (NULL: of all) and calls found() with a sentence for everything
 * that is wrong and how to mend it. A blob that is not what its name says is set aside
 * ("<hex>.damaged"), so that nobody uses it and the next pull gets it again. *ret_bad: how much is
 * wrong. Fails only when the index cannot be read, or by progress() (may be NULL), which is told
 * the model's name and the bytes so far and cancels with a non-zero return. */
typedef void (*store_found_fn)(void *ctx, const char *sentence);
typedef int (*store_verify_fn)(void *ctx, const char *name, uint64_t done, uint64_t total);
int store_verify(struct store *s, const struct oci_digest *id, store_found_fn found,
                 store_verify_fn progress, void *ctx, size_t *ret_bad, struct error *err);

#endif
