/* SPDX-License-Identifier: Apache-2.0
 *
 * docker model rm and purge: removing models. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "cli/api.h"
#include "cli/cli.h"
#include "cli/cmd.h"
#include "cli/print.h"

struct rm_options {
    bool force;
};

const struct opt rm_opts[] = {
    {"force", 'f', OPT_FLAG, offsetof(struct rm_options, force),
     .help = "Forcefully remove the model"},
    OPT_END,
};

const struct opt purge_opts[] = {
    {"force", 'f', OPT_FLAG, offsetof(struct rm_options, force),
     .help = "Forcefully remove all models"},
    OPT_END,
};

/* [{"Untagged":"…"},{"Deleted":"…"}] as lines. */
static void print_removed(const struct json *results)
{
    for (size_t i = 0; i < js_len(results); i++) {
        struct json_iter it = {0};
        while (js_next(js_at(results, i), &it)) {
            print_line_text(stdout, it.key);
            fputs(": ", stdout);
            print_line_text(stdout, js_to_str(it.value));
            putchar('\n');
        }
    }
}

static int remove_model(const char *model, bool force, struct error *err)
{
    CLEANUP_FREE char *path = api_model_path(model, force ? "?force=true" : "?force=false");
    CLEANUP_FREE char *what = xasprintf("removing %s", model);
    struct api_call call = {.method = "DELETE", .path = path};
    CLEANUP_JSON struct json *answer = NULL;
    int r = api_call_json(&call, what, &answer, err);
    if (r == -ERR_NOT_FOUND)
        return error_set(err, ERR_NOT_FOUND, "no such model: %s", model);
    if (r == 0)
        print_removed(answer);
    return r;
}

int cmd_rm(int argc, char **argv)
{
    struct rm_options o = {0};
    struct opt_args args;
    int exit_code;
    if (!cli_parse("rm", argc, argv, &o, &args, &exit_code))
        return exit_code;
    struct error err = ERROR_INIT;
    for (int i = 0; i < args.n; i++)
        if (remove_model(args.v[i], o.force, &err) < 0)
            return cli_fail("Failed to remove model", &err);
    return 0;
}

/* ---- purge ---- */

static int expect_200(const char *method, const char *path, struct str body, struct error *err)
{
    struct api_call call = {.method = method, .path = path, .body = body};
    CLEANUP_JSON struct json *answer = NULL;
    CLEANUP_FREE char *what = xasprintf("%s %s", method, path);
    return api_call_json(&call, what, &answer, err);
}

int cmd_purge(int argc, char **argv)
{
    struct rm_options o = {0};
    struct opt_args args;
    int exit_code;
    if (!cli_parse("purge", argc, argv, &o, &args, &exit_code))
        return exit_code;
    struct error err = ERROR_INIT;
    int yes =
        o.force ? 1 : cli_confirm("WARNING! This will remove the entire models directory.", &err);
    if (yes <= 0)
        return yes < 0 ? cli_fail(NULL, &err) : 0;
    if (expect_200("POST", "/engines/unload", STR("{\"all\":true}"), &err) < 0)
        return cli_fail("Failed to unload models", &err);
    if (expect_200("DELETE", "/models/purge", (struct str){0}, &err) < 0)
        return cli_fail("Failed to purge models", &err);
    return 0;
}
