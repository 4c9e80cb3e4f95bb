/* SPDX-License-Identifier: Apache-2.0
 *
 * model-engine tokenize --model F: text to token ids and back, JSON lines.
 *
 *     {"text":"Hello","add_special":true,"parse_special":true}  →  {"ids":[1,15043]}
 *     {"ids":[1,15043]}                                         →  {"text":"<s> Hello"}
 *
 * Both switches are true when they are left out. Ids give the text of all of them, special tokens
 * included; where that is not UTF-8 the text has U+FFFD in it and "text_hex" has its bytes. Only the
 * header of the file is read, so a file without weights will do. */
#include <stddef.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "engine/run/vocab_load.h"
#include "engine/verbs/jsonl.h"
#include "engine/verbs/verbs.h"

struct tokenize_options {
    const char *model;
};

const struct opt verb_tokenize_opts[] = {
    {"model", 'm', OPT_STRING, offsetof(struct tokenize_options, model), "FILE",
     "the model file; its vocabulary is enough"},
    OPT_END,
};

enum { TEXT_MAX_BYTES = 256 << 20 };

static int answer_text(const struct tokenizer *t, const struct json *in, struct json *out,
                       struct error *err)
{
    struct str text = {0};
    bool add_special = true, parse_special = true;
    int r = js_want_str(in, "text", &text, err);
    if (r == 0)
        r = js_want_bool(in, "add_special", &add_special, err);
    if (r == 0)
        r = js_want_bool(in, "parse_special", &parse_special, err);
    if (r < 0)
        return r;
    CLEANUP_TOKEN_LIST struct token_list ids = TOKEN_LIST_INIT;
    unsigned flags = (add_special ? TOKENIZE_ADD_SPECIAL : 0u) |
                     (parse_special ? TOKENIZE_PARSE_SPECIAL : 0u);
    r = tokenizer_encode(t, text, flags, &ids, err);
    if (r < 0)
        return r;
    struct json *array = js_array();
    for (size_t i = 0; i < ids.n; i++)
        js_push(array, js_int(ids.ids[i]));
    js_set(out, "ids", array);
    return 0;
}

static void set_hex(struct json *out, const char *key, struct str bytes)
{
    static const char digits[] = "0123456789abcdef";
    CLEANUP_BUF struct buf hex = BUF_INIT((size_t)2 * TEXT_MAX_BYTES);
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char b = (unsigned char)bytes.ptr[i];
        buf_push(&hex, digits[b >> 4]);
        buf_push(&hex, digits[b & 15]);
    }
    js_set_str(out, key, buf_str(&hex));
}

static int answer_ids(const struct tokenizer *t, const struct json *in, struct json *out,
                      struct error *err)
{
    CLEANUP_FREE int32_t *ids = NULL;
    size_t n = 0;
    const struct json *array = js_get(in, "ids");
    if (!js_is(array, JS_ARRAY) || js_len(array) > 0) {
        int r = jsonl_ids(in, "ids", (uint32_t)tokenizer_n_tokens(t), &ids, &n, err);
        if (r < 0)
            return r;
    }
    CLEANUP_BUF struct buf text = BUF_INIT(TEXT_MAX_BYTES);
    int r = tokenizer_decode(t, ids, n, true, &text, err);
    if (r < 0)
        return r;
    struct str s = buf_str(&text);
    js_set_str(out, "text", s);
    if (!utf8_valid(s.ptr, s.len))
        set_hex(out, "text_hex", s);
    return 0;
}

static int answer(void *ctx, const struct json *in, struct json *out, struct error *err)
{
    const struct tokenizer *t = ctx;
    bool has_text = js_get(in, "text"), has_ids = js_get(in, "ids");
    if (has_text == has_ids)
        return error_set(err, ERR_INVALID, "a line needs either 'text' or 'ids'");
    return has_text ? answer_text(t, in, out, err) : answer_ids(t, in, out, err);
}

static int open_vocab(const char *path, struct tokenizer **ret, struct error *err)
{
    if (!path)
        return error_set(err, ERR_INVALID, "--model is missing");
    CLEANUP(cleanup_gguf) struct gguf *g = NULL;
    int r = gguf_open(path, GGUF_HEADER_ONLY, &g, err);
    return r == 0 ? vocab_load(g, ret, err) : r;
}

int verb_tokenize(int argc, char **argv)
{
    struct tokenize_options o = {0};
    struct error err = ERROR_INIT;
    int exit_code;
    if (verb_parse(argc, argv, &o, &exit_code) < 0)
        return exit_code;
    CLEANUP(cleanup_tokenizer) struct tokenizer *t = NULL;
    int r = open_vocab(o.model, &t, &err);
    if (r == 0)
        r = jsonl_run(answer, t, &err);
    return r < 0 ? verb_fail(&err) : 0;
}
