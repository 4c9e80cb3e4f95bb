/* SPDX-License-Identifier: Apache-2.0
 *
 * Option tables: one description of a command gives its parser, its --help, its man page and its
 * shell completion.
 *
 *     struct list_options {
 *         bool json;
 *         const char *url;
 *         int64_t limit;
 *     };
 *     static const struct opt list_opts[] = {
 *         {"json", 0, OPT_FLAG, offsetof(struct list_options, json), .help = "print JSON"},
 *         {"url", 'u', OPT_STRING, offsetof(struct list_options, url), "URL", "ask this server"},
 *         {"limit", 'n', OPT_INT, offsetof(struct list_options, limit), "N", "at most N rows",
 *          .min = 1, .max = 1000},
 *         OPT_END,
 *     };
 *
 *     int cmd_list(int argc, char **argv)           // main's signature; argv[0] is "list"
 *     {
 *         struct list_options o = {.limit = 32};    // defaults
 *         struct opt_args args;
 *         struct error err = ERROR_INIT;
 *         if (opt_parse(&list_command, argc, argv, &o, &args, &err) < 0)
 *             return opt_usage_error(&program, &list_command, &err);
 *         ...
 *     }
 *
 * Parsing follows GNU and Go's pflag, and says errors in pflag's words: options and arguments mix,
 * "--" ends the options, --name=value and --name value, -n5, -n 5, -abc for flags, --flag=false.
 * The parser keeps pointers into argv; nothing is copied except OPT_LIST's array.
 */
#ifndef BASE_OPT_H
#define BASE_OPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"

enum opt_type {
    OPT_FLAG,     /* bool */
    OPT_TRISTATE, /* enum opt_tristate: absent, --x, --x=false */
    OPT_STRING,   /* const char * */
    OPT_INT,      /* int64_t, checked against [min, max] when max > min */
    OPT_REAL,     /* double, checked against [min, max] when max > min */
    OPT_DURATION, /* int64_t nanoseconds, Go's notation (base/clock.h) */
    OPT_LIST,     /* struct opt_list: may be given several times */
};

enum opt_tristate { TRISTATE_ABSENT = 0, TRISTATE_TRUE, TRISTATE_FALSE };

struct opt_list {
    const char **items; /* free with opt_list_release */
    size_t n;
};
void opt_list_release(struct opt_list *l);

struct opt {
    const char *name; /* without the dashes; NULL ends a table */
    char letter;      /* 0 = none */
    enum opt_type type;
    size_t offset;    /* of the value in the command's options struct */
    const char *arg;  /* placeholder in the help: "FILE"; NULL for flags */
    const char *help; /* one sentence, no full stop, may name the default */
    const char *env;  /* environment variable that sets it too, for the help; the program reads it */
    double min, max;
    bool hidden;
    const char *bare; /* the value when none is given; one must then be given as --name=VALUE */
};
#define OPT_END {0}

/* What an argument of a command stands for: shells complete it accordingly. */
enum opt_complete { COMPLETE_NONE, COMPLETE_FILES, COMPLETE_MODELS };

struct command {
    const char *name;
    const char *aliases; /* "ls,dir"; NULL = none */
    const char *args;    /* "MODEL [PROMPT...]"; NULL or "" = none */
    const char *summary; /* one line */
    const char *details; /* paragraphs for --help and the man page; NULL = none */
    const struct opt *opts; /* NULL = none */
    int min_args, max_args; /* max_args < 0 = any number */
    enum opt_complete complete;
    bool hidden;
    const struct command *sub;          /* sub-commands, ended by a NULL name; NULL = none */
    int (*run)(int argc, char **argv);  /* exit code; NULL for a command that only has sub-commands */
};
#define COMMAND_END {0}

struct program {
    const char *name;     /* as the user types it: "docker model", "model-runner" */
    const char *man_name; /* page and file name: "docker-model" */
    const char *version;
    const char *summary;
    const char *details;  /* for --help and the man page */
    const struct opt *global_opts; /* accepted before the command; NULL = none */
    const struct command *commands;
    const char *man_extra; /* further roff sections: ENVIRONMENT, FILES, …; NULL = none */
};

/* The arguments that are no options; args.v[args.n] is NULL. `dashdash` is the index of the first
 * one behind "--", or -1. v points into a rearranged argv. */
struct opt_args {
    char **v;
    int n;
    int dashdash;
};

/* Parses argv[1..]; rearranges argv so that the arguments stand together. "--help"/"-h" gives
 * ERR_CANCELED with an empty message: opt_usage_error() then prints the help and returns 0. */
int opt_parse(const struct command *cmd, int argc, char **argv, void *values,
              struct opt_args *ret_args, struct error *err);

/* Parses only the options in front of the first argument (a program's global options): returns the
 * index of that argument in argv, or a negative error. */
int opt_parse_leading(const struct opt *opts, int argc, char **argv, void *values,
                      struct error *err);

/* Prints a parse error with the usage line to stderr (or the help to stdout) and returns the exit
 * code. */
int opt_usage_error(const struct program *p, const struct command *cmd, const struct error *err);

/* The command called `name` (aliases too) in an array, or NULL. */
const struct command *opt_find_command(const struct command *commands, const char *name);

/* Finds argv[0]'s command and runs it. Handles no command at all and "help [COMMAND…]",
 * "--help", "--version", an unknown command (with the nearest name), nested commands, and
 * "completion bash|zsh|fish" and "man". argv[0] is the first word behind the program name. */
int opt_dispatch(const struct program *p, int argc, char **argv);

void opt_print_help(const struct program *p, const struct command *cmd, FILE *to); /* cmd NULL = all */
void opt_print_man(const struct program *p, FILE *to); /* roff, section 1 */

/* Shell completion: a script for the shell that calls `PROGRAM __complete WORDS… CURRENT`. */
int opt_print_completion(const struct program *p, const char *shell, FILE *to, struct error *err);

/* Answers `__complete`: argv are the words typed behind the program's name, the last one being
 * completed (maybe ""). Prints "candidate\tdescription" lines and ":N", the directive of cobra's
 * protocol, which docker's own completion understands. `models` prints the model names that start
 * with a prefix; NULL = none. */
void opt_complete(const struct program *p, int argc, char **argv,
                  void (*models)(const char *prefix, FILE *to), FILE *to);

#endif
