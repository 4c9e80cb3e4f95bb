/* SPDX-License-Identifier: Apache-2.0
 *
 * WordPiece ("bert"): text is normalised, cut at white space and around punctuation, and each word
 * is covered from the left with the longest tokens; a word that cannot be covered is unknown as a
 * whole. In GGUF the beginning of a word is marked ("▁play", "ing"), not its continuation. */
#include "engine/text/vocab.h"

#include "base/utf8.h"
#include "engine/text/unicode.h"

int wpm_init(struct tokenizer *t, const struct vocab_source *src, struct error *err)
{
    t->lowercase = src->lowercase != 0;
    t->strip_accents = src->strip_accents >= 0 ? src->strip_accents > 0 : t->lowercase;
    int r = words_init(t, err);
    for (int32_t id = 0; r == 0 && id < t->n_tokens; id++)
        r = words_add(t, strtab_get(&t->strings, id), id, err);
    return r;
}

/* Characters that are words of their own: the CJK blocks of BERT's tokenizer. */
static bool is_ideograph(uint32_t cp)
{
    return (cp >= 0x4e00 && cp <= 0x9fff) || (cp >= 0x3400 && cp <= 0x4dbf) ||
           (cp >= 0x20000 && cp <= 0x2a6df) || (cp >= 0x2a700 && cp <= 0x2b73f) ||
           (cp >= 0x2b740 && cp <= 0x2b81f) || (cp >= 0x2b920 && cp <= 0x2ceaf) ||
           (cp >= 0xf900 && cp <= 0xfaff) || (cp >= 0x2f800 && cp <= 0x2fa1f);
}

static bool stands_alone(uint32_t cp, enum unicode_class cls)
{
    return cls == UC_PUNCT || (cls == UC_SYMBOL && cp < 0x7f) || is_ideograph(cp);
}

/* Covers the word that `word` holds and empties it to the mark of a beginning word. */
static void word_end(struct encoder *e, struct buf *word)
{
    const struct tokenizer *t = e->t;
    struct str mark = ESCAPED_SPACE, rest = buf_str(word);
    if (rest.len == mark.len)
        return;
    if (rest.len > mark.len && !word->failed) {
        size_t n_before = e->out->n;
        while (rest.len > 0) {
            size_t len;
            int32_t id = trie_longest(&t->words, rest, &len);
            if (id < 0)
                break;
            encoder_emit(e, id);
            rest = str_sub(rest, len, SIZE_MAX);
        }
        if (rest.len > 0) {
            e->out->n = n_before;
            encoder_emit(e, t->unk);
        }
    }
    e->failed = e->failed || word->failed;
    buf_clear(word);
    buf_append(word, mark);
}

int wpm_encode(struct encoder *e, struct str text, struct error *err)
{
    const struct tokenizer *t = e->t;
    CLEANUP_BUF struct buf word = BUF_INIT(SIZE_MAX / 4);
    buf_append(&word, ESCAPED_SPACE);
    for (size_t at = 0; at < text.len;) {
        uint32_t cp = 0xfffd;
        size_t n = utf8_decode(text.ptr + at, text.len - at, &cp);
        at += n > 0 ? n : 1;
        uint32_t given = cp;
        if (t->strip_accents)
            cp = unicode_base_char(cp);
        if (unicode_is_space(cp)) {
            word_end(e, &word);
            continue;
        }
        enum unicode_class cls = unicode_class(cp);
        if (cp == 0 || cp == 0xfffd || cls == UC_CONTROL || (t->strip_accents && cls == UC_MARK))
            continue;
        char changed[UTF8_MAX];
        const char *bytes = text.ptr + at - n;
        uint32_t to = t->lowercase ? unicode_to_lower(cp) : cp;
        if (to != given) {
            n = utf8_encode(to, changed);
            bytes = changed;
        }
        bool alone = stands_alone(cp, cls);
        if (alone)
            word_end(e, &word);
        buf_append_bytes(&word, bytes, n);
        if (alone)
            word_end(e, &word);
    }
    word_end(e, &word);
    if (e->failed)
        return error_set(err, ERR_NOMEM, "no memory to tokenize %zu bytes of text", text.len);
    return 0;
}
