/* SPDX-License-Identifier: Apache-2.0
 *
 * What every command of docker-model shares: the program's table, parsing with docker's error
 * texts, and how a failure is reported.
 *
 * A command is one function with main's signature that returns the exit code. Results go to
 * standard output, everything else to standard error; `list --json` and `status --json` write
 * nothing but JSON, because Compose reads both streams together. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>
#include <stdio.h>

#include "base/error.h"
#include "base/opt.h"

extern const struct program cli_program;

/* The command at a path of words, "list" or "context create"; it must exist. */
const struct command *cli_command(const char *path);

/* Parses the options and checks the number of arguments of the command at `path`. When it returns
 * false, the help or the error has been printed and *ret_exit is what to return. */
bool cli_parse(const char *path, int argc, char **argv, void *values, struct opt_args *ret_args,
               int *ret_exit);

/* Reports a wrong use of the command with its usage lines; returns the exit code. */
int cli_usage(const char *path, const char *fmt, ...) ATTR_PRINTF(2, 3);

/* Says what would happen and asks: 1 yes, 0 no (and says so), negative when there is nobody to ask. */
int cli_confirm(const char *warning, struct error *err);

/* Reports "WHAT: the error" and, where nothing is running, what to do. WHAT may be NULL. Returns
 * the exit code for the error. */
int cli_fail(const char *what, const struct error *err);

/* The same without an error value. */
int cli_fail_text(const char *fmt, ...) ATTR_PRINTF(1, 2);

/* "What's next:" with one indented line for each hint (NULL ends them). */
void cli_next_steps(FILE *to, const char *const *hints);

/* The hints for a runner that does not answer. */
extern const char *const cli_start_hints[];

#endif
