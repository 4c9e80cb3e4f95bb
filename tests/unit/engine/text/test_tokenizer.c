/* SPDX-License-Identifier: Apache-2.0
 *
 * Whole tokenizers over small vocabularies of our own: each kind, special tokens, decoding, streams,
 * and vocabularies that lie. */
#include "test.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/utf8.h"
#include "engine/text/tokenizer.h"
#include "vocab_check.h"

/* ---- SentencePiece ---- */

static const struct entry spm_entries[] = {
    {"<unk>", 0, TOKEN_UNKNOWN}, {"<s>", 0, TOKEN_CONTROL},   {"</s>", 0, TOKEN_CONTROL},
    {"<0x0A>", 0, TOKEN_BYTE},   {"<0xC3>", 0, TOKEN_BYTE},   {"<0xA9>", 0, TOKEN_BYTE}, /* 5 */
    {SP, -1, TOKEN_NORMAL},      {"h", -2, TOKEN_NORMAL},     {"e", -3, TOKEN_NORMAL},
    {"l", -4, TOKEN_NORMAL},     {"o", -5, TOKEN_NORMAL}, /* 10 */
    {"he", -6, TOKEN_NORMAL},    {"ll", -5.5f, TOKEN_NORMAL}, {"hell", -9, TOKEN_NORMAL},
    {"lo", -5.25f, TOKEN_NORMAL}, {SP "he", -8, TOKEN_NORMAL}, /* 15 */
    {"[INST]", 0, TOKEN_USER_DEFINED}, {"<|end|>", 0, TOKEN_CONTROL},
};

static void test_tokenizer__spm(void **state)
{
    (void)state;
    struct vocab v;
    vocab_fill(&v, "llama", spm_entries, ARRAY_LEN(spm_entries));
    CLEANUP(cleanup_tokenizer) struct tokenizer *t = create(&v.src);
    static const struct encode_case cases[] = {
        {"", 0, ""},
        {"", ADD, "1"},
        {"hello", 0, "15 9 14"},       /* "lo" before "ll" before "he": by score */
        {"hello", ADD | PARSE, "1 15 9 14"},
        {" hello", 0, "6 15 9 14"},
        {"ee", 0, "6 8 8"},
        {"\xc3\xa9", 0, "6 4 5"},      /* bytes */
        {"\n", 0, "6 3"},
        {"x", 0, "6 0"},               /* neither a token nor a byte token: unknown */
        {"\xc3", 0, "6 4"},            /* bytes that are not UTF-8 stay */
        {"<s>e", PARSE, "1 6 8"},      /* the prefix comes again after a special token */
        {"<s>e", 0, "6 0 0 0 8"},
        {"[INST]e", 0, "16 6 8"},
        {"e</s>", PARSE, "6 8 2"},
    };
    check_encode(t, cases, ARRAY_LEN(cases));
    CLEANUP_BUF struct buf nul = BUF_INIT(100);
    encode(t, STR("e\0e"), 0, &nul);
    assert_str(buf_str(&nul), "6 8 0 8");

    static const struct decode_case texts[] = {
        {{15, 9, 14}, 3, true, "hello"},
        {{1, 15, 9, 14}, 4, true, "<s> hello"},
        {{1, 15, 9, 14}, 4, false, " hello"}, /* only the first id may lose its space */
        {{6, 15}, 2, true, " he"},
        {{4, 5, 3}, 3, true, "\xc3\xa9\n"},
        {{0, 16}, 2, true, "<unk>[INST]"},
        {{0, 16}, 2, false, "[INST]"},
    };
    check_decode(t, texts, ARRAY_LEN(texts));

    assert_int_equal(tokenizer_bos(t), 1);
    assert_int_equal(tokenizer_eos(t), 2);
    assert_int_equal(tokenizer_eot(t), 17);
    assert_true(tokenizer_adds_bos(t));
    assert_false(tokenizer_adds_eos(t));
    assert_true(tokenizer_is_eog(t, 2));
    assert_true(tokenizer_is_eog(t, 17));
    assert_false(tokenizer_is_eog(t, 1));
    assert_false(tokenizer_is_eog(t, -1));
    assert_false(tokenizer_is_eog(t, 1000));
    assert_int_equal(tokenizer_find(t, STR("hell")), 13);
    assert_int_equal(tokenizer_find(t, STR("hel")), -1);
    assert_str(tokenizer_token_text(t, 15), SP "he");
    assert_int_equal(tokenizer_token_type(t, 3), TOKEN_BYTE);
    assert_int_equal(tokenizer_n_tokens(t), ARRAY_LEN(spm_entries));
}

