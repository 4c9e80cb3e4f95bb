/* SPDX-License-Identifier: Apache-2.0
 *
 * The tokenizers that few models have: unigram, RWKV, PLaMo 2, and words between white space. The
 * ids were compared with llama.cpp's on these vocabularies. */
#include "vocab_check.h"

#include <stdlib.h>

#include "base/alloc.h"

/* ---- unigram ---- */

static const struct entry ugm_entries[] = {
    {"<s>", 0, TOKEN_CONTROL},    {"<pad>", 0, TOKEN_CONTROL},
    {"</s>", 0, TOKEN_CONTROL},   {"<unk>", 0, TOKEN_UNKNOWN},
    {SP, -2.5f, TOKEN_NORMAL},    {SP "hello", -9.5f, TOKEN_NORMAL}, /* 5 */
    {SP "hel", -5, TOKEN_NORMAL}, {"lo", -4, TOKEN_NORMAL},
    {"l", -5, TOKEN_NORMAL},      {"o", -5.5f, TOKEN_NORMAL},
    {"h", -5, TOKEN_NORMAL},      {"e", -5, TOKEN_NORMAL}, /* 11 */
    {SP "wor", -7, TOKEN_NORMAL}, {"ld", -4.5f, TOKEN_NORMAL},
    {"<mask>", 0, TOKEN_CONTROL}, {"[USR]", -1, TOKEN_USER_DEFINED}, /* 15 */
    {"fi", -6, TOKEN_NORMAL},     {"a", -4, TOKEN_NORMAL},
    {"aa", -7, TOKEN_NORMAL},     {"aaa", -9, TOKEN_NORMAL},
    {"ell", -3, TOKEN_UNUSED}, /* 20 */
};

enum { NODES = 24, BLOCK = 256 };

/* A map in the format of SentencePiece. Every node of the trie of prefixes gets a block of its own
 * for its children, so that nothing ever collides. */
struct map_builder {
    uint32_t units[NODES * BLOCK];
    uint32_t base[NODES]; /* of each node's block */
    uint32_t index[NODES];
    uint32_t n;
    struct buf replacements;
};

static uint32_t map_child(struct map_builder *m, uint32_t node, unsigned char byte)
{
    uint32_t at = m->base[node] ^ byte;
    for (uint32_t i = 0; i < m->n; i++)
        if (m->index[i] == at)
            return i;
    assert_true(m->n < NODES);
    uint32_t child = m->n++;
    m->index[child] = at;
    m->base[child] = child * BLOCK;
    m->units[at] = byte | (at ^ m->base[child]) << 10;
    return child;
}

static void map_add(struct map_builder *m, const char *from, const char *to)
{
    uint32_t node = 0;
    for (const char *p = from; *p; p++)
        node = map_child(m, node, (unsigned char)*p);
    m->units[m->index[node]] |= 0x100;
    m->units[m->base[node]] = 0x80000000u | (uint32_t)m->replacements.len;
    buf_append_bytes(&m->replacements, to, strlen(to) + 1);
}

static void map_write(const struct map_builder *m, struct buf *out)
{
    uint32_t size = m->n * BLOCK * 4;
    for (uint32_t i = 0; i < 4; i++)
        buf_push(out, (char)(size >> 8 * i));
    for (uint32_t i = 0; i < m->n * BLOCK; i++)
        for (uint32_t k = 0; k < 4; k++)
            buf_push(out, (char)(m->units[i] >> 8 * k));
    buf_append(out, buf_str(&m->replacements));
}

static void map_build(struct buf *out)
{
    struct map_builder *m = xcalloc(1, sizeof(*m));
    m->n = 1;
    m->base[0] = 0;
    m->replacements = BUF_INIT(1000);
    map_add(m, "\xef\xac\x81", "fi");
    map_add(m, "\t", " ");
    map_add(m, "\r\n", " ");
    map_add(m, "\x01", "");
    map_add(m, "\xe3\x80\x80", " ");
    map_write(m, out);
    buf_release(&m->replacements);
    free(m);
}

static void ugm_vocab(struct vocab *v)
{
    vocab_fill(v, "t5", ugm_entries, ARRAY_LEN(ugm_entries));
    v->src.bos = 0;
    v->src.eos = 2;
    v->src.unk = 3;
    v->src.add_space_prefix = 1;
}

