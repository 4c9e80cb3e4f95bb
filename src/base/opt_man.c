/* SPDX-License-Identifier: Apache-2.0
 *
 * Man pages (section 1, man macros) from option tables. */
#include <string.h>

#include "base/opt.h"
#include "base/opt_internal.h"
#include "base/str.h"

/* Text with roff's special characters defused: backslashes, hyphens that users will copy, and a
 * dot or quote at the start of a line. */
static void roff_text(const char *text, size_t n, FILE *to)
{
    bool line_start = true;
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        if (line_start && (c == '.' || c == '\''))
            fputs("\\&", to);
        if (c == '\\')
            fputs("\\e", to);
        else if (c == '-')
            fputs("\\-", to);
        else
            fputc(c, to);
        line_start = c == '\n';
    }
}

static void roff_c(const char *text, FILE *to)
{
    roff_text(text, strlen(text), to);
}

static void man_upper(const char *text, FILE *to)
{
    for (; *text; text++)
        fputc(*text >= 'a' && *text <= 'z' ? *text - 'a' + 'A' : *text, to);
}

/* Paragraphs; indented lines become a literal block. */
static void man_details(const char *text, FILE *to)
{
    struct str rest = str_from(text), line;
    bool literal = false, gap = true;
    while (str_split_next(&rest, '\n', &line)) {
        bool want = line.len > 0 && line.ptr[0] == ' ';
        if (want != literal && !(line.len == 0 && literal)) {
            fputs(want ? ".PP\n.nf\n" : ".fi\n", to);
            literal = want;
            gap = !want;
        }
        if (line.len == 0) {
            if (literal)
                fputc('\n', to);
            gap = true;
            continue;
        }
        if (gap && !literal)
            fputs(".PP\n", to);
        gap = false;
        roff_text(line.ptr, line.len, to);
        fputc('\n', to);
    }
    if (literal)
        fputs(".fi\n", to);
}

static void man_options(const struct opt *opts, FILE *to)
{
    for (const struct opt *o = opts; o && o->name; o++) {
        if (o->hidden)
            continue;
        fputs(".TP\n", to);
        if (o->letter)
            fprintf(to, "\\fB\\-%c\\fR, ", o->letter);
        fputs("\\fB\\-\\-", to);
        roff_c(o->name, to);
        fputs("\\fR", to);
        if (opt__takes_value(o))
            fprintf(to, " \\fI%s\\fR", o->arg ? o->arg : "VALUE");
        else if (o->bare)
            fprintf(to, "[=\\fI%s\\fR]", o->arg ? o->arg : "VALUE");
        fputc('\n', to);
        roff_c(o->help ? o->help : "", to);
        if (o->env)
            fprintf(to, " (environment: \\fB%s\\fR)", o->env);
        fputs(".\n", to);
    }
}

static void man_commands(const struct program *p, const struct command *commands, FILE *to)
{
    for (const struct command *c = commands; c && c->name; c++) {
        if (c->hidden)
            continue;
        CLEANUP_BUF struct buf path = BUF_INIT(256);
        opt__command_path(p, c, &path);
        fputs(".SS \"", to);
        roff_c(p->name, to);
        fputc(' ', to);
        roff_c(buf_cstr(&path), to);
        if (c->opts && c->opts->name)
            fputs(" [OPTIONS]", to);
        if (c->args && *c->args) {
            fputc(' ', to);
            roff_c(c->args, to);
        }
        fputs("\"\n", to);
        roff_c(c->summary, to);
        fputs(".\n", to);
        if (c->aliases) {
            fputs("Also: ", to);
            roff_c(c->aliases, to);
            fputs(".\n", to);
        }
        if (c->details)
            man_details(c->details, to);
        man_options(c->opts, to);
        man_commands(p, c->sub, to);
    }
}

void opt_print_man(const struct program *p, FILE *to)
{
    fputs(".TH ", to);
    man_upper(p->man_name, to);
    fprintf(to, " 1 \"\" \"%s %s\" \"User Commands\"\n.SH NAME\n", p->man_name, p->version);
    roff_c(p->man_name, to);
    fputs(" \\- ", to);
    roff_c(p->summary, to);
    fputs("\n.SH SYNOPSIS\n.B ", to);
    roff_c(p->name, to);
    fputs("\nCOMMAND [OPTIONS] [ARGUMENTS]\n.SH DESCRIPTION\n", to);
    if (p->details)
        man_details(p->details, to);
    else
        fprintf(to, "%s.\n", p->summary);
    if (p->global_opts && p->global_opts->name) {
        fputs(".SH OPTIONS\n", to);
        man_options(p->global_opts, to);
    }
    fputs(".SH COMMANDS\n", to);
    man_commands(p, p->commands, to);
    if (p->man_extra)
        fputs(p->man_extra, to);
}
