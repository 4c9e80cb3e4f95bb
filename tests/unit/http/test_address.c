/* SPDX-License-Identifier: Apache-2.0
 *
 * Kinds of addresses, URLs, proxies. */
#include "test.h"

#include <stdlib.h>

#include "http/address.h"
#include "http/proxy.h"
#include "http/url.h"

static void test_address__kinds(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum address_kind kind;
    } cases[] = {
        {"8.8.8.8", ADDRESS_GLOBAL},
        {"0.0.0.0", ADDRESS_LOOPBACK},
        {"0.1.2.3", ADDRESS_LOOPBACK},
        {"10.255.255.255", ADDRESS_PRIVATE},
        {"11.0.0.0", ADDRESS_GLOBAL},
        {"100.64.0.1", ADDRESS_PRIVATE},
        {"100.127.255.255", ADDRESS_PRIVATE},
        {"100.128.0.0", ADDRESS_GLOBAL},
        {"100.100.100.200", ADDRESS_LINK_LOCAL},
        {"127.1.2.3", ADDRESS_LOOPBACK},
        {"169.254.169.254", ADDRESS_LINK_LOCAL},
        {"172.15.255.255", ADDRESS_GLOBAL},
        {"172.16.0.0", ADDRESS_PRIVATE},
        {"172.31.255.255", ADDRESS_PRIVATE},
        {"172.32.0.0", ADDRESS_GLOBAL},
        {"192.168.0.1", ADDRESS_PRIVATE},
        {"192.169.0.1", ADDRESS_GLOBAL},
        {"198.19.0.1", ADDRESS_PRIVATE},
        {"224.0.0.1", ADDRESS_OTHER},
        {"255.255.255.255", ADDRESS_OTHER},
        {"::", ADDRESS_LOOPBACK},
        {"::1", ADDRESS_LOOPBACK},
        {"[::1]", ADDRESS_LOOPBACK},
        {"::ffff:127.0.0.1", ADDRESS_LOOPBACK},
        {"::127.0.0.1", ADDRESS_LOOPBACK},
        {"::ffff:0:10.0.0.1", ADDRESS_PRIVATE},
        {"::ffff:8.8.8.8", ADDRESS_GLOBAL},
        {"64:ff9b::7f00:1", ADDRESS_LOOPBACK},
        {"64:ff9b::808:808", ADDRESS_GLOBAL},
        {"64:ff9b:1::1", ADDRESS_OTHER},
        {"2002:a00:1::1", ADDRESS_PRIVATE},
        {"2001:0:1:1:1:1:80ff:fffe", ADDRESS_LOOPBACK},
        {"fe80::1%eth0", ADDRESS_LINK_LOCAL},
        {"febf::1", ADDRESS_LINK_LOCAL},
        {"fec0::1", ADDRESS_PRIVATE},
        {"fd00::1", ADDRESS_PRIVATE},
        {"fd00:ec2::254", ADDRESS_LINK_LOCAL},
        {"ff02::1", ADDRESS_OTHER},
        {"2606:4700::1111", ADDRESS_GLOBAL},
        {"2001:db8::1", ADDRESS_OTHER},
        {"4000::1", ADDRESS_OTHER},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        enum address_kind kind = ADDRESS_OTHER;
        print_message("%s\n", cases[i].text);
        assert_true(address_kind_of_text(cases[i].text, &kind));
        assert_int_equal(kind, cases[i].kind);
    }
    enum address_kind kind;
    static const char *const none[] = {"", "localhost", "1.2.3", "1.2.3.4.5", "0x7f.0.0.1", "::g",
                                       "[::1", "1.2.3.4 "};
    for (size_t i = 0; i < ARRAY_LEN(none); i++)
        assert_false(address_kind_of_text(none[i], &kind));
}

static void test_url__parse(void **state)
{
    (void)state;
    static const struct {
        const char *text, *base, *want, *origin; /* want NULL = refused */
    } cases[] = {
        {"https://Example.COM/a?b#c", NULL, "https://Example.COM/a?b", "https://example.com:443"},
        {"http://h:8080", NULL, "http://h:8080/", "http://h:8080"},
        {"HTTP://h./x", NULL, "http://h./x", "http://h:80"},
        {"/b?x=1", "https://h/a/c", "https://h/b?x=1", "https://h:443"},
        {"d", "https://h/a/c", "https://h/a/d", "https://h:443"},
        {"//other/x", "https://h/a", "https://other/x", "https://other:443"},
        {"http://[::1]:5000/", NULL, "http://[::1]:5000/", "http://[::1]:5000"},
        {"http://0x7f.1/", NULL, "http://127.0.0.1/", "http://127.0.0.1:80"},
        {"http://2130706433/", NULL, "http://127.0.0.1/", "http://127.0.0.1:80"},
        {"http://017700000001/", NULL, "http://127.0.0.1/", "http://127.0.0.1:80"},
        {"", NULL, NULL, NULL},
        {"/a", NULL, NULL, NULL},
        {"ftp://h/", NULL, NULL, NULL},
        {"file:///etc/passwd", NULL, NULL, NULL},
        {"http://u@h/", NULL, NULL, NULL},
        {"http://u:p@h/", NULL, NULL, NULL},
        {"http://:@h/", NULL, NULL, NULL},
        {"http://h:99999/", NULL, NULL, NULL},
        {"http://h/a b", NULL, NULL, NULL},
        {"http://h/a\nb", NULL, NULL, NULL},
        {"http://h\\@evil/", NULL, NULL, NULL},
        {"http:///x", NULL, "http://x/", "http://x:80"}, /* as libcurl would connect */
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct error err = ERROR_INIT;
        struct url base = {0}, u = {0};
        print_message("'%s'\n", cases[i].text);
        if (cases[i].base)
            assert_ok(url_parse(cases[i].base, NULL, &base, &err));
        int r = url_parse(cases[i].text, cases[i].base ? &base : NULL, &u, &err);
        if (cases[i].want) {
            assert_int_equal(r, 0);
            assert_string_equal(u.text, cases[i].want);
            assert_string_equal(u.origin, cases[i].origin);
        } else {
            assert_int_equal(r, -ERR_INVALID);
        }
        url_release(&u);
        url_release(&base);
    }
    struct error err = ERROR_INIT;
    struct url u = {0};
    assert_ok(url_parse("https://h/a?X-Amz-Signature=secret", NULL, &u, &err));
    assert_str(url_shown(&u), "https://h/a");
    url_release(&u);
    assert_fails(url_parse("ftp://h/a?X-Amz-Signature=secret", NULL, &u, &err), ERR_INVALID, "ftp://h/a");
    assert_null(strstr(err.msg, "secret"));
}