static void test_tokenizer__spm_switches(void **state)
{
    (void)state;
    struct vocab v;
    vocab_fill(&v, "llama", spm_entries, ARRAY_LEN(spm_entries));
    v.src.add_space_prefix = 0;
    v.src.add_bos = 0;
    v.src.add_eos = 1;
    v.src.eos = 17;
    CLEANUP(cleanup_tokenizer) struct tokenizer *t = create(&v.src);
    static const struct encode_case cases[] = {{"hello", ADD, "11 9 14 17"}, {"", ADD, "17"}};
    check_encode(t, cases, ARRAY_LEN(cases));
    static const struct decode_case texts[] = {{{15}, 1, true, " he"}};
    check_decode(t, texts, ARRAY_LEN(texts));
}

/* A token may go on behind a word; then words cannot be taken one by one. */
static void test_tokenizer__spm_across_words(void **state)
{
    (void)state;
    static const struct entry entries[] = {
        {SP, -5, 1}, {"h", -5, 1}, {"o", -5, 1}, {"o" SP, -1, 1}, {SP "h", -2, 1}, {SP SP, -1, 1},
    };
    struct vocab v;
    vocab_fill(&v, "llama", entries, ARRAY_LEN(entries));
    static const struct encode_case across[] = {{"ho h", 0, "4 3 1"}, {"o  h", 0, "0 3 4"}};
    struct tokenizer *t = create(&v.src);
    check_encode(t, across, ARRAY_LEN(across));
    tokenizer_free(t);
    v.tokens[3] = STR("x");
    static const struct encode_case apart[] = {{"ho h", 0, "4 2 4"}, {"o  h", 0, "0 2 5 1"}};
    t = create(&v.src);
    check_encode(t, apart, ARRAY_LEN(apart));
    tokenizer_free(t);
}

/* Phi 3 is known by its name: its special tokens swallow the white space behind them. */
static void test_tokenizer__phi3(void **state)
{
    (void)state;
    struct vocab v;
    vocab_fill(&v, "llama", spm_entries, ARRAY_LEN(spm_entries));
    v.src.name = STR("Phi-3 mini");
    CLEANUP(cleanup_tokenizer) struct tokenizer *t = create(&v.src);
    static const struct encode_case cases[] = {
        {"<|end|> \n he", PARSE, "17 15"},
        {"<s> e", PARSE, "1 6 6 8"}, /* not this one */
    };
    check_encode(t, cases, ARRAY_LEN(cases));
}

/* ---- byte-level BPE ---- */

static const struct entry bpe_entries[] = {
    {"h", 0, 1}, {"e", 0, 1}, {"l", 0, 1}, {"o", 0, 1}, {G, 0, 1}, /* 4 */
    {"he", 0, 1}, {"ll", 0, 1}, {"llo", 0, 1}, {G "he", 0, 1}, {"hello", 0, 1}, /* 9 */
    {NL, 0, 1}, {"\xc3\x83", 0, 1}, {"\xc2\xa9", 0, 1}, {".", 0, 1}, {"'", 0, 1}, /* 14 */
    {"s", 0, 1}, {"<|im_end|>", 0, TOKEN_NORMAL}, {"<|begin|>", 0, TOKEN_CONTROL}, /* 17 */
    {"\xc4\x80", 0, 1}, {"\xc3\xaf", 0, 1}, {"\xc2\xbf", 0, 1}, {"\xc2\xbd", 0, 1}, /* 21 */
};
static const char *const bpe_merges[] = {
    "h e", "l l", "ll o", G " he", "e l", "", "x", " ", "nospace", "h ", "h  e", "\xff \xff",
};

