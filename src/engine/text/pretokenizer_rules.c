/* SPDX-License-Identifier: Apache-2.0
 *
 * The pre-tokenizers by name. The expressions come from the models' own tokenizer.json files, in
 * the form in which llama.cpp runs them; where that form differs from the original (the case of
 * letters beyond ASCII is not looked at) it is followed here, because the ids that GGUF users
 * compare with are its ids.
 */
#include "engine/text/pretokenizer_rules.h"

#include <stddef.h>

#include "engine/text/pretokenizer.h"

/* Members of character classes, see enum char_byte. */
#define L "A-Za-z\\x80"
#define N "0-9\\x81"
#define P "!-#%-*,-/:;?@\\[-\\]_{}\\x82"
#define S "$+<=>^`|~\\x83"
#define M "\\x84"
#define UPPER "A-Z\\x80" /* letters that are not small ASCII letters */
#define LOWER "a-z\\x80"
#define SET1 "\\x86"
#define SET2 "\\x87"
#define SET3 "\\x88"
#define SET4 "\\x89"

/* English contractions: 's 't 'm 'd 're 've 'll. */
#define CONTRACTION "'(?:[stmd]|re|ve|ll)"
#define CONTRACTION_ANY_CASE "'(?:[sStTmMdD]|[rR][eE]|[vV][eE]|[lL][lL])"

/* White space: all but the last before a word, so that " word" stays together. */
#define SPACES "\\s+(?!\\S)|\\s+"
#define NEWLINES "\\s*[\\r\\n]+"

#define GPT2 CONTRACTION "| ?[" L "]+| ?[" N "]+| ?[^\\s" L N "]+|" SPACES

/* The family of Llama 3: how letters, then numbers go together, and what ends punctuation. */
#define LLAMA3_LIKE(letters, numbers, tail) \
    CONTRACTION_ANY_CASE "|[^\\r\\n" L N "]?" letters "|" numbers "| ?[^\\s" L N "]+" tail
#define LLAMA3 LLAMA3_LIKE("[" L "]+", "[" N "]{1,3}", "[\\r\\n]*|" NEWLINES "|" SPACES)
#define QWEN2 LLAMA3_LIKE("[" L "]+", "[" N "]", "[\\r\\n]*|" NEWLINES "|" SPACES)

#define GPT4O_TAIL " ?[^\\s" L N "]+[\\r\\n/]*|" NEWLINES "|" SPACES
/* Words with the capitals in front, and an optional end (contractions). */
#define CASED(extra, end)                                              \
    "[^\\r\\n" L N "]?[" UPPER extra "]*[" LOWER extra "]+" end "|"    \
    "[^\\r\\n" L N "]?[" UPPER extra "]+[" LOWER extra "]*" end "|"

/* ASCII punctuation with the ASCII word behind it, words, punctuation: DeepSeek V3. */
#define ASCII_PUNCT "[!-/:-@\\[-`{-~]"
#define DEEPSEEK3_WORDS ASCII_PUNCT "[A-Za-z]+|[^\\r\\n" L P S "]?[" L M "]+|"

#define REGEX(pattern) {SPLIT_REGEX, pattern, NULL}
#define REGEX_SETS(pattern, ranges) {SPLIT_REGEX, pattern, ranges}
#define END {SPLIT_END, NULL, NULL}

/* ---- sets of characters ---- */

static const struct char_range cjk_kana[] = {{0x3040, 0x30ff, 0}, {0x4e00, 0x9fa5, 0}, {0, 0, 0}};

static const struct char_range cjk_wide[] = {{0x0800, 0x9fa5, 0}, {0xac00, 0xd7ff, 0}, {0, 0, 0}};

