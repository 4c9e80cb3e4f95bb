/* SPDX-License-Identifier: Apache-2.0
 *
 * Option tables: parsing in pflag's words, help, man page, completion. */
#include "base/opt.h"

#include <stdlib.h>

#include "base/buf.h"
#include "test.h"

struct values {
    bool json, quiet;
    enum opt_tristate think;
    const char *url;
    int64_t n, keep;
    double temp;
    struct opt_list licenses;
};

static const struct opt opts[] = {
    {"json", 0, OPT_FLAG, offsetof(struct values, json), .help = "print JSON"},
    {"quiet", 'q', OPT_FLAG, offsetof(struct values, quiet), .help = "only ids"},
    {"think", 0, OPT_TRISTATE, offsetof(struct values, think), .help = "reason first"},
    {"url", 'u', OPT_STRING, offsetof(struct values, url), "URL", "ask this server"},
    {"limit", 'n', OPT_INT, offsetof(struct values, n), "N", "at most N rows", .min = 1, .max = 100},
    {"temp", 0, OPT_REAL, offsetof(struct values, temp), "T", "temperature", .min = 0, .max = 2},
    {"keep-alive", 0, OPT_DURATION, offsetof(struct values, keep), "DURATION", "stay loaded"},
    {"license", 'l', OPT_LIST, offsetof(struct values, licenses), "FILE", "add a licence"},
    OPT_END,
};

static int ran;
static int run_list(int argc, char **argv)
{
    (void)argv;
    ran = argc;
    return 0;
}

static const struct command subs[] = {
    {.name = "create", .args = "NAME", .summary = "Make one", .min_args = 1, .max_args = 1, .run = run_list},
    COMMAND_END,
};
static const struct command commands[] = {
    {.name = "list", .aliases = "ls", .args = "[MODEL]", .summary = "List the models", .opts = opts,
     .max_args = 1, .complete = COMPLETE_MODELS, .run = run_list},
    {.name = "context", .summary = "Manage contexts", .sub = subs},
    {.name = "secret", .summary = "Not shown", .hidden = true, .run = run_list},
    COMMAND_END,
};
static const struct program program = {
    .name = "docker model", .man_name = "docker-model", .version = "v1", .summary = "Run models",
    .details = "A paragraph.\n\n  literal -- text\n\nAnother one.", .commands = commands,
};

/* Parses a blank-separated command line. */
static int parse(const char *line, struct values *v, struct opt_args *args, struct error *err)
{
    static char text[256];
    static char *argv[32];
    snprintf(text, sizeof(text), "list %s", line);
    int argc = 0;
    for (char *save = NULL, *w = strtok_r(text, " ", &save); w; w = strtok_r(NULL, " ", &save))
        argv[argc++] = w;
    argv[argc] = NULL;
    static const struct command any = {.name = "list", .opts = opts, .max_args = -1};
    return opt_parse(&any, argc, argv, v, args, err);
}

static void test_opt__values(void **state)
{
    (void)state;
    struct values v = {0};
    struct opt_args args;
    struct error err = ERROR_INIT;
    assert_ok(parse("a --json -n5 b -u http://x --temp=0.5 --think=false --keep-alive 5m -l f -l=g "
                    "-- --json -x", &v, &args, &err));
    assert_true(v.json);
    assert_false(v.quiet);
    assert_int_equal(v.n, 5);
    assert_string_equal(v.url, "http://x");
    assert_true(v.temp > 0.49 && v.temp < 0.51);
    assert_int_equal(v.think, TRISTATE_FALSE);
    assert_int_equal(v.keep, 300000000000);
    assert_int_equal(v.licenses.n, 2);
    assert_string_equal(v.licenses.items[1], "g");
    opt_list_release(&v.licenses);
    assert_int_equal(args.n, 4);
    assert_string_equal(args.v[0], "a");
    assert_string_equal(args.v[1], "b");
    assert_string_equal(args.v[2], "--json");
    assert_int_equal(args.dashdash, 2);
    assert_null(args.v[4]);
}

