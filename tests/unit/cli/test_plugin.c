/* SPDX-License-Identifier: Apache-2.0
 *
 * The forms of the command line, and the addresses of a runner. */
#include "test.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "cli/cli.h"
#include "cli/daemon.h"
#include "cli/plugin.h"

/* Splits at spaces, normalizes, joins again. */
static char *normalized(const char *line)
{
    char *words = strdup(line);
    char *argv[32];
    int argc = 0;
    for (char *save = NULL, *w = strtok_r(words, " ", &save); w; w = strtok_r(NULL, " ", &save))
        argv[argc++] = w;
    argv[argc] = NULL;
    int n = plugin_normalize(argc, argv);
    struct buf out = BUF_INIT(1024);
    buf_append_c(&out, n < 0 ? "error" : "");
    for (int i = 1; i < n; i++)
        buf_printf(&out, "%s%s", i > 1 ? " " : "", argv[i]);
    if (n >= 0)
        assert_null(argv[n]);
    free(words);
    char *text = buf_take(&out);
    return text ? text : strdup("");
}

static void test_plugin__argv_forms(void **state)
{
    (void)state;
    static const struct {
        const char *line, *want;
    } cases[] = {
        {"docker-model", ""},
        {"docker-model list", "list"},
        {"docker-model model list", "list"},
        {"docker-model model", ""},
        {"docker-model --context x model list --json", "list --json"},
        {"docker-model -c x -D -H tcp://a -H tcp://b -l debug model ps", "ps"},
        {"docker-model --context=x --tls --tlscacert a --tlscert b --tlskey c --tlsverify model ps",
         "ps"},
        {"docker-model help model", "help"},
        {"docker-model help model list", "help list"},
        {"docker-model --help", "help"},
        {"docker-model --help model list", "help list"},
        {"docker-model -D --help", "help"},
        {"docker-model model --help", "--help"},
        {"docker-model model list --help", "list --help"},
        {"docker-model __complete model run sm", "__complete run sm"},
        {"docker-model __completeNoDesc run sm", "__completeNoDesc run sm"},
        {"docker-model --version", "--version"},
        /* Only the first "model" is docker's. */
        {"docker-model model rm model", "rm model"},
        {"docker-model rm model", "rm model"},
        {"docker-model model model", "model"},
        /* Options behind the command are the command's. */
        {"docker-model compose --project-name=p up --model=m",
         "compose --project-name=p up --model=m"},
        {"docker-model --nonsense model list", "error"},
        {"docker-model --context", "error"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *got = normalized(cases[i].line);
        if (strcmp(got, cases[i].want) != 0)
            fail_msg("'%s' became '%s', wanted '%s'", cases[i].line, got, cases[i].want);
        free(got);
    }
}

static void test_plugin__config_option_is_the_directory(void **state)
{
    (void)state;
    unsetenv("DOCKER_CONFIG");
    char *got = normalized("docker-model --config /tmp/some-config model ls");
    assert_string_equal(got, "ls");
    assert_string_equal(getenv("DOCKER_CONFIG"), "/tmp/some-config");
    unsetenv("DOCKER_CONFIG");
    free(got);
}

static void test_plugin__metadata(void **state)
{
    (void)state;
    char *text = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&text, &len);
    plugin_print_metadata(to);
    fclose(to);
    assert_string_equal(text, "{\n"
                              "     \"SchemaVersion\": \"0.1.0\",\n"
                              "     \"Vendor\": \"Docker Inc.\",\n"
                              "     \"Version\": \"v" MR_VERSION "\",\n"
                              "     \"ShortDescription\": \"Docker Model Runner\"\n"
                              "}\n");
    free(text);
    /* Compose passes runtime flags on from 1.0.6. */
    int major = 0, minor = 0, patch = 0;
    assert_int_equal(sscanf(MR_VERSION, "%d.%d.%d", &major, &minor, &patch), 3);
    assert_true(major * 10000 + minor * 100 + patch >= 10006);
}

static void test_commands__table_is_sound(void **state)
{
    (void)state;
    for (const struct command *c = cli_program.commands; c->name; c++) {
        assert_ptr_equal(cli_command(c->name), c);
        assert_true(c->run || c->sub);
        assert_non_null(c->summary);
        /* Names sort, and no two commands share one. */
        if (c[1].name)
            assert_true(strcmp(c->name, c[1].name) < 0);
        for (const struct opt *o = c->opts; o && o->name; o++) {
            assert_non_null(o->help);
            if (o[1].name)
                assert_true(strcmp(o->name, o[1].name) < 0);
        }
        for (const struct command *s = c->sub; s && s->name; s++)
            assert_true(s->run != NULL);
    }
}

static void test_daemon__addresses(void **state)
{
    (void)state;
    static const struct {
        const char *address;
        bool tls;
        const char *base, *unix_path; /* base NULL = refused */
    } cases[] = {
        {"http://localhost:12434", false, "http://localhost:12434", NULL},
        {"http://localhost:12434/", false, "http://localhost:12434", NULL},
        {" http://h:1/x// ", false, "http://h:1/x", NULL},
        {"localhost:1234", false, "http://localhost:1234", NULL},
        {"localhost:1234", true, "https://localhost:1234", NULL},
        {"http://h:1", true, "https://h:1", NULL},
        {"https://h:1", false, "https://h:1", NULL},
        {"http://[::1]:12434", false, "http://[::1]:12434", NULL},
        {"unix:///run/x.sock", false, "http://localhost", "/run/x.sock"},
        {"unix://relative.sock", false, NULL, NULL},
        {"unix://", false, NULL, NULL},
        {"ftp://h", false, NULL, NULL},
        {"http://", false, NULL, NULL},
        {"http:///path", false, NULL, NULL},
        {"two words", false, NULL, NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct daemon d = {0};
        struct error err = ERROR_INIT;
        int r = daemon_parse_address(cases[i].address, cases[i].tls, &d, &err);
        if ((r == 0) != (cases[i].base != NULL))
            fail_msg("'%s': %s", cases[i].address, r == 0 ? "accepted" : err.msg);
        if (r == 0) {
            assert_string_equal(d.base_url, cases[i].base);
            if (cases[i].unix_path)
                assert_string_equal(d.unix_path, cases[i].unix_path);
            else
                assert_null(d.unix_path);
        }
        daemon_release(&d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plugin__argv_forms),
        cmocka_unit_test(test_plugin__config_option_is_the_directory),
        cmocka_unit_test(test_plugin__metadata),
        cmocka_unit_test(test_commands__table_is_sound),
        cmocka_unit_test(test_daemon__addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