/* Cased letters, as deepseek-llm lists them. */
static const struct char_range cased_letters[] = {
    {0x00b5, 0x00b5, 0},   {0x00c0, 0x00d6, 0},   {0x00d8, 0x00f6, 0},   {0x00f8, 0x01ba, 0},
    {0x01bc, 0x01bf, 0},   {0x01c4, 0x0293, 0},   {0x0295, 0x02af, 0},   {0x0370, 0x0373, 0},
    {0x0376, 0x0377, 0},   {0x037b, 0x037d, 0},   {0x037f, 0x037f, 0},   {0x0386, 0x0386, 0},
    {0x0388, 0x038a, 0},   {0x038c, 0x038c, 0},   {0x038e, 0x03a1, 0},   {0x03a3, 0x03f5, 0},
    {0x03f7, 0x0481, 0},   {0x048a, 0x052f, 0},   {0x0531, 0x0556, 0},   {0x10a0, 0x10c5, 0},
    {0x13a0, 0x13f5, 0},   {0x13f8, 0x13fd, 0},   {0x1c90, 0x1cba, 0},   {0x1cbd, 0x1cbf, 0},
    {0x1d00, 0x1d2b, 0},   {0x1d6b, 0x1d77, 0},   {0x1d79, 0x1d9a, 0},   {0x1e00, 0x1f15, 0},
    {0x1f18, 0x1f1d, 0},   {0x1f20, 0x1f45, 0},   {0x1f48, 0x1f4d, 0},   {0x1f50, 0x1f57, 0},
    {0x1f59, 0x1f59, 0},   {0x1f5b, 0x1f5b, 0},   {0x1f5d, 0x1f5d, 0},   {0x1f5f, 0x1f7d, 0},
    {0x1f80, 0x1fb4, 0},   {0x1fb6, 0x1fbc, 0},   {0x1fbe, 0x1fbe, 0},   {0x1fc2, 0x1fc4, 0},
    {0x1fc6, 0x1fcc, 0},   {0x1fd0, 0x1fd3, 0},   {0x1fd6, 0x1fdb, 0},   {0x1fe0, 0x1fec, 0},
    {0x1ff2, 0x1ff4, 0},   {0x1ff6, 0x1ffc, 0},   {0x2102, 0x2102, 0},   {0x2107, 0x2107, 0},
    {0x210a, 0x2113, 0},   {0x2115, 0x2115, 0},   {0x2119, 0x211d, 0},   {0x2124, 0x2124, 0},
    {0x2126, 0x2126, 0},   {0x2128, 0x2128, 0},   {0x212a, 0x212d, 0},   {0x212f, 0x2134, 0},
    {0x2139, 0x2139, 0},   {0x213c, 0x213f, 0},   {0x2145, 0x2149, 0},   {0x214e, 0x214e, 0},
    {0x2183, 0x2184, 0},   {0x2c00, 0x2c7b, 0},   {0x2c7e, 0x2ce4, 0},   {0x2ceb, 0x2cee, 0},
    {0x2cf2, 0x2cf3, 0},   {0xa640, 0xa66d, 0},   {0xa680, 0xa69b, 0},   {0xa722, 0xa76f, 0},
    {0xa771, 0xa787, 0},   {0xa78b, 0xa78e, 0},   {0xab70, 0xabbf, 0},   {0xfb00, 0xfb06, 0},
    {0xfb13, 0xfb17, 0},   {0xff21, 0xff3a, 0},   {0xff41, 0xff5a, 0},   {0x10400, 0x1044f, 0},
    {0x104b0, 0x104d3, 0}, {0x104d8, 0x104fb, 0}, {0x10c80, 0x10cb2, 0}, {0x10cc0, 0x10cf2, 0},
    {0x118a0, 0x118df, 0}, {0x1e900, 0x1e943, 0}, {0, 0, 0},
};

static const struct char_range wide_punct[] = {
    {0x2018, 0x201f, 0}, {0x3000, 0x3002, 0}, {0xff01, 0xff0f, 0}, {0xff1a, 0xff5e, 0}, {0, 0, 0},
};

static const struct char_range bloom_punct[] = {
    {0x060c, 0x060c, 0}, {0x06d4, 0x06d4, 0}, {0x0964, 0x0964, 0}, {0x2026, 0x2026, 0},
    {0x3001, 0x3002, 0}, {0xff0c, 0xff0c, 0}, {0, 0, 0},
};

/* Han, by blocks. */
static const struct char_range han[] = {
    {0x3400, 0x4dbf, 0},   {0x4e00, 0x9fff, 0},   {0xf900, 0xfaff, 0},   {0x20000, 0x2a6df, 0},
    {0x2a700, 0x2b73f, 0}, {0x2b740, 0x2b81f, 0}, {0x2b820, 0x2ceaf, 0}, {0x2ceb0, 0x2ebef, 0},
    {0x2f800, 0x2fa1f, 0}, {0, 0, 0},
};

