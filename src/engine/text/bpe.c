/* SPDX-License-Identifier: Apache-2.0
 *
 * Byte-pair encoding ("gpt2"): words from the pre-tokenizer, in each of them neighbours merged in
 * the order of the list of merges.
 *
 * Byte-level vocabularies write each byte as one printable character: bytes that are printable in
 * Latin-1 as themselves, the other 68 as U+0100 and up, so that a space is 'Ġ'. All strings of the
 * tokens and merges are numbered once; a merge is then a pair of numbers. */
#include "engine/text/vocab.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/utf8.h"
#include "engine/text/unicode.h"

struct bpe_merge {
    int32_t left, right; /* -1 = free slot */
    uint32_t rank;
    int32_t result;
};

static uint32_t pair_hash(int32_t left, int32_t right)
{
    uint64_t key = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    return (uint32_t)((key * 0x9e3779b97f4a7c15u) >> 32);
}

/* The slot of this pair, or the free one where it belongs. */
static struct bpe_merge *merge_find(const struct tokenizer *t, int32_t left, int32_t right)
{
    uint32_t mask = t->n_merge_slots - 1;
    uint32_t i = pair_hash(left, right) & mask;
    while (t->merges[i].left >= 0 && (t->merges[i].left != left || t->merges[i].right != right))
        i = (i + 1) & mask;
    return &t->merges[i];
}

/* "left right" → a slot. Lines of another form can never apply and are left out. */
static int merge_add(struct tokenizer *t, struct str line, uint32_t rank, struct buf *scratch)
{
    ptrdiff_t at = line.len > 0 ? str_find_char(str_sub(line, 1, SIZE_MAX), ' ') : -1;
    if (at < 0)
        return 0;
    struct str left = str_sub(line, 0, (size_t)at + 1);
    struct str right = str_sub(line, (size_t)at + 2, SIZE_MAX);
    if (right.len == 0)
        return 0;
    buf_clear(scratch);
    buf_append(scratch, left);
    buf_append(scratch, right);
    if (scratch->failed)
        return -ERR_NOMEM;
    int32_t l = strtab_intern(&t->strings, left);
    int32_t r = strtab_intern(&t->strings, right);
    int32_t result = strtab_intern(&t->strings, buf_str(scratch));
    if (l < 0 || r < 0 || result < 0)
        return -ERR_NOMEM;
    struct bpe_merge *m = merge_find(t, l, r);
    if (m->left < 0)
        *m = (struct bpe_merge){l, r, rank, result};
    return 0;
}

static int merges_init(struct tokenizer *t, const struct vocab_source *src)
{
    if (src->n_merges > INT32_MAX / 4)
        return -ERR_NOMEM;
    t->n_merge_slots = 16;
    while (t->n_merge_slots < 2 * src->n_merges)
        t->n_merge_slots *= 2;
    t->merges = alloc_array(t->n_merge_slots, sizeof(*t->merges));
    if (!t->merges)
        return -ERR_NOMEM;
    for (uint32_t i = 0; i < t->n_merge_slots; i++)
        t->merges[i] = (struct bpe_merge){.left = -1};
    CLEANUP_BUF struct buf scratch = BUF_INIT(SIZE_MAX / 4);
    for (size_t i = 0; i < src->n_merges; i++) {
        if (merge_add(t, src->merges[i], (uint32_t)i, &scratch) < 0)
            return -ERR_NOMEM;
    }
    return 0;
}

