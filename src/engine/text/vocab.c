/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading a vocabulary: the tokens, their types, and what the special ones are for.
 *
 * Files often do not say which tokens end a turn or mark the places for fill-in-the-middle, so they
 * are found by their texts, in the way llama.cpp does it; the lists below are those texts. */
#include "engine/text/vocab.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"

static int32_t find_c(const struct tokenizer *t, const char *text)
{
    int32_t id = strtab_find(&t->strings, str_from(text));
    return id < t->n_tokens ? id : -1;
}

/* An id from the file, or the default, or -1 when out of range. */
static int32_t checked_id(const struct tokenizer *t, int64_t id, int32_t fallback)
{
    if (id >= 0 && id < t->n_tokens)
        return (int32_t)id;
    return fallback < t->n_tokens ? fallback : -1;
}

/* The id the file gives, else the first of these texts that is a token. A token found by its text
 * becomes a control token. */
static int32_t id_or_text(struct tokenizer *t, int64_t id, const char *const *texts)
{
    if (id >= 0 && id < t->n_tokens)
        return (int32_t)id;
    for (; *texts; texts++) {
        int32_t found = find_c(t, *texts);
        if (found >= 0) {
            t->attrs[found] |= IS_CONTROL;
            return found;
        }
    }
    return -1;
}

static const char *const eot_texts[] = {
    "<|eot_id|>",       /* Llama 3 */
    "<|im_end|>",       /* ChatML */
    "<|end|>",          /* Phi 3 */
    "<end_of_turn>",    /* Gemma */
    "<|endoftext|>",    /* GPT-2 */
    "<|end_of_text|>",  /* Granite */
    "<EOT>",            /* CodeLlama */
    "_<EOT>",
    "[EOT]",            /* Kimi K2 */
    "<｜end▁of▁sentence｜>", /* DeepSeek */
    "<end_of_utterance>",    /* SmolDocling */
    NULL,
};
static const char *const eom_texts[] = {"<|eom_id|>", NULL};
static const char *const fim_pre_texts[] = {
    "<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>", "<｜fim▁begin｜>", "<PRE>", "▁<PRE>",
    "<|code_prefix|>", "<|prefix|>", NULL,
};
static const char *const fim_suf_texts[] = {
    "<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>", "<｜fim▁hole｜>", "<SUF>", "▁<SUF>",
    "<|code_suffix|>", "<|suffix|>", NULL,
};
static const char *const fim_mid_texts[] = {
    "<|fim_middle|>", "<fim-middle>", "<fim_middle>", "<｜fim▁end｜>", "<MID>", "▁<MID>",
    "<|code_middle|>", "<|middle|>", NULL,
};
static const char *const fim_pad_texts[] = {
    "<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]", NULL,
};
static const char *const fim_rep_texts[] = {
    "<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>", NULL,
};
static const char *const fim_sep_texts[] = {"<|file_sep|>", NULL};

/* End the generation wherever they are tokens. */
static const char *const eog_texts[] = {
    "<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<|flush|>", "<|calls|>",
    "<end_of_turn>", "<|endoftext|>", "</s>", "<|eom_id|>", "<EOT>", "_<EOT>", "[EOT]", "[EOS]",
    "<|end_of_text|>", "<end_of_utterance>", "<eos>", "<turn|>", "<|tool_response>",
    "<｜end▁of▁sentence｜>", "[e~[",
};

/* gpt-oss marks the parts of a message with these; they are always shown. */
static const char *const message_texts[] = {
    "<|channel|>", "<|message|>", "<|start|>", "<|constrain|>",
};

static uint16_t attr_of_type(int32_t type)
{
    switch (type) {
    case TOKEN_UNDEFINED:
        return 0;
    case TOKEN_UNKNOWN:
        return IS_UNKNOWN;
    case TOKEN_CONTROL:
        return IS_CONTROL;
    case TOKEN_USER_DEFINED:
        return IS_USER_DEFINED;
    case TOKEN_UNUSED:
        return IS_UNUSED;
    case TOKEN_BYTE:
        return IS_BYTE;
    default:
        return IS_NORMAL;
    }
}