/* Hangul; CJK punctuation; Bopomofo; CJK and kana. */
static const struct char_range youtu_sets[] = {
    {0x2014, 0x2014, 1}, {0x2018, 0x2019, 1}, {0x201c, 0x201d, 1}, {0x2026, 0x2026, 1},
    {0x3001, 0x303f, 1}, {0x3040, 0x30ff, 3}, {0x3105, 0x312f, 2}, {0x3131, 0x318e, 0},
    {0x4e00, 0x9fa5, 3}, {0xac00, 0xd7a3, 0}, {0xfe30, 0xfe4f, 1}, {0xff01, 0xff01, 1},
    {0xff0c, 0xff0c, 1}, {0xff1a, 0xff1b, 1}, {0, 0, 0},
};

/* Scripts without spaces between words. */
static const struct char_range afmoe_scripts[] = {
    {0x0e40, 0x0eff, 0}, {0x1000, 0x109f, 0}, {0x1100, 0x11ff, 0}, {0x1780, 0x17ff, 0},
    {0x2f00, 0x2fdf, 0}, {0x3040, 0x30ff, 0}, {0x3400, 0x4dbf, 0}, {0x4e00, 0x9fff, 0},
    {0xa9e0, 0xa9ff, 0}, {0xaa60, 0xaa7f, 0}, {0xac00, 0xd7af, 0}, {0xf900, 0xfaff, 0},
    {0xff65, 0xff9f, 0}, {0, 0, 0},
};

/* ---- rule sets ---- */

static const struct split_step default_steps[] = {
    REGEX("[" P "$+<=>^~|]+"),
    REGEX(GPT2),
    REGEX("[" N "]+"),
    REGEX("[0-9][0-9][0-9]"),
    END,
};
static const struct split_step gpt2_steps[] = {REGEX(GPT2), END};
static const struct split_step starcoder_steps[] = {REGEX("[" N "]"), REGEX(GPT2), END};
static const struct split_step falcon_steps[] = {
    REGEX("[" P "$+<=>^~|`]+"), REGEX(GPT2), REGEX("[0-9][0-9][0-9]"), END,
};
static const struct split_step llama3_steps[] = {REGEX(LLAMA3), END};
static const struct split_step minicpm5_steps[] = {
    REGEX("[" N "]{1,3}"),
    REGEX(LLAMA3_LIKE("[" L "]+", "[" N "]+", "[\\r\\n]*|" NEWLINES "|" SPACES)),
    END,
};
/* White space in powers of two. The look-behind changes no match: a blank in front means that this
 * run of white space was searched for newlines already, and searching it again for each power would
 * take quadratic time. */
