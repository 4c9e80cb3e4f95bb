/* SPDX-License-Identifier: Apache-2.0
 *
 * Writing a message in the user's editor. */
#ifndef CLI_EDITOR_H
#define CLI_EDITOR_H

#include "base/error.h"

/* Runs $EDITOR (vi if unset) on a temporary file that holds `text` and gives back what the file
 * holds afterwards, without the line break at its end. The caller frees *ret. */
int editor_run(const char *text, char **ret, struct error *err);

#endif
