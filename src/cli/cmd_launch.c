/* SPDX-License-Identifier: Apache-2.0
 *
 * docker model launch: applications that use models, started so that they find the runner. A row
 * an application: containers are run by docker, programs of this machine take this one's place. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/argv.h"
#include "base/file.h"
#include "base/json.h"
#include "base/paths.h"
#include "base/program.h"
#include "cli/cli.h"
#include "cli/cmd.h"
#include "cli/daemon.h"
#include "cli/print.h"

enum { CONFIG_MAX = 1 << 20 };

#define KEY "sk-docker-model-runner"

struct launch_options {
    int64_t port;
    const char *image, *model;
    bool detach, dry_run, config;
};

const struct opt launch_opts[] = {
    {"config", 0, OPT_FLAG, offsetof(struct launch_options, config),
     .help = "Print the settings for the application and start nothing"},
    {"detach", 0, OPT_FLAG, offsetof(struct launch_options, detach),
     .help = "Run a container in the background"},
    {"dry-run", 0, OPT_FLAG, offsetof(struct launch_options, dry_run),
     .help = "Print what would be run"},
    {"image", 0, OPT_STRING, offsetof(struct launch_options, image), "IMAGE",
     "Another image for a container"},
    {"model", 0, OPT_STRING, offsetof(struct launch_options, model), "MODEL",
     "The model to use (opencode, codex, claude)"},
    {"port", 0, OPT_INT, offsetof(struct launch_options, port), "PORT",
     "Another port of this machine for a container", .min = 1, .max = 65535},
    OPT_END,
};

static const struct app {
    const char *name, *description;
    /* A container: */
    const char *image, *volume;
    int port, inner_port;
    /* What it is told. */
    const char *suffix;       /* of the URL for OpenAI's variables; NULL = none of these */
    const char *variables[4]; /* "NAME=value"; "%s" in it is the base URL */
    const char *model_flag;   /* how a program is told the model; NULL = not by a flag */
} apps[] = {
    {"anythingllm", "RAG platform with Docker Model Runner provider",
     .image = "mintplexlabs/anythingllm:latest",
     .volume = "anythingllm_storage:/app/server/storage", .port = 3001, .inner_port = 3001,
     .variables = {"STORAGE_DIR=/app/server/storage", "LLM_PROVIDER=docker-model-runner",
                   "DOCKER_MODEL_RUNNER_BASE_PATH=%s"}},
    {"claude", "Claude Code AI assistant",
     .variables = {"ANTHROPIC_BASE_URL=%s/anthropic", "ANTHROPIC_API_KEY=" KEY},
     .model_flag = "--model"},
    {"codex", "Codex CLI", .suffix = "/v1", .model_flag = "--model"},
    {"openclaw", "Open Claw AI assistant"},
    {"opencode", "Open Code AI code editor", .suffix = "/engines/v1"},
    {"openwebui", "Open WebUI for models", .image = "ghcr.io/open-webui/open-webui:latest",
     .volume = "openwebui_data:/app/backend/data", .port = 3000, .inner_port = 8080,
     .suffix = "/engines/v1", .variables = {"WEBUI_AUTH=false"}},
};

static const struct app *find_app(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(apps); i++)
        if (strcmp(apps[i].name, name) == 0)
            return &apps[i];
    return NULL;
}

static bool is_installed(const struct app *app)
{
    CLEANUP_FREE char *path = NULL;
    return program_find(app->image ? "docker" : app->name, &path, NULL) == 0;
}

static int list_apps(void)
{
    printf("Supported apps:\n\n");
    for (size_t i = 0; i < ARRAY_LEN(apps); i++)
        printf("  %-15s %s%s\n", apps[i].name, apps[i].description,
               is_installed(&apps[i]) ? "" : " (not installed)");
    printf("\nUsage: docker model launch [APP] [-- APP_ARGS...]\n");
    return 0;
}

/* ---- where the runner is, for the application ---- */

