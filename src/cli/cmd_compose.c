/* SPDX-License-Identifier: Apache-2.0
 *
 * docker model compose: Docker Compose's provider protocol. Compose runs
 *
 *     docker-model compose metadata
 *     docker-model compose --project-name=P up --model=M [--context-size=N] … SERVICE
 *     docker-model compose --project-name=P down SERVICE
 *
 * and reads JSON lines {"type":"info|error|setenv","message":"…"} from standard output. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "cli/api.h"
#include "cli/cli.h"
#include "cli/cmd.h"
#include "cli/configure.h"
#include "cli/model.h"
#include "cli/print.h"
#include "cli/transfer.h"

struct compose_options {
    const char *project;
};

const struct opt compose_opts[] = {
    {"project-name", 0, OPT_STRING, offsetof(struct compose_options, project), "NAME",
     "Compose project name"},
    OPT_END,
};

struct up_options {
    const char *project, *backend, *runtime_flags, *draft_model;
    struct opt_list models;
    int64_t context_size, num_tokens;
    double min_acceptance;
};

const struct opt compose_up_opts[] = {
    {"backend", 0, OPT_STRING, offsetof(struct up_options, backend), "NAME",
     "Inference backend to use (not used: the model's format decides)"},
    {"context-size", 0, OPT_INT, offsetof(struct up_options, context_size), "N",
     "Context size for the model"},
    {"model", 0, OPT_LIST, offsetof(struct up_options, models), "MODEL", "Model to use"},
    {"project-name", 0, OPT_STRING, offsetof(struct up_options, project), "NAME",
     "Compose project name"},
    {"runtime-flags", 0, OPT_STRING, offsetof(struct up_options, runtime_flags), "FLAGS",
     "Raw runtime flags for the inference engine"},
    {"speculative-draft-model", 0, OPT_STRING, offsetof(struct up_options, draft_model), "MODEL",
     "Draft model for speculative decoding"},
    {"speculative-min-acceptance-rate", 0, OPT_REAL, offsetof(struct up_options, min_acceptance),
     "RATE", "Minimum acceptance rate for speculative decoding"},
    {"speculative-num-tokens", 0, OPT_INT, offsetof(struct up_options, num_tokens), "N",
     "Number of tokens to predict speculatively"},
    OPT_END,
};

/* ---- metadata ---- */

/* What `up` takes, in the words of the protocol. */
static const struct parameter {
    const char *name, *description, *type, *fallback;
    bool required;
} up_parameters[] = {
    {"backend", "Inference backend to use", "string", "llama.cpp", false},
    {"context-size", "Context size for the model", "int64", "-1", false},
    {"model", "Model to use", "stringArray", NULL, true},
    {"runtime-flags", "Raw runtime flags to pass to the inference engine", "string", NULL, false},
    {"speculative-draft-model", "Draft model for speculative decoding", "string", NULL, false},
    {"speculative-min-acceptance-rate", "Minimum acceptance rate for speculative decoding",
     "float64", NULL, false},
    {"speculative-num-tokens", "Number of tokens to predict speculatively", "int", NULL, false},
};

int cmd_compose_metadata(int argc, char **argv)
{
    struct compose_options o = {0};
    struct opt_args args;
    int exit_code;
    if (!cli_parse("compose metadata", argc, argv, &o, &args, &exit_code))
        return exit_code;
    struct json *parameters = js_array();
    for (size_t i = 0; i < ARRAY_LEN(up_parameters); i++) {
        const struct parameter *p = &up_parameters[i];
        struct json *out = js_object();
        js_set_cstr(out, "name", p->name);
        js_set_cstr(out, "description", p->description);
        js_set_bool(out, "required", p->required);
        js_set_cstr(out, "type", p->type);
        if (p->fallback)
            js_set_cstr(out, "default", p->fallback);
        js_push(parameters, out);
    }
    CLEANUP_JSON struct json *metadata = js_object();
    struct json *up = js_object(), *down = js_object();
    js_set_cstr(metadata, "description", "Docker Model Runner");
    js_set(up, "parameters", parameters);
    js_set(down, "parameters", js_null());
    js_set(metadata, "up", up);
    js_set(metadata, "down", down);
    CLEANUP_FREE char *text = js_text(metadata, JS_COMPACT);
    fputs(text, stdout);
    return 0;
}

int cmd_compose_down(int argc, char **argv)
{
    struct compose_options o = {0};
    struct opt_args args;
    int exit_code;
    return cli_parse("compose down", argc, argv, &o, &args, &exit_code) ? 0 : exit_code;
}

/* ---- up ---- */

static void emit(const char *type, const char *message)
{
    CLEANUP_JSON struct json *line = js_object();
    js_set_cstr(line, "type", type);
    js_set_cstr(line, "message", message);
    print_json(stdout, line, JS_COMPACT);
    fflush(stdout);
}

static void emit_info(const char *fmt, ...) ATTR_PRINTF(1, 2);
static void emit_info(const char *fmt, ...)
{
    CLEANUP_BUF struct buf text = BUF_INIT(64 * 1024);
    va_list args;
    va_start(args, fmt);
    buf_vprintf(&text, fmt, args);
    va_end(args);
    emit("info", buf_cstr(&text));
}