static void test_kinds__unigram(void **state)
{
    (void)state;
    struct vocab v;
    ugm_vocab(&v);
    CLEANUP_BUF struct buf map = BUF_INIT(100000);
    map_build(&map);
    v.src.charsmap = buf_str(&map);
    v.src.remove_extra_whitespaces = 1;
    v.src.add_bos = 1;
    CLEANUP(cleanup_tokenizer) struct tokenizer *t = create(&v.src);
    static const struct encode_case cases[] = {
        {"", 0, ""},
        {"", ADD, "0 2"},
        {"hello", ADD, "0 6 7 2"}, /* two tokens that are likelier than the whole word */
        {"  hello   world ", 0, "6 7 12 13"},
        {"hello\tworld\r\n", 0, "6 7 12 13"},
        {"\xef\xac\x81\xe3\x80\x80"
         "a",
         0, "4 16 4 17"},
        {"h\x01"
         "e",
         0, "4 10 11"},
        {"xyz", 0, "4 3"}, /* unknown characters in a row are one token */
        {"x y", 0, "4 3 4 3"},
        {"aaaaa", 0, "4 18 19"},
        {"<mask>a", PARSE, "14 4 17"},
        {"<mask>a", 0, "4 3 17 3 17"},
        {"a[USR]a", 0, "4 17 15 4 17"},
        {"[US", 0, "4 3"},
        {"helll", 0, "6 8 8"},
        {"\xff"
         "a",
         0, "4 3 17"},
    };
    check_encode(t, cases, ARRAY_LEN(cases));
    static const struct decode_case texts[] = {
        {{0, 6, 7, 12, 13, 2}, 6, true, "<s> hello world</s>"},
        {{6, 7}, 2, true, "hello"},
        {{6, 7, 3, 15}, 4, false, "hello[USR]"},
    };
    check_decode(t, texts, ARRAY_LEN(texts));
    assert_true(tokenizer_adds_eos(t));
    assert_true(tokenizer_adds_bos(t));
}

static void test_kinds__unigram_spaces(void **state)
{
    (void)state;
    struct vocab v;
    ugm_vocab(&v);
    struct tokenizer *t = create(&v.src);
    static const struct encode_case kept[] = {
        {" hello", 0, "4 6 7"},
        {"a  a ", 0, "4 17 4 4 17 4"},
        {" ", 0, "4"},
        {"a", ADD, "4 17 2"},
    };
    check_encode(t, kept, ARRAY_LEN(kept));
    tokenizer_free(t);

    v.src.add_space_prefix = 0;
    t = create(&v.src);
    /* 20 is an unused token, which counts all the same. */
    static const struct encode_case bare[] = {{"hello", 0, "10 20 9"}, {" hello", 0, "6 7"}};
    check_encode(t, bare, ARRAY_LEN(bare));
    tokenizer_free(t);
}

/* Long texts: no path that the pieces are cut at may change what is chosen. */
static void test_kinds__unigram_long(void **state)
{
    (void)state;
    struct vocab v;
    ugm_vocab(&v);
    CLEANUP(cleanup_tokenizer) struct tokenizer *t = create(&v.src);
    struct error err = ERROR_INIT;
    enum { N = 30000 };
    CLEANUP_BUF struct buf text = BUF_INIT(N + 1);
    for (int i = 0; i < N; i++)
        buf_push(&text, 'a');
    CLEANUP_TOKEN_LIST struct token_list ids = TOKEN_LIST_INIT;
    assert_ok(tokenizer_encode(t, buf_str(&text), 0, &ids, &err));
    assert_int_equal(ids.n, 1 + N / 3);
    for (size_t i = 1; i < ids.n; i++)
        assert_int_equal(ids.ids[i], 19);
}

