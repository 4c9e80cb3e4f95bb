/* SPDX-License-Identifier: Apache-2.0
 *
 * The inside of struct tokenizer, for the files of this folder.
 *
 * tokenizer.c builds it and hands texts to the kind of the vocabulary; vocab.c reads the tokens and
 * finds out which are special; spm.c, bpe.c, wpm.c, ugm.c, rwkv.c and plamo2.c encode;
 * detokenizer.c decodes. */
#ifndef ENGINE_TEXT_VOCAB_H
#define ENGINE_TEXT_VOCAB_H

#include "base/error.h"
#include "engine/text/merge.h"
#include "engine/text/pretokenizer.h"
#include "engine/text/special.h"
#include "engine/text/strtab.h"
#include "engine/text/tokenizer.h"
#include "engine/text/trie.h"

/* What a token is. Several may hold at once: a token whose text is known to end a turn is control
 * whatever the file calls it. */
enum token_attr {
    IS_NORMAL = 1,
    IS_UNKNOWN = 2,
    IS_CONTROL = 4,
    IS_USER_DEFINED = 8,
    IS_UNUSED = 16,
    IS_BYTE = 32,
    STRIPS_LEFT = 64,   /* swallows the white space to its left */
    STRIPS_RIGHT = 128, /* … to its right */
    IS_EOG = 256,       /* ends the generation */
};

enum vocab_kind {
    VOCAB_SPM, /* SentencePiece with scores: "llama" */
    VOCAB_BPE, /* byte-pair encoding with merges: "gpt2" */
    VOCAB_WPM, /* WordPiece: "bert" */
    VOCAB_UGM, /* SentencePiece's unigram model: "t5" */
    VOCAB_RWKV,
    VOCAB_PLAMO2,
};

/* The compiled map of a SentencePiece model, see ugm.c. */
struct charsmap {
    uint32_t *nodes; /* [n_nodes] */
    uint32_t n_nodes;
    char *replacements;
    size_t replacements_len;
};

struct bpe_merge;

struct tokenizer {
    enum vocab_kind kind;
    int32_t n_tokens;
    /* Numbers below n_tokens are token ids. BPE keeps further strings behind them: parts and
     * results of merges that are no tokens. */
    struct strtab strings;
    uint16_t *attrs;  /* [n_tokens] enum token_attr */
    float *scores;    /* [n_tokens] SPM, UGM, PLaMo 2; else NULL */
    /* SPM: no token goes on behind a word, so words merge by themselves; and no characters merge
     * the last byte of the first and the first of the second of which stand in no token. */
    bool words_apart;
    uint64_t joins[256][4]; /* bits: characters ending and beginning so are neighbours in a token */
    size_t max_len;   /* bytes of the longest token */
    struct special special;

    int32_t bos, eos, eot, eom, unk, sep; /* -1 = none */
    bool add_bos, add_eos, add_sep;
    int32_t fim[FIM_COUNT];
    bool add_space_prefix;
    bool escape_spaces; /* a space in the text is U+2581 in the tokens */
    bool clean_spaces;  /* decoding tidies spaces before punctuation */

    int32_t byte_tokens[256]; /* "<0xNN>"; SPM, PLaMo 2 and raw BPE; -1 = none */

    /* BPE */
    struct pretokenizer *pre;
    unsigned pre_flags;
    struct bpe_merge *merges; /* hashed by the pair */
    uint32_t n_merge_slots;
    int32_t byte_strings[256]; /* the string of each byte in byte-level text */
    uint8_t byte_of[0x180];    /* and back, by code point */
    bool is_byte_char[0x180];
    bool drop_spaces; /* white space separates words and is gone ("whitespace") */

    struct trie words; /* WPM, UGM, RWKV, PLaMo 2: the tokens that text may become */

    /* WPM; BPE that drops spaces */
    bool lowercase, strip_accents;

    /* UGM */
    struct trie user_defined;
    struct charsmap charsmap;
    bool plain[128]; /* ASCII that no normalisation begins with */
    float unknown_score;
    bool merge_spaces; /* a run of spaces is one, those at the ends are none */
};

/* U+2581, how vocabularies write a space. */
#define ESCAPED_SPACE STR("\xe2\x96\x81")

/* ---- vocab.c ---- */

/* Copies the tokens and finds the special ones. t->kind is set; BPE: t->pre_flags too. */
int vocab_init(struct tokenizer *t, const struct vocab_source *src, struct error *err);

/* ---- encoding one piece of text without special tokens ---- */

struct encoder {
    const struct tokenizer *t;
    struct token_list *out;
    struct merger merger;
    bool failed; /* out of memory */
};

void encoder_emit(struct encoder *e, int32_t id);
int spm_encode(struct encoder *e, struct str text, bool space_prefix, struct error *err);
int bpe_encode(struct encoder *e, struct str text, struct error *err);
int wpm_encode(struct encoder *e, struct str text, struct error *err);
int ugm_encode(struct encoder *e, struct str text, struct error *err);
void rwkv_encode(struct encoder *e, struct str text);
int plamo2_encode(struct encoder *e, struct str text, struct error *err);

void spm_init(struct tokenizer *t);
int bpe_init(struct tokenizer *t, const struct vocab_source *src, struct error *err);
void bpe_release(struct tokenizer *t);
int wpm_init(struct tokenizer *t, const struct vocab_source *src, struct error *err);
/* words.c: `words`, of tokens of bounded length. ERR_NOMEM, ERR_UNSUPPORTED. */
int words_init(struct tokenizer *t, struct error *err);
int words_add(struct tokenizer *t, struct str word, int32_t id, struct error *err);
int words_no_memory(const struct tokenizer *t, struct error *err);

int ugm_init(struct tokenizer *t, const struct vocab_source *src, struct error *err);
void ugm_release(struct tokenizer *t);
int rwkv_init(struct tokenizer *t, struct error *err);
int plamo2_init(struct tokenizer *t, struct error *err);

/* Appends the bytes of a token of a RWKV vocabulary. */
void rwkv_unescape(struct str text, struct buf *out);

/* Gives *text as UTF-8: in place if it is valid, else a copy in the empty `copy` that has U+FFFD
 * for every byte that is no part of a character. */
int text_make_valid(struct str *text, struct buf *copy, struct error *err);

/* A copy of text with each space escaped; the caller frees. NULL when out of memory. */
char *escape_spaces(struct str text, bool space_prefix, size_t *ret_len);

/* Length in bytes of the character that begins with this byte, by its first bits alone. */
static inline uint32_t char_len(unsigned char first)
{
    return first < 0xc0 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

#endif
