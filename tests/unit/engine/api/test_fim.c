/* SPDX-License-Identifier: Apache-2.0
 *
 * Prompts for filling in the middle, over a vocabulary of single letters. */
#include "test.h"

#include "engine/api/fim.h"

#define PAIR(text) {(text), sizeof(text) - 1}

static const struct str tokens[] = {
    PAIR("<s>"), PAIR("a"), PAIR("b"), PAIR("c"), PAIR("\xc4\x8a"), /* 4: a line break */
    PAIR("<|fim_prefix|>"), PAIR("<|fim_suffix|>"), PAIR("<|fim_middle|>"), PAIR("<|repo_name|>"),
    PAIR("<|file_sep|>"), /* 9 */
};

enum { N_ALL = 10, N_NO_REPO = 8, N_NO_FIM = 5 };

static struct tokenizer *vocabulary(size_t n, bool bos)
{
    struct error err = ERROR_INIT;
    struct tokenizer *t = NULL;
    static const struct str no_merges[1];
    struct vocab_source src = VOCAB_SOURCE_INIT;
    src.model = STR("gpt2");
    src.pre = STR("gpt-2");
    src.n_tokens = n;
    src.tokens = tokens;
    src.merges = no_merges;
    src.bos = 0;
    src.add_bos = bos;
    assert_ok(tokenizer_create(&src, &t, &err));
    return t;
}

static void check(struct tokenizer *t, const struct fim *f, const char *want)
{
    struct error err = ERROR_INIT;
    const struct lm lm = {.tokenizer = t};
    CLEANUP_TOKEN_LIST struct token_list ids = TOKEN_LIST_INIT;
    CLEANUP_BUF struct buf got = BUF_INIT(4000);
    assert_ok(fim_tokens(&lm, f, &ids, &err));
    for (size_t i = 0; i < ids.n; i++)
        buf_printf(&got, i > 0 ? " %d" : "%d", ids.ids[i]);
    assert_str(buf_str(&got), want);
}

static void test_fim__order(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct tokenizer *t = vocabulary(N_ALL, true);
    struct fim f = {.prefix = STR("ab"), .suffix = STR("c")};
    check(t, &f, "0 5 1 2 6 3 7");
    f.prompt = STR("b");
    check(t, &f, "0 5 1 2 2 6 3 7");
    f.with_repo = true; /* of "myproject" and "filename" only a, c and the line breaks are tokens */
    CLEANUP_JSON struct json *extra = NULL;
    assert_ok(js_parse(STR("[{\"text\":\"cc\",\"filename\":\"b\"},{\"text\":\"a\"}]"), "extra", &extra,
                       &err));
    f.extra = extra;
    check(t, &f, "8 3 4 9 2 4 3 3 9 4 1 9 1 4 0 5 1 2 2 6 3 7");
    tokenizer_free(t);

    t = vocabulary(N_NO_REPO, false);
    f.prompt = STR("");
    check(t, &f, "4 4 4 4 3 3 4 4 4 4 1 5 1 2 6 3 7");
    tokenizer_free(t);
}

static void test_fim__refusals(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    CLEANUP_TOKEN_LIST struct token_list ids = TOKEN_LIST_INIT;
    struct tokenizer *t = vocabulary(N_NO_FIM, false);
    const struct lm without = {.tokenizer = t};
    const struct fim f = {.prefix = STR("a"), .suffix = STR("b")};
    assert_fails(fim_tokens(&without, &f, &ids, &err), ERR_INVALID, "no token for the prefix");
    tokenizer_free(t);

    t = vocabulary(N_ALL, false);
    const struct lm with = {.tokenizer = t};
    static const struct str bad[] = {PAIR("{}"), PAIR("[1]"), PAIR("[{}]"), PAIR("[{\"text\":1}]"),
                                     PAIR("[{\"text\":\"a\",\"filename\":1}]")};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CLEANUP_JSON struct json *extra = NULL;
        assert_ok(js_parse(bad[i], "extra", &extra, &err));
        const struct fim g = {.prefix = STR("a"), .suffix = STR("b"), .extra = extra};
        assert_int_equal(fim_tokens(&with, &g, &ids, &err), -ERR_INVALID);
    }
    tokenizer_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fim__order),
        cmocka_unit_test(test_fim__refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