static int base_url(const struct app *app, char **ret, struct error *err)
{
    const struct daemon *d;
    int r = daemon_find(&d, err);
    if (r < 0)
        return r;
    if (d->unix_path)
        return error_set(
            err, ERR_INVALID,
            "%s needs the runner at a TCP address, and it listens on %s only: start it "
            "with 'model-runner serve --tcp%s'",
            app->name, d->unix_path, app->image ? " --containers" : "");
    if (!app->image) {
        *ret = xstrdup(d->base_url);
        return 0;
    }
    if (d->kind != DAEMON_MANUAL) {
        *ret = daemon_container_url(d);
        return 0;
    }
    /* What this machine calls itself is somebody else inside of a container. */
    static const char *const own[] = {"//localhost", "//127.0.0.1"};
    struct str url = str_from(d->base_url);
    for (size_t i = 0; i < ARRAY_LEN(own); i++) {
        ptrdiff_t at = str_find(url, str_from(own[i]));
        size_t behind = (size_t)at + strlen(own[i]);
        if (at >= 0 && (behind == url.len || url.ptr[behind] == ':' || url.ptr[behind] == '/')) {
            *ret = xasprintf("%.*s//host.docker.internal%s", (int)at, url.ptr, url.ptr + behind);
            return 0;
        }
    }
    *ret = xstrdup(d->base_url);
    return 0;
}

static void add_variables(const struct app *app, const char *base, struct argv *env)
{
    static const char *const urls[] = {"OPENAI_API_BASE", "OPENAI_BASE_URL", "OPENAI_API_BASE_URL"};
    static const char *const keys[] = {"OPENAI_API_KEY", "OPEN_AI_KEY"};
    for (size_t i = 0; app->suffix && i < ARRAY_LEN(urls); i++)
        argv_add(env, "%s=%s%s", urls[i], base, app->suffix);
    for (size_t i = 0; app->suffix && i < ARRAY_LEN(keys); i++)
        argv_add(env, "%s=" KEY, keys[i]);
    for (size_t i = 0; i < ARRAY_LEN(app->variables) && app->variables[i]; i++) {
        const char *text = app->variables[i], *mark = strstr(text, "%s");
        if (mark)
            argv_add(env, "%.*s%s%s", (int)(mark - text), text, base, mark + 2);
        else
            argv_push(env, text);
    }
}

/* ---- command lines ---- */

static void container_words(const struct app *app, const struct launch_options *o,
                            const struct argv *env, struct argv *w)
{
    argv_add(w, "docker");
    argv_add(w, "run");
    argv_add(w, "--rm");
    if (o->detach)
        argv_add(w, "-d");
    argv_add(w, "--add-host=host.docker.internal:host-gateway");
    argv_add(w, "-p");
    argv_add(w, "%lld:%d", (long long)(o->port ? o->port : app->port), app->inner_port);
    argv_add(w, "-v");
    argv_push(w, app->volume);
    for (size_t i = 0; i < env->n; i++) {
        argv_add(w, "-e");
        argv_push(w, env->v[i]);
    }
    argv_push(w, o->image ? o->image : app->image);
}

/* opencode knows providers by its own file alone: ours is put among those that are there. */
static int write_opencode(const char *base, const char *model, struct error *err)
{
    CLEANUP_FREE char *home = NULL;
    int r = path_home(&home, err);
    if (r < 0)
        return r;
    CLEANUP_FREE char *dir = path_join(home, ".config/opencode");
    CLEANUP_FREE char *file = path_join(dir, "opencode.json");
    CLEANUP_BUF struct buf text = BUF_INIT(CONFIG_MAX);
    CLEANUP_JSON struct json *config = NULL;
    if (!file_exists(file)) {
        config = js_object();
    } else {
        r = file_read(file, &text, err);
        if (r == 0)
            r = js_parse(buf_str(&text), file, &config, err);
        if (r == 0 && !js_is(config, JS_OBJECT))
            r = error_set(err, ERR_INVALID, "'%s' is no JSON object", file);
        if (r < 0)
            return r;
    }
    if (!js_is(js_get(config, "provider"), JS_OBJECT))
        js_set(config, "provider", js_object());
    struct json *provider = js_object(), *options = js_object(), *models = js_object(),
                *entry = js_object();
    CLEANUP_FREE char *url = xasprintf("%s/v1", base);
    js_set_cstr(options, "baseURL", url);
    js_set_cstr(entry, "name", model);
    js_set(models, model, entry);
    js_set_cstr(provider, "npm", "@ai-sdk/openai-compatible");
    js_set_cstr(provider, "name", "Docker Model Runner");
    js_set(provider, "options", options);
    js_set(provider, "models", models);
    js_set(js_get(config, "provider"), "dmr", provider);
    CLEANUP_FREE char *model_name = xasprintf("dmr/%s", model);
    js_set_cstr(config, "model", model_name);
    CLEANUP_FREE char *out = js_text(config, JS_INDENT_2);
    r = dir_make(dir, 0700, err);
    return r < 0 ? r : file_write_atomic(file, str_from(out), 0600, err);
}

