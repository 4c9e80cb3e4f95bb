/* SPDX-License-Identifier: Apache-2.0
 *
 * The models on this machine: what the daemon's /models routes and its scheduler ask for. Joins
 * the store with the artifact formats (and later the registries).
 *
 *     struct models *m = NULL;
 *     models_open(&(struct models_options){0}, &m, &err);
 *     struct model_files files;
 *     models_resolve_file(m, "smollm2", &files, &err);   // files.model_path is a file to load
 *     model_files_release(&files);
 *     models_close(m);
 *
 * Names are what users type (oci/reference.h). Not found is ERR_NOT_FOUND with the sentence
 * `get model '"x"': model not found`; a malformed name is ERR_INVALID and shows where.
 *
 * Threads: all functions may be called at any time from any thread, and other processes may use
 * the same store; what a call returns is a snapshot of its own. Lookups cost a stat() and a search
 * in memory. */
#ifndef MODELS_MODELS_H
#define MODELS_MODELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/error.h"
#include "models/artifact.h"
#include "oci/digest.h"

struct models;
struct registry_options; /* registry/registry.h */

struct models_options {
    const char *root;                        /* NULL or "": $MODELS_PATH, else ~/.docker/models */
    const char *default_registry;            /* NULL or "": $DEFAULT_REGISTRY, else docker.io */
    unsigned max_pulls;                      /* at once, others wait; 0 = 2 */
    const struct registry_options *registry; /* NULL = from the environment */
};

/* Opens the store, making it if the directory is absent or empty. */
int models_open(const struct models_options *o, struct models **ret, struct error *err);
void models_close(struct models *m); /* NULL is fine */
const char *models_root(const struct models *m);

/* ---- what is there ---- */

/* One stored model. Strings are "" where the config does not say. */
struct model_info {
    char id[OCI_DIGEST_TEXT_MAX]; /* "sha256:…" */
    char **tags;                  /* full form, "docker.io/ai/smollm2:latest"; may be none */
    size_t n_tags;
    int64_t created;    /* Unix seconds; 0 = unknown */
    const char *format; /* "gguf", "safetensors", "dduf" */
    const char *quantization, *parameters, *architecture, *size;
    int32_t context_size;          /* 0 = unknown */
    uint64_t bytes;                /* sum of the layers */
    const char *config_json;       /* the `config` member of the model object, as JSON text */
    const struct model_meta *meta; /* owner of the strings above */
};

struct model_list {
    struct model_info *items;
    size_t n;
};

/* In the order of the index; models whose manifest or config cannot be read are left out. */
int models_list(struct models *m, struct model_list *ret, struct error *err);
void model_list_release(struct model_list *l);

enum models_find_flags {
    MODELS_EXACT = 0,
    /* Also a model one of whose tags has this last path part: "smollm2" finds
     * "docker.io/myorg/smollm2:v1". For inspect and tag. */
    MODELS_PARTIAL = 1,
};
int models_get(struct models *m, const char *name, int flags, struct model_info *ret,
               struct error *err);
void model_info_release(struct model_info *i);

/* 0 when all files of the model are there in their sizes; they are not read. */
int models_check_files(struct models *m, const char *name, struct error *err);

/* Only the id. */
int models_resolve_id(struct models *m, const char *name, int flags,
                      char ret_id[OCI_DIGEST_TEXT_MAX], struct error *err);

/* JSON text, appended, compact, no newline: the model object of GET /models, the OpenAI form of
 * GET /v1/models, and the lists of them (an array; {"object":"list","data":[…]}). */
void model_info_write(const struct model_info *i, struct buf *out);
void model_info_write_openai(const struct model_info *i, struct buf *out);
void model_list_write(const struct model_list *l, struct buf *out);
void model_list_write_openai(const struct model_list *l, struct buf *out);

/* ---- to run one ---- */

/* The files of the runtime bundle, made on the first call. Paths are absolute; NULL = none. */
struct model_files {
    char id[OCI_DIGEST_TEXT_MAX];
    char *dir;        /* the bundle's model directory */
    char *model_path; /* first weight file */
    char *mmproj_path;
    char *template_path;  /* a chat template that came beside the weights */
    char *format;         /* "gguf" */
    char *architecture;   /* "" if unknown */
    int32_t context_size; /* of the config; 0 = none */
    uint64_t bytes;
};
int models_resolve_file(struct models *m, const char *name, struct model_files *ret,
                        struct error *err);
