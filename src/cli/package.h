/* SPDX-License-Identifier: Apache-2.0
 *
 * Local files into the runner's store; `package`, `adopt` and `run ./file.gguf` do it. */
#ifndef CLI_PACKAGE_H
#define CLI_PACKAGE_H

#include <stdbool.h>

#include "models/artifact.h"

/* Packages the source under a name. A runner on this machine's Unix socket reads the files itself
 * and links or clones them; to another one they are sent, unless it has the same model already.
 * `from`: the stored model whose weights are used, NULL = none. Notes and progress go to stderr
 * unless PACKAGE_QUIET. With PACKAGE_NO_COPY, ERR_UNSUPPORTED where the files can be neither linked
 * nor cloned. */
enum { PACKAGE_QUIET = 1, PACKAGE_NO_COPY = 2 };
int package_model(const struct artifact_source *source, const char *from, const char *name,
                  unsigned flags, struct error *err);

/* Is the word the path of a GGUF file rather than a model's name? It is when it begins as no name
 * can, with '/', "./" or "../", or when it contains a '/', ends in ".gguf" and such a file exists.
 */
bool package_is_local_file(const char *word);

/* A model name made of a file's: "./SmolLM2 135M-Q4_K_M.gguf" → "local/smollm2-135m-q4_k_m". The
 * caller frees it. */
char *package_name_for(const char *path) ATTR_CHECK;

#endif
