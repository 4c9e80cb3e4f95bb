/* SPDX-License-Identifier: Apache-2.0
 *
 * RWKV "World": at each place the longest token, any bytes. The tokens stand in the file as Python
 * would print them, "\n" and "\x8f" for what is not printable, so they are unescaped first. */
#include "engine/text/vocab.h"

/* The value of a hexadecimal digit; other characters give what llama.cpp makes of them. */
static unsigned digit_value(char c)
{
    return (unsigned)(unsigned char)c - (c >= 'a' ? 'a' - 10u : '0');
}

void rwkv_unescape(struct str text, struct buf *out)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c != '\\') {
            buf_push(out, c);
            continue;
        }
        if (++i == text.len)
            break;
        switch (text.ptr[i]) {
        case 't':
            buf_push(out, '\t');
            break;
        case 'n':
            buf_push(out, '\n');
            break;
        case 'r':
            buf_push(out, '\r');
            break;
        case 'x':
            if (text.len - i > 2)
                buf_push(out,
                         (char)(digit_value(text.ptr[i + 1]) * 16 + digit_value(text.ptr[i + 2])));
            i += 2;
            break;
        default:
            buf_push(out, text.ptr[i]);
        }
    }
}

int rwkv_init(struct tokenizer *t, struct error *err)
{
    CLEANUP_BUF struct buf text = BUF_INIT(SIZE_MAX / 4);
    int r = words_init(t, err);
    for (int32_t id = t->n_tokens; r == 0 && id-- > 0;) { /* of equals the last one counts */
        buf_clear(&text);
        rwkv_unescape(strtab_get(&t->strings, id), &text);
        r = buf_check(&text, "a token", err);
        if (r == 0)
            r = words_add(t, buf_str(&text), id, err);
    }
    return r;
}

void rwkv_encode(struct encoder *e, struct str text)
{
    while (text.len > 0) {
        size_t len = 1;
        int32_t id = trie_longest(&e->t->words, text, &len);
        encoder_emit(e, id >= 0 ? id : e->t->unk);
        text = str_sub(text, id >= 0 ? len : 1, SIZE_MAX);
    }
}
