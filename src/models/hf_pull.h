/* SPDX-License-Identifier: Apache-2.0
 *
 * Models from Hugging Face: files of a repository become layers of an artifact. Internal to
 * models/. */
#ifndef MODELS_HF_PULL_H
#define MODELS_HF_PULL_H

#include "models/job.h"

/* ref is a name at Hugging Face; tag: what the model will be called, in full. */
int hf_pull(struct job *j, struct models *m, const struct oci_reference *ref, const char *tag,
            struct error *err);

#endif
