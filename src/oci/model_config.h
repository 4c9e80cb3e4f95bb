/* SPDX-License-Identifier: Apache-2.0
 *
 * The config of a model artifact: what people and schedulers want to know about a model without
 * opening its weights.
 *
 *     {"config":{"format":"gguf","quantization":…,"parameters":…,"architecture":…,"size":…,
 *                "gguf":{…},"safetensors":{…},"diffusers":{…},"context_size":N},
 *      "descriptor":{"created":…},
 *      "rootfs":{"type":"rootfs","diff_ids":[…]}}
 *
 * is Docker's form (v0.1 and v0.2). CNCF ModelPack's form is read into the same members. */
#ifndef OCI_MODEL_CONFIG_H
#define OCI_MODEL_CONFIG_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"
#include "oci/digest.h"
#include "oci/map.h"
#include "oci/media_types.h"

enum { OCI_CONFIG_MAX_BYTES = 16 << 20 };

/* Strings are never NULL after parsing; "" = not said. */
struct oci_model_config {
    char *format, *quantization, *parameters, *architecture, *size;
    struct oci_map gguf, safetensors, diffusers;
    int32_t context_size; /* 0 = not said */
    char *created;        /* RFC 3339 text as it stands */
    int64_t created_s;    /* Unix seconds; 0 = not said or not a date */
    struct oci_digest *diff_ids;
    size_t n_diff_ids;
};

void oci_model_config_release(struct oci_model_config *c);

/* kind: of the config's media type. A ModelPack config under a Docker type is recognised, too. */
int oci_model_config_parse(struct str text, enum oci_config_kind kind, struct oci_model_config *ret,
                           struct error *err);

/* The whole config in Docker's form. */
void oci_model_config_write(const struct oci_model_config *c, struct buf *out);

/* The same facts in ModelPack's form. */
void oci_model_config_write_cncf(const struct oci_model_config *c, struct buf *out);

/* Only the `config` member of it, which is also the one of GET /models; unknown members left out.
 */
void oci_model_config_write_inner(const struct oci_model_config *c, struct buf *out);

#endif