static const struct split_step jais2_steps[] = {
    REGEX(LLAMA3_LIKE("[" L "]+", "[" N "]{1,3}", "[\\r\\n]*|(?<![^\\S\\r\\n])" NEWLINES)
          "|\\s{512}(?!\\S)|\\s{256}(?!\\S)|\\s{128}(?!\\S)|\\s{64}(?!\\S)|\\s{32}(?!\\S)"
          "|\\s{16}(?!\\S)|\\s{8}(?!\\S)|\\s{4}(?!\\S)|\\s{1,2}(?!\\S)|\\s"),
    END,
};
static const struct split_step qwen2_steps[] = {REGEX(QWEN2), END};
static const struct split_step qwen35_steps[] = {
    REGEX(CONTRACTION_ANY_CASE "|[^\\r\\n" L N "]?[" L M "]+|[" N "]| ?[^\\s" L M N "]+[\\r\\n]*|"
          NEWLINES "|" SPACES),
    END,
};
static const struct split_step ufakzeka_steps[] = {
    REGEX("[^\\r\\n" L N "]?[" L "]+|[" N "]| ?[^\\s" L N "]+[\\r\\n]*|" NEWLINES "|" SPACES), END,
};
static const struct split_step laguna_steps[] = {REGEX("[^\\n]+|\\n+"), REGEX(QWEN2), END};
static const struct split_step bailingmoe_steps[] = {
    REGEX(LLAMA3_LIKE("[" L "]+", "[" N "]", "[\\r\\n]*|\\s*[\\r\\n]|" SPACES)), END,
};
static const struct split_step seed_coder_steps[] = {
    REGEX(CONTRACTION_ANY_CASE "|[^\\r\\n" L N "]?[" L "]+|[" N "]| ?[^\\s" L N "\\r\\n]+|"
          NEWLINES "|" SPACES),
    END,
};
static const struct split_step exaone_moe_steps[] = {
    REGEX(LLAMA3_LIKE("(?:[" L "][" M "]*+(?: [" L "][" M "]*+)*+)++", "[" N "]",
                      "[\\r\\n/]?|\\s*[\\r\\n]|" SPACES)),
    END,
};
static const struct split_step gpt4o_steps[] = {
    REGEX(CASED("", "(?:" CONTRACTION_ANY_CASE ")?") "[" N "]{1,3}|" GPT4O_TAIL), END,
};
static const struct split_step granite_multi_steps[] = {
    REGEX(CASED(M, "(?:" CONTRACTION_ANY_CASE ")?") "[" N "]{1,3}|" GPT4O_TAIL), END,
};
static const struct split_step tekken_steps[] = {
    REGEX(CASED("", "") "[" N "]|" GPT4O_TAIL), END,
};
static const struct split_step tiny_aya_steps[] = {
    {SPLIT_NUMBERS_AFTER, NULL, NULL},
    REGEX("[^\\r\\n" L N "]?[" L M "]+(?:" CONTRACTION_ANY_CASE ")?|[" N "]{1,3}|" GPT4O_TAIL),
    END,
};
static const struct split_step youtu_steps[] = {
    REGEX_SETS("[" SET1 "]+|[" SET2 "]+|[" SET3 "]+|[" SET4 "]+", youtu_sets),
    REGEX("[^\\r\\n" L N "]?[" L M "]+(?:" CONTRACTION_ANY_CASE ")?|[" N "]|" GPT4O_TAIL),
    END,
};
static const struct split_step kimi_k2_steps[] = {
    REGEX_SETS("[" SET1 "]+|[^\\r\\n" SET1 L N "]?[" L "]+(?:" CONTRACTION_ANY_CASE ")?|[" N
               "]{1,3}| ?[^\\s" SET1 L N "]+[\\r\\n]*|" NEWLINES "|" SPACES, han),
    END,
};
static const struct split_step deepseek_llm_steps[] = {
    REGEX("[\\r\\n]"),
    REGEX_SETS("\\s?[A-Za-z" SET1 "]+", cased_letters),
    REGEX_SETS("\\s?[!-/:-~" SET1 "]+", wide_punct),
    REGEX("(?<!\\s)\\s+\\z"),
    REGEX_SETS("[" SET1 "]+", cjk_wide),
    REGEX("[" N "]+"),
    END,
};
static const struct split_step deepseek_coder_steps[] = {
    REGEX("[\\r\\n]"),
    REGEX("\\s?[" L "]+"),
    REGEX("\\s?[" P "]+"),
    REGEX_SETS("[" SET1 "]+", cjk_wide),
    REGEX("[" N "]"),
    END,
};
static const struct split_step deepseek3_steps[] = {
    REGEX("[" N "]{1,3}"),
    REGEX_SETS("[" SET1 "]+", cjk_kana),
    REGEX(DEEPSEEK3_WORDS " ?[" P S "]+[\\r\\n]*|" NEWLINES "|" SPACES),
    END,
};
static const struct split_step spark_steps[] = {
    REGEX("[" N "]{1,3}"),
    REGEX_SETS("[" SET1 "]+", cjk_kana),
    REGEX(DEEPSEEK3_WORDS " ?[" P S "]+|[\\r\\n]|" SPACES),
    REGEX("[" N "]"),
    END,
};
static const struct split_step afmoe_steps[] = {
    {SPLIT_NUMBERS_AFTER, NULL, NULL},
    REGEX_SETS("[" SET1 "]+", afmoe_scripts),
    REGEX(DEEPSEEK3_WORDS " ?[" P S "]+[\\r\\n]*|" NEWLINES "|" SPACES),
    END,
};
static const struct split_step superbpe_steps[] = {
    REGEX("[" N "]+"), {SPLIT_DIGITS_BEFORE, NULL, NULL}, END,
};
static const struct split_step bloom_steps[] = {
    REGEX_SETS(" ?[^\\s(|.,!?)" SET1 "]+", bloom_punct), END,
};
static const struct split_step viking_steps[] = {
    REGEX_SETS(" ?[^\\s(|.,!?)" SET1 "]+", bloom_punct), REGEX("[" N "]"), END,
};
static const struct split_step chameleon_steps[] = {
    REGEX("<sentinel:[0-9]+>"),
    REGEX("IMGIMG[A-I]{1,4}Z"),
    REGEX("[\\t\\n]|    |  "),
    REGEX("[" N "]"),
    REGEX("[" P "!-/:-@\\[-`{-~]"),
    REGEX(GPT2),
    END,
};
static const struct split_step lines_steps[] = {REGEX("[^\\n]+|\\n+"), END};
static const struct split_step whitespace_steps[] = {REGEX("\\S+"), END};

