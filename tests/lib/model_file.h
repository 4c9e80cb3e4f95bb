/* SPDX-License-Identifier: Apache-2.0
 *
 * Model files for tests: a good one in the test's directory (temp_dir.h), numbers of it changed,
 * and its facts. */
#ifndef TESTS_LIB_MODEL_FILE_H
#define TESTS_LIB_MODEL_FILE_H

#include <stdint.h>

#include "engine/model/descriptor.h"
#include "tiny_model.h"

/* Writes `dir`/m.gguf; returns its path, allocated. */
char *model_file_write(const char *dir, const struct tiny_model *t);

/* The value of a u32 or f32 key of the file becomes *to. */
void model_file_patch(const char *path, const char *key, const uint32_t *to);

/* Reads its facts, and checks that its tensors are those. */
int model_file_read(const char *path, struct descriptor *d, struct error *err);

#endif
