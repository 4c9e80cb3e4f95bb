/* SPDX-License-Identifier: Apache-2.0
 *
 * SentencePiece with scores ("llama"): begin with single characters and merge neighbours as long as
 * their text is a token, the one with the highest score first. What ends as no token is given as
 * bytes.
 *
 * This is defined on the whole text. But nothing ever merges between two characters that are
 * neighbours in no token, nor, in most vocabularies, over the end of a word, since no token has a
 * space behind anything but spaces: part by part gives the same. */
#include "engine/text/vocab.h"

#include <stdlib.h>

#include "base/alloc.h"

struct spm_text {
    const struct tokenizer *t;
    struct str text;
};

/* Maps floats to integers of the opposite order. */
static uint32_t descending(float f)
{
    uint32_t bits;
    if (f == 0)
        f = 0; /* -0 and 0 are equal */
    memcpy(&bits, &f, sizeof(bits));
    return bits >> 31 ? bits : 0x7fffffff - bits;
}

static bool spm_rank(const void *ctx, const struct symbol *left, const struct symbol *right,
                     uint32_t *ret_rank, int32_t *ret_id)
{
    const struct spm_text *s = ctx;
    size_t len = (size_t)left->len + right->len;
    if (len > s->t->max_len)
        return false;
    int32_t id = strtab_find(&s->t->strings, str_make(s->text.ptr + left->pos, len));
    if (id < 0)
        return false;
    *ret_rank = descending(s->t->scores[id]);
    *ret_id = id;
    return true;
}

static void emit_bytes(struct encoder *e, struct str bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        int32_t id = e->t->byte_tokens[(unsigned char)bytes.ptr[i]];
        encoder_emit(e, id >= 0 ? id : e->t->unk);
    }
}

/* Is there an escaped space at s[at..] with something else than one in front? */
static bool word_begins(struct str s, size_t at)
{
    struct str mark = ESCAPED_SPACE;
    return s.ptr[at] == mark.ptr[0] && at > 0 && str_starts_with(str_sub(s, at, mark.len), mark) &&
           !str_ends_with(str_sub(s, 0, at), mark);
}

static bool is_token_or_char(const struct tokenizer *t, struct str s)
{
    return s.len == char_len((unsigned char)s.ptr[0]) || strtab_find(&t->strings, s) >= 0;
}

/* Two symbols could become this token. "<0x0A>" is one, but text seldom merges to it. */
static bool can_be_merged(const struct tokenizer *t, struct str text)
{
    for (size_t at = 1; at < text.len; at++)
        if (is_token_or_char(t, str_sub(text, 0, at)) &&
            is_token_or_char(t, str_sub(text, at, SIZE_MAX)))
            return true;
    return false;
}

void spm_init(struct tokenizer *t)
{
    t->words_apart = true;
    for (int32_t id = 0; id < t->n_tokens; id++) {
        struct str text = strtab_get(&t->strings, id);
        if (t->attrs[id] & IS_BYTE && !can_be_merged(t, text))
            continue;
        for (size_t at = 1; at < text.len; at++) {
            unsigned char before = (unsigned char)text.ptr[at - 1],
                          behind = (unsigned char)text.ptr[at];
            t->joins[before][behind / 64] |= (uint64_t)1 << behind % 64;
            t->words_apart = t->words_apart && !word_begins(text, at);
        }
    }
}

/* How much of s, which is not empty, merges by itself. */
static size_t part_length(const struct tokenizer *t, struct str s)
{
    size_t at = MIN(char_len((unsigned char)s.ptr[0]), s.len);
    while (at < s.len) {
        unsigned char before = (unsigned char)s.ptr[at - 1], behind = (unsigned char)s.ptr[at];
        bool joins = t->joins[before][behind / 64] >> behind % 64 & 1;
        if (!joins || (t->words_apart && word_begins(s, at)))
            break;
        at += MIN(char_len(behind), s.len - at);
    }
    return at;
}

static int word_encode(struct encoder *e, struct str word)
{
    struct merger *m = &e->merger;
    struct spm_text s = {.t = e->t, .text = word};
    merger_clear(m);
    for (size_t at = 0; at < word.len;) {
        uint32_t n = (uint32_t)MIN(char_len((unsigned char)word.ptr[at]), word.len - at);
        merger_push(m, strtab_find(&e->t->strings, str_sub(word, at, n)), (uint32_t)at, n);
        at += n;
    }
    if (m->failed || merger_run(m, spm_rank, &s) < 0)
        return -ERR_NOMEM;
    for (int32_t i = 0; i >= 0; i = m->symbols[i].next) {
        const struct symbol *sym = &m->symbols[i];
        if (sym->id >= 0)
            encoder_emit(e, sym->id);
        else
            emit_bytes(e, str_sub(word, sym->pos, sym->len));
    }
    return 0;
}

int spm_encode(struct encoder *e, struct str text, bool space_prefix, struct error *err)
{
    size_t len;
    CLEANUP_FREE char *escaped = escape_spaces(text, space_prefix, &len);
    if (!escaped)
        return error_set(err, ERR_NOMEM, "no memory to tokenize %zu bytes of text", text.len);
    struct str rest = str_make(escaped, len);
    while (rest.len > 0) {
        size_t end = part_length(e->t, rest);
        if (word_encode(e, str_sub(rest, 0, end)) < 0)
            return error_set(err, ERR_NOMEM, "no memory to tokenize %zu bytes of text", text.len);
        rest = str_sub(rest, end, SIZE_MAX);
    }
    return 0;
}
