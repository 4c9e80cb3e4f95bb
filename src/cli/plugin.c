/* SPDX-License-Identifier: Apache-2.0
 *
 * docker's plugin protocol, see plugin.h and the examples in main.c. */
#include "cli/plugin.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "cli/api.h"
#include "cli/cli.h"
#include "cli/interrupt.h"
#include "cli/model.h"
#include "cli/print.h"

#define METADATA_COMMAND "docker-cli-plugin-metadata"

/* docker's own options. Those that say where its engine is do not concern us: the models do not
 * run in it. They are accepted, because docker passes on all it was given. */
struct global_options {
    bool debug, tls, tlsverify;
    const char *config, *context, *log_level, *tlscacert, *tlscert, *tlskey;
    struct opt_list hosts;
};

static const struct opt global_opts[] = {
    {"config", 0, OPT_STRING, offsetof(struct global_options, config), "DIR",
     "Location of client config files", "DOCKER_CONFIG"},
    {"context", 'c', OPT_STRING, offsetof(struct global_options, context), "NAME",
     "Docker context (not used by this plugin)"},
    {"debug", 'D', OPT_FLAG, offsetof(struct global_options, debug), .help = "Enable debug mode"},
    {"host", 'H', OPT_LIST, offsetof(struct global_options, hosts), "LIST",
     "Daemon socket of the Docker engine (not used by this plugin)"},
    {"log-level", 'l', OPT_STRING, offsetof(struct global_options, log_level), "LEVEL",
     "Logging level of docker (not used by this plugin)"},
    {"tls", 0, OPT_FLAG, offsetof(struct global_options, tls), .hidden = true},
    {"tlscacert", 0, OPT_STRING, offsetof(struct global_options, tlscacert), "FILE",
     .hidden = true},
    {"tlscert", 0, OPT_STRING, offsetof(struct global_options, tlscert), "FILE", .hidden = true},
    {"tlskey", 0, OPT_STRING, offsetof(struct global_options, tlskey), "FILE", .hidden = true},
    {"tlsverify", 0, OPT_FLAG, offsetof(struct global_options, tlsverify), .hidden = true},
    OPT_END,
};

void plugin_print_metadata(FILE *to)
{
    /* The layout is docker's: five spaces. */
    fprintf(to,
            "{\n"
            "     \"SchemaVersion\": \"0.1.0\",\n"
            "     \"Vendor\": \"Docker Inc.\",\n"
            "     \"Version\": \"v%s\",\n"
            "     \"ShortDescription\": \"Docker Model Runner\"\n"
            "}\n",
            MR_VERSION);
}

static void drop(int *argc, char **argv, int at, int n)
{
    /* The terminating NULL moves along. */
    memmove(argv + at, argv + at + n, (size_t)(*argc - at - n + 1) * sizeof(*argv));
    *argc -= n;
}

static bool is_word(int argc, char **argv, int at, const char *word)
{
    return at < argc && strcmp(argv[at], word) == 0;
}

static bool is_help_flag(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

static bool is_completion(const char *word)
{
    return strcmp(word, "__complete") == 0 || strcmp(word, "__completeNoDesc") == 0;
}

int plugin_normalize(int argc, char **argv)
{
    static char help_word[] = "help";
    if (is_word(argc, argv, 1, "--version"))
        return argc;
    struct global_options o = {0};
    struct error err = ERROR_INIT;
    int first = opt_parse_leading(global_opts, argc, argv, &o, &err);
    opt_list_release(&o.hosts);
    if (first < 0) {
        if (err.code != ERR_CANCELED) {
            fprintf(stderr, "%s\n\nRun '%s --help' for more information\n", err.msg,
                    cli_program.name);
            return -1;
        }
        /* --help among them: everything in front of it is settled. */
        first = 1;
        while (first < argc && !is_help_flag(argv[first]))
            first++;
    }
    if (o.config)
        setenv("DOCKER_CONFIG", o.config, 1);
    drop(&argc, argv, 1, first - 1);

    /* "--help model list" means what "model list --help" does. */
    if (argc > 1 && is_help_flag(argv[1]))
        argv[1] = help_word;
    if (is_word(argc, argv, 1, "model"))
        drop(&argc, argv, 1, 1);
    else if (argc > 1 && (strcmp(argv[1], "help") == 0 || is_completion(argv[1])) &&
             is_word(argc, argv, 2, "model"))
        drop(&argc, argv, 2, 1);
    return argc;
}

static void print_model_names(const char *prefix, FILE *to)
{
    /* Called while the user waits for a completion: no answer soon means no names. */
    struct http_call http = HTTP_CALL_INIT;
    http.connect_timeout_ms = 500;
    http.timeout_ms = 2000;
    struct api_call call = {.path = "/models", .http = &http};
    struct http_result res = {0};
    CLEANUP_JSON struct json *models = NULL;
    if (api_perform(&call, &res, NULL) == 0 && res.status == 200 &&
        js_parse(buf_str(&res.body), "the answer", &models, NULL) == 0) {
        struct model_rows rows;
        model_rows_make(models, NULL, &rows);
        for (size_t i = 0; i < rows.n; i++) {
            struct str name = str_from(rows.rows[i].name);
            if (name.ptr[0] == '<' || !str_starts_with(name, str_from(prefix)))
                continue;
            print_line_text(to, name);
            fputc('\n', to);
        }
        model_rows_release(&rows);
    }
    http_result_release(&res);
}

int plugin_main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], METADATA_COMMAND) == 0) {
        plugin_print_metadata(stdout);
        return 0;
    }
    argc = plugin_normalize(argc, argv);
    if (argc < 0)
        return 1;
    if (argc > 1 && is_completion(argv[1])) {
        opt_complete(&cli_program, argc - 2, argv + 2, print_model_names, stdout);
        return 0;
    }
    interrupt_watch_plugin_socket();
    return opt_dispatch(&cli_program, argc - 1, argv + 1);
}
