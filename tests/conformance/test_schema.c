/* SPDX-License-Identifier: Apache-2.0
 *
 * Constrained output: every case of ../shared/conformance/schema (or MR_SHARED). What is to be
 * accepted is accepted, each beginning of it stays possible, what is to be rejected never ends; a
 * schema of level "extended" may be refused instead. Skipped where the set is not present. */
#include "test.h"

#include <stdlib.h>

#include "base/file.h"
#include "engine/grammar/grammar.h"
#include "shared_set.h"

static int n_checked, n_failed;

static void complain(const struct json *c, const char *what, struct str text)
{
    n_failed++;
    print_error("%s: %s: '%.*s'\n", js_get_cstr(c, "name", "?"), what, STR_ARG(text));
}

static void run(struct grammar *g, struct str text, bool *ret_accept, bool *ret_possible)
{
    struct error err = ERROR_INIT;
    CLEANUP(cleanup_matcher) struct matcher *m = NULL;
    assert_ok(matcher_create(g, NULL, &m, &err));
    *ret_possible = true;
    for (size_t i = 0; i < text.len && *ret_possible; i++)
        *ret_possible = matcher_accept(m, str_sub(text, i, 1));
    *ret_accept = *ret_possible && matcher_may_end(m);
}

static void check_texts(const struct json *c, struct grammar *g, const char *key, bool wanted)
{
    const struct json *list = js_get(c, key);
    for (size_t i = 0; i < js_len(list); i++) {
        bool accept, possible;
        struct str text = js_to_str(js_at(list, i));
        n_checked++;
        run(g, text, &accept, &possible); /* an accepted text was possible at each byte */
        if (accept != wanted)
            complain(c, wanted ? "not accepted" : "accepted", text);
    }
}

static void check_case(const struct json *c)
{
    struct error err = ERROR_INIT;
    CLEANUP(cleanup_grammar) struct grammar *g = NULL;
    const struct json *schema = js_get(c, "schema");
    int r = schema ? grammar_from_schema(schema, &g, &err)
                   : grammar_from_gbnf(js_get_str(c, "grammar"), &g, &err);
    bool may_refuse = str_eq_c(js_get_str(c, "level"), "extended");
    bool must_refuse = js_get_bool(c, "invalid_grammar", false);
    n_checked++;
    if (r == 0 ? must_refuse : !must_refuse && !may_refuse)
        complain(c, r == 0 ? "taken" : "refused", str_from(err.msg));
    if (r < 0)
        return;
    check_texts(c, g, "accept", true);
    check_texts(c, g, "reject", false);
}

static void check_file(const char *name)
{
    struct error err = ERROR_INIT;
    CLEANUP_FREE char *dir = shared_path("conformance/schema");
    CLEANUP_FREE char *path = path_join(dir, name);
    CLEANUP_BUF struct buf text = BUF_INIT((size_t)16 << 20);
    if (file_read(path, &text, &err) < 0) {
        print_message("%s is absent\n", path);
        skip();
    }
    struct str rest = buf_str(&text), line;
    n_checked = n_failed = 0;
    while (str_split_next(&rest, '\n', &line)) {
        CLEANUP_JSON struct json *c = NULL;
        if (line.len == 0)
            continue;
        assert_ok(js_parse(line, name, &c, &err));
        check_case(c);
    }
    print_message("%s: %d checked, %d failed\n", name, n_checked, n_failed);
    assert_true(n_checked > 30);
    assert_int_equal(n_failed, 0);
}

static void test_schema__cases(void **state)
{
    (void)state;
    check_file("cases.jsonl");
}

static void test_schema__gbnf(void **state)
{
    (void)state;
    check_file("gbnf.jsonl");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_schema__cases),
                                       cmocka_unit_test(test_schema__gbnf)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
