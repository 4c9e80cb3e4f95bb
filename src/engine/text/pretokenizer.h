/* SPDX-License-Identifier: Apache-2.0
 *
 * Pre-tokenizers: the rules, named by tokenizer.ggml.pre, that cut text into words before byte-pair
 * merging. A merge never crosses a border between words, so the rules decide the ids. */
#ifndef ENGINE_TEXT_PRETOKENIZER_H
#define ENGINE_TEXT_PRETOKENIZER_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/error.h"
#include "base/str.h"

/* What else the name stands for. */
enum pretokenizer_flags {
    PRE_IGNORE_MERGES = 1, /* a word that is a token becomes that token, whatever the merges say */
    PRE_ADD_BOS = 2,       /* BOS goes in front unless the file says otherwise */
    PRE_KEEP_SPACES = 4,   /* decoding does not tidy spaces before punctuation */
    PRE_RAW_BYTES = 8,     /* tokens are plain UTF-8 with <0xNN> fallback, not byte-level text */
    PRE_ESCAPE_SPACES = 16, /* ' ' is written U+2581 */
    PRE_NO_MERGES = 32,    /* the vocabulary may come without merges */
    PRE_NEWLINE_WORDS = 64, /* a word of newlines that is a token becomes that token */
    PRE_ALWAYS_BOS = 128,  /* BOS goes in front even when the file says no */
    PRE_ADD_SEP = 512,     /* a separator stands between two texts */
    PRE_KEEP_CASE = 256,   /* capitals stay unless the file says otherwise ("whitespace" only) */
};

struct pretokenizer;

/* An unknown name is ERR_UNSUPPORTED; the empty one means "default". */
int pretokenizer_create(struct str name, struct pretokenizer **ret, struct error *err);
void pretokenizer_free(struct pretokenizer *p); /* NULL is fine */
unsigned pretokenizer_flags(const struct pretokenizer *p);

/* The ends of the words as byte offsets; the last one is the end of the text. */
struct word_ends {
    uint32_t *ends;
    size_t n;
};
void word_ends_release(struct word_ends *w);
#define CLEANUP_WORD_ENDS CLEANUP(word_ends_release)

/* Cuts valid UTF-8, shorter than 2^31 bytes. Threads: p is only read. */
int pretokenizer_split(const struct pretokenizer *p, struct str text, struct word_ends *ret,
                       struct error *err);

#endif
