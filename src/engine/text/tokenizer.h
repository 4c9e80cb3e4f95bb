/* SPDX-License-Identifier: Apache-2.0
 *
 * Tokenizers: text → token ids → text, exactly as the model's makers defined it.
 *
 * A tokenizer is built once from the vocabulary in a model file and then only read: any number of
 * threads may use it at the same time. It copies what it needs from the source.
 *
 *     struct token_list ids = TOKEN_LIST_INIT;
 *     tokenizer_encode(t, STR("Hello"), TOKENIZE_ADD_SPECIAL, &ids, err);
 *     ...
 *     token_list_release(&ids);
 *
 * Input is untrusted: ids and scores from the file are checked when the tokenizer is made, the time
 * to encode is linear in the text (n log n at most), memory is bounded by a small multiple of it.
 */
#ifndef ENGINE_TEXT_TOKENIZER_H
#define ENGINE_TEXT_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/error.h"
#include "base/str.h"

/* The values of tokenizer.ggml.token_type. */
enum token_type {
    TOKEN_UNDEFINED = 0,
    TOKEN_NORMAL = 1,
    TOKEN_UNKNOWN = 2,
    TOKEN_CONTROL = 3,
    TOKEN_USER_DEFINED = 4,
    TOKEN_UNUSED = 5,
    TOKEN_BYTE = 6,
};

/* A vocabulary as a GGUF file describes it (keys tokenizer.ggml.*). Everything is borrowed for the
 * time of tokenizer_create(). Ids are -1 where the key is absent, and so are switches; start from
 * VOCAB_SOURCE_INIT. */
struct vocab_source {
    struct str model; /* "llama", "gpt2", … see tokenizer_create() */
    struct str pre;   /* pre-tokenizer name; {NULL,0} if absent */
    struct str name;  /* general.name: only it tells that tokens swallow white space (Phi 3) */
    struct str arch;  /* general.architecture, likewise */
    size_t n_tokens;
    const struct str *tokens; /* [n_tokens] */
    const float *scores;      /* [n_tokens] or NULL */
    const int32_t *types;     /* [n_tokens] enum token_type, others count as normal; or NULL */
    size_t n_merges;
    const struct str *merges; /* "left right", in order of rank; NULL = the key is absent */
    int64_t bos, eos, eot, eom, unk, sep, pad, cls, mask;
    int64_t fim_pre, fim_suf, fim_mid, fim_pad, fim_rep, fim_sep;
    int add_bos, add_eos, add_sep, add_space_prefix; /* -1 = absent: the model type's default */
    int remove_extra_whitespaces;
    int lowercase, strip_accents; /* tokenizer.ggml.normalizer.*, for "bert" */
    struct str charsmap; /* the bytes of precompiled_charsmap, for "t5"; empty = none */
};
#define VOCAB_SOURCE_INIT                                                                 \
    ((struct vocab_source){.bos = -1, .eos = -1, .eot = -1, .eom = -1, .unk = -1,         \
                           .sep = -1, .pad = -1, .cls = -1, .mask = -1, .fim_pre = -1,    \
                           .fim_suf = -1, .fim_mid = -1, .fim_pad = -1, .fim_rep = -1,    \
                           .fim_sep = -1, .add_bos = -1, .add_eos = -1, .add_sep = -1,    \
                           .add_space_prefix = -1, .remove_extra_whitespaces = -1,        \
                           .lowercase = -1, .strip_accents = -1})

struct tokenizer;

/* Models: "llama", "gpt2", "gemma4", "whitespace", "bert", "t5", "rwkv", "plamo2"; another one, or
 * an unknown pre-tokenizer, is ERR_UNSUPPORTED. Ids out of range count as absent. */
int tokenizer_create(const struct vocab_source *src, struct tokenizer **ret, struct error *err);
void tokenizer_free(struct tokenizer *t); /* NULL is fine */
DEFINE_CLEANUP(tokenizer, struct tokenizer, tokenizer_free);

/* ---- text → ids ---- */