/* The table between bytes and the characters that stand for them. */
static int byte_chars_init(struct tokenizer *t)
{
    uint32_t next = 0x100;
    for (uint32_t b = 0; b < 256; b++) {
        bool printable = (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
        uint32_t cp = printable ? b : next++;
        char text[UTF8_MAX];
        size_t len = utf8_encode(cp, text);
        t->byte_of[cp] = (uint8_t)b;
        t->is_byte_char[cp] = true;
        t->byte_strings[b] = strtab_intern(&t->strings, str_make(text, len));
        if (t->byte_strings[b] < 0)
            return -ERR_NOMEM;
    }
    return 0;
}

int bpe_init(struct tokenizer *t, const struct vocab_source *src, struct error *err)
{
    t->drop_spaces = str_eq_c(src->model, "whitespace");
    if (src->lowercase >= 0)
        t->lowercase = src->lowercase > 0;
    else
        t->lowercase = !(t->pre_flags & PRE_KEEP_CASE);
    if (byte_chars_init(t) < 0 || merges_init(t, src) < 0)
        return error_set(err, ERR_NOMEM, "no memory for %zu merges", src->n_merges);
    return 0;
}

void bpe_release(struct tokenizer *t)
{
    free(t->merges);
    pretokenizer_free(t->pre);
}

static bool bpe_rank(const void *ctx, const struct symbol *left, const struct symbol *right,
                     uint32_t *ret_rank, int32_t *ret_id)
{
    const struct tokenizer *t = ctx;
    if (left->id < 0 || right->id < 0)
        return false;
    const struct bpe_merge *m = merge_find(t, left->id, right->id);
    if (m->left < 0)
        return false;
    *ret_rank = m->rank;
    *ret_id = m->result;
    return true;
}

/* ---- words ---- */

/* A symbol that is no token. Byte-level: its characters one by one, where those are tokens of one
 * byte; that is what the reference does, and what else there is has no id. Raw: its bytes. */
static void emit_unknown(struct encoder *e, struct str word, const struct symbol *sym)
{
    const struct tokenizer *t = e->t;
    bool raw = t->pre_flags & PRE_RAW_BYTES;
    struct str s = raw ? str_sub(word, sym->pos, sym->len) : strtab_get(&t->strings, sym->id);
    for (size_t i = 0; i < s.len; i++) {
        int32_t id = raw ? t->byte_tokens[(unsigned char)s.ptr[i]]
                         : strtab_find(&t->strings, str_make(s.ptr + i, 1));
        if (id >= 0 && id < t->n_tokens)
            encoder_emit(e, id);
    }
}

static int32_t token_find(const struct tokenizer *t, struct str s)
{
    int32_t id = strtab_find(&t->strings, s);
    return id < t->n_tokens ? id : -1;
}

/* The token that is this whole word, if words may be taken whole; else -1. */
static int32_t whole_word(const struct tokenizer *t, struct str word, struct buf *scratch)
{
    if (word.len > t->max_len)
        return -1;
    if (t->pre_flags & PRE_RAW_BYTES) {
        bool newlines = t->pre_flags & PRE_NEWLINE_WORDS && word.ptr[0] == '\n';
        return newlines || t->pre_flags & PRE_IGNORE_MERGES ? token_find(t, word) : -1;
    }
    if (!(t->pre_flags & PRE_IGNORE_MERGES))
        return -1;
    buf_clear(scratch);
    for (size_t i = 0; i < word.len; i++)
        buf_append(scratch, strtab_get(&t->strings, t->byte_strings[(unsigned char)word.ptr[i]]));
    return token_find(t, buf_str(scratch));
}

static int word_encode(struct encoder *e, struct str word, struct buf *scratch)
{
    const struct tokenizer *t = e->t;
    struct merger *m = &e->merger;
    int32_t id = whole_word(t, word, scratch);
    if (id >= 0) {
        encoder_emit(e, id);
        return 0;
    }
    merger_clear(m);
    bool raw = t->pre_flags & PRE_RAW_BYTES;
    for (size_t at = 0; at < word.len;) {
        unsigned char c = (unsigned char)word.ptr[at];
        uint32_t n = raw ? (uint32_t)MIN(char_len(c), word.len - at) : 1;
        int32_t string = raw ? strtab_find(&t->strings, str_sub(word, at, n)) : t->byte_strings[c];
        merger_push(m, string, (uint32_t)at, n);
        at += n;
    }
    if (m->failed || merger_run(m, bpe_rank, t) < 0)
        return -ERR_NOMEM;
    for (int32_t i = 0; i >= 0; i = m->symbols[i].next) {
        const struct symbol *sym = &m->symbols[i];
        if (sym->id >= 0 && sym->id < t->n_tokens)
            encoder_emit(e, sym->id);
        else
            emit_unknown(e, word, sym);
    }
    return 0;
}

static void replace_invalid(struct str text, struct buf *out)
{
    for (size_t at = 0; at < text.len;) {
        uint32_t cp;
        size_t n = utf8_decode(text.ptr + at, text.len - at, &cp);
        if (n > 0)
            buf_append_bytes(out, text.ptr + at, n);
        else
            buf_append(out, STR("\xef\xbf\xbd"));
        at += n > 0 ? n : 1;
    }
}

int text_make_valid(struct str *text, struct buf *copy, struct error *err)
{
    if (utf8_valid(text->ptr, text->len))
        return 0;
    replace_invalid(*text, copy);
    *text = buf_str(copy);
    return buf_check(copy, "the text", err);
}

static int words_encode(struct encoder *e, struct str text, struct error *err)
{
    CLEANUP_WORD_ENDS struct word_ends words = {0};
    int r = pretokenizer_split(e->t->pre, text, &words, err);
    if (r < 0)
        return r;
    CLEANUP_BUF struct buf scratch = BUF_INIT(SIZE_MAX / 4);
    size_t start = 0;
    for (size_t i = 0; i < words.n; i++) {
        struct str word = str_sub(text, start, words.ends[i] - start);
        if (word_encode(e, word, &scratch) < 0)
            return error_set(err, ERR_NOMEM, "no memory to tokenize %zu bytes of text", text.len);
        start = words.ends[i];
    }
    return 0;
}

/* "whitespace": what stands between white space is tokenized, in small letters if so wanted. */
static int spaced_encode(struct encoder *e, struct str text, struct error *err)
{
    CLEANUP_BUF struct buf part = BUF_INIT(SIZE_MAX / 4);
    for (size_t at = 0; at < text.len;) {
        buf_clear(&part);
        for (; at < text.len;) {
            uint32_t cp;
            at += utf8_decode(text.ptr + at, text.len - at, &cp);
            if (unicode_is_space(cp))
                break;
            char bytes[UTF8_MAX];
            size_t n = utf8_encode(e->t->lowercase ? unicode_to_lower(cp) : cp, bytes);
            buf_append_bytes(&part, bytes, n);
        }
        int r = buf_check(&part, "the text", err);
        if (r == 0 && part.len > 0)
            r = words_encode(e, buf_str(&part), err);
        if (r < 0)
            return r;
    }
    return 0;
}

int bpe_encode(struct encoder *e, struct str text, struct error *err)
{
    CLEANUP_BUF struct buf valid = BUF_INIT(SIZE_MAX / 4);
    int r = text_make_valid(&text, &valid, err);
    if (r < 0)
        return r;
    if (e->t->drop_spaces)
        return spaced_encode(e, text, err);
    if (!e->t->escape_spaces)
        return words_encode(e, text, err);
    size_t len;
    CLEANUP_FREE char *escaped = escape_spaces(text, false, &len);
    if (!escaped)
        return error_set(err, ERR_NOMEM, "no memory to tokenize %zu bytes of text", text.len);
    return words_encode(e, str_make(escaped, len), err);
}
