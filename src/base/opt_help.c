/* SPDX-License-Identifier: Apache-2.0
 *
 * --help from option tables, laid out for 80 columns as docker's own help is. */
#include <string.h>

#include "base/opt.h"
#include "base/opt_internal.h"
#include "base/str.h"
#include "base/utf8.h"

enum { HELP_WIDTH = 80 };

static bool path_to(const struct command *in, const struct command *cmd, struct buf *out)
{
    for (const struct command *c = in; c && c->name; c++) {
        size_t len = out->len;
        buf_printf(out, "%s%s", len ? " " : "", c->name);
        if (c == cmd || path_to(c->sub, cmd, out))
            return true;
        buf_truncate(out, len);
    }
    return false;
}

bool opt__command_path(const struct program *p, const struct command *cmd, struct buf *out)
{
    return path_to(p->commands, cmd, out);
}

/* Prints words of `text` from column `at` on, continuing lines at column `indent`. */
static void print_wrapped(const char *text, size_t at, size_t indent, FILE *to)
{
    size_t column = at;
    bool first = true;
    while (*text) {
        size_t n = strcspn(text, " \n");
        size_t width = utf8_width(text, n);
        if (!first && column + 1 + width > HELP_WIDTH) {
            fprintf(to, "\n%*s", (int)indent, "");
            column = indent;
        } else if (!first) {
            fputc(' ', to);
            column++;
        }
        fprintf(to, "%.*s", (int)n, text);
        column += width;
        first = false;
        text += n;
        if (*text == '\n' && text[1] != '\0') {
            fprintf(to, "\n%*s", (int)indent, "");
            column = indent;
            first = true;
        }
        if (*text)
            text++;
    }
    fputc('\n', to);
}

/* Paragraphs are wrapped; a line that starts with white space is kept as it is. */
static void print_details(const char *text, FILE *to)
{
    struct str rest = str_from(text), line;
    CLEANUP_BUF struct buf paragraph = BUF_INIT(64 * 1024);
    while (rest.len > 0 && rest.ptr[rest.len - 1] == '\n')
        rest.len--;
    bool more = true;
    while (more) {
        more = str_split_next(&rest, '\n', &line);
        bool literal = more && line.len > 0 && line.ptr[0] == ' ';
        if (more && line.len > 0 && !literal) {
            buf_printf(&paragraph, "%s%.*s", paragraph.len ? " " : "", (int)line.len, line.ptr);
            continue;
        }
        if (paragraph.len)
            print_wrapped(buf_cstr(&paragraph), 0, 0, to);
        buf_clear(&paragraph);
        if (more)
            fprintf(to, "%.*s\n", (int)line.len, line.ptr);
    }
}

static void option_column(const struct opt *o, struct buf *out)
{
    if (o->letter)
        buf_printf(out, "  -%c, --%s", o->letter, o->name);
    else
        buf_printf(out, "      --%s", o->name);
    if (opt__takes_value(o))
        buf_printf(out, " %s", o->arg ? o->arg : "VALUE");
    else if (o->bare)
        buf_printf(out, "[=%s]", o->arg ? o->arg : "VALUE");
}

static void print_options(const char *title, const struct opt *opts, FILE *to)
{
    size_t width = 0;
    for (const struct opt *o = opts; o && o->name; o++) {
        CLEANUP_BUF struct buf left = BUF_INIT(256);
        option_column(o, &left);
        if (!o->hidden && left.len <= 30)
            width = MAX(width, left.len);
    }
    if (!opts || !opts->name)
        return;
    fprintf(to, "\n%s:\n", title);
    for (const struct opt *o = opts; o->name; o++) {
        if (o->hidden)
            continue;
        CLEANUP_BUF struct buf left = BUF_INIT(256);
        option_column(o, &left);
        size_t indent = MAX(width, (size_t)8) + 3;
        if (left.len + 2 > indent)
            fprintf(to, "%s\n%*s", buf_cstr(&left), (int)indent, "");
        else
            fprintf(to, "%-*s", (int)indent, buf_cstr(&left));
        CLEANUP_BUF struct buf help = BUF_INIT(4096);
        buf_append_c(&help, o->help ? o->help : "");
        if (o->env)
            buf_printf(&help, " [$%s]", o->env);
        print_wrapped(buf_cstr(&help), indent, indent, to);
    }
}

static void print_commands(const char *title, const struct command *commands, FILE *to)
{
    size_t width = 0;
    for (const struct command *c = commands; c && c->name; c++)
        if (!c->hidden)
            width = MAX(width, strlen(c->name));
    if (width == 0)
        return;
    fprintf(to, "\n%s:\n", title);
    for (const struct command *c = commands; c->name; c++) {
        if (c->hidden)
            continue;
        fprintf(to, "  %-*s  ", (int)width, c->name);
        print_wrapped(c->summary, width + 4, width + 4, to);
    }
}

static void usage_line(const struct program *p, const struct command *cmd, struct buf *out)
{
    buf_printf(out, "%s", p->name);
    if (!cmd) {
        buf_append_c(out, p->global_opts ? " [OPTIONS] COMMAND" : " COMMAND");
        return;
    }
    /* A program that is one command has no word for it. */
    CLEANUP_BUF struct buf path = BUF_INIT(256);
    if (opt__command_path(p, cmd, &path))
        buf_printf(out, " %s", buf_cstr(&path));
    if (cmd->opts && cmd->opts->name)
        buf_append_c(out, " [OPTIONS]");
    if (cmd->args && *cmd->args)
        buf_printf(out, " %s", cmd->args);
    else if (cmd->sub)
        buf_append_c(out, " COMMAND");
}

void opt_print_help(const struct program *p, const struct command *cmd, FILE *to)
{
    CLEANUP_BUF struct buf usage = BUF_INIT(1024);
    usage_line(p, cmd, &usage);
    fprintf(to, "Usage:  %s\n\n", buf_cstr(&usage));
    print_wrapped(cmd ? cmd->summary : p->summary, 0, 0, to);
    const char *details = cmd ? cmd->details : p->details;
    if (details) {
        fputc('\n', to);
        print_details(details, to);
    }
    if (cmd && cmd->aliases) {
        fprintf(to, "\nAliases:\n  %s, ", cmd->name);
        print_wrapped(cmd->aliases, 0, 2, to);
    }
    print_commands("Commands", cmd ? cmd->sub : p->commands, to);
    print_options("Options", cmd ? cmd->opts : p->global_opts, to);
    const struct command *below = cmd ? cmd->sub : p->commands;
    if (below) {
        CLEANUP_BUF struct buf path = BUF_INIT(256);
        if (cmd)
            opt__command_path(p, cmd, &path);
        fprintf(to, "\nRun '%s%s%s COMMAND --help' for more information on a command.\n", p->name,
                path.len ? " " : "", buf_cstr(&path));
    }
}

int opt_usage_error(const struct program *p, const struct command *cmd, const struct error *err)
{
    if (err->code == ERR_CANCELED) {
        opt_print_help(p, cmd, stdout);
        return 0;
    }
    CLEANUP_BUF struct buf usage = BUF_INIT(1024), path = BUF_INIT(256);
    usage_line(p, cmd, &usage);
    opt__command_path(p, cmd, &path);
    fprintf(stderr, "%s\n\nUsage:  %s\n\nRun '%s%s%s --help' for more information\n", err->msg,
            buf_cstr(&usage), p->name, path.len ? " " : "", buf_cstr(&path));
    return 1;
}