void model_files_release(struct model_files *f);

/* ---- change ---- */

/* Gives the model the tag repo:tag, taken from any other model that has it. */
int models_tag(struct models *m, const char *name, const char *repo, const char *tag,
               struct error *err);

/* Removes a tag, or with the last tag (or by id) the model. Appends the JSON array of
 * {"Untagged":"…"} and {"Deleted":"sha256:…"} to out. By id with several tags and without force:
 * ERR_CONFLICT, `unable to delete "x" (must be forced) due to multiple tag references: resource
 * conflict`. */
int models_remove(struct models *m, const char *name, bool force, struct buf *out,
                  struct error *err);

/* Packages local files into the store under a name (NULL or "" = untagged). Files are cloned or
 * linked where the file system can, else copied, or refused with MODELS_NO_COPY (ERR_UNSUPPORTED).
 * `from` (NULL = none): the model whose weights are used, src->base is filled from it. */
enum { MODELS_NO_COPY = 1 };
int models_package(struct models *m, const struct artifact_source *src, const char *from,
                   const char *name, unsigned flags, artifact_progress_fn progress,
                   void *progress_ctx, char ret_id[OCI_DIGEST_TEXT_MAX], struct error *err);

/* Appends the texts of a model's manifest and config, as they are in the store. */
int models_artifact_texts(struct models *m, const char *name, struct buf *manifest,
                          struct buf *config, struct error *err);

/* A variant with another context size under another name; the layers are shared. */
int models_repackage(struct models *m, const char *name, const char *target, int32_t context_size,
                     char ret_id[OCI_DIGEST_TEXT_MAX], struct error *err);

/* Gives up to n bytes; 0 at the end of the stream, negative with *err filled. */
typedef ssize_t (*models_read_fn)(void *ctx, void *p, size_t n, struct error *err);

/* Stores the model of a tar stream, untagged; every blob is hashed while it arrives. A stream that
 * ends early is `model load interrupted: unexpected EOF` and leaves nothing behind. */
int models_load(struct models *m, models_read_fn read, void *ctx, char ret_id[OCI_DIGEST_TEXT_MAX],
                struct error *err);

/* The model as such a tar. The size is known before the first byte. */
struct models_export;
int models_export_open(struct models *m, const char *name, struct models_export **ret,
                       struct error *err);
uint64_t models_export_size(const struct models_export *e);
int models_export_write(struct models_export *e, artifact_sink_fn sink, void *ctx,
                        struct error *err);
void models_export_close(struct models_export *e);

/* ---- care ---- */

/* Bytes on disk under the root; a file with several names counts once. */
int models_disk_usage(struct models *m, uint64_t *ret, struct error *err);

uint64_t models_pulled_bytes(struct models *m); /* of layers, since it was opened */

/* What models_prune() would free now, and how much of that are unfinished downloads. */
int models_waste(struct models *m, uint64_t *ret_bytes, uint64_t *ret_partial, struct error *err);

/* Empties the store; refused for a directory that is not one. */
int models_purge(struct models *m, struct error *err);

/* Removes what no model refers to and no running operation needs, when it is older than
 * min_age_s. *ret_bytes: space freed. ERR_BUSY while another process writes to the store. */
int models_prune(struct models *m, int64_t min_age_s, uint64_t *ret_bytes, struct error *err);

/* Re-hashes one model (NULL: all) and calls found(ctx, sentence) for everything broken. *ret_bad:
 * how many. progress (may be NULL) is told the model's name and bytes; non-zero cancels. */
typedef void (*models_found_fn)(void *ctx, const char *sentence);
typedef int (*models_verify_fn)(void *ctx, const char *name, uint64_t done, uint64_t total);
int models_verify(struct models *m, const char *name, models_found_fn found,
                  models_verify_fn progress, void *ctx, size_t *ret_bad, struct error *err);

#endif
