/* SPDX-License-Identifier: Apache-2.0
 *
 * docker model verify and prune: looking after the store. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/api.h"
#include "cli/cli.h"
#include "cli/cmd.h"
#include "cli/meter.h"
#include "cli/news.h"
#include "cli/print.h"

/* ---- verify ---- */

struct verification {
    int64_t problems;
    struct meter meter;
};

static void on_line(void *ctx, const struct json *line)
{
    struct verification *v = ctx;
    struct str type = js_get_str(line, "type");
    if (str_eq_c(type, "progress")) {
        meter_show(&v->meter, (uint64_t)js_get_int(line, "current", 0),
                   (uint64_t)js_get_int(line, "total", 0));
    } else if (str_eq_c(type, "problem")) {
        meter_end(&v->meter);
        print_line_text(stdout, js_get_str(line, "message"));
        putchar('\n');
    } else if (str_eq_c(type, "result")) {
        v->problems = js_get_int(line, "problems", 0);
    }
}

static int verify(const char *name, struct verification *v, struct error *err)
{
    CLEANUP_JSON struct json *request = js_object();
    if (name)
        js_set_cstr(request, "model", name);
    int r = news_post("/models/verify", request, "verifying", on_line, v, err);
    meter_end(&v->meter);
    return r;
}

int cmd_verify(int argc, char **argv)
{
    struct opt_args args;
    int exit_code;
    if (!cli_parse("verify", argc, argv, NULL, &args, &exit_code))
        return exit_code;
    struct error err = ERROR_INIT;
    int64_t problems = 0;
    for (int i = 0; i < MAX(args.n, 1); i++) {
        struct verification v = {
            .meter = {.shown = print_is_tty(stderr), .doing = "Verifying", .percent = -1}};
        if (verify(args.n ? args.v[i] : NULL, &v, &err) < 0)
            return cli_fail("Failed to verify", &err);
        problems += v.problems;
    }
    if (problems == 0) {
        puts("Everything is as it should be.");
        return 0;
    }
    return cli_fail_text("%lld problem%s found", (long long)problems, problems == 1 ? "" : "s");
}

/* ---- prune ---- */

struct prune_options {
    bool force;
};

const struct opt prune_opts[] = {
    {"force", 'f', OPT_FLAG, offsetof(struct prune_options, force),
     .help = "Do not ask for confirmation"},
    OPT_END,
};

int cmd_prune(int argc, char **argv)
{
    struct prune_options o = {0};
    struct opt_args args;
    int exit_code;
    if (!cli_parse("prune", argc, argv, &o, &args, &exit_code))
        return exit_code;
    struct error err = ERROR_INIT;
    int yes = o.force ? 1
                      : cli_confirm("This removes interrupted downloads and files that belong to "
                                    "no model.",
                                    &err);
    if (yes <= 0)
        return yes < 0 ? cli_fail(NULL, &err) : 0;
    struct api_call call = {.method = "POST", .path = "/models/prune"};
    CLEANUP_JSON struct json *answer = NULL;
    if (api_call_json(&call, "pruning", &answer, &err) < 0)
        return cli_fail("Failed to prune", &err);
    char size[SIZE_TEXT_MAX];
    size_text(js_get_real(answer, "space_reclaimed", 0), size);
    printf("Total reclaimed space: %s\n", size);
    return 0;
}
