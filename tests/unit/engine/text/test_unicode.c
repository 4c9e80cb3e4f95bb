/* SPDX-License-Identifier: Apache-2.0
 *
 * Spot checks of the Unicode tables: each look-up, the borders of the table, the 15.1 additions. */
#include "test.h"

#include "base/compiler.h"
#include "engine/text/unicode.h"

static void test_unicode__class(void **state)
{
    (void)state;
    static const struct {
        uint32_t cp;
        enum unicode_class want;
    } cases[] = {
        {0x0000, UC_CONTROL},   {0x0020, UC_SEPARATOR}, {'a', UC_LETTER},      {'Z', UC_LETTER},
        {'7', UC_NUMBER},       {'!', UC_PUNCT},        {'$', UC_SYMBOL},      {'~', UC_SYMBOL},
        {'_', UC_PUNCT},        {0x00a0, UC_SEPARATOR}, {0x00ad, UC_CONTROL},  {0x00b2, UC_NUMBER},
        {0x0301, UC_MARK},      {0x0378, UC_NONE},      {0x05d0, UC_LETTER},   {0x0660, UC_NUMBER},
        {0x200d, UC_CONTROL},   {0x2028, UC_SEPARATOR}, {0x2ffc, UC_SYMBOL},   {0x4e00, UC_LETTER},
        {0x9fff, UC_LETTER},    {0xac00, UC_LETTER},    {0xd800, UC_CONTROL},  {0xe000, UC_CONTROL},
        {0xfffd, UC_SYMBOL},    {0xffff, UC_NONE},      {0x1f600, UC_SYMBOL},  {0x2ebf0, UC_LETTER},
        {0x2ee5e, UC_NONE},     {0x10fffd, UC_CONTROL}, {0x10ffff, UC_NONE},   {0x110000, UC_NONE},
        {0xffffffff, UC_NONE},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (unicode_class(cases[i].cp) != cases[i].want)
            fail_msg("U+%04X is of class %d", cases[i].cp, (int)unicode_class(cases[i].cp));
    }
}

static void test_unicode__space(void **state)
{
    (void)state;
    static const uint32_t spaces[] = {'\t', '\n',   '\v',   '\f',   '\r',   ' ',    0x85,  0xa0,
                                      0x1680, 0x2000, 0x200a, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000};
    size_t n = 0;
    for (uint32_t cp = 0; cp < 0x110000; cp++)
        n += unicode_is_space(cp);
    assert_int_equal(n, 25);
    for (size_t i = 0; i < ARRAY_LEN(spaces); i++)
        assert_true(unicode_is_space(spaces[i]));
}

static void test_unicode__mappings(void **state)
{
    (void)state;
    assert_int_equal(unicode_to_lower('A'), 'a');
    assert_int_equal(unicode_to_lower('['), '[');
    assert_int_equal(unicode_to_lower(0x0130), 'i');
    assert_int_equal(unicode_to_lower(0x0416), 0x0436);
    assert_int_equal(unicode_to_lower(0x1e921), 0x1e943);
    assert_int_equal(unicode_to_lower(0x4e00), 0x4e00);
    assert_int_equal(unicode_base_char(0x00e9), 'e');
    assert_int_equal(unicode_base_char(0x1ec7), 'e'); /* ệ: two steps */
    assert_int_equal(unicode_base_char(0xac01), 0x1100);
    assert_int_equal(unicode_base_char(0xd7a3), 0x1112);
    assert_int_equal(unicode_base_char('e'), 'e');
    assert_int_equal(unicode_base_char(0x10ffff), 0x10ffff);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unicode__class),
        cmocka_unit_test(test_unicode__space),
        cmocka_unit_test(test_unicode__mappings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