static void print_words(const struct argv *w)
{
    for (size_t i = 0; i < w->n; i++) {
        if (i > 0)
            putchar(' ');
        print_line_text(stdout, str_from(w->v[i]));
    }
    putchar('\n');
}

static void print_lines(const struct argv *w)
{
    for (size_t i = 0; i < w->n; i++) {
        fputs("  ", stdout);
        print_line_text(stdout, str_from(w->v[i]));
        putchar('\n');
    }
}

static int openclaw(const char *base)
{
    printf("openclaw is told where the runner is by these commands:\n\n"
           "  openclaw config set models.providers.dmr.baseUrl \"%s/engines/v1\"\n"
           "  openclaw config set models.providers.dmr.apiKey \"" KEY "\"\n"
           "  openclaw config set models.providers.dmr.api \"openai-completions\"\n",
           base);
    return 0;
}

/* This program becomes the other. */
static int become(const struct argv *w, const struct argv *env, struct error *err)
{
    CLEANUP_FREE char *program = NULL;
    int r = program_find(w->v[0], &program, err);
    if (r < 0)
        return error_set(err, ERR_NOT_FOUND, "%s is not installed: it is not in PATH", w->v[0]);
    for (size_t i = 0; env && i < env->n; i++) {
        char *equal = strchr(env->v[i], '=');
        *equal = '\0';
        setenv(env->v[i], equal + 1, 1);
    }
    fflush(stdout);
    execv(program, w->v);
    return error_errno(err, errno, "cannot start '%s'", program);
}

static int launch(const struct app *app, const struct launch_options *o, char *const *args,
                  int n_args, struct error *err)
{
    CLEANUP_FREE char *base = NULL;
    int r = base_url(app, &base, err);
    if (r < 0)
        return r;
    if (strcmp(app->name, "openclaw") == 0)
        return openclaw(base);
    CLEANUP_ARGV struct argv env = {0};
    CLEANUP_ARGV struct argv w = {0};
    add_variables(app, base, &env);
    if (o->config) {
        printf("Configuration for %s:\n", app->name);
        print_lines(&env);
        return 0;
    }
    if (app->image)
        container_words(app, o, &env, &w);
    else
        argv_push(&w, app->name);
    if (o->model && app->model_flag) {
        argv_push(&w, app->model_flag);
        argv_push(&w, o->model);
    }
    for (int i = 0; i < n_args; i++)
        argv_push(&w, args[i]);
    if (o->dry_run) {
        fputs("Would run: ", stdout);
        print_words(&w);
        if (!app->image)
            print_lines(&env);
        return 0;
    }
    if (o->model && strcmp(app->name, "opencode") == 0)
        r = write_opencode(base, o->model, err);
    return r < 0 ? r : become(&w, app->image ? NULL : &env, err);
}

static int unsupported(const char *name)
{
    CLEANUP_BUF struct buf text = BUF_INIT(4096);
    buf_printf(&text, "unsupported app \"%s\" (supported: ", name);
    for (size_t i = 0; i < ARRAY_LEN(apps); i++)
        buf_printf(&text, "%s%s", i ? ", " : "", apps[i].name);
    buf_push(&text, ')');
    return cli_fail_text("%s", buf_cstr(&text));
}

int cmd_launch(int argc, char **argv)
{
    struct launch_options o = {0};
    struct opt_args args;
    int exit_code;
    if (!cli_parse("launch", argc, argv, &o, &args, &exit_code))
        return exit_code;
    int n_before = args.dashdash >= 0 ? args.dashdash : args.n;
    if (n_before == 0)
        return list_apps();
    const struct app *app = find_app(args.v[0]);
    if (!app)
        return unsupported(args.v[0]);
    if (n_before > 1) {
        fputs("unexpected arguments:", stderr);
        for (int i = 1; i < n_before; i++) {
            fputc(' ', stderr);
            print_line_text(stderr, str_from(args.v[i]));
        }
        fputs("\nUse '--' to pass extra arguments to the app\n", stderr);
        return EXIT_FAILURE;
    }
    if (!app->image && (o.image || o.port || o.detach))
        return cli_fail_text("--image, --port and --detach are for applications in containers");
    if (o.model && !app->model_flag && strcmp(app->name, "opencode") != 0)
        return cli_fail_text("--model is for opencode, codex and claude");
    struct error err = ERROR_INIT;
    if (launch(app, &o, args.v + n_before, args.n - n_before, &err) < 0)
        return cli_fail(NULL, &err);
    return 0;
}
