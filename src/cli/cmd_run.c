/* SPDX-License-Identifier: Apache-2.0
 *
 * docker model run: one prompt, or a chat. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "cli/api.h"
#include "cli/cli.h"
#include "cli/cmd.h"
#include "cli/package.h"
#include "cli/print.h"
#include "cli/repl.h"
#include "cli/transfer.h"

enum { STDIN_MAX_BYTES = 64 << 20 };

struct run_options {
    bool debug, detach;
    const char *color, *openaiurl;
};

const struct opt run_opts[] = {
    {"color", 0, OPT_STRING, offsetof(struct run_options, color), "WHEN",
     "Use colored output: auto, yes or no (default no)"},
    {"debug", 0, OPT_FLAG, offsetof(struct run_options, debug),
     .help = "Show what is done, and the speed of the answers"},
    {"detach", 'd', OPT_FLAG, offsetof(struct run_options, detach),
     .help = "Load the model in the background with no interaction"},
    {"openaiurl", 0, OPT_STRING, offsetof(struct run_options, openaiurl), "URL",
     "Chat with this OpenAI-compatible endpoint instead of the runner"},
    OPT_END,
};

/* The words behind MODEL, and what is piped in. *ret is NULL when there is neither. */
static int read_prompt(const struct opt_args *args, bool read_stdin, char **ret, struct error *err)
{
    CLEANUP_BUF struct buf prompt = BUF_INIT(STDIN_MAX_BYTES);
    for (int i = 1; i < args->n; i++)
        buf_printf(&prompt, "%s%s", i > 1 ? " " : "", args->v[i]);
    struct stat st;
    if (read_stdin && fstat(STDIN_FILENO, &st) == 0 && !S_ISCHR(st.st_mode)) {
        CLEANUP_BUF struct buf piped = BUF_INIT(STDIN_MAX_BYTES);
        int r = fd_read_all(STDIN_FILENO, "standard input", &piped, err);
        if (r < 0)
            return r;
        if (prompt.len > 0 && piped.len > 0)
            buf_append(&prompt, STR("\n\n"));
        buf_append(&prompt, buf_str(&piped));
        if (prompt.len == 0)
            return error_set(
                err, ERR_INVALID,
                "there is no prompt: standard input is empty, and no words follow MODEL");
    }
    int r = buf_check(&prompt, "the prompt", err);
    if (r == 0)
        *ret = prompt.len > 0 ? buf_take(&prompt) : NULL;
    return r;
}

static bool use_color(const char *when, bool *ret)
{
    if (!when || strcmp(when, "no") == 0)
        *ret = false;
    else if (strcmp(when, "yes") == 0)
        *ret = true;
    else if (strcmp(when, "auto") == 0)
        *ret = print_color(stdout);
    else
        return false;
    return true;
}

/* Sees to it that the runner has the model; packages or pulls it otherwise. 0, or an exit code with
 * the error printed. *ret_name: the name it has there; the caller frees it. */
static int provide_model(const char *word, char **ret_name)
{
    struct error err = ERROR_INIT;
    if (package_is_local_file(word)) {
        CLEANUP_FREE char *name = package_name_for(word);
        fprintf(stderr, "Packaging the file %s as the model %s\n", word, name);
        struct artifact_source source = {.gguf = word};
        if (package_model(&source, NULL, name, 0, &err) < 0)
            return cli_fail("package model", &err);
        *ret_name = TAKE(name);
        return 0;
    }
    CLEANUP_FREE char *path = api_model_path(word, "");
    CLEANUP_JSON struct json *model = NULL;
    int r = api_get_json(path, "failed to list models", &model, &err);
    if (r == -ERR_NOT_FOUND) {
        fprintf(stderr, "Unable to find model '%s' locally. Pulling from the server.\n", word);
        if (file_exists(word))
            fprintf(stderr, "(To run the file of that name here, write ./%s)\n", word);
        err = (struct error)ERROR_INIT;
        CLEANUP_FREE char *message = NULL;
        if (transfer_pull(word, stderr, &message, &err) < 0)
            return cli_fail("Failed to pull model", &err);
        print_line_text(stderr, str_from(message));
        fputc('\n', stderr);
    } else if (r < 0) {
        return cli_fail("Failed to inspect model", &err);
    }
    *ret_name = xstrdup(word);
    return 0;
}

static int detach(const char *model, bool debug)
{
    struct error err = ERROR_INIT;
    if (chat_preload(model, NULL, &err) < 0)
        return cli_fail("Failed to load model", &err);
    if (debug)
        fprintf(stderr, "Model %s loaded successfully\n", model);
    return 0;
}

static int talk(const struct chat_endpoint *endpoint, const char *model, const char *prompt,
                const struct run_options *o, bool color)
{
    if (o->debug && prompt)
        fprintf(stderr, "Running model %s with prompt %s\n", model, prompt);
    else if (o->debug)
        fprintf(stderr, "Running model %s\n", model);
    struct session session;
    session_init(&session, endpoint, model, color, o->debug);
    int exit_code = 0;
    if (prompt) {
        struct error err = ERROR_INIT;
        if (session_ask(&session, prompt, &err) < 0)
            exit_code = cli_fail("Failed to generate a response", &err);
    } else {
        exit_code = repl_run(&session);
    }
    session_release(&session);
    return exit_code;
}

int cmd_run(int argc, char **argv)
{
    struct run_options o = {0};
    struct opt_args args;
    int exit_code;
    if (!cli_parse("run", argc, argv, &o, &args, &exit_code))
        return exit_code;
    bool color = false;
    if (!use_color(o.color, &color))
        return cli_fail_text("--color must be one of: auto, yes, no (got \"%s\")", o.color);
    if (o.detach && o.openaiurl)
        return cli_fail_text("--detach flag cannot be used with --openaiurl flag");

    struct error err = ERROR_INIT;
    CLEANUP_FREE char *prompt = NULL;
    if (read_prompt(&args, !o.detach, &prompt, &err) < 0)
        return cli_fail(NULL, &err);

    if (o.openaiurl) {
        struct daemon other = {0};
        if (daemon_parse_address(o.openaiurl, false, &other, &err) < 0)
            return cli_fail(NULL, &err);
        struct chat_endpoint endpoint = {.other = &other, .prefix = ""};
        exit_code = talk(&endpoint, args.v[0], prompt, &o, color);
        daemon_release(&other);
        return exit_code;
    }
    CLEANUP_FREE char *model = NULL;
    exit_code = provide_model(args.v[0], &model);
    if (exit_code != 0)
        return exit_code;
    if (o.detach)
        return detach(model, o.debug);
    return talk(&chat_runner, model, prompt, &o, color);
}
