/* SPDX-License-Identifier: Apache-2.0
 *
 * Bundles: the runtime view of a model, a directory of ordinary files under their own names.
 *
 *     ROOT/bundles/sha256/<id>/config.json     the model's settings
 *     ROOT/bundles/sha256/<id>/model/…         the files, hard links to blobs (clones or copies
 *                                              where the file system has no links)
 *
 * Names inside model/:
 *   config v0.1     model.gguf, or model-00001-of-0000N.gguf for shards in the order of the layers;
 *                   model.mmproj; template.jinja; safetensors and other files by their annotation
 *   v0.2 and CNCF   every layer at the path of its annotation; layers without one are left out
 *
 * Paths from annotations come from strangers: absolute ones, ones with empty, "." or ".." parts,
 * backslashes or control characters are refused, and so are two layers for one path.
 *
 * A bundle appears under its name whole or not at all. */
#ifndef STORE_BUNDLE_H
#define STORE_BUNDLE_H

#include "oci/manifest.h"
#include "store/store.h"

enum { BUNDLE_PATH_MAX = 1024, BUNDLE_MAX_DEPTH = 32 };

struct bundle_file {
    char *path; /* relative to model/ */
    enum oci_layer_kind kind;
    struct oci_digest digest;
    uint64_t size;
};

struct bundle {
    char *dir;                 /* absolute path of model/ */
    struct bundle_file *files; /* in the order of the layers */
    size_t n_files;
};

/* What the bundle of this manifest consists of; dir stays NULL. Touches no file. */
int bundle_plan(const struct oci_manifest *m, enum oci_config_kind kind, struct bundle *ret,
                struct error *err);
void bundle_release(struct bundle *b);

/* Makes sure that the planned bundle of model `id` is on disk, and fills b->dir. `config` is the
 * text of config.json. ERR_NOT_FOUND if the model is not in the index (any more). */
int store_bundle(struct store *s, const struct oci_digest *id, struct str config, struct bundle *b,
                 struct error *err);

#endif
