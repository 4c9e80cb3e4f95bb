/* SPDX-License-Identifier: Apache-2.0
 *
 * Certificates of our own: what is made can be read again, and what is none is refused. */
#include "base/certificate.h"

#include "base/compiler.h"
#include "test.h"

static void test_certificate__make_and_look(void **state)
{
    (void)state;
    static const char *const names[] = {"localhost", "127.0.0.1", "::1", NULL};
    struct error err = ERROR_INIT;
    CLEANUP_BUF struct buf cert = BUF_INIT(10000), key = BUF_INIT(10000);
    CLEANUP_BUF struct buf other = BUF_INIT(10000), other_key = BUF_INIT(10000);
    char fingerprint[FINGERPRINT_TEXT], other_fingerprint[FINGERPRINT_TEXT];
    int days = 0;
    assert_ok(certificate_make(names, 90, &cert, &key, &err));
    assert_true(str_starts_with(buf_str(&cert), STR("-----BEGIN CERTIFICATE-----\n")));
    assert_true(str_starts_with(buf_str(&key), STR("-----BEGIN PRIVATE KEY-----\n")));
    assert_ok(certificate_look(buf_str(&cert), fingerprint, &days, &err));
    assert_true(days == 89 || days == 90);
    assert_int_equal(strlen(fingerprint), FINGERPRINT_TEXT - 1);
    for (size_t i = 2; i < FINGERPRINT_TEXT - 1; i += 3)
        assert_int_equal(fingerprint[i], ':');

    assert_ok(certificate_make(names, -5, &other, &other_key, &err));
    assert_ok(certificate_look(buf_str(&other), other_fingerprint, &days, &err));
    assert_true(days < 0); /* it has run out */
    assert_string_not_equal(fingerprint, other_fingerprint);
}

static void test_certificate__refuses_what_is_none(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "", "x", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = ERROR_INIT;
        char fingerprint[FINGERPRINT_TEXT];
        int days;
        assert_fails(certificate_look(str_from(rows[i]), fingerprint, &days, &err), ERR_INVALID,
                     "no certificate");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_certificate__make_and_look),
        cmocka_unit_test(test_certificate__refuses_what_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
