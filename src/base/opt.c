/* SPDX-License-Identifier: Apache-2.0
 *
 * Option tables: parsing and dispatch. Help, man pages and completion, which read the same tables,
 * are in opt_help.c, opt_man.c and opt_complete.c. */
#include "base/opt.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/opt_internal.h"
#include "base/str.h"

void opt_list_release(struct opt_list *l)
{
    free(l->items);
    *l = (struct opt_list){0};
}

bool opt__takes_value(const struct opt *o)
{
    return o->type != OPT_FLAG && o->type != OPT_TRISTATE && !o->bare;
}

static void *value_of(void *values, const struct opt *o)
{
    return (char *)values + o->offset;
}

static int bad_value(const struct opt *o, const char *text, const char *why, struct error *err)
{
    if (o->letter)
        return error_set(err, ERR_INVALID, "invalid argument \"%s\" for \"-%c, --%s\" flag: %s",
                         text, o->letter, o->name, why);
    return error_set(err, ERR_INVALID, "invalid argument \"%s\" for \"--%s\" flag: %s", text,
                     o->name, why);
}

/* Go's strconv.ParseBool. */
static int parse_bool(const char *text, bool *ret)
{
    static const char *const yes[] = {"1", "t", "T", "true", "TRUE", "True"};
    static const char *const no[] = {"0", "f", "F", "false", "FALSE", "False"};
    for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
        if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0) {
            *ret = strcmp(text, yes[i]) == 0;
            return 0;
        }
    }
    return -1;
}

static int set_number(const struct opt *o, void *values, const char *text, struct error *err)
{
    struct error why = ERROR_INIT;
    double number;
    if (o->type == OPT_INT) {
        int64_t v;
        if (str_to_i64(str_from(text), "the value", &v, &why) < 0)
            return bad_value(o, text, why.msg, err);
        number = (double)v;
        if (!(o->max > o->min) || (number >= o->min && number <= o->max))
            memcpy(value_of(values, o), &v, sizeof(v));
    } else {
        if (str_to_f64(str_from(text), "the value", &number, &why) < 0)
            return bad_value(o, text, why.msg, err);
        if (!(o->max > o->min) || (number >= o->min && number <= o->max))
            memcpy(value_of(values, o), &number, sizeof(number));
    }
    if (o->max > o->min && (number < o->min || number > o->max)) {
        char range[80];
        snprintf(range, sizeof(range), "it must be from %.15g to %.15g", o->min, o->max);
        return bad_value(o, text, range, err);
    }
    return 0;
}

static int set_value(const struct opt *o, void *values, const char *text, struct error *err)
{
    void *at = value_of(values, o);
    switch (o->type) {
    case OPT_FLAG:
    case OPT_TRISTATE: {
        bool v;
        if (parse_bool(text, &v) < 0)
            return bad_value(o, text, "use true or false", err);
        if (o->type == OPT_FLAG)
            *(bool *)at = v;
        else
            *(enum opt_tristate *)at = v ? TRISTATE_TRUE : TRISTATE_FALSE;
        return 0;
    }
    case OPT_STRING:
        *(const char **)at = text;
        return 0;
    case OPT_INT:
    case OPT_REAL:
        return set_number(o, values, text, err);
    case OPT_DURATION: {
        struct error why = ERROR_INIT;
        int64_t ns;
        if (duration_parse(str_from(text), &ns, &why) < 0)
            return bad_value(o, text, why.msg, err);
        *(int64_t *)at = ns;
        return 0;
    }
    case OPT_LIST: {
        struct opt_list *l = at;
        l->items = xrealloc(l->items, l->n + 1, sizeof(*l->items));
        l->items[l->n++] = text;
        return 0;
    }
    }
    return 0;
}

static const struct opt *find_long(const struct opt *opts, const char *name, size_t len)
{
    for (const struct opt *o = opts; o && o->name; o++)
        if (strlen(o->name) == len && memcmp(o->name, name, len) == 0)
            return o;
    return NULL;
}

static const struct opt *find_letter(const struct opt *opts, char letter)
{
    for (const struct opt *o = opts; o && o->name; o++)
        if (o->letter == letter)
            return o;
    return NULL;
}

static int help_wanted(struct error *err)
{
    error_set(err, ERR_CANCELED, "%s", "");
    return -(int)ERR_CANCELED;
}

