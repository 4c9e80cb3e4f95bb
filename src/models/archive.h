/* SPDX-License-Identifier: Apache-2.0
 *
 * Models as one file: an OCI image layout in a tar, as `docker model save` writes it and other
 * tools for OCI images read it.
 *
 *     oci-layout                 {"imageLayoutVersion":"1.0.0"}
 *     index.json                 a descriptor for every name, with the name in its annotations
 *     blobs/sha256/<64 hex>      manifests, configs and layers; what models share is there once
 *
 * The reader takes archives from strangers, in any order of entries: blobs are held by a
 * transaction each under the digest that they were found to have, and get a place in the store only
 * when an index.json names a model that needs them. An archive in Docker Model Runner's own form
 * (manifest.json instead of index.json) is read, too. */
#ifndef MODELS_ARCHIVE_H
#define MODELS_ARCHIVE_H

#include "models/models.h"

enum { ARCHIVE_MAX_MODELS = 256 };

/* ---- writing ---- */

struct models_archive;

/* Looks all names up and checks that every blob is there in its size. A name that is an id puts the
 * model in without a name, unless it has tags of its own: then with its first. */
int models_archive_open(struct models *m, const char *const *names, size_t n_names,
                        struct models_archive **ret, struct error *err);

/* Known before the first byte. */
uint64_t models_archive_size(const struct models_archive *a);

/* Blobs are hashed on the way: damage does not spread, ERR_CORRUPT ends the stream. */
int models_archive_write(struct models_archive *a, artifact_sink_fn sink, void *ctx,
                         struct error *err);
void models_archive_close(struct models_archive *a); /* NULL is fine */

/* ---- reading ---- */

/* One model that an archive had. */
struct models_loaded {
    char id[OCI_DIGEST_TEXT_MAX];
    char *name; /* in full, "docker.io/ai/smollm2:latest"; NULL = the archive gave none */
};

struct models_loaded_list {
    struct models_loaded *items;
    size_t n;
};

/* Stores all models of a tar stream in either form. On failure nothing of it stays, but for models
 * that were published before the disk itself failed. */
int models_load_archive(struct models *m, models_read_fn read, void *ctx,
                        struct models_loaded_list *ret, struct error *err);
void models_loaded_release(struct models_loaded_list *l);

#endif
