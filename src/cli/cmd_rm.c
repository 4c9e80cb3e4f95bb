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
    struct api_call call = {.method = "DELETE", .path = path};
    struct http_result res = {0};
    int r = api_perform(&call, &res, err);
    if (r < 0) {
        http_result_release(&res);
        return r;
    }
    CLEANUP_JSON struct json *answer = NULL;
    if (res.status == 200) {
        /* An empty answer is fine: then there is nothing to tell. */
        if (res.body.len > 0)
            r = js_parse(buf_str(&res.body), "the runner's answer", &answer, err);
        print_removed(answer);
    } else if (res.status == 404) {
        r = error_set(err, ERR_NOT_FOUND, "no such model: %s", model);
    } else {
        char status[64];
        struct str text = api_error_text(&res, &answer);
        r = error_set(err, api_status_code(res.status), "removing %s failed with status %s: %.*s",
                      model, api_status_text(res.status, status), STR_ARG(text));
    }
    http_result_release(&res);
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

/* 1 yes, 0 no, negative when there is nobody to ask. */
static int confirm(struct error *err)
{
    fputs("WARNING! This will remove the entire models directory.\n"
          "Are you sure you want to continue? [y/N] ",
          stdout);
    fflush(stdout);
    char line[64];
    if (!fgets(line, sizeof(line), stdin))
        return error_set(err, ERR_INVALID, "EOF");
    return strcmp(line, "y\n") == 0 || strcmp(line, "Y\n") == 0 || strcmp(line, "y") == 0 ||
           strcmp(line, "Y") == 0;
}

static int expect_200(const char *method, const char *path, struct str body, struct error *err)
{
    struct api_call call = {.method = method, .path = path, .body = body};
    struct http_result res = {0};
    int r = api_perform(&call, &res, err);
    if (r == 0 && res.status != 200) {
        char status[64];
        CLEANUP_JSON struct json *hold = NULL;
        struct str text = api_error_text(&res, &hold);
        r = error_set(err, api_status_code(res.status), "%s %s failed with status %s: %.*s", method,
                      path, api_status_text(res.status, status), STR_ARG(text));
    }
    http_result_release(&res);
    return r;
}

int cmd_purge(int argc, char **argv)
{
    struct rm_options o = {0};
    struct opt_args args;
    int exit_code;
    if (!cli_parse("purge", argc, argv, &o, &args, &exit_code))
        return exit_code;
    struct error err = ERROR_INIT;
    if (!o.force) {
        int yes = confirm(&err);
        if (yes < 0)
            return cli_fail(NULL, &err);
        if (!yes) {
            puts("Operation cancelled.");
            return 0;
        }
    }
    if (expect_200("POST", "/engines/unload", STR("{\"all\":true}"), &err) < 0)
        return cli_fail("Failed to unload models", &err);
    if (expect_200("DELETE", "/models/purge", (struct str){0}, &err) < 0)
        return cli_fail("Failed to purge models", &err);
    return 0;
}
