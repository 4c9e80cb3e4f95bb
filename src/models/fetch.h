/* SPDX-License-Identifier: Apache-2.0
 *
 * Layers from a source into a transaction of the store. Internal to models/. */
#ifndef MODELS_FETCH_H
#define MODELS_FETCH_H

#include "models/job.h"

struct fetch_layer {
    struct oci_digest digest;
    uint64_t size;
    const char *path; /* where the source has it; NULL = the digest says it */
    bool gguf;        /* it should begin like a GGUF file */
};

/* Sees to it that all layers are in the store, held for the transaction: those that are there
 * already are only held, others are downloaded, resumed or waited for when another process
 * downloads them. Space is checked before the first byte. */
int fetch_layers(struct job *j, struct models *m, struct registry_repo *repo, struct store_txn *t,
                 const struct fetch_layer *layers, size_t n, struct error *err);

#endif