static int tokens_copy(struct tokenizer *t, const struct vocab_source *src)
{
    size_t n_bytes = 0;
    for (size_t i = 0; i < src->n_tokens; i++) {
        if (__builtin_add_overflow(n_bytes, src->tokens[i].len, &n_bytes))
            return -ERR_NOMEM;
    }
    t->attrs = alloc_array(src->n_tokens, sizeof(*t->attrs));
    if (!t->attrs || strtab_reserve(&t->strings, src->n_tokens, n_bytes) < 0)
        return -ERR_NOMEM;
    for (size_t i = 0; i < src->n_tokens; i++) {
        if (strtab_append(&t->strings, src->tokens[i]) < 0)
            return -ERR_NOMEM;
        t->attrs[i] = src->types ? attr_of_type(src->types[i]) : IS_NORMAL;
        t->max_len = MAX(t->max_len, src->tokens[i].len);
    }
    if (t->kind != VOCAB_SPM && t->kind != VOCAB_UGM && t->kind != VOCAB_PLAMO2)
        return 0;
    t->scores = alloc_array_zero(src->n_tokens, sizeof(*t->scores));
    if (!t->scores)
        return -ERR_NOMEM;
    for (size_t i = 0; src->scores && i < src->n_tokens; i++)
        t->scores[i] = isnan(src->scores[i]) ? -INFINITY : src->scores[i];
    return 0;
}

/* "<0xNN>" for each byte; SentencePiece also takes the byte itself. */
static void byte_tokens_find(struct tokenizer *t)
{
    static const char hex[] = "0123456789ABCDEF";
    for (int b = 0; b < 256; b++) {
        const char text[] = {'<', '0', 'x', hex[b >> 4], hex[b & 15], '>'};
        const char byte = (char)b;
        int32_t id = strtab_find(&t->strings, str_make(text, sizeof(text)));
        if (id < 0 && t->kind == VOCAB_SPM)
            id = strtab_find(&t->strings, str_make(&byte, 1));
        t->byte_tokens[b] = id;
    }
}

static void flag_defaults(struct tokenizer *t, const struct vocab_source *src)
{
    int32_t bos = -1, eos = -1, unk = -1, sep = -1;
    switch (t->kind) {
    case VOCAB_SPM:
        bos = 1, eos = 2, unk = 0;
        t->add_bos = true;
        t->add_space_prefix = true;
        t->escape_spaces = true;
        break;
    case VOCAB_BPE:
        t->add_bos = t->pre_flags & PRE_ADD_BOS;
        t->escape_spaces = t->pre_flags & PRE_ESCAPE_SPACES;
        t->clean_spaces = !(t->pre_flags & PRE_KEEP_SPACES);
        t->add_sep = t->pre_flags & PRE_ADD_SEP;
        break;
    case VOCAB_WPM:
        bos = 101, unk = 100, sep = 102;
        t->add_bos = true;
        t->add_sep = true;
        t->escape_spaces = true;
        t->clean_spaces = true;
        break;
    case VOCAB_UGM:
        eos = 1, unk = 2;
        t->add_eos = true;
        t->escape_spaces = true;
        t->merge_spaces = src->remove_extra_whitespaces > 0;
        break;
    case VOCAB_PLAMO2:
        bos = 1, eos = 2, unk = 0;
        break;
    case VOCAB_RWKV:
        break;
    }
    if (src->add_bos >= 0)
        t->add_bos = src->add_bos > 0;
    if (src->add_eos >= 0)
        t->add_eos = src->add_eos > 0;
    if (src->add_sep >= 0)
        t->add_sep = src->add_sep > 0;
    if (src->add_space_prefix >= 0)
        t->add_space_prefix = src->add_space_prefix > 0;
    if (t->kind == VOCAB_RWKV || t->kind == VOCAB_PLAMO2) /* nothing is ever added to a text */
        t->add_bos = t->add_eos = t->add_space_prefix = false;
    if (t->kind == VOCAB_BPE && (t->pre_flags & PRE_ALWAYS_BOS))
        t->add_bos = true;
    t->bos = checked_id(t, src->bos, bos);
    t->eos = checked_id(t, src->eos, eos);
    t->unk = checked_id(t, src->unk, unk);
    t->sep = checked_id(t, src->sep, sep);
}

static void eog_add(struct tokenizer *t, int32_t id)
{
    if (id >= 0)
        t->attrs[id] |= IS_EOG;
}

static bool is_eog(const struct tokenizer *t, const char *text)
{
    int32_t id = find_c(t, text);
    return id >= 0 && t->attrs[id] & IS_EOG;
}

/* Makes a token something else than the end of the generation. */
static void eog_remove(struct tokenizer *t, const char *text, uint16_t attr)
{
    int32_t id = find_c(t, text);
    if (id >= 0 && t->attrs[id] & IS_EOG)
        t->attrs[id] = attr;
}

