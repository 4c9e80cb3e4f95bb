/* SPDX-License-Identifier: Apache-2.0
 *
 * Parsing and failure reports, in the words that scripts around docker know. */
#include "cli/cli.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/str.h"
#include "cli/api.h"
#include "cli/print.h"

const char *const cli_start_hints[] = {
    "Start a runner on this machine → docker model start-runner",
    "Use a runner that listens elsewhere → set MODEL_RUNNER_HOST=http://HOST:PORT",
    NULL,
};

const struct command *cli_command(const char *path)
{
    const struct command *found = NULL, *in = cli_program.commands;
    struct str rest = str_from(path), word;
    while (str_split_next(&rest, ' ', &word)) {
        CLEANUP_FREE char *name = str_dup(word);
        found = name ? opt_find_command(in, name) : NULL;
        if (!found)
            abort(); /* a path that is not in our own table */
        in = found->sub;
    }
    return found;
}

/* docker's shape of a complaint about arguments. */
static int argument_error(const char *path, const struct command *cmd, const char *text)
{
    fprintf(stderr, "%s\n\nUsage:  %s %s%s%s\n\nSee '%s %s --help' for more information\n", text,
            cli_program.name, path, cmd->args && *cmd->args ? " " : "", cmd->args ? cmd->args : "",
            cli_program.name, path);
    return 1;
}

int cli_usage(const char *path, const char *fmt, ...)
{
    struct error err = ERROR_INIT;
    va_list args;
    va_start(args, fmt);
    error_vset(&err, ERR_INVALID, fmt, args);
    va_end(args);
    return argument_error(path, cli_command(path), err.msg);
}

bool cli_parse(const char *path, int argc, char **argv, void *values, struct opt_args *ret_args,
               int *ret_exit)
{
    const struct command *cmd = cli_command(path);
    /* The count is checked here, because docker words it with the whole command path. */
    struct command any_count = *cmd;
    any_count.min_args = 0;
    any_count.max_args = -1;
    struct error err = ERROR_INIT;
    struct opt_args args;
    if (opt_parse(&any_count, argc, argv, values, &args, &err) < 0) {
        *ret_exit = opt_usage_error(&cli_program, cmd, &err);
        return false;
    }
    bool few = args.n < cmd->min_args;
    bool many = cmd->max_args >= 0 && args.n > cmd->max_args;
    if (!few && !many) {
        *ret_args = args;
        return true;
    }
    if (cmd->max_args == 0)
        *ret_exit = cli_usage(path, "'%s %s' accepts no arguments", cli_program.name, path);
    else if (cmd->min_args == cmd->max_args)
        *ret_exit = cli_usage(path, "'%s %s' requires %d argument(s).", cli_program.name, path,
                              cmd->min_args);
    else if (few)
        *ret_exit = cli_usage(path, "'%s %s' requires at least %d argument(s).", cli_program.name,
                              path, cmd->min_args);
    else
        *ret_exit = cli_usage(path, "'%s %s' accepts at most %d arg(s), received %d",
                              cli_program.name, path, cmd->max_args, args.n);
    return false;
}

void cli_next_steps(FILE *to, const char *const *hints)
{
    bool color = print_color(to);
    fprintf(to, "%s\nWhat's next:%s\n", color ? "\033[1m" : "", color ? "\033[0m" : "");
    for (; *hints; hints++)
        fprintf(to, "    %s\n", *hints);
}

int cli_fail(const char *what, const struct error *err)
{
    fflush(stdout);
    bool not_running = err->code == ERR_UNAVAILABLE;
    if (not_running && strcmp(err->msg, API_NOT_RUNNING) == 0)
        fprintf(stderr, "%s\n\n", err->msg);
    else if (what)
        fprintf(stderr, "%s: %s\n", what, err->msg);
    else
        fprintf(stderr, "%s\n", err->msg);
    if (not_running)
        cli_next_steps(stderr, cli_start_hints);
    return errc_exit_code(err->code);
}

int cli_fail_text(const char *fmt, ...)
{
    struct error err = ERROR_INIT;
    va_list args;
    va_start(args, fmt);
    error_vset(&err, ERR_INVALID, fmt, args);
    va_end(args);
    return cli_fail(NULL, &err);
}

int cli_confirm(const char *warning, struct error *err)
{
    printf("%s\nAre you sure you want to continue? [y/N] ", warning);
    fflush(stdout);
    char line[64];
    if (!fgets(line, sizeof(line), stdin))
        return error_set(err, ERR_INVALID, "EOF: nobody answers; use --force");
    line[strcspn(line, "\n")] = '\0';
    if (strcmp(line, "y") == 0 || strcmp(line, "Y") == 0)
        return 1;
    puts("Operation cancelled.");
    return 0;
}
