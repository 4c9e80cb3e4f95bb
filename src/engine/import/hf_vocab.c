/* SPDX-License-Identifier: Apache-2.0
 *
 * First the base vocabulary of the tokenizer, then the added tokens over it, then the special ids
 * and switches. */
#include "engine/import/hf_vocab.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/compiler.h"
#include "engine/import/pretokenizer_names.h"

enum token_type {
    TOKEN_NORMAL = 1,
    TOKEN_UNKNOWN = 2,
    TOKEN_CONTROL = 3,
    TOKEN_USER = 4,
    TOKEN_UNUSED = 5,
    TOKEN_BYTE = 6,
};

/* U+2581, which stands for a space in SentencePiece's texts. */
#define SPACE_MARK "\xe2\x96\x81"

void hf_vocab_release(struct hf_vocab *v)
{
    for (size_t i = 0; i < v->n_owned; i++)
        free(v->owned[i]);
    free(v->owned);
    free(v->tokens);
    free(v->types);
    free(v->scores);
    free(v->merges);
    js_free(v->tokenizer);
    js_free(v->config);
    js_free(v->added);
    buf_release(&v->sp_bytes);
    buf_release(&v->chat_template);
    sp_model_release(&v->sp);
    *v = (struct hf_vocab){0};
}

/* The text of a buffer, kept as long as the vocabulary. */
static struct str keep(struct hf_vocab *v, struct buf *text)
{
    size_t len = text->len;
    if ((v->n_owned & (v->n_owned + 1)) == 0) /* room for 1, 3, 7, … more */
        v->owned = xrealloc(v->owned, 2 * v->n_owned + 1, sizeof(char *));
    char *p = buf_take(text);
    if (!p)
        alloc_failed();
    v->owned[v->n_owned++] = p;
    return str_make(p, len);
}

static int make_room(struct hf_vocab *v, size_t n, bool scores, struct error *err)
{
    v->n = n;
    v->tokens = alloc_array_zero(n, sizeof(*v->tokens));
    v->types = alloc_array_zero(n, sizeof(*v->types));
    v->scores = scores ? alloc_array_zero(n, sizeof(*v->scores)) : NULL;
    if (!v->tokens || !v->types || (scores && !v->scores))
        return error_set(err, ERR_NOMEM, "out of memory for %zu tokens", n);
    return 0;
}

static int check_id(const struct hf_vocab *v, struct str text, int64_t id, struct error *err)
{
    if (id < 0 || (uint64_t)id >= v->n)
        return error_set(err, ERR_CORRUPT,
                         "token '%.*s' has the id %" PRId64 ", but the vocabulary's size is %zu",
                         STR_ARG(text), id, v->n);
    return 0;
}

/* ---- tokenizer.json ---- */

static bool is_byte_token(struct str t)
{
    return t.len == 6 && memcmp(t.ptr, "<0x", 3) == 0 && t.ptr[5] == '>';
}

static int read_base_tokens(struct hf_vocab *v, const struct json *model, struct error *err)
{
    const struct json *vocab = js_get(model, "vocab");
    struct str unk = js_get_str(model, "unk_token");
    struct json_iter it = {0};
    if (!js_is(vocab, JS_OBJECT))
        return error_set(err, ERR_CORRUPT, "tokenizer.json has no vocabulary");
    while (js_next(vocab, &it)) {
        int64_t id = js_to_int(it.value, -1);
        int r = check_id(v, it.key, id, err);
        if (r < 0)
            return r;
        if (v->tokens[id].ptr)
            return error_set(err, ERR_CORRUPT, "two tokens have the id %" PRId64, id);
        v->tokens[id] = it.key;
        v->types[id] = TOKEN_NORMAL;
        if (v->scores && is_byte_token(it.key))
            v->types[id] = TOKEN_BYTE;
        if (v->scores && unk.ptr && str_eq(it.key, unk))
            v->types[id] = TOKEN_UNKNOWN;
    }
    return 0;
}

