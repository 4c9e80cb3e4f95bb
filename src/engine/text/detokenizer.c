/* SPDX-License-Identifier: Apache-2.0
 *
 * Ids back to text: single pieces, whole lists, and streams. */
#include "engine/text/tokenizer.h"

#include "base/utf8.h"
#include "engine/text/vocab.h"

/* "<0x0A>" is one byte; anything else is taken as it is. */
static void append_byte_token(struct str text, struct buf *out)
{
    if (text.len == 6 && str_starts_with(text, STR("<0x")) && text.ptr[5] == '>') {
        int hi = hex_digit(text.ptr[3]), lo = hex_digit(text.ptr[4]);
        if (hi >= 0 && lo >= 0) {
            buf_push(out, (char)(hi * 16 + lo));
            return;
        }
    }
    buf_append(out, text);
}

static void append_unescaped(struct str text, struct buf *out)
{
    for (;;) {
        ptrdiff_t at = str_find(text, ESCAPED_SPACE);
        if (at < 0)
            break;
        buf_append(out, str_sub(text, 0, (size_t)at));
        buf_push(out, ' ');
        text = str_sub(text, (size_t)at + ESCAPED_SPACE.len, SIZE_MAX);
    }
    buf_append(out, text);
}

/* Characters that stand for no byte are kept: tokens added by hand are not always byte-level. */
static void append_byte_level(const struct tokenizer *t, struct str text, struct buf *out)
{
    for (size_t at = 0; at < text.len;) {
        uint32_t cp;
        size_t n = utf8_decode(text.ptr + at, text.len - at, &cp);
        if (n > 0 && cp < sizeof(t->byte_of) && t->is_byte_char[cp])
            buf_push(out, (char)t->byte_of[cp]);
        else
            buf_append(out, str_sub(text, at, n > 0 ? n : 1));
        at += n > 0 ? n : 1;
    }
}

int tokenizer_piece(const struct tokenizer *t, int32_t id, bool special, struct buf *out,
                    struct error *err)
{
    if (id < 0 || id >= t->n_tokens)
        return error_set(err, ERR_INVALID, "token id %d is not in the vocabulary (0 to %d)", id,
                         t->n_tokens - 1);
    uint16_t attr = t->attrs[id];
    struct str text = strtab_get(&t->strings, id);
    bool hidden = attr & (IS_CONTROL | IS_UNKNOWN) && !special;
    if (hidden) {
        /* nothing */
    } else if (t->kind == VOCAB_RWKV) {
        rwkv_unescape(text, out);
    } else if (t->kind == VOCAB_PLAMO2) {
        if (attr & IS_BYTE)
            append_byte_token(text, out);
        else
            buf_append(out, text);
    } else if (attr & (IS_CONTROL | IS_UNKNOWN | IS_USER_DEFINED)) {
        buf_append(out, text);
    } else if (attr & IS_NORMAL) {
        if (t->escape_spaces)
            append_unescaped(text, out);
        else
            append_byte_level(t, text, out);
    } else if (attr & IS_BYTE) {
        append_byte_token(text, out);
    }
    return buf_check(out, "the text of a token", err);
}

/* ---- tidy spaces ----
 * The three passes of llama.cpp's detokenize, which are those of Hugging Face's
 * clean_up_tokenization_spaces; each works on the result of the one before. */

/* " ?" " !" " ." " ," lose the space. */
static size_t tidy_punctuation(char *s, size_t n)
{
    size_t to = 0;
    char prev = '\0';
    for (size_t i = 0; i < n; i++) {
        char c = s[i];
        if (i > 0 && prev == ' ' && (c == '?' || c == '!' || c == '.' || c == ','))
            to--;
        s[to++] = c;
        prev = c;
    }
    return to;
}

/* " ' " becomes "'". */
static size_t tidy_lone_apostrophe(char *s, size_t n)
{
    size_t to = 0;
    char prev = '\0';
    for (size_t i = 0; i < n; i++) {
        char c = s[i];
        if (i > 0 && c == '\'' && prev == ' ' && i + 1 < n && s[i + 1] == ' ') {
            to--;
            i++;
            prev = '\0';
        } else {
            prev = c;
        }
        s[to++] = c;
    }
    return to;
}

/* " 's" " 'm" " 're" " 've" lose the space. */
static size_t tidy_contractions(char *s, size_t n)
{
    size_t to = 0;
    char prev = '\0';
    for (size_t i = 0; i < n; i++) {
        char c = s[i];
        if (i > 0 && prev == ' ' && c == '\'' && i + 1 < n) {
            bool one = s[i + 1] == 's' || s[i + 1] == 'm';
            bool two = (s[i + 1] == 'r' || s[i + 1] == 'v') && i + 2 < n && s[i + 2] == 'e';
            if (one || two)
                to--;
        }
        s[to++] = c;
        prev = c;
    }
    return to;
}

int tokenizer_decode(const struct tokenizer *t, const int32_t *ids, size_t n, bool special,
                     struct buf *out, struct error *err)
{
    size_t start = out->len;
    for (size_t i = 0; i < n; i++) {
        int r = tokenizer_piece(t, ids[i], special, out, err);
        if (r < 0)
            return r;
        if (i == 0 && t->add_space_prefix && out->len > start && out->data[start] == ' ') {
            memmove(out->data + start, out->data + start + 1, out->len - start - 1);
            buf_truncate(out, out->len - 1);
        }
    }
    if (t->clean_spaces && out->len > start) {
        char *s = out->data + start;
        size_t len = tidy_punctuation(s, out->len - start);
        len = tidy_lone_apostrophe(s, len);
        len = tidy_contractions(s, len);
        buf_truncate(out, start + len);
    }
    return 0;
}

/* ---- streams ---- */

void detokenizer_init(struct detokenizer *d, const struct tokenizer *t, bool special,
                      bool after_text)
{
    *d = (struct detokenizer){
        .t = t,
        .pending = BUF_INIT(SIZE_MAX / 4),
        .special = special,
        .at_start = !after_text,
    };
}

/* Moves the first n pending bytes to out as valid UTF-8. */
static void emit_valid(struct detokenizer *d, size_t n, struct buf *out)
{
    const char *p = d->pending.data;
    for (size_t at = 0; at < n;) {
        uint32_t cp;
        size_t len = utf8_decode(p + at, n - at, &cp);
        if (len > 0)
            buf_append_bytes(out, p + at, len);
        else
            buf_append(out, STR("\xef\xbf\xbd"));
        at += len > 0 ? len : 1;
    }
    buf_consume(&d->pending, n);
}

int detokenizer_feed(struct detokenizer *d, int32_t id, struct buf *out, struct error *err)
{
    size_t before = d->pending.len;
    int r = tokenizer_piece(d->t, id, d->special, &d->pending, err);
    if (r < 0)
        return r;
    if (d->at_start && d->t->add_space_prefix && before == 0 && d->pending.len > 0 &&
        d->pending.data[0] == ' ')
        buf_consume(&d->pending, 1);
    d->at_start = false;
    if (d->pending.len > 0)
        emit_valid(d, utf8_complete_prefix(d->pending.data, d->pending.len), out);
    return buf_check(out, "the generated text", err);
}

void detokenizer_flush(struct detokenizer *d, struct buf *out)
{
    if (d->pending.len > 0)
        buf_append(out, STR("\xef\xbf\xbd"));
    buf_clear(&d->pending);
}

void detokenizer_release(struct detokenizer *d)
{
    buf_release(&d->pending);
}
