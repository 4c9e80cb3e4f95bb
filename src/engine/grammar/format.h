/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON Schema's `format` for strings, as patterns. */
#ifndef ENGINE_GRAMMAR_FORMAT_H
#define ENGINE_GRAMMAR_FORMAT_H

#include <stdbool.h>

#include "base/str.h"

/* NULL for a format that is not known. */
const char *format_pattern(struct str name);
/* Says nothing about which values are valid, only what they are for: "password", "double", … */
bool format_is_annotation(struct str name);

#endif