/* The two sides of a merge, "a b" or ["a", "b"]. */
static bool split_merge(const struct json *merge, struct str *ret_left, struct str *ret_right)
{
    if (js_is(merge, JS_ARRAY) && js_len(merge) == 2) {
        *ret_left = js_to_str(js_at(merge, 0));
        *ret_right = js_to_str(js_at(merge, 1));
        return ret_left->ptr && ret_right->ptr;
    }
    struct str text = js_to_str(merge);
    ptrdiff_t space = text.ptr ? str_find_char(text, ' ') : -1;
    if (space <= 0)
        return false;
    *ret_left = str_sub(text, 0, (size_t)space);
    *ret_right = str_sub(text, (size_t)space + 1, SIZE_MAX);
    return true;
}

static int bad_merge(size_t i, struct error *err)
{
    return error_set(err, ERR_CORRUPT, "tokenizer.json: merge %zu is no pair of tokens", i);
}

static int read_merges(struct hf_vocab *v, const struct json *merges, struct error *err)
{
    v->merges = alloc_array(js_len(merges) + 1, sizeof(*v->merges));
    if (!v->merges)
        return error_set(err, ERR_NOMEM, "out of memory for %zu merges", js_len(merges));
    for (size_t i = 0; i < js_len(merges); i++) {
        const struct json *merge = js_at(merges, i);
        struct str left, right;
        if (!split_merge(merge, &left, &right) || str_find_char(right, ' ') >= 0 ||
            str_find_char(left, ' ') >= 0)
            return bad_merge(i, err);
        struct buf text = BUF_INIT(1 << 20);
        if (js_is(merge, JS_ARRAY)) {
            buf_append(&text, left);
            buf_push(&text, ' ');
            buf_append(&text, right);
            v->merges[i] = keep(v, &text);
        } else {
            v->merges[i] = js_to_str(merge);
        }
        v->n_merges++;
    }
    return 0;
}

/* SentencePiece's order from the order of merges: the earlier, the better. What no merge makes is
 * never chosen by its score. */
static int score_by_merges(struct hf_vocab *v, const struct json *model, struct error *err)
{
    const struct json *merges = js_get(model, "merges"), *vocab = js_get(model, "vocab");
    CLEANUP_BUF struct buf text = BUF_INIT(1 << 20);
    for (size_t i = js_len(merges); i-- > 0;) {
        struct str left, right;
        if (!split_merge(js_at(merges, i), &left, &right))
            return bad_merge(i, err);
        buf_clear(&text);
        buf_append(&text, left);
        buf_append(&text, right);
        int64_t id = js_to_int(js_get_n(vocab, buf_str(&text)), -1);
        if (id >= 0 && (size_t)id < v->n)
            v->scores[id] = -(float)i;
    }
    return 0;
}

/* Does anything put a space mark in front of a text? */
static bool prepends_space(const struct json *tokenizer)
{
    const struct json *normalizer = js_get(tokenizer, "normalizer");
    const struct json *pre = js_get(tokenizer, "pre_tokenizer");
    const struct json *steps = js_get(normalizer, "normalizers");
    for (size_t i = 0; i < js_len(steps); i++)
        if (strcmp(js_get_cstr(js_at(steps, i), "type", ""), "Prepend") == 0)
            return true;
    if (strcmp(js_get_cstr(normalizer, "type", ""), "Prepend") == 0)
        return true;
    if (strcmp(js_get_cstr(pre, "type", ""), "Metaspace") != 0)
        return false;
    return strcmp(js_get_cstr(pre, "prepend_scheme", "always"), "never") != 0 &&
           js_get_bool(pre, "add_prefix_space", true);
}

static int read_tokenizer_json(struct hf_vocab *v, size_t n, struct error *err)
{
    const struct json *model = js_get(v->tokenizer, "model");
    bool marks = js_get_bool(model, "byte_fallback", false);
    v->model = marks ? "llama" : "gpt2";
    int r = make_room(v, n, marks, err);
    if (r == 0)
        r = read_base_tokens(v, model, err);
    if (r == 0 && marks) {
        v->add_space_prefix = prepends_space(v->tokenizer);
        return score_by_merges(v, model, err);
    }
    if (r == 0)
        r = pretokenizer_name(v->tokenizer, &v->pre, err);
    const char *normalizer = js_get_cstr(js_get(v->tokenizer, "normalizer"), "type", NULL);
    if (r == 0 && normalizer && strcmp(normalizer, "NFC") != 0)
        r = error_set(err, ERR_UNSUPPORTED, "tokenizer.json: the normalizer %s is not supported",
                      normalizer);
    if (r == 0)
        r = read_merges(v, js_get(model, "merges"), err);
    return r;
}

