/* SPDX-License-Identifier: Apache-2.0
 *
 * OCI image manifests of models: which config and which layers a model consists of.
 *
 * A model's id is the SHA-256 of the manifest's bytes. A manifest that was read is therefore kept
 * and passed on as the bytes that came; oci_manifest_write() is for new ones, and gives the bytes
 * that other tools give for the same content. */
#ifndef OCI_MANIFEST_H
#define OCI_MANIFEST_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"
#include "oci/digest.h"
#include "oci/map.h"
#include "oci/media_types.h"

enum {
    OCI_MANIFEST_MAX_BYTES = 4 << 20,
    OCI_MANIFEST_MAX_LAYERS = 4096,
    OCI_MAX_ANNOTATIONS = 256, /* of one layer */
};

struct oci_descriptor {
    char *media_type;
    uint64_t size;
    struct oci_digest digest;
    struct oci_map annotations;
};

struct oci_manifest {
    char *artifact_type; /* NULL if none */
    struct oci_descriptor config;
    struct oci_descriptor *layers;
    size_t n_layers;
};

void oci_manifest_release(struct oci_manifest *m);

/* Reads the JSON text. A list of platforms instead of one manifest is ERR_UNSUPPORTED; anything
 * that is not a well-formed manifest is ERR_CORRUPT and names the member. */
int oci_manifest_parse(struct str text, struct oci_manifest *ret, struct error *err);

/* Adds a layer; its media type and annotations are the caller's to fill in afterwards. */
struct oci_descriptor *oci_manifest_add_layer(struct oci_manifest *m, const char *media_type,
                                              const struct oci_digest *digest, uint64_t size);

void oci_manifest_set_config(struct oci_manifest *m, const char *media_type,
                             const struct oci_digest *digest, uint64_t size);

void oci_manifest_write(const struct oci_manifest *m, struct buf *out);

/* The path a layer says it has, {NULL, 0} if none. */
struct str oci_layer_path(const struct oci_descriptor *layer);

/* What a layer is, see oci_layer_kind_of(). */
enum oci_layer_kind oci_layer_kind(const struct oci_descriptor *layer);

/* Sum of the layers' sizes; ERR_CORRUPT if it does not fit. */
int oci_manifest_layer_bytes(const struct oci_manifest *m, uint64_t *ret, struct error *err);

#endif
