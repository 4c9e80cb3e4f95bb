/* SPDX-License-Identifier: Apache-2.0
 *
 * Shared by the files about archives only. */
#ifndef MODELS_ARCHIVE_INTERNAL_H
#define MODELS_ARCHIVE_INTERNAL_H

#include "models/archive.h"
#include "oci/manifest.h"

/* A blob of the store as an entry of a tar, checked on the way: damage must not spread. */
int archive__send_blob(struct models *m, const struct oci_descriptor *d, artifact_sink_fn sink,
                       void *ctx, struct error *err);

/* Is everything that the manifest names there, in its size? */
int archive__check_blobs(struct models *m, const struct oci_manifest *manifest, struct error *err);

#endif