static void bpe_fill(struct vocab *v, const char *pre)
{
    vocab_fill(v, "gpt2", bpe_entries, ARRAY_LEN(bpe_entries));
    v->src.scores = NULL;
    v->src.pre = str_from(pre);
    v->src.n_merges = ARRAY_LEN(bpe_merges);
    v->src.merges = v->merges;
    for (size_t i = 0; i < ARRAY_LEN(bpe_merges); i++)
        v->merges[i] = str_from(bpe_merges[i]);
}

static void test_tokenizer__bpe(void **state)
{
    (void)state;
    struct vocab v;
    bpe_fill(&v, "gpt-2");
    v.src.bos = 17;
    CLEANUP(cleanup_tokenizer) struct tokenizer *t = create(&v.src);
    static const struct encode_case cases[] = {
        {"", ADD | PARSE, ""},
        {"hello", 0, "5 7"},
        {"hello hello", ADD, "5 7 8 7"},
        {"hell\xc3\xa9", 0, "5 6 11 12"},
        {"h\n", 0, "0 10"},
        {"hxe", 0, "0 1"}, /* a byte without a token has no id */
        {"<|begin|>he", PARSE, "17 5"},
        {"<|im_end|>", PARSE, "16"},
        {"<|im_end|>", 0, "1"}, /* control by its text, so not parsed here */
        {"\xff", 0, "19 20 21"}, /* U+FFFD */
    };
    check_encode(t, cases, ARRAY_LEN(cases));
    CLEANUP_BUF struct buf nul = BUF_INIT(100);
    encode(t, STR("h\0"), 0, &nul);
    assert_str(buf_str(&nul), "0 18");

    static const struct decode_case texts[] = {
        {{5, 7, 8, 7}, 4, true, "hello hello"},
        {{11, 12, 10}, 3, true, "\xc3\xa9\n"},
        {{5, 4, 13}, 3, true, "he."},           /* tidied */
        {{5, 4, 14, 15}, 4, true, "he's"},
        {{5, 4, 14, 4, 5}, 5, true, "he'he"},
        {{17, 5, 16}, 3, false, "he"},
        {{17, 5, 16}, 3, true, "<|begin|>he<|im_end|>"},
    };
    check_decode(t, texts, ARRAY_LEN(texts));
    assert_true(tokenizer_is_eog(t, 16));
    assert_int_equal(tokenizer_eot(t), 16);
    assert_int_equal(tokenizer_eos(t), -1);
    assert_int_equal(tokenizer_token_type(t, 16), TOKEN_CONTROL);
    assert_int_equal(tokenizer_find(t, STR("el")), -1); /* the result of a merge is no token */
}

static void test_tokenizer__bpe_flavours(void **state)
{
    (void)state;
    struct vocab v;
    bpe_fill(&v, "llama-bpe"); /* whole words, BOS */
    v.src.bos = 17;
    struct tokenizer *t = create(&v.src);
    static const struct encode_case llama[] = {{"hello", ADD, "17 9"}, {"helloe", 0, "5 7 1"}};
    check_encode(t, llama, ARRAY_LEN(llama));
    tokenizer_free(t);

    bpe_fill(&v, "qwen2"); /* spaces are kept */
    t = create(&v.src);
    static const struct decode_case qwen[] = {{{5, 4, 13}, 3, true, "he ."}};
    check_decode(t, qwen, ARRAY_LEN(qwen));
    tokenizer_free(t);

    static const struct entry raw[] = {
        {SP, 0, 1}, {"a", 0, 1}, {"b", 0, 1}, {SP "a", 0, 1}, {"\n\n", 0, 1}, {"<0xC3>", 0, 6},
        {"<0xA9>", 0, 6}, {"<bos>", 0, 3}, {"\n", 0, 1},
    };
    vocab_fill(&v, "gemma4", raw, ARRAY_LEN(raw));
    v.merges[0] = STR(SP " a");
    v.src.merges = v.merges;
    v.src.n_merges = 1;
    v.src.bos = 7;
    v.src.add_bos = 0;
    t = create(&v.src);
    static const struct encode_case gemma[] = {
        {"b a a", ADD, "7 2 3 3"}, {"\n\n", 0, "4"}, {"\n\n\n", 0, "8 8 8"}, {"\xc3\xa9", 0, "5 6"},
    };
    check_encode(t, gemma, ARRAY_LEN(gemma));
    static const struct decode_case texts[] = {{{7, 2, 3, 4, 5, 6}, 6, true, "<bos>b a\n\n\xc3\xa9"}};
    check_decode(t, texts, ARRAY_LEN(texts));
    tokenizer_free(t);
}