static void specials_find(struct tokenizer *t, const struct vocab_source *src)
{
    t->eot = id_or_text(t, src->eot, eot_texts);
    t->eom = id_or_text(t, src->eom, eom_texts);
    t->fim[FIM_PRE] = id_or_text(t, src->fim_pre, fim_pre_texts);
    t->fim[FIM_SUF] = id_or_text(t, src->fim_suf, fim_suf_texts);
    t->fim[FIM_MID] = id_or_text(t, src->fim_mid, fim_mid_texts);
    eog_add(t, id_or_text(t, src->fim_pad, fim_pad_texts));
    t->fim[FIM_REP] = id_or_text(t, src->fim_rep, fim_rep_texts);
    t->fim[FIM_SEP] = id_or_text(t, src->fim_sep, fim_sep_texts);
    eog_add(t, t->fim[FIM_REP]);
    eog_add(t, t->fim[FIM_SEP]);
    for (size_t i = 0; i < ARRAY_LEN(eog_texts); i++) {
        int32_t id = find_c(t, eog_texts[i]);
        if (id >= 0)
            t->attrs[id] |= IS_CONTROL | IS_EOG;
    }
    for (size_t i = 0; i < ARRAY_LEN(message_texts); i++) {
        int32_t id = find_c(t, message_texts[i]);
        if (id >= 0)
            t->attrs[id] = IS_USER_DEFINED | (t->attrs[id] & IS_EOG);
    }
    eog_add(t, t->eos);
    eog_add(t, t->eot);
    eog_add(t, t->eom);

    /* gpt-oss and Solar Open end a message, not the turn, with <|end|>. */
    bool has_call = is_eog(t, "<|call|>") || is_eog(t, "<|calls|>");
    if (has_call && (is_eog(t, "<|return|>") || is_eog(t, "<|flush|>")))
        eog_remove(t, "<|end|>", IS_USER_DEFINED);
    /* Gemma 4 has </s> as an ordinary token. */
    if (is_eog(t, "<|tool_response>"))
        eog_remove(t, "</s>", IS_NORMAL);
}

static bool contains_nocase(struct str s, const char *lower)
{
    struct str part = str_from(lower);
    for (size_t i = 0; i + part.len <= s.len; i++) {
        if (str_eq_nocase(str_make(s.ptr + i, part.len), part))
            return true;
    }
    return false;
}

static void strip_set(struct tokenizer *t, const char *text, uint16_t attr, bool on)
{
    int32_t id = find_c(t, text);
    if (id >= 0)
        t->attrs[id] = (uint16_t)(on ? t->attrs[id] | attr : t->attrs[id] & ~attr);
}

/* Which tokens swallow white space is in tokenizer_config.json but not in GGUF; llama.cpp goes by
 * the names of the models concerned. */
static void strips_find(struct tokenizer *t, const struct vocab_source *src)
{
    const uint16_t parsed = IS_CONTROL | IS_USER_DEFINED | IS_UNKNOWN;
    if (contains_nocase(src->pre, "jina-v2-de") || contains_nocase(src->pre, "jina-v2-es") ||
        contains_nocase(src->pre, "jina-v2-code") || contains_nocase(src->arch, "nomic-bert-moe") ||
        contains_nocase(src->arch, "jina-bert-v3")) {
        strip_set(t, "<mask>", STRIPS_LEFT, true);
    } else if (contains_nocase(src->name, "phi-3") || contains_nocase(src->name, "phi3")) {
        for (int32_t id = 0; id < t->n_tokens; id++) {
            if (t->attrs[id] & parsed)
                t->attrs[id] |= STRIPS_RIGHT;
        }
        strip_set(t, "</s>", STRIPS_RIGHT, true);
        strip_set(t, "<unk>", STRIPS_RIGHT, false);
        strip_set(t, "<s>", STRIPS_RIGHT, false);
        strip_set(t, "<|endoftext|>", STRIPS_RIGHT, false);
    } else if (contains_nocase(src->name, "modern-bert")) {
        strip_set(t, "[MASK]", STRIPS_LEFT, true);
    }
}

static int special_build(struct tokenizer *t)
{
    if (special_init(&t->special) < 0)
        return -ERR_NOMEM;
    for (int32_t id = 0; id < t->n_tokens; id++) {
        if (!(t->attrs[id] & (IS_CONTROL | IS_USER_DEFINED | IS_UNKNOWN)))
            continue;
        if (special_add(&t->special, strtab_get(&t->strings, id), id) < 0)
            return -ERR_NOMEM;
    }
    return special_finish(&t->special);
}

int vocab_init(struct tokenizer *t, const struct vocab_source *src, struct error *err)
{
    t->n_tokens = (int32_t)src->n_tokens;
    if (tokens_copy(t, src) < 0)
        return error_set(err, ERR_NOMEM, "no memory for a vocabulary of %zu tokens", src->n_tokens);
    flag_defaults(t, src);
    byte_tokens_find(t);
    specials_find(t, src);
    strips_find(t, src);
    if (special_build(t) < 0)
        return error_set(err, ERR_NOMEM, "no memory for a vocabulary of %zu tokens", src->n_tokens);
    return 0;
}
