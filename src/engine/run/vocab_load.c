/* SPDX-License-Identifier: Apache-2.0
 *
 * Fills a struct vocab_source from the metadata of a GGUF file. A key of the wrong type, or an
 * array shorter than the vocabulary, is an error that names the key; an id out of range counts as
 * absent (-1 is how some files say "none"). */
#include "engine/run/vocab_load.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/compiler.h"

#define KEY(name) "tokenizer.ggml." name

/* What the source borrows. */
struct vocab_arrays {
    struct str *tokens, *merges;
    float *scores;
    int32_t *types;
    char *charsmap;
};

static void vocab_arrays_release(struct vocab_arrays *a)
{
    free(a->tokens);
    free(a->merges);
    free(a->scores);
    free(a->types);
    free(a->charsmap);
}

/* Longer arrays are cut to the vocabulary, shorter ones are refused. */
static int check_length(const char *key, size_t n, size_t n_tokens, struct error *err)
{
    if (n < n_tokens)
        return error_set(err, ERR_CORRUPT, "%s has %zu items for %zu tokens", key, n, n_tokens);
    return 0;
}

static int load_tokens(const struct gguf *g, struct vocab_source *src, struct vocab_arrays *a,
                       struct error *err)
{
    int r = gguf_get_str_array(g, KEY("tokens"), &a->tokens, &src->n_tokens, err);
    src->tokens = a->tokens;
    size_t n;
    if (r == 0 && gguf_has(g, KEY("token_type"))) {
        r = gguf_get_i32_array(g, KEY("token_type"), &a->types, &n, err);
        if (r == 0)
            r = check_length(KEY("token_type"), n, src->n_tokens, err);
        src->types = a->types;
    }
    if (r == 0 && gguf_has(g, KEY("scores"))) {
        r = gguf_get_f32_array(g, KEY("scores"), &a->scores, &n, err);
        if (r == 0)
            r = check_length(KEY("scores"), n, src->n_tokens, err);
        src->scores = a->scores;
    }
    if (r == 0 && gguf_has(g, KEY("merges"))) {
        r = gguf_get_str_array(g, KEY("merges"), &a->merges, &src->n_merges, err);
        static const struct str empty_list[1];
        src->merges = a->merges ? a->merges : empty_list; /* NULL would mean an absent key */
    }
    return r;
}

static int load_ids(const struct gguf *g, struct vocab_source *src, struct error *err)
{
    const struct {
        const char *key;
        int64_t *ret;
    } ids[] = {
        {KEY("bos_token_id"), &src->bos},
        {KEY("eos_token_id"), &src->eos},
        {KEY("eot_token_id"), &src->eot},
        {KEY("eom_token_id"), &src->eom},
        {KEY("unknown_token_id"), &src->unk},
        {KEY("seperator_token_id"), &src->sep}, /* spelled so in the format */
        {KEY("padding_token_id"), &src->pad},
        {KEY("cls_token_id"), &src->cls},
        {KEY("mask_token_id"), &src->mask},
        {KEY("prefix_token_id"), &src->fim_pre}, /* the older names of the next three */
        {KEY("suffix_token_id"), &src->fim_suf},
        {KEY("middle_token_id"), &src->fim_mid},
        {KEY("fim_pre_token_id"), &src->fim_pre},
        {KEY("fim_suf_token_id"), &src->fim_suf},
        {KEY("fim_mid_token_id"), &src->fim_mid},
        {KEY("fim_pad_token_id"), &src->fim_pad},
        {KEY("fim_rep_token_id"), &src->fim_rep},
        {KEY("fim_sep_token_id"), &src->fim_sep},
    };
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        int r = gguf_want_i64(g, ids[i].key, ids[i].ret, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int load_switches(const struct gguf *g, struct vocab_source *src, struct error *err)
{
    const struct {
        const char *key;
        int *ret;
    } switches[] = {
        {KEY("add_bos_token"), &src->add_bos},
        {KEY("add_eos_token"), &src->add_eos},
        {KEY("add_sep_token"), &src->add_sep},
        {KEY("add_space_prefix"), &src->add_space_prefix},
        {KEY("remove_extra_whitespaces"), &src->remove_extra_whitespaces},
        {KEY("normalizer.lowercase"), &src->lowercase},
        {KEY("normalizer.strip_accents"), &src->strip_accents},
    };
    for (size_t i = 0; i < ARRAY_LEN(switches); i++) {
        if (!gguf_has(g, switches[i].key))
            continue;
        bool on;
        int r = gguf_get_bool(g, switches[i].key, &on, err);
        if (r < 0)
            return r;
        *switches[i].ret = on;
    }
    return 0;
}

/* Bytes, which some writers call signed. */
static int load_charsmap(const struct gguf *g, struct vocab_source *src, struct vocab_arrays *a,
                         struct error *err)
{
    if (!gguf_has(g, KEY("precompiled_charsmap")))
        return 0;
    CLEANUP_FREE int32_t *values = NULL;
    size_t n;
    int r = gguf_get_i32_array(g, KEY("precompiled_charsmap"), &values, &n, err);
    if (r < 0)
        return r;
    a->charsmap = alloc_array(n + 1, 1);
    if (!a->charsmap)
        return error_set(err, ERR_NOMEM, "no memory for a map of %zu bytes", n);
    for (size_t i = 0; i < n; i++)
        a->charsmap[i] = (char)values[i];
    src->charsmap = str_make(a->charsmap, n);
    return 0;
}

static int load_names(const struct gguf *g, struct vocab_source *src, struct error *err)
{
    int r = gguf_get_str(g, KEY("model"), &src->model, err);
    if (r == 0)
        r = gguf_want_str(g, KEY("pre"), &src->pre, err);
    if (r == 0)
        r = gguf_want_str(g, "general.name", &src->name, err);
    if (r == 0)
        r = gguf_want_str(g, "general.architecture", &src->arch, err);
    return r;
}

int vocab_load(const struct gguf *g, struct tokenizer **ret, struct error *err)
{
    struct vocab_source src = VOCAB_SOURCE_INIT;
    CLEANUP(vocab_arrays_release) struct vocab_arrays arrays = {0};
    int r = load_names(g, &src, err);
    if (r == 0)
        r = load_tokens(g, &src, &arrays, err);
    if (r == 0)
        r = load_ids(g, &src, err);
    if (r == 0)
        r = load_switches(g, &src, err);
    if (r == 0)
        r = load_charsmap(g, &src, &arrays, err);
    return r == 0 ? tokenizer_create(&src, ret, err) : r;
}
