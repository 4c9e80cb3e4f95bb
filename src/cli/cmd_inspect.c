/* SPDX-License-Identifier: Apache-2.0
 *
 * docker model inspect and show: one model, as JSON and for reading. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "cli/api.h"
#include "cli/cli.h"
#include "cli/cmd.h"
#include "cli/print.h"
#include "cli/table.h"

struct inspect_options {
    bool openai, remote, effective;
};

const struct opt inspect_opts[] = {
    {"openai", 0, OPT_FLAG, offsetof(struct inspect_options, openai),
     .help = "List model in an OpenAI format"},
    {"remote", 'r', OPT_FLAG, offsetof(struct inspect_options, remote),
     .help = "Show info for remote models"},
    OPT_END,
};

const struct opt show_opts[] = {
    {"effective", 0, OPT_FLAG, offsetof(struct inspect_options, effective),
     .help = "Show the settings it runs with, and where each comes from"},
    {"remote", 'r', OPT_FLAG, offsetof(struct inspect_options, remote),
     .help = "Show info for remote models"},
    OPT_END,
};

static int get_model(const char *name, const struct inspect_options *o, struct json **ret,
                     struct error *err)
{
    CLEANUP_FREE char *path = NULL;
    if (o->openai) {
        CLEANUP_FREE char *encoded = url_encode(str_from(name), "/:@");
        path = xasprintf("/engines/v1/models/%s", encoded);
    } else {
        path = api_model_path(name, o->remote ? "?remote=true" : "");
    }
    int r = api_get_json(path, "failed to list models", ret, err);
    if (r == -ERR_NOT_FOUND)
        return error_set(err, ERR_NOT_FOUND, "%s: model not found", name);
    return r;
}

static int fail(const char *name, const struct error *err)
{
    CLEANUP_FREE char *what = xasprintf("Failed to get model %s", name);
    return cli_fail(what, err);
}

int cmd_inspect(int argc, char **argv)
{
    struct inspect_options o = {0};
    struct opt_args args;
    int exit_code;
    if (!cli_parse("inspect", argc, argv, &o, &args, &exit_code))
        return exit_code;
    if (o.openai && o.remote)
        return cli_fail_text("--remote flag cannot be used with --openai flag");
    struct error err = ERROR_INIT;
    CLEANUP_JSON struct json *model = NULL;
    if (get_model(args.v[0], &o, &model, &err) < 0)
        return fail(args.v[0], &err);
    print_json(stdout, model, JS_INDENT_4);
    return 0;
}

/* ---- show ---- */

static void print_field(const char *label, struct str value)
{
    if (value.len == 0)
        return;
    printf("%-14s", label);
    print_line_text(stdout, value);
    putchar('\n');
}

static void print_tags(const struct json *tags)
{
    for (size_t i = 0; i < js_len(tags); i++) {
        fputs(i == 0 ? "Tags:        " : ", ", stdout);
        print_line_text(stdout, js_to_str(js_at(tags, i)));
    }
    if (js_len(tags) > 0)
        putchar('\n');
}

static void print_metadata(const char *title, const struct json *map)
{
    if (js_len(map) == 0)
        return;
    printf("\n%s\n", title);
    struct json_iter it = {0};
    while (js_next(map, &it)) {
        fputs("  ", stdout);
        print_line_text(stdout, it.key);
        fputs(": ", stdout);
        print_line_text(stdout, js_to_str(it.value));
        putchar('\n');
    }
}

static void print_config(const struct json *config)
{
    putchar('\n');
    print_field("Format:", js_get_str(config, "format"));
    print_field("Architecture:", js_get_str(config, "architecture"));
    print_field("Parameters:", js_get_str(config, "parameters"));
    print_field("Size:", js_get_str(config, "size"));
    print_field("Quantization:", js_get_str(config, "quantization"));
    int64_t context = js_get_int(config, "context_size", 0);
    if (context > 0) {
        char text[24];
        snprintf(text, sizeof(text), "%lld", (long long)context);
        print_field("Context Size:", str_from(text));
    }
    print_metadata("GGUF Metadata:", js_get(config, "gguf"));
    print_metadata("Safetensors Metadata:", js_get(config, "safetensors"));
    print_metadata("Diffusers Metadata:", js_get(config, "diffusers"));
}

static char *value_text(const struct json *v)
{
    if (js_is(v, JS_STRING))
        return xasprintf("%.*s", STR_ARG(js_to_str(v)));
    return js_is(v, JS_NULL) ? xstrdup("") : js_text(v, JS_COMPACT);
}

static int show_effective(const char *name)
{
    CLEANUP_FREE char *encoded = url_encode(str_from(name), "/:@");
    CLEANUP_FREE char *path = xasprintf("/engines/_configure/effective?model=%s", encoded);
    struct error err = ERROR_INIT;
    CLEANUP_JSON struct json *answer = NULL;
    int r = api_get_json(path, "failed to get the settings", &answer, &err);
    if (r == -ERR_NOT_FOUND)
        error_set(&err, ERR_NOT_FOUND, "%s: model not found", name);
    if (r < 0)
        return fail(name, &err);
    struct table t;
    table_init(&t, (const char *const[]){"SETTING", "VALUE", "SOURCE", "NOTE"}, 4);
    const struct json *rows = js_get(answer, "settings");
    for (size_t i = 0; i < js_len(rows); i++) {
        const struct json *row = js_at(rows, i);
        CLEANUP_FREE char *value = value_text(js_get(row, "value"));
        table_row(&t, (const char *const[]){js_get_cstr(row, "name", ""), value,
                                            js_get_cstr(row, "source", ""),
                                            js_get_cstr(row, "note", "")});
    }
    table_print(&t, stdout);
    table_release(&t);
    return 0;
}

int cmd_show(int argc, char **argv)
{
    struct inspect_options o = {0};
    struct opt_args args;
    int exit_code;
    if (!cli_parse("show", argc, argv, &o, &args, &exit_code))
        return exit_code;
    if (o.effective && o.remote)
        return cli_fail_text("--remote flag cannot be used with --effective flag");
    if (o.effective)
        return show_effective(args.v[0]);
    struct error err = ERROR_INIT;
    CLEANUP_JSON struct json *model = NULL;
    if (get_model(args.v[0], &o, &model, &err) < 0)
        return fail(args.v[0], &err);

    fputs("Model:       ", stdout);
    print_line_text(stdout, js_get_str(model, "id"));
    putchar('\n');
    print_tags(js_get(model, "tags"));
    int64_t created = js_get_int(model, "created", 0);
    if (created > 0) {
        char text[CLOCK_TEXT_MAX];
        clock_rfc3339((struct timespec){.tv_sec = (time_t)created}, text);
        printf("Created:     %s\n", text);
    }
    const struct json *config = js_get(model, "config");
    if (js_is(config, JS_OBJECT))
        print_config(config);
    return 0;
}
