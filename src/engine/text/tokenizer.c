/* SPDX-License-Identifier: Apache-2.0
 *
 * The public side: making a tokenizer from a vocabulary, and encoding: special tokens are taken out
 * first, the text between them goes to the algorithm of the vocabulary. */
#include "engine/text/tokenizer.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "engine/text/vocab.h"

/* ---- making ---- */

static int kind_of_model(struct str model, enum vocab_kind *ret, struct error *err)
{
    static const struct {
        const char *model;
        enum vocab_kind kind;
    } models[] = {
        {"llama", VOCAB_SPM}, {"gpt2", VOCAB_BPE}, {"gemma4", VOCAB_BPE}, {"whitespace", VOCAB_BPE},
        {"bert", VOCAB_WPM},  {"t5", VOCAB_UGM},   {"rwkv", VOCAB_RWKV},  {"plamo2", VOCAB_PLAMO2},
    };
    for (size_t i = 0; i < ARRAY_LEN(models); i++) {
        if (str_eq_c(model, models[i].model)) {
            *ret = models[i].kind;
            return 0;
        }
    }
    return error_set(err, ERR_UNSUPPORTED,
                     "the tokenizer model '%.*s' (tokenizer.ggml.model) is not known here",
                     STR_ARG(model));
}

static int source_check(const struct vocab_source *src, struct error *err)
{
    if (src->n_tokens == 0)
        return error_set(err, ERR_CORRUPT, "the vocabulary (tokenizer.ggml.tokens) has no tokens");
    if (src->n_tokens > INT32_MAX / 8)
        return error_set(err, ERR_TOO_LARGE,
                         "the vocabulary has %zu tokens; at most %d can be read", src->n_tokens,
                         INT32_MAX / 8);
    return 0;
}

static int pretokenizer_init(struct tokenizer *t, const struct vocab_source *src, struct error *err)
{
    struct str name = str_eq_c(src->model, "gemma4") ? src->model : src->pre;
    int r = pretokenizer_create(name, &t->pre, err);
    if (r < 0)
        return r;
    t->pre_flags = pretokenizer_flags(t->pre);
    if (!src->merges && !(t->pre_flags & PRE_NO_MERGES))
        return error_set(err, ERR_CORRUPT,
                         "the vocabulary has no merges (tokenizer.ggml.merges), but its model "
                         "'%.*s' needs them",
                         STR_ARG(src->model));
    return 0;
}

static int kind_init(struct tokenizer *t, const struct vocab_source *src, struct error *err)
{
    switch (t->kind) {
    case VOCAB_SPM:
        spm_init(t);
        return 0;
    case VOCAB_BPE:
        return bpe_init(t, src, err);
    case VOCAB_WPM:
        return wpm_init(t, src, err);
    case VOCAB_UGM:
        return ugm_init(t, src, err);
    case VOCAB_RWKV:
        return rwkv_init(t, err);
    case VOCAB_PLAMO2:
        return plamo2_init(t, err);
    }
    return error_set(err, ERR_INTERNAL, "no such kind of vocabulary");
}

static int tokenizer_init(struct tokenizer *t, const struct vocab_source *src, struct error *err)
{
    int r = source_check(src, err);
    if (r == 0)
        r = kind_of_model(src->model, &t->kind, err);
    if (r == 0 && t->kind == VOCAB_BPE)
        r = pretokenizer_init(t, src, err);
    if (r == 0)
        r = vocab_init(t, src, err);
    return r == 0 ? kind_init(t, src, err) : r;
}

int tokenizer_create(const struct vocab_source *src, struct tokenizer **ret, struct error *err)
{
    struct tokenizer *t = calloc(1, sizeof(*t));
    if (!t)
        return error_set(err, ERR_NOMEM, "no memory for a tokenizer");
    int r = tokenizer_init(t, src, err);
    if (r < 0) {
        tokenizer_free(t);
        return r;
    }
    *ret = t;
    return 0;
}

void tokenizer_free(struct tokenizer *t)
{
    if (!t)
        return;
    bpe_release(t);
    ugm_release(t);
    trie_release(&t->words);
    special_release(&t->special);
    strtab_release(&t->strings);
    free(t->attrs);
    free(t->scores);
    free(t);
}

/* ---- lists of ids ---- */

void token_list_release(struct token_list *l)
{
    free(l->ids);
    *l = TOKEN_LIST_INIT;
}

int token_list_push(struct token_list *l, int32_t id)
{
    if (l->n == l->cap) {
        size_t cap = l->cap > 0 ? l->cap * 2 : 64;
        int32_t *ids = reallocarray(l->ids, cap, sizeof(*ids));
        if (!ids)
            return -ERR_NOMEM;
        l->ids = ids;
        l->cap = cap;
    }
    l->ids[l->n++] = id;
    return 0;
}

/* ---- encoding ---- */

void encoder_emit(struct encoder *e, int32_t id)
{
    if (id >= 0 && token_list_push(e->out, id) < 0)
        e->failed = true;
}