/* An option whose value may be left out takes none from the next word. */
static void test_opt__bare(void **state)
{
    (void)state;
    static const struct opt bare_opts[] = {
        {"door", 'd', OPT_STRING, offsetof(struct values, url), "PATH", "open it", .bare = "here"},
        OPT_END,
    };
    static const struct command c = {.name = "x", .opts = bare_opts, .max_args = -1};
    static const struct {
        const char *option, *want;
    } rows[] = {{"--door", "here"}, {"--door=there", "there"}, {"--door=", ""}, {"-d", "here"},
                {"-d=there", "there"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char name[] = "x", option[32], word[] = "word";
        snprintf(option, sizeof(option), "%s", rows[i].option);
        char *argv[] = {name, option, word, NULL};
        struct values v = {0};
        struct opt_args args;
        struct error err = ERROR_INIT;
        assert_ok(opt_parse(&c, 3, argv, &v, &args, &err));
        assert_string_equal(v.url, rows[i].want);
        assert_int_equal(args.n, 1);
        assert_string_equal(args.v[0], "word");
    }
}

static void test_opt__errors(void **state)
{
    (void)state;
    static const struct {
        const char *line, *want;
    } cases[] = {
        {"--foo", "unknown flag: --foo"},
        {"--foo=1", "unknown flag: --foo"},
        {"-x", "unknown shorthand flag: 'x' in -x"},
        {"-qx", "unknown shorthand flag: 'x' in -qx"},
        {"--url", "flag needs an argument: --url"},
        {"-u", "flag needs an argument: 'u' in -u"},
        {"--limit abc", "invalid argument \"abc\" for \"-n, --limit\" flag: "},
        {"--limit 0", "from 1 to 100"},
        {"--temp nan", "invalid argument \"nan\" for \"--temp\" flag: "},
        {"--json=maybe", "invalid argument \"maybe\" for \"--json\" flag: "},
        {"--keep-alive 5", "invalid duration"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct values v = {.n = 42};
        struct opt_args args;
        struct error err = ERROR_INIT;
        assert_fails(parse(cases[i].line, &v, &args, &err), ERR_INVALID, cases[i].want);
        assert_int_equal(v.n, 42);
    }
    struct values v = {0};
    struct opt_args args;
    struct error err = ERROR_INIT;
    assert_fails(parse("-q --help", &v, &args, &err), ERR_CANCELED, "");
}

static void test_opt__dispatch(void **state)
{
    (void)state;
    char w_ls[] = "ls", w_x[] = "x", w_context[] = "context", w_create[] = "create";
    char *ls[] = {w_ls, w_x, NULL}, *nested[] = {w_context, w_create, w_x, NULL};
    assert_int_equal(opt_dispatch(&program, 2, ls), 0);
    assert_int_equal(ran, 2);
    ran = 0;
    assert_int_equal(opt_dispatch(&program, 3, nested), 0);
    assert_int_equal(ran, 2);
    char w_unknown[] = "lisd";
    char *unknown[] = {w_unknown, NULL};
    assert_int_equal(opt_dispatch(&program, 1, unknown), 1);
}

static char *printed(void (*print)(FILE *))
{
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    print(f);
    fclose(f);
    return text;
}

static void print_help(FILE *f) { opt_print_help(&program, &commands[0], f); }
static void print_all(FILE *f) { opt_print_help(&program, NULL, f); }
static void print_man(FILE *f) { opt_print_man(&program, f); }

static void test_opt__help(void **state)
{
    (void)state;
    CLEANUP_FREE char *help = printed(print_help);
    assert_non_null(strstr(help, "Usage:  docker model list [OPTIONS] [MODEL]\n"));
    assert_non_null(strstr(help, "  -n, --limit N"));
    CLEANUP_FREE char *all = printed(print_all);
    assert_non_null(strstr(all, "  literal -- text\n"));
    assert_null(strstr(all, "secret"));
    /* Every line fits a terminal of 80 columns. */
    struct str rest = str_from(help), line;
    while (str_split_next(&rest, '\n', &line))
        assert_true(line.len <= 80);
    CLEANUP_FREE char *man = printed(print_man);
    assert_non_null(strstr(man, ".TH DOCKER-MODEL 1"));
    assert_non_null(strstr(man, "\\fB\\-\\-limit\\fR"));
}

static void models(const char *prefix, FILE *to)
{
    fprintf(to, "%s-model\n", prefix);
}

static void test_opt__complete(void **state)
{
    (void)state;
    static const struct {
        const char *words[4];
        int n;
        const char *want, *lacks;
    } cases[] = {
        {{"l"}, 1, "list\tList the models\n:4\n", "context"},
        {{""}, 1, "context\t", "secret"},
        {{"list", "ab"}, 2, "ab-model\n:4\n", "list"},
        {{"ls", "--j"}, 2, "--json\tprint JSON\n:4\n", "--quiet"},
        {{"list", "--license", ""}, 3, ":0\n", "model"},
        {{"context", "cr"}, 2, "create\tMake one\n", "list"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *text = NULL;
        size_t n = 0;
        FILE *f = open_memstream(&text, &n);
        char *argv[4];
        memcpy(argv, cases[i].words, sizeof(argv));
        opt_complete(&program, cases[i].n, argv, models, f);
        fclose(f);
        if (!strstr(text, cases[i].want) || strstr(text, cases[i].lacks))
            fail_msg("case %zu: '%s'", i, text);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_opt__values),   cmocka_unit_test(test_opt__errors),
        cmocka_unit_test(test_opt__dispatch), cmocka_unit_test(test_opt__help),
        cmocka_unit_test(test_opt__complete), cmocka_unit_test(test_opt__bare),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