static void test_proxy__list(void **state)
{
    (void)state;
    static const struct {
        const char *list, *host;
        uint16_t port;
        bool has;
    } cases[] = {
        {"*", "h", 80, true},
        {"example.com", "example.com", 80, true},
        {"example.com", "a.example.com", 80, true},
        {"example.com", "aexample.com", 80, false},
        {".example.com", "a.example.com", 80, true},
        {".example.com", "example.com", 80, false},
        {"*.example.com", "a.example.com", 80, true},
        {"a, EXAMPLE.com ,b", "example.com", 80, true},
        {"example.com:80", "example.com", 80, true},
        {"example.com:80", "example.com", 443, false},
        {"10.0.0.0/8", "10.1.2.3", 80, true},
        {"10.0.0.0/8", "11.1.2.3", 80, false},
        {"10.0.0.0/33", "10.0.0.0", 80, false},
        {"10.0.0.0/8", "10.example.com", 80, false},
        {"192.168.1.7", "192.168.1.7", 80, true},
        {"fd00::/8", "[fd12::1]", 80, true},
        {"[::1]:80", "[::1]", 80, true},
        {"::1", "[::1]", 80, true},
        {"", "h", 80, false},
        {",,", "h", 80, false},
        {".", "h", 80, false},
        {"0.0.0.0/0", "8.8.8.8", 80, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        print_message("%s %s\n", cases[i].list, cases[i].host);
        assert_int_equal(proxy_list_has(cases[i].list, cases[i].host, cases[i].port), cases[i].has);
    }
}

static void assert_proxy(const char *text, const char *want)
{
    struct error err = ERROR_INIT;
    struct url u = {0};
    assert_ok(url_parse(text, NULL, &u, &err));
    CLEANUP_FREE char *got = proxy_for_url(&u);
    url_release(&u);
    assert_string_equal(got ? got : "none", want);
}

static void test_proxy__environment(void **state)
{
    (void)state;
    static const char *const names[] = {"http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY",
                                        "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        unsetenv(names[i]);
    assert_proxy("http://h/", "none");
    setenv("ALL_PROXY", "socks5://s:1", 1);
    setenv("HTTP_PROXY", "http://up:1", 1);
    setenv("https_proxy", "", 1);
    assert_proxy("http://h/", "http://up:1");
    assert_proxy("https://h/", "socks5://s:1");
    setenv("http_proxy", "http://low:1", 1);
    assert_proxy("http://h/", "http://low:1");
    assert_proxy("http://localhost/", "none");
    assert_proxy("http://127.0.0.9/", "none");
    assert_proxy("http://[::1]/", "none");
    setenv("NO_PROXY", "h,10.0.0.0/8", 1);
    assert_proxy("http://h/", "none");
    assert_proxy("https://10.9.8.7/", "none");
    assert_proxy("http://i/", "http://low:1");
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        unsetenv(names[i]);
}

static void test_address__loopback_only(void **state)
{
    (void)state;
    static const char *const yes[] = {"127.0.0.1", "127.9.8.7", "::1", "localhost", "LOCALHOST"};
    static const char *const no[] = {"0.0.0.0",   "::",      "10.0.0.1", "172.17.0.1", "fe80::1",
                                     "localhost.x", "host", "",         "127.1",      "128.0.0.1"};
    for (size_t i = 0; i < ARRAY_LEN(yes); i++)
        if (!address_is_loopback_only(yes[i]))
            fail_msg("'%s' is loopback", yes[i]);
    for (size_t i = 0; i < ARRAY_LEN(no); i++)
        if (address_is_loopback_only(no[i]))
            fail_msg("'%s' is not loopback", no[i]);
    char address[ADDRESS_TEXT_MAX];
    assert_true(address_of_interface("lo", address));
    assert_string_equal(address, "127.0.0.1");
    assert_false(address_of_interface("no-such-interface", address));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_address__kinds),
        cmocka_unit_test(test_address__loopback_only),
        cmocka_unit_test(test_url__parse),
        cmocka_unit_test(test_proxy__list),
        cmocka_unit_test(test_proxy__environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
