/* SPDX-License-Identifier: Apache-2.0
 *
 * Local files → model artifact: checks the weights (a GGUF with its shards, a directory of
 * safetensors, a DDUF, or those of an existing model) and what comes with them (projector, chat
 * template, licences), reads the metadata, hashes everything, and makes the config and the
 * manifest. Nothing is written until all of it is known to be good. No store is involved, so the
 * command line uses this too: it streams the artifact as a tar to the daemon's POST /models/load.
 *
 *     struct artifact_source src = {.gguf = "/home/me/m.gguf"};
 *     struct artifact *a = NULL;
 *     artifact_build(&src, NULL, NULL, &a, &err);
 *     ... artifact_tar_size(a) is the Content-Length ...
 *     artifact_write_tar(a, sink, ctx, &err);
 *     artifact_free(a);
 *
 * The same files give the same artifact, byte for byte, however often and wherever they are
 * packaged: `created` is the newest modification time of the files, not the time of packaging. With
 * SOURCE_DATE_EPOCH set (seconds since 1970), that is the time everywhere, and the result depends
 * on the content and the names alone. */
#ifndef MODELS_ARTIFACT_H
#define MODELS_ARTIFACT_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"
#include "oci/digest.h"

enum { ARTIFACT_MAX_LICENSES = 64, ARTIFACT_MAX_SHARDS = 1024, ARTIFACT_MAX_FILES = 4096 };

enum artifact_format {
    ARTIFACT_DOCKER,
    ARTIFACT_CNCF, /* ModelPack, https://github.com/modelpack/model-spec */
};

/* What to package; paths need not be absolute. Zero or NULL = none. One of gguf, safetensors_dir,
 * dduf and base says where the weights are. */
struct artifact_source {
    const char *gguf;            /* the file, or any shard NAME-00001-of-000NN.gguf of it */
    const char *safetensors_dir; /* everything below it but links and what begins with a dot */
    const char *dduf;
    struct {
        struct str manifest, config; /* texts; its blobs are where the artifact goes */
    } base;
    enum artifact_format format;
    const char *mmproj;        /* multimodal projector, a GGUF file */
    const char *chat_template; /* Jinja text */
    const char *const *licenses;
    size_t n_licenses;
    int32_t context_size; /* 0 = what the model was trained for */
};

struct oci_descriptor;

/* One file of it, a layer. */
struct artifact_file {
    char *path;             /* on this machine, absolute; NULL for a layer of the base */
    char *name;             /* the layer's file path; NULL if the base does not say */
    const char *media_type; /* Docker's */
    const struct oci_descriptor *base_layer; /* only while building */
    struct oci_digest digest;
    uint64_t size;
};

struct artifact {
    struct oci_digest id; /* of the manifest: the model's id */
    struct artifact_file *files;
    size_t n_files;
    char *config; /* JSON text */
    size_t config_len;
    struct oci_digest config_digest;
    char *manifest; /* JSON text */
    size_t manifest_len;
    uint64_t total_bytes; /* of the files on this machine */
};

/* Called now and then with bytes done so far; a non-zero return cancels (ERR_CANCELED). NULL is
 * fine where one is asked for. */
typedef int (*artifact_progress_fn)(void *ctx, uint64_t done, uint64_t total);

/* ERR_INVALID when a file is not what it should be; the message names the file and the trouble. */
int artifact_build(const struct artifact_source *src, artifact_progress_fn progress, void *ctx,
                   struct artifact **ret, struct error *err);
void artifact_free(struct artifact *a);
static inline void cleanup_artifact(struct artifact **a)
{
    artifact_free(*a);
}

/* Takes the next bytes of a stream; 0, or negative with *err filled, which ends the writing. */
typedef int (*artifact_sink_fn)(void *ctx, const void *p, size_t n, struct error *err);

/* The artifact as a tar in the form of POST /models/load; layers of the base are not in it. Files
 * are hashed again on the way; one that has changed since artifact_build() ends the stream with
 * ERR_CONFLICT. */
int artifact_write_tar(const struct artifact *a, artifact_sink_fn sink, void *sink_ctx,
                       struct error *err);
uint64_t artifact_tar_size(const struct artifact *a);

#endif
