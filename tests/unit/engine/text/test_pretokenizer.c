/* SPDX-License-Identifier: Apache-2.0
 *
 * Cutting text into words. Words are shown joined by '|'. */
#include "test.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "engine/text/pretokenizer.h"
#include "engine/text/pretokenizer_rules.h"

static void split(const char *name, struct str text, struct buf *out)
{
    struct error err = ERROR_INIT;
    struct pretokenizer *p = NULL;
    assert_ok(pretokenizer_create(str_from(name), &p, &err));
    CLEANUP_WORD_ENDS struct word_ends words = {0};
    assert_ok(pretokenizer_split(p, text, &words, &err));
    size_t start = 0;
    for (size_t i = 0; i < words.n; i++) {
        if (i > 0)
            buf_push(out, '|');
        buf_append(out, str_sub(text, start, words.ends[i] - start));
        start = words.ends[i];
    }
    pretokenizer_free(p);
}

static void test_pretokenizer__words(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text, *want;
    } cases[] = {
        {"gpt-2", "", ""},
        {"gpt-2", "I'm  here, you'LL see.", "I|'m| | here|,| you|'|LL| see|."},
        {"gpt-2", "abc123  \n", "abc|123|  \n"},
        {"gpt-2", "a\xc2\xa0 b", "a|\xc2\xa0| b"},
        {"starcoder", " 1234 a1", " |1|2|3|4| a|1"},
        {"falcon", "12345`x`", "123|45|`|x|`"},
        {"default", "a.b 12345", "a|.|b| |123|45"},
        {"llama-bpe", "I'LL go\n\n  x 1234567", "I|'LL| go|\n\n| | x| |123|456|7"},
        {"llama-bpe", "a!\n b", "a|!\n| b"},
        {"qwen2", "x=12;\r\n", "x|=|1|2|;\r\n"},
        {"qwen2", "caf\x65\xcc\x81s", "cafe|\xcc\x81s"},
        {"qwen35", "caf\x65\xcc\x81s", "cafe\xcc\x81s"},
        {"gpt-4o", "HelloWorld it's /a/\n/", "Hello|World| it's| /|a|/\n/"},
        {"tekken", "HelloWorld it's 12", "Hello|World| it|'s| |1|2"},
        {"deepseek-v3", "a.b ~/x 1234 \xe4\xbd\xa0\xe5\xa5\xbd!", /* 你好 */
         "a|.b| ~/|x| |123|4| |\xe4\xbd\xa0\xe5\xa5\xbd|!"},
        {"deepseek-llm", "ab cd, 12\n  ", "ab| cd|,| |12|\n|  "},
        {"deepseek-coder", "ab cd, 12\n", "ab| cd|,| |1|2|\n"},
        {"bloom", "Hi, you (x)", "Hi|,| you| (|x|)"},
        {"viking", "a12,b", "a|1|2|,|b"},
        {"superbpe", "ab 1234567 c", "ab |1|234|567| c"},
        {"superbpe", "123456", "123|456"},
        {"afmoe", "1234567a", "1|234|567|a"},
        {"tiny_aya", "1234567", "1|234|567"},
        {"kimi-k2", "\xe4\xbd\xa0\xe5\xa5\xbd" "abc's 1234", "\xe4\xbd\xa0\xe5\xa5\xbd|abc's| |123|4"},
        {"chameleon", "IMGIMGABZ a, 12", "IMGIMGABZ| a|,| |1|2"},
        {"gemma4", "a b\n\nc", "a b|\n\n|c"},
        {"jais-2", "a      b", "a|    | | b"},
        {"seed-coder", "a!\nb", "a|!|\n|b"},
        {"bailingmoe", "a\n \nb'T", "a|\n \n|b|'T"},
        {"exaone-moe", "ab cd1", "ab cd|1"},
        {"ufakzeka", "a's", "a|'s"},
        {"laguna", "a\n\nb!\n", "a|\n\n|b|!|\n"},
        {"youtu", "\xea\xb0\x80" "a1", "\xea\xb0\x80|a|1"},
        {"whitespace", " ab  c", " |ab|  |c"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP_BUF struct buf got = BUF_INIT(1000);
        split(cases[i].name, str_from(cases[i].text), &got);
        if (!str_eq_c(buf_str(&got), cases[i].want))
            fail_msg("%s: '%s' gives '%s', wanted '%s'", cases[i].name, cases[i].text,
                     buf_cstr(&got), cases[i].want);
    }
}

static void test_pretokenizer__names(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct pretokenizer *p = NULL;
    assert_fails(pretokenizer_create(STR("nonesuch"), &p, &err), ERR_UNSUPPORTED, "'nonesuch'");
    assert_fails(pretokenizer_create(STR("gpt-2 phi-2"), &p, &err), ERR_UNSUPPORTED, "gpt-2 phi-2");
    assert_ok(pretokenizer_create(STR(""), &p, &err)); /* absent: default */
    assert_int_equal(pretokenizer_flags(p), 0);
    pretokenizer_free(p);
    assert_ok(pretokenizer_create(STR("llama-v3"), &p, &err));
    assert_int_equal(pretokenizer_flags(p), PRE_IGNORE_MERGES | PRE_ADD_BOS);
    pretokenizer_free(p);
}

/* Every rule set, on texts made to provoke backtracking: the words cover the text, in time that
 * leaves no doubt about quadratic behaviour (that would be minutes). */
static void test_pretokenizer__long_texts(void **state)
{
    (void)state;
    static const char *const patterns[] = {
        "a", "A", " ", "\n", " \n", "1", "~", "\x01", "aA", "\xd0\x96", "\xcc\x81", "'", "\xc2\xa0",
    };
    enum { LEN = 1 << 16 };
    CLEANUP_FREE char *text = xmalloc(LEN);
    struct error err = ERROR_INIT;
    for (size_t i = 0; pretokenizer_rule_at(i); i++) {
        struct str names = str_from(pretokenizer_rule_at(i)->names), name;
        assert_true(str_split_next(&names, ' ', &name));
        struct pretokenizer *p = NULL;
        assert_ok(pretokenizer_create(name, &p, &err));
        int64_t start_ms = clock_mono_ms();
        for (size_t k = 0; k < ARRAY_LEN(patterns); k++) {
            struct str part = str_from(patterns[k]);
            for (size_t at = 0; at < LEN; at++)
                text[at] = part.ptr[at % part.len];
            text[LEN - 1] = 'x';
            CLEANUP_WORD_ENDS struct word_ends words = {0};
            assert_ok(pretokenizer_split(p, str_make(text, LEN), &words, &err));
            assert_true(words.n > 0 && words.ends[words.n - 1] == LEN);
        }
        assert_true(clock_mono_ms() - start_ms < 20000);
        pretokenizer_free(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pretokenizer__words),
        cmocka_unit_test(test_pretokenizer__names),
        cmocka_unit_test(test_pretokenizer__long_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
