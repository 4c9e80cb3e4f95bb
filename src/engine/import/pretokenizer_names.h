/* SPDX-License-Identifier: Apache-2.0
 *
 * Which of GGUF's pre-tokenizer names (tokenizer.ggml.pre) a tokenizer.json means, told by its
 * regular expressions. */
#ifndef ENGINE_IMPORT_PRETOKENIZER_NAMES_H
#define ENGINE_IMPORT_PRETOKENIZER_NAMES_H

#include "base/error.h"
#include "base/json.h"

/* One that is not known is ERR_UNSUPPORTED and shown. *ret is static. */
int pretokenizer_name(const struct json *tokenizer, const char **ret, struct error *err);

#endif
