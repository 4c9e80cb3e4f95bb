/* SPDX-License-Identifier: Apache-2.0
 *
 * Shell completion. The scripts ask the program itself (`__complete`), so they know every command
 * and option without being generated anew, and model names come from the running daemon. The
 * answer's form is the one of cobra, because `docker` passes it through. */
#include <string.h>

#include "base/opt.h"
#include "base/opt_internal.h"
#include "base/str.h"

/* Directives of cobra's protocol. */
enum { DIRECTIVE_DEFAULT = 0, DIRECTIVE_NO_FILES = 4 };

static bool starts_with(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

static void complete_options(const struct opt *opts, const char *prefix, FILE *to)
{
    for (const struct opt *o = opts; o && o->name; o++) {
        char name[64];
        snprintf(name, sizeof(name), "--%s", o->name);
        if (!o->hidden && starts_with(name, prefix))
            fprintf(to, "%s\t%s\n", name, o->help ? o->help : "");
    }
    if (starts_with("--help", prefix))
        fputs("--help\tShow the help\n", to);
}

static void complete_commands(const struct command *commands, const char *prefix, FILE *to)
{
    for (const struct command *c = commands; c && c->name; c++)
        if (!c->hidden && starts_with(c->name, prefix))
            fprintf(to, "%s\t%s\n", c->name, c->summary);
}

/* Is the word at `i` the value of the option in front of it? */
static const struct opt *value_option(const struct command *c, int i, char **argv)
{
    if (i == 0 || argv[i - 1][0] != '-')
        return NULL;
    for (const struct opt *o = c ? c->opts : NULL; o && o->name; o++) {
        bool is_long = argv[i - 1][1] == '-' && strcmp(argv[i - 1] + 2, o->name) == 0;
        bool is_short = argv[i - 1][1] == o->letter && o->letter && argv[i - 1][2] == '\0';
        if ((is_long || is_short) && opt__takes_value(o))
            return o;
    }
    return NULL;
}

void opt_complete(const struct program *p, int argc, char **argv,
                  void (*models)(const char *prefix, FILE *to), FILE *to)
{
    const struct command *at = NULL, *in = p->commands;
    int last = argc - 1;
    for (int i = 0; i < last && in; i++) {
        const struct command *c = opt_find_command(in, argv[i]);
        if (c) {
            at = c;
            in = c->sub;
        } else if (argv[i][0] != '-') {
            break;
        }
    }
    const char *word = argc > 0 ? argv[last] : "";
    int directive = DIRECTIVE_NO_FILES;
    const struct opt *value_of = argc > 0 ? value_option(at, last, argv) : NULL;
    if (value_of) {
        /* FILE, DIR and PATH placeholders are the convention for file arguments. */
        const char *arg = value_of->arg ? value_of->arg : "";
        if (strcmp(arg, "FILE") == 0 || strcmp(arg, "DIR") == 0 || strcmp(arg, "PATH") == 0)
            directive = DIRECTIVE_DEFAULT;
        else if (strcmp(arg, "MODEL") == 0 && models)
            models(word, to);
    } else if (word[0] == '-') {
        complete_options(at ? at->opts : p->global_opts, word, to);
    } else if (in) {
        complete_commands(in, word, to);
    } else if (at && at->complete == COMPLETE_MODELS) {
        if (models)
            models(word, to);
    } else if (at && at->complete == COMPLETE_FILES) {
        directive = DIRECTIVE_DEFAULT;
    }
    fprintf(to, ":%d\n", directive);
}

/* In the scripts %1$s is the program and %2$s a name that is fit for a shell function. */
static const char bash_script[] =
    "# bash completion for %1$s\n"
    "_%2$s_complete() {\n"
    "    local out line directive=0 IFS=$'\\n'\n"
    "    COMPREPLY=()\n"
    "    out=$(\"${COMP_WORDS[0]}\" __complete \"${COMP_WORDS[@]:1:COMP_CWORD}\" 2>/dev/null) || return\n"
    "    for line in $out; do\n"
    "        case \"$line\" in\n"
    "            :*) directive=${line#:} ;;\n"
    "            *) COMPREPLY+=(\"${line%%%%$'\\t'*}\") ;;\n"
    "        esac\n"
    "    done\n"
    "    if [ \"$directive\" = 0 ]; then\n"
    "        COMPREPLY+=($(compgen -f -- \"${COMP_WORDS[COMP_CWORD]}\"))\n"
    "    fi\n"
    "    __ltrim_colon_completions \"${COMP_WORDS[COMP_CWORD]}\" 2>/dev/null\n"
    "}\n"
    "complete -F _%2$s_complete %1$s\n";

static const char zsh_script[] =
    "#compdef %1$s\n"
    "_%2$s_complete() {\n"
    "    local -a names\n"
    "    local line directive=0\n"
    "    for line in \"${(@f)$(\"${words[1]}\" __complete \"${(@)words[2,CURRENT]}\" 2>/dev/null)}\"; do\n"
    "        case \"$line\" in\n"
    "            :*) directive=${line#:} ;;\n"
    "            ?*) names+=(\"${${line%%%%$'\\t'*}//:/\\\\:}:${line#*$'\\t'}\") ;;\n"
    "        esac\n"
    "    done\n"
    "    (( ${#names} )) && _describe '' names\n"
    "    [[ $directive == 0 ]] && _files\n"
    "}\n"
    "compdef _%2$s_complete %1$s\n";

static const char fish_script[] =
    "# fish completion for %1$s\n"
    "function __%2$s_complete\n"
    "    set -l words (commandline -opc) (commandline -ct)\n"
    "    $words[1] __complete $words[2..-1] 2>/dev/null | string match -v ':*'\n"
    "end\n"
    "complete -c %1$s -f -a '(__%2$s_complete)'\n";

int opt_print_completion(const struct program *p, const char *shell, FILE *to, struct error *err)
{
    static const struct {
        const char *shell, *script;
    } scripts[] = {{"bash", bash_script}, {"zsh", zsh_script}, {"fish", fish_script}};

    char function[64];
    snprintf(function, sizeof(function), "%s", p->man_name);
    for (char *c = function; *c; c++)
        if (*c == '-')
            *c = '_';
    for (size_t i = 0; i < ARRAY_LEN(scripts); i++) {
        if (strcmp(shell, scripts[i].shell) != 0)
            continue;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        fprintf(to, scripts[i].script, p->man_name, function);
#pragma GCC diagnostic pop
        return 0;
    }
    return error_set(err, ERR_INVALID, "no completion for the shell '%s': use bash, zsh or fish",
                     shell);
}
