/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "engine/run/stop_matcher.h"
#include "test.h"

enum { STOPS = 4 };

/* Feeds `text` in pieces of `size` bytes. */
static bool run(const char *const stops[STOPS], struct str text, size_t size, struct buf *out)
{
    struct error err = ERROR_INIT;
    struct str list[STOPS];
    size_t n = 0;
    while (n < STOPS && stops[n]) {
        list[n] = str_from(stops[n]);
        n++;
    }
    struct stop_matcher m;
    assert_ok(stop_matcher_init(&m, list, n, &err));
    bool found = false;
    for (size_t at = 0; at < text.len && !found; at += size) {
        size_t before = out->len;
        found = stop_matcher_feed(&m, str_sub(text, at, size), out);
        /* Nothing is held back without a reason, nothing is lost. */
        if (!found)
            assert_int_equal(out->len + stop_matcher_held(&m), MIN(at + size, text.len));
        assert_true(out->len >= before);
    }
    if (!found)
        stop_matcher_flush(&m, out);
    stop_matcher_release(&m);
    return found;
}

static void test_stop_matcher__every_cut(void **state)
{
    (void)state;
    static const struct {
        const char *stops[STOPS];
        const char *text, *want;
        bool found;
    } rows[] = {
        {{NULL}, "hello", "hello", false},
        {{""}, "hello", "hello", false},
        {{"x"}, "hello", "hello", false},
        {{"l"}, "hello", "he", true},
        {{"llo"}, "hello", "he", true},
        {{"hello"}, "hello", "", true},
        {{"hello!"}, "hello", "hello", false},
        {{"aab"}, "aaab", "a", true},
        {{"abab"}, "abaabab", "aba", true},
        {{"abcabd"}, "abcabcabd", "abc", true},
        {{"\n\n", "END"}, "one\ntwo\n\nEND", "one\ntwo", true},
        {{"b", "ab"}, "xab", "x", true},    /* both end here: the longer one */
        {{"bcd", "c"}, "abcd", "ab", true}, /* the one that ends first */
        {{"abcx", "bcy"}, "zabcy", "za", true},
        {{"é"}, "caf\xc3\xa9!", "caf", true},
        {{"aaaaaaab"}, "aaaaaaaaaaaaaaaaaaaab", "aaaaaaaaaaaaa", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (size_t size = 1; size <= strlen(rows[i].text); size++) {
            CLEANUP_BUF struct buf out = BUF_INIT(1000);
            bool found = run(rows[i].stops, str_from(rows[i].text), size, &out);
            if (found != rows[i].found || !str_eq_c(buf_str(&out), rows[i].want))
                fail_msg("row %zu in pieces of %zu: '%s' (%s)", i, size, buf_cstr(&out),
                         found ? "found" : "not found");
        }
    }
}

/* Held back is exactly the longest end of the text that may become a stop string. */
static void test_stop_matcher__holds_back_no_more_than_needed(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    const struct str stops[] = {STR("<|end|>"), STR("<end>")};
    struct stop_matcher m;
    assert_ok(stop_matcher_init(&m, stops, 2, &err));
    static const struct {
        const char *piece;
        size_t held;
    } steps[] = {{"a", 0},  {"<", 1}, {"|", 2},      {"<", 1},
                 {"en", 3}, {"x", 0}, {"<|end|", 6}, {"<|", 2}};
    CLEANUP_BUF struct buf out = BUF_INIT(1000);
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        assert_false(stop_matcher_feed(&m, str_from(steps[i].piece), &out));
        assert_int_equal(stop_matcher_held(&m), steps[i].held);
    }
    assert_true(stop_matcher_feed(&m, STR("end|> and more"), &out));
    assert_str(buf_str(&out), "a<|<enx<|end|");
    assert_true(stop_matcher_feed(&m, STR("nothing"), &out));
    stop_matcher_flush(&m, &out);
    assert_str(buf_str(&out), "a<|<enx<|end|");
    stop_matcher_release(&m);
}

static void test_stop_matcher__limits(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct stop_matcher m = {0};
    struct str many[STOP_STRINGS_MAX + 1];
    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        many[i] = STR("x");
    assert_fails(stop_matcher_init(&m, many, ARRAY_LEN(many), &err), ERR_INVALID, "65 strings");
    char *big = xcalloc(1, STOP_STRING_BYTES_MAX + 1);
    struct str one = {big, STOP_STRING_BYTES_MAX + 1};
    assert_fails(stop_matcher_init(&m, &one, 1, &err), ERR_INVALID, "4097 bytes");
    /* The longest strings that are hardest to match take no longer than others. */
    memset(big, 'a', STOP_STRING_BYTES_MAX);
    struct str hard[STOP_STRINGS_MAX];
    for (size_t i = 0; i < ARRAY_LEN(hard); i++)
        hard[i] = str_make(big, STOP_STRING_BYTES_MAX);
    assert_ok(stop_matcher_init(&m, hard, ARRAY_LEN(hard), &err));
    CLEANUP_BUF struct buf out = BUF_INIT(1 << 20);
    for (int i = 0; i < 20; i++) {
        assert_false(stop_matcher_feed(&m, str_make(big, STOP_STRING_BYTES_MAX - 1), &out));
        assert_false(stop_matcher_feed(&m, STR("b"), &out));
    }
    stop_matcher_release(&m);
    free(big);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stop_matcher__every_cut),
        cmocka_unit_test(test_stop_matcher__holds_back_no_more_than_needed),
        cmocka_unit_test(test_stop_matcher__limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
