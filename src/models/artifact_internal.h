/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside the building of artifacts: what is gathered on the way from files to a manifest. */
#ifndef MODELS_ARTIFACT_INTERNAL_H
#define MODELS_ARTIFACT_INTERNAL_H

#include <stdbool.h>
#include <sys/stat.h>
#include <time.h>

#include "models/artifact.h"
#include "oci/manifest.h"
#include "oci/model_config.h"

struct builder {
    struct artifact *a;
    struct stat *stats; /* of a->files; not of those of the base */
    struct oci_model_config config;
    struct oci_manifest base; /* of the model it is made from; else empty */
    bool per_file;            /* a layer for every file, placed by its path: config v0.2 */
    artifact_progress_fn progress;
    void *ctx;
    uint64_t done;
    bool has_epoch;
    time_t epoch; /* SOURCE_DATE_EPOCH */
};

/* artifact_gather.c: fills a->files and the config from the source, checking everything but the
 * digests of local files. */
int artifact__gather(struct builder *b, const struct artifact_source *src, struct error *err);

/* artifact_tar.c: reads a file of the artifact through `sink` (may be NULL) and hashes it; it must
 * be as long as it was. `b` (may be NULL) is told how far it is. */
int artifact__read_file(const struct artifact_file *f, artifact_sink_fn sink, void *sink_ctx,
                        struct builder *b, struct oci_digest *ret, struct error *err);

#endif
