/* SPDX-License-Identifier: Apache-2.0
 *
 * A tokenizer from the vocabulary in a model file. */
#ifndef ENGINE_RUN_VOCAB_LOAD_H
#define ENGINE_RUN_VOCAB_LOAD_H

#include "base/error.h"
#include "engine/text/tokenizer.h"
#include "gguf/gguf.h"

/* Reads the keys tokenizer.ggml.* (the file may have been opened with GGUF_HEADER_ONLY). The
 * tokenizer keeps nothing of g; the caller frees it. Errors name the key. */
int vocab_load(const struct gguf *g, struct tokenizer **ret, struct error *err);

#endif