static void test_kinds__unigram_bad_map(void **state)
{
    (void)state;
    struct vocab v;
    ugm_vocab(&v);
    struct error err = ERROR_INIT;
    struct tokenizer *t = NULL;
    static const struct str bad[] = {
        {"\x04", 1},
        {"\x04\0\0\0", 4},
        {"\x05\0\0\0abcd", 8},
        {"\xff\xff\xff\xff"
         "abcd",
         8},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        v.src.charsmap = bad[i];
        assert_fails(tokenizer_create(&v.src, &t, &err), ERR_CORRUPT, "precompiled_charsmap");
    }
    /* One node that leads outside; a value that is outside; a replacement without its end. */
    static const struct str lost[] = {
        {"\x04\0\0\0"
         "\0\xfc\xff\x7f"
         "x\0",
         10},
    };
    for (size_t i = 0; i < ARRAY_LEN(lost); i++) {
        v.src.charsmap = lost[i];
        t = create(&v.src);
        CLEANUP_TOKEN_LIST struct token_list ids = TOKEN_LIST_INIT;
        assert_fails(tokenizer_encode(t, STR("a"), 0, &ids, &err), ERR_CORRUPT, "outside");
        tokenizer_free(t);
    }
}

/* ---- RWKV ---- */

static void test_kinds__rwkv(void **state)
{
    (void)state;
    static const struct entry entries[] = {
        {"<s>", 0, TOKEN_CONTROL},  {"a", 0, TOKEN_NORMAL},     {"ab", 0, TOKEN_NORMAL},
        {"abcd", 0, TOKEN_NORMAL},  {"\\n", 0, TOKEN_NORMAL},   {"\\n\\t", 0, TOKEN_NORMAL}, /* 5 */
        {"\\xc3", 0, TOKEN_NORMAL}, {"\\xa9", 0, TOKEN_NORMAL}, {"\\\\", 0, TOKEN_NORMAL},
        {"\\'", 0, TOKEN_NORMAL},   {"\\r", 0, TOKEN_NORMAL},   {"c", 0, TOKEN_NORMAL}, /* 11 */
    };
    struct vocab v;
    vocab_fill(&v, "rwkv", entries, ARRAY_LEN(entries));
    v.src.bos = 0;
    v.src.add_bos = 1; /* never done */
    CLEANUP(cleanup_tokenizer) struct tokenizer *t = create(&v.src);
    static const struct encode_case cases[] = {
        {"abc", ADD, "2 11"},   {"abcd", 0, "3"},       {"\n\t\n", 0, "5 4"},
        {"\xc3\xa9", 0, "6 7"}, {"\\'\r", 0, "8 9 10"}, {"<s>a", PARSE, "0 1"},
        {"axa", 0, "1 1"},
    };
    check_encode(t, cases, ARRAY_LEN(cases));
    static const struct decode_case texts[] = {
        {{2, 5, 6, 7, 8}, 5, true, "ab\n\t\xc3\xa9\\"},
        {{0, 1}, 2, true, "<s>a"},
        {{0, 1}, 2, false, "a"},
    };
    check_decode(t, texts, ARRAY_LEN(texts));
    assert_false(tokenizer_adds_bos(t));
}

/* ---- PLaMo 2 ---- */

