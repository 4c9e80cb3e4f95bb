/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading the keys "ARCH.SUFFIX" of a file, each checked against its range. */
#ifndef ENGINE_MODEL_KEYS_H
#define ENGINE_MODEL_KEYS_H

#include "engine/model/descriptor.h"

enum { KEY_MAX = 96 };

/* "llama.block_count" for "block_count". */
const char *key_of(const struct descriptor *d, const char *suffix, char out[KEY_MAX]);

/* A whole number from min to max; *ret is the value for an absent key, unless `required`. */
int read_count(const struct gguf *g, const struct descriptor *d, const char *suffix, bool required,
               uint32_t min, uint32_t max, uint32_t *ret, struct error *err);

/* A finite number from min to max; an absent key leaves *ret. */
int read_real(const struct gguf *g, const struct descriptor *d, const char *suffix, double min,
              double max, double *ret, struct error *err);

#endif
