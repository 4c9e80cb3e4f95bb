/* SPDX-License-Identifier: Apache-2.0
 *
 * docker model list: the models in the store, or those of another OpenAI server. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "cli/api.h"
#include "cli/cli.h"
#include "cli/cmd.h"
#include "cli/model.h"
#include "cli/print.h"
#include "cli/table.h"

struct list_options {
    bool json, openai, quiet;
    const char *openaiurl;
};

const struct opt list_opts[] = {
    {"json", 0, OPT_FLAG, offsetof(struct list_options, json),
     .help = "List models in a JSON format"},
    {"openai", 0, OPT_FLAG, offsetof(struct list_options, openai),
     .help = "List models in the OpenAI format"},
    {"openaiurl", 0, OPT_STRING, offsetof(struct list_options, openaiurl), "URL",
     "List the models of this OpenAI-compatible endpoint"},
    {"quiet", 'q', OPT_FLAG, offsetof(struct list_options, quiet), .help = "Only show model IDs"},
    OPT_END,
};

/* "2 days ago"; nothing for models that do not say. */
static void created_text(int64_t created, char out[CLOCK_TEXT_MAX + 4])
{
    out[0] = '\0';
    if (created <= 0)
        return;
    char age[CLOCK_TEXT_MAX];
    clock_human(clock_wall_s() - created, age);
    snprintf(out, CLOCK_TEXT_MAX + 4, "%s ago", age);
}

static void print_table(const struct model_rows *rows)
{
    static const char *const header[] = {"MODEL NAME", "PARAMETERS", "QUANTIZATION", "ARCHITECTURE",
                                         "MODEL ID",   "CREATED",    "CONTEXT",      "SIZE"};
    struct table t;
    table_init(&t, header, ARRAY_LEN(header));
    for (size_t i = 0; i < rows->n; i++) {
        const struct json *model = rows->rows[i].model, *config = js_get(model, "config");
        struct str short_id = model_short_id(js_get_str(model, "id"));
        CLEANUP_FREE char *id = xasprintf("%.*s", STR_ARG(short_id));
        char created[CLOCK_TEXT_MAX + 4], context[32];
        created_text(js_get_int(model, "created", 0), created);
        const char *const cells[] = {
            rows->rows[i].name,
            js_get_cstr(config, "parameters", ""),
            js_get_cstr(config, "quantization", ""),
            js_get_cstr(config, "architecture", ""),
            id,
            created,
            model_context(model, context),
            js_get_cstr(config, "size", ""),
        };
        table_row(&t, cells);
    }
    table_print(&t, stdout);
    table_release(&t);
}

static bool keeps_model(const struct model_filter *filter, const struct json *model)
{
    struct str id = js_get_str(model, "id");
    const struct json *tags = js_get(model, "tags");
    if (!filter || model_filter_keeps(filter, id, STR("")))
        return true;
    for (size_t i = 0; i < js_len(tags); i++)
        if (model_filter_keeps(filter, id, js_to_str(js_at(tags, i))))
            return true;
    return false;
}

static void print_ids(const struct json *models, const struct model_filter *filter)
{
    for (size_t i = 0; i < js_len(models); i++) {
        const struct json *model = js_at(models, i);
        if (!keeps_model(filter, model))
            continue;
        print_line_text(stdout, model_short_id(js_get_str(model, "id")));
        putchar('\n');
    }
}

/* The array with what the filter keeps; null when it keeps nothing of something, which is what
 * readers of this JSON know. */
static struct json *filtered(struct json *models, const struct model_filter *filter)
{
    if (!filter || js_len(models) == 0)
        return js_ref(models);
    struct json *kept = js_array();
    for (size_t i = 0; i < js_len(models); i++)
        if (keeps_model(filter, js_at(models, i)))
            js_push(kept, js_ref(js_at(models, i)));
    if (js_len(kept) > 0)
        return kept;
    js_free(kept);
    return js_null();
}

/* ---- another server ---- */

static int by_id(const void *pa, const void *pb)
{
    const struct json *const *a = pa, *const *b = pb;
    return strcmp(js_get_cstr(*a, "id", ""), js_get_cstr(*b, "id", ""));
}

static void print_openai_table(const struct json *data, const char *filter)
{
    size_t n = js_len(data);
    const struct json **sorted = xcalloc(n + 1, sizeof(const struct json *));
    for (size_t i = 0; i < n; i++)
        sorted[i] = js_at(data, i);
    qsort(sorted, n, sizeof(const struct json *), by_id);
    struct table t;
    table_init(&t, (const char *const[]){"MODEL NAME", "CREATED"}, 2);
    for (size_t i = 0; i < n; i++) {
        const char *id = js_get_cstr(sorted[i], "id", "");
        if (filter && strcmp(filter, id) != 0)
            continue;
        char created[CLOCK_TEXT_MAX + 4];
        created_text(js_get_int(sorted[i], "created", 0), created);
        table_row(&t, (const char *const[]){id, created});
    }
    table_print(&t, stdout);
    table_release(&t);
    free(sorted);
}

static int list_other_server(const struct list_options *o, const char *filter)
{
    static const char what[] = "Failed to list models from OpenAI endpoint";
    struct error err = ERROR_INIT;
    struct daemon other = {0};
    CLEANUP_JSON struct json *list = NULL;
    int r = daemon_parse_address(o->openaiurl, false, &other, &err);
    if (r == 0)
        r = api_get_json_from(&other, "/models", "failed to list models", &list, &err);
    daemon_release(&other);
    if (r < 0)
        return cli_fail(what, &err);
    if (o->json || o->openai)
        print_json(stdout, list, JS_INDENT_4);
    else
        print_openai_table(js_get(list, "data"), filter);
    return 0;
}

int cmd_list(int argc, char **argv)
{
    struct list_options o = {0};
    struct opt_args args;
    int exit_code;
    if (!cli_parse("list", argc, argv, &o, &args, &exit_code))
        return exit_code;
    if (o.quiet && o.openai)
        return cli_fail_text("--quiet flag cannot be used with --openai flag or OpenAI backend");
    if (o.quiet && o.openaiurl)
        return cli_fail_text("--quiet flag cannot be used with --openaiurl flag");
    if (o.openaiurl)
        return list_other_server(&o, args.n > 0 ? args.v[0] : NULL);

    static const char what[] = "Failed to list models";
    struct error err = ERROR_INIT;
    struct model_filter filter, *used = NULL;
    if (args.n > 0) {
        if (model_filter_parse(args.v[0], &filter, &err) < 0)
            return cli_fail(what, &err);
        used = &filter;
    }
    CLEANUP_JSON struct json *models = NULL;
    if (o.openai) {
        if (api_get_json("/engines/v1/models", "failed to list models", &models, &err) < 0)
            return cli_fail(what, &err);
        print_json(stdout, models, JS_INDENT_4);
        return 0;
    }
    if (api_get_json("/models", "failed to list models", &models, &err) < 0)
        return cli_fail(what, &err);
    if (o.json) {
        CLEANUP_JSON struct json *kept = filtered(models, used);
        print_json(stdout, kept, JS_INDENT_4);
    } else if (o.quiet) {
        print_ids(models, used);
    } else {
        struct model_rows rows;
        model_rows_make(models, used, &rows);
        print_table(&rows);
        model_rows_release(&rows);
    }
    return 0;
}