/* ---- tokenizer.model ---- */

static int read_sentencepiece(struct hf_vocab *v, size_t n, struct error *err)
{
    int r = sp_model_parse(v->sp_bytes.data, v->sp_bytes.len, &v->sp, err);
    if (r < 0)
        return error_wrap(err, "tokenizer.model");
    if (v->sp.model_type != SP_BPE)
        return error_set(err, ERR_UNSUPPORTED,
                         "tokenizer.model: kind %" PRId64 " of SentencePiece models is not "
                         "supported, only BPE (2)",
                         v->sp.model_type);
    if (v->sp.n > n)
        return error_set(err, ERR_CORRUPT,
                         "tokenizer.model has %zu pieces, but the vocabulary's size is %zu",
                         v->sp.n, n);
    v->model = "llama";
    r = make_room(v, n, true, err);
    for (size_t i = 0; r == 0 && i < v->sp.n; i++) {
        v->tokens[i] = v->sp.pieces[i].text.ptr ? v->sp.pieces[i].text : STR("");
        v->scores[i] = v->sp.pieces[i].score;
        v->types[i] = v->sp.pieces[i].type;
    }
    v->unk = v->sp.unk;
    v->bos = v->sp.bos;
    v->eos = v->sp.eos;
    v->pad = v->sp.pad;
    v->add_space_prefix = v->sp.add_dummy_prefix;
    return r;
}

/* ---- added tokens ---- */

/* Texts that stand for something, also where the file does not say so. */
static bool looks_special(struct str t)
{
    return (str_starts_with(t, STR("<|")) && str_ends_with(t, STR("|>"))) ||
           (str_starts_with(t, STR("<\xef\xbd\x9c")) && str_ends_with(t, STR("\xef\xbd\x9c>"))) ||
           (str_starts_with(t, STR("<unused")) && str_ends_with(t, STR(">"))) ||
           str_eq_c(t, "<pad>") || str_eq_c(t, "<mask>") || str_eq_c(t, "<2mass>");
}

/* In a SentencePiece vocabulary the texts of a user's tokens have real spaces. */
static struct str plain_spaces(struct hf_vocab *v, struct str text)
{
    struct str mark = STR(SPACE_MARK);
    if (str_find(text, mark) < 0)
        return text;
    struct buf out = BUF_INIT(1 << 20);
    for (ptrdiff_t at; (at = str_find(text, mark)) >= 0;) {
        buf_append(&out, str_sub(text, 0, (size_t)at));
        buf_push(&out, ' ');
        text = str_sub(text, (size_t)at + mark.len, SIZE_MAX);
    }
    buf_append(&out, text);
    return keep(v, &out);
}

static int add_token(struct hf_vocab *v, struct str text, int64_t id, bool special,
                     struct error *err)
{
    int r = check_id(v, text, id, err);
    if (r < 0)
        return r;
    if (v->types[id] == TOKEN_UNKNOWN || v->types[id] == TOKEN_BYTE)
        return 0;
    special |= looks_special(text);
    v->types[id] = special ? TOKEN_CONTROL : TOKEN_USER;
    v->tokens[id] = special ? text : plain_spaces(v, text);
    if (v->scores)
        v->scores[id] = -1000;
    return 0;
}

static int add_tokens(struct hf_vocab *v, struct error *err)
{
    const struct json *list = js_get(v->tokenizer, "added_tokens");
    struct json_iter it = {0};
    int r = 0;
    while (r == 0 && js_next(v->added, &it))
        r = add_token(v, it.key, js_to_int(it.value, -1), false, err);
    for (size_t i = 0; r == 0 && i < js_len(list); i++) {
        const struct json *t = js_at(list, i);
        r = add_token(v, js_get_str(t, "content"), js_get_int(t, "id", -1),
                      js_get_bool(t, "special", false), err);
    }
    it = (struct json_iter){0};
    while (r == 0 && js_next(js_get(v->config, "added_tokens_decoder"), &it)) {
        uint64_t id;
        r = str_to_u64(it.key, "the id of an added token", &id, err);
        if (r == 0)
            r = add_token(v, js_get_str(it.value, "content"), (int64_t)MIN(id, INT32_MAX),
                          js_get_bool(it.value, "special", false), err);
    }
    return r;
}

