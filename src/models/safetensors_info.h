/* SPDX-License-Identifier: Apache-2.0
 *
 * What the config of a model says about safetensors files. */
#ifndef MODELS_SAFETENSORS_INFO_H
#define MODELS_SAFETENSORS_INFO_H

#include "base/error.h"
#include "oci/model_config.h"

/* Opens every file, so that its directory is checked, and fills format, quantization, parameters,
 * architecture, size, context_size and the safetensors map of an empty config. `config_json`: the
 * path of the config.json beside them, NULL = none. */
int safetensors_info_fill(const char *const *paths, size_t n, const char *config_json,
                          struct oci_model_config *c, struct error *err);

#endif
