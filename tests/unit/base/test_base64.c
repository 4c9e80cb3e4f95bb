/* SPDX-License-Identifier: Apache-2.0
 *
 * Base64: the vectors of RFC 4648 section 10, both alphabets, and what is refused. */
#include "base/base64.h"

#include "test.h"

static void test_base64__vectors(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
        {"\xFB\xFF\xBF", "+/+/"},
    };
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        CLEANUP_BUF struct buf out = BUF_INIT(64);
        buf_append_c(&out, ">");
        base64_encode(str_from(pairs[i][0]), &out);
        assert_string_equal(buf_cstr(&out) + 1, pairs[i][1]);

        struct str text = str_from(pairs[i][1]);
        for (int padded = 0; padded < 2; padded++) { /* and without the padding */
            buf_clear(&out);
            assert_int_equal(base64_decode(text, &out, NULL), 0);
            assert_true(str_eq_c(buf_str(&out), pairs[i][0]));
            while (str_ends_with(text, STR("=")))
                text.len--;
        }
    }
    CLEANUP_BUF struct buf spaced = BUF_INIT(64);
    assert_int_equal(base64_decode(STR(" Zm9v\r\nYm\t8 = \n"), &spaced, NULL), 0);
    assert_true(str_eq_c(buf_str(&spaced), "foobo"));
    CLEANUP_BUF struct buf url = BUF_INIT(64);
    assert_int_equal(base64_decode(STR("-_-_"), &url, NULL), 0);
    assert_true(str_eq_c(buf_str(&url), "\xFB\xFF\xBF"));
}

static void test_base64__every_length(void **state)
{
    (void)state;
    char bytes[256];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(unsigned char)(i * 7 + 3);
    for (size_t n = 0; n <= sizeof(bytes); n++) {
        CLEANUP_BUF struct buf text = BUF_INIT(1024), back = BUF_INIT(1024);
        base64_encode(str_make(bytes, n), &text);
        assert_int_equal(text.len, (n + 2) / 3 * 4);
        assert_int_equal(base64_decode(buf_str(&text), &back, NULL), 0);
        assert_true(str_eq(buf_str(&back), str_make(bytes, n)));
    }
}

static void test_base64__refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "Z", "Zg=", "Zm9vY", "Zm9v=", "Z===", "====", "=", "Zg==Zg==", "Zg==Z", "Zm9*", "\xC3\xA9",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        CLEANUP_BUF struct buf out = BUF_INIT(64);
        buf_append_c(&out, "kept");
        struct error err = ERROR_INIT;
        assert_int_equal(base64_decode(str_from(bad[i]), &out, &err), -ERR_INVALID);
        assert_true(err.msg[0] != '\0');
        assert_string_equal(buf_cstr(&out), "kept");
    }
    CLEANUP_BUF struct buf small = BUF_INIT(5);
    base64_encode(STR("foob"), &small);
    assert_true(small.failed == ERR_TOO_LARGE);
    buf_clear(&small);
    assert_int_equal(base64_decode(STR("Zm9vYmFy"), &small, NULL), -ERR_TOO_LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_base64__vectors),
        cmocka_unit_test(test_base64__every_length),
        cmocka_unit_test(test_base64__refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