/* ---- WordPiece ---- */

static void test_tokenizer__wpm(void **state)
{
    (void)state;
    static const struct entry entries[] = {
        {"[PAD]", 0, 3}, {"[UNK]", 0, 3}, {"[CLS]", 0, 3}, {"[SEP]", 0, 3}, {SP "play", 0, 1},
        {"ing", 0, 1}, {SP "caf", 0, 1}, {"e", 0, 1}, {SP ",", 0, 1}, {SP "\xe4\xbd\xa0", 0, 1},
        {SP "p", 0, 1}, {SP ".", 0, 1},
    };
    struct vocab v;
    vocab_fill(&v, "bert", entries, ARRAY_LEN(entries));
    v.src.bos = 2;
    v.src.sep = 3;
    v.src.unk = 1;
    CLEANUP(cleanup_tokenizer) struct tokenizer *t = create(&v.src);
    static const struct encode_case cases[] = {
        {"", ADD, "2 3"},
        {"Playing", ADD, "2 4 5 3"},
        {"  playing,  CAF\xc3\x89 ", 0, "4 5 8 6 7"},
        {"playx p", 0, "1 10"},
        {"\xe4\xbd\xa0\xe4\xbd\xa0", 0, "9 9"},
        {"p\xc2\xad" "lay", 0, "4"}, /* format characters are dropped */
        {"[SEP] play", PARSE, "3 4"},
        {"\xff", 0, ""},
    };
    check_encode(t, cases, ARRAY_LEN(cases));
    static const struct decode_case texts[] = {{{4, 5, 11, 4}, 4, true, " playing. play"}};
    check_decode(t, texts, ARRAY_LEN(texts));
}

/* ---- end of generation ---- */

static void test_tokenizer__eog(void **state)
{
    (void)state;
    static const struct entry entries[] = {
        {"a", 0, 1}, {"<|return|>", 0, 3}, {"<|call|>", 0, 3}, {"<|end|>", 0, 3},
        {"<|message|>", 0, 3}, {"</s>", 0, 1}, {"<|tool_response>", 0, 3}, {"<|eom_id|>", 0, 1},
        {"<fim_pad>", 0, 3}, {"<eos>", 0, 1}, {"x", 0, 1},
    };
    struct vocab v;
    vocab_fill(&v, "gpt2", entries, ARRAY_LEN(entries));
    v.src.merges = v.merges;
    v.src.eos = 10;
    CLEANUP(cleanup_tokenizer) struct tokenizer *t = create(&v.src);
    static const int32_t eog[] = {1, 2, 6, 7, 8, 9, 10};
    for (int32_t id = 0, k = 0; id < (int32_t)ARRAY_LEN(entries); id++) {
        bool want = k < (int32_t)ARRAY_LEN(eog) && eog[k] == id;
        if (tokenizer_is_eog(t, id) != want)
            fail_msg("token %d", id);
        k += want;
    }
    assert_int_equal(tokenizer_token_type(t, 3), TOKEN_USER_DEFINED);
    assert_int_equal(tokenizer_token_type(t, 4), TOKEN_USER_DEFINED);
    assert_int_equal(tokenizer_token_type(t, 5), TOKEN_NORMAL);
    assert_int_equal(tokenizer_token_type(t, 9), TOKEN_CONTROL);
}

