/* SPDX-License-Identifier: Apache-2.0
 *
 * Markdown in colour: what is styled, and that no text is ever lost or changed, however it is cut.
 */
#include "cli/markdown.h"

#include <stdlib.h>

#include "test.h"

/* The output for a text in pieces of n bytes. */
static char *render(const char *text, size_t n)
{
    CLEANUP_BUF struct buf out = BUF_INIT(1 << 20);
    struct markdown m;
    markdown_begin(&m);
    for (struct str rest = str_from(text); rest.len > 0; rest = str_sub(rest, n, SIZE_MAX))
        markdown_write(&m, str_sub(rest, 0, n), &out);
    markdown_end(&m, &out);
    return str_dup(buf_str(&out));
}

static void strip(char *s)
{
    char *to = s;
    for (const char *p = s; *p;) {
        if (p[0] == '\033' && p[1] == '[') {
            while (*p != 'm')
                p++;
            p++;
        } else {
            *to++ = *p++;
        }
    }
    *to = '\0';
}

/* B bold, I italic, C code, M mark, G grey, 0 plain. */
static const struct {
    const char *text, *want;
} cases[] = {
    {"plain text\n", "plain text\n"},
    {"# Title\nx", "<B># Title<0>\nx"},
    {"####### seven\n", "####### seven\n"},
    {"#no\n", "#no\n"},
    {"a **b** c", "a <B>**b**<0> c"},
    {"a *b* c", "a <I>*b*<0> c"},
    {"a __b__ _c_ d", "a <B>__b__<0> <I>_c_<0> d"},
    {"***x***", "<BI>***x***<0>"},
    {"2 * 3 * 4 and snake_case_name", "2 * 3 * 4 and snake_case_name"},
    {"**open\nnext", "<B>**open<0>\nnext"},
    {"use `a*b*` now", "use <C>`a*b*`<0> now"},
    {"``a`b`` c", "<C>``a`b``<0> c"},
    {"- one\n* two\n+ three\n", "<M>- <0>one\n<M>* <0>two\n<M>+ <0>three\n"},
    {"10. ten\n  2) two\n1.5 no\n", "<M>10. <0>ten\n<M>  2) <0>two\n1.5 no\n"},
    {"> quote **b**\n", "<G>> quote <BG>**b**<0>\n"},
    {"```c\nint *x = a_b_c;\n```\nafter\n",
     "<G>```c<0>\n<C>int *x = a_b_c;<0>\n<G>```<0>\nafter\n"},
    {"~~~\n```\n~~~\n*i*", "<G>~~~<0>\n<C>```<0>\n<G>~~~<0>\n<I>*i*<0>"},
    {"see [the *docs*](http://x/a_b_c) .", "see [the <I>*docs*<0>]<G>(http://x/a_b_c)<0> ."},
    {"---\n", "---\n"},
    {"| a | b |\n|---|---|\n", "| a | b |\n|---|---|\n"},
    {"gr\xC3\xBC\xC3\x9F"
     "e **\xE2\x82\xAC** \n",
     "gr\xC3\xBC\xC3\x9F"
     "e <B>**\xE2\x82\xAC**<0> \n"},
    {"``", "<C>``<0>"},
    {"**", "**"},
    {"", ""},
};

/* Escape sequences in the short form of the cases; a reset right before another style goes. */
static char *shorten(const char *s)
{
    CLEANUP_BUF struct buf out = BUF_INIT(1 << 20);
    while (*s) {
        if (*s != '\033') {
            buf_push(&out, *s++);
            continue;
        }
        char codes[16] = "";
        size_t n = 0;
        while (*s == '\033') {
            int code = atoi(s + 2);
            char c = code == 1    ? 'B'
                     : code == 3  ? 'I'
                     : code == 36 ? 'C'
                     : code == 33 ? 'M'
                     : code == 90 ? 'G'
                                  : '\0';
            if (c)
                codes[n++] = c;
            s = strchr(s, 'm') + 1;
        }
        buf_printf(&out, "<%s>", n ? codes : "0");
    }
    return str_dup(buf_str(&out));
}

static void test_markdown__styles(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP_FREE char *whole = render(cases[i].text, SIZE_MAX);
        CLEANUP_FREE char *got = shorten(whole);
        if (strcmp(got, cases[i].want) != 0)
            fail_msg("case %zu: '%s' became '%s', not '%s'", i, cases[i].text, got, cases[i].want);
        for (size_t n = 1; n < 5; n++) {
            CLEANUP_FREE char *pieces = render(cases[i].text, n);
            assert_string_equal(pieces, whole);
        }
    }
}

static void test_markdown__loses_nothing(void **state)
{
    (void)state;
    static const char letters[] = "ab *_`~#->+[]()1.) \n\n\t|";
    srand(1);
    for (int round = 0; round < 20000; round++) {
        char text[64];
        size_t n = (size_t)rand() % (sizeof(text) - 1);
        for (size_t i = 0; i < n; i++)
            text[i] = letters[(size_t)rand() % (sizeof(letters) - 1)];
        text[n] = '\0';
        CLEANUP_FREE char *got = render(text, 1 + (size_t)rand() % 8);
        strip(got);
        assert_string_equal(got, text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_markdown__styles),
        cmocka_unit_test(test_markdown__loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
