/* SPDX-License-Identifier: Apache-2.0
 *
 * Media types of model artifacts, and what a file is by its name.
 *
 * Two families: Docker's (config v0.1: the type of a layer says what it is; v0.2: a layer for every
 * file, placed by its path annotation) and CNCF ModelPack. Both are read, Docker's is written. */
#ifndef OCI_MEDIA_TYPES_H
#define OCI_MEDIA_TYPES_H

#include "base/error.h"
#include "base/str.h"

#define OCI_TYPE_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define OCI_TYPE_INDEX "application/vnd.oci.image.index.v1+json"
#define OCI_TYPE_DOCKER_MANIFEST "application/vnd.docker.distribution.manifest.v2+json"
#define OCI_TYPE_DOCKER_LIST "application/vnd.docker.distribution.manifest.list.v2+json"
#define OCI_TYPE_CNCF_ARTIFACT "application/vnd.cncf.model.manifest.v1+json"

#define OCI_TYPE_CONFIG_V01 "application/vnd.docker.ai.model.config.v0.1+json"
#define OCI_TYPE_CONFIG_V02 "application/vnd.docker.ai.model.config.v0.2+json"
#define OCI_TYPE_CONFIG_CNCF "application/vnd.cncf.model.config.v1+json"

#define OCI_TYPE_GGUF "application/vnd.docker.ai.gguf.v3"
#define OCI_TYPE_SAFETENSORS "application/vnd.docker.ai.safetensors"
#define OCI_TYPE_DDUF "application/vnd.docker.ai.dduf"
#define OCI_TYPE_MMPROJ "application/vnd.docker.ai.mmproj"
#define OCI_TYPE_TEMPLATE "application/vnd.docker.ai.chat.template.jinja"
#define OCI_TYPE_LICENSE "application/vnd.docker.ai.license"
#define OCI_TYPE_FILE "application/vnd.docker.ai.model.file"
#define OCI_TYPE_VLLM_TAR "application/vnd.docker.ai.vllm.config.tar"
#define OCI_TYPE_DIR_TAR "application/vnd.docker.ai.dir.tar"

#define OCI_TYPE_CNCF_WEIGHT "application/vnd.cncf.model.weight.v1.raw"
#define OCI_TYPE_CNCF_CONFIG "application/vnd.cncf.model.weight.config.v1.raw"
#define OCI_TYPE_CNCF_DOC "application/vnd.cncf.model.doc.v1.raw"

/* Annotations of a layer. */
#define OCI_ANNOTATION_FILEPATH "org.cncf.model.filepath"
#define OCI_ANNOTATION_FILE_METADATA "org.cncf.model.file.metadata+json"
#define OCI_ANNOTATION_UNTESTED "org.cncf.model.file.mediatype.untested"

enum oci_config_kind { OCI_CONFIG_V01, OCI_CONFIG_V02, OCI_CONFIG_CNCF };

/* ERR_UNSUPPORTED, `config type "X" is not supported (supported: …) - try upgrading: unsupported
 * model config media type`. */
int oci_config_kind_of(const char *media_type, enum oci_config_kind *ret, struct error *err);

enum oci_layer_kind {
    OCI_LAYER_OTHER, /* not known */
    OCI_LAYER_GGUF,
    OCI_LAYER_SAFETENSORS,
    OCI_LAYER_DDUF,
    OCI_LAYER_MMPROJ,
    OCI_LAYER_TEMPLATE,
    OCI_LAYER_LICENSE,
    OCI_LAYER_FILE,
    OCI_LAYER_TAR, /* to be unpacked */
    OCI_LAYER_DOC,
};

/* What a layer is: by its media type, and for CNCF's raw types and Docker's generic file by the
 * name in its path annotation ({NULL, 0} if none). */
enum oci_layer_kind oci_layer_kind_of(const char *media_type, struct str path);

/* ModelPack's type for a file of Docker's type; `name` tells documents from configurations. */
const char *oci_cncf_type(const char *docker_type, struct str name);

/* What a file is by its base name: ".gguf", ".safetensors", ".dduf"; ".jinja" or chat_template;
 * licences; README and configuration files. Letters of any case. A GGUF with "mmproj" in its name
 * is a projector. */
enum oci_layer_kind oci_file_kind(struct str name);

#endif
