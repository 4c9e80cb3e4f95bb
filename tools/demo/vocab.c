/* SPDX-License-Identifier: Apache-2.0
 *
 * The demo model's vocabulary. */
#include "vocab.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/utf8.h"

static const char *const special_texts[DEMO_N_SPECIAL] = {
    [DEMO_BEGIN] = "<|begin|>", [DEMO_END] = "<|end|>", [DEMO_USER] = "<|user|>",
    [DEMO_ASSISTANT] = "<|assistant|>", [DEMO_SYSTEM] = "<|system|>",
};

enum { TYPE_NORMAL = 1, TYPE_CONTROL = 3 }; /* tokenizer.ggml.token_type */

/* A text with its number: a token's id or a merge's rank. */
struct vocab_entry {
    struct str text;
    int32_t number;
};

static int compare_entries(const void *a, const void *b)
{
    return str_cmp(((const struct vocab_entry *)a)->text, ((const struct vocab_entry *)b)->text);
}

static int32_t look_up(void *const *index, struct str text)
{
    struct vocab_entry key = {.text = text};
    void *hit = tfind(&key, index, compare_entries);
    return hit ? (*(struct vocab_entry *const *)hit)->number : -1;
}

static void enter(void **index, struct str text, size_t number)
{
    struct vocab_entry *e = xmalloc(sizeof(*e));
    *e = (struct vocab_entry){text, (int32_t)number};
    if (!tsearch(e, index, compare_entries))
        alloc_failed();
}

/* Takes over `text`. */
static int32_t add_token(struct demo_vocab *v, struct str text, int32_t type)
{
    v->tokens = xrealloc(v->tokens, v->n + 1, sizeof(*v->tokens));
    v->types = xrealloc(v->types, v->n + 1, sizeof(*v->types));
    v->tokens[v->n] = text;
    v->types[v->n] = type;
    enter(&v->token_index, text, v->n);
    return (int32_t)v->n++;
}

/* GPT-2's printable stand-in for a byte: itself if printable, else U+0100 and up in order. */
static size_t spell_byte(unsigned char byte, char out[UTF8_MAX])
{
    uint32_t next = 0x100;
    for (unsigned b = 0; b < 256; b++) {
        bool printable = (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
        if (b == byte)
            return utf8_encode(printable ? b : next, out);
        next += !printable;
    }
    return 0;
}

static char *spell(struct str word)
{
    CLEANUP_BUF struct buf b = BUF_INIT(4096);
    for (size_t i = 0; i < word.len; i++) {
        char one[UTF8_MAX];
        buf_append_bytes(&b, one, spell_byte((unsigned char)word.ptr[i], one));
    }
    return buf_take(&b);
}

void demo_vocab_init(struct demo_vocab *v)
{
    *v = (struct demo_vocab){0};
    for (size_t i = 0; i < DEMO_N_SPECIAL; i++)
        add_token(v, str_from(xstrdup(special_texts[i])), TYPE_CONTROL);
    for (int b = 0; b < 256; b++) {
        char byte = (char)b;
        add_token(v, str_from(spell(str_make(&byte, 1))), TYPE_NORMAL);
    }
}

/* Takes over `text`. */
static void add_merge(struct demo_vocab *v, struct str text)
{
    v->merges = xrealloc(v->merges, v->n_merges + 1, sizeof(*v->merges));
    v->merges[v->n_merges] = text;
    enter(&v->merge_index, text, v->n_merges++);
}

static char *pair_text(struct str left, struct str right)
{
    return xasprintf("%.*s %.*s", (int)left.len, left.ptr, (int)right.len, right.ptr);
}

/* The pieces, borrowed from `spelling`, into which byte-level BPE cuts a word; their number. */
static size_t cut(const struct demo_vocab *v, const char *spelling, struct str *pieces)
{
    size_t n = 0;
    for (const char *p = spelling; *p; n++) {
        uint32_t cp;
        pieces[n] = str_make(p, utf8_decode(p, strlen(p), &cp));
        p += pieces[n].len;
    }
    for (;;) {
        int32_t best = -1;
        size_t at = 0;
        for (size_t i = 0; i + 1 < n; i++) {
            CLEANUP_FREE char *pair = pair_text(pieces[i], pieces[i + 1]);
            int32_t rank = look_up(&v->merge_index, str_from(pair));
            if (rank >= 0 && (best < 0 || rank < best))
                best = rank, at = i;
        }
        if (best < 0)
            return n;
        pieces[at].len += pieces[at + 1].len;
        memmove(&pieces[at + 1], &pieces[at + 2], (n - at - 2) * sizeof(*pieces));
        n--;
    }
}

void demo_vocab_add_word(struct demo_vocab *v, struct str word)
{
    CLEANUP_FREE char *spelling = spell(word);
    CLEANUP_FREE struct str *pieces = xcalloc(word.len, sizeof(*pieces));
    size_t n = cut(v, spelling, pieces);
    struct str left = pieces[0];
    for (size_t i = 1; i < n; i++) {
        add_merge(v, str_from(pair_text(left, pieces[i])));
        left.len += pieces[i].len;
        if (look_up(&v->token_index, left) < 0)
            add_token(v, str_from(xasprintf("%.*s", (int)left.len, left.ptr)), TYPE_NORMAL);
    }
}

int32_t demo_vocab_find(const struct demo_vocab *v, struct str word)
{
    CLEANUP_FREE char *spelling = spell(word);
    return look_up(&v->token_index, str_from(spelling));
}

void demo_vocab_release(struct demo_vocab *v)
{
    tdestroy(v->token_index, free);
    tdestroy(v->merge_index, free);
    for (size_t i = 0; i < v->n; i++)
        free((void *)(uintptr_t)v->tokens[i].ptr);
    for (size_t i = 0; i < v->n_merges; i++)
        free((void *)(uintptr_t)v->merges[i].ptr);
    free(v->tokens);
    free(v->types);
    free(v->merges);
}

static int kind_of(char c)
{
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
        return 'a';
    if (c >= '0' && c <= '9')
        return '0';
    return c == ' ' ? ' ' : '.';
}

bool demo_next_word(struct str *text, struct str *ret_word)
{
    if (text->len == 0)
        return false;
    size_t n = text->ptr[0] == ' ' && text->len > 1 ? 1 : 0;
    int kind = kind_of(text->ptr[n]);
    do
        n++;
    while (n < text->len && kind_of(text->ptr[n]) == kind);
    *ret_word = str_sub(*text, 0, n);
    *text = str_sub(*text, n, SIZE_MAX);
    return true;
}
