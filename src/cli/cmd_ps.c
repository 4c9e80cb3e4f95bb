/* SPDX-License-Identifier: Apache-2.0
 *
 * docker model ps, df and unload: what is in memory, what is on disk, and freeing the memory. */
#include <stdio.h>
#include <string.h>

#include "base/compiler.h"
#include "cli/api.h"
#include "cli/cli.h"
#include "cli/cmd.h"
#include "cli/print.h"
#include "cli/ps_view.h"
#include "cli/table.h"

int cmd_ps(int argc, char **argv)
{
    struct opt_args args;
    int exit_code;
    if (!cli_parse("ps", argc, argv, NULL, &args, &exit_code))
        return exit_code;
    struct error err = ERROR_INIT;
    CLEANUP_JSON struct json *running = NULL;
    if (api_get_json("/engines/ps", "failed to list running models", &running, &err) < 0)
        return cli_fail("Failed to list running models", &err);

    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct table t;
    table_init(&t, (const char *const[]){"MODEL NAME", "BACKEND", "MODE", "UNTIL"}, 4);
    for (size_t i = 0; i < js_len(running); i++) {
        const struct json *row = js_at(running, i);
        char name[OCI_REFERENCE_TEXT_MAX], until[PS_UNTIL_MAX];
        ps_model_name(js_get_str(row, "model_name"), name);
        ps_until(row, now, until);
        table_row(&t, (const char *const[]){name, js_get_cstr(row, "backend_name", ""),
                                            js_get_cstr(row, "mode", ""), until});
    }
    table_print(&t, stdout);
    table_release(&t);
    return 0;
}

int cmd_df(int argc, char **argv)
{
    struct opt_args args;
    int exit_code;
    if (!cli_parse("df", argc, argv, NULL, &args, &exit_code))
        return exit_code;
    struct error err = ERROR_INIT;
    CLEANUP_JSON struct json *usage = NULL;
    if (api_get_json("/engines/df", "failed to get disk usage", &usage, &err) < 0)
        return cli_fail("Failed to list running models", &err);
    char models[SIZE_TEXT_MAX], engine[SIZE_TEXT_MAX];
    double engine_bytes = js_get_real(usage, "default_backend_disk_usage", 0);
    size_text(js_get_real(usage, "models_disk_usage", 0), models);
    size_text(engine_bytes, engine);
    struct table t;
    table_init(&t, (const char *const[]){"TYPE", "SIZE"}, 2);
    table_row(&t, (const char *const[]){"Models", models});
    static const struct {
        const char *key, *type;
    } parts[] = {
        {"partial_disk_usage", "Partial downloads"},
        {"reclaimable_disk_usage", "Reclaimable by prune"},
    };
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        char size[SIZE_TEXT_MAX];
        double bytes = js_get_real(usage, parts[i].key, 0);
        size_text(bytes, size);
        if (bytes > 0)
            table_row(&t, (const char *const[]){parts[i].type, size});
    }
    if (engine_bytes > 0)
        table_row(&t, (const char *const[]){"Inference engine", engine});
    table_print(&t, stdout);
    table_release(&t);
    return 0;
}

/* ---- unload ---- */

struct unload_options {
    bool all;
    const char *backend;
};

const struct opt unload_opts[] = {
    {"all", 0, OPT_FLAG, offsetof(struct unload_options, all), .help = "Unload all running models"},
    {"backend", 0, OPT_STRING, offsetof(struct unload_options, backend), "NAME",
     "Only models that this backend runs"},
    OPT_END,
};

int cmd_unload(int argc, char **argv)
{
    struct unload_options o = {.backend = ""};
    struct opt_args args;
    int exit_code;
    if (!cli_parse("unload", argc, argv, &o, &args, &exit_code))
        return exit_code;
    if (!o.all && args.n == 0)
        return cli_usage("unload",
                         "'docker model unload' requires MODEL unless --all is specified.");
    if (o.all && args.n > 0)
        return cli_usage("unload",
                         "'docker model unload' does not take MODEL when --all is specified.");

    CLEANUP_JSON struct json *request = js_object();
    js_set_bool(request, "all", o.all);
    js_set_cstr(request, "backend", o.backend);
    struct json *models = js_array();
    for (int i = 0; i < args.n; i++)
        js_push(models, js_cstr(args.v[i]));
    js_set(request, "models", models);
    CLEANUP_FREE char *body = js_text(request, JS_COMPACT);

    struct error err = ERROR_INIT;
    struct api_call call = {.path = "/engines/unload", .body = str_from(body)};
    CLEANUP_JSON struct json *answer = NULL;
    if (api_call_json(&call, "unloading", &answer, &err) < 0)
        return cli_fail("Failed to unload models", &err);

    int64_t n = js_get_int(answer, "unloaded_runners", 0);
    if (n > 0)
        printf("Unloaded %lld model(s).\n", (long long)n);
    else
        puts(o.all ? "No models are running." : "No such model(s) running.");
    return 0;
}
