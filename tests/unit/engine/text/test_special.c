/* SPDX-License-Identifier: Apache-2.0
 *
 * Taking special tokens out of a text. Fragments are written as "text" and [id]. */
#include "test.h"

#include <stdlib.h>

#include "base/buf.h"
#include "engine/text/vocab.h"

static const struct {
    const char *text;
    uint16_t attr;
} tokens[] = {
    {"<|im_start|>", IS_CONTROL},
    {"<|im_end|>", IS_CONTROL},
    {"<|", IS_CONTROL},
    {"  ", IS_USER_DEFINED},
    {"    ", IS_USER_DEFINED},
    {"aba", IS_CONTROL},
    {"ba", IS_CONTROL},
    {"<unk>", IS_UNKNOWN},
    {"<mask>", IS_CONTROL | STRIPS_LEFT},
    {"<end>", IS_CONTROL | STRIPS_RIGHT},
    {"b cd", IS_USER_DEFINED},
    {"cdef", IS_CONTROL},
};

static int setup(void **state)
{
    struct special *s = malloc(sizeof(*s));
    if (!s || special_init(s) < 0)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(tokens); i++) {
        if (special_add(s, str_from(tokens[i].text), (int32_t)i) < 0)
            return -1;
    }
    *state = s;
    return special_finish(s);
}

static int teardown(void **state)
{
    special_release(*state);
    free(*state);
    return 0;
}

static void split(const struct special *s, struct str text, bool parse, struct buf *out)
{
    uint16_t attrs[ARRAY_LEN(tokens)];
    for (size_t i = 0; i < ARRAY_LEN(tokens); i++)
        attrs[i] = tokens[i].attr;
    CLEANUP_FRAGMENTS struct fragments f = {0};
    assert_int_equal(special_split(s, text, attrs, parse, &f), 0);
    for (size_t i = 0; i < f.n; i++) {
        assert_true(f.items[i].len > 0);
        if (f.items[i].id >= 0) {
            buf_printf(out, "[%d]", f.items[i].id);
        } else {
            buf_push(out, '"');
            buf_append(out, str_sub(text, f.items[i].start, f.items[i].len));
            buf_push(out, '"');
        }
    }
}

static void test_special__split(void **state)
{
    static const struct {
        const char *text;
        bool parse;
        const char *want;
    } cases[] = {
        {"", true, ""},
        {"plain", true, "\"plain\""},
        {"<|im_start|>user<|im_end|>", true, "[0]\"user\"[1]"},
        {"<|im_start|>user<|im_end|>", false, "\"<|im_start|>user<|im_end|>\""},
        {"<|im_<|im_end|>", true, "[2]\"im_\"[1]"},
        {"a  b", false, "\"a\"[3]\"b\""},     /* user-defined ones always count */
        {"a     b", false, "\"a\"[4]\" b\""}, /* the longest first, then what is left */
        {"a      b", false, "\"a\"[4][3]\"b\""},
        {"ababa", true, "[5][6]"},            /* overlapping: the leftmost of equals */
        {"xbaba", true, "\"xb\"[5]"},         /* a longer one beats an earlier one */
        {"<unk>", true, "[7]"},
        {"<unk>", false, "\"<unk>\""},
        {"x \t<mask> y", true, "\"x\"[8]\" y\""},
        {"x <end> \n y", true, "\"x \"[9]\"y\""},
        {" <mask>", true, "[8]"},
        {"<end>  <end>    ", true, "[9][9]"}, /* swallowed before the shorter tokens are tried */
        {"b cdef", true, "[10]\"ef\""}, /* equal lengths overlap: the left one */
        {"b cdef", false, "[10]\"ef\""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP_BUF struct buf got = BUF_INIT(1000);
        split(*state, str_from(cases[i].text), cases[i].parse, &got);
        if (!str_eq_c(buf_str(&got), cases[i].want))
            fail_msg("'%s' gives %s, wanted %s", cases[i].text, buf_cstr(&got), cases[i].want);
    }
}

/* Fragments cover the text in order whatever it is. */
static void test_special__covers(void **state)
{
    static const char alphabet[] = "ab <|>cdef_im";
    uint32_t seed = 1;
    char text[200];
    uint16_t attrs[ARRAY_LEN(tokens)];
    for (size_t i = 0; i < ARRAY_LEN(tokens); i++)
        attrs[i] = tokens[i].attr;
    for (int round = 0; round < 500; round++) {
        size_t n = (size_t)round % sizeof(text);
        for (size_t i = 0; i < n; i++) {
            seed = seed * 1664525u + 1013904223u;
            text[i] = alphabet[(seed >> 16) % (sizeof(alphabet) - 1)];
        }
        CLEANUP_FRAGMENTS struct fragments f = {0};
        assert_int_equal(special_split(*state, str_make(text, n), attrs, true, &f), 0);
        size_t at = 0;
        for (size_t i = 0; i < f.n; i++) {
            assert_int_equal(f.items[i].start, at);
            at += f.items[i].len;
        }
        assert_int_equal(at, n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_special__split, setup, teardown),
        cmocka_unit_test_setup_teardown(test_special__covers, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
