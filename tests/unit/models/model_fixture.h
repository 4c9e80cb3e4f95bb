/* SPDX-License-Identifier: Apache-2.0
 *
 * Small GGUF files for tests of the packaging. */
#ifndef TESTS_UNIT_MODELS_MODEL_FIXTURE_H
#define TESTS_UNIT_MODELS_MODEL_FIXTURE_H

#include <stdint.h>

/* Writes dir/name: architecture llama, context 4096, one F32 tensor of 8 x rows items. part/parts:
 * split metadata, 0/0 = a whole file. */
void write_gguf(const char *dir, const char *name, uint64_t rows, unsigned part, unsigned parts);

/* Sets the modification time, so that results can be compared. */
void set_mtime(const char *dir, const char *name, long seconds);

#endif