char *escape_spaces(struct str text, bool space_prefix, size_t *ret_len)
{
    struct str mark = ESCAPED_SPACE;
    size_t len = text.len + (space_prefix ? mark.len : 0);
    for (size_t i = 0; i < text.len; i++)
        len += text.ptr[i] == ' ' ? mark.len - 1 : 0;
    char *escaped = malloc(len + 1);
    if (!escaped)
        return NULL;
    char *to = escaped;
    if (space_prefix)
        to = mempcpy(to, mark.ptr, mark.len);
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == ' ')
            to = mempcpy(to, mark.ptr, mark.len);
        else
            *to++ = text.ptr[i];
    }
    *to = '\0';
    *ret_len = len;
    return escaped;
}

static int text_encode(struct encoder *e, struct str text, bool after_special, struct error *err)
{
    switch (e->t->kind) {
    case VOCAB_SPM:
        return spm_encode(e, text, e->t->add_space_prefix && after_special, err);
    case VOCAB_BPE:
        return bpe_encode(e, text, err);
    case VOCAB_WPM:
        return wpm_encode(e, text, err);
    case VOCAB_UGM:
        return ugm_encode(e, text, err);
    case VOCAB_RWKV:
        rwkv_encode(e, text);
        return 0;
    case VOCAB_PLAMO2:
        return plamo2_encode(e, text, err);
    }
    return error_set(err, ERR_INTERNAL, "no such kind of vocabulary");
}

static int fragments_encode(struct encoder *e, struct str text, const struct fragments *parts,
                            struct error *err)
{
    bool after_special = true; /* the beginning counts as such */
    for (size_t i = 0; i < parts->n; i++) {
        const struct fragment *f = &parts->items[i];
        if (f->id >= 0) {
            encoder_emit(e, f->id);
            after_special = true;
            continue;
        }
        int r = text_encode(e, str_sub(text, f->start, f->len), after_special, err);
        if (r < 0)
            return r;
        after_special = false;
    }
    return 0;
}

int tokenizer_encode(const struct tokenizer *t, struct str text, unsigned flags,
                     struct token_list *out, struct error *err)
{
    if (text.len > TOKENIZE_MAX_BYTES)
        return error_set(err, ERR_TOO_LARGE, "a text of %zu bytes is too long; at most %d",
                         text.len, TOKENIZE_MAX_BYTES);
    bool wrap = flags & TOKENIZE_ADD_SPECIAL;
    struct encoder e = {.t = t, .out = out};
    CLEANUP_FRAGMENTS struct fragments parts = {0};
    if (special_split(&t->special, text, t->attrs, flags & TOKENIZE_PARSE_SPECIAL, &parts) < 0)
        return error_set(err, ERR_NOMEM, "no memory to tokenize %zu bytes of text", text.len);
    if (wrap && (t->add_bos || t->kind == VOCAB_WPM))
        encoder_emit(&e, t->bos);
    int r = fragments_encode(&e, text, &parts, err);
    if (r == 0 && wrap && t->kind == VOCAB_WPM)
        encoder_emit(&e, t->sep);
    else if (r == 0 && wrap && t->add_eos)
        encoder_emit(&e, t->eos);
    merger_release(&e.merger);
    if (r == 0 && e.failed)
        r = error_set(err, ERR_NOMEM, "no memory to tokenize %zu bytes of text", text.len);
    return r;
}

/* ---- the vocabulary ---- */

size_t tokenizer_n_tokens(const struct tokenizer *t)
{
    return (size_t)t->n_tokens;
}

struct str tokenizer_token_text(const struct tokenizer *t, int32_t id)
{
    return id >= 0 && id < t->n_tokens ? strtab_get(&t->strings, id) : str_make("", 0);
}

enum token_type tokenizer_token_type(const struct tokenizer *t, int32_t id)
{
    uint16_t attr = id >= 0 && id < t->n_tokens ? t->attrs[id] : 0;
    if (attr & IS_CONTROL)
        return TOKEN_CONTROL;
    if (attr & IS_UNKNOWN)
        return TOKEN_UNKNOWN;
    if (attr & IS_USER_DEFINED)
        return TOKEN_USER_DEFINED;
    if (attr & IS_BYTE)
        return TOKEN_BYTE;
    if (attr & IS_UNUSED)
        return TOKEN_UNUSED;
    return attr & IS_NORMAL ? TOKEN_NORMAL : TOKEN_UNDEFINED;
}

int32_t tokenizer_bos(const struct tokenizer *t)
{
    return t->bos;
}

int32_t tokenizer_eos(const struct tokenizer *t)
{
    return t->eos;
}

int32_t tokenizer_eot(const struct tokenizer *t)
{
    return t->eot;
}

int32_t tokenizer_sep(const struct tokenizer *t)
{
    return t->sep;
}

bool tokenizer_adds_sep(const struct tokenizer *t)
{
    return t->add_sep && t->sep >= 0;
}

int32_t tokenizer_fim(const struct tokenizer *t, enum fim_token which)
{
    return t->fim[which];
}

bool tokenizer_adds_bos(const struct tokenizer *t)
{
    return t->add_bos && t->bos >= 0;
}

bool tokenizer_adds_eos(const struct tokenizer *t)
{
    return t->add_eos && t->eos >= 0;
}

bool tokenizer_is_eog(const struct tokenizer *t, int32_t id)
{
    return id >= 0 && id < t->n_tokens && t->attrs[id] & IS_EOG;
}

int32_t tokenizer_find(const struct tokenizer *t, struct str text)
{
    int32_t id = strtab_find(&t->strings, text);
    return id < t->n_tokens ? id : -1;
}