/* Ids up to the size of the embedding that mean nothing. */
static void fill_holes(struct hf_vocab *v)
{
    for (size_t i = 0; i < v->n; i++) {
        if (v->tokens[i].ptr)
            continue;
        struct buf text = BUF_INIT(64);
        buf_printf(&text, "[PAD%zu]", i);
        v->tokens[i] = keep(v, &text);
        v->types[i] = TOKEN_UNUSED;
        if (v->scores)
            v->scores[i] = -1000;
    }
}

/* ---- special ids ---- */

static int64_t id_of(const struct hf_vocab *v, struct str text)
{
    for (size_t i = 0; text.len > 0 && i < v->n; i++)
        if (str_eq(v->tokens[i], text))
            return (int64_t)i;
    return -1;
}

/* "eos_token": "</s>" or {"content": "</s>"}. */
static void take_named(const struct hf_vocab *v, const char *field, int64_t *ret)
{
    const struct json *t = js_get(v->config, field);
    int64_t id = id_of(v, js_is(t, JS_OBJECT) ? js_get_str(t, "content") : js_to_str(t));
    if (id >= 0)
        *ret = id;
}

static int64_t checked_id(const struct hf_vocab *v, const struct json *id)
{
    int64_t i = js_to_int(id, -1);
    return i >= 0 && (size_t)i < v->n ? i : -1;
}

/* A number or a list of them, of which the first counts. */
static void take_number(const struct hf_vocab *v, const struct json *from, const char *field,
                        int64_t *ret)
{
    const struct json *t = js_get(from, field);
    if (*ret < 0)
        *ret = checked_id(v, js_is(t, JS_ARRAY) ? js_at(t, 0) : t);
}

static void take_ids(struct hf_vocab *v, const struct json *model, const struct json *generation)
{
    const struct {
        const char *name, *number;
        int64_t *ret;
    } ids[] = {
        {"bos_token", "bos_token_id", &v->bos},
        {"eos_token", "eos_token_id", &v->eos},
        {"unk_token", NULL, &v->unk},
        {"pad_token", "pad_token_id", &v->pad},
    };
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        take_named(v, ids[i].name, ids[i].ret);
        if (ids[i].number)
            take_number(v, model, ids[i].number, ids[i].ret);
    }
    /* Where generation ends at several tokens, another one ends a turn. */
    const struct json *ends = js_get(generation, "eos_token_id");
    for (size_t i = 0; js_is(ends, JS_ARRAY) && v->eot < 0 && i < js_len(ends); i++) {
        int64_t id = checked_id(v, js_at(ends, i));
        if (id != v->eos)
            v->eot = id;
    }
}

/* Does the post-processor begin (end) every text with a special token? */
static int from_template(const struct json *post, bool begins)
{
    const struct json *parts = js_get(post, "processors");
    for (size_t i = 0; i < js_len(parts); i++) {
        int one = from_template(js_at(parts, i), begins);
        if (one >= 0)
            return one;
    }
    if (strcmp(js_get_cstr(post, "type", ""), "TemplateProcessing") != 0)
        return -1;
    const struct json *single = js_get(post, "single");
    size_t at = begins || js_len(single) == 0 ? 0 : js_len(single) - 1;
    return js_is(js_get(js_at(single, at), "SpecialToken"), JS_OBJECT);
}

static int read_switch(const struct hf_vocab *v, const char *field, bool begins)
{
    const struct json *flag = js_get(v->config, field);
    if (js_is(flag, JS_BOOL))
        return js_to_bool(flag, false);
    return from_template(js_get(v->tokenizer, "post_processor"), begins);
}

/* ---- the chat template ---- */

static int read_template(const struct hf_dir *d, struct hf_vocab *v, struct error *err)
{
    bool there;
    int r = hf_dir_text(d, "chat_template.jinja", &v->chat_template, &there, err);
    if (r < 0 || there)
        return r;
    const struct json *t = js_get(v->config, "chat_template");
    for (size_t i = 0; js_is(t, JS_ARRAY) && i < js_len(t); i++)
        if (strcmp(js_get_cstr(js_at(t, i), "name", ""), "default") == 0)
            return buf_append(&v->chat_template, js_get_str(js_at(t, i), "template"));
    buf_append(&v->chat_template, js_to_str(t));
    return buf_check(&v->chat_template, "the chat template", err);
}

