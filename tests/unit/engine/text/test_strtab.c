/* SPDX-License-Identifier: Apache-2.0
 *
 * The two tables under the vocabulary: numbered strings and the byte trie. */
#include "test.h"

#include "engine/text/strtab.h"
#include "engine/text/trie.h"

static void test_strtab__numbers(void **state)
{
    (void)state;
    struct strtab t = {0};
    assert_int_equal(strtab_find(&t, STR("a")), -1);
    assert_int_equal(strtab_append(&t, STR("a")), 0);
    assert_int_equal(strtab_append(&t, STR("b")), 1);
    assert_int_equal(strtab_append(&t, STR("a")), 2); /* equal strings: the first is found */
    assert_int_equal(strtab_append(&t, STR("")), 3);  /* the empty one never is */
    assert_int_equal(strtab_append(&t, STR("x\0y")), 4);
    assert_int_equal(strtab_find(&t, STR("a")), 0);
    assert_int_equal(strtab_find(&t, STR("b")), 1);
    assert_int_equal(strtab_find(&t, STR("")), -1);
    assert_int_equal(strtab_find(&t, STR("x")), -1);
    assert_int_equal(strtab_find(&t, STR("x\0y")), 4);
    assert_int_equal(strtab_intern(&t, STR("b")), 1);
    assert_int_equal(strtab_intern(&t, STR("c")), 5);
    assert_str(strtab_get(&t, 3), "");
    assert_str(strtab_get(&t, 5), "c");
    strtab_release(&t);
}

static void test_strtab__many(void **state)
{
    (void)state;
    struct strtab t = {0};
    char text[32];
    for (int i = 0; i < 20000; i++) {
        int len = snprintf(text, sizeof(text), "%d string %d", i, i);
        assert_int_equal(strtab_intern(&t, str_make(text, (size_t)len)), i);
    }
    for (int i = 0; i < 20000; i++) {
        int len = snprintf(text, sizeof(text), "%d string %d", i, i);
        assert_int_equal(strtab_find(&t, str_make(text, (size_t)len)), i);
    }
    strtab_release(&t);
}

static void test_trie__longest(void **state)
{
    (void)state;
    struct trie t;
    size_t len = 0;
    assert_int_equal(trie_init(&t), 0);
    assert_int_equal(trie_longest(&t, STR("abc"), &len), -1);
    assert_int_equal(trie_add(&t, STR("ab"), 1), 0);
    assert_int_equal(trie_add(&t, STR("abcd"), 2), 0);
    assert_int_equal(trie_add(&t, STR("ab"), 3), 0); /* the first stays */
    assert_int_equal(trie_add(&t, STR(""), 4), 0);   /* ignored */
    assert_int_equal(trie_add(&t, STR("\0"), 5), 0);
    assert_int_equal(trie_longest(&t, STR("abc"), &len), 1);
    assert_int_equal(len, 2);
    assert_int_equal(trie_longest(&t, STR("abcde"), &len), 2);
    assert_int_equal(len, 4);
    assert_int_equal(trie_longest(&t, STR("a"), &len), -1);
    assert_int_equal(trie_longest(&t, STR("\0x"), &len), 5);
    assert_int_equal(trie_longest(&t, STR(""), &len), -1);
    trie_release(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strtab__numbers),
        cmocka_unit_test(test_strtab__many),
        cmocka_unit_test(test_trie__longest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