/* ---- streams ---- */

static void test_tokenizer__stream(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct vocab v;
    vocab_fill(&v, "llama", spm_entries, ARRAY_LEN(spm_entries));
    CLEANUP(cleanup_tokenizer) struct tokenizer *t = create(&v.src);
    CLEANUP_BUF struct buf out = BUF_INIT(100);
    CLEANUP_DETOKENIZER struct detokenizer d;

    detokenizer_init(&d, t, false, false);
    assert_ok(detokenizer_feed(&d, 15, &out, &err));
    assert_str(buf_str(&out), "he"); /* the prefix is taken away */
    assert_ok(detokenizer_feed(&d, 15, &out, &err));
    assert_str(buf_str(&out), "he he");
    assert_ok(detokenizer_feed(&d, 4, &out, &err));
    assert_str(buf_str(&out), "he he"); /* half a character waits */
    assert_ok(detokenizer_feed(&d, 5, &out, &err));
    assert_str(buf_str(&out), "he he\xc3\xa9");
    assert_ok(detokenizer_feed(&d, 2, &out, &err)); /* control tokens give nothing */
    assert_ok(detokenizer_feed(&d, 4, &out, &err));
    assert_ok(detokenizer_feed(&d, 8, &out, &err)); /* the character never comes */
    assert_str(buf_str(&out), "he he\xc3\xa9\xef\xbf\xbd" "e");
    assert_ok(detokenizer_feed(&d, 5, &out, &err)); /* a stray continuation byte */
    assert_ok(detokenizer_feed(&d, 4, &out, &err));
    detokenizer_flush(&d, &out);
    assert_str(buf_str(&out), "he he\xc3\xa9\xef\xbf\xbd" "e\xef\xbf\xbd\xef\xbf\xbd");
    assert_fails(detokenizer_feed(&d, 18, &out, &err), ERR_INVALID, "token id 18");
    assert_fails(detokenizer_feed(&d, -1, &out, &err), ERR_INVALID, "token id -1");
    detokenizer_release(&d);

    buf_clear(&out);
    detokenizer_init(&d, t, true, true);
    assert_ok(detokenizer_feed(&d, 15, &out, &err));
    assert_ok(detokenizer_feed(&d, 2, &out, &err));
    assert_str(buf_str(&out), " he</s>");
}

/* ---- vocabularies that lie ---- */

static void test_tokenizer__refused(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct tokenizer *t = NULL;
    struct vocab v;
    vocab_fill(&v, "nonesuch", spm_entries, ARRAY_LEN(spm_entries));
    assert_fails(tokenizer_create(&v.src, &t, &err), ERR_UNSUPPORTED, "'nonesuch'");
    vocab_fill(&v, "", spm_entries, ARRAY_LEN(spm_entries));
    assert_fails(tokenizer_create(&v.src, &t, &err), ERR_UNSUPPORTED, "tokenizer.ggml.model");
    vocab_fill(&v, "llama", spm_entries, 0);
    assert_fails(tokenizer_create(&v.src, &t, &err), ERR_CORRUPT, "no tokens");
    bpe_fill(&v, "gpt-2");
    v.src.merges = NULL;
    v.src.n_merges = 0;
    assert_fails(tokenizer_create(&v.src, &t, &err), ERR_CORRUPT, "tokenizer.ggml.merges");
    bpe_fill(&v, "no such\x1b[2J");
    assert_fails(tokenizer_create(&v.src, &t, &err), ERR_UNSUPPORTED, "'no such\\x1b[2J'");
    assert_null(t);
}

