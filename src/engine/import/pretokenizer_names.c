/* SPDX-License-Identifier: Apache-2.0
 *
 * The pre-tokenizer of a tokenizer.json is turned into one line, its steps joined by a newline, and
 * that is looked up. Steps:
 *
 *     Split           its regular expression
 *     Digits          "digits" or "digit", one at a time
 *     ByteLevel       "gpt2" if it splits by GPT-2's expression, else nothing; it maps bytes to
 *                     characters, as the vocabulary has them */
#include "engine/import/pretokenizer_names.h"

#include <string.h>

#include "base/buf.h"
#include "base/compiler.h"

#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define TAIL "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define TAIL_SLASH "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define NO_WORD "[^\\r\\n\\p{L}\\p{N}]?"

#define LLAMA3 CONTRACTIONS "|" NO_WORD "\\p{L}+|\\p{N}{1,3}" TAIL
#define QWEN2 CONTRACTIONS "|" NO_WORD "\\p{L}+|\\p{N}" TAIL
#define QWEN35                                                                               \
    CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+" \
                 "[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define TEKKEN NO_WORD UPPER "*" LOWER "+|" NO_WORD UPPER "+" LOWER "*|\\p{N}" TAIL_SLASH
#define GPT4O                                                                              \
    NO_WORD UPPER "*" LOWER "+" CONTRACTIONS "?|" NO_WORD UPPER "+" LOWER "*" CONTRACTIONS \
                  "?|\\p{N}{1,3}" TAIL_SLASH

static const struct {
    const char *steps;
    const char *name;        /* where merges decide */
    const char *whole_words; /* where words that are tokens are not merged; NULL = the same */
} known[] = {
    {"gpt2", "gpt-2", NULL}, {"digit\ngpt2", "smollm", NULL}, {LLAMA3, "dbrx", "llama-bpe"},
    {QWEN2, "qwen2", NULL},  {QWEN35, "qwen35", NULL},        {TEKKEN, "tekken", "tekken"},
    {GPT4O, "gpt-4o", NULL},
};

static int unknown(const char *what, struct error *err)
{
    return error_set(err, ERR_UNSUPPORTED, "tokenizer.json: the pre-tokenizer is not known: %s",
                     what);
}

static int add_step(const struct json *step, struct buf *out, struct error *err)
{
    const char *type = js_get_cstr(step, "type", "none");
    const char *before = out->len > 0 ? "\n" : "";
    if (strcmp(type, "Split") == 0) {
        const char *regex = js_get_cstr(js_get(step, "pattern"), "Regex", NULL);
        const char *behavior = js_get_cstr(step, "behavior", "");
        if (!regex || js_get_bool(step, "invert", false) != (strcmp(behavior, "Removed") == 0))
            return unknown("a Split without an expression, or with an unusual behaviour", err);
        buf_printf(out, "%s%s", before, regex);
    } else if (strcmp(type, "Digits") == 0) {
        buf_printf(out, "%s%s", before,
                   js_get_bool(step, "individual_digits", false) ? "digit" : "digits");
    } else if (strcmp(type, "ByteLevel") == 0) {
        if (js_get_bool(step, "add_prefix_space", true))
            return unknown("ByteLevel with add_prefix_space", err);
        if (js_get_bool(step, "use_regex", true))
            buf_printf(out, "%sgpt2", before);
    } else {
        return unknown(type, err);
    }
    return 0;
}

int pretokenizer_name(const struct json *tokenizer, const char **ret, struct error *err)
{
    CLEANUP_BUF struct buf steps = BUF_INIT(64 << 10);
    const struct json *pre = js_get(tokenizer, "pre_tokenizer");
    const struct json *list = js_get(pre, "pretokenizers");
    bool whole_words = js_get_bool(js_get(tokenizer, "model"), "ignore_merges", false);
    int r = 0;
    if (js_is(list, JS_ARRAY))
        for (size_t i = 0; r == 0 && i < js_len(list); i++)
            r = add_step(js_at(list, i), &steps, err);
    else
        r = add_step(pre, &steps, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (strcmp(buf_cstr(&steps), known[i].steps) != 0)
            continue;
        if (!whole_words || known[i].whole_words) {
            *ret = whole_words ? known[i].whole_words : known[i].name;
            return 0;
        }
    }
    return unknown(buf_cstr(&steps), err);
}
