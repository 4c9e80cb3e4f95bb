/* SPDX-License-Identifier: Apache-2.0
 *
 * A local GGUF file into the runner's store; `package` and `run ./file.gguf` do it. */
#ifndef CLI_PACKAGE_H
#define CLI_PACKAGE_H

#include <stdbool.h>

#include "models/artifact.h"

/* Packages the source, sends it to the runner and names it. Notes and progress go to stderr unless
 * `quiet`. When the runner has the same model already, nothing is sent. */
int package_model(const struct artifact_source *source, const char *name, bool quiet,
                  struct error *err);

/* Is the word the path of a GGUF file rather than a model's name? It is when it begins as no name
 * can, with '/', "./" or "../", or when it contains a '/', ends in ".gguf" and such a file exists.
 */
bool package_is_local_file(const char *word);

/* A model name made of a file's: "./SmolLM2 135M-Q4_K_M.gguf" → "local/smollm2-135m-q4_k_m". The
 * caller frees it. */
char *package_name_for(const char *path) ATTR_CHECK;

#endif