static const struct pretokenizer_rule rules[] = {
    {"default", default_steps, 0},
    {"llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano", llama3_steps,
     PRE_IGNORE_MERGES | PRE_ADD_BOS},
    {"minicpm5", minicpm5_steps, PRE_IGNORE_MERGES},
    {"dbrx smaug-bpe glm4 chatglm-bpe", llama3_steps, 0},
    {"jais-2", jais2_steps, 0},
    {"jina-v1-en jina-v2-code roberta-bpe", gpt2_steps, PRE_ADD_SEP},
    {"gpt-2 phi-2 jina-es jina-de jina-v2-es jina-v2-de "
     "gigachat a.x-4.0 mellum modern-bert exaone4 mpt olmo jais",
     gpt2_steps, 0},
    {"trillion granite-docling", gpt2_steps, PRE_KEEP_SPACES},
    {"starcoder refact codeshell exaone minerva-7b mellum2", starcoder_steps, 0},
    {"command-r smollm", starcoder_steps, PRE_KEEP_SPACES},
    {"falcon", falcon_steps, 0},
    {"qwen2 deepseek-r1-qwen kormo f2llmv2 hunyuan grok-2 solar-open", qwen2_steps,
     PRE_KEEP_SPACES},
    {"stablelm2 megrez", qwen2_steps, 0},
    {"qwen35", qwen35_steps, PRE_KEEP_SPACES},
    {"ufakzeka", ufakzeka_steps, PRE_KEEP_SPACES},
    {"laguna", laguna_steps, PRE_KEEP_SPACES},
    {"bailingmoe bailingmoe2 llada-moe", bailingmoe_steps, PRE_KEEP_SPACES},
    {"seed-coder", seed_coder_steps, PRE_KEEP_SPACES},
    {"exaone-moe", exaone_moe_steps, 0},
    {"gpt-4o llama4 kanana2 talkie minimax-m2", gpt4o_steps, PRE_KEEP_SPACES},
    {"granite-embed-multi-97m", granite_multi_steps, PRE_KEEP_SPACES | PRE_IGNORE_MERGES},
    {"tekken", tekken_steps, PRE_KEEP_SPACES | PRE_IGNORE_MERGES | PRE_ADD_BOS},
    {"tiny_aya cohere2moe", tiny_aya_steps, PRE_KEEP_SPACES},
    {"youtu", youtu_steps, PRE_KEEP_SPACES | PRE_IGNORE_MERGES},
    {"kimi-k2", kimi_k2_steps, PRE_KEEP_SPACES | PRE_NO_MERGES},
    {"deepseek-llm", deepseek_llm_steps, PRE_KEEP_SPACES},
    {"deepseek-coder", deepseek_coder_steps, PRE_KEEP_SPACES},
    {"deepseek-v3 hunyuan-dense joyai-llm hy_v4", deepseek3_steps, PRE_KEEP_SPACES},
    {"spark2_5", spark_steps, PRE_KEEP_SPACES},
    {"afmoe", afmoe_steps, PRE_KEEP_SPACES},
    {"superbpe", superbpe_steps, PRE_KEEP_SPACES},
    {"bloom gpt3-finnish", bloom_steps, 0},
    {"poro-chat", bloom_steps, PRE_KEEP_SPACES},
    {"viking", viking_steps, PRE_KEEP_SPACES},
    {"chameleon", chameleon_steps, PRE_KEEP_SPACES | PRE_ADD_BOS},
    {"gemma4 granite-embed-multi-311m", lines_steps,
     PRE_RAW_BYTES | PRE_ESCAPE_SPACES | PRE_NEWLINE_WORDS | PRE_ALWAYS_BOS},
    {"sarvam-moe", lines_steps, PRE_RAW_BYTES | PRE_ESCAPE_SPACES | PRE_KEEP_SPACES},
    {"whitespace", whitespace_steps, PRE_RAW_BYTES | PRE_KEEP_CASE},
};

const struct pretokenizer_rule *pretokenizer_rule_at(size_t i)
{
    return i < ARRAY_LEN(rules) ? &rules[i] : NULL;
}

const struct pretokenizer_rule *pretokenizer_rule_find(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        struct str rest = str_from(rules[i].names), part;
        while (str_split_next(&rest, ' ', &part)) {
            if (str_eq(part, name))
                return &rules[i];
        }
    }
    return NULL;
}