static void use(const struct vocab_source *src)
{
    struct error err = ERROR_INIT;
    CLEANUP(cleanup_tokenizer) struct tokenizer *t = create(src);
    CLEANUP_TOKEN_LIST struct token_list ids = TOKEN_LIST_INIT;
    CLEANUP_BUF struct buf text = BUF_INIT(1 << 20);
    assert_ok(tokenizer_encode(t, STR("hello \xff\0 <s> world\n"), ADD | PARSE, &ids, &err));
    for (int32_t id = 0; id < (int32_t)tokenizer_n_tokens(t); id++)
        assert_ok(token_list_push(&ids, id));
    for (size_t i = 0; i < ids.n; i++)
        assert_true(ids.ids[i] >= 0 && ids.ids[i] < (int32_t)tokenizer_n_tokens(t));
    assert_ok(tokenizer_decode(t, ids.ids, ids.n, true, &text, &err));
}

static void test_tokenizer__hostile(void **state)
{
    (void)state;
    static const char *const models[] = {"llama", "gpt2", "bert"};
    for (size_t m = 0; m < ARRAY_LEN(models); m++) {
        for (int what = 0; what < 6; what++) {
            struct vocab v;
            vocab_fill(&v, models[m], spm_entries, ARRAY_LEN(spm_entries));
            v.src.merges = v.merges;
            for (size_t i = 0; i < v.src.n_tokens; i++) {
                if (what == 0)
                    v.tokens[i] = STR("a"); /* all equal */
                else if (what == 1)
                    v.tokens[i] = STR(""); /* all empty */
                else if (what == 2)
                    v.tokens[i] = STR("a\0b\xff\xc0");
                else if (what == 3)
                    v.types[i] = (int32_t)(i * 2654435761u);
                else if (what == 4)
                    v.scores[i] = i % 3 == 0 ? NAN : i % 3 == 1 ? INFINITY : -INFINITY;
            }
            if (what == 5) {
                v.src.bos = v.src.eos = v.src.unk = v.src.sep = v.src.fim_pad = INT64_MAX;
                v.src.eot = 18;
                v.src.eom = INT64_MIN;
                v.src.scores = NULL;
                v.src.types = NULL;
            }
            use(&v.src);
        }
    }
}

/* Long texts of one word, and tokens long enough to tempt into comparing them again and again. */
static void test_tokenizer__long_words(void **state)
{
    (void)state;
    enum { LEN = 200000 };
    struct error err = ERROR_INIT;
    CLEANUP_FREE char *text = xmalloc(LEN);
    memset(text, 'l', LEN);
    struct vocab v;
    vocab_fill(&v, "llama", spm_entries, ARRAY_LEN(spm_entries));
    v.tokens[16] = str_make(text, LEN / 2);
    v.types[17] = TOKEN_CONTROL;
    v.tokens[17] = str_make(text, LEN / 4 + 1);
    struct tokenizer *t = create(&v.src);
    CLEANUP_TOKEN_LIST struct token_list ids = TOKEN_LIST_INIT;
    assert_ok(tokenizer_encode(t, str_make(text, LEN - 1), PARSE, &ids, &err));
    assert_int_equal(ids.n, 1 + 1 + 1 + (LEN / 2 - 1 - (LEN / 4 + 1)) / 2);
    tokenizer_free(t);

    bpe_fill(&v, "gpt-2");
    t = create(&v.src);
    ids.n = 0;
    assert_ok(tokenizer_encode(t, str_make(text, LEN), 0, &ids, &err));
    assert_int_equal(ids.n, LEN / 2);
    tokenizer_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tokenizer__spm),
        cmocka_unit_test(test_tokenizer__spm_switches),
        cmocka_unit_test(test_tokenizer__spm_across_words),
        cmocka_unit_test(test_tokenizer__phi3),
        cmocka_unit_test(test_tokenizer__bpe),
        cmocka_unit_test(test_tokenizer__bpe_flavours),
        cmocka_unit_test(test_tokenizer__wpm),
        cmocka_unit_test(test_tokenizer__eog),
        cmocka_unit_test(test_tokenizer__stream),
        cmocka_unit_test(test_tokenizer__refused),
        cmocka_unit_test(test_tokenizer__hostile),
        cmocka_unit_test(test_tokenizer__long_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
