/* SPDX-License-Identifier: Apache-2.0
 *
 * Naming a stored model; `tag` and `package` do it. */
#ifndef CLI_TAG_H
#define CLI_TAG_H

#include "base/error.h"

/* source: a name or an id of a stored model. target: the new name, with or without a tag. */
int tag_model(const char *source, const char *target, struct error *err);

#endif
