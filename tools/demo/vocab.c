/* SPDX-License-Identifier: Apache-2.0
 *
 * The demo model's vocabulary. */
#include "vocab.h"

#include <search.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/utf8.h"

static const char *const special_texts[DEMO_N_SPECIAL] = {
    [DEMO_BEGIN] = "<|begin|>", [DEMO_END] = "<|end|>", [DEMO_USER] = "<|user|>",
    [DEMO_ASSISTANT] = "<|assistant|>", [DEMO_SYSTEM] = "<|system|>",
};

enum { TYPE_NORMAL = 1, TYPE_CONTROL = 3 }; /* tokenizer.ggml.token_type */

struct vocab_entry {
    struct str text;
    int32_t id;
};

static int compare_entries(const void *a, const void *b)
{
    return str_cmp(((const struct vocab_entry *)a)->text, ((const struct vocab_entry *)b)->text);
}

static int32_t find_spelling(const struct demo_vocab *v, struct str spelling)
{
    struct vocab_entry key = {.text = spelling};
    void *hit = tfind(&key, (void *const *)&v->index, compare_entries);
    return hit ? (*(struct vocab_entry *const *)hit)->id : -1;
}

/* Takes over `text`. */
static int32_t add_token(struct demo_vocab *v, struct str text, int32_t type)
{
    v->tokens = xrealloc(v->tokens, v->n + 1, sizeof(*v->tokens));
    v->types = xrealloc(v->types, v->n + 1, sizeof(*v->types));
    v->tokens[v->n] = text;
    v->types[v->n] = type;
    struct vocab_entry *e = xmalloc(sizeof(*e));
    *e = (struct vocab_entry){text, (int32_t)v->n};
    if (!tsearch(e, &v->index, compare_entries))
        alloc_failed();
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

void demo_vocab_add_word(struct demo_vocab *v, struct str word)
{
    for (size_t n = 2; n <= word.len; n++) {
        CLEANUP_FREE char *whole = spell(str_sub(word, 0, n));
        if (find_spelling(v, str_from(whole)) >= 0)
            continue;
        CLEANUP_FREE char *left = spell(str_sub(word, 0, n - 1));
        CLEANUP_FREE char *right = spell(str_sub(word, n - 1, 1));
        v->merges = xrealloc(v->merges, v->n_merges + 1, sizeof(*v->merges));
        v->merges[v->n_merges++] = str_from(xasprintf("%s %s", left, right));
        add_token(v, str_from(TAKE(whole)), TYPE_NORMAL);
    }
}

int32_t demo_vocab_find(const struct demo_vocab *v, struct str word)
{
    CLEANUP_FREE char *spelling = spell(word);
    return find_spelling(v, str_from(spelling));
}

void demo_vocab_release(struct demo_vocab *v)
{
    tdestroy(v->index, free);
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