static void test_kinds__plamo2(void **state)
{
    (void)state;
    enum { FIRST = 260, N = FIRST + 7 };
    CLEANUP_FREE struct str *tokens = xcalloc(N, sizeof(*tokens));
    CLEANUP_FREE int32_t *types = xcalloc(N, sizeof(*types));
    CLEANUP_FREE float *scores = xcalloc(N, sizeof(*scores));
    static char bytes[256][8];
    static const char *const special[] = {"<|unk|>", "<|bos|>", "<|eos|>", "<|pad|>"};
    static const struct entry normal[] = {
        {"a", -3, TOKEN_NORMAL},      {"ab", -5, TOKEN_NORMAL},           {"b", -2, TOKEN_NORMAL},
        {"bc", -2, TOKEN_NORMAL},     {"\xe3\x81\x82", -4, TOKEN_NORMAL}, {"c", -9, TOKEN_NORMAL},
        {"abc", -2500, TOKEN_NORMAL},
    };
    for (int i = 0; i < 4; i++) {
        tokens[i] = str_from(special[i]);
        types[i] = TOKEN_CONTROL;
    }
    for (int b = 0; b < 256; b++) {
        snprintf(bytes[b], sizeof(bytes[b]), "<0x%02X>", (unsigned)b);
        tokens[4 + b] = str_from(bytes[b]);
        types[4 + b] = TOKEN_BYTE;
    }
    for (size_t i = 0; i < ARRAY_LEN(normal); i++) {
        tokens[FIRST + i] = str_from(normal[i].text);
        types[FIRST + i] = normal[i].type;
        scores[FIRST + i] = normal[i].score;
    }
    struct vocab_source src = VOCAB_SOURCE_INIT;
    src.model = STR("plamo2");
    src.n_tokens = N;
    src.tokens = tokens;
    src.types = types;
    src.scores = scores;
    src.add_bos = 1; /* never done */
    CLEANUP(cleanup_tokenizer) struct tokenizer *t = create(&src);
    static const struct encode_case cases[] = {
        {"ab", ADD, "261"},    /* a + b costs the same: the longer token first */
        {"abc", 0, "260 263"}, /* abc costs too much to be taken at all */
        {"\xe3\x81\x82", 0, "264"},
        {"\xe3\x81\x84", 0, "231 133 136"},
        {"x", 0, "124"},
        {"<|eos|>", PARSE, "2"},
        {"\xef\xbb\xbf"
         "a",
         0, "260"},
        {"\xff", 0, "243 195 193"},
    };
    check_encode(t, cases, ARRAY_LEN(cases));
    static const struct decode_case texts[] = {
        {{261, 231, 133, 136}, 4, true, "ab\xe3\x81\x84"},
        {{2, 260}, 2, false, "a"},
    };
    check_decode(t, texts, ARRAY_LEN(texts));

    struct error err = ERROR_INIT;
    struct tokenizer *none = NULL;
    types[10] = TOKEN_NORMAL;
    tokens[10] = STR("z");
    assert_fails(tokenizer_create(&src, &none, &err), ERR_CORRUPT, "<0x06>");
}

/* ---- words between white space ---- */

static void test_kinds__whitespace(void **state)
{
    (void)state;
    static const struct entry entries[] = {
        {"<s>", 0, TOKEN_CONTROL}, {"a", 0, TOKEN_NORMAL}, {"b", 0, TOKEN_NORMAL},
        {"ab", 0, TOKEN_NORMAL},   {"A", 0, TOKEN_NORMAL}, {"\xe4\xb8\xad", 0, TOKEN_NORMAL},
    };
    struct vocab v;
    vocab_fill(&v, "whitespace", entries, ARRAY_LEN(entries));
    v.merges[0] = STR("a b");
    v.src.merges = v.merges;
    v.src.n_merges = 1;
    v.src.pre = STR("whitespace");
    struct tokenizer *t = create(&v.src);
    static const struct encode_case kept[] = {
        {" ab\t\xe4\xb8\xad a\xe3\x80\x80"
         "b",
         0, "3 5 1 2"},
        {"A", 0, "4"},
        {"  ", 0, ""},
    };
    check_encode(t, kept, ARRAY_LEN(kept));
    tokenizer_free(t);
    v.src.lowercase = 1;
    t = create(&v.src);
    static const struct encode_case small[] = {{"Ab A", 0, "3 1"}};
    check_encode(t, small, ARRAY_LEN(small));
    tokenizer_free(t);
}

/* Time per byte grows with the longest word that the vocabulary may look for. */
static void test_words__are_bounded(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct tokenizer *t = NULL;
    char *word = malloc(1026);
    memset(word, 'a', 1025);
    word[1025] = '\0';
    for (int longer = 0; longer < 2; longer++) {
        const struct entry entries[] = {{"<unk>", 0, TOKEN_UNKNOWN}, {word, -1, TOKEN_NORMAL}};
        struct vocab v;
        vocab_fill(&v, "t5", entries, ARRAY_LEN(entries));
        v.tokens[1].len = longer ? 1025 : 1024;
        if (longer) {
            assert_fails(tokenizer_create(&v.src, &t, &err), ERR_UNSUPPORTED, "1025 bytes");
        } else {
            assert_ok(tokenizer_create(&v.src, &t, &err));
            tokenizer_free(t);
        }
    }
    free(word);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds__unigram),      cmocka_unit_test(test_kinds__unigram_spaces),
        cmocka_unit_test(test_kinds__unigram_long), cmocka_unit_test(test_kinds__unigram_bad_map),
        cmocka_unit_test(test_kinds__rwkv),         cmocka_unit_test(test_kinds__plamo2),
        cmocka_unit_test(test_kinds__whitespace),   cmocka_unit_test(test_words__are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
