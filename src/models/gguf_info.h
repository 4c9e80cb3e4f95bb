/* SPDX-License-Identifier: Apache-2.0
 *
 * What the config of a model says about a GGUF file. */
#ifndef MODELS_GGUF_INFO_H
#define MODELS_GGUF_INFO_H

#include <stddef.h>
#include <stdint.h>

#include "gguf/gguf.h"
#include "oci/model_config.h"

enum { GGUF_INFO_TEXT_MAX = 32 };

/* Fills format, quantization, parameters, architecture, size, context_size and the gguf map of an
 * empty config, from all parts that are open. */
void gguf_info_fill(const struct gguf *g, struct oci_model_config *c);

/* "361.82M", "8.03B": base 1000, two decimals from 1000 on. */
void format_count(uint64_t n, char out[GGUF_INFO_TEXT_MAX]);

/* "270.88MB": base 1000. */
void format_decimal_size(uint64_t n, char out[GGUF_INFO_TEXT_MAX]);

/* "256.35MiB": base 1024. */
void format_binary_size(uint64_t n, char out[GGUF_INFO_TEXT_MAX]);

#endif
