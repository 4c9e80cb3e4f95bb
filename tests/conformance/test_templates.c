/* SPDX-License-Identifier: Apache-2.0
 *
 * Chat templates of published models against what Python's jinja2 rendered for them: every case of
 * ../shared/conformance/templates (or MR_SHARED). Skipped where the set is not present. */
#include "test.h"

#include <dirent.h>
#include <stdlib.h>
#include <time.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "engine/template/template.h"
#include "shared_set.h"

enum { FILE_MAX_BYTES = 16 << 20 };

struct tally {
    int templates, cases, failed;
};

static char *templates_dir(void)
{
    return shared_path("conformance/templates");
}

static void read_file(const char *path, struct buf *out)
{
    struct error err = ERROR_INIT;
    assert_ok(file_read(path, out, &err));
}

/* The set's times have no zone and are printed as local ones; the test runs in UTC. */
static struct timespec parse_now(const char *text)
{
    struct timespec t = {0};
    struct error err = ERROR_INIT;
    char zoned[64];
    snprintf(zoned, sizeof(zoned), "%sZ", text);
    assert_ok(clock_parse_rfc3339(str_from(zoned), &t, &err));
    return t;
}

/* Prints both texts around the first byte that differs. */
static void print_difference(struct str got, struct str want)
{
    size_t i = 0;
    while (i < got.len && i < want.len && got.ptr[i] == want.ptr[i])
        i++;
    size_t from = i < 60 ? 0 : i - 60;
    struct str g = str_sub(got, from, 120), w = str_sub(want, from, 120);
    print_error("  they differ at byte %zu\n  got:    %.*s\n  wanted: %.*s\n", i, STR_ARG(g),
                STR_ARG(w));
}

static bool check_case(const struct template *t, const struct json *c, struct timespec now,
                       const char *name)
{
    struct error err = ERROR_INIT;
    bool raised = false;
    CLEANUP_BUF struct buf text = BUF_INIT(FILE_MAX_BYTES);
    CLEANUP_BUF struct buf raised_text = BUF_INIT(FILE_MAX_BYTES);
    struct template_options o = {
        .now = now, .ret_raised = &raised, .ret_raised_text = &raised_text};
    int r = template_render(t, js_get(c, "vars"), &o, &text, &err);
    const struct json *error = js_get(c, "error");
    struct str want = js_to_str(error ? error : js_get(c, "expected"));
    struct str got = buf_str(raised ? &raised_text : &text);
    if ((r == 0 || raised) && raised == (error != NULL) && str_eq(got, want))
        return true;
    print_error("%s: %s\n", name, js_get_cstr(c, "name", "?"));
    if (r < 0 && !raised)
        print_error("  %s\n", err.msg);
    else
        print_difference(got, want);
    return false;
}

/* dir/name is "X.json"; its template is "X.jinja". */
static void check_file(const char *dir, const char *name, struct tally *tally)
{
    struct error err = ERROR_INIT;
    char stem[256];
    snprintf(stem, sizeof(stem), "%.*s.jinja", (int)(strlen(name) - 5), name);
    CLEANUP_FREE char *json_path = path_join(dir, name);
    CLEANUP_FREE char *template_path = path_join(dir, stem);
    CLEANUP_BUF struct buf text = BUF_INIT(FILE_MAX_BYTES);
    CLEANUP_BUF struct buf source = BUF_INIT(FILE_MAX_BYTES);
    read_file(json_path, &text);
    read_file(template_path, &source);
    CLEANUP_JSON struct json *set = NULL;
    assert_ok(js_parse(buf_str(&text), name, &set, &err));
    struct template *t = NULL;
    tally->templates++;
    const struct json *cases = js_get(set, "cases");
    tally->cases += (int)js_len(cases);
    if (template_parse(buf_str(&source), &t, &err) < 0) {
        print_error("%s: %s\n", name, err.msg);
        tally->failed += (int)js_len(cases);
        return;
    }
    struct timespec now = parse_now(js_get_cstr(set, "frozen_now", "2026-01-01T00:00:00"));
    for (size_t i = 0; i < js_len(cases); i++)
        tally->failed += !check_case(t, js_at(cases, i), now, name);
    template_free(t);
}

static void test_templates__all(void **state)
{
    (void)state;
    struct tally tally = {0};
    CLEANUP_FREE char *path = templates_dir();
    DIR *dir = opendir(path);
    if (!dir)
        skip();
    for (struct dirent *e; (e = readdir(dir));)
        if (str_ends_with(str_from(e->d_name), STR(".json")))
            check_file(path, e->d_name, &tally);
    closedir(dir);
    print_message("%d templates, %d cases, %d failed\n", tally.templates, tally.cases,
                  tally.failed);
    assert_true(tally.cases > 0);
    assert_int_equal(tally.failed, 0);
}

int main(void)
{
    setenv("TZ", "UTC", 1);
    tzset();
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_templates__all)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