static void on_progress(void *ctx, const struct progress *p)
{
    (void)ctx;
    emit_info("%.*s", STR_ARG(p->message));
}

static void on_warning(void *ctx, struct str message)
{
    (void)ctx;
    emit_info("Warning: %.*s", STR_ARG(message));
}

static bool is_stored(const struct json *models, const char *name)
{
    struct model_filter filter;
    if (model_filter_parse(name, &filter, NULL) < 0)
        return false;
    /* A service that names no tag means "latest", not any. */
    filter.any_tag = false;
    struct model_rows rows;
    model_rows_make(models, &filter, &rows);
    bool found = rows.n > 0;
    model_rows_release(&rows);
    return found;
}

static int pull_missing(const struct up_options *o, struct error *err)
{
    CLEANUP_JSON struct json *models = NULL;
    int r = api_get_json("/models", "failed to list models", &models, err);
    for (size_t i = 0; r == 0 && i < o->models.n; i++) {
        if (is_stored(models, o->models.items[i]))
            continue;
        struct progress_sink sink = {.progress = on_progress, .warning = on_warning};
        struct transfer t = {.mode = PROGRESS_PULL, .model = o->models.items[i], .sink = &sink};
        CLEANUP_FREE char *message = NULL;
        r = transfer_model(&t, &message, err);
        if (r == 0)
            emit_info("%s", message);
        else
            error_wrap(err, "Failed to pull model");
    }
    return r;
}

static int configure(const struct up_options *o, const char *model, struct error *err)
{
    CLEANUP_JSON struct json *request = js_object();
    js_set_cstr(request, "model", model);
    if (o->context_size > 0)
        js_set_int(request, "context-size", o->context_size);
    if (o->runtime_flags && *o->runtime_flags)
        js_set_cstr(request, "raw-runtime-flags", o->runtime_flags);
    if (o->draft_model && *o->draft_model) {
        struct json *speculative = js_object();
        js_set_cstr(speculative, "draft_model", o->draft_model);
        if (o->num_tokens > 0)
            js_set_int(speculative, "num_tokens", o->num_tokens);
        if (o->min_acceptance > 0)
            js_set_real(speculative, "min_acceptance_rate", o->min_acceptance);
        js_set(request, "speculative", speculative);
    }
    int r = configure_model(request, err);
    if (r < 0)
        return error_wrap(err, "failed to configure backend for model %s", model);
    emit_info("Successfully configured backend for model %s", model);
    return 0;
}

static int up(const struct up_options *o, struct error *err)
{
    if (o->models.n == 0)
        return error_set(err, ERR_INVALID, "options.model is required");
    emit_info("Initializing model runner...");
    const struct daemon *d = NULL;
    int r = daemon_find(&d, err);
    if (r == 0)
        r = pull_missing(o, err);
    if (r < 0)
        return r;
    if (o->context_size > 0)
        emit_info("Setting context size to %lld", (long long)o->context_size);
    if (o->runtime_flags && *o->runtime_flags)
        emit_info("Setting raw runtime flags to %s", o->runtime_flags);
    if (o->draft_model && *o->draft_model)
        emit_info("Enabling speculative decoding with draft model: %s", o->draft_model);
    CLEANUP_BUF struct buf names = BUF_INIT(64 * 1024);
    for (size_t i = 0; i < o->models.n; i++)
        buf_printf(&names, "%s%s", i > 0 ? "," : "MODEL=", o->models.items[i]);
    emit("setenv", buf_cstr(&names));
    for (size_t i = 0; i < o->models.n; i++) {
        r = configure(o, o->models.items[i], err);
        if (r < 0)
            return r;
    }
    CLEANUP_FREE char *base = daemon_container_url(d);
    CLEANUP_FREE char *url = xasprintf("URL=%s/engines/v1/", base);
    emit("setenv", url);
    return 0;
}

int cmd_compose_up(int argc, char **argv)
{
    struct up_options o = {.context_size = -1};
    struct opt_args args;
    int exit_code = 0;
    if (cli_parse("compose up", argc, argv, &o, &args, &exit_code)) {
        struct error err = ERROR_INIT;
        if (up(&o, &err) < 0) {
            emit("error", err.msg);
            exit_code = cli_fail(NULL, &err);
        }
    }
    opt_list_release(&o.models);
    return exit_code;
}

/* Reached when options stand in front of the sub-command. */
int cmd_compose(int argc, char **argv)
{
    struct compose_options o = {0};
    struct error err = ERROR_INIT;
    const struct command *compose = cli_command("compose");
    int at = opt_parse_leading(compose_opts, argc, argv, &o, &err);
    if (at < 0)
        return opt_usage_error(&cli_program, compose, &err);
    const struct command *sub = at < argc ? opt_find_command(compose->sub, argv[at]) : NULL;
    if (!sub) {
        opt_print_help(&cli_program, compose, at < argc ? stderr : stdout);
        return at < argc ? 1 : 0;
    }
    return sub->run(argc - at, argv + at);
}
