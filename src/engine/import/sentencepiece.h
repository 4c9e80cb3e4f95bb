/* SPDX-License-Identifier: Apache-2.0
 *
 * SentencePiece models (tokenizer.model): a protobuf message, of which these fields are read
 * (sentencepiece_model.proto):
 *
 *     1 pieces           repeated { 1 piece, 2 score (f32), 3 type (1 if absent) }
 *     2 trainer_spec     { 3 model_type, 40 unk_id, 41 bos_id, 42 eos_id, 43 pad_id }
 *     3 normalizer_spec  { 3 add_dummy_prefix }
 *
 * Every length is checked against its message's end; no message lies deeper than two.
 * Threads: no state. */
#ifndef ENGINE_IMPORT_SENTENCEPIECE_H
#define ENGINE_IMPORT_SENTENCEPIECE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

enum { SP_MAX_PIECES = 1 << 22 };

enum sp_model_type { SP_UNIGRAM = 1, SP_BPE = 2 };

struct sp_piece {
    struct str text;
    float score;
    int32_t type; /* as tokenizer.ggml.token_type: 1 normal, 2 unknown, 3 control, 6 byte, … */
};

struct sp_model {
    struct sp_piece *pieces;
    size_t n;
    int64_t model_type;
    int64_t unk, bos, eos, pad; /* -1 = none */
    bool add_dummy_prefix;
};

/* What is returned borrows from the bytes. Released also after an error. */
int sp_model_parse(const void *data, size_t size, struct sp_model *ret, struct error *err);
void sp_model_release(struct sp_model *m);

#endif