/* Parses the option at argv[at]; returns how many words it took, or a negative error. */
static int parse_long(const struct opt *opts, char **argv, int argc, int at, void *values,
                      struct error *err)
{
    const char *name = argv[at] + 2;
    const char *eq = strchr(name, '=');
    size_t len = eq ? (size_t)(eq - name) : strlen(name);
    const struct opt *o = find_long(opts, name, len);
    int r;
    if (!o) {
        if (len == 4 && memcmp(name, "help", 4) == 0)
            return help_wanted(err);
        return error_set(err, ERR_INVALID, "unknown flag: --%.*s", (int)len, name);
    }
    if (eq) {
        r = set_value(o, values, eq + 1, err);
        return r < 0 ? r : 1;
    }
    if (!opt__takes_value(o)) {
        r = set_value(o, values, o->bare ? o->bare : "true", err);
        return r < 0 ? r : 1;
    }
    if (at + 1 >= argc)
        return error_set(err, ERR_INVALID, "flag needs an argument: --%s", o->name);
    r = set_value(o, values, argv[at + 1], err);
    return r < 0 ? r : 2;
}

static int parse_letters(const struct opt *opts, char **argv, int argc, int at, void *values,
                         struct error *err)
{
    for (const char *p = argv[at] + 1; *p; p++) {
        const struct opt *o = find_letter(opts, *p);
        int r;
        if (!o) {
            if (*p == 'h')
                return help_wanted(err);
            return error_set(err, ERR_INVALID, "unknown shorthand flag: '%c' in %s", *p, argv[at]);
        }
        if (!opt__takes_value(o)) {
            const char *text = p[1] == '=' ? p + 2 : o->bare ? o->bare : "true";
            r = set_value(o, values, text, err);
            if (r < 0)
                return r;
            if (p[1] == '=')
                return 1;
            continue;
        }
        if (p[1]) {
            r = set_value(o, values, p[1] == '=' ? p + 2 : p + 1, err);
            return r < 0 ? r : 1;
        }
        if (at + 1 >= argc)
            return error_set(err, ERR_INVALID, "flag needs an argument: '%c' in %s", *p, argv[at]);
        r = set_value(o, values, argv[at + 1], err);
        return r < 0 ? r : 2;
    }
    return 1;
}

static bool is_option(const char *word)
{
    return word[0] == '-' && word[1] != '\0';
}

static int parse_option(const struct opt *opts, char **argv, int argc, int at, void *values,
                        struct error *err)
{
    if (argv[at][1] == '-')
        return parse_long(opts, argv, argc, at, values, err);
    return parse_letters(opts, argv, argc, at, values, err);
}

int opt_parse(const struct command *cmd, int argc, char **argv, void *values,
              struct opt_args *ret_args, struct error *err)
{
    struct opt_args args = {.dashdash = -1};
    /* Arguments move to the front as they are found; a place is free once it has been read. */
    int kept = 1;
    for (int i = 1; i < argc;) {
        if (args.dashdash < 0 && strcmp(argv[i], "--") == 0) {
            args.dashdash = kept - 1;
            i++;
        } else if (args.dashdash < 0 && is_option(argv[i])) {
            int used = parse_option(cmd->opts, argv, argc, i, values, err);
            if (used < 0)
                return used;
            i += used;
        } else {
            argv[kept++] = argv[i++];
        }
    }
    args.v = argv + 1;
    args.n = kept - 1;
    if (kept < argc)
        argv[kept] = NULL;
    if (args.dashdash == args.n)
        args.dashdash = -1;

    if (args.n < cmd->min_args || (cmd->max_args >= 0 && args.n > cmd->max_args)) {
        bool exact = cmd->min_args == cmd->max_args;
        if (cmd->max_args == 0)
            return error_set(err, ERR_INVALID, "'%s' accepts no arguments", cmd->name);
        if (args.n < cmd->min_args || exact)
            return error_set(err, ERR_INVALID, "'%s' requires %s%d argument%s", cmd->name,
                             exact ? "" : "at least ", cmd->min_args,
                             cmd->min_args == 1 ? "" : "s");
        return error_set(err, ERR_INVALID, "'%s' requires at most %d argument%s", cmd->name,
                         cmd->max_args, cmd->max_args == 1 ? "" : "s");
    }
    *ret_args = args;
    return 0;
}

int opt_parse_leading(const struct opt *opts, int argc, char **argv, void *values,
                      struct error *err)
{
    int i = 1;
    while (i < argc && is_option(argv[i]) && strcmp(argv[i], "--") != 0) {
        int used = parse_option(opts, argv, argc, i, values, err);
        if (used < 0)
            return used;
        i += used;
    }
    return i;
}