/* ---- the whole ---- */

static int read_base(const struct hf_dir *d, struct hf_vocab *v, size_t n, struct error *err)
{
    bool has_model;
    int r = hf_dir_text(d, "tokenizer.model", &v->sp_bytes, &has_model, err);
    if (r < 0)
        return r;
    const struct json *model = js_get(v->tokenizer, "model");
    const char *type = js_get_cstr(model, "type", "BPE");
    bool byte_level = model && strcmp(type, "BPE") == 0 &&
                      js_is(js_get(model, "merges"), JS_ARRAY) &&
                      !js_get_bool(model, "byte_fallback", false);
    if (has_model && !byte_level)
        return read_sentencepiece(v, n, err);
    if (!model)
        return error_set(err, ERR_NOT_FOUND, "'%s' has neither tokenizer.json nor tokenizer.model",
                         d->path);
    if (strcmp(type, "BPE") != 0)
        return error_set(err, ERR_UNSUPPORTED,
                         "tokenizer.json: models of type %s are not supported", type);
    return read_tokenizer_json(v, n, err);
}

int hf_vocab_read(const struct hf_dir *d, const struct hf_config *c, struct hf_vocab *v,
                  struct error *err)
{
    CLEANUP_JSON struct json *generation = NULL;
    v->bos = v->eos = v->eot = v->unk = v->pad = -1;
    v->add_bos = v->add_eos = v->add_space_prefix = -1;
    v->sp_bytes = BUF_INIT(HF_MAX_JSON);
    v->chat_template = BUF_INIT(4 << 20);
    int r = hf_dir_json(d, "tokenizer.json", &v->tokenizer, err);
    if (r == 0)
        r = hf_dir_json(d, "tokenizer_config.json", &v->config, err);
    if (r == 0)
        r = hf_dir_json(d, "added_tokens.json", &v->added, err);
    if (r == 0)
        r = hf_dir_json(d, "generation_config.json", &generation, err);
    if (r == 0)
        r = read_base(d, v, (size_t)c->n_vocab, err);
    if (r == 0)
        r = add_tokens(v, err);
    if (r == 0)
        r = read_template(d, v, err);
    if (r < 0)
        return r;
    fill_holes(v);
    take_ids(v, c->json, generation);
    v->add_bos = read_switch(v, "add_bos_token", true);
    v->add_eos = read_switch(v, "add_eos_token", false);
    return 0;
}

static void write_id(struct gguf_writer *w, const char *key, int64_t id)
{
    if (id >= 0)
        gguf_writer_u32(w, key, (uint32_t)id);
}

static void write_switch(struct gguf_writer *w, const char *key, int on)
{
    if (on >= 0)
        gguf_writer_bool(w, key, on != 0);
}

void hf_vocab_write(const struct hf_vocab *v, struct gguf_writer *w)
{
    gguf_writer_str(w, "tokenizer.ggml.model", str_from(v->model));
    gguf_writer_str(w, "tokenizer.ggml.pre", v->pre ? str_from(v->pre) : STR("default"));
    gguf_writer_str_array(w, "tokenizer.ggml.tokens", v->tokens, v->n);
    if (v->scores)
        gguf_writer_f32_array(w, "tokenizer.ggml.scores", v->scores, v->n);
    gguf_writer_i32_array(w, "tokenizer.ggml.token_type", v->types, v->n);
    if (!v->scores)
        gguf_writer_str_array(w, "tokenizer.ggml.merges", v->merges, v->n_merges);
    write_id(w, "tokenizer.ggml.bos_token_id", v->bos);
    write_id(w, "tokenizer.ggml.eos_token_id", v->eos);
    write_id(w, "tokenizer.ggml.eot_token_id", v->eot);
    write_id(w, "tokenizer.ggml.unknown_token_id", v->unk);
    write_id(w, "tokenizer.ggml.padding_token_id", v->pad);
    write_switch(w, "tokenizer.ggml.add_bos_token", v->add_bos);
    write_switch(w, "tokenizer.ggml.add_eos_token", v->add_eos);
    write_switch(w, "tokenizer.ggml.add_space_prefix", v->add_space_prefix);
    if (v->chat_template.len > 0)
        gguf_writer_str(w, "tokenizer.chat_template", buf_str(&v->chat_template));
}
