/* SPDX-License-Identifier: Apache-2.0
 *
 * Shared by the files of store/ only. */
#ifndef STORE_STORE_INTERNAL_H
#define STORE_STORE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/file.h"
#include "store/store.h"

struct checked;

enum { STORE_CHECKED_BUCKETS = 1024 };

struct store {
    char *root;
    pthread_mutex_t change_lock; /* held with .model-runner.lock; flock alone does not tell threads
                                    of one process apart when they share a descriptor */
    pthread_mutex_t cache_lock;
    const struct store_index *cache; /* guarded by: cache_lock; NULL = nothing read yet */
    struct stat cache_stat;          /* guarded by: cache_lock; of models.json when it was read */
    bool cache_absent;               /* guarded by: cache_lock; there was no models.json */
    atomic_uint temp_counter;

    pthread_mutex_t checked_lock;
    struct checked *checked[STORE_CHECKED_BUCKETS]; /* guarded by: checked_lock, like all below */
    ino_t checked_inode;                            /* of the file that was read */
    off_t checked_read;                             /* up to here */
};

#define STORE_TEMP_PREFIX "ingest-"
#define STORE_INCOMPLETE ".incomplete"
#define STORE_PARTIAL ".partial" /* partial.h */
#define STORE_RANGES ".ranges"
#define STORE_DAMAGED ".damaged" /* found out to be not what the name says */

/* ---- path.c: directories and names ---- */

enum store_area { STORE_BLOBS, STORE_MANIFESTS, STORE_BUNDLES };

/* Opens ROOT/<area>/<algorithm>; with make, creates it. ERR_NOT_FOUND if it is absent. */
int store__open_area(const struct store *s, enum store_area area, const char *algorithm, bool make,
                     int *ret_fd, struct error *err);
int store__open_root(const struct store *s, int *ret_fd, struct error *err);

/* ROOT/<area>/<algorithm>/<hex>; the one place that makes such a path. */
char *store__path(const struct store *s, enum store_area area,
                  const struct oci_digest *digest) ATTR_CHECK;

/* A name nobody uses: prefix + process, time and counter + suffix. */
void store__temp_name(struct store *s, const char *prefix, const char *suffix, char out[96]);

/* Is `name` 64 (sha256) or 128 (sha512) lower-case hex digits? Fills *ret. */
bool store__digest_of_name(const char *algorithm, const char *name, struct oci_digest *ret);

int store__fsync_dir(int fd, const char *what, struct error *err);

/* ---- lock.c ---- */

struct store_lock {
    int fd;          /* -1 = not held */
    struct store *s; /* set when change_lock is held with it */
};
#define STORE_LOCK_INIT \
    {                   \
        .fd = -1        \
    }

/* The exclusive lock around changes of the index. */
int store__lock_index(struct store *s, struct store_lock *ret, struct error *err);

/* The lock of publications: shared, or exclusive without waiting (ERR_BUSY). */
int store__lock_writers(struct store *s, bool exclusive, struct store_lock *ret, struct error *err);
void store__unlock(struct store_lock *l); /* one that is not held is fine */
#define CLEANUP_LOCK CLEANUP(store__unlock)

extern const char store__lock_name[];
extern const char store__writers_name[];

/* ---- index.c ---- */

/* A copy that may be changed and then published; under the index lock. */
struct store_index *store__index_edit(const struct store_index *from);

/* Writes models.json, makes `idx` the cached state and takes it over (also on failure). */
int store__index_publish(struct store *s, struct store_index *idx, struct error *err);

struct store_model *store__index_model(struct store_index *idx, const struct oci_digest *id);
struct store_model *store__index_add(struct store_index *idx, const struct oci_digest *id);
void store__index_drop(struct store_index *idx, size_t at);
void store__model_set_files(struct store_model *m, const struct oci_manifest *manifest);
void store__model_add_tag(struct store_model *m, const char *tag);
bool store__index_take_tag(struct store_index *idx, const char *tag); /* from whoever has it */

/* Reads a regular file of a directory of the store whole; what: for messages. */
int store__read_at(int dirfd, const char *name, const char *what, struct buf *out,
                   struct error *err);

/* ---- copy.c ---- */

/* Copies n bytes from `from` to `to` while hashing them (hash may be NULL). */
int store__copy(int from, int to, const char *what, uint64_t n, struct sha256 *hash,
                store_progress_fn progress, void *ctx, struct error *err);

/* Makes `to` (empty, just created) share from's blocks. False when the file system cannot. */
bool store__clone(int from, int to);

/* Reserves n bytes for fd; ERR_TOO_LARGE… when the disk has not got them. */
int store__reserve(int fd, uint64_t n, const char *what, struct error *err);

/* Gives the blob a second name in another directory: hard link, clone or copy. */
int store__link_or_copy(int from_dir, const char *from_name, int to_dir, const char *to_name,
                        const char *what, struct error *err);

/* ---- checked.c: what is known to be good ---- */

/* Has a file of this identity been found to have this digest? */
bool store__is_checked(struct store *s, const struct oci_digest *digest, const struct stat *st);

/* It has; NULL: nothing that was known about the digest counts any more. */
void store__set_checked(struct store *s, const struct oci_digest *digest, const struct stat *st);
void store__checked_release(struct store *s);

/* Hashes a blob. ERR_CORRUPT, and sets it aside, when it is not what it should be. */
int store__hash_blob(struct store *s, const struct oci_digest *digest, uint64_t size,
                     store_progress_fn progress, void *ctx, struct error *err);

/* The same, unless it is known to be good. */
int store__trust_blob(struct store *s, const struct oci_digest *digest, uint64_t size,
                      struct stat *ret, struct error *err);

/* ---- txn.c ---- */

struct store *store__txn_store(const struct store_txn *t);
int store__txn_dir(const struct store_txn *t); /* blobs/sha256, borrowed */

/* Takes over a finished, synced file `name` of blobs/sha256. */
void store__txn_stage(struct store_txn *t, const struct oci_digest *digest, uint64_t size,
                      const char *name);

/* ---- remove.c, store.c ---- */

/* Removes what killed operations left: only files of ours. Skipped while a publication runs. */
void store__sweep(struct store *s);

/* Writes layout.json and an empty models.json if they are absent. */
int store__write_layout(const struct store *s, struct error *err);

#endif
