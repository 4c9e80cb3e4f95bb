/* SPDX-License-Identifier: Apache-2.0
 *
 * Shared by the files of models/ only. */
#ifndef MODELS_MODELS_INTERNAL_H
#define MODELS_MODELS_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/alloc.h"
#include "models/models.h"
#include "oci/model_config.h"
#include "registry/registry.h"
#include "store/bundle.h"
#include "store/store.h"

/* What manifest and config say about a model: never changes for one id. Counted. One that comes
 * from summary.c has of all this only what a list needs. */
struct model_meta {
    atomic_uint refs;
    struct oci_digest id;
    bool whole; /* has manifest and kind, and all of config */
    enum oci_config_kind kind;
    struct oci_manifest manifest;
    struct oci_model_config config;
    char *config_json;
    uint64_t bytes;
    struct model_meta *next; /* in its bucket */
};

enum { META_BUCKETS = 1024, META_MAX = 16384 };

struct models {
    struct store *store;
    char *default_registry;
    pthread_mutex_t meta_lock;
    struct model_meta *buckets[META_BUCKETS]; /* guarded by: meta_lock */
    size_t n_meta;                            /* guarded by: meta_lock */
    bool summaries_loaded;                    /* guarded by: meta_lock */

    struct registry *registry;
    _Atomic uint64_t pulled_bytes;
    pthread_mutex_t jobs_lock;
    pthread_cond_t jobs_changed;
    struct job *jobs;       /* guarded by: jobs_lock, like all below; those that can be joined */
    unsigned n_job_threads; /* also of those that nobody wants any more */
    unsigned pulls, max_pulls;
    bool jobs_ending;
};

/* ---- meta.c: a cache over the files of the store ---- */
int models__meta_get(struct models *m, const struct oci_digest *id, struct model_meta **ret,
                     struct error *err);
void models__meta_unref(const struct model_meta *meta); /* NULL is fine */
struct model_meta *models__meta_new(const struct oci_digest *id);
static inline void cleanup_meta(struct model_meta **meta)
{
    models__meta_unref(*meta);
}
#define CLEANUP_META CLEANUP(cleanup_meta)
void models__meta_clear(struct models *m);

/* Metas, perhaps not whole ones, of all models of a state of the index, NULL for those that cannot
 * be read. *ret_fresh: how many had to be read from their files. */
void models__metas(struct models *m, const struct store_index *idx, struct model_meta **ret,
                   size_t *ret_fresh);

/* ---- summary.c ---- */

/* Hands every remembered meta, with a reference, to take(); returns how many. */
size_t models__summaries_load(struct models *m, void (*take)(struct models *, struct model_meta *));
/* Remembers those of a list. A failure is no harm. */
void models__summaries_save(struct models *m, const struct model_list *l);

/* From texts that are in no store (yet). */
int models__meta_parse(const struct oci_digest *id, struct str manifest, struct str config,
                       struct model_meta **ret, struct error *err);

/* ---- models.c ---- */

/* Takes the reference to meta over. */
void models__info_fill(const struct store_model *s, const struct model_meta *meta,
                       struct model_info *i);

/* The model a name means, in one state of the index. */
int models__find(struct models *m, const struct store_index *idx, const char *name, int flags,
                 const struct store_model **ret, struct error *err);

/* A name as the target of a tag, in full: "docker.io/ai/x:latest". */
int models__target(struct models *m, const char *name, char ret[OCI_REFERENCE_TEXT_MAX],
                   struct error *err);

/* Finds a model and gets its meta. */
int models__open(struct models *m, const char *name, int flags, struct model_meta **ret,
                 struct error *err);

#endif
