/* SPDX-License-Identifier: Apache-2.0
 *
 * A language model ready to be used: the model, its tokenizer, and the facts about both that the
 * API shows.
 *
 *     struct lm *lm;
 *     lm_open("m.gguf", &(struct lm_options){0}, &lm, err);
 *     ...
 *     lm_close(lm);
 *
 * Threads: everything but `model` is only read once it is open. The model belongs to one thread at
 * a time, the batcher's while there is one. */
#ifndef ENGINE_RUN_LM_H
#define ENGINE_RUN_LM_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"
#include "engine/grammar/grammar.h"
#include "engine/model/model.h"
#include "engine/text/tokenizer.h"

/* A LoRA adapter of the model (engine/model/adapter.h). */
struct lm_adapter {
    char *path;
    float scale; /* what whoever opened the model wishes */
};

struct lm {
    struct model *model;
    struct tokenizer *tokenizer;
    int32_t *eog; /* [n_eog] the tokens that end a generation */
    size_t n_eog;
    char *path;
    char *name; /* general.name, or the file's name */
    uint32_t n_vocab;
    uint32_t n_ctx_train; /* context length of the training */
    uint32_t n_embd;
    uint64_t n_params;
    uint64_t file_bytes;
    struct lm_adapter adapters[ADAPTERS_MAX]; /* by number */
    uint32_t n_adapters;
    pthread_mutex_t lock;
    struct grammar_vocab *grammar_vocab; /* guarded by: lock; NULL until it is needed */
};

struct lm_options {
    uint32_t n_threads;                       /* 0 = default */
    struct lm_adapter adapters[ADAPTERS_MAX]; /* paths borrowed */
    uint32_t n_adapters;
};

/* A vocabulary that does not fit the model's matrices is ERR_CORRUPT. */
int lm_open(const char *path, const struct lm_options *o, struct lm **ret, struct error *err);
void lm_close(struct lm *lm); /* NULL is fine */

/* The scales that the adapters were opened with; 0 beyond them. */
void lm_adapter_scales(const struct lm *lm, float ret[ADAPTERS_MAX]);

/* The vocabulary for grammars, made at the first call; borrowed. Any thread. */
int lm_grammar_vocab(struct lm *lm, const struct grammar_vocab **ret, struct error *err);

/* Appends the tokens of a whole prompt, special tokens parsed. The tokenizer's beginning-of-text
 * token goes in front unless the text has it already, as chat templates usually write it. */
int lm_tokenize_prompt(const struct lm *lm, struct str text, struct token_list *out,
                       struct error *err);

/* Text of the tokens that begin and end a text; empty where the vocabulary has none. */
struct str lm_bos_text(const struct lm *lm);
struct str lm_eos_text(const struct lm *lm);

/* A string of the file's metadata, {NULL, 0} if it is absent; borrowed. */
struct str lm_metadata(const struct lm *lm, const char *key);

/* The context size to use when none is asked for: that of the training, or less where n_seqs
 * sequences of it would need more than half of the memory that is free now. */
uint32_t lm_default_ctx_size(const struct lm *lm, uint32_t n_seqs, enum kv_type type);

/* The same from the numbers alone: token_bytes are those of all sequences together, fixed_bytes are
 * needed whatever the size is. */
uint32_t lm_fitting_ctx_size(uint32_t n_ctx_train, uint64_t token_bytes, uint64_t fixed_bytes);

#endif