/* ---- commands ---- */

static bool has_name(const struct command *c, const char *name)
{
    if (strcmp(c->name, name) == 0)
        return true;
    struct str rest = str_from(c->aliases), alias;
    while (str_split_next(&rest, ',', &alias))
        if (str_eq_c(alias, name))
            return true;
    return false;
}

const struct command *opt_find_command(const struct command *commands, const char *name)
{
    for (const struct command *c = commands; c && c->name; c++)
        if (has_name(c, name))
            return c;
    return NULL;
}

/* Edit distance of two short words (Levenshtein), for "did you mean". */
static size_t word_distance(const char *a, const char *b)
{
    enum { WORD_MAX = 32 };
    size_t n = strlen(a), m = strlen(b);
    if (n >= WORD_MAX || m >= WORD_MAX)
        return WORD_MAX;
    size_t row[WORD_MAX];
    for (size_t j = 0; j <= m; j++)
        row[j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t up = row[j];
            size_t change = diagonal + (a[i - 1] != b[j - 1]);
            row[j] = MIN(MIN(row[j - 1], up) + 1, change);
            diagonal = up;
        }
    }
    return row[m];
}

static const char *nearest(const struct command *commands, const char *name)
{
    const char *best = NULL;
    size_t best_distance = 3;
    for (const struct command *c = commands; c && c->name; c++) {
        if (c->hidden)
            continue;
        size_t d = word_distance(name, c->name);
        if (d < best_distance) {
            best_distance = d;
            best = c->name;
        }
    }
    return best;
}

static int unknown_command(const struct program *p, const struct command *commands,
                           const char *name)
{
    fprintf(stderr, "unknown command \"%s\" for \"%s\"\n", name, p->name);
    const char *near = nearest(commands, name);
    if (near)
        fprintf(stderr, "\nDid you mean this?\n\t%s\n", near);
    fprintf(stderr, "\nRun '%s --help' for the commands\n", p->name);
    return 1;
}

static int help_of(const struct program *p, int argc, char **argv)
{
    const struct command *at = NULL, *in = p->commands;
    for (int i = 0; i < argc; i++) {
        at = opt_find_command(in, argv[i]);
        if (!at)
            return unknown_command(p, in, argv[i]);
        in = at->sub;
    }
    opt_print_help(p, at, stdout);
    return 0;
}

static int completion(const struct program *p, int argc, char **argv)
{
    struct error err = ERROR_INIT;
    if (argc == 2 && opt_print_completion(p, argv[1], stdout, &err) == 0)
        return 0;
    fprintf(stderr, "%s\n", argc == 2 ? err.msg : "completion needs a shell: bash, zsh or fish");
    return 1;
}

static int run_command(const struct program *p, const struct command *c, int argc, char **argv)
{
    if (!c->sub)
        return c->run(argc, argv);
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        if (argc < 2 && c->run)
            return c->run(argc, argv);
        opt_print_help(p, c, stdout);
        return 0;
    }
    const struct command *sub = opt_find_command(c->sub, argv[1]);
    if (sub)
        return run_command(p, sub, argc - 1, argv + 1);
    if (c->run)
        return c->run(argc, argv);
    return unknown_command(p, c->sub, argv[1]);
}

int opt_dispatch(const struct program *p, int argc, char **argv)
{
    if (argc == 0 || strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0) {
        opt_print_help(p, NULL, stdout);
        return 0;
    }
    const struct command *c = opt_find_command(p->commands, argv[0]);
    if (c)
        return run_command(p, c, argc, argv);
    if (strcmp(argv[0], "help") == 0)
        return help_of(p, argc - 1, argv + 1);
    if (strcmp(argv[0], "--version") == 0 || strcmp(argv[0], "version") == 0) {
        printf("%s %s\n", p->man_name, p->version);
        return 0;
    }
    if (strcmp(argv[0], "completion") == 0)
        return completion(p, argc, argv);
    if (strcmp(argv[0], "man") == 0) {
        opt_print_man(p, stdout);
        return 0;
    }
    if (argv[0][0] == '-') {
        fprintf(stderr, "unknown flag: %s\n\nRun '%s --help' for more information\n", argv[0],
                p->name);
        return 1;
    }
    return unknown_command(p, p->commands, argv[0]);
}
