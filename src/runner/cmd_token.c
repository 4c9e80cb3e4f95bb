/* SPDX-License-Identifier: Apache-2.0
 *
 * model-runner token: make, list and remove access tokens. The daemon reads the file again by
 * itself, so it need not run, nor be told. */
#include "runner/cmd_token.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "runner/settings.h"
#include "runner/tokens.h"

struct token_options {
    const char *file;
    bool inference;
    struct opt_list models;
    int64_t per_minute;
};

#define AT(member) offsetof(struct token_options, member)
#define FILE_OPTION                                                                              \
    {                                                                                            \
        "tokens", 0, OPT_STRING, AT(file), "FILE",                                               \
            "the token file (default: tokens.json in ~/.docker/model-runner)", .env = TOKENS_ENV \
    }
static const struct opt create_opts[] = {
    {"inference", 0, OPT_FLAG, AT(inference),
     .help = "the token only lets models be used: no pulls, no deletions, no settings"},
    {"model", 0, OPT_LIST, AT(models), "PATTERN",
     "only use of models whose name fits, e.g. 'ai/*'; may be given several times"},
    {"per-minute", 0, OPT_INT, AT(per_minute), "N", "at most N requests a minute", .min = 1,
     .max = 1000000},
    FILE_OPTION,
    OPT_END,
};
static const struct opt file_opts[] = {FILE_OPTION, OPT_END};

static int fail(const struct error *err)
{
    fprintf(stderr, "model-runner: %s\n", err->msg);
    return errc_exit_code(err->code);
}

static int run_create(int argc, char **argv);
static int run_list(int argc, char **argv);
static int run_remove(int argc, char **argv);

const struct command token_commands[] = {
    {.name = "create",
     .args = "NAME",
     .summary = "Make a token and print it, once",
     .opts = create_opts,
     .min_args = 1,
     .max_args = 1,
     .run = run_create},
    {.name = "list",
     .aliases = "ls",
     .summary = "List the tokens",
     .opts = file_opts,
     .run = run_list},
    {.name = "remove",
     .aliases = "rm",
     .args = "NAME",
     .summary = "Remove a token, which ends its validity at once",
     .opts = file_opts,
     .min_args = 1,
     .max_args = 1,
     .run = run_remove},
    COMMAND_END,
};

/* Options and the file's path; false with the exit code when that is all. */
static bool begin(const char *name, int argc, char **argv, struct token_options *o,
                  struct opt_args *args, char **ret_path, int *ret_code)
{
    static const struct program program = {.name = "model-runner token"};
    struct error err = ERROR_INIT;
    const struct command *c = opt_find_command(token_commands, name);
    if (opt_parse(c, argc, argv, o, args, &err) < 0) {
        *ret_code = opt_usage_error(&program, c, &err);
        return false;
    }
    if (settings_token_file(o->file, ret_path, &err) < 0) {
        *ret_code = fail(&err);
        return false;
    }
    return true;
}

static int run_create(int argc, char **argv)
{
    struct token_options o = {0};
    struct opt_args args;
    CLEANUP_FREE char *path = NULL, *token = NULL;
    int code;
    if (!begin("create", argc, argv, &o, &args, &path, &code))
        return code;
    struct error err = ERROR_INIT;
    const struct token_limits limits = {.inference = o.inference,
                                        .models = o.models.items,
                                        .n_models = o.models.n,
                                        .per_minute = o.per_minute};
    int r = token_create(path, args.v[0], &limits, &token, &err);
    opt_list_release(&o.models);
    if (r < 0)
        return fail(&err);
    puts(token);
    return 0;
}

static int run_list(int argc, char **argv)
{
    struct token_options o = {0};
    struct opt_args args;
    CLEANUP_FREE char *path = NULL;
    CLEANUP_JSON struct json *list = NULL;
    int code;
    if (!begin("list", argc, argv, &o, &args, &path, &code))
        return code;
    struct error err = ERROR_INIT;
    if (tokens_read(path, &list, &err) < 0)
        return fail(&err);
    printf("%-20s  %-20s  %-9s  %-10s  %s\n", "NAME", "CREATED", "RIGHTS", "PER MINUTE", "MODELS");
    for (size_t i = 0; i < js_len(list); i++) {
        const struct json *e = js_at(list, i), *models = js_get(e, "models");
        char rate[32] = "any";
        if (js_get_int(e, "per_minute", 0) > 0)
            snprintf(rate, sizeof(rate), "%lld", (long long)js_get_int(e, "per_minute", 0));
        printf("%-20s  %-20s  %-9s  %-10s  ", js_get_cstr(e, "name", ""),
               js_get_cstr(e, "created", ""),
               js_get_bool(e, "inference", false) || models ? "inference" : "all", rate);
        for (size_t k = 0; k < js_len(models); k++)
            printf("%s%s", k ? ", " : "", js_to_cstr(js_at(models, k)));
        puts(models ? "" : "all");
    }
    return 0;
}

static int run_remove(int argc, char **argv)
{
    struct token_options o = {0};
    struct opt_args args;
    CLEANUP_FREE char *path = NULL;
    int code;
    if (!begin("remove", argc, argv, &o, &args, &path, &code))
        return code;
    struct error err = ERROR_INIT;
    return token_remove(path, args.v[0], &err) < 0 ? fail(&err) : 0;
}
