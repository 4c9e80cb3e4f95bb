/* SPDX-License-Identifier: Apache-2.0
 *
 * The vocabulary of a directory in GGUF's terms. Read are tokenizer.json, tokenizer.model,
 * tokenizer_config.json, added_tokens.json, generation_config.json, chat_template.jinja:
 *
 *     byte-level BPE              tokenizer.json                "gpt2", with merges
 *     SentencePiece BPE           tokenizer.model, or else      "llama", with scores
 *                                 tokenizer.json with byte_fallback
 *
 * What cannot be said in GGUF is refused by name: other models, an unknown pre-tokenizer. */
#ifndef ENGINE_IMPORT_HF_VOCAB_H
#define ENGINE_IMPORT_HF_VOCAB_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "engine/import/hf_config.h"
#include "engine/import/hf_dir.h"
#include "engine/import/sentencepiece.h"

struct hf_vocab {
    const char *model, *pre; /* pre: NULL = no key */
    struct str *tokens;      /* [n]; ptr NULL = no token has this id */
    int32_t *types;          /* [n] */
    float *scores;           /* [n]; NULL = no key */
    size_t n;
    struct str *merges;
    size_t n_merges;
    int64_t bos, eos, eot, unk, pad;        /* -1 = none */
    int add_bos, add_eos, add_space_prefix; /* -1 = no key */
    struct buf chat_template;

    /* what the texts borrow from */
    struct json *tokenizer, *config, *added;
    struct buf sp_bytes;
    struct sp_model sp;
    char **owned;
    size_t n_owned;
};

/* *ret is zeroed at first and released also after an error. */
int hf_vocab_read(const struct hf_dir *d, const struct hf_config *c, struct hf_vocab *ret,
                  struct error *err);
void hf_vocab_release(struct hf_vocab *v);

void hf_vocab_write(const struct hf_vocab *v, struct gguf_writer *w);

#endif