struct token_list {
    int32_t *ids;
    size_t n, cap;
};
#define TOKEN_LIST_INIT ((struct token_list){0})
void token_list_release(struct token_list *l);
int token_list_push(struct token_list *l, int32_t id); /* 0 or -ERR_NOMEM */
#define CLEANUP_TOKEN_LIST CLEANUP(token_list_release)

enum tokenize_flags {
    TOKENIZE_ADD_SPECIAL = 1,   /* put BOS/EOS where the vocabulary wants them */
    TOKENIZE_PARSE_SPECIAL = 2, /* the texts of control tokens become those tokens; without it only
                                   user-defined tokens do */
};

enum { TOKENIZE_MAX_BYTES = 64 << 20 };

/* Appends the ids of text to out. The text may hold any bytes: byte-level vocabularies see U+FFFD
 * for each one that is not UTF-8, others keep it. On failure out may hold some of the ids. */
int tokenizer_encode(const struct tokenizer *t, struct str text, unsigned flags,
                     struct token_list *out, struct error *err);

/* ---- ids → text ---- */

/* Appends the bytes of one token. Control tokens give nothing unless `special`. Ids out of range
 * are ERR_INVALID. */
int tokenizer_piece(const struct tokenizer *t, int32_t id, bool special, struct buf *out,
                    struct error *err);

/* The text of all ids together, as the reference engines' detokenize gives it: a leading space that
 * the tokenizer itself had put in front is taken away again, and for some vocabularies spaces
 * before punctuation are tidied (" ." becomes "."), which streaming does not do. */
int tokenizer_decode(const struct tokenizer *t, const int32_t *ids, size_t n, bool special,
                     struct buf *out, struct error *err);

/* Streaming: give tokens as they come, get valid UTF-8 that never ends inside a character; bytes
 * that are none become U+FFFD. */
struct detokenizer {
    const struct tokenizer *t;
    struct buf pending; /* bytes of a character that is not complete yet */
    bool special;
    bool at_start; /* nothing was given yet: the prefix space rule applies */
};
#define CLEANUP_DETOKENIZER CLEANUP(detokenizer_release)
/* `after_text`: the output continues text that came before (a prompt), so nothing is stripped. */
void detokenizer_init(struct detokenizer *d, const struct tokenizer *t, bool special,
                      bool after_text);
int detokenizer_feed(struct detokenizer *d, int32_t id, struct buf *out, struct error *err);
/* Gives what is still pending, with U+FFFD for the incomplete part. */
void detokenizer_flush(struct detokenizer *d, struct buf *out);
void detokenizer_release(struct detokenizer *d);

/* ---- the vocabulary ---- */

size_t tokenizer_n_tokens(const struct tokenizer *t);
/* As in the file; borrowed; "" for an id out of range. */
struct str tokenizer_token_text(const struct tokenizer *t, int32_t id);
enum token_type tokenizer_token_type(const struct tokenizer *t, int32_t id);
int32_t tokenizer_bos(const struct tokenizer *t); /* -1 = none */
int32_t tokenizer_eos(const struct tokenizer *t);
int32_t tokenizer_eot(const struct tokenizer *t); /* end of a turn */
int32_t tokenizer_sep(const struct tokenizer *t); /* between two texts */
bool tokenizer_adds_sep(const struct tokenizer *t);
bool tokenizer_adds_bos(const struct tokenizer *t);
bool tokenizer_adds_eos(const struct tokenizer *t);
/* End of generation: EOS, EOT, EOM and the tokens whose text is known to end a turn. */
bool tokenizer_is_eog(const struct tokenizer *t, int32_t id);
/* Tokens for filling in the middle; -1 = the vocabulary has none. */
enum fim_token { FIM_PRE, FIM_SUF, FIM_MID, FIM_REP, FIM_SEP, FIM_COUNT };
int32_t tokenizer_fim(const struct tokenizer *t, enum fim_token which);
int32_t tokenizer_find(const struct tokenizer *t, struct str text); /* its id, or -1 */

#endif
